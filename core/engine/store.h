#pragma once
// The series of an engine and who reads them. A SeriesSet is one selector (or the output of one subquery) with its member
// series in slot order; a demand says what a plan needs of a set (which window, at which times); a profile is the union of
// the demands of all sets that hold a series. Labels are matched against selectors once, when a series appears or when
// selectors change. Every series belongs to one shard, whose thread alone appends to it while shards take samples in; all else is
// the engine's thread's, with the shards at rest, except where a THREAD line says so.

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/cell_pool.h"
#include "core/base/fork_join.h"
#include "core/engine/engine.h"
#include "core/engine/trigger.h"
#include "core/model/matcher.h"
#include "core/model/symbols.h"
#include "core/window/bounded_rows.h"
#include "core/window/series_window.h"
#include "core/window/tape.h"

namespace weir::engine {

// When something is evaluated: periodically, or at listed points (sorted).
struct Times {
  int64_t interval_ms = 0;
  int64_t phase_ms = 0;
  std::vector<int64_t> points;
  bool fixed = false;  // the points are those of `@`, which any evaluation looks at
};

// What a plan needs of a set. UNITS: milliseconds.
struct Demand {
  Times times;  // of the evaluations, before the offset
  int64_t offset_ms = 0;
  int64_t range_ms = 0;     // 0: an instant selector
  int64_t lookback_ms = 0;  // how long a silent series stays visible beyond range and offset
  bool anchored = false;    // the newest sample before the window counts too
  window::Thinning thinning = window::Thinning::kEdges;
  uint8_t aggregates = 0;  // families of pane aggregates
  bool resets = false;
  bool changes = false;
  uint32_t last_kept = 1;
  // Above 0: of a long window only the newest samples are looked at, so many; the ring need not have the others.
  uint32_t newest = 0;
  bool watched = false;                // by trigger values
  int64_t held_ms = 0;                 // evaluations are up to this far behind the tick (a subquery that is replayed)
  std::shared_ptr<window::Tape> tape;  // where the left end of the window is found; null: in the ring
  std::string_view not_on_tape;        // why a window that is long enough is not
  std::shared_ptr<window::BoundedRows> bounded;  // as `tape`, within a bound; never both
  std::string_view exact_because;                // why a window for which a bound is asked is exact all the same

  std::shared_ptr<window::RowStore> rows() const {
    return tape ? std::shared_ptr<window::RowStore>(tape) : std::shared_ptr<window::RowStore>(bounded);
  }
};

class SeriesSet {
 public:
  // Slots: member series in order of arrival; kNoSeries where a series expired.
  std::vector<SeriesId> members;
  std::vector<uint8_t> drop;      // hidden sets: a member's metric name goes at the end (delayed name removal)
  uint64_t generation = 1;        // changes when slots were renumbered
  std::vector<Matcher> matchers;  // empty for a subquery's output
  bool one_name = false;          // all members have the same metric name
  std::vector<const window::Profile*> profiles;  // of the members
  std::vector<std::weak_ptr<const Demand>> demands;
  uint32_t id = 0;
  bool attached = false;  // existing series were matched
  uint32_t dead = 0;

  // RETURNS: a number that grows whenever a member got a sample.
  uint64_t Version() const {
    uint64_t sum = 0;
    for (const window::Profile* p : profiles) {
      sum += p->version;
    }
    return sum;
  }
};

struct alignas(64) Series {
  window::SeriesWindow window;
  LabelSetId labels = kNoLabelSet;  // kNoLabelSet: a free slot of the table
  uint32_t profile = 0;
};
static_assert(sizeof(Series) == 64, "one cache line a sample");

// Series by the ids of their label sets, in chunks: sets that are no series' cost next to nothing.
class SeriesByLabels {
 public:
  SeriesId Find(LabelSetId labels) const {
    const size_t chunk = labels >> kBits;
    return chunk < chunks_.size() && chunks_[chunk] != nullptr ? chunks_[chunk][labels & kMask] : kNoSeries;
  }
  void Set(LabelSetId labels, SeriesId series) {
    const size_t chunk = labels >> kBits;
    if (chunk >= chunks_.size()) {
      chunks_.resize(chunk + 1);
    }
    if (chunks_[chunk] == nullptr) {
      chunks_[chunk] = std::make_unique<SeriesId[]>(size_t{1} << kBits);
      std::fill_n(chunks_[chunk].get(), size_t{1} << kBits, kNoSeries);
      ++made_;
    }
    chunks_[chunk][labels & kMask] = series;
  }
  size_t Bytes() const { return chunks_.capacity() * sizeof(chunks_[0]) + (made_ * sizeof(SeriesId) << kBits); }

