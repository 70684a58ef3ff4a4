#include <gtest/gtest.h>

#include "carry/engine/engine.h"
#include "carry/engine/fake_engine_test.h"

namespace thalweg::engine {
namespace {

TEST(FindProgram, TakesTheWishedOneOrSaysThatItIsNotThere) {
  EXPECT_EQ(find_program(THALWEG_FAKE_ENGINE).value(), fs::path(THALWEG_FAKE_ENGINE));
  const auto missing = find_program("/nowhere/llama-server");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_NE(missing.error().message.find("/nowhere/llama-server"), std::string::npos);
  EXPECT_FALSE(find_program("/etc/passwd")) << "not executable";
}

TEST(FindProgram, LooksInTheInstallationThenOnThePathThenInTheCache) {
  const Scratch scratch;
  const fs::path cached = scratch.path / "cache" / "engine" / "llama-server";
  const fs::path on_path = scratch.path / "bin" / "llama-server";
  const Environment environment(
      {{"PATH", ":relative:" + (scratch.path / "bin").string()}, {"THALWEG_CACHE", (scratch.path / "cache").string()}});
  const fs::path installed = scratch.path / "lib" / "thalweg" / "engine" / "llama-server";
  const auto nothing = find_program({}, installed.parent_path());
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find(cached.string()), std::string::npos);
  EXPECT_NE(nothing.error().message.find(installed.parent_path().string()), std::string::npos);
  for (const fs::path& program : {cached, on_path, installed}) {
    fs::create_directories(program.parent_path());
    std::ofstream(program) << "x";
    fs::permissions(program, fs::perms::owner_all);
    EXPECT_EQ(find_program({}, installed.parent_path()).value(), program);
  }
}

TEST(FindProgram, SeesTheInstallationFromTheProgramsOwnFolder) {
  const fs::path self = fs::read_symlink("/proc/self/exe");
  EXPECT_EQ(installed_folder(), self.parent_path().parent_path() / "lib/thalweg/engine");
}

TEST(FindProgram, PutsTheCacheWhereTheEnvironmentSays) {
  const Environment environment({{"THALWEG_CACHE", "/a"}, {"XDG_CACHE_HOME", "/b"}, {"HOME", "/c"}});
  EXPECT_EQ(cache_folder(), "/a");
  setenv("THALWEG_CACHE", "", 1);
  EXPECT_EQ(cache_folder(), "/b/thalweg");
  setenv("XDG_CACHE_HOME", "", 1);
  EXPECT_EQ(cache_folder(), "/c/.cache/thalweg");
}

}  // namespace
}  // namespace thalweg::engine
