#pragma once
// What the leaves of the graph may become until a horizon, and the triggers that keep them to less (trigger.h). Pure functions of
// one series' window; each returns the span of its slot when no sample crosses the trigger it leaves.

#include <cstdint>

#include "core/engine/trigger.h"
#include "core/window/series_window.h"

namespace weir::engine {

// A window of range_ms, or an instant with a lookback of range_ms, that ends at times of [first_end_ms, last_end_ms].
struct LeafTimes {
  int64_t first_end_ms;
  int64_t last_end_ms;
  int64_t range_ms;
};

// `keep`: what the slot is to keep to; null: only what cannot be helped is asked, and no trigger is made. The trigger
// comes as one that every sample crosses.
struct LeafKeep {
  SeriesId series;
  const Span* keep;
  Trigger* trigger;
};

// What nothing is known of: any sample crosses unless anything may happen.
Span BoundUnknown(const LeafKeep& leaf);
// The newest sample. `skip_stale`: of a window (last_over_time), which stale markers do not end.
Span BoundLast(const window::SeriesWindow& series, const LeafTimes& times, bool skip_stale, const LeafKeep& leaf);
// increase(), or with `per_second` rate(). `reset_list`: as window::Window's.
Span BoundIncrease(const window::SeriesWindow& series, const LeafTimes& times, bool reset_list, bool per_second,
                   const LeafKeep& leaf);
// delta().
Span BoundDelta(const window::SeriesWindow& series, const LeafTimes& times, const LeafKeep& leaf);
// max_over_time(), or with `least` min_over_time().
Span BoundExtreme(const window::SeriesWindow& series, const LeafTimes& times, bool least, const LeafKeep& leaf);
// avg_over_time().
Span BoundAverage(const window::SeriesWindow& series, const LeafTimes& times, const LeafKeep& leaf);
// quantile_over_time(). `q`: what is not in [0, 1] is not known.
Span BoundQuantile(const window::SeriesWindow& series, const LeafTimes& times, double q, const LeafKeep& leaf);

}  // namespace weir::engine
