// Aggregations. Groups are made when slots appear; a tick folds each group's present members in slot order with
// Prometheus's arithmetic (semantics 3.1): compensated sums and means, plain Welford for the deviations.

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "core/engine/annotations.h"
#include "core/engine/nodes/nodes.h"
#include "core/model/duration.h"
#include "core/model/label_set_places.h"

namespace weir::engine {
namespace {

using promql::AggregateOp;
using promql::ValueType;

// Maps slots to groups by their grouping labels.
class GroupedNode : public Node {
 public:
  GroupedNode(const promql::AggregateExpr& expr, std::vector<NodePtr> inputs)
      : Node(ValueType::kVector, std::move(inputs)), op_(expr.op), grouping_(expr.grouping), without_(expr.without) {
    one_name_ = without_ || std::find(grouping_.begin(), grouping_.end(), kMetricName) == grouping_.end();
  }
  std::string Describe() const override { return std::string(promql::AggregateOpText(op_)); }
  size_t Bytes() const override {
    return Node::Bytes() + group_of_.Bytes() + group_labels_.capacity() * sizeof(LabelSetId) + group_drop_.capacity() +
           index_.Bytes();
  }
  void MarkLabels(LabelMarks* marks) const override {
    Node::MarkLabels(marks);
    Mark(group_labels_, marks);
  }

 protected:
  // Names and what goes with them are in no group's labels.
  bool IgnoresNames() const override {
    return without_ || std::none_of(grouping_.begin(), grouping_.end(), [](const std::string& name) {
             return name == kMetricName || name == "__type__" || name == "__unit__";
           });
  }
  void Reset() override {
    group_of_.Clear();
    group_labels_.clear();
    group_drop_.clear();
    index_.Clear();
  }
  // Assigns groups to new slots of input 0. RETURNS: the first group that is new.
  size_t Group(Context& ctx) {
    if (names_.empty() && (!grouping_.empty() || without_)) {
      for (const std::string& name : grouping_) {
        names_.push_back(ctx.store.Pin(name));
      }
      if (without_) {
        names_.insert(names_.end(), {ctx.name_symbol, ctx.type_symbol, ctx.unit_symbol});
      }
    }
    size_t first_new = group_labels_.size();
    group_of_.GrowTo(ctx, input(0).size());
    for (size_t i = group_of_.size(); i < input(0).size(); ++i) {
      LabelSetId labels = input(0).named_labels(ctx, i);
      LabelSetId key = without_         ? ctx.labels().Without(labels, names_)
                       : names_.empty() ? kEmptyLabelSet
                                        : ctx.labels().Keep(labels, names_);
      const uint32_t group = index_.FindOrSet(key, static_cast<uint32_t>(group_labels_.size()));
      if (group == group_labels_.size()) {
        group_labels_.push_back(key);
        group_drop_.push_back(0);
      }
      group_drop_[group] |= !one_name_ && input(0).drop_name(i) ? 1 : 0;
      group_of_.Add(group);
      ctx.MayYieldNew(i);
    }
    return first_new;
  }

