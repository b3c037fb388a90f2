// fuzz: links remote_write_message
// Any bytes as a remote-write request, compressed and plain: no crash, and what comes out is consistent.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "plugins/codecs/remote_write/write_request.h"

namespace {

void CheckBatch(const weir::plugin::SampleBatch& batch) {
  const char* const begin = batch.arena.data();
  const char* const end = begin + batch.arena.size();
  size_t next = 0;
  std::vector<std::pair<std::string_view, std::string_view>> labels;
  for (const auto& series : batch.series) {
    WEIR_ASSERT(series.labels.data() >= begin && series.labels.data() + series.labels.size() <= end);
    WEIR_ASSERT(series.first == next && series.count > 0);
    next += series.count;
    const weir::Status ignored = weir::plugin::DecodeLabels(series.labels, &labels);
    static_cast<void>(ignored);
  }
  WEIR_ASSERT(next == batch.samples.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  weir::remote_write::DecodeOptions limits;
  limits.decoded_bytes_max = 1 << 20;
  limits.samples_max = 100000;
  weir::plugin::SampleBatch batch;
  if (weir::remote_write::DecodePlain(payload, limits, &batch).ok()) {
    CheckBatch(batch);
  }
  if (weir::remote_write::DecodeSnappy(payload, limits, &batch).ok()) {
    CheckBatch(batch);
  }
  return 0;
}
