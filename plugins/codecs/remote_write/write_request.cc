#include "plugins/codecs/remote_write/write_request.h"

#include <snappy.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "plugins/codecs/remote_write/histogram_message.h"
#include "plugins/codecs/remote_write/request_v2.h"
#include "plugins/codecs/remote_write/snappy_block.h"
#include "plugins/codecs/remote_write/wire.h"

namespace weir::remote_write {
namespace {

using plugin::SampleBatch;
using wire::ReadLength;
using wire::ReadTag;
using wire::SkipValue;

// Tags of prompb: field number << 3 | wire type.
constexpr unsigned char kTimeSeriesTag = 0x0a;  // WriteRequest.timeseries = 1
constexpr unsigned char kLabelTag = 0x0a;       // TimeSeries.labels = 1
constexpr unsigned char kSampleTag = 0x12;      // TimeSeries.samples = 2
constexpr unsigned char kHistogramTag = 0x22;   // TimeSeries.histograms = 4
constexpr unsigned char kValueTag = 0x09;       // Sample.value = 1, double
constexpr unsigned char kTimestampTag = 0x10;   // Sample.timestamp = 2, int64
constexpr unsigned kTimeSeriesField = 1, kSamplesField = 2, kHistogramsField = 4;
constexpr unsigned kValueField = 1, kTimestampField = 2, kStartTimestampField = 3;
constexpr unsigned kV2SymbolsField = 4, kV2TimeSeriesField = 5;                          // Request
constexpr unsigned kV2LabelsRefsField = 1, kV2SamplesField = 2, kV2HistogramsField = 3;  // its TimeSeries
constexpr size_t kSeriesBytesGuess = 160;    // for the first reservation only
constexpr ptrdiff_t kUsualSampleBytes = 18;  // of a sample as senders write it, with tag and length

class Skimmer {
 public:
  Skimmer(const DecodeOptions& options, SampleBatch* batch) : options_(options), batch_(*batch) {}

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
      p = ReadTag(p, end, &tag);
      if (p == nullptr) {
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
      if (p == nullptr || (!UsualSeries(p, p + length) && !Series(p, p + length))) {
        return Damaged("series", field);
      }
      p += length;
      if (batch_.samples.size() > options_.samples_max || !batch_.histograms.empty()) [[unlikely]] {
        WEIR_RETURN_IF_ERROR(CheckLimits(batch_, options_));
      }
    }
    return Status();
  }

 private:
  Status Damaged(const char* what, const char* at) const {
    return InvalidError(std::string("remote write: malformed ") + what + " at byte " + std::to_string(at - begin_) +
                        " of the decoded request");
  }

  // RETURNS: the end of the run of label fields that stands at `p`, nullptr when one is cut short.
  static const char* EndOfLabels(const char* p, const char* const end) {
    uint64_t length = 0;
    while (p < end && static_cast<unsigned char>(*p) == kLabelTag) {
      p = ReadLength(p + 1, end, &length);
      if (p == nullptr) {
        return nullptr;
      }
      p += length;
    }
    return p;
  }

  // A series as nearly all are: labels, then one usual sample. RETURNS: false, with nothing taken, when it is another.
  bool UsualSeries(const char* const begin, const char* const end) {
    Sample sample;
    if (end - begin < kUsualSampleBytes) {
      return false;
    }
    const char* const field = end - kUsualSampleBytes;
    if (static_cast<unsigned char>(field[0]) != kSampleTag ||
        static_cast<unsigned char>(field[1]) != kUsualSampleBytes - 2 || !UsualSample(field + 2, end, &sample)) {
      return false;
    }
    // Where the labels should end is known, so that their hash need not wait for the walk over them that proves it.
    const std::string_view labels(begin, static_cast<size_t>(field - begin));
    uint64_t hash[2];
    plugin::HashLabels(labels, hash);
    if (EndOfLabels(begin, field) != field) {
      return false;
    }
    SampleBatch::Series& series = batch_.series.emplace_back();
    series.labels = labels;
    series.hash[0] = hash[0];
    series.hash[1] = hash[1];
    series.first = static_cast<uint32_t>(batch_.samples.size());
    series.count = 1;
    series.first_histogram = static_cast<uint32_t>(batch_.histograms.size());
    batch_.samples.push_back(sample);
    return true;
  }

