// Responses, both ways: what a request becomes must be JSON that the chat's reader can judge, the same each time; what
// a chat's answer becomes must be JSON too, whole or event by event, each item opened and closed once. The first byte
// chooses which way the rest goes.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/dialect/responses_answer.h"
#include "carry/dialect/responses_request.h"
#include "carry/http/message.h"

namespace {

using namespace thalweg;

void require(bool law) {
  if (!law) std::abort();
}

std::vector<char> padded(std::string_view text) {
  std::vector<char> bytes(text.begin(), text.end());
  for (std::size_t i = 0; i < http::kPadding; ++i) bytes.push_back("\"}]0"[i % 4]);
  return bytes;
}

void request(std::string_view text) {
  dialect::ResponsesRequest responses;
  const auto bytes = padded(text);
  const std::string_view body(bytes.data(), text.size());
  const auto done = responses.translate(body);
  if (!done) {
    require(done.error().code == ErrorCode::kInvalidRequest && !done.error().message.empty());
    return;
  }
  const std::string chat(responses.chat());
  const std::string echo(responses.echo());
  require(nlohmann::json::accept(chat));
  require(nlohmann::json::accept("{" + echo + "}"));
  require(echo.find_first_of("\r\n") == std::string::npos);
  require(responses.dropped().find_first_of("\r\n\"") == std::string_view::npos);
  dialect::OpenAiRequest parsed;
  const auto judged = parsed.parse(inference::Surface::kOpenAiChat, responses.chat());
  if (judged) require(parsed.request().choices == 1);
  require(responses.translate(body) && responses.chat() == chat && responses.echo() == echo);
}

// Each event is JSON where the chunk was; they count up, and items come one after the other.
void check_events(std::string_view events, bool as_json, std::string& last) {
  std::uint64_t number = 0;
  bool open = false, ended = false;
  for (std::size_t at = 0; at < events.size(); ++number) {
    const std::size_t end = events.find("\n\n", at);
    require(end != std::string_view::npos && !ended);
    const std::size_t data = events.find("\ndata: ", at);
    require(data < end);
    const std::string_view name = events.substr(at + 7, data - at - 7);
    const std::string_view text = events.substr(data + 7, end - data - 7);
    require(text.find_first_of("\r\n") == std::string_view::npos);
    require(text.find("\"sequence_number\":" + std::to_string(number)) != std::string_view::npos);
    if (as_json) require(nlohmann::json::accept(text));
    const bool added = name == "response.output_item.added", done = name == "response.output_item.done";
    if (added || done) {
      require(open == done);
      open = added;
    } else if (name.ends_with(".delta")) {
      require(open);
    }
    ended = name == "response.completed" || name == "response.incomplete";
    if (ended) last = text;
    at = end + 2;
  }
  require(ended && !open);
}

void answer(std::string_view text) {
  dialect::OpenAiAnswer chat;
  inference::Request asked;
  chat.begin(asked, "m", false);
  const auto bytes = padded(text);
  const std::string_view body(bytes.data(), text.size());
  if (const auto read = chat.read_whole(body); !read || read->error) return;
  // Lone surrogates of an endpoint pass, and nlohmann-json refuses them: only what it takes is looked at.
  const bool as_json = nlohmann::json::accept(body);
  dialect::NamespacedTools tools;
  tools.add(R"("crm")", R"("find")");
  dialect::ResponsesAnswer responses;
  responses.begin("0", "m", 1, R"("tools":[])", &tools);
  std::string whole;
  const bool written = responses.write_whole(body, chat.usage(), whole).has_value();
  if (written && as_json) require(nlohmann::json::accept(whole));
  responses.begin("0", "m", 1, R"("tools":[])", &tools);
  std::string events;
  const bool added = responses.add_chunk(body, events).has_value();
  require(added == written);
  if (!added) return;
  responses.finish(chat.usage(), events);
  std::string last;
  check_events(events, as_json, last);
  require(last.find(whole) != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    request(text);
  } else {
    answer(text);
  }
  return 0;
}
