#pragma once
// Evals as eager alerts: every expression is planned for evaluations between ticks, too, as it is and as `expr >= V` or `expr <= V`
// of an expected value V, armed at ticks and after each evaluation, and evaluated when a sample crosses, as the runtime does it. A
// second engine, which nothing arms and which keeps everything, says at samples what an exact evaluation finds: what is present there
// and was absent when the plan was armed must have made a sample cross (never silent), and what an eager evaluation finds must be
// what is there. Ticks of the same engine go on beside it and must not notice.

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/promqltest/runner.h"

namespace weir::promqltest {

// What was done.
struct EagerCounts {
  size_t plans = 0;
  size_t ticks_only = 0;   // more that were not planned
  size_t checks = 0;       // of a plan at a sample
  size_t evaluations = 0;  // by crossings
  size_t appeared = 0;     // results that these found
  size_t failed = 0;       // plans
  std::string ToString() const;
};

class EagerCheck {
 public:
  // `engine` and `counts` outlive it. `options`: of that engine.
  EagerCheck(engine::Engine* engine, engine::Options options, EagerCounts* counts);

  // Plans an eval whose outcome is told what is wrong. What is evaluated at ticks only is left out.
  void Plan(const EvalRequest& request, Outcome* outcome);
  // `ids`: the engine's series in the order of `storage`; `samples`, from first_ms to last_ms, are to come.
  void Begin(const Storage& storage, const std::vector<engine::SeriesId>& ids, size_t samples, int64_t first_ms,
             int64_t last_ms);
  // One sample, before and after the engine has got it. A null histogram: a float.
  void Before(int64_t t_ms);
  void Take(engine::SeriesId series, int64_t t_ms, double v, const HistogramRef& h, int64_t start_ms);
  // All evals of the tick have been evaluated, nothing is released yet.
  void Tick(int64_t t_ms);

 private:
  using Found = std::set<Labels>;
  struct Planned {
    std::string text;
    engine::PlanId eager = engine::kNoPlan;
    engine::PlanId exact = engine::kNoPlan;
    Outcome* outcome = nullptr;
    int64_t last_ms = INT64_MIN;  // newest evaluation; nothing is armed before the first
    int64_t until_ms = INT64_MIN;
    Found known;            // present when it was armed
    Found before;           // present at the time of the sample to come, without it
    bool held_all = false;  // no series' trigger is "none": then time alone may bring nothing, either
    bool crossed = false;
  };

  void PlanText(const EvalRequest& request, const std::string& text, Outcome* outcome);
  Found Exact(const Planned& p, int64_t t_ms);
  void Arm(Planned& p);
  void TakeCrossings();
  void EndTogether();
  void Evaluate(Planned& p, int64_t t_ms, const Found& exact);
  void Check(Planned& p, engine::SeriesId series, int64_t t_ms);
  void Fail(Planned& p, int64_t t_ms, const std::string& what);

  engine::Engine& engine_;
  const bool taped_;  // some windows of it are on tape
  engine::Engine exact_;
  EagerCounts& counts_;
  std::vector<Planned> planned_;
  std::vector<engine::SeriesId> ids_;
  std::vector<engine::SeriesId> exact_ids_;  // by id of the engine
  size_t samples_ = 0;
  size_t stride_ = 1;  // of the samples, one in so many is looked at
  int64_t interval_ms_ = 0;
  int64_t arm_ms_ = 0;
  int64_t together_ms_ = INT64_MIN;  // of the newest sample: those of one time come together
};

}  // namespace weir::promqltest
