#include "decide/facts/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <compare>
#include <ranges>
#include <unordered_map>
#include <utility>

#include "base/canonical.h"
#include "decide/facts/fields.h"

namespace thalweg::facts {
namespace {

constexpr std::array<std::string_view, kKindCount> kKinds = {"prices", "models", "hardware", "grid", "pue", "energy"};
static_assert(static_cast<std::size_t>(Kind::kEnergy) + 1 == kKinds.size());

// `text` beside provider + '/' + model, without making the latter.
std::strong_ordering compare(std::string_view text, std::string_view provider, std::string_view model) {
  const auto head = text.substr(0, provider.size()) <=> provider;
  if (head != 0) return head;
  text.remove_prefix(provider.size());
  if (text.empty()) return std::strong_ordering::less;
  if (text.front() != '/') return static_cast<unsigned char>(text.front()) <=> static_cast<unsigned char>('/');
  return text.substr(1) <=> model;
}

void write(CanonicalBytes& bytes, const Basis& basis) {
  for (const std::string_view word : words_of(basis)) bytes.text(word);
}

void write(CanonicalBytes& bytes, const Source& source) {
  bytes.text(source.title);
  bytes.text(source.url);
  bytes.text(source.licence);
  bytes.text(source.model);
  bytes.number(static_cast<std::uint64_t>(source.source_class));
  bytes.number(static_cast<std::uint64_t>(source.kind));
  write(bytes, source.basis);
}

void write(CanonicalBytes& bytes, const Amount& amount) {
  bytes.number(amount ? 1 : 0);
  bytes.number(amount.value_or(0));
}

void write(CanonicalBytes& bytes, const Spread& spread) {
  bytes.number(spread ? 1 : 0);
  bytes.number(spread ? spread->least : 0);
  bytes.number(spread ? spread->most : 0);
}

void write(CanonicalBytes& bytes, Date date) {
  bytes.number(static_cast<std::uint64_t>(date.time_since_epoch().count()));
}

// What is not in the tables of fields.
template <class E>
void write_more(CanonicalBytes&, const E&) {}
void write_more(CanonicalBytes& bytes, const Price& price) {
  bytes.number(price.rounded ? 1 : 0);
}
void write_more(CanonicalBytes& bytes, const Grid& grid) {
  bytes.number(grid.profile.size());
  for (const std::uint32_t cell : grid.profile) bytes.number(cell);
}

template <class E>
void write(CanonicalBytes& bytes, const E& entry, const Source& source) {
  bytes.text(entry.name);
  bytes.number(entry.also.size());
  for (const std::string& name : entry.also) bytes.text(name);
  write(bytes, source);
  write(bytes, entry.as_of);
  bytes.number(entry.until ? 1 : 0);
  write(bytes, entry.until.value_or(Date{}));
  bytes.text(entry.note);
  for (const Field<E>& field : kFields<E>) {
    std::visit([&](const auto member) { write(bytes, entry.*member); }, field.member);
  }
  for (const Coefficient<E>& coefficient : kCoefficients<E>)
    bytes.number(std::bit_cast<std::uint64_t>(entry.*coefficient.member));
  write_more(bytes, entry);
}

Sha256 hash_of(const Facts& facts) {
  CanonicalBytes bytes;
  bytes.text("thalweg facts 1");
  for_each_table(facts, [&](const auto& table) {
    bytes.number(table.entries().size());
    for (const auto& entry : table.entries()) write(bytes, entry, facts.source_of(entry));
  });
  return bytes.hash();
}

// What merging knows of one kind: the entries taken, and who has each name.
template <class E>
class Merge {
 public:
  explicit Merge(std::vector<Error>& errors) : errors_(errors) {}

  // Sheets come in the order of their weight; a name that one has is not given to the next.
  void take(const Sheet& sheet, const std::vector<E>& entries, std::size_t first_source, bool overrides) {
    for (const E& entry : entries) {
      if (!take_name(entry, entry.name, sheet, overrides)) continue;
      E& taken = taken_.emplace_back(entry);
      taken.source += static_cast<std::uint32_t>(first_source);
      taken.overrides = overrides;
      std::erase_if(taken.also, [&](const std::string& name) { return !take_name(entry, name, sheet, overrides); });
    }
  }
  Table<E> table() { return Table<E>(std::move(taken_)); }

 private:
  struct Owner {
    const Sheet* sheet;
    bool overrides;
  };

  bool take_name(const E& entry, const std::string& name, const Sheet& sheet, bool overrides) {
    const auto [owner, is_new] = owners_.try_emplace(name, Owner{&sheet, overrides});
    if (!is_new && !overrides && !owner->second.overrides) {
      errors_.push_back({ErrorCode::kConfig,
                         fmt::format("{}: \"{}\" is in {} already; one of the two must go, or become an override",
                                     sheet.file, name, owner->second.sheet->file),
                         entry.position});
    }
    return is_new;
  }

