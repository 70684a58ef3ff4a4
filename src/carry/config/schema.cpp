#include "carry/config/schema_text.h"  // made from docs/formats/config.schema.json by cmake/embed.cmake
#include "carry/config/settings.h"

namespace thalweg::config {

std::string_view schema() {
  return kSchemaText;
}

}  // namespace thalweg::config
