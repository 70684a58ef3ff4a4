// The configuration: whatever the bytes, an answer and no crash; errors say where and what, and what is accepted keeps
// the promises that placement relies on.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "carry/config/settings.h"

namespace {

using namespace thalweg;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_accepted(const config::Settings& settings) {
  const fleet::Fleet& fleet = settings.fleet;
  require(!fleet.places.empty() && !fleet.endpoints.empty() && !fleet.models.empty());
  require(fleet.endpoints.size() == settings.endpoints.size() && fleet.models_by_name.size() == fleet.models.size());
  for (std::size_t i = 0; i < fleet.endpoints.size(); ++i) {
    const fleet::Endpoint& endpoint = fleet.endpoints[i];
    require(endpoint.place.value < fleet.places.size() && endpoint.slots > 0 && !endpoint.models.empty());
    require(settings.endpoints[i].engine.has_value() != settings.endpoints[i].remote.has_value());
    if (const auto& remote = settings.endpoints[i].remote) {
      require(!remote->host.empty() && remote->port != 0);
      for (const std::string_view text : {remote->host_header, remote->base_path, remote->key}) {
        require(text.find_first_of(std::string_view("\r\n\0 ", 4)) == std::string_view::npos);
      }
    }
  }
  for (const fleet::Model& model : fleet.models) {
    require(fleet.find_model(model.name) == &model && !model.targets.empty() && model.name != fleet::kAutoModel);
    for (const fleet::Target target : model.targets) {
      require(target.endpoint.value < fleet.endpoints.size());
      require(target.model.value < fleet.endpoints[target.endpoint.value].models.size());
    }
  }
  for (const policy::Key& key : settings.policy.keys) require(settings.policy.find_key(key.id) == &key);
  require(settings.limits.held_bytes >= settings.limits.body_bytes && settings.limits.streams > 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto settings = config::parse({reinterpret_cast<const char*>(data), size}, "/nowhere");
  if (settings) {
    check_accepted(*settings);
  } else {
    require(!settings.error().empty());
    for (const Error& error : settings.error()) require(!error.message.empty() && error.code == ErrorCode::kConfig);
  }
  return 0;
}
