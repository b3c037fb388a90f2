#pragma once
// Reading io.prometheus.write.v2.Request, for write_request.cc, and what both readers share.

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/plugin/plugin.h"
#include "plugins/codecs/remote_write/write_request.h"

namespace weir::remote_write {

// Reads `message` into `batch`, which is empty; labels go to the batch's arena. ERRORS: as DecodePlain; the batch is in any
// state then.
Status SkimRequestV2(std::string_view message, const DecodeOptions& options, plugin::SampleBatch* batch);

// ERRORS: kLimit when the batch holds more than one request may make.
Status CheckLimits(const plugin::SampleBatch& batch, const DecodeOptions& options);
// Counts histograms of one series that were left out; `first` says which and why: `t 1000: …`.
void NoteBadHistograms(std::string_view labels, uint32_t count, const std::string& first, plugin::SampleBatch* batch);

}  // namespace weir::remote_write
