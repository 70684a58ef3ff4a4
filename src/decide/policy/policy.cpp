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

void seal(Policy& policy) {
  std::ranges::stable_sort(policy.keys, {}, &Key::id);
  CanonicalBytes bytes;
  bytes.text("thalweg policy 1");
  bytes.number(policy.keys.size());
  for (const Key& key : policy.keys) {
    bytes.text(key.id);
    bytes.text({reinterpret_cast<const char*>(key.secret_sha256.data()), key.secret_sha256.size()});
    bytes.text(key.tenant);
    bytes.number(key.models.size());
    for (const std::string& model : key.models) bytes.text(model);
  }
  policy.hash = bytes.hash();
}

}  // namespace thalweg::policy
