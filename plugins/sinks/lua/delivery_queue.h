#pragma once
// What waits for one receiver: new deliveries in order, alerts before samples, and failed ones until their time comes.
// Bounded in items; when it is full the oldest samples go first, then the oldest alerts. Also knows the state each
// alert was last queued with, so that re-sent alerts are not delivered twice and a newer state replaces one that waits
// for its retry. Not thread-safe: the sink locks around it. Times are monotonic milliseconds unless they are ticks.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "core/plugin/plugin.h"

namespace weir::lua {

inline constexpr size_t kKnownAlertsMax = 1000000;
inline constexpr int64_t kKnownAlertsForgetMs = 3600000;  // an alert not seen for so long is delivered as new

struct QueuedDelivery {
  std::shared_ptr<const plugin::AlertBatch> alerts;  // one of the two is set
  std::shared_ptr<const plugin::SampleResults> samples;
  size_t first = 0;          // the alert's index, or the first sample
  size_t count = 1;          // samples
  uint64_t fingerprint = 0;  // of the alert's labels
  uint64_t sequence = 0;     // rises with every delivery; makes the id
  int attempts = 0;
  int failures = 0;  // script errors and limits
  int64_t first_try_ms = 0;
};

struct DroppedDeliveries {
  uint64_t alerts = 0, samples = 0;
  uint64_t superseded = 0;  // alerts whose newer state took their place
};

class DeliveryQueue {
 public:
  explicit DeliveryQueue(size_t items_max) : items_max_(items_max) {}

  // Queues the alerts of a batch whose state changed, or the samples of a tick in parts. RETURNS: what was dropped for
  // it.
  DroppedDeliveries PushAlerts(std::shared_ptr<const plugin::AlertBatch> batch);
  DroppedDeliveries PushSamples(std::shared_ptr<const plugin::SampleResults> results, size_t part_max);

  // RETURNS: the delivery to try now; `all` takes those whose time has not come as well.
  std::optional<QueuedDelivery> Take(int64_t now_ms, bool all);
  // Puts back one that failed. RETURNS: false when a newer state of the alert is known: it is dropped.
  bool PutBack(QueuedDelivery delivery, int64_t due_ms);
  // RETURNS: when the first waiting delivery is due; nothing when none waits. New ones are due at once.
  std::optional<int64_t> NextDueMs() const;
  // RETURNS: items that are left, and forgets them.
  DroppedDeliveries Clear();

  size_t items() const { return items_; }

 private:
  struct Known {
    bool resolved;
    int64_t starts_at_ms;
    int64_t seen_ms;  // tick
    uint64_t sequence;
  };
  using Waiting = std::multimap<int64_t, QueuedDelivery>;

  bool StateChanged(const plugin::Alert& alert, uint64_t fingerprint, int64_t tick_ms);
  void Forget(int64_t tick_ms);
  void Shrink(DroppedDeliveries* dropped);
  void EraseWaiting(Waiting::iterator it);

  const size_t items_max_;
  size_t items_ = 0;
  uint64_t next_sequence_ = 1;
  int64_t forgot_ms_ = 0;
  std::deque<QueuedDelivery> new_alerts_, new_samples_;
  Waiting waiting_;
  std::unordered_map<uint64_t, Waiting::iterator> waiting_alerts_;  // by fingerprint
  std::unordered_map<uint64_t, Known> known_;                       // by fingerprint
};

}  // namespace weir::lua
