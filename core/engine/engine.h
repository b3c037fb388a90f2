#pragma once
// The engine: plans PromQL expressions as one shared dataflow graph over windowed state that is updated as samples
// arrive, and evaluates them at ticks. Every method is called on one thread, the engine's; with Options::shards above one the
// engine has a crew of threads beside it, which take samples in (OnShards) and compute the leaves of the graph. Results are the
// same bits with any number of shards.
//
// Life: AddPlan() for every rule expression; Intern()+Append() for every sample; Evaluate() at tick T. Plans read
// window state that covers T and a little before (what the ticks declared in their Grid need), never raw history.
// Time is what callers say: the engine calls no clock.

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/model/histogram.h"
#include "core/model/labels.h"
#include "core/model/sample.h"
#include "core/model/symbols.h"
#include "core/promql/ast.h"

namespace weir {
class StateDirectory;
}

namespace weir::engine {

// The range query that a plan stands for, as start(), end(), step() and range() tell it. UNITS: milliseconds.
struct QueryBounds {
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  int64_t step_ms = 0;
};

// When a plan will be evaluated: either every k·interval + phase, or at the listed times. UNITS: milliseconds.
struct Grid {
  int64_t interval_ms = 0;
  int64_t phase_ms = 0;
  std::vector<int64_t> times;         // sorted; used when interval_ms is 0
  int64_t query_offset_ms = 0;        // evaluations are at tick − query_offset
  std::optional<QueryBounds> bounds;  // none: a rule, each of whose evaluations is a query of its own
  // EvaluateBetween and Arm will be asked of it: it gets nodes of its own, and every sample of its windows is kept.
  bool between = false;
  // Above 0: results of long windows may be off by this share of what is exact (window/bounded_rows.h), where a bound is known;
  // their rows then stay in RAM, thinned.
  double max_error = 0;
};

inline constexpr int64_t kNoTape = std::numeric_limits<int64_t>::max();

struct Options {
  int64_t lookback_ms = 300000;
  int64_t default_step_ms = 60000;    // of subqueries without a step: the global evaluation interval
  bool delayed_name_removal = false;  // promql-delayed-name-removal
  bool use_start_timestamps = false;  // use-start-timestamps
  bool type_and_unit_labels = false;  // type-and-unit-labels
  bool share = true;                  // common subexpressions are one node; off only for tests
  bool thin = true;                   // keep only what functions need; off only for tests, which then keep every sample
  uint32_t series_max = 2000000;
  std::vector<uint32_t> source_series_max;  // by source: series it may bring; 0: any number
  // Windows that reach back further than this keep their rows in files (window/tape.h), if their function allows it.
  int64_t tape_after_ms = kNoTape;
  int64_t bounded_after_ms = 3600000;  // those of a plan with max_error that reach back further are thinned
  int64_t tape_margin_ms =
      600000;                // of the newest samples, that the rings keep: a later sample costs a write of its own
  bool tape_points = false;  // also windows that end at listed times; only for tests
  std::shared_ptr<StateDirectory> state;  // where the files are; null: plans can be explained but not fed
  uint32_t shards = 1;  // threads that own series and share the work of ticks; the caller's is one of them
  bool always_share =
      false;  // also where others want the cores, so that waiting for a thread costs more; only for tests
  uint32_t slots_per_yield =
      512;  // a power of two; see SetYield. Some 50 µs of windows: less is not handed to another thread
};

using PlanId = uint32_t;
using SeriesId = uint32_t;
inline constexpr PlanId kNoPlan = 0xffffffff;
inline constexpr SeriesId kNoSeries = 0xffffffff;
inline constexpr uint32_t kNoSource = 0xffffffff;  // from nobody in particular
inline constexpr uint32_t kFromRules =
    0xfffffffe;  // not refused for memory: a result that lacks some of its series is wrong

// Why a new series is not made.
enum class Refusal : unsigned char { kNone, kMemory, kSeriesLimit, kSourceLimit };

enum class AppendOutcome : unsigned char {
  kOk,
  kDuplicateSame,      // same t, same bits: silently fine
  kDuplicateConflict,  // same t, other value: refused
  kOutOfOrder,         // older than the newest: refused
};

// One evaluated vector; a view that lives until the engine is called again. A slot is a position that keeps its label
// set for as long as generation() stays the same; new slots are only ever added at the end. At a tick a slot may be absent.
class VectorView {
 public:
  size_t size() const { return size_; }
  bool present(size_t slot) const { return present_[slot] != 0; }
  // RETURNS: how many slots are present.
  size_t CountPresent() const {
    size_t count = 0;
    for (size_t slot = 0; slot < size_; ++slot) {
      count += present_[slot] != 0 ? 1 : 0;
    }
    return count;
  }
  double value(size_t slot) const { return values_[slot]; }  // 0 where there is a histogram
  // RETURNS: the histogram of a slot, null where it is a float.
  HistogramRef histogram(size_t slot) const { return histograms_ == nullptr ? nullptr : histograms_[slot]; }
  LabelSetId labels(size_t slot) const { return labels_[slot]; }  // final labels: names already dropped
  uint64_t generation() const { return generation_; }

