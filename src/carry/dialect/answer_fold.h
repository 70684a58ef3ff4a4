// Puts the frames of a streamed answer together as the whole answer that the caller asked for. Strings are joined as
// they were written, escapes and all: a surrogate pair that was split over two frames, or arguments cut inside an
// escape of theirs, come out as they would have whole.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/json/walk.h"
#include "decide/inference/event.h"
#include "decide/inference/request.h"

namespace thalweg::dialect {

class AnswerFold {
 public:
  /// `quoted_model` is the answer's `model`, as JSON.
  void begin(inference::Surface surface, std::string_view quoted_model);

  /// One frame's data: a JSON object, read before without a fault, with http::kPadding readable bytes behind it.
  void add(std::string_view frame);

  /// The whole answer, its usage the one that was sent or, where the choices were reported one by one, `total`.
  /// kUpstreamFailed when no frame had a choice.
  Result<std::string> finish(const inference::Usage& total) const;
  /// Nothing was added.
  bool empty() const { return choices_.empty(); }

 private:
  struct Joined {
    bool seen = false;
    std::string raw;  // between the quotes
  };
  struct Member {
    std::string name;
    std::string value;  // JSON
  };
  using Members = std::vector<Member>;
  struct ToolCall {
    std::string id;           // JSON
    std::string type;         // JSON
    std::string kind;         // the member that holds name and matter: "function" or "custom"
    std::string name;         // JSON
    std::string matter_name;  // "arguments" or "input"
    Joined matter;
    Members others;
  };
  struct Choice {
    std::string role;  // JSON
    Joined content;
    Joined refusal;
    Joined reasoning_content;
    Joined reasoning;
    Joined text;
    std::map<std::int64_t, ToolCall> tool_calls;
    bool has_function_call = false;
    ToolCall function_call;
    Members message_others;
    bool has_logprobs = false;
    std::map<std::string, Joined> logprob_lists;  // the elements of each array, with their commas
    Members logprob_others;
    std::string finish_reason;  // JSON
    Members others;
  };

  bool read_member(const json::Member& member);
  bool read_choice(std::int64_t position);
  std::int64_t index_ahead(std::int64_t position);
  bool read_delta(Choice& choice);
  bool read_delta_member(Choice& choice, const json::Member& member);
  bool read_tool_call(Choice& choice, std::int64_t position);
  bool read_function(ToolCall& call);
  bool read_logprobs(Choice& choice);
  bool join(Joined& joined);
  bool keep_first(std::string& value);
  bool keep_last(std::string& value);
  bool keep_last(Members& members, std::string_view name);
  std::string_view take_value();

  static void write_message(const Choice& choice, std::string& out);
  static void write_tool_call(const ToolCall& call, std::string& out);
  static void write_logprobs(const Choice& choice, std::string& out);

  json::Walk walk_;
  json::Walk ahead_;
  std::string_view frame_;
  inference::Surface surface_ = inference::Surface::kOpenAiChat;
  std::string quoted_model_;
  std::map<std::int64_t, Choice> choices_;
  std::string usage_;
  std::size_t usage_reports_ = 0;
  std::string timings_;
  Members others_;
};

}  // namespace thalweg::dialect
