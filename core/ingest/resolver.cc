#include "core/ingest/resolver.h"

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "core/base/log.h"

namespace weir::ingest {
namespace {

using engine::AppendOutcome;
using engine::Refusal;
using engine::SeriesId;
using plugin::HistogramSample;
using plugin::IngestOutcome;
using plugin::SampleBatch;

constexpr uint32_t kNowhere = 0xffffffff;
constexpr uint32_t kChunkBits = 12;  // aliases a chunk; chunks never move, so growing does not stall ingest
constexpr uint32_t kChunkMask = (1U << kChunkBits) - 1;
constexpr uint32_t kIndexShards = 64;       // one shard rehashes at a time, for the same reason
constexpr uint32_t kSweepStep = 64;         // aliases looked at per batch …
constexpr uint32_t kSweepSeriesShare = 16;  // … and one more for so many of its series
constexpr int64_t kLogEveryMs = 10000;
constexpr size_t kBlock = 64;  // series resolved before their samples are appended
constexpr size_t kAhead = 20;  // samples whose places in memory are asked for before they are written

// Alias::series beyond the engine's ids.
constexpr uint32_t kFree = 0xfffffffe;     // the slot holds no alias
constexpr uint32_t kIgnored = 0xfffffffd;  // no rule reads it
constexpr uint32_t kInvalid = 0xfffffffc;  // its labels are no series
constexpr uint32_t kLimited = 0xfffffffb;  // there was no room, for whoever brought it last
constexpr uint32_t kForeign = 0xfffffffa;  // a series of another shard
constexpr uint32_t kUnknown = 0xfffffff9;  // not asked for yet
constexpr uint32_t kSeriesEnd = kUnknown;

// The low bits of a generation, and of an epoch, tell it from all those that an alias may be from.
constexpr uint32_t kGenerationBits = 24;
constexpr uint32_t kGenerationMask = (1U << kGenerationBits) - 1;

struct Alias {
  bool Is(const uint64_t other[2]) const { return std::memcmp(hash, other, sizeof(hash)) == 0; }
  uint64_t Word(size_t i) const {
    uint64_t word = 0;
    std::memcpy(&word, &hash[2 * i], sizeof(word));
    return word;
  }

  uint32_t hash[4] = {0, 0, 0, 0};  // two words, each in halves: nothing here wants more than 4 bytes of alignment
  uint32_t series = kFree;
  uint32_t next = kNowhere;                   // what followed it last time
  uint32_t generation : kGenerationBits = 0;  // Impl::Generation() when `series` was found
  uint32_t epoch : 8 = 0;                     // when it was seen last
};
static_assert(sizeof(Alias) == 28);

struct HashKey {
  const uint64_t* hash;
};

// All known label sets: chunks of aliases with stable positions, and the index from hashes to positions.
class AliasTable {
 public:
  explicit AliasTable(uint32_t aliases_max) : aliases_max_(aliases_max) {
    shards_.reserve(kIndexShards);
    for (uint32_t i = 0; i < kIndexShards; ++i) {
      shards_.emplace_back(0, PositionHash{this}, PositionEqual{this});
    }
  }

  Alias& at(uint32_t position) { return chunks_[position >> kChunkBits][position & kChunkMask]; }
  const Alias& at(uint32_t position) const { return chunks_[position >> kChunkBits][position & kChunkMask]; }
  bool Is(uint32_t position, const uint64_t hash[2]) const { return position < end_ && at(position).Is(hash); }

  // RETURNS: the position, or kNowhere.
  uint32_t Find(const uint64_t hash[2]) const {
    const Shard& shard = shards_[ShardOf(hash[0])];
    const auto found = shard.find(HashKey{hash});
    return found == shard.end() ? kNowhere : *found;
  }

  // RETURNS: the position of a new alias, kNowhere when the table is full.
  uint32_t Add(const uint64_t hash[2]) {
    uint32_t position = kNowhere;
    if (!free_.empty()) {
      position = free_.back();
      free_.pop_back();
    } else {
      if (end_ >= aliases_max_) {
        return kNowhere;
      }
      position = end_++;
      if ((position >> kChunkBits) >= chunks_.size()) {
        chunks_.push_back(std::make_unique<Alias[]>(size_t{1} << kChunkBits));
      }
    }
    Alias& alias = at(position);
    alias = Alias{};
    std::memcpy(alias.hash, hash, sizeof(alias.hash));
    alias.next = position + 1;  // new series come in the sender's order
    alias.series = kInvalid;
    shards_[ShardOf(hash[0])].insert(position);
    return position;
  }

