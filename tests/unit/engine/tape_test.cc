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

// A rule records at the time of the tick what a subquery has read already: its newest step is evaluated again, with and without
// a tape.
TEST_F(TapeTest, AStepThatIsEvaluatedAgainReplacesWhatItWas) {
  constexpr const char* kExprs[] = {"resets(c[2h:1m])",        "increase((c + 0)[2h:1m])",   "changes((c * 2)[2h:1m])",
                                    "count_over_time(c[2h:])", "avg_over_time((-c)[2h:1m])", "deriv(c[2h:1m])"};
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<std::vector<PlanId>> plans(2);
  for (const bool taped : {false, true}) {
    Options options;
    options.state = state_.directory();
    options.tape_after_ms = taped ? kHourMs : kNoTape;
    options.tape_margin_ms = kMinuteMs;
    engines.push_back(std::make_unique<Engine>(options));
    Grid grid;
    grid.interval_ms = kMinuteMs;
    for (const char* expr : kExprs) {
      const auto plan = engines.back()->AddPlan(*promql::ParseExpr(expr, promql::ParserOptions::All()).expr, grid);
      ASSERT_TRUE(plan.ok());
      plans[taped ? 1 : 0].push_back(*plan);
    }
  }
  std::vector<SeriesId> ids;
  for (const auto& engine : engines) {
    ids.push_back(engine->Intern(engine->labels().InternSet({{"__name__", "c"}})));
  }
  for (int64_t minute = 1; minute < 500; ++minute) {
    const int64_t t = kBegin / kMinuteMs * kMinuteMs + minute * kMinuteMs;
    for (const int64_t pass : {0, 1}) {
      std::vector<double> values[2];
      for (size_t k = 0; k < engines.size(); ++k) {
        if (minute % 3 != 0 || pass == 0) {
          const int64_t v = (minute * 7 + pass * 11) % 23 / (1 + minute % 2);
          ASSERT_EQ(engines[k]->Append(ids[k], pass == 0 ? t - 30000 : t, static_cast<double>(v)), AppendOutcome::kOk);
        }
        for (const PlanId plan : plans[k]) {
          const Evaluation e = engines[k]->Evaluate(plan, t);
          ASSERT_TRUE(e.status.ok());
          values[k].push_back(e.vector.size() == 1 && e.vector.present(0) ? e.vector.value(0) : -1e99);
        }
      }
      for (size_t i = 0; i < std::size(kExprs); ++i) {
        ASSERT_NEAR(values[0][i], values[1][i], i < 4 ? 0 : std::fabs(values[0][i]) * 1e-10)
            << kExprs[i] << " at minute " << minute;
      }
    }
    for (const auto& engine : engines) {
      engine->Release(t);
    }
  }
  EXPECT_GT(engines[1]->Stats().tape_rows_written, 1000u);
  EXPECT_LT(engines[1]->Stats().samples_kept, engines[0]->Stats().samples_kept / 8);
}

// What stddev_over_time() and so on are of these samples, in 113 bits: times in ms, ends at t_ms.
struct Exact {
  double variance = 0;
  double slope = 0;
  double intercept = 0;
};
Exact ExactOf(const std::vector<std::pair<int64_t, double>>& samples, int64_t t_ms) {
  __float128 n = 0;
  __float128 x = 0;
  __float128 y = 0;
  for (const auto& [t, v] : samples) {
    n += 1;
    x += static_cast<__float128>(t - t_ms) / 1000;
    y += v;
  }
  __float128 xx = 0;
  __float128 xy = 0;
  __float128 yy = 0;
  for (const auto& [t, v] : samples) {
    const __float128 dx = static_cast<__float128>(t - t_ms) / 1000 - x / n;
    const __float128 dy = v - y / n;
    xx += dx * dx;
    xy += dx * dy;
    yy += dy * dy;
  }
  return {static_cast<double>(yy / n), static_cast<double>(xy / xx), static_cast<double>(y / n - xy / xx * (x / n))};
}

