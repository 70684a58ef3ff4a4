// Requests of Ollama's API: judged, and written as the chat completion, completion or request for embeddings that asks
// for the same, from which their features are read (docs/formats/ollama.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "carry/dialect/translation.h"
#include "carry/json/walk.h"
#include "decide/fleet/fleet.h"
#include "decide/inference/request.h"

namespace thalweg::dialect {

/// Longer than any duration that can be written: a model that is never unloaded.
inline constexpr Duration kForEver = Duration::max();

/// Reused from request to request (buffers stay).
class OllamaRequest : public Translation {
 public:
  /// What a request without anything to answer asks for.
  enum class Load : std::uint8_t { kNo, kLoad, kUnload };

  OllamaRequest() : Translation("chat completions") {}

  /// Reads `body` (http::kPadding readable bytes behind it), judged whole as OpenAiRequest::parse judges. `surface` is
  /// one of Ollama's. kInvalidRequest with the parameter for wrong types; what both dialects call by one name (`model`,
  /// `stream`) is left to the reader of what is written.
  Result<void> translate(std::string_view body, inference::Surface surface);

  /// What was written, http::kPadding readable bytes behind it; until the next call. That of a request to load holds a
  /// prompt without text: good for its features, not for sending.
  std::string_view written() const { return Translation::written(); }
  /// The surface as the request has it (kOllamaRaw for some of kOllamaGenerate), and that of what was written.
  inference::Surface surface() const { return surface_; }
  inference::Surface written_for() const;
  Load load() const { return load_; }
  /// How long the model is to stay loaded after this request, where the caller says it. Nobody can honour it yet:
  /// engines that are loaded on demand will read it here.
  std::optional<Duration> keep_alive() const { return keep_alive_; }

  /// Members of the written object that only endpoints of that kind know, ",\"top_k\":5"; mostly none.
  std::string_view members_for(fleet::EndpointKind kind) const { return members_[static_cast<std::size_t>(kind)]; }
  /// The hints that an endpoint of that kind is not told, "keep_alive, options.num_ctx"; may be empty.
  std::string dropped(fleet::EndpointKind kind) const;
  /// What the engine's server cannot be told and others can, as a sentence; mostly empty.
  std::string_view beyond_engine() const { return beyond_engine_; }
  /// Gives back the memory that a large request took.
  void forget();

 private:
  struct Fields {
    Found model, stream, messages, prompt, input, system, images, tools, format, think, options, keep_alive, logprobs;
    Found top_logprobs, raw, suffix, template_text, context, truncate, shift, dimensions;
  };
  /// A tool call of the assistant that has no result yet.
  struct OpenCall {
    std::string id;  // raw, with quotes
    std::string name;
  };

  // The prompt.
  void write_chat(const Found& messages);
  void write_generate(const Fields& fields);
  void write_completion(const Fields& fields);
  void write_message(std::string_view message, std::size_t index);
  void write_user(const Found& content, const Found& images, const std::string& path);
  void write_images(const Found& images, const std::string& path);
  void write_tool_calls(const Found& calls, std::size_t message, const std::string& path);
  void write_tool_call(std::string_view call, const std::string& place, const std::string& path);
  void write_tool_result(const Found& content, const Found& name, const Found& id, const std::string& path);
  void write_input(const Found& input, std::string_view name);
  bool is_text(const Found& value, const std::string& parameter);

  // The rest.
  void judge_load(const Fields& fields);
  void judge_unsaid(const Fields& fields);
  void read_keep_alive(const Found& value);
  void write_stream(const Found& stream);
  void write_logprobs(const Fields& fields);
  void write_format(const Found& format);
  void write_think(const Found& think);
  void write_tools(const Found& tools);
  void write_tool(const Found& tool, const std::string& path);
  void write_options(const Found& options);
  void write_option(std::string_view name, const Found& value);
  bool is_flag(const Found& value, const std::string& parameter);

  bool embeds() const { return inference::need_of(surface_) == inference::Capability::kEmbeddings; }
  bool empty(const Found& value) const;
  void add_for(fleet::EndpointKind kind, std::string_view name, std::string_view raw);
  /// A hint that only the kinds named here are told.
  void drop_but_for(std::string_view hint, fleet::EndpointKinds kinds);

  json::Walk walk_;
  inference::Surface surface_ = inference::Surface::kOllamaChat;
  Load load_ = Load::kNo;
  std::optional<Duration> keep_alive_;
  std::string_view beyond_engine_;
  std::array<std::string, fleet::kEndpointKindCount> members_;
  std::array<std::string, fleet::kEndpointKindCount> dropped_there_;
  std::vector<OpenCall> open_calls_;
};

/// A duration as Go's time.ParseDuration reads it ("1h30m", "-1.5s", "0"), cut at the ends of the type; nothing for
/// what it refuses.
std::optional<Duration> read_go_duration(std::string_view text);

}  // namespace thalweg::dialect
