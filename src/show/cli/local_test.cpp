#include "show/cli/local.h"

#include <gtest/gtest.h>

namespace thalweg::cli {
namespace {

std::string asked(const char* listen) {
  config::Settings settings;
  settings.listen = config::parse_listen(listen).value();
  const LocalGateway gateway = gateway_of(settings);
  EXPECT_EQ(gateway.port, settings.listen.port);
  return gateway.host;
}

TEST(LocalGateway, IsAskedWhereItListensAndNowhereElse) {
  EXPECT_EQ(asked("127.0.0.1:9"), "127.0.0.1");
  EXPECT_EQ(asked("localhost:9"), "127.0.0.1");
  EXPECT_EQ(asked("127.0.0.2:9"), "127.0.0.2");
  EXPECT_EQ(asked("[::1]:9"), "::1");
  EXPECT_EQ(asked("192.0.2.7:9"), "192.0.2.7");
  EXPECT_EQ(asked("[2001:db8::7]:9"), "2001:db8::7");
}

TEST(LocalGateway, IsAskedOnLoopbackWhenItListensEverywhere) {
  EXPECT_EQ(asked("0.0.0.0:9"), "127.0.0.1");
  EXPECT_EQ(asked("[::]:9"), "::1");
  EXPECT_EQ(asked("[0:0:0:0:0:0:0:0]:9"), "::1");
}

}  // namespace
}  // namespace thalweg::cli
