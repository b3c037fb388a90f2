#include "core/runtime/rule_notes.h"

#include <algorithm>
#include <utility>

#include "core/engine/annotations.h"
#include "core/model/duration.h"
#include "core/promql/functions.h"

namespace weir::runtime {
namespace {

using promql::As;
using promql::AtKind;
using promql::Expr;
using promql::ExprKind;
using promql::FunctionId;

constexpr std::string_view kByTheTick = "evaluates over what has arrived by the tick";

class Reader {
 public:
  Reader(int64_t now_ms, int64_t lookback_ms, bool by_name)
      : now_ms_(now_ms), lookback_ms_(lookback_ms), by_name_(by_name) {}

  // What an expression is evaluated under.
  struct Around {
    int64_t ahead_ms = 0;     // its time against that of the rule
    bool fixed = false;       // a subquery around it is at a fixed time
    bool subquery = false;    // it is evaluated at the steps of one
    bool histograms = false;  // a histogram function reads it: what it rates may well be native histograms
  };

  void Read(const Expr& expr, Around around) {
    switch (expr.kind) {
      case ExprKind::kVectorSelector:
        ReadSelector(As<promql::VectorSelector>(expr), expr, around);
        break;
      case ExprKind::kMatrixSelector:
        ReadSelector(*As<promql::MatrixSelector>(expr).selector, expr, around);
        break;
      case ExprKind::kSubquery: {
        const auto& subquery = As<promql::SubqueryExpr>(expr);
        ReadTime(subquery.time, 0, expr, &around);
        around.subquery = true;
        Read(*subquery.expr, around);
        break;
      }
      case ExprKind::kCall:
        ReadCall(As<promql::Call>(expr), around);
        break;
      case ExprKind::kAggregate:
        Read(*As<promql::AggregateExpr>(expr).expr, around);
        if (As<promql::AggregateExpr>(expr).param) {
          Read(*As<promql::AggregateExpr>(expr).param, around);
        }
        break;
      case ExprKind::kBinary:
        Read(*As<promql::BinaryExpr>(expr).lhs, around);
        Read(*As<promql::BinaryExpr>(expr).rhs, around);
        break;
      case ExprKind::kUnary:
        Read(*As<promql::UnaryExpr>(expr).expr, around);
        break;
      case ExprKind::kParen:
        Read(*As<promql::ParenExpr>(expr).expr, around);
        break;
      case ExprKind::kNumber:
      case ExprKind::kString:
        break;
    }
  }
  std::vector<RuleNote> Take() { return std::move(notes_); }

 private:
  void Note(const Expr& expr, std::string text) {
    const auto offset = static_cast<size_t>(std::max(expr.pos.start, 0));
    if (std::none_of(notes_.begin(), notes_.end(), [&](const RuleNote& n) { return n.text == text; })) {
      notes_.push_back({offset, std::move(text)});
    }
  }

  // Moves `around` by the modifiers. `beyond_ms`: how far behind its end the part reads besides.
  void ReadTime(const promql::TimeModifiers& time, int64_t beyond_ms, const Expr& expr, Around* around) {
    if (time.at == AtKind::kTime) {
      around->fixed = true;
      const int64_t last_ms = time.at_ms - time.offset_ms + beyond_ms;
      const std::string when = FormatRfc3339(time.at_ms);
      Note(expr,
           last_ms > now_ms_
               ? "reads the fixed time " + when + ", which is still to come: until then it " + std::string(kByTheTick) +
                     ", from then on its value stays"
               : "reads the fixed time " + when +
                     ": its value never changes, and of samples from before weir began to keep them it knows nothing");
      return;
    }
    around->ahead_ms = (time.at == AtKind::kNone ? around->ahead_ms : 0) - time.offset_ms;
    const int64_t past_ms = around->ahead_ms + beyond_ms;
    if (around->fixed || past_ms <= 0) {
      return;
    }
    Note(expr, std::string(beyond_ms > 0 ? "smoothed reads up to " : "reads ") + FormatDurationMs(past_ms) +
                   " past its evaluation time: " + std::string(kByTheTick) +
                   (around->subquery ? "; the subquery is evaluated anew at every tick, all its steps" : ""));
  }

  void ReadSelector(const promql::VectorSelector& selector, const Expr& expr, Around around) {
    ReadTime(selector.time, selector.smoothed ? lookback_ms_ : 0, expr, &around);
  }

  void ReadCall(const promql::Call& call, Around around) {
    const FunctionId id = call.function->id;
    around.histograms = around.histograms || call.function->name.starts_with("histogram_");
    if ((id == FunctionId::kRate || id == FunctionId::kIncrease) && by_name_ && !around.histograms) {
      const std::string name = NameOf(*call.args[0]);
      if (!name.empty() && !engine::annotations::LooksLikeCounter(name)) {
        Note(*call.args[0], engine::annotations::PossibleNonCounter(name));
      }
    }
    for (const promql::ExprPtr& arg : call.args) {
      Read(*arg, around);
    }
  }

  // RETURNS: the one metric name that a range has, "" if it is not known.
  static std::string NameOf(const Expr& range) {
    const Expr* inner = &promql::Unparen(range);
    if (inner->kind == ExprKind::kSubquery) {
      inner = &promql::Unparen(*As<promql::SubqueryExpr>(*inner).expr);
    } else if (inner->kind == ExprKind::kMatrixSelector) {
      inner = As<promql::MatrixSelector>(*inner).selector.get();
    }
    if (inner->kind != ExprKind::kVectorSelector) {
      return {};
    }
    for (const Matcher& m : As<promql::VectorSelector>(*inner).matchers) {
      if (m.name() == kMetricName && m.type() == MatchType::kEqual) {
        return m.value();
      }
    }
    return {};
  }

  int64_t now_ms_;
  int64_t lookback_ms_;
  bool by_name_;
  std::vector<RuleNote> notes_;
};

}  // namespace

std::vector<RuleNote> RuleNotes(const promql::Expr& expr, int64_t now_ms, int64_t lookback_ms, bool by_name) {
  Reader reader(now_ms, lookback_ms, by_name);
  reader.Read(expr, {});
  return reader.Take();
}

}  // namespace weir::runtime
