// Request ids: 128 random bits made once per request, printed as "req_" and 32 hexadecimal digits.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace thalweg {

struct RequestId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const RequestId&, const RequestId&) = default;
  std::string text() const;
  /// Writes the 36 characters of text() without allocating.
  void write(char* out) const;
  static constexpr std::size_t kTextLength = 36;
};

/// Makes ids without a system call per id: xoshiro256** seeded from the operating system. One a shard, not shared.
class RequestIds {
 public:
  RequestIds();
  explicit RequestIds(std::uint64_t seed);  // for tests
  RequestId next();
  std::uint64_t random();

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace thalweg
