// Long windows on tape: what they take of RAM and disk, and what happens when their files are damaged, cut, removed, or cannot be
// written. That their results are right is shown by tests/differential/tape_differential_test.cc.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/promql/parser.h"
#include "core/window/tape.h"
#include "tests/support/temporary_state.h"

namespace weir::engine {
namespace {

constexpr int64_t kMinuteMs = 60000;
constexpr int64_t kHourMs = 60 * kMinuteMs;
constexpr int64_t kBegin = 1700000040000;

class TapeTest : public testing::Test {
 protected:
  // Counters that grow by 1 a minute, read by `expr` once a minute.
  void Start(const char* expr, size_t series) {
    Options options;
    options.state = state_.directory();
    options.tape_after_ms = kHourMs / 2;
    engine_ = std::make_unique<Engine>(options);
    Plan(expr);
    for (size_t i = 0; i < series; ++i) {
      series_.push_back(engine_->Intern(engine_->labels().InternSet({{"__name__", "c"}, {"i", std::to_string(i)}})));
    }
  }
  void Plan(const char* expr) {
    promql::ParseOutcome parsed = promql::ParseExpr(expr, promql::ParserOptions::All());
    ASSERT_NE(parsed.expr, nullptr);
    Grid grid;
    grid.interval_ms = kMinuteMs;
    const auto plan = engine_->AddPlan(*parsed.expr, grid);
    ASSERT_TRUE(plan.ok());
    plans_.push_back(*plan);
  }
  // Goes on for that many minutes. RETURNS: the errors of the first plan, each once, in order.
  std::vector<std::string> Run(int minutes) {
    std::vector<std::string> errors;
    for (int k = 0; k < minutes; ++k, ++minute_) {
      const int64_t t = kBegin + minute_ * kMinuteMs;
      for (const SeriesId id : series_) {
        EXPECT_EQ(engine_->Append(id, t - 1000, value_of_(minute_)), AppendOutcome::kOk);
      }
      for (const PlanId plan : plans_) {
        const Evaluation e = engine_->Evaluate(plan, t);
        if (plan != plans_.front()) {
          continue;
        }
        if (!e.status.ok()) {
          ++failed_;
          if (errors.empty() || errors.back() != e.status.message()) {
            errors.emplace_back(e.status.message());
          }
          continue;
        }
        value_ = e.vector.size() > 0 && e.vector.present(0) ? e.vector.value(0) : -1;
      }
      engine_->Release(t);
    }
    return errors;
  }
  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(state_.path())) {
      if (entry.path().extension() == ".rows") {
        files.push_back(entry.path());
      }
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  test::TemporaryState state_;
  std::unique_ptr<Engine> engine_;
  std::vector<SeriesId> series_;
  std::vector<PlanId> plans_;
  std::function<double(int64_t)> value_of_ = [](int64_t minute) { return static_cast<double>(minute); };
  int64_t minute_ = 1;
  double value_ = 0;
  int failed_ = 0;
};

// Between ticks a window starts where no row does.
TEST_F(TapeTest, WhatIsEvaluatedBetweenTicksStaysInTheRing) {
  Start("increase(c[2h])", 1);
  const promql::ParseOutcome parsed = promql::ParseExpr("increase(c[2h])", promql::ParserOptions::All());
  Grid grid;
  grid.interval_ms = kMinuteMs;
  grid.between = true;
  const auto eager = engine_->AddPlan(*parsed.expr, grid);
  ASSERT_TRUE(eager.ok());
  EXPECT_TRUE(Run(5 * 60).empty());
  const Evaluation e = engine_->EvaluateBetween(*eager, kBegin + (minute_ - 1) * kMinuteMs + kMinuteMs / 2);
  ASSERT_TRUE(e.status.ok());
  ASSERT_EQ(e.vector.size(), 1U);
  EXPECT_EQ(e.vector.value(0), 120);
}

// Samples of the next minute and new series that come in while a tick reads and writes rows change nothing of it.
TEST_F(TapeTest, TicksThatLetSamplesInAreThoseThatDoNot) {
  constexpr int kSeries = 1000;  // four blocks of a row
  constexpr int kMinutes = 5 * 60;
  constexpr int kNewEvery = 7;
  std::vector<std::vector<double>> results[2];
  for (const bool yielding : {false, true}) {
    Options options;
    options.state = state_.directory();
    options.tape_after_ms = kHourMs / 2;
    options.slots_per_yield = 64;
    Engine engine(options);
    std::vector<PlanId> plans;
    for (const auto& [text, error] : {std::pair("increase(c[2h])", 0.0), std::pair("sum_over_time(c[2h])", 0.0),
                                      std::pair("increase(c[3h])", 1.0 / 16)}) {
      const promql::ParseOutcome parsed = promql::ParseExpr(text, promql::ParserOptions::All());
      Grid grid;
      grid.interval_ms = kMinuteMs;
      grid.max_error = error;
      plans.push_back(*engine.AddPlan(*parsed.expr, grid));
    }
    std::vector<SeriesId> ids;
    int next = 0;  // of the samples of the minute that comes
    int64_t minute = 1;
    const auto take = [&](int until) {
      for (; next < until; ++next) {
        const auto i = static_cast<size_t>(next);
        if (i >= ids.size()) {
          ids.push_back(engine.Intern(engine.labels().InternSet({{"__name__", "c"}, {"i", std::to_string(i)}})));
        }
        const int64_t t = kBegin + minute * kMinuteMs - kMinuteMs / 2;
        EXPECT_EQ(engine.Append(ids[i], t, static_cast<double>(minute * (next % 10))), AppendOutcome::kOk);
      }
    };
    const auto samples = [&] { return kSeries + static_cast<int>(minute) / kNewEvery; };
    engine.SetYield([&] { take(std::min(samples(), next + 3)); });
    for (int k = 0; k < kMinutes; ++k) {
      take(samples());
      const int64_t t = kBegin + minute * kMinuteMs;
      ++minute;
      next = 0;
      if (yielding) {
        engine.BeginYielding();
      }
      for (const PlanId plan : plans) {
        const Evaluation e = engine.Evaluate(plan, t);
        ASSERT_TRUE(e.status.ok()) << e.status.message();
        std::vector<double>& row = results[yielding ? 1 : 0].emplace_back();
        for (size_t slot = 0; slot < e.vector.size(); ++slot) {
          row.push_back(e.vector.present(slot) ? e.vector.value(slot) : -1);
        }
      }
      engine.Release(t);
      if (yielding) {
        EXPECT_GT(next, 0);
        engine.EndYielding();
      }
    }
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_F(TapeTest, RamDoesNotGrowWithTheWindow) {
  constexpr size_t kSeries = 1000;
  size_t bytes[2] = {};
  size_t nodes[2] = {};
  const char* exprs[] = {"increase(c[1h])", "increase(c[20h])"};
  for (int i = 0; i < 2; ++i) {
    series_.clear();
    plans_.clear();
    engine_.reset();
    minute_ = 1;
    Start(exprs[i], kSeries);
    EXPECT_TRUE(Run(21 * 60).empty());
    const SeriesStats stats = engine_->Stats();
    bytes[i] = stats.window_bytes + stats.tape_bytes + stats.node_bytes;
    nodes[i] = stats.node_bytes + stats.tape_bytes;
    EXPECT_EQ(value_, i == 0 ? 60 : 20 * 60);
  }
  EXPECT_LT(bytes[1], bytes[0] + bytes[0] / 50);
  // A second window on the same series: what its node takes beside the 16 bytes is what every node takes.
  Plan("count_over_time(c[20h])");
  Plan("increase(c[10h])");
  Run(2);
  const SeriesStats more = engine_->Stats();
  constexpr size_t kOfAnyNode = 40;  // values, presence, labels, cursors; vectors grow by doubling
  EXPECT_LT(more.node_bytes + more.tape_bytes - nodes[1], kSeries * (2 * (16 + kOfAnyNode) + 2 * 16));
}

// Between ticks windows begin where no row of a tape does: those of an eager plan are raw, beside the ones of ticks.
TEST_F(TapeTest, EvaluationsBetweenTicksAreExact) {
  value_of_ = [](int64_t minute) { return static_cast<double>(minute * minute); };
  Start("increase(c[2h])", 3);
  const promql::ParseOutcome parsed = promql::ParseExpr("increase(c[2h])", promql::ParserOptions::All());
  Grid grid;
  grid.interval_ms = 10 * kMinuteMs;
  grid.between = true;
  const Result<PlanId> eager = engine_->AddPlan(*parsed.expr, grid);
  ASSERT_TRUE(eager.ok());
  ASSERT_EQ(engine_->Between(*eager).at_ticks_only, "");
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Run(i == 0 ? 300 : 1).empty());
    const Evaluation between = engine_->EvaluateBetween(*eager, kBegin + (minute_ - 1) * kMinuteMs + 20000);
    ASSERT_TRUE(between.status.ok()) << between.status.message();
    // 120 samples, of 119 minutes; 39 seconds before them and 21 behind are extrapolated.
    EXPECT_NEAR(between.vector.value(0), (value_of_(minute_ - 1) - value_of_(minute_ - 120)) * 120 / 119, 1e-6);
  }
}

TEST_F(TapeTest, DiskIsBounded) {
  constexpr size_t kSeries = 600;
  constexpr int64_t kReach = 3 * kHourMs;
  Start("increase(c[3h])", kSeries);
  uint64_t most = 0;
  size_t files = 0;
  for (int hour = 0; hour < 24; ++hour) {
    EXPECT_TRUE(Run(60).empty());
    most = std::max(most, engine_->Stats().tape_disk_bytes);
    files = std::max(files, Files().size());
  }
  const uint64_t rows = window::Tape::RowsMax(kReach, kMinuteMs);
  EXPECT_LE(most, rows * kSeries * 16 * 113 / 100 + 8192 * files);
  EXPECT_GT(most, 3 * 60 * kSeries * 16u);
  EXPECT_LE(files, size_t{window::Tape::kSegments} + 2);
}

TEST_F(TapeTest, ADamagedFileIsAnErrorAndNoValue) {
  Start("increase(c[2h])", 300);
  EXPECT_TRUE(Run(150).empty());
  EXPECT_EQ(value_, 120);
  for (const auto& path : Files()) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(file)), {});
    for (size_t at = 40; at < content.size(); at += 512) {
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(content[at] ^ 0x10));
    }
  }
  const std::vector<std::string> errors = Run(60);
  ASSERT_FALSE(errors.empty());
  EXPECT_NE(errors[0].find(state_.path() + "/tape-"), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find("is damaged"), std::string::npos) << errors[0];
  EXPECT_GT(engine_->Stats().tape_read_errors, 0u);
  Run(120);  // until the window has left the damage behind
  failed_ = 0;
  EXPECT_TRUE(Run(10).empty());
  EXPECT_EQ(value_, 120);
}

