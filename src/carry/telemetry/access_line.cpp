// One access line as JSON, formatted by hand: it is on every request's way, and a general formatter costs several times
// more. Texts come from callers and files, so each is cut at its own bound and escaped; kMaxLogLine holds the worst
// case of all.
#include <array>
#include <charconv>
#include <cstring>

#include "base/text.h"
#include "carry/telemetry/access_log.h"

namespace thalweg::telemetry {
namespace {

constexpr std::string_view kCut = "\xE2\x80\xA6";  // "…"

// Bounds of the texts, in bytes as written (escaped).
constexpr std::size_t kMaxMethod = 16, kMaxPath = 128, kMaxWord = 32, kMaxKeyId = 32, kMaxTenant = 64, kMaxName = 128,
                      kMaxFailed = 256;

// The end of the well-formed UTF-8 sequence at `at`, or `at` if there is none.
std::size_t sequence_end(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
  };
  const auto next = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const std::uint8_t c = byte(at);  // the Unicode Standard 15, table 3-7
  if (c >= 0xC2 && c <= 0xDF) return next(at + 1) ? at + 2 : at;
  if (c >= 0xE0 && c <= 0xEF) {
    const bool second = c == 0xE0 ? next(at + 1, 0xA0) : c == 0xED ? next(at + 1, 0x80, 0x9F) : next(at + 1);
    return second && next(at + 2) ? at + 3 : at;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    const bool second = c == 0xF0 ? next(at + 1, 0x90) : c == 0xF4 ? next(at + 1, 0x80, 0x8F) : next(at + 1);
    return second && next(at + 2) && next(at + 3) ? at + 4 : at;
  }
  return at;
}

constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (unsigned c = 0x20; c < 0x7F; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

// Eight bytes at once: none beyond ASCII, no control character, no quote, no backslash, no DEL.
bool are_plain(const char* at) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kTops = kOnes * 0x80;
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, at, sizeof bytes);
  const auto has = [](std::uint64_t word, std::uint8_t byte) {  // exact where no byte has its top bit
    const std::uint64_t zeros = word ^ kOnes * byte;
    return ((zeros + kOnes * 0x7F) & kTops) ^ kTops;
  };
  const std::uint64_t printable = (bytes + kOnes * (0x80 - 0x20)) & kTops;
  return ((bytes & kTops) | (printable ^ kTops) | has(bytes, '"') | has(bytes, '\\') | has(bytes, 0x7F)) == 0;
}

class Line {
 public:
  explicit Line(char* out) : at_(out) {}

