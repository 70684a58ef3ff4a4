#include "base/text.h"

#include <gtest/gtest.h>

#include <array>

namespace thalweg {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"endpoints", "places", "models", "listen"};

TEST(DidYouMean, FindsASlipOfThePen) {
  EXPECT_EQ(did_you_mean("endponts", kNames), "endpoints");   // one left out
  EXPECT_EQ(did_you_mean("enpdoints", kNames), "endpoints");  // two swapped
  EXPECT_EQ(did_you_mean("modells", kNames), "models");       // one too many
  EXPECT_EQ(did_you_mean("lasten", kNames), "listen");        // one wrong
}

TEST(DidYouMean, SaysNothingWhereNothingIsNear) {
  EXPECT_EQ(did_you_mean("telemetry", kNames), std::nullopt);
  EXPECT_EQ(did_you_mean("", kNames), std::nullopt);
  EXPECT_EQ(did_you_mean("models", {}), std::nullopt);
  EXPECT_EQ(did_you_mean(std::string(10'000, 'm'), kNames), std::nullopt);
}

// A third of six letters: two edits are a slip, three are another word.
TEST(DidYouMean, AllowsAThirdOfTheLetters) {
  EXPECT_EQ(did_you_mean("mudils", kNames), "models");
  EXPECT_EQ(did_you_mean("mudilz", kNames), std::nullopt);
}

TEST(Suggestion, EndsASentence) {
  EXPECT_EQ(suggestion("place", kNames), "; did you mean \"places\"?");
  EXPECT_EQ(suggestion("xyz", kNames), "");
}

// The Unicode Standard 15, table 3-7 (well-formed UTF-8 byte sequences): first and last of each row, and one step
// beyond.
TEST(IsValidUtf8, KeepsToTheTableOfWellFormedSequences) {
  for (const std::string_view good :
       {"", "plain", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xE0\xBF\xBF", "\xE1\x80\x80", "\xEC\xBF\xBF",
        "\xED\x80\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF0\xBF\xBF\xBF",
        "\xF1\x80\x80\x80", "\xF4\x80\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_valid_utf8(good));
    EXPECT_TRUE(is_valid_utf8("a" + std::string(good) + "z"));
    if (good == "plain") continue;
    for (std::size_t cut = 1; cut < good.size(); ++cut) EXPECT_FALSE(is_valid_utf8(good.substr(0, cut)));
  }
  for (const std::string_view bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2\x7F", "\xC2\xC0", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xE1\x80\x7F", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
    EXPECT_FALSE(is_valid_utf8("a" + std::string(bad) + "z"));
  }
}

TEST(Trim, TakesOffSpacesAndTabsOnly) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim("\na\r"), "\na\r");
  EXPECT_EQ(trim("  "), "");
}

TEST(EqualsIgnoringCase, ComparesWholeWords) {
  EXPECT_TRUE(equals_ignoring_case("Content-Length", "content-lengtH"));
  EXPECT_FALSE(equals_ignoring_case("Content-Length", "Content-Lengt"));
  EXPECT_FALSE(equals_ignoring_case("a", "b"));
  EXPECT_TRUE(equals_ignoring_case("\xC3\xA9", "\xC3\xA9"));
}

}  // namespace
}  // namespace thalweg
