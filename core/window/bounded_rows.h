#pragma once
// The left ends of long windows in RAM, thinned: of the first samples of rows those stay whose loss could show. What is between
// two that stayed is known to lie between them, so a window has the middle, and half of what lies between is never more than the
// agreed share of what is newer than both. That is true for windows of any length and however the mass lies in them; the number
// of samples kept grows with the logarithm of what a window holds (an exponential histogram whose buckets are kept samples).
//
// Where nothing was dropped around the start of a window the result is exact, but that what resets lost is added up
// beforehand. Counters are not below zero and not NaN; what is has no bound. One thread.

#include <cstdint>
#include <memory>
#include <vector>

#include "core/window/row_store.h"

namespace weir::window {

// What must not be lost.
enum class BoundedKind : unsigned char {
  kNone,      // a bound is not known
  kIncrease,  // of a counter, resets corrected
  kCount,     // of samples
};

class BoundedRows final : public RowStore {
 public:
  struct Record {
    double v = 0;
    uint32_t dt_ms = 0;         // after the series' base time; 0: at or before it
    uint32_t ordinal : 31 = 0;  // Record::ordinal, 29 bits
    uint32_t merged : 1 = 0;    // samples between the record before and this one were dropped
  };
  static_assert(sizeof(Record) == 16);
  // What resets between two records lost, at the later one.
  struct Correction {
    uint32_t dt_ms = 0;
    double sum = 0;
  };
  // When a record may be dropped. Chosen so that results are within `max_error`, relative.
  struct Limits {
    double mass_share;     // what lies between its neighbours, of what is newer, at most
    uint32_t newer_least;  // samples that are newer: the extrapolation of so many has little to say
  };
  static Limits LimitsOf(BoundedKind kind, double max_error);
  static constexpr uint32_t kSlotBytes = 88;  // of RAM for a series, beside records and corrections
  // RETURNS: the most records of a series, places in reserve included. `rows`: in the reach. UNITS: milliseconds.
  static uint64_t RecordsMax(BoundedKind kind, double max_error, int64_t reach_ms, int64_t interval_ms,
                             int64_t scrape_interval_ms);
  // RETURNS: about how many records a series that always grows by the same has.
  static uint64_t RecordsOfSteady(BoundedKind kind, double max_error, int64_t reach_ms, int64_t interval_ms,
                                  int64_t scrape_interval_ms);

  // What windows are on one: their starts are starts of rows, and their ends have the same offset.
  struct Key {
    int64_t interval_ms = 0;
    int64_t phase_ms = 0;
    int64_t offset_ms = 0;
    BoundedKind kind = BoundedKind::kNone;
    double max_error = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  explicit BoundedRows(const Key& key);

  const Key& key() const { return key_; }
  void SetReach(int64_t reach_ms, int64_t floor_ms) override;

  void Add(uint32_t series) override;
  void Remove(uint32_t series) override;
  bool Has(uint32_t series) const override { return Find(series) != nullptr; }
  std::vector<uint32_t> Members() const override;
  void Flush(int64_t through_ms, const Lookup& lookup, const Yield& yield) override;
  void Backfill(const std::vector<uint32_t>& added, const Lookup& lookup) override;
  void Late(uint32_t series, const SeriesWindow& window) override;
  Holds holds() const override { return Holds::kThinned; }
  int64_t written_until_ms() const override { return written_until_ms_; }
  void Retain(int64_t floor_ms, const Yield&) override { floor_ms_ = floor_ms; }
  void GiveBack(uint32_t series, std::vector<Restored>* out) override;
  size_t HeapBytes() const override;

  struct Edge {
    int64_t t_ms = 0;  // of the first sample kept
    double v = 0;
    uint32_t ordinal = 0;
    double resets = 0;  // what resets lost after it, up to resets_until_ms
    int64_t resets_until_ms = 0;
    bool merged = false;           // the window's first sample may lie before it; at most
    double mass_between = 0;       // so much of a counter's increase
    uint32_t samples_between = 0;  // and so many samples are between
  };
  // The left end of the window that starts at start_ms. REQUIRES: OnGrid(start_ms). RETURNS: false when no sample after it is kept.
  // THREAD: any, while nobody writes.
  bool FindEdge(uint32_t series, int64_t start_ms, Edge* out) const;
  // RETURNS: how many records are kept of the series, for tests.
  size_t RecordsOf(uint32_t series) const;
  size_t BytesOf(uint32_t series) const;

 private:
  struct Kept {
    uint32_t series = 0;
    uint32_t thin_at = 0;  // records at which it is thinned
    int64_t base_ms = 0;
    int64_t row_end_ms = INT64_MIN;       // of the row of the newest record
    int64_t folded_until_ms = INT64_MIN;  // resets up to here are in corrections and `tail`
    double tail = 0;                      // what resets lost since the newest record
    std::vector<Record> records;
    std::vector<Correction> corrections;
  };
  static_assert(sizeof(Kept) == kSlotBytes);

  const Kept* Find(uint32_t series) const { return series < kept_.size() ? kept_[series].get() : nullptr; }
  // Takes the samples of rows that are over at through_ms.
  void Take(Kept* kept, const SeriesWindow& window, int64_t through_ms);
  static void Fold(Kept* kept, const SeriesWindow& window, int64_t through_ms);
  void Append(Kept* kept, int64_t t_ms, double v, uint32_t ordinal);
  // Drops what is out of reach and what need not stay.
  void Thin(Kept* kept) const;
  static void Rebase(Kept* kept, int64_t t_ms);

  const Key key_;
  const Limits limits_;
  int64_t floor_ms_ = INT64_MIN;
  int64_t written_until_ms_ = INT64_MIN;
  std::vector<std::unique_ptr<Kept>> kept_;  // by series
};

}  // namespace weir::window
