// Answers of OpenAI's Responses API, written from chat completions: chunk by chunk, or whole
// (docs/formats/responses.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/chat_reader.h"
#include "carry/dialect/namespaced_tools.h"
#include "decide/inference/event.h"

namespace thalweg::dialect {

/// One attempt's answer. Reused; begin() starts a new one.
class ResponsesAnswer final : private ChatReader {
 public:
  /// `id` without its prefix: letters and digits. `shown_model` is the name that answers carry, `created` in seconds of
  /// UTC. `echoed` is what ResponsesRequest::echo() gave (kept by view: must outlive the answer); it may be empty.
  /// `namespaced`, kept likewise, may be null: its tools are called by their joined names.
  void begin(std::string_view id, std::string_view shown_model, std::int64_t created, std::string_view echoed,
             const NamespacedTools* namespaced);

  /// One chunk of a chat stream, read before without a fault (http::kPadding readable bytes behind it): appends the
  /// events that it becomes. kUpstreamFailed for what cannot be a response.
  Result<void> add_chunk(std::string_view chunk, std::string& out);
  /// Appends the events that end the response.
  void finish(const inference::Usage& usage, std::string& out);
  /// Appends the event for an error of ours inside a stream. Nothing else of the answer follows.
  void write_error(const Error& error, std::string& out);

  /// A whole chat answer, read before without a fault (padded likewise), as a whole response. kUpstreamFailed likewise.
  Result<void> write_whole(std::string_view answer, const inference::Usage& usage, std::string& out);

  /// The bytes kept of the answer for the events that close it.
  std::size_t held() const { return output_.size() + parts_.size() + text_.size() + logprobs_.size(); }
  /// Gives back the memory that a large answer took.
  void forget();

 private:
  enum class Open : std::uint8_t { kNone, kMessage, kReasoning, kFunction, kCustom };
  enum class Part : std::uint8_t { kNone, kText, kRefusal, kReasoning };
  /// How an item ended.
  enum class Ending : std::uint8_t { kWhole, kCut };
  bool say(const Said& said) override;
  bool begin_call(const ToolCall& call) override;
  bool add_arguments(std::string_view raw) override;

  // Items and their parts; each is told in events where the answer streams.
  void add_text(Part kind, std::string_view raw, std::string_view logprobs);
  void open_item(Open kind);
  void open_part(Part kind);
  void close_part();
  void close_item(Ending ending);
  void write_item(std::string_view status, std::string_view body, std::string& out) const;
  void write_part(std::string_view text, std::string_view logprobs, std::string& out) const;

  // Events and the response.
  void start();
  void begin_event(std::string_view name);
  void begin_item_event(std::string_view name);
  void begin_part_event(std::string_view name);
  void end_event();
  void tell_response(std::string_view name, std::string_view status, const inference::Usage* usage);
  void write_response(std::string_view status, const inference::Usage* usage) const;
  std::string_view final_status() const;

  std::string* out_ = nullptr;
  std::string id_;
  std::string quoted_model_;
  std::string_view echoed_;
  const NamespacedTools* namespaced_ = nullptr;
  std::int64_t created_ = 0;
  bool streams_ = false;
  bool started_ = false;
  std::uint64_t sequence_ = 0;
  std::uint64_t item_ = 0;  // the place of the open item, or of the next one
  std::uint64_t part_ = 0;  // likewise, in its item
  Open open_ = Open::kNone;
  Part open_part_ = Part::kNone;
  std::string call_members_;  // `"call_id":...,"name":...` of the open call
  std::string call_name_;     // raw
  std::string text_;          // of the open part or call, raw
  std::string logprobs_;      // of the open part, between the brackets
  std::string parts_;         // of the open item, closed ones
  std::string output_;        // closed items
};

}  // namespace thalweg::dialect
