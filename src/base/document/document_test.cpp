#include "base/document/document.h"

#include <gtest/gtest.h>

namespace thalweg::document {
namespace {

// The tree in one line: maps in braces, each value with its position; "-" is nothing.
std::string show(const Node& node) {
  std::string out = std::to_string(node.position.line) + ":" + std::to_string(node.position.column) + " ";
  switch (node.kind) {
    case Node::Kind::kNull:
      return out + "-";
    case Node::Kind::kScalar:
      return out + "'" + node.text + "'";
    case Node::Kind::kList:
      out += "[";
      for (const Node& item : node.items) out += show(item) + ";";
      return out + "]";
    case Node::Kind::kMap:
      out += "{";
      for (const Member& member : node.members) out += member.key + "=" + show(member.value) + ";";
      return out + "}";
  }
  return out;
}

// The tree, or the errors as "LINE:COLUMN sentence".
std::string read(std::string_view bytes, const Limits& limits = {}) {
  Errors errors;
  const auto tree = parse(bytes, errors, limits);
  const auto tell = [](const Error& error) {
    return "error " + std::to_string(error.position.line) + ":" + std::to_string(error.position.column) + " " +
           error.message;
  };
  if (!tree) return tell(tree.error());
  if (errors.empty()) return show(*tree);
  std::string all;
  for (const Error& error : errors.take()) all += tell(error) + "\n";
  return all;
}

TEST(Document, KnowsWhereEverythingStands) {
  EXPECT_EQ(read("a: 1\nlist:\n  - x\n  - {k: \"v w\"}\n"), "1:1 {a=1:4 '1';list=3:3 [3:5 'x';4:5 {k=4:9 'v w';};];}");
}

TEST(Document, KeepsTheOrderOfTheSourceAndFindsByKey) {
  Errors errors;
  const auto tree = parse("z: 1\na: 2\nm: 3\n", errors);
  ASSERT_TRUE(tree);
  ASSERT_EQ(tree->members.size(), 3U);
  EXPECT_EQ(tree->members[0].key, "z");
  EXPECT_EQ(tree->members[2].key_position, (Position{3, 1}));
  ASSERT_NE(tree->find("m"), nullptr);
  EXPECT_EQ(tree->find("m")->text, "3");
  EXPECT_EQ(tree->find("b"), nullptr);
}

// YAML 1.1 would make false, 8 and 0.1 of these.
TEST(Document, GuessesNoTypes) {
  EXPECT_EQ(read("[NO, 010, 1e-1, on]"), "1:1 [1:2 'NO';1:6 '010';1:11 '1e-1';1:17 'on';]");
}

TEST(Document, TellsNothingFromAnEmptyText) {
  EXPECT_EQ(read("[~, null, '', \"null\"]"), "1:1 [1:2 -;1:5 -;1:11 '';1:15 'null';]");
  EXPECT_EQ(read("a:\nb: 1"), "1:1 {a=1:1 -;b=2:4 '1';}");
}

TEST(Document, ReadsJson) {
  EXPECT_EQ(read("{\n\t\"a\": \"x\\/y\",\n\t\"b\": [1, true, null, \"\\u00e9\"]\n}\n"),
            "1:1 {a=2:7 'x/y';b=3:7 [3:8 '1';3:11 'true';3:17 -;3:23 '\xC3\xA9';];}");
}

TEST(Document, ReadsBlocksOfText) {
  EXPECT_EQ(read("a: |\n  x\n  y\nb: >\n  u\n  v\n"), "1:1 {a=1:4 'x\ny\n';b=4:4 'u v\n';}");
}

TEST(Document, ReadsWindowsLineEndsAndAByteOrderMark) {
  EXPECT_EQ(read("a: 1\r\nb: 2\r\n"), "1:1 {a=1:4 '1';b=2:4 '2';}");
  EXPECT_NE(read("\xEF\xBB\xBF"
                 "a: 1\n")
                .find("a="),
            std::string::npos);
}

TEST(Document, TakesAnEmptyTextAsNothing) {
  for (const std::string_view empty : {"", "\n\n", "# only a comment\n", "---\n"}) {
    Errors errors;
    const auto tree = parse(empty, errors);
    ASSERT_TRUE(tree) << empty;
    EXPECT_EQ(tree->kind, Node::Kind::kNull);
  }
}

TEST(Document, ReportsEveryDuplicateKeyWithBothPlacesAndKeepsTheFirst) {
  EXPECT_EQ(read("a: 1\nb: {c: 1, c: 2}\na: 3\n"),
            "error 2:11 the key \"c\" is here a second time; the first is on line 2, column 5\n"
            "error 3:1 the key \"a\" is here a second time; the first is on line 1, column 1\n");
  Errors errors;
  EXPECT_EQ(parse("a: 1\na: 3\n", errors)->find("a")->text, "1");
}

// Ten lines of aliases can stand for 10^10 values; none is ever followed.
TEST(Document, RefusesAliases) {
  std::string laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) laughs += ", " + before;
    laughs += "]\n";
  }
  EXPECT_EQ(read(laughs), "error 2:10 aliases (`*name`) are not read; write the value out");
  EXPECT_EQ(read("a: &x {k: 1}\nb: {<<: *x}"), "error 2:9 aliases (`*name`) are not read; write the value out");
}