class FoldTest : public TapeTest {
 protected:
  static constexpr int64_t kReachMs = 2 * kHourMs;
  void StartFolds(int per_minute) {
    per_minute_ = per_minute;
    Start("stdvar_over_time(c[2h])", 0);
    Plan("deriv(c[2h])");
    Plan("predict_linear(c[2h], 3600)");
    Plan("changes(c[2h])");
    Plan("stddev_over_time(c[2h] offset 7m)");
    series_.push_back(engine_->Intern(engine_->labels().InternSet({{"__name__", "c"}})));
  }
  double Value(size_t plan, int64_t t_ms) {
    const Evaluation e = engine_->Evaluate(plans_[plan], t_ms);
    EXPECT_TRUE(e.status.ok()) << e.status.message();
    return e.status.ok() && e.vector.size() == 1 && e.vector.present(0) ? e.vector.value(0) : -1e99;
  }
  // Goes on for that many minutes, and compares all at the end of each `every`.
  void Go(int minutes, int every) {
    for (int k = 0; k < minutes && !HasFailure(); ++k, ++minute_) {
      const int64_t t = kBegin + minute_ * kMinuteMs;
      for (int i = 1; i <= per_minute_; ++i) {
        const int64_t at = t - kMinuteMs + i * (kMinuteMs / per_minute_) - 7;
        samples_.emplace_back(at, value_of_(samples_.empty() ? 0 : static_cast<int64_t>(samples_.size())));
        ASSERT_EQ(engine_->Append(series_[0], at, samples_.back().second), AppendOutcome::kOk);
      }
      for (size_t plan = 0; plan < plans_.size(); ++plan) {
        if ((k + 1) % every != 0) {
          Value(plan, t);
        }
      }
      if ((k + 1) % every == 0) {
        Compare(t);
      }
      engine_->Release(t);
    }
  }
  void Compare(int64_t t) {
    const Exact now = ExactOf(In(t), t);
    const auto near = [&](size_t plan, double want, const char* what) {
      EXPECT_NEAR(Value(plan, t), want, std::fabs(want) * tolerance_) << what << " after " << minute_ << " minutes";
    };
    near(0, now.variance, "stdvar");
    near(1, now.slope, "deriv");
    near(2, now.slope * 3600 + now.intercept, "predict_linear");
    near(4, std::sqrt(ExactOf(In(t - 7 * kMinuteMs), t).variance), "stddev");
    double changes = 0;
    const auto window = In(t);
    for (size_t i = 1; i < window.size(); ++i) {
      changes += window[i].second != window[i - 1].second ? 1 : 0;
    }
    EXPECT_EQ(Value(3, t), changes) << minute_;
  }
  std::vector<std::pair<int64_t, double>> In(int64_t end_ms) const {
    std::vector<std::pair<int64_t, double>> window;
    for (const auto& sample : samples_) {
      if (sample.first > end_ms - kReachMs && sample.first <= end_ms) {
        window.push_back(sample);
      }
    }
    return window;
  }

  int per_minute_ = 1;
  double tolerance_ = 1e-11;
  std::vector<std::pair<int64_t, double>> samples_;
};

TEST_F(FoldTest, SmallChangesOfLargeNumbersKeepTheirDigits) {
  value_of_ = [](int64_t i) { return 1e12 + static_cast<double>(i % 7) + static_cast<double>(i * i % 11) / 8; };
  StartFolds(3);
  Go(400, 13);
}

// Samples so close that the ring has panes of them alone.
TEST_F(FoldTest, PanesAreFoldedAsSamplesAre) {
  value_of_ = [](int64_t i) { return 3e6 + static_cast<double>(i / 40 % 9 * (i % 5)); };
  StartFolds(60);
  Go(300, 29);
  EXPECT_LT(engine_->Stats().window_bytes, 1024 * sizeof(uint64_t[8]) + 10500);  // 720 records would be 11520
}

// The mean wanders far from where the window began; the origin follows it.
TEST_F(FoldTest, ACounterThatGrowsForLongKeepsItsDigits) {
  value_of_ = [](int64_t i) { return 1e15 * std::exp2(static_cast<double>(i) / 400) + static_cast<double>(i % 3); };
  StartFolds(1);
  Go(3000, 97);
}

