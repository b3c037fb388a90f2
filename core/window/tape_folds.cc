#include "core/window/tape_folds.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "core/window/tape_moments.h"
#include "core/window/tape_sums.h"

namespace weir::window {
namespace {

constexpr uint64_t kCellsPerCall = 1U << 24;  // read for a window that came late, some 0.1 s of work
constexpr uint32_t kMembersPerYield = 1024;
constexpr uint64_t kRenewedPerCall = 4;      // of long windows
constexpr uint64_t kRenewedRows = 1U << 14;  // of short ones: as many as have so many rows

// In the word beside a low part.
constexpr uint32_t kRelative = 1U << 31;  // it is relative to the high part
constexpr uint32_t kVaries = 1U << 30;    // the row's samples differ; in its first cell alone
constexpr uint32_t kCountMask = kVaries - 1;

double UnitInLastPlace(double high) { return std::scalbn(1.0, std::max(std::ilogb(high), -900)); }

// The low part is a float; what a float's exponent cannot say is held relative to the high part.
TapeCell CellOf(const DoubleDouble& sum, uint32_t word) {
  constexpr double kSmallest = 1e-30;
  constexpr double kLargest = 1e38;
  if (!std::isfinite(sum.hi) || sum.lo == 0) {
    return {sum.hi, 0, word};
  }
  const double size = std::fabs(sum.lo);
  const bool relative = size < kSmallest || size > kLargest;
  const auto low = static_cast<float>(relative ? sum.lo / UnitInLastPlace(sum.hi) : sum.lo);
  return {sum.hi, std::bit_cast<uint32_t>(low), word | (relative ? kRelative : 0)};
}

void Write(const fold::Moments& m, TapeCell* cells) {
  cells[1] = CellOf(m.xy, static_cast<uint32_t>(m.xx >> 64U) & ~kRelative);
  const auto low = static_cast<uint64_t>(m.xx);
  cells[2] = {std::bit_cast<double>(m.x), static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32U)};
}

// What a sample that cannot be added makes of its row: NaN, or infinite.
double Unfoldable(TapeKind kind, double v) {
  if (std::fabs(v) <= fold::kDeviationMax) {
    return 0;
  }
  if (kind == TapeKind::kSums) {
    return std::isfinite(v) ? 0 : v;
  }
  if (kind == TapeKind::kDeviations && std::fabs(v) > fold::kDeviationMax && std::isfinite(v)) {
    return std::numeric_limits<double>::infinity();  // as its square
  }
  return std::isfinite(v) ? 0 : std::numeric_limits<double>::quiet_NaN();
}

// The folds of samples one by one, in registers.
template <TapeKind kKind>
class Folder {
 public:
  [[gnu::always_inline]] void Add(int64_t dt_ms, double v) {
    constexpr double kPerUnit = 1 / fold::UnitOf(kKind);  // a power of two
    first_ = count_ == 0 ? v : first_;
    ++count_;
    varies_ = varies_ || v != first_;
    if (const double odd = Unfoldable(kKind, v); odd != 0) {
      varies_ = varies_ || kKind != TapeKind::kDeviations || std::isnan(odd);
      odd_ += odd;
      return;
    }
    const double y = v * kPerUnit;
    if constexpr (kKind == TapeKind::kSums) {
      AddPair({y, 0}, &sum_);
      return;
    }
    Gather({y, 0}, &sum_);
    if constexpr (kKind == TapeKind::kDeviations) {
      const DoubleDouble d = TwoSum(v, -first_);
      Gather(d, &about_first_);
      Gather(Times(d, d), &squares_);
    } else {
      moments_.x += dt_ms;
      moments_.xx += static_cast<uint64_t>(dt_ms) * static_cast<uint64_t>(dt_ms);
      Gather(TwoProduct(static_cast<double>(dt_ms), y), &moments_.xy);
    }
  }
  [[gnu::always_inline]] bool Write(TapeCell* cells) {
    if (odd_ != 0) {
      cells[0] = {odd_, 0, count_ | (varies_ ? kVaries : 0)};
      if constexpr (kKind == TapeKind::kDeviations) {
        cells[1] = {varies_ ? 0 : first_, 0, 0};
      }
      return true;
    }
    cells[0] = CellOf(Settled(sum_), count_ | (varies_ ? kVaries : 0));
    if constexpr (kKind == TapeKind::kDeviations) {
      DoubleDouble squares;
      if (varies_) {
        const DoubleDouble first = Settled(about_first_);
        squares = Plus(Settled(squares_), -Over(Times(first, first), count_));
      }
      cells[1] = CellOf(squares.hi > 0 ? squares : DoubleDouble{}, 0);
    } else if constexpr (kKind == TapeKind::kMoments) {
      moments_.xy = Settled(moments_.xy);
      window::Write(moments_, cells);
    }
    return count_ > 0;
  }

