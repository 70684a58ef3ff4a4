#include "carry/dialect/messages_errors.h"

#include "carry/dialect/openai.h"
#include "carry/json/text.h"
#include "carry/json/tree.h"

namespace thalweg::dialect {
namespace {

// By status, as docs/formats/anthropic.md has them.
std::string_view type_of(std::uint16_t status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace

std::string messages_error_body(std::uint16_t status, std::string_view message, std::string_view request_id) {
  std::string out = R"({"type":"error","error":{"type":")";
  out += type_of(status);
  out += R"(","message":)";
  json::append_quoted(out, message);
  out += '}';
  if (!request_id.empty()) {
    out += ",\"request_id\":";
    json::append_quoted(out, request_id);
  }
  out += '}';
  return out;
}

std::string messages_error_event(const Error& error, std::string_view request_id) {
  return "event: error\ndata: " + messages_error_body(status_of(error.code), error.message, request_id) + "\n\n";
}

std::string messages_refusal_body(std::uint16_t status, std::string_view openai_body, std::string_view request_id) {
  return messages_error_body(status, refusal_message(openai_body), request_id);
}

std::string messages_refusal_for_chat(std::uint16_t status, std::string_view body, RefusalKind kind) {
  const auto tree = json::read_tree(body);
  const auto text_of = [&](const char* name) {
    const auto& member = (*tree)["error"][name];
    return member.is_string() ? member.get<std::string>() : std::string();
  };
  return error_body(status, kind, json::cut_at(text_of("message"), kMaxPassedText), text_of("type"));
}

bool is_messages_error(std::string_view body) {
  const auto tree = json::read_tree(body);
  if (!tree || !tree->is_object() || tree->value("type", nlohmann::ordered_json()) != "error") return false;
  const auto error = tree->find("error");
  return error != tree->end() && error->is_object() && error->contains("type") && error->contains("message");
}

}  // namespace thalweg::dialect
