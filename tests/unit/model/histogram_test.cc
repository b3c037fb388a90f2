// Native histograms against Prometheus's own code: every row of histogram_cases.txt, bit for bit.

#include "core/model/histogram.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/classic_histogram.h"
#include "core/model/duration.h"
#include "core/model/go_math.h"
#include "core/model/histogram_buckets.h"
#include "core/model/histogram_statistics.h"

namespace weir {
namespace {

std::vector<std::string> Split(std::string_view text, std::string_view separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + separator.size(), text.size()));
  }
  return out;
}

double Number(std::string_view text) { return std::strtod(std::string(text).c_str(), nullptr); }

std::vector<double> Numbers(std::string_view text) {
  std::vector<double> out;
  for (const std::string& number : Split(text, ",")) {
    out.push_back(Number(number));
  }
  return out;
}

std::vector<BucketSpan> Spans(std::string_view text) {
  std::vector<BucketSpan> out;
  for (const std::string& span : Split(text, ",")) {
    const std::vector<std::string> parts = Split(span, "x");
    out.push_back({static_cast<int32_t>(Number(parts[0])), static_cast<uint32_t>(Number(parts[1]))});
  }
  return out;
}

FloatHistogram Read(std::string_view text) {
  FloatHistogram h;
  for (const std::string& field : Split(text, " ")) {
    const size_t colon = field.find(':');
    const std::string key = field.substr(0, colon);
    const std::string value = field.substr(colon + 1);
    if (key == "s") {
      h.schema = static_cast<int32_t>(Number(value));
    } else if (key == "hint") {
      h.hint = static_cast<CounterResetHint>(static_cast<unsigned char>(Number(value)));
    } else if (key == "c") {
      h.count = Number(value);
    } else if (key == "sum") {
      h.sum = Number(value);
    } else if (key == "zt") {
      h.zero_threshold = Number(value);
    } else if (key == "zc") {
      h.zero_count = Number(value);
    } else if (key == "cv") {
      h.custom_values = Numbers(value);
    } else if (key == "p") {
      h.positive_spans = Spans(value);
    } else if (key == "pb") {
      h.positive_buckets = Numbers(value);
    } else if (key == "n") {
      h.negative_spans = Spans(value);
    } else if (key == "nb") {
      h.negative_buckets = Numbers(value);
    } else {
      ADD_FAILURE() << "unknown field " << field;
    }
  }
  return h;
}

std::string Text(double v) { return FormatFloat(v, 'g'); }

std::string Text(const std::vector<double>& values) {
  std::string out;
  for (const double v : values) {
    out += (out.empty() ? "" : ",") + Text(v);
  }
  return out;
}

std::string Text(const std::vector<BucketSpan>& spans) {
  std::string out;
  for (const BucketSpan& span : spans) {
    out += (out.empty() ? "" : ",") + std::to_string(span.offset) + "x" + std::to_string(span.length);
  }
  return out;
}

// The inverse of Read: texts are equal exactly when histograms are, bit for bit.
std::string Text(const FloatHistogram& h) {
  std::string out = "s:" + std::to_string(h.schema);
  const auto add = [&out](const char* key, const std::string& value, bool shown) {
    out += shown ? std::string(" ") + key + ":" + value : "";
  };
  add("hint", std::to_string(static_cast<int>(h.hint)), h.hint != CounterResetHint::kUnknown);
  add("c", Text(h.count), true);
  add("sum", Text(h.sum), true);
  add("zt", Text(h.zero_threshold), h.zero_threshold != 0);
  add("zc", Text(h.zero_count), h.zero_count != 0);
  add("cv", Text(h.custom_values), !h.custom_values.empty());
  add("p", Text(h.positive_spans), !h.positive_spans.empty());
  add("pb", Text(h.positive_buckets), !h.positive_buckets.empty());
  add("n", Text(h.negative_spans), !h.negative_spans.empty());
  add("nb", Text(h.negative_buckets), !h.negative_buckets.empty());
  return out;
}

std::string Text(const CombineInfo& info) {
  if (info.counter_reset_collision) {
    return info.nhcb_bounds_reconciled ? "collision bounds" : "collision";
  }
  return info.nhcb_bounds_reconciled ? "bounds" : "-";
}

std::string Text(bool v) { return v ? "true" : "false"; }

