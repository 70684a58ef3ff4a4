// LM Studio: its folder of models, and of its settings what has been the same since 0.3. Its makers call these files no
// stable interface, so whatever is not as expected is left out with a note.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/document/section.h"
#include "base/text.h"
#include "carry/config/address.h"
#include "show/cli/import.h"

namespace thalweg::cli {
namespace {

namespace fs = std::filesystem;
using document::Member;
using document::Node;

constexpr std::uint64_t kMostNumber = 1'000'000'000;  // beyond every range that is checked later
constexpr std::size_t kMostModels = 256;              // as many endpoints as a fleet may have
constexpr std::string_view kEnding = ".gguf";
constexpr std::uint64_t kMostTtl = 365ULL * 24 * 3600;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

/// NAME-00002-of-00003.gguf and so on, which llama-server finds beside the first.
bool is_later_part(std::string_view stem) {
  const std::size_t of = stem.rfind("-of-");
  return of != stem.npos && of >= 6 && stem[of - 6] == '-' && stem.substr(of - 5, 5) != "00001";
}

class LmStudio {
 public:
  ImportResult read(const fs::path& given) {
    std::error_code failed;
    if (!fs::exists(given, failed)) return failure("there is no such folder");
    fs::path models;
    if (fs::is_directory(given, failed)) {
      home_ = given;
    } else if (given.filename() == "settings.json") {
      home_ = fs::absolute(given).parent_path();
    } else if (given.filename() == "http-server-config.json") {
      home_ = fs::absolute(given).parent_path().parent_path();
    } else {
      return failure("this is no folder of LM Studio, and not its settings.json or http-server-config.json");
    }
    const bool is_home = fs::is_directory(home_ / ".internal", failed) || fs::is_directory(home_ / "models", failed) ||
                         fs::is_regular_file(home_ / "settings.json", failed);
    if (!is_home) {
      models = home_;
      home_.clear();
    } else {
      read_settings();
      read_server();
      models = downloads_.empty() ? home_ / "models" : downloads_;
    }
    if (const auto found = add_models(models); !found) return std::unexpected(found.error());
    load_on_demand(imported_, unload_after_);
    return std::move(imported_);
  }

 private:
  static std::unexpected<std::vector<Error>> failure(std::string sentence) {
    return std::unexpected(std::vector<Error>{{ErrorCode::kIo, std::move(sentence), {}}});
  }

  void note(NoteKind kind, const fs::path& file, Position position, std::string sentence) {
    imported_.note(kind, file, position, std::move(sentence));
  }

  /// The file's tree; of one that is not there or no JSON, with a note, an empty one.
  Node tree_of(const fs::path& file) {
    std::error_code failed;
    if (!fs::exists(file, failed)) return {};
    const auto bytes = read_source(file);
    auto tree = bytes ? parse_source(*bytes) : std::unexpected(std::vector<Error>{bytes.error()});
    if (tree) return std::move(*tree);
    note(NoteKind::kNotCarried, file, tree.error().front().position, tree.error().front().message);
    return {};
  }

  void read_settings() {
    const fs::path file = home_ / "settings.json";
    const Node root = tree_of(file);
    downloads_ = text_at(root, "downloadsFolder");
    context_ = number_at(root, "defaultContextLength", kMostNumber);
    // Newer ones say {"type": "custom", "value": N}.
    if (const Node* const context = root.find("defaultContextLength"); context != nullptr && context_ == 0)
      context_ = number_at(*context, "value", kMostNumber);
    const Node* const developer = root.find("developer");
    const Node* const ttl = developer == nullptr ? nullptr : developer->find("jitModelTTL");
    if (ttl == nullptr) return;
    if (text_at(*ttl, "enabled") == "true")
      unload_after_ = std::chrono::seconds(number_at(*ttl, "ttlSeconds", kMostTtl));
    else
      note(NoteKind::kChanged, file, ttl->position,
           "jitModelTTL is off: here a model that nobody asks is unloaded after 5m");
  }

