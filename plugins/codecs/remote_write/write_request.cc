#include "plugins/codecs/remote_write/write_request.h"

#include <snappy.h>

#include <algorithm>
#include <cstring>

namespace weir::remote_write {
namespace {

using plugin::SampleBatch;

// Tags of prompb: field number << 3 | wire type.
constexpr unsigned char kTimeSeriesTag = 0x0a;  // WriteRequest.timeseries = 1
constexpr unsigned char kLabelTag = 0x0a;       // TimeSeries.labels = 1
constexpr unsigned char kSampleTag = 0x12;      // TimeSeries.samples = 2
constexpr unsigned char kHistogramTag = 0x22;   // TimeSeries.histograms = 4
constexpr unsigned char kValueTag = 0x09;       // Sample.value = 1, double
constexpr unsigned char kTimestampTag = 0x10;   // Sample.timestamp = 2, int64
constexpr size_t kSeriesBytesGuess = 160;       // for the first reservation only

// RETURNS: the byte after the varint, or nullptr when it is damaged.
inline const char* ReadVarint(const char* p, const char* end, uint64_t* out) {
  if (p < end && static_cast<unsigned char>(*p) < 0x80) {
    *out = static_cast<unsigned char>(*p);
    return p + 1;
  }
  uint64_t v = 0;
  for (int shift = 0; shift < 64 && p < end; shift += 7) {
    const auto byte = static_cast<unsigned char>(*p++);
    v |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *out = v;
      return p;
    }
  }
  return nullptr;
}

// Reads a length and checks that as many bytes follow. RETURNS: their first, or nullptr.
inline const char* ReadLength(const char* p, const char* end, uint64_t* length) {
  p = ReadVarint(p, end, length);
  return p != nullptr && *length <= static_cast<uint64_t>(end - p) ? p : nullptr;
}

// RETURNS: the byte after the value of a field that starts at `p` behind its tag, or nullptr.
const char* SkipValue(uint64_t tag, const char* p, const char* end) {
  uint64_t v = 0;
  switch (tag & 7) {
    case 0:
      return ReadVarint(p, end, &v);
    case 1:
      return end - p >= 8 ? p + 8 : nullptr;
    case 2:
      p = ReadLength(p, end, &v);
      return p == nullptr ? nullptr : p + v;
    case 5:
      return end - p >= 4 ? p + 4 : nullptr;
    default:
      return nullptr;
  }
}

class Skimmer {
 public:
  Skimmer(const DecodeLimits& limits, SampleBatch* batch) : limits_(limits), batch_(*batch) {}

  // Skims the message in the batch's arena.
  Status Run() {
    begin_ = batch_.arena.data();
    const char* p = begin_;
    const char* const end = p + batch_.arena.size();
    batch_.series.reserve(batch_.arena.size() / kSeriesBytesGuess + 1);
    batch_.samples.reserve(batch_.arena.size() / kSeriesBytesGuess + 1);
    while (p < end) {
      const char* const field = p;
      uint64_t tag = 0;
      uint64_t length = 0;
      p = ReadVarint(p, end, &tag);
      if (p == nullptr || (tag >> 3) == 0) {
        return Damaged("field", field);
      }
      if (tag != kTimeSeriesTag) {
        p = SkipValue(tag, p, end);
        if (p == nullptr) {
          return Damaged("field", field);
        }
        continue;
      }
      p = ReadLength(p, end, &length);
      if (p == nullptr || !Series(p, p + length)) {
        return Damaged("series", field);
      }
      p += length;
      if (batch_.samples.size() > limits_.samples_max) {
        return LimitError("remote write: more than " + std::to_string(limits_.samples_max) + " samples in one request");
      }
    }
    return Status();
  }

 private:
  Status Damaged(const char* what, const char* at) const {
    return InvalidError(std::string("remote write: malformed ") + what + " at byte " + std::to_string(at - begin_) +
                        " of the decoded request");
  }

  // The order that senders use: labels, samples, the rest. Anything else goes to ScatteredSeries.
  bool Series(const char* const begin, const char* const end) {
    const char* p = begin;
    uint64_t length = 0;
    while (p < end && static_cast<unsigned char>(*p) == kLabelTag) {
      p = ReadLength(p + 1, end, &length);
      if (p == nullptr) {
        return false;
      }
      p += length;
    }
    const std::string_view labels(begin, static_cast<size_t>(p - begin));
    const size_t first = batch_.samples.size();
    const uint32_t histograms = batch_.histograms;
    while (p < end) {
      uint64_t tag = 0;
      p = ReadVarint(p, end, &tag);
      if (p == nullptr || (tag >> 3) == 0) {
        return false;
      }
      if (tag == kLabelTag) {
        batch_.samples.resize(first);
        batch_.histograms = histograms;
        return ScatteredSeries(begin, end);
      }
      p = OtherField(tag, p, end);
      if (p == nullptr) {
        return false;
      }
    }
    Add(labels, first);
    return true;
  }

