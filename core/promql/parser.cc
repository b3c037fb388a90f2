#include "core/promql/parser.h"

#include "core/promql/checker.h"
#include "core/promql/expression_parser.h"

namespace weir::promql {
namespace {

// How many slips of one text are repaired one after the other.
constexpr int kRepairStepsMax = 4;
// Longer texts get no proposals: each one costs a parse. UNITS: bytes.
constexpr size_t kRepairBytesMax = 16 << 10;

ParseOutcome ParseWithRepairs(std::string_view text, const ParserOptions& options, int repairs);

// RETURNS: the first of the changed texts that parses, maybe after more repairs; "" when none does.
std::string Repair(std::string_view text, const std::vector<Edit>& edits, const ParserOptions& options, int repairs) {
  for (const Edit& edit : edits) {
    std::string changed(text.substr(0, static_cast<size_t>(edit.start)));
    changed.append(edit.text).append(text.substr(static_cast<size_t>(edit.end)));
    ParseOutcome outcome = ParseWithRepairs(changed, options, repairs - 1);
    if (outcome.expr) {
      return changed;
    }
    if (!outcome.errors.front().fix.empty()) {
      return outcome.errors.front().fix;
    }
  }
  return "";
}

ParseOutcome ParseWithRepairs(std::string_view text, const ParserOptions& options, int repairs) {
  ExpressionParser parser(text, options);
  ParseOutcome outcome;
  outcome.expr = parser.ParseWhole();
  std::vector<Edit> edits = parser.edits();
  outcome.errors = parser.TakeErrors();
  if (outcome.errors.empty()) {
    CheckResult checked = CheckTypes(text, *outcome.expr, parser.dropped_matching());
    outcome.errors = std::move(checked.errors);
    edits = std::move(checked.edits);
  }
  if (!outcome.errors.empty()) {
    outcome.expr = nullptr;
    if (repairs > 0 && text.size() <= kRepairBytesMax) {
      outcome.errors.front().fix = Repair(text, edits, options, repairs);
    }
  }
  return outcome;
}

}  // namespace

ParseOutcome ParseExpr(std::string_view text, const ParserOptions& options) {
  return ParseWithRepairs(text, options, kRepairStepsMax);
}

Result<std::vector<Matcher>> ParseSelector(std::string_view text) {
  ExpressionParser parser(text, ParserOptions());
  std::vector<Matcher> matchers;
  if (!parser.ParseWholeSelector(&matchers)) {
    return InvalidError(parser.errors().front().ToString());
  }
  return matchers;
}

}  // namespace weir::promql
