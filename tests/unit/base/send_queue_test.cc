#include "core/base/send_queue.h"

#include <gtest/gtest.h>

#include <thread>

namespace weir {
namespace {

TEST(SendQueue, KeepsOrderAndTakesAtMostMax) {
  SendQueue<int> queue(10);
  EXPECT_EQ(queue.Push({1, 2, 3}), 0u);
  std::vector<int> out;
  ASSERT_TRUE(queue.Pop(2, &out));
  EXPECT_EQ(out, (std::vector<int>{1, 2}));
  ASSERT_TRUE(queue.Pop(2, &out));
  EXPECT_EQ(out, (std::vector<int>{3}));
}

TEST(SendQueue, DropsTheOldest) {
  SendQueue<int> queue(3);
  EXPECT_EQ(queue.Push({1, 2}), 0u);
  EXPECT_EQ(queue.Push({3, 4}), 1u);
  EXPECT_EQ(queue.Push({5, 6, 7, 8}), 4u);
  std::vector<int> out;
  ASSERT_TRUE(queue.Pop(9, &out));
  EXPECT_EQ(out, (std::vector<int>{6, 7, 8}));
}

TEST(SendQueue, CloseLetsTheConsumerTakeTheRest) {
  SendQueue<int> queue(10);
  queue.Push({1, 2, 3});
  std::vector<int> taken;
  std::thread consumer([&] {
    std::vector<int> out;
    while (queue.Pop(1, &out)) {
      taken.push_back(out[0]);
    }
    queue.Finish();
  });
  EXPECT_TRUE(queue.Close(3600000));
  consumer.join();
  EXPECT_EQ(taken, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(queue.Push({4}), 1u);
}

TEST(SendQueue, AbortEndsAPauseAndSaysWhatWasLeft) {
  SendQueue<int> queue(10);
  queue.Push({1, 2, 3});
  bool went_on = true;
  std::thread consumer([&] {
    std::vector<int> out;
    queue.Pop(1, &out);
    went_on = queue.Pause(3600000);
    queue.Finish();
  });
  while (queue.size() == 3) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(queue.Close(0));
  EXPECT_EQ(queue.Abort(), 2u);
  consumer.join();
  EXPECT_FALSE(went_on);
}

}  // namespace
}  // namespace weir
