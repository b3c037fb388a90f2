// Aggregations and binary operators, semantics §3 and §4.4.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "core/model/duration.h"
#include "core/model/go_math.h"
#include "tests/differential/naive_internal.h"

namespace weir::naive {

using promql::AggregateOp;
using promql::BinaryOp;
using promql::MatchCardinality;

namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();

bool IsMetadata(std::string_view name) { return name == kMetricName || name == "__type__" || name == "__unit__"; }

struct Group {
  Labels labels;
  bool drop_name = false;
  std::vector<Element> members;
};

double Welford(const std::vector<double>& values) {
  double n = 1;
  double mean = values[0];
  double m2 = std::isfinite(values[0]) ? 0 : kNaN;
  for (size_t i = 1; i < values.size(); ++i) {
    n += 1;
    double delta = values[i] - mean;
    mean += delta / n;
    m2 += delta * (values[i] - mean);
  }
  return m2 / n;
}

double Extreme(const std::vector<double>& values, bool maximum) {
  double best = values[0];
  for (double v : values) {
    if ((maximum ? v > best : v < best) || std::isnan(best)) {
      best = v;
    }
  }
  return best;
}

double Reduce(AggregateOp op, double param, const Group& group) {
  std::vector<double> values;
  for (const Element& e : group.members) {
    values.push_back(e.v);
  }
  switch (op) {
    case AggregateOp::kSum: {
      double sum = values[0];
      double c = 0;
      for (size_t i = 1; i < values.size(); ++i) {
        KahanAdd(values[i], &sum, &c);
      }
      return sum + c;
    }
    case AggregateOp::kAvg:
      return AverageWithOverflow(values);
    case AggregateOp::kCount:
    case AggregateOp::kCountValues:
      return static_cast<double>(values.size());
    case AggregateOp::kMin:
    case AggregateOp::kMax:
      return Extreme(values, op == AggregateOp::kMax);
    case AggregateOp::kGroup:
      return 1;
    case AggregateOp::kStddev:
      return std::sqrt(Welford(values));
    case AggregateOp::kStdvar:
      return Welford(values);
    case AggregateOp::kQuantile:
      return Quantile(param, values);
    default:
      throw EvalError("the naive evaluator has no such reduction");
  }
}

// How many elements topk, bottomk and limitk may keep; negative or zero keeps none.
int64_t CountParameter(double param) {
  if (std::isnan(param)) {
    throw EvalError("Parameter value is NaN");
  }
  if (param >= 9223372036854775808.0) {
    throw EvalError("Scalar value " + FormatFloat(param, 'g') + " overflows int64");
  }
  return param <= -9223372036854775808.0 ? 0 : static_cast<int64_t>(param);
}

std::vector<Element> Select(AggregateOp op, double param, Group group) {
  std::vector<Element>& members = group.members;
  if (op == AggregateOp::kLimitRatio) {
    std::vector<Element> kept;
    double ratio = std::max(-1.0, std::min(1.0, param));
    for (const Element& e : members) {
      double position = static_cast<double>(e.labels.Hash()) / 18446744073709551615.0;
      if (ratio >= 0 ? position < ratio : position >= 1 + ratio) {
        kept.push_back(e);
      }
    }
    return kept;
  }
  int64_t k = CountParameter(param);
  if (k < 1) {
    return {};
  }
  if (op != AggregateOp::kLimitk) {
    bool top = op == AggregateOp::kTopk;
    std::stable_sort(members.begin(), members.end(), [top](const Element& a, const Element& b) {
      if (std::isnan(a.v) || std::isnan(b.v)) {
        return !std::isnan(a.v);
      }
      return top ? a.v > b.v : a.v < b.v;
    });
  }
  if (static_cast<uint64_t>(k) < members.size()) {
    members.resize(static_cast<size_t>(k));
  }
  return members;
}

Labels MatchKey(const Labels& labels, const promql::VectorMatching& matching) {
  if (matching.on) {
    return KeepOnly(labels, matching.labels);
  }
  std::vector<std::string> dropped = matching.labels;
  dropped.emplace_back(kMetricName);
  return DropNames(labels, dropped);
}

Labels ResultLabels(const Labels& many, const Labels& one, const promql::BinaryExpr& expr, bool delayed) {
  const promql::VectorMatching& m = *expr.matching;
  bool arithmetic = expr.op <= BinaryOp::kAtan2;
  Labels out = many;
  if (arithmetic || (expr.return_bool && !delayed)) {
    out = DropMetadata(out);
  }
  if (m.cardinality == MatchCardinality::kOneToOne) {
    return m.on ? KeepOnly(out, m.labels) : DropNames(out, m.labels);
  }
  for (const std::string& name : m.include) {
    out.Set(name, one.Get(name));
  }
  return out;
}

std::vector<Element> SetOperation(const promql::BinaryExpr& expr, const std::vector<Element>& lhs,
                                  const std::vector<Element>& rhs) {
  std::set<Labels> left_keys;
  std::set<Labels> right_keys;
  for (const Element& e : lhs) {
    left_keys.insert(MatchKey(e.labels, *expr.matching));
  }
  for (const Element& e : rhs) {
    right_keys.insert(MatchKey(e.labels, *expr.matching));
  }
  std::vector<Element> out;
  for (const Element& e : lhs) {
    bool found = right_keys.count(MatchKey(e.labels, *expr.matching)) > 0;
    if (expr.op == BinaryOp::kOr || found == (expr.op == BinaryOp::kAnd)) {
      out.push_back(e);
    }
  }
  if (expr.op == BinaryOp::kOr) {
    for (const Element& e : rhs) {
      if (left_keys.count(MatchKey(e.labels, *expr.matching)) == 0) {
        out.push_back(e);
      }
    }
  }
  return out;
}

// One vector-to-vector operation in progress; "many" is the left side unless group_right swapped them.
class Join {
 public:
  Join(const promql::BinaryExpr& expr, const Query& query)
      : expr_(expr),
        m_(*expr.matching),
        swapped_(m_.cardinality == MatchCardinality::kOneToMany),
        delayed_(query.delayed_name_removal) {}

