// Hashes: SHA-256 for keys and snapshots (OpenSSL), XXH3-64 for decisions and seeds (stable over machines, not secret).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace thalweg {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);

/// Lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);
/// Reads exactly 64 hexadecimal digits. kInvalidRequest otherwise.
Result<Sha256> parse_sha256(std::string_view hex);

/// Compares in time that does not depend on where the two differ.
bool equal_in_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);

/// XXH3-64 with a seed.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

/// Mixes one 64-bit value into a running hash (order matters).
constexpr std::uint64_t mix64(std::uint64_t hash, std::uint64_t value) {
  std::uint64_t z = hash + 0x9E3779B97F4A7C15ULL + value * 0xBF58476D1CE4E5B9ULL;  // splitmix64 (Steele et al., 2014)
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

/// Bytes from the operating system's generator. Ends the process when there is none.
void fill_random(std::span<std::uint8_t> bytes);

}  // namespace thalweg
