#include "core/rules/output_series.h"

#include "core/model/sample.h"

#include <algorithm>
#include <utility>

namespace weir::rules {
namespace {

// Entries are given up when they outnumber the series in use by this factor; below the floor it is not worth a rebuild.
constexpr size_t kCompactFactor = 4;
constexpr size_t kCompactFloor = 1024;

Status RefusalStatus(engine::AppendOutcome outcome) {
  switch (outcome) {
    case engine::AppendOutcome::kDuplicateConflict:
      return InvalidError("duplicate sample for timestamp");
    case engine::AppendOutcome::kOutOfOrder:
      return InvalidError("out of order sample");
    case engine::AppendOutcome::kOk:
    case engine::AppendOutcome::kDuplicateSame:
      break;
  }
  return {};
}

constexpr size_t kSharedBytes = 32;     // counts beside a shared object, and what the allocator adds
constexpr size_t kHashEntryBytes = 48;  // a node of the hash table and its share of the buckets

size_t LabelBytes(const Labels& labels) { return sizeof(Labels) + kSharedBytes + labels.HeapBytes(); }

}  // namespace

size_t OutputSeries::Bytes() const {
  return label_bytes_ + entries_.capacity() * sizeof(Entry) + by_hash_.size() * kHashEntryBytes +
         (previous_.capacity() + returned_.capacity()) * sizeof(Index) + pending_.capacity() * sizeof(Pending);
}

void OutputSeries::Begin() {
  ++epoch_;
  pending_.clear();
  if (structure_ != engine_->structure_generation()) {
    for (Entry& entry : entries_) {
      entry.series = engine::kNoSeries;
    }
    structure_ = engine_->structure_generation();
  }
  if (entries_.size() > kCompactFloor && entries_.size() > kCompactFactor * previous_.size()) {
    Compact();
  }
}

void OutputSeries::Compact() {
  std::vector<Entry> kept;
  kept.reserve(previous_.size());
  by_hash_.clear();
  for (Index& index : previous_) {
    const Index moved = static_cast<Index>(kept.size());
    kept.push_back(std::move(entries_[index]));
    by_hash_.emplace(kept.back().labels->Hash(), moved);
    index = moved;
  }
  entries_ = std::move(kept);
  label_bytes_ = 0;
  for (const Entry& entry : entries_) {
    label_bytes_ += LabelBytes(*entry.labels);
  }
  ++generation_;
}

OutputSeries::Index OutputSeries::Find(Labels labels) {
  const uint64_t hash = labels.Hash();
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (*entries_[it->second].labels == labels) {
      return it->second;
    }
  }
  const Index index = static_cast<Index>(entries_.size());
  label_bytes_ += LabelBytes(labels);
  entries_.push_back({std::make_shared<const Labels>(std::move(labels))});
  by_hash_.emplace(hash, index);
  return index;
}

bool OutputSeries::Add(Index index, double v, HistogramRef h) {
  Entry& entry = entries_[index];
  if (entry.added == epoch_) {
    return false;
  }
  entry.added = epoch_;
  pending_.push_back({index, v, std::move(h)});
  return true;
}

engine::SeriesId OutputSeries::SeriesOf(Entry& entry) {
  if (entry.series == engine::kNoSeries) {
    entry.series = engine_->Intern(engine_->labels().InternSet(*entry.labels));
  }
  return entry.series;
}

void OutputSeries::WriteStale(Entry& entry, int64_t t_ms, std::vector<plugin::ResultSample>* emitted) {
  const engine::SeriesId series = SeriesOf(entry);
  // Another rule may have written the series at this time: its value stands and the marker is refused silently.
  if (series != engine::kNoSeries && engine_->Append(series, t_ms, StaleNaN()) == engine::AppendOutcome::kOk &&
      emitted != nullptr) {
    emitted->push_back({entry.labels, t_ms, StaleNaN()});
  }
}

Status OutputSeries::Commit(int64_t t_ms, std::vector<plugin::ResultSample>* emitted) {
  Status refused;
  returned_.clear();
  size_t done = 0;
  for (Pending& sample : pending_) {
    engine_->MayYield(done++);
    Entry& entry = entries_[sample.index];
    if (sample.h != nullptr) {
      // Expressions may make what no storage takes, such as a negative count: no later rule shall see it.
      if (Status status = sample.h->Validate(); !status.ok()) {
        refused = std::move(status);
        continue;
      }
    }
    const engine::SeriesId series = SeriesOf(entry);
    if (series == engine::kNoSeries) {
      refused = LimitError("the limit of series is reached: " + entry.labels->ToString());
      continue;
    }
    const engine::AppendOutcome outcome = sample.h == nullptr ? engine_->Append(series, t_ms, sample.v)
                                                              : engine_->AppendHistogram(series, t_ms, sample.h);
    if (Status status = RefusalStatus(outcome); !status.ok()) {
      refused = std::move(status);
      continue;
    }
    entry.returned = epoch_;
    returned_.push_back(sample.index);
    if (emitted != nullptr && outcome == engine::AppendOutcome::kOk) {
      emitted->push_back({entry.labels, t_ms, sample.v, std::move(sample.h)});
    }
  }
  for (const Index index : previous_) {
    engine_->MayYield(done++);
    if (entries_[index].returned != epoch_) {
      WriteStale(entries_[index], t_ms, emitted);
    }
  }
  previous_.swap(returned_);
  return refused;
}

void OutputSeries::MarkAllStale(int64_t t_ms, std::vector<plugin::ResultSample>* emitted) {
  Begin();
  for (const Index index : previous_) {
    WriteStale(entries_[index], t_ms, emitted);
  }
  previous_.clear();
}

void OutputSeries::TakePrevious(OutputSeries& old) {
  for (const Index index : old.previous_) {
    previous_.push_back(Find(*old.entries_[index].labels));
  }
  old.previous_.clear();
}

}  // namespace weir::rules
