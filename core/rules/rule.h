#pragma once
// One rule of a group and what an evaluation of it needs. A rule owns its plan in the engine and the series it writes;
// its group calls it in order, on the engine's thread. A failed evaluation writes nothing, changes no alert and shows
// in health() until one succeeds.

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/base/status.h"
#include "core/engine/engine.h"
#include "core/plugin/plugin.h"
#include "core/promql/parser.h"
#include "core/rules/definition.h"
#include "core/rules/output_series.h"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace weir::rules {

// Where results go. Called on the engine's thread while a tick runs.
class RuleOutput {
 public:
  virtual ~RuleOutput() = default;
  // RETURNS: whether anybody takes samples.
  virtual bool TakesSamples() const { return true; }
  // Samples of one group's tick, in parts if they are many.
  virtual void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) = 0;
  // Alerts of one rule that are due, in parts if they are many; external labels and alert relabelling are not applied yet.
  virtual void OnAlerts(plugin::AlertBatch alerts) = 0;
};

// What every rule of a process shares. The owner keeps it alive and may change the values between ticks.
struct RuleEnvironment {
  engine::Engine* engine = nullptr;
  RuleOutput* output = nullptr;
  MetricRegistry* metrics = nullptr;
  const Clock* clock = nullptr;  // for durations and lastEvaluation; slots are arguments
  Labels external_labels;
  std::string external_url;
  int64_t resend_delay_ms = 60000;
  promql::ParserOptions parser;  // for the expressions of the template function `query`
};

enum class Health : unsigned char { kUnknown, kOk, kError };
std::string_view HealthText(Health health);

// One evaluation as its group asks for it.
struct RuleTick {
  int64_t slot_ms = 0;
  int64_t sample_ms = 0;         // slot − query_offset: the time of the samples written
  bool emit = true;              // false while the past is re-read: state advances, nothing leaves
  ResultParts* parts = nullptr;  // where samples go; null: nowhere
};

class Rule : private engine::LabelHolder {
 public:
  Rule(SharedRule definition, const GroupDefinition& group, RuleEnvironment* environment);
  virtual ~Rule();
  Rule(const Rule&) = delete;
  Rule& operator=(const Rule&) = delete;

  // Plans the expression. ERRORS: kUnsupported `FILE:LINE:COL: …` for what this build does not evaluate. An expression
  // that can only fail at run time is planned as just that: its rule is unhealthy, as in Prometheus. So is one that is stopped: it
  // is planned for the errors alone, keeps nothing, and ends its series at the next evaluation.
  virtual Status Prepare();
  // Evaluates, writes, and keeps health and duration. RETURNS: false when the evaluation failed.
  bool Evaluate(const RuleTick& tick);
  // Takes over the state of the same rule in a group that is replaced.
  virtual void TakeState(Rule& old);

  const RuleDefinition& definition() const { return definition_; }
  Health health() const { return health_; }
  const std::string& last_error() const { return last_error_; }
  double evaluation_seconds() const { return evaluation_seconds_; }
  int64_t last_evaluation_ms() const { return last_evaluation_ms_; }  // wall clock; 0 before the first
  // What the last evaluation had to say, failed or not, as Prometheus shows it: `PromQL info: … (1:6)`. Places are counted in
  // the definition's `query`.
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::vector<std::string>& infos() const { return infos_; }
  uint64_t samples() const { return samples_; }  // of the last evaluation, before anything was refused
  OutputSeries& outputs() { return outputs_; }
  // RETURNS: roughly the memory that its series and alerts take beside the engine's, which has their labels.
  virtual size_t Bytes() const { return outputs_.Bytes(); }
  engine::PlanId plan() const { return plan_; }
  bool planned() const { return planned_; }
  // RETURNS: every plan that the rule has.
  virtual std::vector<engine::PlanId> Plans() const;

 protected:
  void MarkLabels(LabelMarks* marks) const override { outputs_.MarkLabels(marks); }
  struct Outcome {
    Status failed;   // the evaluation failed: nothing was written
    Status refused;  // written, but samples were refused
  };
  virtual Outcome Run(const RuleTick& tick) = 0;
  // Evaluates the plan at the slot and keeps what it has to say. ERRORS: those of the expression.
  engine::Evaluation EvaluatePlan(int64_t slot_ms);
  // ERRORS: as Engine::AddPlan.
  Result<engine::PlanId> PlanQuery(const engine::Grid& grid);

  const SharedRule shared_;
  const RuleDefinition& definition_;  // what shared_ holds
  const std::string group_key_;
  const engine::Grid grid_;
  const int64_t interval_ms_;
  const uint64_t limit_;
  RuleEnvironment* environment_;
  OutputSeries outputs_;
  uint64_t samples_ = 0;

 private:
  void SetHealth(const Outcome& outcome);
  void KeepRemarks(const std::vector<engine::Remark>& remarks);

  engine::PlanId plan_ = 0;
  bool planned_ = false;
  Status never_;  // why the expression can only fail
  Health health_ = Health::kUnknown;
  std::string last_error_;
  std::vector<std::string> warnings_;
  std::vector<std::string> infos_;
  std::set<std::string> logged_;  // texts of remarks; at most kRemarksLoggedMax
  double evaluation_seconds_ = 0;
  int64_t last_evaluation_ms_ = 0;
};

// RETURNS: `FILE:LINE:COL: record "name": …`: the engine names a byte offset, people read lines.
std::string PlanErrorText(const RuleDefinition& definition, const Status& status);

}  // namespace weir::rules
