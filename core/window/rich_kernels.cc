#include "core/window/rich_kernels.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace weir::window {
namespace {

using Points = std::vector<Point>;

// Notes a failed or reconciled sum. RETURNS: whether it was done.
bool Noted(const Result<CombineInfo>& info, Note reconciled, uint32_t* notes) {
  if (!info.ok()) {
    *notes |= kMixedExponentialCustom;
    return false;
  }
  *notes |= info->nhcb_bounds_reconciled ? reconciled : 0;
  return true;
}

HistogramRef Share(FloatHistogram h) { return std::make_shared<const FloatHistogram>(std::move(h)); }

// Whether points[i] begins anew: from the side list where there is one, else from the neighbours.
class Resets {
 public:
  Resets(const Window& w, const Points& points) : w_(w), points_(points) {}
  bool At(size_t i) const {
    const Point& p = points_[i];
    const Point& before = points_[i - 1];
    if (w_.reset_list && !w_.statistics) {
      const RichState* rich = w_.series->rich();
      return Holds(w_.series->resets(), p.t_ms) || (rich != nullptr && Holds(&rich->start_resets, p.t_ms));
    }
    if ((p.h == nullptr) != (before.h == nullptr) || IsStartReset(before.start_ms, before.t_ms, p.start_ms, p.t_ms)) {
      return true;
    }
    return p.h != nullptr ? p.h->DetectReset(*before.h) : p.v < before.v;
  }

