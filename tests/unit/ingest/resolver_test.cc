#include "core/ingest/resolver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "core/ingest/intake.h"
#include "core/promql/parser.h"

namespace weir::ingest {
namespace {

using plugin::IngestOutcome;
using plugin::SampleBatch;

constexpr int64_t kNow = 1700000000000;

// Collects series and makes a batch of them, as a codec would.
class BatchBuilder {
 public:
  BatchBuilder& Add(std::vector<Label> labels, std::vector<Sample> samples) {
    std::string block;
    plugin::EncodeLabels(labels, &block);
    return AddBlock(std::move(block), std::move(samples));
  }
  BatchBuilder& AddBlock(std::string block, std::vector<Sample> samples) {
    blocks_.push_back(std::move(block));
    samples_.push_back(std::move(samples));
    return *this;
  }
  SampleBatch Take() {
    SampleBatch batch;
    size_t bytes = SampleBatch::kArenaBytesMin;
    for (const std::string& block : blocks_) {
      bytes += block.size();
    }
    batch.arena.reserve(bytes);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      SampleBatch::Series& series = batch.series.emplace_back();
      const size_t at = batch.arena.size();
      batch.arena.append(blocks_[i]);
      series.labels = std::string_view(batch.arena).substr(at);
      series.first = static_cast<uint32_t>(batch.samples.size());
      series.count = static_cast<uint32_t>(samples_[i].size());
      plugin::HashLabels(series.labels, series.hash);
      batch.samples.insert(batch.samples.end(), samples_[i].begin(), samples_[i].end());
    }
    blocks_.clear();
    samples_.clear();
    return batch;
  }

 private:
  std::vector<std::string> blocks_;
  std::vector<std::vector<Sample>> samples_;
};

class ResolverTest : public testing::Test {
 protected:
  explicit ResolverTest(ResolverLimits limits = {}, uint32_t series_max = 2000000)
      : engine_(engine::Options{.series_max = series_max}), resolver_(&engine_, limits) {}

  engine::PlanId Plan(const std::string& text) {
    const promql::ParseOutcome parsed = promql::ParseExpr(text);
    WEIR_ASSERT(parsed.errors.empty());
    exprs_.push_back(parsed.expr);
    engine::Grid grid;
    grid.interval_ms = 15000;
    const Result<engine::PlanId> plan = engine_.AddPlan(*exprs_.back(), grid);
    WEIR_ASSERT(plan.ok());
    return *plan;
  }

  IngestOutcome Apply(BatchBuilder& builder, const std::string& stream = "s", int64_t now_ms = kNow) {
    const SampleBatch batch = builder.Take();
    return resolver_.Apply(batch, stream, now_ms);
  }

  IngestOutcome ApplyOne(std::vector<Label> labels, Sample sample, int64_t now_ms = kNow) {
    BatchBuilder builder;
    builder.Add(std::move(labels), {sample});
    return Apply(builder, "s", now_ms);
  }

