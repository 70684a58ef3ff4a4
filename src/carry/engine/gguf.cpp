#include "carry/engine/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <vector>

namespace thalweg::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");

enum Type : std::uint32_t { kString = 8, kArray = 9, kTypes = 13 };
// Bytes of a value of each type; 0: it says itself.
constexpr std::array<std::uint8_t, kTypes> kSizes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

constexpr std::uint64_t kBytesOfValue = 2;  // of the cache, as llama-server keeps it unless told otherwise

class Reader {
 public:
  explicit Reader(std::istream& stream) : stream_(stream) {}

  Result<ModelShape> read() {
    if (std::array<char, 4> magic{}; !take(magic) || std::string_view(magic.data(), 4) != "GGUF")
      return fail(ErrorCode::kConfig, "it is no GGUF file");
    std::uint32_t version = 0;
    std::uint64_t tensors = 0, entries = 0;
    if (!take(version) || !take(tensors) || !take(entries)) return broken();
    if (version != 2 && version != 3)
      return fail(ErrorCode::kConfig, fmt::format("it is GGUF of version {}; 2 and 3 are known", version));
    if (entries > kMaxGgufEntries)
      return fail(ErrorCode::kConfig, fmt::format("it has {} metadata entries; {} are read", entries, kMaxGgufEntries));
    for (std::uint64_t i = 0; i < entries; ++i) {
      if (!read_entry()) return broken();
    }
    return shape();
  }

 private:
  template <class Value>
  bool take(Value& value) {
    stream_.read(reinterpret_cast<char*>(&value), sizeof value);
    offset_ += static_cast<std::uint64_t>(stream_.gcount());
    return stream_.good();
  }

  bool skip(std::uint64_t bytes) {
    stream_.ignore(static_cast<std::streamsize>(bytes));
    offset_ += static_cast<std::uint64_t>(stream_.gcount());
    return stream_.good() && static_cast<std::uint64_t>(stream_.gcount()) == bytes;
  }

  bool take_text(std::string* text) {
    std::uint64_t size = 0;
    if (!take(size) || size > kMaxGgufString) return false;
    if (text == nullptr) return skip(size);
    if (size > kMaxName) return false;
    text->resize(size);
    stream_.read(text->data(), static_cast<std::streamsize>(size));
    offset_ += size;
    return stream_.good();
  }

  std::optional<std::uint64_t> take_number(std::uint32_t type) {
    std::array<char, 8> bytes{};
    stream_.read(bytes.data(), kSizes[type]);
    offset_ += kSizes[type];
    if (!stream_.good()) return std::nullopt;
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;  // of a negative or a fraction: nonsense, which the bounds of each use refuse
  }

  bool read_entry() {
    std::string key;
    std::uint32_t type = 0;
    if (!take_text(&key) || !take(type) || type >= kTypes) return false;
    if (type == kString) return take_text(key == "general.architecture" ? &architecture_ : nullptr);
    if (type == kArray) return read_array(key);
    const auto value = take_number(type);
    if (value && kept_ < kMostKept && is_used(key)) {
      ++kept_;
      numbers_[key] = {*value};
    }
    return value.has_value();
  }

  static bool is_used(std::string_view key) {
    static constexpr std::array<std::string_view, 7> kUsed = {
        ".context_length",          ".block_count",          ".embedding_length",      ".attention.head_count",
        ".attention.head_count_kv", ".attention.key_length", ".attention.value_length"};
    return std::ranges::any_of(kUsed, [&](std::string_view name) { return key.ends_with(name); });
  }

  bool read_array(const std::string& key) {
    std::uint32_t type = 0;
    std::uint64_t count = 0;
    if (!take(type) || type >= kTypes || type == kArray || !take(count) || count > kMaxGgufElements) return false;
    if (type == kString) {
      for (std::uint64_t i = 0; i < count; ++i) {
        if (!take_text(nullptr)) return false;
      }
      return true;
    }
    // A file of nothing but such lists must not fill the memory.
    if (count > kMaxGgufLayers || kept_ + count > kMostKept || !is_used(key)) return skip(count * kSizes[type]);
    kept_ += count;
    std::vector<std::uint64_t>& values = numbers_[key];  // some models have other heads in each layer
    values.clear();
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto value = take_number(type);
      if (!value) return false;
      values.push_back(*value);
    }
    return true;
  }

  /// A number of the architecture's, or nothing where it is absent or beyond `most`.
  std::optional<std::uint64_t> number(std::string_view name, std::uint64_t most, std::size_t layer = 0) const {
    const auto found = numbers_.find(fmt::format("{}.{}", architecture_, name));
    if (found == numbers_.end() || found->second.empty()) return std::nullopt;
    const auto& values = found->second;
    const std::uint64_t value = values.size() == 1 ? values[0] : layer < values.size() ? values[layer] : 0;
    return value <= most ? std::optional(value) : std::nullopt;
  }

  ModelShape shape() const {
    ModelShape shape{.architecture = architecture_};
    shape.context_tokens = number("context_length", kMostTokens).value_or(0);
    const auto layers = number("block_count", kMaxGgufLayers);
    const auto width = number("embedding_length", kMostWidth);
    if (!layers || !width) return shape;
    for (std::size_t layer = 0; layer < *layers; ++layer) {
      const auto heads = number("attention.head_count", kMostHeads, layer);
      const auto kept = number("attention.head_count_kv", kMostHeads, layer);
      if (!heads) return shape;
      const std::uint64_t each = *heads == 0 ? 0 : *width / *heads;
      const std::uint64_t key = number("attention.key_length", kMostWidth).value_or(each);
      const std::uint64_t value = number("attention.value_length", kMostWidth).value_or(each);
      shape.kv_bytes_per_token += kept.value_or(*heads) * (key + value) * kBytesOfValue;
    }
    return shape;
  }

  std::unexpected<Error> broken() const {
    return fail(ErrorCode::kConfig, fmt::format("its metadata is broken or cut off near byte {}", offset_));
  }

  static constexpr std::uint64_t kMaxName = 65'535;  // bytes of a key, as the specification has it
  static constexpr std::uint64_t kMostTokens = 1ULL << 31, kMostWidth = 1ULL << 20, kMostHeads = 1ULL << 16;

  std::istream& stream_;
  static constexpr std::uint64_t kMostKept = 65'536;
  std::uint64_t offset_ = 0;
  std::uint64_t kept_ = 0;
  std::string architecture_;
  std::map<std::string, std::vector<std::uint64_t>, std::less<>> numbers_;
};

}  // namespace

Result<ModelShape> read_shape(std::istream& stream) {
  return Reader(stream).read();
}

Result<ModelShape> read_shape(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return fail(ErrorCode::kIo, fmt::format("{} cannot be read", file.string()));
  return read_shape(stream);
}

}  // namespace thalweg::engine
