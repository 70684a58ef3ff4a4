#include "carry/json/walk.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "carry/json/padded_test.h"
#include "carry/json/random_test.h"
#include "carry/json/text.h"

namespace thalweg::json {
namespace {

using namespace std::string_literals;

// Empty when the text is accepted, else the fault.
std::string fault_of(std::string_view text, Walk::Rules rules = Walk::Rules::kCaller) {
  const Padded padded(text);
  Walk walk;
  if (walk.start(padded.view(), rules) && walk.skip() && walk.end()) return "";
  return walk.fault();
}

struct Case {
  std::string text;
  std::string fault;
};

TEST(Walk, AcceptsWhatRfc8259AllowsAndSaysWhereTheRestIsWrong) {
  const std::string nested(kMaxDepth, '[');
  const std::string closed(kMaxDepth, ']');
  const std::vector<Case> cases = {
      {"{}", ""},
      {"[]", ""},
      {" \t\r\n[ ] \n", ""},
      {"\"\"", ""},
      {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"", ""},
      {"\"\x7F\"", ""},
      {"0", ""},
      {"-0.0e-0", ""},
      {"123456789012345678901234567890123456789012345678901234567890", ""},
      {"1e999999", ""},
      {"[true,false,null]", ""},
      {"{\"a\":{\"b\":1},\"b\":{\"a\":1}}", ""},
      {nested + closed, ""},
      {"[" + nested + closed + "]", "more than 128 levels of nesting at byte 128"},
      {"", "expected a value at byte 0"},
      {"   ", "expected a value at byte 3"},
      {"\xEF\xBB\xBF{}", "a byte order mark, which JSON must not have, at byte 0"},
      {"{} x", "bytes behind the JSON value at byte 3"},
      {"{}{}", "bytes behind the JSON value at byte 2"},
      {"{}\0"s, "bytes behind the JSON value at byte 2"},
      {"{\"a\":1,}", "expected a name in double quotes at byte 7"},
      {"{a:1}", "expected a name in double quotes at byte 1"},
      {"{\"a\" 1}", "expected ':' at byte 5"},
      {"{\"a\":}", "expected a value at byte 5"},
      {"{\"a\":1 \"b\":2}", "expected ',' or '}' at byte 7"},
      {"{\"a\":1", "expected ',' or '}' at byte 6"},
      {"[1,]", "expected a value at byte 3"},
      {"[1 2]", "expected ',' or ']' at byte 3"},
      {"[1}", "expected ',' or ']' at byte 2"},
      {"[", "expected a value at byte 1"},
      {"NaN", "expected a value at byte 0"},
      {"[Infinity]", "expected a value at byte 1"},
      {"[-Infinity]", "a number without digits at byte 1"},
      {"nul", "expected a value at byte 0"},
      {"nulll", "bytes behind the JSON value at byte 4"},
      {"True", "expected a value at byte 0"},
      {"'a'", "expected a value at byte 0"},
      {"// c\n1", "expected a value at byte 0"},
      {"01", "a number with a leading zero at byte 0"},
      {"-", "a number without digits at byte 0"},
      {"+1", "expected a value at byte 0"},
      {".5", "expected a value at byte 0"},
      {"[1.]", "a number without digits behind its point at byte 1"},
      {"[1e]", "a number without digits in its exponent at byte 1"},
      {"[1e+]", "a number without digits in its exponent at byte 1"},
      {"0x10", "bytes behind the JSON value at byte 1"},
      {"\"abc", "a string without its closing quote at byte 0"},
      {"[\"0123456789abcdef0123456789", "a string without its closing quote at byte 1"},
      {"\"\\", "a string without its closing quote at byte 0"},
      {"\"a\nb\"", "a control character inside a string, to be written as an escape, at byte 2"},
      {"\"a\0b\""s, "a control character inside a string, to be written as an escape, at byte 2"},
      {"\"0123456789abcdef\x1F\"", "a control character inside a string, to be written as an escape, at byte 17"},
      {"\"\\x41\"", "an unknown escape at byte 1"},
      {"\"\\u12g4\"", "an escape \\u without four hexadecimal digits at byte 1"},
      {"\"\\u12", "an escape \\u without four hexadecimal digits at byte 1"},
      {"[\"ok\",\"\\ud83d\"]", "a lone surrogate at byte 7"},
      {"\"\\ude00\"", "a lone surrogate at byte 1"},
      {"\"\\ud83d\\ud83d\\ude00\"", "a lone surrogate at byte 1"},
      {"\"\\ud83dx\\ude00\"", "a lone surrogate at byte 1"},
      {"{\"\\udead\":1}", "a lone surrogate at byte 2"},
      {"\"\xC3\x28\"", "invalid UTF-8 at byte 1"},
      {"\"\xC0\xAF\"", "invalid UTF-8 at byte 1"},          // overlong
      {"\"ab\xED\xA0\x80\"", "invalid UTF-8 at byte 3"},    // a surrogate in UTF-8
      {"\"\xF4\x90\x80\x80\"", "invalid UTF-8 at byte 1"},  // above U+10FFFF
      {"\"" + std::string(10000, 'x') + "\xE2\x82\"", "invalid UTF-8 at byte 10001"},
      {"\"" + std::string(4095, 'x') + "\x80\x80\x80\x80\x80\"", "invalid UTF-8 at byte 4096"},
      {"\xFF", "invalid UTF-8 at byte 0"},
      {"{\"a\":1,\"b\":2,\"a\":3}", "the name \"a\" stands twice in one object at byte 13"},
      {"{\"model\":1,\"mod\\u0065l\":2}", "the name \"model\" stands twice in one object at byte 11"},
      {"{\"mod\\u0065l\":1,\"model\":2}", "the name \"model\" stands twice in one object at byte 16"},
      {"[{\"x\":{\"\":1,\"\":1}}]", "the name \"\" stands twice in one object at byte 12"},
      {"{\"\\u0000\":1,\"\\u0000\":1}", "the name \"\\u0000\" stands twice in one object at byte 12"},
      {"{\"12345678x12345678\":1,\"12345678y12345678\":1}", ""},
  };
  for (const Case& test : cases) EXPECT_EQ(fault_of(test.text), test.fault) << test.text.substr(0, 80);
}

TEST(Walk, TakesFromEndpointsWhatItCannotChange) {
  EXPECT_EQ(fault_of("{\"a\":1,\"a\":2}", Walk::Rules::kEndpoint), "");
  EXPECT_EQ(fault_of("\"\\ud83d\"", Walk::Rules::kEndpoint), "");
  EXPECT_EQ(fault_of("\"\xED\xA0\x80\"", Walk::Rules::kEndpoint), "invalid UTF-8 at byte 1");
  const std::string deepest = std::string(kMaxDepth, '[') + std::string(kMaxDepth, ']');
  EXPECT_EQ(fault_of(deepest, Walk::Rules::kEndpoint), "");
  EXPECT_EQ(fault_of("[" + deepest + "]", Walk::Rules::kEndpoint), "more than 128 levels of nesting at byte 128");
}

TEST(Walk, FindsOneDuplicateAmongManyNamesWhereverItStands) {
  for (const std::size_t count : {2U, 16U, 17U, 18U, 19U, 40U, 3000U}) {
    for (const std::size_t first : {std::size_t{0}, count / 2}) {
      std::string text = "[{";
      for (std::size_t i = 0; i < count; ++i) text += "\"key" + std::to_string(i) + "\":{\"key0\":[]},";
      const std::string unique = text + "\"last\":0}]";
      EXPECT_EQ(fault_of(unique), "") << count;
      const std::string again = "key" + std::to_string(first);
      const std::string twice = text + "\"\\u006bey" + std::to_string(first) + "\":0}]";
      EXPECT_EQ(fault_of(twice),
                "the name \"" + again + "\" stands twice in one object at byte " + std::to_string(text.size()))
          << count;
    }
  }
}

// Names chosen so that the cheap tag of small objects is the same for all of them: only the middle differs.
TEST(Walk, ComparesNamesAndNotTheirHashes) {
  std::string text = "{";
  for (int i = 0; i < 2000; ++i) text += "\"aaaaaaaa" + std::to_string(10000 + i) + "bbbbbbbb\":0,";
  EXPECT_EQ(fault_of(text + "\"c\":0}"), "");
  EXPECT_NE(fault_of(text + "\"aaaaaaaa10007bbbbbbbb\":0}"), "");
}

// What nlohmann, an independent reader, says; the rules that we add to RFC 8259 are counted here beside it.
struct Oracle : nlohmann::json_sax<nlohmann::json> {
  bool valid = true;
  bool duplicate = false;
  bool unsure = false;  // a number out of a double's range, which nlohmann refuses
  std::size_t depth = 0;
  std::size_t deepest = 0;
  std::vector<std::set<std::string>> names;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    deepest = std::max(deepest, ++depth);
    names.emplace_back();
    return true;
  }
  bool key(string_t& name) override {
    if (!names.back().insert(name).second) duplicate = true;
    return true;
  }
  bool end_object() override {
    --depth;
    names.pop_back();
    return true;
  }
  bool start_array(std::size_t) override {
    deepest = std::max(deepest, ++depth);
    return true;
  }
  bool end_array() override {
    --depth;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    if (error.id == 406) unsure = true;
    valid = false;
    return false;
  }
};

TEST(Walk, AgreesWithTwoIndependentReaders) {
  RandomJson random(fresh_seed());
  simdjson::dom::parser simd;
  int accepted = 0;
  constexpr int kTexts = 30000;
  for (int i = 0; i < kTexts; ++i) {
    std::string text = random.space() + random.value(5) + random.space();
    random.mutate(text);
    Oracle oracle;
    nlohmann::json::sax_parse(text, &oracle);
    if (oracle.unsure || text.starts_with("\xEF\xBB\xBF")) continue;
    const bool expected = oracle.valid && !oracle.duplicate && oracle.deepest <= kMaxDepth;
    const std::string fault = fault_of(text);
    ASSERT_EQ(fault.empty(), expected) << fault << "\n" << text;
    if (!fault.starts_with("a lone surrogate")) {
      ASSERT_EQ(fault_of(text, Walk::Rules::kEndpoint).empty(), oracle.valid) << fault << "\n" << text;
    }
    // simdjson refuses integers beyond 64 bits and nothing else that is valid here.
    const auto dom = simd.parse(simdjson::padded_string(text));
    if (dom.error() == simdjson::SUCCESS) {
      ASSERT_TRUE(fault.empty() || oracle.duplicate || fault.starts_with("a lone surrogate")) << fault << "\n" << text;
    } else if (expected) {
      ASSERT_TRUE(dom.error() == simdjson::NUMBER_ERROR) << text;
    }
    accepted += fault.empty() ? 1 : 0;
  }
  EXPECT_GT(accepted, kTexts / 10);
  EXPECT_LT(accepted, kTexts);
}

TEST(Walk, EveryPrefixOfATextIsRefused) {
  const std::string text =
      R"({"a":[1,-2.5e+3,"x\u00e9\ud83d\ude00\n",true,false,null,{"b":{}}],"cdefghijklmnopqrstuvwxyz":""})";
  ASSERT_EQ(fault_of(text), "");
  for (std::size_t i = 0; i < text.size(); ++i) EXPECT_NE(fault_of(text.substr(0, i)), "") << text.substr(0, i);
}

TEST(Text, MeansWhatAnIndependentReaderReads) {
  RandomJson random(fresh_seed());
  std::string storage;
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random.string();
    const std::string expected = nlohmann::json::parse(text).get<std::string>();
    const Padded padded(text);
    Walk walk;
    ASSERT_TRUE(walk.start(padded.view(), Walk::Rules::kCaller));
    ASSERT_EQ(walk.next(), Kind::kString);
    Text read;
    ASSERT_TRUE(walk.string(read));
    EXPECT_EQ(meaning(read, storage), expected);
    EXPECT_EQ(read.meant_bytes, expected.size());
    std::string quoted;
    append_quoted(quoted, expected);
    EXPECT_EQ(nlohmann::json::parse(quoted).get<std::string>(), expected);
  }
}

TEST(Text, ReadsIntegersHoweverTheyAreWritten) {
  EXPECT_EQ(integer_of("0"), 0);
  EXPECT_EQ(integer_of("-1"), -1);
  EXPECT_EQ(integer_of("16.0"), 16);
  EXPECT_EQ(integer_of("1.6e1"), 16);
  EXPECT_EQ(integer_of("1.5"), std::nullopt);
  EXPECT_EQ(integer_of("1e400"), std::nullopt);
  EXPECT_EQ(integer_of("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(integer_of("9223372036854775808"), INT64_MAX);
  EXPECT_EQ(integer_of("-99999999999999999999"), INT64_MIN);
  EXPECT_EQ(integer_of("1e30"), INT64_MAX);
}

}  // namespace
}  // namespace thalweg::json
