#include "core/runtime/runtime.h"

#include "core/base/log.h"
#include "core/base/process_memory.h"
#include "core/base/state_directory.h"

#include <algorithm>
#include <future>
#include <utility>

namespace weir::runtime {
namespace {

constexpr size_t kSpareBatchBytes = 4ULL << 20;
constexpr int64_t kSpareIdleMs = 10000;  // spare batches that nobody wants for so long are freed
constexpr int kItemsPerTurn = 64;        // popped before the engine's thread looks at tasks of its own again
constexpr size_t kItemsTogether = 16;    // batches that shards take in without meeting between
constexpr int64_t kFiguresEveryMs = 200;
// A tick works so long before samples get a turn, which have so long before the tick goes on. It then has a part of the time that they
// took at least. So one batch waits for little, and the tick gets on while more come than can be taken in.
constexpr int64_t kTickSliceNs = 100000;
constexpr int64_t kIngestSliceNs = 2000000;
constexpr int64_t kTickShare = 4;
constexpr int64_t kStepBackMs = 1000;       // smaller steps of the clock are not worth a word
constexpr size_t kRelabelledMax = 2000000;  // label sets remembered per sink; beyond, all are forgotten and made again

}  // namespace

// --- sinks --------------------------------------------------------------------------------------------------------

SinkInstance::SinkInstance(SinkSpec spec, Labels external_labels, const Clock* clock, MetricRegistry* metrics)
    : spec_(std::move(spec)),
      external_labels_(std::move(external_labels)),
      shown_labels_(spec_.sample_relabel.empty() ? external_labels_ : Labels()),
      clock_(clock),
      metrics_(metrics),
      sink_(spec_.plugin->make_sink(spec_.options)) {}

Status SinkInstance::Start() { return sink_->Start(*this).WithPrefix("sink " + spec_.name + ": "); }

std::shared_ptr<const Labels> SinkInstance::Relabel(const Labels& labels) {
  const auto known = relabelled_.find(labels);
  if (known != relabelled_.end()) {
    return known->second;
  }
  if (relabelled_.size() >= kRelabelledMax) {
    relabelled_.clear();
  }
  Labels all = labels;
  for (const LabelView& label : external_labels_) {
    if (!all.Has(label.name)) {
      all.Set(label.name, label.value);
    }
  }
  std::shared_ptr<const Labels> result;
  if (std::optional<Labels> kept = spec_.sample_relabel.Process(std::move(all)); kept.has_value() && !kept->empty()) {
    result = std::make_shared<const Labels>(std::move(*kept));
  }
  relabelled_.emplace(labels, result);
  return result;
}

void SinkInstance::OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) {
  if (spec_.sample_relabel.empty()) {
    sink_->OnSamples(results);
    return;
  }
  auto changed = std::make_shared<plugin::SampleResults>();
  changed->group = results->group;
  changed->tick_ms = results->tick_ms;
  changed->samples.reserve(results->samples.size());
  for (const plugin::ResultSample& sample : results->samples) {
    if (std::shared_ptr<const Labels> labels = Relabel(*sample.labels); labels != nullptr) {
      changed->samples.push_back({std::move(labels), sample.t, sample.v, sample.h, sample.start_ms});
    }
  }
  if (!changed->samples.empty()) {
    sink_->OnSamples(changed);
  }
}

void SinkInstance::OnAlerts(const std::shared_ptr<const plugin::AlertBatch>& alerts) {
  if (spec_.alert_relabel.empty()) {
    sink_->OnAlerts(alerts);
    return;
  }
  auto changed = std::make_shared<plugin::AlertBatch>();
  changed->tick_ms = alerts->tick_ms;
  for (const plugin::Alert& alert : alerts->alerts) {
    if (std::optional<Labels> kept = spec_.alert_relabel.Process(alert.labels); kept.has_value()) {
      changed->alerts.push_back(alert);
      changed->alerts.back().labels = std::move(*kept);
    }
  }
  if (!changed->alerts.empty()) {
    sink_->OnAlerts(changed);
  }
}

// --- life ---------------------------------------------------------------------------------------------------------

