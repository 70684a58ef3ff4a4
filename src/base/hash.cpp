#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

// SHA256_Init/Update/Final cost 0.07 us against 0.5-0.7 us of the one-shot call, which fetches its algorithm each time
// (measured, OpenSSL 3.0, 2026-10). They are deprecated there, not gone.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace thalweg {

Sha256 sha256(std::string_view bytes) {
  Sha256 out;
  SHA256_CTX context;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  SHA256_Init(&context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(out.data(), &context);
#pragma GCC diagnostic pop
  return out;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(bytes.size() * 2, '0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    out[2 * i] = kDigits[bytes[i] >> 4];
    out[2 * i + 1] = kDigits[bytes[i] & 15];
  }
  return out;
}

Result<Sha256> parse_sha256(std::string_view hex) {
  Sha256 out{};
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (hex.size() != 64) {
    return fail(ErrorCode::kInvalidRequest,
                "a SHA-256 is 64 hexadecimal digits, this has " + std::to_string(hex.size()));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit(hex[2 * i]);
    const int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return fail(ErrorCode::kInvalidRequest, "a SHA-256 is 64 hexadecimal digits");
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return out;
}

bool equal_in_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

void fill_random(std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::getrandom(bytes.data() + done, bytes.size() - done, 0);
    THALWEG_CHECK(got > 0);
    done += static_cast<std::size_t>(got);
  }
}

}  // namespace thalweg