 private:
  uint32_t count_ = 0;
  double odd_ = 0;
  bool varies_ = false;
  double first_ = 0;
  DoubleDouble sum_;
  DoubleDouble about_first_;
  DoubleDouble squares_;
  fold::Moments moments_;
};

// Calls fold(folder) with the folder of this kind.
template <typename Fold>
auto WithFolder(TapeKind kind, Fold fold) {
  switch (kind) {
    case TapeKind::kDeviations:
      return fold(Folder<TapeKind::kDeviations>());
    case TapeKind::kMoments:
      return fold(Folder<TapeKind::kMoments>());
    default:
      return fold(Folder<TapeKind::kSums>());
  }
}

bool FoldOfPanes(TapeKind kind, const Panes& panes, int64_t start_ms, int64_t end_ms, TapeCell* cells) {
  DoubleDouble sum;
  uint32_t count = 0;
  Panes::Extreme low;
  Panes::Extreme high;
  const double unit = fold::UnitOf(kind);
  if (kind == TapeKind::kSums) {
    panes.SumParts(start_ms, end_ms, &sum, &count);
    cells[0] = CellOf({sum.hi / unit, sum.lo / unit}, count);
    return count > 0;
  }
  if (!panes.Min(start_ms, end_ms, &low) || !panes.Max(start_ms, end_ms, &high)) {
    return false;
  }
  double odd = 0;
  if (!panes.CountFinite(start_ms, end_ms, &count)) {
    odd = std::numeric_limits<double>::quiet_NaN();
  } else if (kind == TapeKind::kDeviations && (high.v > fold::kDeviationMax || low.v < -fold::kDeviationMax)) {
    odd = std::numeric_limits<double>::infinity();
  }
  const uint32_t varies = low.v != high.v || std::isnan(odd) ? kVaries : 0;
  if (odd != 0) {
    cells[0] = {odd, 0, count | varies};
    if (kind == TapeKind::kDeviations) {
      cells[1] = {varies != 0 ? 0 : low.v, 0, 0};
    }
    return true;
  }
  if (kind == TapeKind::kDeviations) {
    DoubleDouble squares;
    panes.DeviationParts(start_ms, end_ms, &sum, &squares);
    cells[1] = varies != 0 ? CellOf(squares, 0) : TapeCell{};
  } else {
    const Panes::MomentSums m = panes.MomentParts(start_ms, end_ms, unit);
    sum = m.y;
    Write({m.x, static_cast<unsigned __int128>(m.xx), m.xy}, cells);
  }
  if (varies == 0) {
    sum = TwoProduct(count, low.v / unit);
  }
  cells[0] = CellOf(sum, count | varies);
  return true;
}

}  // namespace

namespace fold {

uint32_t CountOf(const TapeCell* cells) { return cells[0].ordinal & kCountMask; }

bool Varies(const TapeCell* cells) { return (cells[0].ordinal & kVaries) != 0; }

double SameValue(const TapeCell* cells, double unit) {
  return std::isfinite(cells[0].v) ? Over(PairOf(cells[0]), CountOf(cells)).value() * unit : cells[1].v;
}

DoubleDouble PairOf(const TapeCell& cell) {
  const double low = std::bit_cast<float>(cell.dt_ms);
  return {cell.v, (cell.ordinal & kRelative) == 0 ? low : low * UnitInLastPlace(cell.v)};
}

Moments MomentsOf(const TapeCell* cells) {
  Moments m;
  m.x = std::bit_cast<int64_t>(cells[2].v);
  m.xx = static_cast<unsigned __int128>(cells[1].ordinal & ~kRelative) << 64U |
         static_cast<uint64_t>(cells[2].ordinal) << 32U | cells[2].dt_ms;
  m.xy = PairOf(cells[1]);
  return m;
}

}  // namespace fold

