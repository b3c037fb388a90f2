#pragma once
// Native histograms with float counts: exponential buckets (schema −4…8) or custom bounds (schema −53, "NHCB"). The layout
// is that of the wire: spans name which buckets are there, bucket counts are absolute. A plain value: who holds one may
// change it, samples and results are shared as HistogramRef and never change. Arithmetic follows Prometheus down to the
// order of the operations, so counts and sums are equal bit for bit. Semantics 2.7.
//
// Except for Validate and ReduceResolution, which take what came over the wire, everything REQUIRES what Validate accepts
// (negative counts, as subtraction leaves them, are fine).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace weir {

enum class CounterResetHint : unsigned char { kUnknown, kReset, kNotReset, kGauge };

inline constexpr int32_t kSchemaMin = -4;
inline constexpr int32_t kSchemaMax = 8;
inline constexpr int32_t kCustomBucketsSchema = -53;
// Higher resolutions than kSchemaMax are known on the wire; ingest reduces them to kSchemaMax.
inline constexpr int32_t kSchemaReservedMin = -9;
inline constexpr int32_t kSchemaReservedMax = 52;

// A run of consecutive buckets. The first span's offset is the index of its first bucket, a later one's the gap before it.
struct BucketSpan {
  int32_t offset = 0;
  uint32_t length = 0;
  friend bool operator==(const BucketSpan&, const BucketSpan&) = default;
};

// What a sum or difference found worth an annotation.
struct CombineInfo {
  bool counter_reset_collision = false;  // one side was a counter reset, the other said it was none
  bool nhcb_bounds_reconciled = false;   // custom bounds differed; the result has those common to both
};

enum class TrimSide : unsigned char {
  kKeepBelow,  // `h </ x`
  kKeepAbove,  // `h >/ x`
};

struct FloatHistogram {
  CounterResetHint hint = CounterResetHint::kUnknown;
  int32_t schema = 0;
  double zero_threshold = 0;
  double zero_count = 0;
  double count = 0;
  double sum = 0;
  std::vector<BucketSpan> positive_spans;
  std::vector<BucketSpan> negative_spans;
  std::vector<double> positive_buckets;
  std::vector<double> negative_buckets;
  std::vector<double> custom_values;  // schema −53: finite upper bounds, ascending

  bool UsesCustomBuckets() const { return schema == kCustomBucketsSchema; }

  // Adds or subtracts, at the lower of both resolutions and the wider of both zero buckets; missing buckets are inserted.
  // The result may hold empty buckets: Compact(0) drops them. REQUIRES: &other != this.
  // ERRORS: kInvalid, nothing changed, when one is exponential and the other has custom bounds.
  Result<CombineInfo> Add(const FloatHistogram& other);
  Result<CombineInfo> Sub(const FloatHistogram& other);
  // Like Add; `compensation` collects the rounding errors of all additions since MakeCompensation(), in this histogram's
  // layout. Adding it at the end gives the corrected sum.
  Result<CombineInfo> KahanAdd(const FloatHistogram& other, FloatHistogram* compensation);
  // RETURNS: the compensation to start with: this layout, all zero.
  FloatHistogram MakeCompensation() const;
  // Scales counts and sum. A negative factor makes a gauge; division by zero removes the buckets.
  void Mul(double factor);
  void Div(double divisor);
  // Removes empty buckets; at most `max_empty` of them in a row stay, or are inserted, where they join two spans.
  void Compact(size_t max_empty);
  // Merges buckets to a lower resolution. ERRORS: kInvalid for custom buckets, for a schema that is not lower, and for
  // spans that do not fit the buckets; nothing is changed then.
  Status ReduceResolution(int32_t target_schema);
  // RETURNS: this histogram, hint unknown, at `target_schema`. REQUIRES: exponential, target_schema ≤ schema (equal: the hint stays).
  FloatHistogram CopyToSchema(int32_t target_schema) const;
  // Drops the observations above (kKeepBelow) or below (kKeepAbove) `at`; interpolates in the bucket around it. Count and
  // sum are estimated anew from the buckets if anything was dropped.
  void Trim(double at, TrimSide side);

  // Equality of `==` in expressions: schema, bounds, layout and all numbers bit for bit, not the hint.
  bool Equals(const FloatHistogram& other) const;
  // RETURNS: whether this sample cannot follow `previous` without a counter reset between them. The hint decides where it
  // says reset or not reset; otherwise any count that became smaller, or a finer layout.
  bool DetectReset(const FloatHistogram& previous) const;
  // RETURNS: the hint that Prometheus's storage gives this sample when it is read, `previous` being the sample before it in
  // the series, or null if there is none or a stale marker: a gauge stays one, what continues the counter is no reset, and
  // anything else is unknown. Chunks that end for their size, which make it unknown too, are not modelled.
  CounterResetHint HintAfter(const FloatHistogram* previous) const;
  // RETURNS: whether any number is infinite.
  bool HasOverflow() const;
  // RETURNS: the bytes Prometheus accounts for the sample in its limits.
  size_t Size() const;
  // What ingest refuses. ERRORS: kInvalid with the text of Prometheus.
  Status Validate() const;

  // RETURNS: `{count:3, sum:4.5, (1,2]:3}`, populated buckets in ascending order.
  std::string ToString() const;
  // RETURNS: the notation of test files, `{{schema:3 count:3 sum:4.5 buckets:[3]}}`.
  std::string ToTestExpression() const;
};

// Histograms are immutable once they are samples or results; whoever changes one makes a copy.
using HistogramRef = std::shared_ptr<const FloatHistogram>;

}  // namespace weir
