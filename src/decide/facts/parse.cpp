// One file of facts: bytes -> tree -> entries. Everything is read even when something earlier is wrong, so that one run
// tells all errors.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <utility>

#include "base/document/document.h"
#include "base/document/section.h"
#include "base/text.h"
#include "decide/facts/facts.h"
#include "decide/facts/fields.h"

namespace thalweg::facts {
namespace {

using document::Errors;
using document::Node;
using document::Section;

constexpr std::array<std::string_view, kKindCount> kKindWords = {"prices", "models", "hardware",
                                                                 "grid",   "pue",    "energy"};
constexpr std::array<std::string_view, 3> kClassWords = {"p", "s", "b"};
constexpr std::array<std::string_view, 3> kFigureWords = {"published", "measured", "modelled"};
constexpr std::array<std::string_view, 1> kUnits = {"USD/Mtok"};
constexpr double kMaxCoefficient = 1e12;
constexpr int kFirstYear = 1990;

// Digits, or digits.digits; times 10^decimals. Empty where it is none, has more decimals than that, or is too large.
std::optional<std::uint64_t> read_decimal(std::string_view text, unsigned decimals) {
  const std::size_t point = text.find('.');
  std::string digits(text.substr(0, point));
  const std::string_view fraction = point == std::string_view::npos ? "" : text.substr(point + 1);
  if (digits.empty() || (point != std::string_view::npos && fraction.empty()) || fraction.size() > decimals)
    return std::nullopt;
  digits += fraction;
  digits.append(decimals - fraction.size(), '0');
  return document::read_integer(digits);
}

std::optional<Date> read_date(std::string_view text) {
  const auto part = [&](std::size_t at, std::size_t length) {
    return document::read_integer(text.substr(at, length)).value_or(0);
  };
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(part(0, 4))),
                                        std::chrono::month(static_cast<unsigned>(part(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(part(8, 2)))};
  if (!day.ok() || day.year() < std::chrono::year(kFirstYear)) return std::nullopt;
  return Date(day);
}

bool is_line(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most && is_valid_utf8(text) &&
         std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

std::string read_line(Section& section, std::string_view key, std::size_t most) {
  if (section.optional(key) == nullptr) return {};
  const bool one = section.is_text(key);
  std::string text = section.text(key, "");
  if (is_line(text, most)) return text;
  if (one) section.error(key, fmt::format("expected 1 to {} bytes on one line", most));
  return {};
}

std::optional<Date> read_day(Section& section, std::string_view key) {
  if (section.optional(key) == nullptr) return std::nullopt;
  const bool one = section.is_text(key);
  const std::string text = section.text(key, "");
  auto date = read_date(text);
  if (!date && one) section.error(key, fmt::format("expected a date like 2026-07-24, not \"{}\"", text.substr(0, 40)));
  return date;
}

// Digits, a point, and more digits than the field has decimals.
bool is_too_fine(std::string_view text, unsigned decimals) {
  const std::size_t point = text.find('.');
  return point != std::string_view::npos && point != 0 && text.size() - point - 1 > decimals &&
         text.find_first_not_of("0123456789.") == std::string_view::npos &&
         text.find('.', point + 1) == std::string_view::npos;
}

// `node` is the value of `key`.
Amount read_number(Section& section, std::string_view key, const Node& node, unsigned decimals,
                   document::Range<std::uint64_t> range) {
  const bool one = node.kind == Node::Kind::kScalar;
  const auto value = one ? read_decimal(node.text, decimals) : std::nullopt;
  if (value && *value >= range.least && *value <= range.most) return value;
  const std::string places = decimals == 0 ? " without decimals" : fmt::format(" with up to {} decimals", decimals);
  const bool finer_price = one && decimals == kPriceDecimals && is_too_fine(node.text, decimals);
  section.error(key, fmt::format("expected a number from {} to {}{}, not {}{}", show_decimal(range.least, decimals),
                                 show_decimal(range.most, decimals), places, describe(node),
                                 finer_price ? "; round it up and add `rounded: true`" : ""));
  return std::nullopt;
}

class Reader {
 public:
  explicit Reader(Errors& errors) : errors_(errors) {}

  Sheet read(const Node& tree) {
    Section top(tree, "", errors_);
    const Node* kind = top.required("facts", "it says of which kind the entries are, like prices");
    sheet_.kind = static_cast<Kind>(top.one_of("facts", 0, kKindWords));
    const bool known = kind != nullptr && std::ranges::find(kKindWords, kind->text) != kKindWords.end();
    if (known && sheet_.kind == Kind::kPrices) {
      top.required("unit", "prices are in USD/Mtok, dollars a million tokens");
      top.one_of("unit", 0, kUnits);
    } else if (!known) {
      top.optional("unit");
    }
    const Node* sources = top.required("sources", "every fact needs a source");
    const Node* entries = top.required("entries", "they are what the file is for");
    top.finish();
    if (sources != nullptr && is_filled(*sources, "sources", kMaxSources)) {
      for (const document::Member& member : sources->members) read_source(member);
    }
    if (entries != nullptr && known && is_filled(*entries, "entries", kMaxEntries)) read_entries(*entries);
    return std::move(sheet_);
  }

 private:
  bool is_filled(const Node& node, std::string_view path, std::size_t most) {
    if (node.kind != Node::Kind::kMap) {
      errors_.add(node.position, fmt::format("{} must be a map, not {}", path, describe(node)));
      return false;
    }
    if (node.members.empty()) errors_.add(node.position, fmt::format("{} is empty", path));
    if (node.members.size() > most)
      errors_.add(node.position, fmt::format("{} has {} entries; {} are allowed", path, node.members.size(), most));
    return !node.members.empty() && node.members.size() <= most;
  }

  static std::string path_of(std::string_view list, const document::Member& member) {
    return fmt::format("{}.{}", list, std::string_view(member.key).substr(0, 64));
  }

  void read_source(const document::Member& member) {
    Section section(member.value, path_of("sources", member), errors_);
    Source source;
    source.name = member.key;
    if (!is_line(member.key, kMaxName))
      errors_.add(member.key_position, fmt::format("a name has 1 to {} bytes on one line", kMaxName));
    section.required("title", "it says what the source is");
    source.title = read_line(section, "title", kMaxText);
    source.url = read_line(section, "url", kMaxText);
    section.required("licence", "it says who may use the figures");
    source.licence = read_line(section, "licence", kMaxText);
    section.required("class", "p (primary), s (secondary) or b (textbook, unverified)");
    source.source_class = static_cast<SourceClass>(section.one_of("class", 0, kClassWords));
    section.required("kind", "published, measured or modelled");
    source.kind = static_cast<FigureKind>(section.one_of("kind", 0, kFigureWords) + 1);
    if (source.kind == FigureKind::kModelled) section.required("model", "a modelled figure names its model");
    source.model = read_line(section, "model", kMaxModelName);
    if (source.kind != FigureKind::kModelled && !source.model.empty())
      section.error("model",
                    fmt::format("only a modelled figure has a model; the kind here is {}", name_of(source.kind)));
    section.required("as_of", "it says when it was so");
    source.as_of = read_day(section, "as_of").value_or(Date{});
    source.made_by = read_line(section, "made_by", kMaxText);
    if (sheet_.kind == Kind::kGrid) source.basis = read_basis(section);
    section.finish();
    sheet_.sources.push_back(std::move(source));
  }

  Basis read_basis(Section& source) {
    const Node* node = source.required("basis", "signal, scope, boundary and state of the intensity");
    if (node == nullptr) return {};
    Section section(*node, source.path_of("basis"), errors_);
    const auto word = [&](std::string_view key, std::array<std::string_view, 2> words) {
      if (node->kind == Node::Kind::kMap) section.required(key, fmt::format("{} or {}", words[0], words[1]));
      return section.one_of(key, 0, words) == 0;
    };
    Basis basis;
    if (!word("signal", {"average", "marginal"})) basis.signal = Basis::Signal::kMarginal;
    if (!word("scope", {"life-cycle", "direct"})) basis.scope = Basis::Scope::kDirect;
    if (!word("boundary", {"production", "consumption"})) basis.boundary = Basis::Boundary::kConsumption;
    if (!word("state", {"final", "estimated"})) basis.state = Basis::State::kEstimated;
    section.finish();
    return basis;
  }

  void read_entries(const Node& entries) {
    for (const document::Member& member : entries.members) {
      switch (sheet_.kind) {
        case Kind::kPrices:
          sheet_.prices.push_back(read_entry<Price>(member));
          break;
        case Kind::kModels:
          sheet_.models.push_back(read_entry<ModelSize>(member));
          break;
        case Kind::kHardware:
          sheet_.hardware.push_back(read_entry<Hardware>(member));
          break;
        case Kind::kGrid:
          sheet_.grid.push_back(read_entry<Grid>(member));
          break;
        case Kind::kPue:
          sheet_.pue.push_back(read_entry<Pue>(member));
          break;
        case Kind::kEnergy:
          sheet_.energy.push_back(read_entry<EnergyModel>(member));
          break;
      }
    }
  }

  template <class E>
  E read_entry(const document::Member& member) {
    E entry;
    entry.name = member.key;
    entry.position = member.key_position;
    if (!is_line(member.key, kMaxName))
      errors_.add(member.key_position, fmt::format("a name has 1 to {} bytes on one line", kMaxName));
    claim(member.key, member.key_position);
    Section section(member.value, path_of("entries", member), errors_);
    read_about(section, entry);
    if constexpr (E::kKind == Kind::kModels || E::kKind == Kind::kHardware) read_other_names(section, entry);
    read_values(section, entry);
    read_more(section, entry);
    section.finish();
    return entry;
  }

  void read_about(Section& section, Entry& entry) {
    std::vector<std::string_view> names;
    for (const Source& source : sheet_.sources) names.push_back(source.name);
    if (names.size() > 1) section.required("source", "the file has several; name one");
    if (!names.empty()) entry.source = static_cast<std::uint32_t>(section.one_of("source", 0, names));
    const auto own = read_day(section, "as_of");
    if (!names.empty()) entry.as_of = own.value_or(sheet_.sources[entry.source].as_of);
    entry.until = read_day(section, "until");
    if (entry.until && *entry.until < entry.as_of)
      section.error("until",
                    fmt::format("{} is before {}, when it was so", show_date(*entry.until), show_date(entry.as_of)));
    entry.note = read_line(section, "note", kMaxText);
  }

  void read_other_names(Section& section, Entry& entry) {
    for (Section::Word& word : section.texts("also", kMaxOtherNames)) {
      if (!is_line(word.text, kMaxName))
        errors_.add(word.position, fmt::format("a name has 1 to {} bytes on one line", kMaxName));
      if (claim(word.text, word.position)) entry.also.push_back(std::move(word.text));
    }
  }

  // Two entries of one file never share a name.
  bool claim(const std::string& name, Position position) {
    const auto [known, is_new] = names_.emplace(name, position);
    if (!is_new) {
      errors_.add(position, fmt::format("the name \"{}\" is here a second time; the first is on line {}, column {}",
                                        name.substr(0, 64), known->second.line, known->second.column));
    }
    return is_new;
  }

  template <class E>
  void read_values(Section& section, E& entry) {
    std::size_t count = 0;
    const Node* above = nullptr;
    if constexpr (E::kKind == Kind::kPrices) above = section.optional(kAbove);
    std::optional<Section> inner;
    if (above != nullptr) inner.emplace(*above, section.path_of(kAbove), errors_);
    for (const Field<E>& field : kFields<E>) {
      const bool nested = field.key.find('.') != std::string_view::npos;
      if (nested && !inner) continue;
      Section& where = nested ? *inner : section;
      const std::string_view key = nested ? field.key.substr(field.key.find('.') + 1) : field.key;
      const Node* node = where.optional(key);
      if (node == nullptr) continue;
      ++count;
      std::visit([&](const auto member) { read_into(entry.*member, where, key, *node, field); }, field.member);
    }
    if (inner) inner->finish();
    if (count == 0 && E::kKind != Kind::kEnergy && E::kKind != Kind::kGrid)
      section.required(kFields<E>.front().key, "an entry says something");
  }

  template <class E>
  static void read_into(Amount& amount, Section& section, std::string_view key, const Node& node,
                        const Field<E>& field) {
    amount = read_number(section, key, node, field.decimals, {field.least, field.most});
  }

  template <class E>
  void read_into(Spread& spread, Section& section, std::string_view key, const Node& node, const Field<E>& field) {
    const document::Range<std::uint64_t> range{field.least, field.most};
    if (node.kind != Node::Kind::kMap) {
      if (const Amount one = read_number(section, key, node, field.decimals, range)) spread = Span{*one, *one};
      return;
    }
    Section inner(node, section.path_of(key), errors_);
    const Node* least = inner.required("min", "a range has both ends");
    const Node* most = inner.required("max", "a range has both ends");
    inner.finish();
    if (least == nullptr || most == nullptr) return;
    const Amount low = read_number(inner, "min", *least, field.decimals, range);
    const Amount high = read_number(inner, "max", *most, field.decimals, range);
    if (!low || !high) return;
    if (*low > *high) inner.error("min", "it is greater than max");
    spread = Span{*low, *high};
  }

  template <class E>
  static void read_more(Section&, E&) {}

  static void read_more(Section& section, Price& price) {
    price.rounded = section.boolean("rounded", false);
    const Node* above = section.optional(kAbove);
    if (above == nullptr || above->kind != Node::Kind::kMap) return;
    if (!price.above_tokens) section.error(kAbove, "it needs input_tokens: from which prompt on its prices hold");
    if (!price.above_input && !price.above_output && !price.above_cached_input && !price.above_cache_write &&
        !price.above_cache_write_1h)
      section.error(kAbove, "it has no price");
  }

  static void read_more(Section& section, ModelSize& model) {
    const Spread& total = model.total_parameters;
    const Spread& active = model.active_parameters;
    if (total && active && (active->least > total->least || active->most > total->most))
      section.error("active_billion", "more parameters are active than there are");
  }

  void read_more(Section& section, Grid& grid) {
    const Node* node = section.optional(kProfile);
    if (node == nullptr) {
      section.required("g_per_kwh", "an entry says something");
      return;
    }
    const auto rows = [](const Node& list, std::size_t count) {
      return list.kind == Node::Kind::kList && list.items.size() == count;
    };
    if (!rows(*node, Grid::kMonths) ||
        !std::ranges::all_of(node->items, [&](const Node& month) { return rows(month, Grid::kHours); })) {
      section.error(kProfile, fmt::format("expected {} lists, January first, of {} numbers, one for each hour of UTC",
                                          Grid::kMonths, Grid::kHours));
      return;
    }
    for (const Node& month : node->items) {
      for (const Node& hour : month.items) grid.profile.push_back(read_cell(section, hour));
    }
  }

  std::uint32_t read_cell(const Section& section, const Node& node) {
    const auto value = node.kind == Node::Kind::kScalar ? read_decimal(node.text, kIntensityDecimals) : std::nullopt;
    if (value && *value <= kMaxMilligramsPerKwh) return static_cast<std::uint32_t>(*value);
    errors_.add(
        node.position,
        fmt::format("{}: expected a number from 0 to {} with up to {} decimals, not {}", section.path_of(kProfile),
                    show_decimal(kMaxMilligramsPerKwh, kIntensityDecimals), kIntensityDecimals, describe(node)));
    return 0;
  }

  static void read_more(Section& section, EnergyModel& model) {
    for (const Coefficient<EnergyModel>& coefficient : kCoefficients<EnergyModel>) {
      if (section.required(coefficient.key, "a model is used whole") == nullptr) continue;
      const bool may_be_negative = coefficient.member == &EnergyModel::gpu_energy_beta;
      const std::string text = section.text(coefficient.key, "");
      double value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      const bool right = error == std::errc{} && end == text.data() + text.size() && std::isfinite(value) &&
                         std::abs(value) <= kMaxCoefficient && (may_be_negative || value > 0);
      if (right) {
        model.*coefficient.member = value;
      } else if (section.is_text(coefficient.key)) {
        section.error(coefficient.key, fmt::format("expected a {}number like 1.5e-6, not \"{}\"",
                                                   may_be_negative ? "" : "positive ", text.substr(0, 40)));
      }
    }
  }

  Errors& errors_;
  Sheet sheet_;
  std::unordered_map<std::string, Position> names_;
};

}  // namespace

std::expected<Sheet, std::vector<Error>> parse(std::string_view bytes) {
  Errors errors;
  const auto tree = document::parse(bytes, errors);
  if (!tree) return std::unexpected(std::vector<Error>{tree.error()});
  if (tree->kind != Node::Kind::kMap) {
    // Not a word of it is repeated: a path that is off by one may lead to a key.
    return std::unexpected(std::vector<Error>{
        {ErrorCode::kConfig,
         "this is no file of facts; it needs `facts`, `sources` and `entries`, see docs/formats/facts.md",
         {1, 1}}});
  }
  Sheet sheet = Reader(errors).read(*tree);
  if (!errors.empty()) return std::unexpected(errors.take());
  return sheet;
}

}  // namespace thalweg::facts
