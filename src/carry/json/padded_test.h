// For tests: bytes with the padding behind them that readers may look at, filled with what would mislead a reader that
// gave it a meaning, and allocated to the byte so that AddressSanitizer sees a look beyond it.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>

#include "carry/http/message.h"

namespace thalweg::json {

class Padded {
 public:
  explicit Padded(std::string_view text) : size_(text.size()), bytes_(new char[text.size() + http::kPadding]) {
    if (!text.empty()) std::memcpy(bytes_.get(), text.data(), text.size());
    static constexpr std::string_view kMisleading = "\"}]1\\0,:";
    for (std::size_t i = 0; i < http::kPadding; ++i) bytes_[size_ + i] = kMisleading[(i + size_) % kMisleading.size()];
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<char[]> bytes_;
};

}  // namespace thalweg::json
