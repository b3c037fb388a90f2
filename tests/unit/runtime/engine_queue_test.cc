#include "core/runtime/engine_queue.h"

#include <gtest/gtest.h>

namespace weir::runtime {
namespace {

plugin::SampleBatch BatchOfBytes(size_t bytes) {
  plugin::SampleBatch batch;
  batch.arena.assign(bytes, 'x');
  return batch;
}

TEST(EngineQueue, RefusesBeyondItsLimitsAndLeavesTheBatchAlone) {
  EngineQueue queue({.batches = 2, .bytes = 1 << 20, .tasks = 1, .notes = 1});
  EXPECT_TRUE(queue.PushBatch(BatchOfBytes(10), "s", 0, 0, nullptr));
  EXPECT_TRUE(queue.PushBatch(BatchOfBytes(10), "s", 0, 0, nullptr));
  plugin::SampleBatch third = BatchOfBytes(100);
  EXPECT_FALSE(queue.PushBatch(std::move(third), "s", 0, 0, nullptr));
  EXPECT_EQ(third.arena.size(), 100u);
  EXPECT_TRUE(queue.PushTask([] {}));
  EXPECT_FALSE(queue.PushTask([] {}));
  EXPECT_TRUE(queue.PushNote([] {})) << "notes have a limit of their own";
}

TEST(EngineQueue, BytesAreALimitButOneBatchAlwaysFits) {
  EngineQueue queue({.batches = 100, .bytes = 1000, .tasks = 1, .notes = 1});
  EXPECT_TRUE(queue.PushBatch(BatchOfBytes(5000), "s", 0, 0, nullptr));
  EXPECT_FALSE(queue.PushBatch(BatchOfBytes(10), "s", 0, 0, nullptr));
  QueueItem item;
  EXPECT_TRUE(queue.Pop(&item));
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_TRUE(queue.PushBatch(BatchOfBytes(10), "s", 0, 0, nullptr));
}

TEST(EngineQueue, KeepsTheOrderOfBatchesAndTasks) {
  EngineQueue queue(QueueLimits{});
  queue.PushBatch(BatchOfBytes(1), "first", 7, 0, nullptr);
  queue.PushTask([] {});
  queue.PushBatch(BatchOfBytes(1), "second", 8, 0, nullptr);
  QueueItem item;
  ASSERT_TRUE(queue.Pop(&item));
  EXPECT_EQ(item.stream, "first");
  ASSERT_TRUE(queue.Pop(&item));
  EXPECT_NE(item.task, nullptr);
  ASSERT_TRUE(queue.Pop(&item));
  EXPECT_EQ(item.arrived_ms, 8);
  EXPECT_FALSE(queue.Pop(&item));
}

TEST(EngineQueue, AClosedQueueGivesOutWhatItHolds) {
  EngineQueue queue(QueueLimits{});
  queue.PushBatch(BatchOfBytes(1), "s", 0, 0, nullptr);
  queue.Close();
  EXPECT_FALSE(queue.PushBatch(BatchOfBytes(1), "s", 0, 0, nullptr));
  EXPECT_FALSE(queue.PushTask([] {}));
  QueueItem item;
  EXPECT_TRUE(queue.Pop(&item));
  EXPECT_TRUE(queue.empty());
}

TEST(EngineQueueTest, DuringATickBatchesPassTasksButNotEachOther) {
  const auto batch_at = [](int64_t t) {
    plugin::SampleBatch batch;
    batch.samples.push_back({t, 1});
    return batch;
  };
  EngineQueue queue({});
  queue.PushTask([] {});
  queue.PushBatch(batch_at(200), "first", 0, 0, nullptr);
  queue.PushNote([] {});
  queue.PushBatch(batch_at(100), "old", 0, 0, nullptr);
  queue.PushBatch(batch_at(300), "behind it", 0, 0, nullptr);
  QueueItem item;
  ASSERT_TRUE(queue.PopSamples(100, &item));
  EXPECT_EQ(item.stream, "first");
  ASSERT_TRUE(queue.PopSamples(100, &item));
  EXPECT_TRUE(item.note);
  EXPECT_FALSE(queue.PopSamples(100, &item));
  ASSERT_TRUE(queue.Pop(&item));
  EXPECT_TRUE(item.task != nullptr && !item.note);  // it kept its place
  ASSERT_TRUE(queue.Pop(&item));
  EXPECT_EQ(item.stream, "old");
}

}  // namespace
}  // namespace weir::runtime
