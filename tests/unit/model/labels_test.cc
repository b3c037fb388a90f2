#include "core/model/labels.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Labels, SortsDropsEmptyAndLastNameWins) {
  const Labels labels{{"b", "1"}, {"a", "x"}, {"c", ""}, {"b", "2"}, {"d", "1"}, {"d", ""}};
  EXPECT_EQ(labels.ToString(), R"({a="x", b="2"})");
  EXPECT_EQ(labels.Get("b"), "2");
  EXPECT_EQ(labels.Get("zz"), "");
  EXPECT_FALSE(labels.Has("c"));
}

TEST(Labels, SetAndRemoveKeepTheOrder) {
  Labels labels{{"b", "1"}};
  labels.Set("c", "3");
  labels.Set("a", "0");
  labels.Set("b", "2");
  EXPECT_EQ(labels.ToString(), R"({a="0", b="2", c="3"})");
  labels.Set("b", "");
  labels.Remove("nope");
  EXPECT_EQ(labels.ToString(), R"({a="0", c="3"})");
  EXPECT_EQ(labels, (Labels{{"c", "3"}, {"a", "0"}}));
}

TEST(Labels, PrintsMetrics) {
  EXPECT_EQ((Labels{{"__name__", "up"}}).ToString(), "up");
  EXPECT_EQ((Labels{{"__name__", "up"}, {"job", "a\"b"}}).ToString(), R"(up{job="a\"b"})");
  EXPECT_EQ((Labels{{"__name__", "my.metric"}, {"a.b", "c"}}).ToString(), R"({"my.metric", "a.b"="c"})");
  EXPECT_EQ(Labels().ToString(), "{}");
}

TEST(Labels, HashGivesPrometheusGroupSlots) {
  // The published vectors of the group schedule.
  EXPECT_EQ((Labels{{"file", "rules.yml"}, {"name", "example"}}).Hash(), 0x25b5f761f8444e2dULL);
  EXPECT_EQ((Labels{{"file", "conf/alerts.yml"}, {"name", "node"}}).Hash(), 0xd60fe6c9af48c241ULL);
  EXPECT_EQ((Labels{{"file", "rules.d/a.yml"}, {"name", "g1"}}).Hash(), 0x5fbeb65a5e24aabbULL);
  EXPECT_NE((Labels{{"a", std::string(254, 'x')}}).Hash(), (Labels{{"a", std::string(255, 'x')}}).Hash());
}

TEST(Labels, ComparesPairwiseThenByLength) {
  const Labels a{{"a", "1"}};
  const Labels b{{"a", "1"}, {"b", "1"}};
  const Labels c{{"a", "2"}};
  const Labels d{{"b", "0"}};
  EXPECT_EQ(Labels::Compare(a, a), 0);
  EXPECT_LT(Labels::Compare(a, b), 0);
  EXPECT_LT(Labels::Compare(b, c), 0);
  EXPECT_LT(Labels::Compare(c, d), 0);
  EXPECT_GT(Labels::Compare(d, a), 0);
}

TEST(Names, Legacy) {
  EXPECT_TRUE(IsLegacyLabelName("_a1"));
  EXPECT_FALSE(IsLegacyLabelName("a:b"));
  EXPECT_FALSE(IsLegacyLabelName("1a"));
  EXPECT_FALSE(IsLegacyLabelName(""));
  EXPECT_TRUE(IsLegacyMetricName("job:x:rate5m"));
  EXPECT_FALSE(IsLegacyMetricName("a.b"));
}

TEST(Utf8, AcceptsOnlyWellFormed) {
  for (const char* good : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsValidUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << GoQuote(bad);
  }
}

TEST(GoQuote, EqualsStrconvQuote) {
  EXPECT_EQ(GoQuote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(GoQuote("\a\b\f\n\r\t\v"), R"("\a\b\f\n\r\t\v")");
  EXPECT_EQ(GoQuote(std::string_view("\0\x7f", 2)), R"("\x00\x7f")");
  EXPECT_EQ(GoQuote("h\xc3\xa9\xff"), "\"h\xc3\xa9\\xff\"");
  EXPECT_EQ(GoQuote("\xc2\xa0"), R"("\u00a0")");              // no-break space is not printable
  EXPECT_EQ(GoQuote("\xf3\xa0\x80\x81"), R"("\U000e0001")");  // neither are language tags
  EXPECT_EQ(GoQuote("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
}

}  // namespace
}  // namespace weir
