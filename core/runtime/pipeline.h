#pragma once
// The deterministic middle of the process: engine, series resolution, watermarks and rule groups, driven by calls.
// Batches go in, due ticks run in time order over all groups, results go to a RuleOutput. It owns no thread and reads
// no clock except for durations; the same calls give the same results. Engine's thread only.

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/base/status.h"
#include "core/engine/engine.h"
#include "core/ingest/intake.h"
#include "core/plugin/plugin.h"
#include "core/rules/group.h"
#include "core/runtime/eager_watch.h"
#include "core/runtime/governor.h"
#include "core/runtime/watermarks.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace weir::runtime {

struct PipelineOptions {
  engine::Options engine;
  ingest::ResolverLimits ingest;
  WatermarkOptions watermarks;
  int64_t behind_max_ms = 600000;    // slots older than this are passed over and counted as missed
  std::vector<std::string> sources;  // names for metrics, by SampleBatch::source
  // Of resident memory. Near it new series are refused, so that those that are known keep their windows; then rules give way
  // (Governor). 0: no limit.
  uint64_t memory_max_bytes = 0;
  std::function<uint64_t()> resident_bytes;  // asked about once a second, and while series are made
  std::function<void()> return_free_memory;  // gives the kernel back what the heap holds without need
};

// What rules see beside the samples; may change at a reload.
struct RuleSettings {
  std::vector<rules::GroupDefinition> groups;
  Labels external_labels;
  std::string external_url;
  int64_t resend_delay_ms = 60000;
  promql::ParserOptions parser;
};

class Pipeline {
 public:
  Pipeline(PipelineOptions options, const Clock* clock, MetricRegistry* metrics, rules::RuleOutput* output);
  ~Pipeline();

  // Builds the groups and then replaces the old ones: unchanged groups go on undisturbed, changed ones take over what
  // they can, windows of unchanged selectors stay. ERRORS: kUnsupported, naming every rule that is not evaluated;
  // nothing has changed then.
  Status SetRules(RuleSettings settings, int64_t now_ms);
  void SetWatermarkOptions(const WatermarkOptions& options) { watermarks_.SetOptions(options); }
  void SetMemoryMax(uint64_t bytes);

  struct Times {
    int64_t oldest_ms = INT64_MAX;
    int64_t newest_ms = INT64_MIN;
  };
  // RETURNS: of the batch's samples.
  static Times TimesOf(const plugin::SampleBatch& batch);
  struct Arrival {
    plugin::SampleBatch* batch = nullptr;
    std::string_view stream;
    int64_t arrived_ms = 0;
    Times times;                           // TimesOf(batch)
    const ingest::Parts* parts = nullptr;  // null: made when they are needed
    plugin::IngestOutcome outcome;         // set by Apply
  };
  // Takes batches in this order, as if one came after the other.
  void Apply(std::span<Arrival> arrivals);
  plugin::IngestOutcome Apply(plugin::SampleBatch& batch, std::string_view stream, int64_t arrived_ms);
  // RETURNS: how many shards take in parts of a batch at once.
  uint32_t shards() const { return engine_.shards(); }
  // RETURNS: the newest sample time up to which batches can be taken together: none of them makes a tick due. INT64_MIN: one by
  // one.
  int64_t TogetherUntilMs() const;
  void AdvanceStream(std::string_view stream, int64_t t_ms, int64_t now_ms);
  void CloseStream(std::string_view stream);

  // `turn(after_ms)` is called many times a millisecond while a tick or another walk over all series runs. It may call Apply with
  // batches all of whose samples are later than `after_ms`, and AdvanceStream and CloseStream: results are those of applying
  // them afterwards. Not called in event time and while catching up, where order in the stream decides.
  void SetYield(std::function<void(int64_t after_ms)> turn);

  // Ticks follow the samples and not the clock, from the first sample on. REQUIRES: before the first batch.
  void UseEventTime();
  // Until every begun catch-up is done, ticks wait for the watermark alone; results of ticks up to the begin are not
  // emitted.
  void BeginCatchUp(std::string_view source, int64_t now_ms);
  void CatchUpDone(std::string_view source);
  bool catching_up() const { return !catch_ups_.empty(); }

  // Runs every tick that is due at `now_ms`. RETURNS: how long nothing can become due without a new batch; at most a
  // second.
  int64_t RunDue(int64_t now_ms);
  // The input has ended: runs the ticks that its samples reach.
  void Finish(int64_t now_ms);

  // RETURNS: how much history makes all results whole, chains of rules included.
  int64_t HistoryMs() const { return history_ms_; }
  int64_t last_tick_ms() const { return last_tick_ms_; }  // INT64_MIN before the first
  // RETURNS: the newest time that queries can be answered for without running ahead of samples or rules; INT64_MIN before the
  // first tick.
  int64_t QueryableMs() const { return std::min(last_tick_ms_, SettledMs()); }
  engine::Engine& engine() { return engine_; }
  // In the order of their files, as they run: slowed or with rules stopped where memory is short.
  std::vector<rules::Group*> Groups();
  const RuleSettings& settings() const { return settings_; }
  // RETURNS: what the rules hold, numbered over all groups, as of the last look some seconds ago; may be empty.
  const std::vector<RuleLoad>& rule_loads() const { return rule_loads_; }
  // RETURNS: the importance of each rule, numbered likewise.
  const std::vector<int>& importances() const { return governor_.importances(); }

  struct Counts {
    uint64_t samples = 0;  // written since the start
    uint64_t ticks = 0;
    size_t series = 0;  // about a second old
    size_t rules = 0;
    size_t pending = 0;
    size_t firing = 0;
    double tick_seconds = 0;  // of the last tick
  };
  Counts Count() const;
  void UpdateGauges(int64_t now_ms);

