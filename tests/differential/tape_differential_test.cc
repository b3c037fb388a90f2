// Windows of 6 h, 3 d and 30 d on tape against the naive evaluator, over 36 days of samples fed as they would arrive: counters
// with resets, jitter, gaps from minutes to days with and without stale markers, series that come and go, series whose samples
// come long after their rows were written, an outage of everything, and plans that are added on the way. WEIR_SEED chooses
// the samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <map>

#include "core/engine/engine.h"
#include "core/engine/explain.h"
#include "core/model/duration.h"
#include "core/promql/parser.h"
#include "tests/differential/random_world.h"
#include "tests/support/temporary_state.h"

namespace weir::differential {
namespace {

constexpr int64_t kMinute = 60000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kInterval = 5 * kMinute;
constexpr int64_t kScrape = 150000;
constexpr int64_t kBegin = 1700000100000;
constexpr int64_t kEnd = kBegin + 36 * kDay;
constexpr int64_t kReload = kBegin + 20 * kDay;
constexpr int kTicksBetweenChecks = 61;

struct Row {
  const char* expr;
  double tolerance;  // 0: bit for bit
  bool added_late;   // at kReload: its tape reaches back far enough, so it must be right at once
};

constexpr Row kRows[] = {
    {"rate(c[6h])", 0, false},
    {"increase(c[3d])", 0, false},
    {"rate(c[30d])", 0, false},
    {"resets(c[30d])", 0, false},
    {"rate(c[6h] offset 20m)", 0, false},
    {"increase(c[25h3m])", 0, false},
    {"count_over_time(c[30d])", 0, false},
    {"delta(g[3d])", 0, false},
    {"count_over_time(g[30d])", 0, false},
    {"first_over_time(g[3d])", 0, false},
    {"last_over_time(g[6h])", 0, false},
    {"ts_of_first_over_time(g[30d])", 0, false},
    {"irate(c[6h])", 0, false},
    {"idelta(g[3d])", 0, false},
    {"idelta(g[30d] offset 20m)", 0, false},
    {"last_over_time(c[30d] offset 1h)", 0, false},
    {"ts_of_last_over_time(g[3d])", 0, false},
    {"present_over_time(g[6h])", 0, false},
    {"absent_over_time(g{i=\"none\"}[3d])", 0, false},
    {"rate(c[5m])", 0, false},
    {"sum_over_time(g[6h])", 1e-12, false},
    {"sum_over_time(g[30d])", 1e-12, false},
    {"avg_over_time(g[3d])", 1e-12, false},
    {"avg_over_time(g[25h3m] offset 20m)", 1e-12, false},
    {"sum_over_time(c[3d])", 1e-12, false},
    {"deriv(g[6h])", 1e-9, false},
    {"deriv(c[30d])", 1e-9, false},
    {"deriv(flat[6h])", 1e-9, false},
    {"predict_linear(g[6h], 86400)", 1e-9, false},
    {"predict_linear(c[3d], -3600)", 1e-9, false},
    {"predict_linear(c[25h3m] offset 20m, 14400)", 1e-9, false},
    {"predict_linear(flat[30d], 600)", 1e-9, false},
    {"stddev_over_time(g[6h])", 1e-9, false},
    {"stdvar_over_time(g[30d])", 1e-9, false},
    {"stddev_over_time(c[3d] offset 20m)", 1e-9, false},
    {"stdvar_over_time(flat[6h])", 1e-9, false},
    {"stddev_over_time(flat[3d])", 1e-9, false},
    {"changes(g[6h])", 0, false},
    {"changes(c[30d])", 0, false},
    {"changes(flat[3d])", 0, false},
    {"changes(flat[25h3m] offset 20m)", 0, false},
    {"avg_over_time((g{behind=\"\"} * 2)[3d:10m])", 1e-12, false},
    {"sum_over_time(g{behind=\"\"}[30d:5m])", 1e-12, false},
    {"sum_over_time(g{behind=\"\"}[6h:1m] offset 20m)", 1e-12, false},
    {"increase((c{behind=\"\"} + 1)[3d:7m])", 0, false},
    {"count_over_time((g{behind=\"\"} > 0)[30d:10m])", 0, false},
    {"changes((flat{behind=\"\"} * 2)[3d:10m])", 0, false},
    {"resets(c{behind=\"\"}[3d:10m])", 0, false},
    {"deriv(sum(g{behind=\"\"})[25h:15m])", 1e-9, false},
    {"predict_linear((flat{behind=\"\"} - 1)[6h:5m], 86400)", 1e-9, false},
    {"stddev_over_time(rate(c{behind=\"\"}[6h])[3d:1h])", 1e-9, false},
    {"predict_linear(g[41h], 60)", 1e-9, true},
    {"stddev_over_time(c[29h])", 1e-9, true},
    {"changes(flat[41h])", 0, true},
    {"sum_over_time(g[29h])", 1e-12, true},
    {"increase(c[29h])", 0, true},
    {"first_over_time(g[41h])", 0, true},
};

struct Sample {
  int64_t arrives;
  int64_t t;
  const Labels* labels;
  double v;
};

// What a series does: counts, is a gauge that is anything, or one that stays for hours where it is, at levels far apart.
enum class Kind : unsigned char { kCounter, kGauge, kFlat };

// One series from `from` to `until`.
void MakeSeries(Random* random, const Labels* labels, Kind kind, int64_t from, int64_t until, int64_t late_ms,
                std::vector<Sample>* out) {
  const double stale = StaleNaN();
  double v = random->Unit() * 1000;
  int64_t arrived = from;
  for (int64_t t = from; t < until; t += kScrape) {
    if (random->Chance(0.002)) {
      if (random->Chance(0.5)) {
        out->push_back({arrived = std::max(arrived, t + late_ms), t, labels, stale});
      }
      t += random->Chance(0.1) ? random->Between(kDay, 3 * kDay) : random->Between(kScrape, 5 * kHour);
    }
    if (t > kBegin + 10 * kDay && t < kBegin + 10 * kDay + 7 * kHour) {
      continue;  // nobody is scraped
    }
    switch (kind) {
      case Kind::kCounter:
        v = random->Chance(0.003) ? random->Unit() * 5 : v + random->Unit() * 30;
        break;
      case Kind::kGauge:
        v = random->Unit() * 200 - 50;
        break;
      case Kind::kFlat:
        v = random->Chance(0.004) ? std::round(std::exp2(random->Unit() * 40)) : v;
    }
    const int64_t at = t + random->Between(0, 20000);
    const int64_t behind = late_ms > 0 && random->Chance(0.3) ? random->Between(0, late_ms) : 0;
    arrived = std::max(arrived, at + behind);
    out->push_back({arrived, at, labels, v});
  }
}

class Tapes : public testing::Test {
 protected:
  struct Planned {
    const Row* row;
    promql::ExprPtr expr;
    engine::PlanId plan;
  };

