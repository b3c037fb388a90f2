#pragma once
// Evaluates conformance scripts by streaming, the way rules run: every eval is planned as a rule, the loaded samples are
// fed in time order, and at each evaluation time the plan is ticked before any later sample is seen. Nothing is looked
// up afterwards. A fresh engine per group of evals that see the same samples. The modes differ in how samples and ticks
// reach the engine; none of them may change a result.

#include <memory>

#include "core/promqltest/runner.h"

namespace weir {
class StateDirectory;
}

namespace weir::promqltest {

struct EagerCounts;

enum class StreamingMode : unsigned char {
  kTogether,  // all evals of a group in one engine, common subexpressions shared
  kOneByOne,  // an engine of its own for each eval, nothing shared
  // together; between two ticks the series are fed in random order against each other, each in its own order. They are made
  // known in the order of the script, since that order decides ties, in Prometheus as here.
  kShuffled,
  kDelayed,   // together; a tick is evaluated only when samples up to kDelayMs newer than it have been appended
  kReloaded,  // together; in the middle of the samples all plans are added again and the old ones removed
  kSharded,   // together; three shards with threads of their own, to which series are dealt
  kYielding,  // together; samples that a tick cannot see are appended between any two of its slots
};

// UNITS: milliseconds.
inline constexpr int64_t kDelayMs = 120000;

class StreamingEvaluator final : public Evaluator {
 public:
  // `seed`: of kShuffled. `tape`: every window that can be is on tape there, and its rows are written at once. `eager`: every eval is
  // an eager alert's expression, too (eager_check.h), and what is done for that is counted there. REQUIRES for it: MayBeEager(mode).
  explicit StreamingEvaluator(StreamingMode mode, uint64_t seed = 0, std::shared_ptr<StateDirectory> tape = nullptr,
                              EagerCounts* eager = nullptr)
      : mode_(mode), seed_(seed), tape_(std::move(tape)), eager_(eager) {}
  // RETURNS: whether samples come one after the other and in the order of time.
  static bool MayBeEager(StreamingMode mode);
  std::vector<Outcome> Evaluate(const Storage& storage, std::span<const EvalRequest> requests) override;

 private:
  const StreamingMode mode_;
  uint64_t seed_;  // of the next group
  std::shared_ptr<StateDirectory> tape_;
  EagerCounts* const eager_;
};

}  // namespace weir::promqltest
