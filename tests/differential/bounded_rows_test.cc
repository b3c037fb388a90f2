// Windows within a bounded error (Grid::max_error, core/window/bounded_rows.h) against the naive evaluator, over 36 days of samples
// fed as they would arrive: counters that grow steadily, by day and night, in bursts, once, hardly, and by sawteeth, with
// resets, gaps from minutes to days, stale markers, late samples, and series that come and go. No result may be off by more
// than was asked for, and no series may take more than explain prints. WEIR_SEED chooses the samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>

#include "core/engine/engine.h"
#include "core/engine/explain.h"
#include "core/model/duration.h"
#include "core/promql/parser.h"
#include "tests/differential/random_world.h"

namespace weir::differential {
namespace {

constexpr int64_t kMinute = 60000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kInterval = 5 * kMinute;
constexpr int64_t kScrape = 100000;
constexpr int64_t kBegin = 1700000100000;
constexpr int64_t kEnd = kBegin + 36 * kDay;
constexpr int kTicksBetweenChecks = 97;

struct Sample {
  int64_t arrives;
  int64_t t;
  const Labels* labels;
  double v;
};

// How much a counter grows from one scrape to the next, by the kind of its traffic.
double Step(const std::string& kind, Random* random, int64_t t) {
  const int64_t since = t - kBegin;
  if (kind == "steady") {
    return std::floor(random->Unit() * 20);
  }
  if (kind == "diurnal") {
    return 100 * (1 + 0.8 * std::sin(static_cast<double>(since) / static_cast<double>(kDay) * 6.283)) * random->Unit();
  }
  if (kind == "bursts") {  // 45 minutes every 6.5 days
    return since % (156 * kHour) < 45 * kMinute ? 1000 * random->Unit() : 0;
  }
  if (kind == "incident") {
    return since > 9 * kDay && since < 9 * kDay + kHour ? 1e6 * random->Unit() : random->Chance(0.001) ? 1 : 0;
  }
  if (kind == "rare") {
    return random->Chance(0.002) ? 1 : 0;
  }
  if (kind == "scales") {  // steps of all sizes
    return std::exp2(random->Unit() * 60 - 30);
  }
  if (kind == "fading") {  // older masses are much larger
    return 1e9 * std::exp(-static_cast<double>(since) / static_cast<double>(kDay));
  }
  return random->Unit() * 30;
}

void MakeSeries(Random* random, const Labels* labels, const std::string& kind, int64_t from, int64_t until,
                int64_t late_ms, std::vector<Sample>* out) {
  double v = random->Unit() * 1000;
  int64_t arrived = from;
  const bool sawtooth = kind == "sawtooth";
  for (int64_t t = from; t < until; t += kScrape) {
    if (random->Chance(0.0015)) {
      if (random->Chance(0.5)) {
        out->push_back({arrived = std::max(arrived, t + late_ms), t, labels, StaleNaN()});
      }
      t += random->Chance(0.1) ? random->Between(kDay, 3 * kDay) : random->Between(kScrape, 5 * kHour);
    }
    const bool reset = random->Chance(sawtooth ? 0.4 : 0.002);
    v = reset ? random->Unit() * 5 : v + Step(kind, random, t);
    const int64_t at = t + random->Between(0, 20000);
    const int64_t behind = late_ms > 0 && random->Chance(0.3) ? random->Between(0, late_ms) : 0;
    arrived = std::max(arrived, at + behind);
    out->push_back({arrived, at, labels, v});
  }
}

class Bounded : public testing::TestWithParam<double> {
 protected:
  struct Planned {
    std::string text;
    promql::ExprPtr expr;
    engine::PlanId plan;
    double bound;
  };

  void Plan(const char* text, double bound) {
    engine::Grid grid;
    grid.interval_ms = kInterval;
    grid.max_error = GetParam();
    promql::ParseOutcome parsed = promql::ParseExpr(text, promql::ParserOptions::All());
    ASSERT_NE(parsed.expr, nullptr) << text;
    const Result<engine::PlanId> plan = engine_->AddPlan(*parsed.expr, grid);
    ASSERT_TRUE(plan.ok()) << text << ": " << plan.status().message();
    planned_.push_back({text, parsed.expr, *plan, bound});
  }

  void Feed(const Sample& s) {
    auto [it, added] = ids_.try_emplace(s.labels, engine::kNoSeries);
    if (added) {
      it->second = engine_->Intern(engine_->labels().InternSet(*s.labels));
    }
    ASSERT_EQ(engine_->Append(it->second, s.t, s.v), engine::AppendOutcome::kOk);
    if (data_ != nullptr) {
      (*data_)[*s.labels].push_back({s.t, s.v});
    }
  }

