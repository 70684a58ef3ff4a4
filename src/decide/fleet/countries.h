// Countries as ISO 3166-1 alpha-2 names them.
#pragma once

#include <string_view>

namespace thalweg::fleet {

/// One of the 249 codes officially assigned: two capital letters. Source: iso3166.tab of tzdata 2025b (ISO/TC 46 N1108,
/// 2023-04-05).
bool is_country(std::string_view code);

}  // namespace thalweg::fleet
