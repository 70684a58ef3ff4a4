// Entries of all kinds as one kind of row, for tables and JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/facts/facts.h"

namespace thalweg::cli {

struct FactValue {
  std::string key;                 // "input", "above.input"
  std::string text;                // "2.5", "44 to 132"; empty: cells
  std::string unit;                // " USD/Mtok", to be put behind the text
  std::vector<std::string> cells;  // a profile, a text a month
  std::string least, most;         // as numbers
};

struct FactRow {
  facts::Kind kind = facts::Kind::kPrices;
  std::string name;
  std::vector<std::string> also;
  std::vector<FactValue> values;
  const facts::Source* source = nullptr;  // of the facts, which outlive the row
  std::string basis;                      // of the grid, its four words
  facts::Date as_of{};
  std::optional<facts::Date> until;
  std::string note;
  bool overrides = false;
  bool rounded = false;
  facts::Age age = facts::Age::kFresh;
};

/// Every entry, by kind and name.
std::vector<FactRow> rows_of(const facts::Facts& facts, facts::Date today);

/// docs/formats/facts.md has its shape.
nlohmann::ordered_json json_of(const FactRow& row);

}  // namespace thalweg::cli
