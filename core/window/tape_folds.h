#pragma once
// Functions over long windows that look at every sample: what the rows of the window add up to, a running fold for each member of
// a set. What enters the window is added when its row is written, what leaves is subtracted when the window's start has passed its
// row, both as the same numbers from the tape; what is newer than the tape is folded from the ring at each evaluation. Folds
// are pairs of doubles and integers, and what a pair cannot hold is known: when it could matter, the fold is made anew from its rows.
// What is not finite is counted, never added. One thread. Cost: SeriesBytes().

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "core/window/double_double.h"
#include "core/window/kernels.h"
#include "core/window/tape.h"

namespace weir::window {

// The cells of what lies in (start, end]. RETURNS: false when there is no sample. REQUIRES: both are cuts of the series.
bool FoldOf(TapeKind kind, const SeriesWindow& window, int64_t start_ms, int64_t end_ms, TapeCell* cells);
// Adds a sample, newer than all others of the row, `dt_ms` after its start.
void AddToCells(TapeKind kind, int64_t dt_ms, double v, TapeCell* cells);
// RETURNS: the sum of a row of kSums.
double SumOfCells(const TapeCell* cells);

// Cells as numbers. Values are in the kind's unit: what a billion samples add up to is finite, and what the moments of a hundred
// thousand do over the longest window; numbers below 1e-280 lose digits.
namespace fold {
constexpr double kSumUnit = 0x1p30;
constexpr double kMomentUnit = 0x1p50;
// Beyond it squares are not finite. Such a row is not added; when its samples are the same its second cell says what they are.
constexpr double kDeviationMax = 0x1p500;
constexpr double UnitOf(TapeKind kind) {
  return kind == TapeKind::kSums ? kSumUnit : kind == TapeKind::kMoments ? kMomentUnit : 1;
}
uint32_t CountOf(const TapeCell* cells);
bool Varies(const TapeCell* cells);  // samples differ, or are not finite
// RETURNS: the value of all samples of the row. REQUIRES: !Varies(cells).
double SameValue(const TapeCell* cells, double unit);
DoubleDouble PairOf(const TapeCell& cell);
struct Moments {
  int64_t x = 0;  // times after the start of the row, in milliseconds
  unsigned __int128 xx = 0;
  DoubleDouble xy;
};
Moments MomentsOf(const TapeCell* cells);
}  // namespace fold

class TapeFolds {
 public:
  // RETURNS: the folds of a tape of this kind. REQUIRES: IsFold(tape->kind()).
  static std::unique_ptr<TapeFolds> Of(std::shared_ptr<Tape> tape);
  // RETURNS: bytes of RAM for a series and window.
  static uint32_t SeriesBytes(TapeKind kind);

  explicit TapeFolds(std::shared_ptr<Tape> tape) : tape_(std::move(tape)) {}
  virtual ~TapeFolds() = default;
  TapeFolds(const TapeFolds&) = delete;
  TapeFolds& operator=(const TapeFolds&) = delete;

  const std::shared_ptr<Tape>& tape() const { return tape_; }
  // Brings the folds to the window (start, end]. REQUIRES: the tape has a row that starts at start_ms. ERRORS: a row of the
  // window cannot be read; or kUnavailable while the rows of a window that came late are being read, a share at each call.
  Status Advance(int64_t start_ms, int64_t end_ms, std::span<const uint32_t> members, const RowStore::Yield& yield);
  // The kernel over the window of this member. RETURNS: whether it has a result. THREAD: any, while nobody advances.
  // REQUIRES: one that reads this kind of tape.
  virtual bool Evaluate(Kernel kernel, size_t member, const Window& w, const SeriesWindow& series,
                        double* out) const = 0;
  virtual size_t HeapBytes() const { return slots_.capacity() * sizeof(uint32_t); }

 protected:
  static constexpr uint32_t kNobody = 0xffffffff;
  struct Specials {
    uint32_t nan = 0;
    uint32_t plus_inf = 0;
    uint32_t minus_inf = 0;
    uint32_t samples = 0;  // in all of them
  };

  // Members are as these were; kNobody: empty.
  virtual void Arrange(const std::vector<uint32_t>& from) = 0;
  virtual void Clear(uint32_t member) = 0;
  // Adds (sign 1) or subtracts (−1) the cells of a row; before and after it was rewritten for a late sample.
  virtual void Add(uint32_t member, const TapeCell* cells, uint32_t row, int sign) = 0;
  virtual void Replace(uint32_t member, const TapeCell* before, const TapeCell* after, uint32_t row) = 0;
  // Must be made anew. AnyWorn() may be wrong about that, but not about there being none.
  virtual bool AnyWorn() const { return true; }
  virtual bool Worn(uint32_t member) const = 0;
  // It was made anew.
  virtual void Renewed(uint32_t) {}
  // The window that rows will be added to starts here.
  virtual void Move(int64_t, const RowStore::Yield&) {}

  void CountSpecial(uint32_t member, const TapeCell* cells, int sign);
  // RETURNS: how many samples of the member's fold are in rows that are not finite.
  uint32_t SpecialSamples(uint32_t member) const;
  // RETURNS: what the specials of the member and of its newest part add up to, 0: there are none.
  double Special(size_t member, double newest) const;
  bool Newest(const SeriesWindow& series, TapeCell* cells) const {
    return FoldOf(tape_->kind(), series, ring_from_ms_, end_ms_, cells);
  }
  int64_t StartOf(uint32_t row) const { return tape_->StartOf(row); }
  uint32_t slot(uint32_t member) const { return slots_[member]; }
  int64_t ring_from_ms() const { return ring_from_ms_; }

 private:
  void Restart();
  // Takes up the members as they are now; the folds of those that were there stay.
  Status Take(std::span<const uint32_t> members, const RowStore::Yield& yield);
  void TakeLate();
  // All members, or only one.
  Status AddRow(uint32_t row, int sign, uint32_t only, const RowStore::Yield& yield);
  Status Renew(const RowStore::Yield& yield);

  std::shared_ptr<Tape> tape_;
  std::vector<uint32_t> slots_;       // by member; who a fold is of
  std::map<uint32_t, Specials> odd_;  // by slot: rows in the fold that are not finite
  bool begun_ = false;
  uint32_t from_ = 0;  // rows [from, to) are in the folds
  uint32_t to_ = 0;
  uint64_t late_seen_ = 0;
  int64_t start_ms_ = INT64_MIN;
  int64_t ring_from_ms_ = 0;  // of the newest part
  int64_t end_ms_ = 0;
  uint32_t lost_row_ = 0;  // its fold is unknown as long as the window has it
  Status lost_;
};

}  // namespace weir::window
