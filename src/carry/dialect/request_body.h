// A caller's request body, read in one walk: judged whole, its features gathered, the places remembered where it may be
// edited.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/json/text.h"
#include "carry/json/walk.h"
#include "decide/inference/request.h"

namespace thalweg::dialect {

/// Choices of one request: `n` times the prompts.
inline constexpr std::uint64_t kMaxChoices = 4096;

/// Documents of one request to rank: what Cohere's API takes (2026-11). A document that is an object costs memory here.
inline constexpr std::uint64_t kMaxDocuments = 10'000;

/// A member's value, where it stands; kNone when it is absent.
struct Value {
  json::Kind kind = json::Kind::kNone;
  json::Span span;
  std::int64_t number = 0;  // for integers
  bool present() const { return kind != json::Kind::kNone; }
};

class RequestBody {
 public:
  /// As OpenAiRequest::parse.
  Result<void> read(inference::Surface surface, std::string_view body);

  const inference::Request& request() const { return request_; }
  std::string_view fault_parameter() const { return fault_parameter_; }

  Value model;
  Value stream;
  Value stream_options;
  bool stream_options_empty = true;  // an object without members
  Value include_usage;
  Value max_tokens;
  Value max_completion_tokens;
  Value n_predict;
  Value store;
  bool sets_prefill = false;         // continue_final_message or add_generation_prompt is there
  bool ends_with_assistant = false;  // the last message is the assistant's, without tool calls
  /// A document that is an object with a text.
  struct Document {
    json::Span object;
    json::Span text;  // with its quotes
  };
  std::vector<Document> documents;
  bool wants_documents = false;   // return_documents
  bool has_more_members = false;  // a document says more than its text
  std::string beyond_engine;      // what only some servers can rank, as a sentence; mostly empty

 private:
  bool read_member(const json::Member& member);
  /// Passes over what is not read; a field that is not known to be plain may ask for anything.
  bool skip_unread(const json::Member& member);
  bool read_model();
  bool read_flag(std::string_view name, Value& value);
  bool read_integer(std::string_view name, Value& value, std::int64_t least);
  bool read_stream_options();
  bool read_messages();
  bool read_message(std::size_t index);
  bool read_role(std::size_t index, bool& assistant);
  bool read_content(std::size_t index);
  bool read_part(std::size_t index, std::size_t part);
  bool read_matter();
  bool read_address(bool named_so);
  bool read_prompt();
  bool read_prompts();
  bool read_token_list();
  bool read_rerank_member(const json::Member& member);
  bool read_query();
  bool read_documents();
  bool read_document(std::uint64_t index);
  bool read_measured_text(std::uint64_t& bytes);
  bool read_tools();
  bool read_functions();
  bool read_response_format();
  bool read_modalities();
  bool read_completion_logprobs();
  bool read_need_by_presence(std::string_view name, inference::Capability need);
  bool count_text();
  void finish_features();

  std::string_view prompt_name() const {
    return surface_ == inference::Surface::kOpenAiEmbeddings ? "input" : "prompt";
  }
  static std::string missing(std::string_view parameter);
  Value open_value();
  bool is_null_or(json::Kind wanted, json::Kind kind) const { return kind == wanted || kind == json::Kind::kNull; }
  bool skip_wrong_type(std::string parameter, std::string_view expected);
  void blame(std::string parameter, std::string message);
  void need(inference::Capability capability) { request_.needs.add(capability); }

  json::Walk walk_;
  inference::Surface surface_ = inference::Surface::kOpenAiChat;
  inference::Request request_;
  std::string model_storage_;
  std::string storage_;
  bool has_messages_ = false;
  bool has_prompt_ = false;  // or `input`
  std::uint64_t prompts_ = 1;
  std::uint64_t largest_piece_ = 0;  // bytes
  bool has_query_ = false;
  bool has_documents_ = false;
  std::uint64_t query_bytes_ = 0;
  std::uint64_t documents_ = 0;
  std::int64_t n_ = 1;
  Value n_value_;
  Value n_cmpl_;
  Value best_of_;
  Value logprobs_;
  Value top_logprobs_;
  std::string fault_parameter_;
  std::string fault_;
};

}  // namespace thalweg::dialect
