#include "core/engine/store.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace weir::engine {

using window::BoundedRows;
using window::Profile;
using window::TapeKind;
using window::Thinning;

namespace {

constexpr SeriesId kSeriesPerYield = 1024;
constexpr size_t kNewSeriesPerYield = 128;  // some 0.05 ms
constexpr size_t kGoingPerYield = 512;      // some 0.1 ms

// Two selectors are one set exactly when their matchers are the same, in whatever order.
std::string KeyOf(const std::vector<Matcher>& matchers) {
  std::vector<std::string> texts;
  for (const Matcher& m : matchers) {
    texts.push_back(m.ToString());
  }
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  std::string key;
  for (const std::string& text : texts) {
    key += text;
    key += '\n';
  }
  return key;
}

bool HasOneName(const std::vector<Matcher>& matchers) {
  return std::any_of(matchers.begin(), matchers.end(),
                     [](const Matcher& m) { return m.name() == kMetricName && m.type() == MatchType::kEqual; });
}

}  // namespace

Store::Store(const Options& options)
    : name_symbol_(Pin(kMetricName)),
      series_max_(options.series_max),
      shards_(options.shards),
      floor_ms_(std::numeric_limits<int64_t>::min()),
      state_(options.state),
      tape_margin_ms_(options.tape_margin_ms) {
  for (uint32_t shard = 0; shard < shards(); ++shard) {
    ring_cells_.push_back(std::make_unique<CellPool>(window::kRingCellBytes));
  }
  ProfileOf({});  // profile 0: nobody reads the series
  WEIR_ASSERT(options.source_series_max.size() < kNobody);
  for (const uint32_t series_max : options.source_series_max) {
    sources_.push_back({series_max, 0});
  }
}

Refusal Store::Refuses(uint32_t source) const {
  if (!admitting_ && source != kFromRules) {
    return Refusal::kMemory;
  }
  if (live_ >= series_max_) {
    return Refusal::kSeriesLimit;
  }
  const bool full = source < sources_.size() && sources_[source].series_max != 0 &&
                    sources_[source].series >= sources_[source].series_max;
  return full ? Refusal::kSourceLimit : Refusal::kNone;
}

void Store::HandOver(const std::function<void()>& yield) {
  constexpr size_t kOriginsPerYield = 16384;
  for (size_t id = 0; id < origin_.size(); ++id) {
    if (id % kOriginsPerYield == 0) {
      yield();
    }
    Origin& origin = origin_[id];
    if (origin.owner != kNobody && origin.other != kNobody && origin.other != origin.owner) {
      --sources_[origin.owner].series;
      ++sources_[origin.other].series;
      origin.owner = origin.other;
    }
    origin.other = kNobody;
  }
}

std::shared_ptr<SeriesSet> Store::SetOf(const std::vector<Matcher>& matchers) {
  std::string key = KeyOf(matchers);
  auto found = set_by_text_.find(key);
  if (found != set_by_text_.end()) {
    if (auto set = sets_[found->second].lock()) {
      return set;
    }
  }
  auto set = std::make_shared<SeriesSet>();
  set->matchers = matchers;
  set->id = static_cast<uint32_t>(sets_.size());
  set->one_name = HasOneName(matchers);
  sets_.push_back(set);
  set_at_.push_back(set.get());
  set_by_text_[key] = set->id;
  changed_ = true;
  return set;
}

std::shared_ptr<SeriesSet> Store::TemporarySet(const std::vector<Matcher>& matchers) {
  Refresh();
  auto found = set_by_text_.find(KeyOf(matchers));
  if (found != set_by_text_.end()) {
    if (auto set = sets_[found->second].lock()) {
      return set;
    }
  }
  auto set = std::make_shared<SeriesSet>();
  set->matchers = matchers;
  set->one_name = HasOneName(matchers);
  std::vector<SeriesId> ids;
  for (SeriesId id = 0; id < next_; ++id) {
    const Series& series = at(id);
    if (arrival_[id] != 0 && Known(series.labels) == id && Matches(*set, series.labels)) {
      ids.push_back(id);
    }
  }
  SortByArrival(&ids);
  for (SeriesId id : ids) {
    AddMember(*set, id, at(id).profile);
  }
  return set;
}

std::shared_ptr<SeriesSet> Store::HiddenSet() {
  auto set = std::make_shared<SeriesSet>();
  set->id = static_cast<uint32_t>(sets_.size());
  set->attached = true;
  sets_.push_back(set);
  set_at_.push_back(set.get());
  changed_ = true;
  return set;
}

SymbolId Store::Pin(std::string_view text) {
  SymbolId symbol = labels_.Intern(text);
  if (std::find(pinned_.begin(), pinned_.end(), symbol) == pinned_.end()) {
    pinned_.push_back(symbol);
  }
  return symbol;
}