TEST_F(TapeTest, ACutFileIsAnErrorAndNoValue) {
  Start("increase(c[2h])", 300);
  EXPECT_TRUE(Run(150).empty());
  for (const auto& path : Files()) {
    std::filesystem::resize_file(path, 0);
  }
  const std::vector<std::string> errors = Run(200);
  ASSERT_FALSE(errors.empty());
  EXPECT_NE(errors[0].find("ends at or before byte "), std::string::npos) << errors[0];
  EXPECT_GT(failed_, 50);
  EXPECT_TRUE(Run(10).empty());
  EXPECT_EQ(value_, 120);
}

TEST_F(TapeTest, ARemovedFileIsReadToItsEnd) {
  Start("increase(c[2h])", 300);
  EXPECT_TRUE(Run(150).empty());
  for (const auto& path : Files()) {
    std::filesystem::remove(path);
  }
  EXPECT_TRUE(Run(200).empty());
  EXPECT_EQ(value_, 120);
}

TEST_F(TapeTest, AFullDiskCostsTheWindowsThatNeedItsRows) {
  Start("increase(c[2h])", 300);
  EXPECT_TRUE(Run(150).empty());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit none = before;
  none.rlim_cur = 1;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const std::vector<std::string> meanwhile = Run(30);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(meanwhile.empty());  // the window starts before
  EXPECT_EQ(engine_->Stats().tape_write_errors, 30u);
  const std::vector<std::string> errors = Run(150);
  ASSERT_FALSE(errors.empty());
  EXPECT_NE(errors[0].find("long windows: "), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find("File too large"), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find(state_.path()), std::string::npos) << errors[0];
  EXPECT_EQ(failed_, 30);
  EXPECT_EQ(value_, 120);
}

