#include "core/window/tape_sums.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace weir::window {
namespace {

constexpr uint32_t kAll = 0xffffffff;
constexpr uint64_t kCellsPerCall = 1U << 24;  // read for a window that came late, some 0.1 s of work
constexpr int kRenewedPerCall = 4;
constexpr double kErrorMax = 1e-12;  // of a sum, relative
constexpr double kUnit = 0x1p30;     // sums are in units of it: what a billion samples add up to is finite

DoubleDouble TwoSum(double a, double b) {
  const double s = a + b;
  const double bb = s - a;
  return {s, (a - (s - bb)) + (b - bb)};
}

// Adds x to *sum. RETURNS: what the pair could not hold, at most.
double AddPair(const DoubleDouble& x, DoubleDouble* sum) {
  const DoubleDouble high = TwoSum(sum->hi, x.hi);
  const DoubleDouble low = TwoSum(sum->lo, x.lo);
  const DoubleDouble middle = TwoSum(high.lo, low.hi);
  const DoubleDouble first = TwoSum(high.hi, middle.hi);
  const DoubleDouble rest = TwoSum(middle.lo, low.lo);
  const DoubleDouble second = TwoSum(first.lo, rest.hi);
  *sum = TwoSum(first.hi, second.hi);
  return std::fabs(second.lo) + std::fabs(rest.lo);
}

constexpr uint32_t kRelative = 1U << 31;  // in the count: the low part is relative to the high one
uint32_t CountOf(const TapeCell& cell) { return cell.ordinal & ~kRelative; }

double UnitOf(double high) { return std::scalbn(1.0, std::max(std::ilogb(high), -900)); }

double LowOf(const TapeCell& cell) {
  const double low = std::bit_cast<float>(cell.dt_ms);
  return (cell.ordinal & kRelative) == 0 ? low : low * UnitOf(cell.v);
}

// The low part is a float; what a float's exponent cannot say is held relative to the high part.
TapeCell Cell(const DoubleDouble& sum, uint32_t count) {
  constexpr double kSmallest = 1e-30;
  constexpr double kLargest = 1e38;
  if (!std::isfinite(sum.hi) || sum.lo == 0) {
    return {sum.hi, 0, count};
  }
  const double size = std::fabs(sum.lo);
  const bool relative = size < kSmallest || size > kLargest;
  const auto low = static_cast<float>(relative ? sum.lo / UnitOf(sum.hi) : sum.lo);
  return {sum.hi, std::bit_cast<uint32_t>(low), count | (relative ? kRelative : 0)};
}

}  // namespace

TapeCell SumCell(const SeriesWindow& window, int64_t start_ms, int64_t end_ms) {
  DoubleDouble sum;
  uint32_t count = 0;
  if (const Panes* panes = window.panes()) {
    panes->SumParts(start_ms, end_ms, &sum, &count);
    return Cell({sum.hi / kUnit, sum.lo / kUnit}, count);
  }
  const Ring& ring = window.ring();
  TapeCell odd;
  for (uint32_t i = ring.FirstAfter(start_ms); i < ring.size() && ring.Time(i) <= end_ms; ++i) {
    const Record& record = ring.At(i);
    if (record.kind() != RecordKind::kFloat) {
      continue;
    }
    ++count;
    if (std::isfinite(record.v)) {
      AddPair({record.v / kUnit, 0}, &sum);
    } else {
      odd.v += record.v;
    }
  }
  return odd.v == 0 ? Cell(sum, count) : TapeCell{odd.v, 0, count};
}

TapeCell AddToCell(const TapeCell& cell, double v) {
  DoubleDouble sum{cell.v, LowOf(cell)};
  if (std::isfinite(v) && std::isfinite(sum.hi)) {
    AddPair({v / kUnit, 0}, &sum);
  } else {
    sum = {std::isfinite(v) ? sum.hi : std::isfinite(sum.hi) ? v : sum.hi + v, 0};
  }
  return Cell(sum, CountOf(cell) + 1);
}

void TapeSums::Restart() {
  sums_.assign(sums_.size(), {});
  counts_.assign(counts_.size(), 0);
  odd_.clear();
  errors_.clear();
  begun_ = false;
}

void TapeSums::AddCell(uint32_t member, const TapeCell& cell, int sign) {
  if (cell.ordinal == 0) {
    return;
  }
  counts_[member] += sign > 0 ? CountOf(cell) : 0U - CountOf(cell);
  const uint32_t slot = slots_[member];
  if (!std::isfinite(cell.v)) {
    Specials& odd = odd_[slot];
    uint32_t& count = std::isnan(cell.v) ? odd.nan : cell.v > 0 ? odd.plus_inf : odd.minus_inf;
    count += sign > 0 ? 1 : 0U - 1;
    if (odd.nan + odd.plus_inf + odd.minus_inf == 0) {
      odd_.erase(slot);
    }
  } else if (const double error = AddPair({sign * cell.v, sign * LowOf(cell)}, &sums_[member]); error != 0) {
    errors_[slot] += error;
  }
  if (counts_[member] == 0) {
    sums_[member] = {};
    errors_.erase(slot);
  }
}