 private:
  static constexpr uint32_t kBits = 10;
  static constexpr uint32_t kMask = (1U << kBits) - 1;

  std::vector<std::unique_ptr<SeriesId[]>> chunks_;
  size_t made_ = 0;
};

class Store {
 public:
  explicit Store(const Options& options);

  LabelSetTable& labels() { return labels_; }
  const LabelSetTable& labels() const { return labels_; }

  // Interns a name that rules use; it stays for good.
  SymbolId Pin(std::string_view text);
  // Gives the label sets and symbols back that neither series hold nor `mark` marks, when enough has gone to be worth it. `yield`
  // is called now and then while nothing is half done; in it series may be made.
  void CollectLabels(const std::function<void(LabelMarks* marks)>& mark, const std::function<void()>& yield);

  // RETURNS: the set of this selector, made if needed; nodes share it and own it.
  std::shared_ptr<SeriesSet> SetOf(const std::vector<Matcher>& matchers);
  // RETURNS: the set of this selector as it is now, not kept up to date: for one evaluation.
  std::shared_ptr<SeriesSet> TemporarySet(const std::vector<Matcher>& matchers);
  // RETURNS: a set without matchers, for a subquery's output.
  std::shared_ptr<SeriesSet> HiddenSet();
  // RETURNS: the tape whose rows start at these times.
  std::shared_ptr<window::Tape> TapeOf(int64_t interval_ms, int64_t phase_ms, window::TapeKind kind);
  // RETURNS: the tape that a demand on this set has all members on since they were its members, with a row that starts at
  // start_ms, for windows that reach back this far; null if there is none.
  static std::shared_ptr<window::Tape> FindTape(const SeriesSet& set, int64_t start_ms, int64_t reach_ms,
                                                window::TapeKind kind);
  std::shared_ptr<window::BoundedRows> BoundedOf(window::BoundedRows::Key key);
  // RETURNS: as FindTape, of the windows with the key's offset, kind and error.
  static std::shared_ptr<window::BoundedRows> FindBounded(const SeriesSet& set, int64_t start_ms, int64_t range_ms,
                                                          const window::BoundedRows::Key& key);
  // The demand lives as long as the caller keeps it.
  void AddDemand(SeriesSet& set, const std::shared_ptr<const Demand>& demand);
  // Demands or sets were dropped.
  void MarkChanged() { changed_ = true; }
  // Brings sets, profiles and series in line after plans came or went. Cheap when nothing changed.
  void Refresh() {
    if (changed_) {
      Rebuild();
    }
  }

  // See Engine.
  void SetAdmitting(bool admitting) { admitting_ = admitting; }
  bool admitting() const { return admitting_; }
  void OnGrowth(std::function<void()> handler) { on_growth_ = std::move(handler); }
  // Called before tables move that whoever computes leaves reads (chunks of series, members of sets, profiles). `all`: before what
  // they hold may change, too.
  void BeforeChange(std::function<void(bool all)> handler) { before_change_ = std::move(handler); }
  // Rules write samples to the series while a tick runs. RETURNS: whether that is known.
  bool WrittenByRules(SeriesId id) const { return profile_of(id).written_by_rules; }
  void SetWrittenByRules(SeriesId id);
  Refusal Refuses(uint32_t source) const;
  uint32_t SeriesOfSource(uint32_t source) const { return sources_[source].series; }
  bool tracks_sources() const { return sources_.size() > 1; }
  // THREAD: that of the series' shard.
  void Seen(SeriesId id, uint32_t source) {
    Origin& origin = origin_[id];
    if (origin.other == origin.owner || source >= sources_.size()) {
      return;
    }
    if (source == origin.owner || origin.other == kNobody) {
      origin.other = static_cast<uint8_t>(source);
    }
  }
  SeriesId Intern(LabelSetId labels) { return InternFor(0, labels, kFromRules); }
  // While `on`, nothing that a running evaluation looks at changes: new series join no set, and appends leave versions as they
  // are. TakeAside() makes up for both.
  void SetAside(bool on) { aside_ = on; }
  // New series that were set aside join their sets, in order of arrival, and versions move. REQUIRES: no evaluation runs. `yield` may
  // set more aside.
  void TakeAside(const std::function<void()>& yield = [] {});
  // RETURNS: a number that grows with every sample of a watched series that was set aside: for who evaluates meanwhile.
  uint64_t watched_aside() const { return watched_aside_; }