  // RETURNS: `labels value` of every present slot at `t_ms`, sorted.
  std::vector<std::string> Values(engine::PlanId plan, int64_t t_ms) {
    const engine::Evaluation evaluation = engine_.Evaluate(plan, t_ms);
    std::vector<std::string> out;
    for (size_t i = 0; i < evaluation.vector.size(); ++i) {
      if (evaluation.vector.present(i)) {
        out.push_back(engine_.labels().ToLabels(evaluation.vector.labels(i)).ToString() + " " +
                      std::to_string(static_cast<int64_t>(evaluation.vector.value(i))));
      }
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  uint64_t Invalid(InvalidReason reason) const { return resolver_.stats().invalid_series[static_cast<size_t>(reason)]; }

  engine::Engine engine_;
  Resolver resolver_;
  BatchBuilder builder_;
  std::vector<promql::ExprPtr> exprs_;
};

std::vector<Label> Up(int i) { return {{"__name__", "up"}, {"i", std::to_string(i)}}; }

TEST_F(ResolverTest, SamplesReachTheirSeries) {
  const engine::PlanId plan = Plan("up");
  builder_.Add(Up(1), {{kNow - 1000, 10}, {kNow - 500, 11}}).Add(Up(2), {{kNow - 400, 20}});
  const IngestOutcome outcome = Apply(builder_);
  EXPECT_EQ(outcome.written, 3u);
  EXPECT_EQ(outcome.rejected + outcome.duplicates + outcome.invalid_series, 0u);
  EXPECT_EQ(resolver_.newest_ms(), kNow - 400);
  EXPECT_EQ(Values(plan, kNow), (std::vector<std::string>{"up{i=\"1\"} 11", "up{i=\"2\"} 20"}));
}

TEST_F(ResolverTest, AStableOrderIsPredicted) {
  Plan("up");
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 50; ++i) {
      builder_.Add(Up(i), {{kNow + round, 1.0 * round}});
    }
    EXPECT_EQ(Apply(builder_).written, 50u);
  }
  const ResolverStats stats = resolver_.stats();
  EXPECT_EQ(stats.parsed, 50u);
  EXPECT_EQ(stats.probed, 1u);  // from the last series to the first, once; then that is the order
  EXPECT_EQ(stats.predicted, 149u);
  EXPECT_EQ(stats.aliases, 50u);
  EXPECT_EQ(stats.written, 200u);
}

TEST_F(ResolverTest, ANewOrderIsLearnedInOneRound) {
  Plan("up");
  std::vector<int> order(100);
  for (int i = 0; i < 100; ++i) {
    order[static_cast<size_t>(i)] = i;
  }
  std::mt19937 random(3);
  for (int round = 0; round < 5; ++round) {
    if (round == 2) {
      std::shuffle(order.begin(), order.end(), random);
    }
    for (const int i : order) {
      builder_.Add(Up(i), {{kNow + round, 1}});
    }
    const uint64_t probed = resolver_.stats().probed;
    Apply(builder_);
    if (round == 2) {
      EXPECT_GT(resolver_.stats().probed, probed + 50);
    } else if (round == 4) {
      EXPECT_EQ(resolver_.stats().probed, probed);
    }
  }
  EXPECT_EQ(resolver_.stats().parsed, 100u);
}

// One series in the wrong place: it is probed for, what follows is predicted again, and so is the old order afterwards.
TEST_F(ResolverTest, AStrayCostsItselfOnly) {
  Plan("up");
  const std::vector<std::vector<int>> rounds = {
      {0, 1, 2, 3, 4, 5, 6, 7},                            // new
      {0, 1, 2, 3, 4, 5, 6, 7},                            // back to the first one: a probe
      {0, 1, 6, 3, 4, 5, 2, 7},                            // two that changed places: two probes
      {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 5, 2, 3, 4, 6, 7},  // one that came early, and is missing where it was
      {0, 1, 2, 3, 4, 5, 6, 7},
  };
  const std::vector<uint64_t> probes = {0, 1, 2, 0, 1, 0};
  for (size_t round = 0; round < rounds.size(); ++round) {
    for (const int i : rounds[round]) {
      builder_.Add(Up(i), {{kNow + static_cast<int64_t>(round), 1}});
    }
    const uint64_t probed = resolver_.stats().probed;
    Apply(builder_);
    EXPECT_EQ(resolver_.stats().probed - probed, probes[round]) << "round " << round;
  }
}

TEST_F(ResolverTest, StreamsHaveTheirOwnCursors) {
  Plan("up");
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      builder_.Add(Up(i), {{kNow + round, 1}});
    }
    Apply(builder_, "a");
    for (int i = 100; i < 110; ++i) {
      builder_.Add(Up(i), {{kNow + round, 1}});
    }
    Apply(builder_, "b");
  }
  EXPECT_EQ(resolver_.stats().probed, 2u);
  EXPECT_EQ(resolver_.stats().streams, 2u);
  resolver_.ForgetStream("a");
  resolver_.ForgetStream("never seen");
  EXPECT_EQ(resolver_.stats().streams, 1u);
  builder_.Add(Up(3), {{kNow + 9, 1}});
  EXPECT_EQ(Apply(builder_, "a").written, 1u);
}

TEST_F(ResolverTest, SeriesNobodyReadsLeaveNoTraceUntilARuleDoes) {
  Plan("up");
  const std::vector<Label> labels = {{"__name__", "other"}, {"i", "never-seen-value"}};
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(ApplyOne(labels, {kNow + round, 1}).written, 1u);
  }
  EXPECT_EQ(resolver_.stats().ignored, 3u);
  EXPECT_EQ(resolver_.stats().parsed, 1u);
  EXPECT_EQ(engine_.labels().Find("never-seen-value"), kEmptySymbol);
  EXPECT_EQ(engine_.Stats().series + engine_.Stats().series_unread, 0u);
  EXPECT_EQ(resolver_.newest_ms(), kNow + 2);

  const engine::PlanId plan = Plan("other");
  ApplyOne(labels, {kNow + 3, 7});
  EXPECT_EQ(Values(plan, kNow + 10), (std::vector<std::string>{"other{i=\"never-seen-value\"} 7"}));
  engine_.RemovePlan(plan);
  ApplyOne(labels, {kNow + 4, 8});
  EXPECT_EQ(resolver_.stats().ignored, 4u);
}

