// Functions of histograms (semantics 2.8): native ones, and classic ones, which are float buckets with an `le` label. Buckets are
// grouped and ordered by bound when their series appear; a tick reads counts. Where both kinds have the same labels, neither counts.

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <unordered_map>

#include "core/engine/annotations.h"
#include "core/engine/classic_histogram.h"
#include "core/engine/leaf_bounds.h"
#include "core/engine/nodes/nodes.h"
#include "core/model/duration.h"
#include "core/model/histogram_statistics.h"
#include "core/model/label_set_places.h"

namespace weir::engine {
namespace {

using promql::ValueType;

constexpr uint32_t kNone = 0xffffffff;

// Slots of one vector as histograms: one group per label set without `le`, whose members are classic buckets, and one per label
// set of a native histogram, from the first time it is one.
class Histograms {
 public:
  void Clear() {
    done_ = 0;
    index_.Clear();
    groups_.clear();
    labels_.clear();
    native_.clear();
    bad_.clear();
  }
  void Extend(Context& ctx, const Node& vector) {
    const SymbolId drop[] = {ctx.le_symbol, ctx.name_symbol, ctx.type_symbol, ctx.unit_symbol};
    const std::span<const SymbolId> dropped(drop, vector.named() ? 4 : 1);
    for (; done_ < vector.size(); ++done_) {
      ctx.MayYieldNew(done_);
      LabelSetId labels = vector.named_labels(ctx, done_);
      double bound = 0;
      if (!ParseBound(ctx.labels().Text(ctx.labels().Value(labels, ctx.le_symbol)), &bound)) {
        bad_.push_back(static_cast<uint32_t>(done_));
        continue;
      }
      auto& group = groups_[GroupOf(ctx.labels().Without(labels, dropped))].members;
      auto place =
          std::upper_bound(group.begin(), group.end(), bound, [](double b, const Member& m) { return b < m.bound; });
      const auto at = place - group.begin();
      if (group.size() == group.capacity()) {
        group.reserve(group.size() + 2);  // there are many groups, of few members each
      }
      group.insert(group.begin() + at, {bound, static_cast<uint32_t>(done_)});
    }
  }
  // Finds which groups hold native histograms now.
  void FindNative(Context& ctx, const Node& vector) {
    for (Group& group : groups_) {
      group.native = nullptr;
    }
    for (size_t slot = 0; slot < vector.histograms().size(); ++slot) {
      ctx.MayYield(slot);
      if (vector.present()[slot] && vector.histogram(slot)) {
        if (native_.size() <= slot) {
          ResizeTo(ctx, vector.size(), kNone, &native_);
        }
        if (native_[slot] == kNone) {
          const LabelSetId labels = vector.named_labels(ctx, slot);
          native_[slot] = GroupOf(vector.named() ? ctx.DropName(labels) : labels);
        }
        groups_[native_[slot]].native = vector.histogram(slot).get();
      }
    }
  }
  // RETURNS: roughly the heap held.
  size_t Bytes() const {
    return done_ * sizeof(Member) + groups_.size() * sizeof(Group) + index_.Bytes() +
           labels_.capacity() * sizeof(LabelSetId) + (native_.capacity() + bad_.capacity()) * sizeof(uint32_t);
  }
  size_t size() const { return groups_.size(); }
  LabelSetId labels(size_t group) const { return labels_[group]; }
  const std::vector<LabelSetId>& labels() const { return labels_; }
  // Slots whose `le` is no number.
  const std::vector<uint32_t>& bad() const { return bad_; }
  const FloatHistogram* native(size_t group) const { return groups_[group].native; }
  // Calls f(bound, slot) for the slots of the group that are buckets, by bound.
  template <typename F>
  void ForEachMember(size_t group, F f) const {
    for (const Member& m : groups_[group].members) {
      f(m.bound, m.slot);
    }
  }
  // RETURNS: false when no bucket of the group is present.
  bool Read(const Node& vector, size_t group, std::vector<Bucket>* buckets) const {
    buckets->clear();
    for (const Member& m : groups_[group].members) {
      if (vector.present()[m.slot] && !vector.histogram(m.slot)) {
        buckets->push_back({m.bound, vector.values()[m.slot]});
      }
    }
    return !buckets->empty();
  }