  std::vector<Element> Run(const std::vector<Element>& lhs, const std::vector<Element>& rhs) {
    if ((lhs.empty() && rhs.empty()) || ((lhs.empty() || rhs.empty()) && !m_.fill_left && !m_.fill_right)) {
      return {};
    }
    const std::vector<Element>& many = swapped_ ? rhs : lhs;
    const std::vector<Element>& one = swapped_ ? lhs : rhs;
    // Upstream swaps the sides for group_right but not the fills: fill_right always fills the "one" side.
    std::optional<double> fill_one = m_.fill_right;
    std::optional<double> fill_many = m_.fill_left;
    IndexOneSide(one);
    std::set<Labels> seen;
    for (const Element& e : many) {
      Labels key = MatchKey(e.labels, m_);
      auto it = one_.find(key);
      if (it != one_.end()) {
        seen.insert(key);
        Pair(e, *it->second, key);
      } else if (fill_one) {
        Element filled;
        filled.labels = key;
        filled.v = *fill_one;
        Pair(e, filled, key);
      }
    }
    if (fill_many) {
      for (const Element& e : one) {
        Labels key = MatchKey(e.labels, m_);
        if (seen.count(key) == 0) {
          Element filled;
          filled.labels = key;
          filled.v = *fill_many;
          Pair(filled, e, key);
        }
      }
    }
    return std::move(out_);
  }

 private:
  void IndexOneSide(const std::vector<Element>& one) {
    for (const Element& e : one) {
      Labels key = MatchKey(e.labels, m_);
      auto [it, added] = one_.emplace(key, &e);
      if (!added) {
        std::string a = GoLabelsText(it->second->labels);
        std::string b = GoLabelsText(e.labels);
        if (b < a) {
          std::swap(a, b);
        }
        throw EvalError("found duplicate series for the match group " + GoLabelsText(key) + " on the " +
                        (swapped_ ? "left" : "right") + " hand-side of the operation: [" + a + ", " + b +
                        "];many-to-many matching not allowed: matching labels must be unique on one side");
      }
    }
  }

  void Pair(const Element& many, const Element& one, const Labels& key) {
    double l = swapped_ ? one.v : many.v;
    double r = swapped_ ? many.v : one.v;
    if (expr_.op == BinaryOp::kTrimUpper || expr_.op == BinaryOp::kTrimLower) {
      return;  // floats cannot be trimmed: the pair is dropped before it counts as a match
    }
    Element e;
    e.labels = ResultLabels(many.labels, one.labels, expr_, delayed_);
    bool keep = true;
    if (promql::IsComparison(expr_.op)) {
      keep = Compare(expr_.op, l, r);
      e.v = l;
      if (expr_.return_bool) {
        e.v = keep ? 1 : 0;
        keep = true;
        e.drop_name = delayed_;
      }
    } else {
      e.v = Arithmetic(expr_.op, l, r);
    }
    if (m_.cardinality == MatchCardinality::kOneToOne) {
      if (!matched_.insert({key, Labels()}).second) {
        throw EvalError("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)");
      }
    } else if (!matched_.insert({key, e.labels}).second) {
      throw EvalError("multiple matches for labels: grouping labels must ensure unique matches");
    }
    if (keep) {
      out_.push_back(e);
    }
  }

  const promql::BinaryExpr& expr_;
  const promql::VectorMatching& m_;
  const bool swapped_;
  const bool delayed_;
  std::map<Labels, const Element*> one_;
  std::set<std::pair<Labels, Labels>> matched_;
  std::vector<Element> out_;
};

}  // namespace

