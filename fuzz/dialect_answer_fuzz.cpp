// The answer reader: however a stream is cut it must tell the same facts and bytes; what it passed on must read the
// same again; what it folds must be an answer. The same bytes are also read as a whole answer, a refusal and a list of
// models. The first byte chooses the surface, the number of choices and whether usage was asked for.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/http/message.h"
#include "carry/http/sse.h"

namespace {

using namespace thalweg;

void require(bool law) {
  if (!law) std::abort();
}

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

struct Told {
  std::string facts;  // a letter a frame and fact
  std::string out;
};

Told read_stream(dialect::OpenAiAnswer& answer, std::string_view stream, std::size_t step) {
  Told told;
  http::SseReader reader(16 * 1024);
  while (!stream.empty()) {
    const Padded piece(stream.substr(0, step));
    stream.remove_prefix(piece.view().size());
    reader.feed(piece.view());
    http::SseFrame frame;
    for (;;) {
      const auto next = reader.next(frame);
      if (!next) return told;
      if (!*next) break;
      const auto read = answer.read_frame(frame, told.out);
      if (!read) {
        require(read.error().code == ErrorCode::kUpstreamFailed);
        told.facts += "!";
        return told;
      }
      const inference::FrameFacts& facts = read->facts;
      told.facts += "|";
      for (const bool fact : {facts.text, facts.tool, facts.finish, facts.error, facts.terminator})
        told.facts += fact ? '1' : '0';
      told.facts += facts.usage ? 'u' : '-';
      told.facts += read->withheld ? 'w' : '-';
    }
  }
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 16 * 1024) return 0;
  const unsigned choice = data[0];
  inference::Request request;
  request.surface = (choice & 1U) != 0 ? inference::Surface::kOpenAiCompletions : inference::Surface::kOpenAiChat;
  request.wants_usage_frame = (choice & 2U) != 0;
  request.choices = 1 + (choice >> 2 & 3U);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  dialect::OpenAiAnswer answer;
  const auto begin = [&](bool folds) { answer.begin(request, "shown \"name\"", folds); };
  begin(false);
  const Told told = read_stream(answer, bytes, size);
  for (const std::size_t step : {1 + size / 2, std::size_t{7}, std::size_t{1}}) {
    begin(false);
    const Told cut = read_stream(answer, bytes, step);
    require(cut.facts == told.facts && cut.out == told.out);
  }
  // A blank line's LF behind a line of CR alone is dropped, and a stray blank line behind it then takes its place.
  const bool stray = told.out.find("\r\r\n") != std::string::npos;
  if (request.wants_usage_frame && told.facts.find('w') == std::string::npos && !stray) {
    begin(false);
    const std::string passed = told.out + ":\n\n";  // a comment behind it, since a CR at the end may be half a line end
    const Told again = read_stream(answer, passed, passed.size());
    require(told.facts.ends_with('!') || again.facts == told.facts + "|00000--");
    require(again.out == passed);
  }

  begin(true);
  require(read_stream(answer, bytes, size).out.empty());
  if (const auto folded = answer.fold()) {
    const Padded whole(*folded);
    begin(false);
    require(answer.read_whole(whole.view()).has_value());
    require(answer.whole().joined() == *folded);
  }

  const Padded body(bytes);
  begin(false);
  if (answer.read_whole(body.view())) {
    const std::string passed = answer.whole().joined();
    const Padded again(passed);
    begin(false);
    require(answer.read_whole(again.view()).has_value());
    require(answer.whole().joined() == passed);
  }

  for (const std::uint16_t status : {std::uint16_t{400}, std::uint16_t{403}, std::uint16_t{500}}) {
    const dialect::RefusalKind kind = dialect::classify_refusal(status, bytes);
    require(nlohmann::json::parse(dialect::refusal_body(status, bytes, kind, "e"))["error"].contains("message"));
  }
  static_cast<void>(dialect::read_models(bytes));
  static_cast<void>(dialect::read_engine_props(bytes));
  return 0;
}
