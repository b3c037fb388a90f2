#pragma once
// Long windows on disk. A tape holds, for the series on it, one 16-byte cell a row; a row is the time between two
// neighbouring starts of windows, and its cell is the first sample in it, which is all that the left end of a window can
// be; or, for functions that look at all samples, one to three cells with what these add up to (tape_folds.h). Rows are written
// once, when their time is over, all series together in the order of their slots, and read once by each window, when its left
// end gets there: a reader keeps one sample a series, or one fold, and nothing else of the window, however long it is. What the
// newest samples are, the series' own rings tell.
//
// Rows lie in files (segments), each unlinked when every window has passed its rows. Cells come in blocks with a checksum, so
// that a damaged file gives an error and never a wrong value. Samples that come when their row is already written are put
// into it. One thread.
//
// Cost: 16 bytes of RAM a series on the tape and 16 a series and reader, on disk 16 a series and row. Of sums 8 and 24 of RAM, of
// what else is folded 8 and what TapeFolds says; on disk LanesOf() cells a series and row.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/state_directory.h"
#include "core/base/status.h"
#include "core/window/row_store.h"
#include "core/window/series_window.h"

namespace weir::window {

struct TapeCell {
  double v = 0;
  uint32_t dt_ms = 0;    // after the row's start; 0: no sample in the row
  uint32_t ordinal = 0;  // of the sample. No sample: the row of the next one, 0 as long as none is known
  // Of kChanges v is a count; of folds see tape_folds.h: there a series has several cells a row.
};
static_assert(sizeof(TapeCell) == 16);

// RETURNS: whether a row has what its samples add up to, and no sample of its own.
constexpr bool IsFold(TapeKind kind) {
  return kind == TapeKind::kSums || kind == TapeKind::kDeviations || kind == TapeKind::kMoments;
}
// RETURNS: whether what is held is so whether or not there are histograms among the samples.
constexpr bool HoldsMixed(TapeKind kind) {
  return kind == TapeKind::kChanges || kind == TapeKind::kDeviations || kind == TapeKind::kMoments;
}
// RETURNS: how many cells a series has in a row.
constexpr uint32_t LanesOf(TapeKind kind) {
  return kind == TapeKind::kMoments ? 3 : kind == TapeKind::kDeviations ? 2 : 1;
}
// What a series has in a row; the first LanesOf() count.
using TapeCells = std::array<TapeCell, 3>;

// Counts over all tapes of an engine.
struct TapeCounters {
  uint64_t rows_written = 0;
  uint64_t read_errors = 0;
  uint64_t write_errors = 0;
};

class Tape final : public RowStore {
 public:
  static constexpr uint32_t kNone = 0xffffffff;
  // Windows this long or longer are not read from tapes: times of their samples are kept in 32 bits.
  static constexpr int64_t kReachMaxMs = int64_t{45} * 86400 * 1000;
  static constexpr uint32_t kBlockCells = 255;  // with one checksum
  static constexpr uint32_t kSlotsMax = kBlockCells << 16;
  static constexpr uint32_t kSpareRows = 64;  // kept behind the windows, for those whose evaluation was left out
  static constexpr uint32_t kSpareShare = 8;  // a row has room for one new series more in so many
  static constexpr uint32_t kSegments = 16;   // that a window's rows are spread over

  static constexpr uint32_t kSlotBytes = 16;     // of RAM for a series on the tape
  static constexpr uint32_t kFoldSlotBytes = 8;  // the same of folds

  Tape(std::shared_ptr<StateDirectory> directory, int64_t interval_ms, int64_t phase_ms, TapeKind kind,
       std::shared_ptr<TapeCounters> counters);

  TapeKind kind() const { return kind_; }
  // When it grows, rows from before (floor − the old reach) stay unread.
  void SetReach(int64_t reach_ms, int64_t floor_ms) override;

  void Add(uint32_t series) override;
  void Remove(uint32_t series) override;
  bool Has(uint32_t series) const override { return SlotOf(series) != kNone; }
  std::vector<uint32_t> Members() const override;

