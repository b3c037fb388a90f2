#pragma once
// The process: one engine thread around a Pipeline, the sources and sinks, the HTTP server, reload and orderly end.
// Sources push batches through a bounded queue; everything else that wants the engine posts a task. Thread-safe unless
// said otherwise.

#include "core/base/clock.h"
#include "core/base/http_server.h"
#include "core/base/metrics.h"
#include "core/base/status.h"
#include "core/plugin/plugin.h"
#include "core/runtime/batch_pool.h"
#include "core/runtime/engine_queue.h"
#include "core/runtime/pipeline.h"
#include "core/runtime/settings.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace weir::runtime {

// One sink with what is done to results before it sees them. Engine's thread, but for Start and Drain.
class SinkInstance final : public plugin::SinkHost {
 public:
  SinkInstance(SinkSpec spec, Labels external_labels, const Clock* clock, MetricRegistry* metrics);
  Status Start();
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results);
  void OnAlerts(const std::shared_ptr<const plugin::AlertBatch>& alerts);
  void Drain(int64_t timeout_ms) { sink_->Drain(timeout_ms); }
  bool TakesSamples() const { return sink_->TakesSamples(); }
  const std::string& name() const { return spec_.name; }

  const Clock& clock() const override { return *clock_; }
  MetricRegistry& metrics() override { return *metrics_; }
  const Labels& external_labels() const override { return shown_labels_; }

 private:
  struct HashOf {
    size_t operator()(const Labels& labels) const { return static_cast<size_t>(labels.Hash()); }
  };
  // RETURNS: a result's label set as the sink gets it; null when relabelling drops it.
  std::shared_ptr<const Labels> Relabel(const Labels& labels);

  SinkSpec spec_;
  Labels external_labels_;
  Labels shown_labels_;  // empty when they have been applied before the sink sees a sample
  const Clock* clock_;
  MetricRegistry* metrics_;
  std::unique_ptr<plugin::Sink> sink_;
  std::unordered_map<Labels, std::shared_ptr<const Labels>, HashOf> relabelled_;
};

// A picture of the process for the status line.
struct Figures {
  uint64_t samples = 0;
  size_t series = 0;
  size_t rules = 0;
  size_t pending = 0;
  size_t firing = 0;
  double tick_seconds = 0;
  int64_t last_tick_ms = INT64_MIN;
  bool catching_up = false;
};

class Runtime final : private rules::RuleOutput {
 public:
  // `reload` loads the settings anew.
  Runtime(Settings settings, std::function<Result<Settings>()> reload, const Clock& clock, MetricRegistry& registry);
  ~Runtime() override;

  // Plans the rules. ERRORS: kUnsupported, one line per rule; nothing has been started then.
  Status Prepare();
  // Starts sinks, sources, the engine's thread, and serves HTTP. Routes of others must be set before. ERRORS: a source
  // or sink that cannot start; kUnavailable when the address is taken.
  Status Start();
  // Ends in order: sources stop, what is queued is evaluated, sinks send what they hold, for as long as the settings
  // allow.
  void Stop();

  HttpServer& http() { return *http_; }
  // Runs `task` on the engine's thread. RETURNS: false when it does not take tasks: overloaded or stopped.
  bool Post(std::function<void(Pipeline&)> task);
  // Loads the configuration anew and applies it. ERRORS: what is wrong; nothing has changed then. Blocks; not for HTTP
  // threads.
  Status Reload();
  // Reloads on a thread of the runtime's own, then calls `done` there. RETURNS: false while another reload waits.
  bool ReloadLater(std::function<void(Status)> done);

  // RETURNS: true when every source has an end and has reached it.
  bool Finished() const;
  // RETURNS: whether queries make sense: started, and not re-reading the past.
  bool Ready() const { return ready_ && !catching_up_; }
  Figures GetFigures() const;
  std::string ShownConfig() const;
  int64_t start_ms() const { return start_ms_; }
  bool last_reload_ok() const { return reload_ok_.value() != 0; }
  int64_t last_reload_ms() const { return static_cast<int64_t>(reload_time_.value() * 1000); }
  const Clock& clock() const { return clock_; }
  MetricRegistry& metrics() { return registry_; }

  // One turn of the engine's thread, for tests that drive it by hand: what is queued, then the ticks that are due.
  // REQUIRES: Prepare(), and that Start() was not called. RETURNS: how long nothing can become due.
  int64_t Turn();

