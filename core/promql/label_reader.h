#pragma once
// Reading what stands between braces: matchers of a selector, labels of a metric. Shared by the expression parser and
// the series parser. Private to this room.

#include <string>
#include <vector>

#include "core/model/labels.h"
#include "core/promql/token_reader.h"

namespace weir::promql {

// RETURNS: whether a token of this kind may be a metric's name.
bool IsMetricName(TokenKind kind);

class LabelReader : public TokenReader {
 public:
  using TokenReader::TokenReader;

 protected:
  // `{a="b",c=~"d"}`; the brace is next. RETURNS: false after an error of syntax.
  bool ReadMatchers(std::vector<Matcher>* matchers);
  // `{a="b","name"}`; the brace is next.
  bool ReadLabels(std::vector<Label>* labels);

 private:
  bool ReadMatcher(std::vector<Matcher>* matchers);
  bool ReadLabel(std::vector<Label>* labels);
  void AddMatcher(PositionRange pos, MatchType type, std::string name, std::string value,
                  std::vector<Matcher>* matchers);
};

}  // namespace weir::promql