  void raw(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

  void number(std::uint64_t value) { at_ = std::to_chars(at_, at_ + 20, value).ptr; }

  void digits(std::uint64_t value, int width) {
    for (int i = width - 1; i >= 0; --i, value /= 10) at_[i] = static_cast<char>('0' + value % 10);
    at_ += width;
  }

  void hex(std::uint64_t value) {
    write_hex(value, at_);
    at_ += 16;
  }

  // Milliseconds with three decimals.
  void millis(Duration d) {
    const std::uint64_t micros = d.count() > 0 ? static_cast<std::uint64_t>(d.count()) / 1000 : 0;
    number(micros / 1000);
    *at_++ = '.';
    digits(micros % 1000, 3);
  }

  void time(UtcTime at) { at_ = write_rfc3339(at_, at); }

  void request(RequestId id) {
    id.write(at_);
    at_ += RequestId::kTextLength;
  }

  // The text's bytes as the inside of a JSON string, at most `bound` of them and then "…".
  void text(std::string_view value, std::size_t bound) {
    const char* const end = at_ + bound;
    std::size_t i = 0;
    for (; value.size() - i >= 8 && end - at_ >= 8 && are_plain(value.data() + i); i += 8) raw(value.substr(i, 8));
    while (i < value.size()) {
      const auto c = static_cast<std::uint8_t>(value[i]);
      if (kPlain[c]) {
        if (at_ == end) break;
        *at_++ = value[i++];
        continue;
      }
      char escaped[6];
      std::size_t length = 0;
      std::size_t next = i + 1;
      if (c == '"' || c == '\\') {
        escaped[length++] = '\\';
        escaped[length++] = value[i];
      } else if (const std::size_t after = c < 0x80 ? i : sequence_end(value, i); c >= 0x80 && after == i) {
        std::memcpy(escaped, "\\ufffd", length = 6);  // no UTF-8
      } else if (c < 0x80 || (c == 0xC2 && static_cast<std::uint8_t>(value[i + 1]) < 0xA0)) {
        // A control character could rule the terminal that shows the log.
        const std::uint8_t code = c < 0x80 ? c : static_cast<std::uint8_t>(value[i + 1]);
        std::memcpy(escaped, "\\u00", 4);
        escaped[4] = "0123456789abcdef"[code >> 4];
        escaped[5] = "0123456789abcdef"[code & 15];
        length = 6;
        if (c >= 0x80) next = after;
      } else {
        next = after;
        length = after - i;
        std::memcpy(escaped, value.data() + i, length);
      }
      if (static_cast<std::size_t>(end - at_) < length) break;
      std::memcpy(at_, escaped, length);
      at_ += length;
      i = next;
    }
    if (i < value.size()) raw(kCut);
  }

  void field(std::string_view name, std::string_view value, std::size_t bound) {
    if (value.empty()) return;
    raw(name);
    text(value, bound);
    *at_++ = '"';
  }

  char* at() const { return at_; }

 private:
  char* at_;
};

}  // namespace

std::size_t format_line(const AccessLine& facts, char* out) {
  Line line(out);
  line.raw(R"({"time":")");
  line.time(facts.at);
  line.raw(R"(","request":")");
  line.request(facts.request);
  line.raw("\"");
  line.field(R"(,"method":")", facts.method, kMaxMethod);
  line.field(R"(,"path":")", facts.path.substr(0, facts.path.find('?')), kMaxPath);
  line.raw(R"(,"status":)");
  line.number(facts.status);
  line.field(R"(,"outcome":")", facts.outcome, kMaxWord);
  line.field(R"(,"error":")", facts.error, kMaxWord);
  line.field(R"(,"key":")", facts.key_id, kMaxKeyId);
  line.field(R"(,"tenant":")", facts.tenant, kMaxTenant);
  line.field(R"(,"model_asked":")", facts.model_asked, kMaxName);
  line.field(R"(,"endpoint":")", facts.endpoint, kMaxName);
  line.field(R"(,"place":")", facts.place, kMaxName);
  line.field(R"(,"model":")", facts.model, kMaxName);
  line.raw(R"(,"attempts":)");
  line.number(facts.attempts);
  line.field(R"(,"failed":")", facts.failed, kMaxFailed);
  line.raw(facts.streamed ? R"(,"stream":true)" : R"(,"stream":false)");
  if (facts.passed) line.raw(R"(,"surface":"passthrough")");
  if (facts.usage_reported) {
    line.raw(R"(,"input_tokens":)");
    line.number(facts.input_tokens);
    line.raw(R"(,"output_tokens":)");
    line.number(facts.output_tokens);
    line.raw(R"(,"cached_input_tokens":)");
    line.number(facts.cached_input_tokens);
  }
  line.raw(R"(,"bytes_in":)");
  line.number(facts.bytes_in);
  line.raw(R"(,"bytes_out":)");
  line.number(facts.bytes_out);
  line.raw(R"(,"duration_ms":)");
  line.millis(facts.duration);
  if (facts.time_to_first_token > Duration{}) {
    line.raw(R"(,"first_token_ms":)");
    line.millis(facts.time_to_first_token);
  }
  line.field(R"(,"finish_reason":")", facts.finish_reason, kMaxWord);
  if (facts.decision_hash != 0) {
    line.raw(R"(,"decision":")");
    line.hex(facts.decision_hash);
    line.raw("\"");
  }
  line.raw("}\n");
  return static_cast<std::size_t>(line.at() - out);
}

}  // namespace thalweg::telemetry
