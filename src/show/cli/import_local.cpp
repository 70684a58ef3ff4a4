// Model files of this machine as engines: what readers of other programs' model folders have in common.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "carry/config/names.h"
#include "carry/engine/gguf.h"
#include "show/cli/import.h"

namespace thalweg::cli {
namespace {

// Of docs/formats/config.md.
constexpr std::uint64_t kLeastContext = 128;
constexpr std::uint64_t kMostContext = 16'777'216;
constexpr std::uint64_t kMostSlots = 256;
constexpr std::uint64_t kMostThreads = 1024;

const ImportedPlace kHere = {"here", "device", ""};

/// The number, or 0 with a note where an engine takes no such one.
std::uint64_t fitting(std::uint64_t number, std::uint64_t least, std::uint64_t most, std::string_view what,
                      Imported& imported, const std::filesystem::path& source, Position position) {
  if (number == 0 || (number >= least && number <= most)) return number;
  imported.note(NoteKind::kNotCarried, source, position,
                fmt::format("{} of {}: it must be from {} to {}", what, number, least, most));
  return 0;
}

}  // namespace

bool add_local_model(Imported& imported, LocalModel model, const std::filesystem::path& source, Position position) {
  const std::filesystem::path file = std::filesystem::absolute(model.file).lexically_normal();
  if (!is_valid_utf8(file.string())) {
    imported.note(NoteKind::kNotCarried, source, position, "a model whose file has a name that is not UTF-8");
    return false;
  }
  const auto shape = engine::read_shape(file);
  if (!shape) {
    imported.note(NoteKind::kNotCarried, source, position,
                  fmt::format("the model {}: {}: {}", model.name, file.string(), shape.error().message));
    return false;
  }
  std::string name = as_model_name(model.name);
  if (name.empty() || !config::fault_of_name(config::NameKind::kModel, name).empty()) name = "model";
  const std::string wished = name;
  for (std::size_t i = 2; std::ranges::find(imported.names, name, &ImportedName::name) != imported.names.end(); ++i)
    name = fmt::format("{}-{}", wished, i);
  if (name != model.name) {
    imported.note(
        NoteKind::kChanged, source, position,
        fmt::format("the model {} is called {} here: a name is there once, and takes letters, digits and ._:/-",
                    model.name, name));
  }
  ImportedEndpoint endpoint;
  endpoint.name = imported.free_endpoint_name(name);
  endpoint.origin = model.origin;
  endpoint.place = kHere.name;
  endpoint.file = file;
  endpoint.context = fitting(model.context, kLeastContext, kMostContext, "a context", imported, source, position);
  endpoint.slots = fitting(model.slots, 1, kMostSlots, "a number of slots", imported, source, position);
  endpoint.threads = fitting(model.threads, 1, kMostThreads, "a number of threads", imported, source, position);
  endpoint.arguments = std::move(model.arguments);
  // BERT and its kin (nomic-bert, jina-bert-v2, modern-bert) make vectors; llama.cpp has no generating one.
  const bool embeds = shape->architecture.find("bert") != shape->architecture.npos;
  endpoint.models.push_back({.name = name, .upstream = name, .capability = embeds ? "embeddings" : ""});
  imported.need_place(kHere);
  imported.offer(name, {fmt::format("{}/{}", endpoint.name, name)});
  imported.endpoints.push_back(std::move(endpoint));
  return true;
}

void load_on_demand(Imported& imported, Duration unload_after) {
  if (imported.endpoints.size() < 2) return;
  for (ImportedEndpoint& endpoint : imported.endpoints) {
    endpoint.on_demand = true;
    endpoint.unload_after = unload_after;
  }
}

}  // namespace thalweg::cli
