// Which proxy leads to an endpoint: its own, else everybody's, else none.
#include "base/text.h"
#include "carry/config/address.h"
#include "carry/config/outside.h"
#include "carry/config/sections.h"

namespace thalweg::config {
namespace {

net::Proxy read(document::Section& section, std::string_view key) {
  const auto text = expand(section.text(key, ""));
  if (!text) {
    section.error(key, text.error().message);
    return {};
  }
  return taken(parse_proxy(*text), section, key);
}

}  // namespace

void read_proxy(document::Section& top, Settings& settings, document::Errors& errors) {
  const document::Node* node = top.optional("proxy");
  if (node == nullptr) return;
  document::Section section(*node, "proxy", errors);
  if (section.required("url", "the proxy's address, like http://proxy.internal:3128") != nullptr)
    settings.proxy = read(section, "url");
  for (document::Section::Word& word : section.texts("no_proxy", kMaxAllowed)) {
    const std::string_view name = std::string_view(word.text).substr(word.text.starts_with('.') ? 1 : 0);
    if (const std::string fault = fault_of_host(name); !fault.empty()) {
      errors.add(word.position, "proxy.no_proxy: " + fault);
    } else {
      settings.no_proxy.push_back(std::move(word.text));
    }
  }
  section.finish();
}

void read_proxy(document::Section& endpoint, const Settings& settings, RemoteSettings& remote) {
  const bool here = is_loopback(remote.host);
  if (endpoint.optional("proxy") == nullptr) {
    if (!here && !is_among(remote.host, settings.no_proxy)) remote.proxy = settings.proxy;
    return;
  }
  if (!endpoint.is_text("proxy")) {
    (void)endpoint.text("proxy", "");  // says what it should be
  } else if (endpoint.text("proxy", "") != "none") {
    remote.proxy = read(endpoint, "proxy");
    if (!remote.tls) endpoint.error("proxy", "the url is http://, and a proxy is for https:// only");
  }
}

}  // namespace thalweg::config
