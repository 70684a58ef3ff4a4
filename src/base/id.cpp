#include "base/id.h"

#include <bit>
#include <cstring>

#include "base/hash.h"
#include "base/text.h"

namespace thalweg {

void RequestId::write(char* out) const {
  std::memcpy(out, "req_", 4);
  write_hex(high, out + 4);
  write_hex(low, out + 20);
}

std::string RequestId::text() const {
  std::string out(kTextLength, ' ');
  write(out.data());
  return out;
}

RequestIds::RequestIds() : state_{} {
  fill_random({reinterpret_cast<std::uint8_t*>(state_.data()), sizeof state_});
  state_[0] |= 1;  // never the all-zero state
}

RequestIds::RequestIds(std::uint64_t seed) : state_{} {
  for (auto& word : state_) word = seed = mix64(seed, 1);
}

// xoshiro256** 1.0 (Blackman and Vigna, 2018).
std::uint64_t RequestIds::random() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

RequestId RequestIds::next() {
  return RequestId{random(), random()};
}

}  // namespace thalweg
