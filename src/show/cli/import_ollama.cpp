// Ollama: a Modelfile, a manifest, or the folder of models with all manifests in it. A manifest is an image manifest as
// registries have them; the layer application/vnd.ollama.image.model is the GGUF file, and lies in blobs/sha256-HEX.
#include "show/cli/import_ollama.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "base/document/section.h"
#include "base/hash.h"
#include "base/text.h"
#include "show/cli/import.h"

namespace thalweg::cli {
namespace {

namespace fs = std::filesystem;
using document::Node;

constexpr std::string_view kLayer = "application/vnd.ollama.image.";
constexpr std::string_view kRegistry = "registry.ollama.ai";
constexpr std::string_view kLibrary = "library";
constexpr std::string_view kLatest = "latest";
constexpr std::uint64_t kMostNumber = 1'000'000'000;  // beyond every range that is checked later
constexpr std::size_t kMostManifests = 256;           // as many endpoints as a fleet may have

/// Takes one parameter, whether of a Modelfile or of a manifest. False: there is nothing like it.
bool take_parameter(LocalModel& model, std::string_view name, std::string_view value) {
  const auto number = document::read_integer(value);
  if (!number || *number > kMostNumber) return false;
  if (name == "num_ctx") {
    model.context = *number;
  } else if (name == "num_thread") {
    model.threads = *number;
  } else if (name == "num_gpu" || name == "num_batch") {
    model.arguments.emplace_back(name == "num_gpu" ? "--n-gpu-layers" : "--batch-size");
    model.arguments.push_back(std::to_string(*number));
  } else {
    return false;
  }
  return true;
}

std::string_view why_not(std::string_view what) {
  if (what == "TEMPLATE" || what == "template") return "the engine uses the chat template inside of the GGUF file";
  if (what == "SYSTEM" || what == "MESSAGE" || what == "system" || what == "messages")
    return "Thalweg adds nothing to requests: applications send it";
  if (what == "ADAPTER" || what == "adapter" || what == "projector")
    return "the engine's sandbox lets it read the model's own file only";
  if (what == "PARAMETER" || what == "params") return "requests say it, or there is no setting like it";
  return "there is nothing like it";
}

/// The folder that holds `manifests` and `blobs`, at or above the path; empty where there is none.
fs::path store_around(const fs::path& path) {
  std::error_code ignored;
  for (fs::path at = fs::absolute(path, ignored).lexically_normal(); at.has_relative_path(); at = at.parent_path()) {
    if (fs::is_directory(at / "blobs", ignored) && fs::is_directory(at / "manifests", ignored)) return at;
  }
  return {};
}

/// Where Ollama keeps its models on this machine.
std::vector<fs::path> usual_stores() {
  std::vector<fs::path> stores;
  if (const char* const named = std::getenv("OLLAMA_MODELS"); named != nullptr && *named != '\0')
    stores.emplace_back(named);
  if (const char* const home = std::getenv("HOME"); home != nullptr && *home != '\0')
    stores.push_back(fs::path(home) / ".ollama" / "models");
  stores.emplace_back("/usr/share/ollama/.ollama/models");
  return stores;
}

/// HOST/NAMESPACE/MODEL/TAG below `manifests` as Ollama shows it: without its own registry's and library's names.
std::string shown_name(const fs::path& below) {
  std::vector<std::string> parts;
  for (const fs::path& part : below) parts.push_back(part.string());
  if (parts.size() < 2) return below.string();
  const std::string tag = parts.back();
  parts.pop_back();
  if (parts.size() > 1 && parts.front() == kRegistry) parts.erase(parts.begin());
  if (parts.size() > 1 && parts.front() == kLibrary) parts.erase(parts.begin());
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : "/") + part;
  return fmt::format("{}:{}", name, tag);
}

/// The manifest's path below `manifests` for a name as `ollama run` takes it.
fs::path manifest_path(std::string_view name) {
  std::string_view tag = kLatest;
  if (const std::size_t colon = name.rfind(':'); colon != name.npos && name.find('/', colon) == name.npos) {
    tag = name.substr(colon + 1);
    name = name.substr(0, colon);
  }
  fs::path path;
  const auto slashes = std::ranges::count(name, '/');
  if (slashes < 2) path /= kRegistry;
  if (slashes < 1) path /= kLibrary;
  return path / name / tag;
}

class Ollama {
 public:
  ImportResult read(const fs::path& file) {
    std::error_code failed;
    if (fs::is_directory(file, failed)) return read_store(file);
    const auto bytes = read_source(file);
    if (!bytes) return failure(bytes.error());
    if (trim(std::string_view(*bytes).substr(0, 64)).starts_with('{')) {
      const fs::path store = store_around(file);
      if (store.empty()) {
        return failure(
            {ErrorCode::kConfig,
             "a manifest is read where it lies: below `manifests` of a models folder, with `blobs` beside it",
             {}});
      }
      if (const auto read = add_manifest(file, store, {}); !read) return std::unexpected(read.error());
    } else if (const auto read = add_modelfile(file, *bytes); !read) {
      return std::unexpected(read.error());
    }
    return std::move(imported_);
  }