bool FoldOf(TapeKind kind, const SeriesWindow& window, int64_t start_ms, int64_t end_ms, TapeCell* cells) {
  if (const Panes* panes = window.panes()) {
    return FoldOfPanes(kind, *panes, start_ms, end_ms, cells);
  }
  const Ring& ring = window.ring();
  return WithFolder(kind, [&](auto folder) {
    for (uint32_t i = ring.FirstAfter(start_ms); i < ring.size() && ring.Time(i) <= end_ms; ++i) {
      const Record& record = ring.At(i);
      if (record.kind() == RecordKind::kFloat) {
        folder.Add(ring.Time(i) - start_ms, record.v);
      }
    }
    return folder.Write(cells);
  });
}

void AddToCells(TapeKind kind, int64_t dt_ms, double v, TapeCell* cells) {
  const uint32_t before = fold::CountOf(cells);
  if (before == 0) {
    WithFolder(kind, [&](auto one) {
      one.Add(dt_ms, v);
      one.Write(cells);
    });
    return;
  }
  if (const double odd = Unfoldable(kind, v); odd != 0 || !std::isfinite(cells[0].v)) {
    const bool same = kind == TapeKind::kDeviations && !fold::Varies(cells) && fold::SameValue(cells, 1) == v;
    cells[0] = {std::isfinite(cells[0].v) ? odd : cells[0].v + odd, 0, (before + 1) | (same ? 0 : kVaries)};
    if (kind == TapeKind::kDeviations) {
      cells[1] = {same ? v : 0, 0, 0};
    }
    return;
  }
  const double unit = fold::UnitOf(kind);
  DoubleDouble sum = fold::PairOf(cells[0]);
  const double mean = Over(sum, before).value();
  if (kind == TapeKind::kDeviations) {
    const DoubleDouble d = Plus({v, 0}, -Over(sum, before));
    const DoubleDouble more = Times(Over(Times(d, d), before + 1), before);
    cells[1] = CellOf(Plus(fold::PairOf(cells[1]), more), 0);
  } else if (kind == TapeKind::kMoments) {
    fold::Moments m = fold::MomentsOf(cells);
    m.x += dt_ms;
    m.xx += static_cast<unsigned __int128>(dt_ms) * static_cast<uint64_t>(dt_ms);
    AddPair(TwoProduct(static_cast<double>(dt_ms), v / unit), &m.xy);
    Write(m, cells);
  }
  const bool varies = fold::Varies(cells) || mean != v / unit;
  AddPair({v / unit, 0}, &sum);
  cells[0] = CellOf(sum, (before + 1) | (varies ? kVaries : 0));
}

double SumOfCells(const TapeCell* cells) { return fold::PairOf(cells[0]).value() * fold::kSumUnit; }

std::unique_ptr<TapeFolds> TapeFolds::Of(std::shared_ptr<Tape> tape) {
  switch (tape->kind()) {
    case TapeKind::kDeviations:
      return std::make_unique<TapeDeviations>(std::move(tape));
    case TapeKind::kMoments:
      return std::make_unique<TapeMoments>(std::move(tape));
    default:
      return std::make_unique<TapeSums>(std::move(tape));
  }
}

uint32_t TapeFolds::SeriesBytes(TapeKind kind) {
  return sizeof(uint32_t) + (kind == TapeKind::kDeviations ? TapeDeviations::kStateBytes
                             : kind == TapeKind::kMoments  ? TapeMoments::kStateBytes
                                                           : TapeSums::kStateBytes);
}

void TapeFolds::CountSpecial(uint32_t member, const TapeCell* cells, int sign) {
  const double v = cells[0].v;
  const uint32_t samples = fold::CountOf(cells);
  Specials& odd = odd_[slots_[member]];
  uint32_t& count = std::isnan(v) ? odd.nan : v > 0 ? odd.plus_inf : odd.minus_inf;
  count += sign > 0 ? 1 : 0U - 1;
  odd.samples += sign > 0 ? samples : 0U - samples;
  if (odd.nan + odd.plus_inf + odd.minus_inf == 0) {
    odd_.erase(slots_[member]);
  }
}

