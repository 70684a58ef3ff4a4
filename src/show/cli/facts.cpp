// `thalweg facts`: what the program knows of prices, models, hardware and grids, since when and from whom.
#include "decide/facts/facts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/text.h"
#include "carry/config/catalogue.h"
#include "carry/config/settings.h"
#include "show/cli/cli.h"
#include "show/cli/facts_rows.h"
#include "show/cli/terminal.h"

namespace thalweg::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFailed = 1;
constexpr int kWrong = 2;

struct Flags {
  std::string config;
  std::string catalogue;
  std::string kind;
  std::string name;
  std::vector<std::string> files;
  bool json = false;
  bool stale = false;
  bool strict = false;
};

facts::Date today() {
  return facts::Date(std::chrono::floor<std::chrono::days>(UtcClock::now().time_since_epoch()));
}

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}", count, count == 1 ? what.substr(0, what.find('|')) : what.substr(what.find('|') + 1));
}

// What the flags ask for, or the exit code with the reason told.
struct Loaded {
  facts::Facts facts;
  fs::path folder;
};
std::expected<Loaded, int> load(const Flags& flags) {
  std::vector<facts::Sheet> overrides;
  if (!flags.config.empty()) {
    auto settings = config::load(flags.config);
    if (!settings) {
      fmt::print(stderr, "{}", config::render(settings.error(), flags.config));
      return std::unexpected(kWrong);
    }
    overrides = std::move(settings->facts);
  }
  Loaded loaded{.facts = {},
                .folder = flags.catalogue.empty() ? config::catalogue_folder() : fs::path(flags.catalogue)};
  if (loaded.folder.empty()) {
    fmt::print(stderr,
               "thalweg: there is no catalogue beside the program (share/thalweg/facts); name one with --catalogue\n");
    return std::unexpected(kFailed);
  }
  auto facts = config::load_catalogue(loaded.folder, overrides);
  if (!facts) {
    for (const Error& error : facts.error()) show_text(stderr, fmt::format("thalweg: {}\n", error.message));
    return std::unexpected(facts.error().front().code == ErrorCode::kIo ? kFailed : kWrong);
  }
  loaded.facts = std::move(*facts);
  return loaded;
}

std::string age_words(const FactRow& row) {
  return row.age == facts::Age::kFresh ? "" : fmt::format("  {}", name_of(row.age));
}

// A line an entry: name, values, how it came about, since when, how old.
std::string line_of(const FactRow& row, std::size_t width) {
  std::string values;
  for (const FactValue& value : row.values) {
    if (value.cells.empty()) values += fmt::format("{}{} {}", values.empty() ? "" : ", ", value.key, value.text);
    if (!value.cells.empty()) values += fmt::format("{}by month and hour", values.empty() ? "" : ", ");
  }
  return fmt::format("{:<{}}  {}  {} {} {}{}{}\n", row.name, width, values, name_of(row.source->kind),
                     name_of(row.source->source_class), facts::show_date(row.as_of), row.overrides ? "  override" : "",
                     age_words(row));
}

std::string overview(const std::vector<FactRow>& rows) {
  std::string text = fmt::format("{:<9} {:>7}  {:<24} {:>5} {:>7} {:>9}\n", "KIND", "ENTRIES", "AS OF", "STALE",
                                 "EXPIRED", "OVERRIDES");
  for (std::size_t i = 0; i < facts::kKindCount; ++i) {
    const auto kind = static_cast<facts::Kind>(i);
    std::vector<const FactRow*> of;
    for (const FactRow& row : rows)
      if (row.kind == kind) of.push_back(&row);
    const auto count = [&](const auto& is) { return std::ranges::count_if(of, is); };
    std::string dates;
    if (!of.empty()) {
      const auto [oldest, newest] = std::ranges::minmax(of, {}, &FactRow::as_of);
      dates = facts::show_date(oldest->as_of);
      if (newest->as_of != oldest->as_of) dates += " to " + facts::show_date(newest->as_of);
    }
    text += fmt::format("{:<9} {:>7}  {:<24} {:>5} {:>7} {:>9}\n", name_of(kind), of.size(), dates,
                        count([](const FactRow* row) { return row->age == facts::Age::kStale; }),
                        count([](const FactRow* row) { return row->age == facts::Age::kExpired; }),
                        count([](const FactRow* row) { return row->overrides; }));
  }
  return text;
}