  void Remove(uint32_t position) {
    shards_[ShardOf(at(position).Word(0))].erase(position);
    at(position) = Alias{};
    free_.push_back(position);
  }

  uint32_t end() const { return end_; }
  size_t size() const { return end_ - free_.size(); }
  size_t bytes() const {
    size_t slots = 0;
    for (const Shard& shard : shards_) {
      slots += shard.capacity();
    }
    return (chunks_.size() << kChunkBits) * sizeof(Alias) + slots * (sizeof(uint32_t) + 1) +
           free_.capacity() * sizeof(uint32_t);
  }

 private:
  struct PositionHash {
    using is_transparent = void;
    const AliasTable* table;
    size_t operator()(uint32_t position) const { return table->at(position).Word(1); }
    size_t operator()(const HashKey& key) const { return key.hash[1]; }
  };
  struct PositionEqual {
    using is_transparent = void;
    const AliasTable* table;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t a, const HashKey& b) const { return table->at(a).Is(b.hash); }
    bool operator()(const HashKey& a, uint32_t b) const { return (*this)(b, a); }
  };
  using Shard = absl::flat_hash_set<uint32_t, PositionHash, PositionEqual>;

  static size_t ShardOf(uint64_t low) { return low & (kIndexShards - 1); }

  const uint32_t aliases_max_;
  uint32_t end_ = 0;
  std::vector<std::unique_ptr<Alias[]>> chunks_;
  std::vector<uint32_t> free_;
  std::vector<Shard> shards_;
};

using LabelViews = std::vector<std::pair<std::string_view, std::string_view>>;

}  // namespace

std::string_view InvalidReasonText(InvalidReason reason) {
  static constexpr std::string_view kTexts[kInvalidReasons] = {
      "malformed labels",    "label set too large",  "too many labels",    "no metric name",       "empty label name",
      "label name too long", "label value too long", "label is not UTF-8", "duplicate label name",
  };
  return kTexts[static_cast<size_t>(reason)];
}

struct Resolver::Impl {
  Impl(engine::Engine* given, ResolverLimits given_limits, uint32_t shard)
      : engine(given, shard), alone(given->shards() == 1), limits(given_limits), aliases(given_limits.aliases_max) {}

  void Start(const SampleBatch& batch, int64_t arrived_ms) {
    source = batch.source;
    now_ms = arrived_ms;
    latest_allowed_ms = std::min(kTimeMsMax, std::min(now_ms, kTimeMsMax) + limits.future_max_ms);
    newest_ms = std::numeric_limits<int64_t>::min();
    structure_generation = static_cast<uint32_t>(engine.structure_generation());
    plans_generation = static_cast<uint32_t>(engine.plans_generation());
  }
  template <typename PlaceOf>
  IngestOutcome Apply(const SampleBatch& batch, std::span<const SampleBatch::Series> all, std::string_view stream,
                      int64_t arrived_ms, PlaceOf place_of);

  // --- known series ---

  // Where a stream is in its order.
  struct Cursor {
    uint32_t at = kNowhere;      // the last series
    uint32_t missed = kNowhere;  // when that came unpredicted: what was predicted instead; the stream may go on there
  };

  // RETURNS: kNowhere, or the position of the alias with this hash; moves the cursor there and learns the order.
  uint32_t Locate(const uint64_t hash[2], Cursor* cursor) {
    const uint32_t before = cursor->at;
    if (before < aliases.end()) {
      const uint32_t next = aliases.at(before).next;
      if (aliases.Is(next, hash)) {
        return Predicted(next, cursor);
      }
      if (aliases.Is(before + 1, hash)) {
        aliases.at(before).next = before + 1;
        return Predicted(before + 1, cursor);
      }
      // A series that is missing here, or one that came where it does not belong: the stream goes on near by.
      const uint32_t missed = cursor->missed;
      const uint32_t over = next < aliases.end() ? aliases.at(next).next : kNowhere;
      const uint32_t behind = missed < aliases.end() ? aliases.at(missed).next : kNowhere;
      for (const uint32_t position : {over, next + 1, behind, missed + 1, missed}) {
        if (aliases.Is(position, hash)) {
          aliases.at(before).next = position;
          return Predicted(position, cursor);
        }
      }
    }
    const uint32_t position = aliases.Find(hash);
    if (position != kNowhere) {
      ++stats.probed;
      Follow(position, cursor);
    }
    return position;
  }
  uint32_t Predicted(uint32_t position, Cursor* cursor) {
    ++stats.predicted;
    *cursor = {position, kNowhere};
    return position;
  }

