#include "core/window/bounded_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir::window {
namespace {

constexpr uint32_t kSeriesPerYield = 32;  // one may have to thin some thousand records
constexpr uint32_t kThinStep = 8;         // places in reserve, at least
constexpr uint32_t kThinShare = 8;        // one place in reserve for so many records
constexpr double kBitsOfMass =
    54;  // a window's increase is less than 2^54 of the smallest step that a double can show in it

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

uint64_t WithReserve(uint64_t records) { return records + std::max<uint64_t>(kThinStep, records / kThinShare); }

// RETURNS: samples from one ordinal to another, which wrap.
uint32_t Between(uint32_t from, uint32_t to) { return (to - from) & window::Record::kOrdinalMask; }

// RETURNS: records between neighbours of which masses grow by this share, of masses within this ratio.
uint64_t RecordsOfRatio(double ratio, double share) {
  return ratio <= 1 ? 0 : 2 * static_cast<uint64_t>(std::ceil(std::log(ratio) / std::log1p(share)));
}

}  // namespace

// An increase is its two ends times a factor for what lies outside of them. Half of what is between neighbours is within
// mass_share / 2 of the truth. The factor is in [1, 1 + 2.2 / (n − 1)] (kernels.cc), so its middle is within 1.1 / (n − 1): a
// quarter of the error goes there, the rest to the ends, and their product stays within.
BoundedRows::Limits BoundedRows::LimitsOf(BoundedKind kind, double max_error) {
  if (kind == BoundedKind::kCount) {
    return {2 * max_error, 1};
  }
  const double factor_error = max_error / 4;
  return {2 * (max_error - factor_error) / (1 + factor_error), static_cast<uint32_t>(std::ceil(1.1 / factor_error))};
}

// Where three neighbours may not become two, the mass newer than the first is more than (1 + mass_share) times that newer than the
// third.
uint64_t BoundedRows::RecordsMax(BoundedKind kind, double max_error, int64_t reach_ms, int64_t interval_ms,
                                 int64_t scrape_interval_ms) {
  const Limits limits = LimitsOf(kind, max_error);
  constexpr uint64_t kAnchorAndEnds = 4;
  const uint64_t rows = static_cast<uint64_t>((reach_ms + interval_ms - 1) / interval_ms) + kAnchorAndEnds;
  const double samples = static_cast<double>(reach_ms) / static_cast<double>(scrape_interval_ms) + 1;
  uint64_t most = 0;
  if (kind == BoundedKind::kCount) {
    const double alone = 2 / limits.mass_share + 1;  // newer than that nothing can be dropped
    most = static_cast<uint64_t>(std::ceil(alone)) + RecordsOfRatio(samples / alone, limits.mass_share);
  } else {
    const auto newest = static_cast<double>(limits.newer_least) * static_cast<double>(scrape_interval_ms) /
                        static_cast<double>(interval_ms);
    most = static_cast<uint64_t>(std::ceil(std::min<double>(limits.newer_least, newest))) +
           RecordsOfRatio(std::exp2(kBitsOfMass), limits.mass_share);
  }
  return WithReserve(std::min(rows, most + kAnchorAndEnds));
}

uint64_t BoundedRows::RecordsOfSteady(BoundedKind kind, double max_error, int64_t reach_ms, int64_t interval_ms,
                                      int64_t scrape_interval_ms) {
  const Limits limits = LimitsOf(kind, max_error);
  const double samples = static_cast<double>(reach_ms) / static_cast<double>(scrape_interval_ms) + 1;
  // Rows of this many samples are not dropped while a row is more than half of the share of what is newer.
  const double row = std::max(1.0, static_cast<double>(interval_ms) / static_cast<double>(scrape_interval_ms));
  const double alone = std::max<double>(limits.newer_least, 2 * row / limits.mass_share);
  const uint64_t rows = static_cast<uint64_t>(reach_ms / interval_ms) + 1;
  const uint64_t records =
      static_cast<uint64_t>(std::ceil(alone / row)) + RecordsOfRatio(samples / alone, limits.mass_share);
  return std::min(rows, records);
}

BoundedRows::BoundedRows(const Key& key)
    : RowStore(key.interval_ms, key.phase_ms), key_(key), limits_(LimitsOf(key.kind, key.max_error)) {}

void BoundedRows::SetReach(int64_t reach_ms, int64_t) { reach_ms_ = reach_ms; }

void BoundedRows::Add(uint32_t series) {
  if (series >= kept_.size()) {
    kept_.resize(series + size_t{1});
  }
  kept_[series] = std::make_unique<Kept>();
  kept_[series]->series = series;
  kept_[series]->thin_at = kThinStep;
}

void BoundedRows::Remove(uint32_t series) { kept_[series].reset(); }

std::vector<uint32_t> BoundedRows::Members() const {
  std::vector<uint32_t> members;
  for (const auto& kept : kept_) {
    if (kept) {
      members.push_back(kept->series);
    }
  }
  return members;
}

