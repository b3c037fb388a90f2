// Classic histograms: quantiles and fractions over float buckets with an `le` label (semantics 2.8). Buckets are grouped
// and ordered by bound when their series appear; a tick reads counts.

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "core/engine/nodes/nodes.h"
#include "core/model/duration.h"

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

void EnsureMonotonic(std::vector<Bucket>* buckets) {
  double previous = (*buckets)[0].count;
  for (size_t i = 1; i < buckets->size(); ++i) {
    double current = (*buckets)[i].count;
    if (current == previous) {
      continue;
    }
    if (AlmostEqual(previous, current, 1e-12) || current < previous) {
      (*buckets)[i].count = previous;
      continue;
    }
    previous = current;
  }
}

// `buckets` sorted by bound.
double BucketQuantile(double q, std::vector<Bucket>* buckets) {
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
  EnsureMonotonic(buckets);
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

// Slots of one vector as classic histograms: one group per label set without `le`.
class Histograms {
 public:
  struct Member {
    double bound;
    uint32_t slot;
  };
  void Clear() {
    done_ = 0;
    index_.clear();
    groups_.clear();
    labels_.clear();
  }
  void Extend(Context& ctx, const Node& vector) {
    const SymbolId drop[] = {ctx.le_symbol};
    for (; done_ < vector.size(); ++done_) {
      LabelSetId labels = vector.labels(done_);
      double bound = 0;
      if (!ParseBound(ctx.labels().Text(ctx.labels().Value(labels, ctx.le_symbol)), &bound)) {
        continue;
      }
      LabelSetId key = ctx.labels().Without(labels, drop);
      auto [it, inserted] = index_.try_emplace(key, static_cast<uint32_t>(groups_.size()));
      if (inserted) {
        groups_.emplace_back();
        labels_.push_back(key);
      }
      auto& group = groups_[it->second];
      auto place =
          std::upper_bound(group.begin(), group.end(), bound, [](double b, const Member& m) { return b < m.bound; });
      group.insert(place, {bound, static_cast<uint32_t>(done_)});
    }
  }
  size_t size() const { return groups_.size(); }
  LabelSetId labels(size_t group) const { return labels_[group]; }
  const std::vector<LabelSetId>& labels() const { return labels_; }
  // RETURNS: false when no bucket of the group is present.
  bool Read(const Node& vector, size_t group, std::vector<Bucket>* buckets) const {
    buckets->clear();
    for (const Member& m : groups_[group]) {
      if (vector.present()[m.slot]) {
        buckets->push_back({m.bound, vector.values()[m.slot]});
      }
    }
    return !buckets->empty();
  }

 private:
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
  std::vector<std::vector<Member>> groups_;
  std::vector<LabelSetId> labels_;
};

class HistogramNode : public Node {
 public:
  using Node::Node;
  void MarkLabels(std::vector<bool>* live) const override {
    Node::MarkLabels(live);
    Mark(histograms_.labels(), live);
  }

 protected:
  virtual Node& vector() = 0;
  void Reset() override { histograms_.Clear(); }
  void Extend(Context& ctx) override {
    one_name_ = vector().one_name();
    histograms_.Extend(ctx, vector());
    for (size_t i = labels_.size(); i < histograms_.size(); ++i) {
      AddSlotDroppingName(ctx, histograms_.labels(i));
    }
  }
  template <typename F>
  void ForEach(Context& ctx, F f) {
    ClearValues();
    for (size_t i = 0; i < histograms_.size(); ++i) {
      if (histograms_.Read(vector(), i, &buckets_)) {
        values_[i] = f(&buckets_);
        present_[i] = 1;
      }
    }
    if (!one_name_) {
      CheckUnique(ctx);
    }
  }

  Histograms histograms_;
  std::vector<Bucket> buckets_;
};

class QuantileNode final : public HistogramNode {
 public:
  QuantileNode(NodePtr q, NodePtr vector) : HistogramNode(ValueType::kVector, {std::move(q), std::move(vector)}) {}
  std::string Describe() const override { return "histogram_quantile"; }

 protected:
  Node& vector() override { return input(1); }
  void Compute(Context& ctx) override {
    ForEach(ctx, [q = input(0).scalar()](std::vector<Bucket>* b) { return BucketQuantile(q, b); });
  }
};

class FractionNode final : public HistogramNode {
 public:
  FractionNode(NodePtr lower, NodePtr upper, NodePtr vector)
      : HistogramNode(ValueType::kVector, {std::move(lower), std::move(upper), std::move(vector)}) {}
  std::string Describe() const override { return "histogram_fraction"; }

 protected:
  Node& vector() override { return input(2); }
  void Compute(Context& ctx) override {
    ForEach(ctx, [this](std::vector<Bucket>* b) { return BucketFraction(input(0).scalar(), input(1).scalar(), b); });
  }
};

// One slot per histogram and quantile; the quantile's text is a label, so slots are made anew when a quantile changes.
class QuantilesNode final : public Node {
 public:
  QuantilesNode(std::vector<NodePtr> inputs, std::string label)
      : Node(ValueType::kVector, std::move(inputs)), label_(std::move(label)) {}
  std::string Describe() const override { return "histogram_quantiles"; }
  void MarkLabels(std::vector<bool>* live) const override {
    Node::MarkLabels(live);
    Mark(histograms_.labels(), live);
  }

 protected:
  void Reset() override { histograms_.Clear(); }
  void Extend(Context& ctx) override { histograms_.Extend(ctx, input(0)); }
  void Compute(Context& ctx) override {
    std::vector<double> quantiles;
    for (size_t i = 1; i < inputs_.size(); ++i) {
      quantiles.push_back(input(i).scalar());
    }
    if (texts_ != quantiles) {
      texts_ = quantiles;
      Renumbered();
    }
    const size_t n = quantiles.size();
    SymbolId name = ctx.labels().Intern(label_);
    for (size_t i = labels_.size(); i < histograms_.size() * n; ++i) {
      AddSlotDroppingName(ctx, ctx.labels().With(histograms_.labels(i / n), name,
                                                 ctx.labels().Intern(OpenMetricsFloat(quantiles[i % n]))));
    }
    ClearValues();
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (histograms_.Read(input(0), i / n, &buckets_)) {
        values_[i] = BucketQuantile(quantiles[i % n], &buckets_);
        present_[i] = 1;
      }
    }
    CheckUnique(ctx);
  }

 private:
  static std::string OpenMetricsFloat(double v) {
    std::string text = FormatFloat(v, 'g', -1);
    return text.find_first_of(".eEIN") == std::string::npos ? text + ".0" : text;
  }
  std::string label_;
  Histograms histograms_;
  std::vector<Bucket> buckets_;
  std::vector<double> texts_;
};

class NativeOnlyNode final : public Node {
 public:
  NativeOnlyNode(NodePtr vector, std::string name)
      : Node(ValueType::kVector, {std::move(vector)}), name_(std::move(name)) {
    one_name_ = true;
  }
  std::string Describe() const override { return name_; }

 protected:
  void Compute(Context&) override {}

 private:
  std::string name_;
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
NodePtr MakeNativeOnly(NodePtr vector, std::string name) {
  return std::make_shared<NativeOnlyNode>(std::move(vector), std::move(name));
}

}  // namespace weir::engine
