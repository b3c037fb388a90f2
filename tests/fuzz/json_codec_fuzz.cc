// fuzz: links plugin_json_codec plugin_openmetrics_codec plugin
// Foreign text through both text codecs: whatever they accept must be a well-formed batch.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/plugin/plugin.h"

namespace weir::plugin {
extern const Plugin json_codec;
extern const Plugin openmetrics_codec;
}  // namespace weir::plugin

namespace {

void Check(const weir::plugin::Plugin& plugin, std::string_view payload) {
  weir::plugin::SampleBatch batch;
  weir::Status status = plugin.make_codec({})->Decode(payload, &batch);
  WEIR_ASSERT(status.ok() || batch.samples.empty());
  size_t samples = 0;
  for (const auto& series : batch.series) {
    std::vector<std::pair<std::string_view, std::string_view>> labels;
    WEIR_ASSERT(weir::plugin::DecodeLabels(series.labels, &labels).ok());
    WEIR_ASSERT(!labels.empty() && series.count > 0 && series.first == samples);
    samples += series.count;
  }
  WEIR_ASSERT(samples == batch.samples.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view payload(reinterpret_cast<const char*>(data), size);
  Check(weir::plugin::json_codec, payload);
  Check(weir::plugin::openmetrics_codec, payload);
  return 0;
}
