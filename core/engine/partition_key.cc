// By which labels series may be spread over partitions: every aggregation, matching and bucket grouping must find all that it
// puts together in one partition, so only labels that it keeps apart will do.

#include <algorithm>

#include "core/engine/explain.h"
#include "core/promql/functions.h"

namespace weir::engine {
namespace {

using promql::As;
using promql::Expr;
using promql::ExprKind;
using promql::FunctionId;
using promql::ValueType;

void KeepOnly(const std::vector<std::string>& labels, PartitionKey* key) {
  std::set<std::string> kept;
  for (const std::string& label : labels) {
    if (!key->barred.contains(label) && (!key->only || key->only->contains(label))) {
      kept.insert(label);
    }
  }
  key->only = std::move(kept);
}

void Bar(const std::string& label, PartitionKey* key) {
  key->barred.insert(label);
  if (key->only) {
    key->only->erase(label);
  }
}

bool IsFree(const PartitionKey& key) { return !key.only && key.barred.empty(); }

class KeyReader {
 public:
  explicit KeyReader(const RecordedExprs& recorded) : recorded_(recorded) {}

  // `key`: what everything around the expression leaves.
  void Read(const Expr& expr, PartitionKey key) {
    switch (expr.kind) {
      case ExprKind::kNumber:
      case ExprKind::kString:
        break;
      case ExprKind::kVectorSelector:
        ReadSelector(As<promql::VectorSelector>(expr), key);
        break;
      case ExprKind::kMatrixSelector:
        ReadSelector(*As<promql::MatrixSelector>(expr).selector, key);
        break;
      case ExprKind::kSubquery:
        Read(*As<promql::SubqueryExpr>(expr).expr, std::move(key));
        break;
      case ExprKind::kParen:
        Read(*As<promql::ParenExpr>(expr).expr, std::move(key));
        break;
      case ExprKind::kUnary:
        Read(*As<promql::UnaryExpr>(expr).expr, std::move(key));
        break;
      case ExprKind::kAggregate:
        ReadAggregate(As<promql::AggregateExpr>(expr), std::move(key));
        break;
      case ExprKind::kBinary:
        ReadBinary(As<promql::BinaryExpr>(expr), std::move(key));
        break;
      case ExprKind::kCall:
        ReadCall(As<promql::Call>(expr), std::move(key));
        break;
    }
  }
  PartitionKey Take() { return std::move(result_); }

 private:
  void ReadSelector(const promql::VectorSelector& selector, const PartitionKey& key) {
    Meet(key);
    for (const Matcher& m : selector.matchers) {
      if (m.name() != kMetricName || m.type() != MatchType::kEqual || !recorded_.contains(m.value())) {
        continue;
      }
      // Once under the same key: rules may read each other in a circle, and one of them many times.
      if (read_.insert(m.value() + '\0' + key.ToString()).second) {
        for (const promql::ExprPtr& recorder : recorded_.at(m.value())) {
          Read(*recorder, key);
        }
      }
    }
  }

  // A selector is read under this key.
  void Meet(const PartitionKey& key) {
    for (const std::string& label : key.barred) {
      Bar(label, &result_);
    }
    if (key.only) {
      KeepOnly({key.only->begin(), key.only->end()}, &result_);
    }
  }

  void ReadAggregate(const promql::AggregateExpr& aggregate, PartitionKey key) {
    if (aggregate.param) {
      Read(*aggregate.param, key);
    }
    if (aggregate.op != promql::AggregateOp::kLimitRatio) {  // which goes by the hash of each series
      if (aggregate.without) {
        for (const std::string& label : aggregate.grouping) {
          Bar(label, &key);
        }
        Bar(std::string(kMetricName), &key);
      } else {
        KeepOnly(aggregate.grouping, &key);
      }
    }
    Read(*aggregate.expr, std::move(key));
  }

  void ReadBinary(const promql::BinaryExpr& binary, PartitionKey key) {
    if (binary.lhs->type == ValueType::kVector && binary.rhs->type == ValueType::kVector) {
      const promql::VectorMatching matching = binary.matching.value_or(promql::VectorMatching{});
      if (matching.on) {
        KeepOnly(matching.labels, &key);
      } else {
        for (const std::string& label : matching.labels) {
          Bar(label, &key);
        }
        Bar(std::string(kMetricName), &key);
      }
    }
    Read(*binary.lhs, key);
    Read(*binary.rhs, std::move(key));
  }

  void ReadCall(const promql::Call& call, PartitionKey key) {
    switch (call.function->id) {
      case FunctionId::kAbsent:
      case FunctionId::kAbsentOverTime:
      case FunctionId::kScalar:
        KeepOnly({}, &key);  // whether there is none, or one, only all partitions know
        break;
      case FunctionId::kVector:
        KeepOnly({}, &key);  // it would come out of every partition
        Meet(key);
        return;
      case FunctionId::kHistogramQuantile:
      case FunctionId::kHistogramQuantiles:
      case FunctionId::kHistogramFraction:
        Bar("le", &key);
        break;
      case FunctionId::kInfo:
        KeepOnly({"instance", "job"}, &key);
        Read(*call.args[0], key);
        Meet(key);
        return;
      case FunctionId::kLabelReplace:
      case FunctionId::kLabelJoin:
        // Above it the label has a made-up value.
        if (!IsFree(key) && call.args.size() > 1) {
          const Expr& label = promql::Unparen(*call.args[1]);
          Bar(label.kind == ExprKind::kString ? As<promql::StringLiteral>(label).value : std::string(), &key);
        }
        break;
      default:
        break;
    }
    for (const promql::ExprPtr& arg : call.args) {
      Read(*arg, key);
    }
  }

  const RecordedExprs& recorded_;
  std::set<std::string> read_;
  PartitionKey result_;
};

std::string Listed(const std::set<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) {
    text += (text.empty() ? "" : ", ") + label;
  }
  return text;
}

}  // namespace

std::string PartitionKey::ToString() const {
  if (only) {
    return only->empty()       ? "none: needs all partitions"
           : only->size() == 1 ? Listed(*only)
                               : Listed(*only) + " (all of them or some)";
  }
  return barred.empty() ? "any: purely per series" : "any labels but " + Listed(barred);
}

PartitionKey PartitionKeyOf(const promql::Expr& expr, const RecordedExprs& recorded) {
  KeyReader reader(recorded);
  reader.Read(expr, {});
  return reader.Take();
}

}  // namespace weir::engine
