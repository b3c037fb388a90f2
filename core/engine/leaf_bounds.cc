#include "core/engine/leaf_bounds.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/model/sample.h"
#include "core/window/kernels.h"

namespace weir::engine {
namespace {

using window::Record;
using window::RecordKind;
using window::Ring;
using window::SeriesWindow;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// rate() and its kind extrapolate at either end by less than 1.1 mean intervals (semantics 2.3).
constexpr double kEndsMax = 2.2;
// What is proposed stays so far inside that the bound of it, which is widened, does too.
constexpr double kInside = 8 * Span::kRounding;

// RETURNS: whether every record is known as it came.
bool IsRaw(const SeriesWindow& series) { return series.rich() == nullptr && !series.thinned(); }
bool IsReal(const Ring& ring, int64_t i) { return ring.At(static_cast<uint32_t>(i)).kind() != RecordKind::kStale; }

// The samples that can be the first and the last of a window: ring indices, stale markers among them to be passed over. No
// allocation: this is asked of every series whenever a plan is armed.
struct Edges {
  int64_t first_begin = 0;  // none when not below first_end
  int64_t first_end = 0;
  int64_t last_begin = 0;  // the first that is real, as is the last one
  int64_t last_end = 0;
  bool first_to_come = false;  // the first can be a sample that is not there yet
  bool none_before = false;    // at the first end there is no last
  bool finite = true;          // all of them
  bool negative = false;       // one of them
};

template <typename F>
void ForEachReal(const Ring& ring, int64_t begin, int64_t end, F f) {
  for (int64_t i = begin; i < end; ++i) {
    if (IsReal(ring, i)) {
      f(static_cast<uint32_t>(i));
    }
  }
}

// `size`: only the first so many records are there.
Edges FindEdges(const Ring& ring, const LeafTimes& times, int64_t size) {
  Edges edges;
  const uint32_t begins = ring.FirstAfter(times.first_end_ms - times.range_ms, uint32_t{0});
  int64_t end = ring.FirstAfter(times.last_end_ms - times.range_ms, begins);
  while (end < size && !IsReal(ring, end)) {
    ++end;
  }
  edges.first_to_come = end >= size;
  edges.first_begin = std::min<int64_t>(begins, size);
  edges.first_end = std::min(end + 1, size);
  while (edges.first_begin < edges.first_end && !IsReal(ring, edges.first_begin)) {
    ++edges.first_begin;
  }
  int64_t begin = std::min<int64_t>(ring.LastAtOrBefore(times.first_end_ms), size - 1);
  while (begin >= 0 && !IsReal(ring, begin)) {
    --begin;
  }
  edges.none_before = begin < 0;
  edges.last_begin = std::max<int64_t>(begin, 0);
  while (edges.last_begin < size && !IsReal(ring, edges.last_begin)) {
    ++edges.last_begin;
  }
  edges.last_end = edges.last_begin;
  for (int64_t i = edges.last_begin; i < size && ring.Time(static_cast<uint32_t>(i)) <= times.last_end_ms; ++i) {
    edges.last_end = IsReal(ring, i) ? i + 1 : edges.last_end;
  }
  const auto look = [&](uint32_t i) {
    edges.finite = edges.finite && std::isfinite(ring.Value(i));
    edges.negative = edges.negative || ring.Value(i) < 0;
  };
  ForEachReal(ring, edges.first_begin, edges.first_end, look);
  ForEachReal(ring, edges.last_begin, edges.last_end, look);
  return edges;
}

// RETURNS: whether some end of the horizon has a window with two samples that are there already.
bool HasPair(const Edges& edges) {
  return edges.first_begin < edges.first_end && edges.last_begin < edges.last_end &&
         edges.first_begin < edges.last_end - 1;
}
// RETURNS: whether each of them does.
bool AlwaysPair(const Edges& edges) {
  return HasPair(edges) && !edges.none_before && !edges.first_to_come && edges.first_end - 1 < edges.last_begin;
}

// RETURNS: the most that extrapolation multiplies by when the window's first sample is this one.
double FactorMax(const Ring& ring, const Edges& edges, uint32_t first, int64_t range_ms) {
  const auto last = static_cast<uint32_t>(edges.last_begin);
  if (last <= first) {
    return 1 + kEndsMax;
  }
  const auto between = static_cast<double>((ring.At(last).ordinal() - ring.At(first).ordinal()) & Record::kOrdinalMask);
  const auto sampled = static_cast<double>(ring.Time(last) - ring.Time(first));
  return std::min(1 + kEndsMax / std::max(between, 1.0), std::max(1.0, static_cast<double>(range_ms) / sampled));
}

// RETURNS: what counter resets between two records add.
double ResetsBetween(const SeriesWindow& series, bool reset_list, uint32_t first, uint32_t last) {
  const Ring& ring = series.ring();
  double sum = 0;
  if (reset_list) {
    const std::vector<window::Reset>* resets = series.resets();
    if (resets == nullptr || resets->empty() || resets->back().t_ms <= ring.Time(first)) {
      return 0;
    }
    auto it = std::lower_bound(resets->begin(), resets->end(), ring.Time(first),
                               [](const window::Reset& r, int64_t t) { return r.t_ms <= t; });
    for (; it != resets->end() && it->t_ms <= ring.Time(last); ++it) {
      sum += it->previous;
    }
    return sum;
  }
  double previous = ring.Value(first);
  for (uint32_t i = first + 1; i <= last; ++i) {
    if (IsReal(ring, i)) {
      sum += ring.Value(i) < previous ? previous : 0;
      previous = ring.Value(i);
    }
  }
  return sum;
}

// Calls f(begin, end) with the ring indices of every window that may be looked at and holds a record, as far as the records are
// there.
template <typename F>
void ForEachWindow(const Ring& ring, const LeafTimes& times, F f) {
  const auto time = [&](uint32_t i) {
    return i < ring.size() ? ring.Time(i) : std::numeric_limits<int64_t>::max() / 2;
  };
  uint32_t begin = ring.FirstAfter(times.first_end_ms - times.range_ms);
  auto end = static_cast<uint32_t>(ring.LastAtOrBefore(times.first_end_ms) + 1);
  for (int64_t at = times.first_end_ms; at <= times.last_end_ms;
       at = std::min(time(end), time(begin) + times.range_ms)) {
    while (time(end) <= at) {
      ++end;
    }
    while (time(begin) <= at - times.range_ms) {
      ++begin;
    }
    if (begin < end) {
      f(begin, end);
    }
  }
}

// What samples to come that do not cross leave of a fold that lies between its samples. `low`, `high`: whether the fold stays on the
// right side of what is asked for when all of them lie there; else it may be as `all`, the samples that are there.
Span AfterSamples(const SeriesWindow& series, const LeafTimes& times, Span reach, const Span& all, bool low, bool high,
                  const LeafKeep& leaf) {
  const Span& keep = *leaf.keep;
  if (keep.nothing()) {
    return reach;
  }
  if (keep.any() || times.last_end_ms <= series.last_t_ms()) {
    *leaf.trigger = Trigger::Never(leaf.series);
    return keep.any() ? Span::Any() : reach;
  }
  // A fold of equal samples may be beside them by rounding, of zeros not.
  const auto margin = [](double v) {
    return v == 0 || !std::isfinite(v)
               ? 0
               : std::max(std::fabs(v) * kInside, 16 * std::numeric_limits<double>::denorm_min());
  };
  const double lowest = keep.lo + margin(keep.lo);
  const double highest = keep.hi - margin(keep.hi);
  *leaf.trigger = {leaf.series, false, true, false, lowest, highest};
  if (lowest <= highest) {
    reach.Add(low ? lowest - margin(keep.lo) / 4 : std::min(keep.lo, all.lo));
    reach.Add(high ? highest + margin(keep.hi) / 4 : std::max(keep.hi, all.hi));
  }
  return reach;
}

// No sample that is there can make the slot appear or change: it waits for one more.
Span Waiting(const LeafKeep& leaf) {
  if (leaf.keep == nullptr) {
    return Span::Absent();
  }
  *leaf.trigger = leaf.keep->any() ? Trigger::Never(leaf.series) : Trigger::Always(leaf.series);
  return leaf.keep->any() ? Span::Any() : Span::Absent();
}

}  // namespace

Span BoundUnknown(const LeafKeep& leaf) {
  if (leaf.keep != nullptr) {
    *leaf.trigger = leaf.keep->any() ? Trigger::Never(leaf.series) : Trigger::Always(leaf.series);
  }
  return Span::Any();
}

namespace {

// What the newest of the samples that are there may be, as `value` tells it of a record.
template <typename Value>
Span ReachLast(const SeriesWindow& series, const LeafTimes& times, bool skip_stale, Value value) {
  const Ring& ring = series.ring();
  const auto size = static_cast<int64_t>(ring.size());
  Span reach = Span::Nothing();
  int64_t i = ring.LastAtOrBefore(times.first_end_ms);
  while (skip_stale && i >= 0 && !IsReal(ring, i)) {
    --i;
  }
  if (i < 0) {
    reach.absent = true;
    i = 0;
  }
  while (i < size && ring.Time(static_cast<uint32_t>(i)) <= times.last_end_ms) {
    int64_t next = i + 1;
    while (skip_stale && next < size && !IsReal(ring, next)) {
      ++next;
    }
    if (!IsReal(ring, i)) {
      reach.absent = reach.absent || !skip_stale;
    } else {
      reach.Add(value(static_cast<uint32_t>(i)));
      const int64_t seen_until =
          next < size ? std::min(ring.Time(static_cast<uint32_t>(next)) - 1, times.last_end_ms) : times.last_end_ms;
      reach.absent = reach.absent || seen_until - ring.Time(static_cast<uint32_t>(i)) >= times.range_ms;
    }
    i = next;
  }
  return reach;
}

// RETURNS: whether samples to come need not be looked at: none can be seen, nothing is asked for or nothing is of use.
bool IsSettled(const SeriesWindow& series, const LeafTimes& times, const LeafKeep& leaf, Span* reach) {
  if (leaf.keep == nullptr || leaf.keep->nothing()) {
    return true;
  }
  if (leaf.keep->any() || times.last_end_ms <= series.last_t_ms()) {
    *leaf.trigger = Trigger::Never(leaf.series);
    *reach = leaf.keep->any() ? Span::Any() : *reach;
    return true;
  }
  return false;
}

}  // namespace

Span BoundTime(const SeriesWindow& series, const LeafTimes& times, const LeafKeep& leaf) {
  if (!IsRaw(series)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  const auto seconds = [](int64_t t_ms) { return static_cast<double>(t_ms) / 1000; };
  Span reach = ReachLast(series, times, false, [&](uint32_t i) { return seconds(ring.Time(i)); });
  if (IsSettled(series, times, leaf, &reach)) {
    return reach;
  }
  if (!leaf.keep->present()) {
    return reach;
  }
  // Whatever its value.
  *leaf.trigger = {leaf.series, false, leaf.keep->absent, true, -kInfinity, kInfinity};
  reach.Add(seconds(std::max(series.last_t_ms(), times.first_end_ms - times.range_ms)));
  reach.Add(seconds(times.last_end_ms));
  reach.absent = reach.absent || leaf.keep->absent;
  return reach;
}

Span BoundLast(const SeriesWindow& series, const LeafTimes& times, bool skip_stale, const LeafKeep& leaf) {
  if (!IsRaw(series)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  Span reach = ReachLast(series, times, skip_stale, [&](uint32_t i) { return ring.Value(i); });
  if (IsSettled(series, times, leaf, &reach)) {
    return reach;
  }
  const Span& keep = *leaf.keep;
  *leaf.trigger = {leaf.series, false, keep.absent || skip_stale, keep.nan, keep.lo, keep.hi};
  Span to_come = keep;
  to_come.absent = keep.absent && !skip_stale;
  reach.Add(to_come);
  return reach;
}

Span BoundIncrease(const SeriesWindow& series, const LeafTimes& times, bool reset_list, bool per_second,
                   const LeafKeep& leaf) {
  if (!IsRaw(series)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  const Edges edges = FindEdges(ring, times, ring.size());
  if (!edges.finite || edges.negative) {
    return BoundUnknown(leaf);
  }
  if (!HasPair(edges)) {
    return Waiting(leaf);
  }
  const double unit = per_second ? static_cast<double>(times.range_ms) / 1000 : 1;
  const auto newest = static_cast<uint32_t>(edges.last_end - 1);
  const double newest_v = ring.Value(newest);
  // Calls f(how much is there already, what it is multiplied by at most) for each sample that can be the first.
  const auto for_each_start = [&](auto f) {
    ForEachReal(ring, edges.first_begin, edges.first_end, [&](uint32_t first) {
      const double resets = first < newest ? ResetsBetween(series, reset_list, first, newest) : 0;
      f(first < newest ? newest_v - ring.Value(first) + resets : 0, FactorMax(ring, edges, first, times.range_ms),
        newest_v + ring.Value(first) + resets);
    });
    if (edges.first_to_come) {
      f(0.0, 1 + kEndsMax, newest_v);
    }
  };
  double magnitude = 0;
  bool falls = false;
  for_each_start([&](double increase, double, double size) {
    magnitude = std::max(magnitude, size);
    falls = falls || !(increase >= 0);
  });
  if (falls) {
    return BoundUnknown(leaf);
  }
  const bool always = AlwaysPair(edges);
  double least = 0;
  if (always) {
    const auto first = static_cast<uint32_t>(edges.first_end - 1);
    const auto last = static_cast<uint32_t>(edges.last_begin);
    least = ring.Value(last) - ring.Value(first) + ResetsBetween(series, reset_list, first, last);
  }
  const bool to_come = times.last_end_ms > series.last_t_ms();
  double highest = newest_v;  // that a sample may be without crossing
  if (leaf.keep != nullptr) {
    const Span& keep = *leaf.keep;
    if (keep.nothing()) {
      *leaf.trigger = Trigger::Always(leaf.series);
    } else if (keep.any() || !to_come) {
      *leaf.trigger = Trigger::Never(leaf.series);
      highest = to_come ? kInfinity : newest_v;
    } else if (!keep.numbers()) {
      *leaf.trigger = Trigger::Always(leaf.series);
    } else if (keep.hi == kInfinity) {
      *leaf.trigger = {leaf.series, false, true, keep.nan, 0, kInfinity};
      highest = kInfinity;
    } else {
      double room = kInfinity;
      for_each_start([&](double increase, double factor, double) {
        room = std::min(room, keep.hi * unit / factor * (1 - kInside) - increase);
      });
      room -= magnitude * kInside;
      highest = room > 0 ? newest_v + room : newest_v;
      *leaf.trigger = {leaf.series, true, true, false, 0, highest};
    }
    if (keep.any()) {
      return Span::Any();
    }
  }
  Span reach = Span::Of(std::max(0.0, least) / unit);
  for_each_start(
      [&](double increase, double factor, double) { reach.Add((increase + (highest - newest_v)) * factor / unit); });
  reach.absent = !always;
  reach.nan = leaf.keep != nullptr && leaf.trigger->nan_ok;
  return reach.Widened(std::max(reach.hi == kInfinity ? 0 : reach.hi, magnitude * (1 + kEndsMax) / unit));
}

Span BoundDelta(const SeriesWindow& series, const LeafTimes& times, const LeafKeep& leaf) {
  if (!IsRaw(series)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  const Edges edges = FindEdges(ring, times, ring.size());
  if (!edges.finite || (HasPair(edges) && !AlwaysPair(edges))) {
    return BoundUnknown(leaf);
  }
  if (!HasPair(edges)) {
    return Waiting(leaf);
  }
  Span reach = Span::Nothing();
  double magnitude = 0;
  double highest = kInfinity;  // of a sample to come
  double lowest = -kInfinity;
  const bool to_come = leaf.keep != nullptr && times.last_end_ms > series.last_t_ms();
  ForEachReal(ring, edges.first_begin, edges.first_end, [&](uint32_t first) {
    const double factor = FactorMax(ring, edges, first, times.range_ms);
    const double v = ring.Value(first);
    magnitude = std::max(magnitude, std::fabs(v));
    ForEachReal(ring, edges.last_begin, edges.last_end, [&](uint32_t last) {
      magnitude = std::max(magnitude, std::fabs(ring.Value(last)));
      reach.Add(ring.Value(last) - v);
      reach.Add((ring.Value(last) - v) * factor);
    });
    if (to_come) {
      const Span& keep = *leaf.keep;
      highest = std::min(highest, v + (keep.hi > 0 ? keep.hi / factor : keep.hi));
      lowest = std::max(lowest, v + (keep.lo < 0 ? keep.lo / factor : keep.lo));
    }
  });
  if (leaf.keep != nullptr) {
    const Span& keep = *leaf.keep;
    if (keep.nothing()) {
      return reach.Widened(4 * magnitude);
    }
    if (keep.any() || !to_come) {
      *leaf.trigger = Trigger::Never(leaf.series);
      return keep.any() ? Span::Any() : reach.Widened(4 * magnitude);
    }
    const double margin = std::max(magnitude, std::max(std::fabs(highest), std::fabs(lowest))) * kInside;
    highest = highest == kInfinity ? highest : highest - margin;
    lowest = lowest == -kInfinity ? lowest : lowest + margin;
    *leaf.trigger = {leaf.series, false, true, keep.nan, lowest, highest};
    reach.nan = keep.nan;
    if (lowest <= highest) {
      ForEachReal(ring, edges.first_begin, edges.first_end, [&](uint32_t first) {
        const double factor = FactorMax(ring, edges, first, times.range_ms);
        for (const double edge : {lowest, highest}) {
          reach.Add(edge - ring.Value(first));
          reach.Add((edge - ring.Value(first)) * factor);
        }
      });
    }
  }
  return reach.Widened(4 * magnitude);
}

Span BoundExtreme(const SeriesWindow& series, const LeafTimes& times, bool least, const LeafKeep& leaf) {
  if (!IsRaw(series)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  const double sign = least ? -1 : 1;
  double top = -kInfinity;   // of all that can be in a window
  double sure = -kInfinity;  // of what is in each
  double bottom = kInfinity;
  for (uint32_t i = ring.FirstAfter(times.first_end_ms - times.range_ms);
       i < ring.size() && ring.Time(i) <= times.last_end_ms; ++i) {
    if (!IsReal(ring, i)) {
      continue;
    }
    const double v = sign * ring.Value(i);
    if (std::isnan(v)) {
      return BoundUnknown(leaf);
    }
    top = std::max(top, v);
    bottom = std::min(bottom, v);
    if (ring.Time(i) <= times.first_end_ms && ring.Time(i) > times.last_end_ms - times.range_ms) {
      sure = std::max(sure, v);
    }
  }
  if (bottom > top) {
    return Waiting(leaf);
  }
  const bool any_sure = sure > -kInfinity;
  Span reach = Span::Of(sign * top);
  reach.Add(sign * (any_sure ? sure : bottom));
  reach.absent = !any_sure;
  if (leaf.keep == nullptr) {
    return reach;
  }
  const Span& keep = *leaf.keep;
  if (keep.nothing()) {
    return reach;
  }
  if (keep.any() || times.last_end_ms <= series.last_t_ms()) {
    *leaf.trigger = Trigger::Never(leaf.series);
    return keep.any() ? Span::Any() : reach;
  }
  // A sample on the far side of what stays changes nothing.
  *leaf.trigger = {leaf.series, false, true, keep.nan, keep.lo, keep.hi};
  double& free_side = least ? leaf.trigger->hi : leaf.trigger->lo;
  if (any_sure && (least ? sign * sure <= keep.hi : sure >= keep.lo)) {
    free_side = least ? kInfinity : -kInfinity;
    reach.Add(least ? leaf.trigger->lo : leaf.trigger->hi);
  } else if (keep.numbers()) {
    reach.Add(keep.lo);
    reach.Add(keep.hi);
  }
  reach.nan = keep.nan;
  return reach;
}

Span BoundAverage(const SeriesWindow& series, const LeafTimes& times, const LeafKeep& leaf) {
  if (!IsRaw(series)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  Span reach = Span::Nothing();
  Span all = Span::Nothing();
  bool some_empty = false;
  const int64_t sure_after_ms = times.last_end_ms - times.range_ms;
  bool any_sure = false;
  ForEachWindow(ring, times, [&](uint32_t begin, uint32_t end) {
    double sum = 0;
    double n = 0;
    ForEachReal(ring, begin, end, [&](uint32_t i) {
      const double v = ring.Value(i);
      sum += v;
      n += 1;
      all.Add(v);
      any_sure = any_sure || (ring.Time(i) <= times.first_end_ms && ring.Time(i) > sure_after_ms);
    });
    some_empty = some_empty || n == 0;
    if (n > 0) {
      reach.Add(sum / n);
    }
  });
  if (all.nan || reach.nan || !std::isfinite(reach.hi - reach.lo) || !std::isfinite(all.hi - all.lo)) {
    return all.present() ? BoundUnknown(leaf) : Waiting(leaf);
  }
  reach.absent = !any_sure || some_empty;
  const double size = std::max(std::fabs(all.lo), std::fabs(all.hi));
  reach = reach.Widened(size * static_cast<double>(ring.size()));
  if (leaf.keep == nullptr) {
    return reach;
  }
  return AfterSamples(series, times, reach, all, reach.lo >= leaf.keep->lo, reach.hi <= leaf.keep->hi, leaf);
}

Span BoundQuantile(const SeriesWindow& series, const LeafTimes& times, double q, const LeafKeep& leaf) {
  constexpr size_t kLooksMax = 1 << 14;  // at samples, for one series
  if (!IsRaw(series) || !(q >= 0 && q <= 1)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  const Span* keep = leaf.keep;
  Span reach = Span::Nothing();
  Span all = Span::Nothing();
  bool some_empty = false;
  bool any_sure = false;
  bool low = true;  // in every window so few lie below what is asked for that the quantile does not, however many come
  bool high = true;
  size_t looks = 0;
  std::vector<double> values;
  ForEachWindow(ring, times, [&](uint32_t begin, uint32_t end) {
    looks += end - begin;
    if (looks > kLooksMax) {
      return;
    }
    values.clear();
    double below = 0;
    double above = 0;
    ForEachReal(ring, begin, end, [&](uint32_t i) {
      const double v = ring.Value(i);
      values.push_back(v);
      all.Add(v);
      below += keep != nullptr && v < keep->lo ? 1 : 0;
      above += keep != nullptr && v > keep->hi ? 1 : 0;
      any_sure = any_sure || (ring.Time(i) <= times.first_end_ms && ring.Time(i) > times.last_end_ms - times.range_ms);
    });
    some_empty = some_empty || values.empty();
    if (values.empty()) {
      return;
    }
    const double gaps = static_cast<double>(values.size()) - 1;
    low = low && (below == 0 || below <= q * gaps * (1 - Span::kRounding));
    high = high && (above == 0 || above <= (1 - q) * gaps * (1 - Span::kRounding));
    reach.Add(window::Quantile(q, &values));
  });
  if (looks > kLooksMax || all.nan || !std::isfinite(all.hi - all.lo)) {
    return all.present() ? BoundUnknown(leaf) : Waiting(leaf);
  }
  reach.absent = !any_sure || some_empty;
  reach = reach.Widened(std::max(std::fabs(all.lo), std::fabs(all.hi)));
  return keep == nullptr ? reach : AfterSamples(series, times, reach, all, low, high, leaf);
}

namespace {

// RETURNS: the fold of the real samples of [begin, end); NaN when there is none.
double Folded(const Ring& ring, uint32_t begin, uint32_t end, SampleFold fold) {
  double n = 0;
  double sum = 0;
  double changes = 0;
  double resets = 0;
  double v = 0;
  double before = 0;
  int64_t t_ms = 0;
  int64_t before_ms = 0;
  ForEachReal(ring, begin, end, [&](uint32_t i) {
    before = std::exchange(v, ring.Value(i));
    before_ms = std::exchange(t_ms, ring.Time(i));
    sum += v;
    changes += n > 0 && v != before ? 1 : 0;
    resets += n > 0 && v < before ? 1 : 0;
    n += 1;
  });
  switch (fold) {
    case SampleFold::kPresent:
      return n > 0 ? 1 : NormalNaN();
    case SampleFold::kCount:
      return n > 0 ? n : NormalNaN();
    case SampleFold::kSum:
      return n > 0 ? sum : NormalNaN();
    case SampleFold::kChanges:
      return n > 0 ? changes : NormalNaN();
    case SampleFold::kResets:
      return n > 0 ? resets : NormalNaN();
    case SampleFold::kIrate:
      return n > 1 ? (v < before ? v : v - before) / (static_cast<double>(t_ms - before_ms) / 1000) : NormalNaN();
    case SampleFold::kIdelta:
      return n > 1 ? v - before : NormalNaN();
  }
  return NormalNaN();
}

// Adds what the fold becomes with samples to come, and the trigger that they keep to. `newest`: the newest sample. `full`: every window
// has one of those that are there.
void AddToCome(SampleFold fold, double newest, bool full, const LeafKeep& leaf, Span* reach) {
  const Span& keep = *leaf.keep;
  const auto hold = [&](bool counter, double lo, double hi) {
    *leaf.trigger = {leaf.series, counter, true, false, lo, hi};
  };
  const double rounding = std::fabs(newest) * 4e-16;
  switch (fold) {
    case SampleFold::kPresent:
      if (keep.lo <= 1 && keep.hi >= 1) {
        *leaf.trigger = {leaf.series, false, true, true, -kInfinity, kInfinity};
        reach->Add(1.0);
      }
      return;
    case SampleFold::kCount:
      if (keep.hi == kInfinity) {
        hold(false, -kInfinity, kInfinity);
        reach->Add(kInfinity);
        reach->Add(full ? kInfinity : 1.0);
      }
      return;
    case SampleFold::kSum:
      hold(false, keep.lo == -kInfinity ? -kInfinity : 0, keep.hi == kInfinity ? kInfinity : 0);
      reach->Add(full ? reach->lo : 0.0);
      reach->Add(keep.lo == -kInfinity ? -kInfinity : reach->lo);
      reach->Add(keep.hi == kInfinity ? kInfinity : reach->hi);
      reach->nan = reach->nan || !std::isfinite(reach->lo) || !std::isfinite(reach->hi);
      return;
    case SampleFold::kChanges:
      hold(false, newest, newest);
      reach->Add(full ? reach->lo : 0.0);
      return;
    case SampleFold::kResets:
      hold(true, -kInfinity, kInfinity);
      reach->Add(full ? reach->lo : 0.0);
      return;
    case SampleFold::kIrate:
      if (keep.hi >= 0) {
        const double room = keep.hi / 1000 * (1 - kInside) - rounding;
        hold(true, -kInfinity, room > 0 ? newest + room : newest);
        reach->Add(0.0);
        reach->Add(room > 0 ? keep.hi : 0.0);
        reach->nan = reach->nan || keep.hi == kInfinity;
      }
      return;
    case SampleFold::kIdelta: {
      const double room = std::min(keep.hi, -keep.lo) * (1 - kInside) - 2 * rounding;
      if (keep.numbers() && keep.hi >= 0 && keep.lo <= 0) {
        hold(false, room > 0 ? newest - room / 2 : newest, room > 0 ? newest + room / 2 : newest);
        reach->Add(room > 0 ? -room - rounding : 0.0);
        reach->Add(room > 0 ? room + rounding : 0.0);
        reach->nan = reach->nan || room == kInfinity;
      }
      return;
    }
  }
}

}  // namespace

Span BoundSamples(const SeriesWindow& series, const LeafTimes& times, SampleFold fold, const LeafKeep& leaf) {
  constexpr size_t kLooksMax = 1 << 14;  // at samples, for one series
  if (!IsRaw(series)) {
    return BoundUnknown(leaf);
  }
  const Ring& ring = series.ring();
  Span reach = Span::Nothing();
  bool lacks = false;  // some window has no result
  bool any_sure = false;
  bool numbers = true;
  double size = 0;
  size_t looks = 0;
  ForEachWindow(ring, times, [&](uint32_t begin, uint32_t end) {
    looks += end - begin;
    if (looks > kLooksMax) {
      return;
    }
    ForEachReal(ring, begin, end, [&](uint32_t i) {
      any_sure = any_sure || (ring.Time(i) <= times.first_end_ms && ring.Time(i) > times.last_end_ms - times.range_ms);
      numbers = numbers && std::isfinite(ring.Value(i));
      size += std::isfinite(ring.Value(i)) ? std::fabs(ring.Value(i)) : 0;
    });
    const double v = Folded(ring, begin, end, fold);
    lacks = lacks || std::isnan(v);
    reach.Add(v);
  });
  const bool any_value = fold == SampleFold::kPresent || fold == SampleFold::kCount;
  if (looks > kLooksMax || (!numbers && !any_value)) {
    return BoundUnknown(leaf);
  }
  if (!reach.numbers()) {
    return Waiting(leaf);
  }
  reach.nan = false;
  reach.absent = !any_sure || lacks;
  reach = fold == SampleFold::kSum ? reach.Widened(4 * size) : reach;
  if (IsSettled(series, times, leaf, &reach)) {
    return reach;
  }
  int64_t newest = static_cast<int64_t>(ring.size()) - 1;
  while (newest > 0 && !IsReal(ring, newest)) {
    --newest;
  }
  if (!any_value && !(IsReal(ring, newest) && std::isfinite(ring.Value(static_cast<uint32_t>(newest))))) {
    return reach;
  }
  AddToCome(fold, ring.Value(static_cast<uint32_t>(newest)), any_sure, leaf, &reach);
  return reach;
}

namespace {

// How many records of a bucket are looked at: those up to the newest time that all of them have.
struct TailRecords {
  const TailBucket* bucket;
  int64_t size;
  int64_t begin;  // where those of the windows begin
};

// RETURNS: whether the records of `a` and `b` that can be a window's first or last one lie at the same times.
bool SameTimes(const TailRecords& a, const TailRecords& b, const Edges& edges) {
  const Ring& of_a = a.bucket->series->ring();
  const Ring& of_b = b.bucket->series->ring();
  if (a.size - a.begin != b.size - b.begin) {
    return false;
  }
  const auto same = [&](int64_t i) {
    const auto at_a = static_cast<uint32_t>(i);
    const auto at_b = static_cast<uint32_t>(i - a.begin + b.begin);
    return of_a.Time(at_a) == of_b.Time(at_b) && IsReal(of_a, at_a) == IsReal(of_b, at_b) &&
           ((of_a.At(at_a).ordinal() - of_a.At(static_cast<uint32_t>(a.begin)).ordinal()) & Record::kOrdinalMask) ==
               ((of_b.At(at_b).ordinal() - of_b.At(static_cast<uint32_t>(b.begin)).ordinal()) & Record::kOrdinalMask);
  };
  for (int64_t i = a.begin; i < edges.first_end; ++i) {
    if (!same(i)) {
      return false;
    }
  }
  for (int64_t i = std::max(a.begin, edges.last_begin); i < a.size; ++i) {
    if (!same(i)) {
      return false;
    }
  }
  return true;
}

// Finds up to which time all buckets have the same samples; at most one sample of each may be newer. RETURNS: false when that is not so.
bool FindCommonTime(const std::vector<TailBucket>& buckets, TailBound* tail) {
  int64_t newest_ms = std::numeric_limits<int64_t>::min();
  int64_t common_ms = std::numeric_limits<int64_t>::max();
  for (const TailBucket& bucket : buckets) {
    const Ring& ring = bucket.series->ring();
    newest_ms = std::max(newest_ms, ring.Time(ring.size() - 1));
    common_ms = std::min(common_ms, ring.Time(ring.size() - 1));
  }
  tail->torn_ms = newest_ms;
  for (const TailBucket& bucket : buckets) {
    const Ring& ring = bucket.series->ring();
    const int64_t last_ms = ring.Time(ring.size() - 1);
    const bool ahead = last_ms != common_ms;
    if (ahead && (last_ms != newest_ms || ring.size() < 2 || ring.Time(ring.size() - 2) != common_ms ||
                  !IsReal(ring, ring.size() - 1))) {
      return false;
    }
    tail->ahead.push_back(ahead ? 1 : 0);
  }
  return true;
}

}  // namespace

// With equal times of their samples all buckets are extrapolated by the same factor, as long as none of those below is taken to have
// begun at zero; so the increase above less that below is this factor times a difference of samples, which hardly moves while
// both grow. What has begun at zero in the window is extrapolated to its start by no more than its first value. With one bucket F
// below and any bucket T above it, of which extrapolation to the start makes c·dF, but at most F's first value, that difference grows
// by at most c·(dT - dF) or T's first value less F's. With two below they are only sure of the factor 1.
TailBound BoundTail(const std::vector<TailBucket>& buckets, const LeafTimes& times) {
  constexpr double kThreshold = 1.1;  // of extrapolation to the start, in mean intervals
  TailBound tail;
  size_t empty = 0;
  for (const TailBucket& bucket : buckets) {
    if (!IsRaw(*bucket.series)) {
      return tail;
    }
    empty += bucket.series->ring().size() == 0 ? 1 : 0;
  }
  if (empty > 0) {
    tail.waits = tail.known = empty == buckets.size();
    tail.armed.assign(buckets.size(), 0);
    tail.newest.assign(buckets.size(), 0);
    tail.ahead.assign(buckets.size(), 0);
    return tail;
  }
  if (!FindCommonTime(buckets, &tail)) {
    return tail;
  }
  std::vector<TailRecords> all;
  for (size_t i = 0; i < buckets.size(); ++i) {
    const Ring& ring = buckets[i].series->ring();
    const int64_t size = static_cast<int64_t>(ring.size()) - tail.ahead[i];
    all.push_back({&buckets[i], size, std::min<int64_t>(ring.FirstAfter(times.first_end_ms - times.range_ms), size)});
    tail.newest.push_back(ring.Value(ring.size() - 1));
    int64_t last = size - 1;
    while (last > 0 && !IsReal(ring, last)) {
      --last;
    }
    tail.armed.push_back(IsReal(ring, last) ? ring.Value(static_cast<uint32_t>(last)) : 0);
  }
  const TailRecords& total = all.back();
  const Ring& ring = total.bucket->series->ring();
  const Edges edges = FindEdges(ring, times, total.size);
  if (!HasPair(edges)) {
    tail.waits = tail.known = true;
    return tail;
  }
  if (edges.first_to_come) {
    return tail;
  }
  double size = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const Edges own = i + 1 == all.size() ? edges : FindEdges(all[i].bucket->series->ring(), times, all[i].size);
    if (!own.finite || own.negative || !std::isfinite(tail.armed[i]) ||
        (i + 1 < all.size() && !SameTimes(total, all[i], edges))) {
      return tail;
    }
    size = std::max(size, tail.armed[i]);
  }
  // What a bucket grew by between two records of +Inf's.
  const auto increase = [&](const TailRecords& of, int64_t a, int64_t b) {
    const Ring& own = of.bucket->series->ring();
    const auto first = static_cast<uint32_t>(a - total.begin + of.begin);
    const auto last = static_cast<uint32_t>(b - total.begin + of.begin);
    const double resets = first < last ? ResetsBetween(*of.bucket->series, of.bucket->reset_list, first, last) : 0;
    size = std::max(size, own.Value(first) + own.Value(last) + resets);
    return own.Value(last) - own.Value(first) + resets;
  };
  const int64_t newest = edges.last_end - 1;
  bool falls = false;
  double grown_below = 0;
  double most_apart = 0;      // with a factor for each bucket
  double most_from_zero = 0;  // with what each may have begun at
  const auto look = [&](int64_t a, int64_t b) {
    double below = 0;
    double above = 0;
    double below_before = 0;
    double above_before = 0;
    bool from_zero = false;
    const auto between = static_cast<double>(
        (ring.At(static_cast<uint32_t>(b)).ordinal() - ring.At(static_cast<uint32_t>(a)).ordinal()) &
        Record::kOrdinalMask);
    for (const TailRecords& of : all) {
      const double grown = increase(of, a, b);
      falls = falls || !(grown >= 0);
      const double first = of.bucket->series->ring().Value(static_cast<uint32_t>(a - total.begin + of.begin));
      above = of.bucket->above ? std::max(above, grown) : above;
      above_before = of.bucket->above ? std::max(above_before, first) : above_before;
      below += of.bucket->weight * grown;
      below_before += of.bucket->weight * first;
      if (of.bucket->weight > 0) {
        const double most = first * std::max(between, 1.0) / kThreshold * (1 - kInside);
        from_zero = from_zero || grown > most;
        tail.growth_max = b == newest ? std::min(tail.growth_max, most - grown) : tail.growth_max;
      }
    }
    const double factor = FactorMax(ring, edges, static_cast<uint32_t>(a), times.range_ms);
    const double apart = above * factor - below;
    tail.factor = std::max(tail.factor, factor);
    most_apart = std::max(most_apart, apart);
    grown_below = std::max(grown_below, below);
    most_from_zero = std::max(
        most_from_zero, std::max(0.0, above - below) * (2 * factor - 1) + std::max(0.0, above_before - below_before));
    tail.most = std::max(tail.most, from_zero ? apart : std::max(0.0, above - below) * factor);
    tail.below_counts = tail.below_counts && !(b == newest && from_zero);
  };
  tail.growth_max = kInfinity;
  ForEachReal(ring, edges.first_begin, edges.first_end, [&](uint32_t a) {
    ForEachReal(ring, std::max<int64_t>(edges.last_begin, a), edges.last_end, [&](uint32_t b) { look(a, b); });
  });
  if (falls) {
    return tail;
  }
  if (AlwaysPair(edges)) {
    tail.least = increase(total, edges.first_end - 1, edges.last_begin);
  }
  tail.room_lost = size * 16 * kInside;
  const bool one_below =
      std::count_if(buckets.begin(), buckets.end(), [](const TailBucket& b) { return b.weight > 0; }) == 1 &&
      std::all_of(buckets.begin(), buckets.end(), [](const TailBucket& b) { return b.weight == 0 || b.weight == 1; });
  const bool impossible = tail.growth_max < 0 || !tail.below_counts;
  // What has about doubled already will soon have grown too much.
  if (one_below && (impossible || tail.growth_max < grown_below)) {
    tail.growth_max = kInfinity;
    tail.below_counts = true;
    tail.most = most_from_zero;
    tail.factor = 2 * tail.factor - 1;
  } else if (impossible) {
    tail.growth_max = kInfinity;
    tail.below_counts = false;
    tail.most = most_apart;
  }
  tail.known = true;
  return tail;
}

}  // namespace weir::engine