  void Plan(bool late) {
    engine::Grid grid;
    grid.interval_ms = kInterval;
    for (const Row& row : kRows) {
      if (row.added_late != late) {
        continue;
      }
      promql::ParseOutcome parsed = promql::ParseExpr(row.expr, promql::ParserOptions::All());
      ASSERT_NE(parsed.expr, nullptr) << row.expr;
      const Result<engine::PlanId> plan = engine_->AddPlan(*parsed.expr, grid);
      ASSERT_TRUE(plan.ok()) << row.expr << ": " << plan.status().message();
      planned_.push_back({&row, parsed.expr, *plan});
      const engine::PlanFacts facts = engine_->Facts(std::span(&*plan, 1)).front();
      for (const engine::WindowFacts& window : facts.windows) {
        const bool is_long = window.demand.range_ms > kHour && window.demand.newest == 0;
        EXPECT_EQ(window.demand.tape != nullptr, is_long) << row.expr << " stays in RAM: " << window.demand.not_on_tape;
      }
    }
  }

  void Feed(const Sample& s) {
    auto [it, added] = ids_.try_emplace(s.labels, engine::kNoSeries);
    if (added) {
      it->second = engine_->Intern(engine_->labels().InternSet(*s.labels));
    }
    ASSERT_EQ(engine_->Append(it->second, s.t, s.v), engine::AppendOutcome::kOk);
    data_[*s.labels].push_back({s.t, s.v});
  }