 private:
  struct Member {
    double bound;
    uint32_t slot;
  };
  struct Group {
    std::vector<Member> members;
    const FloatHistogram* native = nullptr;  // at this tick
  };
  uint32_t GroupOf(LabelSetId key) {
    const uint32_t group = index_.FindOrSet(key, static_cast<uint32_t>(groups_.size()));
    if (group == groups_.size()) {
      groups_.emplace_back();
      labels_.push_back(key);
    }
    return group;
  }
  // strconv.ParseFloat: decimal or hexadecimal, Inf and NaN in any case, nothing around it.
  static bool ParseBound(std::string_view text, double* bound) {
    if (text.empty() || isspace(static_cast<unsigned char>(text[0]))) {
      return false;
    }
    std::string copy(text);
    char* end = nullptr;
    *bound = std::strtod(copy.c_str(), &end);
    return end == copy.c_str() + copy.size() && copy.find('(') == std::string::npos;
  }

  size_t done_ = 0;
  LabelSetPlaces index_;
  std::deque<Group> groups_;  // grows without a copy
  std::vector<LabelSetId> labels_;
  std::vector<uint32_t> native_;  // slot of the vector -> group
  std::vector<uint32_t> bad_;
};

// `per_group` result slots for each group of histograms.
class HistogramNode : public Node {
 public:
  // `part`: which argument the vector is, for annotations.
  HistogramNode(std::vector<NodePtr> inputs, size_t vector, uint8_t part)
      : Node(ValueType::kVector, std::move(inputs)), vector_(vector), part_(part) {
    one_name_ = inputs_[vector_]->one_name();
  }
  size_t Bytes() const override { return Node::Bytes() + groups_.Bytes(); }
  void MarkLabels(LabelMarks* marks) const override {
    Node::MarkLabels(marks);
    Mark(groups_.labels(), marks);
  }

 protected:
  Node& vector() { return input(vector_); }
  bool IgnoresNames() const override { return true; }
  void Reset() override { groups_.Clear(); }
  void Extend(Context& ctx) override {
    groups_.Extend(ctx, vector());
    AddSlots(ctx);
  }
  virtual void AddSlots(Context& ctx) {
    for (size_t i = labels_.size(); i < groups_.size(); ++i) {
      AddSlotDroppingName(ctx, groups_.labels(i));
      ctx.MayYieldNew(i);
    }
  }
  // RETURNS: the name for annotations, which show one only where names are dropped last.
  std::string_view Name(Context& ctx, LabelSetId labels) const {
    return ctx.options.delayed_name_removal ? NameOf(ctx, labels) : std::string_view();
  }
  // Calls native(group, histogram) or classic(group, buckets) for every group that has a result.
  template <typename Native, typename Classic>
  void ForEach(Context& ctx, Native native, Classic classic) {
    groups_.FindNative(ctx, vector());
    AddSlots(ctx);
    ClearValues();
    for (uint32_t slot : groups_.bad()) {
      if (vector().present()[slot] && !vector().histogram(slot)) {
        const LabelSetId labels = vector().named_labels(ctx, slot);
        Warn(part_, annotations::BadBucketLabel(Name(ctx, labels),
                                                ctx.labels().Text(ctx.labels().Value(labels, ctx.le_symbol))));
      }
    }
    for (size_t i = 0; i < groups_.size(); ++i) {
      ctx.MayYield(i);
      const bool has_buckets = groups_.Read(vector(), i, &buckets_);
      const FloatHistogram* h = groups_.native(i);
      if (h != nullptr && has_buckets) {
        Warn(part_, annotations::MixedClassicNative(Name(ctx, groups_.labels(i))));
      } else if (h != nullptr) {
        native(i, *h);
      } else if (has_buckets) {
        classic(i, &buckets_);
      }
    }
    if (!one_name_) {
      CheckUnique(ctx);
    }
  }
  void InfoOf(Context& ctx, size_t group, NanObservations found, bool quantile) {
    const std::string_view name = Name(ctx, groups_.labels(group));
    if (found == NanObservations::kResultIsNan) {
      Info(part_, annotations::QuantileNaNResult(name));
    } else if (found == NanObservations::kResultIsSkewed) {
      Info(part_, quantile ? annotations::QuantileNaNSkew(name) : annotations::FractionNaNs(name));
    }
  }
  // The quantile of a classic histogram; what had to be forced is told at the end, by FlushForced.
  double ClassicQuantile(Context& ctx, double q, size_t group, std::vector<Bucket>* buckets) {
    Forced found;
    const double value = BucketQuantile(q, buckets, &found);
    if (found.histograms > 0) {
      Forced& all = forced_[std::string(Name(ctx, groups_.labels(group)))];
      all.histograms += found.histograms;
      all.min_bucket = std::min(all.min_bucket, found.min_bucket);
      all.max_bucket = std::max(all.max_bucket, found.max_bucket);
      all.max_diff = std::max(all.max_diff, found.max_diff);
    }
    return value;
  }
  void FlushForced(Context& ctx) {
    for (const auto& [name, f] : forced_) {
      Annotate({this, true, part_, annotations::ForcedMonotonicity(name),
                annotations::MonotonicityDetail(f.min_bucket, f.max_bucket, f.max_diff, f.histograms, ctx.t_ms)});
    }
    forced_.clear();
  }
  static bool IsQuantile(double q) { return q >= 0 && q <= 1; }

