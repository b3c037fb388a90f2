// Functions of histograms (semantics 2.8): native ones, and classic ones, which are float buckets with an `le` label. Buckets are
// grouped and ordered by bound when their series appear; a tick reads counts. Where both kinds have the same labels, neither counts.

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

#include "core/engine/annotations.h"
#include "core/engine/nodes/nodes.h"
#include "core/model/duration.h"
#include "core/model/histogram_statistics.h"

namespace weir::engine {
namespace {

using promql::ValueType;

struct Bucket {
  double bound;
  double count;
};

// almost.Equal of Prometheus: relative to the sum of the magnitudes.
bool AlmostEqual(double a, double b, double epsilon) {
  constexpr double kMinNormal = 2.2250738585072014e-308;
  if (std::isnan(a) && std::isnan(b)) {
    return true;
  }
  if (a == b) {
    return true;
  }
  double sum = std::fabs(a) + std::fabs(b);
  double difference = std::fabs(a - b);
  if (a == 0 || b == 0 || sum < kMinNormal) {
    return difference < epsilon * kMinNormal;
  }
  return difference / std::min(sum, std::numeric_limits<double>::max()) < epsilon;
}

void Coalesce(std::vector<Bucket>* buckets) {
  size_t last = 0;
  for (size_t i = 1; i < buckets->size(); ++i) {
    if ((*buckets)[i].bound == (*buckets)[last].bound) {
      (*buckets)[last].count += (*buckets)[i].count;
    } else {
      (*buckets)[++last] = (*buckets)[i];
    }
  }
  buckets->resize(last + 1);
}

// Where bucket counts had to be raised to be monotonic, beyond rounding.
struct Forced {
  int histograms = 0;
  double min_bucket = std::numeric_limits<double>::infinity();
  double max_bucket = -std::numeric_limits<double>::infinity();
  double max_diff = 0;
};

// RETURNS: whether counts went down.
bool EnsureMonotonic(std::vector<Bucket>* buckets, Forced* forced) {
  bool any = false;
  double previous = (*buckets)[0].count;
  for (size_t i = 1; i < buckets->size(); ++i) {
    Bucket& bucket = (*buckets)[i];
    if (bucket.count == previous) {
      continue;
    }
    if (AlmostEqual(previous, bucket.count, 1e-12)) {
      bucket.count = previous;
      continue;
    }
    if (bucket.count < previous) {
      any = true;
      forced->min_bucket = std::min(forced->min_bucket, bucket.bound);
      forced->max_bucket = std::max(forced->max_bucket, bucket.bound);
      forced->max_diff = std::max(forced->max_diff, previous - bucket.count);
      bucket.count = previous;
      continue;
    }
    previous = bucket.count;
  }
  return any;
}

// `buckets` sorted by bound.
double BucketQuantile(double q, std::vector<Bucket>* buckets, Forced* forced) {
  if (std::isnan(q)) {
    return NormalNaN();
  }
  if (q < 0) {
    return -std::numeric_limits<double>::infinity();
  }
  if (q > 1) {
    return std::numeric_limits<double>::infinity();
  }
  if (buckets->empty() || !(std::isinf(buckets->back().bound) && buckets->back().bound > 0)) {
    return NormalNaN();
  }
  Coalesce(buckets);
  forced->histograms += EnsureMonotonic(buckets, forced) ? 1 : 0;
  const auto& b = *buckets;
  if (b.size() < 2) {
    return NormalNaN();
  }
  const double observations = b.back().count;
  if (observations == 0) {
    return NormalNaN();
  }
  double rank = q * observations;
  // The first of all but the last bucket with at least `rank`, by binary search: with NaN counts the answer depends on it.
  size_t low = 0;
  size_t high = b.size() - 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (!(b[middle].count >= rank)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == b.size() - 1) {
    return b[b.size() - 2].bound;
  }
  if (low == 0 && b[0].bound <= 0) {
    return b[0].bound;
  }
  double start = 0;
  const double end = b[low].bound;
  double count = b[low].count;
  if (low > 0) {
    start = b[low - 1].bound;
    count -= b[low - 1].count;
    rank -= b[low - 1].count;
  }
  return start + (end - start) * (rank / count);
}

double BucketFraction(double lower, double upper, std::vector<Bucket>* buckets) {
  if (buckets->empty() || !(std::isinf(buckets->back().bound) && buckets->back().bound > 0)) {
    return NormalNaN();
  }
  Coalesce(buckets);
  const auto& b = *buckets;
  const double count = b.back().count;
  if (count == 0 || std::isnan(lower) || std::isnan(upper)) {
    return NormalNaN();
  }
  if (lower >= upper) {
    return 0;
  }
  double rank = 0;
  double lower_rank = 0;
  double upper_rank = 0;
  bool lower_set = false;
  bool upper_set = false;
  for (size_t i = 0; i < b.size(); ++i) {
    double bucket_lower = i > 0 ? b[i - 1].bound : b[0].bound > 0 ? 0 : -std::numeric_limits<double>::infinity();
    const double bucket_upper = b[i].bound;
    auto interpolate = [&](double v) {
      if (std::isinf(bucket_lower)) {
        return b[i].count;  // no place inside a bucket without a lower bound
      }
      return rank + (b[i].count - rank) * (v - bucket_lower) / (bucket_upper - bucket_lower);
    };
    if (!lower_set && bucket_lower >= lower) {
      lower_rank = rank;
      lower_set = true;
    }
    if (!upper_set && bucket_lower >= upper) {
      upper_rank = rank;
      upper_set = true;
    }
    if (lower_set && upper_set) {
      break;
    }
    if (!lower_set && bucket_lower < lower && bucket_upper > lower) {
      lower_rank = interpolate(lower);
      lower_set = true;
    }
    if (!upper_set && bucket_lower < upper && bucket_upper > upper) {
      upper_rank = interpolate(upper);
      upper_set = true;
    }
    if (lower_set && upper_set) {
      break;
    }
    rank = b[i].count;
  }
  if (!lower_set || lower_rank > count) {
    lower_rank = count;
  }
  if (!upper_set || upper_rank > count) {
    upper_rank = count;
  }
  return (upper_rank - lower_rank) / count;
}

constexpr uint32_t kNone = 0xffffffff;

// Slots of one vector as histograms: one group per label set without `le`, whose members are classic buckets, and one per label
// set of a native histogram, from the first time it is one.
class Histograms {
 public:
  void Clear() {
    done_ = 0;
    index_.clear();
    groups_.clear();
    labels_.clear();
    native_.clear();
    bad_.clear();
  }
  void Extend(Context& ctx, const Node& vector) {
    const SymbolId drop[] = {ctx.le_symbol};
    for (; done_ < vector.size(); ++done_) {
      native_.push_back(kNone);
      LabelSetId labels = vector.labels(done_);
      double bound = 0;
      if (!ParseBound(ctx.labels().Text(ctx.labels().Value(labels, ctx.le_symbol)), &bound)) {
        bad_.push_back(static_cast<uint32_t>(done_));
        continue;
      }
      auto& group = groups_[GroupOf(ctx.labels().Without(labels, drop))].members;
      auto place =
          std::upper_bound(group.begin(), group.end(), bound, [](double b, const Member& m) { return b < m.bound; });
      group.insert(place, {bound, static_cast<uint32_t>(done_)});
      ctx.MayYield(done_);
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
        if (native_[slot] == kNone) {
          native_[slot] = GroupOf(vector.labels(slot));
        }
        groups_[native_[slot]].native = vector.histogram(slot).get();
      }
    }
  }
  size_t size() const { return groups_.size(); }
  LabelSetId labels(size_t group) const { return labels_[group]; }
  const std::vector<LabelSetId>& labels() const { return labels_; }
  // Slots whose `le` is no number.
  const std::vector<uint32_t>& bad() const { return bad_; }
  const FloatHistogram* native(size_t group) const { return groups_[group].native; }
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
    auto [it, inserted] = index_.try_emplace(key, static_cast<uint32_t>(groups_.size()));
    if (inserted) {
      groups_.emplace_back();
      labels_.push_back(key);
    }
    return it->second;
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
  std::unordered_map<LabelSetId, uint32_t> index_;
  std::vector<Group> groups_;
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
  void MarkLabels(std::vector<bool>* live) const override {
    Node::MarkLabels(live);
    Mark(groups_.labels(), live);
  }

 protected:
  Node& vector() { return input(vector_); }
  void Reset() override { groups_.Clear(); }
  void Extend(Context& ctx) override {
    groups_.Extend(ctx, vector());
    AddSlots(ctx);
  }
  virtual void AddSlots(Context& ctx) {
    for (size_t i = labels_.size(); i < groups_.size(); ++i) {
      AddSlotDroppingName(ctx, groups_.labels(i));
      ctx.MayYield(i);
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
        const LabelSetId labels = vector().labels(slot);
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
