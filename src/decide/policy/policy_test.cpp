#include "decide/policy/policy.h"

#include <gtest/gtest.h>

namespace thalweg::policy {
namespace {

Policy two_keys() {
  Policy policy;
  policy.keys = {{.id = "b", .secret_sha256 = {7}, .tenant = "t2", .models = {"small", "large"}},
                 {.id = "a", .secret_sha256 = {}, .tenant = "t1", .models = {}}};
  return policy;
}

std::string hash_of(Policy policy) {
  seal(policy, {});
  return to_hex(policy.hash);
}

TEST(Key, MayUseEveryModelWhenItListsNone) {
  const Key key{.id = "a", .secret_sha256 = {}, .tenant = "t", .models = {}};
  EXPECT_TRUE(key.may_use("small"));
  EXPECT_TRUE(key.may_use(""));
}

TEST(Key, MayUseOnlyWhatItLists) {
  const Key key{.id = "a", .secret_sha256 = {}, .tenant = "t", .models = {"small", "large"}};
  EXPECT_TRUE(key.may_use("small"));
  EXPECT_TRUE(key.may_use("large"));
  EXPECT_FALSE(key.may_use("larg"));
  EXPECT_FALSE(key.may_use("larger"));
  EXPECT_FALSE(key.may_use("LARGE"));
  EXPECT_FALSE(key.may_use(""));
}

// `auto` opens nothing by itself: placement leaves out the models that the key lacks.
TEST(Key, MayAlwaysAskForAuto) {
  EXPECT_TRUE((Key{.id = "a", .secret_sha256 = {}, .tenant = "t", .models = {"small"}}.may_use("auto")));
}

TEST(FindKey, FindsEachByItsIdAndNothingElse) {
  Policy policy;
  for (int i = 0; i < 300; ++i) {
    policy.keys.push_back(
        {.id = "key-" + std::to_string(i * 7919 % 300), .secret_sha256 = {}, .tenant = "", .models = {}});
  }
  seal(policy, {});
  for (int i = 0; i < 300; ++i) {
    const std::string id = "key-" + std::to_string(i);
    const Key* key = policy.find_key(id);
    ASSERT_NE(key, nullptr);
    EXPECT_EQ(key->id, id);
  }
  for (const std::string_view id : {"", "key-", "key-300", "a", "z"}) EXPECT_EQ(policy.find_key(id), nullptr) << id;
  EXPECT_EQ(Policy{}.find_key("key-1"), nullptr);
}

// Computed by an independent program (Python's struct and hashlib).
TEST(SealPolicy, HashesTheCanonicalBytesOfTheSortedKeys) {
  EXPECT_EQ(hash_of(two_keys()), "cee6cb330372f0703aaf299763b6caf55719eb3f99e2af074a9a9f38e68b7c63");
  Policy turned = two_keys();
  std::swap(turned.keys[0], turned.keys[1]);
  turned.number = 9;
  EXPECT_EQ(hash_of(turned), hash_of(two_keys()));
}

TEST(SealPolicy, SeesEveryField) {
  const std::string before = hash_of(two_keys());
  const auto changed = [&before](auto change) {
    Policy policy = two_keys();
    change(policy);
    return hash_of(policy) != before;
  };
  EXPECT_TRUE(changed([](Policy& p) { p.keys[0].id = "c"; }));
  EXPECT_TRUE(changed([](Policy& p) { p.keys[0].secret_sha256[31] = 1; }));
  EXPECT_TRUE(changed([](Policy& p) { p.keys[0].tenant = "t3"; }));
  EXPECT_TRUE(changed([](Policy& p) { p.keys[0].models.pop_back(); }));
  EXPECT_TRUE(changed([](Policy& p) { std::swap(p.keys[0].models[0], p.keys[0].models[1]); }));
  EXPECT_TRUE(changed([](Policy& p) { p.keys.pop_back(); }));
}

}  // namespace
}  // namespace thalweg::policy
