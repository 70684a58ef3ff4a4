// Endpoints of Anthropic's API: what a chat completion becomes for them must be JSON, the same each time, and a request
// that Messages' own reader takes; what they answer must pass as it is, or become JSON of a chat completion, whole or
// chunk by chunk. The first byte chooses which way the rest goes.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "carry/dialect/anthropic_answer.h"
#include "carry/dialect/anthropic_request.h"
#include "carry/dialect/caller_errors.h"
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
  const auto bytes = padded(text);
  const std::string_view chat(bytes.data(), text.size());
  dialect::OpenAiRequest judge;
  if (!judge.parse(inference::Surface::kOpenAiChat, chat)) return;
  dialect::AnthropicRequest written;
  written.translate(chat);
  const std::string body = written.body_for("m", 16, {}).joined();
  require(nlohmann::json::accept(body));
  require(written.dropped().find_first_of("\r\n\"") == std::string_view::npos);
  require(written.not_carried().empty() == written.not_carried_parameter().empty());
  if (written.not_carried().empty()) {
    const auto again = padded(body);
    dialect::MessagesRequest messages;
    const auto read = messages.translate({again.data(), body.size()});
    // What the two readers judge differently is left to the endpoint: types inside of what is copied.
    if (read) require(nlohmann::json::accept(messages.chat()));
  }
  written.translate(chat);
  require(written.body_for("m", 16, {}).joined() == body);
}

void answer(std::string_view text, dialect::AnthropicAnswer::Form form) {
  dialect::AnthropicAnswer answer;
  inference::Request asked;
  asked.wants_usage_frame = text.size() % 2 == 0;
  answer.begin(asked, "m", "0", 1, form);
  const auto bytes = padded(text);
  const std::string_view body(bytes.data(), text.size());
  const bool strict = nlohmann::json::accept(body);  // lone surrogates of an endpoint pass
  if (answer.read_whole(body) && strict && answer.whole().size() != 0) {
    require(nlohmann::json::accept(answer.whole().joined()));
  }

  answer.begin(asked, "m", "0", 1, form);
  http::SseReader reader(1 << 20);
  reader.feed(body);
  http::SseFrame frame;
  std::string out;
  for (;;) {
    const auto next = reader.next(frame);
    if (!next || !*next) break;
    const std::size_t before = out.size();
    const bool valid = frame.has_data && nlohmann::json::accept(frame.data);
    const auto read = answer.read_frame(frame, out);
    if (!read) break;
    if (form != dialect::AnthropicAnswer::Form::kChat || !valid) continue;
    require(read->facts.error || read->withheld == (out.size() == before));
    for (std::size_t at = before; at < out.size();) {
      const std::size_t end = out.find("\n\n", at);
      require(end != std::string::npos && out.compare(at, 6, "data: ") == 0);
      const std::string_view data = std::string_view(out).substr(at + 6, end - at - 6);
      require(data == "[DONE]" || nlohmann::json::accept(data));
      at = end + 2;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      request(text);
      break;
    case 1:
      answer(text, dialect::AnthropicAnswer::Form::kMessages);
      break;
    case 2:
      answer(text, dialect::AnthropicAnswer::Form::kChat);
      break;
    default:
      for (const auto surface : {inference::Surface::kOpenAiChat, inference::Surface::kAnthropicMessages}) {
        const std::string body = dialect::refusal_body(surface,
                                                       {.endpoint_kind = fleet::EndpointKind::kAnthropic,
                                                        .endpoint_name = "e",
                                                        .status = 400,
                                                        .body = text,
                                                        .kind = dialect::classify_refusal(400, text)},
                                                       400, "req_1");
        require(nlohmann::json::accept(body));
      }
  }
  return 0;
}
