// The program's version, from the build.
#pragma once

#include <string_view>

namespace thalweg::cli {

inline constexpr std::string_view kVersion = THALWEG_VERSION;

}  // namespace thalweg::cli
