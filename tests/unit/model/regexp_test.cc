#include "core/model/regexp.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

namespace weir {
namespace {

std::string Expanded(const std::string& pattern, std::string_view text, std::string_view replacement) {
  const RE2 regexp(pattern);
  RegexpGroups groups;
  EXPECT_TRUE(MatchRegexp(regexp, text, 0, &groups)) << pattern << " in " << text;
  std::string out;
  AppendExpanded(regexp, replacement, groups, &out);
  return out;
}

TEST(RegexpTest, ReplacementsAreExpandedAsGoDoes) {
  const struct {
    const char* pattern;
    const char* text;
    const char* replacement;
    const char* want;
  } cases[] = {
      {"(a)(b)", "xaby", "$2-$1-$0", "b-a-ab"},
      {"(a)", "a", "${1}x", "ax"},
      {"(a)", "a", "<$1x>", "<>"},  // the group named "1x"
      {"(a)", "a", "$1_", ""},
      {"(a)", "a", "$1-", "a-"},
      {"(a)", "a", "$2", ""},
      {"(?P<n>a)", "a", "$n ${n} $m", "a a "},
      {"(a)|(b)", "a", "[$2]", "[]"},  // took no part in the match
      {"(a)", "a", "$$1 $ $- ${1 ${} ${-}", "$1 $ $- ${1 ${} ${-}"},
      {"(a)", "a", "cost: 5$", "cost: 5$"},
      {"(a)", "a", "<$01>", "<>"},  // a number has no leading zero
      {"(?P<01>a)", "a", "<$01>", "<a>"},
      {"(a)", "a", "<$12345678901234567890>", "<>"},
      {"(a)", "a", "<$1\u00e9>", "<>"},         // a letter, so part of the name
      {"(a)", "a", "<$1\u0663>", "<>"},         // a digit
      {"(a)", "a", "<$1\u2192>", "<a\u2192>"},  // an arrow is neither
      {"(a)", "a", "<$1\xff>", "<a\xff>"},      // nor is what is no UTF-8
      {"(a)", "a", "<${1\u2192}>", "<${1\u2192}>"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Expanded(c.pattern, c.text, c.replacement), c.want) << c.replacement;
  }
}

TEST(RegexpTest, MatchesFromAByteOn) {
  const RE2 regexp("a(b)?");
  RegexpGroups groups;
  ASSERT_TRUE(MatchRegexp(regexp, "abca", 1, &groups));
  EXPECT_EQ(groups[0], "a");
  EXPECT_EQ(groups[1].data(), nullptr);
  EXPECT_FALSE(MatchRegexp(regexp, "abca", 4, &groups));
}

TEST(RegexpTest, ErrorsAreGos) {
  RE2::Options options;
  options.set_log_errors(false);
  EXPECT_EQ(RegexpError(RE2("(a", options)), "error parsing regexp: missing closing ): `(a`");
  EXPECT_EQ(RegexpError(RE2("a**", options)), "error parsing regexp: invalid nested repetition operator: `**`");
}

}  // namespace
}  // namespace weir
