#include "core/rules/alert_set.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <absl/container/flat_hash_set.h>

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

bool AlertSet::Distinct(const std::vector<AlertElement>& elements, const MayYield& may_yield) {
  absl::flat_hash_set<LabelSetId> fresh;
  size_t done = 0;
  for (const AlertElement& element : elements) {
    may_yield(done++);
    const uint32_t place = by_labels_.Find(element.labels);
    const bool twice = place == LabelSetPlaces::kNoPlace ? !fresh.insert(element.labels).second
                                                         : std::exchange(alerts_[place].seen, updates_) == updates_;
    if (twice) {
      return false;
    }
  }
  return true;
}

void AlertSet::Take(const AlertElement& element, int64_t ts_ms) {
  uint32_t place = by_labels_.Find(element.labels);
  if (place == LabelSetPlaces::kNoPlace || alerts_[place].state == AlertState::kInactive) {
    if (place != LabelSetPlaces::kNoPlace) {
      alerts_[place].gone = true;  // it is back, as another alert
    }
    place = static_cast<uint32_t>(alerts_.size());
    by_labels_.Set(element.labels, place);
    TrackedAlert& made = alerts_.emplace_back();
    made.labels = element.labels;
    made.active_at_ms = ts_ms;
    made.seen = updates_;
  }
  TrackedAlert& alert = alerts_[place];
  alert.value = element.value;
  alert.element = element.element;
  alert.element_ts_ms = ts_ms;
  alert.annotations = nullptr;
}

Status AlertSet::Update(const std::vector<AlertElement>& elements, const AlertTimings& timings, int64_t ts_ms,
                        const MayYield& may_yield) {
  ++updates_;
  // Duplicates are looked for before anything changes: an evaluation counts as a whole or not at all.
  if (!Distinct(elements, may_yield)) {
    return InvalidError("vector contains metrics with the same labelset after applying alert labels");
  }
  size_t done = 0;
  for (const AlertElement& element : elements) {
    may_yield(done++);
    Take(element, ts_ms);
  }
  counts_ = {};
  bool any_gone = false;
  for (TrackedAlert& alert : alerts_) {
    may_yield(done++);
    alert.gone = alert.gone || !Advance(alert, timings, ts_ms);
    any_gone = any_gone || alert.gone;
    counts_[static_cast<size_t>(alert.state)] += alert.gone ? 0 : 1;
  }
  if (any_gone) {
    CloseRanks(may_yield);
  }
  const size_t active = Count(AlertState::kPending) + Count(AlertState::kFiring);
  if (timings.limit > 0 && active > timings.limit) {
    Clear();
    return LimitError("exceeded limit of " + std::to_string(timings.limit) + " with " + std::to_string(active) +
                      " alerts");
  }
  return {};
}

void AlertSet::Clear() {
  alerts_.clear();
  by_labels_.Clear();
  counts_ = {};
}

void AlertSet::CloseRanks(const MayYield& may_yield) {
  size_t kept = 0;
  for (size_t i = 0; i < alerts_.size(); ++i) {
    may_yield(i);
    if (!alerts_[i].gone) {
      if (kept < i) {
        alerts_[kept] = std::move(alerts_[i]);
      }
      ++kept;
    }
  }
  for (; alerts_.size() > kept; alerts_.pop_back()) {
    may_yield(alerts_.size());
  }
  alerts_.shrink_to_fit();
  Reindex(may_yield);
}

void AlertSet::Reindex(const MayYield& may_yield) {
  by_labels_.Clear();
  for (uint32_t place = 0; place < alerts_.size(); ++place) {
    may_yield(place);
    by_labels_.Set(alerts_[place].labels, place);
  }
}

bool AlertSet::Advance(TrackedAlert& alert, const AlertTimings& timings, int64_t ts_ms) const {
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

std::vector<TrackedAlert*> AlertSet::TakeDue(int64_t ts_ms, int64_t resend_delay_ms) {
  std::vector<TrackedAlert*> due;
  for (TrackedAlert& alert : alerts_) {
    if (alert.state == AlertState::kPending) {
      continue;
    }
    const bool resolved_since = alert.resolved_at_ms > alert.last_sent_at_ms;
    const bool again = alert.last_sent_at_ms == kNoTime || alert.last_sent_at_ms + resend_delay_ms < ts_ms;
    if (resolved_since || again) {
      alert.last_sent_at_ms = ts_ms;
      due.push_back(&alert);
    }
  }
  return due;
}

const TrackedAlert* AlertSet::Find(LabelSetId labels) const {
  const uint32_t place = by_labels_.Find(labels);
  return place == LabelSetPlaces::kNoPlace ? nullptr : &alerts_[place];
}

void AlertSet::TakeFrom(AlertSet& old) {
  alerts_ = std::move(old.alerts_);
  counts_ = old.counts_;
  updates_ = old.updates_;
  old.Clear();
  Reindex([](size_t) {});
}

AlertState AlertSet::State() const {
  return Count(AlertState::kFiring) > 0    ? AlertState::kFiring
         : Count(AlertState::kPending) > 0 ? AlertState::kPending
                                           : AlertState::kInactive;
}

void AlertSet::MarkLabels(LabelMarks* marks) const {
  for (const TrackedAlert& alert : alerts_) {
    marks->Add(alert.labels);
    marks->Add(alert.element);
  }
}

size_t AlertSet::Bytes() const {
  const auto of_texts = [](size_t sum, const TrackedAlert& alert) {
    return sum + (alert.annotations == nullptr ? 0 : sizeof(Labels) + alert.annotations->HeapBytes());
  };
  return alerts_.size() * sizeof(TrackedAlert) + by_labels_.Bytes() +
         std::accumulate(alerts_.begin(), alerts_.end(), size_t{0}, of_texts);
}

}  // namespace weir::rules
