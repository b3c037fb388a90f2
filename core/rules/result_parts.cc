#include "core/rules/result_parts.h"

#include "core/rules/rule.h"

#include <algorithm>
#include <utility>

namespace weir::rules {

plugin::SampleResults& ResultParts::Part() {
  if (part_ == nullptr) {
    part_ = std::make_shared<plugin::SampleResults>();
    part_->group = group_;
    part_->tick_ms = tick_ms_;
    if (expected_ > 0) {
      part_->samples.reserve(std::min(kPartSamplesMax, expected_));
    }
  }
  return *part_;
}

void ResultParts::Add(plugin::ResultSample sample) {
  plugin::SampleResults& part = Part();
  part.samples.push_back(std::move(sample));
  expected_ -= expected_ > 0 ? 1 : 0;
  if (part.samples.size() >= kPartSamplesMax) {
    Finish();
  }
}

void ResultParts::Expect(size_t samples) {
  expected_ = samples;
  if (part_ != nullptr && part_->samples.capacity() < part_->samples.size() + samples) {
    part_->samples.reserve(
        std::min(kPartSamplesMax, std::max(part_->samples.size() + samples, 2 * part_->samples.capacity())));
  }
}

void ResultParts::Finish() {
  if (part_ != nullptr) {
    output_->OnSamples(std::exchange(part_, nullptr));
  }
}

}  // namespace weir::rules