void Store::CollectLabels(const std::function<void(LabelMarks* marks)>& mark, const std::function<void()>& yield) {
  constexpr size_t kGoneMin = 1000;
  constexpr size_t kStrayMin = 10000;
  const bool many_gone = expired_since_collect_ >= kGoneMin && expired_since_collect_ * 8 >= labels_.sets();
  // Results of evaluations that failed, or of rules whose labels change all the time, never were series.
  const bool many_strays = labels_.sets() > live_ + 2 * other_sets_ + kStrayMin;
  if (!many_gone && !many_strays) {
    return;
  }
  const size_t expired = std::exchange(expired_since_collect_, 0);
  const size_t sets_before = labels_.sets();
  const auto mark_all = [&](LabelMarks* marks) {
    mark(marks);
    for (SeriesId id = 0; id < next_; ++id) {
      if (at(id).labels != kNoLabelSet) {
        marks->Add(at(id).labels);
      }
      if (id % kSeriesPerYield == 0) {
        yield();
      }
    }
  };
  labels_.Collect(mark_all, pinned_, yield);
  other_sets_ = labels_.sets() - std::min<size_t>(live_, labels_.sets());
  // Nodes that have not been evaluated since still name series that are gone: another look is worth it, but not for ever.
  const size_t freed = sets_before - std::min(sets_before, labels_.sets());
  expired_since_collect_ = expired > freed ? (expired - freed) / 2 : 0;
}

void Store::AddDemand(SeriesSet& set, const std::shared_ptr<const Demand>& demand) {
  set.demands.push_back(demand);
  changed_ = true;
}

void Store::IndexSets() {
  sets_by_name_.clear();
  sets_without_name_.clear();
  for (const auto& weak : sets_) {
    auto set = weak.lock();
    if (!set || set->matchers.empty()) {
      continue;
    }
    SymbolId name = kEmptySymbol;
    for (const Matcher& m : set->matchers) {
      if (m.name() == kMetricName && m.type() == MatchType::kEqual) {
        name = Pin(m.value());
      }
    }
    if (name == kEmptySymbol) {
      sets_without_name_.push_back(set->id);
    } else {
      sets_by_name_[name].push_back(set->id);
    }
  }
}

bool Store::Matches(const SeriesSet& set, LabelSetId labels) const {
  for (const Matcher& m : set.matchers) {
    SymbolId name = labels_.Find(m.name());
    SymbolId value = name == kEmptySymbol ? kEmptySymbol : labels_.Value(labels, name);
    if (!m.Matches(labels_.Text(value))) {
      return false;
    }
  }
  return true;
}

void Store::SetWrittenByRules(SeriesId id) {
  before_change_(true);
  for (const auto& copy : profiles_[at(id).profile]->copies) {
    copy->written_by_rules = true;
  }
}

template <typename Look>
void Store::ForSetsOf(std::span<const std::pair<std::string_view, std::string_view>> labels, Look look) const {
  const auto text = [labels](std::string_view name) {
    for (const auto& [own_name, value] : labels) {
      if (own_name == name) {
        return value;
      }
    }
    return std::string_view();
  };
  const auto goes_on = [&](uint32_t id) {
    const SeriesSet* set = LiveSet(id);
    return set == nullptr ||
           !std::all_of(set->matchers.begin(), set->matchers.end(),
                        [&](const Matcher& m) { return m.Matches(text(m.name())); }) ||
           look(id);
  };
  const auto named = sets_by_name_.find(labels_.Find(text(kMetricName)));
  if (named == sets_by_name_.end() || std::all_of(named->second.begin(), named->second.end(), goes_on)) {
    (void)std::all_of(sets_without_name_.begin(), sets_without_name_.end(), goes_on);
  }
}

bool Store::AnySetMatches(std::span<const std::pair<std::string_view, std::string_view>> labels) const {
  bool any = false;
  ForSetsOf(labels, [&any](uint32_t) {
    any = true;
    return false;
  });
  return any;
}

namespace {

constexpr SymbolId kMissingSymbol = 0xffffffff;

}  // namespace

void SeriesDrafts::Clear() {
  constexpr size_t kKept = 16384;  // symbols: more belong to a flood
  drafts_.clear();
  symbols_.clear();
  missing_.clear();
  if (symbols_.capacity() > kKept) {
    drafts_ = {};
    symbols_ = {};
    missing_ = {};
  }
}

bool Store::Draft(std::span<const std::pair<std::string_view, std::string_view>> labels, SeriesDrafts* drafts) const {
  drafts->sets_.clear();
  ForSetsOf(labels, [drafts](uint32_t id) {
    drafts->sets_.push_back(id);
    return true;
  });
  if (drafts->sets_.empty()) {
    return false;
  }
  std::sort(drafts->sets_.begin(), drafts->sets_.end());
  const auto profile = profile_by_sets_.find(drafts->sets_);
  drafts->drafts_.push_back({drafts->symbols_.size(), drafts->missing_.size(),
                             profile == profile_by_sets_.end() ? kNoProfile : profile->second});
  for (const auto& [name, value] : labels) {
    for (const std::string_view text : {name, value}) {
      const SymbolId symbol = labels_.Find(text);
      const bool missing = symbol == kEmptySymbol && !text.empty();
      drafts->symbols_.push_back(missing ? kMissingSymbol : symbol);
      if (missing) {
        drafts->missing_.push_back(text);
      }
    }
  }
  return true;
}

SeriesId Store::InternFor(uint32_t shard, const SeriesDrafts& drafts, size_t number, uint32_t source) {
  const SeriesDrafts::Draft& draft = drafts.drafts_[number];
  const size_t end = number + 1 < drafts.drafts_.size() ? drafts.drafts_[number + 1].symbols : drafts.symbols_.size();
  size_t missing = draft.missing;
  const auto symbol = [&](size_t at) {
    const SymbolId known = drafts.symbols_[at];
    return known == kMissingSymbol ? labels_.Intern(drafts.missing_[missing++]) : known;
  };
  absl::InlinedVector<LabelPair, 32> pairs;
  for (size_t at = draft.symbols; at < end; at += 2) {
    const SymbolId name = symbol(at);
    pairs.push_back({name, symbol(at + 1)});
  }
  return InternFor(shard, labels_.InternSet(pairs), source, draft.profile);
}

