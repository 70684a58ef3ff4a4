#include "carry/engine/gguf.h"

#include <gtest/gtest.h>

#include <sstream>

#include "carry/engine/engine.h"
#include "carry/engine/fake_engine_test.h"

namespace thalweg::engine {
namespace {

/// A GGUF file's beginning, written by hand.
class File {
 public:
  explicit File(std::uint32_t version = 3) {
    bytes_ = "GGUF";
    number(version).number(std::uint64_t{7});  // tensors
  }
  template <class Value>
  File& number(Value value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  File& text(std::string_view text) {
    number(std::uint64_t{text.size()});
    bytes_ += text;
    return *this;
  }
  File& entries(std::uint64_t count) { return number(count); }
  File& key(std::string_view name, std::uint32_t type) { return text(name).number(type); }
  File& uint32(std::string_view name, std::uint32_t value) { return key(name, 4).number(value); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

Result<ModelShape> shape_of(const std::string& bytes) {
  std::istringstream stream(bytes);
  return read_shape(stream);
}
std::string fault_of(const std::string& bytes) {
  const auto shape = shape_of(bytes);
  return shape ? "none" : shape.error().message;
}

/// Of 2 layers, 8 heads of 16 wide, 2 of them kept.
File llama(std::uint64_t more = 0) {
  File file;
  file.entries(7 + more);
  file.key("general.architecture", 8).text("llama");
  file.key("general.name", 8).text("a name");
  file.uint32("llama.context_length", 4096).uint32("llama.block_count", 2).uint32("llama.embedding_length", 128);
  file.uint32("llama.attention.head_count", 8).uint32("llama.attention.head_count_kv", 2);
  return file;
}

TEST(Gguf, TellsTheBytesThatATokenKeeps) {
  const auto shape = shape_of(llama().bytes());
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->architecture, "llama");
  EXPECT_EQ(shape->context_tokens, 4096U);
  EXPECT_EQ(shape->kv_bytes_per_token, 2U * 2 * (16 + 16) * 2);
}

TEST(Gguf, GoesByTheHeadsOwnWidthsAndByEachLayersHeads) {
  File file;
  file.entries(9).key("general.architecture", 8).text("x");
  file.uint32("x.block_count", 3).uint32("x.embedding_length", 128).uint32("x.attention.head_count", 8);
  file.uint32("x.attention.key_length", 100).uint32("x.attention.value_length", 50);
  file.key("x.attention.head_count_kv", 9).number(std::uint32_t{4}).number(std::uint64_t{3});
  for (const std::uint32_t heads : {4U, 0U, 1U}) file.number(heads);
  file.key("tokenizer.ggml.tokens", 9).number(std::uint32_t{8}).number(std::uint64_t{2}).text("a").text("b");
  file.key("tokenizer.ggml.scores", 9).number(std::uint32_t{6}).number(std::uint64_t{2}).number(1.0F).number(2.0F);
  const auto shape = shape_of(file.bytes());
  ASSERT_TRUE(shape) << shape.error().message;
  EXPECT_EQ(shape->kv_bytes_per_token, 5U * 150 * 2);
}

TEST(Gguf, LeavesUnknownWhatTheFileDoesNotSay) {
  File file;
  file.entries(1).key("general.architecture", 8).text("mamba");
  const auto shape = shape_of(file.bytes());
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->kv_bytes_per_token, 0U);
  EXPECT_EQ(shape->context_tokens, 0U);
}

TEST(Gguf, RefusesWhatIsNoneAndWhatIsBroken) {
  EXPECT_EQ(fault_of(""), "it is no GGUF file");
  EXPECT_EQ(fault_of("GGML"), "it is no GGUF file");
  EXPECT_EQ(fault_of("GGUF"), "its metadata is broken or cut off near byte 4");
  EXPECT_EQ(fault_of(File(1).entries(0).bytes()), "it is GGUF of version 1; 2 and 3 are known");
  EXPECT_EQ(fault_of(File().entries(kMaxGgufEntries + 1).bytes()), "it has 65537 metadata entries; 65536 are read");
  EXPECT_EQ(fault_of(File(2).entries(0).bytes()), "none");
  const std::string whole = llama().bytes();
  for (std::size_t size = 4; size < whole.size(); ++size) EXPECT_FALSE(shape_of(whole.substr(0, size))) << size;
  const std::string broken = "its metadata is broken or cut off near byte ";
  for (const std::uint32_t type : {13U, 0xFFFFFFFFU}) {
    EXPECT_TRUE(fault_of(llama(1).key("k", type).bytes()).starts_with(broken)) << type;
    EXPECT_TRUE(fault_of(llama(1).key("k", 9).number(type).number(std::uint64_t{1}).bytes()).starts_with(broken));
  }
  // Lists of lists, and lengths beyond the limits.
  EXPECT_TRUE(
      fault_of(llama(1).key("k", 9).number(std::uint32_t{9}).number(std::uint64_t{1}).bytes()).starts_with(broken));
  const std::string longest(kMaxGgufElements, 'x');
  EXPECT_EQ(fault_of(llama(1).key("k", 9).number(std::uint32_t{0}).number(kMaxGgufElements).bytes() + longest), "none");
  EXPECT_TRUE(
      fault_of(llama(1).key("k", 9).number(std::uint32_t{0}).number(kMaxGgufElements + 1).bytes() + longest + "x")
          .starts_with(broken));
  EXPECT_EQ(fault_of(llama(1).key("k", 8).number(kMaxGgufString).bytes() + std::string(kMaxGgufString, 'x')), "none");
  EXPECT_TRUE(fault_of(llama(1).key("k", 8).number(kMaxGgufString + 1).bytes() + std::string(kMaxGgufString + 1, 'x'))
                  .starts_with(broken));
}

TEST(Memory, IsWhatWasGivenOrAnEstimate) {
  const Scratch scratch;
  Options options;
  options.context_tokens = 1000;
  options.slots = 2;
  options.model_file = scratch.write("model.gguf", llama().bytes());
  const std::uint64_t size = llama().bytes().size();
  constexpr std::uint64_t kBeside = 256ULL << 20;
  EXPECT_EQ(expected_memory(options), size + 2000 * 256 + kBeside);
  options.model_file = scratch.write("other.gguf", "none");  // 128 KiB a token
  EXPECT_EQ(expected_memory(options), 4 + 2000 * 131072ULL + kBeside);
  options.memory_bytes = 1ULL << 30;
  EXPECT_EQ(expected_memory(options), 1ULL << 30);
}

}  // namespace
}  // namespace thalweg::engine