uint32_t TapeFolds::SpecialSamples(uint32_t member) const {
  const auto found = odd_.empty() ? odd_.end() : odd_.find(slots_[member]);
  return found == odd_.end() ? 0 : found->second.samples;
}

double TapeFolds::Special(size_t member, double newest) const {
  double odd = std::isfinite(newest) ? 0 : newest;
  if (odd_.empty()) {
    return odd;
  }
  if (const auto found = odd_.find(slots_[member]); found != odd_.end()) {
    const double infinity = std::numeric_limits<double>::infinity();
    odd += found->second.nan > 0 ? std::numeric_limits<double>::quiet_NaN() : 0;
    odd += found->second.plus_inf > 0 ? infinity : 0;
    odd += found->second.minus_inf > 0 ? -infinity : 0;
  }
  return odd;
}

void TapeFolds::Restart() {
  for (uint32_t m = 0; m < slots_.size(); ++m) {
    Clear(m);
  }
  odd_.clear();
  begun_ = false;
}

Status TapeFolds::AddRow(uint32_t row, int sign, uint32_t only, const RowStore::Yield& yield) {
  Tape::Block block;
  uint32_t place = kNobody;
  const auto begin = only == kNobody ? 0 : only;
  const auto end = only == kNobody ? static_cast<uint32_t>(slots_.size()) : only + 1;
  for (uint32_t m = begin; m < end; ++m) {
    const uint32_t slot = slots_[m];
    if (slot == Tape::kNone) {
      continue;
    }
    if (place != tape_->PlaceOf(slot)) {
      yield();
      place = tape_->PlaceOf(slot);
      Status status = tape_->CheckRow(row);
      if (status.ok()) {
        status = tape_->LoadBlock(row, place, &block);
      }
      if (!status.ok()) {
        ++tape_->counters_->read_errors;
        lost_row_ = row;
        lost_ = status;
        return status;
      }
    }
    const TapeCell* cells = &block.cells[tape_->CellOf(slot)];
    if (!tape_->Empty(*cells)) {
      Add(m, cells, row, sign);
    } else if (!tape_->extra_.empty()) {
      if (const TapeCells extra = tape_->Extra(row, slot); !tape_->Empty(extra[0])) {
        Add(m, extra.data(), row, sign);
      }
    }
  }
  return {};
}

Status TapeFolds::Take(std::span<const uint32_t> members, const RowStore::Yield& yield) {
  bool same = members.size() == slots_.size();
  for (size_t m = 0; same && m < members.size(); ++m) {
    same = slots_[m] == tape_->SlotOf(members[m]);
  }
  if (same) {
    return {};
  }
  std::vector<uint32_t> fresh;
  std::vector<uint32_t> from(members.size(), kNobody);
  std::vector<uint32_t> slots(members.size());
  // Members keep their order when others go, so each is found behind the one before it.
  size_t old = 0;
  for (uint32_t m = 0; m < members.size(); ++m) {
    slots[m] = tape_->SlotOf(members[m]);
    size_t at = old;
    while (at < slots_.size() && slots_[at] != slots[m]) {
      ++at;
    }
    if (at == slots_.size()) {
      fresh.push_back(m);
      continue;
    }
    from[m] = static_cast<uint32_t>(at);
    old = at + 1;
  }
  Arrange(from);
  slots_ = std::move(slots);
  if (!odd_.empty()) {
    std::vector<uint32_t> kept = slots_;
    for (const uint32_t m : fresh) {
      kept[m] = Tape::kNone;
    }
    std::sort(kept.begin(), kept.end());
    std::erase_if(odd_, [&](const auto& entry) { return !std::binary_search(kept.begin(), kept.end(), entry.first); });
  }
  for (const uint32_t m : fresh) {
    if (!begun_ || slots_[m] == Tape::kNone) {
      continue;
    }
    for (uint32_t row = std::max(from_, tape_->FirstRowOf(slots_[m])); row < to_; ++row) {
      WEIR_RETURN_IF_ERROR(AddRow(row, 1, m, yield));
    }
  }
  return {};
}

