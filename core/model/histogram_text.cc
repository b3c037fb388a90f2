// Native histograms as text.

#include "core/model/duration.h"
#include "core/model/histogram.h"
#include "core/model/histogram_buckets.h"

namespace weir {
namespace {

// The most empty buckets written out between two populated ones; more are not worth the memory, nor readable.
constexpr size_t kFilledMax = 1000000;

std::string General(double v) { return FormatFloat(v, 'g'); }

void AppendBucket(const Bucket& bucket, std::string* out) {
  if (bucket.count == 0) {
    return;
  }
  out->append(bucket.lower_inclusive ? ", [" : ", (").append(General(bucket.lower)).append(",");
  out->append(General(bucket.upper)).append(bucket.upper_inclusive ? "]:" : "):").append(General(bucket.count));
}

std::string List(const std::vector<double>& values) {
  std::string out = "[";
  for (const double v : values) {
    out.append(out.size() > 1 ? " " : "").append(General(v));
  }
  return out + "]";
}

void AppendField(const char* key, const std::string& value, std::string* out) {
  out->append(out->size() > 2 ? " " : "").append(key).append(":").append(value);
}

void AppendNumber(const char* key, double v, std::string* out) {
  if (v != 0) {
    AppendField(key, General(v), out);
  }
}

void AppendSide(const char* offset_key, const char* buckets_key, const std::vector<BucketSpan>& spans,
                const std::vector<double>& buckets, std::string* out) {
  if (!spans.empty() && spans[0].offset != 0) {
    AppendField(offset_key, std::to_string(spans[0].offset), out);
  }
  if (!buckets.empty()) {
    AppendField(buckets_key, List(buckets), out);
  }
}

}  // namespace

std::string FloatHistogram::ToString() const {
  std::string out = "{count:" + General(count) + ", sum:" + General(sum);
  std::vector<Bucket> negative;
  for (BucketIterator it(*this, BucketOrder::kNegativeOnly); it.Next();) {
    negative.push_back(it.bucket());
  }
  for (auto bucket = negative.rbegin(); bucket != negative.rend(); ++bucket) {
    AppendBucket(*bucket, &out);
  }
  AppendBucket(ZeroBucket(*this), &out);
  for (BucketIterator it(*this, BucketOrder::kPositiveOnly); it.Next();) {
    AppendBucket(it.bucket(), &out);
  }
  return out + "}";
}

std::string FloatHistogram::ToTestExpression() const {
  FloatHistogram h = *this;
  h.Compact(kFilledMax);  // one span a side
  std::string out = "{{";
  AppendNumber("schema", h.schema, &out);
  AppendNumber("count", h.count, &out);
  AppendNumber("sum", h.sum, &out);
  AppendNumber("z_bucket", h.zero_count, &out);
  AppendNumber("z_bucket_w", h.zero_threshold, &out);
  if (h.UsesCustomBuckets()) {
    AppendField("custom_values", List(h.custom_values), &out);
  }
  constexpr const char* kHints[] = {"", "reset", "not_reset", "gauge"};
  if (h.hint != CounterResetHint::kUnknown) {
    AppendField("counter_reset_hint", kHints[static_cast<size_t>(h.hint)], &out);
  }
  AppendSide("offset", "buckets", h.positive_spans, h.positive_buckets, &out);
  AppendSide("n_offset", "n_buckets", h.negative_spans, h.negative_buckets, &out);
  return out + "}}";
}

}  // namespace weir
