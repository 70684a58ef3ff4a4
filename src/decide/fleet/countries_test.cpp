#include "decide/fleet/countries.h"

#include <gtest/gtest.h>

namespace thalweg::fleet {
namespace {

TEST(Countries, AreTheAssignedCodesAndNothingElse) {
  for (const std::string_view code : {"AD", "DE", "GB", "GR", "NO", "US", "ZW"}) EXPECT_TRUE(is_country(code)) << code;
  // Reserved, unassigned, old, in small letters, and what lies across two codes of the list.
  for (const std::string_view code : {"UK", "EU", "EL", "XX", "YU", "de", "", "D", "DEU", "DA"})
    EXPECT_FALSE(is_country(code)) << code;
}

TEST(Countries, AreAsManyAsIsoAssigned) {
  int count = 0;
  for (char first = 'A'; first <= 'Z'; ++first) {
    for (char second = 'A'; second <= 'Z'; ++second) {
      const char code[] = {first, second};
      count += is_country({code, 2});
    }
  }
  EXPECT_EQ(count, 249);
}

}  // namespace
}  // namespace thalweg::fleet
