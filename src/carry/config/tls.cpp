// What the listener proves itself with, and what we prove ourselves with to an endpoint.
#include "carry/net/tls.h"

#include "carry/config/outside.h"
#include "carry/config/sections.h"

namespace thalweg::config {

net::TlsIdentity read_identity(document::Section& parent, std::string_view key, const std::filesystem::path& folder,
                               document::Errors& errors) {
  const document::Node* node = parent.optional(key);
  if (node == nullptr) return {};
  document::Section section(*node, parent.path_of(key), errors);
  const auto read = [&](std::string_view file, std::string_view what, Privacy privacy) -> std::string {
    if (section.required(file, what) == nullptr) return {};
    const auto path = taken(resolve_file(section.text(file, ""), folder), section, file);
    return path.empty() ? std::string() : taken(read_pem(path, privacy), section, file);
  };
  net::TlsIdentity identity;
  identity.certificate = read("certificate_file", "a certificate and its chain, PEM", Privacy::kPublic);
  identity.key = read("key_file", "the certificate's private key, PEM", Privacy::kSecret);
  section.finish();
  if (identity.certificate.empty() || identity.key.empty()) return {};
  if (const auto usable = net::TlsServerContext::make(identity); !usable) {
    section.error(usable.error().message.starts_with("the private key") ? "key_file" : "certificate_file",
                  usable.error().message);
    return {};
  }
  return identity;
}

void read_tls(document::Section& top, const std::filesystem::path& folder, Settings& settings,
              document::Errors& errors) {
  net::TlsIdentity identity = read_identity(top, "tls", folder, errors);
  if (!identity.empty()) settings.tls = std::move(identity);
}

}  // namespace thalweg::config