TEST_F(FoldTest, AWindowOfOneNumberIsExact) {
  value_of_ = [](int64_t i) { return i < 200 ? 0.1 * static_cast<double>(i % 13) : i < 500 ? 1e17 / 7 : 0.3; };
  StartFolds(1);
  Go(150, 50);
  Go(200, 1);
  EXPECT_EQ(Value(0, samples_.back().first + 7), 0);
  EXPECT_EQ(Value(1, samples_.back().first + 7), 0);
  EXPECT_EQ(Value(2, samples_.back().first + 7), 1e17 / 7);
  Go(300, 1);
  EXPECT_EQ(Value(0, samples_.back().first + 7), 0);
  EXPECT_EQ(Value(2, samples_.back().first + 7), 0.3);
}

// No pair of doubles holds these: what is left when they have gone is made anew.
TEST_F(FoldTest, NumbersOfAllSizesComeAndGo) {
  value_of_ = [](int64_t i) {
    return i == 150 ? 1e140 : i == 151 ? -1e100 : i == 400 ? 1e30 : 0.1 * static_cast<double>(i % 13);
  };
  StartFolds(1);
  Go(140, 20);
  Go(14, 100);
  Go(600, 1);
}

TEST_F(FoldTest, WhatIsNotFiniteIsForgotten) {
  value_of_ = [](int64_t i) {
    return i == 150   ? std::numeric_limits<double>::infinity()
           : i == 170 ? std::numeric_limits<double>::quiet_NaN()
           : i == 190 ? 1e200
                      : 0.1 * static_cast<double>(i % 13);
  };
  StartFolds(1);
  Go(149, 20);
  Go(110, 1000);
  for (size_t plan = 0; plan < 3; ++plan) {
    EXPECT_TRUE(std::isnan(Value(plan, kBegin + (minute_ - 1) * kMinuteMs)));
  }
  Go(45, 1000);  // the infinite one and NaN have left
  EXPECT_EQ(Value(0, kBegin + (minute_ - 1) * kMinuteMs), std::numeric_limits<double>::infinity());
  Go(30, 1000);
  Go(60, 1);
}

// Its square is not finite, but it does not vary.
TEST_F(FoldTest, AWindowOfOneHugeNumberDoesNotVary) {
  value_of_ = [](int64_t i) { return i < 150 ? 1.0 : 1e300; };
  StartFolds(2);
  Go(100, 1000);
  EXPECT_EQ(Value(0, kBegin + (minute_ - 1) * kMinuteMs), std::numeric_limits<double>::infinity());
  Go(300, 1000);
  EXPECT_EQ(Value(0, kBegin + (minute_ - 1) * kMinuteMs), 0);
  EXPECT_EQ(Value(2, kBegin + (minute_ - 1) * kMinuteMs), 1e300);
}

// One that needs every sample makes the ring whole, and goes again: changes are counted on.
TEST_F(FoldTest, ChangesAreCountedWhateverElseTheRingIsFor) {
  value_of_ = [](int64_t i) { return static_cast<double>(i / 3 % 4 * (i / 50 % 2)); };
  StartFolds(2);
  Go(200, 20);
  Plan("quantile_over_time(0.5, c[20m])");
  Go(100, 7);
  engine_->RemovePlan(plans_.back());
  plans_.pop_back();
  Go(200, 7);
}

// Histograms among the floats do not matter to these, and are changes.
TEST_F(FoldTest, ASeriesThatGetsHistogramsStays) {
  value_of_ = [](int64_t i) { return static_cast<double>(i / 3 % 5); };
  StartFolds(1);
  Go(200, 20);
  auto h = std::make_shared<FloatHistogram>();
  h->count = 1;
  ASSERT_EQ(engine_->AppendHistogram(series_[0], kBegin + minute_ * kMinuteMs - 30000, h), AppendOutcome::kOk);
  for (int k = 0; k < 100; ++k) {
    Go(1, 2);
    const int64_t t = kBegin + (minute_ - 1) * kMinuteMs;
    const Exact now = ExactOf(In(t), t);
    ASSERT_NEAR(Value(0, t), now.variance, 1e-12);
    ASSERT_NEAR(Value(1, t), now.slope, 1e-12);
    double changes = 2;
    const auto window = In(t);
    for (size_t i = 1; i < window.size(); ++i) {
      changes += window[i].second != window[i - 1].second ? 1 : 0;
    }
    // Between the two floats around the histogram there may have been one, too.
    ASSERT_LE(std::fabs(Value(3, t) - changes), 1) << k;
    ASSERT_GE(Value(3, t), changes - 1) << k;
  }
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
