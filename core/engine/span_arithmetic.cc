#include "core/engine/span_arithmetic.h"

#include <algorithm>
#include <utility>

namespace weir::engine {
namespace {

using promql::BinaryOp;
using promql::IsComparison;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Above(double v) { return std::nextafter(v, kInfinity); }
double Below(double v) { return std::nextafter(v, -kInfinity); }

Span Numbers() { return {-kInfinity, kInfinity, false, true}; }

// The hull of the results at the corners of two boxes; right for operators that are monotonous in either operand there.
template <typename F>
Span Corners(const Span& l, const Span& r, F f) {
  Span out = Span::Nothing();
  for (const double a : {l.lo, l.hi}) {
    for (const double b : {r.lo, r.hi}) {
      out.Add(f(a, b));
    }
  }
  return out.nan ? Numbers() : out;
}

Span Quotient(const Span& l, const Span& r) {
  if (r.lo > 0 || r.hi < 0) {
    return Corners(l, r, [](double a, double b) { return a / b; });
  }
  if (r.lo < 0 || l.lo < 0) {
    return Numbers();
  }
  Span out = Span::Nothing();
  out.nan = l.lo == 0 || (l.hi == kInfinity && r.hi == kInfinity);
  if (l.hi > 0) {
    out.Add(-kInfinity);  // of a negative zero
    out.Add(kInfinity);
  } else {
    out.Add(0.0);
  }
  return out;
}

Span Arithmetic(BinaryOp op, const Span& l, const Span& r) {
  if (!l.numbers() || !r.numbers()) {
    Span out = Span::Nothing();
    out.nan = l.present() && r.present();
    return op == BinaryOp::kPow && out.nan ? Numbers() : out;
  }
  Span out = Numbers();
  switch (op) {
    case BinaryOp::kAdd:
      out = Corners(l, r, [](double a, double b) { return a + b; });
      break;
    case BinaryOp::kSub:
      out = Corners(l, r, [](double a, double b) { return a - b; });
      break;
    case BinaryOp::kMul:
      out = Corners(l, r, [](double a, double b) { return a * b; });
      break;
    case BinaryOp::kDiv:
      out = Quotient(l, r);
      break;
    default:
      break;
  }
  out.nan = out.nan || l.nan || r.nan;
  return out;
}

// Whether a comparison may hold, and whether it may not.
struct Truth {
  bool yes;
  bool no;
};

Truth Compared(BinaryOp op, const Span& l, const Span& r) {
  const bool numbers = l.numbers() && r.numbers();
  const bool nan = (l.nan && r.present()) || (r.nan && l.present());
  Truth out{false, nan};
  if (numbers) {
    switch (op) {
      case BinaryOp::kGt:
        out = {l.hi > r.lo, nan || l.lo <= r.hi};
        break;
      case BinaryOp::kGe:
        out = {l.hi >= r.lo, nan || l.lo < r.hi};
        break;
      case BinaryOp::kLt:
        out = {l.lo < r.hi, nan || l.hi >= r.lo};
        break;
      case BinaryOp::kLe:
        out = {l.lo <= r.hi, nan || l.hi > r.lo};
        break;
      case BinaryOp::kEq:
        out = {l.hi >= r.lo && l.lo <= r.hi, nan || l.lo != l.hi || r.lo != r.hi || l.lo != r.lo};
        break;
      default: {
        const bool same = l.lo == l.hi && r.lo == r.hi && l.lo == r.lo;
        out = {!same, l.hi >= r.lo && l.lo <= r.hi};
      }
    }
  }
  out.yes = out.yes || (op == BinaryOp::kNe && nan);
  return out;
}

// What keeps l below r; `strictly`: not equal either.
void KeepBelow(bool strictly, const SpanOperand& l, const SpanOperand& r, Span* keep_l, Span* keep_r) {
  double between = l.fixed ? l.reach.hi : r.fixed ? r.reach.lo : l.reach.hi / 2 + r.reach.lo / 2;
  if (!std::isfinite(between)) {
    between = std::isfinite(r.reach.lo) ? r.reach.lo : l.reach.hi;
  }
  if (strictly && l.fixed) {
    between = Above(between);
  }
  keep_l->hi = strictly ? Below(between) : between;
  keep_r->lo = between;
}

void KeepComparison(BinaryOp op, bool truth, const SpanOperand& l, const SpanOperand& r, Span* keep_l, Span* keep_r) {
  switch (op) {
    case BinaryOp::kGt:
      truth ? KeepBelow(true, r, l, keep_r, keep_l) : KeepBelow(false, l, r, keep_l, keep_r);
      break;
    case BinaryOp::kGe:
      truth ? KeepBelow(false, r, l, keep_r, keep_l) : KeepBelow(true, l, r, keep_l, keep_r);
      break;
    case BinaryOp::kLt:
      truth ? KeepBelow(true, l, r, keep_l, keep_r) : KeepBelow(false, r, l, keep_r, keep_l);
      break;
    case BinaryOp::kLe:
      truth ? KeepBelow(false, l, r, keep_l, keep_r) : KeepBelow(true, r, l, keep_r, keep_l);
      break;
    default:
      if ((op == BinaryOp::kEq) == truth) {
        keep_l->lo = keep_r->lo = std::max(l.reach.lo, r.reach.lo);
        keep_l->hi = keep_r->hi = std::min(l.reach.hi, r.reach.hi);
      } else if (l.reach.hi < r.reach.lo) {
        KeepBelow(true, l, r, keep_l, keep_r);
      } else {
        KeepBelow(true, r, l, keep_r, keep_l);
      }
  }
  // NaN makes every comparison but `!=` false.
  keep_l->nan = keep_r->nan = truth == (op == BinaryOp::kNe);
}

void SplitComparison(BinaryOp op, bool bools, const Span& keep, const SpanOperand& l, const SpanOperand& r,
                     Span* keep_l, Span* keep_r) {
  const auto keep_to = [&](bool truth) {
    KeepComparison(op, truth, l, r, keep_l, keep_r);
    keep_l->absent = keep_r->absent = keep.absent;
  };
  if (bools) {
    const bool zero = keep.lo <= 0 && keep.hi >= 0;
    const bool one = keep.lo <= 1 && keep.hi >= 1;
    if (zero && one) {
      keep_l->absent = keep_r->absent = keep.absent;
    } else if (zero || one) {
      keep_to(one);
    } else {
      *keep_l = *keep_r = Span::Nothing();
    }
    return;
  }
  const Truth now = Compared(op, l.reach, r.reach);
  if (keep.absent && (!keep.present() || !now.yes)) {
    keep_to(false);
    return;
  }
  if (!keep.absent) {
    keep_to(true);
  }
  keep_l->Restrict({keep.lo, keep.hi, keep_l->absent, keep.nan});
}

void SplitSum(const Span& keep, const SpanOperand& l, const SpanOperand& r, Span* keep_l, Span* keep_r) {
  const double share = l.fixed ? 0 : r.fixed ? 1 : 0.5;  // of the room, for l
  const auto room = [&](double limit, double a, double b) {
    const double left = limit - (a + b);
    const double rounding = (std::fabs(a) + std::fabs(b) + std::fabs(limit)) * 4e-16;
    return left > rounding ? left - rounding : left < -rounding ? left + rounding : 0;
  };
  if (std::isfinite(keep.hi)) {
    const double up = room(keep.hi, l.reach.hi, r.reach.hi);
    keep_l->hi = l.reach.hi + std::max(0.0, up) * share;
    keep_r->hi = r.reach.hi + std::max(0.0, up) * (1 - share);
  }
  if (std::isfinite(keep.lo)) {
    const double down = room(keep.lo, l.reach.lo, r.reach.lo);
    keep_l->lo = l.reach.lo + std::min(0.0, down) * share;
    keep_r->lo = r.reach.lo + std::min(0.0, down) * (1 - share);
  }
}

// Of a product with, or quotient by, a constant: the other operand's bounds, a little inside.
void SplitScaled(const Span& keep, double factor, const Span& reach, Span* keep_it) {
  if (factor == 0 || !std::isfinite(factor)) {
    return;
  }
  double lo = keep.lo / factor;
  double hi = keep.hi / factor;
  if (factor < 0) {
    std::swap(lo, hi);
  }
  constexpr double kInside = 4e-16;
  keep_it->lo = std::isfinite(lo) ? std::min(lo + std::fabs(lo) * kInside, std::max(lo, reach.lo)) : lo;
  keep_it->hi = std::isfinite(hi) ? std::max(hi - std::fabs(hi) * kInside, std::min(hi, reach.hi)) : hi;
}

// RETURNS: false where nothing is proposed.
bool SplitProduct(const Span& keep, const SpanOperand& l, const SpanOperand& r, Span* keep_l, Span* keep_r) {
  if (l.fixed || r.fixed) {
    SplitScaled(keep, l.fixed ? l.reach.lo : r.reach.lo, l.fixed ? r.reach : l.reach, l.fixed ? keep_r : keep_l);
    return true;
  }
  if (l.reach.lo < 0 || r.reach.lo < 0) {
    return false;
  }
  constexpr double kInside = 1 - 1e-15;
  keep_l->lo = keep_r->lo = 0;
  if (keep.lo > 0) {
    const double room = std::sqrt(std::max(1.0, l.reach.lo * r.reach.lo / keep.lo * kInside));
    keep_l->lo = l.reach.lo / room;
    keep_r->lo = r.reach.lo / room;
  }
  if (keep.hi < kInfinity) {
    const double most = l.reach.hi * r.reach.hi;
    if (most > 0) {
      const double room = std::sqrt(std::max(1.0, keep.hi / most * kInside));
      keep_l->hi = l.reach.hi * room;
      keep_r->hi = r.reach.hi * room;
    } else {
      Span* zero = l.reach.hi == 0 ? keep_l : keep_r;
      Span* other = zero == keep_l ? keep_r : keep_l;
      other->hi = 2 * std::max(l.reach.hi, r.reach.hi);
      zero->hi = other->hi > 0 ? keep.hi / other->hi * kInside : 0;
      other->hi = other->hi > 0 ? other->hi : kInfinity;
    }
  }
  return true;
}

bool SplitQuotient(const Span& keep, const SpanOperand& l, const SpanOperand& r, Span* keep_l, Span* keep_r) {
  if (r.fixed && r.reach.lo != 0) {
    SplitScaled(keep, 1 / r.reach.lo, l.reach, keep_l);
    return true;
  }
  if (l.reach.lo < 0 || r.reach.lo < 0) {
    return false;
  }
  constexpr double kInside = 1 - 1e-15;
  // Counters in windows cannot fall by a sample: what they can fall is in their reach already.
  const auto given = [](const SpanOperand& operand, double room) {
    return operand.fixed || operand.reach.lo != operand.reach.hi ? 1 : std::sqrt(room);
  };
  keep_l->lo = 0;
  keep_r->lo = 0;
  if (keep.hi < kInfinity) {
    if (r.reach.lo > 0) {
      const double room = l.reach.hi > 0 ? std::max(1.0, keep.hi * r.reach.lo / l.reach.hi) : 4;
      keep_r->lo = l.fixed ? std::min(r.reach.lo, l.reach.hi / keep.hi / kInside) : r.reach.lo / given(r, room);
      keep_l->hi = std::max(l.reach.hi, keep.hi * keep_r->lo * kInside);
    } else {
      keep_l->hi = 0;  // 0/0 is NaN, and 0 of anything else is 0
    }
  }
  if (keep.lo > 0) {
    const double room = std::max(1.0, l.reach.lo / (r.reach.hi * keep.lo));
    keep_r->hi = r.reach.hi * given(r, room);
    keep_l->lo = std::min(l.reach.lo, keep.lo * keep_r->hi / kInside);
  }
  return true;
}

}  // namespace

Span SpanOf(BinaryOp op, bool bools, const Span& l, const Span& r) {
  if (!IsComparison(op)) {
    return Arithmetic(op, l, r);
  }
  const Truth truth = Compared(op, l, r);
  Span out = Span::Nothing();
  if (bools) {
    if (truth.yes) {
      out.Add(1.0);
    }
    if (truth.no) {
      out.Add(0.0);
    }
    return out;
  }
  out.absent = truth.no;
  if (truth.yes) {
    out.lo = l.lo;
    out.hi = l.hi;
    out.nan = op == BinaryOp::kNe && l.nan;
    if (op == BinaryOp::kGt || op == BinaryOp::kGe || op == BinaryOp::kEq) {
      out.lo = std::max(out.lo, r.lo);
    }
    if (op == BinaryOp::kLt || op == BinaryOp::kLe || op == BinaryOp::kEq) {
      out.hi = std::min(out.hi, r.hi);
    }
  }
  return out;
}

void SplitKeep(BinaryOp op, bool bools, const Span& keep, const SpanOperand& l, const SpanOperand& r, Span* keep_l,
               Span* keep_r) {
  *keep_l = *keep_r = Span::Any();
  if (keep.any()) {
    return;
  }
  if (keep.nothing()) {
    *keep_l = *keep_r = Span::Nothing();
    return;
  }
  // An operand that is absent and stays so is enough.
  if (keep.absent && (!l.reach.present() || !r.reach.present())) {
    *(l.reach.present() ? keep_r : keep_l) = Span::Absent();
    return;
  }
  if (IsComparison(op)) {
    SplitComparison(op, bools, keep, l, r, keep_l, keep_r);
    return;
  }
  bool proposed = keep.numbers();
  if (op == BinaryOp::kAdd) {
    SplitSum(keep, l, r, keep_l, keep_r);
  } else if (op == BinaryOp::kSub) {
    const SpanOperand negative{{-r.reach.hi, -r.reach.lo, r.reach.absent, r.reach.nan}, r.fixed};
    SplitSum(keep, l, negative, keep_l, keep_r);
    *keep_r = {-keep_r->hi, -keep_r->lo, true, true};
  } else if (op == BinaryOp::kMul) {
    proposed = proposed && SplitProduct(keep, l, r, keep_l, keep_r);
  } else if (op == BinaryOp::kDiv) {
    proposed = proposed && SplitQuotient(keep, l, r, keep_l, keep_r);
  } else {
    proposed = false;
  }
  if (!proposed) {
    *keep_l = *keep_r = Span::Nothing();
    return;
  }
  keep_l->absent = keep_r->absent = keep.absent;
  keep_l->nan = keep_r->nan = keep.nan;
}

BinaryOp Mirrored(BinaryOp op) {
  switch (op) {
    case BinaryOp::kGt:
      return BinaryOp::kLt;
    case BinaryOp::kGe:
      return BinaryOp::kLe;
    case BinaryOp::kLt:
      return BinaryOp::kGt;
    case BinaryOp::kLe:
      return BinaryOp::kGe;
    default:
      return op;
  }
}

}  // namespace weir::engine
