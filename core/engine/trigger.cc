#include "core/engine/trigger.h"

#include <algorithm>
#include <utility>

#include "core/model/duration.h"
#include "core/model/sample.h"

namespace weir::engine {
namespace {

bool Meet(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i] == b[j]) {
      return true;
    }
    (a[i] < b[j] ? i : j) += 1;
  }
  return false;
}

}  // namespace

bool Trigger::Crossed(double previous, double v) const {
  if (std::isnan(v)) {
    return IsStaleNaN(v) ? !stale_ok : !nan_ok;
  }
  return !(v >= lo && v <= hi) || (counter && !(v >= previous));
}

void Trigger::Restrict(const Trigger& other) {
  lo = std::max(lo, other.lo);
  hi = std::min(hi, other.hi);
  counter = counter || other.counter;
  stale_ok = stale_ok && other.stale_ok;
  nan_ok = nan_ok && other.nan_ok;
}

bool TriggerLink::Take(uint32_t member, int64_t t_ms, double previous, double v) {
  if (t_ms != newest_ms) {
    const bool was_torn = torn();
    newest_ms = t_ms;
    seen = 0;
    above = -std::numeric_limits<double>::infinity();
    below = 0;
    if (was_torn) {
      return true;
    }
  }
  ++seen;
  if (IsStaleNaN(v)) {  // windows pass over it
    v = members[member].armed;
  } else if (!(v >= previous)) {
    return true;
  }
  const double growth = v - members[member].armed;
  if (members[member].weight > 0) {
    if (!(growth <= growth_max)) {
      return true;
    }
    below += members[member].weight * growth;
  }
  if (members[member].above) {
    above = std::max(above, growth);
  }
  return room < 0 || (seen == members.size() && !(above - below <= room));
}

Triggers::Plan& Triggers::Add(PlanId id, std::vector<uint32_t> sets) {
  std::sort(sets.begin(), sets.end());
  Plan& plan = plans_.emplace_back();
  plan.id = id;
  plan.sets = std::move(sets);
  return plan;
}

void Triggers::Remove(PlanId id) {
  std::erase_if(plans_, [id](const Plan& plan) { return plan.id == id; });
  std::erase_if(crossings_, [id](const Crossing& crossing) { return crossing.plan == id; });
  if (plans_.empty()) {
    hot_ = {};
  }
  FindUntil();
}

Triggers::Plan* Triggers::Find(PlanId id) {
  const auto at = std::find_if(plans_.begin(), plans_.end(), [id](const Plan& plan) { return plan.id == id; });
  return at == plans_.end() ? nullptr : &*at;
}

const Triggers::Plan* Triggers::Find(PlanId id) const { return const_cast<Triggers*>(this)->Find(id); }

void Triggers::BeginArm(Plan* plan, int64_t t_ms) {
  if (!plan->arming) {
    plan->late_lost = false;
    plan->late.clear();
  }
  plan->arming = true;
  std::erase_if(plan->late, [t_ms](const LateSample& sample) { return sample.t_ms <= t_ms; });
  FindUntil();
}

void Triggers::Arm(Plan* plan, Arms arms, int64_t until_ms) {
  plan->triggers = std::move(arms.triggers);
  plan->links = std::move(arms.links);
  plan->places = std::move(arms.places);
  plan->torn.clear();
  for (uint32_t link = 0; link < plan->links.size(); ++link) {
    if (plan->links[link].torn()) {
      plan->torn.push_back({link});
    }
  }
  plan->reborn.clear();
  plan->until_ms = until_ms;
  plan->armed = true;
}

void Triggers::GiveUp(Plan* plan) {
  plan->arming = false;
  int64_t t_ms = plan->crossed ? plan->crossed_ms : std::numeric_limits<int64_t>::min();
  for (const LateSample& sample : plan->late) {
    t_ms = std::max(t_ms, sample.t_ms);
  }
  plan->late = {};
  FindUntil();
  Cross(plan, {.t_ms = t_ms});
}

// While a plan is being armed every sample is looked at.
void Triggers::FindUntil() {
  until_ms_ = std::numeric_limits<int64_t>::max();
  for (const Plan& plan : plans_) {
    until_ms_ = plan.arming  ? std::numeric_limits<int64_t>::min()
                : plan.armed ? std::min(until_ms_, plan.until_ms)
                             : until_ms_;
  }
}

