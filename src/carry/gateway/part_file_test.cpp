#include "carry/gateway/part_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace thalweg::gateway {
namespace {

namespace fs = std::filesystem;

class PartFiles : public testing::Test {
 protected:
  PartFiles() {
    std::string name = (fs::temp_directory_path() / "thalweg-part-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    target = folder / "model.gguf";
  }
  ~PartFiles() override { fs::remove_all(folder); }
  static std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::ptrdiff_t count() const { return std::distance(fs::directory_iterator(folder), fs::directory_iterator()); }
  fs::path folder;
  fs::path target;
};

TEST_F(PartFiles, TakesTheTargetsPlaceOnlyWhenInstalled) {
  std::ofstream(target) << "old";
  auto part = PartFile::create(target);
  ASSERT_TRUE(part);
  ASSERT_TRUE(part->append("new ") && part->append("bytes"));
  EXPECT_EQ(read(target), "old");
  ASSERT_TRUE(part->install());
  EXPECT_EQ(read(target), "new bytes");
  EXPECT_EQ(count(), 1);
}

TEST_F(PartFiles, LeavesNothingWhenItIsGivenUp) {
  std::ofstream(target) << "old";
  {
    auto part = PartFile::create(target);
    ASSERT_TRUE(part && part->append("half"));
  }
  EXPECT_EQ(read(target), "old");
  EXPECT_EQ(count(), 1);
}

TEST_F(PartFiles, TwoWritersOfOneTargetShareNoBytes) {
  auto first = PartFile::create(target);
  auto second = PartFile::create(target);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->path(), second->path());
  ASSERT_TRUE(first->append("first") && second->append("2nd"));
  ASSERT_TRUE(first->install());
  EXPECT_EQ(read(target), "first");
  ASSERT_TRUE(second->install());
  EXPECT_EQ(read(target), "2nd");
}

TEST_F(PartFiles, RemovesWhatAKilledWriterLeftAndNothingElse) {
  const fs::path abandoned = target.string() + ".0123456789abcdef.part";
  const fs::path foreign = folder / "other.gguf.0123456789abcdef.part";
  std::ofstream(abandoned) << "half";
  std::ofstream(foreign) << "half";
  auto part = PartFile::create(target);
  ASSERT_TRUE(part);
  EXPECT_FALSE(fs::exists(abandoned));
  EXPECT_TRUE(fs::exists(foreign));
}

TEST_F(PartFiles, HasThePermissionsOfAnyNewFile) {
  const mode_t mask = ::umask(022);
  auto part = PartFile::create(target);
  ::umask(mask);
  ASSERT_TRUE(part);
  EXPECT_EQ(fs::status(part->path()).permissions(), static_cast<fs::perms>(0644));
}

TEST_F(PartFiles, SaysThatAFolderIsMissing) {
  const auto part = PartFile::create(folder / "none" / "model.gguf");
  ASSERT_FALSE(part);
  EXPECT_EQ(part.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace thalweg::gateway
