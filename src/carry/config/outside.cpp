#include "carry/config/outside.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "carry/config/settings.h"
#include "carry/net/tls.h"

namespace thalweg::config {
namespace {

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

}  // namespace

Result<std::string> expand(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i).starts_with("$${")) {
      out += "${";
      i += 3;
      continue;
    }
    if (!text.substr(i).starts_with("${")) {
      out += text[i++];
      continue;
    }
    const std::size_t end = text.find('}', i);
    const std::string name(text.substr(i + 2, end == std::string_view::npos ? 0 : end - i - 2));
    if (!is_variable_name(name)) {
      return fail(ErrorCode::kConfig,
                  "${...} takes the name of an environment variable, like ${OPENAI_API_KEY}; write $${ for a plain ${");
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') {
      return fail(ErrorCode::kConfig, fmt::format("the environment variable {} is {}; set it before starting", name,
                                                  value == nullptr ? "not set" : "empty"));
    }
    out += value;
    i = end + 1;
  }
  return out;
}

Result<std::filesystem::path> resolve(std::string_view text, const std::filesystem::path& folder) {
  const auto expanded = expand(text);
  if (!expanded) return std::unexpected(expanded.error());
  if (expanded->empty()) return fail(ErrorCode::kConfig, "the path is empty");
  if (expanded->find('\0') != std::string::npos) return fail(ErrorCode::kConfig, "the path has a NUL character");
  if (expanded->starts_with("~/") || *expanded == "~") {
    return fail(ErrorCode::kConfig,
                fmt::format("~ is not read as the home folder; write ${{HOME}}{}", expanded->substr(1)));
  }
  return (folder / *expanded).lexically_normal();  // an absolute path replaces the folder
}

Result<std::filesystem::path> resolve_file(std::string_view text, const std::filesystem::path& folder) {
  const auto path = resolve(text, folder);
  if (!path) return path;
  // What a variable holds may be the key itself, put here by a slip: only what the file says is repeated.
  const std::string shown = text.find("${") == std::string_view::npos ? path->string() : std::string(text);
  std::error_code error;
  const auto status = std::filesystem::status(*path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return fail(ErrorCode::kConfig, fmt::format("there is no file {}", shown));
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return fail(ErrorCode::kConfig, fmt::format("{} is no file", shown));
  }
  if (::access(path->c_str(), R_OK) != 0) {
    return fail(ErrorCode::kConfig, fmt::format("{} cannot be read: {}", shown, std::strerror(errno)));
  }
  return path;
}

Result<std::filesystem::path> resolve_program(std::string_view text, const std::filesystem::path& folder) {
  if (!text.empty() && text.find('/') == std::string_view::npos && text.find("${") == std::string_view::npos) {
    const char* search = std::getenv("PATH");
    std::string_view rest = search == nullptr ? "" : search;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(':'), rest.size());
      std::filesystem::path candidate = std::filesystem::path(rest.substr(0, end)) / text;
      if (candidate.is_absolute() && is_file(candidate) && ::access(candidate.c_str(), X_OK) == 0) return candidate;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return fail(
        ErrorCode::kConfig,
        fmt::format("there is no program {} on PATH; give its path (./{} for one beside this file)", text, text));
  }
  const auto path = resolve_file(text, folder);
  if (!path) return path;
  if (::access(path->c_str(), X_OK) != 0)
    return fail(ErrorCode::kConfig, fmt::format("{} is not executable", path->string()));
  return path;
}

namespace {
Result<void> check_private(const std::filesystem::path& file) {
  struct stat facts = {};
  if (::stat(file.c_str(), &facts) != 0) {
    return fail(ErrorCode::kConfig, fmt::format("{} cannot be read: {}", file.string(), std::strerror(errno)));
  }
  if ((facts.st_mode & S_IROTH) != 0) {
    return fail(ErrorCode::kConfig,
                fmt::format("everybody on this machine may read {}; run `chmod 600 {}`", file.string(), file.string()));
  }
  return {};
}
}  // namespace

Result<std::string> read_secret(const std::filesystem::path& file) {
  if (auto kept = check_private(file); !kept) return std::unexpected(kept.error());
  std::ifstream stream(file, std::ios::binary);
  std::string secret(upstream::kMaxSecret + 2, '\0');
  stream.read(secret.data(), static_cast<std::streamsize>(secret.size()));
  if (stream.bad()) return fail(ErrorCode::kConfig, fmt::format("{} cannot be read", file.string()));
  secret.resize(static_cast<std::size_t>(stream.gcount()));
  if (secret.ends_with('\n')) secret.pop_back();
  if (secret.ends_with('\r')) secret.pop_back();
  if (std::string fault = upstream::fault_of_secret(secret); !fault.empty()) {
    return fail(ErrorCode::kConfig, fmt::format("{}: {}", file.string(), fault));
  }
  return secret;
}

Result<std::string> read_bounded(const std::filesystem::path& file, std::size_t most) {
  std::error_code failed;
  const auto status = std::filesystem::status(file, failed);
  if (status.type() == std::filesystem::file_type::not_found) return fail(ErrorCode::kIo, "there is no such file");
  if (status.type() == std::filesystem::file_type::directory)
    return fail(ErrorCode::kIo, "this is a folder, not a file");
  std::ifstream stream(file, std::ios::binary);
  std::string bytes;
  char part[64 * 1024];
  while (bytes.size() <= most && (stream.read(part, sizeof part), stream.gcount() > 0))
    bytes.append(part, static_cast<std::size_t>(stream.gcount()));
  if (!stream.is_open() || stream.bad()) return fail(ErrorCode::kIo, "it cannot be read; check its permissions");
  if (bytes.size() > most) return fail(ErrorCode::kIo, fmt::format("it has more than {} bytes", most));
  return bytes;
}

Result<std::string> read_pem(const std::filesystem::path& file, Privacy privacy) {
  if (privacy == Privacy::kSecret) {
    if (auto kept = check_private(file); !kept) return std::unexpected(kept.error());
  }
  std::ifstream stream(file, std::ios::binary);
  std::string pem(kMaxPem + 1, '\0');
  stream.read(pem.data(), static_cast<std::streamsize>(pem.size()));
  if (stream.bad()) return fail(ErrorCode::kConfig, fmt::format("{} cannot be read", file.string()));
  pem.resize(static_cast<std::size_t>(stream.gcount()));
  if (pem.empty()) return fail(ErrorCode::kConfig, fmt::format("{} is empty", file.string()));
  if (pem.size() > kMaxPem) {
    return fail(ErrorCode::kConfig, fmt::format("{} has more than {} MiB", file.string(), kMaxPem >> 20));
  }
  return pem;
}

Result<std::string> read_authorities(const std::filesystem::path& file) {
  auto pem = read_pem(file, Privacy::kPublic);
  if (!pem) return pem;
  if (const auto usable = net::TlsContext::make(*pem); !usable) {
    return fail(ErrorCode::kConfig, fmt::format("{}: {}", file.string(), usable.error().message));
  }
  return pem;
}

}  // namespace thalweg::config
