#include "core/rules/result_parts.h"

#include "core/rules/rule.h"

#include <utility>

namespace weir::rules {

void ResultParts::Add(plugin::ResultSample sample) {
  if (part_ == nullptr) {
    part_ = std::make_shared<plugin::SampleResults>();
    part_->group = group_;
    part_->tick_ms = tick_ms_;
  }
  part_->samples.push_back(std::move(sample));
  if (part_->samples.size() >= kPartSamplesMax) {
    Finish();
  }
}

void ResultParts::Finish() {
  if (part_ != nullptr) {
    output_->OnSamples(std::exchange(part_, nullptr));
  }
}

}  // namespace weir::rules