  size_t vector_;
  uint8_t part_;
  Histograms groups_;
  std::vector<Bucket> buckets_;
  std::map<std::string, Forced> forced_;  // by metric name
};

class QuantileNode final : public HistogramNode {
 public:
  QuantileNode(NodePtr q, NodePtr vector) : HistogramNode({std::move(q), std::move(vector)}, 1, 2) {}
  std::string Describe() const override { return "histogram_quantile"; }
  bool HasBounds() const override { return true; }
  bool MayLink() const override { return Leaf() != nullptr; }
  size_t Bytes() const override {
    size_t bytes = HistogramNode::Bytes() + instances_.capacity() * sizeof(Instance);
    for (const Instance& instance : instances_) {
      bytes += instance.buckets.capacity() * sizeof(instance.buckets[0]);
    }
    return bytes;
  }
  void Bound(const Horizon& horizon, std::span<const Bounds* const> in, Bounds* out) const override {
    const double q = FixedQuantile(in);
    // What may be a native histogram may make a slot that is not there yet.
    out->open = std::any_of(in[1]->slots.begin(), in[1]->slots.end(), MayBeNative);
    out->slots.assign(size(), Span::Any());
    if (out->open || std::isnan(q)) {
      return;
    }
    const bool may_yield = MayLink();
    const std::vector<double>* linked = horizon.linked != nullptr ? &(*horizon.linked)[this] : nullptr;
    for (size_t g = 0; g < out->slots.size(); ++g) {
      out->slots[g] = BoundBucketQuantile(q, SpansOf(g, in[1]->slots));
      if (linked != nullptr) {
        out->slots[g].hi = std::min(out->slots[g].hi, (*linked)[g]);
      }
      if (may_yield) {
        horizon.ctx.MayYieldNew(g);  // dearer than slots
      }
    }
  }
  void Restrict(const Horizon& horizon, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    const double q = FixedQuantile(in);
    std::vector<Span>& buckets = *keep_in[1];
    const size_t groups = keep.size();  // more may be found in a yield
    const bool may_yield = MayLink();   // the members of these stay as they are then
    if (horizon.linked != nullptr) {
      (*horizon.linked)[this].assign(groups, std::numeric_limits<double>::infinity());
    }
    for (Span& bucket : buckets) {
      bucket.nan = false;  // not free: what comes as a native histogram counts
    }
    for (size_t g = 0; g < groups; ++g) {
      if (may_yield) {
        horizon.ctx.MayYieldNew(g);
      }
      if (keep[g].any() || (!std::isnan(q) && Link(horizon, q, g, keep[g], in[1]->slots))) {
        continue;
      }
      std::vector<BucketSpan> spans = SpansOf(g, in[1]->slots);
      const bool holds = !std::isnan(q) && !keep[g].nothing() && WidenForQuantile(q, keep[g], &spans);
      size_t i = 0;
      groups_.ForEachMember(g, [&](double, uint32_t slot) {
        buckets[slot].Restrict(holds ? spans[i].count : Span::Nothing());
        ++i;
      });
    }
    if (std::any_of(keep.begin(), keep.end(), [](const Span& span) { return span.nothing(); })) {
      RestrictAll(keep, keep_in.first(1));
    }
  }