TEST_F(ResolverTest, ReusedSeriesIdsAreNotMistaken) {
  const engine::PlanId plan = Plan("up");
  ApplyOne(Up(1), {kNow, 1});
  ApplyOne(Up(2), {kNow + 500000, 2});
  EXPECT_EQ(engine_.Expire(kNow + 500000), 1u);  // series 1; its id is free
  ApplyOne(Up(3), {kNow + 500001, 3});           // and may be reused here
  ApplyOne(Up(1), {kNow + 500002, 4});
  ApplyOne(Up(2), {kNow + 500003, 5});
  EXPECT_EQ(Values(plan, kNow + 500010), (std::vector<std::string>{"up{i=\"1\"} 4", "up{i=\"2\"} 5", "up{i=\"3\"} 3"}));
  EXPECT_EQ(resolver_.stats().parsed, 4u);  // series 2 was recognised without parsing
}

// Samples come in whenever an expiry yields: for series that are to go, that have gone, that stay, and for new ones. Whoever speaks is
// there afterwards with what it has said, under the id it has then, and nobody else is.
TEST_F(ResolverTest, SamplesComeInWhileManySeriesExpire) {
  constexpr int kSeries = 6000;
  constexpr size_t kGonePerPieceMax = 512;
  std::mt19937 random(5);
  const engine::PlanId plan = Plan("up");
  int64_t t = kNow;
  for (int round = 0; round < 4; ++round, t += 1000000) {
    for (int i = 0; i < kSeries; ++i) {
      builder_.Add(Up(i), {{t, static_cast<double>(i)}});
    }
    ASSERT_EQ(Apply(builder_, "s", t).written + 0U, static_cast<uint64_t>(kSeries));
    const int64_t expiry = t + 500000;
    std::map<int, int> said;
    int value = 0;
    const auto speak = [&](int i) {
      ++value;
      said[i] = value;
      const std::string stream = i % 2 == 0 ? "s" : "other";
      builder_.Add(Up(i), {{expiry + 1 + value, static_cast<double>(value)}});
      ASSERT_EQ(Apply(builder_, stream, expiry).written, 1U);
    };
    // An old sample keeps nobody, but the stream has looked at the series; it makes one anew that has gone.
    std::set<int> made;
    std::vector<int> asked;
    const auto ask = [&](int i) {
      builder_.Add(Up(i), {{t, static_cast<double>(i)}});
      if (Apply(builder_, "s", expiry).written == 1) {
        made.insert(i);
      }
      asked.push_back(i);
    };
    size_t series = engine_.Stats().series;
    const auto count = [&] {  // those of the first chunks that are still there
      size_t known = 0;
      for (engine::SeriesId id = 0; id < kSeries; ++id) {
        known += engine_.SeriesLabels(id) != kNoLabelSet ? 1 : 0;
      }
      return known;
    };
    engine_.SetYield([&] {
      const size_t known = count();
      ASSERT_LE(series - std::min(series, known), kGonePerPieceMax);
      for (int n = 0; n < 3; ++n) {
        speak(static_cast<int>(random() % (kSeries + 500)));
      }
      if (!said.empty()) {
        speak(said.begin()->first);
      }
      for (int n = 0; n < 20; ++n) {
        ask(static_cast<int>(random() % kSeries));
      }
      speak(asked[random() % asked.size()]);
      series = count();
    });
    engine_.BeginYielding();
    const size_t expired = engine_.Expire(expiry);
    engine_.EndYielding();
    EXPECT_GT(expired, static_cast<size_t>(kSeries / 2));
    EXPECT_GT(said.size(), 50U);
    std::vector<std::string> expected;
    expected.reserve(said.size());
    for (const auto& [i, v] : said) {
      expected.push_back("up{i=\"" + std::to_string(i) + "\"} " + std::to_string(v));
    }
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(Values(plan, expiry + 15000), expected);
    for (const auto& [i, v] : said) {
      made.insert(i);
    }
    EXPECT_EQ(engine_.Stats().series, made.size());
    // The streams know them still.
    for (const auto& [i, v] : std::map<int, int>(said)) {
      speak(i);
    }
    EXPECT_EQ(engine_.Stats().series, made.size());
  }
}

// Series that came while a tick ran join their sets with yields, in which more may come.
TEST_F(ResolverTest, SeriesThatWereSetAsideJoinInPieces) {
  constexpr int kSeries = 4000;
  const engine::PlanId plan = Plan("up");
  int next = 0;
  size_t yields = 0;
  const auto come = [&](int count) {
    for (int i = 0; i < count; ++i, ++next) {
      builder_.Add(Up(next), {{kNow, static_cast<double>(next)}});
    }
    ASSERT_EQ(Apply(builder_).written, static_cast<uint64_t>(count));
  };
  engine_.SetYield([&] {
    ++yields;
    come(next == 1 ? kSeries : 1);
  });
  come(1);
  engine_.BeginYielding();
  engine_.Expire(kNow);
  const size_t before = yields;
  engine_.EndYielding();
  EXPECT_GE(yields - before, static_cast<size_t>(kSeries) / 128 - 1);
  EXPECT_LE(yields, 100U);  // it comes to an end, however many there are
  EXPECT_EQ(Values(plan, kNow + 15000).size(), static_cast<size_t>(next));
  EXPECT_EQ(engine_.Evaluate(plan, kNow + 15000).vector.size(), static_cast<size_t>(next));
}