  VectorView() = default;
  VectorView(size_t size, const uint8_t* present, const double* values, const HistogramRef* histograms,
             const LabelSetId* labels, uint64_t generation)
      : size_(size),
        present_(present),
        values_(values),
        histograms_(histograms),
        labels_(labels),
        generation_(generation) {}

 private:
  size_t size_ = 0;
  const uint8_t* present_ = nullptr;
  const double* values_ = nullptr;
  const HistogramRef* histograms_ = nullptr;  // null: there are none
  const LabelSetId* labels_ = nullptr;
  uint64_t generation_ = 0;
};

// Something worth telling about an evaluation.
struct Remark {
  bool info = false;    // else a warning
  std::string text;     // `PromQL warning: …`, `PromQL info: …`
  std::string detail;   // goes behind it where the position is shown
  uint32_t offset = 0;  // of the part of the expression it is about, in bytes of the text that was parsed

  // RETURNS: the text with its place in `query`, as Prometheus shows it: `PromQL info: … (1:6)`.
  std::string Shown(std::string_view query) const;
};

struct Evaluation {
  Status status;  // a run-time error of the expression; nothing else is set then
  promql::ValueType type = promql::ValueType::kVector;
  VectorView vector;            // kVector
  double scalar = 0;            // kScalar
  std::string text;             // kString
  std::vector<uint32_t> order;  // present slots in output order, for what sorts (sort, topk); else empty
  std::vector<Remark> remarks;  // each text once; also set beside an error
};

// What a rule's plans hold, by what is kept for them now. UNITS: bytes.
struct PlanLoad {
  size_t series = 0;     // that they read
  size_t bytes = 0;      // windows and nodes, whoever else reads them
  size_t own_bytes = 0;  // of these, what nobody else reads
};

struct SeriesStats {
  size_t series = 0;         // with window state
  size_t series_unread = 0;  // known, but no plan reads them
  size_t samples_kept = 0;   // records in all rings
  size_t window_bytes = 0;
  size_t spare_window_bytes = 0;  // held for windows to come
  size_t label_bytes = 0;
  size_t nodes = 0;
  size_t node_bytes = 0;
  // Of long windows: RAM beside the readers', which are nodes', disk, and counts since the start.
  size_t tape_bytes = 0;
  uint64_t tape_disk_bytes = 0;
  uint64_t tape_rows_written = 0;
  uint64_t tape_read_errors = 0;
  uint64_t tape_write_errors = 0;
};

// A plan that a sample of this time has to be evaluated for.
struct Crossing {
  PlanId plan = 0;
  int64_t t_ms = 0;
  bool newborn = false;  // the sample's series was made in a yield: evaluations see it after EndYielding
};

// What there is to say of a plan's evaluations between ticks.
struct BetweenFacts {
  std::string at_ticks_only;                // why there are none; "" when there are
  std::vector<std::string> without_bounds;  // parts for which every sample crosses
};

struct PlanFacts;  // core/engine/explain.h

// Who keeps ids of label sets from one call of the engine to the next. Sets that neither series, plans nor holders keep are freed
// by Expire, and their ids used again.
class LabelHolder {
 public:
  // Marks every id that is held. May be stopped for samples in between (LabelMarks), which change nothing that a holder has.
  virtual void MarkLabels(LabelMarks* marks) const = 0;

