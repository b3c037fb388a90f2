#include "core/config/rule_file.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

TEST(RuleFile, ReadsEverything) {
  const auto out = ParseRuleFile("dir/r.yml", R"(groups:
  - name: g
    interval: 30s
    query_offset: 0s
    limit: 7
    labels: {b: group, a: group}
    rules:
      - record: a:b
        expr: sum(b)
        labels: {a: own, z: ""}
      - alert: A
        expr: |
          a:b
            > 1
        for: 5m
        keep_firing_for: 90s
        annotations: {text: 5, none: null}
  - name: h
)");
  ASSERT_EQ(out.errors, std::vector<std::string>());
  EXPECT_EQ(out.file.path, "dir/r.yml");
  ASSERT_EQ(out.file.groups.size(), 2u);
  const RuleGroup& g = out.file.groups[0];
  EXPECT_EQ(g.file, "dir/r.yml");
  EXPECT_EQ(g.where, "dir/r.yml:2:5");
  EXPECT_EQ(g.interval_ms, 30000);
  EXPECT_EQ(g.query_offset_ms, 0);
  EXPECT_EQ(g.limit, 7u);
  EXPECT_EQ(out.file.groups[1].query_offset_ms, std::nullopt);
  EXPECT_EQ(g.labels, (std::vector<Label>{{"a", "group"}, {"b", "group"}}));
  ASSERT_EQ(g.rules.size(), 2u);
  EXPECT_FALSE(g.rules[0].alerting);
  EXPECT_EQ(g.rules[0].name, "a:b");
  EXPECT_EQ(g.rules[0].where, "dir/r.yml:8:9");
  EXPECT_EQ(g.rules[0].expr_where, "dir/r.yml:9:15");
  EXPECT_EQ(promql::Print(*g.rules[0].tree), "sum(b)");
  EXPECT_EQ(MergeLabels(g.labels, g.rules[0].labels), (std::vector<Label>{{"a", "own"}, {"b", "group"}, {"z", ""}}));
  const Rule& alert = g.rules[1];
  EXPECT_TRUE(alert.alerting);
  EXPECT_EQ(alert.expr, "a:b\n  > 1\n");
  EXPECT_EQ(alert.for_ms, 300000);
  EXPECT_EQ(alert.keep_firing_for_ms, 90000);
  EXPECT_EQ(alert.annotations, (std::vector<Label>{{"none", ""}, {"text", "5"}}));
}

TEST(RuleFile, EveryByteOfAnExpressionHasItsPlace) {
  const auto out = ParseRuleFile("r.yml", R"(groups:
  - name: g
    rules:
      - record: a
        expr: |
          a
            + b
)");
  ASSERT_TRUE(out.ok());
  const Rule& rule = out.file.groups[0].rules[0];
  EXPECT_EQ(rule.places.Where(0), "r.yml:6:11");
  EXPECT_EQ(rule.places.Where(rule.expr.find('\n')), "r.yml:6:12");
  EXPECT_EQ(rule.places.Where(rule.expr.find('+')), "r.yml:7:13");
  EXPECT_EQ(rule.places.Where(rule.expr.find('b')), "r.yml:7:15");
}

TEST(RuleFile, WindowsLineEndsAndAByteOrderMarkDoNotMoveAnything) {
  const auto out = ParseRuleFile(
      "r.yml",
      "\xef\xbb\xbfgroups:\r\n- name: g\r\n  rules:\r\n  - record: a\r\n    expr: |\r\n      a +\r\n        b\r\n");
  ASSERT_EQ(out.errors, std::vector<std::string>());
  const Rule& rule = out.file.groups[0].rules[0];
  EXPECT_EQ(rule.expr, "a +\n  b\n");
  EXPECT_EQ(rule.places.Where(rule.expr.find('b')), "r.yml:7:9");
  EXPECT_EQ(out.file.groups[0].where, "r.yml:2:3");
}

