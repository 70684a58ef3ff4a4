// Answers, frame by frame or whole: read in one walk for their facts, passed on with `model` spliced and the usage cut
// out that the caller did not ask for.
#include <fmt/format.h>

#include <algorithm>

#include "carry/dialect/answer_fold.h"
#include "carry/dialect/openai.h"
#include "carry/json/splices.h"
#include "carry/json/text.h"
#include "carry/json/walk.h"

namespace thalweg::dialect {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;  // of an endpoint's error sentence

enum class Field : std::uint8_t { kOther, kModel, kChoices, kUsage, kError, kTimings, kData, kResults };

constexpr json::NameTable<Field, 7> kFields{{{{"model", Field::kModel},
                                              {"choices", Field::kChoices},
                                              {"usage", Field::kUsage},
                                              {"error", Field::kError},
                                              {"timings", Field::kTimings},
                                              {"data", Field::kData},
                                              {"results", Field::kResults}}}};

enum class ChoiceField : std::uint8_t { kOther, kIndex, kDelta, kText, kLogprobs, kFinishReason };

constexpr json::NameTable<ChoiceField, 6> kChoiceFields{{{{"index", ChoiceField::kIndex},
                                                          {"delta", ChoiceField::kDelta},
                                                          {"message", ChoiceField::kDelta},
                                                          {"text", ChoiceField::kText},
                                                          {"logprobs", ChoiceField::kLogprobs},
                                                          {"finish_reason", ChoiceField::kFinishReason}}}};

enum class Matter : std::uint8_t { kOther, kText, kTool };

constexpr json::NameTable<Matter, 9> kMatter{{{{"content", Matter::kText},
                                               {"refusal", Matter::kText},
                                               {"reasoning_content", Matter::kText},
                                               {"reasoning", Matter::kText},
                                               {"reasoning_details", Matter::kText},
                                               {"audio", Matter::kText},
                                               {"images", Matter::kText},
                                               {"tool_calls", Matter::kTool},
                                               {"function_call", Matter::kTool}}}};

enum class Count : std::uint8_t { kOther, kInput, kOutput, kCached, kInputDetails, kOutputDetails, kTotal };

constexpr json::NameTable<Count, 6> kCounts{{{{"prompt_tokens", Count::kInput},
                                              {"completion_tokens", Count::kOutput},
                                              {"prompt_cache_hit_tokens", Count::kCached},
                                              {"prompt_tokens_details", Count::kInputDetails},
                                              {"completion_tokens_details", Count::kOutputDetails},
                                              {"total_tokens", Count::kTotal}}}};

}  // namespace

struct OpenAiAnswer::Impl {
  // Of the answer.
  inference::Surface surface = inference::Surface::kOpenAiChat;
  bool wants_usage = false;
  bool folds = false;
  std::string quoted_model;
  std::vector<bool> finished;  // by choice
  std::size_t unfinished = 0;
  inference::Usage usage;
  std::string finish_reason;
  std::uint64_t prefill_tokens = 0;
  Duration prefill_time{};
  std::string error_message;
  AnswerFold fold;
  json::SlicedBody whole;

  // Of the object being read.
  json::Walk walk;
  json::Splices splices;
  std::string storage;
  inference::FrameFacts facts;
  unsigned seen = 0;  // fields that may stand once
  bool has_choices = false;
  bool has_vectors = false;  // embeddings: an array `data`
  bool has_scores = false;   // ranked documents: an array `results`
  std::size_t choice_count = 0;
  std::size_t reasons = 0;
  bool has_usage = false;        // an object
  inference::Usage counted;      // what it says
  bool of_one_choice = false;    // it stands beside llama.cpp's `timings`
  json::Span usage_member;       // empty where there is none
  std::size_t before_usage = 0;  // end of the member before it, 0 when it is the first
  std::size_t behind_usage = 0;  // beginning of the member behind it, 0 when it is the last
  std::size_t last_end = 0;      // of the member read last
  const char* fault = nullptr;   // valid JSON, but not the dialect