TEST_F(ResolverTest, SeriesAreKnownHoweverOftenSomethingChanged) {
  Plan("up");
  for (int64_t i = 0; i < 3; ++i) {
    for (int n = 0; n < (i == 1 ? 100 : 1); ++n) {
      engine_.RemovePlan(Plan("other" + std::to_string(n)));
      ASSERT_EQ(engine_.structure_generation(), engine_.structure_generation());  // brought in line
    }
    EXPECT_EQ(ApplyOne(Up(1), {kNow + i, 1}).written, 1u);
  }
  EXPECT_EQ(resolver_.stats().parsed, 1u);
}

TEST_F(ResolverTest, BadSamplesCostThemselvesOnly) {
  const engine::PlanId plan = Plan("up");
  ApplyOne(Up(1), {kNow - 1000, 1});
  builder_.Add(Up(1), {{kNow - 2000, 9}, {kNow - 1000, 1}, {kNow - 1000, 2}, {kNow - 500, 3}, {kNow + 600001, 4}})
      .Add(Up(2), {{kNow + 600000, 5}});
  const IngestOutcome outcome = Apply(builder_);
  EXPECT_EQ(outcome.written, 2u);
  EXPECT_EQ(outcome.duplicates, 1u);
  EXPECT_EQ(outcome.rejected, 3u);
  EXPECT_EQ(outcome.first_error, "out of order sample: series up{i=\"1\"}, t " + std::to_string(kNow - 2000));
  const ResolverStats stats = resolver_.stats();
  EXPECT_EQ(stats.out_of_order, 1u);
  EXPECT_EQ(stats.conflicts, 1u);
  EXPECT_EQ(stats.too_far_ahead, 1u);
  EXPECT_EQ(Values(plan, kNow), (std::vector<std::string>{"up{i=\"1\"} 3"}));
  EXPECT_EQ(resolver_.newest_ms(), kNow + 600000);
}

TEST_F(ResolverTest, NonsenseTimesAreRejected) {
  Plan("rate(up[5m])");
  for (const int64_t t : {INT64_MIN, -kTimeMsMax - 1, kTimeMsMax + 1, INT64_MAX}) {
    EXPECT_EQ(ApplyOne(Up(1), {t, 1}, INT64_MAX).rejected, 1u) << t;
    EXPECT_EQ(resolver_.newest_ms(), INT64_MIN);
  }
  EXPECT_EQ(ApplyOne(Up(1), {-kTimeMsMax, 1}, INT64_MAX).written, 1u);
  EXPECT_EQ(ApplyOne(Up(1), {kTimeMsMax, 1}, INT64_MAX).written, 1u);
  EXPECT_EQ(resolver_.stats().too_far_ahead, 4u);
}

TEST_F(ResolverTest, BadLabelSetsAreSkippedAndTheirNeighboursKept) {
  const engine::PlanId plan = Plan("up");
  const std::pair<std::vector<Label>, InvalidReason> bad[] = {
      {{{"job", "a"}}, InvalidReason::kNoMetricName},
      {{{"__name__", ""}, {"job", "a"}}, InvalidReason::kNoMetricName},
      {{}, InvalidReason::kNoMetricName},
      {{{"", "x"}, {"__name__", "up"}}, InvalidReason::kEmptyName},
      {{{"__name__", "up"}, {"a", "1"}, {"a", "1"}}, InvalidReason::kDuplicateName},
      {{{"a", "1"}, {"__name__", "up"}, {"a", "2"}}, InvalidReason::kDuplicateName},
      {{{"__name__", "up"}, {"a", "\xff"}}, InvalidReason::kNotUtf8},
      {{{"__name__", "up"}, {"\xc3", "a"}}, InvalidReason::kNotUtf8},
      {{{"__name__", "up"}, {std::string(1025, 'n'), "a"}}, InvalidReason::kNameTooLong},
      {{{"__name__", "up"}, {"a", std::string(8193, 'v')}}, InvalidReason::kValueTooLong},
      {{{"__name__", "up"}, {"a", std::string(1 << 20, 'v')}}, InvalidReason::kTooLarge},
  };
  int64_t t = kNow;
  for (const auto& [labels, reason] : bad) {
    const uint64_t before = Invalid(reason);
    for (int round = 0; round < 2; ++round) {
      ++t;
      builder_.Add(Up(1), {{t, 1}}).Add(labels, {{t, 1}, {t + 1, 2}}).Add(Up(2), {{t, 2}});
      const IngestOutcome outcome = Apply(builder_, "s", t);
      EXPECT_EQ(outcome.written, 2u) << InvalidReasonText(reason);
      EXPECT_EQ(outcome.invalid_series, 1u) << InvalidReasonText(reason);
      EXPECT_EQ(outcome.rejected, 0u);
    }
    EXPECT_EQ(Invalid(reason), before + 1) << InvalidReasonText(reason);  // parsed once
  }
  builder_.AddBlock("\x0a\x7f", {{t, 1}}).Add(Up(1), {{t + 1, 3}});
  EXPECT_EQ(Apply(builder_).written, 1u);
  EXPECT_EQ(Invalid(InvalidReason::kMalformed), 1u);
  std::vector<Label> many = {{"__name__", "up"}};
  for (int i = 0; i < 128; ++i) {
    many.push_back({"l" + std::to_string(i), "x"});
  }
  ApplyOne(many, {t + 2, 1});
  EXPECT_EQ(Invalid(InvalidReason::kTooManyLabels), 1u);
  EXPECT_EQ(resolver_.stats().of_invalid_series, 2 * 2 * std::size(bad) + 2);
  EXPECT_EQ(Values(plan, t + 2), (std::vector<std::string>{"up{i=\"1\"} 3", "up{i=\"2\"} 2"}));
}