TEST(RuleFile, GroupsOfResourcesKeepTheirIdentity) {
  const auto map = ParseRuleFile("cm.yml", R"(apiVersion: v1
kind: ConfigMap
data:
  a.yml: |
    groups: [{name: g, rules: []}]
  b.yml: "groups: [{name: g}]"
)");
  ASSERT_EQ(map.errors, std::vector<std::string>());
  ASSERT_EQ(map.file.groups.size(), 2u);
  EXPECT_EQ(map.file.groups[0].file, "cm.yml/a.yml");
  EXPECT_EQ(map.file.groups[1].file, "cm.yml/b.yml");
  EXPECT_EQ(map.file.groups[1].where, "cm.yml:6:20");
  const auto several = ParseRuleFile("pr.yml", R"(apiVersion: x/v1
kind: PrometheusRule
metadata: {name: one}
spec: {groups: [{name: g}]}
---
apiVersion: x/v1
kind: PrometheusRule
metadata: {name: two}
spec: {groups: [{name: g}]}
)");
  ASSERT_EQ(several.errors, std::vector<std::string>());
  EXPECT_EQ(several.file.groups[0].file, "pr.yml/one");
  EXPECT_EQ(several.file.groups[1].file, "pr.yml/two");
}

TEST(RuleFile, ParserOptionsDecideWhatParses) {
  const std::string text = "groups: [{name: g, rules: [{record: a, expr: 'sum(x) + on() fill(0) y'}]}]";
  EXPECT_FALSE(ParseRuleFile("r.yml", text).ok());
  EXPECT_TRUE(ParseRuleFile("r.yml", text, promql::ParserOptions::All()).ok());
}

TEST(RuleFile, AFixThatIsKnownStandsInTheMessage) {
  const auto out = ParseRuleFile("r.yml", "groups: [{name: g, rules: [{record: a, expr: 'sum(rate(x[5m])'}]}]");
  ASSERT_EQ(out.errors.size(), 1u);
  EXPECT_NE(out.errors[0].find("; did you mean: sum(rate(x[5m]))"), std::string::npos) << out.errors[0];
}

TEST(RuleFile, TenThousandRules) {
  std::string text = "groups:\n- name: g\n  rules:\n";
  for (int i = 0; i < 10000; ++i) {
    text += "  - record: r" + std::to_string(i) +
            "\n    expr: sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))\n";
  }
  const auto out = ParseRuleFile("r.yml", text);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out.file.groups[0].rules.size(), 10000u);
}

TEST(RuleFile, AnAliasBombIsRefused) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int j = 0; j < 9; ++j) {
      text += ", " + last;
    }
    text += "]\n";
  }
  const auto out = ParseRuleFile("r.yml", text);
  ASSERT_EQ(out.errors.size(), 1u);
  EXPECT_NE(out.errors[0].find("more than 5000000 values"), std::string::npos) << out.errors[0];
}

TEST(RuleFile, TheNumberOfProblemsShownIsBounded) {
  std::string text = "groups:\n- name: g\n  rules:\n";
  for (int i = 0; i < 2000; ++i) {
    text += "  - {}\n";
  }
  const auto out = ParseRuleFile("r.yml", text);
  ASSERT_EQ(out.errors.size(), 1001u);
  EXPECT_EQ(out.errors.back(), "more than 1000 problems; the others are not shown");
}

TEST(RuleFile, DeepNestingIsRefused) {
  const auto out = ParseRuleFile("r.yml", "groups: " + std::string(100000, '['));
  EXPECT_EQ(out.errors.size(), 1u);
}

TEST(RuleFile, BytesThatAreNoTextAreRefused) {
  EXPECT_EQ(ParseRuleFile("r.yml", "groups: \xff\n").errors, (std::vector<std::string>{"r.yml:1:9: not UTF-8 text"}));
  EXPECT_EQ(ParseRuleFile("r.yml", "groups: \x04\n").errors,
            (std::vector<std::string>{"r.yml:1:9: control character \"\\x04\" is not allowed in YAML"}));
}

TEST(RuleFile, AFileThatIsNotThereIsNamed) {
  const auto out = LoadRuleFile("does/not/exist.yml");
  ASSERT_EQ(out.errors.size(), 1u);
  EXPECT_NE(out.errors[0].find("does/not/exist.yml"), std::string::npos);
}

}  // namespace
}  // namespace weir::config
