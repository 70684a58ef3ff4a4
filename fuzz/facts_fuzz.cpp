// Files of facts: whatever the bytes, an answer and no crash. What is accepted can be merged with itself on either
// side, is found under all its names, and has the same hash whatever file it came from.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "decide/facts/facts.h"
#include "decide/facts/fields.h"

namespace {

using namespace thalweg;
using namespace thalweg::facts;

void require(bool condition) {
  if (!condition) std::abort();
}

template <class E>
void check_entry(const Facts& facts, const Table<E>& table, const E& entry) {
  require(entry.source < facts.sources.size() && !entry.name.empty());
  require(table.find(entry.name) == &entry);
  for (const std::string& name : entry.also) require(table.find(name) == &entry);
  const std::size_t slash = entry.name.find('/');
  if (slash != std::string::npos)
    require(table.find(std::string_view(entry.name).substr(0, slash), std::string_view(entry.name).substr(slash + 1)) ==
            &entry);
  for (const Field<E>& field : kFields<E>) {
    if (const auto* spread = std::get_if<Spread E::*>(&field.member)) {
      if (const Spread& value = entry.**spread) require(value->least <= value->most && value->most <= field.most);
    } else if (const Amount& value = entry.*std::get<Amount E::*>(field.member)) {
      require(*value >= field.least && *value <= field.most);
    }
  }
  require(!entry.until || *entry.until >= entry.as_of);
}

void check(const Sheet& sheet) {
  const std::span<const Sheet> one(&sheet, 1);
  const auto as_catalogue = merge(one, {});
  const auto as_override = merge({}, one);
  const auto as_both = merge(one, one);
  require(as_catalogue && as_override && as_both);
  require(as_catalogue->hash == as_override->hash && as_catalogue->hash == as_both->hash);
  std::size_t count = 0;
  for_each_table(*as_catalogue, [&](const auto& table) {
    count += table.entries().size();
    for (const auto& entry : table.entries()) check_entry(*as_catalogue, table, entry);
  });
  require(count == sheet.size() && count > 0);
  for (const Grid& grid : as_catalogue->grid.entries()) {
    require(as_catalogue->intensity(grid.name, "", UtcTime(Duration(0))).value.has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto sheet = parse({reinterpret_cast<const char*>(data), size});
  if (sheet) {
    check(*sheet);
  } else {
    require(!sheet.error().empty());
    for (const Error& error : sheet.error()) require(!error.message.empty() && error.code == ErrorCode::kConfig);
  }
  return 0;
}
