// Which alerts have trigger values, and which parts of the others have none: eager_parts.txt.
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "core/engine/engine.h"
#include "core/promql/parser.h"

namespace weir::engine {
namespace {

std::string Verdict(const std::string& expr) {
  Engine engine{Options{}};
  Grid grid;
  grid.interval_ms = 60000;
  grid.between = true;
  const promql::ParseOutcome parsed = promql::ParseExpr(expr, promql::ParserOptions::All());
  if (parsed.expr == nullptr) {
    return "no expression";
  }
  const Result<PlanId> plan = engine.AddPlan(*parsed.expr, grid);
  if (!plan.ok()) {
    return std::string(plan.status().message());
  }
  const BetweenFacts facts = engine.Between(*plan);
  if (!facts.at_ticks_only.empty()) {
    return "at ticks only: " + facts.at_ticks_only;
  }
  std::string parts;
  for (const std::string& part : facts.without_bounds) {
    parts += (parts.empty() ? "" : ", ") + part;
  }
  return parts.empty() ? "at once" : "at any sample: " + parts;
}

// A line is `EXPR => VERDICT`.
TEST(EagerParts, AreThoseOfTheFile) {
  std::ifstream in("tests/unit/engine/eager_parts.txt");
  ASSERT_TRUE(in.is_open());
  size_t at_once = 0;
  size_t others = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') {
      continue;
    }
    const size_t arrow = line.find(" => ");
    ASSERT_NE(arrow, std::string::npos) << line;
    const std::string verdict = Verdict(line.substr(0, arrow));
    EXPECT_EQ(line.substr(arrow + 4), verdict) << line;
    (verdict == "at once" ? at_once : others) += 1;
  }
  EXPECT_GT(at_once, 40u);
  EXPECT_GT(others, 10u);
}

}  // namespace
}  // namespace weir::engine