  AggregateOp op_;
  std::vector<std::string> grouping_;
  bool without_;
  std::vector<SymbolId> names_;
  SlotGroups group_of_;  // of the slots of the input
  std::vector<LabelSetId> group_labels_;
  std::vector<uint8_t> group_drop_;
  LabelSetPlaces index_;
};

// One result per group.
class FoldNode final : public GroupedNode {
 public:
  using GroupedNode::GroupedNode;
  const SlotGroups* SumGroups() const override { return op_ == AggregateOp::kSum ? &group_of_ : nullptr; }
  bool HasBounds() const override { return op_ <= AggregateOp::kGroup || op_ == AggregateOp::kQuantile; }
  void Bound(const Horizon& horizon, std::span<const Bounds* const> in, Bounds* out) const override {
    const bool quantile = op_ == AggregateOp::kQuantile;
    if (!HasBounds() || (quantile && std::isnan(FixedQuantile(in)))) {
      out->slots.assign(size(), Span::Any());
      return;
    }
    const std::vector<Span>& slots = in[0]->slots;
    out->slots.assign(size(), Span::Absent());
    if (quantile) {
      BoundQuantiles(FixedQuantile(in), slots, out);
      return;
    }
    for (size_t g = 0; const SpanFold& fold : FoldSpans(horizon.ctx, slots, out->slots.size())) {
      horizon.ctx.MayYield(g);
      Span& span = out->slots[g++];
      if (!fold.present) {
        continue;
      }
      span = SpanOfGroup(fold);
      span.absent = fold.sure == 0;
    }
  }
  void Restrict(const Horizon& horizon, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    const bool quantile = op_ == AggregateOp::kQuantile;
    if (quantile && !std::isnan(FixedQuantile(in))) {
      RestrictQuantiles(FixedQuantile(in), in[0]->slots, keep, keep_in[0]);
      return;
    }
    if (!HasBounds() || quantile) {
      for (size_t i = 0; i < group_of_.size(); ++i) {
        if (!keep[group_of_[i]].any()) {
          (*keep_in[0])[i] = Span::Nothing();
        }
      }
      for (size_t i = 1; i < keep_in.size(); ++i) {
        RestrictAll(keep, keep_in.subspan(i, 1));
      }
      return;
    }
    const std::vector<Span>& slots = in[0]->slots;
    const std::vector<SpanFold> folds = FoldSpans(horizon.ctx, slots, keep.size());
    ForEachMember(horizon.ctx, slots.size(), keep.size(), [&](uint32_t i, uint32_t g) {
      const Span& want = keep[g];
      if (!want.any()) {
        (*keep_in[0])[i].Restrict(want.nothing() ? want : KeepOfMember(i, slots[i], folds[g], want));
      }
    });
  }

 protected:
  void Extend(Context& ctx) override {
    for (size_t g = Group(ctx); g < group_labels_.size(); ++g) {
      AddSlot(group_labels_[g], group_drop_[g] != 0);
      ctx.MayYield(g);
    }
  }

  void Compute(Context& ctx) override {
    ClearValues();
    const auto& in = input(0).values();
    if (op_ == AggregateOp::kQuantile && !(input(1).scalar() >= 0 && input(1).scalar() <= 1)) {
      Warn(2, annotations::InvalidQuantile(input(1).scalar()));
    }
    const bool any_type = op_ == AggregateOp::kCount || op_ == AggregateOp::kGroup;
    const auto& present = input(0).histograms().empty() || any_type ? input(0).present() : Floats();
    switch (op_) {
      case AggregateOp::kSum:
        FillWith(ctx, labels_.size(), 0.0, &c_);
        ForEach(ctx, present, [&](size_t i, size_t g, bool first) {
          if (first) {
            values_[g] = in[i];
          } else {
            window::KahanAdd(in[i], &values_[g], &c_[g]);
          }
        });
        for (size_t g = 0; g < values_.size(); ++g) {
          ctx.MayYield(g);
          values_[g] += c_[g];
        }
        break;
      case AggregateOp::kAvg:
        Average(ctx, in, present);
        break;
      case AggregateOp::kMin:
        ForEach(ctx, present, [&](size_t i, size_t g, bool first) {
          if (first || values_[g] > in[i] || std::isnan(values_[g])) {
            values_[g] = in[i];
          }
        });
        break;
      case AggregateOp::kMax:
        ForEach(ctx, present, [&](size_t i, size_t g, bool first) {
          if (first || values_[g] < in[i] || std::isnan(values_[g])) {
            values_[g] = in[i];
          }
        });
        break;
      case AggregateOp::kCount:
        ForEach(ctx, present, [&](size_t, size_t g, bool first) { values_[g] = first ? 1 : values_[g] + 1; });
        break;
      case AggregateOp::kGroup:
        ForEach(ctx, present, [&](size_t, size_t g, bool) { values_[g] = 1; });
        break;
      case AggregateOp::kStddev:
      case AggregateOp::kStdvar:
        Deviation(ctx, in, present);
        break;
      case AggregateOp::kQuantile:
        Quantiles(ctx, in, present);
        break;
      default:
        SetError(InternalError("not a folding aggregation"));
    }
    if (!any_type && !input(0).histograms().empty()) {
      if (op_ == AggregateOp::kSum || op_ == AggregateOp::kAvg) {
        FoldHistograms(ctx);
      } else if (histograms_seen_) {
        Info(1, annotations::HistogramIgnoredInAggregation(promql::AggregateOpText(op_)));
      }
    }
  }