TEST_F(ResolverTest, UnsortedAndEmptyLabelsMakeTheSameSeries) {
  const engine::PlanId plan = Plan("up");
  ApplyOne({{"__name__", "up"}, {"a", "1"}, {"b", "2"}}, {kNow, 1});
  ApplyOne({{"b", "2"}, {"a", "1"}, {"__name__", "up"}}, {kNow + 1, 2});
  ApplyOne({{"__name__", "up"}, {"a", "1"}, {"b", "2"}, {"c", ""}}, {kNow + 2, 3});
  EXPECT_EQ(Values(plan, kNow + 3), (std::vector<std::string>{"up{a=\"1\", b=\"2\"} 3"}));
  EXPECT_EQ(resolver_.stats().unsorted_series, 1u);
  EXPECT_EQ(resolver_.stats().aliases, 3u);
  Plan("up + 1");  // everything is looked at again
  ApplyOne({{"b", "2"}, {"a", "1"}, {"__name__", "up"}}, {kNow + 4, 4});
  ApplyOne({{"__name__", "up"}, {"a", "1"}, {"b", "2"}, {"c", ""}}, {kNow + 5, 5});
  EXPECT_EQ(Values(plan, kNow + 6), (std::vector<std::string>{"up{a=\"1\", b=\"2\"} 5"}));
}

class FullEngineTest : public ResolverTest {
 protected:
  FullEngineTest() : ResolverTest({}, 2) {}
};

TEST_F(FullEngineTest, SeriesBeyondTheLimitAreRejectedUntilThereIsRoom) {
  Plan("up");
  builder_.Add(Up(1), {{kNow, 1}}).Add(Up(2), {{kNow, 1}}).Add(Up(3), {{kNow, 1}, {kNow + 1, 2}});
  const IngestOutcome outcome = Apply(builder_);
  EXPECT_EQ(outcome.written, 2u);
  EXPECT_EQ(outcome.rejected, 2u);
  EXPECT_EQ(outcome.first_error, "series limit reached: series up{i=\"3\"}, t " + std::to_string(kNow));
  EXPECT_EQ(resolver_.stats().over_series_limit, 2u);
  ApplyOne(Up(3), {kNow + 2, 1});
  EXPECT_EQ(resolver_.stats().parsed, 3u);
  EXPECT_EQ(engine_.Expire(kNow + 500000), 2u);
  EXPECT_EQ(ApplyOne(Up(3), {kNow + 500000, 1}, kNow + 500000).written, 1u);
}

class SmallTableTest : public ResolverTest {
 protected:
  static ResolverLimits Small() {
    ResolverLimits limits;
    limits.aliases_max = 2;
    limits.streams_max = 1;
    return limits;
  }
  SmallTableTest() : ResolverTest(Small()) {}
};

TEST_F(SmallTableTest, BeyondTheAliasLimitNothingIsLost) {
  const engine::PlanId plan = Plan("up");
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5; ++i) {
      builder_.Add(Up(i), {{kNow + round, 1.0 * i}});
    }
    EXPECT_EQ(Apply(builder_, "stream " + std::to_string(round)).written, 5u);
  }
  EXPECT_EQ(resolver_.stats().aliases, 2u);
  EXPECT_EQ(resolver_.stats().streams, 1u);
  EXPECT_EQ(resolver_.stats().parsed, 2u + 3 * 3);
  EXPECT_EQ(Values(plan, kNow + 5).size(), 5u);
}

