// fuzz: links remote_write_message
// Any bytes as a remote-write 1.0 request, compressed and plain: no crash, and what comes out is consistent.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/fuzz/check_batch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  weir::remote_write::DecodeOptions options = weir::fuzz::SmallOptions();
  weir::plugin::SampleBatch batch;
  if (weir::remote_write::DecodePlain(payload, options, &batch).ok()) {
    weir::fuzz::CheckBatch(batch);
  }
  if (weir::remote_write::DecodeSnappy(payload, options, &batch).ok()) {
    weir::fuzz::CheckBatch(batch);
  }
  return 0;
}
