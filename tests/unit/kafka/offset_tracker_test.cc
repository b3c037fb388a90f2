#include "plugins/sources/kafka/offset_tracker.h"

#include <gtest/gtest.h>

namespace weir::kafka {
namespace {

TEST(OffsetTracker, CommitsOnlyWhatHasNoGapBeforeIt) {
  OffsetTracker tracker;
  EXPECT_EQ(tracker.Next(), -1);
  uint64_t epoch = tracker.Sent(10);
  tracker.Sent(11);
  tracker.Sent(15);  // 12 to 14 were compacted away
  tracker.Done(11, epoch);
  EXPECT_EQ(tracker.Next(), -1);
  tracker.Done(10, epoch);
  EXPECT_EQ(tracker.Next(), 12);
  tracker.Done(15, epoch);
  EXPECT_EQ(tracker.Next(), 16);
  EXPECT_EQ(tracker.outstanding(), 0u);
}

TEST(OffsetTracker, RewindForgetsEarlierReadings) {
  OffsetTracker tracker;
  uint64_t epoch = tracker.Sent(5);
  tracker.Sent(6);
  tracker.Sent(7);
  EXPECT_EQ(tracker.TakeRewind(), -1);
  tracker.Done(5, epoch);
  tracker.Refused(7, epoch);
  tracker.Refused(6, epoch);
  EXPECT_EQ(tracker.TakeRewind(), 6);
  EXPECT_EQ(tracker.TakeRewind(), -1);
  tracker.Done(6, epoch);
  EXPECT_EQ(tracker.Next(), 6) << "a late completion of the first reading must not commit";
  uint64_t second = tracker.Sent(6);
  EXPECT_NE(second, epoch);
  tracker.Refused(6, epoch);
  EXPECT_EQ(tracker.TakeRewind(), -1);
  tracker.Done(6, second);
  EXPECT_EQ(tracker.Next(), 7);
}

TEST(OffsetTracker, SmallerOffsetStartsAnew) {
  OffsetTracker tracker;
  uint64_t old_epoch = tracker.Sent(100);
  uint64_t epoch = tracker.Sent(0);
  EXPECT_NE(old_epoch, epoch);
  tracker.Done(100, old_epoch);
  EXPECT_EQ(tracker.Next(), -1);
  tracker.Done(0, epoch);
  EXPECT_EQ(tracker.Next(), 1);
}

}  // namespace
}  // namespace weir::kafka
