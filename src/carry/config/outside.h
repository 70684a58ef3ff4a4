// What the configuration fetches from outside its file: ${NAME} from the environment, paths, secrets from files. Never
// prints what it found.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace thalweg::config {

/// Replaces each ${NAME} by that variable's value, once (a value is not read again); `$${` stands for `${`. kConfig
/// when the variable is unset or empty, or a ${ does not end.
Result<std::string> expand(std::string_view text);

/// Expanded; a relative path is taken from `folder`.
Result<std::filesystem::path> resolve(std::string_view text, const std::filesystem::path& folder);
/// The same, and kConfig if it is no readable file.
Result<std::filesystem::path> resolve_file(std::string_view text, const std::filesystem::path& folder);
/// A program: without a slash it is looked up on PATH.
Result<std::filesystem::path> resolve_program(std::string_view text, const std::filesystem::path& folder);

/// The first line of a small file that not everybody on the machine may read.
Result<std::string> read_secret(const std::filesystem::path& file);
/// PEM certificates to trust; kConfig if there is none in the file, or one that cannot be read.
Result<std::string> read_authorities(const std::filesystem::path& file);
/// A file's bytes, `most` at most; kIo else. Errors do not name the file.
Result<std::string> read_bounded(const std::filesystem::path& file, std::size_t most);
/// A PEM file's text, 4 MiB at most. A secret one must not be readable by everybody on the machine.
enum class Privacy : std::uint8_t { kPublic, kSecret };
Result<std::string> read_pem(const std::filesystem::path& file, Privacy privacy);

}  // namespace thalweg::config