  void Check(const Planned& p, int64_t t) {
    naive::Query query;
    query.start_ms = query.end_ms = t;
    query.delayed_name_removal = false;
    const Result<naive::Value> want = naive::Evaluate(*p.expr, t, *data_, query);
    ASSERT_TRUE(want.ok());
    const engine::Evaluation got = engine_->Evaluate(p.plan, t);
    ASSERT_TRUE(got.status.ok()) << p.text << ": " << got.status.message();
    std::map<Labels, double> expected;
    for (const naive::Element& e : want->vector) {
      expected[e.labels] = e.v;
    }
    size_t seen = 0;
    for (size_t slot = 0; slot < got.vector.size(); ++slot) {
      if (!got.vector.present(slot)) {
        continue;
      }
      ++seen;
      const Labels labels = engine_->labels().ToLabels(got.vector.labels(slot));
      const double v = got.vector.value(slot);
      const auto it = expected.find(labels);
      ASSERT_NE(it, expected.end()) << p.text << " at " << FormatRfc3339(t) << ": engine alone has "
                                    << labels.ToString();
      const double off = v == it->second ? 0 : std::fabs(v - it->second) / std::fabs(it->second);
      ASSERT_LE(off, p.bound) << p.text << labels.ToString() << " at " << FormatRfc3339(t) << ": naive "
                              << FormatFloat(it->second, 'g') << " engine " << FormatFloat(v, 'g');
      worst_[p.text] = std::max(worst_[p.text], off);
      ++values_;
    }
    ASSERT_EQ(seen, expected.size()) << p.text << " at " << FormatRfc3339(t);
  }

  void Run(const std::vector<Sample>& samples, bool check) {
    size_t next = 0;
    int ticks = 0;
    for (int64_t t = (kBegin / kInterval + 1) * kInterval; t < kEnd; t += kInterval) {
      for (; next < samples.size() && samples[next].arrives <= t + 20000; ++next) {
        Feed(samples[next]);
      }
      if (check && t - kInterval < kBegin + 20 * kDay && t >= kBegin + 20 * kDay) {
        Plan("increase(c[29h])", GetParam() + 1e-12);  // what is kept for others is enough: it must be right at once
        Plan("rate(c[28h] offset 20m)", GetParam() + 1e-12);
        ticks = 0;
      }
      for (const Planned& p : planned_) {
        if (check && ticks % kTicksBetweenChecks == 0) {
          Check(p, t);
        } else {
          engine_->Evaluate(p.plan, t);
        }
      }
      ASSERT_FALSE(HasFatalFailure());
      engine_->Release(t);
      if (++ticks % 12 == 0 && engine_->Expire(t) > 0) {
        ids_.clear();
      }
    }
  }

  std::unique_ptr<engine::Engine> engine_ = std::make_unique<engine::Engine>(engine::Options{});
  std::vector<Planned> planned_;
  std::map<const Labels*, engine::SeriesId> ids_;
  std::unique_ptr<naive::Data> data_;
  std::map<std::string, double> worst_;
  size_t values_ = 0;
};

constexpr const char* kKinds[] = {"steady", "diurnal", "bursts", "incident", "rare", "scales", "fading", "sawtooth"};

uint64_t Seed() {
  const char* seed = std::getenv("WEIR_SEED");
  return seed != nullptr ? std::strtoull(seed, nullptr, 10) : 11;
}

TEST_P(Bounded, ErrorsAreWithinWhatWasAskedFor) {
  Random random(Seed());
  std::vector<Labels> labels;
  labels.reserve(100);
  std::vector<Sample> samples;
  const auto add = [&](const std::string& i, const std::string& kind, int64_t from, int64_t until, int64_t late_ms) {
    labels.push_back(Labels{{"__name__", "c"}, {"i", i}});
    MakeSeries(&random, &labels.back(), kind, from, until, late_ms, &samples);
  };
  for (const char* kind : kKinds) {
    add(kind, kind, kBegin, kEnd, 0);
  }
  add("late", "bursts", kBegin, kEnd, 90 * kMinute);
  for (int pod = 0; pod < 8; ++pod) {
    const int64_t born = kBegin + random.Between(0, 30) * kDay + random.Between(0, kDay);
    add("pod" + std::to_string(pod), kKinds[pod], born, born + random.Between(kHour, 6 * kDay),
        pod % 3 == 0 ? kHour : 0);
  }
  std::stable_sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) { return a.arrives < b.arrives; });