void Triggers::Fold(const Trigger& trigger) {
  Hot& hot = hot_[trigger.series];
  hot.lo = std::max(hot.lo, trigger.lo);
  hot.hi = std::min(hot.hi, trigger.hi);
  hot.counter = hot.counter || trigger.counter;
}

void Triggers::Fold(const Plan& plan) {
  for (const Trigger& trigger : plan.triggers) {
    Fold(trigger);
  }
  for (const LinkPlace& place : plan.places) {
    hot_[place.series] = Hot{};  // each sample is looked at
  }
}

void Triggers::FoldShare(const Plan& plan, const std::vector<Trigger>& of) {
  constexpr size_t kFew = 16;  // searches cost about as much as so many steps
  if (of.size() * kFew > plan.triggers.size()) {
    Fold(plan);
    return;
  }
  for (const Trigger& trigger : of) {
    if (const Trigger* known = FindTrigger(plan, trigger.series); known != nullptr) {
      Fold(*known);
    }
    const auto place = std::lower_bound(plan.places.begin(), plan.places.end(), trigger.series,
                                        [](const LinkPlace& p, SeriesId id) { return p.series < id; });
    if (place != plan.places.end() && place->series == trigger.series) {
      hot_[trigger.series] = Hot{};
    }
  }
}

void Triggers::Armed(std::span<const PlanId> ids) {
  const auto is_new = [&](const Plan& plan) { return std::find(ids.begin(), ids.end(), plan.id) != ids.end(); };
  SeriesId end = 0;
  for (Plan& plan : plans_) {
    end = plan.triggers.empty() ? end : std::max(end, plan.triggers.back().series + 1);
    if (is_new(plan)) {
      plan.crossed = plan.arming = false;
    }
  }
  FindUntil();
  if (end > hot_.size()) {
    hot_.resize(end);
  }
  const double infinity = std::numeric_limits<double>::infinity();
  for (const Plan& plan : plans_) {
    if (is_new(plan)) {
      for (const Trigger& trigger : plan.triggers) {
        hot_[trigger.series] = {-infinity, infinity, false};
      }
    }
  }
  // Series of several plans have lost the others' share; folding it in again changes nothing elsewhere.
  for (const Plan& plan : plans_) {
    if (is_new(plan)) {
      Fold(plan);
      continue;
    }
    for (const Plan& other : plans_) {
      if (is_new(other)) {
        FoldShare(plan, other.triggers);
      }
    }
  }
  for (Plan& plan : plans_) {
    if (is_new(plan)) {
      Replay(&plan);
    }
  }
}

void Triggers::Replay(Plan* plan) {
  const std::vector<LateSample> late = std::exchange(plan->late, {});
  for (size_t i = 0; i < late.size(); ++i) {
    if (plan->crossed) {
      plan->crossed_ms = std::max(plan->crossed_ms, late[i].t_ms);
    } else if (plan->late_lost || Crosses(plan, late[i], i)) {
      Cross(plan, late[i]);
    }
  }
}

void Triggers::Forget(SeriesId series) {
  if (series >= hot_.size()) {
    return;
  }
  hot_[series] = Hot{};
  for (Plan& plan : plans_) {
    if (FindTrigger(plan, series) != nullptr) {
      plan.reborn.insert(series);
    }
  }
}

const Trigger* Triggers::FindTrigger(const Plan& plan, SeriesId series) {
  const auto at = std::lower_bound(plan.triggers.begin(), plan.triggers.end(), series,
                                   [](const Trigger& trigger, SeriesId id) { return trigger.series < id; });
  return at != plan.triggers.end() && at->series == series ? &*at : nullptr;
}

bool Triggers::Crosses(Plan* plan, const LateSample& sample, size_t number) {
  const Trigger* known = FindTrigger(*plan, sample.series);
  const bool is_known = known != nullptr && (plan->reborn.empty() || !plan->reborn.contains(sample.series));
  const bool holds = is_known && sample.t_ms <= plan->until_ms &&
                     (sample.histogram ? known->never() : !known->Crossed(sample.previous, sample.v));
  return plan->places.empty() ? !holds : TakeLinked(plan, sample, number) || !holds;
}

