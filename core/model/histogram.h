#pragma once
// Native histograms with float counts: exponential buckets (schema −4…8) or custom bounds (schema −53). The layout is that of
// the wire: spans name which buckets are there, bucket counts are absolute. Semantics 2.7.

#include <cstdint>
#include <memory>
#include <vector>

namespace weir {

enum class CounterResetHint : unsigned char { kUnknown, kReset, kNotReset, kGauge };

inline constexpr int32_t kSchemaMin = -4;
inline constexpr int32_t kSchemaMax = 8;
inline constexpr int32_t kCustomBucketsSchema = -53;

// A run of consecutive buckets. The first span's offset is the index of its first bucket, a later one's the gap before it.
struct BucketSpan {
  int32_t offset = 0;
  uint32_t length = 0;
  friend bool operator==(const BucketSpan&, const BucketSpan&) = default;
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
};

// Histograms are immutable once they are samples or results; whoever changes one makes a copy.
using HistogramRef = std::shared_ptr<const FloatHistogram>;

}  // namespace weir
