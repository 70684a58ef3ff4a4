#include "carry/upstream/key_command.h"

#include <gtest/gtest.h>

#include <thread>

namespace thalweg::upstream {
namespace {

constexpr UtcTime kNow{std::chrono::seconds(1'795'420'800)};  // 2026-11-23T08:00:00Z

std::string said(std::string_view output, Duration lifetime = 300s) {
  const auto read = read_key_answer(output, kNow, lifetime);
  if (!read) return read.error().message;
  return read->key + " " + std::to_string(read->life / 1s);
}

TEST(KeyAnswer, TakesAPlainKey) {
  EXPECT_EQ(said("sk-abc"), "sk-abc 300");
  EXPECT_EQ(said("\n sk-abc \r\n"), "sk-abc 300");
  EXPECT_EQ(said("sk-abc", 3600s), "sk-abc 3600");
}

TEST(KeyAnswer, TakesWhatTheUsualProgramsWrite) {
  // az account get-access-token: expiresOn is local time without a zone, and says nothing.
  EXPECT_EQ(said(R"({"accessToken": "t", "expiresOn": "2026-11-23 11:00:00.000000", "expires_on": 1795424400})"),
            "t 3600");
  EXPECT_EQ(said(R"({"accessToken": "t", "expires_on": "1795424400"})"), "t 3600");
  EXPECT_EQ(said(R"({"accessToken": "t", "expiresOn": "2026-11-23 11:00:00.000000"})"), "t 300");
  // OAuth 2.0, RFC 6749.
  EXPECT_EQ(said(R"({"access_token": "t", "token_type": "Bearer", "expires_in": 899})"), "t 899");
  // Kubernetes' ExecCredential.
  EXPECT_EQ(
      said(R"({"kind": "ExecCredential", "status": {"expirationTimestamp": "2026-11-23T09:00:00Z", "token": "t"}})"),
      "t 3600");
  // vault login and vault read.
  EXPECT_EQ(said(R"({"auth": {"client_token": "hvs.t", "lease_duration": 60}, "data": null, "lease_duration": 0})"),
            "hvs.t 60");
  EXPECT_EQ(said(R"({"lease_duration": 2764800, "data": {"token": "t"}})"), "t 2764800");
  EXPECT_EQ(said(R"({"lease_duration": 0, "data": {"token": "t"}})"), "t 300");
  EXPECT_EQ(said(R"({"token": "t", "expiresAt": "2026-11-23T10:00:00.5+01:00"})"), "t 3600");
  EXPECT_EQ(said(R"({"token": "t", "expiresAt": "2026-11-23T07:00:00-01:30"})"), "t 1800");
  EXPECT_EQ(said(R"({"token": "t", "expiresAt": "tomorrow"})"), "t 300");
}

TEST(KeyAnswer, KnowsWhenAWebTokenExpires) {
  // {"alg":"none"}.{"exp":1795424400}.
  EXPECT_EQ(said("eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTU0MjQ0MDB9.c2ln"),
            "eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTU0MjQ0MDB9.c2ln 3600");
  EXPECT_EQ(said("a.b.c"), "a.b.c 300");
  EXPECT_EQ(said("a.!!!!.c"), "a.!!!!.c 300");
}

TEST(KeyAnswer, RefusesWhatIsNoKey) {
  EXPECT_EQ(said(""), "it wrote nothing to stdout");
  EXPECT_EQ(said(" \n"), "it wrote nothing to stdout");
  EXPECT_EQ(said("two words"), "the key has a space, line end or other character that an HTTP field must not hold");
  EXPECT_EQ(said("one\ntwo"), "the key has a space, line end or other character that an HTTP field must not hold");
  EXPECT_EQ(said("{\"token\": "), "it wrote something that begins like JSON and is none");
  EXPECT_EQ(said("{\"key\": \"t\"}"),
            "its JSON has no accessToken, access_token, token, status.token, auth.client_token or data.token");
  EXPECT_EQ(said("{\"token\": \"t\\r\\nX: y\"}"),
            "the key has a space, line end or other character that an HTTP field must not hold");
  EXPECT_EQ(said(R"({"token": "t", "expires_on": 1795420800})"), "the key has expired already");
  EXPECT_EQ(said(R"({"token": "t", "expires_on": 1})"), "the key has expired already");
  EXPECT_EQ(said(R"({"token": "t", "expires_in": 1e300})"), "t 315360000");  // ten years are as good as for ever
  EXPECT_EQ(said(std::string(kMaxSecret, 'k')), std::string(kMaxSecret, 'k') + " 300");
  EXPECT_EQ(said(std::string(kMaxSecret + 1, 'k')), "the key has more than 4096 characters");
}

std::string ran(const std::string& script, Duration timeout = 60s) {
  const std::atomic<bool> stop{false};
  const auto output =
      run_key_command({.program = "/bin/sh", .arguments = {"sh", "-c", script}, .timeout = timeout}, stop);
  return output ? *output : output.error().message;
}

TEST(KeyCommand, GivesWhatTheProgramWrote) {
  EXPECT_EQ(ran("printf abc; echo secret >&2"), "abc");
  EXPECT_EQ(ran("cat"), "");  // there is nothing to read
}

TEST(KeyCommand, SaysHowItFailed) {
  EXPECT_EQ(ran("echo abc; exit 3"), "it ended with exit code 3; run it by hand to see why");
  EXPECT_EQ(ran("kill -9 $$"), "it was ended by signal 9");
  EXPECT_EQ(ran("sleep 1000", 100ms), "it had not ended after 100 ms");
  EXPECT_EQ(ran("exec >&-; sleep 1000", 100ms), "it had not ended after 100 ms");
  EXPECT_EQ(ran("head -c 65537 /dev/zero"), "it wrote more than 64 KiB");
  EXPECT_EQ(ran("head -c 65536 /dev/zero").size(), 65'536U);
  const std::atomic<bool> stop{false};
  const auto missing = run_key_command({.program = "/nowhere/program", .arguments = {"program"}}, stop);
  EXPECT_EQ(missing.error().message, "it could not be started: No such file or directory");
}

class Keeping : public testing::Test {
 protected:
  /// Ticks until the key changes; what it is then.
  static std::string next_key(KeyKeeper& keeper, Instant now) {
    const Instant patience = MonotonicClock::now() + 60s;
    while (!keeper.tick(now) && MonotonicClock::now() < patience) std::this_thread::sleep_for(1ms);
    return keeper.key();
  }
  /// Ticks as long as a run may take, at the same instant.
  static void settle(KeyKeeper& keeper, Instant now) {
    for (int i = 0; i < 300; ++i) {
      EXPECT_FALSE(keeper.tick(now));
      std::this_thread::sleep_for(1ms);
    }
  }
  std::string folder() {
    std::string made = testing::TempDir() + "thalweg-key-XXXXXX";
    if (mkdtemp(made.data()) == nullptr) std::abort();
    return made;
  }
  const Instant start_{1000s};
};

TEST_F(Keeping, FetchesAnotherKeyWhenAFifthOfItsLifeIsLeft) {
  const std::string count = folder() + "/count";
  KeyKeeper keeper("e", {.program = "/bin/sh",
                         .arguments = {"sh", "-c", "echo x >> " + count + "; echo key-$(wc -l < " + count + ")"},
                         .lifetime = 100s});
  EXPECT_EQ(keeper.key(), "");
  EXPECT_EQ(next_key(keeper, start_), "key-1");
  settle(keeper, start_ + 79s);
  EXPECT_EQ(next_key(keeper, start_ + 80s), "key-2");
  settle(keeper, start_ + 159s);
  EXPECT_EQ(keeper.key(), "key-2");
}

TEST_F(Keeping, KeepsAKeyUntilItExpiresWhenThereIsNoOther) {
  const std::string mark = folder() + "/mark";
  KeyKeeper keeper("e", {.program = "/bin/sh",
                         .arguments = {"sh", "-c", "[ ! -e " + mark + " ] && touch " + mark + " && echo key"},
                         .lifetime = 100s});
  EXPECT_EQ(next_key(keeper, start_), "key");
  settle(keeper, start_ + 90s);
  EXPECT_EQ(keeper.key(), "key");
  EXPECT_TRUE(keeper.tick(start_ + 100s));
  EXPECT_EQ(keeper.key(), "");
}

TEST_F(Keeping, FetchesAnotherKeyWhenItIsRefusedUnlessItIsFresh) {
  const std::string count = folder() + "/count";
  KeyKeeper keeper("e", {.program = "/bin/sh",
                         .arguments = {"sh", "-c", "echo x >> " + count + "; echo key-$(wc -l < " + count + ")"},
                         .lifetime = 1000s});
  EXPECT_EQ(next_key(keeper, start_), "key-1");
  keeper.refused(start_ + kKeyRefusedAgain - 1ns);
  settle(keeper, start_ + kKeyRefusedAgain - 1ns);
  keeper.refused(start_ + kKeyRefusedAgain);
  EXPECT_EQ(next_key(keeper, start_ + kKeyRefusedAgain), "key-2");
}

TEST_F(Keeping, EndsARunningCommandWithItself) {
  const Instant before = MonotonicClock::now();
  {
    KeyKeeper keeper("e", {.program = "/bin/sh", .arguments = {"sh", "-c", "sleep 1000"}, .timeout = 600s});
    EXPECT_FALSE(keeper.tick(start_));
  }
  EXPECT_LT(MonotonicClock::now() - before, 60s);
}

}  // namespace
}  // namespace thalweg::upstream