 private:
  using Done = std::expected<void, std::vector<Error>>;

  static std::unexpected<std::vector<Error>> failure(Error error) {
    return std::unexpected(std::vector<Error>{std::move(error)});
  }

  ImportResult read_store(const fs::path& folder) {
    std::error_code failed;
    // ~/.ollama is taken for what is meant.
    const fs::path store = fs::is_directory(folder / "models" / "manifests", failed) ? folder / "models" : folder;
    if (!fs::is_directory(store / "manifests", failed))
      return failure(
          {ErrorCode::kIo, "this folder has no `manifests`; the models folder is mostly ~/.ollama/models", {}});
    std::vector<fs::path> manifests;
    for (fs::recursive_directory_iterator at(store / "manifests", failed), end; !failed && at != end;
         at.increment(failed)) {
      if (at->is_regular_file(failed) && !at->path().filename().string().starts_with('.'))
        manifests.push_back(at->path());
    }
    if (failed) return failure({ErrorCode::kIo, fmt::format("the folder cannot be read: {}", failed.message()), {}});
    std::ranges::sort(manifests);
    for (const fs::path& manifest : manifests) {
      if (imported_.endpoints.size() == kMostManifests) {
        imported_.note(NoteKind::kNotCarried, manifest, {},
                       fmt::format("this and what follows: a fleet has {} endpoints", kMostManifests));
        break;
      }
      if (const auto read = add_manifest(manifest, store, {}); !read) {
        for (const Error& error : read.error())
          imported_.note(NoteKind::kNotCarried, manifest, error.position, error.message);
      }
    }
    load_on_demand(imported_, {});
    return std::move(imported_);
  }

  static std::string text_of_digest(const Node& layer) {
    const std::string digest = text_at(layer, "digest");
    constexpr std::string_view kSha = "sha256:";
    if (!digest.starts_with(kSha) || !parse_sha256(std::string_view(digest).substr(kSha.size()))) return {};
    return fmt::format("sha256-{}", digest.substr(kSha.size()));
  }

  /// `settings` are those of a Modelfile that builds on this model; they come after the manifest's own.
  Done add_manifest(const fs::path& manifest, const fs::path& store, std::optional<LocalModel> settings) {
    const auto bytes = read_source(manifest);
    if (!bytes) return failure(bytes.error());
    const auto root = parse_source(*bytes);
    if (!root) return std::unexpected(root.error());
    const Node* const layers = root->find("layers");
    if (layers == nullptr || layers->kind != Node::Kind::kList)
      return failure({ErrorCode::kConfig, "this is no manifest of Ollama's: it has no list of layers", {1, 1}});
    LocalModel model;
    model.name = shown_name(fs::absolute(manifest).lexically_normal().lexically_relative(
        fs::absolute(store).lexically_normal() / "manifests"));
    model.origin = model.name;
    Position position{1, 1};
    for (const Node& layer : layers->items) {
      std::string kind = text_at(layer, "mediaType");
      if (!kind.starts_with(kLayer)) continue;
      kind.erase(0, kLayer.size());
      const std::string blob = text_of_digest(layer);
      if (kind == "model" && !blob.empty()) {
        if (!model.file.empty()) note(manifest, layer.position, fmt::format("{}: a second model layer", model.name));
        if (model.file.empty()) model.file = store / "blobs" / blob;
        position = layer.position;
      } else if (kind == "params" && !blob.empty()) {
        take_parameters(model, store / "blobs" / blob);
      } else if (kind != "license") {
        note(manifest, layer.position, fmt::format("{}: {}: {}", model.name, kind, why_not(kind)));
      }
    }
    if (model.file.empty()) {
      note(manifest, position,
           fmt::format("{}: it has no GGUF file; models of Ollama's cloud and of safetensors have none", model.name));
      return {};
    }
    if (settings) {
      model.name = settings->name;
      model.origin = settings->origin;
      if (settings->context != 0) model.context = settings->context;
      if (settings->threads != 0) model.threads = settings->threads;
      // The later of two equal arguments holds.
      model.arguments.insert(model.arguments.end(), settings->arguments.begin(), settings->arguments.end());
    }
    add(std::move(model), manifest, position);
    return {};
  }

