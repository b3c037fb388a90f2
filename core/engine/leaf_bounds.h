#pragma once
// What the leaves of the graph may become until a horizon, and the triggers that keep them to less (trigger.h). Pure functions of
// one series' window; each returns the span of its slot when no sample crosses the trigger it leaves.

#include <cstdint>
#include <vector>

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
// timestamp(): the time of the newest sample in seconds.
Span BoundTime(const window::SeriesWindow& series, const LeafTimes& times, const LeafKeep& leaf);
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

// What is worked out from the samples of a window one by one. Of present, count, sum, changes and resets a sample that does not cross
// changes one side at most; the spacing of samples to come is not known, so irate() lets a counter grow by what is allowed
// within a millisecond.
enum class SampleFold : unsigned char { kPresent, kCount, kSum, kChanges, kResets, kIrate, kIdelta };
Span BoundSamples(const window::SeriesWindow& series, const LeafTimes& times, SampleFold fold, const LeafKeep& leaf);

// One bucket of a histogram: the counter, and what it counts for in TailBound.
struct TailBucket {
  const window::SeriesWindow* series;
  bool reset_list;  // as window::Window's
  double weight;    // in what is below a bound; 0: it is not
  bool above;
};

// What increase() of the buckets of one histogram may be together: how many observations lie above a bound.
struct TailBound {
  bool known = false;
  double most = 0;    // increase of any bucket above less the weighted ones below, in any window that may be asked for
  double factor = 1;  // what a sample adds to that is multiplied by at most
  double least = 0;   // increase of the last bucket, +Inf, in each window
  double room_lost = 0;      // to rounding
  double growth_max = 0;     // of a bucket below, for `most` to be right
  bool below_counts = true;  // what comes below may be set against what comes above
  bool waits = false;        // there is no window with two samples yet: whatever comes counts
  // By bucket: its value at the newest time that all have a sample of, its newest one, and whether that is a later one.
  std::vector<double> armed;
  std::vector<double> newest;
  std::vector<uint8_t> ahead;
  int64_t torn_ms = 0;  // when that was
};

// `buckets`: of one histogram, the last one +Inf. Samples to come are those of all buckets at a time.
TailBound BoundTail(const std::vector<TailBucket>& buckets, const LeafTimes& times);

}  // namespace weir::engine
