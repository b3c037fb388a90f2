#pragma once
// An alerting rule: evaluates its expression, expands the labels' templates, moves the alert state machine, writes
// ALERTS and ALERTS_FOR_STATE, and hands over what is due (semantics 6). Engine's thread only. Annotations are expanded
// when an alert is sent or shown, unless their text asks `query`, whose answer belongs to the evaluation's own time.

#include "core/rules/alert_set.h"
#include "core/rules/eager_alerts.h"
#include "core/rules/rule.h"
#include "core/template/template.h"

#include <memory>
#include <string>
#include <vector>

namespace weir::rules {

class AlertingRule final : public Rule {
 public:
  using Rule::Rule;
  ~AlertingRule() override;

  Status Prepare() override;
  void TakeState(Rule& old) override;
  size_t Bytes() const override { return Rule::Bytes() + alerts_.Bytes() + slots_.capacity() * sizeof(Slot); }
  std::vector<engine::PlanId> Plans() const override;

  AlertState State() const { return alerts_.State(); }
  // Pending and firing alerts with current annotations, in order of creation.
  std::vector<TrackedAlert*> ActiveAlerts();
  // RETURNS: how many alerts are in `state`.
  size_t Count(AlertState state) const { return alerts_.Count(state); }

  // --- between ticks, of a definition that is eager ---
  // RETURNS: the plan to be armed; kNoPlan when the rule is evaluated at ticks only, for the reason at_ticks_only().
  engine::PlanId eager_plan() const { return eager_plan_; }
  const std::string& at_ticks_only() const { return at_ticks_only_; }
  struct Found {
    Status status;  // of the evaluation; nothing has changed when it failed
    size_t elements = 0;
    size_t fired = 0;  // sent
  };
  // Evaluates at `ts_ms` from what has arrived and sends what fires by that. REQUIRES: eager_plan() and a time after the last tick.
  Found EvaluateBetween(int64_t ts_ms, bool emit);
  // RETURNS: when an alert that was found between ticks has been pending for `for`; kNoTime when none is.
  int64_t EagerDueMs() const { return eager_.NextDueMs(definition_.for_ms); }

 private:
  // A label or annotation: its template, or its plain text when nothing in it is to be expanded.
  struct Text {
    std::string name;
    std::string plain;
    std::shared_ptr<const tmpl::Template> expand;  // null: plain
  };
  struct Slot {
    std::shared_ptr<const Labels> element;
    std::shared_ptr<const AlertLabels> identity;  // kept only when no label is a template
  };
  // An expression that a template asks by `query "…"`, planned so that what it reads is kept.
  struct TemplateQuery {
    std::string text;
    engine::PlanId plan;
    engine::PlanId between = engine::kNoPlan;  // the same for evaluations between ticks
  };

  Outcome Run(const RuleTick& tick) override;
  Status Gather(const engine::Evaluation& evaluation, int64_t slot_ms);
  std::shared_ptr<const AlertLabels> IdentityOf(const std::shared_ptr<const Labels>& element, double value,
                                                int64_t slot_ms);
  std::string Expand(const Text& text, const Labels& element, double value, int64_t ts_ms);
  void ExpandAnnotations(TrackedAlert& alert);
  Result<std::vector<tmpl::QueryResult>> Query(const std::string& text, int64_t ts_ms);
  Result<std::vector<tmpl::QueryResult>> ReadQuery(const engine::Evaluation& evaluation);
  void PlanEager();
  // What became of what was found since the last tick.
  void Reconcile(const RuleTick& tick);
  plugin::Alert ToSend(TrackedAlert& alert);
  void Send(const RuleTick& tick);
  void WriteSeries();
  Status PrepareText(const Label& source, std::vector<Text>* into);
  void PlanQueries(const std::string& text);

  std::vector<Text> labels_;
  std::vector<Text> annotations_;
  bool labels_fixed_ = true;      // no label is a template: identities may be kept by slot
  bool annotations_now_ = false;  // some annotation asks `query`
  std::vector<TemplateQuery> queries_;
  AlertSet alerts_;
  EagerAlerts eager_;
  engine::PlanId eager_plan_ = engine::kNoPlan;
  std::string at_ticks_only_;
  bool between_ = false;  // an evaluation between ticks is going on
  std::vector<Slot> slots_;
  uint64_t view_generation_ = 0;
  std::vector<Slot> eager_slots_;
  uint64_t eager_view_generation_ = 0;
  std::vector<AlertElement> elements_;
  std::string generator_path_;
};

}  // namespace weir::rules
