#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "carry/config/address.h"
#include "carry/config/names.h"
#include "carry/config/outside.h"
#include "carry/config/sections.h"

namespace thalweg::config {

void read_engines(document::Section& top, Settings& settings, document::Errors& errors) {
  const document::Node* node = top.optional("engines");
  if (node == nullptr) return;
  document::Section section(*node, "engines", errors);
  settings.engines_memory = section.size("memory", 0, {256ULL << 20, 64ULL << 40});
  section.finish();
}

void read_limits(document::Section& top, Settings& settings, document::Errors& errors) {
  const document::Node* node = top.optional("limits");
  if (node == nullptr) return;
  document::Section section(*node, "limits", errors);
  Limits& limits = settings.limits;
  limits.head_bytes = section.size("head", limits.head_bytes, {1ULL << 10, 1ULL << 20});
  limits.body_bytes = section.size("body", limits.body_bytes, {1ULL << 10, 1ULL << 30});
  limits.answer_bytes = section.size("answer", limits.answer_bytes, {1ULL << 10, 1ULL << 30});
  limits.held_bytes = section.size("held", limits.held_bytes, {1ULL << 20, 1ULL << 40});
  if (limits.held_bytes < limits.body_bytes + limits.head_bytes || limits.held_bytes < limits.answer_bytes) {
    section.error("held",
                  fmt::format("{} for all requests together is less than one may need (body {}, head {}, answer {})",
                              document::show_size(limits.held_bytes), document::show_size(limits.body_bytes),
                              document::show_size(limits.head_bytes), document::show_size(limits.answer_bytes)));
  }
  limits.connections = static_cast<std::uint32_t>(section.integer("connections", limits.connections, {1, 1'000'000}));
  limits.streams = static_cast<std::uint32_t>(section.integer("streams", limits.streams, {1, kMaxStreams}));
  constexpr Duration kZero{};
  limits.wait = section.duration("wait", limits.wait, {kZero, 1h});
  limits.header_timeout = section.duration("header_timeout", limits.header_timeout, {10ms, 1h});
  limits.body_timeout = section.duration("body_timeout", limits.body_timeout, {10ms, 1h});
  limits.idle_timeout = section.duration("idle_timeout", limits.idle_timeout, {10ms, 24h});
  limits.write_timeout = section.duration("write_timeout", limits.write_timeout, {10ms, 1h});
  limits.drain = section.duration("drain", limits.drain, {kZero, 24h});
  section.finish();
}

void read_allowed(document::Section& top, Settings& settings, document::Errors& errors) {
  for (document::Section::Word& word : top.texts("allow_hosts", kMaxAllowed)) {
    if (const std::string fault = fault_of_host(word.text); !fault.empty()) {
      errors.add(word.position, fmt::format("allow_hosts: \"{}\": {}", word.text.substr(0, 64), fault));
    }
    settings.allowed_hosts.push_back(std::move(word.text));
  }
  for (document::Section::Word& word : top.texts("allow_origins", kMaxAllowed)) {
    if (const std::string fault = fault_of_origin(word.text); !fault.empty()) {
      errors.add(word.position, fmt::format("allow_origins: \"{}\": {}", word.text.substr(0, 64), fault));
    }
    settings.allowed_origins.push_back(std::move(word.text));
  }
}

void read_log(document::Section& top, const std::filesystem::path& folder, Settings& settings,
              document::Errors& errors) {
  static constexpr std::array<std::string_view, 5> kLevels = {"trace", "debug", "info", "warn", "error"};
  const document::Node* node = top.optional("log");
  if (node == nullptr) return;
  document::Section section(*node, "log", errors);
  LogSettings& log = settings.log;
  const std::string access = section.text("access", "stderr");
  if (access == "off") {
    log.access = AccessLog::kOff;
  } else if (access != "stderr") {
    log.access = AccessLog::kFile;
    // A lone word is a slip of the pen rather than a file's name.
    if (access.find_first_of("/.$") == std::string::npos) {
      section.error("access", fmt::format("expected stderr, off or a path (./{} for a file beside this one)",
                                          access.substr(0, 64)));
    } else if (auto path = resolve(access, folder)) {
      log.access_file = std::move(*path);
    } else {
      section.error("access", std::move(path.error().message));
    }
  }
  log.level = kLevels[section.one_of("level", 2, kLevels)];
  section.finish();
}

}  // namespace thalweg::config
