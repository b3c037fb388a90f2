#include "core/runtime/pipeline.h"

#include "core/base/log.h"
#include "core/rules/alerting_rule.h"
#include "core/runtime/dependencies.h"

#include <algorithm>
#include <map>
#include <utility>

namespace weir::runtime {
namespace {

constexpr int64_t kCatchUpSilenceMs = 60000;  // a catch-up that brings nothing for so long is given up
constexpr int64_t kStallMs = 5000;            // a gap between runs that means the process did not run
constexpr int64_t kExpireEveryMs = 60000;     // of tick time
constexpr int64_t kExpireShortMs = 10000;     // the same while memory is wanted
constexpr int64_t kGaugesEveryMs = 1000;
constexpr int64_t kGaugesRareMs = 60000;
constexpr int64_t kGaugesShare = 1000;  // counting passes over all series: at most one part in so many of the time
constexpr int64_t kAdvanceEveryMs = 100;
constexpr int64_t kWatchEveryMs = 1000;
// Shares of the limit of memory, in hundred.
constexpr uint64_t kRefuseAt = 90;
constexpr uint64_t kAdmitBelow = 85;
constexpr uint64_t kWantedAt = 75;              // gone series are looked for more often, and free memory is given back
constexpr int64_t kReturnEveryNs = 5000000000;  // free memory is given back …
constexpr int64_t kReturnRareNs = 80000000000;  // … where that brings little
constexpr int64_t kReturnShare = 100;           // at most one part in so many of the time
constexpr int64_t kWaitMaxMs = 1000;
constexpr int64_t kNone = INT64_MIN;
constexpr int64_t kHourMs = 3600000;
constexpr int64_t kEventGapMs = 366 * 24 * kHourMs;  // a jump of recorded time that is not walked through slot by slot

}  // namespace

struct Pipeline::Metrics {
  explicit Metrics(MetricRegistry& r)
      : late(r.GetCounter("weir_samples_late_total",
                          "Samples that arrived after a tick at or after their time had run; later ticks see them.")),
        ahead(r.GetCounter("weir_samples_ahead_total", "Samples from clocks that lead ours by more than the bound.")),
        ticks_complete(r.GetCounter("weir_ticks_total", "Ticks run, by what released them.", {{"reason", "complete"}})),
        ticks_deadline(r.GetCounter("weir_ticks_total", "Ticks run, by what released them.", {{"reason", "deadline"}})),
        incomplete(r.GetCounter("weir_ticks_incomplete_total",
                                "Ticks that ran at their deadline before all live streams had passed them.")),
        missed(r.GetCounter("weir_ticks_missed_total",
                            "Slots of groups that were passed over because they lay too far back.")),
        catch_up_given_up(
            r.GetCounter("weir_catch_up_given_up_total", "Times that re-reading the past was given up for silence.")),
        tick_duration(r.GetHistogram("weir_tick_duration_seconds", "Duration of ticks, all groups of one instant.",
                                     {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5})),
        tick_lag(r.GetHistogram("weir_tick_lag_seconds", "How long after its own time a tick ran.",
                                {0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60})),
        last_tick(r.GetGauge("weir_last_tick_timestamp_seconds", "Time of the newest tick that ran.")),
        lateness(r.GetGauge("weir_lateness_seconds", "How long after its own time a tick runs at the latest.")),
        complete(r.GetGauge("weir_watermark_timestamp_seconds", "Time up to which all live streams are complete.")),
        streams(r.GetGauge("weir_streams_live", "Streams that hold ticks.")),
        series(r.GetGauge("weir_series", "Series with window state.")),
        unread(r.GetGauge("weir_series_ignored", "Series that are known but read by no rule.")),
        kept(r.GetGauge("weir_window_samples", "Samples kept in windows.")),
        window_bytes(r.GetGauge("weir_window_bytes", "Memory of windows.")),
        spare_window_bytes(r.GetGauge("weir_spare_window_bytes", "Memory kept for windows to come.")),
        label_bytes(r.GetGauge("weir_label_bytes", "Memory of labels.")),
        nodes(r.GetGauge("weir_plan_nodes", "Nodes of the evaluation graph.")),
        node_bytes(r.GetGauge("weir_plan_bytes", "Memory of the evaluation graph.")),
        rule_bytes(r.GetGauge("weir_rule_bytes", "Memory of recorded series' labels and of alerts.")),
        tape_bytes(r.GetGauge("weir_tape_bytes", "What the files of long windows take on disk.")),
        tape_memory(r.GetGauge("weir_tape_memory_bytes",
                               "Memory of tapes; that of the windows that read them is their nodes'.")),
        tape_rows(r.GetCounter("weir_tape_rows_written_total", "Rows of long windows written to files.")),
        tape_read_errors(r.GetCounter("weir_tape_read_errors_total",
                                      "Evaluations that failed since rows of long windows could not be read.")),
        tape_write_errors(
            r.GetCounter("weir_tape_write_errors_total", "Rows of long windows that could not be written.")),
        refusing(r.GetGauge("weir_memory_short", "1 while new series are refused, since memory is near its limit.")),
        memory_limit(r.GetGauge("weir_memory_limit_bytes", "Limit of resident memory (limits.memory); 0: none.")),
        stopped_memory(r.GetGauge("weir_rules_stopped", "Rules that are stopped, and those that read from them.",
                                  {{"reason", "memory"}})),
        stopped_budget(r.GetGauge("weir_rules_stopped", "Rules that are stopped, and those that read from them.",
                                  {{"reason", "budget"}})),
        slowed(r.GetGauge("weir_rule_groups_slowed", "Groups that are evaluated less often, since memory is short.")),
        steps_down(r.GetTotal("weir_memory_steps_total", "Times that rules gave way for memory, or came back.",
                              {{"direction", "down"}})),
        steps_up(r.GetTotal("weir_memory_steps_total", "Times that rules gave way for memory, or came back.",
                            {{"direction", "up"}})),
        catching_up(r.GetGauge("weir_catching_up", "1 while the past is re-read.")),
        pending(r.GetGauge("weir_alerts", "Alerts by state.", {{"state", "pending"}})),
        firing(r.GetGauge("weir_alerts", "Alerts by state.", {{"state", "firing"}})) {}