 protected:
  void Compute(Context& ctx) override {
    const double q = input(0).scalar();
    if (!IsQuantile(q)) {
      Warn(1, annotations::InvalidQuantile(q));
    }
    ForEach(
        ctx,
        [&](size_t i, const FloatHistogram& h) {
          const HistogramStatistic result = HistogramQuantile(q, h);
          SetFloat(i, result.value);
          InfoOf(ctx, i, result.nan_observations, true);
        },
        [&](size_t i, std::vector<Bucket>* b) { SetFloat(i, ClassicQuantile(ctx, q, i, b)); });
    FlushForced(ctx);
  }

 private:
  static bool MayBeNative(const Span& span) {
    return span.nan && span.lo == -std::numeric_limits<double>::infinity() &&
           span.hi == std::numeric_limits<double>::infinity();
  }
  // RETURNS: the quantile that is asked for if it is a constant of [0, 1], else NaN.
  static double FixedQuantile(std::span<const Bounds* const> in) {
    const Span& span = in[0]->slots[0];
    return span.lo == span.hi && !span.nan && IsQuantile(span.lo) ? span.lo : NormalNaN();
  }
  std::vector<BucketSpan> SpansOf(size_t group, const std::vector<Span>& slots) const {
    std::vector<BucketSpan> spans;
    groups_.ForEachMember(group, [&](double bound, uint32_t slot) { spans.push_back({bound, slots[slot]}); });
    return spans;
  }

  // The series below this node that are one histogram: slots of the leaf, by bucket.
  struct Instance {
    size_t group = 0;
    std::vector<std::pair<double, uint32_t>> buckets;
  };
  // How the buckets of a histogram count for whether its quantile passes a threshold.
  struct Sides {
    double at = 0;  // those of this bound and the next one are below, with these weights
    double next = 0;
    double at_weight = 0;
    double next_weight = 0;
  };

