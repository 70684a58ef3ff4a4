// What a connection answers by itself: refusals before a request is placed, and the small answers of health, metrics
// and preflights.
#include <fmt/format.h>

#include <algorithm>

#include "carry/dialect/caller_errors.h"
#include "carry/gateway/connection.h"

namespace thalweg::gateway {

std::string_view reason_phrase(std::uint16_t status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 409:
      return "Conflict";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

void Connection::answer_simple(std::uint16_t status, std::string_view content_type, std::string_view body,
                               bool keep_alive, std::string_view extra) {
  read_timer_.stop();
  const http::RequestHead* head = head_known_ ? &reader_.head({buffer_.get(), filled_}) : nullptr;
  std::string text =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Length: {}\r\n", status, reason_phrase(status), body.size());
  if (status == 204) text = fmt::format("HTTP/1.1 204 No Content\r\n");
  if (!content_type.empty()) text += fmt::format("Content-Type: {}\r\n", content_type);
  text += extra;
  text += cors_fields(head == nullptr ? std::string_view() : head->origin);
  text += connection_field(keep_alive);
  text += "\r\n";
  const bool without_body = head != nullptr && head->method == http::Method::kHead;
  const std::string_view slices[] = {text, without_body ? std::string_view() : body};
  worker_.metrics.responses_by_class[status / 100].add();
  phase_ = Phase::kRunning;
  if (send(slices)) answered(keep_alive);
}

std::string Connection::cors_fields(std::string_view origin) const {
  if (origin.empty() ||
      std::ranges::find(snapshot_->settings.allowed_origins, origin) == snapshot_->settings.allowed_origins.end()) {
    return {};
  }
  return fmt::format(
      "Access-Control-Allow-Origin: {}\r\nVary: Origin\r\n"
      "Access-Control-Expose-Headers: x-request-id, request-id, retry-after, thalweg-dropped\r\n",
      origin);
}

std::string_view Connection::connection_field(bool keep_alive) const {
  if (!keep_alive) return "Connection: close\r\n";
  return minor_version_ == 0 ? "Connection: keep-alive\r\n" : "";
}

std::string Connection::cors_fields() {
  return head_known_ ? cors_fields(reader_.head({buffer_.get(), filled_}).origin) : std::string();
}

void Connection::refuse(const Error& error, bool log) {
  const std::uint16_t status = dialect::status_of(error.code);
  std::string extra;
  if (error.code == ErrorCode::kOverloaded || error.code == ErrorCode::kDraining) extra = "Retry-After: 1\r\n";
  if (error.code == ErrorCode::kOverloaded) worker_.metrics.overloaded.add();
  if (error.code == ErrorCode::kUnauthenticated) extra = "WWW-Authenticate: Bearer\r\n";
  if (error.code == ErrorCode::kMethodNotAllowed) {
    extra = fmt::format("Allow: {}\r\n",
                        allowed_methods(reader_.head({buffer_.get(), filled_}).path, snapshot_->settings.passages));
  }
  if (log && worker_.log_has_room()) {
    const http::RequestHead* head = head_known_ ? &reader_.head({buffer_.get(), filled_}) : nullptr;
    telemetry::AccessLine line;
    line.at = UtcClock::now();
    line.request = worker_.ids.next();
    line.method = head == nullptr ? std::string_view("-") : http::name_of(head->method);
    line.path = head == nullptr ? std::string_view("-") : head->path;
    line.status = status;
    line.outcome = "refused";
    line.error = name_of(error.code);
    line.bytes_in = filled_;
    worker_.write_line(line);
  }
  const std::string_view path = head_known_ ? reader_.head({buffer_.get(), filled_}).path : std::string_view();
  const auto surface = path.starts_with("/v1/messages") ? inference::Surface::kAnthropicMessages
                       : path.starts_with("/api/")      ? inference::Surface::kOllamaChat
                                                        : inference::Surface::kOpenAiChat;
  answer_simple(status, "application/json", dialect::error_body(surface, error, {}, {}), keep_alive_, extra);
}

}  // namespace thalweg::gateway