Runtime::Runtime(Settings settings, std::function<Result<Settings>()> reload, const Clock& clock,
                 MetricRegistry& registry)
    : clock_(clock),
      registry_(registry),
      load_(std::move(reload)),
      settings_(std::move(settings)),
      queue_(settings_.queue, settings_.pipeline.engine.shards),
      spare_batches_(kSpareBatchBytes),
      http_(std::make_unique<HttpServer>(HttpServerOptions{.listen = settings_.listen,
                                                           .body_bytes_max = settings_.body_bytes_max,
                                                           .bodies_bytes_max = settings_.bodies_bytes_max})),
      type_and_unit_labels_(settings_.type_and_unit_labels),
      steps_back_(registry.GetCounter("weir_clock_steps_back_total",
                                      "Times the wall clock stepped back; time went on regardless.")),
      refused_batches_(
          registry.GetCounter("weir_queue_refused_batches_total", "Batches that found the engine's queue full.")),
      refused_notes_(registry.GetCounter("weir_queue_refused_notes_total",
                                         "Words of sources about streams that found the queue full.")),
      ingest_wait_(registry.GetHistogram("weir_ingest_wait_seconds",
                                         "How long batches waited, from the queue to the end of their application.",
                                         {0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1})),
      queue_batches_(registry.GetGauge("weir_queue_batches", "Batches that wait for the engine.")),
      queue_bytes_(registry.GetGauge("weir_queue_bytes", "Bytes of batches that wait for the engine.")),
      spare_bytes_(registry.GetGauge("weir_spare_batch_bytes", "Memory kept for batches to come.")),
      body_bytes_(registry.GetGauge("weir_http_body_bytes", "Bytes of request bodies that are being read.")),
      refused_bodies_(registry.GetCounter("weir_http_refused_bodies_total",
                                          "Requests refused because bodies of all connections took too much memory.")),
      refused_connections_(registry.GetCounter("weir_http_refused_connections_total",
                                               "Connections refused because there were too many.")),
      reload_ok_(registry.GetGauge("prometheus_config_last_reload_successful",
                                   "Whether the last reload of the configuration succeeded.")),
      reload_time_(registry.GetGauge("prometheus_config_last_reload_success_timestamp_seconds",
                                     "When the configuration was last loaded.")) {
  start_ms_ = clock_.NowMs();
  shown_config_ = settings_.shown_config;
}

Runtime::~Runtime() { Stop(); }

Status Runtime::Prepare() {
  if (!settings_.state_dir.empty()) {
    WEIR_ASSIGN_OR_RETURN(settings_.pipeline.engine.state, StateDirectory::Open(settings_.state_dir));
  }
  pipeline_ =
      std::make_unique<Pipeline>(settings_.pipeline, &clock_, &registry_, static_cast<rules::RuleOutput*>(this));
  MapLargeBlocks();
  if (settings_.pipeline.memory_max_bytes > 0) {
    LogInfo("memory is limited", {{"bytes", std::to_string(settings_.pipeline.memory_max_bytes)}});
  }
  pipeline_->SetYield([this](int64_t after_ms) { Yield(after_ms); });
  alert_relabel_ = settings_.alert_relabel;
  external_labels_ = settings_.rules.external_labels;
  WEIR_RETURN_IF_ERROR(pipeline_->SetRules(settings_.rules, Now()));
  history_ms_ = pipeline_->HistoryMs();
  reload_ok_.Set(1);
  reload_time_.Set(static_cast<double>(clock_.NowMs()) / 1000);
  WEIR_ASSIGN_OR_RETURN(sinks_, MakeSinks(settings_));
  return {};
}

Result<Runtime::Sinks> Runtime::MakeSinks(const Settings& settings) {
  Sinks sinks;
  for (const SinkSpec& spec : settings.sinks) {
    sinks.push_back(std::make_unique<SinkInstance>(spec, settings.rules.external_labels, &clock_, &registry_));
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    if (Status status = sinks[i]->Start(); !status.ok()) {
      sinks.resize(i);
      DrainSinks(sinks);
      return status;
    }
  }
  return sinks;
}

Status Runtime::StartSources() {
  for (const SourceSpec& spec : settings_.sources) {
    std::unique_ptr<plugin::Source> source = spec.plugin->make_source(spec.options);
    doors_.push_back(std::make_unique<Door>(this, static_cast<uint32_t>(doors_.size())));
    WEIR_RETURN_IF_ERROR(source->Start(*doors_.back()).WithPrefix("source " + spec.name + ": "));
    if (source->EventTime()) {
      pipeline_->UseEventTime();
    }
    sources_.push_back(std::move(source));
  }
  return {};
}