  void Follow(uint32_t position, Cursor* cursor) {
    const uint32_t before = cursor->at;
    *cursor = {position, kNowhere};
    if (before < aliases.end()) {
      cursor->missed = std::exchange(aliases.at(before).next, position);
    }
  }

  // RETURNS: an engine series or one of the marks above.
  uint32_t Resolve(const SampleBatch::Series& series, Cursor* cursor) {
    uint32_t position = Locate(series.hash, cursor);
    if (position == kNowhere) {
      // A flood of new series must not fill what is left of memory with their hashes.
      position = engine.admitting() ? aliases.Add(series.hash) : kNowhere;
      if (position == kNowhere) {
        return Parse(series.labels, kNowhere);
      }
      Follow(position, cursor);
      Alias& alias = aliases.at(position);
      alias.epoch = epoch;
      alias.series = Parse(series.labels, position);
      Stamp(&alias);
      return alias.series;
    }
    Alias& alias = aliases.at(position);
    if (alias.epoch != epoch) {
      alias.epoch = epoch;
    }
    if (alias.generation != Generation(alias.series)) {
      Revalidate(series.labels, position);
    }
    return alias.series;
  }

  // --- parsing ---

  // What must not have changed since an alias was resolved: expired series free their ids, but ignored series stay ignored
  // until rules change.
  uint32_t Generation(uint32_t series) const {
    return (series == kIgnored ? plans_generation : structure_generation) & kGenerationMask;
  }

  // Who was refused is looked at every time: there may be room, or the sender may be another.
  void Stamp(Alias* alias) const {
    alias->generation = alias->series == kLimited ? LimitedGeneration() : Generation(alias->series);
  }
  uint32_t LimitedGeneration() const { return Generation(kIgnored) ^ 1U << (kGenerationBits - 1); }  // is not near
  // RETURNS: the newest structure generation with these low bits.
  uint32_t WholeGeneration(uint32_t low) const {
    return structure_generation - ((structure_generation - low) & kGenerationMask);
  }

  // Rules or series ids changed since the alias was resolved, or it was refused.
  void Revalidate(std::string_view block, uint32_t position) {
    Alias* alias = &aliases.at(position);
    if (alias->series == kLimited && alias->generation == LimitedGeneration() &&
        engine.Refuses(source) != Refusal::kNone) {
      return;
    }
    if (alias->series < kSeriesEnd &&
        (engine.SameSince(alias->series, WholeGeneration(alias->generation)) || HasLabels(alias->series, block))) {
      if (!engine.IsRead(alias->series)) {
        alias->series = kIgnored;
      }
    } else if (alias->series != kInvalid) {
      alias->series = Parse(block, position);
    }
    Stamp(alias);
  }

  // RETURNS: whether the series still is the one with these labels. Cheaper than interning them; a block that is not sorted or
  // holds empty values may give a false no.
  bool HasLabels(SeriesId series, std::string_view block) {
    return plugin::DecodeLabels(block, &views).ok() && engine.HasLabels(series, views);
  }

  // With several shards nothing is made while they run: such series are left, with what can be done before.
  uint32_t Parse(std::string_view block, uint32_t position) {
    ++stats.parsed;
    return alone ? Ask(block) : Prepare(block, position);
  }

  uint32_t Prepare(std::string_view block, uint32_t position) {
    InvalidReason reason{};
    if (!Check(block, &reason)) {
      NoteInvalid(reason);
      return kInvalid;
    }
    if (!engine.Draft(views, &drafts)) {
      return kIgnored;
    }
    prepared = static_cast<uint32_t>(drafts.size() - 1);
    positions.push_back(position);
    return kUnknown;
  }

