#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "show/cli/import_ollama.h"

namespace thalweg::cli {
namespace {

constexpr std::string_view kTriple = "\"\"\"";

class ModelfileReader {
 public:
  explicit ModelfileReader(std::string_view bytes) : rest_(bytes) {}

  Result<std::vector<ModelfileLine>> read() {
    std::vector<ModelfileLine> lines;
    while (!rest_.empty()) {
      const std::string_view line = trim(rest_.substr(0, rest_.find('\n')));
      if (line.empty() || line.starts_with('#')) {
        skip_line();
        continue;
      }
      ModelfileLine read;
      read.position = {line_, static_cast<std::uint32_t>(line.data() - rest_.data()) + 1};
      const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
      read.instruction = line.substr(0, end);
      std::ranges::transform(read.instruction, read.instruction.begin(),
                             [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
      const std::string_view argument = trim(line.substr(end));
      if (argument.empty())
        return fail(ErrorCode::kConfig, fmt::format("{} without an argument", describe(read.instruction)),
                    read.position);
      // PARAMETER and MESSAGE have a word before their text.
      const std::size_t quote = argument.find('"');
      const bool triple = quote != argument.npos && argument.substr(quote).starts_with(kTriple);
      if (quote == argument.npos || !(quote == 0 || argument[quote - 1] == ' ' || argument[quote - 1] == '\t')) {
        read.argument = argument;
        skip_line();
      } else if (!take_quoted(argument, quote, triple ? kTriple : kTriple.substr(0, 1), read.argument)) {
        return fail(ErrorCode::kConfig, "this quote is not closed", read.position);
      }
      lines.push_back(std::move(read));
    }
    return lines;
  }

 private:
  static std::string describe(std::string_view instruction) { return std::string(instruction.substr(0, 32)); }

  void skip_line() {
    const std::size_t end = rest_.find('\n');
    rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 1);
    ++line_;
  }

  // The text may go over lines; what stands behind its end on the last line is left out, as Ollama does.
  bool take_quoted(std::string_view argument, std::size_t quote, std::string_view mark, std::string& out) {
    const std::size_t begin = static_cast<std::size_t>(argument.data() - rest_.data()) + quote + mark.size();
    const std::size_t end = rest_.find(mark, begin);
    if (end == rest_.npos) return false;
    out = fmt::format("{}{}", argument.substr(0, quote), rest_.substr(begin, end - begin));
    line_ += static_cast<std::uint32_t>(std::ranges::count(rest_.substr(0, end), '\n'));
    rest_.remove_prefix(end + mark.size());
    skip_line();
    return true;
  }

  std::string_view rest_;
  std::uint32_t line_ = 1;
};

}  // namespace

Result<std::vector<ModelfileLine>> read_modelfile(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (!is_valid_utf8(bytes) || bytes.find('\0') != bytes.npos)
    return fail(ErrorCode::kConfig, "this is no Modelfile: it is not text", {1, 1});
  return ModelfileReader(bytes).read();
}

}  // namespace thalweg::cli