void Store::MatchingSets(LabelSetId labels, bool only_new, std::vector<uint32_t>* ids) {
  auto consider = [&](uint32_t id) {
    const SeriesSet* set = LiveSet(id);
    if (set != nullptr && !(only_new && set->attached) && Matches(*set, labels)) {
      ids->push_back(id);
    }
  };
  auto named = sets_by_name_.find(labels_.Value(labels, name_symbol_));
  if (named != sets_by_name_.end()) {
    std::for_each(named->second.begin(), named->second.end(), consider);
  }
  std::for_each(sets_without_name_.begin(), sets_without_name_.end(), consider);
}

uint32_t Store::ProfileOf(const std::vector<uint32_t>& sets) {
  auto [it, inserted] = profile_by_sets_.try_emplace(sets, static_cast<uint32_t>(profiles_.size()));
  if (inserted) {
    before_change_(false);
    auto entry = std::make_unique<ProfileEntry>();
    for (uint32_t i = 0; i < shards(); ++i) {
      entry->copies.push_back(std::make_unique<Profile>());
      entry->cells.push_back(ring_cells_[i]->AddLane());
    }
    entry->sets = sets;
    RecomputeProfile(*entry);
    for (size_t i = 0; i < shards_.size(); ++i) {
      shards_[i].profiles.push_back(entry->copies[i].get());
    }
    profiles_.push_back(std::move(entry));
  }
  return it->second;
}

void Store::RecomputeProfile(ProfileEntry& entry) {
  Profile fresh;
  int64_t taped_ms = 0;
  for (uint32_t id : entry.sets) {
    auto set = sets_[id].lock();
    if (!set) {
      continue;
    }
    for (const auto& weak : set->demands) {
      auto demand = weak.lock();
      if (!demand) {
        continue;
      }
      fresh.read = true;
      auto cut = [&](int64_t shift_ms) {
        if (demand->times.interval_ms > 0) {
          fresh.cuts.AddPeriodic(demand->times.interval_ms, demand->times.phase_ms - shift_ms);
        }
        for (int64_t t : demand->times.points) {
          fresh.cuts.AddTime(t - shift_ms);
        }
      };
      cut(demand->offset_ms);
      if (demand->range_ms > 0 && demand->newest == 0) {
        cut(demand->offset_ms + demand->range_ms);
      }
      fresh.thinning = std::min(fresh.thinning, demand->thinning);
      fresh.aggregates |= demand->aggregates;
      fresh.watched = fresh.watched || demand->watched;
      fresh.last_kept = std::max(fresh.last_kept, demand->last_kept);
      fresh.count_resets = fresh.count_resets || demand->resets;
      fresh.anchored = fresh.anchored || demand->anchored;
      fresh.count_changes = fresh.count_changes || demand->changes;
      const int64_t reach = demand->offset_ms + demand->range_ms + demand->held_ms;
      fresh.right_ms = std::max(fresh.right_ms, demand->anchored ? reach : reach - demand->range_ms);
      if (const std::shared_ptr<window::RowStore> rows = demand->rows()) {
        // The ring keeps the right ends of windows and what is not yet taken over.
        fresh.range_ms =
            std::max(fresh.range_ms, std::max(demand->offset_ms, int64_t{0}) + tape_margin_ms_ + rows->interval_ms());
        fresh.instant_ms = std::max(fresh.instant_ms, demand->offset_ms);
        if (std::find(fresh.row_stores.begin(), fresh.row_stores.end(), rows) == fresh.row_stores.end()) {
          fresh.row_stores.push_back(rows);
        }
        fresh.taped_until_ms = std::max(fresh.taped_until_ms, rows->written_until_ms());
        fresh.cuts.AddPeriodic(rows->interval_ms(), rows->phase_ms());
        if (demand->tape) {
          taped_ms = std::max(taped_ms, demand->tape->reach_ms());
        }
      } else if (demand->newest > 0) {
        fresh.range_ms = std::max(fresh.range_ms, demand->offset_ms);
        fresh.instant_ms = std::max(fresh.instant_ms, demand->offset_ms);
        fresh.newest_kept = std::max(fresh.newest_kept, demand->newest);
      } else if (demand->range_ms > 0) {
        fresh.range_ms = std::max(fresh.range_ms, reach);
      }
      if (demand->range_ms == 0 || demand->anchored) {
        fresh.instant_ms = std::max(fresh.instant_ms, reach);
      }
      fresh.forget_ms = std::max(fresh.forget_ms, reach + demand->lookback_ms);
    }
  }
  fresh.whole_range_ms = fresh.range_ms;
  fresh.resets_range_ms = std::max(fresh.range_ms, taped_ms);
  for (const auto& rows : fresh.row_stores) {
    fresh.whole_range_ms = std::max(fresh.whole_range_ms, rows->reach_ms());
  }
  fresh.cuts.Finish();
  fresh.SetFloor(floor_ms_);
  for (size_t shard = 0; shard < entry.copies.size(); ++shard) {
    Profile& copy = *entry.copies[shard];
    fresh.cells = entry.cells[shard];
    fresh.version = copy.version;
    fresh.written_by_rules = copy.written_by_rules;
    copy = fresh;
  }
}