  uint32_t Ask(std::string_view block) {
    InvalidReason reason{};
    if (!Check(block, &reason)) {
      NoteInvalid(reason);
      return kInvalid;
    }
    if (!engine.WouldRead(views)) {
      return kIgnored;
    }
    const SeriesId series = engine.Intern(views, source);
    return series == engine::kNoSeries ? kLimited : series;
  }

  // Decodes the block into `views`, sorted. RETURNS: whether it is a series.
  bool Check(std::string_view block, InvalidReason* reason) {
    const auto fail = [reason](InvalidReason why) {
      *reason = why;
      return false;
    };
    views.clear();
    if (block.size() > limits.block_bytes_max) {
      return fail(InvalidReason::kTooLarge);
    }
    if (!plugin::DecodeLabels(block, &views).ok()) {
      return fail(InvalidReason::kMalformed);
    }
    if (views.size() > limits.labels_max) {
      return fail(InvalidReason::kTooManyLabels);
    }
    bool named = false;
    for (const auto& [name, value] : views) {
      if (name.empty()) {
        return fail(InvalidReason::kEmptyName);
      }
      if (name.size() > limits.name_bytes_max) {
        return fail(InvalidReason::kNameTooLong);
      }
      if (value.size() > limits.value_bytes_max) {
        return fail(InvalidReason::kValueTooLong);
      }
      if (!IsValidUtf8(name) || !IsValidUtf8(value)) {
        return fail(InvalidReason::kNotUtf8);
      }
      named = named || (name == kMetricName && !value.empty());
    }
    const auto by_name = [](const auto& a, const auto& b) { return a.first < b.first; };
    if (!std::is_sorted(views.begin(), views.end(), by_name)) {
      ++stats.unsorted_series;
      std::stable_sort(views.begin(), views.end(), by_name);
    }
    const auto same_name = [](const auto& a, const auto& b) { return a.first == b.first; };
    if (std::adjacent_find(views.begin(), views.end(), same_name) != views.end()) {
      return fail(InvalidReason::kDuplicateName);
    }
    return named || fail(InvalidReason::kNoMetricName);
  }

  void NoteInvalid(InvalidReason reason) {
    ++stats.invalid_series[static_cast<size_t>(reason)];
    if (now_ms - last_log_ms >= kLogEveryMs || last_log_ms > now_ms) {
      last_log_ms = now_ms;
      LogWarn("series skipped: bad labels",
              {{"reason", std::string(InvalidReasonText(reason))}, {"series", plugin::LabelsText(views)}});
    }
  }

  // --- samples ---

  void Append(const SampleBatch& batch, const SampleBatch::Series& series, SeriesId id, IngestOutcome* outcome) {
    if (engine.TracksSources()) {
      engine.Seen(id, source);
    }
    const int64_t* const starts = batch.start_times.empty() ? nullptr : batch.start_times.data();
    for (uint32_t i = series.first; i < series.first + series.count; ++i) {
      const Sample& sample = batch.samples[i];
      if (Admit(series, sample.t, outcome)) {
        Note(series, sample.t, engine.Append(id, sample.t, sample.v, starts == nullptr ? 0 : starts[i]), outcome);
      }
    }
    if (series.histogram_count > 0) {
      AppendHistograms(batch, series, id, outcome);
    }
  }

  // Out of the way of floats.
  [[gnu::noinline]] void AppendHistograms(const SampleBatch& batch, const SampleBatch::Series& series, SeriesId id,
                                          IngestOutcome* outcome) {
    for (uint32_t i = series.first_histogram; i < series.first_histogram + series.histogram_count; ++i) {
      const HistogramSample& sample = batch.histograms[i];
      if (Admit(series, sample.t, outcome)) {
        // The engine knows one stale marker, a float's, for series of both kinds.
        const AppendOutcome appended = IsStaleNaN(sample.h->sum)
                                           ? engine.Append(id, sample.t, StaleNaN(), sample.start_ms)
                                           : engine.AppendHistogram(id, sample.t, sample.h, sample.start_ms);
        outcome->histograms += appended == AppendOutcome::kOk || appended == AppendOutcome::kDuplicateSame ? 1 : 0;
        Note(series, sample.t, appended, outcome);
      }
    }
  }

