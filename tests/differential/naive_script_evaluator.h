#pragma once
// The naive evaluator as an evaluator of conformance scripts: it looks at all loaded samples at once, so nothing is
// undecidable to it. It says nothing about annotations. One with exact folds does not round where Prometheus's folds do.

#include "core/promqltest/runner.h"

namespace weir::naive {

class ScriptEvaluator final : public promqltest::Evaluator {
 public:
  explicit ScriptEvaluator(bool exact_folds = false) : exact_folds_(exact_folds) {}
  std::vector<promqltest::Outcome> Evaluate(const promqltest::Storage& storage,
                                            std::span<const promqltest::EvalRequest> requests) override;
  bool Annotates() const override { return false; }

 private:
  const bool exact_folds_;
};

}  // namespace weir::naive