  Counter& late;
  Counter& ahead;
  Counter& ticks_complete;
  Counter& ticks_deadline;
  Counter& incomplete;
  Counter& missed;
  Counter& catch_up_given_up;
  HistogramMetric& tick_duration;
  HistogramMetric& tick_lag;
  Gauge& last_tick;
  Gauge& lateness;
  Gauge& complete;
  Gauge& streams;
  Gauge& series;
  Gauge& unread;
  Gauge& kept;
  Gauge& window_bytes;
  Gauge& spare_window_bytes;
  Gauge& label_bytes;
  Gauge& nodes;
  Gauge& node_bytes;
  Gauge& rule_bytes;
  Gauge& tape_bytes;
  Gauge& tape_memory;
  Counter& tape_rows;
  Counter& tape_read_errors;
  Counter& tape_write_errors;
  Gauge& refusing;
  Gauge& memory_limit;
  Gauge& stopped_memory;
  Gauge& stopped_budget;
  Gauge& slowed;
  Gauge& steps_down;
  Gauge& steps_up;
  Gauge& catching_up;
  Gauge& pending;
  Gauge& firing;
};

Pipeline::Pipeline(PipelineOptions options, const Clock* clock, MetricRegistry* metrics, rules::RuleOutput* output)
    : options_(std::move(options)),
      clock_(clock),
      registry_(metrics),
      engine_(options_.engine),
      intake_(&engine_, options_.ingest),
      watermarks_(options_.watermarks),
      eager_(&engine_, clock, metrics),
      metrics_(std::make_unique<Metrics>(*metrics)) {
  environment_.engine = &engine_;
  environment_.output = output;
  environment_.metrics = metrics;
  environment_.clock = clock;
  SetMemoryMax(options_.memory_max_bytes);
  engine_.OnGrowth([this] { LookAtGrowth(); });
}

Pipeline::~Pipeline() = default;

// --- rules --------------------------------------------------------------------------------------------------------

Status Pipeline::SetRules(RuleSettings settings, int64_t now_ms) {
  const promql::ParserOptions parser_before = std::exchange(environment_.parser, settings.parser);
  Governor governor_before = governor_;
  governor_.SetRules(settings.groups, options_.engine.lookback_ms);
  if (Status status = Install(now_ms); !status.ok()) {
    environment_.parser = parser_before;
    governor_ = std::move(governor_before);
    return status;
  }
  environment_.external_labels = settings.external_labels;
  environment_.external_url = settings.external_url;
  environment_.resend_delay_ms = settings.resend_delay_ms;
  history_ms_ = std::max(runtime::HistoryMs(settings.groups, options_.engine.lookback_ms), engine_.LongestWindowMs());
  settings_ = std::move(settings);
  return {};
}

Status Pipeline::Install(int64_t now_ms) {
  const std::vector<rules::GroupDefinition>& wanted = governor_.groups();
  std::vector<Scheduled> groups(wanted.size());
  std::string errors;
  Code code = Code::kOk;
  std::map<std::string, Scheduled*> old_by_key;
  for (Scheduled& old : groups_) {
    old_by_key.emplace(old.group->definition().Key(), &old);
  }
  // Plans are added while the old ones still stand, so that shared windows never lose their last reader.
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto old = old_by_key.find(wanted[i].Key());
    if (old != old_by_key.end() && old->second->group->definition() == wanted[i]) {
      continue;
    }
    Result<std::unique_ptr<rules::Group>> created = rules::Group::Create(wanted[i], &environment_);
    if (!created.ok()) {
      code = created.status().code();
      errors += (errors.empty() ? "" : "\n") + std::string(created.status().message());
      continue;
    }
    groups[i].group = std::move(*created);
  }
  if (code != Code::kOk) {
    return {code, std::move(errors)};
  }
  rule_loads_.clear();
  Schedule(std::move(groups), now_ms);
  return {};
}

