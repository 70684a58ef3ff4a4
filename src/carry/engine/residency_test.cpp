#include "carry/engine/residency.h"

#include <gtest/gtest.h>

#include <random>

namespace thalweg::engine {
namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;
using Kind = Residency::Order::Kind;

Resident on_demand(const std::string& name, std::uint64_t memory = kGiB) {
  return {.name = name, .generation = 1, .memory = memory, .on_demand = true};
}

class ResidencyTest : public testing::Test {
 protected:
  void adopt(std::vector<Resident> residents, std::uint64_t budget) {
    busy_.assign(residents.size(), false);
    residency_.adopt(std::move(residents), budget);
  }
  /// The engines that got an order of that kind.
  std::vector<std::size_t> tick(Kind kind, Duration later = 100ms) {
    now_ += later;
    std::vector<Residency::Order> orders;
    residency_.tick(now_, busy_, orders);
    std::vector<std::size_t> engines;
    for (const auto& order : orders) {
      if (order.kind == kind) engines.push_back(order.engine);
    }
    return engines;
  }
  using Engines = std::vector<std::size_t>;
  void want(std::size_t engine) { residency_.want(engine, now_); }
  /// Wanted, loaded and used, for long enough to be unloaded again.
  void load(std::size_t engine) {
    want(engine);
    ASSERT_EQ(tick(Kind::kLoad), Engines{engine});
    residency_.loaded(engine, 0, now_);
    now_ += kLeastStay;
    residency_.used(engine, now_);
  }
  Residence residence(std::size_t engine) const { return residency_.residence(engine); }