Status Runtime::Start() {
  WEIR_RETURN_IF_ERROR(StartSources());
  WEIR_RETURN_IF_ERROR(http_->Start());
  started_ = true;
  thread_ = std::thread([this] { Loop(); });
  ready_ = true;
  return {};
}

void Runtime::Stop() {
  if (stopping_.exchange(true)) {
    return;
  }
  ready_ = false;
  if (reload_thread_.joinable()) {
    reload_thread_.join();
  }
  for (const std::unique_ptr<plugin::Source>& source : sources_) {
    source->Stop();
  }
  queue_.Close();
  ending_ = true;
  queue_.Wake();
  if (thread_.joinable()) {
    thread_.join();
  }
  DrainSinks(sinks_);
  http_->Stop();
}

void Runtime::DrainSinks(Sinks& sinks) {
  std::vector<std::thread> drains;
  drains.reserve(sinks.size());
  for (const std::unique_ptr<SinkInstance>& sink : sinks) {
    drains.emplace_back([this, &sink] { sink->Drain(settings_.drain_ms); });
  }
  for (std::thread& drain : drains) {
    drain.join();
  }
  sinks.clear();
}

bool Runtime::Finished() const {
  return !sources_.empty() && queue_.batches() == 0 &&
         std::all_of(sources_.begin(), sources_.end(), [](const auto& source) { return source->Finished(); });
}

// --- the engine's thread ------------------------------------------------------------------------------------------

int64_t Runtime::Now() {
  const int64_t wall_ms = clock_.NowMs();
  const int64_t mono_ns = clock_.MonotonicNs();
  if (now_ms_ == INT64_MIN || wall_ms >= now_ms_) {
    now_ms_ = wall_ms;
    stepped_back_ = false;
  } else {
    // Slots and appended samples cannot be taken back: time goes on at its own pace until the clock has caught up.
    if (now_ms_ - wall_ms > kStepBackMs && !stepped_back_) {
      stepped_back_ = true;
      steps_back_.Add();
      LogWarn("the wall clock stepped back; ticks go on without a step", {{"ms", std::to_string(now_ms_ - wall_ms)}});
    }
    const int64_t passed_ms = (mono_ns - now_mono_ns_) / 1000000;
    if (passed_ms <= 0) {
      return now_ms_;
    }
    now_ms_ += passed_ms;
  }
  now_mono_ns_ = mono_ns;
  return now_ms_;
}

int64_t Runtime::Turn() {
  QueueItem item;
  for (int n = 0; n < kItemsPerTurn && queue_.Pop(&item); ++n) {
    if (item.task != nullptr) {
      item.task();
      continue;
    }
    ApplyBatches(std::move(item));
    RunDue();
  }
  const int64_t wait_ms = RunDue();
  catching_up_ = pipeline_->catching_up();
  if (Now() - figures_ms_ >= kFiguresEveryMs) {
    UpdateFigures(Now());
  }
  return wait_ms;
}

// What came in while it ran may have made a tick due, which nobody else would see to before the next batch.
int64_t Runtime::RunDue() {
  int64_t wait_ms = 0;
  do {
    taken_in_yield_ = false;
    wait_ms = pipeline_->RunDue(Now());
  } while (taken_in_yield_);
  return wait_ms;
}

void Runtime::ApplyBatches(QueueItem item) {
  std::vector<QueueItem> items;
  const int64_t until_ms = pipeline_->TogetherUntilMs();
  // The last one may make a tick due; those before it must not.
  const bool more = item.times.newest_ms <= until_ms;
  items.push_back(std::move(item));
  for (QueueItem next; more && items.size() < kItemsTogether && queue_.PopBatch(until_ms, &next);) {
    items.push_back(std::move(next));
  }
  ApplyTogether(items);
}

void Runtime::ApplyTogether(std::span<QueueItem> items) {
  std::vector<Pipeline::Arrival> arrivals;
  arrivals.reserve(items.size());
  for (QueueItem& item : items) {
    arrivals.push_back(
        {&item.batch, item.stream, item.arrived_ms, item.times, item.parts.ends.empty() ? nullptr : &item.parts, {}});
  }
  pipeline_->Apply(arrivals);
  const int64_t now_ns = clock_.MonotonicNs();
  for (size_t i = 0; i < items.size(); ++i) {
    ingest_wait_.Observe(static_cast<double>(std::max<int64_t>(0, now_ns - items[i].queued_ns)) * 1e-9);
    if (items[i].done != nullptr) {
      items[i].done(arrivals[i].outcome);
    }
    spare_batches_.Give(std::move(items[i].batch));
  }
}