void Pipeline::Schedule(std::vector<Scheduled> groups, int64_t now_ms) {
  std::map<std::string, Scheduled*> old_by_key;
  for (Scheduled& old : groups_) {
    old_by_key.emplace(old.group->definition().Key(), &old);
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    Scheduled& next = groups[i];
    const rules::GroupDefinition& definition = governor_.groups()[i];
    const auto old = old_by_key.find(definition.Key());
    if (next.group == nullptr) {  // unchanged
      next.group = std::move(old->second->group);
      next.next_ms = old->second->next_ms;
    } else if (old != old_by_key.end()) {
      next.group->TakeState(*old->second->group);
      next.next_ms = definition.slots.After(old->second->next_ms - old->second->group->definition().slots.interval_ms);
      old->second->group.reset();
    } else {
      const auto retired = std::find_if(retired_.begin(), retired_.end(), [&](const Retired& r) {
        return r.group->definition().Key() == definition.Key();
      });
      if (retired != retired_.end()) {
        next.group->TakeState(*retired->group);
        retired_.erase(retired);
      }
      next.next_ms = definition.slots.After(std::max(now_ms, last_tick_ms_));
    }
  }
  for (Scheduled& old : groups_) {
    if (old.group != nullptr) {
      const int64_t interval_ms = old.group->definition().slots.interval_ms;
      retired_.push_back({std::move(old.group), old.next_ms + interval_ms});
    }
  }
  groups_ = std::move(groups);
  const std::vector<size_t> order = OrderGroups(governor_.groups());
  for (size_t rank = 0; rank < order.size(); ++rank) {
    groups_[order[rank]].rank = rank;
  }
  if (!event_time_ && catch_ups_.empty()) {
    started_ = true;
  }
  eager_.SetGroups(Groups());
}

std::vector<rules::Group*> Pipeline::Groups() {
  std::vector<rules::Group*> groups;
  groups.reserve(groups_.size());
  for (Scheduled& scheduled : groups_) {
    groups.push_back(scheduled.group.get());
  }
  return groups;
}

// --- input --------------------------------------------------------------------------------------------------------

plugin::IngestOutcome Pipeline::Apply(plugin::SampleBatch& batch, std::string_view stream, int64_t arrived_ms) {
  Arrival arrival{&batch, stream, arrived_ms, TimesOf(batch), nullptr, {}};
  Apply({&arrival, 1});
  return std::move(arrival.outcome);
}

int64_t Pipeline::TogetherUntilMs() const {
  return started_ && engine_.shards() > 1 && !intake_.saw_strays() ? NextTick() - 1 : kNone;
}

Pipeline::Times Pipeline::TimesOf(const plugin::SampleBatch& batch) {
  Times times;
  const auto look = [&times](int64_t t) {
    times.oldest_ms = std::min(times.oldest_ms, t);
    times.newest_ms = std::max(times.newest_ms, t);
  };
  for (const Sample& sample : batch.samples) {
    look(sample.t);
  }
  for (const plugin::HistogramSample& sample : batch.histograms) {
    look(sample.t);
  }
  return times;
}

void Pipeline::LookAt(const Arrival& arrival, bool past) {
  const int64_t ahead_ms = past ? INT64_MAX : arrival.arrived_ms + options_.watermarks.ahead_max_ms;
  if (arrival.times.oldest_ms > last_tick_ms_ && arrival.times.newest_ms <= ahead_ms) {
    return;
  }
  uint64_t late = 0;
  uint64_t ahead = 0;
  const auto look = [&](int64_t t) {
    late += t <= last_tick_ms_ ? 1 : 0;
    ahead += t > ahead_ms ? 1 : 0;
  };
  for (const Sample& sample : arrival.batch->samples) {
    look(sample.t);
  }
  for (const plugin::HistogramSample& sample : arrival.batch->histograms) {
    look(sample.t);
  }
  if (late > 0) {
    metrics_->late.Add(late);
  }
  if (ahead > 0) {
    metrics_->ahead.Add(ahead);
  }
}

void Pipeline::Apply(std::span<Arrival> arrivals) {
  if (eager_.active() && arrivals.size() > 1) {  // each has its own time of arrival
    for (Arrival& arrival : arrivals) {
      Apply({&arrival, 1});
    }
    return;
  }
  const bool past = event_time_ || !catch_ups_.empty();
  std::vector<ingest::Intake::Item> items(arrivals.size());
  for (size_t i = 0; i < arrivals.size(); ++i) {
    const Arrival& arrival = arrivals[i];
    LookAt(arrival, past);
    items[i].batch = arrival.batch;
    items[i].stream = arrival.stream;
    // Recorded times may lie anywhere: nothing is "too far ahead" of a clock that plays no part.
    items[i].now_ms = event_time_ ? arrival.times.newest_ms : arrival.arrived_ms;
    items[i].parts = arrival.parts;
  }
  if (ticks_ == 0 && started_ && !past && !yielding_) {
    ReleaseBeforeFirstTick();
  }
  if (eager_.active()) {
    SetEagerMoment(arrivals.front().arrived_ms, arrivals.front().batch->arrived_ns);
  }
  const int64_t start_ns = yielding_ ? clock_->MonotonicNs() : 0;
  eager_.BeginBatch();
  intake_.Apply(items);
  eager_.EndBatch();
  taken_in_yields_ns_ += yielding_ ? clock_->MonotonicNs() - start_ns : 0;
  for (size_t i = 0; i < arrivals.size(); ++i) {
    Arrival& arrival = arrivals[i];
    if (items[i].newest_ms != INT64_MIN) {
      catch_up_heard_ms_ = arrival.arrived_ms;
      watermarks_.Observe(arrival.stream, arrival.times.oldest_ms, items[i].newest_ms, arrival.arrived_ms, past);
      if (!started_) {
        // One sample from long before what was asked for must not cost years of empty slots.
        const int64_t useful = catch_ups_.empty() ? INT64_MIN : emit_after_ms_ - history_ms_ - kHourMs;
        StartAtFirstSample(std::max(arrival.times.oldest_ms, useful));
      }
    }
    CountOutcome(arrival.batch->source, arrival.stream, items[i].outcome);
    samples_ += items[i].outcome.written;
    arrival.outcome = std::move(items[i].outcome);
  }
}

