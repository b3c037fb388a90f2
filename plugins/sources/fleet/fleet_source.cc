// The `fleet` source: a simulated GPU fleet behind the same door as every other source, so that weir can be tried
// without anything else. One thread scrapes the model at aligned times and submits one batch a scrape.

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/log.h"
#include "core/plugin/plugin.h"
#include "plugins/sources/fleet/fleet_model.h"

namespace weir::plugin {

namespace {

constexpr int64_t kSleepSliceMs = 50;  // so that Stop() is prompt
constexpr std::string_view kStream = "fleet";

constexpr OptionRow kRows[] = {
    {"nodes", OptionType::kInt, "4", "Number of simulated GPU nodes (1 to 10000)."},
    {"gpus_per_node", OptionType::kInt, "8", "Number of GPUs in each node (1 to 64)."},
    {"interval", OptionType::kDuration, "1s", "Time between two scrapes of the fleet (100ms to 10m)."},
    {"seed", OptionType::kInt, "1", "Seed of everything that looks random; the same seed gives the same fleet."},
    {"incidents", OptionType::kBool, "true",
     "Whether the script of incidents runs: a hot GPU, an XID burst, an error-budget burn and so on."},
    {"speed", OptionType::kFloat, "1",
     "How many times faster than written the incident script runs; sample times stay real (0.01 to 100)."},
};

fleet::FleetOptions ModelOptions(const OptionValues& values) {
  fleet::FleetOptions options;
  options.nodes = values.Int("nodes");
  options.gpus_per_node = values.Int("gpus_per_node");
  options.interval_ms = values.Int("interval");
  options.seed = static_cast<uint64_t>(values.Int("seed"));
  options.incidents = values.Bool("incidents");
  options.speed = values.Float("speed");
  return options;
}

Status OutOfRange(const OptionValues& values, std::string_view name, std::string_view range) {
  return InvalidError(values.where + ": option \"" + std::string(name) + "\": want " + std::string(range) + ", got \"" +
                      values.values.find(name)->second.text + "\"");
}

Status ValidateFleet(const OptionValues& values) {
  fleet::FleetOptions options = ModelOptions(values);
  if (options.nodes < 1 || options.nodes > 10000) {
    return OutOfRange(values, "nodes", "1 to 10000");
  }
  if (options.gpus_per_node < 1 || options.gpus_per_node > 64) {
    return OutOfRange(values, "gpus_per_node", "1 to 64");
  }
  if (options.interval_ms < 100 || options.interval_ms > 600000) {
    return OutOfRange(values, "interval", "100ms to 10m");
  }
  if (!(options.speed >= 0.01 && options.speed <= 100)) {
    return OutOfRange(values, "speed", "0.01 to 100");
  }
  return {};
}

class FleetSource final : public Source {
 public:
  explicit FleetSource(const OptionValues& values) : options_(ModelOptions(values)) {}
  ~FleetSource() override { Stop(); }

  Status Start(SourceHost& host) override {
    host_ = &host;
    scrapes_ = &host.metrics().GetCounter("weir_fleet_scrapes_total", "Scrapes of the simulated fleet.");
    dropped_ = &host.metrics().GetCounter(
        "weir_fleet_dropped_samples_total",
        "Samples of the simulated fleet that the queue had no room for within one interval.");
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  void Stop() override {
    stop_ = true;
    if (thread_.joinable()) {
      thread_.join();
      host_->CloseStream(kStream);
    }
  }

 private:
  void Run() {
    int64_t next_ms = (host_->clock().NowMs() / options_.interval_ms + 1) * options_.interval_ms;
    fleet::FleetModel model(options_, next_ms);
    LogInfo("simulated fleet starts",
            {{"nodes", std::to_string(options_.nodes)}, {"series", std::to_string(model.series())}});
    SampleBatch batch;
    while (SleepUntil(next_ms)) {
      model.Scrape(next_ms, &batch);
      scrapes_->Add();
      Deliver(&batch, next_ms);
      // After a stall (a suspended machine) go on at the present: a scraper does not make up for missed scrapes.
      int64_t now_ms = host_->clock().NowMs();
      next_ms = std::max(next_ms + options_.interval_ms, now_ms / options_.interval_ms * options_.interval_ms);
    }
  }

  // RETURNS: false when the source is stopped.
  bool SleepUntil(int64_t t_ms) {
    while (!stop_) {
      int64_t wait_ms = t_ms - host_->clock().NowMs();
      if (wait_ms <= 0) {
        return true;
      }
      host_->clock().SleepMs(std::min(wait_ms, kSleepSliceMs));
    }
    return false;
  }

  // Offers the batch until the next scrape is due.
  void Deliver(SampleBatch* batch, int64_t t_ms) {
    size_t samples = batch->samples.size();
    while (!stop_) {
      if (host_->Submit(std::move(*batch), kStream, [](const IngestOutcome&) {})) {
        host_->AdvanceStream(kStream, t_ms);  // all series of this instant are in
        return;
      }
      if (host_->clock().NowMs() >= t_ms + options_.interval_ms) {
        dropped_->Add(samples);
        return;
      }
      host_->clock().SleepMs(kSleepSliceMs);
    }
  }

  fleet::FleetOptions options_;
  SourceHost* host_ = nullptr;
  Counter* scrapes_ = nullptr;
  Counter* dropped_ = nullptr;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::unique_ptr<Source> MakeFleet(const OptionValues& values) { return std::make_unique<FleetSource>(values); }

}  // namespace

extern const Plugin fleet_source;
const Plugin fleet_source = {
    .kind = PluginKind::kSource,
    .name = "fleet",
    .help =
        "Simulates a small GPU fleet (DCGM, node, container, inference and training metrics) with a script of "
        "incidents.",
    .options = kRows,
    .make_source = MakeFleet,
    .validate = ValidateFleet,
};

}  // namespace weir::plugin
