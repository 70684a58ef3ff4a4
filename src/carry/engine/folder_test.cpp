#include "carry/engine/folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "carry/engine/fake_engine_test.h"

namespace thalweg::engine {
namespace {

TEST(PrivateFolder, IsOursAloneAndGoesAway) {
  fs::path path;
  {
    const PrivateFolder folder = PrivateFolder::make().value();
    path = folder.path();
    struct stat found{};
    ASSERT_EQ(stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0700U);
    EXPECT_LT(folder.socket().string().size(), sizeof(sockaddr_un::sun_path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(PrivateFolder, TakesAwayWhatAKilledGatewayLeftAndNothingElse) {
  const Scratch scratch;
  const Environment environment({{"XDG_RUNTIME_DIR", scratch.path.string()}});
  const fs::path left = scratch.path / "thalweg-engine-left00";
  fs::create_directory(left);
  std::ofstream(left / "lock") << "";
  std::ofstream(left / "engine.sock") << "";
  const fs::path unlocked = scratch.path / "thalweg-engine-young0";  // just made by another gateway, not locked yet
  fs::create_directory(unlocked);
  const PrivateFolder first = PrivateFolder::make().value();
  const PrivateFolder second = PrivateFolder::make().value();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(unlocked));
  EXPECT_TRUE(fs::exists(first.path() / "lock"));
  EXPECT_EQ(first.path().parent_path(), scratch.path);
}

TEST(PrivateFolder, GoesToTmpWhereASocketsPathWouldNotFit) {
  const Scratch scratch;
  const fs::path deep = scratch.path / std::string(100, 'x');
  fs::create_directory(deep);
  const Environment environment({{"XDG_RUNTIME_DIR", deep.string()}});
  EXPECT_EQ(PrivateFolder::make().value().path().parent_path(), "/tmp");
}

}  // namespace
}  // namespace thalweg::engine
