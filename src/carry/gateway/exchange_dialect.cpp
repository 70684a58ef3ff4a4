// The request and its errors in the caller's dialect.
#include <fmt/format.h>

#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

namespace {

constexpr std::size_t kMaxBetas = 4096;

// A date, as Anthropic's API has it.
bool is_version(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00";
  if (text.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != kForm[i]) return false;
  }
  return true;
}

}  // namespace

// What is written anew counts among the bytes held: about as long as it came at first, then with the length it has.
Result<void> Exchange::read_request(const Arrival& arrival) {
  const auto no_room = [] {
    return thalweg::fail(ErrorCode::kOverloaded, "the gateway holds as many bytes as it may; try again shortly");
  };
  if (!anthropic_.version.empty() && !is_version(anthropic_.version)) {
    return thalweg::fail(ErrorCode::kInvalidRequest, "anthropic-version: expected a date, like 2023-06-01");
  }
  if (anthropic_.betas.size() > kMaxBetas) {
    return thalweg::fail(ErrorCode::kInvalidRequest, fmt::format("anthropic-beta: has more than {} bytes", kMaxBetas));
  }
  if (dialect::CallerRequest::is_written_anew(arrival.surface) && !held_written_.hold(arrival.body.size()))
    return no_room();
  if (auto parsed = caller_.parse(arrival.surface, arrival.body); !parsed) return parsed;
  const fleet::EndpointKinds kinds = snapshot_->fleet().kinds_for(caller_.request().model);
  caller_.describe(question_, kinds);
  if (!held_written_.hold(caller_.bytes_written())) return no_room();
  return {};
}

std::string Exchange::refusal_body(dialect::RefusalKind kind, std::uint16_t status) const {
  return dialect::refusal_body(question_.surface,
                               {.endpoint_kind = endpoint().kind,
                                .endpoint_name = endpoint().name,
                                .status = upstream_status_,
                                .body = body_,
                                .kind = kind},
                               status, question_.request.text());
}

// Fields of the answer's head that not every answer has.
std::string Exchange::dialect_fields() const {
  std::string fields;
  if (inference::speaks_messages(question_.surface)) fields = "request-id: " + question_.request.text() + "\r\n";
  if (dispatched_ == 0) return fields;
  if (const std::string dropped = caller_.dropped(endpoint().kind); !dropped.empty()) {
    fields += "Thalweg-Dropped: ";
    fields += dropped;
    fields += "\r\n";
  }
  return fields;
}

}  // namespace thalweg::gateway