 private:
  // What the members of a group may be, together.
  struct SpanFold {
    double n = 0;     // that may be present
    double sure = 0;  // that surely are
    bool present = false;
    bool nan = false;
    bool spread = false;  // some may vanish
    double lo = 0;        // sums
    double hi = 0;
    double size = 0;                                          // of the members' values, for shares
    Span hull = Span::Nothing();                              // of single members
    double min_hi = std::numeric_limits<double>::infinity();  // over those that surely are there
    double max_lo = -std::numeric_limits<double>::infinity();
    uint32_t least = 0xffffffff;  // whose upper bound is the least, whose lower bound the greatest
    uint32_t greatest = 0xffffffff;
  };
  static double SizeOf(const Span& span) {
    const double size = std::max(std::fabs(span.lo), std::fabs(span.hi));
    return std::isfinite(size) ? size : 0;
  }
  // Calls f(member, group). In a yield slots may be found or numbered anew; what is made then is not used, but it is still to be
  // looked at safely.
  template <typename F>
  void ForEachMember(Context& ctx, size_t members, size_t groups, F f) const {
    for (uint32_t i = 0; i < members; ++i) {
      ctx.MayYield(i);
      if (i >= group_of_.size() || group_of_[i] >= groups) {
        return;
      }
      f(i, group_of_[i]);
    }
  }
  std::vector<SpanFold> FoldSpans(Context& ctx, const std::vector<Span>& slots, size_t groups) const {
    constexpr size_t kFoldsPerYield = 1024;  // new memory
    std::vector<SpanFold> folds;
    folds.reserve(groups);
    while (folds.size() < groups) {
      folds.resize(std::min(groups, folds.size() + kFoldsPerYield));
      ctx.yield();
    }
    ForEachMember(ctx, slots.size(), groups, [&](uint32_t i, uint32_t g) {
      const Span& span = slots[i];
      SpanFold& fold = folds[g];
      if (!span.present()) {
        return;
      }
      fold.present = true;
      fold.n += 1;
      fold.nan = fold.nan || span.nan;
      if (span.numbers()) {
        fold.hull.Add(span.lo);
        fold.hull.Add(span.hi);
        fold.lo += span.absent ? std::min(span.lo, 0.0) : span.lo;
        fold.hi += span.absent ? std::max(span.hi, 0.0) : span.hi;
        fold.size += SizeOf(span);
      }
      if (span.absent) {
        fold.spread = true;
        return;
      }
      fold.sure += 1;
      if (span.numbers() && !span.nan) {
        if (span.hi < fold.min_hi) {
          fold.min_hi = span.hi;
          fold.least = i;
        }
        if (span.lo > fold.max_lo) {
          fold.max_lo = span.lo;
          fold.greatest = i;
        }
      }
    });
    return folds;
  }
  Span SpanOfGroup(const SpanFold& fold) const {
    Span span = Span::Nothing();
    switch (op_) {
      case AggregateOp::kSum:
      case AggregateOp::kAvg: {
        if (std::isnan(fold.lo) || std::isnan(fold.hi)) {
          return Span::Any();
        }
        const bool mean = op_ == AggregateOp::kAvg;
        span = {fold.lo, fold.hi, false, fold.nan};
        if (mean && fold.spread) {
          span = {fold.hull.lo, fold.hull.hi, false, fold.nan};
        } else if (mean) {
          span = {fold.lo / fold.n, fold.hi / fold.n, false, fold.nan};
        }
        return span.Widened(mean ? fold.size / fold.n : fold.size);
      }
      case AggregateOp::kMin:
        span = {fold.hull.lo, std::min(fold.hull.hi, fold.min_hi), false, fold.nan};
        break;
      case AggregateOp::kMax:
        span = {std::max(fold.hull.lo, fold.max_lo), fold.hull.hi, false, fold.nan};
        break;
      case AggregateOp::kCount:
        span.Add(fold.sure);
        span.Add(fold.n);
        break;
      default:
        span.Add(1.0);
    }
    return span;
  }
  // What one member is to keep to for its group to keep to `want`.
  Span KeepOfMember(uint32_t member, const Span& reach, const SpanFold& fold, const Span& want) const {
    if (!reach.present()) {
      return Span::Absent();
    }
    Span keep = reach;
    keep.absent = true;
    keep.nan = want.nan;
    switch (op_) {
      case AggregateOp::kSum:
      case AggregateOp::kAvg: {
        const double n = op_ == AggregateOp::kAvg ? fold.n : 1;
        // Half of the room by size, half in equal parts.
        const double share = (fold.size > 0 ? SizeOf(reach) / fold.size / 2 : 0.5 / fold.n) + 0.5 / fold.n;
        const double rounding =
            (fold.size + (std::isfinite(want.hi) ? std::fabs(want.hi * n) : 0)) * 4 * Span::kRounding;
        keep.hi = want.hi == std::numeric_limits<double>::infinity()
                      ? want.hi
                      : reach.hi + std::max(0.0, want.hi * n - fold.hi - rounding) * share;
        keep.lo = want.lo == -std::numeric_limits<double>::infinity()
                      ? (reach.lo >= 0 ? 0 : want.lo)
                      : reach.lo - std::max(0.0, fold.lo - want.lo * n - rounding) * share;
        // A member that goes takes its value along.
        keep.absent = reach.absent || (op_ == AggregateOp::kSum && reach.lo >= 0 && want.lo <= 0);
        return keep;
      }
      case AggregateOp::kMin:
        keep.hi = member == fold.least ? want.hi : std::numeric_limits<double>::infinity();
        keep.lo = want.lo;
        keep.absent = member != fold.least || want.hi == std::numeric_limits<double>::infinity();
        return keep;
      case AggregateOp::kMax:
        keep.lo = member == fold.greatest ? want.lo : -std::numeric_limits<double>::infinity();
        keep.hi = want.hi;
        keep.absent = member != fold.greatest || want.lo == -std::numeric_limits<double>::infinity();
        return keep;
      default:
        keep = Span::Any();
        keep.absent = want.lo <= 0 || reach.absent;
        return keep;
    }
  }

