#include "core/model/relabel.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using enum RelabelAction;

std::string Relabelled(const std::vector<RelabelConfig>& configs, const Labels& labels) {
  const auto made = Relabeler::Create(configs);
  if (!made.ok()) {
    return std::string(made.status().message());
  }
  const auto out = made->Process(labels);
  return out ? out->ToString() : "dropped";
}

struct Row {
  RelabelConfig config;
  const char* want;
};

TEST(Relabel, EveryAction) {
  const Labels in{{"__name__", "m"}, {"a", "foo"}, {"b", "BAR"}, {"c", "foo"}};
  const Row rows[] = {
      {{.source_labels = {"a"}, .target_label = "d", .regex = "f(.*)", .replacement = "ch${1}-ch$1"},
       R"(m{a="foo", b="BAR", c="foo", d="choo-choo"})"},
      {{.source_labels = {"a", "b"}, .target_label = "d", .regex = "f(.*);(?P<rest>.*)r"},
       R"(m{a="foo", b="BAR", c="foo"})"},
      {{.source_labels = {"a", "b"},
        .target_label = "d",
        .regex = "f(.*);(?P<rest>.*)R",
        .replacement = "$rest-$1x-$$-$"},
       R"(m{a="foo", b="BAR", c="foo", d="BA--$-$"})"},
      {{.source_labels = {"a"}, .target_label = "$1", .regex = "f(o+)", .replacement = "x"},
       R"(m{a="foo", b="BAR", c="foo", oo="x"})"},
      {{.source_labels = {"a"}, .target_label = "b", .regex = "foo", .replacement = ""}, R"(m{a="foo", c="foo"})"},
      {{.source_labels = {"a"}, .target_label = "$2", .regex = "f(o+)", .replacement = "x"},
       R"(m{a="foo", b="BAR", c="foo"})"},
      {{.target_label = "d", .replacement = "static"}, R"(m{a="foo", b="BAR", c="foo", d="static"})"},
      {{.source_labels = {"a"}, .regex = "fo", .action = kKeep}, "dropped"},
      {{.source_labels = {"a"}, .regex = "fo+", .action = kKeep}, R"(m{a="foo", b="BAR", c="foo"})"},
      {{.source_labels = {"a"}, .regex = "fo+", .action = kDrop}, "dropped"},
      {{.source_labels = {"a"}, .regex = "o", .action = kDrop}, R"(m{a="foo", b="BAR", c="foo"})"},
      {{.source_labels = {"missing"}, .regex = "", .action = kDrop}, "dropped"},
      {{.source_labels = {"a", "c"}, .separator = "", .target_label = "d", .modulus = 1000, .action = kHashMod},
       R"(m{a="foo", b="BAR", c="foo", d="328"})"},
      {{.regex = "(b|c)", .replacement = "bar_${1}", .action = kLabelMap},
       R"(m{a="foo", b="BAR", bar_b="BAR", bar_c="foo", c="foo"})"},
      {{.regex = "(b.*)", .action = kLabelDrop}, R"(m{a="foo", c="foo"})"},
      {{.regex = "(b.*)", .action = kLabelKeep}, R"({b="BAR"})"},
      {{.source_labels = {"b"}, .target_label = "b", .action = kLowercase}, R"(m{a="foo", b="bar", c="foo"})"},
      {{.source_labels = {"a"}, .target_label = "d", .action = kUppercase}, R"(m{a="foo", b="BAR", c="foo", d="FOO"})"},
      {{.source_labels = {"a"}, .target_label = "c", .action = kKeepEqual}, R"(m{a="foo", b="BAR", c="foo"})"},
      {{.source_labels = {"a"}, .target_label = "b", .action = kKeepEqual}, "dropped"},
      {{.source_labels = {"a"}, .target_label = "c", .action = kDropEqual}, "dropped"},
      {{.source_labels = {"a"}, .target_label = "b", .action = kDropEqual}, R"(m{a="foo", b="BAR", c="foo"})"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Relabelled({row.config}, in), row.want) << row.config.regex;
  }
}

TEST(Relabel, RulesRunInOrderAndADropEndsThem) {
  const RelabelConfig copy{.source_labels = {"a"}, .target_label = "b"};
  const RelabelConfig drop{.source_labels = {"b"}, .regex = "x", .action = kDrop};
  EXPECT_EQ(Relabelled({copy, drop}, {{"a", "x"}}), "dropped");
  EXPECT_EQ(Relabelled({drop, copy}, {{"a", "x"}}), R"({a="x", b="x"})");
}

TEST(Relabel, CaseMapsUtf8) {
  const RelabelConfig upper{.source_labels = {"a"}, .target_label = "a", .action = kUppercase};
  EXPECT_EQ(Relabelled({upper}, {{"a", "\xc3\xa9t\xc3\xa9 \xd0\xb6"}}), "{a=\"\xc3\x89T\xc3\x89 \xd0\x96\"}");
  EXPECT_EQ(Relabelled({upper}, {{"a", "a\xff"}}), "{a=\"A\\xff\"}");
}

TEST(Relabel, RefusesWhatPrometheusRefuses) {
  const Row rows[] = {
      {{.action = kReplace}, "relabel configuration for replace action requires 'target_label' value"},
      {{.target_label = "x", .action = kHashMod}, "relabel configuration for hashmod requires non-zero modulus"},
      {{.target_label = "x\xff"}, "\"x\\xff\" is invalid 'target_label' for replace action"},
      {{.target_label = "x", .replacement = "y", .action = kLowercase},
       "'replacement' can not be set for lowercase action"},
      {{.target_label = "x", .regex = "y", .action = kKeepEqual},
       "keepequal action requires only 'source_labels' and 'target_label', and no other fields"},
      {{.target_label = "x", .action = kLabelDrop}, "labeldrop action requires only 'regex', and no other fields"},
      {{.replacement = "", .action = kLabelMap}, "\"\" is invalid 'replacement' for labelmap action"},
      {{.target_label = "x", .regex = "("}, "error parsing regexp \"(\": missing ): ^(?s:()$"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Relabelled({row.config}, {}), row.want);
  }
  EXPECT_EQ(ParseRelabelAction("LabelMap").value(), kLabelMap);
  EXPECT_EQ(ParseRelabelAction("labelmop").status().message(), "unknown relabel action \"labelmop\"");
}

}  // namespace
}  // namespace weir
