#include "carry/http/message.h"

#include "base/text.h"

namespace thalweg::http {
namespace {

std::string_view find(std::span<const Field> fields, std::string_view name) {
  for (const Field& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

}  // namespace

std::string_view name_of(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kDelete:
      return "DELETE";
    case Method::kOptions:
      return "OPTIONS";
    case Method::kPatch:
      return "PATCH";
    case Method::kOther:
      break;
  }
  return "OTHER";
}

std::string_view RequestHead::field(std::string_view name) const {
  return find(fields, name);
}
std::string_view ResponseHead::field(std::string_view name) const {
  return find(fields, name);
}

}  // namespace thalweg::http
