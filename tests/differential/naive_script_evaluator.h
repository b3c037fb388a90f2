#pragma once
// The naive evaluator as an evaluator of conformance scripts: it looks at all loaded samples at once, so nothing is
// undecidable to it. It says nothing about annotations.

#include "core/promqltest/runner.h"

namespace weir::naive {

class ScriptEvaluator final : public promqltest::Evaluator {
 public:
  std::vector<promqltest::Outcome> Evaluate(const promqltest::Storage& storage,
                                            std::span<const promqltest::EvalRequest> requests) override;
  bool Annotates() const override { return false; }
};

}  // namespace weir::naive
