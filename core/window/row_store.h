#pragma once
// What takes over the older part of long windows from the rings of series, row by row: files (tape.h) or thinned records in RAM
// (bounded_rows.h). A row is the time between two neighbouring starts of windows.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/window/series_window.h"

namespace weir::window {

class RowStore {
 public:
  using Lookup = std::function<const SeriesWindow*(uint32_t series)>;
  using Restored = SeriesWindow::Restored;
  // Called many times a millisecond in what may take long, at moments when others may append samples that are later than all
  // that is being read, and add series.
  using Yield = std::function<void()>;

  // Rows start at every k·interval + phase.
  RowStore(int64_t interval_ms, int64_t phase_ms) : interval_ms_(interval_ms), phase_ms_(phase_ms) {}
  virtual ~RowStore() = default;
  RowStore(const RowStore&) = delete;
  RowStore& operator=(const RowStore&) = delete;

  int64_t interval_ms() const { return interval_ms_; }
  int64_t phase_ms() const { return phase_ms_; }
  // RETURNS: whether a row starts at this time.
  bool OnGrid(int64_t t_ms) const { return (t_ms - phase_ms_) % interval_ms_ == 0; }
  // How far back windows reach.
  int64_t reach_ms() const { return reach_ms_; }
  virtual void SetReach(int64_t reach_ms, int64_t floor_ms) = 0;

  // --- series ---
  virtual void Add(uint32_t series) = 0;
  virtual void Remove(uint32_t series) = 0;
  virtual bool Has(uint32_t series) const = 0;
  virtual std::vector<uint32_t> Members() const = 0;

  // --- writing ---
  // Takes the rows that end at or before through_ms. Series with histograms are left out.
  virtual void Flush(int64_t through_ms, const Lookup& lookup, const Yield& yield) = 0;
  // Takes what the rings of series just added hold of rows that are already taken.
  virtual void Backfill(const std::vector<uint32_t>& added, const Lookup& lookup) = 0;
  // The newest sample of `window` came at or before written_until_ms().
  virtual void Late(uint32_t series, const SeriesWindow& window) = 0;
  // What it has of a row.
  enum class Holds : unsigned char { kFirst, kThinned, kOther };
  virtual Holds holds() const = 0;
  // RETURNS: the end of the newest row taken; INT64_MIN before the first.
  virtual int64_t written_until_ms() const = 0;
  // Rows are only read by windows that start after floor − reach.
  virtual void Retain(int64_t floor_ms, const Yield& yield) = 0;
  // The samples of a series go back to its ring: appends them to `out`, oldest first. What cannot be read is lost to all.
  virtual void GiveBack(uint32_t series, std::vector<Restored>* out) = 0;

  virtual size_t HeapBytes() const = 0;
  virtual uint64_t DiskBytes() const { return 0; }

 protected:
  const int64_t interval_ms_;
  const int64_t phase_ms_;
  int64_t reach_ms_ = 0;
};

}  // namespace weir::window