 private:
  static bool Holds(const std::vector<Reset>* list, int64_t t_ms) {
    if (list == nullptr) {
      return false;
    }
    const auto it =
        std::lower_bound(list->begin(), list->end(), t_ms, [](const Reset& r, int64_t t) { return r.t_ms < t; });
    return it != list->end() && it->t_ms == t_ms;
  }
  const Window& w_;
  const Points& points_;
};

// Calls f(reset) for those of the side lists in (from, until], in time order.
template <typename F>
void ForEachListed(const Window& w, int64_t from_ms, int64_t until_ms, F f) {
  static const std::vector<Reset> kNone;
  const std::vector<Reset>* resets = w.series->resets();
  const RichState* rich = w.series->rich();
  const std::vector<Reset>& a = resets != nullptr ? *resets : kNone;
  const std::vector<Reset>& b = rich != nullptr ? rich->start_resets : kNone;
  for (size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    const bool first = j == b.size() || (i < a.size() && a[i].t_ms < b[j].t_ms);
    const Reset& r = first ? a[i++] : b[j++];
    if (r.t_ms > from_ms && r.t_ms <= until_ms) {
      f(r);
    }
  }
}

// Makes the histograms of the window what is read where only count and sum are looked at.
void ReadPoints(const Window& w, Points* points, std::vector<FloatHistogram>* read) {
  read->reserve(points->size());
  for (Point& p : *points) {
    if (p.h != nullptr) {
      read->push_back(ReadStatistics(*w.series, p.index, points->front().t_ms - 1));
      p.h = &read->back();
    }
  }
}

// Every reset of floats in the window adds the value before it; those between kept samples are in the side lists alone.
void AddFloatResets(const Window& w, const Points& points, double* sum) {
  if (w.reset_list) {
    ForEachListed(w, points.front().t_ms, points.back().t_ms, [sum](const Reset& r) { *sum += r.previous; });
    return;
  }
  const Resets resets(w, points);
  for (size_t i = 1; i < points.size(); ++i) {
    if (resets.At(i)) {
      *sum += points[i - 1].v;
    }
  }
}

// Last minus first and what resets took away. RETURNS: null when the histograms do not go together.
std::unique_ptr<FloatHistogram> HistogramRate(const Window& w, const Points& points, bool is_counter, uint32_t* notes) {
  const Resets resets(w, points);
  const FloatHistogram* previous = points[0].h;
  const FloatHistogram& last = *points.back().h;
  bool custom = previous->UsesCustomBuckets();
  if (is_counter && (previous->hint == CounterResetHint::kGauge || last.hint == CounterResetHint::kGauge)) {
    *notes |= kNotCounter;
  }
  // After a reset right behind it the first sample counts as nothing, whatever its layout.
  FloatHistogram nothing;
  if (is_counter && resets.At(1)) {
    nothing.schema = points[1].h->schema;
    nothing.custom_values = points[1].h->custom_values;
    previous = &nothing;
    custom = points[1].h->UsesCustomBuckets();
  }
  if (last.UsesCustomBuckets() != custom) {
    *notes |= kMixedExponentialCustom;
    return nullptr;
  }
  int32_t schema = std::min(last.schema, previous->schema);
  for (size_t i = 1; is_counter && i + 1 < points.size(); ++i) {
    const FloatHistogram& h = *points[i].h;
    *notes |= h.hint == CounterResetHint::kGauge ? kNotCounter : 0;
    schema = std::min(schema, h.schema);
    if (h.UsesCustomBuckets() != custom) {
      *notes = kMixedExponentialCustom;
      return nullptr;
    }
  }
  auto result = std::make_unique<FloatHistogram>(custom ? last : last.CopyToSchema(schema));
  uint32_t found = 0;
  if (!Noted(result->Sub(*previous), kMismatchedBoundsSub, &found)) {
    *notes = kMixedExponentialCustom;
    return nullptr;
  }
  if (is_counter) {
    for (size_t i = 1; i < points.size(); ++i) {
      if (resets.At(i) && (i > 1 || previous != &nothing) &&
          !Noted(result->Add(*points[i - 1].h), kMismatchedBoundsAdd, &found)) {
        *notes = kMixedExponentialCustom;
        return nullptr;
      }
    }
  } else if (points[0].h->hint != CounterResetHint::kGauge || last.hint != CounterResetHint::kGauge) {
    *notes |= kNotGauge;
  }
  *notes |= found;
  result->hint = CounterResetHint::kGauge;
  result->Compact(0);
  return result;
}

// Semantics 2.3 with start timestamps and histograms.
bool ExtrapolatedRate(const Window& w, const Points& points, bool is_counter, bool is_rate, bool start_timestamps,
                      RichResult* out, uint32_t* notes) {
  const bool histograms = points[0].h != nullptr;
  const auto others = static_cast<double>(w.count() - 1);
  const int64_t first_t = points.front().t_ms;
  const int64_t last_t = points.back().t_ms;
  std::unique_ptr<FloatHistogram> histogram;
  double result = 0;
  if (histograms) {
    if (points.size() > 1) {
      histogram = HistogramRate(w, points, is_counter, notes);
      if (!histogram) {
        return false;
      }
    }
  } else {
    result = points.back().v - points.front().v;
    if (is_counter) {
      AddFloatResets(w, points, &result);
    }
  }
  if (is_counter && start_timestamps && w.series->rich() != nullptr) {
    const std::vector<int64_t>& overlaps = w.series->rich()->overlaps;
    *notes |= std::any_of(overlaps.begin(), overlaps.end(), [&](int64_t t) { return t > first_t && t <= last_t; })
                  ? kStartOverlap
                  : 0;
  }
  double to_start = static_cast<double>(first_t - w.start_ms) / 1000;
  double to_end = static_cast<double>(w.end_ms - last_t) / 1000;
  double sampled = static_cast<double>(last_t - first_t) / 1000;
  const double average = others > 0 ? sampled / others : 0;
  const double threshold = average * 1.1;
  const int64_t start_ms = is_counter && start_timestamps ? points[0].start_ms : 0;
  if (start_ms != 0 && start_ms > w.start_ms && start_ms < first_t) {
    // The counter began inside the window: a zero at its start takes the place of extrapolation to the left.
    to_start = 0;
    sampled = static_cast<double>(last_t - start_ms) / 1000;
    if (!histograms) {
      result += points[0].v;
    } else if (!histogram) {
      histogram = std::make_unique<FloatHistogram>(*points[0].h);
    } else if (!Noted(histogram->Add(*points[0].h), kMismatchedBoundsAdd, notes)) {
      return false;
    }
  } else if (others == 0) {
    return false;
  } else {
    if (to_start >= threshold) {
      to_start = average / 2;
    }
    if (is_counter) {
      double to_zero = to_start;
      if (!histograms && result > 0 && points[0].v >= 0) {
        to_zero = sampled * (points[0].v / result);
      } else if (histograms && histogram->count > 0 && points[0].h->count >= 0) {
        to_zero = sampled * (points[0].h->count / histogram->count);
      }
      to_start = std::min(to_start, to_zero);
    }
  }
  if (to_end >= threshold) {
    to_end = average / 2;
  }
  double factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
  if (is_rate) {
    factor /= w.range_s();
  }
  if (histogram) {
    histogram->Mul(factor);
    out->h = std::move(histogram);
  } else {
    out->v = result * factor;
  }
  return true;
}

bool InstantValue(const Points& points, bool is_rate, bool start_timestamps, RichResult* out, uint32_t* notes) {
  if (points.size() < 2) {
    return false;
  }
  const Point& before = points[points.size() - 2];
  const Point& now = points.back();
  if ((before.h == nullptr) != (now.h == nullptr)) {
    *notes |= kMixedFloatsHistograms;
    return false;
  }
  const bool start_reset = start_timestamps && IsStartReset(before.start_ms, before.t_ms, now.start_ms, now.t_ms);
  const double seconds = static_cast<double>(now.t_ms - before.t_ms) / 1000;
  if (now.h == nullptr) {
    out->v = is_rate && (now.v < before.v || start_reset) ? now.v : now.v - before.v;
    out->v = is_rate ? out->v / seconds : out->v;
    return true;
  }
  const bool gauges = now.h->hint == CounterResetHint::kGauge && before.h->hint == CounterResetHint::kGauge;
  const bool any_gauge = now.h->hint == CounterResetHint::kGauge || before.h->hint == CounterResetHint::kGauge;
  *notes |= is_rate && any_gauge ? kNotCounter : 0;
  *notes |= !is_rate && !gauges ? kNotGauge : 0;
  FloatHistogram result = *now.h;
  if (!is_rate || (!start_reset && !now.h->DetectReset(*before.h))) {
    if (!Noted(result.Sub(*before.h), kMismatchedBoundsSub, notes)) {
      return false;
    }
  }
  result.hint = CounterResetHint::kGauge;
  result.Compact(0);
  if (is_rate) {
    result.Div(seconds);
  }
  out->h = Share(std::move(result));
  return true;
}

// Which hints went into a sum.
class HintsSeen {
 public:
  void Add(const FloatHistogram& h) {
    reset_ = reset_ || h.hint == CounterResetHint::kReset;
    not_reset_ = not_reset_ || h.hint == CounterResetHint::kNotReset;
  }
  uint32_t Notes() const { return reset_ && not_reset_ ? kResetCollisionAgg : 0; }