  // RETURNS: whether the time can be taken at all.
  bool Admit(const SampleBatch::Series& series, int64_t t, IngestOutcome* outcome) {
    if (t > latest_allowed_ms || t < -kTimeMsMax) {
      ++stats.too_far_ahead;
      Reject(series.labels, t, t > 0 ? "sample too far in the future" : "sample time out of range", outcome);
      return false;
    }
    newest_ms = std::max(newest_ms, t);
    return true;
  }

  void Note(const SampleBatch::Series& series, int64_t t, AppendOutcome appended, IngestOutcome* outcome) {
    switch (appended) {
      case AppendOutcome::kOk:
        ++outcome->written;
        break;
      case AppendOutcome::kDuplicateSame:
        ++outcome->duplicates;
        break;
      case AppendOutcome::kDuplicateConflict:
        ++stats.conflicts;
        Reject(series.labels, t, "duplicate sample with another value", outcome);
        break;
      case AppendOutcome::kOutOfOrder:
        ++stats.out_of_order;
        Reject(series.labels, t, "out of order sample", outcome);
        break;
    }
  }

  // Samples of aliases that are no engine series.
  void Pass(const SampleBatch& batch, const SampleBatch::Series& series, uint32_t mark, uint32_t draft,
            IngestOutcome* outcome) {
    if (mark == kForeign || mark == kUnknown) {
      left.push_back({at, mark == kUnknown ? draft : kNowhere});
      return;
    }
    if (mark == kInvalid) {
      ++outcome->invalid_series;
      stats.of_invalid_series += series.count + series.histogram_count;
      if (outcome->first_invalid.empty()) {
        first_invalid_at = at;
        outcome->first_invalid = InvalidText(series.labels);
      }
      return;
    }
    for (uint32_t i = series.first; i < series.first + series.count; ++i) {
      PassOne(series, batch.samples[i].t, mark, outcome);
    }
    if (series.histogram_count > 0) {
      PassHistograms(batch, series, mark, outcome);
    }
  }

  [[gnu::noinline]] void PassHistograms(const SampleBatch& batch, const SampleBatch::Series& series, uint32_t mark,
                                        IngestOutcome* outcome) {
    for (uint32_t i = series.first_histogram; i < series.first_histogram + series.histogram_count; ++i) {
      outcome->histograms += mark == kLimited ? 0 : 1;
      PassOne(series, batch.histograms[i].t, mark, outcome);
    }
  }

  void PassOne(const SampleBatch::Series& series, int64_t t, uint32_t mark, IngestOutcome* outcome) {
    if (t <= latest_allowed_ms && t >= -kTimeMsMax) {
      newest_ms = std::max(newest_ms, t);
    }
    if (mark == kLimited) {
      Refuse(series.labels, t, outcome);
    } else {
      ++stats.ignored;
      ++outcome->written;
    }
  }

  [[gnu::noinline]] void Refuse(std::string_view block, int64_t t, IngestOutcome* outcome) {
    switch (engine.Refuses(source)) {
      case Refusal::kMemory:
        ++stats.memory_short;
        return Reject(block, t, "memory is near its limit: new series are refused", outcome);
      case Refusal::kSourceLimit:
        ++stats.over_source_limit;
        ++outcome->over_budget;
        return Reject(block, t, "the source brings as many series as its max_series allows", outcome);
      case Refusal::kSeriesLimit:
      case Refusal::kNone:
        break;
    }
    ++stats.over_series_limit;
    Reject(block, t, "series limit reached", outcome);
  }

  // RETURNS: `no metric name: series {…}`. An alias does not remember its reason.
  std::string InvalidText(std::string_view block) {
    InvalidReason reason{};
    const uint64_t unsorted = stats.unsorted_series;
    Check(block, &reason);
    stats.unsorted_series = unsorted;
    return std::string(InvalidReasonText(reason)) + ": series " + plugin::LabelsText(views);
  }

