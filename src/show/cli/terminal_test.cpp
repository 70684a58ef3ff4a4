#include "show/cli/terminal.h"

#include <gtest/gtest.h>

#include <string>

namespace thalweg::cli {
namespace {

TEST(Terminal, IsShownNoControlsButNewlineAndTab) {
  EXPECT_EQ(without_controls("a\033]0;PWNED\007b"), "a]0;PWNEDb");
  EXPECT_EQ(without_controls("one\ttwo\nthree\r\x7f"), "one\ttwo\nthree");
  EXPECT_EQ(without_controls(std::string("nul\0l", 5)), "null");
  EXPECT_EQ(without_controls("\033"), "");
  EXPECT_EQ(without_controls("\xC2\x9B"
                             "2J"
                             "\xC2\x80"
                             "x\xC2\x9F"),
            "2Jx");
}

TEST(Terminal, IsShownAllOtherCharacters) {
  // U+00A0 is the first after C1; U+015B and U+4E9B end in bytes that C1 controls end in.
  const std::string text = "\xC2\xA0 \xC3\xA9 \xC5\x9B \xE4\xBA\x9B \xF0\x9F\x8C\x8A ~";
  EXPECT_EQ(without_controls(text), text);
}

}  // namespace
}  // namespace thalweg::cli
