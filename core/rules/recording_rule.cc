#include "core/rules/recording_rule.h"

#include <utility>

namespace weir::rules {

OutputSeries::Index RecordingRule::OutputOf(LabelSetId result) {
  LabelSetTable& table = environment_->engine->labels();
  std::vector<LabelPair> own = {{table.Intern(kMetricName), table.Intern(definition_.name)}};
  for (const Label& label : definition_.labels) {
    own.push_back({table.Intern(label.name), table.Intern(label.value)});
  }
  return outputs_.Find(table.With(result, own));
}

void RecordingRule::CoverSlots(const engine::VectorView& view) {
  if (view_generation_ != view.generation() || output_generation_ != outputs_.generation()) {
    slots_.clear();
    view_generation_ = view.generation();
    output_generation_ = outputs_.generation();
  }
  slots_.resize(view.size(), OutputSeries::kNoIndex);
}

Status RecordingRule::Gather(const engine::Evaluation& evaluation) {
  outputs_.Begin();
  if (evaluation.type == promql::ValueType::kScalar) {
    outputs_.Add(OutputOf(kEmptyLabelSet), evaluation.scalar);
  } else if (evaluation.type == promql::ValueType::kVector) {
    const engine::VectorView& view = evaluation.vector;
    CoverSlots(view);
    outputs_.Expect(view.CountPresent());
    for (size_t slot = 0; slot < view.size(); ++slot) {
      environment_->engine->MayYield(slot);
      if (!view.present(slot)) {
        continue;
      }
      if (slots_[slot] == OutputSeries::kNoIndex) {
        slots_[slot] = OutputOf(view.labels(slot));
      }
      if (!outputs_.Add(slots_[slot], view.value(slot), view.histogram(slot))) {
        return InvalidError("vector contains metrics with the same labelset after applying rule labels");
      }
    }
  } else {
    return InvalidError("rule result is not a vector or scalar");
  }
  if (limit_ > 0 && outputs_.claimed() > limit_) {
    return LimitError("exceeded limit of " + std::to_string(limit_) + " with " + std::to_string(outputs_.claimed()) +
                      " series");
  }
  return {};
}

Rule::Outcome RecordingRule::Run(const RuleTick& tick) {
  Outcome outcome;
  const engine::Evaluation evaluation = EvaluatePlan(tick.slot_ms);
  outcome.failed = evaluation.status;
  if (outcome.failed.ok()) {
    outcome.failed = Gather(evaluation);
  }
  if (outcome.failed.ok()) {
    samples_ = outputs_.claimed();
    outcome.refused = outputs_.Commit(tick.sample_ms, tick.parts);
  } else {
    samples_ = 0;
  }
  return outcome;
}

}  // namespace weir::rules
