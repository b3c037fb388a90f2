#pragma once
// prometheus.WriteRequest (remote write 1.0) and io.prometheus.write.v2.Request (2.0) inside a snappy block: skimmed on the way
// in, written on the way out. Skimming 1.0 finds the run of label fields of each series, hashes it and reads the samples; labels
// are not parsed. The label references of 2.0 become the same form. Stateless and thread-safe; about 50 ns a sample with nine
// labels, nearly all of it snappy and the hash.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/status.h"
#include "core/model/histogram.h"
#include "core/model/labels.h"
#include "core/model/sample.h"
#include "core/plugin/plugin.h"

namespace weir::remote_write {

enum class Message : unsigned char {
  kWriteRequest,  // 1.0
  kRequestV2,     // 2.0
  kAuto,          // decided by the fields: the two messages share none
};
// The full names of the messages, as in Content-Type and `protobuf_message`.
inline constexpr std::string_view kWriteRequestName = "prometheus.WriteRequest";
inline constexpr std::string_view kRequestV2Name = "io.prometheus.write.v2.Request";

struct DecodeOptions {
  Message message = Message::kWriteRequest;
  // 2.0 only: type and unit of the metadata become the labels __type__ and __unit__ (feature type-and-unit-labels).
  bool type_and_unit_labels = false;
  uint64_t decoded_bytes_max = 32ULL << 20;  // checked against the declared length, before anything is decoded
  uint32_t samples_max = 2000000;  // two bytes can be a sample: bounds what a small payload can make of itself
  uint64_t histogram_bytes_max = 256ULL << 20;  // the same for histograms
  uint64_t label_bytes_max = 128ULL << 20;      // and for labels, which 2.0 refers to
};

// Decodes a snappy block that holds a message into `batch` (cleared first). ERRORS: kInvalid for damaged bytes, kLimit beyond a
// limit; the batch is empty then. Histograms that are none, and series of 2.0 whose references lead nowhere or that have no
// sample, are left out and counted as bad records, their neighbours stay. Exemplars are skipped, metadata is but for the labels.
Status DecodeSnappy(std::string_view payload, const DecodeOptions& options, plugin::SampleBatch* batch);
// The same for a message that is not compressed.
Status DecodePlain(std::string_view payload, const DecodeOptions& options, plugin::SampleBatch* batch);
// RETURNS: whether `payload` is a whole snappy block. Costs about as much as decoding it.
bool IsSnappy(std::string_view payload);

// Writes 1.0 requests of one sample per series.
class WriteRequestBuilder {
 public:
  // REQUIRES: sorted, unique, named labels.
  void Add(const Labels& labels, const Sample& sample);
  void Add(const Labels& labels, int64_t t_ms, const FloatHistogram& h);
  size_t samples() const { return samples_; }
  // RETURNS: the snappy block of all that was added; the builder is empty afterwards.
  std::string TakeSnappy();

 private:
  void AddSeries(const Labels& labels, unsigned field);

  std::string message_;
  std::string series_;  // scratch
  std::string fields_;  // scratch
  size_t samples_ = 0;
};

// Writes 2.0 requests of one sample per series; every text is in the request once.
class RequestV2Builder {
 public:
  RequestV2Builder() { Clear(); }
  // REQUIRES: sorted, unique, named labels. `start_ms` 0: unknown.
  void Add(const Labels& labels, const Sample& sample, int64_t start_ms = 0);
  void Add(const Labels& labels, int64_t t_ms, const FloatHistogram& h, int64_t start_ms = 0);
  size_t samples() const { return samples_; }
  // RETURNS: the snappy block of all that was added; the builder is empty afterwards.
  std::string TakeSnappy();

 private:
  void Clear();
  void AddSeries(const Labels& labels, unsigned field);
  uint32_t RefOf(std::string_view text);

  std::unordered_map<std::string, uint32_t> refs_;
  std::string symbols_;  // fields of the message, as the next
  std::string timeseries_;
  std::string series_;  // scratch
  std::string fields_;  // scratch
  size_t samples_ = 0;
};

}  // namespace weir::remote_write
