#pragma once
// The series that one rule writes. Samples of an evaluation are gathered, checked for duplicates and then appended to
// the engine in one go, so that the next rule sees them; series of the evaluation before that are missing now get a
// stale marker (semantics 5.4, 5.5). A series is looked up by labels once and by index from then on. Engine's thread
// only.

#include "core/base/status.h"
#include "core/engine/engine.h"
#include "core/model/histogram.h"
#include "core/model/labels.h"
#include "core/plugin/plugin.h"

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace weir::rules {

class OutputSeries {
 public:
  using Index = uint32_t;
  static constexpr Index kNoIndex = 0xffffffff;

  explicit OutputSeries(engine::Engine* engine) : engine_(engine) {}

  // Starts an evaluation. Indices are valid while generation() stays the same, which only Begin changes.
  void Begin();
  uint64_t generation() const { return generation_; }
  // RETURNS: the index of the series with these labels, made if new.
  Index Find(Labels labels);
  // Gathers a sample: the histogram when there is one, else the float. RETURNS: false when this evaluation has a sample for the
  // series already.
  bool Add(Index index, double v, HistogramRef h = nullptr);
  size_t added() const { return pending_.size(); }
  // Appends what was gathered at `t_ms`, then stale markers for what has vanished. What was stored is added to
  // `emitted` (if not null). RETURNS: the last refusal of a sample; the others are stored all the same.
  Status Commit(int64_t t_ms, std::vector<plugin::ResultSample>* emitted);
  // Writes a stale marker to every series of the last evaluation and forgets them.
  void MarkAllStale(int64_t t_ms, std::vector<plugin::ResultSample>* emitted);
  // Takes over the series of the last evaluation from the same rule of a group that is replaced.
  void TakePrevious(OutputSeries& old);
  size_t previous() const { return previous_.size(); }
  // RETURNS: roughly the memory held.
  size_t Bytes() const;

 private:
  struct Entry {
    std::shared_ptr<const Labels> labels;
    engine::SeriesId series = engine::kNoSeries;
    uint64_t added = 0;     // the epoch of the last Add
    uint64_t returned = 0;  // the epoch in which the engine took a sample
  };
  struct Pending {
    Index index;
    double v;
    HistogramRef h;
  };

  engine::SeriesId SeriesOf(Entry& entry);
  void WriteStale(Entry& entry, int64_t t_ms, std::vector<plugin::ResultSample>* emitted);
  void Compact();

  engine::Engine* engine_;
  std::vector<Entry> entries_;
  size_t label_bytes_ = 0;  // of the entries
  std::unordered_multimap<uint64_t, Index> by_hash_;
  std::vector<Index> previous_;  // had a sample in the last successful evaluation
  std::vector<Pending> pending_;
  std::vector<Index> returned_;
  uint64_t epoch_ = 0;
  uint64_t generation_ = 1;
  uint64_t structure_ = 0;  // engine generation for which series ids are valid
};

}  // namespace weir::rules
