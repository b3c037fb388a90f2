#include "core/window/tape_sums.h"

#include <cmath>

namespace weir::window {
namespace {

constexpr double kErrorMax = 1e-12;  // of a sum, relative

}  // namespace

void TapeSums::Arrange(const std::vector<uint32_t>& from) {
  std::vector<DoubleDouble> sums(from.size());
  std::vector<uint32_t> counts(from.size());
  std::map<uint32_t, double> errors;
  for (size_t m = 0; m < from.size(); ++m) {
    if (from[m] == kNobody) {
      continue;
    }
    sums[m] = sums_[from[m]];
    counts[m] = counts_[from[m]];
    if (const auto found = errors_.find(slot(from[m])); found != errors_.end()) {
      errors.insert(*found);
    }
  }
  sums_ = std::move(sums);
  counts_ = std::move(counts);
  errors_ = std::move(errors);
}

void TapeSums::Clear(uint32_t member) {
  sums_[member] = {};
  counts_[member] = 0;
  errors_.erase(slot(member));
}

void TapeSums::Add(uint32_t member, const TapeCell* cells, uint32_t, int sign) {
  const uint32_t count = fold::CountOf(cells);
  counts_[member] += sign > 0 ? count : 0U - count;
  const DoubleDouble sum = fold::PairOf(cells[0]);
  if (!std::isfinite(sum.hi)) {
    CountSpecial(member, cells, sign);
  } else if (const double error = AddPair(sign > 0 ? sum : -sum, &sums_[member]); error != 0) {
    errors_[slot(member)] += error;
  }
  if (counts_[member] == 0) {
    sums_[member] = {};
    errors_.erase(slot(member));
  }
}

void TapeSums::Replace(uint32_t member, const TapeCell* before, const TapeCell* after, uint32_t row) {
  Add(member, after, row, 1);
  if (fold::CountOf(before) > 0) {
    Add(member, before, row, -1);
  }
}

bool TapeSums::Worn(uint32_t member) const {
  const auto found = errors_.find(slot(member));
  return found != errors_.end() && found->second > kErrorMax * std::fabs(sums_[member].hi);
}

bool TapeSums::Evaluate(Kernel kernel, size_t member, const Window&, const SeriesWindow& series, double* out) const {
  TapeCell newest;
  Newest(series, &newest);
  const double count = static_cast<double>(counts_[member]) + fold::CountOf(&newest);
  if (count == 0) {
    return false;
  }
  DoubleDouble sum = sums_[member];
  if (const double odd = Special(member, newest.v); odd != 0) {
    sum = {odd, 0};
  } else {
    AddPair(fold::PairOf(newest), &sum);
  }
  if (kernel == AvgOverTime) {
    sum = {sum.hi / count, sum.lo / count};
  }
  *out = (sum.hi + sum.lo) * fold::kSumUnit;
  return true;
}

}  // namespace weir::window