// What senders deliver of the time before the first tick is kept as thin as what comes later.
void Pipeline::ReleaseBeforeFirstTick() {
  const int64_t settled_ms = SettledMs();
  if (settled_ms != released_ms_ && settled_ms != INT64_MAX) {
    released_ms_ = settled_ms;
    engine_.Release(settled_ms);
  }
}

void Pipeline::SetEagerMoment(int64_t now_ms, int64_t arrived_ns) {
  eager_.SetMoment({.now_ms = now_ms,
                    .arrived_ns = arrived_ns,
                    .latest_ms = event_time_ ? INT64_MAX : now_ms + options_.watermarks.ahead_max_ms,
                    .last_tick_ms = last_tick_ms_,
                    .emit_after_ms = emit_after_ms_,
                    .past = !catch_ups_.empty(),
                    .timers = !event_time_});
}

void Pipeline::CountOutcome(uint32_t number, std::string_view stream, const plugin::IngestOutcome& outcome) {
  const std::string_view source =
      number < options_.sources.size() ? options_.sources[number] : stream.substr(0, stream.find_first_of(" /"));
  auto it = source_counters_.find(source);
  if (it == source_counters_.end()) {
    const auto counter = [&](const char* text) {
      return &registry_->GetCounter("weir_samples_total", "Samples taken in, by source and outcome.",
                                    {{"source", std::string(source)}, {"outcome", text}});
    };
    const SourceCounters counters{
        counter("written"), counter("duplicate"), counter("rejected"),
        &registry_->GetCounter("weir_source_over_budget_samples_total",
                               "Samples of new series that were rejected since the source brings max_series of them.",
                               {{"source", std::string(source)}}),
        &registry_->GetCounter("weir_invalid_series_total", "Series of requests that were skipped for their labels.",
                               {{"source", std::string(source)}})};
    it = source_counters_.emplace(std::string(source), counters).first;
  }
  it->second.written->Add(outcome.written);
  it->second.duplicates->Add(outcome.duplicates);
  it->second.rejected->Add(outcome.rejected);
  it->second.over_budget->Add(outcome.over_budget);
  it->second.invalid->Add(outcome.invalid_series);
}

void Pipeline::StartAtFirstSample(int64_t oldest_ms) {
  for (Scheduled& scheduled : groups_) {
    scheduled.next_ms = scheduled.group->definition().slots.After(oldest_ms - 1);
  }
  started_ = true;
}

void Pipeline::AdvanceStream(std::string_view stream, int64_t t_ms, int64_t now_ms) {
  watermarks_.Advance(stream, t_ms, now_ms);
}

void Pipeline::CloseStream(std::string_view stream) {
  watermarks_.Close(stream);
  intake_.ForgetStream(stream);
}

void Pipeline::UseEventTime() {
  event_time_ = true;
  started_ = false;
}

void Pipeline::BeginCatchUp(std::string_view source, int64_t now_ms) {
  if (ticks_ > 0) {
    return;  // the past has been evaluated already: what comes now is late and serves later ticks
  }
  catch_ups_.emplace(source);
  catch_up_heard_ms_ = now_ms;
  emit_after_ms_ = std::max(emit_after_ms_, now_ms);
  started_ = false;
  if (released_ms_ != kNone) {
    released_ms_ = kNone;
    engine_.Release(emit_after_ms_ - history_ms_ - kHourMs);  // ticks begin earlier than it seemed
  }
}

void Pipeline::CatchUpDone(std::string_view source) {
  const auto it = catch_ups_.find(source);
  if (it == catch_ups_.end()) {
    return;
  }
  catch_ups_.erase(it);
  if (catch_ups_.empty()) {
    started_ = !event_time_ || started_;
  }
}

void Pipeline::EndSilentCatchUp(int64_t now_ms) {
  if (catch_ups_.empty() || now_ms - catch_up_heard_ms_ < kCatchUpSilenceMs) {
    return;
  }
  LogWarn("re-reading the past brought nothing for a minute: ticks go on without it",
          {{"source", *catch_ups_.begin()}, {"sources", std::to_string(catch_ups_.size())}});
  metrics_->catch_up_given_up.Add();
  catch_ups_.clear();
  started_ = !event_time_ || started_;
}

// --- yields ---------------------------------------------------------------------------------------------------------

void Pipeline::SetYield(std::function<void(int64_t after_ms)> turn) {
  turn_ = std::move(turn);
  engine_.SetYield([this] { turn_(yield_after_ms_); });
}

