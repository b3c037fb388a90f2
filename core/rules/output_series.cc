#include "core/rules/output_series.h"

#include "core/model/sample.h"

#include <algorithm>
#include <string>
#include <utility>

namespace weir::rules {
namespace {

// Entries are given up when they outnumber the series in use by this factor; below the floor it is not worth a rebuild.
constexpr size_t kCompactFactor = 4;
constexpr size_t kCompactFloor = 1024;
constexpr size_t kPendingKept = 1024;  // more are not kept for the next evaluation: they are made anew in no time
constexpr size_t kSharedBytes = 32;    // counts beside a shared object, and what the allocator adds

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

}  // namespace

size_t OutputSeries::Bytes() const {
  return texts_.capacity() * sizeof(texts_[0]) + text_bytes_ + entries_.size() * sizeof(Entry) + by_labels_.Bytes() +
         pending_.capacity() * sizeof(Pending);
}

void OutputSeries::MarkLabels(LabelMarks* marks) const {
  for (const Entry& entry : entries_) {
    marks->Add(entry.labels);
  }
}

void OutputSeries::Begin() {
  ++epoch_;
  claimed_ = 0;
  returned_ = 0;
  pending_.clear();
  refused_ = {};
  unknown_ = kNoLabelSet;
  if (structure_ != engine_->structure_generation()) {
    for (Index index = 0; index < entries_.size(); ++index) {
      engine_->MayYield(index);
      entries_[index].series = engine::kNoSeries;
    }
    structure_ = engine_->structure_generation();
  }
  if (entries_.size() > kCompactFloor && entries_.size() > kCompactFactor * previous_) {
    Compact();
  }
}

void OutputSeries::Compact() {
  by_labels_.Clear();
  texts_.clear();
  text_bytes_ = 0;
  std::erase_if(entries_, [this](const Entry& entry) { return entry.returned != previous_epoch_; });
  entries_.shrink_to_fit();
  for (Index index = 0; index < entries_.size(); ++index) {
    by_labels_.Set(entries_[index].labels, index);
  }
  ++generation_;
}

OutputSeries::Index OutputSeries::Find(LabelSetId labels) {
  if (const Index known = by_labels_.Find(labels); known != LabelSetPlaces::kNoPlace) {
    return known;
  }
  const auto index = static_cast<Index>(entries_.size());
  entries_.push_back({labels});
  by_labels_.Set(labels, index);
  return index;
}

bool OutputSeries::Claim(Index index) {
  Entry& entry = entries_[index];
  if (entry.claimed == epoch_) {
    return false;
  }
  entry.claimed = epoch_;
  ++claimed_;
  return true;
}

bool OutputSeries::Add(Index index, double v, HistogramRef h) {
  if (!Claim(index)) {
    return false;
  }
  pending_.push_back({index, v, std::move(h)});
  return true;
}

engine::SeriesId OutputSeries::SeriesOf(Entry& entry) {
  if (entry.series == engine::kNoSeries) {
    entry.series = engine_->Intern(entry.labels);
  }
  return entry.series;
}

std::shared_ptr<const Labels> OutputSeries::TextOf(Index index) {
  if (index < texts_.size() && texts_[index] != nullptr) {
    return texts_[index];
  }
  auto text = std::make_shared<const Labels>(engine_->labels().ToLabels(entries_[index].labels));
  if (index < kTextsMax) {
    if (index >= texts_.size()) {
      texts_.resize(std::min<size_t>(entries_.size(), kTextsMax));
    }
    texts_[index] = text;
    text_bytes_ += sizeof(Labels) + kSharedBytes + text->HeapBytes();
  }
  return text;
}

void OutputSeries::WriteStale(Index index, int64_t t_ms, ResultParts* parts) {
  const engine::SeriesId series = SeriesOf(entries_[index]);
  // Another rule may have written the series at this time: its value stands and the marker is refused silently.
  if (series != engine::kNoSeries && engine_->Append(series, t_ms, StaleNaN()) == engine::AppendOutcome::kOk &&
      parts != nullptr) {
    parts->Add({TextOf(index), t_ms, StaleNaN()});
  }
}

void OutputSeries::EndVanished(int64_t t_ms, ResultParts* parts) {
  for (Index index = 0; index < entries_.size(); ++index) {
    engine_->MayYield(index);
    if (entries_[index].returned == previous_epoch_) {
      WriteStale(index, t_ms, parts);
    }
  }
  previous_epoch_ = epoch_;
}

void OutputSeries::Write(Index index, int64_t t_ms, double v, HistogramRef h, ResultParts* parts) {
  Entry& entry = entries_[index];
  const auto refuse = [this](Status status) {
    refused_ = std::move(status);
    unknown_ = kNoLabelSet;
  };
  if (h != nullptr) {
    // Expressions may make what no storage takes, such as a negative count: no later rule shall see it.
    if (Status status = h->Validate(); !status.ok()) {
      return refuse(std::move(status));
    }
  }
  const engine::SeriesId series = SeriesOf(entry);
  if (series == engine::kNoSeries) {
    unknown_ = entry.labels;
    return;
  }
  const engine::AppendOutcome outcome =
      h == nullptr ? engine_->Append(series, t_ms, v) : engine_->AppendHistogram(series, t_ms, h);
  if (Status status = RefusalStatus(outcome); !status.ok()) {
    return refuse(std::move(status));
  }
  entry.returned = epoch_;
  ++returned_;
  if (parts != nullptr && outcome == engine::AppendOutcome::kOk) {
    parts->Add({TextOf(index), t_ms, v, std::move(h)});
  }
}

Status OutputSeries::Commit(int64_t t_ms, ResultParts* parts) {
  if (parts != nullptr) {
    parts->Expect(pending_.size());
  }
  size_t done = 0;
  for (Pending& sample : pending_) {
    engine_->MayYield(done++);
    Write(sample.index, t_ms, sample.v, std::move(sample.h), parts);
  }
  if (pending_.capacity() > kPendingKept) {
    pending_ = {};
  }
  EndVanished(t_ms, parts);
  previous_ = returned_;
  if (unknown_ != kNoLabelSet) {
    refused_ = LimitError("the limit of series is reached: " + engine_->labels().ToLabels(unknown_).ToString());
  }
  return refused_;
}

void OutputSeries::MarkAllStale(int64_t t_ms, ResultParts* parts) {
  Begin();
  EndVanished(t_ms, parts);
  previous_ = 0;
}

void OutputSeries::TakePrevious(OutputSeries& old) {
  for (const Entry& known : old.entries_) {
    if (known.returned == old.previous_epoch_) {
      Entry& entry = entries_[Find(known.labels)];
      previous_ += entry.returned == previous_epoch_ ? 0 : 1;
      entry.returned = previous_epoch_;
    }
  }
  old.previous_epoch_ = ++old.epoch_;
  old.previous_ = 0;
}

}  // namespace weir::rules
