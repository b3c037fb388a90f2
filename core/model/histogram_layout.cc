#include "core/model/histogram_layout.h"

#include <algorithm>

#include "core/model/histogram_buckets.h"
#include "core/model/kahan.h"

namespace weir {
namespace {

// Builds a side bucket by bucket in ascending order.
class SideBuilder {
 public:
  explicit SideBuilder(bool compensated) : compensated_(compensated) {}

  // RETURNS: whether the bucket began a span: after a gap, or where `new_span` asks for it.
  bool Append(int64_t index, double count, double compensation, bool new_span = false) {
    const int64_t gap = spans_.empty() ? index : index - next_;
    const bool begins = spans_.empty() || gap != 0 || new_span;
    if (begins) {
      spans_.push_back({static_cast<int32_t>(gap), 1});
    } else {
      ++spans_.back().length;
    }
    next_ = index + 1;
    counts_.push_back(count);
    if (compensated_) {
      compensations_.push_back(compensation);
    }
    return begins;
  }

  // RETURNS: whether `index` is that of the last bucket.
  bool IsLast(int64_t index) const { return !spans_.empty() && index + 1 == next_; }
  void AddToLast(double count, double compensation) {
    if (compensated_) {
      KahanAdd(count, &counts_.back(), &compensations_.back());
      KahanAdd(compensation, &counts_.back(), &compensations_.back());
    } else {
      counts_.back() += count;
    }
  }

  void MoveTo(SideRef side) {
    *side.spans = std::move(spans_);
    *side.counts = std::move(counts_);
    if (side.compensations != nullptr) {
      *side.compensations = std::move(compensations_);
    }
  }

