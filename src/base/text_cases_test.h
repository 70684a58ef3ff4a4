// Text cases: files of inputs with the outputs that they must give, for whatever is text in and text out. A file is
//
//   what stands before the first case says what the file is about
//   ==== a sentence
//   input
//   ----
//   output
//
// THALWEG_UPDATE_TESTS=1 writes the outputs anew, to be read before they are committed.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace thalweg {

struct TextCase {
  std::string name, input, expected;
};

// The lines before the first case, and the cases.
inline std::pair<std::string, std::vector<TextCase>> read_text_cases(const std::filesystem::path& file) {
  std::ifstream lines(file, std::ios::binary);
  std::string head;
  std::vector<TextCase> cases;
  bool in_input = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("==== ")) {
      cases.push_back({.name = line.substr(5), .input = {}, .expected = {}});
      in_input = true;
    } else if (cases.empty()) {
      head += line + "\n";
    } else if (line == "----" && in_input) {
      in_input = false;
    } else {
      (in_input ? cases.back().input : cases.back().expected) += line + "\n";
    }
  }
  return {head, cases};
}

// Every case of every .test file of the folder, by `outcome(input)`. Returns how many there were.
template <class Outcome>
std::size_t run_text_cases(const std::filesystem::path& folder, const Outcome& outcome) {
  const bool update = std::getenv("THALWEG_UPDATE_TESTS") != nullptr;
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".test") continue;
    const auto [head, cases] = read_text_cases(entry.path());
    std::string rewritten = head;
    for (const TextCase& test : cases) {
      ++count;
      const std::string told = outcome(test.input);
      rewritten += "==== " + test.name + "\n" + test.input + "----\n" + told;
      if (&test != &cases.back()) rewritten += "\n";
      const std::string expected = test.expected.substr(0, test.expected.find_last_not_of('\n') + 1) + "\n";
      if (!update) {
        EXPECT_EQ(told, expected) << entry.path().filename() << ": " << test.name << "\n" << test.input;
      }
    }
    if (update) std::ofstream(entry.path(), std::ios::binary) << rewritten;
  }
  return count;
}

}  // namespace thalweg
