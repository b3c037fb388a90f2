#pragma once
// A recording rule: the result vector under the recorded name (semantics 5.4). Label work is done when a slot of the
// result is new; after that an evaluation copies numbers from slots to series. Engine's thread only.

#include "core/rules/rule.h"

#include <vector>

namespace weir::rules {

class RecordingRule final : public Rule {
 public:
  using Rule::Rule;
  size_t Bytes() const override { return Rule::Bytes() + slots_.capacity() * sizeof(OutputSeries::Index); }

 private:
  Outcome Run(const RuleTick& tick) override;
  // Gathers the evaluation's samples in outputs_. ERRORS: duplicate label sets, the limit, a result that is no vector.
  Status Gather(const engine::Evaluation& evaluation);
  OutputSeries::Index OutputOf(LabelSetId result);
  // Makes slots_ as long as the view: those known from before stay when neither side was renumbered.
  void CoverSlots(const engine::VectorView& view);

  std::vector<OutputSeries::Index> slots_;  // kNoIndex until the slot is first present
  uint64_t view_generation_ = 0;
  uint32_t output_generation_ = 0;
};

}  // namespace weir::rules
