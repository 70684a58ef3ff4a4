// Errors as OpenAI's clients expect them, and endpoints' refusals as they are to be taken.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"
#include "carry/dialect/openai.h"
#include "carry/json/text.h"
#include "carry/json/tree.h"

namespace thalweg::dialect {
namespace {

// OpenAI's `type` by status; its clients choose the exception by the status alone (openai-python `_make_status_error`).
std::string_view type_of(std::uint16_t status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

// The codes that clients of OpenAI look for; our own name where OpenAI has none.
std::string_view code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
      return "invalid_api_key";
    case ErrorCode::kContextExceeded:
      return "context_length_exceeded";
    case ErrorCode::kContentRejected:
      return "content_filter";
    case ErrorCode::kRateLimited:
      return "rate_limit_exceeded";
    default:
      return name_of(code);
  }
}

std::string error_object(std::string_view message, std::string_view type, std::string_view parameter,
                         std::string_view code) {
  std::string out = "{\"error\":{\"message\":";
  json::append_quoted(out, message);
  out += ",\"type\":";
  json::append_quoted(out, type);
  out += ",\"param\":";
  if (parameter.empty()) {
    out += "null";
  } else {
    json::append_quoted(out, parameter);
  }
  out += ",\"code\":";
  json::append_quoted(out, code);
  out += "}}";
  return out;
}

// What an endpoint's refusal says of itself, in lower case.
struct Refusal {
  std::string code;  // error.code, error.type and inner codes, separated by spaces
  std::string message;
};

void append_lower(std::string& out, std::string_view text) {
  for (const char c : text) out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  out += ' ';
}

void append_if_string(std::string& out, const nlohmann::ordered_json& object, const char* name) {
  const auto member = object.find(name);
  if (member != object.end() && member->is_string()) append_lower(out, member->get_ref<const std::string&>());
}

// OpenAI and most: {"error":{...}}; vLLM before 0.10: the object itself; TGI: {"error":"text","error_type":"..."};
// FastAPI:
// {"detail":...}.
Refusal read_refusal(std::string_view body) {
  Refusal refusal;
  const auto tree = json::read_tree(body.substr(0, kMaxReadRefusal));
  if (!tree || !tree->is_object()) {
    append_lower(refusal.message, body.substr(0, 4 * kMaxPassedText));
    return refusal;
  }
  const auto error = tree->find("error");
  const nlohmann::ordered_json& object = error != tree->end() && error->is_object() ? *error : *tree;
  for (const char* name : {"code", "type", "error_type", "object"}) append_if_string(refusal.code, object, name);
  for (const char* name : {"message", "error", "detail"}) append_if_string(refusal.message, object, name);
  const auto inner = object.find("innererror");  // Azure
  if (inner != object.end() && inner->is_object()) append_if_string(refusal.code, *inner, "code");
  const auto metadata = object.find("metadata");  // OpenRouter's moderation
  if (metadata != object.end() && metadata->is_object() && metadata->contains("flagged_input"))
    refusal.code += "flagged_input ";
  return refusal;
}

bool has_any(std::string_view text, std::span<const std::string_view> needles) {
  return std::ranges::any_of(needles,
                             [&](std::string_view needle) { return text.find(needle) != std::string_view::npos; });
}

// As the servers word it: OpenAI, llama.cpp v0.5.0, vLLM, SGLang, TGI.
bool is_context(const Refusal& refusal) {
  static constexpr std::array<std::string_view, 3> kCodes = {"context_length_exceeded", "exceed_context_size_error",
                                                             "context_window_exceeded"};
  static constexpr std::array<std::string_view, 9> kWords = {
      "maximum context length",  "maximum model length",
      "maximum allowed length",  "exceeds the available context size",
      "context length exceeded", "context window",
      "prompt is too long",      "`inputs` tokens + `max_new_tokens` must be",
      "reduce the length of the"};
  return has_any(refusal.code, kCodes) || has_any(refusal.message, kWords);
}

bool is_content(const Refusal& refusal) {
  static constexpr std::array<std::string_view, 5> kCodes = {
      "content_filter", "content_policy_violation", "responsibleaipolicyviolation", "invalid_prompt", "flagged_input"};
  static constexpr std::array<std::string_view, 2> kWords = {"content management policy", "content policy"};
  return has_any(refusal.code, kCodes) || has_any(refusal.message, kWords);
}

}  // namespace

