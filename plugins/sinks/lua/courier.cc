#include "plugins/sinks/lua/courier.h"

#include <algorithm>

#include "core/base/log.h"

namespace weir::lua {

Courier::Courier(CourierOptions options, Services* services, MetricRegistry* metrics)
    : options_(std::move(options)), services_(services), metrics_(metrics) {
  const MetricLabels labels = {{"receiver", options_.script.receiver}};
  const auto with = [&](const char* name, const char* value) { return MetricLabels{labels[0], {name, value}}; };
  delivered_ = &metrics->GetCounter("weir_lua_delivered_total",
                                    "Alerts and sample batches that a receiver answered with ok.", labels);
  retried_ = &metrics->GetCounter("weir_lua_retried_total", "Tries that a receiver answered with retry.", labels);
  script_errors_ =
      &metrics->GetCounter("weir_lua_script_errors_total", "Tries that ended in an error of the script.", labels);
  constexpr const char* kLimitHelp = "Tries that ended at a limit of the script.";
  over_instructions_ = &metrics->GetCounter("weir_lua_limit_total", kLimitHelp, with("reason", "instructions"));
  over_memory_ = &metrics->GetCounter("weir_lua_limit_total", kLimitHelp, with("reason", "memory"));
  queue_length_ = &metrics->GetGauge("weir_lua_queue_length", "Alerts and samples that wait for a receiver.", labels);
  memory_bytes_ = &metrics->GetGauge("weir_lua_memory_bytes", "Memory of a receiver's Lua state.", labels);
}

Status Courier::Start() {
  WEIR_ASSIGN_OR_RETURN(script_, Script::Load(options_.source, options_.script, services_));
  handles_alerts_ = script_->handles_alerts();
  handles_samples_ = script_->handles_samples();
  memory_bytes_->Set(static_cast<double>(script_->memory_bytes()));
  return Status();
}

int64_t Courier::BackoffMs(int attempt, uint64_t sequence) {
  const int64_t plain = std::min(kBackoffMaxMs, kBackoffFirstMs << std::min(attempt - 1, 20));
  uint64_t mixed = (sequence + static_cast<uint64_t>(attempt)) * 0x9e3779b97f4a7c15ULL;
  mixed ^= mixed >> 32;
  const int64_t percent = 80 + static_cast<int64_t>(mixed % 41);
  return std::min(kBackoffMaxMs, plain * percent / 100);
}

std::string Courier::DeliveryId(const QueuedDelivery& delivery) const {
  const int64_t tick_ms = delivery.alerts ? delivery.alerts->tick_ms : delivery.samples->tick_ms;
  return options_.script.receiver + "-" + std::to_string(tick_ms) + "-" + std::to_string(delivery.sequence);
}

Outcome Courier::Try(const QueuedDelivery& delivery) {
  if (!script_) {  // it ran out of memory; its tables may be half written
    auto loaded = Script::Load(options_.source, options_.script, services_);
    if (!loaded.ok()) {
      Outcome outcome;
      outcome.kind = OutcomeKind::kScriptError;
      outcome.why = loaded.status().message();
      return outcome;
    }
    script_ = std::move(*loaded);
  }
  const Delivery about{DeliveryId(delivery), delivery.attempts};
  Outcome outcome = delivery.alerts ? script_->OnAlert(delivery.alerts->alerts[delivery.first], about)
                                    : script_->OnSamples(*delivery.samples, delivery.first, delivery.count, about);
  memory_bytes_->Set(static_cast<double>(script_->memory_bytes()));
  if (outcome.memory) {
    script_.reset();
  }
  return outcome;
}

std::optional<int64_t> Courier::Deliver(QueuedDelivery* delivery, int64_t now_ms, bool last) {
  if (delivery->attempts++ == 0) {
    delivery->first_try_ms = now_ms;
  }
  const Outcome outcome = Try(*delivery);
  const int64_t after_ms = std::max(BackoffMs(delivery->attempts, delivery->sequence),
                                    static_cast<int64_t>(std::min(outcome.after_s, 86400.0) * 1000));
  switch (outcome.kind) {
    case OutcomeKind::kOk:
      delivered_->Add();
      return std::nullopt;
    case OutcomeKind::kDrop:
      GiveUp(*delivery, outcome, "script");
      return std::nullopt;
    case OutcomeKind::kRetry:
      retried_->Add();
      if (last || now_ms + after_ms - delivery->first_try_ms > options_.retry_for_ms) {
        GiveUp(*delivery, outcome, last ? "shutdown" : "retry_for");
        return std::nullopt;
      }
      LogInfo("lua: will try again", {{"receiver", options_.script.receiver},
                                      {"delivery", DeliveryId(*delivery)},
                                      {"attempt", std::to_string(delivery->attempts)},
                                      {"why", outcome.why},
                                      {"after_ms", std::to_string(after_ms)}});
      return now_ms + after_ms;
    case OutcomeKind::kScriptError:
      script_errors_->Add();
      break;
    case OutcomeKind::kLimit:
      (outcome.memory ? over_memory_ : over_instructions_)->Add();
      break;
  }
  LogError("lua: script failed", {{"receiver", options_.script.receiver},
                                  {"delivery", DeliveryId(*delivery)},
                                  {"attempt", std::to_string(delivery->attempts)},
                                  {"error", outcome.why},
                                  {"traceback", outcome.traceback}});
  if (last || ++delivery->failures >= kFailuresMax) {
    GiveUp(*delivery, outcome, OutcomeName(outcome.kind));
    return std::nullopt;
  }
  return now_ms + after_ms;
}

Counter& Courier::Dropped(std::string_view reason) {
  return metrics_->GetCounter("weir_lua_dropped_total", "Alerts and samples that a receiver will not get.",
                              {{"receiver", options_.script.receiver}, {"reason", std::string(reason)}});
}

void Courier::GiveUp(const QueuedDelivery& delivery, const Outcome& outcome, std::string_view reason) {
  Dropped(reason).Add(delivery.count);
  const std::string what = delivery.alerts
                               ? delivery.alerts->alerts[delivery.first].labels.ToString()
                               : delivery.samples->group + ", " + std::to_string(delivery.count) + " samples";
  LogWarn("lua: gave up a delivery", {{"receiver", options_.script.receiver},
                                      {"delivery", DeliveryId(delivery)},
                                      {"reason", std::string(reason)},
                                      {"why", outcome.why},
                                      {"what", what}});
}

void Courier::CountDropped(const DroppedDeliveries& dropped, std::string_view reason) {
  if (dropped.alerts + dropped.samples > 0) {
    Dropped(reason).Add(dropped.alerts + dropped.samples);
  }
  if (dropped.superseded > 0) {
    Dropped("superseded").Add(dropped.superseded);
  }
}

}  // namespace weir::lua
