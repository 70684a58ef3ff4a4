// The dated, sourced catalogue of facts that decisions may use. Nothing reads one yet, so the empty catalogue, number
// 0, is its only value.
#pragma once

#include <cstdint>

#include "base/hash.h"

namespace thalweg::facts {

struct Facts {
  std::uint64_t number = 0;
  Sha256 hash{};
};

}  // namespace thalweg::facts