void Runtime::Yield(int64_t after_ms) {
  const int64_t began_ns = clock_.MonotonicNs();
  if (began_ns - yielded_ns_ < tick_slice_ns_) {
    return;
  }
  QueueItem item;
  while (queue_.PopSamples(after_ms, &item)) {
    taken_in_yield_ = true;
    if (item.task != nullptr) {
      item.task();
      item.task = nullptr;
    } else {
      ApplyTogether({&item, 1});
    }
    if (clock_.MonotonicNs() - began_ns >= kIngestSliceNs) {
      break;
    }
  }
  yielded_ns_ = clock_.MonotonicNs();
  tick_slice_ns_ = std::max(kTickSliceNs, (yielded_ns_ - began_ns) / kTickShare);
}

void Runtime::Loop() {
  while (!ending_) {
    queue_.Wait(std::max<int64_t>(1, Turn()));
  }
  while (!queue_.empty()) {
    Turn();
  }
  pipeline_->Finish(Now());
}

void Runtime::UpdateFigures(int64_t now_ms) {
  figures_ms_ = now_ms;
  const Pipeline::Counts counts = pipeline_->Count();
  queue_batches_.Set(static_cast<double>(queue_.batches()));
  queue_bytes_.Set(static_cast<double>(queue_.bytes()));
  body_bytes_.Set(static_cast<double>(http_->body_bytes()));
  refused_bodies_.Add(http_->refused_bodies() - refused_bodies_.value());
  refused_connections_.Add(http_->refused_connections() - refused_connections_.value());
  if (now_ms - spare_ms_ >= kSpareIdleMs) {
    spare_ms_ = now_ms;
    spare_batches_.ReleaseIfIdle();
  }
  spare_bytes_.Set(static_cast<double>(spare_batches_.bytes()));
  const std::lock_guard lock(shown_mutex_);
  figures_.samples = counts.samples;
  figures_.series = counts.series;
  figures_.rules = counts.rules;
  figures_.pending = counts.pending;
  figures_.firing = counts.firing;
  figures_.tick_seconds = counts.tick_seconds;
  figures_.last_tick_ms = pipeline_->last_tick_ms();
  figures_.catching_up = catching_up_;
}

bool Runtime::TakesSamples() const {
  return std::any_of(sinks_.begin(), sinks_.end(), [](const auto& sink) { return sink->TakesSamples(); });
}

void Runtime::OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) {
  for (const std::unique_ptr<SinkInstance>& sink : sinks_) {
    sink->OnSamples(results);
  }
}

void Runtime::OnAlerts(plugin::AlertBatch alerts) {
  auto batch = std::make_shared<plugin::AlertBatch>();
  batch->tick_ms = alerts.tick_ms;
  for (plugin::Alert& alert : alerts.alerts) {
    for (const LabelView& label : external_labels_) {
      if (!alert.labels.Has(label.name)) {
        alert.labels.Set(label.name, label.value);
      }
    }
    if (std::optional<Labels> kept = alert_relabel_.Process(std::move(alert.labels)); kept.has_value()) {
      alert.labels = std::move(*kept);
      batch->alerts.push_back(std::move(alert));
    }
  }
  if (batch->alerts.empty()) {
    return;
  }
  for (const std::unique_ptr<SinkInstance>& sink : sinks_) {
    sink->OnAlerts(batch);
  }
}

// --- what sources say ---------------------------------------------------------------------------------------------

bool Runtime::Door::Submit(plugin::SampleBatch&& batch, std::string_view stream,
                           std::function<void(const plugin::IngestOutcome&)> done) {
  Runtime& r = runtime_;
  if (batch.arrived_ns == 0) {
    batch.arrived_ns = r.clock_.MonotonicNs();
  }
  batch.source = source_;
  if (r.queue_.PushBatch(std::move(batch), stream, r.clock_.NowMs(), r.clock_.MonotonicNs(), std::move(done))) {
    return true;
  }
  r.refused_batches_.Add();
  return false;
}