  Result<void> read_object(std::string_view text);
  bool read_member(const json::Member& member);
  bool read_choice(std::size_t position);
  bool read_delta();
  bool read_matter(bool& found);
  bool read_usage();
  void add_usage();
  bool read_details(std::string_view name, std::uint64_t& count);
  bool read_count(std::uint64_t& count, bool main);
  bool read_error();
  bool read_timings();
  void finish_choice(std::int64_t index, std::string_view reason);
  void cut_usage();
  bool refuse(const char* why) {
    fault = why;
    return false;
  }
};

OpenAiAnswer::OpenAiAnswer() : impl_(std::make_unique<Impl>()) {}
OpenAiAnswer::~OpenAiAnswer() = default;

void OpenAiAnswer::begin(const inference::Request& request, std::string_view shown_model, bool folds) {
  Impl& impl = *impl_;
  impl.surface = request.surface;
  impl.wants_usage = request.wants_usage_frame;
  impl.folds = folds;
  impl.quoted_model.clear();
  json::append_quoted(impl.quoted_model, shown_model);
  impl.finished.assign(request.choices, false);
  impl.unfinished = request.choices;
  impl.usage = {};
  impl.finish_reason.clear();
  impl.prefill_tokens = 0;
  impl.prefill_time = {};
  impl.error_message.clear();
  if (folds) impl.fold.begin(request.surface, impl.quoted_model);
  impl.whole.clear();
}