void TapeFolds::TakeLate() {
  const uint64_t end = tape_->late_before_ + tape_->late_.size();
  if (late_seen_ == end) {
    return;
  }
  if (late_seen_ < tape_->late_before_) {
    Restart();
  }
  std::unordered_map<uint32_t, uint32_t> member_of;
  for (uint32_t m = 0; begun_ && m < slots_.size(); ++m) {
    member_of[slots_[m]] = m;
  }
  for (uint64_t i = late_seen_; begun_ && i < end; ++i) {
    const Tape::LateFold& late = tape_->late_[i - tape_->late_before_];
    const auto found = member_of.find(late.slot);
    if (found != member_of.end() && late.row >= from_ && late.row < to_) {
      Replace(found->second, late.before.data(), late.after.data(), late.row);
    }
  }
  late_seen_ = end;
}

// Makes folds anew whose error may be too large.
Status TapeFolds::Renew(const RowStore::Yield& yield) {
  uint64_t renewed = 0;
  for (uint32_t m = 0; AnyWorn() && m < slots_.size(); ++m) {
    if (m % kMembersPerYield == 0) {
      yield();
    }
    if (!Worn(m)) {
      continue;
    }
    if (renewed >= kRenewedPerCall && renewed * (to_ - from_) > kRenewedRows) {
      return UnavailableError("long windows: sums of more than " + std::to_string(renewed) +
                              " series must be made anew; some at each evaluation");
    }
    ++renewed;
    odd_.erase(slots_[m]);
    Clear(m);
    for (uint32_t row = from_; row < to_; ++row) {
      WEIR_RETURN_IF_ERROR(AddRow(row, 1, m, yield));
    }
    Renewed(m);
  }
  return {};
}

Status TapeFolds::Advance(int64_t start_ms, int64_t end_ms, std::span<const uint32_t> members,
                          const RowStore::Yield& yield) {
  Tape& tape = *tape_;
  if (start_ms < start_ms_) {
    Restart();
  }
  start_ms_ = start_ms;
  end_ms_ = end_ms;
  ring_from_ms_ = start_ms;
  const auto advance = [&]() -> Status {
    TakeLate();
    WEIR_RETURN_IF_ERROR(Take(members, yield));
    if (!tape.based_) {
      return {};
    }
    const int64_t rows_end = tape.IndexOf(end_ms + 1) - tape.base_;  // the row that is not over at end_ms
    const int64_t start = tape.IndexOf(start_ms + 1) - tape.base_;
    const auto to = static_cast<uint32_t>(std::clamp<int64_t>(rows_end, tape.readable_, tape.next_));
    const auto from = static_cast<uint32_t>(std::clamp<int64_t>(start, tape.readable_, to));
    if (!lost_.ok()) {
      if (from <= lost_row_ && lost_row_ < to) {
        return lost_;
      }
      lost_ = {};
      Restart();
    }
    if (begun_ && (from >= to_ || from_ < tape.readable_)) {
      Restart();
    }
    if (!begun_) {
      begun_ = true;
      from_ = to_ = std::max(from, std::min(to, tape.first_row_));
    }
    Move(start_ms, yield);
    for (; from_ < from; ++from_) {
      WEIR_RETURN_IF_ERROR(AddRow(from_, -1, kNobody, yield));
    }
    uint64_t cells = 0;
    for (; to_ < to; ++to_, cells += slots_.size()) {
      if (cells > kCellsPerCall) {
        return UnavailableError("long windows: " + std::to_string(to - to_) + " of " + std::to_string(to - from) +
                                " rows are still to be read; some at each evaluation");
      }
      WEIR_RETURN_IF_ERROR(AddRow(to_, 1, kNobody, yield));
    }
    ring_from_ms_ = to_ > start ? tape.StartOf(to_) : start_ms;
    return Renew(yield);
  };
  Status status = advance();
  if (!status.ok() && !lost_.ok()) {
    Restart();
  }
  return status;
}

}  // namespace weir::window
