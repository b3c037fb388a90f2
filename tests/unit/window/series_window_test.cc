// What a series keeps: thinning at cuts, pane aggregates, eviction, and that state does not grow with the sample rate.

#include "core/window/series_window.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "core/window/kernels.h"

namespace weir::window {
namespace {

Profile MinuteProfile(Thinning thinning, uint8_t aggregates) {
  Profile p;
  p.read = true;
  p.thinning = thinning;
  p.aggregates = aggregates;
  p.count_resets = true;
  p.count_changes = true;
  p.range_ms = p.whole_range_ms = p.resets_range_ms = 300000;
  p.cuts.AddPeriodic(60000, 0);
  p.cuts.Finish();
  return p;
}

bool Eval(const SeriesWindow& series, Kernel kernel, int64_t start_ms, int64_t end_ms, double* out) {
  Window w;
  uint32_t cursor = 0;
  std::vector<double> scratch;
  w.scratch = &scratch;
  w.reset_list = true;
  w.changes_list = series.thinned();
  w.eval_ms = end_ms;
  w.param[0] = 60;
  return FindWindow(series, start_ms, end_ms, &cursor, &w) && kernel(w, out);
}

TEST(CutSet, PaneIsLeftOpenAndRightClosed) {
  CutSet cuts;
  cuts.AddPeriodic(60000, -15000);
  cuts.AddTime(100000);
  cuts.Finish();
  int64_t start = 0;
  int64_t end = 0;
  cuts.PaneOf(45000, &start, &end);  // on the cut: the pane that ends there
  EXPECT_EQ(start, -15000);
  EXPECT_EQ(end, 45000);
  cuts.PaneOf(45001, &start, &end);
  EXPECT_EQ(start, 45000);
  EXPECT_EQ(end, 100000);
}

TEST(SeriesWindow, ThinnedPaneKeepsFirstAndLast) {
  Profile p = MinuteProfile(Thinning::kEdges, 0);
  SeriesWindow series;
  for (int64_t t = 1000; t <= 60000; t += 1000) {
    series.Append(p, t, static_cast<double>(t));
  }
  ASSERT_EQ(series.ring().size(), 2U);
  EXPECT_EQ(series.ring().Time(0), 1000);
  EXPECT_EQ(series.ring().Time(1), 60000);
  double count = 0;
  ASSERT_TRUE(Eval(series, CountOverTime, 0, 60000, &count));
  EXPECT_EQ(count, 60);
}

TEST(SeriesWindow, StaleMarkerIsSeenOnlyByTheCutAfterIt) {
  Profile p = MinuteProfile(Thinning::kEdges, 0);
  SeriesWindow series;
  series.Append(p, 10000, 1);
  series.Append(p, 20000, StaleNaN());
  series.Append(p, 30000, 2);
  ASSERT_EQ(series.ring().size(), 2U);  // the marker went: no cut lies between it and the sample after it
  series.Append(p, 40000, StaleNaN());
  series.Append(p, 70000, 3);
  ASSERT_EQ(series.ring().size(), 4U);
  EXPECT_EQ(series.ring().At(2).kind(), RecordKind::kStale);
}

TEST(SeriesWindow, DenseSeriesAgreesWithEverySampleKept) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> noise(-5, 5);
  Profile dense = MinuteProfile(Thinning::kDense, kSums | kExtremes | kDeviations | kRegressions);
  Profile raw = MinuteProfile(Thinning::kNever, 0);
  SeriesWindow thinned;
  SeriesWindow whole;
  const struct {
    const char* name;
    Kernel kernel;
  } kKernels[] = {{"sum", SumOverTime},           {"avg", AvgOverTime},
                  {"min", MinOverTime},           {"max", MaxOverTime},
                  {"stddev", StddevOverTime},     {"deriv", Deriv},
                  {"predict", PredictLinear},     {"rate", Rate},
                  {"changes", Changes},           {"resets", Resets},
                  {"count", CountOverTime},       {"ts_of_max", TsOfMaxOverTime},
                  {"ts_of_min", TsOfMinOverTime}, {"first", FirstOverTime}};
  int compared = 0;
  for (int64_t t = 100; t <= 1800000; t += 100) {
    double v = 1000 + static_cast<double>(t) * 1e-4 + noise(random);
    thinned.Append(dense, t, v);
    whole.Append(raw, t, v);
    if (t % 60000 != 0 || t < 300000) {
      continue;
    }
    for (const auto& k : kKernels) {
      double a = 0;
      double b = 0;
      ASSERT_TRUE(Eval(thinned, k.kernel, t - 300000, t, &a)) << k.name;
      ASSERT_TRUE(Eval(whole, k.kernel, t - 300000, t, &b)) << k.name;
      EXPECT_NEAR(a, b, 1e-9 * std::fabs(b)) << k.name << " at " << t;
      ++compared;
    }
    dense.SetFloor(t);
    raw.SetFloor(t);
  }
  EXPECT_TRUE(thinned.thinned());
  EXPECT_EQ(compared, 26 * 14);
}

TEST(SeriesWindow, StateDoesNotGrowWithTheSampleRate) {
  auto bytes = [](int64_t step_ms) {
    Profile p = MinuteProfile(Thinning::kDense, kSums | kExtremes | kDeviations | kRegressions);
    SeriesWindow series;
    size_t most = 0;
    for (int64_t t = step_ms; t <= 1800000; t += step_ms) {
      series.Append(p, t, std::sin(static_cast<double>(t)) + 2 * static_cast<double>(t));
      if (t % 60000 == 0) {
        p.SetFloor(t);
        most = std::max(most, t > 600000 ? series.HeapBytes() : 0);
      }
    }
    return most;
  };
  EXPECT_LE(bytes(100), bytes(1000) * 11 / 10);
  EXPECT_LE(bytes(10), bytes(1000) * 11 / 10);
}

TEST(Panes, NonFiniteSamplesAreCountedNotAdded) {
  Panes panes(kSums | kExtremes, 0, 0);
  panes.Add(1000, 1, 0);
  panes.Add(2000, INFINITY, 0);
  panes.Add(61000, 2, 60000);
  double out = 0;
  ASSERT_TRUE(panes.Sum(0, 120000, &out));
  EXPECT_EQ(out, INFINITY);
  ASSERT_TRUE(panes.Sum(60000, 120000, &out));
  EXPECT_EQ(out, 2);
  panes.Add(62000, NAN, 60000);
  ASSERT_TRUE(panes.Sum(60000, 120000, &out));
  EXPECT_TRUE(std::isnan(out));
  EXPECT_FALSE(panes.Sum(120000, 180000, &out));
}

void GrowAndWrap(Ring* ring, CellPool::Lane* cells) {
  int64_t next = 0;
  for (int round = 0; round < 400; ++round) {
    for (int i = 0; i < 3; ++i, ++next) {
      ring->Push(next * 10, static_cast<double>(next), static_cast<uint32_t>(next), RecordKind::kFloat, cells);
    }
    if (round % 2 == 1) {
      ring->PopOldest();
      ring->PopOldest();
    }
    for (uint32_t i = 0; i < ring->size(); ++i) {
      ASSERT_EQ(ring->Value(i), static_cast<double>(ring->first_number() + i));
      ASSERT_EQ(ring->LastAtOrBefore(ring->Time(i)), i);
      ASSERT_EQ(ring->FirstAfter(ring->Time(i)), i + 1);
    }
  }
}

TEST(Ring, GrowsWrapsAndKeepsOrder) {
  Ring ring;
  GrowAndWrap(&ring, nullptr);
}

TEST(Ring, LivesInAPoolUntilItIsLong) {
  CellPool pool(kRingCellBytes);
  CellPool::Lane* cells = pool.AddLane();
  Ring ring;
  GrowAndWrap(&ring, cells);
  EXPECT_GT(ring.HeapBytes(), kRingCellBytes.back());
  EXPECT_EQ(pool.used_bytes(), 0U);
  while (ring.size() > 100) {
    ring.PopOldest();
  }
  ring.ShrinkIfSparse(cells);
  EXPECT_EQ(pool.used_bytes(), ring.HeapBytes());
  EXPECT_EQ(ring.Value(99), 1199);
  ring.Clear();
  EXPECT_EQ(pool.used_bytes(), 0U);
  ring.Push(0, 7, 0, RecordKind::kFloat, cells);
  Ring other = std::move(ring);
  ring = Ring();
  EXPECT_EQ(other.Value(0), 7);
  EXPECT_EQ(pool.used_bytes(), other.HeapBytes());
  other = Ring();
  EXPECT_EQ(pool.used_bytes(), 0U);
}

TEST(Ring, TimesBeyond49DaysMoveTheBase) {
  Ring ring;
  ring.Push(0, 1, 0, RecordKind::kFloat, nullptr);
  ring.Push(4000000000, 2, 1, RecordKind::kFloat, nullptr);
  ring.Push(5000000000, 3, 2, RecordKind::kFloat, nullptr);
  ASSERT_EQ(ring.size(), 2U);  // the first is further back than any window
  EXPECT_EQ(ring.Time(0), 4000000000);
  EXPECT_EQ(ring.Time(1), 5000000000);
}

}  // namespace
}  // namespace weir::window