void Store::AddProfile(SeriesSet& set, const ProfileEntry& entry) {
  if (std::find(set.profiles.begin(), set.profiles.end(), entry.copies[0].get()) != set.profiles.end()) {
    return;
  }
  for (const auto& copy : entry.copies) {
    set.profiles.push_back(copy.get());
  }
}

std::shared_ptr<window::Tape> Store::TapeOf(int64_t interval_ms, int64_t phase_ms, TapeKind kind) {
  phase_ms %= interval_ms;
  phase_ms += phase_ms < 0 ? interval_ms : 0;
  for (const auto& weak : tapes_) {
    auto tape = weak.lock();
    if (tape && tape->interval_ms() == interval_ms && tape->phase_ms() == phase_ms && tape->kind() == kind) {
      return tape;
    }
  }
  auto tape = std::make_shared<window::Tape>(state_, interval_ms, phase_ms, kind, tape_counters_);
  tapes_.push_back(tape);
  row_stores_.push_back(tape);
  return tape;
}

std::shared_ptr<BoundedRows> Store::BoundedOf(BoundedRows::Key key) {
  key.phase_ms %= key.interval_ms;
  key.phase_ms += key.phase_ms < 0 ? key.interval_ms : 0;
  for (const auto& weak : bounded_) {
    if (auto rows = weak.lock(); rows && rows->key() == key) {
      return rows;
    }
  }
  auto rows = std::make_shared<BoundedRows>(key);
  bounded_.push_back(rows);
  row_stores_.push_back(rows);
  return rows;
}

std::shared_ptr<BoundedRows> Store::FindBounded(const SeriesSet& set, int64_t start_ms, int64_t range_ms,
                                                const BoundedRows::Key& key) {
  for (const auto& weak : set.demands) {
    const auto demand = weak.lock();
    if (!demand || !demand->bounded || !demand->bounded->OnGrid(start_ms) || demand->range_ms < range_ms) {
      continue;
    }
    const BoundedRows::Key& own = demand->bounded->key();
    if (own.offset_ms == key.offset_ms && own.kind == key.kind && own.max_error == key.max_error) {
      return demand->bounded;
    }
  }
  return nullptr;
}

std::shared_ptr<window::Tape> Store::FindTape(const SeriesSet& set, int64_t start_ms, int64_t reach_ms, TapeKind kind) {
  for (const auto& weak : set.demands) {
    const auto demand = weak.lock();
    if (demand && demand->tape && demand->tape->OnGrid(start_ms) && demand->tape->kind() == kind &&
        demand->offset_ms + demand->range_ms >= reach_ms) {
      return demand->tape;
    }
  }
  return nullptr;
}

void Store::SetTapeReach() {
  std::map<window::RowStore*, int64_t> reach;
  for (const auto& weak : sets_) {
    if (auto set = weak.lock()) {
      for (const auto& d : set->demands) {
        const auto demand = d.lock();
        if (!demand || !demand->rows()) {
          continue;
        }
        int64_t& longest = reach[demand->rows().get()];
        longest = std::max(longest, demand->offset_ms + demand->range_ms);
      }
    }
  }
  for (const auto& [rows, longest] : reach) {
    rows->SetReach(longest, floor_ms_);
  }
}

void Store::PlaceOnTapes() {
  std::erase_if(tapes_, [](const auto& weak) { return weak.expired(); });
  std::erase_if(bounded_, [](const auto& weak) { return weak.expired(); });
  std::erase_if(row_stores_, [](const auto& weak) { return weak.expired(); });
  if (row_stores_.empty()) {
    return;
  }
  const auto on_tape = [&](SeriesId id, const std::shared_ptr<window::RowStore>& tape) {
    const Series& series = at(id);
    const auto& tapes = profiles_[series.profile]->copies[0]->row_stores;
    return series.labels != kNoLabelSet && std::find(tapes.begin(), tapes.end(), tape) != tapes.end();
  };
  for (const auto& weak : row_stores_) {
    const auto tape = weak.lock();
    for (const SeriesId id : tape->Members()) {
      if (!on_tape(id, tape)) {
        tape->Remove(id);
      }
    }
  }
  for (const auto& weak : row_stores_) {
    const auto tape = weak.lock();
    std::vector<uint32_t> added;
    for (SeriesId id = 0; id < next_; ++id) {
      if (on_tape(id, tape) && !tape->Has(id)) {
        tape->Add(id);
        added.push_back(id);
      }
    }
    tape->Backfill(added, [this](SeriesId id) { return &at(id).window; });
  }
}

void Store::WriteTapes(const std::function<void()>& yield) {
  if (row_stores_.empty() || floor_ms_ == std::numeric_limits<int64_t>::min()) {
    return;
  }
  for (const auto& weak : row_stores_) {
    if (const auto tape = weak.lock()) {
      tape->Flush(
          floor_ms_ - tape_margin_ms_, [this](SeriesId id) { return &at(id).window; }, yield);
      tape->Retain(floor_ms_, yield);
    }
  }
  for (auto& entry : profiles_) {
    for (const auto& copy : entry->copies) {
      for (const auto& tape : copy->row_stores) {
        copy->taped_until_ms = std::max(copy->taped_until_ms, tape->written_until_ms());
      }
    }
  }
}

