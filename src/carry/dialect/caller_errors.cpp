#include "carry/dialect/caller_errors.h"

#include "carry/dialect/messages_errors.h"

namespace thalweg::dialect {

using inference::Surface;

std::string error_body(Surface surface, const Error& error, std::string_view parameter, std::string_view request_id) {
  if (!inference::speaks_messages(surface)) return error_body(error, parameter);
  return messages_error_body(status_of(error.code), error.message, request_id);
}

std::string error_frame(Surface surface, const Error& error, std::string_view request_id) {
  if (!inference::speaks_messages(surface)) return error_frame(error);
  return messages_error_event(error, request_id);
}

std::string refusal_body(Surface surface, const EndpointRefusal& refusal, std::uint16_t status,
                         std::string_view request_id) {
  const bool same_dialect = refusal.endpoint_kind == fleet::EndpointKind::kAnthropic;
  if (inference::speaks_messages(surface) && same_dialect && refusal.kind != RefusalKind::kCredentials &&
      is_messages_error(refusal.body)) {
    return std::string(refusal.body);
  }
  if (!inference::speaks_messages(surface) && same_dialect && refusal.kind != RefusalKind::kCredentials &&
      is_messages_error(refusal.body)) {
    return messages_refusal_for_chat(refusal.status, refusal.body, refusal.kind);
  }
  std::string body = refusal_body(refusal.status, refusal.body, refusal.kind, refusal.endpoint_name);
  if (!inference::speaks_messages(surface)) return body;
  return messages_refusal_body(status, body, request_id);
}

}  // namespace thalweg::dialect
