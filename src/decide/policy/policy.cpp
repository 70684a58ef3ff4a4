#include "decide/policy/policy.h"

#include <algorithm>

#include "base/canonical.h"
#include "decide/fleet/fleet.h"

namespace thalweg::policy {

// `auto` names no model of its own: anyone may ask for it, and placement then leaves out the models that the key lacks.
bool Key::may_use(std::string_view model) const {
  return models.empty() || model == fleet::kAutoModel || std::ranges::find(models, model) != models.end();
}

const Key* Policy::find_key(std::string_view id) const {
  const auto found = std::ranges::lower_bound(keys, id, {}, [](const Key& key) -> std::string_view { return key.id; });
  if (found == keys.end() || found->id != id) return nullptr;
  return &*found;
}

namespace {

void write(CanonicalBytes& bytes, const std::vector<std::string>& texts) {
  bytes.number(texts.size());
  for (const std::string& text : texts) bytes.text(text);
}

void write(CanonicalBytes& bytes, const PlaceTest& test) {
  write(bytes, test.names);
  bytes.number(test.kinds.bits());
  write(bytes, test.countries);
  write(bytes, test.operators);
  write(bytes, test.attestations);
}

// What the rule says of each endpoint is in `allowed`, so that the lists of endpoints need not be written.
void write(CanonicalBytes& bytes, const Rule& rule, const fleet::Fleet& fleet) {
  bytes.text(rule.name);
  write(bytes, rule.when.tenants);
  write(bytes, rule.when.keys);
  write(bytes, rule.when.models);
  bytes.number(rule.when.surfaces.bits());
  bytes.number(rule.when.uses.bits());
  write(bytes, rule.only);
  write(bytes, rule.never);
  bytes.number(static_cast<std::uint64_t>(rule.local_only) << 1 | static_cast<std::uint64_t>(rule.zero_retention));
  bytes.number(rule.forbidden.bits());
  bytes.number(rule.output_cap);
  for (std::uint16_t i = 0; i < fleet.endpoints.size(); ++i) bytes.number(rule.allowed.has({i}) ? 1 : 0);
}

inference::Uses forbidden_by(const Rule& rule) {
  using inference::Use;
  inference::Uses uses;
  if (rule.local_only || rule.zero_retention) uses = {Use::kHostedTools, Use::kStore, Use::kRemoteUrls, Use::kFileIds};
  uses = uses.without(rule.allowed_uses).joined(rule.never_uses);
  if (!uses.empty() && !rule.allowed_uses.has(Use::kOther)) uses.add(Use::kOther);
  return uses;
}

}  // namespace

void seal(Policy& policy, const fleet::Fleet& fleet) {
  std::ranges::stable_sort(policy.keys, {}, &Key::id);
  CanonicalBytes bytes;
  bytes.text("thalweg policy 2");
  bytes.number(policy.keys.size());
  for (const Key& key : policy.keys) {
    bytes.text(key.id);
    bytes.text({reinterpret_cast<const char*>(key.secret_sha256.data()), key.secret_sha256.size()});
    bytes.text(key.tenant);
    write(bytes, key.models);
  }
  bytes.number(policy.rules.size());
  for (Rule& rule : policy.rules) {
    rule.forbidden = forbidden_by(rule);
    rule.allowed.clear();
    for (std::uint16_t i = 0; i < fleet.endpoints.size(); ++i) {
      if (breach_of(rule, fleet, {i}) == Breach::kNone) rule.allowed.add({i});
    }
    write(bytes, rule, fleet);
  }
  policy.fleet = fleet.hash;
  policy.hash = bytes.hash();
}

}  // namespace thalweg::policy