  void read_server() {
    const fs::path file = home_ / ".internal" / "http-server-config.json";
    const Node root = tree_of(file);
    if (const std::uint64_t port = number_at(root, "port", 65'535); port != 0)
      imported_.listen = fmt::format("127.0.0.1:{}", port);
    for (const Member& member : root.members) {
      if (member.key == "networkInterface" && !config::is_loopback(member.value.text)) {
        note(NoteKind::kToDo, file, member.key_position,
             fmt::format(
                 "networkInterface is {}: Thalweg listens beyond loopback only with `keys` and `tls`; it listens on "
                 "{} here",
                 member.value.text, imported_.listen.empty() ? "loopback" : imported_.listen));
      } else if (member.key == "cors" && member.value.text == "true") {
        note(NoteKind::kToDo, file, member.key_position,
             "cors: list the web origins under `allow_origins`, one by one");
      }
    }
  }

  std::expected<void, std::vector<Error>> add_models(const fs::path& models) {
    std::error_code failed;
    std::vector<fs::path> files;
    constexpr auto kFollow = fs::directory_options::follow_directory_symlink;  // models on another disk
    fs::recursive_directory_iterator at(models, kFollow, failed);
    if (failed) return failure(fmt::format("{}: {}", models.string(), failed.message()));
    for (const fs::recursive_directory_iterator end; !failed && at != end; at.increment(failed)) {
      const std::string name = lower(at->path().filename().string());
      if (at.depth() > kDepth) at.disable_recursion_pending();
      if (!name.ends_with(kEnding) || !at->is_regular_file(failed)) continue;
      if (name.find("mmproj") != name.npos) {
        note(NoteKind::kNotCarried, at->path(), {},
             "a projector of images: the engine's sandbox lets it read the model's own file only");
      } else if (!is_later_part(at->path().stem().string())) {
        files.push_back(at->path());
      }
    }
    std::ranges::sort(files);
    std::map<fs::path, std::size_t> in_folder;
    for (const fs::path& file : files) ++in_folder[file.parent_path()];
    for (const fs::path& file : files) {
      if (imported_.endpoints.size() == kMostModels) {
        note(NoteKind::kNotCarried, file, {},
             fmt::format("this and what follows: a fleet has {} endpoints", kMostModels));
        break;
      }
      add_model(file, models, in_folder[file.parent_path()] == 1);
    }
    return {};
  }

  void add_model(const fs::path& file, const fs::path& models, bool alone) {
    LocalModel model;
    model.name = file.stem().string();
    model.file = file;
    const fs::path below = file.lexically_relative(models);
    model.origin = below.parent_path().string();
    model.context = context_;
    read_defaults(model, below);
    if (!add_local_model(imported_, std::move(model), file, {})) return;
    if (!alone || !below.has_parent_path()) return;
    std::string repository = lower(below.parent_path().filename().string());
    constexpr std::string_view kGguf = "-gguf";
    if (repository.ends_with(kGguf)) repository.resize(repository.size() - kGguf.size());
    const bool taken = std::ranges::find(imported_.names, repository, &ImportedName::name) != imported_.names.end();
    const std::vector<std::string> targets = imported_.names.back().targets;
    if (!taken && repository == as_model_name(repository) && repository != "auto") imported_.offer(repository, targets);
  }

  // {"load": {"fields": [{"key": "llm.load.contextLength", "value": 8192}, ...]}, "operation": ...}
  void read_defaults(LocalModel& model, const fs::path& below) {
    if (home_.empty()) return;
    const fs::path file = home_ / ".internal" / "user-concrete-model-default-config" / (below.string() + ".json");
    const Node root = tree_of(file);
    for (const char* const part : {"load", "operation"}) {
      const Node* const section = root.find(part);
      const Node* const fields = section == nullptr ? nullptr : section->find("fields");
      if (fields == nullptr) continue;
      for (const Node& field : fields->items) {
        const std::string key = text_at(field, "key");
        const std::uint64_t number = number_at(field, "value", kMostNumber);
        if (key == "llm.load.contextLength" && number != 0) {
          model.context = number;
        } else if (key == "llm.load.numParallelSessions" && number != 0) {
          model.slots = number;
        } else if (key == "llm.load.llama.cpuThreadPoolSize" && number != 0) {
          model.threads = number;
        } else {
          note(NoteKind::kNotCarried, file, field.position, fmt::format("{}: {}", model.name, key));
        }
      }
    }
  }

  static constexpr int kDepth = 4;  // PUBLISHER/REPOSITORY/FILE, and one folder more

  Imported imported_;
  fs::path home_;       // empty: a folder of models was given
  fs::path downloads_;  // empty: the usual one
  std::uint64_t context_ = 0;
  Duration unload_after_{};
};

}  // namespace

ImportResult import_lmstudio(const fs::path& file) {
  return LmStudio().read(file);
}

}  // namespace thalweg::cli
