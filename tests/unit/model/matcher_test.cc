#include "core/model/matcher.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

Matcher Make(MatchType type, std::string value) {
  auto made = Matcher::Create(type, "l", std::move(value));
  EXPECT_TRUE(made.ok()) << made.status().message();
  return *made;
}

struct Row {
  const char* regex;
  std::string value;
  bool matches;
};

TEST(Matcher, RegexesAreAnchoredAndDotTakesNewlines) {
  const Row rows[] = {
      {"foo", "foo", true},
      {"foo", "foobar", false},
      {"a|b|", "", true},
      {"a|b", "b", true},
      {"(a|b)", "a", true},
      {"(a|b)", "ab", false},
      {"a.b", "a\nb", true},
      {".*", "", true},
      {".+", "", false},
      {".+", "\n", true},
      {"5..", "503", true},
      {"5..", "5033", false},
      {"foo.*", "foobar", true},
      {"foo.*", "fo", false},
      {"foo.+", "foo", false},
      {".*bar", "foobar", true},
      {"fo.*oo", "foo", false},
      {"fo.*oo", "fooo", true},
      {"fo.+oo", "fooo", false},
      {"(?i)FOO", "foo", true},
      {"a.*b.*c", "a1b2c", true},
      {"\\.x", ".x", true},
      {"\xc3\xa9.", "\xc3\xa9\xc3\xa9", true},
      {"", "", true},
      {"", "a", false},
      {"()", "", true},
      {"(a", "a", false},
  };
  for (const Row& row : rows) {
    const auto made = Matcher::Create(MatchType::kRegex, "l", row.regex);
    if (!made.ok()) {
      EXPECT_STREQ(row.regex, "(a");
      continue;
    }
    EXPECT_EQ(made->Matches(row.value), row.matches) << row.regex << " on " << row.value;
    EXPECT_EQ(Make(MatchType::kNotRegex, row.regex).Matches(row.value), !row.matches)
        << row.regex << " on " << row.value;
  }
}

TEST(Matcher, Equality) {
  EXPECT_TRUE(Make(MatchType::kEqual, "a.c").Matches("a.c"));
  EXPECT_FALSE(Make(MatchType::kEqual, "a.c").Matches("abc"));
  EXPECT_TRUE(Make(MatchType::kNotEqual, "a").MatchesEmpty());
  EXPECT_TRUE(Make(MatchType::kEqual, "").MatchesEmpty());
}

TEST(Matcher, NamesWhatIsWrongWithARegex) {
  const std::pair<const char*, const char*> rows[] = {
      {"(a", "error parsing regexp: missing closing ): `(a`"},
      {"a)|(b", "error parsing regexp: unexpected ): `a)|(b`"},
      {"*a", "error parsing regexp: missing argument to repetition operator: `*`"},
      {"[a", "error parsing regexp: missing closing ]: `[a`"},
      {"a\\", "error parsing regexp: trailing backslash at end of expression: ``"},
      {"(?=a)b", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
      {"\xff", "error parsing regexp: invalid UTF-8: \"\\xff\""},
  };
  for (const auto& [regex, message] : rows) {
    const auto made = Matcher::Create(MatchType::kRegex, "l", regex);
    ASSERT_FALSE(made.ok()) << regex;
    EXPECT_EQ(made.status().message(), message);
  }
}

TEST(Matcher, PrintsAsPromql) {
  EXPECT_EQ(Make(MatchType::kRegex, "a\"|b").ToString(), R"(l=~"a\"|b")");
  EXPECT_EQ(Matcher::Create(MatchType::kNotEqual, "a.b", "c")->ToString(), R"("a.b"!="c")");
}

}  // namespace
}  // namespace weir
