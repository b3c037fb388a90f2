#include "plugins/sinks/lua/delivery_queue.h"

#include <algorithm>
#include <utility>

namespace weir::lua {

bool DeliveryQueue::StateChanged(const plugin::Alert& alert, uint64_t fingerprint, int64_t tick_ms) {
  const auto [it, added] = known_.try_emplace(fingerprint, Known{alert.resolved, alert.starts_at_ms, tick_ms, 0});
  Known& known = it->second;
  const bool changed = added || known.resolved != alert.resolved || known.starts_at_ms != alert.starts_at_ms;
  known.resolved = alert.resolved;
  known.starts_at_ms = alert.starts_at_ms;
  known.seen_ms = tick_ms;
  if (changed) {
    known.sequence = next_sequence_;
  }
  return changed;
}

void DeliveryQueue::Forget(int64_t tick_ms) {
  if (tick_ms - forgot_ms_ < kKnownAlertsForgetMs / 6 && known_.size() < kKnownAlertsMax) {
    return;
  }
  forgot_ms_ = tick_ms;
  std::erase_if(known_, [&](const auto& entry) { return tick_ms - entry.second.seen_ms > kKnownAlertsForgetMs; });
  if (known_.size() >= kKnownAlertsMax) {
    known_.clear();  // some alerts are delivered twice then
  }
}

DroppedDeliveries DeliveryQueue::PushAlerts(std::shared_ptr<const plugin::AlertBatch> batch) {
  DroppedDeliveries dropped;
  Forget(batch->tick_ms);
  for (size_t i = 0; i < batch->alerts.size(); ++i) {
    const plugin::Alert& alert = batch->alerts[i];
    const uint64_t fingerprint = alert.labels.Hash();
    if (!StateChanged(alert, fingerprint, batch->tick_ms)) {
      continue;
    }
    if (const auto waiting = waiting_alerts_.find(fingerprint); waiting != waiting_alerts_.end()) {
      EraseWaiting(waiting->second);
      ++dropped.superseded;
    }
    QueuedDelivery delivery;
    delivery.alerts = batch;
    delivery.first = i;
    delivery.fingerprint = fingerprint;
    delivery.sequence = next_sequence_++;
    new_alerts_.push_back(std::move(delivery));
    ++items_;
  }
  Shrink(&dropped);
  return dropped;
}

DroppedDeliveries DeliveryQueue::PushSamples(std::shared_ptr<const plugin::SampleResults> results, size_t part_max) {
  DroppedDeliveries dropped;
  for (size_t first = 0; first < results->samples.size(); first += part_max) {
    QueuedDelivery delivery;
    delivery.samples = results;
    delivery.first = first;
    delivery.count = std::min(part_max, results->samples.size() - first);
    delivery.sequence = next_sequence_++;
    items_ += delivery.count;
    new_samples_.push_back(std::move(delivery));
  }
  Shrink(&dropped);
  return dropped;
}

void DeliveryQueue::EraseWaiting(Waiting::iterator it) {
  if (it->second.alerts) {
    waiting_alerts_.erase(it->second.fingerprint);
  }
  items_ -= it->second.count;
  waiting_.erase(it);
}

void DeliveryQueue::Shrink(DroppedDeliveries* dropped) {
  while (items_ > items_max_) {
    const auto waiting_samples = std::find_if(waiting_.begin(), waiting_.end(),
                                              [](const auto& entry) { return entry.second.samples != nullptr; });
    if (waiting_samples != waiting_.end()) {
      dropped->samples += waiting_samples->second.count;
      EraseWaiting(waiting_samples);
    } else if (!new_samples_.empty()) {
      dropped->samples += new_samples_.front().count;
      items_ -= new_samples_.front().count;
      new_samples_.pop_front();
    } else if (!waiting_.empty()) {
      ++dropped->alerts;
      EraseWaiting(waiting_.begin());
    } else {
      ++dropped->alerts;
      --items_;
      new_alerts_.pop_front();
    }
  }
}

std::optional<QueuedDelivery> DeliveryQueue::Take(int64_t now_ms, bool all) {
  std::optional<QueuedDelivery> delivery;
  if (!waiting_.empty() && (all || waiting_.begin()->first <= now_ms)) {
    delivery = waiting_.begin()->second;
    EraseWaiting(waiting_.begin());
    return delivery;
  }
  std::deque<QueuedDelivery>& queue = new_alerts_.empty() ? new_samples_ : new_alerts_;
  if (!queue.empty()) {
    delivery = std::move(queue.front());
    queue.pop_front();
    items_ -= delivery->count;
  }
  return delivery;
}

bool DeliveryQueue::PutBack(QueuedDelivery delivery, int64_t due_ms) {
  const bool is_alert = delivery.alerts != nullptr;
  if (is_alert) {
    const auto known = known_.find(delivery.fingerprint);
    if (known != known_.end() && known->second.sequence != delivery.sequence) {
      return false;
    }
  }
  items_ += delivery.count;
  const uint64_t fingerprint = delivery.fingerprint;
  const auto it = waiting_.emplace(due_ms, std::move(delivery));
  if (is_alert) {
    waiting_alerts_[fingerprint] = it;
  }
  return true;
}

std::optional<int64_t> DeliveryQueue::NextDueMs() const {
  if (!new_alerts_.empty() || !new_samples_.empty()) {
    return 0;
  }
  return waiting_.empty() ? std::nullopt : std::optional(waiting_.begin()->first);
}

DroppedDeliveries DeliveryQueue::Clear() {
  DroppedDeliveries left;
  for (const auto& entry : waiting_) {
    (entry.second.alerts ? left.alerts : left.samples) += entry.second.count;
  }
  for (const QueuedDelivery& delivery : new_samples_) {
    left.samples += delivery.count;
  }
  left.alerts += new_alerts_.size();
  waiting_.clear();
  waiting_alerts_.clear();
  new_alerts_.clear();
  new_samples_.clear();
  items_ = 0;
  return left;
}

}  // namespace weir::lua