RefusalKind classify_refusal(std::uint16_t status, std::string_view body) {
  switch (status) {
    case 401:
    case 402:  // the account there has no credit left
      return RefusalKind::kCredentials;
    case 429:
    case 503:
    case 529:
      return RefusalKind::kBusy;
    default:
      break;
  }
  const Refusal refusal = read_refusal(body);
  if (is_content(refusal)) return RefusalKind::kContent;
  if (status == 403) return RefusalKind::kCredentials;
  if (is_context(refusal)) return RefusalKind::kContext;
  // A path or a model that the endpoint does not know is the configuration's fault, and 408 its own slowness: another
  // endpoint may do.
  if (status >= 500 || status < 400 || status == 404 || status == 405 || status == 408) return RefusalKind::kServer;
  return RefusalKind::kCaller;
}

std::uint16_t status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidRequest:
    case ErrorCode::kUnsupported:
    case ErrorCode::kContextExceeded:
    case ErrorCode::kContentRejected:
      return 400;
    case ErrorCode::kUnauthenticated:
      return 401;
    case ErrorCode::kForbidden:
      return 403;
    case ErrorCode::kNotFound:
    case ErrorCode::kModelNotFound:
      return 404;
    case ErrorCode::kMethodNotAllowed:
      return 405;
    case ErrorCode::kTimeout:
      return 408;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kHeadersTooLarge:
      return 431;
    case ErrorCode::kRateLimited:
      return 429;
    case ErrorCode::kClientGone:
      return 499;  // nginx's number, for logs only
    case ErrorCode::kOverloaded:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDraining:
      return 503;
    case ErrorCode::kUpstreamFailed:
    case ErrorCode::kUpstreamRefused:
    case ErrorCode::kTruncated:
      return 502;
    case ErrorCode::kUpstreamTimeout:
      return 504;
    case ErrorCode::kConfig:
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt:
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

std::string error_body(const Error& error, std::string_view parameter) {
  return error_object(error.message, type_of(status_of(error.code)), parameter, code_of(error.code));
}

std::string error_body(std::uint16_t status, RefusalKind kind, std::string_view message, std::string_view code) {
  if (kind == RefusalKind::kContext) code = code_of(ErrorCode::kContextExceeded);
  if (kind == RefusalKind::kContent) code = code_of(ErrorCode::kContentRejected);
  return error_object(message, type_of(status), {}, code);
}

std::string refusal_message(std::string_view openai_body) {
  if (const auto tree = json::read_tree(openai_body); tree && tree->is_object() && tree->contains("error")) {
    const auto& error = (*tree)["error"];
    if (error.is_object() && error.contains("message") && error["message"].is_string())
      return std::string(json::cut_at(error["message"].get_ref<const std::string&>(), kMaxPassedText));
  }
  return "the endpoint refused the request";
}

std::string error_frame(const Error& error) {
  return "data: " + error_body(error) + "\n\n";
}

std::string refusal_body(std::uint16_t status, std::string_view body, RefusalKind kind,
                         std::string_view endpoint_name) {
  if (kind == RefusalKind::kCredentials) {
    return error_object(fmt::format("the endpoint {} refused its own key", endpoint_name), type_of(502), {},
                        name_of(ErrorCode::kUpstreamRefused));
  }
  const auto tree = json::read_tree(body);
  if (tree && tree->is_object()) {
    const auto error = tree->find("error");
    if (error != tree->end() && error->is_object() && error->contains("message")) {
      nlohmann::ordered_json passed;
      passed["error"] = *error;
      return passed.dump();
    }
    for (const char* name : {"message", "error", "detail"}) {
      const auto text = tree->find(name);
      if (text == tree->end() || !text->is_string()) continue;
      return error_object(json::cut_at(text->get_ref<const std::string&>(), kMaxPassedText), type_of(status), {},
                          code_of(ErrorCode::kUpstreamRefused));
    }
  }
  std::string_view code = name_of(ErrorCode::kUpstreamRefused);
  if (kind == RefusalKind::kContext) code = code_of(ErrorCode::kContextExceeded);
  if (kind == RefusalKind::kContent) code = code_of(ErrorCode::kContentRejected);
  std::string_view text = json::cut_at(body, kMaxPassedText);
  if (!is_valid_utf8(text)) text = {};
  std::string message(json::without_space(text));
  if (message.empty()) message = fmt::format("the endpoint {} answered with status {}", endpoint_name, status);
  return error_object(message, type_of(status), {}, code);
}

}  // namespace thalweg::dialect
