// Errors as Anthropic's clients expect them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/openai.h"

namespace thalweg::dialect {

/// `{"type":"error","error":{"type":...,"message":...},"request_id":...}`; the id is left out where it is empty.
std::string messages_error_body(std::uint16_t status, std::string_view message, std::string_view request_id);
/// The same as an event inside a stream, for an error of ours.
std::string messages_error_event(const Error& error, std::string_view request_id);
/// An endpoint's refusal, as refusal_body() words it for OpenAI's clients, worded for Anthropic's.
std::string messages_refusal_body(std::uint16_t status, std::string_view openai_body, std::string_view request_id);

/// The body is an error of this dialect already.
bool is_messages_error(std::string_view body);
/// Such an error worded for OpenAI's clients: its own type is the `code` where they know no other.
std::string messages_refusal_for_chat(std::uint16_t status, std::string_view body, RefusalKind kind);

}  // namespace thalweg::dialect
