#include "carry/dialect/caller_errors.h"

#include "carry/dialect/messages_errors.h"
#include "carry/dialect/ollama_answer.h"

namespace thalweg::dialect {

using inference::Surface;

std::string error_body(Surface surface, const Error& error, std::string_view parameter, std::string_view request_id) {
  if (inference::speaks_ollama(surface)) return ollama_error_body(error.message);
  if (!inference::speaks_messages(surface)) return error_body(error, parameter);
  return messages_error_body(status_of(error.code), error.message, request_id);
}

std::string error_frame(Surface surface, const Error& error, std::string_view request_id) {
  if (inference::speaks_ollama(surface)) return ollama_error_body(error.message) + '\n';
  if (!inference::speaks_messages(surface)) return error_frame(error);
  return messages_error_event(error, request_id);
}

std::string refusal_body(Surface surface, const EndpointRefusal& refusal, std::uint16_t status,
                         std::string_view request_id) {
  const bool anthropic = refusal.endpoint_kind == fleet::EndpointKind::kAnthropic &&
                         refusal.kind != RefusalKind::kCredentials && is_messages_error(refusal.body);
  if (anthropic && inference::speaks_messages(surface)) return std::string(refusal.body);
  std::string body = anthropic ? messages_refusal_for_chat(refusal.status, refusal.body, refusal.kind)
                               : refusal_body(refusal.status, refusal.body, refusal.kind, refusal.endpoint_name);
  if (inference::speaks_messages(surface)) return messages_refusal_body(status, body, request_id);
  if (inference::speaks_ollama(surface)) return ollama_error_body(refusal_message(body));
  return body;
}

}  // namespace thalweg::dialect