void Store::LeaveTapes(SeriesId id) {
  const std::lock_guard lock(tape_mutex_);
  const Profile& profile = OwnProfile(id);
  using Holds = window::RowStore::Holds;
  std::map<int64_t, window::RowStore::Restored> samples;
  for (const Holds holds : {Holds::kFirst, Holds::kThinned, Holds::kOther}) {  // what is exact comes first
    if (holds == Holds::kOther && !samples.empty()) {
      break;
    }
    for (const auto& rows : profile.row_stores) {
      std::vector<window::RowStore::Restored> read;
      if (rows->holds() == holds) {
        rows->GiveBack(id, &read);
      }
      for (const auto& sample : read) {
        samples.emplace(sample.t_ms, sample);
      }
    }
  }
  std::vector<window::SeriesWindow::Restored> older;
  for (const auto& [t_ms, sample] : samples) {
    older.push_back(sample);
  }
  at(id).window.Restore(profile, older);
}

void Store::TellTapes(SeriesId id, int64_t t_ms, const Profile& profile) {
  const std::lock_guard lock(tape_mutex_);
  for (const auto& rows : profile.row_stores) {
    if (t_ms <= rows->written_until_ms()) {
      rows->Late(id, at(id).window);
    }
  }
}

void Store::AddMember(SeriesSet& set, SeriesId id, uint32_t profile_id) {
  if (set.members.size() == set.members.capacity()) {
    before_change_(false);
  }
  set.members.push_back(id);
  AddProfile(set, *profiles_[profile_id]);
}

SeriesId Store::Allocate(uint32_t shard_id, LabelSetId labels, uint32_t source) {
  Shard& shard = shards_[shard_id];
  constexpr uint32_t kSeriesPerLook = 1024;
  if (made_ % kSeriesPerLook == 0 && on_growth_) {
    on_growth_();
  }
  if (Refuses(source) != Refusal::kNone) {
    return kNoSeries;
  }
  ++made_;
  SeriesId id = kNoSeries;
  if (!shard.free.empty()) {
    id = shard.free.back();
    shard.free.pop_back();
    --free_in_chunk_[id >> kChunkBits];
  } else {
    if (shard.next == shard.end) {
      before_change_(false);
      auto chunk = std::make_unique<Series[]>(size_t{1} << kChunkBits);
      uint32_t number = 0;
      if (vacant_.empty()) {
        number = static_cast<uint32_t>(chunks_.size());
        chunks_.emplace_back();
        owned_.emplace_back();
        owner_.emplace_back();
        free_in_chunk_.emplace_back();
        next_ += 1U << kChunkBits;
      } else {
        number = vacant_.back();
        vacant_.pop_back();
      }
      chunks_[number] = chunk.get();
      owned_[number] = std::move(chunk);
      owner_[number] = shard_id;
      shard.next = number << kChunkBits;
      shard.end = shard.next + (1U << kChunkBits);
      arrival_.resize(next_);
      if (!sources_.empty()) {
        origin_.resize(next_);
      }
    }
    id = shard.next++;
  }
  ++live_;
  at(id) = Series{};
  at(id).labels = labels;
  arrival_[id] = 0;
  if (source < sources_.size()) {
    origin_[id] = {static_cast<uint8_t>(source), static_cast<uint8_t>(source)};
    ++sources_[source].series;
  }
  triggers_.Forget(id);
  return id;
}

void Store::Free(SeriesId id) {
  shards_[owner_[id >> kChunkBits]].free.push_back(id);
  ++free_in_chunk_[id >> kChunkBits];
  --live_;
  if (!sources_.empty()) {
    const uint8_t owner = std::exchange(origin_[id], {}).owner;
    if (owner != kNobody) {
      --sources_[owner].series;
    }
  }
}

void Store::VacateChunks(const std::function<void()>& yield) {
  constexpr size_t kChunksPerYield = 4;
  std::vector<uint32_t> empty;
  for (uint32_t number = 0; number < free_in_chunk_.size(); ++number) {
    if (free_in_chunk_[number] == 1U << kChunkBits) {
      empty.push_back(number);
    }
  }
  if (empty.empty()) {
    return;
  }
  for (Shard& shard : shards_) {
    std::erase_if(shard.free, [this](SeriesId id) { return free_in_chunk_[id >> kChunkBits] == 1U << kChunkBits; });
    shard.free.shrink_to_fit();
  }
  // Nobody can get an id of them any more.
  for (size_t i = 0; i < empty.size(); ++i) {
    if (i % kChunksPerYield == 0) {
      yield();
    }
    const uint32_t number = empty[i];
    vacant_chunk_ =
        vacant_chunk_ == nullptr ? std::make_unique<Series[]>(size_t{1} << kChunkBits) : std::move(vacant_chunk_);
    chunks_[number] = vacant_chunk_.get();
    owned_[number].reset();
    free_in_chunk_[number] = 0;
    vacant_.push_back(number);
  }
}

void Store::Place(SeriesId id, uint32_t profile) {
  const LabelSetId labels = at(id).labels;
  by_labels_.Set(labels, id);
  if (profile != kNoProfile) {
    at(id).profile = profile;
    return;
  }
  std::vector<uint32_t> ids;
  MatchingSets(labels, false, &ids);
  std::sort(ids.begin(), ids.end());
  at(id).profile = ProfileOf(ids);
}

void Store::Attach(SeriesId id) {
  arrival_[id] = ++arrivals_;
  const uint32_t profile = at(id).profile;
  for (uint32_t set_id : profiles_[profile]->sets) {
    if (SeriesSet* set = LiveSet(set_id); set != nullptr) {
      AddMember(*set, id, profile);
    }
  }
}

