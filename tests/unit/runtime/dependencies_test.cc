#include "core/runtime/dependencies.h"

#include "tests/unit/runtime/pipeline_fixture.h"

namespace weir::runtime {
namespace {

constexpr int64_t kHour = 3600000;
constexpr int64_t kLookback = 300000;

TEST(Dependencies, GroupsComeAfterThoseTheyRead) {
  const std::vector<rules::GroupDefinition> groups = {
      MakeGroup("alerts", {MakeRule("A", "level2 > 1", true)}),
      MakeGroup("second", {MakeRule("level2", "sum(level1)")}),
      MakeGroup("free", {MakeRule("f", "x")}),
      MakeGroup("first", {MakeRule("level1", "x")}),
      MakeGroup("meta", {MakeRule("m", "count(ALERTS)")}),
  };
  EXPECT_EQ(OrderGroups(groups), (std::vector<size_t>{3, 1, 0, 2, 4}));
}

TEST(Dependencies, SelectorsWithoutANameAreMatchedAgainstAllNames) {
  const std::vector<rules::GroupDefinition> groups = {
      MakeGroup("reader", {MakeRule("r", R"(count({__name__=~"job:.*"}))")}),
      MakeGroup("writer", {MakeRule("job:x", "x")}),
  };
  EXPECT_EQ(OrderGroups(groups), (std::vector<size_t>{1, 0}));
}

TEST(Dependencies, CirclesKeepFileOrderAndEnd) {
  const std::vector<rules::GroupDefinition> groups = {
      MakeGroup("a", {MakeRule("a", "b")}),
      MakeGroup("b", {MakeRule("b", "a")}),
  };
  EXPECT_EQ(OrderGroups(groups).size(), 2u);
  EXPECT_GT(HistoryMs(groups, kLookback), 0);
}

TEST(Dependencies, HistoryFollowsChainsOfRules) {
  EXPECT_EQ(HistoryMs({MakeGroup("g", {MakeRule("r", "rate(x[1h] offset 2h)")})}, kLookback), 3 * kHour + kMinute);
  EXPECT_EQ(
      HistoryMs({MakeGroup("g", {MakeRule("r", "rate(x[1h])"), MakeRule("s", "avg_over_time(r[6h])")})}, kLookback),
      7 * kHour + 2 * kMinute);
  EXPECT_EQ(HistoryMs({MakeGroup("g", {MakeRule("A", "max_over_time(x[30m:1m]) > 1", true, kHour)})}, kLookback),
            kHour / 2 + kLookback + kMinute + kHour);
}

}  // namespace
}  // namespace weir::runtime
