#pragma once
// How tightly operators bind, in expressions and in the durations within them. Private to this room. Pure functions.

#include "core/promql/lexer.h"

namespace weir::promql {

inline constexpr int kPowPrecedence = 6;

// RETURNS: how tightly a binary operator binds, 0 for any other token.
int Precedence(TokenKind kind);
// The least precedence of the right operand: `^` groups to the right, everything else to the left.
int RightPrecedence(int precedence);
bool IsSign(TokenKind kind);

}  // namespace weir::promql
