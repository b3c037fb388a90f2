// What explain says, against the texts of explain_cases.txt; its figures, against what an engine really keeps.

#include "core/engine/explain.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/promql/parser.h"

namespace weir::engine {
namespace {

promql::ExprPtr Parse(const std::string& text) {
  auto outcome = promql::ParseExpr(text, promql::ParserOptions::All());
  EXPECT_TRUE(outcome.expr) << text;
  return outcome.expr;
}

// A case is `## scraped every MS`, perhaps with ` with state.dir` or ` bounded`, lines `NAME: EXPR` of rules planned together each minute, an empty line, and what is said
// of the last one.
TEST(Explain, SaysWhatTheCasesSay) {
  std::ifstream in("tests/unit/engine/explain_cases.txt");
  ASSERT_TRUE(in.is_open());
  std::string line;
  size_t cases = 0;
  while (std::getline(in, line) && !line.starts_with("## ")) {
  }
  while (in) {
    ASSERT_TRUE(line.starts_with("## scraped every ")) << line;
    ExplainOptions options;
    options.scrape_interval_ms = std::stol(line.substr(17));
    Options engine_options;
    if (line.ends_with(" with state.dir")) {
      engine_options.tape_after_ms = 3600000;
    }
    constexpr double kMaxError = 1.0 / 128;
    const double max_error = line.ends_with(" bounded") ? kMaxError : 0;
    Engine engine{engine_options};
    std::vector<std::string> names;
    std::vector<promql::ExprPtr> exprs;
    while (std::getline(in, line) && !line.empty()) {
      const size_t colon = line.find(": ");
      names.push_back(line.substr(0, colon));
      exprs.push_back(Parse(line.substr(colon + 2)));
      Grid grid;
      grid.interval_ms = 60000;
      grid.max_error = max_error;
      ASSERT_TRUE(engine.AddPlan(*exprs.back(), grid).ok()) << line;
    }
    std::string want;
    while (std::getline(in, line) && !line.starts_with("## ")) {
      want += line.empty() ? "" : line + "\n";
    }
    options.name = [&](PlanId plan) { return names[plan]; };
    const auto last = static_cast<PlanId>(names.size() - 1);
    EXPECT_EQ(Explain(engine.Facts({&last, 1}).front(), *exprs.back(), options), want) << promql::Print(*exprs.back());
    ++cases;
  }
  EXPECT_GT(cases, 5U);
}

TEST(Explain, PartitionKeys) {
  const std::pair<const char*, const char*> kCases[] = {
      {"rate(x[5m]) * 2 > 1", "any: purely per series"},
      {"x", "any: purely per series"},
      {"label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")", "any: purely per series"},
      {"limit_ratio(0.5, x)", "any: purely per series"},
      {"sum by (job, instance) (x)", "instance, job (all of them or some)"},
      {"sum by (job) (sum by (job, instance) (x))", "job"},
      {"sum by (job) (x) / sum by (job, dc) (y)", "job"},
      {"sum by (job) (label_replace(x, \"job\", \"$1\", \"b\", \"(.*)\"))", "none: needs all partitions"},
      {"sum by (job, dc) (label_join(x, \"job\", \"\", \"b\"))", "dc"},
      {"sum without (cpu) (x)", "any labels but __name__, cpu"},
      {"x / y", "any labels but __name__"},
      {"x / on (job) group_left y", "job"},
      {"x * ignoring (cpu) y", "any labels but __name__, cpu"},
      {"sum by (job) (x) or on () y", "none: needs all partitions"},
      {"sum(x)", "none: needs all partitions"},
      {"topk by (job) (3, x)", "job"},
      {"count_values(\"v\", x)", "none: needs all partitions"},
      {"histogram_quantile(0.9, x_bucket)", "any labels but le"},
      {"histogram_quantile(0.9, sum by (le, job) (rate(x_bucket[5m])))", "job"},
      {"absent(x)", "none: needs all partitions"},
      {"x / scalar(y)", "none: needs all partitions"},
      {"x or vector(0)", "none: needs all partitions"},
      {"info(x)", "instance, job (all of them or some)"},
      {"max_over_time(sum by (job) (x)[5m:1m])", "job"},
  };
  for (const auto& [expr, want] : kCases) {
    EXPECT_EQ(PartitionKeyOf(*Parse(expr)).ToString(), want) << expr;
  }
}

TEST(Explain, PartitionKeysOfWhatReadsRecordedSeries) {
  const RecordedExprs recorded = {{"job:x", {Parse("sum by (job, dc) (x)")}},
                                  {"dc:x", {Parse("sum by (dc) (job:x)")}},
                                  {"loop", {Parse("max by (job) (loop) or job:x")}}};
  EXPECT_EQ(PartitionKeyOf(*Parse("job:x * 2"), recorded).ToString(), "dc, job (all of them or some)");
  EXPECT_EQ(PartitionKeyOf(*Parse("rate(dc:x[5m])"), recorded).ToString(), "dc");
  EXPECT_EQ(PartitionKeyOf(*Parse("sum by (job) (job:x)"), recorded).ToString(), "job");
  EXPECT_EQ(PartitionKeyOf(*Parse("loop"), recorded).ToString(), "job");
  EXPECT_EQ(PartitionKeyOf(*Parse("y"), recorded).ToString(), "any: purely per series");
}

// No series ever keeps more than explain says, and the figure is no idle one.
TEST(Explain, FiguresBoundWhatIsKept) {
  for (const char* text : {"x", "x offset 150s", "rate(x[5m])", "rate(x[330s])", "increase(x[5m] offset 90s)",
                           "irate(x[5m])", "changes(x[7m])", "increase(x[5m] anchored)", "sum_over_time(x[10m])",
                           "sum_over_time(x[2h])", "max_over_time(x[130m] offset 45s)", "deriv(x[2h])",
                           "quantile_over_time(0.5, x[20m])", "rate(x[5m] smoothed)", "x smoothed"}) {
    for (const int64_t scrape_ms : {1000, 15000, 90000}) {
      SCOPED_TRACE(std::string(text) + " at " + std::to_string(scrape_ms));
      Engine engine{Options{}};
      Grid grid;
      grid.interval_ms = 60000;
      const PlanId plan = *engine.AddPlan(*Parse(text), grid);
      const PlanFacts facts = engine.Facts({&plan, 1}).front();
      ASSERT_EQ(facts.windows.size(), 1U);
      const Footprint print = FootprintOf(facts.windows[0], facts.tick_ms, scrape_ms);
      const Labels labels{{"__name__", "x"}};
      const SeriesId x = engine.Intern(engine.labels().InternSet(labels));
      const size_t table = engine.Stats().window_bytes;
      size_t most = 0;
      size_t bytes = 0;
      int64_t tick = 60000;
      for (int64_t t = scrape_ms; t <= 4 * 3600 * 1000; t += scrape_ms) {
        for (; tick < t; tick += 60000) {
          engine.Evaluate(plan, tick);
          engine.Release(tick);
        }
        engine.Append(x, t, static_cast<double>(t));
        if (t > 3 * 3600 * 1000) {
          const SeriesStats stats = engine.Stats();
          most = std::max(most, stats.samples_kept);
          bytes = std::max(bytes, sizeof(Series) + stats.window_bytes - table);
        }
      }
      EXPECT_LE(most, print.records + std::max(print.records / 3, uint64_t{4}));
      EXPECT_GE(most * 2 + 2, print.records);
      // Arrays hold places in reserve, those of panes also the last 33 or more that went.
      const uint64_t reserve =
          print.form == Footprint::Form::kPanes
              ? (66 + 2 * print.panes) * window::Panes::BytesPerPane(facts.windows[0].demand.aggregates)
              : 0;
      EXPECT_LE(bytes, 2 * print.bytes + reserve);
    }
  }
}

}  // namespace
}  // namespace weir::engine