TEST(Document, RefusesTags) {
  EXPECT_EQ(read("a: !!binary aGk="), "error 1:4 tags (`!name`) are not read; leave it out");
  EXPECT_EQ(read("a: !mine {k: 1}"), "error 1:4 tags (`!name`) are not read; leave it out");
  EXPECT_EQ(read("a: ! \"x\""), "error 1:4 tags (`!name`) are not read; leave it out");
}

TEST(Document, RefusesKeysThatAreNoText) {
  EXPECT_EQ(read("? [a, b]\n: 1"), "error 1:3 a key must be a plain text, not a list or a map");
  EXPECT_EQ(read("{~: 1}"), "error 1:2 a key is missing here; a key that is called null needs quotes");
}

TEST(Document, RefusesASecondDocument) {
  EXPECT_EQ(read("a: 1\n---\nb: 2\n"), "error 3:1 a second document begins (`---`); one file holds one");
}

TEST(Document, SaysWhereTheSyntaxEnds) {
  EXPECT_EQ(read("a: [1, 2\nb: 3\n").substr(0, 10), "error 2:2 ");
  EXPECT_EQ(read("a: 1\n\tb: 2\n").substr(0, 8), "error 2:");
}

// yaml-cpp would take the rest of the file as a part of the text.
TEST(Document, RefusesAQuoteThatIsNotClosed) {
  EXPECT_EQ(read("a: \"x\"\nb: \"open\nkeys: []\n"), "error 2:4 this quote is not closed");
  EXPECT_EQ(read("a: 'open\nkeys: []\n"), "error 1:4 this quote is not closed");
  EXPECT_EQ(read("a: 'it''s open\n"), "error 1:4 this quote is not closed");
  EXPECT_EQ(read("a: \"x").substr(0, 6), "error ");
  EXPECT_EQ(read("a: \"open\\\"\n"), "error 1:4 this quote is not closed");
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a: \"x\n"),
            "error 1:4 this quote is not closed");
  EXPECT_EQ(read("a: 'it''s closed'\nb: \"\\\"\""), "1:1 {a=1:4 'it's closed';b=2:4 '\"';}");
}

TEST(Document, RefusesBytesThatTheParserWouldMisread) {
  // 0x04 is the parser's own sign for the end: what follows would be left out in silence.
  EXPECT_EQ(read("a: 1\n\x04keys: []\n"), "error 2:1 the control character 0x04 is not allowed");
  EXPECT_EQ(read(std::string_view("a: \0b", 5)), "error 1:4 the control character 0x00 is not allowed");
  EXPECT_EQ(read("a: 1\nb: \xFF\n"), "error 2:1 this line is not UTF-8; save the file as UTF-8");
  EXPECT_EQ(read("\xFE\xFF").substr(0, 10), "error 1:1 ");
}

TEST(Document, NestsToItsLimitAndNotDeeper) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(read(nested(32)).substr(0, 4), "1:1 ");
  EXPECT_EQ(read(nested(33)), "error 1:33 lists and maps are nested deeper than 32");
  EXPECT_EQ(read(nested(100'000)), "error 1:33 lists and maps are nested deeper than 32");
}

TEST(Document, HoldsAsManyBytesAsItsLimit) {
  EXPECT_EQ(read("a: 1\n#xx", {.bytes = 8}), "1:1 {a=1:4 '1';}");
  EXPECT_EQ(read("a: 1\n#xxx", {.bytes = 8}), "error 0:0 the document has 9 bytes; 8 are allowed");
}

TEST(Document, HoldsAsManyValuesAsItsLimit) {
  EXPECT_EQ(read("{a: [1, 2]}", {.nodes = 5}), "1:1 {a=1:5 [1:6 '1';1:9 '2';];}");
  EXPECT_EQ(read("{a: [1, 2, 3]}", {.nodes = 5}), "error 1:12 the document has more than 5 values");
}

TEST(Errors, ComeInTheOrderOfTheSourceAndNotWithoutEnd) {
  Errors errors;
  for (std::uint32_t i = 0; i < kMaxErrors + 5; ++i) errors.add({1000 - i, 1}, "x");
  const auto all = errors.take();
  ASSERT_EQ(all.size(), kMaxErrors + 1);
  EXPECT_LT(all[0].position.line, all[1].position.line);
  EXPECT_EQ(all.back().message, "and 5 more");
  EXPECT_TRUE(errors.empty());
}

TEST(Describe, CutsLongTextsBetweenCharacters) {
  Node node;
  node.kind = Node::Kind::kScalar;
  node.text = std::string(39, 'x') + "\xC3\xA9" + "tail";
  EXPECT_EQ(describe(node), "\"" + std::string(39, 'x') + "...\"");
}

}  // namespace
}  // namespace thalweg::document
