#pragma once
// The series that one rule writes. Samples of an evaluation are gathered, checked for duplicates and then written to the engine in
// one go, so that the next rule sees them; series of the evaluation before that are missing now get a stale marker (semantics
// 5.4, 5.5). A series is known by its interned labels and found by them once, by index from then on. Engine's thread only. Cost:
// 16 bytes a series and some 12 for finding it, beside what the engine has of it; where sinks take samples, the text of the labels of the
// first kTextsMax series: an ordinary tick makes no labels, and that of a rule with very many needs no memory for them.

#include "core/base/status.h"
#include "core/engine/engine.h"
#include "core/model/histogram.h"
#include "core/model/label_set_places.h"
#include "core/model/symbols.h"
#include "core/rules/result_parts.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace weir::rules {

class OutputSeries {
 public:
  using Index = uint32_t;
  static constexpr Index kNoIndex = 0xffffffff;
  static constexpr Index kTextsMax = 1024;

  explicit OutputSeries(engine::Engine* engine) : engine_(engine) {}
  OutputSeries(const OutputSeries&) = delete;
  OutputSeries& operator=(const OutputSeries&) = delete;

  // Starts an evaluation. Indices are valid while generation() stays the same, which only Begin changes.
  void Begin();
  // So many samples at most are about to be gathered: a long list is not to be copied while it grows.
  void Expect(size_t samples) { pending_.reserve(samples); }
  uint32_t generation() const { return generation_; }
  // RETURNS: the index of the series with these labels, made if new.
  Index Find(LabelSetId labels);
  // RETURNS: false when this evaluation has a sample for the series already.
  bool Claim(Index index);
  // Claims the series and gathers a sample: the histogram when there is one, else the float. RETURNS: as Claim.
  bool Add(Index index, double v, HistogramRef h = nullptr);
  size_t claimed() const { return claimed_; }
  // Writes a sample of a series that was claimed at once, without gathering: of rules that cannot fail any more.
  void Write(Index index, int64_t t_ms, double v, HistogramRef h, ResultParts* parts);
  // Writes what was gathered at `t_ms`, then stale markers for what has vanished. What was stored goes to `parts` (if not null).
  // RETURNS: the last refusal of a sample; the others are stored all the same.
  Status Commit(int64_t t_ms, ResultParts* parts);
  // Writes a stale marker to every series of the last evaluation and forgets them.
  void MarkAllStale(int64_t t_ms, ResultParts* parts);
  // Takes over the series of the last evaluation from the same rule of a group that is replaced.
  void TakePrevious(OutputSeries& old);
  size_t previous() const { return previous_; }
  // RETURNS: roughly the memory held, without the label sets.
  size_t Bytes() const;
  // See engine::LabelHolder.
  void MarkLabels(LabelMarks* marks) const;

 private:
  struct Entry {
    LabelSetId labels;
    engine::SeriesId series = engine::kNoSeries;
    uint32_t claimed = 0;   // the epoch of the last Claim
    uint32_t returned = 0;  // the epoch in which the engine took a sample
  };
  struct Pending {
    Index index;
    double v;
    HistogramRef h;
  };
  engine::SeriesId SeriesOf(Entry& entry);
  std::shared_ptr<const Labels> TextOf(Index index);
  void WriteStale(Index index, int64_t t_ms, ResultParts* parts);
  // Writes a stale marker to every series of the evaluation before that has had no sample in this one.
  void EndVanished(int64_t t_ms, ResultParts* parts);
  void Compact();

  engine::Engine* engine_;
  std::deque<Entry> entries_;  // grows without a copy
  LabelSetPlaces by_labels_;
  std::vector<std::shared_ptr<const Labels>> texts_;  // of the first entries; null until a sink has got one
  size_t text_bytes_ = 0;                             // of these
  std::vector<Pending> pending_;
  size_t claimed_ = 0;   // in this evaluation
  size_t returned_ = 0;  // in this evaluation
  size_t previous_ = 0;  // entries that had a sample in the last successful evaluation, that of previous_epoch_
  uint32_t previous_epoch_ = 1;
  uint32_t epoch_ = 1;
  uint32_t generation_ = 1;
  uint64_t structure_ = 0;  // engine generation for which series ids are valid
  Status refused_;
  LabelSetId unknown_ = kNoLabelSet;  // of a sample that was refused because its series could not be made
};

}  // namespace weir::rules
