// Sums, differences and scaling of native histograms.

#include <algorithm>

#include "core/model/histogram.h"
#include "core/model/histogram_layout.h"
#include "core/model/histogram_zero_bucket.h"
#include "core/model/kahan.h"

namespace weir {
namespace {

// The rows of semantics 2.7, hints. RETURNS: whether they contradict each other.
bool CombineHints(CounterResetHint other, CounterResetHint* hint) {
  if (other == *hint || *hint == CounterResetHint::kGauge) {
    return false;
  }
  if (other == CounterResetHint::kGauge) {
    *hint = CounterResetHint::kGauge;
    return false;
  }
  const bool collision = *hint != CounterResetHint::kUnknown && other != CounterResetHint::kUnknown;
  *hint = CounterResetHint::kUnknown;
  return collision;
}

// Everything an addition changes besides the buckets.
void AddTotals(const FloatHistogram& other, double sign, FloatHistogram* h, FloatHistogram* c) {
  if (!h->UsesCustomBuckets()) {
    const WidenedZeroBucket zero = ReconcileZeroBuckets(other, h, c);
    if (c != nullptr) {
      KahanAdd(zero.count, &h->zero_count, &c->zero_count);
      KahanAdd(zero.compensation, &h->zero_count, &c->zero_count);
    } else {
      h->zero_count += sign * zero.count;
    }
  }
  if (c != nullptr) {
    KahanAdd(other.count, &h->count, &c->count);
    KahanAdd(other.sum, &h->sum, &c->sum);
  } else {
    h->count += sign * other.count;
    h->sum += sign * other.sum;
  }
}

// RETURNS: whether the bounds differed.
bool AddCustomBuckets(const FloatHistogram& other, double sign, FloatHistogram* h, FloatHistogram* c) {
  const SideView from{other.positive_spans, other.positive_buckets, {}};
  if (h->custom_values == other.custom_values) {
    AddSide(h->schema, 0, sign, from, PositiveSide(h, c));
    return false;
  }
  std::vector<double> common = CommonBounds(h->custom_values, other.custom_values);
  AddAtCommonBounds(sign, from, other.custom_values, h->custom_values, common, PositiveSide(h, c));
  h->custom_values = std::move(common);
  return true;
}

void AddExponentialSide(const FloatHistogram& other, double sign, bool positive, FloatHistogram* h, FloatHistogram* c) {
  const SideRef to = positive ? PositiveSide(h, c) : NegativeSide(h, c);
  const auto& spans = positive ? other.positive_spans : other.negative_spans;
  const auto& counts = positive ? other.positive_buckets : other.negative_buckets;
  if (other.schema <= h->schema) {
    if (other.schema < h->schema) {
      ReduceSide(h->schema, other.schema, to);
    }
    AddSide(other.schema, h->zero_threshold, sign, {spans, counts, {}}, to);
    return;
  }
  std::vector<BucketSpan> reduced_spans = spans;
  std::vector<double> reduced = counts;
  std::vector<double> compensations(c == nullptr ? 0 : counts.size());
  ReduceSide(other.schema, h->schema, {&reduced_spans, &reduced, c == nullptr ? nullptr : &compensations});
  AddSide(h->schema, h->zero_threshold, sign, {reduced_spans, reduced, compensations}, to);
}

Result<CombineInfo> Combine(const FloatHistogram& other, double sign, FloatHistogram* h, FloatHistogram* c) {
  if (h->UsesCustomBuckets() != other.UsesCustomBuckets()) {
    return InvalidError(
        "cannot apply this operation on histograms with a mix of exponential and custom bucket schemas");
  }
  CombineInfo info;
  info.counter_reset_collision = CombineHints(other.hint, &h->hint);
  AddTotals(other, sign, h, c);
  if (h->UsesCustomBuckets()) {
    info.nhcb_bounds_reconciled = AddCustomBuckets(other, sign, h, c);
  } else {
    AddExponentialSide(other, sign, true, h, c);
    AddExponentialSide(other, sign, false, h, c);
    h->schema = std::min(h->schema, other.schema);
  }
  return info;
}

}  // namespace

Result<CombineInfo> FloatHistogram::Add(const FloatHistogram& other) { return Combine(other, 1, this, nullptr); }

Result<CombineInfo> FloatHistogram::Sub(const FloatHistogram& other) { return Combine(other, -1, this, nullptr); }

Result<CombineInfo> FloatHistogram::KahanAdd(const FloatHistogram& other, FloatHistogram* compensation) {
  Result<CombineInfo> info = Combine(other, 1, this, compensation);
  if (info.ok()) {
    compensation->schema = schema;
    compensation->zero_threshold = zero_threshold;
    compensation->custom_values = custom_values;
    compensation->positive_spans = positive_spans;
    compensation->negative_spans = negative_spans;
  }
  return info;
}

FloatHistogram FloatHistogram::MakeCompensation() const {
  FloatHistogram out;
  out.hint = hint;
  out.schema = schema;
  out.zero_threshold = zero_threshold;
  out.custom_values = custom_values;
  out.positive_spans = positive_spans;
  out.negative_spans = negative_spans;
  out.positive_buckets.resize(positive_buckets.size());
  out.negative_buckets.resize(negative_buckets.size());
  return out;
}

void FloatHistogram::Mul(double factor) {
  zero_count *= factor;
  count *= factor;
  sum *= factor;
  for (double& bucket : positive_buckets) {
    bucket *= factor;
  }
  for (double& bucket : negative_buckets) {
    bucket *= factor;
  }
  if (factor < 0) {
    hint = CounterResetHint::kGauge;
  }
}

void FloatHistogram::Div(double divisor) {
  zero_count /= divisor;
  count /= divisor;
  sum /= divisor;
  if (divisor == 0) {
    positive_spans.clear();
    positive_buckets.clear();
    negative_spans.clear();
    negative_buckets.clear();
    return;
  }
  for (double& bucket : positive_buckets) {
    bucket /= divisor;
  }
  for (double& bucket : negative_buckets) {
    bucket /= divisor;
  }
  if (divisor < 0) {
    hint = CounterResetHint::kGauge;
  }
}

void FloatHistogram::Compact(size_t max_empty) {
  CompactSide(max_empty, PositiveSide(this, nullptr));
  CompactSide(max_empty, NegativeSide(this, nullptr));
}

FloatHistogram FloatHistogram::CopyToSchema(int32_t target_schema) const {
  FloatHistogram out = *this;
  if (target_schema != schema) {
    out.hint = CounterResetHint::kUnknown;
    ReduceSide(schema, target_schema, PositiveSide(&out, nullptr));
    ReduceSide(schema, target_schema, NegativeSide(&out, nullptr));
    out.schema = target_schema;
  }
  return out;
}

}  // namespace weir
