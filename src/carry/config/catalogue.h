// Files of facts: the catalogue that comes with the program, and the user's own over it.
#pragma once

#include <expected>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"
#include "decide/facts/facts.h"

namespace thalweg::config {

/// One file, with every error found; their sentences do not name the file. kIo where it cannot be read.
std::expected<facts::Sheet, std::vector<Error>> read_facts(const std::filesystem::path& file);

/// The catalogue's folder: the one that was installed with this program, else that of the source tree in whose build
/// folder it lies. Empty if there is neither.
std::filesystem::path catalogue_folder();

/// The catalogue in a folder (*.yaml) with the overrides over it. Errors' sentences begin with the file's name.
std::expected<facts::Facts, std::vector<Error>> load_catalogue(const std::filesystem::path& folder,
                                                               std::span<const facts::Sheet> overrides);

}  // namespace thalweg::config
