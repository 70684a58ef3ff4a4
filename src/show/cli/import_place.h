// Where an address probably is.
#pragma once

#include <string_view>

namespace thalweg::cli {

enum class Nearness { kHere, kNear, kFar };

/// kHere: loopback. kNear: an address of private networks (RFC 1918, RFC 4193, link-local, RFC 6598), a name without a
/// dot, or one below a domain that the public name service does not have. kFar: the rest. A guess: a name tells no
/// place.
Nearness nearness_of(std::string_view host);

}  // namespace thalweg::cli
