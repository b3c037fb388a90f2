#include "core/promql/label_reader.h"

#include "core/promql/literals.h"
#include "core/promql/repair.h"

namespace weir::promql {

bool IsMetricName(TokenKind kind) {
  switch (kind) {
    case TokenKind::kIdentifier:
    case TokenKind::kMetricIdentifier:
    case TokenKind::kAnd:
    case TokenKind::kOr:
    case TokenKind::kUnless:
    case TokenKind::kOffset:
    case TokenKind::kSmoothed:
    case TokenKind::kAnchored:
    case TokenKind::kBy:
    case TokenKind::kWithout:
    case TokenKind::kFill:
    case TokenKind::kFillLeft:
    case TokenKind::kFillRight:
      return true;
    default:
      return IsAggregation(kind) || kind >= TokenKind::kStart;
  }
}

void LabelReader::AddMatcher(PositionRange pos, MatchType type, std::string name, std::string value,
                             std::vector<Matcher>* matchers) {
  Result<Matcher> matcher = Matcher::Create(type, std::move(name), std::move(value));
  if (!matcher.ok()) {
    Error(pos, std::string(matcher.status().message()));
    return;
  }
  matchers->push_back(std::move(*matcher));
}

bool LabelReader::ReadMatcher(std::vector<Matcher>* matchers) {
  const Token name = Take();
  if (name.kind != TokenKind::kIdentifier && name.kind != TokenKind::kString) {
    return false;  // the caller looked
  }
  const bool quoted = name.kind == TokenKind::kString;
  const std::string label = quoted ? Unquote(name.text) : std::string(name.text);
  MatchType type = MatchType::kEqual;
  switch (Peek().kind) {
    case TokenKind::kEqual:
      break;
    case TokenKind::kNotEqual:
      type = MatchType::kNotEqual;
      break;
    case TokenKind::kEqualRegex:
      type = MatchType::kRegex;
      break;
    case TokenKind::kNotEqualRegex:
      type = MatchType::kNotRegex;
      break;
    default:
      if (!quoted) {
        return FailIn({"label matching", "label matching operator"});
      }
      AddMatcher(name.range(), MatchType::kEqual, std::string(kMetricName), label, matchers);
      return true;
  }
  Take();
  if (!At(TokenKind::kString)) {
    return FailIn({"label matching", "string"}, RepairBareWord(Peek(), "\"", "\""));
  }
  const Token value = Take();
  AddMatcher({name.pos, value.range().end}, type, label, Unquote(value.text), matchers);
  return true;
}

bool LabelReader::ReadMatchers(std::vector<Matcher>* matchers) {
  Take();  // {
  if (Accept(TokenKind::kRightBrace)) {
    return true;
  }
  for (;;) {
    if (!At(TokenKind::kIdentifier) && !At(TokenKind::kString)) {
      return FailIn({"label matching", "identifier or \"}\""});
    }
    if (!ReadMatcher(matchers)) {
      return false;
    }
    const bool comma = Accept(TokenKind::kComma);
    if (Accept(TokenKind::kRightBrace)) {
      return true;
    }
    if (!comma) {
      return FailIn({"label matching", "\",\" or \"}\""});
    }
  }
}

bool LabelReader::ReadLabel(std::vector<Label>* labels) {
  const Token name = Take();
  const bool quoted = name.kind == TokenKind::kString;
  const std::string label = quoted ? Unquote(name.text) : std::string(name.text);
  if (!At(TokenKind::kEqual)) {
    if (!quoted) {
      return FailIn({"label set", "\"=\""});
    }
    labels->push_back({std::string(kMetricName), label});
    return true;
  }
  Take();
  if (!At(TokenKind::kString)) {
    return FailIn({"label set", "string"});
  }
  labels->push_back({label, Unquote(Take().text)});
  return true;
}

bool LabelReader::ReadLabels(std::vector<Label>* labels) {
  Take();  // {
  if (Accept(TokenKind::kRightBrace)) {
    return true;
  }
  for (;;) {
    if (!At(TokenKind::kIdentifier) && !At(TokenKind::kString)) {
      return FailIn({"label set", "identifier or \"}\""});
    }
    if (!ReadLabel(labels)) {
      return false;
    }
    const bool comma = Accept(TokenKind::kComma);
    if (Accept(TokenKind::kRightBrace)) {
      return true;
    }
    if (!comma) {
      return FailIn({"label set", "\",\" or \"}\""});
    }
  }
}

}  // namespace weir::promql
