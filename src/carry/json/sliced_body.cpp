#include "carry/json/sliced_body.h"

namespace thalweg::json {

std::string SlicedBody::joined() const {
  std::string whole;
  whole.reserve(size_);
  for (const std::string_view slice : slices_) whole += slice;
  return whole;
}

}  // namespace thalweg::json
