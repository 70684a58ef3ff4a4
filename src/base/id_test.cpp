#include "base/id.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace thalweg {
namespace {

TEST(RequestId, IsWrittenAsReqAndThirtyTwoDigits) {
  const RequestId id{0x0123456789abcdefULL, 0xfedcba9876543210ULL};
  EXPECT_EQ(id.text(), "req_0123456789abcdeffedcba9876543210");
  EXPECT_EQ(RequestId{}.text(), "req_00000000000000000000000000000000");
  EXPECT_EQ(id.text().size(), RequestId::kTextLength);
}

TEST(RequestIds, GiveTheSameIdsForTheSameSeed) {
  RequestIds a(7);
  RequestIds b(7);
  RequestIds c(8);
  for (int i = 0; i < 100; ++i) {
    const RequestId id = a.next();
    EXPECT_EQ(id, b.next());
    EXPECT_NE(id, c.next());
  }
}

TEST(RequestIds, NeverRepeatOverShards) {
  std::set<std::string> seen;
  for (int shard = 0; shard < 10; ++shard) {
    RequestIds ids;
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(ids.next().text()).second);
  }
}

TEST(RequestIds, UseEveryBit) {
  RequestIds ids(0);
  RequestId ones;
  RequestId zeros;
  for (int i = 0; i < 200; ++i) {
    const RequestId id = ids.next();
    ones = {ones.high | id.high, ones.low | id.low};
    zeros = {zeros.high | ~id.high, zeros.low | ~id.low};
  }
  EXPECT_EQ(ones, (RequestId{~0ULL, ~0ULL}));
  EXPECT_EQ(zeros, (RequestId{~0ULL, ~0ULL}));
}

}  // namespace
}  // namespace thalweg
