// What the client gets: frames in batches, whole answers, errors in its own dialect.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

using flight::Action;
using flight::Failure;

void Exchange::emit(std::uint8_t slot) {
  batch_ += frames_[slot];
  frame_used_[slot] = false;
}

// The head of a streamed answer, to leave with its first bytes.
std::string Exchange::stream_head() {
  if (passage_ != nullptr) return passed_stream_head();
  head_sent_ = true;
  status_ = 200;
  framing_ = connection_.minor_version() == 0 ? Framing::kClose : Framing::kChunked;
  worker_.metrics.responses_by_class[2].add();
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nCache-Control: no-cache\r\nX-Request-Id: {}\r\n{}{}{}\r\n",
                     inference::speaks_ollama(question_.surface) ? "application/x-ndjson" : "text/event-stream",
                     question_.request.text(), dialect_fields(),
                     framing_ == Framing::kClose        ? "Connection: close\r\n"
                     : connection_.client_keeps_alive() ? "Transfer-Encoding: chunked\r\n"
                                                        : "Transfer-Encoding: chunked\r\nConnection: close\r\n",
                     connection_.cors_fields());
}

// All frames of one read leave with one write, as one chunk; the answer's head before the first, its last chunk after
// the last.
void Exchange::flush_batch(Last last) {
  if (cut_ || (batch_.empty() && last == Last::kNo)) return;
  std::string head;
  if (!head_sent_) head = stream_head();
  const bool chunked = framing_ == Framing::kChunked;
  char size[24];
  std::string_view chunk_head, chunk_end;
  if (chunked && !batch_.empty()) {
    char* end = std::to_chars(size, std::end(size), batch_.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    chunk_head = {size, static_cast<std::size_t>(end - size)};
    chunk_end = "\r\n";
  }
  bytes_out_ += batch_.size();
  const std::string_view slices[] = {
      head, chunk_head, batch_, chunk_end,
      chunked && last == Last::kYes ? std::string_view("0\r\n\r\n") : std::string_view()};
  if (!connection_.send(slices)) cut_ = true;
  batch_.clear();
}

void Exchange::complete(bool mark_missing) {
  if (mark_missing) {
    tell_times();
    answer_.finish(batch_);
  }
  flush_batch(Last::kYes);
}

void Exchange::send_response(std::uint16_t status, std::string_view extra_fields,
                             std::span<const std::string_view> body, std::size_t body_size,
                             std::string_view content_type) {
  head_sent_ = true;
  framing_ = Framing::kLength;
  status_ = status;
  bytes_out_ += body_size;
  worker_.metrics.responses_by_class[std::min<std::size_t>(status / 100, 5)].add();
  char id[RequestId::kTextLength];
  question_.request.write(id);
  const fmt::format_int status_text(status), size_text(body_size);
  head_.clear();
  for (const std::string_view part :
       {std::string_view("HTTP/1.1 "), std::string_view(status_text.data(), status_text.size()), std::string_view(" "),
        reason_phrase(status), std::string_view("\r\nContent-Type: "), content_type,
        std::string_view("\r\nContent-Length: "), std::string_view(size_text.data(), size_text.size()),
        std::string_view("\r\nX-Request-Id: "), std::string_view(id, sizeof id), std::string_view("\r\n"), extra_fields,
        connection_.connection_field(connection_.client_keeps_alive())}) {
    head_ += part;
  }
  head_ += dialect_fields();
  head_ += connection_.cors_fields();
  head_ += "\r\n";
  slices_.clear();
  slices_.push_back(head_);
  slices_.insert(slices_.end(), body.begin(), body.end());
  if (!connection_.send(slices_)) cut_ = true;
}

void Exchange::deliver_whole() {
  tell_times();
  const auto answer = answer_.whole();
  if (!answer) return fail({.kind = Action::Kind::kFail, .error = ErrorCode::kUpstreamFailed});
  send_response(200, {}, (*answer)->slices(), (*answer)->size());
}

Error Exchange::error_of(const Action& action) const {
  const std::string name = target_.endpoint ? endpoint().name : std::string("the endpoint");
  if (action.from_attempt) {
    switch (action.failure) {
      case Failure::kNotSent:
        return {action.error, fmt::format("no connection to the endpoint \"{}\"", name), {}};
      case Failure::kSilent:
        return {action.error,
                fmt::format("the endpoint \"{}\" gave no {} within its time-out", name,
                            passage_ != nullptr ? "answer" : "token"),
                {}};
      case Failure::kStalled:
        return {action.error, fmt::format("the endpoint \"{}\" fell silent in the middle of its answer", name), {}};
      case Failure::kCut:
        return {action.error, fmt::format("the answer of the endpoint \"{}\" ended before it was complete", name), {}};
      case Failure::kMalformed:
        return {action.error, fmt::format("the endpoint \"{}\" did not answer as its API says", name), {}};
      case Failure::kTooLarge:
        return {
            action.error, fmt::format("the answer of the endpoint \"{}\" is larger than {}", name, too_large_for_), {}};
      case Failure::kNoRoom:
        return {action.error,
                "the gateway holds as many bytes as it may, or has no open files left; try again shortly",
                {}};
      case Failure::kUnfit:
      case Failure::kErrorFrame:
        return {action.error,
                answer_.error_message().empty()
                    ? fmt::format("the endpoint \"{}\" reported an error", name)
                    : std::string(answer_.error_message().substr(0, dialect::kMaxPassedText)),
                {}};
      default:
        return {action.error, fmt::format("the endpoint \"{}\" failed", name), {}};
    }
  }
  if (!denial_.empty()) return {action.error, denial_, {}};
  if (action.error == ErrorCode::kUpstreamTimeout)
    return {action.error, "the request took longer than timeouts.total allows", {}};
  if (action.error == ErrorCode::kDraining) return {action.error, "the gateway is shutting down; try again", {}};
  return {action.error, std::string(name_of(action.error)), {}};
}

void Exchange::fail(const Action& action) {
  if (action.from_attempt) record_failed_attempt(action.failure);
  failed_ = true;
  error_ = action.error;
  const Error error = error_of(action);
  if (head_sent_ || (flight_.committed() && !batch_.empty())) {
    // Inside a stream: the error as an event, and no well-formed end, so that no client can take it for the whole.
    const bool of_endpoint = action.from_attempt && action.failure == Failure::kErrorFrame;
    if (passage_ == nullptr) answer_.write_error(error, of_endpoint, question_.request.text(), batch_);
    flush_batch();
    cut_ = true;
    return;
  }
  if (action.from_attempt && form_ == AnswerForm::kRefusal) {
    std::string extra;
    if (!retry_after_.empty()) extra += fmt::format("Retry-After: {}\r\n", retry_after_);
    if (!upstream_request_id_.empty())
      extra += fmt::format("Thalweg-Upstream-Request-Id: {}\r\n", upstream_request_id_);
    if (passage_ != nullptr) return refuse_as_endpoint_did(extra);
    const auto kind = dialect::classify_refusal(upstream_status_, body_);
    const std::uint16_t status = kind == dialect::RefusalKind::kCredentials ? 502 : upstream_status_;
    const std::string body = refusal_body(kind, status);
    const std::string_view slices[] = {body};
    send_response(status, extra, slices, body.size());
    return;
  }
  const std::string_view parameter = action.error == ErrorCode::kModelNotFound ? "model" : denial_parameter_;
  const std::string body = dialect::error_body(words_, error, parameter, question_.request.text());
  const bool later = action.error == ErrorCode::kOverloaded || action.error == ErrorCode::kUnavailable ||
                     action.error == ErrorCode::kDraining;
  const std::string_view slices[] = {body};
  send_response(dialect::status_of(action.error), later ? kRetrySoon : "", slices, body.size());
}

}  // namespace thalweg::gateway
