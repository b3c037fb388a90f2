#include "core/runtime/batch_pool.h"

#include <gtest/gtest.h>

#include <utility>

#include "core/runtime/engine_queue.h"

namespace weir::runtime {
namespace {

plugin::SampleBatch Used(size_t bytes) {
  plugin::SampleBatch batch;
  batch.arena.assign(bytes, 'x');
  batch.series.resize(3);
  batch.samples.resize(3);
  batch.start_times.resize(3);
  batch.bad_records = 1;
  batch.first_error = "a record";
  batch.arrived_ns = 7;
  return batch;
}

TEST(BatchPool, GivesTheMemoryOfABatchToTheNext) {
  BatchPool pool(1 << 20);
  EXPECT_TRUE(pool.Take().arena.empty());
  plugin::SampleBatch batch = Used(5000);
  const char* const bytes = batch.arena.data();
  pool.Give(std::move(batch));
  EXPECT_GE(pool.bytes(), 5000u);
  const plugin::SampleBatch again = pool.Take();
  EXPECT_EQ(again.arena.data(), bytes);
  EXPECT_TRUE(again.series.empty() && again.samples.empty() && again.start_times.empty());
  EXPECT_EQ(again.bad_records, 0u);
  EXPECT_EQ(again.first_error, "");
  EXPECT_EQ(again.arrived_ns, 0);
  EXPECT_EQ(pool.bytes(), 0u);
}

TEST(BatchPool, KeepsNoMoreThanItMay) {
  const size_t one = BatchBytes(Used(5000));
  BatchPool pool(2 * one);
  for (int i = 0; i < 4; ++i) {
    pool.Take();
  }
  for (int i = 0; i < 3; ++i) {
    pool.Give(Used(5000));
  }
  EXPECT_EQ(pool.bytes(), 2 * one);
  pool.Give(Used(1 << 20));
  EXPECT_EQ(pool.bytes(), 2 * one);
}

TEST(BatchPool, KeepsNothingForSourcesThatTakeNothing) {
  BatchPool pool(1 << 20);
  pool.Give(Used(5000));
  EXPECT_EQ(pool.bytes(), 0u);
}

TEST(BatchPool, GivesItsMemoryUpWhenNobodyTakesAny) {
  BatchPool pool(1 << 20);
  pool.Take();
  pool.Give(Used(5000));
  pool.ReleaseIfIdle();  // one was taken since the pool was made
  EXPECT_GE(pool.bytes(), 5000u);
  pool.ReleaseIfIdle();
  EXPECT_EQ(pool.bytes(), 0u);
  EXPECT_TRUE(pool.Take().arena.empty());
}

}  // namespace
}  // namespace weir::runtime
