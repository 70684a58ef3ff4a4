#include "decide/facts/facts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "decide/facts/fields.h"

namespace thalweg::facts {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPrices = "facts: prices\nunit: USD/Mtok\n";
constexpr std::string_view kSource =
    "sources: {s: {title: T, licence: MIT, class: s, kind: published, as_of: 2026-07-24}}\n";

Sheet sheet(std::string_view text, std::string file = "test.yaml") {
  auto read = parse(text);
  EXPECT_TRUE(read) << (read ? "" : read.error().front().message) << "\n" << text;
  if (!read) return {};
  read->file = std::move(file);
  return std::move(*read);
}

Sheet prices(std::string_view entries, std::string file = "test.yaml") {
  return sheet(fmt::format("{}{}entries: {{{}}}\n", kPrices, kSource, entries), std::move(file));
}

Facts merged(const std::vector<Sheet>& catalogue, const std::vector<Sheet>& overrides = {}) {
  auto facts = merge(catalogue, overrides);
  EXPECT_TRUE(facts) << (facts ? "" : facts.error().front().message);
  return facts ? std::move(*facts) : Facts{};
}

Date date(int year, unsigned month, unsigned day) {
  return std::chrono::year_month_day(std::chrono::year(year), std::chrono::month(month), std::chrono::day(day));
}

// A dollar a million tokens is 10^-6 dollars or 10^6 picodollars a token.
TEST(Facts, HoldsPricesInWholePicodollars) {
  const Facts facts = merged({prices("openai/gpt-4o: {input: 2.5, cached_input: 1.25, output: 10}")});
  const Price* price = facts.prices.find("openai", "gpt-4o");
  ASSERT_NE(price, nullptr);
  EXPECT_EQ(price->input, 2'500'000U);
  EXPECT_EQ(price->cached_input, 1'250'000U);
  EXPECT_EQ(price->output, 10'000'000U);
}

TEST(Facts, LeavesUnknownWhatAnEntryDoesNotSay) {
  const Facts facts = merged({prices("a/b: {output: 0}")});
  const Price* price = facts.prices.find("a/b");
  ASSERT_NE(price, nullptr);
  EXPECT_EQ(facts.figure(price, price->input).value, std::nullopt);
  EXPECT_EQ(facts.figure(price, price->input).kind, FigureKind::kUnknown);
  EXPECT_EQ(facts.figure(price, price->output).value, 0U);
  EXPECT_EQ(facts.figure(price, price->output).kind, FigureKind::kPublished);
  EXPECT_EQ(facts.figure(price, price->output).as_of, date(2026, 7, 24));
  EXPECT_EQ(facts.figure(facts.prices.find("a/c"), 7).value, std::nullopt);
}

TEST(Facts, SaysWhichModelMadeAFigure) {
  const Facts facts = merged({sheet(
      "facts: pue\nsources: {s: {title: T, licence: MIT, class: s, kind: modelled, model: m-1, as_of: 2026-07-24}}\n"
      "entries: {a: {pue: 1.2}}")});
  const Figure figure = facts.figure(facts.pue.find("a"), facts.pue.find("a")->pue_thousandths->most);
  EXPECT_EQ(figure.value, 1'200U);
  EXPECT_EQ(figure.kind, FigureKind::kModelled);
  EXPECT_EQ(figure.model, "m-1");
}

TEST(Facts, FindsProviderAndModelWithoutJoiningThem) {
  const Facts facts =
      merged({prices("a/b: {input: 1}, a/b/c: {input: 2}, a: {input: 3}, a-x/b: {input: 4}, "
                     "a0/b: {input: 5}, ab/b: {input: 6}, \"/b\": {input: 7}")});
  for (const Price& price : facts.prices.entries()) {
    const std::string_view name = price.name;
    EXPECT_EQ(facts.prices.find(name), &price);
    for (std::size_t slash = 0; (slash = name.find('/', slash)) != std::string_view::npos; ++slash)
      EXPECT_EQ(facts.prices.find(name.substr(0, slash), name.substr(slash + 1)), &price) << name;
  }
  EXPECT_EQ(facts.prices.find("a", ""), nullptr);
  EXPECT_EQ(facts.prices.find("", "a"), nullptr);
  EXPECT_EQ(facts.prices.find("", ""), nullptr);
  EXPECT_EQ(facts.prices.find("z", "b"), nullptr);
  EXPECT_EQ(Facts{}.prices.find("a", "b"), nullptr);
}

TEST(Merge, LetsAnOverrideReplaceAWholeEntryAndTheLastFileWin) {
  const std::vector<Sheet> catalogue = {prices("a/b: {input: 1, output: 2}, a/c: {input: 3}")};
  const std::vector<Sheet> overrides = {prices("a/b: {input: 10}, a/d: {input: 4}"), prices("a/b: {input: 20}")};
  const Facts facts = merged(catalogue, overrides);
  EXPECT_EQ(facts.prices.entries().size(), 3U);
  EXPECT_EQ(facts.prices.find("a/b")->input, 20'000'000U);
  EXPECT_EQ(facts.prices.find("a/b")->output, std::nullopt);
  EXPECT_TRUE(facts.prices.find("a/b")->overrides);
  EXPECT_TRUE(facts.prices.find("a/d")->overrides);
  EXPECT_FALSE(facts.prices.find("a/c")->overrides);
}

TEST(Merge, KeepsTheSourceOfEachEntry) {
  const auto of = [](std::string_view title, std::string_view entries) {
    return sheet(
        fmt::format("{}sources: {{s: {{title: {}, licence: MIT, class: s, kind: published, as_of: "
                    "2026-07-24}}}}\nentries: {{{}}}\n",
                    kPrices, title, entries));
  };
  const Facts facts = merged({of("One", "a/a: {input: 1}, a/b: {input: 1}"), of("Two", "a/c: {input: 1}")},
                             {of("Mine", "a/b: {input: 1}")});
  EXPECT_EQ(facts.source_of(*facts.prices.find("a/a")).title, "One");
  EXPECT_EQ(facts.source_of(*facts.prices.find("a/b")).title, "Mine");
  EXPECT_EQ(facts.source_of(*facts.prices.find("a/c")).title, "Two");
}

Sheet models(std::string_view entries, std::string file = "test.yaml") {
  return sheet(fmt::format("facts: models\n{}entries: {{{}}}\n", kSource, entries), std::move(file));
}

TEST(Merge, GivesAnOverrideItsOtherNamesToo) {
  const Facts facts = merged({models("big: {layers: 1, also: [x, y]}, small: {layers: 2}")},
                             {models("mine: {layers: 3, also: [x, small]}")});
  EXPECT_EQ(facts.models.find("x")->layers, 3U);
  EXPECT_EQ(facts.models.find("small")->layers, 3U);
  EXPECT_EQ(facts.models.find("big")->layers, 1U);
  EXPECT_EQ(facts.models.find("y")->layers, 1U);
  EXPECT_EQ(facts.models.entries().size(), 2U);
}

TEST(Merge, RefusesANameThatTwoFilesOfTheCatalogueHave) {
  const auto facts =
      merge(std::vector{models("a: {layers: 1}", "one.yaml"), models("b: {layers: 1, also: [a]}", "two.yaml")}, {});
  ASSERT_FALSE(facts);
  ASSERT_EQ(facts.error().size(), 1U);
  EXPECT_EQ(facts.error().front().message,
            "two.yaml: \"a\" is in one.yaml already; one of the two must go, or become an override");
  // Kinds do not share names.
  merged({models("a: {layers: 1}"), prices("a: {input: 1}")});
}

TEST(Hash, DoesNotDependOnFilesAndOrderButOnEverythingSaid) {
  const Sha256 hash = merged({prices("a/a: {input: 1}, a/b: {input: 2}")}).hash;
  EXPECT_EQ(hash, merged({prices("a/b: {input: 2}, a/a: {input: 1}")}).hash);
  EXPECT_EQ(hash, merged({prices("a/b: {input: 2.0}", "x"), prices("a/a: {input: 1}", "y")}).hash);
  EXPECT_EQ(hash, merged({prices("a/b: {input: 9}")}, {prices("a/a: {input: 1}, a/b: {input: 2}")}).hash);
  EXPECT_NE(hash, merged({}).hash);
  EXPECT_NE(merged({}).hash, Sha256{});
  for (const std::string_view other :
       {"a/a: {input: 1}", "a/a: {input: 1}, a/b: {output: 2}", "a/a: {input: 1}, a/b: {input: 2, output: 0}",
        "a/a: {input: 1}, a/b: {input: 2.000001}", "a/a: {input: 1}, a/c: {input: 2}",
        "a/a: {input: 1}, a/b: {input: 2, until: 2026-12-31}", "a/a: {input: 1}, a/b: {input: 2, note: n}",
        "a/a: {input: 1}, a/b: {input: 2, as_of: 2026-07-25}", "a/a: {input: 1}, a/b: {input: 2, rounded: true}"})
    EXPECT_NE(hash, merged({prices(other)}).hash) << other;
  for (const std::string_view word : {"title: U", "licence: X", "class: p", "kind: measured", "url: u"}) {
    std::string source(kSource);
    const std::string_view key = word.substr(0, word.find(' '));
    if (const std::size_t at = source.find(key); at != std::string::npos) {
      source.replace(at, source.find_first_of(",}", at) - at, word);
    } else {
      source.insert(source.find("title"), fmt::format("{}, ", word));
    }
    EXPECT_NE(
        hash,
        merged({sheet(fmt::format("{}{}entries: {{a/a: {{input: 1}}, a/b: {{input: 2}}}}", kPrices, source))}).hash)
        << source;
  }
}

// Month m and hour h have the intensity 100 m + h + 0.5.
std::string grid_text(std::string_view signal, std::string_view more = "") {
  std::string rows;
  for (int month = 1; month <= 12; ++month) {
    std::string row;
    for (int hour = 0; hour < 24; ++hour) row += fmt::format("{}{}.5", hour == 0 ? "" : ", ", 100 * month + hour);
    rows += fmt::format("      - [{}]\n", row);
  }
  return fmt::format(
      "facts: grid\nsources: {{s: {{title: T, licence: MIT, class: s, kind: measured, as_of: 2025-12-31, basis: "
      "{{signal: "
      "{}, scope: life-cycle, boundary: production, state: final}}}}}}\nentries:\n  DE: {{g_per_kwh: 380.95}}\n{}  "
      "Z-1:\n    "
      "profile_g_per_kwh:\n{}",
      signal, more, rows);
}

UtcTime utc(int year, unsigned month, unsigned day, std::chrono::nanoseconds time) {
  return UtcTime(date(year, month, day).time_since_epoch() + time);
}

TEST(Intensity, IsThatOfTheMonthAndTheHourOfUtc) {
  const Facts facts = merged({sheet(grid_text("average"))});
  const auto at = [&](UtcTime when) { return facts.intensity("Z-1", "DE", when).value; };
  EXPECT_EQ(at(utc(2026, 1, 1, 0ns)), 100'500U);
  EXPECT_EQ(at(utc(2026, 12, 31, 24h - 1ns)), 1'223'500U);
  EXPECT_EQ(at(utc(2028, 2, 29, 13h)), 213'500U);
  EXPECT_EQ(at(utc(2026, 3, 1, 1h - 1ns)), 300'500U);
  EXPECT_EQ(at(utc(2026, 2, 28, 24h)), 300'500U);
  EXPECT_EQ(at(utc(1969, 12, 31, 23h)), 1'223'500U);
  EXPECT_TRUE(facts.intensity("Z-1", "DE", utc(2026, 1, 1, 0ns)).hourly);
}

TEST(Intensity, IsTheCountrysWhereTheZoneIsNotKnown) {
  const Facts facts = merged({sheet(grid_text("average"))});
  const Intensity intensity = facts.intensity("Z-2", "DE", {});
  EXPECT_EQ(intensity.value, 380'950U);
  EXPECT_FALSE(intensity.hourly);
  EXPECT_EQ(intensity.kind, FigureKind::kMeasured);
  EXPECT_EQ(facts.intensity("", "DE", {}).value, 380'950U);
  EXPECT_EQ(facts.intensity("", "", {}).value, std::nullopt);
  EXPECT_EQ(facts.intensity("Z-2", "FR", {}).kind, FigureKind::kUnknown);
}

// The average of the country does not stand in for a zone whose signal is marginal: who named the zone meant the zone.
TEST(Intensity, RanksByOneBasisOnly) {
  const Facts facts = merged({sheet(grid_text("average"))});
  EXPECT_EQ(facts.ranking_intensity("Z-1", "DE", {}).value, 100'500U);
  const Facts marginal =
      merged({sheet(grid_text("average"))}, {sheet(grid_text("marginal", "  FR: {g_per_kwh: 1}\n"))});
  EXPECT_EQ(marginal.intensity("Z-1", "DE", {}).value, 100'500U);
  EXPECT_EQ(words_of(marginal.intensity("Z-1", "DE", {}).basis)[0], "marginal");
  EXPECT_EQ(marginal.ranking_intensity("Z-1", "DE", {}).value, std::nullopt);
  EXPECT_EQ(marginal.ranking_intensity("Z-1", "DE", {}).kind, FigureKind::kUnknown);
  Basis basis;
  EXPECT_TRUE(basis.ranks());
  basis.state = Basis::State::kEstimated;
  EXPECT_TRUE(basis.ranks());
  basis.boundary = Basis::Boundary::kConsumption;
  EXPECT_FALSE(basis.ranks());
  basis = {.scope = Basis::Scope::kDirect};
  EXPECT_FALSE(basis.ranks());
}

TEST(Age, TurnsTheDayAfterTheLimit) {
  for (std::size_t i = 0; i < kKindCount; ++i) {
    const auto kind = static_cast<Kind>(i);
    Entry entry;
    entry.as_of = date(2026, 1, 1);
    EXPECT_EQ(age_of(entry, kind, entry.as_of), Age::kFresh);
    EXPECT_EQ(age_of(entry, kind, entry.as_of + stale_after(kind)), Age::kFresh);
    EXPECT_EQ(age_of(entry, kind, entry.as_of + stale_after(kind) + std::chrono::days(1)), Age::kStale);
    EXPECT_EQ(age_of(entry, kind, entry.as_of - std::chrono::days(1)), Age::kFuture);
    entry.until = date(2026, 2, 1);
    EXPECT_EQ(age_of(entry, kind, date(2026, 2, 1)), Age::kFresh);
    EXPECT_EQ(age_of(entry, kind, date(2026, 2, 2)), Age::kExpired);
  }
  EXPECT_EQ(stale_after(Kind::kPrices), std::chrono::days(180));
}

TEST(Decimals, AreShownAsTheyWereRead) {
  EXPECT_EQ(show_decimal(0, 0), "0");
  EXPECT_EQ(show_decimal(0, 6), "0");
  EXPECT_EQ(show_decimal(1, 6), "0.000001");
  EXPECT_EQ(show_decimal(2'500'000, 6), "2.5");
  EXPECT_EQ(show_decimal(1'000'000'000'000, 6), "1000000");
  EXPECT_EQ(show_decimal(120, 0), "120");
  EXPECT_EQ(show_decimal(~0ULL, 9), "18446744073.709551615");
}

std::string first_error(std::string_view text) {
  const auto read = parse(text);
  return read ? "" : read.error().front().message;
}

// Each limit is taken at its edge and refused one beyond.
TEST(Limits, HoldAtTheirEdges) {
  const auto text = [](std::string_view sources, std::string_view entries) {
    return fmt::format("{}sources: {{{}}}\nentries: {{{}}}\n", kPrices, sources, entries);
  };
  const auto source = [](std::string_view name, std::string_view title) {
    return fmt::format("{}: {{title: {}, licence: MIT, class: s, kind: published, as_of: 2026-07-24}}", name, title);
  };
  const std::string one = source("s", "T");
  const auto many = [](std::size_t count, const auto& make) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += make(i) + ",\n";
    return all;
  };
  const auto entry = [](std::size_t i) { return fmt::format("m{}: {{source: s0, input: 1}}", i); };
  const auto numbered = [&](std::size_t i) { return source(fmt::format("s{}", i), "T"); };
  const std::string several = many(2, numbered);
  EXPECT_EQ(first_error(text(several, many(kMaxEntries, entry))), "");
  EXPECT_EQ(first_error(text(several, many(kMaxEntries + 1, entry))), "entries has 10001 entries; 10000 are allowed");
  EXPECT_EQ(first_error(text(many(kMaxSources, numbered), entry(1))), "");
  EXPECT_EQ(first_error(text(many(kMaxSources + 1, numbered), entry(1))), "sources has 65 entries; 64 are allowed");
  const auto named = [&](std::size_t length) { return text(one, std::string(length, 'm') + ": {input: 1}"); };
  EXPECT_EQ(first_error(named(kMaxName)), "");
  EXPECT_EQ(first_error(named(kMaxName + 1)), "a name has 1 to 160 bytes on one line");
  const auto titled = [&](std::size_t length) { return text(source("s", std::string(length, 'T')), "m: {input: 1}"); };
  EXPECT_EQ(first_error(titled(kMaxText)), "");
  EXPECT_EQ(first_error(titled(kMaxText + 1)), "sources.s.title: expected 1 to 256 bytes on one line");
  const auto modelled = [](std::size_t length) {
    return fmt::format(
        "{}sources: {{s: {{title: T, licence: MIT, class: s, kind: modelled, model: {}, as_of: 2026-07-24}}}}\n"
        "entries: {{m: {{input: 1}}}}\n",
        kPrices, std::string(length, 'm'));
  };
  EXPECT_EQ(first_error(modelled(kMaxModelName)), "");
  EXPECT_EQ(first_error(modelled(kMaxModelName + 1)), "sources.s.model: expected 1 to 64 bytes on one line");
  const auto also = [&](std::size_t count) {
    return fmt::format("facts: models\n{}entries: {{m: {{layers: 1, also: [{}]}}}}\n", kSource,
                       many(count, [](std::size_t i) { return fmt::format("n{}", i); }));
  };
  EXPECT_EQ(first_error(also(kMaxOtherNames)), "");
  EXPECT_EQ(first_error(also(kMaxOtherNames + 1)), "entries.m.also: has 33 entries; 32 are allowed");
}

}  // namespace
}  // namespace thalweg::facts
