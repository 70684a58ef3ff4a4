#include "base/document/section.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace thalweg::document {
namespace {

TEST(ReadDuration, TakesWholeNumbersWithAUnit) {
  EXPECT_EQ(read_duration("250ms"), 250ms);
  EXPECT_EQ(read_duration("10s"), 10s);
  EXPECT_EQ(read_duration("5m"), 5min);
  EXPECT_EQ(read_duration("2h"), 2h);
  EXPECT_EQ(read_duration("0s"), 0s);
  for (const std::string_view bad : {"", "10", "s", "1.5s", "-1s", "+1s", "1 s", "1S", "1sec", "1d", "1s1s", "0x1s"}) {
    EXPECT_EQ(read_duration(bad), std::nullopt) << bad;
  }
}

// int64 nanoseconds: 2^63 - 1 ns are 9223372036.85 s, 2562047.79 h.
TEST(ReadDuration, RefusesWhatOverflows) {
  EXPECT_EQ(read_duration("9223372036s"), Duration(9223372036LL * 1'000'000'000));
  EXPECT_EQ(read_duration("9223372037s"), std::nullopt);
  EXPECT_TRUE(read_duration("2562047h"));
  EXPECT_EQ(read_duration("2562048h"), std::nullopt);
  EXPECT_EQ(read_duration("99999999999999999999ms"), std::nullopt);
}

TEST(ReadSize, TakesBytesAndBinaryUnits) {
  EXPECT_EQ(read_size("1000"), 1000U);
  EXPECT_EQ(read_size("64KiB"), 65536U);
  EXPECT_EQ(read_size("32MiB"), 33554432U);
  EXPECT_EQ(read_size("4GiB"), 4294967296U);
  EXPECT_EQ(read_size("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  for (const std::string_view bad :
       {"", "KiB", "1kB", "1KB", "1MB", "1 MiB", "1.5GiB", "-1", "1mib", "18446744073709551616", "17179869184GiB"}) {
    EXPECT_EQ(read_size(bad), std::nullopt) << bad;
  }
}

TEST(ReadInteger, TakesDigitsOnly) {
  EXPECT_EQ(read_integer("0"), 0U);
  EXPECT_EQ(read_integer("007"), 7U);
  for (const std::string_view bad :
       {"", "-1", "+1", " 1", "1 ", "1_000", "0x10", "1e3", "1.0", "18446744073709551616"}) {
    EXPECT_EQ(read_integer(bad), std::nullopt) << bad;
  }
}

TEST(Show, IsReadBackAsTheSame) {
  for (const std::string_view text : {"250ms", "10s", "5m", "2h", "90s", "61m"})
    EXPECT_EQ(show_duration(*read_duration(text)), text);
  EXPECT_EQ(show_duration(60s), "1m");
  EXPECT_EQ(show_duration(0s), "0s");
  for (const std::string_view text : {"1000", "64KiB", "32MiB", "4GiB", "1025KiB"})
    EXPECT_EQ(show_size(*read_size(text)), text);
}

std::string joined(Errors& errors) {
  std::string all;
  for (const Error& error : errors.take())
    all +=
        std::to_string(error.position.line) + ":" + std::to_string(error.position.column) + " " + error.message + "\n";
  return all;
}

struct Fixture {
  explicit Fixture(std::string_view yaml) : tree(*parse(yaml, errors)), section(tree, "limits", errors) {}
  Errors errors;
  Node tree;
  Section section;
};

TEST(Section, GivesValuesAndDefaults) {
  Fixture f("{t: x, b: true, i: 7, s: 1KiB, d: 3s, w: two, l: [a, b]}");
  static constexpr std::array<std::string_view, 2> kWords = {"one", "two"};
  EXPECT_EQ(f.section.text("t", ""), "x");
  EXPECT_TRUE(f.section.boolean("b", false));
  EXPECT_EQ(f.section.integer("i", 0, {1, 10}), 7U);
  EXPECT_EQ(f.section.size("s", 0, {1, 4096}), 1024U);
  EXPECT_EQ(f.section.duration("d", 0s, {1s, 5s}), 3s);
  EXPECT_EQ(f.section.one_of("w", 0, kWords), 1U);
  EXPECT_EQ(f.section.texts("l", 2).at(1).text, "b");
  EXPECT_EQ(f.section.text("none", "default"), "default");
  EXPECT_TRUE(f.section.texts("none", 2).empty());
  f.section.finish();
  EXPECT_EQ(joined(f.errors), "");
}

TEST(Section, CollectsOneErrorAValue) {
  Fixture f("b: yes\ni: 11\ns: 32MB\nd: 6s\nw: tow\nl: [a, b, c]\nm: [1]\nn:\n");
  static constexpr std::array<std::string_view, 2> kWords = {"one", "two"};
  EXPECT_FALSE(f.section.boolean("b", false));
  EXPECT_EQ(f.section.integer("i", 5, {1, 10}), 5U);
  EXPECT_EQ(f.section.size("s", 9, {1, 4096}), 9U);
  EXPECT_EQ(f.section.duration("d", 2s, {1s, 5s}), 2s);
  EXPECT_EQ(f.section.one_of("w", 0, kWords), 0U);
  EXPECT_EQ(f.section.texts("l", 2).size(), 2U);
  EXPECT_EQ(f.section.text("m", "x"), "x");
  EXPECT_EQ(f.section.text("n", "x"), "x");
  f.section.finish();
  EXPECT_EQ(joined(f.errors),
            "1:4 limits.b: expected true or false, not \"yes\"\n"
            "2:4 limits.i: expected a whole number from 1 to 10, not \"11\"\n"
            "3:4 limits.s: expected a size like 64KiB, 32MiB or 4GiB, not \"32MB\"\n"
            "4:4 limits.d: 6s is out of range; it must be from 1s to 5s\n"
            "5:4 limits.w: expected one of one, two, not \"tow\"; did you mean \"two\"?\n"
            "6:4 limits.l: has 3 entries; 2 are allowed\n"
            "7:4 limits.m: expected one value, not a list\n"
            "8:1 limits.n has no value; give it one or leave the key out\n");
}

TEST(Section, ReportsKeysThatNobodyAskedFor) {
  Fixture f("bdy: 1\nzzzzzz: 2\n");
  f.section.text("body", "");
  f.section.text("head", "");
  f.section.finish();
  EXPECT_EQ(joined(f.errors),
            "1:1 unknown key \"bdy\" in limits; did you mean \"body\"?\n"
            "2:1 unknown key \"zzzzzz\" in limits; known here: body, head\n");
}

TEST(Section, ReportsOnceThatItIsNoMap) {
  Fixture f("[1]");
  EXPECT_EQ(f.section.text("body", "x"), "x");
  EXPECT_EQ(f.section.required("head", "needed"), nullptr);
  f.section.finish();
  EXPECT_EQ(joined(f.errors), "1:1 limits must be a map, not a list\n");
}

}  // namespace
}  // namespace thalweg::document
