#include "core/engine/subquery.h"

#include <algorithm>

namespace weir::engine {

std::vector<int64_t> SubquerySteps(int64_t end_ms, int64_t range_ms, int64_t step_ms) {
  std::vector<int64_t> steps;
  int64_t start = step_ms * ((end_ms - range_ms) / step_ms);
  if (start <= end_ms - range_ms) {
    start += step_ms;
  }
  for (int64_t t = start; t <= end_ms; t += step_ms) {
    steps.push_back(t);
  }
  return steps;
}

void SubqueryProducer::AddTimes(const Times& times, int64_t offset_ms, int64_t range_ms) {
  reach_ms_ = std::max(reach_ms_, offset_ms + range_ms);
  if (times.interval_ms > 0) {
    periodic_ = true;
  }
  for (int64_t point : times.points) {
    for (int64_t t : SubquerySteps(point - offset_ms, range_ms, step_ms_)) {
      if (t > last_run_ms_) {
        points_.insert(t);
      }
    }
  }
}

int64_t SubqueryProducer::NextDue(int64_t now_ms, int64_t floor_ms) {
  if (!periodic_) {
    return points_.empty() ? INT64_MAX : *points_.begin();
  }
  if (last_run_ms_ != INT64_MIN) {
    return (last_run_ms_ / step_ms_ + 1) * step_ms_;
  }
  if (now_ms == INT64_MIN) {
    return INT64_MIN;  // the stream has not begun: nothing may be thrown away yet
  }
  int64_t after = std::max(now_ms - reach_ms_, floor_ms);
  return SubquerySteps(after + step_ms_, step_ms_, step_ms_).front();
}

void SubqueryProducer::Run(Context& ctx, int64_t t_ms) {
  bool again = t_ms == last_run_ms_;
  points_.erase(points_.begin(), points_.upper_bound(t_ms));
  int64_t tick = ctx.t_ms;
  ctx.t_ms = t_ms;
  inner_->Evaluate(ctx);
  ctx.t_ms = tick;
  last_run_ms_ = t_ms;
  last_version_ = inner_->version();
  while (!errors_.empty() && (errors_.front().first <= t_ms - reach_ms_ - step_ms_ || errors_.back().first == t_ms)) {
    if (errors_.back().first == t_ms) {
      errors_.pop_back();
    } else {
      errors_.pop_front();
    }
  }
  if (!inner_->error().ok()) {
    errors_.emplace_back(t_ms, inner_->error());
  }
  std::erase_if(annotations_, [&](const auto& a) { return a.first <= t_ms - reach_ms_ - step_ms_ || a.first == t_ms; });
  std::vector<Annotation> told;
  CollectAnnotations(*inner_, &told);
  for (Annotation& a : told) {
    annotations_.emplace_back(t_ms, std::move(a));
  }
  if (series_generation_ != out_->generation) {  // hidden series expired
    series_generation_ = out_->generation;
    slot_generation_ = 0;
    series_.clear();
    for (size_t i = 0; i < out_->members.size(); ++i) {
      SeriesId id = out_->members[i];
      series_[uint64_t{ctx.store.at(id).labels} << 1 | out_->drop[i]] = id;
    }
  }
  if (again) {
    for (SeriesId id : out_->members) {
      if (ctx.store.at(id).window.last_t_ms() == t_ms) {
        ctx.store.at(id).window.RetractNewest();
      }
    }
  }
  if (!inner_->error().ok()) {
    return;
  }
  bool scalar = inner_->type() == promql::ValueType::kScalar;
  if (slot_generation_ != inner_->generation()) {
    slot_generation_ = inner_->generation();
    slot_series_.clear();
  }
  size_t slots = scalar ? 1 : inner_->size();
  for (size_t slot = 0; slot < slots; ++slot) {
    if (!scalar && !inner_->present()[slot]) {
      continue;
    }
    if (slot >= slot_series_.size()) {
      slot_series_.resize(slots, kNoSeries);
    }
    SeriesId& id = slot_series_[slot];
    if (id == kNoSeries) {
      LabelSetId labels = scalar ? kEmptyLabelSet : inner_->labels(slot);
      bool drop = !scalar && inner_->drop_name(slot);
      auto [it, inserted] = series_.try_emplace(uint64_t{labels} << 1 | (drop ? 1 : 0), kNoSeries);
      if (inserted) {
        it->second = ctx.store.AddHidden(*out_, labels, drop);
      }
      id = it->second;
    }
    if (id == kNoSeries) {
      continue;
    }
    if (scalar || !inner_->histogram(slot)) {
      ctx.store.Append(id, t_ms, scalar ? inner_->scalar() : inner_->values()[slot]);
      continue;
    }
    // Between the steps of a subquery samples may be missing, or come twice: hints of resets no longer hold.
    HistogramRef h = inner_->histogram(slot);
    if (h->hint == CounterResetHint::kReset || h->hint == CounterResetHint::kNotReset) {
      auto unknown = std::make_shared<FloatHistogram>(*h);
      unknown->hint = CounterResetHint::kUnknown;
      h = std::move(unknown);
    }
    ctx.store.AppendHistogram(id, t_ms, std::move(h), 0, true);
  }
  ++ctx.epoch;
}

void SubqueryProducer::Replay(Context& ctx, int64_t end_ms, int64_t range_ms) {
  for (SeriesId id : out_->members) {
    if (id != kNoSeries) {
      ctx.store.at(id).window = window::SeriesWindow();
    }
  }
  errors_.clear();
  annotations_.clear();
  reach_ms_ = std::max(reach_ms_, range_ms);
  for (int64_t t : SubquerySteps(end_ms, range_ms, step_ms_)) {
    last_run_ms_ = INT64_MIN;
    Run(ctx, t);
  }
}

void SubqueryProducer::RefreshAt(Context& ctx, int64_t end_ms) {
  if (last_run_ms_ != end_ms || end_ms != ctx.t_ms) {
    return;  // of the past nothing changes any more, and what it was made from may be gone
  }
  int64_t tick = ctx.t_ms;
  ctx.t_ms = end_ms;
  inner_->Evaluate(ctx);
  ctx.t_ms = tick;
  if (inner_->version() != last_version_) {
    Run(ctx, end_ms);
  }
}

Status SubqueryProducer::ErrorIn(int64_t start_ms, int64_t end_ms) const {
  for (const auto& [t, status] : errors_) {
    if (t > start_ms && t <= end_ms) {
      return status;
    }
  }
  return {};
}

}  // namespace weir::engine