  // RETURNS: the quantile that is asked for if it is a constant of [0, 1], else NaN.
  static double FixedQuantile(std::span<const Bounds* const> in) {
    const Span& span = in[1]->slots[0];
    return span.lo == span.hi && !span.nan && span.lo >= 0 && span.lo <= 1 ? span.lo : NormalNaN();
  }
  // A quantile rises with each of its members.
  void BoundQuantiles(double q, const std::vector<Span>& slots, Bounds* out) const {
    struct Members {
      std::vector<double> lo, hi;
      bool sure = false;
      bool spread = false;  // some may vanish
      bool unknown = false;
    };
    std::vector<Members> groups(size());
    for (size_t i = 0; i < group_of_.size(); ++i) {
      const Span& span = slots[i];
      Members& group = groups[group_of_[i]];
      if (span.present()) {
        group.unknown = group.unknown || span.nan || !span.numbers();
        group.spread = group.spread || span.absent;
        group.sure = group.sure || !span.absent;
        group.lo.push_back(span.lo);
        group.hi.push_back(span.hi);
      }
    }
    for (size_t g = 0; g < groups.size(); ++g) {
      Members& group = groups[g];
      if (group.lo.empty()) {
        continue;
      }
      if (group.unknown) {
        out->slots[g] = Span::Any();
        continue;
      }
      Span span = Span::Nothing();
      if (group.spread) {
        span.lo = *std::min_element(group.lo.begin(), group.lo.end());
        span.hi = *std::max_element(group.hi.begin(), group.hi.end());
      } else {
        span.lo = window::Quantile(q, &group.lo);
        span.hi = window::Quantile(q, &group.hi);
      }
      // Between infinite members lies anything, and NaN.
      span.nan = !std::isfinite(span.lo) || !std::isfinite(span.hi);
      span.lo = std::isfinite(span.lo) ? span.lo : -std::numeric_limits<double>::infinity();
      span.hi = std::isfinite(span.hi) ? span.hi : std::numeric_limits<double>::infinity();
      span.absent = !group.sure;
      out->slots[g] = span.Widened(std::max(std::fabs(span.lo), std::fabs(span.hi)));
    }
  }
  // Whoever is on the right side of what is asked for stays there; the others are free where their number cannot move the quantile.
  void RestrictQuantiles(double q, const std::vector<Span>& slots, const std::vector<Span>& keep,
                         std::vector<Span>* keep_in) const {
    struct Sides {
      double n = 0;
      double below = 0;  // what is asked for, or at it
      double above = 0;
    };
    std::vector<Sides> groups(size());
    for (size_t i = 0; i < group_of_.size(); ++i) {
      const Span& want = keep[group_of_[i]];
      if (slots[i].present()) {
        Sides& sides = groups[group_of_[i]];
        sides.n += 1;
        sides.below += slots[i].hi <= want.hi ? 1 : 0;
        sides.above += slots[i].lo >= want.lo ? 1 : 0;
      }
    }
    for (size_t i = 0; i < group_of_.size(); ++i) {
      const Span& want = keep[group_of_[i]];
      if (want.any()) {
        continue;
      }
      if (want.nothing()) {
        (*keep_in)[i] = Span::Nothing();
        continue;
      }
      if (!slots[i].present()) {
        (*keep_in)[i].Restrict(Span::Absent());
        continue;
      }
      const Sides& sides = groups[group_of_[i]];
      const double rank = std::floor(q * (sides.n - 1));
      Span member = slots[i];
      member.nan = false;
      if (member.hi <= want.hi) {
        member.hi = want.hi;
      } else if (rank + 2 <= sides.below) {
        member.hi = std::numeric_limits<double>::infinity();
      }
      if (member.lo >= want.lo) {
        member.lo = want.lo;
      } else if (rank >= sides.n - sides.above) {
        member.lo = -std::numeric_limits<double>::infinity();
      }
      (*keep_in)[i].Restrict(member);
    }
  }