Status TapeSums::AddRow(uint32_t row, int sign, uint32_t only, const RowStore::Yield& yield) {
  Tape::Block block;
  uint32_t place = kAll;
  const auto begin = only == kAll ? 0 : only;
  const auto end = only == kAll ? static_cast<uint32_t>(slots_.size()) : only + 1;
  for (uint32_t m = begin; m < end; ++m) {
    const uint32_t slot = slots_[m];
    if (slot == Tape::kNone) {
      continue;
    }
    if (place != slot / Tape::kBlockCells) {
      yield();
      place = slot / Tape::kBlockCells;
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
    const TapeCell& cell = block.cells[slot % Tape::kBlockCells];
    AddCell(m, tape_->Empty(cell) ? tape_->Extra(row, slot) : cell, sign);
  }
  return {};
}

Status TapeSums::Take(std::span<const uint32_t> members, const RowStore::Yield& yield) {
  bool same = members.size() == slots_.size();
  for (size_t m = 0; same && m < members.size(); ++m) {
    same = slots_[m] == tape_->SlotOf(members[m]);
  }
  if (same) {
    return {};
  }
  std::vector<uint32_t> fresh;
  std::vector<DoubleDouble> sums(members.size());
  std::vector<uint32_t> counts(members.size());
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
    sums[m] = sums_[at];
    counts[m] = counts_[at];
    old = at + 1;
  }
  sums_ = std::move(sums);
  counts_ = std::move(counts);
  slots_ = std::move(slots);
  if (!odd_.empty() || !errors_.empty()) {
    std::vector<uint32_t> kept = slots_;
    for (const uint32_t m : fresh) {
      kept[m] = Tape::kNone;
    }
    std::sort(kept.begin(), kept.end());
    const auto gone = [&](const auto& entry) { return !std::binary_search(kept.begin(), kept.end(), entry.first); };
    std::erase_if(odd_, gone);
    std::erase_if(errors_, gone);
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

void TapeSums::TakeLate() {
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
    const Tape::LateSum& late = tape_->late_[i - tape_->late_before_];
    const auto found = member_of.find(late.slot);
    if (found != member_of.end() && late.row >= from_ && late.row < to_) {
      AddCell(found->second, late.after, 1);
      AddCell(found->second, late.before, -1);
    }
  }
  late_seen_ = end;
}

// Makes sums anew whose error may be too large.
Status TapeSums::Renew(const RowStore::Yield& yield) {
  int renewed = 0;
  for (uint32_t m = 0; !errors_.empty() && m < slots_.size(); ++m) {
    const auto found = errors_.find(slots_[m]);
    if (found == errors_.end() || found->second <= kErrorMax * std::fabs(sums_[m].hi)) {
      continue;
    }
    if (++renewed > kRenewedPerCall) {
      return UnavailableError("long windows: sums of more than " + std::to_string(kRenewedPerCall) +
                              " series must be made anew; some at each evaluation");
    }
    errors_.erase(found);
    odd_.erase(slots_[m]);
    sums_[m] = {};
    counts_[m] = 0;
    for (uint32_t row = from_; row < to_; ++row) {
      WEIR_RETURN_IF_ERROR(AddRow(row, 1, m, yield));
    }
  }
  return {};
}

Status TapeSums::Advance(int64_t start_ms, int64_t end_ms, std::span<const uint32_t> members,
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
    for (; from_ < from; ++from_) {
      WEIR_RETURN_IF_ERROR(AddRow(from_, -1, kAll, yield));
    }
    uint64_t cells = 0;
    for (; to_ < to; ++to_, cells += slots_.size()) {
      if (cells > kCellsPerCall) {
        return UnavailableError("long windows: " + std::to_string(to - to_) + " of " + std::to_string(to - from) +
                                " rows are still to be read; some at each evaluation");
      }
      WEIR_RETURN_IF_ERROR(AddRow(to_, 1, kAll, yield));
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

bool TapeSums::Parts(size_t member, const SeriesWindow& window, DoubleDouble* sum, double* count) const {
  const TapeCell newest = SumCell(window, ring_from_ms_, end_ms_);
  *count = static_cast<double>(counts_[member]) + CountOf(newest);
  if (*count == 0) {
    return false;
  }
  *sum = sums_[member];
  double odd = 0;
  if (!odd_.empty()) {
    if (const auto found = odd_.find(slots_[member]); found != odd_.end()) {
      const double infinity = std::numeric_limits<double>::infinity();
      odd += found->second.nan > 0 ? std::numeric_limits<double>::quiet_NaN() : 0;
      odd += found->second.plus_inf > 0 ? infinity : 0;
      odd += found->second.minus_inf > 0 ? -infinity : 0;
    }
  }
  if (!std::isfinite(newest.v)) {
    odd += newest.v;
  } else if (odd == 0) {
    AddPair({newest.v, LowOf(newest)}, sum);
    return true;
  }
  *sum = {odd, 0};
  return true;
}

bool TapeSums::Sum(size_t member, const SeriesWindow& window, double* out) const {
  DoubleDouble sum;
  double count = 0;
  const bool any = Parts(member, window, &sum, &count);
  *out = (sum.hi + sum.lo) * kUnit;
  return any;
}

bool TapeSums::Average(size_t member, const SeriesWindow& window, double* out) const {
  DoubleDouble sum;
  double count = 0;
  const bool any = Parts(member, window, &sum, &count);
  *out = any ? (sum.hi / count + sum.lo / count) * kUnit : 0;
  return any;
}

}  // namespace weir::window