Labels DropMetadata(const Labels& labels) {
  std::vector<Label> kept;
  for (const LabelView& l : labels) {
    if (!IsMetadata(l.name)) {
      kept.push_back(l.Owned());
    }
  }
  return Labels(std::move(kept));
}

Labels KeepOnly(const Labels& labels, const std::vector<std::string>& names) {
  std::vector<Label> kept;
  for (const LabelView& l : labels) {
    if (std::find(names.begin(), names.end(), l.name) != names.end()) {
      kept.push_back(l.Owned());
    }
  }
  return Labels(std::move(kept));
}

Labels DropNames(const Labels& labels, const std::vector<std::string>& names) {
  std::vector<Label> kept;
  for (const LabelView& l : labels) {
    if (std::find(names.begin(), names.end(), l.name) == names.end()) {
      kept.push_back(l.Owned());
    }
  }
  return Labels(std::move(kept));
}

std::string GoLabelsText(const Labels& labels) {
  std::string out = "{";
  for (const LabelView& l : labels) {
    out += (out.size() > 1 ? ", " : "") + (IsLegacyLabelName(l.name) ? std::string(l.name) : GoQuote(l.name)) + "=" +
           GoQuote(l.value);
  }
  return out + "}";
}

void RefuseDuplicates(const std::vector<Element>& elements) {
  std::set<Labels> seen;
  for (const Element& e : elements) {
    if (!seen.insert(e.labels).second) {
      throw EvalError("vector cannot contain metrics with the same labelset");
    }
  }
}

std::vector<Element> Aggregate(const promql::AggregateExpr& expr, const std::vector<Element>& input, double param,
                               const std::string& text_param) {
  if (expr.op == AggregateOp::kCountValues && (text_param.empty() || !IsValidUtf8(text_param))) {
    throw EvalError("invalid label name " + GoQuote(text_param));
  }
  if (expr.op == AggregateOp::kLimitRatio && std::isnan(param)) {
    throw EvalError("Ratio value is NaN");
  }
  if (expr.op == AggregateOp::kTopk || expr.op == AggregateOp::kBottomk || expr.op == AggregateOp::kLimitk) {
    CountParameter(param);
  }
  std::map<Labels, size_t> index;
  std::vector<Group> groups;
  for (const Element& e : input) {
    Labels key = e.labels;
    std::vector<std::string> grouping = expr.grouping;
    if (expr.op == AggregateOp::kCountValues) {
      key.Set(text_param, FormatFloat(e.v, 'f'));  // before grouping: `without` may take it away again
      grouping.push_back(expr.without ? "" : text_param);
    }
    key = expr.without ? DropMetadata(DropNames(key, grouping)) : KeepOnly(key, grouping);
    auto [it, added] = index.emplace(key, groups.size());
    if (added) {
      groups.push_back({key, false, {}});
    }
    Group& group = groups[it->second];
    group.drop_name = group.drop_name || e.drop_name;
    group.members.push_back(e);
  }
  std::vector<Element> out;
  bool selects = expr.op == AggregateOp::kTopk || expr.op == AggregateOp::kBottomk || expr.op == AggregateOp::kLimitk ||
                 expr.op == AggregateOp::kLimitRatio;
  for (const Group& group : groups) {
    if (selects) {
      std::vector<Element> kept = Select(expr.op, param, group);
      out.insert(out.end(), kept.begin(), kept.end());
      continue;
    }
    Element e;
    e.labels = group.labels;
    e.drop_name = group.drop_name;
    e.v = Reduce(expr.op, param, group);
    out.push_back(e);
  }
  return out;
}

std::vector<Element> VectorBinary(const promql::BinaryExpr& expr, const std::vector<Element>& lhs,
                                  const std::vector<Element>& rhs, const Query& query) {
  if (promql::IsSetOperator(expr.op)) {
    return SetOperation(expr, lhs, rhs);
  }
  return Join(expr, query).Run(lhs, rhs);
}

double Arithmetic(BinaryOp op, double l, double r) {
  switch (op) {
    case BinaryOp::kAdd:
      return l + r;
    case BinaryOp::kSub:
      return l - r;
    case BinaryOp::kMul:
      return l * r;
    case BinaryOp::kDiv:
      return l / r;
    case BinaryOp::kMod:
      return std::fmod(l, r);
    case BinaryOp::kPow:
      return GoPow(l, r);
    case BinaryOp::kAtan2:
      return std::atan2(l, r);
    default:
      throw EvalError("the naive evaluator has no such operator");
  }
}

bool Compare(BinaryOp op, double l, double r) {
  switch (op) {
    case BinaryOp::kEq:
      return l == r;
    case BinaryOp::kNe:
      return l != r;
    case BinaryOp::kLt:
      return l < r;
    case BinaryOp::kLe:
      return l <= r;
    case BinaryOp::kGt:
      return l > r;
    default:
      return l >= r;
  }
}

}  // namespace weir::naive
