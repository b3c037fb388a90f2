#pragma once
// Builds a SampleBatch from labels and samples as a text format gives them, one sample at a time. It exists so that
// text codecs agree on the encoded label form, on sorting, and on how a bad record is counted. Used by one Decode() call on one
// thread. Neighbouring samples of one series share one entry; views are taken at the end, when the arena has stopped growing.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/plugin/plugin.h"

namespace weir::plugin {

class BatchBuilder {
 public:
  explicit BatchBuilder(SampleBatch* batch) : batch_(*batch) {
    batch_.Clear();
    batch_.arena.reserve(kArenaBytesMin);
  }

  // Adds one sample. `labels` are sorted in place; a name given twice makes the record bad.
  // RETURNS: false when the labels cannot be used; the record has been counted then.
  bool Add(std::vector<Label>* labels, int64_t t_ms, double v) {
    std::sort(labels->begin(), labels->end(), [](const Label& a, const Label& b) { return a.name < b.name; });
    auto twice = std::adjacent_find(labels->begin(), labels->end(),
                                    [](const Label& a, const Label& b) { return a.name == b.name; });
    if (twice != labels->end()) {
      Bad("label \"" + twice->name + "\" is given twice");
      return false;
    }
    encoded_.clear();
    EncodeLabels(*labels, &encoded_);
    if (places_.empty() || std::string_view(batch_.arena).substr(places_.back().first) != encoded_) {
      places_.emplace_back(batch_.arena.size(), encoded_.size());
      batch_.arena += encoded_;
      batch_.series.push_back({.labels = {}, .first = static_cast<uint32_t>(batch_.samples.size()), .count = 0});
    }
    ++batch_.series.back().count;
    batch_.samples.push_back({t_ms, v});
    return true;
  }

  // Counts the current record as skipped. `what` says what is wrong, the offending value last.
  void Bad(const std::string& what) {
    ++batch_.bad_records;
    if (batch_.first_error.empty()) {
      batch_.first_error = "record " + std::to_string(record_) + ": " + what;
    }
  }
  void NextRecord() { ++record_; }

  // Takes the views. RETURNS: kInvalid when there were only bad records.
  Status Finish() {
    for (size_t i = 0; i < places_.size(); ++i) {
      SampleBatch::Series& series = batch_.series[i];
      series.labels = std::string_view(batch_.arena).substr(places_[i].first, places_[i].second);
      HashLabels(series.labels, series.hash);
    }
    if (batch_.samples.empty() && batch_.bad_records > 0) {
      return InvalidError(batch_.first_error);
    }
    return {};
  }

 private:
  // More than a std::string keeps inside itself: moving the batch must not move the bytes that views point to.
  static constexpr size_t kArenaBytesMin = 256;

  SampleBatch& batch_;
  std::vector<std::pair<size_t, size_t>> places_;  // of each series in the arena
  std::string encoded_;
  uint64_t record_ = 0;
};

// Times that are written as a number: seconds, or milliseconds when that large (from 1973 on in milliseconds; seconds reach
// the year 5138). RETURNS: false when `number` is not a time at all.
inline bool EpochToMs(double number, int64_t* t_ms) {
  constexpr double kSecondsMax = 1e11, kMillisecondsMax = 1e14;
  if (!(std::abs(number) < kMillisecondsMax)) {
    return false;
  }
  *t_ms = std::llround(std::abs(number) < kSecondsMax ? number * 1000.0 : number);
  return true;
}

}  // namespace weir::plugin
