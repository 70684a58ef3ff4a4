#include "show/cli/facts_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "decide/facts/fields.h"

namespace thalweg::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string unit_of(const facts::Price*, const facts::Field<facts::Price>& field) {
  return field.decimals == facts::kPriceDecimals ? " USD/Mtok" : "";
}
template <class E>
std::string unit_of(const E*, const facts::Field<E>&) {
  return "";  // the keys of other kinds end in theirs
}

void add(std::vector<FactValue>& values, FactValue value, const facts::Amount& amount, unsigned decimals) {
  if (!amount) return;
  value.text = value.least = value.most = facts::show_decimal(*amount, decimals);
  values.push_back(std::move(value));
}
void add(std::vector<FactValue>& values, FactValue value, const facts::Spread& spread, unsigned decimals) {
  if (!spread) return;
  value.least = facts::show_decimal(spread->least, decimals);
  value.most = facts::show_decimal(spread->most, decimals);
  value.text = value.least == value.most ? value.least : fmt::format("{} to {}", value.least, value.most);
  values.push_back(std::move(value));
}

template <class E>
void add_more(FactRow&, const E&) {}
void add_more(FactRow& row, const facts::Price& price) {
  row.rounded = price.rounded;
}
void add_more(FactRow& row, const facts::Grid& grid) {
  row.basis = fmt::format("{}", fmt::join(words_of(row.source->basis), ", "));
  if (grid.profile.empty()) return;
  FactValue profile{.key = std::string(facts::kProfile), .text = {}, .unit = {}, .cells = {}, .least = {}, .most = {}};
  for (std::size_t month = 0; month < facts::Grid::kMonths; ++month) {
    std::string cells;
    for (std::size_t hour = 0; hour < facts::Grid::kHours; ++hour) {
      cells +=
          fmt::format("{}{}", hour == 0 ? "" : " ",
                      facts::show_decimal(grid.profile[month * facts::Grid::kHours + hour], facts::kIntensityDecimals));
    }
    profile.cells.push_back(std::move(cells));
  }
  row.values.push_back(std::move(profile));
}

template <class E>
FactRow row_of(const facts::Facts& facts, const E& entry, facts::Date today) {
  FactRow row;
  row.kind = E::kKind;
  row.name = entry.name;
  row.also = entry.also;
  row.source = &facts.source_of(entry);
  row.as_of = entry.as_of;
  row.until = entry.until;
  row.note = entry.note;
  row.overrides = entry.overrides;
  row.age = age_of(entry, E::kKind, today);
  for (const facts::Field<E>& field : facts::kFields<E>) {
    FactValue value{.key = std::string(field.key),
                    .text = {},
                    .unit = unit_of(&entry, field),
                    .cells = {},
                    .least = {},
                    .most = {}};
    std::visit([&](const auto member) { add(row.values, std::move(value), entry.*member, field.decimals); },
               field.member);
  }
  for (const facts::Coefficient<E>& coefficient : facts::kCoefficients<E>) {
    const std::string text = fmt::format("{}", entry.*coefficient.member);
    row.values.push_back(
        {.key = std::string(coefficient.key), .text = text, .unit = {}, .cells = {}, .least = text, .most = text});
  }
  add_more(row, entry);
  return row;
}

// Decimal text is JSON's number already.
Json number(const std::string& text) {
  return Json::parse(text);
}

Json json_of(const FactValue& value) {
  if (!value.cells.empty()) {
    Json months = Json::array();
    for (const std::string& cells : value.cells) {
      std::string list = cells;
      std::ranges::replace(list, ' ', ',');
      months.push_back(Json::parse("[" + list + "]"));
    }
    return months;
  }
  if (value.least == value.most) return number(value.least);
  return {{"min", number(value.least)}, {"max", number(value.most)}};
}

}  // namespace

std::vector<FactRow> rows_of(const facts::Facts& facts, facts::Date today) {
  std::vector<FactRow> rows;
  for_each_table(facts, [&](const auto& table) {
    for (const auto& entry : table.entries()) rows.push_back(row_of(facts, entry, today));
  });
  return rows;
}

nlohmann::ordered_json json_of(const FactRow& row) {
  Json values = Json::object();
  for (const FactValue& value : row.values) {
    const std::size_t point = value.key.find('.');
    if (point == std::string::npos) {
      values[value.key] = json_of(value);
    } else {
      values[value.key.substr(0, point)][value.key.substr(point + 1)] = json_of(value);
    }
  }
  const facts::Source& source = *row.source;
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json about = {{"title", source.title},
                {"url", text_or_null(source.url)},
                {"licence", source.licence},
                {"made_by", text_or_null(source.made_by)}};
  Json json = {{"kind", name_of(row.kind)}, {"name", row.name}, {"also", row.also}, {"values", std::move(values)}};
  if (row.rounded) json["rounded"] = true;
  if (!row.basis.empty()) json["basis"] = words_of(source.basis);
  json.update({{"figure", name_of(source.kind)},
               {"model", text_or_null(source.model)},
               {"class", name_of(source.source_class)},
               {"as_of", facts::show_date(row.as_of)},
               {"until", row.until ? Json(facts::show_date(*row.until)) : Json()},
               {"age", name_of(row.age)},
               {"override", row.overrides},
               {"note", text_or_null(row.note)},
               {"source", std::move(about)}});
  return json;
}

}  // namespace thalweg::cli