 protected:
  ~LabelHolder() = default;
};

class Engine {
 public:
  explicit Engine(Options options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // --- structure ---
  // Plans `expr` for evaluations on `grid`. Existing series that match are attached, so an unchanged selector keeps its
  // windows across a reload (add the new plans before removing the old). ERRORS: kUnsupported, with the position of what
  // is not evaluated by streaming as `offset:` prefix in bytes; kInvalid for what fails statically.
  Result<PlanId> AddPlan(const promql::Expr& expr, const Grid& grid);
  void RemovePlan(PlanId plan);
  // RETURNS: for each of the plans what it consists of and what is kept for it.
  std::vector<PlanFacts> Facts(std::span<const PlanId> plans) const;
  // RETURNS: for each group of plans what it holds. Walks all series; `stats`, unless null: what Stats() would tell, from the same
  // walk.
  std::vector<PlanLoad> Loads(std::span<const std::vector<PlanId>> groups, SeriesStats* stats = nullptr) const;
  // RETURNS: how far back any plan looks, in milliseconds (the `start: window` of sources).
  int64_t LongestWindowMs() const;

  // --- samples ---
  LabelSetTable& labels();
  const LabelSetTable& labels() const;
  // The holder is asked until it is removed. REQUIRES: it was added, and only once.
  void AddLabelHolder(const LabelHolder* holder);
  void RemoveLabelHolder(const LabelHolder* holder);
  // RETURNS: the series with these labels, made if new, whether or not a plan reads it; kNoSeries past series_max.
  SeriesId Intern(LabelSetId labels);
  // While it does not admit, writers make no series for sources (kNoSeries), as past series_max. Those that are known go on, and so
  // do rules.
  void SetAdmitting(bool admitting);
  bool admitting() const;
  // Called before the first series of each thousand that is made, on the thread of Intern; may call SetAdmitting.
  void OnGrowth(std::function<void()> handler);
  // RETURNS: how many series count for the source: those it brought first; one that it has not brought for Options::lookback_ms
  // while another source did passes to that one, whatever its limit.
  uint32_t SeriesOfSource(uint32_t source) const;
  // RETURNS: whether any plan reads the series now. Cheap; structure changes may change it (see structure_generation).
  bool IsRead(SeriesId series) const;
  // RETURNS: a number that changes whenever plans were added or removed or series ids were reused.
  uint64_t structure_generation() const;
  // RETURNS: a number that changes only when plans were added or removed: what WouldRead depends on.
  uint64_t plans_generation() const;
  LabelSetId SeriesLabels(SeriesId series) const;
  int64_t LastTime(SeriesId series) const;  // INT64_MIN before the first sample
  // REQUIRES: samples of one series arrive in time order; others are refused by outcome.
  // `start_ms`: the sample's start timestamp, 0 when unset; read only with use_start_timestamps.
  AppendOutcome Append(SeriesId series, int64_t t_ms, double v, int64_t start_ms = 0);
  // The same for a native histogram. REQUIRES: one that FloatHistogram::Validate accepts, of schema ≤ 8; its hint as it came over
  // the wire. A stale marker is a float, whatever the series held before.
  AppendOutcome AppendHistogram(SeriesId series, int64_t t_ms, const HistogramRef& histogram, int64_t start_ms = 0);

  // --- ticks ---
  // Runs the hidden grids (subqueries, `@`) that are due up to and including `t_ms`. Call before a sample later than a due
  // time would push needed records out; Evaluate calls it itself. Cheap when nothing is due.
  void AdvanceTo(int64_t t_ms);
  // Evaluates one plan at tick `t_ms` (the grid's query_offset is subtracted here).
  Evaluation Evaluate(PlanId plan, int64_t t_ms);
  // Says that no plan will be evaluated at or before `t_ms` any more: older records may go.
  void Release(int64_t t_ms);
  // Plans and evaluates `expr` at `t_ms` once, from what is kept. ERRORS: kUnsupported when a window is not kept by any rule.
  Evaluation EvaluateOnce(const promql::Expr& expr, int64_t t_ms);
  // Forgets series whose newest sample no plan can see any more and whose producer is gone. RETURNS: how many.
  size_t Expire(int64_t t_ms);

  // --- between ticks: plans of a Grid with `between` ---
  BetweenFacts Between(PlanId plan) const;
  // Evaluates the plan at `t_ms` from what has arrived by now, exactly: every sample of its windows is kept. Hidden grids do not
  // run. REQUIRES: Between(plan).at_ticks_only is empty; no time at or before t_ms − query_offset has been released.
  Evaluation EvaluateBetween(PlanId plan, int64_t t_ms);
  // Evaluates the plans at `from_ms` and gives their series trigger values: while no sample crosses one, no evaluation in
  // (from, until] finds a slot present that is absent now. Where that cannot be shown every sample crosses. Those later than
  // `until` cross, too. This is long work: what comes in at its yields crosses at the end if it has to, and until then what the
  // plans were armed with before holds.
  void Arm(std::span<const PlanId> plans, int64_t from_ms, int64_t until_ms);
  // Evaluates a plan at `t_ms` for an Arm from then that comes later: samples between count as if they came after it. Called in a yield
  // of Arm of the same plan it puts an end to that.
  void BeginArm(PlanId plan, int64_t t_ms);
  // RETURNS: how many series Arm looks at for the plan.
  size_t ArmSeries(PlanId plan) const;
  // RETURNS: whether rules write series that the plan reads.
  bool ReadsRules(PlanId plan) const;
  // A batch has been taken in. A plan that waits for the other buckets of a histogram is crossed when it has done so for patience_ms since
  // the batch that brought the first; until then nothing is said about what an evaluation of half a histogram finds. RETURNS: when
  // it is to be called again at the latest, INT64_MAX for never. UNITS: now_ms on any clock that does not go back.
  int64_t EndTogether(int64_t now_ms, int64_t patience_ms);
  // RETURNS: whether the plan waits for the other buckets of a histogram.
  bool AwaitsBuckets(PlanId plan) const;
  // Called after each sample that crosses, on the thread of Append, once a plan until it is armed again. May be empty.
  void OnCrossing(std::function<void()> handler);
  // RETURNS: the plans that samples have crossed for since it was asked last.
  std::vector<Crossing> TakeCrossings();
  // The crossing is not worth an evaluation: the next sample outside counts again.
  void IgnoreCrossing(PlanId plan);
  // RETURNS: the latest time of the samples that have crossed since the plan was armed. REQUIRES: one has.
  int64_t CrossedMs(PlanId plan) const;
  // RETURNS: what a sample of the series may be for the plan, as text: `[-Inf, 5]`, `none`; "" when it has none. For tests and logs.
  std::string TriggerText(PlanId plan, SeriesId series) const;

  SeriesStats Stats() const;
  const Options& options() const;

  // --- shards ---
  uint32_t shards() const;
  // Calls work(shard, piece) for all shards and `pieces` pieces of each, those of a shard in order and on one thread. `together`: the
  // shards at once, where threads come and waiting for them pays; else, and then, all pieces in order on the caller's. Inside, samples
  // are taken in by ShardWriters and nothing else of the engine is called.
  void OnShards(bool together, size_t pieces, const std::function<void(uint32_t shard, size_t piece)>& work);

  // Around the evaluations of these plans at `t_ms`, in this order as far as possible: with several shards the crew computes leaves
  // ahead of them, and stays at hand between them. Results do not hang on it. REQUIRES: no plan is removed between.
  void BeginTick(std::span<const PlanId> plans, int64_t t_ms);
  void EndTick();

  // --- sharing the thread ---
  // Long work (evaluations, AdvanceTo, Release, Expire, Stats) between BeginYielding and EndYielding calls `yield` many times a
  // millisecond. Inside it, and nowhere else in such work, series may be interned and samples appended: they change nothing that
  // is being evaluated as long as every sample is later than ReadsUntil() of the evaluation's time, and are there for what comes
  // after EndYielding. Plans with `between` may be evaluated and armed there, too, but for newborn series (Crossing). Nothing else
  // of the engine may be called.
  void SetYield(std::function<void()> yield);

  void BeginYielding();
  void EndYielding();
  // RETURNS: the newest time that an evaluation at t_ms can look at: later than t_ms where some plan reads ahead (negative
  // offsets, `smoothed`, `@` in the future), INT64_MAX where that has no bound.
  int64_t ReadsUntil(int64_t t_ms) const;
  // For loops over results, whose labels may have to be made: yields now and then, given how far the loop is.
  void MayYield(size_t i);

 private:
  friend class ShardWriter;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Series that are yet to be made: what of it can be done while shards take samples in. Valid until anything but Intern of one of them
// is done to the engine.
class SeriesDrafts {
 public:
  // RETURNS: how many there are; a draft is known by its number.
  size_t size() const { return drafts_.size(); }
  void Clear();

 private:
  friend class Store;
  struct Draft {
    size_t symbols = 0;  // where its own begin
    size_t missing = 0;
    uint32_t profile = 0;
  };
  std::vector<Draft> drafts_;
  std::vector<SymbolId> symbols_;          // name and value of each label
  std::vector<std::string_view> missing_;  // texts that are no symbols yet, in order
  std::vector<uint32_t> sets_;             // scratch
};

// How one shard takes samples in. THREAD: the shard's inside OnShards, the engine's outside; Begin and Intern only outside.
class ShardWriter {
 public:
  using Views = std::span<const std::pair<std::string_view, std::string_view>>;

  ShardWriter(Engine* engine, uint32_t shard);
  // Before samples are taken in outside of OnShards.
  void Begin();
  // RETURNS: whether a plan would read a series with these labels; makes nothing. Who asks first leaves no trace of series that nobody
  // reads.
  bool WouldRead(Views labels) const;
  // RETURNS: whether the series has exactly these labels, sorted by name.
  bool HasLabels(SeriesId series, Views labels) const;
  // RETURNS: whether the series is sure to be the one that had this id at that structure_generation() (its low bits). Cheap.
  bool SameSince(SeriesId series, uint32_t generation) const;
  bool IsRead(SeriesId series) const;
  // As Engine::Intern, for a source. A series that is made is this shard's; one that was there may be another's. What is refused
  // leaves no trace. REQUIRES: labels sorted by name.
  SeriesId Intern(Views labels, uint32_t source = kNoSource);
  // Adds a draft of the series with these labels. RETURNS: false, and adds none, when no plan would read it (WouldRead). THREAD: as
  // Append. REQUIRES: labels sorted by name, whose texts live as long as the draft.
  bool Draft(Views labels, SeriesDrafts* drafts) const;
  // As Intern of the labels of the draft. REQUIRES: Refuses(source) is kNone.
  SeriesId Intern(const SeriesDrafts& drafts, size_t draft, uint32_t source);
  // RETURNS: why a new series of the source would not be made now.
  Refusal Refuses(uint32_t source) const;
  // RETURNS: whether somebody wants to be told by Seen() which source brings which series; tells it. THREAD: as Append.
  bool TracksSources() const;
  void Seen(SeriesId series, uint32_t source);
  bool Owns(SeriesId series) const;
  bool admitting() const;
  // RETURNS: whether there are eager alerts; whether one reads the series: its samples are taken in outside of OnShards.
  bool AnyWatched() const;
  bool IsWatched(SeriesId series) const;
  // Whoever appends to many series asks for them ahead: first for the series, a little later for what it writes to.
  void Prefetch(SeriesId series) const;
  void PrefetchAppend(SeriesId series) const;
  uint64_t structure_generation() const;
  uint64_t plans_generation() const;
  // REQUIRES: Owns(series), inside OnShards.
  AppendOutcome Append(SeriesId series, int64_t t_ms, double v, int64_t start_ms = 0);
  AppendOutcome AppendHistogram(SeriesId series, int64_t t_ms, const HistogramRef& histogram, int64_t start_ms = 0);

 private:
  Engine::Impl* engine_;
  uint32_t shard_;
};

}  // namespace weir::engine
