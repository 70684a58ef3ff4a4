// The request parser beside an independent reader: both must take the same texts but for our own stricter rules, and a
// body that is forwarded must say what the caller's said, but for the closed list of edits. The first byte chooses
// surface, endpoint and obligations; the rest is the body.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/http/message.h"
#include "carry/json/walk.h"

namespace {

using namespace thalweg;
using Json = nlohmann::json;

void require(bool law) {
  if (!law) std::abort();
}

struct Oracle : nlohmann::json_sax<Json> {
  bool duplicate = false;
  bool unsure = false;  // a number beyond a double's range, which nlohmann refuses
  std::size_t depth = 0;
  std::size_t deepest = 0;
  std::vector<std::set<std::string>> names;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    deepest = std::max(deepest, ++depth);
    names.emplace_back();
    return true;
  }
  bool key(string_t& name) override {
    duplicate = duplicate || !names.back().insert(name).second;
    return true;
  }
  bool end_object() override {
    --depth;
    names.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    deepest = std::max(deepest, ++depth);
    return true;
  }
  bool end_array() override {
    --depth;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    unsure = error.id == 406;
    return false;
  }
};

class Padded {
 public:
  explicit Padded(std::string_view text) : size_(text.size()), bytes_(text.begin(), text.end()) {
    for (std::size_t i = 0; i < http::kPadding; ++i) bytes_.push_back("\"}]0"[i % 4]);
  }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::size_t size_;
  std::vector<char> bytes_;
};

// Without the members that the list of edits names.
Json unedited_part(Json tree) {
  for (const char* name : {"model", "stream", "max_tokens", "max_completion_tokens", "n_predict", "store",
                           "continue_final_message", "add_generation_prompt"}) {
    tree.erase(name);
  }
  if (tree.contains("stream_options")) {
    if (tree["stream_options"].is_object()) tree["stream_options"].erase("include_usage");
    if (tree["stream_options"].empty()) tree.erase("stream_options");
  }
  return tree;
}

// As the engine is told the documents that it ranks.
Json with_texts(Json tree) {
  if (!tree.contains("documents")) return tree;
  for (Json& document : tree["documents"]) {
    if (document.is_object() && document.contains("text")) document = Json(document["text"]);
  }
  return tree;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 16 * 1024) return 0;
  const unsigned choice = data[0];
  const auto surface = (choice & 64U) != 0  ? inference::Surface::kRerank
                       : (choice & 1U) != 0 ? inference::Surface::kOpenAiCompletions
                                            : inference::Surface::kOpenAiChat;
  const bool ranks = surface == inference::Surface::kRerank;
  const auto kind = (choice & 2U) != 0 ? fleet::EndpointKind::kEngine : fleet::EndpointKind::kOpenAi;
  const placement::Obligations obligations{.output_cap = (choice & 4U) != 0 ? 100U : 0U,
                                           .no_storage = (choice & 8U) != 0};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);

  const Padded padded(text);
  dialect::OpenAiRequest request;
  const auto read = request.parse(surface, padded.view());
  Oracle oracle;
  const bool valid = Json::sax_parse(text, &oracle) && !text.starts_with("\xEF\xBB\xBF");
  if (text.find('\0') != std::string_view::npos) oracle.unsure = true;  // nlohmann takes it for the end
  const bool acceptable = valid && !oracle.duplicate && oracle.deepest <= json::kMaxDepth;
  if (!read) {
    require(read.error().code == ErrorCode::kInvalidRequest);
    const bool malformed = read.error().message.find("is not valid JSON") != std::string::npos || text.empty();
    require(oracle.unsure || malformed == !acceptable);
    return 0;
  }
  require(oracle.unsure || acceptable);
  const inference::Request& features = request.request();
  require(!features.model.empty() && features.choices >= 1);
  require(features.prompt_bytes <= (ranks ? text.size() : 4) * text.size());  // the query counts with each document
  require(features.largest_piece_tokens <= features.estimated_input_tokens);
  if (kind == fleet::EndpointKind::kEngine && !request.beyond_engine().empty()) return 0;

  const std::string edited = request.body_for(kind, "up", obligations).joined();
  require(edited.size() == request.body_for(kind, "up", obligations).size());
  if (!oracle.unsure) {
    Json before = Json::parse(text);
    if (ranks && kind == fleet::EndpointKind::kEngine) before = with_texts(before);
    const Json after = Json::parse(edited);
    require(unedited_part(before) == unedited_part(after));
    require(after["model"] == "up");
    if (kind == fleet::EndpointKind::kEngine && !ranks) require(after["stream"] == true);
    if (!ranks && after.contains("stream") && after["stream"] == true)
      require(after["stream_options"]["include_usage"] == true);
    if (obligations.no_storage && !ranks) require(after["store"] == false);
    if (obligations.output_cap != 0 && !ranks) {
      bool bound = false;
      for (const char* name : {"max_tokens", "max_completion_tokens"})
        bound = bound || (after.contains(name) && after[name].is_number());
      require(bound);
    }
  }
  // What was edited is a body itself, says the same, and has nothing left to edit.
  const Padded again(edited);
  dialect::OpenAiRequest second;
  require(second.parse(surface, again.view()).has_value());
  require(second.request().prompt_bytes == features.prompt_bytes);
  require(second.request().choices == features.choices);
  require(second.body_for(kind, "up", obligations).joined() == edited);
  return 0;
}
