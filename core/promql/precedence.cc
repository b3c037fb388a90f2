#include "core/promql/precedence.h"

namespace weir::promql {

int Precedence(TokenKind kind) {
  switch (kind) {
    case TokenKind::kOr:
      return 1;
    case TokenKind::kAnd:
    case TokenKind::kUnless:
      return 2;
    case TokenKind::kAdd:
    case TokenKind::kSub:
      return 4;
    case TokenKind::kMul:
    case TokenKind::kDiv:
    case TokenKind::kMod:
    case TokenKind::kAtan2:
      return 5;
    case TokenKind::kPow:
      return kPowPrecedence;
    default:
      return kind >= TokenKind::kEqualEqual && kind <= TokenKind::kTrimLower ? 3 : 0;
  }
}

int RightPrecedence(int precedence) { return precedence == kPowPrecedence ? precedence : precedence + 1; }

bool IsSign(TokenKind kind) { return kind == TokenKind::kAdd || kind == TokenKind::kSub; }

}  // namespace weir::promql