  // RETURNS: the rate() or increase() whose sums by bucket this is a quantile of, null if it is something else.
  const Node* Leaf() const {
    const Node& vector = input(1);
    const Node& leaf = vector.SumGroups() != nullptr ? *vector.inputs().front() : vector;
    return leaf.Counters() ? &leaf : nullptr;
  }
  void FindInstances(Context& ctx, const Node& leaf) const {
    if (instances_of_ == leaf.size() && instances_generation_ == leaf.generation() &&
        instances_groups_ == generation()) {
      return;
    }
    std::vector<Instance> instances;
    constexpr size_t kNoGroup = std::numeric_limits<size_t>::max();
    std::vector<std::pair<size_t, double>> of_slot(input(1).size(), {kNoGroup, 0});
    for (size_t g = 0; g < groups_.size(); ++g) {
      groups_.ForEachMember(g, [&](double bound, uint32_t slot) { of_slot[slot] = {g, bound}; });
    }
    const SlotGroups* sums = input(1).SumGroups();
    const SymbolId drop[] = {ctx.le_symbol};
    std::unordered_map<LabelSetId, size_t> index;
    for (uint32_t i = 0; i < leaf.size(); ++i) {
      ctx.MayYield(i);
      const auto& [group, bound] = of_slot[sums != nullptr ? (*sums)[i] : i];
      if (group == kNoGroup) {
        continue;
      }
      // Of the series' own labels: two metrics may lose their names.
      const LabelSetId own = ctx.store.at(leaf.Counters()->set->members[i]).labels;
      const auto [it, inserted] = index.try_emplace(ctx.labels().Without(own, drop), instances.size());
      if (inserted) {
        instances.push_back({group, {}});
      }
      instances[it->second].buckets.emplace_back(bound, i);
    }
    for (Instance& instance : instances) {
      std::sort(instance.buckets.begin(), instance.buckets.end());
    }
    std::stable_sort(instances.begin(), instances.end(),
                     [](const Instance& a, const Instance& b) { return a.group < b.group; });
    instances_ = std::move(instances);
    instances_of_ = leaf.size();
    instances_generation_ = leaf.generation();
    instances_groups_ = generation();
  }
  // RETURNS: false where what is below a threshold cannot be told from the buckets.
  static bool FindSides(const std::vector<BucketSpan>& spans, double threshold, Sides* sides) {
    constexpr double kWidthMin = 1e-6;  // of a bucket, as a part of its bound: else rounding matters
    const size_t n = spans.size();
    if (n < 2 || spans[n - 1].bound != std::numeric_limits<double>::infinity() || !std::isfinite(threshold)) {
      return false;
    }
    for (size_t i = 0; i + 1 < n; ++i) {
      const double before = i == 0 ? std::min(0.0, spans[0].bound - 1) : spans[i - 1].bound;
      if (!(spans[i].bound - before >= kWidthMin * std::max(std::fabs(spans[i].bound), std::fabs(before)))) {
        return false;
      }
    }
    size_t next = 0;
    while (next + 1 < n && spans[next].bound <= threshold) {
      ++next;
    }
    if (next + 1 == n || (next == 0 && !(spans[0].bound > 0 && threshold > 0))) {
      return false;
    }
    const double start = next == 0 ? 0 : spans[next - 1].bound;
    sides->at = next == 0 ? -std::numeric_limits<double>::infinity() : start;
    sides->next = spans[next].bound;
    const double weight = (threshold - start) / (spans[next].bound - start);
    // A bound itself, or one below it by rounding.
    sides->next_weight = weight > kWidthMin ? weight * (1 - 1e-9) : 0;
    sides->at_weight = next == 0 ? 0 : 1 - sides->next_weight;
    if (sides->next_weight > 0 && next > 0 && start < 0) {
      return false;  // where that bucket is missing the line begins at 0
    }
    return sides->next_weight > 0 || sides->at_weight > 0;
  }
  // Where a quantile is to stay at or below a threshold, links the buckets of each instance. The quantile does so as long as what is
  // below the threshold, by the line through the counts, is at least q times the greatest count of a bucket above it; so as long
  // as what any bucket above has more than that is no more than 1 - q of the whole, summed over instances. RETURNS: whether it is
  // surely so, with the room that the links have.
  bool Link(const Horizon& horizon, double q, size_t group, const Span& keep, const std::vector<Span>& slots) const {
    Sides sides;
    const std::vector<BucketSpan> spans = SpansOf(group, slots);
    const Node* leaf = Leaf();
    if (horizon.links == nullptr || leaf == nullptr || !keep.nan || !keep.absent || !keep.numbers() ||
        keep.lo != -std::numeric_limits<double>::infinity() || !FindSides(spans, keep.hi, &sides)) {
      return false;
    }
    FindInstances(horizon.ctx, *leaf);
    const CounterWindows windows = *leaf->Counters();
    const LeafTimes times{horizon.from_ms - windows.offset_ms, horizon.until_ms - windows.offset_ms, windows.range_ms};
    std::vector<TailBound> tails;
    std::vector<TriggerLink> links;
    double whole = 0;
    double most = 0;
    size_t looked_at = 0;
    auto at = std::lower_bound(instances_.begin(), instances_.end(), group,
                               [](const Instance& instance, size_t g) { return instance.group < g; });
    for (; at != instances_.end() && at->group == group; ++at) {
      const Instance& instance = *at;
      looked_at += instance.buckets.size();
      if (looked_at >= horizon.ctx.options.slots_per_yield / 2) {  // dearer than slots
        looked_at = 0;
        horizon.ctx.yield();
      }
      // The instance is known as it is here, all its buckets at once.
      std::vector<TailBucket> buckets;
      TriggerLink& link = links.emplace_back();
      link.late = horizon.late != nullptr ? horizon.late->size() : 0;
      for (size_t i = 0; i < instance.buckets.size(); ++i) {
        const auto& [bound, slot] = instance.buckets[i];
        if (i > 0 && instance.buckets[i - 1].first == bound) {
          return false;
        }
        const double weight = bound == sides.at ? sides.at_weight : bound == sides.next ? sides.next_weight : 0;
        const SeriesId id = windows.set->members[slot];
        const Series& series = horizon.ctx.store.at(id);
        buckets.push_back(
            {&series.window, horizon.ctx.store.profile(series.profile).count_resets, weight, bound >= sides.next});
        link.members.push_back({id, 0, weight, bound >= sides.next});
      }
      if (instance.buckets.back().first != std::numeric_limits<double>::infinity()) {
        return false;
      }
      const TailBound& tail = tails.emplace_back(BoundTail(buckets, times));
      if (!tail.known) {
        return false;
      }
      whole += tail.least;
      most += tail.most + tail.room_lost * tail.factor;
    }
    constexpr double kMargin = 1e-9;  // for rounding, and for what passes for equal
    const double slack = whole * (1 - q) - whole * kMargin - most * (1 + kMargin);
    if (!(slack > 0)) {
      return false;
    }
    for (size_t i = 0; i < links.size(); ++i) {
      const double share = 0.5 * tails[i].least / whole + 0.5 / static_cast<double>(links.size());
      Fill(tails[i], slack * share, &links[i]);
    }
    horizon.links->insert(horizon.links->end(), links.begin(), links.end());
    (*horizon.linked)[this][group] = keep.hi;
    return true;
  }
  static void Fill(const TailBound& tail, double room, TriggerLink* link) {
    link->room = tail.waits ? -1 : room / tail.factor * (1 - 1e-9);
    link->growth_max = tail.growth_max;
    link->above = -std::numeric_limits<double>::infinity();
    link->newest_ms = tail.torn_ms;
    for (size_t i = 0; i < link->members.size(); ++i) {
      TriggerLink::Member& member = link->members[i];
      member.armed = tail.armed[i];
      member.weight = tail.below_counts ? member.weight : 0;
    }
    for (uint32_t i = 0; i < link->members.size(); ++i) {
      if (tail.ahead[i] != 0 && link->Take(i, tail.torn_ms, tail.armed[i], tail.newest[i])) {
        link->room = -1;
      }
    }
  }