 private:
  bool reset_ = false;
  bool not_reset_ = false;
};

bool SumHistograms(const Points& points, RichResult* out, uint32_t* notes) {
  FloatHistogram sum = *points[0].h;
  HintsSeen hints;
  hints.Add(sum);
  FloatHistogram c = sum.MakeCompensation();
  for (size_t i = 1; i < points.size(); ++i) {
    hints.Add(*points[i].h);
    if (!Noted(sum.KahanAdd(*points[i].h, &c), kMismatchedBoundsAgg, notes)) {
      *notes = kMixedExponentialCustom;
      return false;
    }
  }
  if (points.size() > 1 && !Noted(sum.Add(c), kMismatchedBoundsAgg, notes)) {
    return false;
  }
  *notes |= hints.Notes();
  out->h = Share(std::move(sum));
  return true;
}

bool AverageHistograms(const Points& points, RichResult* out, uint32_t* notes) {
  FloatHistogram sum = *points[0].h;
  HintsSeen hints;
  hints.Add(sum);
  FloatHistogram c = sum.MakeCompensation();
  bool incremental = false;  // sum is the mean: the sum itself would overflow
  double n = 1;
  for (size_t i = 1; i < points.size(); ++i) {
    const FloatHistogram& h = *points[i].h;
    hints.Add(*points[i].h);
    n = static_cast<double>(i + 1);
    if (!incremental) {
      FloatHistogram next = sum;
      FloatHistogram next_c = c;
      if (!Noted(next.KahanAdd(h, &next_c), kMismatchedBoundsAgg, notes)) {
        *notes = kMixedExponentialCustom;
        return false;
      }
      if (!next.HasOverflow()) {
        sum = std::move(next);
        c = std::move(next_c);
        continue;
      }
      incremental = true;
      sum.Div(n - 1);
      c.Div(n - 1);
    }
    const double q = (n - 1) / n;
    c.Mul(q);
    FloatHistogram part = h;
    part.Div(n);
    sum.Mul(q);
    if (!Noted(sum.KahanAdd(part, &c), kMismatchedBoundsAgg, notes)) {
      *notes = kMixedExponentialCustom;
      return false;
    }
  }
  if (!incremental) {
    sum.Div(n);
    c.Div(n);
  }
  if (points.size() > 1) {
    (void)sum.Add(c);
  }
  *notes |= hints.Notes();
  out->h = Share(std::move(sum));
  return true;
}

// The function over the floats of the window alone.
bool OverFloats(const Window& w, const Points& points, Kernel kernel, RichResult* out) {
  Profile every;
  every.thinning = Thinning::kNever;
  every.read = true;
  SeriesWindow floats;
  for (const Point& p : points) {
    if (p.h == nullptr) {
      floats.Append(every, p.t_ms, p.v);
    }
  }
  Window only = w;
  uint32_t cursor = 0;
  only.reset_list = only.changes_list = false;
  if (floats.ring().empty() || !FindWindow(floats, w.start_ms - w.lookback_ms, points.back().t_ms, &cursor, &only)) {
    return false;
  }
  only.start_ms = w.start_ms;
  only.end_ms = w.end_ms;
  return kernel(only, &out->v);
}

uint64_t CountBetween(const Window& w, const Points& points, size_t from, bool changes) {
  uint64_t count = 0;
  if (!changes && w.reset_list && !w.statistics) {
    ForEachListed(w, points[from].t_ms, points.back().t_ms, [&](const Reset&) { ++count; });
    return count;
  }
  if (changes && w.changes_list) {
    return w.series->ChangesAt(points.back().index) - w.series->ChangesAt(points[from].index);
  }
  const Resets resets(w, points);
  for (size_t i = from + 1; i < points.size(); ++i) {
    const Point& a = points[i - 1];
    const Point& b = points[i];
    if (!changes) {
      count += resets.At(i) ? 1 : 0;
    } else if ((a.h == nullptr) != (b.h == nullptr)) {
      ++count;
    } else if (b.h != nullptr) {
      count += b.h->Equals(*a.h) ? 0 : 1;
    } else {
      count += b.v != a.v && !(std::isnan(a.v) && std::isnan(b.v)) ? 1 : 0;
    }
  }
  return count;
}

// A histogram between two others; `is_counter`: the later one may have begun anew. RETURNS: null when they do not go together.
std::unique_ptr<FloatHistogram> Interpolate(const Point& a, const Point& b, int64_t t_ms, bool is_counter,
                                            uint32_t* notes) {
  if (t_ms == a.t_ms) {
    return std::make_unique<FloatHistogram>(*a.h);
  }
  auto result = std::make_unique<FloatHistogram>(*b.h);
  if (t_ms == b.t_ms) {
    return result;
  }
  const double fraction = static_cast<double>(t_ms - a.t_ms) / static_cast<double>(b.t_ms - a.t_ms);
  if (is_counter && b.h->DetectReset(*a.h)) {
    result->Mul(fraction);
    return result;
  }
  if (!Noted(result->Sub(*a.h), kMismatchedBoundsSub, notes)) {
    return nullptr;
  }
  result->Mul(fraction);
  if (!Noted(result->Add(*a.h), kMismatchedBoundsAdd, notes)) {
    return nullptr;
  }
  return result;
}

// What resets between the edges took away. RETURNS: false when histograms do not go together; *correction null: no reset.
bool CorrectForResets(const Points& h, size_t first_index, size_t last_index, const FloatHistogram& left,
                      const FloatHistogram& right, int64_t start_ms, bool smoothed,
                      std::unique_ptr<FloatHistogram>* correction, uint32_t* notes) {
  size_t first = first_index + 1;
  const FloatHistogram* previous = &left;
  if (smoothed && h[first_index].t_ms < start_ms && h[first_index + 1].h->DetectReset(*h[first_index].h)) {
    previous = h[first_index + 1].h;  // the interpolation on the left already spans this reset
    ++first;
  }
  if (first > last_index) {
    return true;
  }
  const auto add = [&](const FloatHistogram& lost) {
    if (!*correction) {
      *correction = std::make_unique<FloatHistogram>(lost);
      return true;
    }
    return Noted((*correction)->Add(lost), kMismatchedBoundsAdd, notes);
  };
  for (size_t i = first; i < last_index; ++i) {  // the last sample is the right edge, or inside it
    if (h[i].h->DetectReset(*previous) && !add(*previous)) {
      return false;
    }
    previous = h[i].h;
  }
  return !right.DetectReset(*previous) || add(*previous);
}

// RETURNS: whether a record of this kind is in the window.
bool Holds(const Window& w, RecordKind kind) {
  for (uint32_t i = w.first; i <= w.last; ++i) {
    if (w.ring().At(i).kind() == kind) {
      return true;
    }
  }
  return false;
}

}  // namespace

