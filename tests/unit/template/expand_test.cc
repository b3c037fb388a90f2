// Golden table: what templates print, one row a case. Expected texts are those of Go and Prometheus.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/template/expand.h"

namespace weir::tmpl {
namespace {

struct Case {
  const char* text;
  const char* want;
};

void Check(std::span<const Case> cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(ExpandText(c.text), c.want) << c.text;
  }
}

TEST(Expand, Data) {
  const Case cases[] = {
      {"plain text", "plain text"},
      {"", ""},
      {"{{ $labels.job }}/{{ .Labels.instance }}", "db/db-1.example.org:9100"},
      {"{{ $labels.missing }}|{{ .Labels.missing }}", "|"},
      {"{{ .Labels.__name__ }}", "up"},
      {"{{ $externalLabels.cluster }} {{ .ExternalLabels.cluster }}", "eu eu"},
      {"{{ $externalURL }} {{ .ExternalURL }} {{ externalURL }}",
       "http://weir.example:9797/a/path http://weir.example:9797/a/path http://weir.example:9797/a/path"},
      {"{{ pathPrefix }}", "/a/path"},
      {"{{ $value }} {{ .Value }}", "3.5 3.5"},
      {"{{ $labels }}", "map[__name__:up instance:db-1.example.org:9100 job:db]"},
      {"{{ $.Labels.job }}", "db"},
      {"{{ index $labels \"job\" }}{{ index $labels \"nope\" }}", "db"},
  };
  Check(cases);
}

TEST(Expand, ValuePrintsAsGoPrintsFloats) {
  const struct {
    double value;
    const char* want;
  } cases[] = {
      {100000, "100000"},
      {1e6, "1e+06"},
      {123456, "123456"},
      {1234567, "1.234567e+06"},
      {123456789, "1.23456789e+08"},
      {0.0001, "0.0001"},
      {0.00001, "1e-05"},
      {INFINITY, "+Inf"},
      {-INFINITY, "-Inf"},
      {NAN, "NaN"},
      {0, "0"},
      {-0.0, "-0"},
      {0.1, "0.1"},
      {95.123456789, "95.123456789"},
  };
  for (const auto& c : cases) {
    TemplateData data = SampleData();
    data.value = c.value;
    EXPECT_EQ(ExpandText("{{ $value }}", data), c.want);
  }
}

TEST(Expand, TrimsAndComments) {
  const Case cases[] = {
      {"a {{- /* gone */ -}} b", "ab"},
      {"a {{/* gone */}} b", "a  b"},
      {"a\n\t{{- 1 -}}\n b", "a1b"},
      {"a {{1 -}} b", "a 1b"},
      {"a {{- 1}} b", "a1 b"},
      {"{{-3}}", "-3"},
      {"{{ 3 -}}\n", "3"},
      {"{{- /* multi\nline */ -}} x", "x"},
      {"{{\n1\n}}", "1"},
      {"}} {", "}} {"},
  };
  Check(cases);
}

TEST(Expand, LiteralsAndVariables) {
  const Case cases[] = {
      {"{{ \"q\\\"\\t\\u00e9\\x41\" }}",
       "q\"\té"
       "A"},
      {"{{ `raw \\n` }}", "raw \\n"},
      {"{{ 'a' }} {{ '\\n' }}", "97 10"},
      {"{{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 017 }}", "31 5 15 1000 15"},
      {"{{ 1.5 }} {{ 1e3 }} {{ .5 }} {{ -2 }} {{ +2 }}", "1.5 1000 0.5 -2 2"},
      {"{{ true }} {{ false }}", "true false"},
      {"{{ $x := 1 }}{{ $x }}{{ $x = 2 }}{{ $x }}", "12"},
      {"{{ $x := 1 }}{{ if true }}{{ $x := 5 }}{{ $x = 6 }}{{ end }}{{ $x }}", "1"},
      {"{{ $x := 1 }}{{ if true }}{{ $x = 6 }}{{ end }}{{ $x }}", "6"},
      {"{{ (1) }} {{ (print 1 2) }} {{ print (len \"abc\") \"x\" }}", "1 1 2 3x"},
      {"{{ \"a\" | print \"b\" | printf \"%s-%s\" \"c\" }}", "c-ba"},
  };
  Check(cases);
}

TEST(Expand, Control) {
  const Case cases[] = {
      {"{{ if eq $labels.job \"db\" }}y{{ else }}n{{ end }}", "y"},
      {"{{ if gt $value 4.0 }}a{{ else if gt $value 3.0 }}b{{ else }}c{{ end }}", "b"},
      {"{{ if gt $value 4.0 }}a{{ else if gt $value 3.9 }}b{{ else }}c{{ end }}", "c"},
      {"{{ if \"\" }}y{{ else }}n{{ end }}{{ if 0 }}y{{ end }}{{ if 0.0 }}y{{ end }}{{ if 1 }}z{{ end }}", "nz"},
      {"{{ with $labels.job }}<{{ . }}>{{ end }}", "<db>"},
      {"{{ with $labels.nope }}x{{ else }}none{{ end }}", "none"},
      {"{{ with $labels.nope }}x{{ else with $labels.job }}{{ . }}{{ end }}", "db"},
      {"{{ with $j := $labels.job }}{{ $j }}{{ end }}", "db"},
      {"{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
       "__name__=up;instance=db-1.example.org:9100;job=db;"},
      {"{{ range $labels }}{{ . }};{{ end }}", "up;db-1.example.org:9100;db;"},
      {"{{ range query \"metric\" }}{{ .Labels.instance }}={{ .Value }} {{ end }}", "c=3 a=1 b=2.5 "},
      {"{{ range $i, $s := query \"metric\" }}{{ $i }}{{ $s.Labels.instance }}{{ end }}", "0c1a2b"},
      {"{{ range query \"empty\" }}x{{ else }}nothing{{ end }}", "nothing"},
      {"{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}{{ $i }}{{ end }}{{ range 0 }}x{{ else }}e{{ end }}", "01201e"},
      {"{{ range query \"metric\" }}{{ if eq .Labels.instance \"a\" }}{{ break }}{{ end }}{{ .Value }}{{ end }}", "3"},
      {"{{ range query \"metric\" }}{{ if eq .Labels.instance \"a\" }}{{ continue }}{{ end }}{{ .Value }} {{ end }}",
       "3 2.5 "},
      {"{{ $s := 0 }}{{ range $s = 3 }}{{ end }}{{ $s }}", "2"},
  };
  Check(cases);
}

TEST(Expand, Templates) {
  const Case cases[] = {
      {"{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" 1 }}{{ template \"t\" $labels.job }}", "[1][db]"},
      {"{{ define \"t\" }}{{ .arg0 }}+{{ .arg1 }}{{ .arg2 }}{{ end }}{{ template \"t\" args 1 \"x\" }}",
       "1+x<no value>"},
      {"{{ block \"b\" $labels.job }}<{{ . }}>{{ end }}", "<db>"},
      {"{{ template \"late\" }}{{ define \"late\" }}{{ . }}{{ end }}", "<no value>"},
      {"{{ define \"n\" }}{{ if . }}{{ . }}{{ template \"m\" }}{{ end }}{{ end }}{{ define \"m\" }}!{{ end }}{{ "
       "template \"n\" 1 }}",
       "1!"},
      {"{{ with 5 }}{{ template \"t\" . }}{{ end }}{{ define \"t\" }}{{ $ }}{{ end }}", "5"},
  };
  Check(cases);
}

TEST(Expand, Humanize) {
  const Case cases[] = {
      {"{{ humanize 0.0 }}:{{ humanize 1 }}:{{ humanize 1234567 }}:{{ humanize 0.12 }}", "0:1:1.235M:120m"},
      {"{{ 1048576.0 | humanize }}", "1.049M"},
      {"{{ humanize -1234567.0 }} {{ humanize 1e30 }} {{ humanize 1e-30 }} {{ humanize 999.99 }}",
       "-1.235M 1e+06Y 1e-06y 1000"},
      {"{{ humanize \"1234\" }}", "1.234k"},
      {"{{ 1048576.0 | humanize1024 }}", "1Mi"},
      {"{{ humanize1024 0 }}:{{ humanize1024 1.0 }}:{{ humanize1024 1024.0 }}:{{ humanize1024 -2048 }}:{{ humanize1024 "
       "1e24 }}:{{ humanize1024 0.5 }}",
       "0:1:1ki:-2ki:847Zi:0.5"},
      {"{{ 135.3563 | humanizeDuration }}", "2m 15s"},
      {"{{ range $v := (query \"metric\") }}{{ $v.Value | humanizeDuration }} {{ end }}", "3s 1s 2.5s "},
      {"{{ humanizeDuration 0.0 }}:{{ humanizeDuration 1 }}:{{ humanizeDuration 60 }}:{{ humanizeDuration 3600 }}:{{ "
       "humanizeDuration 86400 }}",
       "0s:1s:1m 0s:1h 0m 0s:1d 0h 0m 0s"},
      {"{{ humanizeDuration 899.99 }}:{{ humanizeDuration -90061.0 }}:{{ humanizeDuration .1 }}:{{ humanizeDuration "
       ".0001 }}:{{ humanizeDuration 12.345678 }}",
       "14m 59s:-1d 1h 1m 1s:100ms:100us:12.35s"},
      {"{{ -0.5 | humanizeDuration }} {{ \"86400\" | humanizeDuration }}", "-500ms 1d 0h 0m 0s"},
      {"{{ 0.959 | humanizePercentage }} {{ -0.22222 | humanizePercentage }} {{ 1 | humanizePercentage }} {{ 0.1234567 "
       "| humanizePercentage }}",
       "95.9% -22.22% 100% 12.35%"},
      {"{{ 1643114203 | humanizeTimestamp }}", "2022-01-25 12:36:43 +0000 UTC"},
      {"{{ 1435065584.128 | humanizeTimestamp }}", "2015-06-23 13:19:44.128 +0000 UTC"},
      {"{{ humanizeTimestamp -1 }}", "1969-12-31 23:59:59 +0000 UTC"},
      {"{{ parseDuration \"2h10m15s\" }} {{ parseDuration \"-5m\" }} {{ parseDuration \"1500ms\" }}", "7815 -300 1.5"},
      {"{{ (1643114203.0 | toTime).Year }} {{ (toTime 1643114203).Format \"Mon 2 Jan 2006 15:04:05.000 MST\" }}",
       "2022 Tue 25 Jan 2022 12:36:43.000 UTC"},
      {"{{ toTime 1643114203.5 }}", "2022-01-25 12:36:43.5 +0000 UTC"},
      {"{{ (toTime 86400).Month }} {{ printf \"%d\" (toTime 0).Month }} {{ (toTime 0).Weekday }}",
       "January 1 Thursday"},
      {"{{ toDuration 90.5 }} {{ (toDuration 90).Seconds }} {{ (toDuration 5400).Hours }} {{ toDuration 0.000005 }}",
       "1m30.5s 90 1.5 5µs"},
      {"{{ (toTime 0).Add (toDuration 60) }} {{ ((toTime 100).Sub (toTime 10)) | humanizeDuration }}",
       "1970-01-01 00:01:00 +0000 UTC 1m 30s"},
      {"{{ (toTime 951782400).AddDate 0 1 -1 | print }}", "2000-03-28 00:00:00 +0000 UTC"},
      {"{{ now }} {{ now | humanizeTimestamp }}", "1.643114203123e+09 2022-01-25 12:36:43.122 +0000 UTC"},
  };
  Check(cases);
}

TEST(Expand, HumanizeOfWhatIsNoNumber) {
  TemplateData data = SampleData();
  for (const double v : {NAN, INFINITY, -INFINITY}) {
    data.value = v;
    const std::string want = std::isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
    for (const char* function : {"humanize", "humanize1024", "humanizeDuration", "humanizeTimestamp"}) {
      EXPECT_EQ(ExpandText(std::string("{{ $value | ") + function + " }}", data), want) << function;
    }
    EXPECT_EQ(ExpandText("{{ $value | humanizePercentage }}", data), want + "%");
  }
}

TEST(Expand, Queries) {
  const Case cases[] = {
      {"{{ query \"metric\" | first | value | humanize }}", "3"},
      {"{{ query \"metric\" | first | label \"instance\" }}", "c"},
      {"{{ (query \"metric\" | sortByLabel \"instance\" | first).Labels.instance }}", "a"},
      {"{{ range query \"metric\" | sortByLabel \"instance\" }}{{ .Value }} {{ end }}", "1 2.5 3 "},
      {"{{ query \"text\" | first | strvalue }}", "hello"},
      {"{{ len (query \"metric\") }} {{ (index (query \"metric\") 1).Value }}", "3 1"},
      {"{{ if query \"empty\" }}y{{ else }}n{{ end }}", "n"},
      {"{{ query \"metric\" | first }}", "{map[__name__:metric instance:c] 3}"},
  };
  Check(cases);
}

TEST(Expand, Strings) {
  const Case cases[] = {
      {"{{ reReplaceAll \"(.*)-(\\\\d+)\" \"$2:$1\" \"db-17\" }}", "17:db"},
      {"{{ reReplaceAll \"a\" \"$0$0\" \"banana\" }} {{ reReplaceAll \"\" \"-\" \"abc\" }} {{ reReplaceAll \"x*\" "
       "\"-\" \"axb\" }}",
       "baanaanaa -a-b-c- -a-b-"},
      {"{{ reReplaceAll \"(?P<n>b)\" \"<${n}$n$1x$$>\" \"abc\" }}", "a<bb$>c"},
      {"{{ match \"^d\" \"db\" }} {{ match \"x\" \"db\" }} {{ if match \"b\" $labels.job }}y{{ end }}", "true false y"},
      {"{{ title \"aa bb CC o'neil x_y\" }} {{ toUpper \"aé\" }} {{ toLower \"AÉЖ\" }}", "Aa Bb CC O'neil X_y AÉ aéж"},
      {"{{ stripPort \"host:80\" }} {{ stripPort \"host\" }} {{ stripPort \"[::1]:80\" }} {{ stripPort \"1.2.3.4:5\" "
       "}} {{ stripPort \"a:b:c\" }}",
       "host host ::1 1.2.3.4 a:b:c"},
      {"{{ stripDomain \"a.b.c:9\" }} {{ stripDomain \"a.b\" }} {{ stripDomain \"1.2.3.4:5\" }} {{ stripDomain "
       "\"[2001:db8::1]:9\" }}",
       "a:9 a 1.2.3.4:5 [2001:db8::1]:9"},
      {"{{ graphLink \"up == 0\" }} {{ tableLink \"up\" }}",
       "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=up&g0.tab=1"},
      {"{{ urlQueryEscape \"a b&c\" }} {{ urlquery \"a\" 1 }} {{ html \"<a href='x'>\" }}",
       "a+b%26c a1 &lt;a href=&#39;x&#39;&gt;"},
      {"{{ js \"it's <b>\" }} {{ safeHtml \"<b>\" }}", "it\\'s \\u003Cb\\u003E <b>"},
      {"{{ slice \"abcdef\" 1 3 }} {{ slice \"abc\" 1 }} {{ len \"é\" }} {{ index \"abc\" 1 }}", "bc bc 2 98"},
  };
  Check(cases);
}

TEST(Expand, BuiltIns) {
  const Case cases[] = {
      {"{{ and 1 0 }} {{ and 1 2 }} {{ or 0 \"x\" }} {{ or 0 \"\" }} {{ not 0 }}", "0 2 x  true"},
      {"{{ and false (first (query \"empty\")) }} {{ or true (query \"broken\") }}", "false true"},
      {"{{ eq 1 2 1 }} {{ ne \"a\" \"b\" }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt 1.5 1.0 }} {{ ge \"a\" \"b\" }}",
       "true true true true true false"},
      {"{{ print 1 2 \"a\" \"b\" 3 4 }}|{{ println 1 \"a\" }}|{{ print }}", "1 2a b3 4|1 a\n||"},
      {"{{ len $labels }}", "3"},
  };
  // print puts a space between operands when neither is a string.
  EXPECT_EQ(ExpandText("{{ print 1 2 \"a\" \"b\" 3 4 }}"), "1 2ab3 4");
  Check(std::span(cases).first(3));
  EXPECT_EQ(ExpandText("{{ println 1 \"a\" }}|{{ print }}"), "1 a\n|");
  Check(std::span(cases).last(1));
}

TEST(Expand, Printf) {
  const Case cases[] = {
      {"{{ printf \"%.2f|%8.3f|%-8.1f|%08.2f|%+.1f|%e|%g|%.4g\" 1.005 2.5 2.5 -2.5 2.5 12345.678 1e21 1234567.0 }}",
       "1.00|   2.500|2.5     |-0002.50|+2.5|1.234568e+04|1e+21|1.235e+06"},
      {"{{ printf \"%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%U\" 42 42 42 -42 42 255 255 8 5 'é' 233 }}",
       "42|   42|42   |-0042|+42|ff|FF|10|101|é|U+00E9"},
      {"{{ printf \"%s|%10s|%-4s|%.2s|%q|%x|%v|%t\" \"a\" \"b\" \"c\" \"xyz\" \"q\\\"\" \"hi\" \"v\" true }}",
       "a|         b|c   |xy|\"q\\\"\"|6869|v|true"},
      {"{{ printf \"%d %s %v\" 1.5 1 1.5 }}", "%!d(float64=1.5) %!s(int=1) 1.5"},
      {"{{ printf \"%d %d\" 1 }} {{ printf \"%d\" 1 2 }} {{ printf \"100%\" }} {{ printf \"%d%%\" 5 }}",
       "1 %!d(MISSING) 1%!(EXTRA int=2) 100%!(NOVERB) 5%"},
      {"{{ printf \"%*d|%[2]s %[1]s|%z\" 5 42 }}", "   42|%!s(int=42) %!s(int=5)|%!z(int=42)"},
      {"{{ printf \"%v %s\" $labels (toDuration 1) }}", "map[__name__:up instance:db-1.example.org:9100 job:db] 1s"},
      {"{{ printf \"%.1f%%\" $value }} {{ $value | printf \"%.3f\" }} {{ printf \"%T\" $value }}",
       "3.5% 3.500 float64"},
      {"{{ printf \"%6.2f|%6v|%06d\" 3.14159 true 7 }}", "  3.14|  true|000007"},
  };
  for (const Case& c : std::span(cases).first(5)) {
    EXPECT_EQ(ExpandText(c.text), c.want) << c.text;
  }
  Check(std::span(cases).subspan(6));
  EXPECT_EQ(ExpandText("{{ printf \"%*d\" 5 42 }}"), "   42");
  EXPECT_EQ(ExpandText("{{ printf \"%[2]s %[1]s\" \"a\" \"b\" }}"), "b a");
  EXPECT_EQ(ExpandText("{{ printf \"%z\" 42 }}"), "%!z(int=42)");
}

TEST(Expand, ATemplateMayBeExpandedManyTimes) {
  auto parsed = Template::Parse("t", "{{ $labels.job }} {{ $value }}");
  ASSERT_TRUE(parsed.ok());
  TemplateData data = SampleData();
  for (int i = 0; i < 3; ++i) {
    data.value = i;
    EXPECT_EQ(*parsed->Expand(data, kNowMs, {}), "db " + std::to_string(i));
  }
}

}  // namespace
}  // namespace weir::tmpl
