#pragma once
// sum_over_time and avg_over_time of windows on tape: a running sum for each member of a set. What enters the window is added
// when its row is written, what leaves is subtracted when the window's start has passed its row, both as the same 77-bit
// numbers from the tape; what is newer than the tape is added up from the ring at each evaluation. Sums are pairs of doubles
// and the error that a pair cannot hold is known: when it could matter, the sum is made anew from its rows. What is not finite
// is counted, never added. One thread. Cost: 24 bytes a series.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/window/panes.h"
#include "core/window/tape.h"

namespace weir::window {

// RETURNS: the sum of the samples in (start, end] as a cell. REQUIRES: both are cuts of the series.
TapeCell SumCell(const SeriesWindow& window, int64_t start_ms, int64_t end_ms);
// RETURNS: the cell with one sample more.
TapeCell AddToCell(const TapeCell& cell, double v);

class TapeSums {
 public:
  static constexpr uint32_t kSeriesBytes = sizeof(DoubleDouble) + 2 * sizeof(uint32_t);

  explicit TapeSums(std::shared_ptr<Tape> tape) : tape_(std::move(tape)) {}

  const std::shared_ptr<Tape>& tape() const { return tape_; }
  // Brings the sums to the window (start, end]. REQUIRES: the tape has a row that starts at start_ms. ERRORS: a row of the
  // window cannot be read; or kUnavailable while the rows of a window that came late are being read, a share at each call.
  Status Advance(int64_t start_ms, int64_t end_ms, std::span<const uint32_t> members, const RowStore::Yield& yield);
  // RETURNS: whether the window of this member has a sample.
  bool Sum(size_t member, const SeriesWindow& window, double* out) const;
  bool Average(size_t member, const SeriesWindow& window, double* out) const;
  size_t HeapBytes() const {
    return sums_.capacity() * sizeof(DoubleDouble) + (counts_.capacity() + slots_.capacity()) * sizeof(uint32_t);
  }

 private:
  struct Specials {
    uint32_t nan = 0;
    uint32_t plus_inf = 0;
    uint32_t minus_inf = 0;
  };
  void Restart();
  // Takes up the members as they are now; the sums of those that were there stay.
  Status Take(std::span<const uint32_t> members, const RowStore::Yield& yield);
  void TakeLate();
  // Adds (sign 1) or subtracts (-1) a row, for all members or only one.
  Status AddRow(uint32_t row, int sign, uint32_t only, const RowStore::Yield& yield);
  void AddCell(uint32_t member, const TapeCell& cell, int sign);
  Status Renew(const RowStore::Yield& yield);
  bool Parts(size_t member, const SeriesWindow& window, DoubleDouble* sum, double* count) const;

  std::shared_ptr<Tape> tape_;
  std::vector<DoubleDouble> sums_;
  std::vector<uint32_t> counts_;
  std::vector<uint32_t> slots_;        // by member; who a sum is of
  std::map<uint32_t, Specials> odd_;   // by slot: cells in the sum that are not finite
  std::map<uint32_t, double> errors_;  // by slot: what its pair could not hold, at most
  bool begun_ = false;
  uint32_t from_ = 0;  // rows [from, to) are in the sums
  uint32_t to_ = 0;
  uint64_t late_seen_ = 0;
  int64_t start_ms_ = INT64_MIN;
  int64_t ring_from_ms_ = 0;  // of the newest part
  int64_t end_ms_ = 0;
  uint32_t lost_row_ = 0;  // its sum is unknown as long as the window has it
  Status lost_;
};

}  // namespace weir::window