FloatHistogram ReadStatistics(const SeriesWindow& series, uint32_t index, int64_t after_ms) {
  const Ring& ring = series.ring();
  const FloatHistogram& h = *series.HistogramOf(ring.At(index));
  FloatHistogram read;
  read.hint = h.hint;
  read.schema = h.schema;
  read.count = h.count;
  read.sum = h.sum;
  for (uint32_t i = index; read.hint == CounterResetHint::kUnknown && i-- > 0 && ring.Time(i) > after_ms;) {
    if (ring.At(i).kind() == RecordKind::kHistogram) {
      read.hint =
          h.DetectReset(*series.HistogramOf(ring.At(i))) ? CounterResetHint::kReset : CounterResetHint::kNotReset;
    }
  }
  return read;
}

std::vector<Point> PointsOf(const Window& w) {
  Points points;
  for (uint32_t i = w.first; i <= w.last; ++i) {
    const Record& record = w.ring().At(i);
    if (record.kind() == RecordKind::kStale) {
      continue;
    }
    const bool histogram = record.kind() == RecordKind::kHistogram;
    points.push_back({w.ring().Time(i), histogram ? 0 : record.v,
                      histogram ? w.series->HistogramOf(record).get() : nullptr, w.series->StartOf(i), i});
  }
  return points;
}