 private:
  // What one source sees of the process. Thread-safe.
  class Door final : public plugin::SourceHost {
   public:
    Door(Runtime* runtime, uint32_t source) : runtime_(*runtime), source_(source) {}
    const Clock& clock() const override { return runtime_.clock_; }
    MetricRegistry& metrics() override { return runtime_.registry_; }
    bool type_and_unit_labels() const override { return runtime_.type_and_unit_labels_; }
    plugin::SampleBatch TakeBatch() override { return runtime_.spare_batches_.Take(); }
    bool Submit(plugin::SampleBatch&& batch, std::string_view stream,
                std::function<void(const plugin::IngestOutcome&)> done) override;
    void AdvanceStream(std::string_view stream, int64_t t_ms) override;
    void CloseStream(std::string_view stream) override;
    void HandleHttp(std::string path, HttpHandler handler) override;
    int64_t LongestWindowMs() const override { return runtime_.history_ms_; }
    void BeginCatchUp(std::string_view source) override;
    void CatchUpDone(std::string_view source) override;

   private:
    Runtime& runtime_;
    const uint32_t source_;
  };
  // RuleOutput
  bool TakesSamples() const override;
  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override;
  void OnAlerts(plugin::AlertBatch alerts) override;

  using Sinks = std::vector<std::unique_ptr<SinkInstance>>;
  Result<Sinks> MakeSinks(const Settings& settings);
  Status StartSources();
  void Loop();
  // Runs the ticks that are due, those too that samples taken in meanwhile make due.
  int64_t RunDue();
  // Takes the batch in, and with several shards those behind it that can go along.
  void ApplyBatches(QueueItem item);
  void ApplyTogether(std::span<QueueItem> items);
  // Between two slots of a tick: takes in what waits, every now and then and for a bounded time.
  void Yield(int64_t after_ms);
  void Note(std::function<void(Pipeline&)> note);
  Status Apply(Settings settings);
  void DrainSinks(Sinks& sinks);
  void UpdateFigures(int64_t now_ms);
  int64_t Now();

  const Clock& clock_;
  MetricRegistry& registry_;
  std::function<Result<Settings>()> load_;
  Settings settings_;                         // lists and limits; the pipeline has its own copy of the rules
  std::vector<std::unique_ptr<Door>> doors_;  // of the sources; outlive them and what they have queued
  EngineQueue queue_;
  BatchPool spare_batches_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<HttpServer> http_;
  std::vector<std::unique_ptr<plugin::Source>> sources_;
  Sinks sinks_;              // engine's thread once started
  Relabeler alert_relabel_;  // engine's thread once started
  Labels external_labels_;   // engine's thread once started
  std::thread thread_;
  std::atomic<bool> stopping_{false};  // no new reloads
  std::atomic<bool> ending_{false};    // the engine's thread finishes what is queued and ends
  std::atomic<bool> ready_{false};
  std::atomic<bool> catching_up_{false};
  std::atomic<int64_t> history_ms_{0};
  bool started_ = false;
  const bool type_and_unit_labels_;
  int64_t start_ms_ = 0;

  // the wall clock made monotonic; engine's thread
  int64_t now_ms_ = INT64_MIN;
  int64_t now_mono_ns_ = 0;
  bool stepped_back_ = false;
  bool taken_in_yield_ = false;  // samples, since the last RunDue began
  int64_t yielded_ns_ = 0;
  int64_t tick_slice_ns_ = 0;
  int64_t figures_ms_ = 0;
  int64_t spare_ms_ = 0;  // when spare batches were looked at
  Counter& steps_back_;
  Counter& refused_batches_;
  Counter& refused_notes_;
  HistogramMetric& ingest_wait_;
  Gauge& queue_batches_;
  Gauge& queue_bytes_;
  Gauge& spare_bytes_;
  Gauge& body_bytes_;
  Counter& refused_bodies_;
  Counter& refused_connections_;
  Gauge& reload_ok_;
  Gauge& reload_time_;

  std::mutex reload_mutex_;  // one reload at a time
  std::thread reload_thread_;
  std::atomic<bool> reload_running_{false};
  mutable std::mutex shown_mutex_;
  Figures figures_;
  std::string shown_config_;
};

}  // namespace weir::runtime