TEST_F(TapeTest, ASumForgetsWhatHasLeftItsWindow) {
  value_of_ = [](int64_t minute) { return minute < 100 ? 0.1 * static_cast<double>(minute % 7) : 0; };
  Start("sum_over_time(c[2h])", 3);
  EXPECT_TRUE(Run(90).empty());
  EXPECT_GT(value_, 20);
  EXPECT_TRUE(Run(150).empty());
  EXPECT_EQ(value_, 0);  // and not a rounding
}

// No pair of doubles holds these three at once: the sum is made anew when the large ones have left.
TEST_F(TapeTest, ASumOfNumbersOfAllSizesIsMadeAnew) {
  value_of_ = [](int64_t minute) { return minute == 20 ? 1e300 : minute == 21 ? 1e200 : 0.1; };
  Start("sum_over_time(c[2h])", 3);
  EXPECT_TRUE(Run(100).empty());
  EXPECT_EQ(value_, 1e300);
  EXPECT_TRUE(Run(100).empty());
  EXPECT_NEAR(value_, 12, 1e-13);
}

TEST_F(TapeTest, WhatIsNotFiniteIsForgottenToo) {
  value_of_ = [](int64_t minute) {
    return minute == 30   ? std::numeric_limits<double>::infinity()
           : minute == 60 ? -std::numeric_limits<double>::infinity()
                          : 1;
  };
  Start("sum_over_time(c[2h])", 1);
  EXPECT_TRUE(Run(58).empty());
  EXPECT_EQ(value_, std::numeric_limits<double>::infinity());
  EXPECT_TRUE(Run(60).empty());
  EXPECT_TRUE(std::isnan(value_));
  EXPECT_TRUE(Run(40).empty());
  EXPECT_EQ(value_, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(Run(60).empty());
  EXPECT_EQ(value_, 120);
}

// A float series that turns into histograms keeps its past: it comes back from the tape.
TEST_F(TapeTest, ASeriesThatGetsHistogramsLeavesTheTape) {
  Start("count_over_time(c[2h])", 2);
  EXPECT_TRUE(Run(150).empty());
  EXPECT_EQ(value_, 120);
  auto h = std::make_shared<FloatHistogram>();
  h->count = 1;
  h->sum = 1;
  h->zero_count = 1;
  ASSERT_EQ(engine_->AppendHistogram(series_[0], kBegin + minute_ * kMinuteMs - 30000, h), AppendOutcome::kOk);
  series_ = {series_[1]};
  EXPECT_TRUE(Run(30).empty());
  // Of the 120 minutes before the last tick 29 brought nothing, and the histogram counts, too.
  const Evaluation e = engine_->Evaluate(plans_[0], kBegin + (minute_ - 1) * kMinuteMs);
  ASSERT_TRUE(e.status.ok());
  EXPECT_EQ(e.vector.value(0), 120 - 30 + 1);
  EXPECT_EQ(e.vector.value(1), 120);
}

}  // namespace
}  // namespace weir::engine
