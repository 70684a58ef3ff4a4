// The dated, sourced catalogue of facts that decisions and receipts may use: one immutable, numbered, hashed snapshot.
// What is not known is absent, never zero. All values that `place()` may read are integers; docs/formats/facts.md is
// the contract of the files.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"

namespace thalweg::facts {

enum class Kind : std::uint8_t { kPrices, kModels, kHardware, kGrid, kPue, kEnergy };
inline constexpr std::size_t kKindCount = 6;
std::string_view name_of(Kind kind);

/// A day in UTC.
using Date = std::chrono::sys_days;
/// "2026-07-24".
std::string show_date(Date date);

/// How a figure came about. Every figure that leaves the program carries it.
enum class FigureKind : std::uint8_t {
  kUnknown,
  kPublished,  // what a maker or seller states: a list price, a data sheet
  kMeasured,
  kModelled,  // by the model that the source names
};
std::string_view name_of(FigureKind kind);

/// How near a source is to whoever knows: the letters p, s and b of the format.
enum class SourceClass : std::uint8_t { kPrimary, kSecondary, kUnverified };
std::string_view name_of(SourceClass source_class);

/// What kind of signal a grid's intensity is. Average and marginal can rank regions in opposite order.
struct Basis {
  enum class Signal : std::uint8_t { kAverage, kMarginal } signal = Signal::kAverage;
  enum class Scope : std::uint8_t { kLifeCycle, kDirect } scope = Scope::kLifeCycle;
  enum class Boundary : std::uint8_t { kProduction, kConsumption } boundary = Boundary::kProduction;
  enum class State : std::uint8_t { kFinal, kEstimated } state = State::kFinal;
  /// Places are compared by one basis only: average, life-cycle, production.
  constexpr bool ranks() const {
    return signal == Signal::kAverage && scope == Scope::kLifeCycle && boundary == Boundary::kProduction;
  }
  friend bool operator==(const Basis&, const Basis&) = default;
};
/// Its four words, "average", "life-cycle", "production", "final".
std::array<std::string_view, 4> words_of(const Basis& basis);

struct Source {
  std::string name;  // within its file
  std::string title;
  std::string url;  // empty: none
  std::string licence;
  std::string model;    // of kModelled
  std::string made_by;  // empty: by hand
  SourceClass source_class = SourceClass::kUnverified;
  FigureKind kind = FigureKind::kPublished;
  Date as_of{};
  Basis basis;  // of the grid
};

/// What every entry has.
struct Entry {
  std::string name;
  std::vector<std::string> also;  // other names of the same
  std::uint32_t source = 0;       // into the sources of the sheet, then of the facts
  Date as_of{};
  std::optional<Date> until;  // the last day on which it holds
  std::string note;
  bool overrides = false;  // a file of the user's says so
  Position position;       // in its file
};

/// Absent: unknown.
using Amount = std::optional<std::uint64_t>;
struct Span {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  friend bool operator==(const Span&, const Span&) = default;
};
/// One value (least == most) or a range; limits are held by its upper end.
using Spread = std::optional<Span>;

/// Of a hosted model, called PROVIDER/MODEL. Picodollars a token.
struct Price : Entry {
  static constexpr Kind kKind = Kind::kPrices;
  Amount input, output, cached_input, cache_write, cache_write_1h, batch_input, batch_output, reasoning;
  // Of all tokens of a request whose prompt has more than `above_tokens`.
  Amount above_tokens, above_input, above_output, above_cached_input, above_cache_write, above_cache_write_1h;
  Amount max_input_tokens, max_output_tokens;
  bool rounded = false;  // up to a picodollar
};

struct ModelSize : Entry {
  static constexpr Kind kKind = Kind::kModels;
  Spread total_parameters, active_parameters;
  Amount context_tokens, layers;
  Amount kv_bytes_per_token;  // at 16 bits
};

/// Of one device.
struct Hardware : Entry {
  static constexpr Kind kKind = Kind::kHardware;
  Amount memory_bytes;
  Amount bandwidth_mb_s;                       // 10^6 bytes a second
  Amount bf16_gflops, fp8_gflops, fp4_gflops;  // dense, 10^9 operations a second
  Amount power_mw;                             // thermal design power
};

/// Of a country or a zone. Milligrams of CO2e a kWh.
struct Grid : Entry {
  static constexpr Kind kKind = Kind::kGrid;
  static constexpr std::size_t kMonths = 12, kHours = 24;
  Amount year;
  std::vector<std::uint32_t> profile;  // empty, or kMonths x kHours: January first, hours of UTC
};

struct Pue : Entry {
  static constexpr Kind kKind = Kind::kPue;
  Spread pue_thousandths;
  Spread wue_ml_per_kwh;
};

/// Coefficients of a published model of a request's energy; `serving::energy_per_token` is the model. Read when the
/// facts are loaded, never inside `place()`.
struct EnergyModel : Entry {
  static constexpr Kind kKind = Kind::kEnergy;
  double gpu_energy_alpha = 0, gpu_energy_beta = 0, gpu_energy_gamma = 0;  // Wh a token
  double latency_alpha = 0, latency_beta = 0, latency_gamma = 0;           // s a token
  double batch = 0, weight_bits = 0, memory_overhead = 0, gpu_memory_gb = 0, server_gpus = 0, server_power_w = 0;
  double server_embodied_kg = 0, gpu_embodied_kg = 0, server_lifetime_s = 0;
  double prefill_mfu = 0, prefill_gpu_tflops = 0, prefill_gpu_power_w = 0;  // our extension, prefill-1
};

// Limits of one file.
inline constexpr std::size_t kMaxEntries = 10'000;
inline constexpr std::size_t kMaxSources = 64;
inline constexpr std::size_t kMaxName = 160;       // bytes
inline constexpr std::size_t kMaxText = 256;       // bytes of a title, a licence, a note...
inline constexpr std::size_t kMaxModelName = 64;   // bytes
inline constexpr std::size_t kMaxOtherNames = 32;  // of one entry

/// One file, read.
struct Sheet {
  std::string file;  // what errors call it; whoever read the file sets it
  Kind kind = Kind::kPrices;
  std::vector<Source> sources;
  std::vector<Price> prices;
  std::vector<ModelSize> models;
  std::vector<Hardware> hardware;
  std::vector<Grid> grid;
  std::vector<Pue> pue;
  std::vector<EnergyModel> energy;