 private:
  const bool compensated_;
  int64_t next_ = 0;  // index after the last bucket
  std::vector<BucketSpan> spans_;
  std::vector<double> counts_;
  std::vector<double> compensations_;
};

double At(std::span<const double> values, size_t i) { return values.empty() ? 0 : values[i]; }

double CompensationAt(const SideRef& side, size_t i) {
  return side.compensations == nullptr ? 0 : (*side.compensations)[i];
}

void AddTo(double count, double compensation, double* sum, double* c) {
  KahanAdd(count, sum, c);
  if (compensation != 0) {
    KahanAdd(compensation, sum, c);
  }
}

bool SwallowedByZeroBucket(int64_t index, int32_t schema, double threshold) {
  return schema >= kSchemaMin && schema <= kSchemaMax && ExponentialBound(index, schema) <= threshold;
}

// Both sides have the same layout, the case of one series over time or of instances of one program.
void AddInPlace(double sign, SideView b, SideRef a) {
  for (size_t i = 0; i < b.counts.size(); ++i) {
    if (a.compensations != nullptr) {
      AddTo(sign * b.counts[i], sign * At(b.compensations, i), &(*a.counts)[i], &(*a.compensations)[i]);
    } else {
      (*a.counts)[i] += sign * b.counts[i];
    }
  }
}

}  // namespace

SideRef PositiveSide(FloatHistogram* h, FloatHistogram* c) {
  return {&h->positive_spans, &h->positive_buckets, c == nullptr ? nullptr : &c->positive_buckets};
}

SideRef NegativeSide(FloatHistogram* h, FloatHistogram* c) {
  return {&h->negative_spans, &h->negative_buckets, c == nullptr ? nullptr : &c->negative_buckets};
}

void ReduceSide(int32_t from, int32_t to, SideRef side) {
  SideBuilder out(side.compensations != nullptr);
  for (SpanCursor in(*side.spans, side.counts->size()); in.Next();) {
    const int64_t index = IndexAtSchema(in.index(), from, to);
    const double count = (*side.counts)[in.position()];
    const double compensation = CompensationAt(side, in.position());
    if (out.IsLast(index)) {
      out.AddToLast(count, compensation);
    } else {
      out.Append(index, count, compensation);
    }
  }
  out.MoveTo(side);
}

// A merge of two sorted lists. Spans come out as if b's buckets had been inserted into a one by one: an inserted bucket
// extends the span before it, else the one after it, and spans of a that meet stay two. `==` on histograms sees that.
void AddSide(int32_t schema, double threshold, double sign, SideView b, SideRef a) {
  SpanCursor from_b(b.spans, b.counts.size());
  bool has_b = from_b.Next();
  if (has_b && !SwallowedByZeroBucket(from_b.index(), schema, threshold) && a.counts->size() == b.counts.size() &&
      std::ranges::equal(*a.spans, b.spans)) {
    AddInPlace(sign, b, a);
    return;
  }
  while (has_b && SwallowedByZeroBucket(from_b.index(), schema, threshold)) {
    has_b = from_b.Next();
  }
  SideBuilder out(a.compensations != nullptr);
  SpanCursor from_a(*a.spans, a.counts->size());
  bool has_a = from_a.Next();
  bool last_is_new_span = false;  // the last bucket was inserted and stands alone so far
  while (has_a || has_b) {
    const bool take_b = has_b && (!has_a || from_b.index() <= from_a.index());
    const bool take_a = has_a && (!has_b || from_a.index() <= from_b.index());
    const double b_count = take_b ? sign * b.counts[from_b.position()] : 0;
    const double b_compensation = take_b ? sign * At(b.compensations, from_b.position()) : 0;
    if (take_a) {
      double count = (*a.counts)[from_a.position()];
      double compensation = CompensationAt(a, from_a.position());
      if (take_b && a.compensations != nullptr) {
        AddTo(b_count, b_compensation, &count, &compensation);
      } else if (take_b) {
        count += b_count;
      }
      out.Append(from_a.index(), count, compensation, from_a.starts_span() && !last_is_new_span);
      last_is_new_span = false;
    } else {
      last_is_new_span = out.Append(from_b.index(), b_count, b_compensation);
    }
    has_a = take_a ? from_a.Next() : has_a;
    has_b = take_b ? from_b.Next() : has_b;
  }
  out.MoveTo(a);
}

void CompactSide(size_t max_empty, SideRef side) {
  const auto empty = [&side](size_t i) { return (*side.counts)[i] == 0 && CompensationAt(side, i) == 0; };
  const auto joinable = [&](size_t span) {
    return (*side.spans)[span].length == 0 ||
           (span > 0 && static_cast<int64_t>((*side.spans)[span].offset) <= static_cast<int64_t>(max_empty));
  };
  bool compact = true;
  for (size_t i = 0; i < side.counts->size() && compact; ++i) {
    compact = !empty(i);
  }
  for (size_t i = 0; i < side.spans->size() && compact; ++i) {
    compact = !joinable(i);
  }
  if (compact) {
    return;
  }
  // What results depends on the populated buckets alone: two of them share a span if no more than max_empty others lie
  // between. Those get their old counts back where they had one, which may be a negative zero.
  SideBuilder out(side.compensations != nullptr);
  bool any = false;
  int64_t last = 0;                             // index of the last populated bucket
  std::vector<std::pair<int64_t, double>> gap;  // empty buckets since
  for (SpanCursor in(*side.spans, side.counts->size()); in.Next();) {
    if (empty(in.position())) {
      if (any && gap.size() < max_empty) {
        gap.emplace_back(in.index(), (*side.counts)[in.position()]);
      }
      continue;
    }
    if (any && static_cast<uint64_t>(in.index() - last - 1) <= max_empty) {
      auto kept = gap.begin();
      for (int64_t i = last + 1; i < in.index(); ++i) {
        const bool had = kept != gap.end() && kept->first == i;
        out.Append(i, had ? (kept++)->second : 0, 0);
      }
    }
    out.Append(in.index(), (*side.counts)[in.position()], CompensationAt(side, in.position()));
    gap.clear();
    last = in.index();
    any = true;
  }
  out.MoveTo(side);
}

bool SameSpans(std::span<const BucketSpan> a, std::span<const BucketSpan> b) {
  size_t i = 0;
  size_t j = 0;
  while (true) {
    BucketSpan x;
    BucketSpan y;
    for (; i < a.size() && x.length == 0; ++i) {
      x = {static_cast<int32_t>(int64_t{x.offset} + a[i].offset), a[i].length};
    }
    for (; j < b.size() && y.length == 0; ++j) {
      y = {static_cast<int32_t>(int64_t{y.offset} + b[j].offset), b[j].length};
    }
    if (x.length == 0 || y.length == 0) {
      return x.length == y.length;
    }
    if (x != y) {
      return false;
    }
  }
}

std::vector<double> CommonBounds(std::span<const double> a, std::span<const double> b) {
  std::vector<double> out;
  std::ranges::set_intersection(a, b, std::back_inserter(out));
  return out;
}

namespace {

// Adds buckets to those of the common bounds: each goes to the first bound that is not below its own, else to +Inf.
void MapBuckets(double sign, SideView in, std::span<const double> bounds, std::span<const double> common,
                std::vector<double>* counts, std::vector<double>* compensations) {
  size_t target = 0;
  for (SpanCursor cursor(in.spans, in.counts.size()); cursor.Next();) {
    const bool last = cursor.index() >= static_cast<int64_t>(bounds.size());
    while (target < common.size() &&
           (last || (cursor.index() >= 0 && common[target] < bounds[static_cast<size_t>(cursor.index())]))) {
      ++target;
    }
    KahanAdd(sign * in.counts[cursor.position()], &(*counts)[target], &(*compensations)[target]);
    if (!in.compensations.empty()) {
      KahanAdd(in.compensations[cursor.position()], &(*counts)[target], &(*compensations)[target]);
    }
  }
}

}  // namespace

void AddAtCommonBounds(double sign, SideView b, std::span<const double> b_bounds, std::span<const double> a_bounds,
                       std::span<const double> common, SideRef a) {
  std::vector<double> counts(common.size() + 1);
  std::vector<double> compensations(common.size() + 1);
  SideView from_a{*a.spans, *a.counts, {}};
  if (a.compensations != nullptr) {
    from_a.compensations = *a.compensations;
  }
  MapBuckets(1, from_a, a_bounds, common, &counts, &compensations);
  MapBuckets(sign, b, b_bounds, common, &counts, &compensations);
  SideBuilder out(a.compensations != nullptr);
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0 || compensations[i] != 0) {
      out.Append(static_cast<int64_t>(i), counts[i], compensations[i]);
    }
  }
  out.MoveTo(a);
}

}  // namespace weir
