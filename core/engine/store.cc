#include "core/engine/store.h"

#include <algorithm>
#include <limits>

namespace weir::engine {

using window::Profile;
using window::Thinning;

namespace {

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

Store::Store(uint32_t series_max)
    : name_symbol_(Pin(kMetricName)), series_max_(series_max), floor_ms_(std::numeric_limits<int64_t>::min()) {
  ProfileOf({});  // profile 0: nobody reads the series
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
  for (SeriesId id = 0; id < next_; ++id) {
    const Series& series = at(id);
    if (series.labels < by_labels_.size() && by_labels_[series.labels] == id && Matches(*set, series.labels)) {
      AddMember(*set, id, series.profile);
    }
  }
  return set;
}

std::shared_ptr<SeriesSet> Store::HiddenSet() {
  auto set = std::make_shared<SeriesSet>();
  set->id = static_cast<uint32_t>(sets_.size());
  set->attached = true;
  sets_.push_back(set);
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

void Store::CollectLabels(const std::function<void(std::vector<bool>* live)>& mark) {
  if (expired_since_collect_ < 1000 || expired_since_collect_ * 8 < labels_.sets()) {
    return;
  }
  expired_since_collect_ = 0;
  std::vector<bool> live;
  auto keep = [&live](LabelSetId id) {
    if (id >= live.size()) {
      live.resize(id + size_t{1});
    }
    live[id] = true;
  };
  keep(kEmptyLabelSet);
  for (SeriesId id = 0; id < next_; ++id) {
    if (at(id).labels != kNoLabelSet) {
      keep(at(id).labels);
    }
  }
  mark(&live);
  labels_.Collect([&live](LabelSetId id) { return id < live.size() && live[id]; }, pinned_);
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

bool Store::AnySetMatches(std::span<const std::pair<std::string_view, std::string_view>> labels) const {
  const auto text = [labels](std::string_view name) {
    for (const auto& [own_name, value] : labels) {
      if (own_name == name) {
        return value;
      }
    }
    return std::string_view();
  };
  const auto matches = [&](uint32_t id) {
    const auto set = sets_[id].lock();
    return set && std::all_of(set->matchers.begin(), set->matchers.end(),
                              [&](const Matcher& m) { return m.Matches(text(m.name())); });
  };
  const auto named = sets_by_name_.find(labels_.Find(text(kMetricName)));
  return (named != sets_by_name_.end() && std::any_of(named->second.begin(), named->second.end(), matches)) ||
         std::any_of(sets_without_name_.begin(), sets_without_name_.end(), matches);
}

void Store::MatchingSets(LabelSetId labels, bool only_new, std::vector<uint32_t>* ids) {
  auto consider = [&](uint32_t id) {
    auto set = sets_[id].lock();
    if (set && !(only_new && set->attached) && Matches(*set, labels)) {
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
    auto entry = std::make_unique<ProfileEntry>();
    entry->profile = std::make_unique<Profile>();
    entry->sets = sets;
    RecomputeProfile(*entry);
    profiles_.push_back(std::move(entry));
  }
  return it->second;
}

void Store::RecomputeProfile(ProfileEntry& entry) {
  Profile fresh;
  fresh.version = entry.profile->version;
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
      if (demand->range_ms > 0) {
        cut(demand->offset_ms + demand->range_ms);
      }
      fresh.thinning = std::min(fresh.thinning, demand->thinning);
      fresh.aggregates |= demand->aggregates;
      fresh.watched = fresh.watched || demand->watched;
      fresh.last_kept = std::max(fresh.last_kept, demand->last_kept);
      fresh.count_resets = fresh.count_resets || demand->resets;
      fresh.anchored = fresh.anchored || demand->anchored;
      fresh.count_changes = fresh.count_changes || demand->changes;
      int64_t reach = demand->offset_ms + demand->range_ms + demand->held_ms;
      fresh.right_ms = std::max(fresh.right_ms, demand->anchored ? reach : reach - demand->range_ms);
      if (demand->range_ms > 0) {
        fresh.range_ms = std::max(fresh.range_ms, reach);
      }
      if (demand->range_ms == 0 || demand->anchored) {
        fresh.instant_ms = std::max(fresh.instant_ms, reach);
      }
      fresh.forget_ms = std::max(fresh.forget_ms, reach + demand->lookback_ms);
    }
  }
  fresh.cuts.Finish();
  fresh.SetFloor(floor_ms_);
  *entry.profile = fresh;
}

void Store::AddMember(SeriesSet& set, SeriesId id, uint32_t profile_id) {
  set.members.push_back(id);
  const Profile* profile = profiles_[profile_id]->profile.get();
  if (std::find(set.profiles.begin(), set.profiles.end(), profile) == set.profiles.end()) {
    set.profiles.push_back(profile);
  }
}

SeriesId Store::Allocate(LabelSetId labels) {
  SeriesId id = kNoSeries;
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
  } else {
    if (next_ >= series_max_) {
      return kNoSeries;
    }
    id = next_++;
    if ((id >> kChunkBits) >= chunks_.size()) {
      chunks_.push_back(std::make_unique<Series[]>(size_t{1} << kChunkBits));
    }
  }
  at(id) = Series{};
  at(id).labels = labels;
  triggers_.Forget(id);
  return id;
}

SeriesId Store::Intern(LabelSetId labels) {
  if (labels < by_labels_.size() && by_labels_[labels] != kNoSeries) {
    return by_labels_[labels];
  }
  Refresh();
  SeriesId id = Allocate(labels);
  if (id == kNoSeries) {
    return id;
  }
  if (labels >= by_labels_.size()) {
    by_labels_.resize(std::max<size_t>(labels + 1, by_labels_.size() * 5 / 4), kNoSeries);
  }
  by_labels_[labels] = id;
  std::vector<uint32_t> ids;
  MatchingSets(labels, false, &ids);
  std::sort(ids.begin(), ids.end());
  at(id).profile = ProfileOf(ids);
  for (uint32_t set : ids) {
    AddMember(*sets_[set].lock(), id, at(id).profile);
  }
  return id;
}

SeriesId Store::AddHidden(SeriesSet& set, LabelSetId labels, bool drop) {
  Refresh();
  SeriesId id = Allocate(labels);
  if (id != kNoSeries) {
    at(id).profile = ProfileOf({set.id});
    AddMember(set, id, at(id).profile);
    set.drop.push_back(drop ? 1 : 0);
  }
  return id;
}

void Store::Rebuild() {
  changed_ = false;
  ++generation_;
  ++plans_generation_;
  IndexSets();
  for (auto& weak : sets_) {
    if (auto set = weak.lock()) {
      std::erase_if(set->demands, [](const auto& d) { return d.expired(); });
      set->profiles.clear();
    }
  }
  std::vector<bool> adopt(profiles_.size());
  for (size_t i = 0; i < profiles_.size(); ++i) {
    RecomputeProfile(*profiles_[i]);
  }
  // Every series: leave sets that are gone, join new ones, and let its window fit its profile.
  std::vector<uint32_t> ids;
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
    bool orphan = ids.empty() && (series.labels >= by_labels_.size() || by_labels_[series.labels] != id);
    if (orphan) {  // its subquery is gone
      series = Series{};
      free_.push_back(id);
      continue;
    }
    size_t known = ids.size();
    if (!hidden) {
      MatchingSets(series.labels, true, &ids);
    }
    std::vector<uint32_t> joined(ids.begin() + static_cast<ptrdiff_t>(known), ids.end());
    std::sort(ids.begin(), ids.end());
    series.profile = ProfileOf(ids);
    for (uint32_t set : joined) {
      sets_[set].lock()->members.push_back(id);
    }
    for (uint32_t set : ids) {
      auto& list = sets_[set].lock()->profiles;
      const Profile* profile = profiles_[series.profile]->profile.get();
      if (std::find(list.begin(), list.end(), profile) == list.end()) {
        list.push_back(profile);
      }
    }
    series.window.Adopt(*profiles_[series.profile]->profile);
  }
  for (auto& weak : sets_) {
    if (auto set = weak.lock()) {
      set->attached = true;
    }
  }
}

AppendOutcome Store::Append(SeriesId id, int64_t t_ms, double v, int64_t start_ms) {
  window::SeriesWindow& window = at(id).window;
  if (!window.InOrder(t_ms)) {
    if (t_ms < window.last_t_ms()) {
      return AppendOutcome::kOutOfOrder;
    }
    return window.last_histogram() == nullptr && std::bit_cast<uint64_t>(v) == std::bit_cast<uint64_t>(window.last_v())
               ? AppendOutcome::kDuplicateSame
               : AppendOutcome::kDuplicateConflict;
  }
  window::Profile& profile = *profiles_[at(id).profile]->profile;
  const double previous = window.last_v();
  window.Append(profile, t_ms, v, start_ms);
  if (profile.watched && !triggers_.Holds(id, t_ms, previous, v)) {
    Cross(id, t_ms, previous, v, false);
  }
  return AppendOutcome::kOk;
}

AppendOutcome Store::AppendHistogram(SeriesId id, int64_t t_ms, HistogramRef h, int64_t start_ms, bool as_read) {
  window::SeriesWindow& window = at(id).window;
  if (!window.InOrder(t_ms)) {
    if (t_ms < window.last_t_ms()) {
      return AppendOutcome::kOutOfOrder;
    }
    return window.last_histogram() != nullptr && (*window.last_histogram())->Equals(*h)
               ? AppendOutcome::kDuplicateSame
               : AppendOutcome::kDuplicateConflict;
  }
  window::Profile& profile = *profiles_[at(id).profile]->profile;
  window.AppendHistogram(profile, t_ms, std::move(h), start_ms, as_read);
  if (profile.watched) {
    Cross(id, t_ms, 0, 0, true);
  }
  return AppendOutcome::kOk;
}

void Store::SetFloor(int64_t floor_ms) {
  if (floor_ms == floor_ms_) {
    return;
  }
  floor_ms_ = floor_ms;
  for (auto& entry : profiles_) {
    entry->profile->SetFloor(floor_ms);
  }
}

size_t Store::Expire(int64_t t_ms, int64_t keep_ms) {
  Refresh();
  std::vector<bool> touched(sets_.size());
  size_t expired = 0;
  for (SeriesId id = 0; id < next_; ++id) {
    Series& series = at(id);
    if (series.labels == kNoLabelSet) {
      continue;
    }
    const ProfileEntry& entry = *profiles_[series.profile];
    int64_t keep = std::max(entry.profile->forget_ms, keep_ms);
    if (series.window.last_t_ms() > t_ms - keep) {
      continue;
    }
    if (series.window.last_t_ms() == std::numeric_limits<int64_t>::min()) {
      continue;  // just interned, its first sample is on its way
    }
    for (uint32_t set : entry.sets) {
      touched[set] = true;
    }
    if (series.labels < by_labels_.size() && by_labels_[series.labels] == id) {
      by_labels_[series.labels] = kNoSeries;
    }
    series = Series{};
    free_.push_back(id);
    ++expired;
  }
  expired_since_collect_ += expired;
  if (expired == 0) {
    return 0;
  }
  ++generation_;
  for (size_t i = 0; i < sets_.size(); ++i) {
    auto set = sets_[i].lock();
    if (set && touched[i]) {
      size_t kept = 0;
      for (size_t slot = 0; slot < set->members.size(); ++slot) {
        if (at(set->members[slot]).labels == kNoLabelSet) {
          continue;
        }
        set->members[kept] = set->members[slot];
        if (!set->drop.empty()) {
          set->drop[kept] = set->drop[slot];
        }
        ++kept;
      }
      set->members.resize(kept);
      set->drop.resize(set->drop.empty() ? 0 : kept);
      ++set->generation;
    }
  }
  return expired;
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

SeriesStats Store::Stats() const {
  SeriesStats stats;
  for (SeriesId id = 0; id < next_; ++id) {
    const Series& series = at(id);
    if (series.labels == kNoLabelSet) {
      continue;
    }
    if (profiles_[series.profile]->profile->read) {
      ++stats.series;
      stats.samples_kept += series.window.ring().size();
      stats.window_bytes += series.window.HeapBytes();
    } else {
      ++stats.series_unread;
    }
  }
  stats.window_bytes += chunks_.size() * sizeof(Series) << kChunkBits;
  stats.window_bytes += triggers_.Bytes();
  stats.label_bytes = labels_.bytes() + by_labels_.capacity() * sizeof(SeriesId);
  for (const auto& weak : sets_) {
    if (const auto set = weak.lock()) {
      stats.label_bytes += set->members.capacity() * sizeof(SeriesId) + set->drop.capacity();
    }
  }
  return stats;
}

}  // namespace weir::engine
