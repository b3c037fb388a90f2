#pragma once
// Binary operators over spans (trigger.h): what comes of two operands, which must be right, and what the operands are best asked
// to keep to so that the result keeps to something, which is only a proposal.

#include "core/engine/trigger.h"
#include "core/promql/ast.h"

namespace weir::engine {

// One operand: what it may be when no sample crosses, and whether it is a constant.
struct SpanOperand {
  Span reach;
  bool fixed = false;
};

// RETURNS: what `l op r` of two floats may be where both are present; for comparisons that filter, l where it holds. `bools`: 0 or 1.
Span SpanOf(promql::BinaryOp op, bool bools, const Span& l, const Span& r);
// Narrows nothing yet: sets what the operands are to keep to for `l op r` to keep to `keep`.
void SplitKeep(promql::BinaryOp op, bool bools, const Span& keep, const SpanOperand& l, const SpanOperand& r,
               Span* keep_l, Span* keep_r);
// RETURNS: `b` such that a op b is what b Mirrored(op) a is, for comparisons.
promql::BinaryOp Mirrored(promql::BinaryOp op);

}  // namespace weir::engine
