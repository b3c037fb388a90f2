// Whatever a text says, an expansion ends with a bounded result.

#include <gtest/gtest.h>

#include "tests/unit/template/expand.h"

namespace weir::tmpl {
namespace {

Code ExpandCode(const std::string& text) {
  auto parsed = Template::Parse("t", text);
  if (!parsed.ok()) {
    return parsed.status().code();
  }
  return parsed->Expand(SampleData(), kNowMs, FakeQuery).status().code();
}

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

TEST(Limits, Output) {
  EXPECT_EQ(ExpandCode("{{ range 100000 }}" + std::string(100, 'x') + "{{ end }}"), Code::kLimit);
  EXPECT_EQ(ExpandCode("{{ $x := \"0123456789\" }}{{ range 40 }}{{ $x = print $x $x }}{{ end }}"), Code::kLimit);
  EXPECT_EQ(ExpandCode("{{ $x := \"0123456789\" }}{{ range 40 }}{{ $x = reReplaceAll \".\" \"$0$0$0\" $x }}{{ end }}"),
            Code::kLimit);
  EXPECT_EQ(ExpandCode("{{ printf \"" + Repeat("%1000000d", 8) + "\" 1 2 3 4 5 6 7 8 }}"), Code::kLimit);
}

TEST(Limits, Steps) {
  EXPECT_EQ(ExpandCode("{{ range 1000000000 }}{{ end }}"), Code::kLimit);
  EXPECT_EQ(ExpandCode("{{ range 1000 }}{{ range 1000 }}{{ $x := 1 }}{{ end }}{{ end }}"), Code::kLimit);
}

TEST(Limits, Depth) {
  EXPECT_EQ(ExpandCode("{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}"), Code::kLimit);
  const std::string deep = Repeat("{{ if true }}", 60) + "{{ template \"r\" }}" + Repeat("{{ end }}", 60);
  EXPECT_EQ(ExpandCode("{{ define \"r\" }}" + deep + "{{ end }}{{ template \"r\" }}"), Code::kLimit);
}

TEST(Limits, Parsing) {
  EXPECT_EQ(TestParse("t", Repeat("{{ if true }}", 200) + Repeat("{{ end }}", 200)).message(),
            "template: t:1: nested more than 100 levels deep");
  EXPECT_EQ(TestParse("t", "{{ " + Repeat("(", 200) + "1" + Repeat(")", 200) + " }}").message(),
            "template: t:1: nested more than 100 levels deep");
  EXPECT_EQ(TestParse("t", std::string(kTemplateBytesMax + 1, 'x')).code(), Code::kLimit);
  EXPECT_TRUE(TestParse("t", Repeat("{{ if true }}", 90) + Repeat("{{ end }}", 90)).ok());
}

}  // namespace
}  // namespace weir::tmpl
