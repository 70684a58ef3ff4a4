#include "carry/net/byte_budget.h"

#include <gtest/gtest.h>

namespace thalweg::net {
namespace {

TEST(ByteBudget, HoldsExactlyItsLimitAndNotAByteMore) {
  ByteBudget budget(100);
  HeldBytes a(budget), b(budget);
  EXPECT_TRUE(a.hold(60));
  EXPECT_TRUE(b.hold(40));
  EXPECT_FALSE(b.hold(41));
  EXPECT_EQ(b.held(), 40u);
  EXPECT_EQ(budget.held(), 100u);
  EXPECT_TRUE(a.hold(59));
  EXPECT_TRUE(b.hold(41));
}

TEST(ByteBudget, GivesBackWhatWasHeldWhenTheHolderDies) {
  ByteBudget budget(100);
  {
    HeldBytes a(budget);
    EXPECT_TRUE(a.hold(70));
  }
  EXPECT_EQ(budget.held(), 0u);
}

}  // namespace
}  // namespace thalweg::net
