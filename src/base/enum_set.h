// A set of the values of an enumeration that counts from 0, as bits.
#pragma once

#include <concepts>
#include <initializer_list>

namespace thalweg {

template <class Enum, std::unsigned_integral Word>
class EnumSet {
 public:
  constexpr EnumSet() = default;
  constexpr EnumSet(std::initializer_list<Enum> list) {
    for (const Enum value : list) add(value);
  }
  static constexpr EnumSet from_bits(Word bits) {
    EnumSet set;
    set.bits_ = bits;
    return set;
  }
  constexpr Word bits() const { return bits_; }

  constexpr void add(Enum value) { bits_ = static_cast<Word>(bits_ | bit(value)); }
  constexpr void remove(Enum value) { bits_ = static_cast<Word>(bits_ & ~bit(value)); }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool has(Enum value) const { return (bits_ & bit(value)) != 0; }
  constexpr bool covers(EnumSet others) const { return (others.bits_ & ~bits_) == 0; }
  constexpr bool meets(EnumSet others) const { return (others.bits_ & bits_) != 0; }
  constexpr EnumSet without(EnumSet others) const { return from_bits(static_cast<Word>(bits_ & ~others.bits_)); }
  constexpr EnumSet joined(EnumSet others) const { return from_bits(static_cast<Word>(bits_ | others.bits_)); }
  constexpr EnumSet shared(EnumSet others) const { return from_bits(static_cast<Word>(bits_ & others.bits_)); }
  friend bool operator==(const EnumSet&, const EnumSet&) = default;

 private:
  static constexpr Word bit(Enum value) { return static_cast<Word>(Word{1} << static_cast<unsigned>(value)); }
  Word bits_ = 0;
};

}  // namespace thalweg
