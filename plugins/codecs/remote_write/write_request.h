#pragma once
// prometheus.WriteRequest (remote write 1.0) inside a snappy block: skimmed on the way in, written on the way out. Skimming
// finds the run of label fields of each series, hashes it and reads the samples; labels are not parsed. Stateless and
// thread-safe; about 50 ns a sample with nine labels, nearly all of it snappy and the hash.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/model/labels.h"
#include "core/model/sample.h"
#include "core/plugin/plugin.h"

namespace weir::remote_write {

struct DecodeLimits {
  uint64_t decoded_bytes_max = 32ULL << 20;  // checked against the declared length, before anything is decoded
  uint32_t samples_max = 2000000;  // two bytes can be a sample: bounds what a small payload can make of itself
};

// Decodes a snappy block that holds a WriteRequest into `batch` (cleared first). ERRORS: kInvalid for damaged bytes, kLimit
// beyond a limit; the batch is empty then. Native histograms are counted and left out; exemplars and metadata are skipped.
Status DecodeSnappy(std::string_view payload, const DecodeLimits& limits, plugin::SampleBatch* batch);
// The same for a message that is not compressed.
Status DecodePlain(std::string_view payload, const DecodeLimits& limits, plugin::SampleBatch* batch);
// RETURNS: whether `payload` is a whole snappy block. Costs about as much as decoding it.
bool IsSnappy(std::string_view payload);

// Writes requests of one sample per series.
class WriteRequestBuilder {
 public:
  // REQUIRES: sorted, unique, named labels.
  void Add(std::span<const Label> labels, const Sample& sample);
  size_t samples() const { return samples_; }
  // RETURNS: the snappy block of all that was added; the builder is empty afterwards.
  std::string TakeSnappy();

 private:
  std::string message_;
  std::string series_;  // scratch
  size_t samples_ = 0;
};

}  // namespace weir::remote_write