int list(const Flags& flags) {
  const auto loaded = load(flags);
  if (!loaded) return loaded.error();
  std::vector<FactRow> rows = rows_of(loaded->facts, today());
  const auto is_old = [](const FactRow& row) {
    return row.age == facts::Age::kStale || row.age == facts::Age::kExpired;
  };
  if (!flags.kind.empty()) std::erase_if(rows, [&](const FactRow& row) { return name_of(row.kind) != flags.kind; });
  if (flags.stale) std::erase_if(rows, [&](const FactRow& row) { return !is_old(row); });
  const std::string hash = to_hex(loaded->facts.hash);
  if (flags.json) {
    Json entries = Json::array();
    for (const FactRow& row : rows) entries.push_back(json_of(row));
    fmt::print("{}\n", Json{{"sha256", hash}, {"entries", entries}}.dump(2));
    return 0;
  }
  std::string text;
  if (flags.kind.empty() && !flags.stale) {
    text = overview(rows);
  } else {
    std::size_t width = 0;
    for (const FactRow& row : rows) width = std::max(width, row.name.size());
    for (const FactRow& row : rows) text += line_of(row, std::min<std::size_t>(width, 48));
    text += counted(rows.size(), "entry|entries") + "\n";
  }
  show_text(stdout, text + fmt::format("{}\nsha256 {}\n", loaded->folder.string(), hash));
  return 0;
}

std::string block_of(const FactRow& row, facts::Date now) {
  std::string text = fmt::format("{}: {}{}\n", row.name, name_of(row.kind), row.overrides ? ", override" : "");
  const auto say = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) text += fmt::format("  {:<22} {}\n", key, value);
  };
  for (const FactValue& value : row.values) {
    say(value.key,
        value.text.empty() ? "month by month, each hour of UTC:" : fmt::format("{}{}", value.text, value.unit));
    for (const std::string& cells : value.cells) text += fmt::format("    {}\n", cells);
  }
  say("also", fmt::format("{}", fmt::join(row.also, ", ")));
  say("kind", row.source->model.empty() ? std::string(name_of(row.source->kind))
                                        : fmt::format("{} by {}", name_of(row.source->kind), row.source->model));
  say("basis", row.basis);
  say("as of", fmt::format("{}, {}, {}", facts::show_date(row.as_of),
                           counted(static_cast<std::size_t>(std::abs((now - row.as_of).count())), "day|days"),
                           name_of(row.age)));
  if (row.until) say("until", facts::show_date(*row.until));
  say("note", row.note);
  say("source", fmt::format("{} (class {})", row.source->title, name_of(row.source->source_class)));
  say("", row.source->url);
  say("licence", row.source->licence);
  say("made by", row.source->made_by);
  return text;
}

int show(const Flags& flags) {
  const auto loaded = load(flags);
  if (!loaded) return loaded.error();
  const facts::Date now = today();
  std::vector<FactRow> rows = rows_of(loaded->facts, now);
  std::vector<std::string_view> names;
  for (const FactRow& row : rows) {
    names.push_back(row.name);
    names.insert(names.end(), row.also.begin(), row.also.end());
  }
  const std::string hint = suggestion(flags.name, names);
  std::erase_if(rows, [&](const FactRow& row) {
    return row.name != flags.name && std::ranges::find(row.also, flags.name) == row.also.end();
  });
  if (rows.empty()) {
    show_text(stderr, fmt::format("thalweg: nothing is known of \"{}\"{}\n", flags.name, hint));
    return kFailed;
  }
  if (flags.json) {
    Json entries = Json::array();
    for (const FactRow& row : rows) entries.push_back(json_of(row));
    fmt::print("{}\n", Json{{"sha256", to_hex(loaded->facts.hash)}, {"entries", entries}}.dump(2));
    return 0;
  }
  for (const FactRow& row : rows) show_text(stdout, block_of(row, now));
  return 0;
}

