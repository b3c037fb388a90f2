#include "core/runtime/watermarks.h"

#include <gtest/gtest.h>

namespace weir::runtime {
namespace {

TEST(Watermarks, LatenessFollowsTheDelaysThatAreSeen) {
  Watermarks watermarks{WatermarkOptions{}};
  EXPECT_EQ(watermarks.LatenessMs(), 5000) << "before anything is known";
  watermarks.Observe("a", 99900, 99900, 100000, false);
  EXPECT_EQ(watermarks.LatenessMs(), 1000) << "never below the bound";
  watermarks.Observe("a", 102000, 110000, 110000, false);
  EXPECT_EQ(watermarks.LatenessMs(), 8000 + 2000 + 500);
  watermarks.Observe("broken clock", 0, 0, 3600000, false);
  EXPECT_EQ(watermarks.LatenessMs(), 8000 + 2000 + 500) << "what lies beyond the bound is not waited for";
}

TEST(Watermarks, OldDelaysAreForgotten) {
  Watermarks watermarks{WatermarkOptions{}};
  watermarks.Observe("a", 90000, 100000, 100000, false);
  EXPECT_EQ(watermarks.LatenessMs(), 13000);
  for (int64_t now = 110000; now < 1000000; now += 10000) {
    watermarks.Observe("a", now - 100, now, now, false);
  }
  EXPECT_EQ(watermarks.LatenessMs(), 1000);
}

TEST(Watermarks, AStreamIsCompleteUpToItsNewestLessItsDisorder) {
  Watermarks watermarks{WatermarkOptions{}};
  EXPECT_EQ(watermarks.Complete(0), INT64_MIN);
  watermarks.Observe("a", 1000, 1000, 1000, false);
  EXPECT_EQ(watermarks.Complete(1000), 999);
  watermarks.Observe("a", 2000, 3000, 3000, false);
  EXPECT_EQ(watermarks.Complete(3000), 2999);
  watermarks.Observe("a", 2500, 4000, 4000, false);
  EXPECT_EQ(watermarks.Complete(4000), 3999 - 500) << "it has gone back by half a second";
  watermarks.Advance("a", 4000, 4000);
  EXPECT_EQ(watermarks.Complete(4000), 4000) << "it says so itself";
}

TEST(Watermarks, TheSlowestLiveStreamCountsAndASilentOneDoesNot) {
  Watermarks watermarks{WatermarkOptions{}};
  watermarks.Observe("fast", 100000, 100000, 100000, false);
  watermarks.Observe("slow", 50000, 50000, 100000, false);
  EXPECT_EQ(watermarks.Complete(100000), 49999);
  watermarks.Observe("fast", 170000, 170000, 170000, false);
  EXPECT_EQ(watermarks.Complete(170000), 169999) << "slow has been silent for more than a minute";
  EXPECT_EQ(watermarks.live(170000), 1u);
}

TEST(Watermarks, AClockAheadIsBelievedUpToTheBound) {
  Watermarks watermarks{WatermarkOptions{}};
  watermarks.Observe("a", 500000, 500000, 100000, false);
  EXPECT_EQ(watermarks.Newest(), 110000);
  watermarks.Observe("replay", 500000, 500000, 100000, true);
  EXPECT_EQ(watermarks.Newest(), 500000);
}

}  // namespace
}  // namespace weir::runtime
