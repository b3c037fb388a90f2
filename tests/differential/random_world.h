#pragma once
// Random series and random expressions over them, all from one seed: what the differential test feeds to both
// evaluators. Deterministic across machines (own generator, no distribution objects). Test-only.

#include <cstdint>
#include <string>
#include <vector>

#include "tests/differential/naive_evaluator.h"

namespace weir::differential {

// splitmix64: small, and the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  // RETURNS: a number in [0, n).
  uint64_t Below(uint64_t n) { return Next() % n; }
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low + 1)));
  }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  bool Chance(double p) { return Unit() < p; }
  template <typename T>
  const T& Pick(const std::vector<T>& choices) {
    return choices[Below(choices.size())];
  }

 private:
  uint64_t state_;
};

struct World {
  naive::Data data;
  int64_t interval_ms = 0;  // of the evaluation grid
  int64_t phase_ms = 0;
  int64_t end_ms = 0;
  bool dense = false;  // many samples between two ticks: the engine thins what it keeps
};

// Counters c_total with resets, mild gauges g, wild gauges w (NaN, ±Inf, huge spikes), classic buckets b_bucket, and
// series that churn; jittered, gappy, some with samples exactly on the grid.
World MakeWorld(Random* random);

struct RandomExpr {
  std::string text;
  bool exact = false;     // both evaluators must agree bit for bit
  bool any_zero = false;  // but the sign of a zero hangs on the order of the series, which is nobody's promise
  // Small differences of counters that jumped by 1e9: Prometheus's own folds keep few digits, and which hangs on the order
  // of the series; the engine's wider sums differ from them honestly.
  bool few_digits = false;
  bool pinned = false;  // reads at a fixed time (`@`, at most kPinnedMs)
};
inline constexpr int64_t kPinnedMs = 420000;
RandomExpr MakeExpr(Random* random, int64_t interval_ms);

}  // namespace weir::differential
