// Canonical bytes: what a snapshot's hash is taken over. Every text carries its length and every list its count, so two
// different contents never give the same bytes. Order matters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/units.h"

namespace thalweg {

class CanonicalBytes {
 public:
  /// Eight bytes, least significant first.
  void number(std::uint64_t value) {
    for (unsigned shift = 0; shift < 64; shift += 8) bytes_.push_back(static_cast<char>(value >> shift & 0xFF));
  }
  void duration(Duration value) { number(static_cast<std::uint64_t>(value.count())); }
  void text(std::string_view value) {
    number(value.size());
    bytes_.append(value);
  }
  Sha256 hash() const { return sha256(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace thalweg
