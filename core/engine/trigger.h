#pragma once
// Trigger values: what a sample may be without a plan having to be evaluated for it. Arming a plan asks its graph, bottom up, what
// every part may become until a horizon (a Span a slot), top down, what the series must keep to so that nothing of the result
// that is absent now appears, and bottom up again whether that is enough. So only the bounds upwards have to be right: what
// cannot be shown to stay absent is watched sample by sample. The check of a sample is one look at an array by series id.
// Engine thread only.

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/engine/engine.h"

namespace weir::engine {

// What a slot may be: nothing, NaN, or a number of [lo, hi].
struct Span {
  double lo = -std::numeric_limits<double>::infinity();
  double hi = std::numeric_limits<double>::infinity();
  bool absent = true;
  bool nan = true;

  static Span Any() { return {}; }
  // Not even what it is now: whatever happens counts.
  static Span Nothing() {
    return {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), false, false};
  }
  static Span Absent() {
    Span span = Nothing();
    span.absent = true;
    return span;
  }
  static Span Of(double v) {
    Span span = Nothing();
    span.Add(v);
    return span;
  }

  bool numbers() const { return lo <= hi; }
  bool present() const { return numbers() || nan; }
  bool nothing() const { return !numbers() && !absent && !nan; }
  bool any() const { return lo == -std::numeric_limits<double>::infinity() && hi == -lo && absent && nan; }
  bool Holds(const Span& other) const {
    return (!other.numbers() || (lo <= other.lo && hi >= other.hi)) && (absent || !other.absent) && (nan || !other.nan);
  }
  void Add(double v) {
    if (std::isnan(v)) {
      nan = true;
      return;
    }
    lo = v < lo ? v : lo;
    hi = v > hi ? v : hi;
  }
  void Add(const Span& other) {
    lo = other.lo < lo ? other.lo : lo;
    hi = other.hi > hi ? other.hi : hi;
    absent = absent || other.absent;
    nan = nan || other.nan;
  }
  void Restrict(const Span& other) {
    lo = other.lo > lo ? other.lo : lo;
    hi = other.hi < hi ? other.hi : hi;
    absent = absent && other.absent;
    nan = nan && other.nan;
  }
  // A little wider than rounding can make it.
  Span Widened(double magnitude) const {
    Span span = *this;
    if (numbers()) {
      span.lo = std::isfinite(magnitude) ? lo - magnitude * kRounding : -std::numeric_limits<double>::infinity();
      span.hi = std::isfinite(magnitude) ? hi + magnitude * kRounding : std::numeric_limits<double>::infinity();
    }
    return span;
  }
  static constexpr double kRounding = 1e-12;
};

// What a node's slots may be; of a scalar, its one value.
struct Bounds {
  std::vector<Span> slots;
  bool open = false;  // slots that are not there yet may get values
};

// One series' trigger for one plan.
struct Trigger {
  SeriesId series = kNoSeries;
  bool counter = false;   // a sample below the one before it crosses
  bool stale_ok = false;  // a stale marker does not
  bool nan_ok = false;
  double lo = 0;
  double hi = 0;