TEST_F(ResolverTest, AliasesThatAreNotSeenAnyMoreAreForgotten) {
  const engine::PlanId plan = Plan("up");
  const int64_t idle_ms = ResolverLimits{}.alias_idle_ms;
  for (int i = 0; i < 1000; ++i) {
    builder_.Add(Up(i), {{kNow, 1}});
  }
  Apply(builder_);
  EXPECT_EQ(resolver_.stats().aliases, 1000u);
  int64_t now = kNow;
  for (int round = 0; round < 60; ++round) {
    now += idle_ms / 10;
    for (int i = 0; i < 3; ++i) {
      builder_.Add(Up(i * 100), {{now, 1.0 * i}});
    }
    Apply(builder_, "s", now);
  }
  EXPECT_EQ(resolver_.stats().aliases, 3u);
  for (int i = 0; i < 1000; ++i) {  // they come back into the freed slots
    builder_.Add(Up(i), {{now + 1, 1.0 * i}});
  }
  EXPECT_EQ(Apply(builder_, "s", now + 1).written, 1000u);
  EXPECT_EQ(resolver_.stats().aliases, 1000u);
  EXPECT_EQ(Values(plan, now + 2).size(), 1000u);
}

// One series with two histograms, behind a float of its own.
SampleBatch HistogramBatch(const std::vector<Label>& labels, std::vector<int64_t> times) {
  BatchBuilder builder;
  builder.Add(labels, {{times[0] - 1000, 1}});
  SampleBatch batch = builder.Take();
  for (const int64_t t : times) {
    batch.histograms.push_back({t, 0, std::make_shared<const FloatHistogram>()});
  }
  batch.series[0].histogram_count = static_cast<uint32_t>(times.size());
  return batch;
}

TEST_F(ResolverTest, HistogramsAreCountedApart) {
  Plan("up");
  IngestOutcome outcome = resolver_.Apply(HistogramBatch(Up(1), {kNow, kNow + 1000}), "s", kNow);
  EXPECT_EQ(outcome.written, 3u);
  EXPECT_EQ(outcome.histograms, 2u);
  EXPECT_EQ(resolver_.newest_ms(), kNow + 1000);
  // A series that no rule reads.
  outcome = resolver_.Apply(HistogramBatch({{"__name__", "down"}}, {kNow}), "s", kNow);
  EXPECT_EQ(outcome.written, 2u);
  EXPECT_EQ(outcome.histograms, 1u);
  EXPECT_EQ(resolver_.stats().ignored, 2u);
  // Too far ahead.
  outcome = resolver_.Apply(HistogramBatch(Up(1), {kNow + 3600000}), "s", kNow);
  EXPECT_EQ(outcome.rejected, 2u);
  EXPECT_EQ(outcome.histograms, 0u);
}

TEST_F(ResolverTest, HistogramsAreEvaluatedUntilTheyAreStale) {
  const engine::PlanId plan = Plan("up");
  FloatHistogram h;
  h.count = 3;
  h.sum = 4;
  SampleBatch batch = HistogramBatch(Up(1), {kNow, kNow + 15000});
  batch.histograms[0].h = std::make_shared<const FloatHistogram>(h);
  h.sum = StaleNaN();
  h.count = 0;
  batch.histograms[1].h = std::make_shared<const FloatHistogram>(h);
  EXPECT_EQ(resolver_.Apply(batch, "s", kNow).histograms, 2u);
  EXPECT_EQ(resolver_.Apply(batch, "s", kNow).rejected, 2u);  // the float and the histogram are out of order by now
  const engine::VectorView view = engine_.Evaluate(plan, kNow).vector;
  ASSERT_TRUE(view.size() == 1 && view.present(0));
  ASSERT_NE(view.histogram(0), nullptr);
  EXPECT_EQ(view.histogram(0)->count, 3);
  const engine::VectorView stale = engine_.Evaluate(plan, kNow + 15000).vector;
  EXPECT_FALSE(stale.size() == 1 && stale.present(0));
}

TEST_F(ResolverTest, StartTimesReachTheirSamples) {
  engine::Engine engine(engine::Options{.use_start_timestamps = true});
  const promql::ParseOutcome parsed = promql::ParseExpr("resets(up[1m])");
  engine::Grid grid;
  grid.interval_ms = 15000;
  const Result<engine::PlanId> plan = engine.AddPlan(*parsed.expr, grid);
  ASSERT_TRUE(plan.ok());
  Resolver resolver(&engine);
  builder_.Add(Up(1), {{kNow - 15000, 1}, {kNow, 2}});  // the second began anew, though it is larger
  SampleBatch batch = builder_.Take();
  batch.start_times = {0, kNow - 5000};
  resolver.Apply(batch, "s", kNow);
  const engine::VectorView view = engine.Evaluate(*plan, kNow).vector;
  ASSERT_TRUE(view.size() == 1 && view.present(0));
  EXPECT_EQ(view.value(0), 1);
}