  const double bound = GetParam() + 1e-12;
  Plan("rate(c[6h])", bound);
  Plan("increase(c[3d])", bound);
  Plan("rate(c[30d])", bound);
  Plan("increase(c[25h3m] offset 20m)", bound);
  Plan("increase(c[2d] offset 20m)", bound);
  Plan("count_over_time(c[2d] offset 45m)", bound);
  Plan("count_over_time(c[30d])", bound);
  Plan("count_over_time(c[3d])", bound);
  Plan("rate(c[5m])", 0);
  Plan("increase(c[50m])", 0);
  Plan("resets(c[40m])", 0);
  data_ = std::make_unique<naive::Data>();
  Run(samples, true);
  for (const auto& [text, off] : worst_) {
    std::cout << text << ": off by " << off << " at most, " << GetParam() << " asked for\n";
  }
  std::cout << values_ << " values compared\n";
  EXPECT_GT(values_, 5000U);
  EXPECT_GT(worst_["rate(c[30d])"], 0) << "nothing was dropped";
  EXPECT_GT(worst_["count_over_time(c[30d])"], 0) << "nothing was dropped";
}

// Its older samples come back, thinned, to a series that turns to histograms.
TEST_P(Bounded, CountsStayWithinWhenASeriesGetsHistograms) {
  const Labels labels{{"__name__", "c"}};
  Plan("count_over_time(c[2d])", 0);
  const engine::SeriesId id = engine_->Intern(engine_->labels().InternSet(labels));
  FloatHistogram histogram;
  histogram.count = histogram.sum = 1;
  histogram.positive_spans = {{0, 1}};
  histogram.positive_buckets = {1};
  const auto reference = std::make_shared<const FloatHistogram>(histogram);
  const int64_t begin = kBegin / kInterval * kInterval;
  double want = 0;
  double worst = 0;
  for (int64_t k = 1; k < 4 * kDay / kInterval; ++k) {
    const int64_t t = begin + k * kInterval;
    for (int i = 9; i >= 0; --i) {
      if (k < 3 * kDay / kInterval) {
        ASSERT_EQ(engine_->Append(id, t - i * 1000, 1), engine::AppendOutcome::kOk);
      } else {
        ASSERT_EQ(engine_->AppendHistogram(id, t - i * 1000, reference), engine::AppendOutcome::kOk);
      }
    }
    want = static_cast<double>(std::min(k, 2 * kDay / kInterval) * 10);
    const engine::Evaluation got = engine_->Evaluate(planned_[0].plan, t);
    ASSERT_TRUE(got.status.ok());
    ASSERT_EQ(got.vector.size(), 1U);
    worst = std::max(worst, std::fabs(got.vector.value(0) - want) / want);
    ASSERT_LE(worst, GetParam()) << FormatRfc3339(t);
    engine_->Release(t);
  }
  EXPECT_GT(worst, 0) << "nothing was dropped";
}

// One window and one series at a time.
TEST_P(Bounded, StateIsNoMoreThanWhatExplainPrints) {
  for (const char* text : {"rate(c[30d])", "count_over_time(c[30d])", "increase(c[3d])"}) {
    for (const char* kind : kKinds) {
      Random random(Seed());
      const Labels labels{{"__name__", "c"}, {"i", kind}};
      std::vector<Sample> samples;
      MakeSeries(&random, &labels, kind, kBegin, kEnd, 0, &samples);
      engine_ = std::make_unique<engine::Engine>(engine::Options{});
      const size_t empty = engine_->Stats().window_bytes;
      planned_.clear();
      ids_.clear();
      Plan(text, 0);
      Run(samples, false);
      const engine::PlanFacts facts = engine_->Facts({&planned_[0].plan, 1}).front();
      const engine::Footprint print = engine::FootprintOf(facts.windows.front(), kInterval, kScrape);
      constexpr size_t kChunk = 64 * 1024;  // the table of series
      const size_t used = engine_->Stats().window_bytes - empty - kChunk + 64;
      const size_t resets = facts.windows.front().demand.resets ? 16 * print.bounded_records + 88 + 16 * 64 : 0;
      EXPECT_LE(used, print.bytes + resets) << text << " of " << kind;
      std::cout << text << " " << kind << ": " << used << " of " << print.bytes << " bytes\n";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Errors, Bounded, testing::Values(1.0 / 128, 1.0 / 16),
                         [](const auto& error) { return "OneIn" + std::to_string(static_cast<int>(1 / error.param)); });

}  // namespace
}  // namespace weir::differential
