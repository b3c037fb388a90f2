#include "plugins/codecs/remote_write/histogram_message.h"

#include <cmath>
#include <memory>
#include <utility>

#include "plugins/codecs/remote_write/wire.h"

namespace weir::remote_write {
namespace {

// Field numbers of Histogram.
constexpr unsigned kCountInt = 1, kCountFloat = 2, kSum = 3, kSchema = 4, kZeroThreshold = 5, kZeroCountInt = 6,
                   kZeroCountFloat = 7, kNegativeSpans = 8, kNegativeDeltas = 9, kNegativeCounts = 10,
                   kPositiveSpans = 11, kPositiveDeltas = 12, kPositiveCounts = 13, kResetHint = 14, kTimestamp = 15,
                   kCustomValues = 16, kStartTimestamp = 17;
constexpr unsigned kSpanOffset = 1, kSpanLength = 2;                   // of BucketSpan
constexpr uint64_t kHistogramBytesBase = sizeof(FloatHistogram) + 16;  // with the count of references

const char* ReadSpan(const char* p, const char* end, std::vector<BucketSpan>* spans) {
  uint64_t length = 0;
  p = wire::ReadLength(p, end, &length);
  if (p == nullptr) {
    return nullptr;
  }
  BucketSpan& span = spans->emplace_back();
  for (const char* const stop = p + length; p < stop;) {
    uint64_t tag = 0;
    uint64_t v = 0;
    p = wire::ReadTag(p, stop, &tag);
    if (p == nullptr) {
      return nullptr;
    }
    if (tag == wire::Tag(kSpanOffset, wire::kVarint)) {
      p = wire::ReadVarint(p, stop, &v);
      span.offset = static_cast<int32_t>(wire::FromZigZag(v & 0xffffffff));
    } else if (tag == wire::Tag(kSpanLength, wire::kVarint)) {
      p = wire::ReadVarint(p, stop, &v);
      span.length = static_cast<uint32_t>(v);
    } else {
      p = wire::SkipValue(tag, p, stop);
    }
    if (p == nullptr) {
      return nullptr;
    }
  }
  return p;
}

// A repeated field, packed or one value at a time.
const char* ReadDeltas(uint64_t tag, const char* p, const char* end, std::vector<int64_t>* out) {
  uint64_t v = 0;
  if ((tag & 7) == wire::kVarint) {
    p = wire::ReadVarint(p, end, &v);
    out->push_back(wire::FromZigZag(v));
    return p;
  }
  if ((tag & 7) != wire::kBytes || (p = wire::ReadLength(p, end, &v)) == nullptr) {
    return nullptr;
  }
  for (const char* const stop = p + v; p < stop;) {
    p = wire::ReadVarint(p, stop, &v);
    if (p == nullptr) {
      return nullptr;
    }
    out->push_back(wire::FromZigZag(v));
  }
  return p;
}

const char* ReadDoubles(uint64_t tag, const char* p, const char* end, std::vector<double>* out) {
  if ((tag & 7) == wire::kFixed64) {
    return wire::ReadDouble(p, end, &out->emplace_back());
  }
  uint64_t length = 0;
  if ((tag & 7) != wire::kBytes || (p = wire::ReadLength(p, end, &length)) == nullptr || length % 8 != 0) {
    return nullptr;
  }
  const size_t before = out->size();
  out->resize(before + length / 8);
  if (length > 0) {
    std::memcpy(out->data() + before, p, length);
  }
  return p + length;
}

// RETURNS: the sum of the bucket counts; overflow wraps round, as counts that large are refused by it.
uint64_t SumDeltas(const std::vector<int64_t>& deltas, std::vector<double>* counts) {
  counts->clear();
  counts->reserve(deltas.size());
  uint64_t count = 0;
  uint64_t sum = 0;
  for (const int64_t delta : deltas) {
    count += static_cast<uint64_t>(delta);
    sum += count;
    counts->push_back(static_cast<double>(static_cast<int64_t>(count)));
  }
  return sum;
}

// What the integer form promises beyond the float one. RETURNS: "" or what is wrong.
std::string CheckTotal(uint64_t in_buckets, uint64_t count, double sum) {
  if (std::isnan(sum) ? in_buckets <= count : in_buckets == count) {  // an observed NaN is in no bucket
    return "";
  }
  return std::to_string(in_buckets) + " observations in the buckets but a count of " + std::to_string(count);
}

// RETURNS: "" or what is wrong. Lowers the resolution of schemas beyond kSchemaMax.
std::string Settle(FloatHistogram* h) {
  Status status;
  if (h->schema > kSchemaMax && h->schema <= kSchemaReservedMax) {
    status = h->ReduceResolution(kSchemaMax);
  }
  if (status.ok()) {
    status = h->Validate();
  }
  return std::string(status.message());
}

void AppendSpans(unsigned field, const std::vector<BucketSpan>& spans, std::string* out) {
  std::string fields;
  for (const BucketSpan& span : spans) {
    fields.clear();
    wire::AppendVarintField(kSpanOffset, wire::ToZigZag(span.offset) & 0xffffffff, &fields);
    wire::AppendVarintField(kSpanLength, span.length, &fields);
    wire::AppendBytesField(field, fields, out);
  }
}

void AppendDoubles(unsigned field, const std::vector<double>& values, std::string* out) {
  if (values.empty()) {
    return;
  }
  wire::AppendVarint(wire::Tag(field, wire::kBytes), out);
  wire::AppendVarint(values.size() * sizeof(double), out);
  for (const double v : values) {
    wire::AppendDouble(v, out);
  }
}

}  // namespace

bool HistogramReader::Read(const char* p, const char* end, plugin::HistogramSample* sample, std::string* invalid) {
  const auto h = std::make_shared<FloatHistogram>();
  plugin::HistogramSample times;
  bool is_float = false;
  uint64_t count_int = 0;
  uint64_t zero_count_int = 0;
  positive_deltas_.clear();
  negative_deltas_.clear();
  while (p < end) {
    uint64_t tag = 0;
    uint64_t v = 0;
    p = wire::ReadTag(p, end, &tag);
    if (p == nullptr) {
      return false;
    }
    const uint64_t field = tag >> 3;
    if (field == kPositiveDeltas || field == kNegativeDeltas) {
      p = ReadDeltas(tag, p, end, field == kPositiveDeltas ? &positive_deltas_ : &negative_deltas_);
    } else if (field == kPositiveCounts || field == kNegativeCounts) {
      p = ReadDoubles(tag, p, end, field == kPositiveCounts ? &h->positive_buckets : &h->negative_buckets);
    } else if (field == kCustomValues) {
      p = ReadDoubles(tag, p, end, &h->custom_values);
    } else if (tag == wire::Tag(kPositiveSpans, wire::kBytes) || tag == wire::Tag(kNegativeSpans, wire::kBytes)) {
      p = ReadSpan(p, end, field == kPositiveSpans ? &h->positive_spans : &h->negative_spans);
    } else if (tag == wire::Tag(kCountFloat, wire::kFixed64)) {
      is_float = true;
      p = wire::ReadDouble(p, end, &h->count);
    } else if (tag == wire::Tag(kZeroCountFloat, wire::kFixed64)) {
      p = wire::ReadDouble(p, end, &h->zero_count);
    } else if (tag == wire::Tag(kSum, wire::kFixed64)) {
      p = wire::ReadDouble(p, end, &h->sum);
    } else if (tag == wire::Tag(kZeroThreshold, wire::kFixed64)) {
      p = wire::ReadDouble(p, end, &h->zero_threshold);
    } else if ((tag & 7) == wire::kVarint) {
      p = wire::ReadVarint(p, end, &v);
      switch (field) {
        case kCountInt:
          is_float = false;
          count_int = v;
          break;
        case kZeroCountInt:
          zero_count_int = v;
          break;
        case kSchema:
          h->schema = static_cast<int32_t>(wire::FromZigZag(v & 0xffffffff));
          break;
        case kResetHint:
          h->hint = v <= static_cast<uint64_t>(CounterResetHint::kGauge) ? static_cast<CounterResetHint>(v)
                                                                         : CounterResetHint::kUnknown;
          break;
        case kTimestamp:
          times.t = static_cast<int64_t>(v);
          break;
        case kStartTimestamp:
          times.start_ms = static_cast<int64_t>(v);
          break;
        default:
          break;
      }
    } else {
      p = wire::SkipValue(tag, p, end);
    }
    if (p == nullptr) {
      return false;
    }
  }
  invalid->clear();
  if (!is_float) {
    uint64_t in_buckets = SumDeltas(positive_deltas_, &h->positive_buckets);
    in_buckets += SumDeltas(negative_deltas_, &h->negative_buckets) + zero_count_int;
    h->count = static_cast<double>(count_int);
    h->zero_count = static_cast<double>(zero_count_int);
    *invalid = Settle(h.get());
    if (invalid->empty()) {
      *invalid = CheckTotal(in_buckets, count_int, h->sum);
    }
  } else {
    *invalid = Settle(h.get());
  }
  *sample = std::move(times);
  sample->h = h;
  return true;
}

uint64_t HistogramBytes(const FloatHistogram& h) {
  return kHistogramBytesBase + (h.positive_spans.capacity() + h.negative_spans.capacity()) * sizeof(BucketSpan) +
         (h.positive_buckets.capacity() + h.negative_buckets.capacity() + h.custom_values.capacity()) * sizeof(double);
}

void AppendHistogramMessage(const FloatHistogram& h, int64_t t_ms, int64_t start_ms, std::string* out) {
  wire::AppendDoubleField(kCountFloat, h.count, out);
  wire::AppendDoubleField(kSum, h.sum, out);
  wire::AppendVarintField(kSchema, wire::ToZigZag(h.schema) & 0xffffffff, out);
  wire::AppendDoubleField(kZeroThreshold, h.zero_threshold, out);
  wire::AppendDoubleField(kZeroCountFloat, h.zero_count, out);
  AppendSpans(kNegativeSpans, h.negative_spans, out);
  AppendDoubles(kNegativeCounts, h.negative_buckets, out);
  AppendSpans(kPositiveSpans, h.positive_spans, out);
  AppendDoubles(kPositiveCounts, h.positive_buckets, out);
  wire::AppendVarintField(kResetHint, static_cast<uint64_t>(h.hint), out);
  wire::AppendVarintField(kTimestamp, static_cast<uint64_t>(t_ms), out);
  AppendDoubles(kCustomValues, h.custom_values, out);
  if (start_ms != 0) {
    wire::AppendVarintField(kStartTimestamp, static_cast<uint64_t>(start_ms), out);
  }
}

}  // namespace weir::remote_write