  // RETURNS: the presence of the input's floats alone.
  const std::vector<uint8_t>& Floats() {
    floats_ = input(0).present();
    histograms_seen_ = false;
    for (size_t i = 0; i < floats_.size(); ++i) {
      if (floats_[i] && input(0).histogram(i)) {
        floats_[i] = 0;
        histograms_seen_ = true;
      }
    }
    return floats_;
  }

  // A group's histograms while they are folded.
  struct HistogramFold {
    std::unique_ptr<FloatHistogram> sum;  // or, once that would overflow, the mean
    FloatHistogram c;
    double n = 0;
    bool incremental = false;
    bool incompatible = false;
    bool reset_seen = false;
    bool not_reset_seen = false;
  };

  // sum and avg of groups with histograms; a group that has floats too has no result.
  void FoldHistograms(Context& ctx) {
    std::unordered_map<uint32_t, HistogramFold> folds;
    bool mixed = false;
    for (uint32_t i = 0; i < input(0).histograms().size(); ++i) {
      ctx.MayYield(i);
      const HistogramRef& h = input(0).histogram(i);
      if (!h || !input(0).present()[i]) {
        continue;
      }
      const uint32_t g = group_of_[i];
      if (present_[g]) {
        mixed = true;
        groups_mixed_.push_back(g);
        continue;
      }
      HistogramFold& fold = folds[g];
      if (!fold.incompatible) {
        Add(*h, &fold, input(0).named() ? std::string_view() : NameOf(ctx, input(0).labels(i)));
      }
    }
    if (mixed) {
      Warn(1, annotations::MixedFloatsHistogramsAgg());
      for (uint32_t g : groups_mixed_) {
        present_[g] = 0;
      }
      groups_mixed_.clear();
    }
    for (auto& [g, fold] : folds) {
      if (fold.incompatible) {
        continue;
      }
      if (op_ == AggregateOp::kAvg && !fold.incremental) {
        fold.sum->Div(fold.n);
        fold.c.Div(fold.n);
      }
      if (fold.n > 1) {
        (void)fold.sum->Add(fold.c);
      }
      fold.sum->Compact(0);
      if (fold.reset_seen && fold.not_reset_seen) {
        Warn(1, annotations::ResetCollision("aggregation"));
      }
      SetHistogram(g, std::move(fold.sum));
    }
  }