void Store::TakeAside(const std::function<void()>& yield) {
  // What comes meanwhile joins the queue. It cannot come faster than this goes, but for a machine that stands still: then what is left
  // joins at once.
  constexpr size_t kRoundsMax = 32;
  size_t done = 0;
  for (size_t round = 0; done < new_aside_.size(); ++round) {
    for (const size_t queued = new_aside_.size(); done < queued; ++done) {
      if (round < kRoundsMax && done % kNewSeriesPerYield == kNewSeriesPerYield - 1) {
        yield();
      }
      Attach(new_aside_[done]);
    }
  }
  new_aside_.clear();
  for (Shard& shard : shards_) {
    if (std::exchange(shard.appended_aside, false)) {
      for (window::Profile* profile : shard.profiles) {
        ++profile->version;
      }
    }
  }
}

void Store::SortByArrival(std::vector<SeriesId>* ids) const {
  std::sort(ids->begin(), ids->end(), [this](SeriesId a, SeriesId b) { return arrival_[a] < arrival_[b]; });
}

void Store::RenumberArrivals() {
  std::vector<SeriesId> ids;
  for (SeriesId id = 0; id < next_; ++id) {
    if (arrival_[id] != 0) {
      ids.push_back(id);
    }
  }
  SortByArrival(&ids);
  ended_ = {};
  arrivals_ = 0;
  for (SeriesId id : ids) {
    arrival_[id] = ++arrivals_;
  }
}

SeriesId Store::InternFor(uint32_t shard, LabelSetId labels, uint32_t source, uint32_t profile) {
  if (const SeriesId known = Known(labels); known != kNoSeries) {
    return known;
  }
  profile = changed_ ? kNoProfile : profile;
  if (!aside_) {
    Refresh();
  }
  const SeriesId id = Allocate(shard, labels, source);
  if (id == kNoSeries) {
    return id;
  }
  Place(id, profile);
  if (aside_) {
    new_aside_.push_back(id);
  } else {
    Attach(id);
  }
  for (const auto& tape : profiles_[at(id).profile]->copies[0]->row_stores) {
    tape->Add(id);
  }
  return id;
}

SeriesId Store::AddHidden(SeriesSet& set, LabelSetId labels, bool drop) {
  Refresh();
  SeriesId id = Allocate(0, labels, kFromRules);
  if (id != kNoSeries) {
    at(id).profile = ProfileOf({set.id});
    Attach(id);
    set.drop.push_back(drop ? 1 : 0);
    for (const auto& tape : profile_of(id).row_stores) {
      tape->Add(id);
    }
  }
  return id;
}

SeriesId Store::InternFor(uint32_t shard, std::span<const std::pair<std::string_view, std::string_view>> labels,
                          uint32_t source) {
  if (Refuses(source) != Refusal::kNone) {
    return Known(labels_.FindSet(labels));
  }
  std::vector<LabelPair> pairs;
  pairs.reserve(labels.size());
  for (const auto& [name, value] : labels) {
    pairs.push_back({labels_.Intern(name), labels_.Intern(value)});
  }
  return InternFor(shard, labels_.InternSet(pairs), source);
}

void Store::Rebuild() {
  before_change_(true);
  TakeAside();
  changed_ = false;
  NextGeneration();
  ++plans_generation_;
  IndexSets();
  for (auto& weak : sets_) {
    if (auto set = weak.lock()) {
      std::erase_if(set->demands, [](const auto& d) { return d.expired(); });
      set->profiles.clear();
    }
  }
  SetTapeReach();
  for (size_t i = 0; i < profiles_.size(); ++i) {
    RecomputeProfile(*profiles_[i]);
  }
  // Every series: leave sets that are gone, join new ones, and let its window fit its profile.
  std::vector<uint32_t> ids;
  std::vector<std::vector<SeriesId>> joined_by(sets_.size());
  for (SeriesId id = 0; id < next_; ++id) {
    Series& series = at(id);
    if (series.labels == kNoLabelSet) {
      continue;
    }
    ids.clear();
    for (uint32_t set : profiles_[series.profile]->sets) {
      if (!sets_[set].expired()) {
        ids.push_back(set);
      }
    }
    bool hidden = ids.size() == 1 && sets_[ids[0]].lock()->matchers.empty();
    bool orphan = ids.empty() && Known(series.labels) != id;
    if (orphan) {  // its subquery is gone
      series = Series{};
      arrival_[id] = 0;
      Free(id);
      continue;
    }
    size_t known = ids.size();
    if (!hidden) {
      MatchingSets(series.labels, true, &ids);
    }
    for (size_t i = known; i < ids.size(); ++i) {
      joined_by[ids[i]].push_back(id);
    }
    std::sort(ids.begin(), ids.end());
    series.profile = ProfileOf(ids);
    for (uint32_t set : ids) {
      AddProfile(*sets_[set].lock(), *profiles_[series.profile]);
    }
    series.window.Adopt(OwnProfile(id));
  }
  for (auto& weak : sets_) {
    if (auto set = weak.lock()) {
      set->attached = true;
      SortByArrival(&joined_by[set->id]);
      set->members.insert(set->members.end(), joined_by[set->id].begin(), joined_by[set->id].end());
    }
  }
  PlaceOnTapes();
  WriteTapes([] {});  // before rings give up what a tape has instead
}

