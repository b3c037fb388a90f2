#include "core/model/duration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace weir {
namespace {

TEST(Duration, ParsesWhatPrometheusParses) {
  const std::pair<const char*, int64_t> rows[] = {
      {"0", 0},           {"0s", 0},
      {"1ms", 1},         {"90s", 90000},
      {"1h30m", 5400000}, {"1y2w3d4h5m6s7ms", 31536000000 + 2 * 604800000 + 3 * 86400000 + 4 * 3600000 + 306007},
      {"5m", 300000},     {"007m", 420000},
  };
  for (const auto& [text, ms] : rows) {
    const auto parsed = ParseDurationMs(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status().message();
    EXPECT_EQ(*parsed, ms) << text;
  }
}

TEST(Duration, RefusesTheRestWithTheText) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "empty duration string"},
      {"5", "not a valid duration string: \"5\""},
      {"m", "not a valid duration string: \"m\""},
      {"1m1h", "not a valid duration string: \"1m1h\""},
      {"1m1m", "not a valid duration string: \"1m1m\""},
      {"-1m", "not a valid duration string: \"-1m\""},
      {"1.5h", "not a valid duration string: \"1.5h\""},
      {"1 m", "not a valid duration string: \"1 m\""},
      {"1minute", "not a valid duration string: \"1minute\""},
      {"293y", "duration out of range: \"293y\""},
      {"99999999999999999999s", "duration out of range: \"99999999999999999999s\""},
  };
  for (const auto& [text, message] : rows) {
    const auto parsed = ParseDurationMs(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().message(), message);
  }
}

TEST(Duration, PrintsAsPrometheusDoes) {
  const std::pair<int64_t, const char*> rows[] = {
      {0, "0s"},
      {1, "1ms"},
      {5400000, "1h30m"},
      {604800000, "1w"},
      {691200000, "8d"},
      {31536000000, "1y"},
      {31622400000, "366d"},
      {-90000, "-1m30s"},
      {86400001, "1d1ms"},
      {14 * 86400000LL, "2w"},
  };
  for (const auto& [ms, text] : rows) {
    EXPECT_EQ(FormatDurationMs(ms), text);
  }
}

struct FloatRow {
  double v;
  char format;
  int precision;
  const char* text;
};

TEST(FormatFloat, EqualsStrconv) {
  const FloatRow rows[] = {
      {0, 'f', -1, "0"},
      {-0.0, 'f', -1, "-0"},
      {1, 'f', -1, "1"},
      {0.1, 'f', -1, "0.1"},
      {100, 'f', -1, "100"},
      {1.5e-7, 'f', -1, "0.00000015"},
      {123.456, 'f', -1, "123.456"},
      {1e23, 'f', -1, "100000000000000000000000"},  // digits padded with zeros, not the exact binary value
      {5e-324, 'e', -1, "5e-324"},
      {1e21, 'e', -1, "1e+21"},
      {0, 'e', -1, "0e+00"},
      {1234.5, 'e', -1, "1.2345e+03"},
      {1.7976931348623157e308, 'e', -1, "1.7976931348623157e+308"},
      {100000, 'g', -1, "100000"},
      {1e6, 'g', -1, "1e+06"},
      {123456, 'g', -1, "123456"},
      {1234567, 'g', -1, "1.234567e+06"},
      {123456789, 'g', -1, "1.23456789e+08"},
      {0.0001, 'g', -1, "0.0001"},
      {0.00001, 'g', -1, "1e-05"},
      {0.3, 'f', 2, "0.30"},
      {2.5, 'f', 0, "2"},
      {1e21, 'f', 2, "1000000000000000000000.00"},
      {1234.5678, 'e', 3, "1.235e+03"},
      {100000, 'g', 4, "1e+05"},
      {100, 'g', 4, "100"},
      {1.23456, 'g', 4, "1.235"},
      {0.00001234, 'g', 4, "1.234e-05"},
      {5, 'g', 10, "5"},
      {NAN, 'f', -1, "NaN"},
      {INFINITY, 'g', 4, "+Inf"},
      {-INFINITY, 'e', -1, "-Inf"},
  };
  for (const FloatRow& row : rows) {
    EXPECT_EQ(FormatFloat(row.v, row.format, row.precision), row.text) << row.format << row.precision;
  }
}

TEST(FormatFloat, ShortestReadsBack) {
  uint64_t bits = 0x9e3779b97f4a7c15;
  for (int i = 0; i < 20000; ++i) {
    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
    double v = 0;
    std::memcpy(&v, &bits, sizeof(v));
    if (!std::isfinite(v)) {
      continue;
    }
    for (const char format : {'f', 'e', 'g'}) {
      ASSERT_EQ(std::strtod(FormatFloat(v, format).c_str(), nullptr), v) << format;
    }
  }
}

TEST(FormatSampleValue, SwitchesToExponentsAsTheApiDoes) {
  EXPECT_EQ(FormatSampleValue(0), "0");
  EXPECT_EQ(FormatSampleValue(1e-6), "0.000001");
  EXPECT_EQ(FormatSampleValue(9.9e-7), "9.9e-07");
  EXPECT_EQ(FormatSampleValue(1e20), "100000000000000000000");
  EXPECT_EQ(FormatSampleValue(-1e21), "-1e+21");
  EXPECT_EQ(FormatSampleValue(INFINITY), "+Inf");
}

TEST(FormatRfc3339, TrimsTheFraction) {
  EXPECT_EQ(FormatRfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatRfc3339(1704164645123), "2024-01-02T03:04:05.123Z");
  EXPECT_EQ(FormatRfc3339(1704164645120), "2024-01-02T03:04:05.12Z");
  EXPECT_EQ(FormatRfc3339(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace weir