 private:
  struct Scheduled {
    std::unique_ptr<rules::Group> group;
    int64_t next_ms = 0;
    size_t rank = 0;  // among groups of one instant
  };
  struct Retired {
    std::unique_ptr<rules::Group> group;
    int64_t until_ms = 0;  // when its series end
  };
  // What became of the samples of one source.
  struct SourceCounters {
    Counter* written = nullptr;
    Counter* duplicates = nullptr;
    Counter* rejected = nullptr;
    Counter* over_budget = nullptr;
    Counter* invalid = nullptr;
  };
  // While one lives, samples come in between slots of what is computed; see SetYield.
  class Yielding {
   public:
    Yielding(Pipeline& pipeline, int64_t t_ms);
    ~Yielding();
    Yielding(const Yielding&) = delete;
    Yielding& operator=(const Yielding&) = delete;

   private:
    Pipeline& pipeline_;
    bool on_;
  };
  // Counts late samples and such.
  void LookAt(const Arrival& arrival, bool past);
  enum class Due : unsigned char { kNo, kComplete, kDeadline };
  struct Metrics;

  // Brings the groups that run in line with governor_.groups(). ERRORS: as SetRules; nothing has changed then.
  Status Install(int64_t now_ms);
  void Schedule(std::vector<Scheduled> groups, int64_t now_ms);
  int64_t NextTick() const;
  // RETURNS: the time up to which no evaluation is to come and all recorded samples are there: before the next slot of every
  // group, less its query offset.
  int64_t SettledMs() const;
  Due IsDue(int64_t tick_ms, int64_t now_ms) const;
  void PassOverMissed(int64_t now_ms);
  void RunTick(int64_t tick_ms, int64_t now_ms, Due due);
  void RunRetired(int64_t tick_ms, bool emit);
  void StartAtFirstSample(int64_t oldest_ms);
  void EndSilentCatchUp(int64_t now_ms);
  void ReleaseBeforeFirstTick();
  void CountOutcome(uint32_t source, std::string_view stream, const plugin::IngestOutcome& outcome);
  // Refuses new series while memory is short, and lets rules give way and come back.
  void WatchMemory(int64_t now_ms);
  // RETURNS: resident memory, after free memory was given back if that is worth trying.
  uint64_t ReadMemory();
  void LookAtGrowth();
  void SetAdmitting(bool admitting, uint64_t used);
  // Asks the governor, and changes the rules if it says so. `ask`: its answer.
  void Govern(int64_t now_ms, const std::function<bool()>& ask);
  // `stats`: as of Engine::Loads.
  std::vector<RuleLoad> LoadsOfRules(engine::SeriesStats* stats = nullptr);
  void UpdateBudgetMetrics(int64_t now_ms);
  void UpdateIngestMetrics();
  // Evaluates and arms the eager alerts that wait for it. RETURNS: when there is more to do, INT64_MAX for never.
  int64_t RunEager(int64_t now_ms);
  // Tells the eager alerts where time is; `arrived_ns`: of the batch, 0 for none.
  void SetEagerMoment(int64_t now_ms, int64_t arrived_ns);
  bool Emits(int64_t tick_ms) const { return tick_ms > emit_after_ms_; }

  const PipelineOptions options_;
  const Clock* clock_;
  MetricRegistry* registry_;
  engine::Engine engine_;
  ingest::Intake intake_;
  Watermarks watermarks_;
  EagerWatch eager_;
  rules::RuleEnvironment environment_;
  RuleSettings settings_;  // as configured
  Governor governor_;
  uint64_t memory_max_ = 0;
  bool memory_wanted_ = false;
  int64_t watched_ms_ = INT64_MIN;
  int64_t returned_ns_ = INT64_MIN;  // when free memory was given back
  int64_t return_took_ns_ = 0;
  int64_t return_pause_ns_ = 0;
  std::vector<RuleLoad> rule_loads_;
  std::vector<Scheduled> groups_;  // in order of files
  std::vector<Retired> retired_;
  std::map<std::string, SourceCounters, std::less<>> source_counters_;
  ingest::ResolverStats ingest_stats_;  // as last added to the metrics
  engine::SeriesStats tape_stats_;      // the same, of tapes
  std::unique_ptr<Metrics> metrics_;

  std::function<void(int64_t after_ms)> turn_;
  bool yielding_ = false;
  int64_t taken_in_yields_ns_ = 0;  // how long batches have taken there
  int64_t yield_after_ms_ = 0;      // a sample later than this changes nothing that is being computed
  bool event_time_ = false;
  bool started_ = false;  // slots are set: at the first sample in event time and catch-up, at once otherwise
  std::set<std::string, std::less<>> catch_ups_;
  int64_t catch_up_heard_ms_ = 0;  // when a catch-up last made progress
  int64_t emit_after_ms_ = INT64_MIN;
  int64_t last_tick_ms_ = INT64_MIN;
  int64_t last_run_ms_ = INT64_MIN;
  int64_t stalled_until_ms_ = INT64_MIN;
  int64_t expired_ms_ = INT64_MIN;
  int64_t released_ms_ = INT64_MIN;  // before the first tick
  int64_t advanced_ms_ = 0;
  int64_t gauges_ms_ = INT64_MIN;
  int64_t gauges_every_ms_ = 0;
  int64_t history_ms_ = 0;
  uint64_t samples_ = 0;
  uint64_t ticks_ = 0;
  double tick_seconds_ = 0;
  size_t series_ = 0;
};

}  // namespace weir::runtime
