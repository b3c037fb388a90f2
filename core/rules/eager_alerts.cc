#include "core/rules/eager_alerts.h"

#include <algorithm>
#include <utility>

#include <absl/container/flat_hash_set.h>

namespace weir::rules {
namespace {

// The elements' alerts, to look them up in.
class Index {
 public:
  explicit Index(const std::vector<AlertElement>& elements) {
    labels_.reserve(elements.size());
    for (const AlertElement& element : elements) {
      duplicate_ = !labels_.insert(element.labels).second || duplicate_;
    }
  }
  bool duplicate() const { return duplicate_; }
  bool Has(LabelSetId labels) const { return labels_.contains(labels); }

 private:
  absl::flat_hash_set<LabelSetId> labels_;
  bool duplicate_ = false;
};

}  // namespace

TrackedAlert* EagerAlerts::Find(LabelSetId labels) const {
  const auto at =
      std::find_if(alerts_.begin(), alerts_.end(), [&](const auto& alert) { return alert->labels == labels; });
  return at == alerts_.end() ? nullptr : at->get();
}

Result<std::vector<TrackedAlert*>> EagerAlerts::Update(const std::vector<AlertElement>& elements, const AlertSet& ticks,
                                                       const AlertTimings& timings, int64_t ts_ms) {
  const Index index(elements);
  if (index.duplicate()) {
    return InvalidError("vector contains metrics with the same labelset after applying alert labels");
  }
  if (timings.limit > 0 && elements.size() > timings.limit) {
    return LimitError("exceeded limit of " + std::to_string(timings.limit) + " with " +
                      std::to_string(elements.size()) + " alerts");
  }
  std::erase_if(alerts_,
                [&](const auto& alert) { return alert->state == AlertState::kPending && !index.Has(alert->labels); });
  std::vector<TrackedAlert*> fired;
  for (const AlertElement& element : elements) {
    const TrackedAlert* by_tick = ticks.Find(element.labels);
    if (by_tick != nullptr && by_tick->state == AlertState::kFiring) {
      continue;
    }
    TrackedAlert* alert = Find(element.labels);
    if (alert == nullptr) {
      alert = alerts_.emplace_back(std::make_unique<TrackedAlert>()).get();
      alert->labels = element.labels;
      const bool pending = by_tick != nullptr && by_tick->state == AlertState::kPending;
      alert->active_at_ms = pending ? std::min(by_tick->active_at_ms, ts_ms) : ts_ms;
    }
    alert->value = element.value;
    alert->element = element.element;
    alert->element_ts_ms = ts_ms;
    alert->annotations = nullptr;
    if (alert->state == AlertState::kPending && ts_ms - alert->active_at_ms >= timings.for_ms) {
      alert->state = AlertState::kFiring;
      alert->fired_at_ms = alert->last_sent_at_ms = ts_ms;
      fired.push_back(alert);
    }
  }
  return fired;
}

EagerAlerts::Verdict EagerAlerts::Reconcile(const std::vector<AlertElement>& elements, const AlertSet& ticks,
                                            int64_t ts_ms) {
  Verdict verdict;
  if (alerts_.empty()) {
    return verdict;
  }
  const Index index(elements);
  for (std::unique_ptr<TrackedAlert>& alert : alerts_) {
    // A tick says nothing of what was found after its time.
    if (alert->element_ts_ms > ts_ms) {
      continue;
    }
    if (index.Has(alert->labels)) {
      const TrackedAlert* by_tick = ticks.Find(alert->labels);
      if (by_tick != nullptr && by_tick->state == AlertState::kFiring) {
        ++verdict.confirmed;
        alert.reset();
      }
      continue;
    }
    if (alert->state == AlertState::kFiring) {
      alert->state = AlertState::kInactive;
      alert->resolved_at_ms = ts_ms;
      verdict.withdrawn.push_back(std::move(alert));
    }
    alert.reset();
  }
  std::erase(alerts_, nullptr);
  return verdict;
}

void EagerAlerts::MarkLabels(LabelMarks* marks) const {
  for (const std::unique_ptr<TrackedAlert>& alert : alerts_) {
    marks->Add(alert->labels);
    marks->Add(alert->element);
  }
}

int64_t EagerAlerts::NextDueMs(int64_t for_ms) const {
  int64_t due = kNoTime;
  for (const std::unique_ptr<TrackedAlert>& alert : alerts_) {
    if (alert->state == AlertState::kPending && (due == kNoTime || alert->active_at_ms + for_ms < due)) {
      due = alert->active_at_ms + for_ms;
    }
  }
  return due;
}

}  // namespace weir::rules