  void Flush(int64_t through_ms, const Lookup& lookup, const Yield& yield) override;
  void Backfill(const std::vector<uint32_t>& added, const Lookup& lookup) override;
  void Late(uint32_t series, const SeriesWindow& window) override;
  Holds holds() const override {
    return kind_ == TapeKind::kFirst || kind_ == TapeKind::kResets ? Holds::kFirst : Holds::kOther;
  }
  int64_t written_until_ms() const override;
  // Files of rows that are out of every window go.
  void Retain(int64_t floor_ms, const Yield& yield) override;
  // Of sums one sample a row, at its end. Nothing of series that stay although they have histograms.
  void GiveBack(uint32_t series, std::vector<Restored>* out) override;
  // Appends what GiveBack gives to `out`, oldest first. ERRORS: as reading.
  Status ReadAll(uint32_t series, std::vector<std::pair<int64_t, TapeCell>>* out);

  // From now on every read of what is written so far fails for this reason.
  void LoseAll(const Status& why);

  // RETURNS: what the files take on disk.
  uint64_t DiskBytes() const override;
  size_t HeapBytes() const override;
  size_t segments() const { return segments_.size(); }
  // RETURNS: how many rows one file holds.
  uint32_t RowsPerSegment() const { return RowsPerSegment(reach_ms_, interval_ms_); }
  static uint32_t RowsPerSegment(int64_t reach_ms, int64_t interval_ms);
  // RETURNS: rows on disk at most.
  static uint64_t RowsMax(int64_t reach_ms, int64_t interval_ms);

 private:
  friend class TapeReader;
  friend class TapeFolds;
  struct Block {
    uint64_t checksum = 0;  // of the rest, up to the last sample
    uint32_t row = 0;
    uint32_t place : 24 = 0;
    uint32_t filled : 8 = 0;  // cells up to the last sample
    TapeCell cells[kBlockCells];
    uint64_t Sum() const;
  };
  static_assert(sizeof(Block) == 4096);
  struct Segment {
    std::unique_ptr<ScratchFile> file;
    uint32_t rows = 0;   // from the key of the map on
    uint32_t slots = 0;  // of each row
    uint32_t lanes = 1;
    Status broken;  // cut by somebody else: nothing of it can be trusted
    uint64_t RowBytes() const;
    uint32_t BlockBytes(uint32_t place) const;
  };
  // Of a slot, which rows have samples of its series.
  struct Extent {
    uint32_t first_row = kNone;
    uint32_t last_row = kNone;
  };
  static_assert(sizeof(Extent) + 2 * sizeof(uint32_t) == kSlotBytes && 2 * sizeof(uint32_t) == kFoldSlotBytes);
  struct Resting {
    uint32_t slot;
    uint32_t last_row;
  };
  // Of folds, of series that are new.
  struct Born {
    uint32_t first_row;
    uint32_t added_row;
  };
  struct Lost {
    uint32_t last_row;
    std::string why;
  };
  using Segments = std::map<uint32_t, Segment>;  // by first row; they do not overlap

  void SetFirst(uint32_t slot, uint32_t row);
  // RETURNS: a row of a fold before which the slot has no samples.
  uint32_t FirstRowOf(uint32_t slot) const;
  uint32_t SlotOf(uint32_t series) const { return series < slot_of_.size() ? slot_of_[series] : kNone; }
  int64_t IndexOf(int64_t t_ms) const;  // of the row that a time falls into, counted from the epoch
  int64_t StartOf(uint32_t row) const { return phase_ms_ + (base_ + row) * interval_ms_; }
  Segments::iterator Find(uint32_t row);
  Result<Segment*> Make(uint32_t row);
  // RETURNS: the start of the earliest row after this one that will have a sample, if this one has none; else INT64_MAX.
  Status WriteRow(uint32_t row, const Lookup& lookup, const Yield& yield, bool* any, int64_t* next_ms);
  Status StoreBlock(Segment& segment, uint32_t first_row, Block* block);
  Status LoadBlock(uint32_t row, uint32_t place, Block* block);
  // Puts cells, sorted by row and slot, into rows that are already written.
  struct Patch {
    uint32_t row;
    uint32_t slot;
    TapeCells cells{};
  };
  void Apply(std::vector<Patch>* patches);
  void AddLate(uint32_t series, int64_t t_ms, double v, uint32_t ordinal, std::vector<Patch>* patches);
  // The cell after the last one of this slot says where the next is.
  void Link(uint32_t slot, uint32_t row, std::vector<Patch>* patches) const;
  // The cells of a row for one series. RETURNS: whether there is a sample; if not, *next_ms is the time of the next one.
  bool CellsOf(const SeriesWindow& window, int64_t start_ms, TapeCell* cells, int64_t* next_ms) const;
  // `cell`: the first one of a series.
  bool Empty(const TapeCell& cell) const { return folds_ ? cell.ordinal == 0 : cell.dt_ms == 0; }
  // A series with histograms leaves the tape, unless these do not matter to what it holds, or are counted, too.
  bool Takes(const SeriesWindow& window) const { return window.rich() == nullptr || stays_; }
  uint32_t PlaceOf(uint32_t slot) const { return slot / per_block_; }
  uint32_t CellOf(uint32_t slot) const { return slot % per_block_ * lanes_; }
  Status AddToFold(uint32_t row, uint32_t slot, int64_t t_ms, double v);
  void ForgetLate();
  void Lose(uint32_t row, const Status& why);
  // ERRORS: when the row was not written whole.
  Status CheckRow(uint32_t row) const;
  TapeCells Extra(uint32_t row, uint32_t slot) const;