  void take_parameters(LocalModel& model, const fs::path& blob) {
    const auto bytes = read_source(blob);
    const auto tree = bytes ? parse_source(*bytes) : std::unexpected(std::vector<Error>{bytes.error()});
    if (!tree) return note(blob, {}, fmt::format("{}: its parameters: {}", model.name, tree.error().front().message));
    for (const document::Member& member : tree->members) {
      if (!take_parameter(model, member.key, member.value.text))
        note(blob, member.key_position, fmt::format("{}: {}: {}", model.name, member.key, why_not("params")));
    }
  }

  Done add_modelfile(const fs::path& file, std::string_view bytes) {
    const auto lines = read_modelfile(bytes);
    if (!lines) return failure(lines.error());
    LocalModel model;
    const fs::path absolute = fs::absolute(file).lexically_normal();
    const std::string own = absolute.filename().string();
    model.name = own == "Modelfile" ? absolute.parent_path().filename().string() : absolute.stem().string();
    model.origin = own;
    const ModelfileLine* from = nullptr;
    for (const ModelfileLine& line : *lines) {
      const std::size_t blank = std::min(line.argument.find_first_of(" \t"), line.argument.size());
      const std::string word = line.argument.substr(0, blank);
      if (line.instruction == "FROM") {
        if (from != nullptr) note(file, line.position, "a second FROM: an engine reads one model");
        if (from == nullptr) from = &line;
      } else if (line.instruction == "PARAMETER") {
        if (!take_parameter(model, word, trim(std::string_view(line.argument).substr(blank))))
          note(file, line.position, fmt::format("PARAMETER {}: {}", word, why_not("PARAMETER")));
      } else if (line.instruction != "LICENSE") {
        note(file, line.position, fmt::format("{}: {}", line.instruction, why_not(line.instruction)));
      }
    }
    if (from == nullptr)
      return failure({ErrorCode::kConfig, "this is neither a Modelfile (it has no FROM) nor a manifest", {1, 1}});
    std::error_code failed;
    const fs::path path = absolute.parent_path() / from->argument;
    if (fs::is_regular_file(path, failed)) {
      model.file = path;
      add(std::move(model), file, from->position);
      return {};
    }
    for (const fs::path& store : usual_stores()) {
      const fs::path manifest = store / "manifests" / manifest_path(from->argument);
      if (fs::is_regular_file(manifest, failed)) return add_manifest(manifest, store, std::move(model));
    }
    note(file, from->position,
         fmt::format("FROM {}: there is no such GGUF file, and no such model was pulled", from->argument));
    return {};
  }

  void add(LocalModel model, const fs::path& source, Position position) {
    const std::string name = model.name;
    if (!add_local_model(imported_, std::move(model), source, position)) return;
    constexpr std::string_view kEnding = ":latest";
    const ImportedName added = imported_.names.back();
    if (name == added.name && name.ends_with(kEnding))
      imported_.offer(name.substr(0, name.size() - kEnding.size()), added.targets);
  }

  void note(const fs::path& file, Position position, std::string sentence) {
    imported_.note(NoteKind::kNotCarried, file, position, std::move(sentence));
  }

  Imported imported_;
};

}  // namespace

ImportResult import_ollama(const fs::path& file) {
  return Ollama().read(file);
}

}  // namespace thalweg::cli