  void Add(const FloatHistogram& h, HistogramFold* fold, std::string_view name) {
    fold->reset_seen = fold->reset_seen || h.hint == CounterResetHint::kReset;
    fold->not_reset_seen = fold->not_reset_seen || h.hint == CounterResetHint::kNotReset;
    fold->n += 1;
    if (!fold->sum) {
      fold->sum = std::make_unique<FloatHistogram>(h);
      fold->c = h.MakeCompensation();
      return;
    }
    const double n = fold->n;
    const auto noted = [&](const Result<CombineInfo>& info) {
      if (!info.ok()) {
        Warn(1, annotations::MixedExponentialCustom(name));
        fold->incompatible = true;
        return false;
      }
      if (info->nhcb_bounds_reconciled) {
        Info(1, annotations::MismatchedBounds("aggregation"));
      }
      return true;
    };
    if (op_ == AggregateOp::kSum) {
      noted(fold->sum->KahanAdd(h, &fold->c));
      return;
    }
    if (!fold->incremental) {
      FloatHistogram sum = *fold->sum;
      FloatHistogram c = fold->c;
      if (!noted(sum.KahanAdd(h, &c))) {
        return;
      }
      if (!sum.HasOverflow()) {
        *fold->sum = std::move(sum);
        fold->c = std::move(c);
        return;
      }
      fold->incremental = true;
      fold->sum->Div(n - 1);
      fold->c.Div(n - 1);
    }
    const double q = (n - 1) / n;
    fold->c.Mul(q);
    FloatHistogram part = h;
    part.Div(n);
    fold->sum->Mul(q);
    noted(fold->sum->KahanAdd(part, &fold->c));
  }

  template <typename F>
  void ForEach(Context& ctx, const std::vector<uint8_t>& in_present, F f) {
    for (size_t i = 0; i < in_present.size(); ++i) {
      ctx.MayYield(i);
      if (!in_present[i]) {
        continue;
      }
      uint32_t g = group_of_[i];
      f(i, g, present_[g] == 0);
      present_[g] = 1;
    }
  }

  // As avg_over_time: a running sum until it overflows, then a running mean.
  void Average(Context& ctx, const std::vector<double>& in, const std::vector<uint8_t>& present) {
    FillWith(ctx, labels_.size(), 0.0, &c_);
    FillWith(ctx, labels_.size(), 0.0, &n_);
    FillWith(ctx, labels_.size(), uint8_t{0}, &incremental_);
    ForEach(ctx, present, [&](size_t i, size_t g, bool first) {
      n_[g] += 1;
      if (first) {
        values_[g] = in[i];
        return;
      }
      if (!incremental_[g]) {
        double sum = values_[g];
        double c = c_[g];
        window::KahanAdd(in[i], &sum, &c);
        if (!std::isinf(sum)) {
          values_[g] = sum;
          c_[g] = c;
          return;
        }
        incremental_[g] = 1;
        values_[g] /= n_[g] - 1;
        c_[g] /= n_[g] - 1;
      }
      double q = (n_[g] - 1) / n_[g];
      double mean = q * values_[g];
      double c = q * c_[g];
      window::KahanAdd(in[i] / n_[g], &mean, &c);
      values_[g] = mean;
      c_[g] = c;
    });
    for (size_t g = 0; g < values_.size(); ++g) {
      if (present_[g]) {
        values_[g] = incremental_[g] ? values_[g] + c_[g] : values_[g] / n_[g] + c_[g] / n_[g];
      }
    }
  }

  void Deviation(Context& ctx, const std::vector<double>& in, const std::vector<uint8_t>& present) {
    FillWith(ctx, labels_.size(), 0.0, &c_);  // the mean
    FillWith(ctx, labels_.size(), 0.0, &n_);
    ForEach(ctx, present, [&](size_t i, size_t g, bool first) {
      n_[g] += 1;
      if (first) {
        c_[g] = in[i];
        values_[g] = std::isfinite(in[i]) ? 0 : NormalNaN();
        return;
      }
      double delta = in[i] - c_[g];
      c_[g] += delta / n_[g];
      values_[g] += delta * (in[i] - c_[g]);
    });
    for (size_t g = 0; g < values_.size(); ++g) {
      if (present_[g]) {
        values_[g] /= n_[g];
        if (op_ == AggregateOp::kStddev) {
          values_[g] = std::sqrt(values_[g]);
        }
      }
    }
  }

