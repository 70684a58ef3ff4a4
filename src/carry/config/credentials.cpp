// What an endpoint's requests say of us in their head: the key, from wherever it comes, and which of the caller's
// fields go along.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "carry/config/outside.h"
#include "carry/config/sections.h"

namespace thalweg::config {
namespace {

using document::Errors;
using document::Node;
using document::Section;

constexpr std::size_t kLikeAKey = 20;  // a bare name this long may be a key

// Fields that say how the message travels, are Thalweg's own to give, or carry what the caller proved itself with.
constexpr std::array<std::string_view, 27> kNeverForwarded = {"accept",
                                                              "accept-encoding",
                                                              "anthropic-beta",
                                                              "anthropic-version",
                                                              "api-key",
                                                              "authorization",
                                                              "connection",
                                                              "content-encoding",
                                                              "content-length",
                                                              "content-type",
                                                              "cookie",
                                                              "expect",
                                                              "host",
                                                              "keep-alive",
                                                              "origin",
                                                              "proxy-authenticate",
                                                              "proxy-authorization",
                                                              "proxy-connection",
                                                              "range",
                                                              "referer",
                                                              "te",
                                                              "trailer",
                                                              "transfer-encoding",
                                                              "upgrade",
                                                              "user-agent",
                                                              "x-api-key",
                                                              "x-request-id"};

// A token of RFC 9110, section 5.6.2.
bool is_field_name(std::string_view name) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && name.size() <= kMaxFieldName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kMarks.find(c) != kMarks.npos;
  });
}

void read_key_file(Section& section, const std::filesystem::path& folder, RemoteSettings& remote) {
  const std::string named = section.text("key_file", "");
  const auto resolved = resolve_file(named, folder);
  // A key in the file's place must not be repeated in a message that may go to a log.
  if (!resolved && named.find('/') == named.npos && named.find("${") == named.npos && named.size() >= kLikeAKey) {
    section.error("key_file", "there is no such file beside this one; a key itself stands under `key: ${NAME}`");
    return;
  }
  const auto path = taken(resolved, section, "key_file");
  if (!path.empty()) remote.key = taken(read_secret(path), section, "key_file");
}

void read_key_command(Section& parent, const Node& node, const std::filesystem::path& folder, RemoteSettings& remote,
                      Errors& errors) {
  upstream::KeyCommand& command = remote.key_command;
  Section section(node, parent.path_of("key_command"), errors);
  if (section.required("run", "the program and its arguments, like [vault, read, -field=token, auth/token]") !=
      nullptr) {
    for (Section::Word& word : section.texts("run", kMaxArguments)) {
      if (word.text.find('\0') != std::string::npos)
        errors.add(word.position, fmt::format("{}: an argument must not hold a NUL character", section.path_of("run")));
      command.arguments.push_back(std::move(word.text));
    }
    if (command.arguments.empty()) {
      section.error("run", "expected a list: the program, then its arguments");
    } else {
      command.program = taken(resolve_program(command.arguments.front(), folder), section, "run");
    }
  }
  command.timeout = section.duration("timeout", command.timeout, {100ms, 10 * 60s});
  command.lifetime = section.duration("lifetime", command.lifetime, {1s, 24h});
  section.finish();
}

}  // namespace

void read_credentials(Section& section, const std::filesystem::path& folder, RemoteSettings& remote, Errors& errors) {
  const Node* key = section.optional("key");
  const Node* file = section.optional("key_file");
  const Node* command = section.optional("key_command");
  if (key != nullptr && file != nullptr) section.error("key_file", "there is a key already; give one of the two");
  if (command != nullptr && (key != nullptr || file != nullptr))
    section.error("key_command", "there is a key already; give one of the two");
  if (key != nullptr && key->kind == Node::Kind::kScalar) {
    remote.key = taken(expand(key->text), section, "key");
    if (const std::string fault = upstream::fault_of_secret(remote.key); !remote.key.empty() && !fault.empty())
      section.error("key", fault);
    if (key->text.empty()) section.error("key", "the key is empty; leave it out where the server wants none");
  } else if (key != nullptr) {
    section.error("key", "expected one value, like ${OPENAI_API_KEY}");
  }
  if (file != nullptr) read_key_file(section, folder, remote);
  if (command != nullptr) read_key_command(section, *command, folder, remote, errors);
}

void read_forwarded(Section& section, RemoteSettings& remote, Errors& errors) {
  for (Section::Word& word : section.texts("forward_headers", kMaxForwarded)) {
    const std::string path = section.path_of("forward_headers");
    if (!is_field_name(word.text)) {
      errors.add(word.position, fmt::format("{}: \"{}\" is no name of a header field, like X-Session-Id", path,
                                            word.text.substr(0, 64)));
    } else if (std::ranges::any_of(kNeverForwarded,
                                   [&](std::string_view name) { return equals_ignoring_case(name, word.text); })) {
      errors.add(word.position,
                 fmt::format("{}: {} is Thalweg's to give, or the caller's own; it never goes along", path, word.text));
    } else {
      remote.forward_headers.push_back(std::move(word.text));
    }
  }
}

}  // namespace thalweg::config