TEST_F(ResolverTest, TheFirstInvalidSeriesIsNamedEveryTime) {
  Plan("up");
  for (int i = 0; i < 2; ++i) {
    builder_.Add({{"job", "a"}}, {{kNow, 1}}).Add({{"job", ""}}, {{kNow, 1}});
    const IngestOutcome outcome = Apply(builder_);
    EXPECT_EQ(outcome.invalid_series, 2u);
    EXPECT_EQ(outcome.first_invalid, "no metric name: series {job=\"a\"}");
  }
  EXPECT_EQ(Invalid(InvalidReason::kNoMetricName), 2u);  // counted when parsed
}

// Whatever the order, repetition and churn, every sample reaches the series of its labels: compared to a plain map.
TEST_F(ResolverTest, RandomStreamsAgreeWithAMap) {
  const engine::PlanId plan = Plan("up");
  std::mt19937 random(11);
  std::map<std::string, int64_t> want;
  int64_t now = kNow;
  engine::PlanId other = Plan("up * 2");
  for (int round = 0; round < 400; ++round) {
    now += 100;
    const int base = round / 40 * 10;  // series come and go
    std::vector<int> order;
    for (int i = base; i < base + 40; ++i) {
      order.push_back(i);
    }
    if (round % 3 == 0) {
      std::shuffle(order.begin(), order.end(), random);
    }
    for (const int i : order) {
      if (random() % 8 != 0) {
        const auto value = static_cast<int64_t>(random() % 1000000);
        builder_.Add(Up(i), {{now, static_cast<double>(value)}});
        want["up{i=\"" + std::to_string(i) + "\"}"] = value;
      }
    }
    Apply(builder_, "stream " + std::to_string(random() % 3), now);
    if (round % 50 == 49) {
      engine_.RemovePlan(other);
      other = Plan("up * " + std::to_string(round));
    }
  }
  std::vector<std::string> expected;
  for (const auto& [labels, value] : want) {
    expected.push_back(labels + " " + std::to_string(value));
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(Values(plan, now), expected);
}

// Sources with budgets of series: 0 may bring two, 1 any number.
class SourceLimitTest : public testing::TestWithParam<uint32_t> {
 protected:
  SourceLimitTest()
      : engine_(engine::Options{.lookback_ms = 60000, .source_series_max = {2, 0}, .shards = GetParam()}),
        intake_(&engine_, {}),
        expr_(promql::ParseExpr("up").expr) {
    engine::Grid grid;
    grid.interval_ms = 15000;
    plan_ = *engine_.AddPlan(*expr_, grid);
  }
  // Sends one sample of each up{i="…"}.
  IngestOutcome Send(uint32_t source, const std::vector<std::string>& instances, int64_t t_ms) {
    BatchBuilder builder;
    for (const std::string& instance : instances) {
      builder.Add({{"__name__", "up"}, {"i", instance}}, {{t_ms, 1}});
    }
    SampleBatch batch = builder.Take();
    batch.source = source;
    Intake::Item item{&batch, source == 0 ? "a" : "b", t_ms, nullptr, {}, 0};
    intake_.Apply({&item, 1});
    return item.outcome;
  }
  std::pair<uint32_t, uint32_t> Series() const { return {engine_.SeriesOfSource(0), engine_.SeriesOfSource(1)}; }

  engine::Engine engine_;
  Intake intake_;
  promql::ExprPtr expr_;
  engine::PlanId plan_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Shards, SourceLimitTest, testing::Values(1U, 3U));

using Shares = std::pair<uint32_t, uint32_t>;

TEST_P(SourceLimitTest, BeyondItsBudgetASourceIsRefusedAndOthersAreNot) {
  EXPECT_EQ(Send(0, {"1", "2"}, kNow).written, 2U);
  const IngestOutcome refused = Send(0, {"1", "2", "3"}, kNow + 1);
  EXPECT_EQ(refused.written, 2U);
  EXPECT_EQ(refused.rejected, 1U);
  EXPECT_EQ(refused.over_budget, 1U);
  EXPECT_EQ(refused.first_error, "the source brings as many series as its max_series allows: series up{i=\"3\"}, t " +
                                     std::to_string(kNow + 1));
  EXPECT_EQ(intake_.stats().over_source_limit, 1U);
  EXPECT_EQ(Send(1, {"3", "4", "5"}, kNow + 2).written, 3U) << "what one source may not bring another may";
  EXPECT_EQ(Series(), Shares(2, 3));
  EXPECT_EQ(Send(0, {"3", "4"}, kNow + 3).written, 2U) << "a series that is there is anybody's to send";
  EXPECT_EQ(Series(), Shares(2, 3)) << "and counts for who brought it first";
}

TEST_P(SourceLimitTest, ASourceGetsItsShareBackWhenSeriesGoAway) {
  Send(0, {"1", "2"}, kNow);
  EXPECT_EQ(Send(0, {"1", "3"}, kNow + 300000).rejected, 1U);
  EXPECT_EQ(engine_.Expire(kNow + 300000), 1U);
  EXPECT_EQ(Series(), Shares(1, 0));
  EXPECT_EQ(Send(0, {"1", "3"}, kNow + 301000).rejected, 0U);
  EXPECT_EQ(Send(0, {"4"}, kNow + 302000).rejected, 1U);
}

TEST_P(SourceLimitTest, ASeriesThatAnotherSourceGoesOnWithBecomesThatOnes) {
  int64_t t = kNow;
  const auto pass = [&](uint32_t source, const std::vector<std::string>& instances) {
    for (int minute = 0; minute < 3; ++minute) {
      t += 60000;
      Send(source, instances, t);
      engine_.Expire(t);
    }
  };
  Send(0, {"1", "2"}, t);
  pass(1, {"1"});
  EXPECT_EQ(Series(), Shares(0, 1)) << "2 has gone away, 1 is the other source's";
  EXPECT_EQ(Send(0, {"5", "6"}, t).rejected, 0U);
  for (int minute = 0; minute < 5; ++minute) {  // both bring them: they stay where they are
    t += 60000;
    Send(1, {"1", "5", "6"}, t);
    Send(0, {"5", "6"}, t + 1);
    engine_.Expire(t);
  }
  EXPECT_EQ(Series(), Shares(2, 1));
}

// A flood of series that are refused leaves nothing behind: no label, no alias.
TEST_P(SourceLimitTest, WhatIsRefusedLeavesNoTrace) {
  Send(0, {"1"}, kNow);
  engine_.SetAdmitting(false);
  const size_t labels = engine_.Stats().label_bytes;
  const uint64_t aliases = intake_.stats().aliases;
  for (int i = 0; i < 5000; ++i) {
    EXPECT_EQ(Send(1, {"flood" + std::to_string(i)}, kNow + i).rejected, 1U);
  }
  EXPECT_EQ(engine_.Stats().label_bytes, labels);
  EXPECT_EQ(intake_.stats().aliases, aliases);
  EXPECT_EQ(intake_.stats().memory_short, 5000U);
  engine_.SetAdmitting(true);
  EXPECT_EQ(Send(1, {"flood1"}, kNow + 6000).written, 1U);
}

// Chunks of series and tables of labels go back to where they were, and the same series may come again by the same aliases.
TEST_P(SourceLimitTest, AFloodThatIsOverGivesItsMemoryBack) {
  Send(1, {"stays"}, kNow);
  const engine::SeriesStats before = engine_.Stats();
  std::vector<std::string> flood;
  for (int i = 0; i < 20000; ++i) {
    flood.push_back("flood" + std::to_string(i));
  }
  int64_t t = kNow;
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Send(1, flood, t + 1000).written, 20000U);
    EXPECT_GT(engine_.Stats().window_bytes, before.window_bytes + 20000 * 64);
    t += 600000;
    Send(1, {"stays"}, t);
    EXPECT_GE(engine_.Expire(t), 20000U);
    const engine::SeriesStats after = engine_.Stats();
    EXPECT_EQ(after.series, 1U);
    EXPECT_LE(after.window_bytes, before.window_bytes + GetParam() * 2 * 65536);  // chunks that are begun
    EXPECT_LE(after.label_bytes,
              before.label_bytes + 250000);  // an entry of 4 bytes a number of a set, and members in reserve
    Send(1, {"new" + std::to_string(round)}, t);
  }
  const engine::Evaluation result = engine_.Evaluate(plan_, (t / 15000 + 1) * 15000);
  size_t present = 0;
  for (size_t slot = 0; slot < result.vector.size(); ++slot) {
    present += result.vector.present(slot) ? 1 : 0;
  }
  EXPECT_EQ(present, 2U);
}

TEST_P(SourceLimitTest, GrowthIsAnnounced) {
  int looks = 0;
  engine_.OnGrowth([&] {
    if (++looks == 3) {
      engine_.SetAdmitting(false);
    }
  });
  std::vector<std::string> instances;
  for (int i = 0; i < 5000; ++i) {
    instances.push_back(std::to_string(i));
  }
  EXPECT_EQ(Send(1, instances, kNow).written, 2048U);
}

}  // namespace
}  // namespace weir::ingest