  mutable std::vector<Instance> instances_;  // by group
  mutable size_t instances_of_ = 0;
  mutable uint64_t instances_generation_ = 0;
  mutable uint64_t instances_groups_ = 0;
};

class FractionNode final : public HistogramNode {
 public:
  FractionNode(NodePtr lower, NodePtr upper, NodePtr vector)
      : HistogramNode({std::move(lower), std::move(upper), std::move(vector)}, 2, 3) {}
  std::string Describe() const override { return "histogram_fraction"; }

 protected:
  void Compute(Context& ctx) override {
    const double lower = input(0).scalar();
    const double upper = input(1).scalar();
    ForEach(
        ctx,
        [&](size_t i, const FloatHistogram& h) {
          const HistogramStatistic result = HistogramFraction(lower, upper, h);
          SetFloat(i, result.value);
          InfoOf(ctx, i, result.nan_observations, false);
        },
        [&](size_t i, std::vector<Bucket>* b) { SetFloat(i, BucketFraction(lower, upper, b)); });
  }
};

// One slot per histogram and quantile; the quantile's text is a label, so slots are made anew when a quantile changes.
class QuantilesNode final : public HistogramNode {
 public:
  QuantilesNode(std::vector<NodePtr> inputs, std::string label)
      : HistogramNode(std::move(inputs), 0, 1), label_(std::move(label)) {}
  std::string Describe() const override { return "histogram_quantiles"; }