  // The next sample crosses, whatever it is.
  static Trigger Always(SeriesId series) {
    return {
        series, true, false, false, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  }
  static Trigger Never(SeriesId series) {
    return {
        series, false, true, true, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  }
  bool never() const { return lo == -std::numeric_limits<double>::infinity() && hi == -lo && stale_ok && nan_ok; }
  bool Crossed(double previous, double v) const;
  void Restrict(const Trigger& other);
};

// The buckets of one histogram, whose samples of one time belong together. What one of them becomes says little: they all grow. A plan is
// crossed when one of those above a bound has grown by more than `room` beyond those below it, and when only some have come.
struct TriggerLink {
  struct Member {
    SeriesId series = kNoSeries;
    double armed = 0;   // its value at armed_ms
    double weight = 0;  // in what is below the bound; 0: it is not
    bool above = false;
  };
  std::vector<Member> members;
  double room = 0;
  double growth_max = 0;  // of one that is below
  size_t late = 0;        // of the samples that came while the plan was armed, so many are in it (Horizon::late)
  // Those that have come at newest_ms.
  int64_t newest_ms = std::numeric_limits<int64_t>::min();
  uint32_t seen = 0;
  double above = 0;
  double below = 0;

  bool torn() const { return seen > 0 && seen < members.size(); }
  // RETURNS: whether this sample of a member crosses.
  bool Take(uint32_t member, int64_t t_ms, double previous, double v);
};

// A sample that came while its plan was being armed: the triggers that are made meanwhile may know it or not.
struct LateSample {
  SeriesId series = kNoSeries;
  bool histogram = false;
  bool newborn = false;  // see Crossing
  int64_t t_ms = 0;
  double previous = 0;
  double v = 0;
};

// For what times bounds are asked, and where what Restrict asks for beside triggers goes; null: nowhere yet.
struct Context;  // core/engine/node.h
class Node;
struct Horizon {
  Context& ctx;
  int64_t from_ms;                                // evaluations are after it …
  int64_t until_ms;                               // … and up to this
  const std::vector<LateSample>* late = nullptr;  // samples that come between pieces of this
  std::vector<TriggerLink>* links = nullptr;
  // By node: what links keep its slots to at most.
  std::unordered_map<const Node*, std::vector<double>>* linked = nullptr;
};

// Where the member of a link is.
struct LinkPlace {
  SeriesId series = kNoSeries;
  uint32_t link = 0;
  uint32_t member = 0;
};

// What a plan is armed with.
struct Arms {
  std::vector<Trigger> triggers;  // by series
  std::vector<TriggerLink> links;
  std::vector<LinkPlace> places;  // of the links' members, by series
};

// The triggers of all armed plans.
class Triggers {
 public:
  struct Torn {
    uint32_t link = 0;
    int64_t since_ms = std::numeric_limits<int64_t>::max();  // not yet known
  };
  struct Plan {
    PlanId id = 0;
    std::vector<uint32_t> sets;     // sorted ids of the sets it reads
    std::vector<Trigger> triggers;  // by series
    std::vector<TriggerLink> links;
    std::vector<LinkPlace> places;
    std::vector<Torn> torn;  // links that may be
    int64_t until_ms = 0;
    bool armed = false;
    bool crossed = false;
    int64_t crossed_ms = 0;               // by the latest of the samples that did
    std::unordered_set<SeriesId> reborn;  // ids that stand for other series than when it was armed
    // From its evaluation until it is armed for what came after: the samples since then.
    bool arming = false;
    bool late_lost = false;  // too many
    std::vector<LateSample> late;
  };

  bool empty() const { return plans_.empty(); }
  Plan& Add(PlanId id, std::vector<uint32_t> sets);
  void Remove(PlanId id);
  Plan* Find(PlanId id);
  const Plan* Find(PlanId id) const;
  // The plan is evaluated at `t_ms`, as its selectors see time, and will be armed. Until then its samples are kept, too, beside being
  // looked at with the triggers that it has. If it was begun before, those later than t_ms stay.
  void BeginArm(Plan* plan, int64_t t_ms);
  // What the plan is armed with from now on; Armed() follows.
  static void Arm(Plan* plan, Arms arms, int64_t until_ms);
  // These plans have new triggers. What came while they were made may cross them.
  void Armed(std::span<const PlanId> ids);
  // The plan is not armed after all and has to be evaluated once more.
  void GiveUp(Plan* plan);
  // The id stands for another series from now on.
  void Forget(SeriesId series);

  // RETURNS: whether no plan cares about this sample; `previous` is the value of the series' sample before it.
  bool Holds(SeriesId series, int64_t t_ms, double previous, double v) const {
    if (series >= hot_.size() || t_ms > until_ms_) {
      return false;
    }
    const Hot& hot = hot_[series];
    return v >= hot.lo && v <= hot.hi && (!hot.counter || v >= previous);
  }
  // Marks the plans that do care. `sets`: which hold the series.
  void Cross(std::span<const uint32_t> sets, const LateSample& sample);
  // As Engine::EndTogether, without telling of what crosses.
  int64_t EndTogether(int64_t now_ms, int64_t patience_ms);
  bool any_crossed() const { return !crossings_.empty(); }
  std::vector<Crossing> Take();
  // RETURNS: what Engine::TriggerText does.
  std::string Text(PlanId plan, SeriesId series) const;
  size_t Bytes() const;

 private:
  struct Hot {
    double lo = std::numeric_limits<double>::infinity();
    double hi = -std::numeric_limits<double>::infinity();
    bool counter = true;
  };
  void Fold(const Plan& plan);
  void Fold(const Trigger& trigger);
  // What the plan allows its share of these series.
  void FoldShare(const Plan& plan, const std::vector<Trigger>& of);
  // RETURNS: null when it has none.
  static const Trigger* FindTrigger(const Plan& plan, SeriesId series);
  void Cross(Plan* plan, const LateSample& sample);
  void Replay(Plan* plan);
  // RETURNS: whether the sample crosses. `number`: among the late ones.
  static bool Crosses(Plan* plan, const LateSample& sample, size_t number);
  static bool TakeLinked(Plan* plan, const LateSample& sample, size_t number);
  void FindUntil();

  std::vector<Plan> plans_;
  std::vector<Hot> hot_;  // by series: what holds for every plan
  std::vector<Crossing> crossings_;
  int64_t until_ms_ = std::numeric_limits<int64_t>::max();
};

}  // namespace weir::engine