  void Quantiles(Context& ctx, const std::vector<double>& in, const std::vector<uint8_t>& present) {
    members_.resize(labels_.size());
    for (auto& m : members_) {
      m.clear();
    }
    ForEach(ctx, present, [&](size_t i, size_t g, bool) { members_[g].push_back(in[i]); });
    for (size_t g = 0; g < members_.size(); ++g) {
      if (present_[g]) {
        values_[g] = window::Quantile(input(1).scalar(), &members_[g]);
      }
    }
  }

  std::vector<double> c_;
  std::vector<double> n_;
  std::vector<uint8_t> incremental_;
  std::vector<std::vector<double>> members_;
  std::vector<uint8_t> floats_;
  std::vector<uint32_t> groups_mixed_;
  bool histograms_seen_ = false;
};

// topk, bottomk, limitk, limit_ratio: some of the input's elements, as they are.
class SelectNode final : public GroupedNode {
 public:
  SelectNode(const promql::AggregateExpr& expr, NodePtr vector, NodePtr param)
      : GroupedNode(expr, {std::move(vector), std::move(param)}) {
    one_name_ = inputs_[0]->one_name();
  }
  size_t Bytes() const override { return GroupedNode::Bytes() + hashes_.capacity() * sizeof(double); }
  // Which of its elements are taken hangs on all of them, and any may be; what they are does not.
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    *out = *in[0];
    for (Span& span : out->slots) {
      span.absent = true;
    }
  }
  void Restrict(const Horizon&, std::span<const Bounds* const>, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    RestrictSame(keep, keep_in[0]);
    if (std::any_of(keep.begin(), keep.end(), [](const Span& span) { return span.nothing(); })) {
      RestrictAll(keep, keep_in);
    }
  }

 protected:
  bool IgnoresNames() const override { return false; }
  void Reset() override {
    GroupedNode::Reset();
    hashes_.clear();
  }
  void Extend(Context& ctx) override {
    Group(ctx);
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      AddSlot(input(0).labels(i), input(0).drop_name(i));
      if (op_ == AggregateOp::kLimitRatio) {
        hashes_.push_back(static_cast<double>(ctx.labels().ToLabels(labels_[i]).Hash()) / 18446744073709551616.0);
      }
      ctx.MayYieldNew(i);
    }
  }

  void Compute(Context& ctx) override {
    TakeValues(ctx, input(0));
    const double param = input(1).scalar();
    if (op_ == AggregateOp::kLimitRatio) {
      Ratio(param);
      return;
    }
    if (std::isnan(param)) {
      SetError(InvalidError("Parameter value is NaN"));
      return;
    }
    if (param >= 9223372036854775808.0) {
      SetError(InvalidError(std::string("Scalar value ") + FormatFloat(param) + " overflows int64"));
      return;
    }
    if (param < 1) {  // also what is below every int64
      ClearValues();
      return;
    }
    auto k = static_cast<int64_t>(param);
    members_.resize(group_labels_.size());
    for (auto& m : members_) {
      m.clear();
    }
    bool ignored = false;
    for (uint32_t i = 0; i < present_.size(); ++i) {
      ctx.MayYield(i);
      if (present_[i] && histogram(i) && op_ != AggregateOp::kLimitk) {
        ignored = true;
      } else if (present_[i]) {
        members_[group_of_[i]].push_back(i);
      }
    }
    if (ignored) {
      Info(0, annotations::HistogramIgnoredInAggregation(promql::AggregateOpText(op_)));
    }
    ClearPresent();
    order_.clear();
    const bool top = op_ == AggregateOp::kTopk;
    size_t compared = 0;
    for (auto& m : members_) {
      size_t keep = std::min<size_t>(m.size(), static_cast<size_t>(k));
      if (op_ != AggregateOp::kLimitk) {
        std::stable_sort(m.begin(), m.end(), [&](uint32_t a, uint32_t b) {
          ctx.MayYield(compared++);
          double x = values_[a];
          double y = values_[b];
          if (std::isnan(x) || std::isnan(y)) {
            return !std::isnan(x) && std::isnan(y);
          }
          return top ? x > y : x < y;
        });
      }
      for (size_t i = 0; i < keep; ++i) {
        present_[m[i]] = 1;
        order_.push_back(m[i]);
      }
    }
  }

