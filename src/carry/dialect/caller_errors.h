// Errors in whatever API the caller speaks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/openai.h"
#include "decide/fleet/fleet.h"

namespace thalweg::dialect {

/// An error of ours as an answer's body. `parameter` and `request_id` may be empty.
std::string error_body(inference::Surface surface, const Error& error, std::string_view parameter,
                       std::string_view request_id);
/// The same as an event of a running stream.
std::string error_frame(inference::Surface surface, const Error& error, std::string_view request_id);

/// What an endpoint refused with.
struct EndpointRefusal {
  fleet::EndpointKind endpoint_kind = fleet::EndpointKind::kOpenAi;
  std::string_view endpoint_name;
  std::uint16_t status = 0;
  std::string_view body;
  RefusalKind kind = RefusalKind::kServer;
};
/// An endpoint's refusal passed on, with the status that the caller gets.
std::string refusal_body(inference::Surface surface, const EndpointRefusal& refusal, std::uint16_t status,
                         std::string_view request_id);

}  // namespace thalweg::dialect
