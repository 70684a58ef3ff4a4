// Ollama's Modelfile: lines of INSTRUCTION and arguments, texts in quotes or over several lines in triple quotes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thalweg::cli {

struct ModelfileLine {
  std::string instruction;  // in capitals
  std::string argument;     // without its quotes
  Position position;
};

/// kConfig with the line: a quote that is not closed, a line without an argument, bytes that are no text.
Result<std::vector<ModelfileLine>> read_modelfile(std::string_view bytes);

}  // namespace thalweg::cli