  Residency residency_;
  std::vector<bool> busy_;
  Instant now_{100s};
};

TEST_F(ResidencyTest, LoadsWhatIsWantedOnce) {
  adopt({on_demand("a"), on_demand("b")}, 4 * kGiB);
  EXPECT_EQ(tick(Kind::kLoad), Engines{});
  for (int i = 0; i < 10; ++i) want(1);
  EXPECT_EQ(tick(Kind::kLoad), Engines{1});
  want(1);
  EXPECT_EQ(tick(Kind::kLoad), Engines{});
  EXPECT_EQ(residence(1), Residence::kLoading);
  residency_.loaded(1, 0, now_);
  EXPECT_EQ(residence(1), Residence::kLoaded);
  EXPECT_EQ(residence(0), Residence::kUnloaded);
  EXPECT_EQ(residency_.memory_used(), kGiB);
}

TEST_F(ResidencyTest, ForgetsAWantThatNobodyRepeats) {
  adopt({on_demand("a", 3 * kGiB), on_demand("b", 3 * kGiB)}, 4 * kGiB);
  load(0);
  busy_[0] = true;
  want(1);
  EXPECT_EQ(tick(Kind::kLoad), Engines{});
  now_ += kWantLasts;
  EXPECT_EQ(tick(Kind::kLoad), Engines{});
  busy_[0] = false;
  EXPECT_EQ(tick(Kind::kChanged), Engines{}) << "nobody waits for its memory any more";
}

TEST_F(ResidencyTest, UnloadsTheLeastRecentlyUsedForAnother) {
  adopt({on_demand("a"), on_demand("b"), on_demand("c")}, 2 * kGiB);
  load(0);
  load(1);
  residency_.used(0, now_ + 1ms);
  want(2);
  EXPECT_EQ(tick(Kind::kChanged), Engines{1});
  EXPECT_EQ(residence(1), Residence::kClosing);
  want(2);
  EXPECT_EQ(tick(Kind::kUnload), Engines{1});
  want(2);
  EXPECT_EQ(tick(Kind::kLoad), Engines{}) << "its memory is not free before its child is gone";
  residency_.unloaded(1);
  want(2);
  EXPECT_EQ(tick(Kind::kLoad), Engines{2});
  EXPECT_EQ(residence(0), Residence::kLoaded);
}

TEST_F(ResidencyTest, NeverUnloadsWhatIsBusyPinnedOrLoadedFromTheStart) {
  Resident pinned = on_demand("pinned");
  pinned.pinned = true;
  Resident always = on_demand("always");
  always.on_demand = false;
  adopt({on_demand("busy"), pinned, always, on_demand("wanted")}, 3 * kGiB);
  residency_.loaded(2, 0, now_);
  load(0);
  load(1);
  busy_[0] = true;
  for (int i = 0; i < 100; ++i) {
    want(3);
    (void)tick(Kind::kLoad);
    ASSERT_EQ(residence(1), Residence::kLoaded);
    ASSERT_EQ(residence(2), Residence::kLoaded);
    ASSERT_TRUE(residence(0) == Residence::kLoaded || residence(0) == Residence::kClosing);
    ASSERT_EQ(residence(3), Residence::kUnloaded);
  }
  busy_[0] = false;
  want(3);
  EXPECT_EQ(tick(Kind::kUnload), Engines{0});
}

TEST_F(ResidencyTest, ClosesABusyOneWhenOthersHaveWaitedLong) {
  adopt({on_demand("a"), on_demand("b")}, kGiB);
  load(0);
  busy_[0] = true;
  for (Duration waited = 100ms; waited < kWaitForIdle; waited += 100ms) {
    want(1);
    (void)tick(Kind::kLoad);
    ASSERT_EQ(residence(0), Residence::kLoaded) << to_millis(waited);
  }
  want(1);
  EXPECT_EQ(tick(Kind::kChanged), Engines{0});
  EXPECT_EQ(residence(0), Residence::kClosing) << "it takes no new requests";
  EXPECT_EQ(tick(Kind::kUnload), Engines{}) << "what runs there ends in its own time";
}

TEST_F(ResidencyTest, LetsAFreshlyLoadedModelServeWhoWaitedForIt) {
  adopt({on_demand("a"), on_demand("b")}, kGiB);
  want(0);
  (void)tick(Kind::kLoad);
  residency_.loaded(0, 0, now_);
  want(1);
  EXPECT_EQ(tick(Kind::kChanged), Engines{});
  now_ += kLeastStay;
  want(1);
  EXPECT_EQ(tick(Kind::kChanged), Engines{0});
}

TEST_F(ResidencyTest, ServesWantsInTheirOrder) {
  adopt({on_demand("a"), on_demand("large", 3 * kGiB), on_demand("small")}, 3 * kGiB);
  load(0);
  busy_[0] = true;
  want(1);
  now_ += 1ms;
  want(2);
  EXPECT_EQ(tick(Kind::kLoad), Engines{}) << "the small one would fit, but the large one came first";
  busy_[0] = false;
  want(1);
  want(2);
  EXPECT_EQ(tick(Kind::kChanged), Engines{0});
}

TEST_F(ResidencyTest, LoadsAloneWhatIsLargerThanAllTheMemory) {
  adopt({on_demand("a"), on_demand("huge", 100 * kGiB)}, 2 * kGiB);
  load(0);
  want(1);
  EXPECT_EQ(tick(Kind::kChanged), Engines{0});
  EXPECT_EQ(tick(Kind::kUnload), Engines{0});
  residency_.unloaded(0);
  want(1);
  EXPECT_EQ(tick(Kind::kLoad), Engines{1});
}

TEST_F(ResidencyTest, GoesByWhatWasMeasured) {
  adopt({on_demand("a", 3 * kGiB), on_demand("b", kGiB)}, 3 * kGiB);
  want(0);
  (void)tick(Kind::kLoad);
  residency_.loaded(0, kGiB, now_);
  EXPECT_EQ(residency_.memory_used(), kGiB);
  want(1);
  EXPECT_EQ(tick(Kind::kLoad), Engines{1}) << "there is room beside what it takes in truth";
}

TEST_F(ResidencyTest, UnloadsWhatIsIdle) {
  Resident pinned = on_demand("pinned");
  pinned.pinned = true;
  Resident quick = on_demand("quick");
  quick.unload_after = 10s;
  adopt({quick, pinned}, 4 * kGiB);
  load(0);
  load(1);
  now_ += 3s;
  residency_.used(0, now_);
  EXPECT_EQ(tick(Kind::kChanged, 9999ms), Engines{});
  busy_[0] = true;
  EXPECT_EQ(tick(Kind::kChanged, 1ms), Engines{});
  busy_[0] = false;
  EXPECT_EQ(tick(Kind::kChanged, 9999ms), Engines{});
  EXPECT_EQ(tick(Kind::kChanged, 1ms), Engines{0});
  EXPECT_EQ(tick(Kind::kChanged, 1000s), Engines{}) << "one is pinned";
}

TEST_F(ResidencyTest, KeepsAModelAsLongAsACallerWishes) {
  adopt({on_demand("a"), on_demand("b")}, 4 * kGiB);
  load(0);
  residency_.keep(0, 3s);
  EXPECT_EQ(tick(Kind::kChanged, 2800ms), Engines{});
  EXPECT_EQ(tick(Kind::kChanged, 200ms), Engines{0});
  (void)tick(Kind::kUnload);
  residency_.unloaded(0);
  load(0);
  residency_.keep(0, Duration::max());
  EXPECT_EQ(tick(Kind::kChanged, 100h), Engines{});
  residency_.keep(0, 0s);
  busy_[0] = true;
  EXPECT_EQ(tick(Kind::kChanged), Engines{}) << "what runs there ends first";
  busy_[0] = false;
  EXPECT_EQ(tick(Kind::kChanged), Engines{0});
  (void)tick(Kind::kUnload);
  residency_.unloaded(0);
  load(0);
  EXPECT_EQ(tick(Kind::kChanged, 299s), Engines{}) << "the wish was of that load";
}

TEST_F(ResidencyTest, RestsAModelThatCannotBeLoaded) {
  adopt({on_demand("broken")}, kGiB);
  Duration rest = kFirstLoadRest;
  for (int i = 0; i < 10; ++i) {
    want(0);
    ASSERT_EQ(tick(Kind::kLoad), Engines{0});
    residency_.failed(0, now_);
    EXPECT_EQ(residence(0), Residence::kEnding);
    residency_.unloaded(0);
    EXPECT_EQ(residence(0), Residence::kResting);
    want(0);
    EXPECT_EQ(tick(Kind::kLoad, rest - 1ns), Engines{});
    EXPECT_EQ(tick(Kind::kChanged, 1ns), Engines{0});
    EXPECT_EQ(residence(0), Residence::kUnloaded);
    rest = std::min(rest * 2, kLongestLoadRest);
    now_ += 10s;
    (void)tick(Kind::kLoad);
  }
  load(0);  // and it starts anew
  residency_.failed(0, now_);
  residency_.unloaded(0);
  EXPECT_EQ(tick(Kind::kChanged, kFirstLoadRest), Engines{0});
}

TEST_F(ResidencyTest, FollowsARuleThatChanged) {
  adopt({on_demand("a"), on_demand("b"), on_demand("c")}, 4 * kGiB);
  load(1);
  Resident b = on_demand("b");
  b.unload_after = 1s;
  adopt({on_demand("a"), b, on_demand("c")}, 4 * kGiB);
  EXPECT_EQ(tick(Kind::kChanged, 10s), Engines{1});
  Resident a = on_demand("a");
  a.on_demand = b.on_demand = false;
  adopt({a, b, on_demand("c")}, 4 * kGiB);
  EXPECT_EQ(residence(1), Residence::kLoaded) << "it stays after all";
  EXPECT_EQ(tick(Kind::kLoad), Engines{0});
  EXPECT_EQ(tick(Kind::kChanged, 1000s), Engines{});
}

TEST_F(ResidencyTest, KeepsWhatIsLoadedThroughANewConfiguration) {
  adopt({on_demand("a"), on_demand("b")}, 4 * kGiB);
  load(1);
  Resident again = on_demand("b");
  again.generation = 2;
  adopt({on_demand("c"), on_demand("b"), on_demand("a")}, 4 * kGiB);
  EXPECT_EQ(residence(1), Residence::kLoaded);
  EXPECT_EQ(residence(0), Residence::kUnloaded);
  EXPECT_EQ(residency_.find("a"), 2U);
  EXPECT_EQ(residency_.find("none"), 3U);
  adopt({again}, 4 * kGiB);
  EXPECT_EQ(residence(0), Residence::kUnloaded) << "another child";
  again.generation = 3;
  again.on_demand = false;
  adopt({again}, 4 * kGiB);
  EXPECT_EQ(residence(0), Residence::kLoading);
}

// Whatever happens in whatever order: within the budget (but for one that is too large for it alone), never a busy one
// ended, and every want that goes on is served in the end.
TEST_F(ResidencyTest, KeepsItsPromisesInRandomLives) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<std::size_t>(random() % n); };
  for (int life = 0; life < 200; ++life) {
    residency_ = {};
    std::vector<Resident> residents;
    for (std::size_t i = 0; i < 5; ++i) {
      residents.push_back(on_demand(std::string(1, static_cast<char>('a' + i)), (1 + below(3)) * kGiB));
      residents.back().unload_after = std::chrono::seconds(2 + below(20));
    }
    adopt(residents, 4 * kGiB);
    std::vector<Instant> wanted_since(5, Instant{});
    for (int step = 0; step < 600; ++step) {
      now_ += 100ms;
      for (std::size_t i = 0; i < 5; ++i) {
        const bool loaded = residence(i) == Residence::kLoaded;
        if (residence(i) == Residence::kLoading && below(5) == 0) residency_.loaded(i, 0, now_);
        if (residence(i) == Residence::kEnding && below(3) == 0) residency_.unloaded(i);
        // Requests begin only where it is loaded, and end by themselves.
        if (busy_[i] ? below(10) == 0 : loaded && below(10) == 0) busy_[i] = !busy_[i];
        if (wanted_since[i] != Instant{} || below(100) == 0) {
          if (wanted_since[i] == Instant{}) wanted_since[i] = now_;
          residency_.want(i, now_);
          if (loaded) wanted_since[i] = Instant{};
        }
        ASSERT_LT(wanted_since[i] == Instant{} ? Duration{} : now_ - wanted_since[i], 60s) << i;
      }
      std::vector<Residency::Order> orders;
      residency_.tick(now_, busy_, orders);
      for (const auto& order : orders) {
        if (order.kind == Kind::kUnload) {
          ASSERT_FALSE(busy_[order.engine]);
        }
      }
      ASSERT_LE(residency_.memory_used(), 4 * kGiB);
    }
  }
}

}  // namespace
}  // namespace thalweg::engine
