// Ollama's lists of models: those that may be asked, one of them, those that are loaded (docs/formats/ollama.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"
#include "decide/fleet/fleet.h"
#include "decide/inference/request.h"

namespace thalweg::dialect {

/// The release of Ollama whose API this is; clients refuse versions that are too old for them.
inline constexpr std::string_view kOllamaVersion = "0.20.0";
/// What Ollama answers at its root, which clients look for.
inline constexpr std::string_view kOllamaRuns = "Ollama is running";

/// What is known of a model. What is unknown has no value.
struct OllamaModel {
  std::string_view name;
  Sha256 digest{};                          // of the name and what answers for it
  std::optional<std::uint64_t> file_bytes;  // of its file, where an engine has one
  std::optional<UtcTime> modified_at;       // likewise
  std::uint32_t context_tokens = 0;         // 0: unknown
  bool stays = false;                       // it is never unloaded
  inference::Capabilities capabilities;
};

/// GET /api/tags.
std::string ollama_tags_body(std::span<const OllamaModel> models);
/// GET /api/ps, of models that are loaded.
std::string ollama_ps_body(std::span<const OllamaModel> models);
/// POST /api/show.
std::string ollama_show_body(const OllamaModel& model);
/// GET /api/version.
std::string ollama_version_body();

/// The name that a body of /api/show asks for. kInvalidRequest for what is no such body.
Result<std::string> read_ollama_show(std::string_view body);

/// The name that is meant: the one asked for, or, where no such model is configured, that without the tag which goes
/// without saying, ":latest".
std::string_view meant_model(const fleet::Fleet& fleet, std::string_view asked);

}  // namespace thalweg::dialect