// No row that a window's end may lie in: what resets lost is only known as a sum up to the newest row.
void BoundedRows::Flush(int64_t through_ms, const Lookup& lookup, const Yield& yield) {
  const int64_t through =
      FloorDiv(through_ms - std::max<int64_t>(key_.offset_ms, 0) - phase_ms_, interval_ms_) * interval_ms_ + phase_ms_;
  if (through <= written_until_ms_) {
    return;
  }
  written_until_ms_ = through;
  for (uint32_t series = 0; series < kept_.size(); ++series) {
    if (series % kSeriesPerYield == 0) {
      yield();
    }
    const SeriesWindow* window = kept_[series] ? lookup(series) : nullptr;
    if (window != nullptr) {
      Take(kept_[series].get(), *window, through);
    }
  }
}

void BoundedRows::Backfill(const std::vector<uint32_t>& added, const Lookup& lookup) {
  for (const uint32_t series : added) {
    if (written_until_ms_ != INT64_MIN) {
      Take(kept_[series].get(), *lookup(series), written_until_ms_);
    }
  }
}

void BoundedRows::Late(uint32_t series, const SeriesWindow& window) {
  if (series < kept_.size() && kept_[series]) {
    Take(kept_[series].get(), window, written_until_ms_);
  }
}

void BoundedRows::Take(Kept* kept, const SeriesWindow& window, int64_t through_ms) {
  if (window.rich() != nullptr) {
    return;
  }
  const Ring& ring = window.ring();
  uint32_t i = ring.FirstAfter(kept->row_end_ms);
  while (i < ring.size() && ring.Time(i) <= through_ms) {
    const window::Record& record = ring.At(i);
    if (record.kind() == RecordKind::kStale || std::isnan(record.v)) {
      ++i;
      continue;
    }
    const int64_t t = ring.Time(i);
    Fold(kept, window, t);
    Append(kept, t, record.v, record.ordinal());
    while (i < ring.size() && ring.Time(i) <= kept->row_end_ms) {
      ++i;
    }
  }
  Fold(kept, window, through_ms);
}

void BoundedRows::Fold(Kept* kept, const SeriesWindow& window, int64_t through_ms) {
  through_ms = std::min(through_ms, window.last_t_ms());  // a series may be far behind the others
  if (const std::vector<Reset>* resets = window.resets(); resets != nullptr && !resets->empty()) {
    auto it = std::upper_bound(resets->begin(), resets->end(), kept->folded_until_ms,
                               [](int64_t t, const Reset& r) { return t < r.t_ms; });
    for (; it != resets->end() && it->t_ms <= through_ms; ++it) {
      kept->tail += it->previous;
    }
  }
  kept->folded_until_ms = std::max(kept->folded_until_ms, through_ms);
}

void BoundedRows::Append(Kept* kept, int64_t t_ms, double v, uint32_t ordinal) {
  if (kept->records.size() >= kept->thin_at) {
    Thin(kept);
  }
  if (kept->records.empty()) {
    kept->base_ms = t_ms - 1;
    kept->tail = 0;  // of before the first record
  } else if (t_ms - kept->base_ms > std::numeric_limits<uint32_t>::max()) {
    Rebase(kept, t_ms);
  }
  const auto dt = static_cast<uint32_t>(t_ms - kept->base_ms);
  kept->records.push_back({v, dt, ordinal, 0});
  if (kept->tail != 0) {
    kept->corrections.push_back({dt, kept->tail});
    kept->tail = 0;
  }
  kept->row_end_ms = (FloorDiv(t_ms - 1 - phase_ms_, interval_ms_) + 1) * interval_ms_ + phase_ms_;
}

// Moves the base so that t_ms fits. What lies further back is out of every reach; its time is then that of the base.
void BoundedRows::Rebase(Kept* kept, int64_t t_ms) {
  constexpr int64_t kReachMaxMs = int64_t{45} * 86400 * 1000;
  const int64_t base = t_ms - kReachMaxMs;
  const auto shift = static_cast<uint64_t>(base - kept->base_ms);
  const auto move = [shift](uint32_t dt) { return dt > shift ? static_cast<uint32_t>(dt - shift) : 0U; };
  for (Record& record : kept->records) {
    record.dt_ms = move(record.dt_ms);
  }
  for (Correction& correction : kept->corrections) {
    correction.dt_ms = move(correction.dt_ms);
  }
  kept->base_ms = base;
}

