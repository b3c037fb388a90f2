#include "plugins/codecs/remote_write/request_v2.h"

#include <utility>
#include <vector>

#include "plugins/codecs/remote_write/histogram_message.h"
#include "plugins/codecs/remote_write/wire.h"

namespace weir::remote_write {
namespace {

using plugin::SampleBatch;
using wire::kBytes;
using wire::kFixed64;
using wire::kVarint;
using wire::Tag;

constexpr uint64_t kSymbolsTag = Tag(4, kBytes);  // of Request
constexpr uint64_t kTimeSeriesTag = Tag(5, kBytes);
constexpr uint64_t kLabelsRefsTag = Tag(1, kBytes);  // of TimeSeries
constexpr uint64_t kLabelsRefTag = Tag(1, kVarint);  // not packed
constexpr uint64_t kSamplesTag = Tag(2, kBytes);
constexpr uint64_t kHistogramsTag = Tag(3, kBytes);
constexpr uint64_t kMetadataTag = Tag(5, kBytes);
constexpr uint64_t kValueTag = Tag(1, kFixed64);  // of Sample
constexpr uint64_t kTimestampTag = Tag(2, kVarint);
constexpr uint64_t kStartTimestampTag = Tag(3, kVarint);
constexpr uint64_t kTypeTag = Tag(1, kVarint);  // of Metadata
constexpr uint64_t kHelpRefTag = Tag(3, kVarint);
constexpr uint64_t kUnitRefTag = Tag(4, kVarint);
constexpr unsigned kLabelField = 1, kNameField = 1, kLabelValueField = 2;  // of the label block

constexpr std::string_view kTypeLabel = "__type__";
constexpr std::string_view kUnitLabel = "__unit__";
// Metadata.MetricType.
constexpr std::string_view kTypeTexts[] = {"",        "counter", "gauge",   "histogram", "gaugehistogram",
                                           "summary", "info",    "stateset"};

class Reader {
 public:
  Reader(std::string_view message, const DecodeOptions& options, SampleBatch* batch)
      : message_(message), options_(options), batch_(*batch) {}

  Status Run() {
    WEIR_RETURN_IF_ERROR(EachField(kSymbolsTag, "symbol", [this](const char* p, const char* end) {
      symbols_.emplace_back(p, static_cast<size_t>(end - p));
      return Status();
    }));
    batch_.arena.reserve(SampleBatch::kArenaBytesMin);
    WEIR_RETURN_IF_ERROR(EachField(kTimeSeriesTag, "series", [this](const char* p, const char* end) {
      if (!Series(p, end)) {
        return InvalidError("");
      }
      ++number_;
      if (batch_.arena.size() > options_.label_bytes_max) {
        return LimitError("remote write: more than " + std::to_string(options_.label_bytes_max) +
                          " bytes of labels in one request");
      }
      return CheckLimits(batch_, options_);
    }));
    if (!batch_.start_times.empty()) {
      batch_.start_times.resize(batch_.samples.size());
    }
    // Views are taken now that the arena has stopped growing.
    for (size_t i = 0; i < ends_.size(); ++i) {
      const size_t begin = i == 0 ? 0 : ends_[i - 1];
      batch_.series[i].labels = std::string_view(batch_.arena).substr(begin, ends_[i] - begin);
    }
    return Status();
  }

 private:
  // Calls take(begin, end) for every field of the request with this tag. An error without a text means damaged bytes.
  template <typename Take>
  Status EachField(uint64_t wanted, const char* what, Take take) {
    const char* p = message_.data();
    const char* const end = p + message_.size();
    while (p < end) {
      const char* const field = p;
      uint64_t tag = 0;
      uint64_t length = 0;
      p = wire::ReadTag(p, end, &tag);
      if (p != nullptr && tag == wanted) {
        p = wire::ReadLength(p, end, &length);
        if (p != nullptr) {
          if (Status status = take(p, p + length); !status.ok()) {
            return status.message().empty() ? Damaged(what, field) : status;
          }
          p += length;
        }
      } else if (p != nullptr) {
        p = wire::SkipValue(tag, p, end);
      }
      if (p == nullptr) {
        return Damaged("field", field);
      }
    }
    return Status();
  }

  Status Damaged(const char* what, const char* at) const {
    return InvalidError(std::string("remote write 2.0: malformed ") + what + " at byte " +
                        std::to_string(at - message_.data()) + " of the decoded request");
  }

