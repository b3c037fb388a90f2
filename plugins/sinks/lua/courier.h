#pragma once
// Tries one delivery with the script and decides what becomes of it: done, again after a pause, or given up. Owns the
// script and loads it anew after it ran out of memory. Used on the receiver's thread only; calls no clock.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/metrics.h"
#include "core/base/status.h"
#include "lua/host/script.h"
#include "plugins/sinks/lua/delivery_queue.h"

namespace weir::lua {

inline constexpr int64_t kBackoffFirstMs = 1000;
inline constexpr int64_t kBackoffMaxMs = 300000;
inline constexpr int kFailuresMax = 3;  // script errors and limits of one delivery

struct CourierOptions {
  std::string source;  // the script's text
  ScriptOptions script;
  int64_t retry_for_ms = 3600000;
};

class Courier {
 public:
  // `services` and `metrics` outlive the courier.
  Courier(CourierOptions options, Services* services, MetricRegistry* metrics);
  // Loads the script and runs its on_start. ERRORS: those of Script::Load.
  Status Start();
  bool handles_alerts() const { return handles_alerts_; }
  bool handles_samples() const { return handles_samples_; }

  // RETURNS: when to try again (monotonic ms), nothing when the delivery is done with. `last`: there will be no other
  // try.
  std::optional<int64_t> Deliver(QueuedDelivery* delivery, int64_t now_ms, bool last);
  // Counts and logs deliveries that will not be tried (again).
  void CountDropped(const DroppedDeliveries& dropped, std::string_view reason);
  void SetQueueLength(size_t items) { queue_length_->Set(static_cast<double>(items)); }

  // The pause before try `attempt`+1: 1 s doubling to 5 min, spread by ±20 % so that many receivers do not come at
  // once.
  static int64_t BackoffMs(int attempt, uint64_t sequence);

 private:
  Outcome Try(const QueuedDelivery& delivery);
  Counter& Dropped(std::string_view reason);
  void GiveUp(const QueuedDelivery& delivery, const Outcome& outcome, std::string_view reason);
  std::string DeliveryId(const QueuedDelivery& delivery) const;

  CourierOptions options_;
  Services* services_;
  MetricRegistry* metrics_;
  std::unique_ptr<Script> script_;
  bool handles_alerts_ = false, handles_samples_ = false;
  Counter* delivered_;
  Counter* retried_;
  Counter* script_errors_;
  Counter* over_instructions_;
  Counter* over_memory_;
  Gauge* queue_length_;
  Gauge* memory_bytes_;
};

}  // namespace weir::lua