void Runtime::Note(std::function<void(Pipeline&)> note) {
  if (!queue_.PushNote([this, note = std::move(note)] { note(*pipeline_); })) {
    refused_notes_.Add();
  }
}

void Runtime::Door::AdvanceStream(std::string_view stream, int64_t t_ms) {
  runtime_.Note([&r = runtime_, stream = std::string(stream), t_ms](Pipeline& pipeline) {
    pipeline.AdvanceStream(stream, t_ms, r.Now());
  });
}

void Runtime::Door::CloseStream(std::string_view stream) {
  runtime_.Note([stream = std::string(stream)](Pipeline& pipeline) { pipeline.CloseStream(stream); });
}

void Runtime::Door::HandleHttp(std::string path, HttpHandler handler) {
  runtime_.http_->Handle(std::move(path), std::move(handler));
}

void Runtime::Door::BeginCatchUp(std::string_view source) {
  runtime_.catching_up_ = true;
  runtime_.Note(
      [&r = runtime_, source = std::string(source)](Pipeline& pipeline) { pipeline.BeginCatchUp(source, r.Now()); });
}

void Runtime::Door::CatchUpDone(std::string_view source) {
  runtime_.Note([source = std::string(source)](Pipeline& pipeline) { pipeline.CatchUpDone(source); });
}

bool Runtime::Post(std::function<void(Pipeline&)> task) {
  return queue_.PushTask([this, task = std::move(task)] { task(*pipeline_); });
}

Figures Runtime::GetFigures() const {
  const std::lock_guard lock(shown_mutex_);
  return figures_;
}

std::string Runtime::ShownConfig() const {
  const std::lock_guard lock(shown_mutex_);
  return shown_config_;
}

// --- reload -------------------------------------------------------------------------------------------------------

Status Runtime::Reload() {
  const std::lock_guard lock(reload_mutex_);
  Result<Settings> loaded = load_();
  Status status = loaded.ok() ? Apply(std::move(*loaded)) : loaded.status();
  reload_ok_.Set(status.ok() ? 1 : 0);
  if (status.ok()) {
    reload_time_.Set(static_cast<double>(clock_.NowMs()) / 1000);
    LogInfo("configuration reloaded", {{"groups", std::to_string(settings_.rules.groups.size())}});
  } else {
    LogError("reload refused; the configuration before stays in force", {{"err", std::string(status.message())}});
  }
  return status;
}

Status Runtime::Apply(Settings settings) {
  const bool new_sinks = settings.plugins_key != settings_.plugins_key;
  if (settings.fixed_key != settings_.fixed_key) {
    LogWarn("listen, shards, sources, state or limits changed: they take effect at a restart");
  }
  Sinks sinks;
  if (new_sinks) {
    WEIR_ASSIGN_OR_RETURN(sinks, MakeSinks(settings));
  }
  std::promise<Status> promise;
  std::future<Status> applied = promise.get_future();
  const bool posted = Post([&](Pipeline& pipeline) {
    Status status = pipeline.SetRules(settings.rules, Now());
    if (status.ok()) {
      pipeline.SetWatermarkOptions(settings.pipeline.watermarks);
      pipeline.SetMemoryMax(settings.pipeline.memory_max_bytes);
      history_ms_ = pipeline.HistoryMs();
      alert_relabel_ = settings.alert_relabel;
      external_labels_ = settings.rules.external_labels;
      if (new_sinks) {
        sinks_.swap(sinks);
      }
    }
    promise.set_value(std::move(status));
  });
  if (!posted) {
    DrainSinks(sinks);
    return UnavailableError("the engine takes no tasks: overloaded or stopping");
  }
  Status status = applied.get();
  // After success these are the sinks before, after failure the ones that are not needed.
  DrainSinks(sinks);
  if (status.ok()) {
    settings_ = std::move(settings);
    const std::lock_guard lock(shown_mutex_);
    shown_config_ = settings_.shown_config;
  }
  return status;
}

bool Runtime::ReloadLater(std::function<void(Status)> done) {
  if (stopping_ || reload_running_.exchange(true)) {
    return false;
  }
  if (reload_thread_.joinable()) {
    reload_thread_.join();
  }
  reload_thread_ = std::thread([this, done = std::move(done)] {
    done(Reload());
    reload_running_ = false;
  });
  return true;
}

}  // namespace weir::runtime