  // Label fields that are not one run: they are moved together to the front of the series, over bytes that were read already.
  bool ScatteredSeries(const char* const begin, const char* const end) {
    const size_t first = batch_.samples.size();
    scratch_.clear();
    const char* p = begin;
    while (p < end) {
      const char* const field = p;
      uint64_t tag = 0;
      p = ReadVarint(p, end, &tag);
      if (p == nullptr || (tag >> 3) == 0) {
        return false;
      }
      p = tag == kLabelTag ? SkipValue(tag, p, end) : OtherField(tag, p, end);
      if (p == nullptr) {
        return false;
      }
      if (tag == kLabelTag) {
        scratch_.append(field, static_cast<size_t>(p - field));
      }
    }
    char* const front = batch_.arena.data() + (begin - begin_);
    std::copy(scratch_.begin(), scratch_.end(), front);
    Add(std::string_view(front, scratch_.size()), first);
    return true;
  }

  const char* OtherField(uint64_t tag, const char* p, const char* end) {
    if (tag == kSampleTag) {
      uint64_t length = 0;
      p = ReadLength(p, end, &length);
      return p == nullptr ? nullptr : OneSample(p, p + length);
    }
    if (tag == kHistogramTag) {
      ++batch_.histograms;
    }
    return SkipValue(tag, p, end);
  }

  const char* OneSample(const char* p, const char* const end) {
    Sample sample;
    while (p < end) {
      uint64_t tag = 0;
      p = ReadVarint(p, end, &tag);
      if (p == nullptr || (tag >> 3) == 0) {
        return nullptr;
      }
      if (tag == kValueTag && end - p >= 8) {
        std::memcpy(&sample.v, p, 8);
        p += 8;
      } else if (tag == kTimestampTag) {
        uint64_t t = 0;
        p = ReadVarint(p, end, &t);
        sample.t = static_cast<int64_t>(t);
      } else {
        p = SkipValue(tag, p, end);
      }
      if (p == nullptr) {
        return nullptr;
      }
    }
    batch_.samples.push_back(sample);
    return end;
  }

  void Add(std::string_view labels, size_t first) {
    const size_t count = batch_.samples.size() - first;
    if (count == 0) {  // only exemplars or histograms
      return;
    }
    SampleBatch::Series& series = batch_.series.emplace_back();
    series.labels = labels;
    series.first = static_cast<uint32_t>(first);
    series.count = static_cast<uint32_t>(count);
    plugin::HashLabels(labels, series.hash);
  }

  const DecodeLimits& limits_;
  SampleBatch& batch_;
  const char* begin_ = nullptr;
  std::string scratch_;
};

Status TooLong(uint64_t bytes, const DecodeLimits& limits) {
  return LimitError("remote write: decoded request of " + std::to_string(bytes) +
                    " bytes is larger than the limit of " + std::to_string(limits.decoded_bytes_max) + " bytes");
}

Status Skim(const DecodeLimits& limits, SampleBatch* batch) {
  Status status = Skimmer(limits, batch).Run();
  if (!status.ok()) {
    batch->Clear();
  }
  return status;
}

void AppendVarint(uint64_t v, std::string* out) {
  while (v >= 0x80) {
    out->push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out->push_back(static_cast<char>(v));
}

}  // namespace

Status DecodeSnappy(std::string_view payload, const DecodeLimits& limits, SampleBatch* batch) {
  batch->Clear();
  size_t bytes = 0;
  if (!snappy::GetUncompressedLength(payload.data(), payload.size(), &bytes)) {
    return InvalidError("remote write: body is not a snappy block");
  }
  if (bytes > limits.decoded_bytes_max) {
    return TooLong(bytes, limits);
  }
  batch->arena.reserve(SampleBatch::kArenaBytesMin);
  batch->arena.resize(bytes);
  if (!snappy::RawUncompress(payload.data(), payload.size(), batch->arena.data())) {
    batch->Clear();
    return InvalidError("remote write: damaged snappy block of " + std::to_string(payload.size()) + " bytes");
  }
  return Skim(limits, batch);
}

Status DecodePlain(std::string_view payload, const DecodeLimits& limits, SampleBatch* batch) {
  batch->Clear();
  if (payload.size() > limits.decoded_bytes_max) {
    return TooLong(payload.size(), limits);
  }
  batch->arena.reserve(SampleBatch::kArenaBytesMin);
  batch->arena.assign(payload);
  return Skim(limits, batch);
}

bool IsSnappy(std::string_view payload) { return snappy::IsValidCompressedBuffer(payload.data(), payload.size()); }

void WriteRequestBuilder::Add(std::span<const Label> labels, const Sample& sample) {
  series_.clear();
  plugin::EncodeLabels(labels, &series_);
  std::string fields;
  fields.push_back(static_cast<char>(kValueTag));
  char value[8];
  std::memcpy(value, &sample.v, 8);
  fields.append(value, 8);
  fields.push_back(static_cast<char>(kTimestampTag));
  AppendVarint(static_cast<uint64_t>(sample.t), &fields);
  series_.push_back(static_cast<char>(kSampleTag));
  AppendVarint(fields.size(), &series_);
  series_.append(fields);
  message_.push_back(static_cast<char>(kTimeSeriesTag));
  AppendVarint(series_.size(), &message_);
  message_.append(series_);
  ++samples_;
}

std::string WriteRequestBuilder::TakeSnappy() {
  std::string block;
  snappy::Compress(message_.data(), message_.size(), &block);
  message_.clear();
  samples_ = 0;
  return block;
}

}  // namespace weir::remote_write