  void Reject(std::string_view block, int64_t t, std::string_view why, IngestOutcome* outcome) {
    ++outcome->rejected;
    if (outcome->first_error.empty() && plugin::DecodeLabels(block, &views).ok()) {
      first_error_at = at;
      outcome->first_error = std::string(why) + ": series " + plugin::LabelsText(views) + ", t " + std::to_string(t);
    }
  }

  // --- batches ---

  // Series are looked up a block ahead of their samples: by the time a sample is appended, its series and the end of its ring
  // have come from memory.
  template <typename PlaceOf>
  void ApplySeries(const SampleBatch& batch, std::span<const SampleBatch::Series> all, PlaceOf place_of, Cursor* cursor,
                   IngestOutcome* outcome) {
    std::array<uint32_t, kBlock> found{};
    std::array<uint32_t, kBlock> draft{};
    const bool watching = !alone && engine.AnyWatched();
    for (size_t from = 0; from < all.size(); from += kBlock) {
      const size_t block = std::min<size_t>(kBlock, all.size() - from);
      for (size_t i = 0; i < block; ++i) {
        prepared = kNowhere;
        found[i] = Resolve(all[from + i], cursor);
        draft[i] = prepared;
        if (found[i] < kSeriesEnd) {
          engine.Prefetch(found[i]);
        }
      }
      for (size_t i = 0; i < std::min(kAhead, block); ++i) {
        PrefetchAppend(found[i]);
      }
      for (size_t i = 0; i < block; ++i) {
        if (i + kAhead < block) {
          PrefetchAppend(found[i + kAhead]);
        }
        at = place_of(from + i);
        if (found[i] >= kSeriesEnd) {
          Pass(batch, all[from + i], found[i], draft[i], outcome);
        } else if (watching && engine.IsWatched(found[i])) {
          left.push_back({at, kNowhere});  // its samples may have an alert evaluated
        } else {
          Append(batch, all[from + i], found[i], outcome);
        }
      }
    }
  }
  // A series that was left, with all shards at rest.
  void ApplyLeft(const SampleBatch& batch, const SampleBatch::Series& series, uint32_t draft, IngestOutcome* outcome) {
    const uint32_t position = draft == kNowhere ? aliases.Find(series.hash) : positions[draft];
    uint32_t found = position == kNowhere ? kUnknown : aliases.at(position).series;
    if (found >= kSeriesEnd) {
      if (draft != kNowhere && engine.Refuses(source) == Refusal::kNone) {
        found = engine.Intern(drafts, draft, source);
        found = found == engine::kNoSeries ? kLimited : found;
      } else {
        stats.parsed += draft == kNowhere ? 1 : 0;
        found = Ask(series.labels);
      }
      const bool foreign = found < kSeriesEnd && !engine.Owns(found);
      saw_foreign = saw_foreign || foreign;
      if (position != kNowhere) {
        aliases.at(position).series = foreign ? kForeign : found;
        Stamp(&aliases.at(position));
      }
    }
    const uint64_t written = outcome->written;
    const uint64_t duplicates = outcome->duplicates;
    if (found < kSeriesEnd) {
      Append(batch, series, found, outcome);
    } else {
      Pass(batch, series, found, kNowhere, outcome);
    }
    stats.written += outcome->written - written;
    stats.duplicates += outcome->duplicates - duplicates;
  }
  void PrefetchAppend(uint32_t series) const {
    if (series < kSeriesEnd) {
      engine.PrefetchAppend(series);
    }
  }

  // --- forgetting ---

  // Ages aliases: an epoch is alias_idle_ms; whoever was not seen in this or the previous one goes. The sweep goes round the
  // table without end, a few aliases per batch, so that it never stalls ingest.
  void Sweep(size_t batch_series) {
    if (now_ms - epoch_start_ms >= limits.alias_idle_ms || now_ms < epoch_start_ms) {
      epoch_start_ms = now_ms;
      ++epoch;
    }
    size_t steps = std::min<size_t>(kSweepStep + batch_series / kSweepSeriesShare, aliases.end());
    for (; steps > 0; --steps, ++sweep_at) {
      if (sweep_at >= aliases.end()) {
        sweep_at = 0;
      }
      const Alias& alias = aliases.at(sweep_at);
      if (alias.series != kFree && static_cast<uint8_t>(epoch - alias.epoch) > 1) {
        aliases.Remove(sweep_at);
      }
    }
  }