  std::shared_ptr<StateDirectory> directory_;
  const TapeKind kind_;
  const bool folds_;
  const bool stays_;  // see Takes
  const uint32_t lanes_;
  const uint32_t per_block_;
  std::shared_ptr<TapeCounters> counters_;
  int64_t base_ = 0;  // what row 0 is, counted from the epoch
  bool based_ = false;
  uint32_t next_ = 0;                        // row to be written
  uint32_t readable_ = 0;                    // rows before it are unread
  uint32_t first_row_ = kNone;               // with a sample
  std::vector<uint32_t> slots_;              // the series of each
  std::vector<Extent> extents_;              // by slot; of folds none: their rows are read one after the other
  std::unordered_map<uint32_t, Born> born_;  // by slot
  std::vector<uint32_t> free_;
  std::vector<Resting> resting_;  // given up, but windows still reach the rows of their last owners
  std::vector<uint32_t> slot_of_;
  Segments segments_;
  // Folds: late samples, for readers that have their row already.
  struct LateFold {
    uint32_t row;
    uint32_t slot;
    TapeCells before;
    TapeCells after;
  };
  std::vector<LateFold> late_;
  uint64_t late_before_ = 0;  // how many are no longer in late_
  uint64_t late_marks_[2] = {0,
                             0};   // how many there were when the last rows were written: readers have seen them since
  std::map<uint32_t, Lost> lost_;  // by first row
  std::map<std::pair<uint32_t, uint32_t>, TapeCells>
      extra_;  // by row and slot: late cells for which a file is too narrow
};

// The left ends of one window of the members of one set.
class TapeReader {
 public:
  explicit TapeReader(std::shared_ptr<Tape> tape) : tape_(std::move(tape)) {}

  const std::shared_ptr<Tape>& tape() const { return tape_; }
  // Forgets all: members were renumbered.
  void Clear();
  // Finds for each member the first sample on the tape after start_ms. REQUIRES: the tape has a row that starts there.
  // ERRORS: what had to be read could not be; nothing may be concluded about the window then.
  Status Seek(int64_t start_ms, std::span<const uint32_t> members, const RowStore::Yield& yield);
  // RETURNS: whether there is such a sample.
  bool Edge(size_t member, int64_t* t_ms, double* v, uint32_t* ordinal) const {
    const TapeCell& edge = edges_[member];
    *t_ms = base_ms_ + edge.dt_ms;
    *v = edge.v;
    *ordinal = edge.ordinal;
    return edge.dt_ms != 0;
  }
  size_t HeapBytes() const { return edges_.capacity() * sizeof(TapeCell); }

 private:
  struct Wanted {
    uint32_t row;
    uint32_t slot;
    uint32_t member;
  };
  Status Read(std::vector<Wanted>* wanted);
  void Rebase(int64_t start_ms);

  std::shared_ptr<Tape> tape_;
  std::vector<TapeCell> edges_;  // dt_ms: after base_ms_; 0: none
  int64_t base_ms_ = 0;
  int64_t start_ms_ = INT64_MIN;
};

}  // namespace weir::window
