// The bounded pattern functions against a table of results of the Lua 5.1 manual's rules.

#include <gtest/gtest.h>

#include "tests/unit/lua/fake_services.h"

namespace weir::lua {
namespace {

struct Case {
  const char* source;
  const char* want;
};

TEST(Patterns, Results) {
  const Case cases[] = {
      {"{('hello world'):find('wor')}", "[7,9]"},
      {"{('hello world'):find('o', 6)}", "[8,8]"},
      {"{('hello'):find('l+')}", "[3,4]"},
      {"{('hello'):find('xyz')}", "{}"},
      {"{('a.b'):find('.', 1, true)}", "[2,2]"},
      {"{('abc'):find('')}", "[1,0]"},
      {"{('abc'):find('', 10)}", "[4,3]"},
      {"{('abc'):find('b', -2)}", "[2,2]"},
      {"{('key = value'):match('(%w+)%s*=%s*(%w+)')}", "[\"key\",\"value\"]"},
      {"('2022-01-25'):match('^(%d+)-') ", "\"2022\""},
      {"('  trim  '):match('^%s*(.-)%s*$')", "\"trim\""},
      {"{('abc'):match('()b()')}", "[2,3]"},
      {"('f(a(b)c)d'):match('%b()')", "\"(a(b)c)\""},
      {"('THE (quick) fox'):find('%((%a+)%)')", "5"},
      {"('hello'):match('(l)%1')", "\"l\""},
      {"('THE fox'):match('%f[%a]%a+', 4)", "\"fox\""},
      {"('a]b'):match('[]]')", "\"]\""},
      {"('a-b'):match('[a%-]+')", "\"a-\""},
      {"('x^y'):match('[%^]')", "\"^\""},
      {"('abc123'):match('[^%d]+')", "\"abc\""},
      {"('abc123'):match('[a-c]+')", "\"abc\""},
      {"('ab12'):match('%u*%l+%d?')", "\"ab1\""},
      {"('aXb'):match('%U%u')", "\"aX\""},
      {"{('hello world'):gsub('o', '0')}", "[\"hell0 w0rld\",2]"},
      {"{('hello world'):gsub('o', '0', 1)}", "[\"hell0 world\",1]"},
      {"(('hello'):gsub('', '-'))", "\"-h-e-l-l-o-\""},
      {"(('abc'):gsub('%w', '%0%0'))", "\"aabbcc\""},
      {"(('hello world'):gsub('(%w+) (%w+)', '%2 %1'))", "\"world hello\""},
      {"(('$name is $age'):gsub('%$(%w+)', {name = 'Bob', age = 7}))", "\"Bob is 7\""},
      {"return (('abc'):gsub('%w', function(c) if c == 'b' then return 'X' end end))", "\"aXc\""},
      {"(('abc'):gsub('b', '%%'))", "\"a%c\""},
      {"(('abc'):gsub('^a', 'x'))", "\"xbc\""},
      {"(('aaa'):gsub('^a', 'x'))", "\"xaa\""},
      {"(('a\\0b'):gsub('%z', '.'))", "\"a.b\""},
      {"#('abc'):gsub('.', '%0\\0')", "6"},
      {"local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return t",
       "[\"a1\",\"b2\"]"},
      {"local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t", "[\"one\",\"two\"]"},
      {"local n = 0 for _ in ('abc'):gmatch('') do n = n + 1 end return n", "4"},
      {"return (('x'):gsub('x', function() return (('y'):gsub('y', 'z')) end))", "\"z\""},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Eval(c.source), c.want) << c.source;
  }
}

TEST(Patterns, MalformedPatternsAreErrors) {
  const Case cases[] = {
      {"('a'):find('[a')", "missing ']'"},
      {"('a'):find('%')", "ends with '%'"},
      {"('a'):find('(a')", "unfinished capture"},
      {"('a'):find('(a))')", "invalid pattern capture"},
      {"('a'):find('%1')", "invalid capture index"},
      {"('a'):find('%f')", "missing '['"},
      {"('a'):gsub('a', '%5')", "invalid capture index"},
      {"('a'):gsub('a', true)", "string/function/table expected"},
      {"('a'):gsub('a', function() return {} end)", "invalid replacement value (a table)"},
      {"('a'):find(('()'):rep(40))", "too many captures"},
      {"('a'):rep(1000):find(('a?'):rep(300))", "pattern too complex"},
      {"('a'):find('%b')", "unbalanced pattern"},
      {"('a'):find('[%')", "missing ']'"},
  };
  for (const Case& c : cases) {
    EXPECT_NE(Eval(c.source).find(c.want), std::string::npos) << c.source << " gave " << Eval(c.source);
  }
}

}  // namespace
}  // namespace weir::lua