Pipeline::Yielding::Yielding(Pipeline& pipeline, int64_t t_ms)
    : pipeline_(pipeline), on_(pipeline.turn_ != nullptr && !pipeline.event_time_ && pipeline.catch_ups_.empty()) {
  if (on_) {
    pipeline_.yield_after_ms_ = t_ms == kNone ? kNone : pipeline_.engine_.ReadsUntil(t_ms);
    pipeline_.engine_.BeginYielding();
    pipeline_.yielding_ = true;
  }
}

Pipeline::Yielding::~Yielding() {
  if (on_) {
    pipeline_.engine_.EndYielding();  // which yields, too
    pipeline_.yielding_ = false;
  }
}

// --- ticks --------------------------------------------------------------------------------------------------------

int64_t Pipeline::NextTick() const {
  int64_t next = INT64_MAX;
  for (const Scheduled& scheduled : groups_) {
    next = std::min(next, scheduled.next_ms);
  }
  return next;
}

int64_t Pipeline::SettledMs() const {
  int64_t settled = INT64_MAX;
  for (const Scheduled& scheduled : groups_) {
    settled = std::min(settled, scheduled.next_ms - scheduled.group->definition().query_offset_ms - 1);
  }
  return settled;
}

Pipeline::Due Pipeline::IsDue(int64_t tick_ms, int64_t now_ms) const {
  if (!started_ || tick_ms == INT64_MAX) {
    return Due::kNo;
  }
  const bool complete = watermarks_.Furthest() >= tick_ms && watermarks_.Complete(now_ms) >= tick_ms;
  if (event_time_ || !catch_ups_.empty()) {
    return complete ? Due::kComplete : Due::kNo;
  }
  if (complete && tick_ms <= now_ms) {
    return Due::kComplete;
  }
  // After a stall senders get the same time to deliver as always.
  return now_ms >= std::max(tick_ms, stalled_until_ms_) + watermarks_.LatenessMs() ? Due::kDeadline : Due::kNo;
}

int64_t Pipeline::RunDue(int64_t now_ms) {
  if (last_run_ms_ != kNone && now_ms - last_run_ms_ > kStallMs) {
    stalled_until_ms_ = now_ms;
  }
  last_run_ms_ = now_ms;
  EndSilentCatchUp(now_ms);
  PassOverMissed(now_ms);
  SetEagerMoment(now_ms, 0);
  int64_t tick = NextTick();
  for (Due due = IsDue(tick, now_ms); due != Due::kNo; due = IsDue(tick, now_ms)) {
    RunTick(tick, now_ms, due);
    tick = NextTick();
  }
  if (started_ && tick != INT64_MAX &&
      (event_time_ || !catch_ups_.empty() || now_ms - advanced_ms_ >= kAdvanceEveryMs)) {
    advanced_ms_ = now_ms;
    const int64_t complete = watermarks_.Complete(now_ms);
    const int64_t overdue = event_time_ || !catch_ups_.empty() ? kNone : now_ms - watermarks_.LatenessMs();
    const int64_t frontier = std::min(std::max(complete, overdue), SettledMs());
    const Yielding yielding(*this, frontier);
    engine_.AdvanceTo(frontier);
  }
  if (watched_ms_ == kNone || now_ms - watched_ms_ >= kWatchEveryMs) {
    WatchMemory(now_ms);
  }
  if (gauges_ms_ == kNone || now_ms - gauges_ms_ >= gauges_every_ms_) {
    UpdateGauges(now_ms);
  }
  const int64_t eager = RunEager(now_ms);
  int64_t next = tick == INT64_MAX ? tick : std::max(tick, stalled_until_ms_) + watermarks_.LatenessMs();
  if (event_time_ || !catch_ups_.empty()) {
    next = INT64_MAX;
  }
  next = std::min(next, eager);
  return next == INT64_MAX ? kWaitMaxMs : std::clamp<int64_t>(next - now_ms, 1, kWaitMaxMs);
}

int64_t Pipeline::RunEager(int64_t now_ms) {
  SetEagerMoment(now_ms, 0);
  int64_t next_ms = eager_.RunDue();
  if (eager_.AnyToArm()) {
    {
      const Yielding yielding(*this, kNone);
      eager_.ArmAll([this] { return taken_in_yields_ns_; });
    }
    SetEagerMoment(now_ms, 0);
    next_ms = eager_.RunDue();
  }
  return eager_.AnyToArm() ? now_ms : next_ms;
}

void Pipeline::PassOverMissed(int64_t now_ms) {
  if (!started_ || !catch_ups_.empty()) {
    return;
  }
  for (Scheduled& scheduled : groups_) {
    const rules::Slots& slots = scheduled.group->definition().slots;
    const int64_t behind_max = event_time_ ? kEventGapMs : std::max(options_.behind_max_ms, 2 * slots.interval_ms);
    const int64_t present = event_time_ ? watermarks_.Newest() : now_ms;
    if (present <= scheduled.next_ms || present - scheduled.next_ms <= behind_max) {
      continue;
    }
    const int64_t resumed = slots.AtOrBefore(event_time_ ? present - history_ms_ : present);
    if (resumed <= scheduled.next_ms) {
      continue;
    }
    const auto missed = static_cast<uint64_t>((resumed - scheduled.next_ms) / slots.interval_ms);
    scheduled.next_ms = resumed;
    scheduled.group->CountMissed(missed);
    metrics_->missed.Add(missed);
    LogWarn("slots were missed", {{"group", scheduled.group->definition().Key()}, {"slots", std::to_string(missed)}});
  }
}