AppendOutcome Store::AppendFor(uint32_t shard_id, SeriesId id, int64_t t_ms, double v, int64_t start_ms) {
  window::SeriesWindow& window = at(id).window;
  if (!window.InOrder(t_ms)) {
    if (t_ms < window.last_t_ms()) {
      return AppendOutcome::kOutOfOrder;
    }
    return window.last_histogram() == nullptr && std::bit_cast<uint64_t>(v) == std::bit_cast<uint64_t>(window.last_v())
               ? AppendOutcome::kDuplicateSame
               : AppendOutcome::kDuplicateConflict;
  }
  Shard& shard = shards_[shard_id];
  window::Profile& profile = *shard.profiles[at(id).profile];
  if (start_ms != 0 && window.rich() == nullptr && !profile.row_stores.empty()) {
    LeaveTapes(id);
  }
  // A start timestamp may tell of a reset that the values do not show: to triggers it is one.
  const double previous = start_ms != 0 ? std::numeric_limits<double>::infinity() : window.last_v();
  window.Append(profile, t_ms, v, start_ms);
  if (aside_) {
    --profile.version;
    shard.appended_aside = true;
  }
  if (t_ms <= profile.taped_until_ms && !IsStaleNaN(v)) {
    TellTapes(id, t_ms, profile);
  }
  if (profile.watched) {
    watched_aside_ += aside_ ? 1 : 0;
    if (!triggers_.Holds(id, t_ms, previous, v)) {
      Cross(id, t_ms, previous, v, false);
    }
  }
  return AppendOutcome::kOk;
}

AppendOutcome Store::AppendHistogramFor(uint32_t shard_id, SeriesId id, int64_t t_ms, HistogramRef h, int64_t start_ms,
                                        bool as_read) {
  window::SeriesWindow& window = at(id).window;
  if (!window.InOrder(t_ms)) {
    if (t_ms < window.last_t_ms()) {
      return AppendOutcome::kOutOfOrder;
    }
    return window.last_histogram() != nullptr && (*window.last_histogram())->Equals(*h)
               ? AppendOutcome::kDuplicateSame
               : AppendOutcome::kDuplicateConflict;
  }
  Shard& shard = shards_[shard_id];
  window::Profile& profile = *shard.profiles[at(id).profile];
  if (window.rich() == nullptr && !profile.row_stores.empty()) {
    LeaveTapes(id);
  }
  window.AppendHistogram(profile, t_ms, std::move(h), start_ms, as_read);
  if (aside_) {
    --profile.version;
    shard.appended_aside = true;
  }
  if (t_ms <= profile.taped_until_ms) {
    TellTapes(id, t_ms, profile);
  }
  if (profile.watched) {
    watched_aside_ += aside_ ? 1 : 0;
    Cross(id, t_ms, 0, 0, true);
  }
  return AppendOutcome::kOk;
}

void Store::SetFloor(int64_t floor_ms, const std::function<void()>& yield) {
  if (floor_ms == floor_ms_) {
    return;
  }
  floor_ms_ = floor_ms;
  WriteTapes(yield);
  for (auto& entry : profiles_) {
    for (const auto& copy : entry->copies) {
      copy->SetFloor(floor_ms);
    }
  }
}

size_t Store::Expire(int64_t t_ms, int64_t keep_ms, const std::function<void()>& yield) {
  TakeAside(yield);
  Refresh();
  for (const auto& cells : ring_cells_) {
    cells->ReleaseIdle();
  }
  if (tracks_sources() &&
      (handed_over_ms_ == std::numeric_limits<int64_t>::min() || t_ms - handed_over_ms_ >= keep_ms)) {
    handed_over_ms_ = t_ms;
    HandOver(yield);
  }
  const auto expired = [&](SeriesId id) {
    const Series& series = at(id);
    const int64_t last_ms = series.window.last_t_ms();
    // Just interned: its first sample is on its way.
    return series.labels != kNoLabelSet && last_ms != std::numeric_limits<int64_t>::min() &&
           last_ms <= t_ms - std::max(profile(series.profile).forget_ms, keep_ms);
  };
  // First who is to go, with yields; then they go, some at once and those that have spoken meanwhile excepted, so that no sample ever
  // meets a series that is half gone; then the sets close ranks, and only then others may have their ids.
  std::vector<SeriesId> going;
  for (SeriesId id = 0; id < next_; ++id) {
    if (expired(id)) {
      going.push_back(id);
    }
    if (id % kSeriesPerYield == 0) {
      yield();
    }
  }
  std::vector<bool> touched(sets_.size());
  size_t gone = 0;
  for (size_t from = 0; from < going.size(); from += kGoingPerYield) {
    if (from > 0) {
      yield();
    }
    const size_t end = gone;
    for (size_t i = from; i < std::min(going.size(), from + kGoingPerYield); ++i) {
      if (expired(going[i])) {
        going[gone++] = going[i];
      }
    }
    if (gone > end) {
      NextGeneration();  // whoever looked in a yield knows less again
    }
    for (size_t i = end; i < gone; ++i) {
      Leave(going[i], &touched);
    }
  }
  going.resize(gone);
  if (going.empty()) {
    return 0;
  }
  expired_since_collect_ += going.size();
  for (size_t i = 0; i < touched.size(); ++i) {
    if (auto set = sets_[i].lock(); set && touched[i]) {
      CloseRanks(*set, yield);
    }
  }
  for (size_t i = 0; i < going.size(); ++i) {
    if (i % kSeriesPerYield == 0) {
      yield();
    }
    Free(going[i]);
  }
  VacateChunks(yield);
  if (arrivals_ > std::numeric_limits<uint32_t>::max() / 2) {
    RenumberArrivals();
  }
  return going.size();
}