  // --- shards ---
  uint32_t shards() const { return static_cast<uint32_t>(shards_.size()); }
  // RETURNS: the series with these labels, made if new, as one of this shard's. `labels` sorted by name.
  SeriesId InternFor(uint32_t shard, std::span<const std::pair<std::string_view, std::string_view>> labels,
                     uint32_t source);
  // As InternFor of the draft's labels. REQUIRES: Refuses(source) is kNone.
  SeriesId InternFor(uint32_t shard, const SeriesDrafts& drafts, size_t draft, uint32_t source);
  // See ShardWriter. THREAD: a shard's, with nothing but appends going on.
  bool Draft(std::span<const std::pair<std::string_view, std::string_view>> labels, SeriesDrafts* drafts) const;
  // What is below is for shards that take samples in at once. THREAD: the shard's, all else at rest.
  // RETURNS: whether the series is sure to be the one that had this id in that generation (its low bits). It may be even if not.
  bool SameSince(SeriesId id, uint32_t generation) const {
    const Ended& then = ended_[generation % kGenerationsKnown];
    return then.generation == generation && arrival_[id] != 0 && arrival_[id] <= then.arrivals;
  }
  bool Owns(uint32_t shard, SeriesId id) const { return owner_[id >> kChunkBits] == shard; }
  // REQUIRES: Owns(shard, id), or that all shards are at rest.
  AppendOutcome AppendFor(uint32_t shard, SeriesId id, int64_t t_ms, double v, int64_t start_ms);
  AppendOutcome AppendHistogramFor(uint32_t shard, SeriesId id, int64_t t_ms, HistogramRef h, int64_t start_ms,
                                   bool as_read);

  // RETURNS: the newest time that an evaluation at t_ms can look at: later than t_ms where plans read ahead, INT64_MAX where
  // that has no bound worth telling.
  int64_t ReadsUntil(int64_t t_ms) const;
  // RETURNS: whether a selector matches these labels, which need not be interned.
  bool AnySetMatches(std::span<const std::pair<std::string_view, std::string_view>> labels) const;
  // RETURNS: a new member of a hidden set; `labels` need not be unique.
  SeriesId AddHidden(SeriesSet& set, LabelSetId labels, bool drop);
  Series& at(SeriesId id) { return chunks_[id >> kChunkBits][id & kChunkMask]; }
  const Series& at(SeriesId id) const { return chunks_[id >> kChunkBits][id & kChunkMask]; }
  const window::Profile& profile(uint32_t id) const { return *profiles_[id]->copies[0]; }
  const window::Profile& profile_of(SeriesId id) const { return profile(at(id).profile); }
  uint32_t end() const { return next_; }

  AppendOutcome Append(SeriesId id, int64_t t_ms, double v, int64_t start_ms = 0) {
    return AppendFor(0, id, t_ms, v, start_ms);
  }
  AppendOutcome AppendHistogram(SeriesId id, int64_t t_ms, HistogramRef h, int64_t start_ms, bool as_read) {
    return AppendHistogramFor(0, id, t_ms, std::move(h), start_ms, as_read);
  }
  Triggers& triggers() { return triggers_; }
  const Triggers& triggers() const { return triggers_; }
  // Nothing at or before floor_ms is evaluated any more.
  void SetFloor(int64_t floor_ms, const std::function<void()>& yield);
  // Frees series silent for longer than their profile looks back (at least `keep_ms`). RETURNS: how many.
  size_t Expire(int64_t t_ms, int64_t keep_ms, const std::function<void()>& yield);
  // RETURNS: the longest offset + range of any demand.
  int64_t LongestMs() const;
  uint64_t generation() const { return generation_; }
  uint64_t plans_generation() const { return plans_generation_; }  // without the changes that expiry makes
  // What the series hold that the same sets read.
  struct SharedLoad {
    const std::vector<uint32_t>* sets = nullptr;  // ids, sorted; none: nobody reads them
    bool read = false;                            // by some plan
    size_t series = 0;
    size_t samples = 0;  // records in rings
    size_t bytes = 0;    // windows, without the series themselves
  };
  // By profile. Walks all series, with the crew.
  std::vector<SharedLoad> LoadByProfile(ForkJoin& crew, const std::function<void()>& yield) const;
  // RETURNS: all but nodes, given what LoadByProfile has found.
  SeriesStats Stats(std::span<const SharedLoad> loads) const;

