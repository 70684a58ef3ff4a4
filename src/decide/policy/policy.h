// Policy: who asks, what that key may use, and the rules that every request runs under.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "decide/policy/rules.h"

namespace thalweg::policy {

inline constexpr std::size_t kMaxKeys = 100'000;

/// A caller's key: its hash only, the secret is never held.
struct Key {
  std::string id;
  Sha256 secret_sha256{};
  std::string tenant;
  std::vector<std::string> models;  // what it may ask for; empty: every configured model
  bool may_use(std::string_view model) const;
};

/// The keys and rules of one configuration; keys sorted by id, rules in the order of the file.
struct Policy {
  std::uint64_t number = 0;
  Sha256 hash{};
  std::vector<Key> keys;
  std::vector<Rule> rules;
  Sha256 fleet{};  // the hash of the fleet that the rules' sets of endpoints are for; made by seal()

  const Key* find_key(std::string_view id) const;
};

/// Sets `hash` from the content, sorts keys by id and works out what rules say of each endpoint. The fleet is sealed.
void seal(Policy& policy, const fleet::Fleet& fleet);

/// All that rules read of who asks. `key` is null where no keys are configured (loopback accepts any bearer then).
struct Subject {
  const Key* key = nullptr;
  std::string_view tenant = "default";
};

/// The tenant under which the program's own probes ask for placement.
inline constexpr std::string_view kProbeTenant = "_probe";

}  // namespace thalweg::policy
