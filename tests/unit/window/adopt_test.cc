// Plans come and go while a dense series runs: what the others read must not change.

#include <gtest/gtest.h>

#include "core/window/kernels.h"
#include "core/window/series_window.h"

namespace weir::window {
namespace {

Profile DenseProfile(Thinning thinning, uint8_t aggregates) {
  Profile p;
  p.read = true;
  p.thinning = thinning;
  p.aggregates = aggregates;
  p.count_changes = true;
  p.range_ms = 300000;
  p.cuts.AddPeriodic(60000, 0);
  p.cuts.Finish();
  return p;
}

// Appends one sample a 100 ms in (from, to], value = its number.
void Feed(SeriesWindow& series, Profile& p, int64_t from_ms, int64_t to_ms) {
  for (int64_t t = from_ms + 100; t <= to_ms; t += 100) {
    p.SetFloor(t - 60000);
    series.Append(p, t, static_cast<double>(t / 100));
  }
}

bool Eval(const SeriesWindow& series, Kernel kernel, int64_t start_ms, int64_t end_ms, double* out) {
  Window w;
  uint32_t cursor = 0;
  w.changes_list = series.thinned();
  w.eval_ms = end_ms;
  return FindWindow(series, start_ms, end_ms, &cursor, &w) && kernel(w, out);
}

double SumOfNumbers(int64_t from_ms, int64_t to_ms) {
  double sum = 0;
  for (int64_t t = from_ms + 100; t <= to_ms; t += 100) {
    sum += static_cast<double>(t / 100);
  }
  return sum;
}

TEST(Adopt, ANewFamilyLeavesTheOthersTheirPanes) {
  SeriesWindow series;
  Profile sums = DenseProfile(Thinning::kDense, kSums);
  Feed(series, sums, 0, 600000);
  ASSERT_TRUE(series.thinned());
  Profile both = DenseProfile(Thinning::kDense, kSums | kExtremes);
  series.Adopt(both);
  Feed(series, both, 600000, 660000);
  Profile three = DenseProfile(Thinning::kDense, kSums | kExtremes | kDeviations);
  series.Adopt(three);
  Feed(series, three, 660000, 720000);
  double v = 0;
  ASSERT_TRUE(Eval(series, SumOverTime, 420000, 720000, &v));
  EXPECT_EQ(v, SumOfNumbers(420000, 720000));
  ASSERT_TRUE(Eval(series, MinOverTime, 600000, 720000, &v));
  EXPECT_EQ(v, 6001);
  ASSERT_TRUE(Eval(series, MinOverTime, 420000, 720000, &v));
  EXPECT_EQ(v, 6001) << "the minimum is known since it was asked for, and wrong about nothing later";
}

TEST(Adopt, APlanThatNeedsAllSamplesTakesNothingFromThoseThatDoNot) {
  SeriesWindow series;
  Profile dense = DenseProfile(Thinning::kDense, kSums);
  Feed(series, dense, 0, 600000);
  ASSERT_TRUE(series.thinned());
  Profile all = DenseProfile(Thinning::kNever, kSums);
  series.Adopt(all);
  EXPECT_EQ(series.complete_since_ms(), 600000);
  Feed(series, all, 600000, 660000);
  double v = 0;
  ASSERT_TRUE(Eval(series, SumOverTime, 360000, 660000, &v));
  EXPECT_EQ(v, SumOfNumbers(360000, 660000));
  ASSERT_TRUE(Eval(series, Changes, 360000, 660000, &v));
  EXPECT_EQ(v, 2999);
  // Once the thinned part has left, the series is an ordinary raw one.
  Feed(series, all, 660000, 1200000);
  EXPECT_FALSE(series.thinned());
  ASSERT_TRUE(Eval(series, SumOverTime, 900000, 1200000, &v));
  EXPECT_EQ(v, SumOfNumbers(900000, 1200000));
  ASSERT_TRUE(Eval(series, Changes, 900000, 1200000, &v));
  EXPECT_EQ(v, 2999);
}

// Every sample has a start of its own in the middle of the one before: no reset between neighbours, but between those that a
// thinned ring has left.
TEST(Adopt, SameProfileAgainFindsNoNewResets) {
  Profile p;
  p.read = true;
  p.count_resets = true;
  p.range_ms = 300000;
  p.cuts.AddPeriodic(60000, 0);
  p.cuts.Finish();
  SeriesWindow series;
  for (int64_t t = 1000; t <= 240000; t += 1000) {
    series.Append(p, t, static_cast<double>(t), t == 1000 ? 0 : t - 1500);
  }
  auto resets = [&] { return (series.resets() ? series.resets()->size() : 0) + series.rich()->start_resets.size(); };
  const size_t before = resets();
  series.Adopt(p);
  EXPECT_EQ(resets(), before);
}

}  // namespace
}  // namespace weir::window
