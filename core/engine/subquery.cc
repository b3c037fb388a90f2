#include "core/engine/subquery.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace weir::engine {

namespace {

constexpr uint32_t kNoMember = 0xffffffff;

}  // namespace

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
    member_of_.clear();
    for (uint32_t i = 0; i < out_->members.size(); ++i) {
      member_of_[ctx.store.at(out_->members[i]).labels] = i;
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
  if (slot_generation_ != inner_->generation()) {
    slot_generation_ = inner_->generation();
    slot_members_.clear();
  }
  const bool scalar = inner_->type() == promql::ValueType::kScalar;
  const size_t slots = scalar ? 1 : inner_->size();
  slot_members_.resize(std::max(slots, slot_members_.size()), kNoMember);
  for (size_t slot = 0; slot < slots; ++slot) {
    if (scalar || inner_->present()[slot]) {
      Record(ctx, t_ms, slot);
    }
    ctx.MayYield(slot);
  }
  ForgetDrops(t_ms - reach_ms_ - step_ms_);
  ++ctx.epoch;
}

void SubqueryProducer::Record(Context& ctx, int64_t t_ms, size_t slot) {
  const bool scalar = inner_->type() == promql::ValueType::kScalar;
  const bool drop = !scalar && inner_->drop_name(slot);
  uint32_t& member = slot_members_[slot];
  if (member == kNoMember) {
    const LabelSetId labels = scalar ? kEmptyLabelSet : inner_->labels(slot);
    const auto found = member_of_.find(labels);
    if (found != member_of_.end()) {
      member = found->second;
    } else {
      if (ctx.store.AddHidden(*out_, labels, drop) == kNoSeries) {
        return;
      }
      member = static_cast<uint32_t>(out_->members.size() - 1);
      member_of_[labels] = member;
    }
  }
  const SeriesId id = out_->members[member];
  NoteDrop(member, t_ms, drop);
  AppendOutcome outcome = AppendOutcome::kOk;
  if (scalar || !inner_->histogram(slot)) {
    outcome = ctx.store.Append(id, t_ms, scalar ? inner_->scalar() : inner_->values()[slot]);
  } else {
    // Between the steps of a subquery samples may be missing, or come twice: hints of resets no longer hold.
    HistogramRef h = inner_->histogram(slot);
    if (h->hint == CounterResetHint::kReset || h->hint == CounterResetHint::kNotReset) {
      auto unknown = std::make_shared<FloatHistogram>(*h);
      unknown->hint = CounterResetHint::kUnknown;
      h = std::move(unknown);
    }
    outcome = ctx.store.AppendHistogram(id, t_ms, std::move(h), 0, true);
  }
  if (outcome == AppendOutcome::kDuplicateSame || outcome == AppendOutcome::kDuplicateConflict) {
    errors_.emplace_back(t_ms, InvalidError("vector cannot contain metrics with the same labelset"));
  }
}

void SubqueryProducer::NoteDrop(uint32_t member, int64_t t_ms, bool drop) {
  const bool before = out_->drop[member] != 0;
  if (before == drop) {
    return;
  }
  auto& changes = drop_changes_[out_->members[member]];
  if (changes.empty()) {
    changes.emplace_back(INT64_MIN, before);
  }
  changes.emplace_back(t_ms, drop);
  out_->drop[member] = drop ? 1 : 0;
}

// What was before `until_ms` will not be asked for.
void SubqueryProducer::ForgetDrops(int64_t until_ms) {
  for (auto it = drop_changes_.begin(); it != drop_changes_.end();) {
    auto& changes = it->second;
    while (changes.size() > 1 && changes[1].first <= until_ms) {
      changes.erase(changes.begin());
    }
    it = changes.size() == 1 ? drop_changes_.erase(it) : std::next(it);
  }
}

bool SubqueryProducer::DropAt(size_t member, int64_t t_ms) const {
  const auto found = drop_changes_.find(out_->members[member]);
  if (found == drop_changes_.end()) {
    return out_->drop[member] != 0;
  }
  bool drop = false;
  for (const auto& [since_ms, flag] : found->second) {
    drop = since_ms <= t_ms ? flag : drop;
  }
  return drop;
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
