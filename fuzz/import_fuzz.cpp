// The readers of other programs' configurations: whatever the bytes, the result is a configuration of ours whose only
// faults are variables that are not set, or there is a sentence.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "carry/config/settings.h"
#include "show/cli/import.h"
#include "show/cli/import_ollama.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thalweg;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto lines = cli::read_modelfile(bytes); !lines && lines.error().message.empty()) std::abort();
  const auto imported = cli::import_litellm(bytes, "config.yaml");
  if (!imported) {
    if (imported.error().empty()) std::abort();
    return 0;
  }
  if (imported->endpoints.empty()) return 0;
  const auto settings = config::parse(cli::write_yaml(*imported, bytes.substr(0, 64)), "/");
  if (settings) return 0;
  for (const Error& error : settings.error()) {
    const bool unset = error.message.find("environment variable") != error.message.npos;
    const bool too_many = error.message.find(" are allowed") != error.message.npos;  // endpoints, models, places
    const bool counted = error.message.starts_with("and ");
    if (!unset && !too_many && !counted) std::abort();
  }
  return 0;
}
