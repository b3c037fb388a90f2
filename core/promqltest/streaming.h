#pragma once
// Evaluates conformance scripts by streaming, the way rules run: every eval is planned as a rule, the loaded samples are
// fed in time order, and at each evaluation time the plan is ticked before any later sample is seen. Nothing is looked
// up afterwards. A fresh engine per group of evals that see the same samples.

#include "core/promqltest/runner.h"

namespace weir::promqltest {

enum class StreamingMode : unsigned char {
  kTogether,  // all evals of a group in one engine, common subexpressions shared
  kOneByOne,  // an engine of its own for each eval, nothing shared
};

class StreamingEvaluator final : public Evaluator {
 public:
  explicit StreamingEvaluator(StreamingMode mode) : mode_(mode) {}
  std::vector<Outcome> Evaluate(const Storage& storage, std::span<const EvalRequest> requests) override;

 private:
  const StreamingMode mode_;
};

}  // namespace weir::promqltest
