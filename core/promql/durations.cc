// The value of duration expressions.

#include <cmath>

#include "core/promql/ast.h"

namespace weir::promql {
namespace {

using Op = DurationExpr::Op;

double Smaller(double a, double b) { return std::isnan(a) || std::isnan(b) ? std::nan("") : std::min(a, b); }
double Larger(double a, double b) { return std::isnan(a) || std::isnan(b) ? std::nan("") : std::max(a, b); }

Result<double> Seconds(const DurationExpr& expr, double step_s, double range_s) {
  double left = 0;
  double right = 0;
  if (expr.left) {
    WEIR_ASSIGN_OR_RETURN(left, Seconds(*expr.left, step_s, range_s));
  }
  if (expr.right) {
    WEIR_ASSIGN_OR_RETURN(right, Seconds(*expr.right, step_s, range_s));
  }
  switch (expr.op) {
    case Op::kLiteral:
      return expr.seconds;
    case Op::kStep:
      return step_s;
    case Op::kRange:
      return range_s;
    case Op::kAdd:
      return left + right;
    case Op::kSub:
      return left - right;
    case Op::kMul:
      return left * right;
    case Op::kDiv:
      return right == 0 ? Result<double>(InvalidError("division by zero")) : Result<double>(left / right);
    case Op::kMod:
      return right == 0 ? Result<double>(InvalidError("modulo by zero")) : Result<double>(std::fmod(left, right));
    case Op::kPow:
      return std::pow(left, right);
    case Op::kNeg:
      return -right;
    case Op::kPos:
      return right;
    case Op::kMin:
      return Smaller(left, right);
    case Op::kMax:
      return Larger(left, right);
    case Op::kParen:
      return left;
  }
  return InternalError("unknown duration operator");
}

}  // namespace

Result<int64_t> EvalDuration(const DurationExpr& expr, int64_t step_ms, int64_t range_ms) {
  constexpr double kMaxSeconds = 9223372036.854775807;  // int64 nanoseconds, as in Prometheus
  WEIR_ASSIGN_OR_RETURN(const double seconds,
                        Seconds(expr, static_cast<double>(step_ms) / 1000.0, static_cast<double>(range_ms) / 1000.0));
  if (!std::isfinite(seconds)) {
    return InvalidError("duration is NaN or infinite");
  }
  if (std::fabs(seconds) > kMaxSeconds) {
    return InvalidError("duration is out of range");
  }
  return static_cast<int64_t>(seconds * 1000);
}

}  // namespace weir::promql