bool IsMixed(const Window& w) { return Holds(w, RecordKind::kFloat) && Holds(w, RecordKind::kHistogram); }

bool IsRich(const Window& w, RangeFunction function, bool start_timestamps) {
  const RichState* rich = w.series->rich();
  if (rich == nullptr) {
    return false;
  }
  const bool reads_starts = function == RangeFunction::kRate || function == RangeFunction::kIncrease ||
                            function == RangeFunction::kIrate || function == RangeFunction::kResets;
  if (start_timestamps && reads_starts && !rich->starts.empty()) {
    return true;
  }
  return Holds(w, RecordKind::kHistogram);
}

bool EvaluateRich(const Window& w, RangeFunction function, Kernel kernel, bool start_timestamps, RichResult* out,
                  uint32_t* notes) {
  Points points = PointsOf(w);
  std::vector<FloatHistogram> statistics;
  if (w.statistics) {
    ReadPoints(w, &points, &statistics);
  }
  const bool any_float = std::any_of(points.begin(), points.end(), [](const Point& p) { return p.h == nullptr; });
  const bool any_histogram = std::any_of(points.begin(), points.end(), [](const Point& p) { return p.h != nullptr; });
  const bool mixed = any_float && any_histogram;
  switch (function) {
    case RangeFunction::kRate:
    case RangeFunction::kIncrease:
    case RangeFunction::kDelta:
      if (mixed) {
        *notes |= kMixedFloatsHistograms;
        return false;
      }
      return ExtrapolatedRate(w, points, function != RangeFunction::kDelta, function == RangeFunction::kRate,
                              start_timestamps, out, notes);
    case RangeFunction::kIrate:
    case RangeFunction::kIdelta:
      return InstantValue(points, function == RangeFunction::kIrate, start_timestamps, out, notes);
    case RangeFunction::kChanges:
    case RangeFunction::kResets:
      out->v = static_cast<double>(CountBetween(w, points, 0, function == RangeFunction::kChanges));
      return true;
    case RangeFunction::kCount:
      return kernel(w, &out->v);
    case RangeFunction::kFirst:
    case RangeFunction::kLast: {
      const uint32_t at = function == RangeFunction::kFirst ? w.first : w.last;
      const Record& record = w.ring().At(at);
      if (record.kind() == RecordKind::kHistogram) {
        out->h = w.statistics ? Share(ReadStatistics(*w.series, at, w.start_ms)) : w.series->HistogramOf(record);
      } else {
        out->v = record.v;
      }
      return true;
    }
    case RangeFunction::kTsOfFirst:
    case RangeFunction::kTsOfLast:
      return kernel(w, &out->v);
    case RangeFunction::kSum:
    case RangeFunction::kAvg:
      if (mixed) {
        *notes |= kMixedFloatsHistograms;
        return false;
      }
      if (any_float) {
        return kernel(w, &out->v);
      }
      return function == RangeFunction::kSum ? SumHistograms(points, out, notes)
                                             : AverageHistograms(points, out, notes);
    case RangeFunction::kFloatsOnly:
      *notes |= mixed ? kHistogramsIgnored : 0;
      return any_float && OverFloats(w, points, kernel, out);
  }
  return false;
}

