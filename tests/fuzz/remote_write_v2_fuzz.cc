// fuzz: links remote_write_message
// Any bytes as a remote-write 2.0 request: no crash, what comes out is consistent, and what is written of it reads the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/check_batch.h"

namespace {

using weir::plugin::SampleBatch;

// Writes the histograms of the batch under one label and reads them back.
void CheckRoundTrip(const SampleBatch& batch, const weir::remote_write::DecodeOptions& options) {
  const weir::Labels labels{{"__name__", "m"}};
  weir::remote_write::RequestV2Builder builder;
  for (const weir::plugin::HistogramSample& sample : batch.histograms) {
    builder.Add(labels, sample.t, *sample.h, sample.start_ms);
  }
  SampleBatch again;
  if (!weir::remote_write::DecodeSnappy(builder.TakeSnappy(), options, &again).ok()) {
    return;  // larger than the limit
  }
  WEIR_ASSERT(again.bad_records == 0 && again.histograms.size() == batch.histograms.size());
  for (size_t i = 0; i < again.histograms.size(); ++i) {
    WEIR_ASSERT(again.histograms[i].t == batch.histograms[i].t);
    WEIR_ASSERT(again.histograms[i].start_ms == batch.histograms[i].start_ms);
    WEIR_ASSERT(again.histograms[i].h->positive_spans == batch.histograms[i].h->positive_spans);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  weir::remote_write::DecodeOptions options = weir::fuzz::SmallOptions();
  for (const bool type_and_unit_labels : {false, true}) {
    options.message = weir::remote_write::Message::kRequestV2;
    options.type_and_unit_labels = type_and_unit_labels;
    SampleBatch batch;
    if (weir::remote_write::DecodePlain(payload, options, &batch).ok()) {
      weir::fuzz::CheckBatch(batch);
      CheckRoundTrip(batch, options);
    }
    options.message = weir::remote_write::Message::kAuto;
    if (weir::remote_write::DecodePlain(payload, options, &batch).ok()) {
      weir::fuzz::CheckBatch(batch);
    }
  }
  return 0;
}
