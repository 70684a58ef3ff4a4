// Messages, both ways: what a request becomes must be JSON that the chat's reader can judge, the same each time; what a
// chat's answer becomes must be JSON too, whole or event by event. The first byte chooses which way the rest goes.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "carry/dialect/messages_answer.h"
#include "carry/dialect/messages_errors.h"
#include "carry/dialect/messages_request.h"
#include "carry/dialect/openai.h"
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
  dialect::MessagesRequest messages;
  const auto bytes = padded(text);
  const std::string_view body(bytes.data(), text.size());
  const auto done = messages.translate(body);
  if (!done) {
    require(done.error().code == ErrorCode::kInvalidRequest && !done.error().message.empty());
    return;
  }
  const std::string chat(messages.chat());
  require(nlohmann::json::accept(chat));
  require(messages.dropped().find_first_of("\r\n\"") == std::string_view::npos);
  dialect::OpenAiRequest parsed;
  const auto judged = parsed.parse(inference::Surface::kOpenAiChat, messages.chat());
  if (judged) require(parsed.request().choices == 1);
  require(messages.translate(body) && messages.chat() == chat);
}

void answer(std::string_view text) {
  dialect::OpenAiAnswer chat;
  inference::Request asked;
  chat.begin(asked, "m", false);
  const auto bytes = padded(text);
  const std::string_view body(bytes.data(), text.size());
  if (const auto read = chat.read_whole(body); !read || read->error) return;
  dialect::MessagesAnswer messages;
  messages.begin("0", "m");
  std::string whole;
  // Lone surrogates of an endpoint pass, and nlohmann-json refuses them: only what it takes is looked at.
  if (messages.write_whole(body, chat.usage(), whole) && nlohmann::json::accept(body)) {
    require(nlohmann::json::accept(whole));
  }
  messages.begin("0", "m");
  std::string events;
  if (!messages.add_chunk(body, events)) return;
  messages.finish(chat.usage(), events);
  std::int64_t open = -1, next = 0;
  bool stopped = false;
  for (std::size_t at = 0; at < events.size();) {
    const std::size_t end = events.find("\n\n", at);
    require(end != std::string::npos && !stopped);
    const std::size_t data = events.find("\ndata: ", at);
    require(data < end);
    const std::string_view event = std::string_view(events).substr(at, data - at);
    if (event == "event: content_block_start") {
      require(open < 0);
      open = next++;
    } else if (event == "event: content_block_stop") {
      require(open >= 0);
      open = -1;
    } else if (event == "event: content_block_delta") {
      require(open >= 0);
    }
    stopped = event == "event: message_stop";
    at = end + 2;
  }
  require(stopped && open < 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2 == 0) {
    request(text);
  } else {
    answer(text);
    require(nlohmann::json::accept(dialect::messages_refusal_body(429, text, "req_1")));
  }
  return 0;
}
