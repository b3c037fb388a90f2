#include "core/rules/alert_set.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace weir::rules {

std::string_view AlertStateText(AlertState state) {
  switch (state) {
    case AlertState::kInactive:
      return "inactive";
    case AlertState::kPending:
      return "pending";
    case AlertState::kFiring:
      return "firing";
  }
  return "unknown";
}

Status AlertSet::Update(const std::vector<AlertElement>& elements, const AlertTimings& timings, int64_t ts_ms) {
  // Duplicates are looked for before anything changes: an evaluation counts as a whole or not at all.
  std::unordered_set<std::shared_ptr<const AlertLabels>, HashOf, SameLabels> identities;
  for (const AlertElement& element : elements) {
    if (!identities.insert(element.identity).second) {
      return InvalidError("vector contains metrics with the same labelset after applying alert labels");
    }
  }
  ++updates_;
  for (const AlertElement& element : elements) {
    std::unique_ptr<TrackedAlert>& slot = alerts_[element.identity];
    if (slot == nullptr || slot->state == AlertState::kInactive) {
      slot = std::make_unique<TrackedAlert>();
      slot->identity = element.identity;
      slot->active_at_ms = ts_ms;
      slot->order = next_order_++;
    }
    slot->value = element.value;
    slot->element = element.element;
    slot->element_ts_ms = ts_ms;
    slot->annotations_current = false;
    slot->seen = updates_;
  }
  uint64_t active = 0;
  for (auto it = alerts_.begin(); it != alerts_.end();) {
    it = Advance(*it->second, timings, ts_ms, &active) ? std::next(it) : alerts_.erase(it);
  }
  if (timings.limit > 0 && active > timings.limit) {
    alerts_.clear();
    return LimitError("exceeded limit of " + std::to_string(timings.limit) + " with " + std::to_string(active) +
                      " alerts");
  }
  return {};
}

bool AlertSet::Advance(TrackedAlert& alert, const AlertTimings& timings, int64_t ts_ms, uint64_t* active) {
  if (alert.seen != updates_) {
    if (alert.state == AlertState::kPending) {
      return false;
    }
    if (alert.state == AlertState::kInactive) {
      return ts_ms - alert.resolved_at_ms <= kResolvedRetentionMs;
    }
    bool keep = false;
    if (timings.keep_firing_for_ms > 0) {
      if (alert.keep_firing_since_ms == kNoTime) {
        alert.keep_firing_since_ms = ts_ms;
      }
      keep = ts_ms - alert.keep_firing_since_ms < timings.keep_firing_for_ms;
    }
    if (!keep) {
      alert.state = AlertState::kInactive;
      alert.resolved_at_ms = ts_ms;
      return true;
    }
  } else {
    alert.keep_firing_since_ms = kNoTime;
  }
  ++*active;
  const bool held = ts_ms - alert.active_at_ms >= timings.for_ms;
  if (alert.state == AlertState::kPending && held) {
    alert.state = AlertState::kFiring;
    alert.fired_at_ms = ts_ms;
  } else if (alert.state == AlertState::kFiring && !held) {
    // `for` was raised by a reload: the alert has to wait again.
    alert.state = AlertState::kPending;
    alert.fired_at_ms = kNoTime;
    alert.last_sent_at_ms = kNoTime;
    alert.keep_firing_since_ms = kNoTime;
  }
  return true;
}

std::vector<TrackedAlert*> AlertSet::TakeDue(int64_t ts_ms, int64_t interval_ms, int64_t resend_delay_ms) {
  std::vector<TrackedAlert*> due;
  for (TrackedAlert* alert : All()) {
    if (alert->state == AlertState::kPending) {
      continue;
    }
    const bool resolved_since = alert->resolved_at_ms > alert->last_sent_at_ms;
    const bool again = alert->last_sent_at_ms == kNoTime || alert->last_sent_at_ms + resend_delay_ms < ts_ms;
    if (!resolved_since && !again) {
      continue;
    }
    alert->last_sent_at_ms = ts_ms;
    alert->valid_until_ms = ts_ms + 4 * std::max(interval_ms, resend_delay_ms);
    due.push_back(alert);
  }
  return due;
}

std::vector<TrackedAlert*> AlertSet::All() {
  std::vector<TrackedAlert*> all;
  all.reserve(alerts_.size());
  for (const auto& [identity, alert] : alerts_) {
    all.push_back(alert.get());
  }
  std::sort(all.begin(), all.end(), [](const TrackedAlert* a, const TrackedAlert* b) { return a->order < b->order; });
  return all;
}

const TrackedAlert* AlertSet::Find(const std::shared_ptr<const AlertLabels>& identity) const {
  const auto at = alerts_.find(identity);
  return at == alerts_.end() ? nullptr : at->second.get();
}

std::vector<TrackedAlert*> AlertSet::Active() {
  std::vector<TrackedAlert*> active = All();
  std::erase_if(active, [](const TrackedAlert* a) { return a->state == AlertState::kInactive; });
  return active;
}

size_t AlertSet::Count(AlertState state) const {
  return static_cast<size_t>(
      std::count_if(alerts_.begin(), alerts_.end(), [&](const auto& entry) { return entry.second->state == state; }));
}

void AlertSet::TakeFrom(AlertSet& old) {
  alerts_ = std::move(old.alerts_);
  old.alerts_.clear();
  next_order_ = old.next_order_;
  updates_ = old.updates_;
}

AlertState AlertSet::State() const {
  AlertState highest = AlertState::kInactive;
  for (const auto& [identity, alert] : alerts_) {
    highest = std::max(highest, alert->state);
  }
  return highest;
}

size_t AlertSet::Bytes() const {
  constexpr size_t kLookedAt = 64;
  constexpr size_t kNodeBytes = 64 + 3 * 32;  // of the hash table, and what shared objects and the allocator add
  size_t bytes = 0;
  size_t looked_at = 0;
  for (auto it = alerts_.begin(); it != alerts_.end() && looked_at < kLookedAt; ++it, ++looked_at) {
    const TrackedAlert& alert = *it->second;
    bytes += sizeof(TrackedAlert) + sizeof(AlertLabels) + kNodeBytes + alert.identity->labels.HeapBytes() +
             alert.annotations.HeapBytes() +
             (alert.element == nullptr ? 0 : sizeof(Labels) + alert.element->HeapBytes());
  }
  return looked_at == 0 ? 0 : bytes * alerts_.size() / looked_at;
}

}  // namespace weir::rules
