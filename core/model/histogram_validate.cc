// What is asked of a histogram that came over the wire.

#include <cmath>

#include "core/model/duration.h"
#include "core/model/histogram.h"
#include "core/model/histogram_layout.h"

namespace weir {
namespace {

// The reasons, under the details in front of them.
constexpr char kNegativeOffset[] = ": histogram has a span whose offset is negative";
constexpr char kSpansBucketsMismatch[] = ": histogram spans specify different number of buckets than provided";
constexpr char kNegativeBucketCount[] = ": histogram has a bucket whose observation count is negative";

Status NegativeOffset(size_t span, int32_t offset) {
  return InvalidError("span number " + std::to_string(span + 1) + " with offset " + std::to_string(offset) +
                      kNegativeOffset);
}

Status BucketsMismatch(uint64_t need, size_t have) {
  return InvalidError("spans need " + std::to_string(need) + " buckets, have " + std::to_string(have) + " buckets" +
                      kSpansBucketsMismatch);
}

// `first` is the first span whose offset may not be negative: an exponential bucket's index may be, a custom one's not.
Status CheckSpans(const std::vector<BucketSpan>& spans, size_t buckets, size_t first) {
  uint64_t need = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i >= first && spans[i].offset < 0) {
      return NegativeOffset(i, spans[i].offset);
    }
    need += spans[i].length;
  }
  return need == buckets ? Status() : BucketsMismatch(need, buckets);
}

// Reducing the resolution walks the spans, and finds the first thing wrong on the way.
Status CheckWalk(const std::vector<BucketSpan>& spans, size_t buckets) {
  uint64_t need = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i > 0 && spans[i].offset < 0) {
      return NegativeOffset(i, spans[i].offset);
    }
    need += spans[i].length;
    if (need > buckets) {
      return InvalidError("have " + std::to_string(buckets) + " buckets but spans need more" + kSpansBucketsMismatch);
    }
  }
  return need == buckets ? Status() : BucketsMismatch(need, buckets);
}

Status CheckCounts(const std::vector<double>& counts) {
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] < 0) {
      return InvalidError("bucket number " + std::to_string(i + 1) + " has observation count of " +
                          FormatFloat(counts[i], 'g') + kNegativeBucketCount);
    }
  }
  return Status();
}

Status CheckCustomBounds(const FloatHistogram& h) {
  const std::vector<double>& bounds = h.custom_values;
  for (size_t i = 0; i < bounds.size(); ++i) {
    if (std::isnan(bounds[i])) {
      return InvalidError("histogram custom bounds must not be NaN");
    }
    if (i > 0 && bounds[i] <= bounds[i - 1]) {
      return InvalidError("previous bound is " + FormatFloat(bounds[i - 1], 'f', 6) + " and current is " +
                          FormatFloat(bounds[i], 'f', 6) +
                          ": histogram custom bounds must be in strictly increasing order");
    }
  }
  if (!bounds.empty() && std::isinf(bounds.back()) && bounds.back() > 0) {
    return InvalidError("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite");
  }
  WEIR_RETURN_IF_ERROR(CheckSpans(h.positive_spans, h.positive_buckets.size(), 0));
  uint64_t reach = 0;
  for (const BucketSpan& span : h.positive_spans) {
    reach += uint64_t{span.length} + static_cast<uint64_t>(span.offset);
  }
  if (bounds.size() + 1 < reach) {
    return InvalidError("only " + std::to_string(bounds.size()) +
                        " custom bounds defined which is insufficient to cover total span length of " +
                        std::to_string(reach) + ": histogram custom bounds are too few");
  }
  return Status();
}

Status CheckCustom(const FloatHistogram& h) {
  WEIR_RETURN_IF_ERROR(CheckCustomBounds(h).WithPrefix("custom buckets: "));
  if (h.zero_count != 0) {
    return InvalidError("custom buckets: must have zero count of 0");
  }
  if (h.zero_threshold != 0) {
    return InvalidError("custom buckets: must have zero threshold of 0");
  }
  if (!h.negative_spans.empty()) {
    return InvalidError("custom buckets: must not have negative spans");
  }
  if (!h.negative_buckets.empty()) {
    return InvalidError("custom buckets: must not have negative buckets");
  }
  return Status();
}

Status CheckExponential(const FloatHistogram& h) {
  WEIR_RETURN_IF_ERROR(CheckSpans(h.positive_spans, h.positive_buckets.size(), 1).WithPrefix("positive side: "));
  WEIR_RETURN_IF_ERROR(CheckSpans(h.negative_spans, h.negative_buckets.size(), 1).WithPrefix("negative side: "));
  WEIR_RETURN_IF_ERROR(CheckCounts(h.negative_buckets).WithPrefix("negative side: "));
  if (h.zero_count < 0) {
    return InvalidError("zero bucket has observation count of " + FormatFloat(h.zero_count, 'g') +
                        kNegativeBucketCount);
  }
  if (!h.custom_values.empty()) {
    return InvalidError("histogram with exponential schema must not have custom bounds");
  }
  return Status();
}

}  // namespace

Status FloatHistogram::Validate() const {
  if (UsesCustomBuckets()) {
    WEIR_RETURN_IF_ERROR(CheckCustom(*this));
  } else if (schema >= kSchemaMin && schema <= kSchemaMax) {
    WEIR_RETURN_IF_ERROR(CheckExponential(*this));
  } else {
    return InvalidError("histogram has an invalid schema, which must be between " + std::to_string(kSchemaMin) +
                        " and " + std::to_string(kSchemaMax) + " for exponential buckets, or " +
                        std::to_string(kCustomBucketsSchema) + " for custom buckets, got schema " +
                        std::to_string(schema));
  }
  if (count < 0) {
    return InvalidError("observation count is  " + FormatFloat(count, 'g') +
                        ": histogram's observation count is negative");
  }
  return CheckCounts(positive_buckets).WithPrefix("positive side: ");
}

Status FloatHistogram::ReduceResolution(int32_t target_schema) {
  if (UsesCustomBuckets()) {
    return InvalidError("cannot reduce resolution when there are custom buckets");
  }
  if (target_schema == kCustomBucketsSchema) {
    return InvalidError("cannot reduce resolution to custom buckets schema");
  }
  if (target_schema >= schema) {
    return InvalidError("cannot reduce resolution from schema " + std::to_string(schema) + " to " +
                        std::to_string(target_schema));
  }
  WEIR_RETURN_IF_ERROR(CheckWalk(positive_spans, positive_buckets.size()));
  WEIR_RETURN_IF_ERROR(CheckWalk(negative_spans, negative_buckets.size()));
  ReduceSide(schema, target_schema, PositiveSide(this, nullptr));
  ReduceSide(schema, target_schema, NegativeSide(this, nullptr));
  schema = target_schema;
  return Status();
}

}  // namespace weir
