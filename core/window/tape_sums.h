#pragma once
// sum_over_time and avg_over_time of windows on tape: see tape_folds.h. Cells are 77-bit sums, and the count of samples.

#include <map>
#include <memory>
#include <vector>

#include "core/window/tape_folds.h"

namespace weir::window {

class TapeSums final : public TapeFolds {
 public:
  static constexpr uint32_t kStateBytes = sizeof(DoubleDouble) + sizeof(uint32_t);

  using TapeFolds::TapeFolds;
  bool Evaluate(Kernel kernel, size_t member, const Window& w, const SeriesWindow& series, double* out) const override;
  size_t HeapBytes() const override {
    return TapeFolds::HeapBytes() + sums_.capacity() * sizeof(DoubleDouble) + counts_.capacity() * sizeof(uint32_t);
  }

 protected:
  void Arrange(const std::vector<uint32_t>& from) override;
  void Clear(uint32_t member) override;
  void Add(uint32_t member, const TapeCell* cells, uint32_t row, int sign) override;
  void Replace(uint32_t member, const TapeCell* before, const TapeCell* after, uint32_t row) override;
  bool AnyWorn() const override { return !errors_.empty(); }
  bool Worn(uint32_t member) const override;

 private:
  std::vector<DoubleDouble> sums_;  // in units of fold::kSumUnit
  std::vector<uint32_t> counts_;
  std::map<uint32_t, double> errors_;  // by slot: what its pair could not hold, at most
};

}  // namespace weir::window
