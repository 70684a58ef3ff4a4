// A body as slices: mostly of the bytes it was made from, with small replacements between them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace thalweg::json {

class SlicedBody {
 public:
  void clear() {
    slices_.clear();
    size_ = 0;
  }
  void add(std::string_view slice) {
    if (slice.empty()) return;
    slices_.push_back(slice);
    size_ += slice.size();
  }
  std::span<const std::string_view> slices() const { return slices_; }
  std::size_t size() const { return size_; }
  std::string joined() const;

 private:
  std::vector<std::string_view> slices_;
  std::size_t size_ = 0;
};

}  // namespace thalweg::json
