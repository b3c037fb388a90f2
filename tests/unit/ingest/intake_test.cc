// Shards against one resolver: what becomes of the samples of random batches, told and kept, is the same.

#include "core/ingest/intake.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/promql/parser.h"

namespace weir::ingest {
namespace {

using plugin::SampleBatch;

constexpr int64_t kNow = 1700000000000;

void AddSeries(const std::vector<Label>& labels, const std::vector<Sample>& samples, SampleBatch* batch) {
  const size_t at = batch->arena.size();
  plugin::EncodeLabels(labels, &batch->arena);
  SampleBatch::Series& series = batch->series.emplace_back();
  series.labels = std::string_view(batch->arena).substr(at);
  plugin::HashLabels(series.labels, series.hash);
  series.first = static_cast<uint32_t>(batch->samples.size());
  series.count = static_cast<uint32_t>(samples.size());
  batch->samples.insert(batch->samples.end(), samples.begin(), samples.end());
}

SampleBatch NewBatch() {
  SampleBatch batch;
  batch.arena.reserve(1 << 16);
  return batch;
}

struct Shards {
  explicit Shards(uint32_t n)
      : engine(engine::Options{.shards = n, .always_share = true, .slots_per_yield = 1}), intake(&engine, {}) {
    expr = promql::ParseExpr("count by (id) (rate({__name__=~\"m.*\"}[5m]))").expr;
    engine::Grid grid;
    grid.interval_ms = 60000;
    plan = *engine.AddPlan(*expr, grid);
  }
  // RETURNS: the answer.
  std::string Apply(const SampleBatch& batch) {
    std::vector<Intake::Item> items(1);
    items[0].batch = &batch;
    items[0].stream = "s";
    items[0].now_ms = kNow;
    intake.Apply(items);
    const plugin::IngestOutcome& o = items[0].outcome;
    return std::to_string(o.written) + " written " + std::to_string(o.duplicates) + " duplicates " +
           std::to_string(o.rejected) + " rejected (" + o.first_error + ") " + std::to_string(o.invalid_series) +
           " invalid (" + o.first_invalid + ") newest " + std::to_string(items[0].newest_ms);
  }
  std::vector<std::string> Results() {
    const engine::Evaluation evaluation = engine.Evaluate(plan, kNow);
    std::vector<std::string> lines;
    for (size_t slot = 0; slot < evaluation.vector.size(); ++slot) {
      if (evaluation.vector.present(slot)) {
        lines.push_back(engine.labels().ToLabels(evaluation.vector.labels(slot)).ToString());
      }
    }
    return lines;
  }
  promql::ExprPtr expr;
  engine::Engine engine;
  Intake intake;
  engine::PlanId plan = 0;
};

TEST(Intake, PartsHoldEverySeriesOnceInTheOrderOfTheBatch) {
  SampleBatch batch = NewBatch();
  for (int i = 0; i < 200; ++i) {
    AddSeries({{"__name__", "m"}, {"id", std::to_string(i)}}, {}, &batch);
  }
  const Parts parts = PartsOf(batch, 3);
  std::vector<uint32_t> all;
  for (uint32_t shard = 0; shard < 3; ++shard) {
    const std::span<const uint32_t> part = parts.Of(shard).places;
    EXPECT_GT(part.size(), 20U);
    EXPECT_TRUE(std::is_sorted(part.begin(), part.end()));
    all.insert(all.end(), part.begin(), part.end());
    for (size_t i = 0; i < part.size(); ++i) {
      EXPECT_EQ(parts.Of(shard).series[i].labels, batch.series[part[i]].labels);
    }
  }
  std::sort(all.begin(), all.end());
  std::vector<uint32_t> expected(200);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all, expected);
}

TEST(Intake, ShardsAnswerAsOne) {
  Shards one(1);
  Shards three(3);
  std::mt19937 random(7);
  for (int n = 0; n < 60; ++n) {
    SampleBatch batch = NewBatch();
    for (int i = 0; i < 40; ++i) {
      const std::string id = std::to_string(random() % static_cast<unsigned>(20 + n * 4));
      const int64_t t = kNow - 400000 + n * 5000 - static_cast<int64_t>(random() % 7000);
      switch (random() % 12) {
        case 0:
          AddSeries({{"id", id}}, {{t, 1}}, &batch);  // no name
          break;
        case 1:
          AddSeries({{"__name__", "other"}, {"id", id}}, {{t, 1}}, &batch);  // read by no rule
          break;
        case 2:
          AddSeries({{"__name__", "m"}, {"id", id}}, {{kNow + 3600000, 1}}, &batch);  // too far ahead
          break;
        default:
          AddSeries({{"__name__", "m"}, {"id", id}}, {{t, 1.0 * n}, {t + 1, 1.0 * n}}, &batch);
      }
    }
    ASSERT_EQ(three.Apply(batch), one.Apply(batch)) << "batch " << n;
  }
  EXPECT_EQ(three.Results(), one.Results());
  const ResolverStats a = one.intake.stats();
  const ResolverStats b = three.intake.stats();
  EXPECT_EQ(b.written, a.written);
  EXPECT_EQ(b.out_of_order, a.out_of_order);
  EXPECT_EQ(b.ignored, a.ignored);
  EXPECT_EQ(b.aliases, a.aliases);
  EXPECT_EQ(b.streams, a.streams);
  EXPECT_GT(a.out_of_order + a.conflicts, 0U);
}

// Labels in another order are the same series under another hash, which may say another shard.
TEST(Intake, SeriesWrittenDifferentlyAreOneSeries) {
  Shards one(1);
  Shards four(4);
  for (int n = 0; n < 4; ++n) {
    SampleBatch batch = NewBatch();
    for (int i = 0; i < 50; ++i) {
      const std::string id = std::to_string(i);
      const int64_t t = kNow - 100000 + n * 10000;
      if (n % 2 == 0) {
        AddSeries({{"__name__", "m"}, {"id", id}}, {{t, 1}}, &batch);
        continue;
      }
      AddSeries({{"id", id}, {"__name__", "m"}}, {{t, 2}}, &batch);
      AddSeries({{"id", id}, {"__name__", "m"}}, {{t, 3}}, &batch);  // a conflict
    }
    ASSERT_EQ(four.Apply(batch), one.Apply(batch)) << "batch " << n;
  }
  EXPECT_TRUE(four.intake.saw_strays());
  EXPECT_EQ(four.engine.Stats().series, 50U);
  EXPECT_EQ(four.Results(), one.Results());
  EXPECT_EQ(four.Results().size(), 50U);
}

}  // namespace
}  // namespace weir::ingest