 private:
  static constexpr uint8_t kNobody = 0xff;
  static constexpr uint32_t kNoProfile = 0xffffffff;
  // Who brings a series. `other`: the owner, once it has brought a sample since the last HandOver; until then the first one
  // beside it that has.
  struct Origin {
    uint8_t owner = kNobody;
    uint8_t other = kNobody;
  };
  struct Source {
    uint32_t series_max = 0;  // 0: any number
    uint32_t series = 0;
  };
  struct ProfileEntry {
    std::vector<std::unique_ptr<window::Profile>> copies;  // by shard: every sample writes to its own
    std::vector<CellPool::Lane*> cells;                    // by shard: what the rings are made of
    std::vector<uint32_t> sets;                            // sorted ids
  };
  // What a shard's thread writes to, apart from its series.
  struct alignas(64) Shard {
    std::vector<window::Profile*> profiles;  // the shard's copies by profile id
    std::vector<SeriesId> free;
    SeriesId next = 0;  // of its newest chunk
    SeriesId end = 0;
    bool appended_aside = false;
  };
  static constexpr uint32_t kChunkBits = 10;
  static constexpr uint32_t kChunkMask = (1U << kChunkBits) - 1;

  // Ids that are free from now on may become other series'.
  void NextGeneration() {
    ended_[generation_ % kGenerationsKnown] = {static_cast<uint32_t>(generation_), arrivals_};
    ++generation_;
  }
  void Rebuild();
  void RecomputeProfile(ProfileEntry& entry);
  // RETURNS: the copy of the series' shard, whose memory its ring is of.
  window::Profile& OwnProfile(SeriesId id) { return *shards_[owner_[id >> kChunkBits]].profiles[at(id).profile]; }
  void SetTapeReach();
  // Brings who is on which tape in line with the profiles.
  void PlaceOnTapes();
  // The series gets its first histogram or start time: its samples come back from the tapes.
  void LeaveTapes(SeriesId id);
  // The newest sample came late.
  void TellTapes(SeriesId id, int64_t t_ms, const window::Profile& profile);
  void WriteTapes(const std::function<void()>& yield);
  uint32_t ProfileOf(const std::vector<uint32_t>& sets);
  [[gnu::noinline]] void Cross(SeriesId id, int64_t t_ms, double previous, double v, bool histogram) {
    triggers_.Cross(profiles_[at(id).profile]->sets, {.series = id,
                                                      .histogram = histogram,
                                                      .newborn = arrival_[id] == 0,
                                                      .t_ms = t_ms,
                                                      .previous = previous,
                                                      .v = v});
  }
  // `profile`: what Place would find, if known.
  SeriesId InternFor(uint32_t shard, LabelSetId labels, uint32_t source, uint32_t profile = kNoProfile);
  SeriesId Allocate(uint32_t shard, LabelSetId labels, uint32_t source);
  // Series pass to the sources that bring them.
  void HandOver(const std::function<void()>& yield);
  // The series' profile as its labels want it (or `profile`), and its place by labels; not yet its sets.
  void Place(SeriesId id, uint32_t profile);
  SeriesId Known(LabelSetId labels) const { return by_labels_.Find(labels); }
  void Free(SeriesId id);
  // Gives the memory of chunks back in which every series is free.
  void VacateChunks(const std::function<void()>& yield);
  // The series goes, but for its id and its place in the sets, which are noted in `touched`.
  void Leave(SeriesId id, std::vector<bool>* touched);
  bool Matches(const SeriesSet& set, LabelSetId labels) const;
  // RETURNS: null when it is gone. Cheaper than to lock it; nobody drops sets meanwhile.
  SeriesSet* LiveSet(uint32_t id) const { return sets_[id].expired() ? nullptr : set_at_[id]; }
  // Calls look(id) for every set that a series with these labels would join, until that returns false.
  template <typename Look>
  void ForSetsOf(std::span<const std::pair<std::string_view, std::string_view>> labels, Look look) const;
  // Appends ids of the sets that match; `only_new`: of those not attached yet.
  void MatchingSets(LabelSetId labels, bool only_new, std::vector<uint32_t>* ids);
  static void AddProfile(SeriesSet& set, const ProfileEntry& entry);
  void AddMember(SeriesSet& set, SeriesId id, uint32_t profile);
  // The series joins the sets of its profile.
  void Attach(SeriesId id);
  // Puts series in order of arrival.
  void SortByArrival(std::vector<SeriesId>* ids) const;
  void RenumberArrivals();
  // Members that are gone leave the set.
  void CloseRanks(SeriesSet& set, const std::function<void()>& yield);
  void IndexSets();