void OpenAiAnswer::forget() {
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  if (impl_->folds && !impl_->fold.empty()) impl_->fold = {};
  for (std::string* text : {&impl_->finish_reason, &impl_->error_message, &impl_->storage}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
}

Result<ReadFrame> OpenAiAnswer::read_frame(const http::SseFrame& frame, std::string& out) {
  Impl& impl = *impl_;
  ReadFrame read;
  if (!frame.has_data) {
    if (!impl.folds) out += frame.raw;
    return read;
  }
  const std::string_view data = json::without_space(frame.data);
  // Clients fail on both. llama-server v0.5.0 begins the stream of a completion of several prompts with `null`.
  if (data.empty() || data == "null") {
    read.withheld = true;
    return read;
  }
  if (data == "[DONE]") {
    read.facts.terminator = true;
    if (!impl.folds) out += frame.raw;
    return read;
  }

  const bool error_event = frame.event == "error";
  auto object = impl.read_object(frame.data);
  if (!object) {
    if (!error_event) return std::unexpected(std::move(object.error()));
    impl.error_message = json::cut_at(data, kMaxMessageBytes);
    impl.facts = {};
    impl.splices.clear();
    impl.has_usage = false;
  }
  read.facts = impl.facts;
  if (error_event) read.facts.error = true;
  if (impl.folds) {
    if (!read.facts.error) impl.fold.add(frame.data);
    return read;
  }
  if (!impl.wants_usage && !read.facts.error) {
    read.withheld = impl.has_usage && impl.choice_count == 0;
    if (read.withheld) return read;
    impl.cut_usage();
  }
  append_frame(frame, impl.splices, out);
  return read;
}

Result<inference::FrameFacts> OpenAiAnswer::read_whole(std::string_view body) {
  Impl& impl = *impl_;
  impl.whole.clear();
  if (auto object = impl.read_object(body); !object) return std::unexpected(std::move(object.error()));
  const bool vectors = impl.surface == inference::Surface::kOpenAiEmbeddings;
  const bool scores = impl.surface == inference::Surface::kRerank;
  const bool has_answer = vectors ? impl.has_vectors : scores ? impl.has_scores : impl.has_choices;
  if (!has_answer && !impl.facts.error) {
    return fail(ErrorCode::kUpstreamFailed,
                fmt::format("the endpoint's answer has neither `{}` nor `error`", vectors  ? "data"
                                                                                  : scores ? "results"
                                                                                           : "choices"));
  }
  const bool written = impl.choice_count > 0 && impl.reasons == impl.choice_count;
  impl.facts.finish = vectors || scores ? has_answer : written;
  impl.splices.cut(body, impl.whole);
  return impl.facts;
}

const json::SlicedBody& OpenAiAnswer::whole() const {
  return impl_->whole;
}

Result<std::string> OpenAiAnswer::fold() {
  return impl_->fold.finish(impl_->usage);
}

const inference::Usage& OpenAiAnswer::usage() const {
  return impl_->usage;
}
std::string_view OpenAiAnswer::finish_reason() const {
  return impl_->finish_reason;
}
std::uint64_t OpenAiAnswer::prefill_tokens() const {
  return impl_->prefill_tokens;
}
Duration OpenAiAnswer::prefill_time() const {
  return impl_->prefill_time;
}
std::string_view OpenAiAnswer::error_message() const {
  return impl_->error_message;
}

Result<void> OpenAiAnswer::Impl::read_object(std::string_view text) {
  splices.clear();
  facts = {};
  seen = 0;
  has_choices = has_vectors = has_scores = has_usage = of_one_choice = false;
  counted = {};
  usage_member = {};
  before_usage = behind_usage = 0;
  choice_count = reasons = 0;
  last_end = 0;
  fault = nullptr;
  const auto malformed = [&](std::string_view why) {
    return fail(ErrorCode::kUpstreamFailed, fmt::format("the endpoint's answer is not valid: {}", why));
  };
  if (!walk.start(text, json::Walk::Rules::kEndpoint)) return malformed(walk.fault());
  if (const json::Kind kind = walk.next(); kind != json::Kind::kObject) {
    return malformed(kind == json::Kind::kNone ? "no JSON object" : "JSON, but no object");
  }
  if (!walk.object([this](const json::Member& member) { return read_member(member); }) || !walk.end()) {
    return malformed(fault != nullptr ? std::string(fault) : walk.fault());
  }
  if (counted.reported) add_usage();
  return {};
}

// The last word counts, but for llama-server: it reports each choice of a stream on its own when that choice ends
// (v0.5.0), so its reports are added up. The choices of a chat share their prompt.
void OpenAiAnswer::Impl::add_usage() {
  facts.usage = true;
  if (!of_one_choice || !usage.reported) {
    usage = counted;
    return;
  }
  usage.output_tokens += counted.output_tokens;
  usage.reasoning_tokens += counted.reasoning_tokens;
  if (surface == inference::Surface::kOpenAiChat) {
    usage.input_tokens = std::max(usage.input_tokens, counted.input_tokens);
    usage.cached_input_tokens = std::max(usage.cached_input_tokens, counted.cached_input_tokens);
  } else {
    usage.input_tokens += counted.input_tokens;
    usage.cached_input_tokens += counted.cached_input_tokens;
  }
}

bool OpenAiAnswer::Impl::read_member(const json::Member& member) {
  const Field field = kFields.find(member.name, Field::kOther);
  if (!usage_member.empty() && behind_usage == 0) behind_usage = member.begin;
  if (field != Field::kOther) {
    const unsigned bit = 1U << static_cast<unsigned>(field);
    if ((seen & bit) != 0) return refuse("a field that tells the answer's meaning stands in it twice");
    seen |= bit;
  }
  const json::Kind kind = walk.next();
  bool read = false;
  switch (field) {
    case Field::kModel: {
      const std::size_t begin = walk.offset();
      read = walk.skip();
      splices.replace({begin, walk.offset()}) += quoted_model;
      break;
    }
    case Field::kChoices:
      if (kind == json::Kind::kNull) {
        read = walk.skip();
      } else if (kind == json::Kind::kArray) {
        has_choices = true;
        read = walk.array([this] { return read_choice(choice_count++); });
      } else {
        return refuse("`choices` is no array");
      }
      break;
    case Field::kUsage:
      read = kind == json::Kind::kObject ? read_usage() : walk.skip();
      usage_member = {.begin = member.begin, .end = walk.offset()};
      before_usage = last_end;
      break;
    case Field::kError:
      read = read_error();
      break;
    case Field::kData:
      has_vectors = kind == json::Kind::kArray;
      read = walk.skip();
      break;
    case Field::kResults:
      has_scores = kind == json::Kind::kArray;
      read = walk.skip();
      break;
    case Field::kTimings:
      read = kind == json::Kind::kObject ? read_timings() : walk.skip();
      break;
    case Field::kOther:
      read = walk.skip();
      break;
  }
  last_end = walk.offset();
  return read;
}

bool OpenAiAnswer::Impl::read_choice(std::size_t position) {
  if (walk.next() != json::Kind::kObject) return refuse("a choice that is no object");
  auto index = static_cast<std::int64_t>(position);
  std::string_view reason;
  const bool read = walk.object([&](const json::Member& member) {
    const ChoiceField field = kChoiceFields.find(member.name, ChoiceField::kOther);
    const json::Kind kind = walk.next();
    switch (field) {
      case ChoiceField::kIndex: {
        if (kind != json::Kind::kNumber) return walk.skip();
        std::string_view raw;
        if (!walk.number(raw)) return false;
        index = json::integer_of(raw).value_or(index);
        return true;
      }
      case ChoiceField::kDelta:
        return kind == json::Kind::kObject ? read_delta() : walk.skip();
      case ChoiceField::kText:
        return read_matter(facts.text);
      case ChoiceField::kLogprobs:
        if (kind != json::Kind::kNull) facts.text = true;
        return walk.skip();
      case ChoiceField::kFinishReason: {
        if (kind != json::Kind::kString) return walk.skip();
        json::Text text;
        if (!walk.string(text)) return false;
        reason = json::meaning(text, storage);
        return true;
      }
      case ChoiceField::kOther:
        break;
    }
    return walk.skip();
  });
  if (read && !reason.empty()) finish_choice(index, reason);
  return read;
}

void OpenAiAnswer::Impl::finish_choice(std::int64_t index, std::string_view reason) {
  ++reasons;
  if (reason == "error") {  // OpenRouter's way to end a stream that broke
    facts.error = true;
    return;
  }
  if (index == 0 && finish_reason.empty()) finish_reason = reason;
  if (index < 0 || static_cast<std::size_t>(index) >= finished.size()) return;
  if (finished[static_cast<std::size_t>(index)]) return;
  finished[static_cast<std::size_t>(index)] = true;
  if (--unfinished == 0) facts.finish = true;
}

bool OpenAiAnswer::Impl::read_delta() {
  return walk.object([this](const json::Member& member) {
    switch (kMatter.find(member.name, Matter::kOther)) {
      case Matter::kText:
        return read_matter(facts.text);
      case Matter::kTool:
        return read_matter(facts.tool);
      case Matter::kOther:
        break;
    }
    return walk.skip();
  });
}

// Sets `found` for a value that says something: neither null nor false, no empty string and no empty array.
bool OpenAiAnswer::Impl::read_matter(bool& found) {
  switch (walk.next()) {
    case json::Kind::kString: {
      json::Text text;
      if (!walk.string(text)) return false;
      if (!text.raw.empty()) found = true;
      return true;
    }
    case json::Kind::kArray:
      return walk.array([&] {
        found = true;
        return walk.skip();
      });
    case json::Kind::kNull:
    case json::Kind::kFalse:
      return walk.skip();
    default:
      found = true;
      return walk.skip();
  }
}

bool OpenAiAnswer::Impl::read_usage() {
  has_usage = true;
  constexpr std::uint64_t kUnsaid = ~std::uint64_t{0};
  std::uint64_t total = kUnsaid;
  const bool read = walk.object([&](const json::Member& member) {
    switch (kCounts.find(member.name, Count::kOther)) {
      case Count::kInput:
        return read_count(counted.input_tokens, true);
      case Count::kOutput:
        return read_count(counted.output_tokens, true);
      case Count::kCached:
        return read_count(counted.cached_input_tokens, false);
      case Count::kInputDetails:
        return read_details("cached_tokens", counted.cached_input_tokens);
      case Count::kOutputDetails:
        return read_details("reasoning_tokens", counted.reasoning_tokens);
      case Count::kTotal:
        return read_count(total, false);
      case Count::kOther:
        break;
    }
    return walk.skip();
  });
  // Jina and vLLM say the total alone; nothing is generated, so all of it is input.
  if (surface == inference::Surface::kRerank && !counted.reported && total != kUnsaid) {
    counted.reported = true;
    counted.input_tokens = total;
  }
  return read;
}

bool OpenAiAnswer::Impl::read_details(std::string_view name, std::uint64_t& count) {
  if (walk.next() != json::Kind::kObject) return walk.skip();
  return walk.object(
      [&](const json::Member& member) { return member.name == name ? read_count(count, false) : walk.skip(); });
}

// `main`: a count that makes a report of the object.
bool OpenAiAnswer::Impl::read_count(std::uint64_t& count, bool main) {
  if (walk.next() != json::Kind::kNumber) return walk.skip();
  std::string_view raw;
  if (!walk.number(raw)) return false;
  const auto integer = json::integer_of(raw);
  if (!integer || *integer < 0) return true;
  count = static_cast<std::uint64_t>(*integer);
  if (main) counted.reported = true;
  return true;
}

bool OpenAiAnswer::Impl::read_error() {
  const auto keep = [this](std::string_view sentence) {
    facts.error = true;
    error_message = json::cut_at(sentence, kMaxMessageBytes);
  };
  switch (walk.next()) {
    case json::Kind::kString: {
      json::Text text;
      if (!walk.string(text)) return false;
      if (!text.raw.empty()) keep(json::meaning(text, storage));
      return true;
    }
    case json::Kind::kObject:
      keep("");
      return walk.object([&](const json::Member& member) {
        if (member.name != "message" || walk.next() != json::Kind::kString) return walk.skip();
        json::Text text;
        if (!walk.string(text)) return false;
        keep(json::meaning(text, storage));
        return true;
      });
    case json::Kind::kNull:
    case json::Kind::kFalse:
      return walk.skip();
    default:
      keep("");
      return walk.skip();
  }
}

bool OpenAiAnswer::Impl::read_timings() {
  return walk.object([this](const json::Member& member) {
    if (member.name == "predicted_n") of_one_choice = true;
    const bool tokens = member.name == "prompt_n";
    const bool millis = member.name == "prompt_ms";
    if ((!tokens && !millis) || walk.next() != json::Kind::kNumber) return walk.skip();
    std::string_view raw;
    if (!walk.number(raw)) return false;
    constexpr double kLongest = 1e9;  // 1e9 ms, eleven days: what is above is a lie or a mistake
    const double value = json::double_of(raw);
    if (!(value >= 0 && value <= kLongest)) return true;
    if (tokens) prefill_tokens = static_cast<std::uint64_t>(value);
    if (millis) prefill_time = Duration(static_cast<std::int64_t>(value * 1e6));
    return true;
  });
}

void OpenAiAnswer::Impl::cut_usage() {
  if (usage_member.empty()) return;
  if (behind_usage != 0) {
    splices.remove({usage_member.begin, behind_usage});
  } else if (before_usage != 0) {
    splices.remove({before_usage, usage_member.end});
  } else {
    splices.remove(usage_member);
  }
}

}  // namespace thalweg::dialect
