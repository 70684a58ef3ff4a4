#include "carry/http/head.h"

#include <gtest/gtest.h>

#include <string>

namespace thalweg::http {
namespace {

TEST(EqualsLower, TellsEveryByteAtEveryPlaceOfEveryLength) {
  for (std::size_t length = 0; length <= 20; ++length) {
    const std::string lower(length, 'q');
    EXPECT_TRUE(equals_lower(std::string(length, 'Q'), lower));
    EXPECT_FALSE(equals_lower(std::string(length + 1, 'q'), lower));
    for (std::size_t place = 0; place < length; ++place) {
      for (unsigned known = 0; known < 256; ++known) {
        if (known >= 'A' && known <= 'Z') continue;  // what is compared with is in lower case
        std::string expected = lower;
        expected[place] = static_cast<char>(known);
        for (unsigned given = 0; given < 256; ++given) {
          std::string text = lower;
          text[place] = static_cast<char>(given);
          const bool same = given == known || (given >= 'A' && given <= 'Z' && given + 32 == known);
          ASSERT_EQ(equals_lower(text, expected), same) << length << " " << place << " " << known << " " << given;
        }
      }
    }
  }
}

}  // namespace
}  // namespace thalweg::http