void Store::Leave(SeriesId id, std::vector<bool>* touched) {
  Series& series = at(id);
  const ProfileEntry& profile = *profiles_[series.profile];
  for (uint32_t set : profile.sets) {
    (*touched)[set] = true;
  }
  if (Known(series.labels) == id) {
    by_labels_.Set(series.labels, kNoSeries);
  }
  for (const auto& tape : profile.copies[0]->row_stores) {
    tape->Remove(id);
  }
  series = Series{};
  arrival_[id] = 0;
}

void Store::CloseRanks(SeriesSet& set, const std::function<void()>& yield) {
  size_t kept = 0;
  for (size_t slot = 0; slot < set.members.size(); ++slot) {
    if (slot % kSeriesPerYield == 0) {
      yield();
    }
    if (at(set.members[slot]).labels == kNoLabelSet) {
      continue;
    }
    set.members[kept] = set.members[slot];
    if (!set.drop.empty()) {
      set.drop[kept] = set.drop[slot];
    }
    ++kept;
  }
  set.members.resize(kept);
  set.drop.resize(set.drop.empty() ? 0 : kept);
  ++set.generation;
}

int64_t Store::LongestMs() const {
  int64_t longest = 0;
  for (const auto& weak : sets_) {
    if (auto set = weak.lock()) {
      for (const auto& d : set->demands) {
        if (auto demand = d.lock()) {
          longest = std::max(longest, demand->offset_ms + demand->range_ms + demand->lookback_ms);
        }
      }
    }
  }
  return longest;
}

int64_t Store::ReadsUntil(int64_t t_ms) const {
  int64_t until = t_ms;
  for (const auto& weak : sets_) {
    if (auto set = weak.lock()) {
      for (const auto& d : set->demands) {
        if (auto demand = d.lock()) {
          if (demand->offset_ms < 0 && set->matchers.empty()) {
            return std::numeric_limits<int64_t>::max();  // steps of a subquery to come
          }
          const int64_t newest = demand->times.fixed ? std::max(t_ms, demand->times.points.back()) : t_ms;
          const bool smoothed = demand->anchored && demand->thinning == Thinning::kNever;
          until = std::max(until, newest - demand->offset_ms + (smoothed ? demand->lookback_ms : 0));
        }
      }
    }
  }
  return until;
}

std::vector<Store::SharedLoad> Store::LoadByProfile(ForkJoin& crew, const std::function<void()>& yield) const {
  constexpr SeriesId kSeriesPerPart = 4096;  // a few hundred nanoseconds a thousand: long against a hand-over
  std::vector<std::vector<SharedLoad>> parts(crew.members());
  const SeriesId together = crew.members() * kSeriesPerPart;
  for (SeriesId begin = 0; begin < next_; begin += std::min(together, next_ - begin)) {
    const auto walk = [&, begin](uint32_t member) {
      std::vector<SharedLoad>& loads = parts[member];
      loads.resize(profiles_.size());
      const SeriesId from = begin + std::min(next_ - begin, member * kSeriesPerPart);
      const SeriesId to = from + std::min(next_ - from, kSeriesPerPart);
      for (SeriesId id = from; id < to; ++id) {
        const Series& series = at(id);
        if (series.labels != kNoLabelSet) {
          SharedLoad& load = loads[series.profile];
          ++load.series;
          load.samples += series.window.ring().size();
          load.bytes += series.window.HeapBytes();
        }
      }
    };
    if (next_ - begin > kSeriesPerPart) {
      crew.Run(walk);
    } else {
      walk(0);
    }
    yield();
  }
  std::vector<SharedLoad> all(profiles_.size());
  for (const std::vector<SharedLoad>& part : parts) {
    for (size_t i = 0; i < part.size(); ++i) {
      all[i].series += part[i].series;
      all[i].samples += part[i].samples;
      all[i].bytes += part[i].bytes;
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].sets = &profiles_[i]->sets;
    all[i].read = profiles_[i]->copies[0]->read;
  }
  return all;
}

SeriesStats Store::Stats(std::span<const SharedLoad> loads) const {
  SeriesStats stats;
  for (const SharedLoad& load : loads) {
    if (load.read) {
      stats.series += load.series;
      stats.samples_kept += load.samples;
      stats.window_bytes += load.bytes;
    } else {
      stats.series_unread += load.series;
    }
  }
  stats.window_bytes += (chunks_.size() - vacant_.size()) * sizeof(Series) << kChunkBits;
  stats.window_bytes += triggers_.Bytes();
  for (const auto& cells : ring_cells_) {
    stats.spare_window_bytes += cells->held_bytes() - cells->used_bytes();
  }
  for (const auto& weak : bounded_) {
    if (const auto rows = weak.lock()) {
      stats.window_bytes += rows->HeapBytes();
    }
  }
  for (const auto& weak : tapes_) {
    if (const auto tape = weak.lock()) {
      stats.tape_bytes += tape->HeapBytes();
      stats.tape_disk_bytes += tape->DiskBytes();
    }
  }
  stats.tape_rows_written = tape_counters_->rows_written;
  stats.tape_read_errors = tape_counters_->read_errors;
  stats.tape_write_errors = tape_counters_->write_errors;
  stats.label_bytes = labels_.bytes() + by_labels_.Bytes();
  for (const auto& weak : sets_) {
    if (const auto set = weak.lock()) {
      stats.label_bytes += set->members.capacity() * sizeof(SeriesId) + set->drop.capacity();
    }
  }
  return stats;
}

}  // namespace weir::engine