// Tells what is old, a line for each kind, date and age, since a source's entries grow old together. Whether something
// is in the future, which is an error.
struct Ages {
  std::size_t old = 0;
  bool future = false;
};
Ages tell_ages(const std::vector<FactRow>& rows) {
  std::map<std::tuple<facts::Kind, facts::Age, facts::Date>, std::vector<const FactRow*>> groups;
  for (const FactRow& row : rows)
    if (row.age != facts::Age::kFresh) groups[{row.kind, row.age, row.as_of}].push_back(&row);
  Ages ages;
  for (const auto& [group, of] : groups) {
    const auto& [kind, age, as_of] = group;
    if (age == facts::Age::kFuture) {
      ages.future = true;
    } else {
      ages.old += of.size();
    }
    std::string which = fmt::format("\"{}\"", of.front()->name);
    if (of.size() > 1) which += fmt::format(" and {} more", of.size() - 1);
    const std::string limit = age == facts::Age::kStale ? fmt::format("; in {} the limit is {} days", name_of(kind),
                                                                      stale_after(kind).count())
                                                        : "";
    show_text(stderr, fmt::format("{}: {}: {}, as of {}{}\n", age == facts::Age::kFuture ? "error" : "warning",
                                  name_of(age), which, facts::show_date(as_of), limit));
  }
  return ages;
}

int check(const Flags& flags) {
  std::vector<FactRow> rows;
  std::size_t files = 0;
  bool wrong = false;
  std::vector<facts::Facts> kept;  // rows point into them
  kept.reserve(flags.files.size() + 1);
  for (const std::string& file : flags.files) {
    auto sheet = config::read_facts(file);
    if (!sheet) {
      show_text(stderr, config::render(sheet.error(), file));
      wrong = true;
      continue;
    }
    ++files;
    auto alone = facts::merge({}, std::span(&*sheet, 1));
    THALWEG_CHECK(alone.has_value());  // names of one file are never shared
    kept.push_back(std::move(*alone));
    std::ranges::move(rows_of(kept.back(), today()), std::back_inserter(rows));
  }
  if (flags.files.empty()) {
    auto loaded = load(flags);
    if (!loaded) return loaded.error();
    kept.push_back(std::move(loaded->facts));
    rows = rows_of(kept.back(), today());
  }
  const Ages ages = tell_ages(rows);
  if (wrong || ages.future) return kWrong;
  const std::string where = flags.files.empty() ? "the catalogue" : counted(files, "file|files");
  fmt::print("{}: ok: {}, {} stale\n", where, counted(rows.size(), "entry|entries"), ages.old);
  if (flags.files.empty()) fmt::print("sha256 {}\n", to_hex(kept.back().hash));
  return flags.strict && ages.old != 0 ? kFailed : 0;
}

void add_places(CLI::App& command, Flags& flags) {
  command.add_option("-c,--config", flags.config, "A configuration, whose `facts:` count too");
  command.add_option("--catalogue", flags.catalogue, "Another folder than the one that came with the program");
}

}  // namespace

void add_facts(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("facts", "What is known of prices, models, hardware and grids, and since when");
  command->require_subcommand(1);
  command->footer("Example: thalweg facts list");
  const auto flags = std::make_shared<Flags>();
  std::vector<std::string> kinds;
  for (std::size_t i = 0; i < facts::kKindCount; ++i) kinds.emplace_back(name_of(static_cast<facts::Kind>(i)));

  CLI::App* listing = command->add_subcommand("list", "A line for each kind, or for each entry of one");
  listing->footer("Example: thalweg facts list prices --stale");
  listing->add_option("KIND", flags->kind, "Every entry of this kind")->check(CLI::IsMember(kinds));
  listing->add_flag("--stale", flags->stale, "Only entries that are stale or expired");
  listing->add_flag("--json", flags->json, "Print the entries as JSON");
  add_places(*listing, *flags);
  listing->callback([flags, &exit_code] { exit_code = list(*flags); });

  CLI::App* showing = command->add_subcommand("show", "All that is known under a name");
  showing->footer("Example: thalweg facts show openai/gpt-4o");
  showing->add_option("NAME", flags->name, "As `facts list KIND` names it, or another name of the same")->required();
  showing->add_flag("--json", flags->json, "Print the entries as JSON");
  add_places(*showing, *flags);
  showing->callback([flags, &exit_code] { exit_code = show(*flags); });

  CLI::App* checking = command->add_subcommand("check", "Read files of facts and say what is wrong with them or old");
  checking->footer(
      "Example: thalweg facts check my-prices.yaml\n"
      "Exit code 2 when a file has errors; 1 with --strict when an entry is stale or expired.");
  checking->add_option("FILE", flags->files, "Files of one's own; none: the catalogue");
  checking->add_flag("--strict", flags->strict, "Fail when something is stale or expired");
  add_places(*checking, *flags);
  checking->callback([flags, &exit_code] { exit_code = check(*flags); });
}

}  // namespace thalweg::cli