void BoundedRows::Thin(Kept* kept) const {
  std::vector<Record>& records = kept->records;
  std::vector<Correction>& corrections = kept->corrections;
  const int64_t low = floor_ms_ == INT64_MIN ? INT64_MIN : floor_ms_ - reach_ms_;
  size_t oldest = 0;  // stays: what is between it and the next one is measured from it
  while (oldest + 1 < records.size() && kept->base_ms + records[oldest + 1].dt_ms <= low) {
    ++oldest;
  }
  // From the newest one back; `next` is the last one that stays, `write` where it stands from the end of the array.
  size_t write = records.size() - 1;
  size_t correction = corrections.size();
  size_t correction_write = corrections.size();
  double newer = 0;    // increase from `next` to the newest record
  double between = 0;  // increase from the one before the current one to `next`
  double lost = 0;     // by resets between the current one and `next`
  const uint32_t last_ordinal = records.back().ordinal;
  const auto correction_at = [&](const Record& record) {
    return correction > 0 && corrections[correction - 1].dt_ms == record.dt_ms ? corrections[--correction].sum : 0.0;
  };
  lost = correction_at(records.back());
  for (size_t i = records.size() - 1; i-- > oldest;) {
    const Record current = records[i];
    Record& next = records[write];
    // From `current` to `next`. A counter never loses; what does has no bound.
    between = std::max(0.0, next.v - current.v + lost);
    const double lost_before = i > oldest ? correction_at(current) : 0;
    bool drop = false;
    if (i > oldest) {
      const uint32_t newer_samples = Between(next.ordinal, last_ordinal);
      if (key_.kind == BoundedKind::kCount) {
        const uint32_t dropped = Between(records[i - 1].ordinal, next.ordinal);  // and the one that stays
        drop = dropped <= limits_.mass_share * (newer_samples + 1.0);
      } else {
        const double pair = std::max(0.0, next.v - records[i - 1].v + lost + lost_before);
        drop = newer_samples >= limits_.newer_least && std::isfinite(pair) && pair <= limits_.mass_share * newer;
      }
    }
    if (drop) {
      next.merged = 1;
      lost += lost_before;
      continue;
    }
    if (lost != 0) {
      corrections[--correction_write] = {next.dt_ms, lost};
    }
    newer += between;
    lost = lost_before;
    records[--write] = current;
  }
  // What the oldest one corrects is before all windows.
  records.erase(records.begin(), records.begin() + static_cast<ptrdiff_t>(write));
  corrections.erase(corrections.begin(), corrections.begin() + static_cast<ptrdiff_t>(correction_write));
  kept->thin_at = static_cast<uint32_t>(WithReserve(records.size()));
  records.shrink_to_fit();
  records.reserve(kept->thin_at);
  corrections.shrink_to_fit();
  if (!corrections.empty()) {
    corrections.reserve(corrections.size() + kept->thin_at - records.size());
  }
}

bool BoundedRows::FindEdge(uint32_t series, int64_t start_ms, Edge* out) const {
  const Kept* kept = Find(series);
  if (kept == nullptr || kept->records.empty()) {
    return false;
  }
  const int64_t after = start_ms - kept->base_ms;
  const auto found =
      after < 0 ? kept->records.begin()
                : std::upper_bound(kept->records.begin(), kept->records.end(), after,
                                   [](int64_t dt, const Record& r) { return dt < static_cast<int64_t>(r.dt_ms); });
  if (found == kept->records.end()) {
    return false;
  }
  out->t_ms = kept->base_ms + found->dt_ms;
  out->v = found->v;
  out->ordinal = found->ordinal;
  out->resets = 0;
  out->resets_until_ms = kept->folded_until_ms;
  out->merged = found->merged != 0 && found != kept->records.begin();
  auto correction = std::lower_bound(kept->corrections.begin(), kept->corrections.end(), found->dt_ms,
                                     [](const Correction& c, uint32_t dt) { return c.dt_ms < dt; });
  double lost = 0;
  if (correction != kept->corrections.end() && correction->dt_ms == found->dt_ms) {
    lost = correction->sum;
    ++correction;
  }
  for (; correction != kept->corrections.end(); ++correction) {
    out->resets += correction->sum;
  }
  out->resets += kept->tail;
  if (out->merged) {
    const Record& before = *(found - 1);
    out->mass_between = std::max(0.0, found->v - before.v + lost);
    out->samples_between = Between(before.ordinal, found->ordinal) - 1;
  }
  return true;
}

void BoundedRows::GiveBack(uint32_t series, std::vector<Restored>* out) {
  const Kept* kept = Find(series);
  if (kept == nullptr) {
    return;
  }
  for (size_t i = 0; i < kept->records.size(); ++i) {
    const Record& record = kept->records[i];
    // Where samples are missing, the middle: what is counted from it is within the bound.
    const uint32_t missing =
        i > 0 && record.merged != 0 ? Between(kept->records[i - 1].ordinal, record.ordinal) - 1 : 0;
    out->push_back(
        {kept->base_ms + record.dt_ms, record.v, (record.ordinal - missing / 2) & window::Record::kOrdinalMask});
  }
}

size_t BoundedRows::BytesOf(uint32_t series) const {
  const Kept* kept = Find(series);
  return kept == nullptr ? 0
                         : sizeof(Kept) + kept->records.capacity() * sizeof(Record) +
                               kept->corrections.capacity() * sizeof(Correction);
}

size_t BoundedRows::RecordsOf(uint32_t series) const {
  const Kept* kept = Find(series);
  return kept == nullptr ? 0 : kept->records.size();
}

size_t BoundedRows::HeapBytes() const {
  size_t bytes = kept_.capacity() * sizeof(kept_[0]);
  for (uint32_t series = 0; series < kept_.size(); ++series) {
    bytes += BytesOf(series);
  }
  return bytes;
}

}  // namespace weir::window