void Pipeline::RunTick(int64_t tick_ms, int64_t now_ms, Due due) {
  const int64_t start_ns = clock_->MonotonicNs();
  std::vector<Scheduled*> now;
  for (Scheduled& scheduled : groups_) {
    if (scheduled.next_ms == tick_ms) {
      now.push_back(&scheduled);
    }
  }
  std::sort(now.begin(), now.end(), [](const Scheduled* a, const Scheduled* b) { return a->rank < b->rank; });
  const bool emit = Emits(tick_ms);
  const Yielding yielding(*this, tick_ms);
  eager_.BeginTick();
  std::vector<engine::PlanId> plans;
  for (const Scheduled* scheduled : now) {
    for (const std::unique_ptr<rules::Rule>& rule : scheduled->group->rules()) {
      if (rule->planned()) {
        plans.push_back(rule->plan());
      }
    }
  }
  engine_.BeginTick(plans, tick_ms);
  std::vector<rules::Group*> evaluated;
  for (Scheduled* scheduled : now) {
    evaluated.push_back(scheduled->group.get());
    scheduled->group->Evaluate(tick_ms, emit);
    scheduled->next_ms += scheduled->group->definition().slots.interval_ms;
  }
  engine_.EndTick();
  RunRetired(tick_ms, emit);
  last_tick_ms_ = tick_ms;
  ++ticks_;
  eager_.BeginSweep();
  // Queries at this tick must stay possible, so it is the time before it that is let go.
  engine_.Release(std::min(tick_ms - 1, SettledMs()));
  if (expired_ms_ == kNone || tick_ms - expired_ms_ >= (memory_wanted_ ? kExpireShortMs : kExpireEveryMs)) {
    expired_ms_ = tick_ms;
    engine_.Expire(tick_ms);
    watermarks_.DropIdle(now_ms);
  }
  SetEagerMoment(now_ms, 0);
  eager_.EndTick(tick_ms, evaluated);
  tick_seconds_ = static_cast<double>(std::max<int64_t>(0, clock_->MonotonicNs() - start_ns)) * 1e-9;
  metrics_->tick_duration.Observe(tick_seconds_);
  metrics_->last_tick.Set(static_cast<double>(tick_ms) / 1000);
  if (due == Due::kComplete) {
    metrics_->ticks_complete.Add();
  } else {
    metrics_->ticks_deadline.Add();
    if (watermarks_.live(now_ms) > 0) {
      metrics_->incomplete.Add();
    }
  }
  if (!event_time_ && catch_ups_.empty()) {
    metrics_->tick_lag.Observe(static_cast<double>(now_ms - tick_ms) / 1000);
  }
}

void Pipeline::RunRetired(int64_t tick_ms, bool emit) {
  for (Retired& retired : retired_) {
    if (retired.until_ms <= tick_ms) {
      retired.group->MarkStale(tick_ms, emit);
      retired.group.reset();
    }
  }
  std::erase_if(retired_, [](const Retired& retired) { return retired.group == nullptr; });
}

void Pipeline::Finish(int64_t now_ms) {
  if (!event_time_ || !started_) {
    RunDue(now_ms);
    return;
  }
  for (int64_t tick = NextTick(); tick <= watermarks_.Newest(); tick = NextTick()) {
    RunTick(tick, now_ms, Due::kComplete);
  }
}

// --- figures ------------------------------------------------------------------------------------------------------

Pipeline::Counts Pipeline::Count() const {
  Counts counts;
  counts.samples = samples_;
  counts.ticks = ticks_;
  counts.series = series_;
  counts.tick_seconds = tick_seconds_;
  for (const Scheduled& scheduled : groups_) {
    counts.rules += scheduled.group->rules().size();
    for (const std::unique_ptr<rules::Rule>& rule : scheduled.group->rules()) {
      if (rule->definition().alerting) {
        const auto& alerting = static_cast<const rules::AlertingRule&>(*rule);
        counts.pending += alerting.Count(rules::AlertState::kPending);
        counts.firing += alerting.Count(rules::AlertState::kFiring);
      }
    }
  }
  return counts;
}

