// Ollama's API, both ways: what a request becomes must be JSON that its reader can judge, the same each time, whatever
// kind of endpoint it is for; what an answer becomes must be lines of JSON, the same as the whole. The first byte
// chooses which way the rest goes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "carry/dialect/ollama_answer.h"
#include "carry/dialect/ollama_models.h"
#include "carry/dialect/ollama_request.h"
#include "carry/dialect/openai.h"
#include "carry/http/message.h"

namespace {

using namespace thalweg;
using inference::Surface;

void require(bool law) {
  if (!law) std::abort();
}

std::vector<char> padded(std::string_view text) {
  std::vector<char> bytes(text.begin(), text.end());
  for (std::size_t i = 0; i < http::kPadding; ++i) bytes.push_back("\"}]0"[i % 4]);
  return bytes;
}

void request(std::string_view text, Surface surface) {
  dialect::OllamaRequest ollama;
  const auto bytes = padded(text);
  const std::string_view body(bytes.data(), text.size());
  const auto done = ollama.translate(body, surface);
  if (!done) {
    require(done.error().code == ErrorCode::kInvalidRequest && !done.error().message.empty());
    return;
  }
  const std::string written(ollama.written());
  require(nlohmann::json::accept(written));
  require(ollama.keep_alive().value_or(Duration::zero()) >= Duration::zero());
  for (std::size_t i = 0; i < fleet::kEndpointKindCount; ++i) {
    const auto kind = static_cast<fleet::EndpointKind>(i);
    require(
        nlohmann::json::accept(written.substr(0, written.size() - 1) + std::string(ollama.members_for(kind)) + "}"));
    require(ollama.dropped(kind).find_first_of("\r\n\"") == std::string::npos);
  }
  dialect::OpenAiRequest parsed;
  const auto judged = parsed.parse(ollama.written_for(), ollama.written());
  if (judged) require(parsed.request().choices == 1 || ollama.written_for() == Surface::kOpenAiEmbeddings);
  require(ollama.translate(body, surface) && ollama.written() == written);
  (void)dialect::read_ollama_show(text);
  (void)dialect::read_go_duration(text);
}

// Each line is JSON where the chunk was, and the last alone is done.
void check_lines(std::string_view lines, bool as_json) {
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = lines.find('\n', at);
    require(end != std::string_view::npos);
    const std::string_view line = lines.substr(at, end - at);
    require(line.find('\r') == std::string_view::npos);
    if (as_json) {
      const auto tree = nlohmann::json::parse(line, nullptr, false);
      require(!tree.is_discarded() && tree["done"] == (end + 1 == lines.size()));
    }
    at = end + 1;
  }
}

void answer(std::string_view text, Surface surface) {
  const bool vectors = inference::need_of(surface) == inference::Capability::kEmbeddings;
  dialect::OpenAiAnswer chat;
  inference::Request asked;
  if (vectors) asked.surface = Surface::kOpenAiEmbeddings;
  chat.begin(asked, "m", false);
  const auto bytes = padded(text);
  const std::string_view body(bytes.data(), text.size());
  if (const auto read = chat.read_whole(body); !read || read->error) return;
  // Lone surrogates of an endpoint pass, and nlohmann-json refuses them: only what it takes is looked at.
  const bool as_json = nlohmann::json::accept(body);
  dialect::OllamaAnswer ollama;
  ollama.begin(surface, "m");
  std::string whole;
  const bool written = ollama.write_whole(body, chat.usage(), whole).has_value();
  if (written && as_json) require(nlohmann::json::accept(whole));
  if (vectors) return;
  ollama.begin(surface, "m");
  std::string lines;
  const bool added = ollama.add_chunk(body, lines).has_value();
  if (!added) return;
  ollama.finish(chat.usage(), lines);
  check_lines(lines, as_json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  static constexpr Surface kSurfaces[] = {Surface::kOllamaChat, Surface::kOllamaGenerate, Surface::kOllamaEmbed,
                                          Surface::kOllamaEmbeddings};
  const Surface surface = kSurfaces[data[0] / 2 % 4];
  if (data[0] % 2 == 0) {
    request(text, surface);
  } else {
    answer(text, surface);
  }
  return 0;
}