  struct Metadata {
    uint64_t type = 0;
    uint32_t help_ref = 0;
    uint32_t unit_ref = 0;
  };

  // RETURNS: false when the bytes are damaged. A series that cannot be used is counted and leaves no trace.
  bool Series(const char* p, const char* const end) {
    const size_t first = batch_.samples.size();
    const size_t first_histogram = batch_.histograms.size();
    const uint64_t histogram_bytes = batch_.histogram_bytes;
    refs_.clear();
    metadata_ = Metadata();
    refused_ = 0;
    while (p < end) {
      uint64_t tag = 0;
      p = wire::ReadTag(p, end, &tag);
      p = p == nullptr ? nullptr : Field(tag, p, end);
      if (p == nullptr) {
        return false;
      }
    }
    const size_t begin = batch_.arena.size();
    const size_t count = batch_.samples.size() - first;
    const size_t histogram_count = batch_.histograms.size() - first_histogram;
    const std::string wrong = AppendLabels();
    if (!wrong.empty()) {
      batch_.samples.resize(first);
      batch_.histograms.resize(first_histogram);
      batch_.histogram_bytes = histogram_bytes;
      if (batch_.start_times.size() > first) {
        batch_.start_times.resize(first);
      }
      Refuse("series number " + std::to_string(number_) + ": " + wrong);
      return true;
    }
    const std::string_view labels = std::string_view(batch_.arena).substr(begin);
    if (refused_ > 0) {
      NoteBadHistograms(labels, refused_, first_refused_, &batch_);
    } else if (count + histogram_count == 0) {
      Refuse("no sample and no histogram: series " + plugin::LabelsText(labels));
    }
    if (count + histogram_count == 0) {
      batch_.arena.resize(begin);
      return true;
    }
    SampleBatch::Series& series = batch_.series.emplace_back();
    series.first = static_cast<uint32_t>(first);
    series.count = static_cast<uint32_t>(count);
    series.first_histogram = static_cast<uint32_t>(first_histogram);
    series.histogram_count = static_cast<uint32_t>(histogram_count);
    plugin::HashLabels(labels, series.hash);
    ends_.push_back(batch_.arena.size());
    return true;
  }

  const char* Field(uint64_t tag, const char* p, const char* const end) {
    if (tag == kLabelsRefTag) {
      return OneRef(p, end);
    }
    if (tag != kLabelsRefsTag && tag != kSamplesTag && tag != kHistogramsTag && tag != kMetadataTag) {
      return wire::SkipValue(tag, p, end);
    }
    uint64_t length = 0;
    p = wire::ReadLength(p, end, &length);
    if (p == nullptr) {
      return nullptr;
    }
    const char* const stop = p + length;
    switch (tag) {
      case kLabelsRefsTag:
        while (p != nullptr && p < stop) {
          p = OneRef(p, stop);
        }
        return p;
      case kSamplesTag:
        return OneSample(p, stop);
      case kHistogramsTag:
        return OneHistogram(p, stop);
      default:
        return ReadMetadata(p, stop);
    }
  }

  const char* OneRef(const char* p, const char* end) {
    uint64_t ref = 0;
    p = wire::ReadVarint(p, end, &ref);
    refs_.push_back(static_cast<uint32_t>(ref));
    return p;
  }

  const char* OneSample(const char* p, const char* const end) {
    Sample sample;
    uint64_t start = 0;
    while (p < end) {
      uint64_t tag = 0;
      uint64_t t = 0;
      p = wire::ReadTag(p, end, &tag);
      if (p == nullptr) {
        return nullptr;
      }
      if (tag == kValueTag) {
        p = wire::ReadDouble(p, end, &sample.v);
      } else if (tag == kTimestampTag) {
        p = wire::ReadVarint(p, end, &t);
        sample.t = static_cast<int64_t>(t);
      } else if (tag == kStartTimestampTag) {
        p = wire::ReadVarint(p, end, &start);
      } else {
        p = wire::SkipValue(tag, p, end);
      }
      if (p == nullptr) {
        return nullptr;
      }
    }
    batch_.samples.push_back(sample);
    if (start != 0) {
      batch_.start_times.resize(batch_.samples.size());
      batch_.start_times.back() = static_cast<int64_t>(start);
    }
    return end;
  }