void Pipeline::UpdateGauges(int64_t now_ms) {
  gauges_ms_ = now_ms;
  const int64_t start_ns = clock_->MonotonicNs();
  engine::SeriesStats stats;
  rule_loads_ = LoadsOfRules(&stats);
  series_ = stats.series;
  metrics_->series.Set(static_cast<double>(stats.series));
  metrics_->unread.Set(static_cast<double>(stats.series_unread));
  metrics_->kept.Set(static_cast<double>(stats.samples_kept));
  metrics_->window_bytes.Set(static_cast<double>(stats.window_bytes));
  metrics_->spare_window_bytes.Set(static_cast<double>(stats.spare_window_bytes));
  metrics_->label_bytes.Set(static_cast<double>(stats.label_bytes));
  metrics_->nodes.Set(static_cast<double>(stats.nodes));
  metrics_->node_bytes.Set(static_cast<double>(stats.node_bytes));
  size_t rule_bytes = 0;
  for (const Scheduled& scheduled : groups_) {
    for (const std::unique_ptr<rules::Rule>& rule : scheduled.group->rules()) {
      rule_bytes += rule->Bytes();
    }
  }
  metrics_->rule_bytes.Set(static_cast<double>(rule_bytes));
  metrics_->tape_bytes.Set(static_cast<double>(stats.tape_disk_bytes));
  metrics_->tape_memory.Set(static_cast<double>(stats.tape_bytes));
  metrics_->tape_rows.Add(stats.tape_rows_written - tape_stats_.tape_rows_written);
  metrics_->tape_read_errors.Add(stats.tape_read_errors - tape_stats_.tape_read_errors);
  metrics_->tape_write_errors.Add(stats.tape_write_errors - tape_stats_.tape_write_errors);
  tape_stats_ = stats;
  metrics_->lateness.Set(static_cast<double>(watermarks_.LatenessMs()) / 1000);
  metrics_->streams.Set(static_cast<double>(watermarks_.live(now_ms)));
  metrics_->catching_up.Set(catch_ups_.empty() ? 0 : 1);
  if (const int64_t complete = watermarks_.Complete(now_ms); complete != kNone) {
    metrics_->complete.Set(static_cast<double>(complete) / 1000);
  }
  UpdateBudgetMetrics(now_ms);
  const Counts counts = Count();
  metrics_->pending.Set(static_cast<double>(counts.pending));
  metrics_->firing.Set(static_cast<double>(counts.firing));
  const int64_t took_ms = (clock_->MonotonicNs() - start_ns) / 1000000;
  gauges_every_ms_ = std::clamp(took_ms * kGaugesShare, kGaugesEveryMs, kGaugesRareMs);
}

// --- memory -------------------------------------------------------------------------------------------------------

void Pipeline::SetMemoryMax(uint64_t bytes) {
  memory_max_ = options_.resident_bytes == nullptr ? 0 : bytes;
  metrics_->memory_limit.Set(static_cast<double>(memory_max_));
  memory_wanted_ = memory_wanted_ && memory_max_ > 0;
  if (memory_max_ == 0 && !engine_.admitting()) {
    SetAdmitting(true, 0);
  }
}

uint64_t Pipeline::ReadMemory() {
  const uint64_t used = options_.resident_bytes();
  const Governor::Counts& counts = governor_.counts();
  const bool worth = used >= memory_max_ / 100 * kWantedAt || counts.groups_slowed + counts.stopped_for_memory > 0;
  const int64_t now_ns = clock_->MonotonicNs();
  // What brought nothing is not tried so soon again, unless something has to give way otherwise.
  const int64_t pause_ns = used >= memory_max_ / 100 * kRefuseAt ? kReturnEveryNs : return_pause_ns_;
  const bool soon = returned_ns_ != kNone && now_ns - returned_ns_ < std::max(pause_ns, kReturnShare * return_took_ns_);
  if (!worth || soon || options_.return_free_memory == nullptr) {
    return used;
  }
  options_.return_free_memory();
  returned_ns_ = clock_->MonotonicNs();
  return_took_ns_ = returned_ns_ - now_ns;
  const uint64_t left = options_.resident_bytes();
  const bool much = left + memory_max_ / 100 < used;
  return_pause_ns_ = much ? kReturnEveryNs : std::clamp(2 * return_pause_ns_, kReturnEveryNs, kReturnRareNs);
  return left;
}

void Pipeline::SetAdmitting(bool admitting, uint64_t used) {
  engine_.SetAdmitting(admitting);
  metrics_->refusing.Set(admitting ? 0 : 1);
  const std::string bytes = std::to_string(used);
  const std::string limit = std::to_string(memory_max_);
  if (admitting) {
    LogInfo("memory is below its limit again: new series are taken in", {{"resident_bytes", bytes}, {"limit", limit}});
  } else {
    LogWarn("memory is near its limit: new series are refused", {{"resident_bytes", bytes}, {"limit", limit}});
  }
}

// A second is long enough for a flood to fill what is left.
void Pipeline::LookAtGrowth() {
  if (memory_max_ == 0 || !engine_.admitting()) {
    return;
  }
  if (const uint64_t used = ReadMemory(); used >= memory_max_ / 100 * kRefuseAt) {
    SetAdmitting(false, used);
  }
}

void Pipeline::WatchMemory(int64_t now_ms) {
  watched_ms_ = now_ms;
  UpdateIngestMetrics();  // who floods is to be seen while it does
  if (options_.resident_bytes == nullptr) {
    return;
  }
  MemoryReading reading{now_ms, 0, memory_max_};
  if (memory_max_ > 0) {
    reading.used = ReadMemory();
    memory_wanted_ = reading.used >= memory_max_ / 100 * kWantedAt;
    const bool admitting = engine_.admitting();
    if (admitting ? reading.used >= memory_max_ / 100 * kRefuseAt : reading.used < memory_max_ / 100 * kAdmitBelow) {
      SetAdmitting(!admitting, reading.used);
    }
  }
  Govern(now_ms, [&] { return governor_.LookAtMemory(reading, [this] { return LoadsOfRules(); }); });
}

