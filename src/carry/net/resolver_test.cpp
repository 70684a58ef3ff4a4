#include "carry/net/resolver.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <optional>

#include "carry/net/scripted_server_test.h"

namespace thalweg::net {
namespace {

TEST(NumericAddress, ReadsBothFamilies) {
  const auto v4 = numeric_address("127.0.0.1", 8080);
  ASSERT_EQ(v4.size(), 1U);
  EXPECT_EQ(v4[0].family(), AF_INET);
  EXPECT_EQ(ntohs(reinterpret_cast<const sockaddr_in*>(v4[0].get())->sin_port), 8080);
  const auto v6 = numeric_address("::1", 8080);
  ASSERT_EQ(v6.size(), 1U);
  EXPECT_EQ(v6[0].family(), AF_INET6);
}

TEST(NumericAddress, LeavesNamesToTheResolver) {
  EXPECT_TRUE(numeric_address("localhost", 80).empty());
  EXPECT_TRUE(numeric_address("", 80).empty());
}

struct Answered {
  std::vector<SocketAddress> addresses;
  std::error_code error;
};

TEST(Lookup, FindsTheAddressesOfAName) {
  Loop loop;
  std::optional<Answered> answered;
  const Lookup lookup(loop, "localhost", 80, [&](std::vector<SocketAddress> addresses, std::error_code error) {
    answered.emplace(std::move(addresses), error);
  });
  ASSERT_TRUE(run_until(loop, [&] { return answered.has_value(); }));
  EXPECT_FALSE(answered->error);
  EXPECT_FALSE(answered->addresses.empty());
}

TEST(Lookup, SaysWhyThereIsNone) {
  Loop loop;
  std::optional<Answered> answered;
  const Lookup lookup(loop, "name.invalid", 80, [&](std::vector<SocketAddress> addresses, std::error_code error) {
    answered.emplace(std::move(addresses), error);
  });
  ASSERT_TRUE(run_until(loop, [&] { return answered.has_value(); }));
  EXPECT_TRUE(answered->error);
  EXPECT_FALSE(answered->error.message().empty());
  EXPECT_TRUE(answered->addresses.empty());
}

TEST(Lookup, MoreThanThereAreThreadsAllCome) {
  Loop loop;
  int came = 0;
  std::vector<std::unique_ptr<Lookup>> lookups;
  for (int i = 0; i < 32; ++i) {
    lookups.push_back(std::make_unique<Lookup>(loop, "localhost", 80, [&](const auto&, auto) { ++came; }));
  }
  EXPECT_TRUE(run_until(loop, [&] { return came == 32; }));
}

TEST(Lookup, OneThatIsDroppedNeverAnswers) {
  bool came = false;
  {
    Loop loop;
    std::optional<Lookup> dropped(std::in_place, loop, "localhost", 80, [&](const auto&, auto) { FAIL(); });
    dropped.reset();
    const Lookup kept(loop, "localhost", 80, [&](const auto&, auto) { came = true; });
    EXPECT_TRUE(run_until(loop, [&] { return came; }));
    const Lookup outlived(loop, "localhost", 80, [&](const auto&, auto) { FAIL() << "the loop is gone"; });
  }
}

}  // namespace
}  // namespace thalweg::net