 private:
  static std::string FormatFloat(double v);
  void ClearPresent() { std::fill(present_.begin(), present_.end(), 0); }
  void Ratio(double ratio) {
    if (std::isnan(ratio)) {
      SetError(InvalidError("Ratio value is NaN"));
      return;
    }
    if (ratio < -1 || ratio > 1) {
      Warn(2, annotations::InvalidRatio(ratio, ratio > 1 ? 1 : -1));
    }
    ratio = std::clamp(ratio, -1.0, 1.0);
    for (size_t i = 0; i < present_.size(); ++i) {
      bool kept = ratio >= 0 ? hashes_[i] < ratio : hashes_[i] >= 1 + ratio;
      present_[i] = present_[i] && kept && ratio != 0 ? 1 : 0;
    }
  }

  std::vector<double> hashes_;  // of the labels, in [0, 1)
  std::vector<std::vector<uint32_t>> members_;
};

std::string SelectNode::FormatFloat(double v) { return weir::FormatFloat(v, 'g', -1); }

// count_values: one slot per group and value; slots are made when a value is first seen.
class CountValuesNode final : public GroupedNode {
 public:
  CountValuesNode(const promql::AggregateExpr& expr, NodePtr vector, std::string label)
      : GroupedNode(expr, {std::move(vector)}), label_(std::move(label)) {
    one_name_ = one_name_ && label_ != kMetricName;
    const bool metadata = label_ == kMetricName || label_ == "__type__" || label_ == "__unit__";
    grouped_away_ = without_ && (metadata || std::find(grouping_.begin(), grouping_.end(), label_) != grouping_.end());
    if (label_.empty() || !IsValidUtf8(label_)) {
      static_error_ = InvalidError("invalid label name " + GoQuote(label_));
    }
  }

 protected:
  void Reset() override {
    GroupedNode::Reset();
    slots_.clear();
  }
  void Extend(Context& ctx) override { Group(ctx); }

  void Compute(Context& ctx) override {
    if (!static_error_.ok()) {
      SetError(static_error_);
      return;
    }
    if (labels_.size() > 1024 && labels_.size() > 4 * input(0).size()) {
      Renumbered();  // values that have not been seen for long must not pile up
      slots_.clear();
    }
    ClearValues();
    const auto& in = input(0).values();
    const auto& present = input(0).present();
    SymbolId label = ctx.labels().Intern(label_);
    for (size_t i = 0; i < in.size(); ++i) {
      ctx.MayYield(i);
      if (!present[i]) {
        continue;
      }
      uint32_t g = group_of_[i];
      std::string text = input(0).histogram(i) ? input(0).histogram(i)->ToString() : FormatFloat(in[i], 'f', -1);
      LabelSetId labels =
          grouped_away_ ? group_labels_[g] : ctx.labels().With(group_labels_[g], label, ctx.labels().Intern(text));
      auto [it, inserted] = slots_.try_emplace(labels, 0);
      if (inserted) {
        it->second = AddSlot(labels, group_drop_[g] != 0);
        values_.push_back(0);
        present_.push_back(0);
      }
      values_[it->second] = present_[it->second] ? values_[it->second] + 1 : 1;
      present_[it->second] = 1;
    }
  }

 private:
  std::string label_;
  bool grouped_away_ = false;  // `without` removes the label again
  Status static_error_;
  std::unordered_map<LabelSetId, uint32_t> slots_;
};

}  // namespace

NodePtr MakeAggregate(const promql::AggregateExpr& expr, NodePtr vector, NodePtr param) {
  switch (expr.op) {
    case AggregateOp::kTopk:
    case AggregateOp::kBottomk:
    case AggregateOp::kLimitk:
    case AggregateOp::kLimitRatio:
      return std::make_shared<SelectNode>(expr, std::move(vector), std::move(param));
    case AggregateOp::kCountValues:
      return std::make_shared<CountValuesNode>(expr, std::move(vector), param->text());
    case AggregateOp::kQuantile:
      return std::make_shared<FoldNode>(expr, std::vector<NodePtr>{std::move(vector), std::move(param)});
    default:
      return std::make_shared<FoldNode>(expr, std::vector<NodePtr>{std::move(vector)});
  }
}

}  // namespace weir::engine