bool EvaluateRichExtended(const Window& w, RangeFunction function, Kernel kernel, bool smoothed, RichResult* out,
                          uint32_t* notes) {
  Points points = PointsOf(w);
  std::vector<FloatHistogram> statistics;
  if (w.statistics) {
    ReadPoints(w, &points, &statistics);
  }
  if (function == RangeFunction::kChanges || function == RangeFunction::kResets) {
    // The anchor is the newest sample at or before the start, of either type.
    size_t from = 0;
    while (from + 1 < points.size() && points[from + 1].t_ms <= w.start_ms) {
      ++from;
    }
    if (points.back().t_ms <= w.start_ms) {
      return false;
    }
    out->v = static_cast<double>(CountBetween(w, points, from, function == RangeFunction::kChanges));
    return true;
  }
  const bool any_float = std::any_of(points.begin(), points.end(), [](const Point& p) { return p.h == nullptr; });
  const bool any_histogram = std::any_of(points.begin(), points.end(), [](const Point& p) { return p.h != nullptr; });
  if (any_float && any_histogram) {
    *notes |= kMixedFloatsHistograms;
    return false;
  }
  if (any_float) {
    return kernel(w, &out->v);
  }
  const bool is_counter = function != RangeFunction::kDelta;
  size_t last = points.size() - 1;
  size_t first = 0;
  while (first < last && points[first].t_ms <= w.start_ms) {
    ++first;
  }
  first = first > 0 ? first - 1 : 0;
  if (smoothed) {
    size_t at = 0;
    while (at < last && points[at].t_ms < w.end_ms) {
      ++at;
    }
    last = at;
  }
  if (points[last].t_ms <= w.start_ms || (smoothed && points[first].t_ms > w.end_ms)) {
    return false;
  }
  for (size_t i = first; i <= last; ++i) {
    if (points[i].h->UsesCustomBuckets() != points[first].h->UsesCustomBuckets()) {
      *notes |= kMixedExponentialCustom;
      return false;
    }
    *notes |= is_counter && points[i].h->hint == CounterResetHint::kGauge ? kNotCounter : 0;
  }
  auto left = smoothed && points[first].t_ms < w.start_ms
                  ? Interpolate(points[first], points[first + 1], w.start_ms, is_counter, notes)
                  : std::make_unique<FloatHistogram>(*points[first].h);
  auto right = smoothed && last > 0 && points[last].t_ms > w.end_ms
                   ? Interpolate(points[last - 1], points[last], w.end_ms, is_counter, notes)
                   : std::make_unique<FloatHistogram>(*points[last].h);
  if (!left || !right) {
    return false;
  }
  if (!is_counter && (left->hint != CounterResetHint::kGauge || right->hint != CounterResetHint::kGauge)) {
    *notes |= kNotGauge;
  }
  FloatHistogram result = *right;
  if (!Noted(result.Sub(*left), kMismatchedBoundsSub, notes)) {
    return false;
  }
  if (is_counter) {
    std::unique_ptr<FloatHistogram> correction;
    if (!CorrectForResets(points, first, last, *left, *right, w.start_ms, smoothed, &correction, notes) ||
        (correction && !Noted(result.Add(*correction), kMismatchedBoundsAdd, notes))) {
      return false;
    }
  }
  if (function == RangeFunction::kRate) {
    result.Div(w.range_s());
  }
  result.hint = CounterResetHint::kGauge;
  result.Compact(0);
  out->h = Share(std::move(result));
  return true;
}

