// What the listener proves itself with.
#include "carry/net/tls.h"

#include "carry/config/outside.h"
#include "carry/config/sections.h"

namespace thalweg::config {

void read_tls(document::Section& top, const std::filesystem::path& folder, Settings& settings,
              document::Errors& errors) {
  const document::Node* node = top.optional("tls");
  if (node == nullptr) return;
  document::Section section(*node, "tls", errors);
  const auto read = [&](std::string_view key, std::string_view what, Privacy privacy) -> std::string {
    if (section.required(key, what) == nullptr) return {};
    const auto path = taken(resolve_file(section.text(key, ""), folder), section, key);
    return path.empty() ? std::string() : taken(read_pem(path, privacy), section, key);
  };
  ListenTls tls;
  tls.certificate = read("certificate_file", "the listener's certificate and its chain, PEM", Privacy::kPublic);
  tls.key = read("key_file", "the certificate's private key, PEM", Privacy::kSecret);
  section.finish();
  if (tls.certificate.empty() || tls.key.empty()) return;
  if (const auto usable = net::TlsServerContext::make(tls.certificate, tls.key); !usable) {
    section.error(usable.error().message.starts_with("the private key") ? "key_file" : "certificate_file",
                  usable.error().message);
    return;
  }
  settings.tls = std::move(tls);
}

}  // namespace thalweg::config