  std::size_t size() const {
    return prices.size() + models.size() + hardware.size() + grid.size() + pue.size() + energy.size();
  }
};

/// Reads one file whole. On failure: every error found, in the file's order, at least one; kConfig.
std::expected<Sheet, std::vector<Error>> parse(std::string_view bytes);

/// Entries of one kind, by name.
template <class E>
class Table {
 public:
  Table() = default;
  /// No two of the entries share a name.
  explicit Table(std::vector<E> entries);
  /// By any of its names, or null: unknown. Logarithmic; no allocation.
  const E* find(std::string_view name) const;
  /// The same of PROVIDER/MODEL.
  const E* find(std::string_view provider, std::string_view model) const;
  /// Sorted by name.
  std::span<const E> entries() const { return entries_; }

 private:
  struct Name {
    std::string text;
    std::uint32_t entry = 0;
  };
  std::vector<E> entries_;
  std::vector<Name> names_;  // sorted
};

/// A value with what must be said with it.
struct Figure {
  Amount value;
  FigureKind kind = FigureKind::kUnknown;
  Date as_of{};
  std::string_view model;  // of kModelled
};

/// Milligrams of CO2e a kWh at some hour.
struct Intensity : Figure {
  Basis basis;
  bool hourly = false;  // by the profile; else the year's average
};

struct Facts {
  std::uint64_t number = 0;
  Sha256 hash{};
  std::vector<Source> sources;
  Table<Price> prices;
  Table<ModelSize> models;
  Table<Hardware> hardware;
  Table<Grid> grid;
  Table<Pue> pue;
  Table<EnergyModel> energy;

  const Source& source_of(const Entry& entry) const { return sources[entry.source]; }
  /// A value of an entry (null: unknown) with its kind and date.
  Figure figure(const Entry* entry, Amount value) const;
  /// By the zone where there is one and it is known, else by the country. Integers only; no allocation.
  Intensity intensity(std::string_view zone, std::string_view country, UtcTime when) const;
  /// The same, and unknown on any basis but the one for ranking: no other entry stands in.
  Intensity ranking_intensity(std::string_view zone, std::string_view country, UtcTime when) const;
};

/// The catalogue with the user's files over it, later ones first. Fails, with a file's name in the sentence, where two
/// files of the catalogue have one name in one kind.
std::expected<Facts, std::vector<Error>> merge(std::span<const Sheet> catalogue, std::span<const Sheet> overrides);

/// Days after which entries of a kind count as old, with the reason in docs/formats/facts.md.
std::chrono::days stale_after(Kind kind);

enum class Age : std::uint8_t { kFresh, kStale, kExpired, kFuture };
std::string_view name_of(Age age);
Age age_of(const Entry& entry, Kind kind, Date today);

}  // namespace thalweg::facts