void Pipeline::Govern(int64_t now_ms, const std::function<bool()>& ask) {
  if (!ask()) {
    return;
  }
  if (const Status status = Install(now_ms); !status.ok()) {
    LogError("rules could not be changed for memory; they run as configured", {{"err", std::string(status.message())}});
    governor_ = Governor();
    governor_.SetRules(settings_.groups, options_.engine.lookback_ms);
    (void)Install(now_ms);  // these have been planned before
    return;
  }
  (void)engine_.structure_generation();  // what nobody reads is given up now
  returned_ns_ = kNone;
  const Governor::Counts& counts = governor_.counts();
  metrics_->stopped_memory.Set(static_cast<double>(counts.stopped_for_memory));
  metrics_->stopped_budget.Set(static_cast<double>(counts.stopped_for_budget));
  metrics_->slowed.Set(static_cast<double>(counts.groups_slowed));
  metrics_->steps_down.Set(static_cast<double>(counts.steps_down));
  metrics_->steps_up.Set(static_cast<double>(counts.steps_up));
}

std::vector<RuleLoad> Pipeline::LoadsOfRules(engine::SeriesStats* stats) {
  std::vector<std::vector<engine::PlanId>> plans;
  std::vector<size_t> results;
  for (const Scheduled& scheduled : groups_) {
    for (const std::unique_ptr<rules::Rule>& rule : scheduled.group->rules()) {
      plans.push_back(rule->Plans());
      results.push_back(rule->Bytes());
    }
  }
  const Yielding yielding(*this, kNone);  // nothing is evaluated: every sample may come in
  const std::vector<engine::PlanLoad> loads = engine_.Loads(plans, stats);
  std::vector<RuleLoad> all(loads.size());
  for (size_t i = 0; i < loads.size(); ++i) {
    all[i] = {loads[i].series, loads[i].bytes + results[i], loads[i].own_bytes + results[i]};
  }
  return all;
}

void Pipeline::UpdateBudgetMetrics(int64_t now_ms) {
  for (size_t source = 0; source < options_.sources.size(); ++source) {
    const MetricLabels labels = {{"source", options_.sources[source]}};
    registry_->GetGauge("weir_source_series", "Series that count for a source.", labels)
        .Set(engine_.SeriesOfSource(static_cast<uint32_t>(source)));
    registry_->GetGauge("weir_source_series_max", "Series that a source may bring; 0: any number.", labels)
        .Set(options_.engine.source_series_max[source]);
  }
  size_t number = 0;
  for (const Scheduled& scheduled : groups_) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < scheduled.group->rules().size(); ++i) {
      bytes += rule_loads_[number++].bytes;
    }
    registry_
        ->GetGauge("weir_rule_group_state_bytes",
                   "What the rules of a group hold; windows that several rules read count for each.",
                   {{"rule_group", scheduled.group->definition().Key()}})
        .Set(static_cast<double>(bytes));
  }
  if (governor_.HasBudgets()) {
    const uint64_t used = memory_max_ > 0 ? options_.resident_bytes() : 0;
    const std::vector<RuleLoad> loads = rule_loads_;
    Govern(now_ms, [&] { return governor_.LookAtBudgets({now_ms, used, memory_max_}, loads); });
  }
}

void Pipeline::UpdateIngestMetrics() {
  const ingest::ResolverStats now = intake_.stats();
  const auto add = [&](const char* outcome, uint64_t total, uint64_t before) {
    registry_
        ->GetCounter("weir_ingest_samples_total", "Samples of all sources, by what the engine made of them.",
                     {{"outcome", outcome}})
        .Add(total - before);
  };
  add("written", now.written, ingest_stats_.written);
  add("duplicate", now.duplicates, ingest_stats_.duplicates);
  add("conflict", now.conflicts, ingest_stats_.conflicts);
  add("out_of_order", now.out_of_order, ingest_stats_.out_of_order);
  add("too_far_ahead", now.too_far_ahead, ingest_stats_.too_far_ahead);
  add("over_series_limit", now.over_series_limit, ingest_stats_.over_series_limit);
  add("over_source_limit", now.over_source_limit, ingest_stats_.over_source_limit);
  add("memory_short", now.memory_short, ingest_stats_.memory_short);
  add("ignored", now.ignored, ingest_stats_.ignored);
  add("invalid_series", now.of_invalid_series, ingest_stats_.of_invalid_series);
  for (size_t i = 0; i < ingest::kInvalidReasons; ++i) {
    registry_
        ->GetCounter("weir_ingest_invalid_series_total", "Label sets that are no series, by reason.",
                     {{"reason", std::string(ingest::InvalidReasonText(static_cast<ingest::InvalidReason>(i)))}})
        .Add(now.invalid_series[i] - ingest_stats_.invalid_series[i]);
  }
  const auto resolved = [&](const char* how, uint64_t total, uint64_t before) {
    registry_
        ->GetCounter("weir_ingest_resolved_total", "Series of requests, by how they were recognised.", {{"by", how}})
        .Add(total - before);
  };
  resolved("prediction", now.predicted, ingest_stats_.predicted);
  resolved("index", now.probed, ingest_stats_.probed);
  resolved("parsing", now.parsed, ingest_stats_.parsed);
  registry_->GetGauge("weir_ingest_aliases", "Label sets that are recognised without parsing.")
      .Set(static_cast<double>(now.aliases));
  registry_->GetGauge("weir_ingest_alias_bytes", "Memory of recognised label sets.")
      .Set(static_cast<double>(now.alias_bytes));
  ingest_stats_ = now;
}

}  // namespace weir::runtime
