#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/hash.h"
#include "carry/config/names.h"
#include "show/cli/cli.h"

namespace thalweg::cli {

namespace {

// Base64 with the URL-safe alphabet, unpadded (RFC 4648, section 5).
std::string base64url(std::span<const std::uint8_t> bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const std::uint8_t byte : bytes) {
    bits = bits << 8 | byte;
    have += 8;
    while (have >= 6) {
      have -= 6;
      out += kAlphabet[bits >> have & 63];
    }
  }
  if (have > 0) out += kAlphabet[bits << (6 - have) & 63];
  return out;
}

std::string random_id() {
  std::array<std::uint8_t, 4> bytes{};
  fill_random(bytes);
  return "k" + to_hex(bytes);
}

}  // namespace

void add_key(CLI::App& app, int& exit_code) {
  CLI::App* key = app.add_subcommand("key", "Make keys for callers");
  key->require_subcommand(1);
  key->footer("Example: thalweg key new --id laptop");
  CLI::App* command = key->add_subcommand("new", "Print a new key once, and the line for `keys:` with its hash");
  command->footer("Example: thalweg key new --id laptop --tenant research");
  struct Flags {
    std::string id;
    std::string tenant = "default";
  };
  const auto flags = std::make_shared<Flags>();
  const CLI::Option* named =
      command->add_option("--id", flags->id, "Name of the key: a-z, 0-9 and '-', at most 32 (default: random)");
  command->add_option("--tenant", flags->tenant, "Tenant that the key belongs to")->capture_default_str();
  command->callback([flags, named, &exit_code] {
    const std::string id = named->count() == 0 ? random_id() : flags->id;
    for (const std::string& fault : {config::fault_of_name(config::NameKind::kKey, id),
                                     config::fault_of_name(config::NameKind::kTenant, flags->tenant)}) {
      if (fault.empty()) continue;
      fmt::print(stderr, "thalweg: {}\n", fault);
      exit_code = 2;
      return;
    }
    std::array<std::uint8_t, 32> secret{};
    fill_random(secret);
    const std::string text = fmt::format("tw_{}_{}", id, base64url(secret));
    // In quotes: bare, YAML readers take an id such as null or 123 for no text.
    fmt::print(
        "key (shown once, keep it safe):\n  {}\nline for the `keys:` list of thalweg.yaml:\n  - {{id: \"{}\", sha256: "
        "\"{}\", tenant: \"{}\"}}\n",
        text, id, to_hex(sha256(text)), flags->tenant);
    exit_code = 0;
  });
}

}  // namespace thalweg::cli
