// What windows keep must depend on their cuts, not on how often samples come: the same ten minutes are fed once a second and ten
// times a second, for every function of range vectors, with floats and with native histograms, and what is kept is compared.
// Where a function needs every sample, that is what is asserted.

#include <cctype>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "core/engine/engine.h"
#include "core/promql/functions.h"
#include "core/promql/parser.h"

namespace weir::engine {
namespace {

constexpr int64_t kMinuteMs = 60000;
constexpr int64_t kWindowMs = 5 * kMinuteMs;
// Records and bytes by which two fillings of the same windows may differ: where the newest samples stand in their pane.
constexpr size_t kSlackRecords = 4;
constexpr size_t kSlackBytes = 256;

enum class Keeps {
  kEdges,  // of panes: never more for more samples
  kDense,  // every sample up to 512 in a series, beyond that aggregates of panes; of histograms every sample
  kAll,    // every sample of the window
};

struct Row {
  const char* function;
  const char* expr;  // over `x`, windows of 5 minutes
  Keeps keeps;
};

constexpr Row kRows[] = {
    {"rate", "rate(x[5m])", Keeps::kEdges},
    {"rate", "rate(x[5m] anchored)", Keeps::kEdges},
    {"rate", "rate(x[5m] smoothed)", Keeps::kAll},
    {"increase", "increase(x[5m])", Keeps::kEdges},
    {"increase", "increase(x[5m] anchored)", Keeps::kEdges},
    {"delta", "delta(x[5m])", Keeps::kEdges},
    {"irate", "irate(x[5m])", Keeps::kEdges},
    {"idelta", "idelta(x[5m])", Keeps::kEdges},
    {"changes", "changes(x[5m])", Keeps::kEdges},
    {"resets", "resets(x[5m])", Keeps::kEdges},
    {"count_over_time", "count_over_time(x[5m])", Keeps::kEdges},
    {"present_over_time", "present_over_time(x[5m])", Keeps::kEdges},
    {"absent_over_time", "absent_over_time(x[5m])", Keeps::kEdges},
    {"first_over_time", "first_over_time(x[5m])", Keeps::kEdges},
    {"last_over_time", "last_over_time(x[5m])", Keeps::kEdges},
    {"ts_of_first_over_time", "ts_of_first_over_time(x[5m])", Keeps::kEdges},
    {"ts_of_last_over_time", "ts_of_last_over_time(x[5m])", Keeps::kEdges},
    {"sum_over_time", "sum_over_time(x[5m])", Keeps::kDense},
    {"avg_over_time", "avg_over_time(x[5m])", Keeps::kDense},
    {"min_over_time", "min_over_time(x[5m])", Keeps::kDense},
    {"max_over_time", "max_over_time(x[5m])", Keeps::kDense},
    {"ts_of_min_over_time", "ts_of_min_over_time(x[5m])", Keeps::kDense},
    {"ts_of_max_over_time", "ts_of_max_over_time(x[5m])", Keeps::kDense},
    {"stddev_over_time", "stddev_over_time(x[5m])", Keeps::kDense},
    {"stdvar_over_time", "stdvar_over_time(x[5m])", Keeps::kDense},
    {"deriv", "deriv(x[5m])", Keeps::kDense},
    {"predict_linear", "predict_linear(x[5m], 60)", Keeps::kDense},
    {"quantile_over_time", "quantile_over_time(0.9, x[5m])", Keeps::kAll},
    {"mad_over_time", "mad_over_time(x[5m])", Keeps::kAll},
    {"double_exponential_smoothing", "double_exponential_smoothing(x[5m], 0.5, 0.5)", Keeps::kAll},
    {"", "max_over_time(x[5m:10s])", Keeps::kEdges},
    {"", "max_over_time(rate(x[1m])[5m:10s])", Keeps::kEdges},
    {"", "x", Keeps::kEdges},
    {"", "x offset 5m", Keeps::kEdges},
};

struct Kept {
  size_t records = 0;
  size_t bytes = 0;
};

// A counter of the time, which starts anew each minute however often it is read.
double CounterAt(int64_t t_ms) { return static_cast<double>(t_ms % kMinuteMs + 100) / 100; }

HistogramRef HistogramAt(int64_t t_ms) {
  FloatHistogram h;
  h.positive_spans.push_back({0, 3});
  for (int i = 1; i <= 3; ++i) {
    h.positive_buckets.push_back(CounterAt(t_ms) * i);
    h.count += h.positive_buckets.back();
  }
  h.sum = h.count;
  return std::make_shared<const FloatHistogram>(std::move(h));
}

Kept Feed(const std::string& text, int64_t step_ms, bool histograms) {
  Engine engine{Options{}};
  const promql::ParseOutcome parsed = promql::ParseExpr(text, promql::ParserOptions::All());
  Grid grid;
  grid.interval_ms = kMinuteMs;
  const Result<PlanId> plan = engine.AddPlan(*parsed.expr, grid);
  EXPECT_TRUE(plan.ok()) << text << ": " << plan.status().message();
  if (!plan.ok()) {
    return {};
  }
  const SeriesId series = engine.Intern(engine.labels().InternSet({{"__name__", "x"}}));
  constexpr int64_t kStart = 1000 * kMinuteMs;
  for (int64_t t = kStart + step_ms; t <= kStart + 10 * kMinuteMs; t += step_ms) {
    engine.AdvanceTo(t - 1);
    if (histograms) {
      engine.AppendHistogram(series, t, HistogramAt(t));
    } else {
      engine.Append(series, t, CounterAt(t));
    }
    if (t % kMinuteMs == 0) {
      engine.Evaluate(*plan, t);
      engine.Release(t);
    }
  }
  const SeriesStats stats = engine.Stats();
  return {stats.samples_kept, stats.window_bytes};
}

class BoundedStateTest : public ::testing::TestWithParam<Row> {};

TEST_P(BoundedStateTest, Floats) {
  const Kept slow = Feed(GetParam().expr, 1000, false);
  const Kept fast = Feed(GetParam().expr, 100, false);
  if (GetParam().keeps == Keeps::kAll) {
    EXPECT_GE(slow.records, size_t{kWindowMs / 1000});
    EXPECT_GE(fast.records, size_t{kWindowMs / 100});
    return;
  }
  EXPECT_LE(fast.records, slow.records + kSlackRecords);
  EXPECT_LE(fast.bytes, slow.bytes + kSlackBytes);
}

TEST_P(BoundedStateTest, Histograms) {
  const Kept slow = Feed(GetParam().expr, 1000, true);
  const Kept fast = Feed(GetParam().expr, 100, true);
  if (GetParam().keeps != Keeps::kEdges) {  // there are no aggregates of histograms
    EXPECT_GE(slow.records, size_t{kWindowMs / 1000});
    EXPECT_GE(fast.records, size_t{kWindowMs / 100});
    return;
  }
  EXPECT_LE(fast.records, slow.records + kSlackRecords);
  EXPECT_LE(fast.bytes, slow.bytes + kSlackBytes);
}

INSTANTIATE_TEST_SUITE_P(Functions, BoundedStateTest, ::testing::ValuesIn(kRows), [](const auto& info) {
  std::string name;
  for (const char* c = info.param.expr; *c != '\0'; ++c) {
    name += std::isalnum(static_cast<unsigned char>(*c)) != 0 ? *c : '_';
  }
  return name;
});

TEST(BoundedStateTable, HasEveryFunctionOfRangeVectors) {
  std::set<std::string_view> listed;
  for (const Row& row : kRows) {
    listed.insert(row.function);
  }
  for (const promql::FunctionSignature& function : promql::AllFunctions()) {
    for (promql::ValueType type : function.args) {
      EXPECT_TRUE(type != promql::ValueType::kMatrix || listed.count(function.name) > 0) << function.name;
    }
  }
}

}  // namespace
}  // namespace weir::engine
