// What is refused, when, and with which text.

#include <gtest/gtest.h>

#include "tests/unit/template/expand.h"

namespace weir::tmpl {
namespace {

struct Case {
  const char* text;
  const char* want;
};

TEST(ParseErrors, NameTheTemplateLineAndCause) {
  const Case cases[] = {
      {"{{ foo }}", ":1: function \"foo\" not defined"},
      {"{{ tmpl \"x\" . }}", ":1: function \"tmpl\" not defined"},
      {"{{ $x }}", ":1: undefined variable \"$x\""},
      {"a\nb{{ $x }}", ":2: undefined variable \"$x\""},
      {"{{ if true }}", ":1: unexpected EOF"},
      {"{{ end }}", ":1: unexpected {{end}}"},
      {"{{ else }}", ":1: unexpected {{else}}"},
      {"{{ if true }}{{ else }}{{ else }}{{ end }}", ":1: expected end; found {{else}}"},
      {"{{ if }}x{{ end }}", ":1: missing value for if"},
      {"{{ }}", ":1: missing value for command"},
      {"{{ .Labels.job", ":1: unclosed action"},
      {"{{ \"abc }}", ":1: unterminated quoted string"},
      {"{{ `abc }}", ":1: unterminated raw quoted string"},
      {"{{ 'a }}", ":1: unterminated character constant"},
      {"{{ (1 }}", ":1: unclosed left paren"},
      {"{{ 1) }}", ":1: unexpected right paren"},
      {"{{/* abc }}", ":1: unclosed comment"},
      {"{{/* abc */ x }}", ":1: comment ends before closing delimiter"},
      {"{{ 1 | 2 }}", ":1: non executable command in pipeline stage 2"},
      {"{{ 12abc }}", ":1: bad number syntax: \"12a\""},
      {"{{ 99999999999999999999 }}", ":1: integer overflow: \"99999999999999999999\""},
      {"{{ break }}", ":1: {{break}} outside {{range}}"},
      {"{{ range 1 }}{{ define \"x\" }}{{ end }}{{ end }}", ":1: unexpected <define> in command"},
      {"{{ template foo }}", ":1: unexpected \"foo\" in template clause"},
      {"{{ $labels@x }}", ":1: bad character U+0040 '@'"},
      {"{{ 1.job }}", ":1: bad number syntax: \"1.j\""},
      {"{{ true.job }}", ":1: unexpected . after term \"true\""},
      {"{{ $a, $b := 1 }}", ":1: too many declarations in command"},
      {"{{ range $a, 1 := 1 }}{{ end }}", ":1: range can only initialize variables"},
      {"{{ define \"a\" }}x{{ end }}{{ define \"a\" }}y{{ end }}",
       ":1: template: multiple definition of template \"a\""},
      {"{{ .Labels = 1 }}", ":1: unexpected \"=\" in operand"},
      {"{{ \"\\q\" }}", ":1: invalid syntax"},
  };
  for (const Case& c : cases) {
    const Status status = TestParse("__alert_X", c.text);
    ASSERT_FALSE(status.ok()) << c.text;
    EXPECT_EQ(status.code(), Code::kInvalid);
    EXPECT_EQ(status.message(), std::string("template: __alert_X") + c.want) << c.text;
  }
  EXPECT_EQ(ExpandText("{{ foo }}"),
            "error parsing template __alert_X: template: __alert_X:1: function \"foo\" not defined");
  EXPECT_TRUE(TestParse("x", "{{ $labels.job }}").ok());
}

// Columns count the definitions that stand in front of every text: 112 bytes.
TEST(ExecuteErrors, NameThePlaceAndTheFunction) {
  const std::string head = "error executing template __alert_X: template: __alert_X:";
  const std::string executing = ": executing \"__alert_X\" at <";
  const Case cases[] = {
      {"{{ query \"empty\" | first }}", "1:131|first>: error calling first: first() called on vector with no elements"},
      {"{{ query \"nope\" }}", "1:115|query \"nope\">: error calling query: query nope failed"},
      {"{{ gt $value 3 }}", "1:115|gt $value 3>: error calling gt: incompatible types for comparison: float64 and int"},
      {"x\n{{ gt $value 3 }}",
       "2:3|gt $value 3>: error calling gt: incompatible types for comparison: float64 and int"},
      {"{{ .Nope }}",
       "1:115|.Nope>: can't evaluate field Nope in type struct { Labels map[string]string; ExternalLabels "
       "map[string]string; "
       "ExternalURL string; Value interface {} }"},
      {"{{ $labels.job.x }}", "1:122|$labels.job.x>: can't evaluate field x in type string"},
      {"{{ toUpper $value }}", "1:123|$value>: wrong type for value; expected string; got float64"},
      {"{{ toUpper 1 }}", "1:123|1>: expected string; found 1"},
      {"{{ humanize \"abc\" }}",
       "1:115|humanize \"abc\">: error calling humanize: strconv.ParseFloat: parsing \"abc\": invalid syntax"},
      {"{{ humanize }}", "1:115|humanize>: wrong number of args for humanize: want 1 got 0"},
      {"{{ printf }}", "1:115|printf>: wrong number of args for printf: want at least 1 got 0"},
      {"{{ template \"nope\" }}", "1:124|{{template \"nope\"}}>: template \"nope\" not defined"},
      {"{{ index (query \"metric\") 7 }}",
       "1:115|index (query \"metric\") 7>: error calling index: index out of range: 7"},
      {"{{ 1 | .Labels }}", "1:119|.Labels>: Labels has arguments but cannot be invoked as function"},
      {"{{ $labels.job 1 }}", "1:122|$labels.job>: job is not a method but has arguments"},
      {"{{ range $value }}{{ end }}", "1:121|$value>: range can't iterate over 3.5"},
      {"{{ nil }}", "1:115|nil>: nil is not a command"},
      {"{{ 3 4 }}", "1:115|3>: can't give argument to non-function 3"},
  };
  for (const Case& c : cases) {
    std::string want = c.want;
    want.replace(want.find('|'), 1, executing);
    EXPECT_EQ(ExpandText(c.text), head + want) << c.text;
  }
}

TEST(ExecuteErrors, BadRegularExpression) {
  EXPECT_NE(
      ExpandText("{{ match \"(\" \"x\" }}").find("error calling match: error parsing regexp: missing closing ): `(`"),
      std::string::npos);
}

TEST(ExecuteErrors, KeepTheCodeOfTheQuery) {
  auto parsed = Template::Parse("t", "{{ query \"nope\" }}");
  ASSERT_TRUE(parsed.ok());
  auto result = parsed->Expand(SampleData(), kNowMs, FakeQuery);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kUnavailable);
  EXPECT_EQ(ExpansionErrorText(result.status()).substr(0, 59),
            "<error expanding template: error executing template t: temp");
  EXPECT_EQ(parsed->Expand(SampleData(), kNowMs, {}).status().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace weir::tmpl