  void Check(const Planned& p, int64_t t) {
    naive::Query query;
    query.start_ms = query.end_ms = t;
    query.delayed_name_removal = false;
    const Result<naive::Value> want = naive::Evaluate(*p.expr, t, data_, query);
    ASSERT_TRUE(want.ok());
    const engine::Evaluation got = engine_->Evaluate(p.plan, t);
    ASSERT_TRUE(got.status.ok()) << p.row->expr << ": " << got.status.message();
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
      ASSERT_NE(it, expected.end()) << p.row->expr << " at " << FormatRfc3339(t) << ": engine alone has "
                                    << labels.ToString();
      const double off = std::fabs(v - it->second);
      ASSERT_TRUE(std::bit_cast<uint64_t>(v) == std::bit_cast<uint64_t>(it->second) ||
                  off <= p.row->tolerance * std::fabs(it->second))
          << p.row->expr << labels.ToString() << " at " << FormatRfc3339(t) << ": naive "
          << FormatFloat(it->second, 'g') << " engine " << FormatFloat(v, 'g');
      ++values_;
    }
    ASSERT_EQ(seen, expected.size()) << p.row->expr << " at " << FormatRfc3339(t);
  }

  test::TemporaryState state_;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<Planned> planned_;
  std::map<const Labels*, engine::SeriesId> ids_;
  naive::Data data_;
  size_t values_ = 0;
};

TEST_F(Tapes, EqualTheNaiveEvaluatorOverThirtySixDays) {
  const char* seed = std::getenv("WEIR_SEED");
  Random random(seed != nullptr ? std::strtoull(seed, nullptr, 10) : 7);
  std::vector<Labels> labels;
  labels.reserve(100);
  std::vector<Sample> samples;
  for (const auto& [name, kind] : {std::pair{"c", Kind::kCounter}, {"g", Kind::kGauge}, {"flat", Kind::kFlat}}) {
    const Kind own = kind;
    const char* series_name = name;
    const auto add = [&](const std::string& i, int64_t from, int64_t until, int64_t late_ms) {
      // Steps of subqueries are evaluated when the stream has passed them, and stay as they were then.
      labels.push_back(late_ms > 0 ? Labels{{"__name__", series_name}, {"i", i}, {"behind", "yes"}}
                                   : Labels{{"__name__", series_name}, {"i", i}});
      MakeSeries(&random, &labels.back(), own, from, until, late_ms, &samples);
    };
    add("1", kBegin, kEnd, 0);
    add("2", kBegin, kEnd, 0);
    add("late", kBegin, kEnd, 90 * kMinute);
    for (int pod = 0; pod < 10; ++pod) {
      const int64_t born = kBegin + random.Between(0, 30) * kDay + random.Between(0, kDay);
      add("pod" + std::to_string(pod), born, born + random.Between(kHour, 6 * kDay), pod % 3 == 0 ? kHour : 0);
    }
  }
  std::stable_sort(samples.begin(), samples.end(), [](const auto& a, const auto& b) { return a.arrives < b.arrives; });

  engine::Options options;
  options.state = state_.directory();
  options.tape_after_ms = kHour;
  engine_ = std::make_unique<engine::Engine>(options);
  Plan(false);
  size_t next = 0;
  int ticks = 0;
  for (int64_t t = (kBegin / kInterval + 1) * kInterval; t < kEnd; t += kInterval) {
    for (; next < samples.size() && samples[next].arrives <= t + 20000; ++next) {
      Feed(samples[next]);
    }
    if (t - kInterval < kReload && t >= kReload) {
      Plan(true);
      ticks = 0;
    }
    for (const Planned& p : planned_) {
      if (ticks % kTicksBetweenChecks == 0) {
        Check(p, t);
      } else {
        engine_->Evaluate(p.plan, t);
      }
    }
    ASSERT_FALSE(HasFatalFailure()) << "WEIR_SEED=" << (seed != nullptr ? seed : "7");
    engine_->Release(t);
    if (++ticks % 12 == 0 && engine_->Expire(t) > 0) {
      ids_.clear();
    }
  }
  const engine::SeriesStats stats = engine_->Stats();
  std::cout << values_ << " values compared; " << stats.tape_rows_written << " rows written, " << stats.tape_disk_bytes
            << " bytes on disk\n";
  EXPECT_GT(values_, 10000u);
  EXPECT_EQ(stats.tape_read_errors + stats.tape_write_errors, 0u);
  EXPECT_GT(stats.tape_rows_written, 10000u);
}

}  // namespace
}  // namespace weir::differential
