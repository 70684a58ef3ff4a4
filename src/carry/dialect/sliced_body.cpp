#include "carry/dialect/openai.h"

namespace thalweg::dialect {

std::string SlicedBody::joined() const {
  std::string whole;
  whole.reserve(size_);
  for (const std::string_view slice : slices_) whole += slice;
  return whole;
}

}  // namespace thalweg::dialect