void Triggers::Cross(std::span<const uint32_t> sets, const LateSample& sample) {
  constexpr size_t kLateMax = 1 << 16;
  for (Plan& plan : plans_) {
    if ((!plan.armed && !plan.arming) || !Meet(plan.sets, sets)) {
      continue;
    }
    if (plan.arming) {
      plan.late_lost = plan.late.size() >= kLateMax;
      if (!plan.late_lost) {
        plan.late.push_back(sample);
      }
    }
    if (plan.crossed) {
      plan.crossed_ms = std::max(plan.crossed_ms, sample.t_ms);
    } else if (plan.armed && Crosses(&plan, sample, std::numeric_limits<size_t>::max())) {
      Cross(&plan, sample);
    }
  }
}

void Triggers::Cross(Plan* plan, const LateSample& sample) {
  plan->crossed = true;
  plan->crossed_ms = sample.t_ms;
  crossings_.push_back({plan->id, sample.t_ms, sample.newborn});
}

bool Triggers::TakeLinked(Plan* plan, const LateSample& sample, size_t number) {
  bool crosses = false;
  auto place = std::lower_bound(plan->places.begin(), plan->places.end(), sample.series,
                                [](const LinkPlace& p, SeriesId id) { return p.series < id; });
  for (; place != plan->places.end() && place->series == sample.series; ++place) {
    TriggerLink& link = plan->links[place->link];
    if (number < link.late) {
      continue;
    }
    crosses = link.Take(place->member, sample.t_ms, sample.previous, sample.v) || crosses;
    if (link.seen == 1 && link.torn()) {
      plan->torn.push_back({place->link});
    }
  }
  return crosses;
}

int64_t Triggers::EndTogether(int64_t now_ms, int64_t patience_ms) {
  int64_t next_ms = std::numeric_limits<int64_t>::max();
  for (Plan& plan : plans_) {
    std::erase_if(plan.torn, [&](const Torn& torn) { return !plan.links[torn.link].torn(); });
    for (Torn& torn : plan.torn) {
      torn.since_ms = std::min(torn.since_ms, now_ms);
      if (plan.crossed) {
        continue;
      }
      if (torn.since_ms > now_ms - patience_ms) {
        next_ms = std::min(next_ms, torn.since_ms + patience_ms);
      } else {
        Cross(&plan, {.t_ms = plan.links[torn.link].newest_ms});
      }
    }
  }
  return next_ms;
}

std::vector<Crossing> Triggers::Take() { return std::exchange(crossings_, {}); }

std::string Triggers::Text(PlanId plan, SeriesId series) const {
  const auto of = std::find_if(plans_.begin(), plans_.end(), [plan](const Plan& p) { return p.id == plan; });
  if (of == plans_.end()) {
    return {};
  }
  const auto known = std::find_if(of->triggers.begin(), of->triggers.end(),
                                  [series](const Trigger& trigger) { return trigger.series == series; });
  if (known == of->triggers.end()) {
    return {};
  }
  if (known->lo > known->hi) {
    return "none";
  }
  return "[" + FormatFloat(known->lo, 'g', -1) + ", " + FormatFloat(known->hi, 'g', -1) + "]" +
         (known->counter ? ", no reset" : "") +
         (std::any_of(of->places.begin(), of->places.end(),
                      [series](const LinkPlace& place) { return place.series == series; })
              ? ", with its histogram"
              : "");
}

size_t Triggers::Bytes() const {
  size_t bytes = hot_.capacity() * sizeof(Hot);
  for (const Plan& plan : plans_) {
    bytes += plan.triggers.capacity() * sizeof(Trigger) + plan.places.capacity() * sizeof(LinkPlace) +
             plan.links.capacity() * sizeof(TriggerLink) + plan.late.capacity() * sizeof(LateSample);
    for (const TriggerLink& link : plan.links) {
      bytes += link.members.capacity() * sizeof(TriggerLink::Member);
    }
  }
  return bytes;
}

}  // namespace weir::engine