std::string Text(NanObservations nan) {
  constexpr const char* kTexts[] = {"-", "nan", "skewed"};
  return kTexts[static_cast<size_t>(nan)];
}

std::string Text(BucketIterator it) {
  std::string out;
  while (it.Next()) {
    const Bucket& b = it.bucket();
    out += (out.empty() ? "" : " ") + std::to_string(b.index) + ":" + (b.lower_inclusive ? "[" : "(") + Text(b.lower) +
           "," + Text(b.upper) + (b.upper_inclusive ? "]" : ")") + ":" + Text(b.count);
  }
  return out.empty() ? "-" : out;
}

using Row = std::vector<std::string>;  // the case's columns
using Check = std::function<void(const Row&)>;

void Combine(const Row& row, Result<CombineInfo> (FloatHistogram::*combine)(const FloatHistogram&)) {
  FloatHistogram h = Read(row[1]);
  const Result<CombineInfo> info = (h.*combine)(Read(row[2]));
  if (!info.ok()) {
    EXPECT_EQ("error " + std::string(info.status().message()), row[3]);
    EXPECT_EQ(Text(h), row[1]);
    return;
  }
  EXPECT_EQ(Text(h), row[3]);
  EXPECT_EQ(Text(*info), row[4]);
}

void CheckKahan(const Row& row) {
  FloatHistogram h = Read(row[1]);
  FloatHistogram compensation = h.MakeCompensation();
  std::string infos;
  for (size_t i = 2; i + 3 < row.size(); ++i) {
    const Result<CombineInfo> info = h.KahanAdd(Read(row[i]), &compensation);
    ASSERT_TRUE(info.ok());
    infos += (i > 2 ? ";" : "") + Text(*info);
  }
  EXPECT_EQ(Text(h), row[row.size() - 3]);
  // Upstream makes it during the first addition, after the hints were combined.
  compensation.hint = Read(row[row.size() - 2]).hint;
  EXPECT_EQ(Text(compensation), row[row.size() - 2]);
  EXPECT_EQ(infos, row.back());
}

void CheckBound(const Row& row) {
  const int32_t schema = static_cast<int32_t>(Number(row[1]));
  for (const std::string& pair : Split(row[2], " ")) {
    const size_t equals = pair.find('=');
    EXPECT_EQ(Text(ExponentialBound(static_cast<int64_t>(Number(pair.substr(0, equals))), schema)),
              pair.substr(equals + 1))
        << pair;
  }
}

void CheckBuckets(const Row& row) {
  const std::map<std::string, BucketOrder> orders = {{"ascending", BucketOrder::kAscending},
                                                     {"descending", BucketOrder::kDescending},
                                                     {"positive", BucketOrder::kPositiveOnly},
                                                     {"negative", BucketOrder::kNegativeOnly}};
  const FloatHistogram h = Read(row[1]);
  EXPECT_EQ(Text(BucketIterator(h, orders.at(row[2]))), row[3]);
}

void CheckNhcb(const Row& row) {
  ClassicHistogram classic;
  for (const std::string& sample : Split(row[1], " ")) {
    const size_t equals = sample.find('=');
    const double value = Number(sample.substr(equals + 1));
    if (sample.starts_with("count")) {
      classic.SetCount(value);
    } else if (sample.starts_with("sum")) {
      classic.SetSum(value);
    } else {
      classic.AddBucket(Number(sample.substr(0, equals)), value);
    }
  }
  const Result<FloatHistogram> native = classic.ToNative();
  EXPECT_EQ(native.ok() ? Text(*native) : "error " + std::string(native.status().message()), row[2]);
}

std::string StatusText(const Status& status) { return status.ok() ? "ok" : std::string(status.message()); }