  const char* OneHistogram(const char* p, const char* const end) {
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

  const char* ReadMetadata(const char* p, const char* const end) {
    while (p < end) {
      uint64_t tag = 0;
      uint64_t v = 0;
      p = wire::ReadTag(p, end, &tag);
      if (p == nullptr) {
        return nullptr;
      }
      const bool wanted = tag == kTypeTag || tag == kHelpRefTag || tag == kUnitRefTag;
      p = wanted ? wire::ReadVarint(p, end, &v) : wire::SkipValue(tag, p, end);
      if (p == nullptr) {
        return nullptr;
      }
      if (tag == kTypeTag) {
        metadata_.type = v;
      } else if (tag == kHelpRefTag) {
        metadata_.help_ref = static_cast<uint32_t>(v);
      } else if (tag == kUnitRefTag) {
        metadata_.unit_ref = static_cast<uint32_t>(v);
      }
    }
    return p;
  }

  std::string Outside(const char* what, uint32_t ref) const {
    return std::string(what) + " " + std::to_string(ref) + " is outside of the " + std::to_string(symbols_.size()) +
           " symbols";
  }

  // Appends the label block of the references. RETURNS: "" or what is wrong; nothing is appended then.
  std::string AppendLabels() {
    if (refs_.size() % 2 != 0) {
      return "odd number of label references (" + std::to_string(refs_.size()) + ")";
    }
    for (const uint32_t ref : refs_) {
      if (ref >= symbols_.size()) {
        return Outside("label reference", ref);
      }
    }
    // A request without symbols cannot refer to the empty one either, but then no series of it has labels.
    if (metadata_.help_ref >= symbols_.size() && metadata_.help_ref > 0) {
      return Outside("help reference", metadata_.help_ref);
    }
    if (metadata_.unit_ref >= symbols_.size() && metadata_.unit_ref > 0) {
      return Outside("unit reference", metadata_.unit_ref);
    }
    const std::string_view type =
        options_.type_and_unit_labels && metadata_.type < std::size(kTypeTexts) ? kTypeTexts[metadata_.type] : "";
    const std::string_view unit =
        options_.type_and_unit_labels && metadata_.unit_ref > 0 ? symbols_[metadata_.unit_ref] : "";
    bool pending = !type.empty() || !unit.empty();  // the labels of the metadata, which replace those of the sender
    const bool replace = pending;
    for (size_t i = 0; i < refs_.size(); i += 2) {
      const std::string_view name = symbols_[refs_[i]];
      if (replace && (name == kTypeLabel || name == kUnitLabel)) {
        continue;
      }
      if (pending && name > kUnitLabel) {
        pending = false;
        AppendMetadataLabels(type, unit);
      }
      AppendLabel(name, symbols_[refs_[i + 1]]);
    }
    if (pending) {
      AppendMetadataLabels(type, unit);
    }
    return "";
  }

  void AppendMetadataLabels(std::string_view type, std::string_view unit) {
    if (!type.empty()) {
      AppendLabel(kTypeLabel, type);
    }
    if (!unit.empty()) {
      AppendLabel(kUnitLabel, unit);
    }
  }

  void AppendLabel(std::string_view name, std::string_view value) {
    std::string& out = batch_.arena;
    // Beyond the limit the request is refused as a whole; until then one series must not grow without bound.
    if (out.size() > options_.label_bytes_max) {
      return;
    }
    wire::AppendVarint(Tag(kLabelField, kBytes), &out);
    wire::AppendVarint(
        2 + wire::VarintBytes(name.size()) + name.size() + wire::VarintBytes(value.size()) + value.size(), &out);
    wire::AppendBytesField(kNameField, name, &out);
    wire::AppendBytesField(kLabelValueField, value, &out);
  }

  void Refuse(const std::string& why) {
    ++batch_.bad_records;
    if (batch_.first_error.empty()) {
      batch_.first_error = why;
    }
  }

  const std::string_view message_;
  const DecodeOptions& options_;
  SampleBatch& batch_;
  std::vector<std::string_view> symbols_;
  std::vector<size_t> ends_;  // of each series' labels in the arena
  size_t number_ = 0;         // of the series in the request
  // of the series that is read
  std::vector<uint32_t> refs_;
  Metadata metadata_;
  uint32_t refused_ = 0;  // histograms
  std::string first_refused_;
  std::string invalid_;
  HistogramReader histogram_reader_;
};

}  // namespace

Status SkimRequestV2(std::string_view message, const DecodeOptions& options, SampleBatch* batch) {
  return Reader(message, options, batch).Run();
}

}  // namespace weir::remote_write
