// The text cases of tests/facts: a file of facts -> its errors, or what was read, an entry a line.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/text_cases_test.h"
#include "decide/facts/facts.h"
#include "decide/facts/fields.h"

namespace thalweg::facts {
namespace {

std::string show(const Amount& amount, unsigned decimals) {
  return amount ? show_decimal(*amount, decimals) : "";
}
std::string show(const Spread& spread, unsigned decimals) {
  if (!spread) return "";
  const std::string least = show_decimal(spread->least, decimals);
  return spread->least == spread->most ? least : least + "-" + show_decimal(spread->most, decimals);
}

template <class E>
std::string line_of(const E& entry, const Source& source) {
  std::string line = fmt::format("{}:", entry.name);
  for (const Field<E>& field : kFields<E>) {
    const std::string text =
        std::visit([&](const auto member) { return show(entry.*member, field.decimals); }, field.member);
    if (!text.empty()) line += fmt::format(" {}={}", field.key, text);
  }
  if constexpr (E::kKind == Kind::kPrices) {
    if (entry.rounded) line += " rounded";
  }
  if constexpr (E::kKind == Kind::kGrid) line += fmt::format(" {}", fmt::join(words_of(source.basis), ","));
  for (const std::string& name : entry.also) line += " also " + name;
  if (entry.until) line += " until " + show_date(*entry.until);
  return line + fmt::format("; {} {} {}\n", name_of(source.kind), name_of(source.source_class), show_date(entry.as_of));
}

std::string outcome(const std::string& input) {
  const auto sheet = parse(input);
  std::string told;
  if (!sheet) {
    for (const Error& error : sheet.error())
      told += fmt::format("{}:{}: {}\n", error.position.line, error.position.column, error.message);
    return told;
  }
  auto facts = merge(std::span(&*sheet, 1), {});
  if (!facts) return "not merged\n";
  for_each_table(*facts, [&](const auto& table) {
    for (const auto& entry : table.entries()) told += line_of(entry, facts->source_of(entry));
  });
  return told;
}

TEST(FactsText, GivesWhatTheFilesExpect) {
  EXPECT_GE(run_text_cases(THALWEG_SOURCE_DIR "/tests/facts", outcome), 35U);
}

}  // namespace
}  // namespace thalweg::facts