  LabelSetTable labels_;
  std::vector<SymbolId> pinned_;
  size_t expired_since_collect_ = 0;
  size_t other_sets_ = 0;  // that were no series' after the last collection
  SymbolId name_symbol_;
  uint32_t series_max_;
  bool admitting_ = true;
  std::function<void()> on_growth_;
  std::function<void(bool all)> before_change_ = [](bool) {};
  uint32_t made_ = 0;                                  // series, since the start
  std::vector<std::unique_ptr<CellPool>> ring_cells_;  // by shard; before all that has rings in this list
  std::vector<Source> sources_;
  std::vector<Origin> origin_;  // by series, when there are sources
  int64_t handed_over_ms_ = std::numeric_limits<int64_t>::min();
  // A chunk without series is a view of vacant_chunk_, which nobody writes to, until it is needed again.
  std::vector<Series*> chunks_;
  std::vector<std::unique_ptr<Series[]>> owned_;  // what chunks_ views; null: vacant
  std::unique_ptr<Series[]> vacant_chunk_;
  std::vector<uint32_t> vacant_;  // chunks
  std::vector<uint32_t> owner_;   // the shard of each chunk
  std::vector<uint32_t> free_in_chunk_;
  std::vector<Shard> shards_;
  uint32_t next_ = 0;  // behind the last chunk
  uint32_t live_ = 0;
  // By series: when it joined its sets, as a running number; 0: not yet. Ids are reused and are no order.
  std::deque<uint32_t> arrival_;  // grows without a copy
  uint32_t arrivals_ = 0;
  bool aside_ = false;
  uint64_t watched_aside_ = 0;
  std::vector<SeriesId> new_aside_;  // in order of arrival
  SeriesByLabels by_labels_;
  std::vector<std::weak_ptr<SeriesSet>> sets_;  // by id
  std::vector<SeriesSet*> set_at_;              // what sets_ refers to
  std::unordered_map<std::string, uint32_t> set_by_text_;
  std::unordered_map<SymbolId, std::vector<uint32_t>> sets_by_name_;
  std::vector<uint32_t> sets_without_name_;
  std::vector<std::unique_ptr<ProfileEntry>> profiles_;
  std::map<std::vector<uint32_t>, uint32_t> profile_by_sets_;
  Triggers triggers_;
  int64_t floor_ms_;
  std::shared_ptr<StateDirectory> state_;
  int64_t tape_margin_ms_;
  std::shared_ptr<window::TapeCounters> tape_counters_ = std::make_shared<window::TapeCounters>();
  std::vector<std::weak_ptr<window::RowStore>> row_stores_;  // all of them
  std::vector<std::weak_ptr<window::Tape>> tapes_;
  std::vector<std::weak_ptr<window::BoundedRows>> bounded_;
  std::mutex tape_mutex_;  // several shards may have late samples or histograms for one tape
  bool changed_ = false;
  uint64_t generation_ = 1;
  // The last generations: what had arrived when they ended.
  struct Ended {
    uint32_t generation = 0;
    uint32_t arrivals = 0;
  };
  static constexpr uint32_t kGenerationsKnown = 256;  // a power of two: those of an expiry of 100,000 series
  std::array<Ended, kGenerationsKnown> ended_{};
  uint64_t plans_generation_ = 1;
};

}  // namespace weir::engine