  std::vector<Error>& errors_;
  std::vector<E> taken_;
  std::unordered_map<std::string, Owner> owners_;
};

Figure figure_of(const Entry& entry, const Source& source, Amount value) {
  if (!value) return {};
  return {.value = value, .kind = source.kind, .as_of = entry.as_of, .model = source.model};
}

}  // namespace

std::string_view name_of(Kind kind) {
  return kKinds[static_cast<std::size_t>(kind)];
}

std::string_view name_of(FigureKind kind) {
  static constexpr std::array<std::string_view, 4> kNames = {"unknown", "published", "measured", "modelled"};
  static_assert(static_cast<std::size_t>(FigureKind::kModelled) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(SourceClass source_class) {
  static constexpr std::array<std::string_view, 3> kNames = {"p", "s", "b"};
  static_assert(static_cast<std::size_t>(SourceClass::kUnverified) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(source_class)];
}

std::string_view name_of(Age age) {
  static constexpr std::array<std::string_view, 4> kNames = {"fresh", "stale", "expired", "future"};
  static_assert(static_cast<std::size_t>(Age::kFuture) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(age)];
}

std::array<std::string_view, 4> words_of(const Basis& basis) {
  return {basis.signal == Basis::Signal::kAverage ? "average" : "marginal",
          basis.scope == Basis::Scope::kLifeCycle ? "life-cycle" : "direct",
          basis.boundary == Basis::Boundary::kProduction ? "production" : "consumption",
          basis.state == Basis::State::kFinal ? "final" : "estimated"};
}

std::string show_date(Date date) {
  const std::chrono::year_month_day day(date);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                     static_cast<unsigned>(day.day()));
}

std::string show_decimal(std::uint64_t value, unsigned decimals) {
  std::string text = fmt::format("{:0{}}", value, decimals + 1);
  if (decimals == 0) return text;
  text.insert(text.size() - decimals, 1, '.');
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

template <class E>
Table<E>::Table(std::vector<E> entries) : entries_(std::move(entries)) {
  std::ranges::sort(entries_, {}, &E::name);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    names_.push_back({entries_[i].name, i});
    for (const std::string& name : entries_[i].also) names_.push_back({name, i});
  }
  std::ranges::sort(names_, {}, &Name::text);
  THALWEG_CHECK(std::ranges::adjacent_find(names_, {}, &Name::text) == names_.end());
}

template <class E>
const E* Table<E>::find(std::string_view name) const {
  const auto found =
      std::ranges::lower_bound(names_, name, {}, [](const Name& n) -> std::string_view { return n.text; });
  return found == names_.end() || found->text != name ? nullptr : &entries_[found->entry];
}

template <class E>
const E* Table<E>::find(std::string_view provider, std::string_view model) const {
  const auto found = std::partition_point(names_.begin(), names_.end(),
                                          [&](const Name& n) { return compare(n.text, provider, model) < 0; });
  return found == names_.end() || compare(found->text, provider, model) != 0 ? nullptr : &entries_[found->entry];
}

template class Table<Price>;
template class Table<ModelSize>;
template class Table<Hardware>;
template class Table<Grid>;
template class Table<Pue>;
template class Table<EnergyModel>;

Figure Facts::figure(const Entry* entry, Amount value) const {
  return entry == nullptr ? Figure{} : figure_of(*entry, source_of(*entry), value);
}

Intensity Facts::intensity(std::string_view zone, std::string_view country, UtcTime when) const {
  const Grid* found = zone.empty() ? nullptr : grid.find(zone);
  if (found == nullptr && !country.empty()) found = grid.find(country);
  if (found == nullptr) return {};
  const bool hourly = !found->profile.empty();
  Amount value = found->year;
  if (hourly) {
    const auto days = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day day(Date(days.time_since_epoch()));
    const auto hour = std::chrono::floor<std::chrono::hours>(when - days).count();
    value = found->profile[(static_cast<unsigned>(day.month()) - 1) * Grid::kHours + static_cast<std::size_t>(hour)];
  }
  return {figure(found, value), source_of(*found).basis, hourly};
}

Intensity Facts::ranking_intensity(std::string_view zone, std::string_view country, UtcTime when) const {
  const Intensity found = intensity(zone, country, when);
  return found.basis.ranks() ? found : Intensity{};
}

std::expected<Facts, std::vector<Error>> merge(std::span<const Sheet> catalogue, std::span<const Sheet> overrides) {
  std::vector<Error> errors;
  Facts facts;
  Merge<Price> prices(errors);
  Merge<ModelSize> models(errors);
  Merge<Hardware> hardware(errors);
  Merge<Grid> grid(errors);
  Merge<Pue> pue(errors);
  Merge<EnergyModel> energy(errors);
  const auto take = [&](const Sheet& sheet, bool of_the_user) {
    const std::size_t first = facts.sources.size();
    facts.sources.insert(facts.sources.end(), sheet.sources.begin(), sheet.sources.end());
    prices.take(sheet, sheet.prices, first, of_the_user);
    models.take(sheet, sheet.models, first, of_the_user);
    hardware.take(sheet, sheet.hardware, first, of_the_user);
    grid.take(sheet, sheet.grid, first, of_the_user);
    pue.take(sheet, sheet.pue, first, of_the_user);
    energy.take(sheet, sheet.energy, first, of_the_user);
  };
  for (const Sheet& sheet : std::views::reverse(overrides)) take(sheet, true);
  for (const Sheet& sheet : catalogue) take(sheet, false);
  if (!errors.empty()) return std::unexpected(std::move(errors));
  facts.prices = prices.table();
  facts.models = models.table();
  facts.hardware = hardware.table();
  facts.grid = grid.table();
  facts.pue = pue.table();
  facts.energy = energy.table();
  facts.hash = hash_of(facts);
  return facts;
}

std::chrono::days stale_after(Kind kind) {
  using std::chrono::days;
  static constexpr std::array<days, kKindCount> kLimits = {days(180), days(365), days(1826),
                                                           days(730), days(730), days(365)};
  return kLimits[static_cast<std::size_t>(kind)];
}

Age age_of(const Entry& entry, Kind kind, Date today) {
  if (entry.as_of > today) return Age::kFuture;
  if (entry.until && *entry.until < today) return Age::kExpired;
  return today - entry.as_of > stale_after(kind) ? Age::kStale : Age::kFresh;
}

}  // namespace thalweg::facts
