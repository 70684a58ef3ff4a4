#include "base/hash.h"

#include <gtest/gtest.h>

#include <set>

#include "base/canonical.h"

namespace thalweg {
namespace {

// FIPS 180-4 examples (NIST, "SHA256.pdf" and the long message of the SHA-2 validation set).
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(to_hex(sha256(std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, IsReadBackFromItsHexadecimalDigits) {
  const Sha256 digest = sha256("abc");
  EXPECT_EQ(parse_sha256(to_hex(digest)), digest);
  EXPECT_EQ(parse_sha256("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"), digest);
}

TEST(Sha256, RefusesTextThatIsNotOne) {
  const std::string good = to_hex(sha256("abc"));
  EXPECT_FALSE(parse_sha256(""));
  EXPECT_FALSE(parse_sha256(good.substr(1)));
  EXPECT_FALSE(parse_sha256(good + "0"));
  for (const char bad : {'g', ' ', '/', ':', '`', '@', 'G', '\0', '\xFF'}) {
    std::string text = good;
    text[63] = bad;
    EXPECT_FALSE(parse_sha256(text)) << bad;
  }
}

// xxHash 0.8, xsum_sanity_check.c, and the digests of "a" and "abc" that other implementations publish.
TEST(Hash64, GivesThePublishedXxh3Digests) {
  EXPECT_EQ(hash64(""), 0x2D06800538D394C2ULL);
  EXPECT_EQ(hash64("", 0x9E3779B185EBCA8DULL), 0xA8A6B918B2F0364AULL);
  EXPECT_EQ(hash64("a"), 0xE6C632B61E964E1FULL);
  EXPECT_EQ(hash64("abc"), 0x78AF5F94892F3950ULL);
}

// With value 0 it is a step of splitmix64, whose first outputs for these seeds are published with the reference code.
TEST(Mix64, IsSplitmix64) {
  EXPECT_EQ(mix64(0, 0), 0xE220A8397B1DCDAFULL);
  EXPECT_EQ(mix64(1234567, 0), 6457827717110365317ULL);
}

TEST(Mix64, DependsOnTheOrder) {
  EXPECT_NE(mix64(mix64(0, 1), 2), mix64(mix64(0, 2), 1));
}

TEST(EqualInConstantTime, ComparesLengthAndContent) {
  const Sha256 a = sha256("a");
  Sha256 b = a;
  EXPECT_TRUE(equal_in_constant_time(a, b));
  b[31] ^= 1;
  EXPECT_FALSE(equal_in_constant_time(a, b));
  EXPECT_FALSE(equal_in_constant_time(a, std::span(a).first(31)));
  EXPECT_TRUE(equal_in_constant_time({}, {}));
}

TEST(FillRandom, FillsEveryByte) {
  // A byte stays zero 20 times in a row with probability 256^-20.
  std::array<std::uint8_t, 67> seen{};
  for (int round = 0; round < 20; ++round) {
    std::array<std::uint8_t, 67> bytes{};
    fill_random(bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) seen[i] |= bytes[i];
  }
  for (const std::uint8_t byte : seen) EXPECT_NE(byte, 0);
}

// The bytes are little-endian counts before the text: hand-made here, hashed by the same SHA-256.
TEST(CanonicalBytes, PutTheLengthBeforeTheText) {
  CanonicalBytes bytes;
  bytes.text("ab");
  bytes.number(0x0102);
  EXPECT_EQ(bytes.hash(), sha256(std::string_view("\x02\0\0\0\0\0\0\0ab\x02\x01\0\0\0\0\0\0", 18)));
}

TEST(CanonicalBytes, TellApartTextsThatJoinAlike) {
  CanonicalBytes a;
  a.text("ab");
  a.text("c");
  CanonicalBytes b;
  b.text("a");
  b.text("bc");
  EXPECT_NE(a.hash(), b.hash());
}

}  // namespace
}  // namespace thalweg