  // The order that senders use: labels, samples, the rest. Anything else goes to ScatteredSeries.
  bool Series(const char* const begin, const char* const end) {
    const char* p = EndOfLabels(begin, end);
    if (p == nullptr) {
      return false;
    }
    const std::string_view labels(begin, static_cast<size_t>(p - begin));
    const Mark mark = Begin();
    while (p < end) {
      uint64_t tag = 0;
      p = ReadTag(p, end, &tag);
      if (p == nullptr) {
        return false;
      }
      if (tag == kLabelTag) {
        Back(mark);
        return ScatteredSeries(begin, end);
      }
      p = OtherField(tag, p, end);
      if (p == nullptr) {
        return false;
      }
    }
    Add(labels, mark);
    return true;
  }

  // Label fields that are not one run: they are moved together to the front of the series, over bytes that were read already.
  bool ScatteredSeries(const char* const begin, const char* const end) {
    const Mark mark = Begin();
    scratch_.clear();
    const char* p = begin;
    while (p < end) {
      const char* const field = p;
      uint64_t tag = 0;
      p = ReadTag(p, end, &tag);
      if (p == nullptr) {
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
    Add(std::string_view(front, scratch_.size()), mark);
    return true;
  }

  const char* OtherField(uint64_t tag, const char* p, const char* end) {
    if (tag == kSampleTag) {
      uint64_t length = 0;
      p = ReadLength(p, end, &length);
      return p == nullptr ? nullptr : OneSample(p, p + length);
    }
    if (tag == kHistogramTag) {
      uint64_t length = 0;
      p = ReadLength(p, end, &length);
      return p == nullptr ? nullptr : OneHistogram(p, p + length);
    }
    return SkipValue(tag, p, end);
  }

  // As senders write it: the value, then a time that takes six bytes, which is any between 2^35 and 2^42 ms (1971 to 2109).
  static bool UsualSample(const char* p, const char* end, Sample* sample) {
    if (end - p != 16 || static_cast<unsigned char>(p[0]) != kValueTag ||
        static_cast<unsigned char>(p[9]) != kTimestampTag) {
      return false;
    }
    uint64_t t = 0;
    std::memcpy(&t, p + 8, 8);
    t >>= 16;
    if ((t & 0x808080808080) != 0x008080808080) {  // more bytes follow on five bytes, none on the last
      return false;
    }
    t = (t & 0x007f007f007f) | (t & 0x7f007f007f00) >> 1;  // three numbers of 14 bits
    t = (t & 0x3fff) | (t >> 16 & 0x3fff) << 14 | (t >> 32 & 0x3fff) << 28;
    sample->t = static_cast<int64_t>(t);
    std::memcpy(&sample->v, p + 1, 8);
    return true;
  }

  const char* OneSample(const char* p, const char* const end) {
    Sample sample;
    if (UsualSample(p, end, &sample)) {
      batch_.samples.push_back(sample);
      return end;
    }
    while (p < end) {
      uint64_t tag = 0;
      p = ReadTag(p, end, &tag);
      if (p == nullptr) {
        return nullptr;
      }
      if (tag == kValueTag) {
        p = wire::ReadDouble(p, end, &sample.v);
      } else if (tag == kTimestampTag) {
        uint64_t t = 0;
        p = wire::ReadVarint(p, end, &t);
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

  // Out of the way of samples, which are what most requests hold.
  [[gnu::noinline]] const char* OneHistogram(const char* p, const char* const end) {
    plugin::HistogramSample sample;
    if (!histogram_reader_.Read(p, end, &sample, &invalid_)) {
      return nullptr;
    }
    if (invalid_.empty()) {
      batch_.histogram_bytes += HistogramBytes(*sample.h);
      batch_.histograms.push_back(std::move(sample));
    } else if (refused_++ == 0) {
      first_refused_ = "t " + std::to_string(sample.t) + ": " + invalid_;
    }
    return end;
  }

  // How far the batch was filled when a series began.
  struct Mark {
    size_t samples = 0;
    size_t histograms = 0;
  };
  Mark Begin() const { return {batch_.samples.size(), batch_.histograms.size()}; }
  void Back(const Mark& mark) {
    batch_.samples.resize(mark.samples);
    for (; batch_.histograms.size() > mark.histograms; batch_.histograms.pop_back()) {
      batch_.histogram_bytes -= HistogramBytes(*batch_.histograms.back().h);
    }
    refused_ = 0;
  }

  void Add(std::string_view labels, const Mark& mark) {
    if (refused_ > 0) {
      NoteBadHistograms(labels, std::exchange(refused_, 0), first_refused_, &batch_);
    }
    const size_t count = batch_.samples.size() - mark.samples;
    const size_t histogram_count = batch_.histograms.size() - mark.histograms;
    if (count + histogram_count == 0) {  // only exemplars
      return;
    }
    SampleBatch::Series& series = batch_.series.emplace_back();
    series.labels = labels;
    series.first = static_cast<uint32_t>(mark.samples);
    series.count = static_cast<uint32_t>(count);
    series.first_histogram = static_cast<uint32_t>(mark.histograms);
    series.histogram_count = static_cast<uint32_t>(histogram_count);
    plugin::HashLabels(labels, series.hash);
  }

  const DecodeOptions& options_;
  SampleBatch& batch_;
  const char* begin_ = nullptr;
  std::string scratch_;
  HistogramReader histogram_reader_;
  std::string invalid_;
  uint32_t refused_ = 0;  // histograms of the series
  std::string first_refused_;
};

Status TooLong(uint64_t bytes, const DecodeOptions& options) {
  return LimitError("remote write: decoded request of " + std::to_string(bytes) +
                    " bytes is larger than the limit of " + std::to_string(options.decoded_bytes_max) + " bytes");
}

Status Uncompress(std::string_view payload, const DecodeOptions& options, std::string* out) {
  uint64_t bytes = 0;
  const char* const end = payload.data() + payload.size();
  const char* const tags = wire::ReadVarint(payload.data(), end, &bytes);
  if (tags == nullptr) {
    return InvalidError("remote write: body is not a snappy block");
  }
  if (bytes > options.decoded_bytes_max) {
    return TooLong(bytes, options);
  }
  out->reserve(SampleBatch::kArenaBytesMin);
  out->resize(bytes);
  if (!DecodeSnappyTags(std::string_view(tags, static_cast<size_t>(end - tags)), out->data(), bytes)) {
    return InvalidError("remote write: damaged snappy block of " + std::to_string(payload.size()) + " bytes");
  }
  return Status();
}

// RETURNS: whether a message is a 2.0 one. Its fields are numbers that 1.0 does not use, and the other way round.
bool IsV2(std::string_view message) {
  uint64_t tag = 0;
  const bool any = ReadTag(message.data(), message.data() + message.size(), &tag) != nullptr;
  return any && (tag >> 3 == kV2SymbolsField || tag >> 3 == kV2TimeSeriesField);
}

// Reads the message that stands in the batch's arena.
Status Skim(const DecodeOptions& options, SampleBatch* batch) {
  const bool v2 = options.message == Message::kRequestV2 || (options.message == Message::kAuto && IsV2(batch->arena));
  Status status;
  if (v2) {
    batch->arena.swap(batch->scratch);
    batch->arena.clear();
    status = SkimRequestV2(batch->scratch, options, batch);
  } else {
    status = Skimmer(options, batch).Run();
  }
  if (!status.ok()) {
    batch->Clear();
  }
  return status;
}

std::string Compress(std::string_view message) {
  std::string block;
  snappy::Compress(message.data(), message.size(), &block);
  return block;
}

}  // namespace

Status CheckLimits(const SampleBatch& batch, const DecodeOptions& options) {
  const auto beyond = [](uint64_t limit, std::string_view what) {
    return LimitError("remote write: more than " + std::to_string(limit) + " " + std::string(what) + " in one request");
  };
  if (batch.samples.size() + batch.histograms.size() > options.samples_max) {
    return beyond(options.samples_max, "samples");
  }
  if (batch.histogram_bytes > options.histogram_bytes_max) {
    return beyond(options.histogram_bytes_max, "bytes of histograms");
  }
  return Status();
}

void NoteBadHistograms(std::string_view labels, uint32_t count, const std::string& first, SampleBatch* batch) {
  batch->bad_records += count;
  if (batch->first_error.empty()) {
    batch->first_error = "invalid histogram: series " + plugin::LabelsText(labels) + ", " + first;
  }
}

Status DecodeSnappy(std::string_view payload, const DecodeOptions& options, SampleBatch* batch) {
  batch->ClearButBytes();
  if (Status status = Uncompress(payload, options, &batch->arena); !status.ok()) {
    batch->Clear();
    return status;
  }
  return Skim(options, batch);
}

Status DecodePlain(std::string_view payload, const DecodeOptions& options, SampleBatch* batch) {
  batch->Clear();
  if (payload.size() > options.decoded_bytes_max) {
    return TooLong(payload.size(), options);
  }
  batch->arena.reserve(SampleBatch::kArenaBytesMin);
  batch->arena.assign(payload);
  return Skim(options, batch);
}

bool IsSnappy(std::string_view payload) { return snappy::IsValidCompressedBuffer(payload.data(), payload.size()); }

// --- 1.0 ----------------------------------------------------------------------------------------------------------

void WriteRequestBuilder::AddSeries(const Labels& labels, unsigned field) {
  series_.clear();
  plugin::EncodeLabels(labels, &series_);
  wire::AppendBytesField(field, fields_, &series_);
  wire::AppendBytesField(kTimeSeriesField, series_, &message_);
  ++samples_;
}

void WriteRequestBuilder::Add(const Labels& labels, const Sample& sample) {
  fields_.clear();
  wire::AppendDoubleField(kValueField, sample.v, &fields_);
  wire::AppendVarintField(kTimestampField, static_cast<uint64_t>(sample.t), &fields_);
  AddSeries(labels, kSamplesField);
}

void WriteRequestBuilder::Add(const Labels& labels, int64_t t_ms, const FloatHistogram& h) {
  fields_.clear();
  AppendHistogramMessage(h, t_ms, 0, &fields_);
  AddSeries(labels, kHistogramsField);
}

std::string WriteRequestBuilder::TakeSnappy() {
  std::string block = Compress(message_);
  message_.clear();
  samples_ = 0;
  return block;
}

// --- 2.0 ----------------------------------------------------------------------------------------------------------

void RequestV2Builder::Clear() {
  refs_.clear();
  symbols_.clear();
  timeseries_.clear();
  samples_ = 0;
  RefOf("");  // the first symbol is empty by the rules
}

uint32_t RequestV2Builder::RefOf(std::string_view text) {
  const auto [it, added] = refs_.try_emplace(std::string(text), static_cast<uint32_t>(refs_.size()));
  if (added) {
    wire::AppendBytesField(kV2SymbolsField, text, &symbols_);
  }
  return it->second;
}

void RequestV2Builder::AddSeries(const Labels& labels, unsigned field) {
  std::string refs;
  for (const LabelView& label : labels) {
    wire::AppendVarint(RefOf(label.name), &refs);
    wire::AppendVarint(RefOf(label.value), &refs);
  }
  series_.clear();
  wire::AppendBytesField(kV2LabelsRefsField, refs, &series_);
  wire::AppendBytesField(field, fields_, &series_);
  wire::AppendBytesField(kV2TimeSeriesField, series_, &timeseries_);
  ++samples_;
}

void RequestV2Builder::Add(const Labels& labels, const Sample& sample, int64_t start_ms) {
  fields_.clear();
  wire::AppendDoubleField(kValueField, sample.v, &fields_);
  wire::AppendVarintField(kTimestampField, static_cast<uint64_t>(sample.t), &fields_);
  if (start_ms != 0) {
    wire::AppendVarintField(kStartTimestampField, static_cast<uint64_t>(start_ms), &fields_);
  }
  AddSeries(labels, kV2SamplesField);
}

void RequestV2Builder::Add(const Labels& labels, int64_t t_ms, const FloatHistogram& h, int64_t start_ms) {
  fields_.clear();
  AppendHistogramMessage(h, t_ms, start_ms, &fields_);
  AddSeries(labels, kV2HistogramsField);
}

std::string RequestV2Builder::TakeSnappy() {
  symbols_ += timeseries_;
  std::string block = Compress(symbols_);
  Clear();
  return block;
}

}  // namespace weir::remote_write
