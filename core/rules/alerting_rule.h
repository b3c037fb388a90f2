#pragma once
// An alerting rule: evaluates its expression, expands the labels' templates, moves the alert state machine, writes
// ALERTS and ALERTS_FOR_STATE, and hands over what is due (semantics 6). Engine's thread only. Annotations are expanded
// when an alert is sent or shown, unless their text asks `query`, whose answer belongs to the evaluation's own time.

#include "core/rules/alert_set.h"
#include "core/rules/eager_alerts.h"
#include "core/rules/rule.h"
#include "core/template/template.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace weir::rules {

// A pending or firing alert as it is shown to people.
struct ShownAlert {
  Labels labels;
  Labels annotations;
  AlertState state = AlertState::kPending;
  double value = 0;
  int64_t active_at_ms = kNoTime;
  int64_t keep_firing_since_ms = kNoTime;
};

class AlertingRule final : public Rule {
 public:
  using Rule::Rule;
  ~AlertingRule() override;

  Status Prepare() override;
  void TakeState(Rule& old) override;
  size_t Bytes() const override {
    return Rule::Bytes() + alerts_.Bytes() + (slots_.capacity() + eager_slots_.capacity()) * sizeof(LabelSetId) +
           elements_.capacity() * sizeof(AlertElement);
  }
  std::vector<engine::PlanId> Plans() const override;

  AlertState State() const { return alerts_.State(); }
  // Calls show() for every pending and firing alert, in order of creation.
  void ShowActive(const std::function<void(const ShownAlert& alert)>& show);
  // RETURNS: how many alerts are in `state`.
  size_t Count(AlertState state) const { return alerts_.Count(state); }

  // --- between ticks, of a definition that is eager ---
  // RETURNS: the plan to be armed; kNoPlan when the rule is evaluated at ticks only, for the reason at_ticks_only().
  engine::PlanId eager_plan() const { return eager_plan_; }
  const std::string& at_ticks_only() const { return at_ticks_only_; }
  // RETURNS: whether a tick is just evaluating the rule, which yields.
  bool in_tick() const { return in_tick_; }
  struct Found {
    Status status;  // of the evaluation; nothing has changed when it failed
    size_t elements = 0;
    size_t fired = 0;  // sent
  };
  // Evaluates at `ts_ms` from what has arrived and sends what fires by that. REQUIRES: eager_plan(), a time after the last tick, not in_tick().
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
  // An expression that a template asks by `query "…"`, planned so that what it reads is kept.
  struct TemplateQuery {
    std::string text;
    engine::PlanId plan;
    engine::PlanId between = engine::kNoPlan;  // the same for evaluations between ticks
  };

  Outcome Run(const RuleTick& tick) override;
  Outcome RunInTick(const RuleTick& tick);
  Status Gather(const engine::Evaluation& evaluation, int64_t slot_ms);
  void MarkLabels(LabelMarks* marks) const override;
  // RETURNS: by what the alert of a result element is known: the labels of its ALERTS_FOR_STATE series.
  LabelSetId LabelsOf(LabelSetId element, double value, int64_t slot_ms);
  std::string Expand(const Text& text, const Labels& element, double value, int64_t ts_ms);
  // RETURNS: the alert's own labels.
  Labels TextOf(const TrackedAlert& alert) const;
  Labels Annotations(const TrackedAlert& alert);
  // Keeps what templates say of pending and firing alerts, for when that can be asked no more.
  void KeepAnnotations();
  Result<std::vector<tmpl::QueryResult>> Query(const std::string& text, int64_t ts_ms);
  Result<std::vector<tmpl::QueryResult>> ReadQuery(const engine::Evaluation& evaluation);
  void PlanEager();
  // What became of what was found since the last tick.
  void Reconcile(const RuleTick& tick);
  // `sent_ms`: when it is sent; a firing alert is valid for four intervals or resend delays from then.
  plugin::Alert ToSend(const TrackedAlert& alert, int64_t sent_ms);
  template <typename Alerts>
  void Send(const Alerts& alerts, int64_t sent_ms);
  void WriteSeries(const RuleTick& tick);
  void ForgetScratch();
  Status PrepareText(const Label& source, std::vector<Text>* into);
  void PlanQueries(const std::string& text);

  std::vector<Text> labels_;
  std::vector<Text> annotations_;
  bool labels_fixed_ = true;      // no label is a template: alerts' labels may be kept by slot
  bool annotations_now_ = false;  // some annotation asks `query`
  std::vector<TemplateQuery> queries_;
  AlertSet alerts_;
  EagerAlerts eager_;
  engine::PlanId eager_plan_ = engine::kNoPlan;
  std::string at_ticks_only_;
  bool between_ = false;  // an evaluation between ticks is going on
  bool in_tick_ = false;
  std::vector<LabelSetId> slots_;  // the alerts' labels by slot of the result; kNoLabelSet until it is first present
  uint64_t view_generation_ = 0;
  std::vector<LabelSetId> eager_slots_;
  uint64_t eager_view_generation_ = 0;
  std::vector<AlertElement> elements_;
  std::string generator_path_;
};

}  // namespace weir::rules