bool SmoothedInstant(const std::vector<Point>& points, int64_t t_ms, RichResult* out, uint32_t* notes) {
  const bool any_float = std::any_of(points.begin(), points.end(), [](const Point& p) { return p.h == nullptr; });
  const bool any_histogram = std::any_of(points.begin(), points.end(), [](const Point& p) { return p.h != nullptr; });
  if (any_float && any_histogram) {
    *notes |= kMixedFloatsHistograms;
    return false;
  }
  const auto next =
      std::lower_bound(points.begin(), points.end(), t_ms, [](const Point& p, int64_t t) { return p.t_ms < t; });
  if (next != points.end() && next->t_ms == t_ms) {
    out->v = next->v;
    out->h = next->h != nullptr ? Share(*next->h) : nullptr;
    return true;
  }
  if (next == points.begin()) {
    return false;
  }
  const Point& before = *(next - 1);
  if (next == points.end()) {
    out->v = before.v;
    if (before.h != nullptr) {
      FloatHistogram carried = *before.h;
      carried.hint = CounterResetHint::kUnknown;  // the hint speaks of two samples that follow each other
      out->h = Share(std::move(carried));
    }
    return true;
  }
  if (before.h == nullptr) {
    out->v = before.v + (next->v - before.v) * static_cast<double>(t_ms - before.t_ms) /
                            static_cast<double>(next->t_ms - before.t_ms);
    return true;
  }
  if (before.h->UsesCustomBuckets() != next->h->UsesCustomBuckets()) {
    *notes |= kMixedExponentialCustom;
    return false;
  }
  const bool is_counter = before.h->hint != CounterResetHint::kGauge || next->h->hint != CounterResetHint::kGauge;
  out->h = Interpolate(before, *next, t_ms, is_counter, notes);
  return out->h != nullptr;
}

}  // namespace weir::window