  engine::ShardWriter engine;
  const bool alone;  // one shard: series are interned as they come
  const ResolverLimits limits;
  AliasTable aliases;
  std::map<std::string, Cursor, std::less<>> cursors;  // by stream
  ResolverStats stats;
  LabelViews views;                     // scratch
  uint32_t source = engine::kNoSource;  // of the batch
  uint32_t at = 0;                      // the series of the batch that is looked at
  uint32_t first_error_at = 0;
  uint32_t first_invalid_at = 0;
  std::vector<Left> left;
  engine::SeriesDrafts drafts;
  std::vector<uint32_t> positions;  // of the drafts' aliases
  uint32_t prepared = kNowhere;     // the draft that was made just now
  bool saw_foreign = false;
  uint32_t structure_generation = 0;
  uint32_t plans_generation = 0;
  uint8_t epoch = 1;
  int64_t epoch_start_ms = std::numeric_limits<int64_t>::max();
  uint32_t sweep_at = 0;
  int64_t now_ms = 0;
  int64_t last_log_ms = std::numeric_limits<int64_t>::max();
  int64_t latest_allowed_ms = 0;
  int64_t newest_ms = std::numeric_limits<int64_t>::min();
};

Resolver::Resolver(engine::Engine* engine, ResolverLimits limits, uint32_t shard)
    : impl_(std::make_unique<Impl>(engine, limits, shard)) {}
Resolver::~Resolver() = default;

IngestOutcome Resolver::Apply(const SampleBatch& batch, std::string_view stream, int64_t now_ms) {
  impl_->engine.Begin();
  return impl_->Apply(batch, batch.series, stream, now_ms, [](size_t i) { return static_cast<uint32_t>(i); });
}

IngestOutcome Resolver::Apply(const SampleBatch& batch, const Part& part, std::string_view stream, int64_t now_ms) {
  return impl_->Apply(batch, part.series, stream, now_ms, [&part](size_t i) { return part.places[i]; });
}

void Resolver::ApplyLeft(const SampleBatch& batch, const Left& left, int64_t now_ms, IngestOutcome* outcome) {
  impl_->Start(batch, now_ms);
  impl_->at = left.series;
  impl_->ApplyLeft(batch, batch.series[left.series], left.draft, outcome);
}

void Resolver::ForgetDrafts() {
  impl_->drafts.Clear();
  impl_->positions.clear();
}

template <typename PlaceOf>
IngestOutcome Resolver::Impl::Apply(const SampleBatch& batch, std::span<const SampleBatch::Series> all,
                                    std::string_view stream, int64_t arrived_ms, PlaceOf place_of) {
  Impl& r = *this;
  IngestOutcome outcome;
  Start(batch, arrived_ms);
  left.clear();
  Sweep(all.size());

  auto known = r.cursors.find(stream);
  if (known == r.cursors.end() && r.cursors.size() < r.limits.streams_max) {
    known = r.cursors.emplace(std::string(stream), Cursor{}).first;
  }
  Cursor cursor = known == r.cursors.end() ? Cursor{} : known->second;
  ApplySeries(batch, all, place_of, &cursor, &outcome);
  if (known != r.cursors.end()) {
    known->second = cursor;
  }
  r.stats.written += outcome.written;
  r.stats.duplicates += outcome.duplicates;
  return outcome;
}

int64_t Resolver::newest_ms() const { return impl_->newest_ms; }
const std::vector<Resolver::Left>& Resolver::left() const { return impl_->left; }
bool Resolver::saw_foreign() const { return impl_->saw_foreign; }
uint32_t Resolver::first_error_at() const { return impl_->first_error_at; }
uint32_t Resolver::first_invalid_at() const { return impl_->first_invalid_at; }

void Resolver::ForgetStream(std::string_view stream) {
  if (const auto known = impl_->cursors.find(stream); known != impl_->cursors.end()) {
    impl_->cursors.erase(known);
  }
}

ResolverStats Resolver::stats() const {
  ResolverStats stats = impl_->stats;
  stats.aliases = impl_->aliases.size();
  stats.streams = impl_->cursors.size();
  stats.alias_bytes = impl_->aliases.bytes();
  return stats;
}

}  // namespace weir::ingest