 protected:
  void AddSlots(Context& ctx) override {
    const size_t n = quantiles_.size();
    if (labels_.size() == groups_.size() * n) {
      return;
    }
    SymbolId name = ctx.labels().Intern(label_);
    for (size_t i = labels_.size(); i < groups_.size() * n; ++i) {
      AddSlotDroppingName(ctx, ctx.labels().With(groups_.labels(i / n), name,
                                                 ctx.labels().Intern(OpenMetricsFloat(quantiles_[i % n]))));
      ctx.MayYield(i);
    }
  }
  void Compute(Context& ctx) override {
    std::vector<double> quantiles;
    for (size_t i = 1; i < inputs_.size(); ++i) {
      quantiles.push_back(input(i).scalar());
      if (!IsQuantile(quantiles.back())) {
        Warn(static_cast<uint8_t>(i + 2), annotations::InvalidQuantile(quantiles.back()));
      }
    }
    if (quantiles_ != quantiles) {
      quantiles_ = quantiles;
      Renumbered();
    }
    one_name_ = false;  // two equal quantiles make equal labels
    const size_t n = quantiles_.size();
    ForEach(
        ctx,
        [&](size_t i, const FloatHistogram& h) {
          for (size_t k = 0; k < n; ++k) {
            const HistogramStatistic result = HistogramQuantile(quantiles_[k], h);
            SetFloat(i * n + k, result.value);
            InfoOf(ctx, i, result.nan_observations, true);
          }
        },
        [&](size_t i, std::vector<Bucket>* b) {
          const std::vector<Bucket> read = *b;
          for (size_t k = 0; k < n; ++k) {
            *b = read;
            SetFloat(i * n + k, ClassicQuantile(ctx, quantiles_[k], i, b));
          }
        });
    FlushForced(ctx);
  }

 private:
  static std::string OpenMetricsFloat(double v) {
    if (v == 0) {
      return "0.0";  // of either sign
    }
    std::string text = FormatFloat(v, 'g', -1);
    return text.find_first_of(".eEIN") == std::string::npos ? text + ".0" : text;
  }
  std::string label_;
  std::vector<double> quantiles_;
};

// histogram_count and its kind: one number of each native histogram; floats have none.
class NativeStatisticNode final : public Node {
 public:
  NativeStatisticNode(NodePtr vector, std::string name, double (*f)(const FloatHistogram&))
      : Node(ValueType::kVector, {std::move(vector)}), name_(std::move(name)), f_(f) {
    one_name_ = inputs_[0]->one_name();
  }
  std::string Describe() const override { return name_; }

 protected:
  void Extend(Context& ctx) override {
    const SymbolId drop[] = {ctx.name_symbol};  // and no other: type and unit stay
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      if (ctx.options.delayed_name_removal) {
        AddSlot(input(0).labels(i), true);
      } else {
        AddSlot(ctx.labels().Without(input(0).labels(i), drop), false);
      }
      ctx.MayYield(i);
    }
  }
  void Compute(Context& ctx) override {
    ClearValues();
    for (size_t i = 0; i < input(0).histograms().size(); ++i) {
      ctx.MayYield(i);
      if (input(0).present()[i] && input(0).histogram(i)) {
        SetFloat(i, f_(*input(0).histogram(i)));
      }
    }
    if (!one_name_) {
      CheckUnique(ctx);
    }
  }

 private:
  std::string name_;
  double (*f_)(const FloatHistogram&);
};

}  // namespace

NodePtr MakeHistogramQuantile(NodePtr q, NodePtr vector) {
  return std::make_shared<QuantileNode>(std::move(q), std::move(vector));
}
NodePtr MakeHistogramFraction(NodePtr lower, NodePtr upper, NodePtr vector) {
  return std::make_shared<FractionNode>(std::move(lower), std::move(upper), std::move(vector));
}
NodePtr MakeHistogramQuantiles(NodePtr vector, const std::string& label, std::vector<NodePtr> quantiles) {
  quantiles.insert(quantiles.begin(), std::move(vector));
  return std::make_shared<QuantilesNode>(std::move(quantiles), label);
}
NodePtr MakeNativeStatistic(NodePtr vector, std::string name, double (*f)(const FloatHistogram&)) {
  return std::make_shared<NativeStatisticNode>(std::move(vector), std::move(name), f);
}

}  // namespace weir::engine