const std::map<std::string, Check>& Checks() {
  static const std::map<std::string, Check> checks = {
      {"bound", CheckBound},
      {"add", [](const Row& row) { Combine(row, &FloatHistogram::Add); }},
      {"sub", [](const Row& row) { Combine(row, &FloatHistogram::Sub); }},
      {"kahan", CheckKahan},
      {"mul",
       [](const Row& row) {
         FloatHistogram h = Read(row[1]);
         h.Mul(Number(row[2]));
         EXPECT_EQ(Text(h), row[3]);
       }},
      {"div",
       [](const Row& row) {
         FloatHistogram h = Read(row[1]);
         h.Div(Number(row[2]));
         EXPECT_EQ(Text(h), row[3]);
       }},
      {"compact",
       [](const Row& row) {
         FloatHistogram h = Read(row[1]);
         h.Compact(static_cast<size_t>(Number(row[2])));
         EXPECT_EQ(Text(h), row[3]);
       }},
      {"schema",
       [](const Row& row) {
         FloatHistogram h = Read(row[1]);
         EXPECT_EQ(Text(h.CopyToSchema(static_cast<int32_t>(Number(row[2])))), row[3]);
         h.hint = CounterResetHint::kUnknown;
         EXPECT_TRUE(h.ReduceResolution(static_cast<int32_t>(Number(row[2]))).ok());
         EXPECT_EQ(Text(h), row[3]);
       }},
      {"reset", [](const Row& row) { EXPECT_EQ(Text(Read(row[1]).DetectReset(Read(row[2]))), row[3]); }},
      {"hint",
       [](const Row& row) {
         const FloatHistogram previous = Read(row[2]);
         const FloatHistogram h = Read(row[1]);
         EXPECT_EQ(std::to_string(static_cast<int>(h.HintAfter(&previous))), row[3]);
         EXPECT_EQ(h.HintAfter(nullptr), h.hint == CounterResetHint::kGauge ? h.hint : CounterResetHint::kUnknown);
       }},
      {"equals", [](const Row& row) { EXPECT_EQ(Text(Read(row[1]).Equals(Read(row[2]))), row[3]); }},
      {"trim",
       [](const Row& row) {
         FloatHistogram h = Read(row[1]);
         h.Trim(Number(row[2]), row[3] == "below" ? TrimSide::kKeepBelow : TrimSide::kKeepAbove);
         EXPECT_EQ(Text(h), row[4]);
       }},
      {"text",
       [](const Row& row) {
         const FloatHistogram h = Read(row[1]);
         EXPECT_EQ(h.ToString(), row[2]);
         EXPECT_EQ(h.ToTestExpression(), row[3]);
         EXPECT_EQ(std::to_string(h.Size()), row[4]);
       }},
      {"buckets", CheckBuckets},
      {"validate", [](const Row& row) { EXPECT_EQ(StatusText(Read(row[1]).Validate()), row[2]); }},
      {"reduce",
       [](const Row& row) {
         EXPECT_EQ(StatusText(Read(row[1]).ReduceResolution(static_cast<int32_t>(Number(row[2])))), row[3]);
       }},
      {"quantile",
       [](const Row& row) {
         const HistogramStatistic got = HistogramQuantile(Number(row[2]), Read(row[1]));
         EXPECT_EQ(Text(got.value), row[3]);
         EXPECT_EQ(Text(got.nan_observations), row[4]);
       }},
      {"fraction",
       [](const Row& row) {
         const HistogramStatistic got = HistogramFraction(Number(row[2]), Number(row[3]), Read(row[1]));
         EXPECT_EQ(Text(got.value), row[4]);
         EXPECT_EQ(Text(got.nan_observations), row[5]);
       }},
      {"moments",
       [](const Row& row) {
         const FloatHistogram h = Read(row[1]);
         EXPECT_EQ(Text(HistogramAvg(h)), row[2]);
         EXPECT_EQ(Text(HistogramStdVar(h)), row[3]);
         EXPECT_EQ(Text(HistogramStdDev(h)), row[4]);
       }},
      {"nhcb", CheckNhcb},
      {"math",
       [](const Row& row) {
         EXPECT_EQ(Text(GoExp2(Number(row[1]))), row[2]);
         EXPECT_EQ(Text(GoLog2(Number(row[3]))), row[4]);
       }},
  };
  return checks;
}

TEST(Histogram, EqualsPrometheusOnEveryCase) {
  std::ifstream in("tests/unit/model/histogram_cases.txt");
  ASSERT_TRUE(in.good());
  std::map<std::string, size_t> seen;
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.starts_with("#")) {
      continue;
    }
    const Row row = Split(line, " | ");
    ASSERT_TRUE(Checks().contains(row[0])) << line;
    ++seen[row[0]];
    SCOPED_TRACE("histogram_cases.txt:" + std::to_string(number) + ": " + line);
    Checks().at(row[0])(row);
  }
  EXPECT_EQ(seen.size(), Checks().size());
}

}  // namespace
}  // namespace weir
