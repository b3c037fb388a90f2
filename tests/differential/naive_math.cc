// Math, date and label functions, classic histograms: semantics §2.6 and §2.8.
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <numbers>
#include <set>

#include "core/model/duration.h"
#include "core/model/go_math.h"
#include "tests/differential/naive_internal.h"

namespace weir::naive {

namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();
const double kInf = std::numeric_limits<double>::infinity();

using MathFn = double (*)(double);
const std::map<std::string_view, MathFn>& MathFunctions() {
  static const std::map<std::string_view, MathFn> table = {
      {"abs", [](double v) { return std::fabs(v); }},
      {"ceil", [](double v) { return std::ceil(v); }},
      {"floor", [](double v) { return std::floor(v); }},
      {"sqrt", [](double v) { return std::sqrt(v); }},
      {"exp", GoExp},
      {"ln", GoLog},
      {"log2", [](double v) { return std::log2(v); }},
      {"log10", GoLog10},
      {"sin", [](double v) { return std::sin(v); }},
      {"cos", [](double v) { return std::cos(v); }},
      {"tan", [](double v) { return std::tan(v); }},
      {"asin", [](double v) { return std::asin(v); }},
      {"acos", [](double v) { return std::acos(v); }},
      {"atan", [](double v) { return std::atan(v); }},
      {"sinh", GoSinh},
      {"cosh", GoCosh},
      {"tanh", [](double v) { return std::tanh(v); }},
      {"asinh", [](double v) { return std::asinh(v); }},
      {"acosh", [](double v) { return std::acosh(v); }},
      {"atanh", [](double v) { return std::atanh(v); }},
      {"deg", [](double v) { return v * 180 / std::numbers::pi; }},
      {"rad", [](double v) { return v * std::numbers::pi / 180; }},
      {"sgn", [](double v) { return v < 0 ? -1.0 : (v > 0 ? 1.0 : v); }},
  };
  return table;
}

struct Civil {
  int64_t year = 0;
  int month = 0;
  int day = 0;
};

bool IsLeap(int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int DaysInMonth(int64_t year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && IsLeap(year) ? 29 : days[month - 1];
}

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }

// Proleptic Gregorian date of a day number counted from 1970-01-01 (the usual era arithmetic of 400 years).
Civil CivilFromDays(int64_t days) {
  int64_t z = days + 719468;
  int64_t era = FloorDiv(z, 146097);
  int64_t day_of_era = z - era * 146097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;
  Civil c;
  c.day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  c.month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  c.year = year_of_era + era * 400 + (c.month <= 2 ? 1 : 0);
  return c;
}

struct Bucket {
  double upper = 0;
  double count = 0;
};

// Buckets of one classic histogram and the labels its result has (without le).
struct Histogram {
  Labels labels;
  std::vector<Bucket> buckets;
};

bool ParseBound(std::string_view text, double* bound) {
  if (text.empty()) {
    return false;
  }
  std::string s(text);
  char* end = nullptr;
  *bound = std::strtod(s.c_str(), &end);
  return end == s.c_str() + s.size();
}

std::vector<Histogram> GatherBuckets(const std::vector<Element>& input) {
  std::map<Labels, size_t> index;
  std::vector<Histogram> out;
  for (const Element& e : input) {
    double upper = 0;
    if (!ParseBound(e.labels.Get(kBucketLabel), &upper)) {
      continue;
    }
    Labels key = e.labels;
    key.Remove(kBucketLabel);
    auto [it, added] = index.emplace(key, out.size());
    if (added) {
      out.push_back({key, {}});
    }
    out[it->second].buckets.push_back({upper, e.v});
  }
  return out;
}

void SortAndCoalesce(std::vector<Bucket>* buckets) {
  std::stable_sort(buckets->begin(), buckets->end(),
                   [](const Bucket& a, const Bucket& b) { return a.upper < b.upper; });
  std::vector<Bucket> merged;
  for (const Bucket& b : *buckets) {
    if (!merged.empty() && merged.back().upper == b.upper) {
      merged.back().count += b.count;
    } else {
      merged.push_back(b);
    }
  }
  *buckets = std::move(merged);
}

bool AlmostEqual(double a, double b, double epsilon) {
  if (a == b || (std::isnan(a) && std::isnan(b))) {
    return true;
  }
  double sum = std::fabs(a) + std::fabs(b);
  double difference = std::fabs(a - b);
  double min_normal = std::numeric_limits<double>::min();
  if (a == 0 || b == 0 || sum < min_normal) {
    return difference < epsilon * min_normal;
  }
  return difference / std::min(sum, std::numeric_limits<double>::max()) < epsilon;
}

void EnsureMonotonic(std::vector<Bucket>* buckets) {
  double previous = buckets->front().count;
  for (size_t i = 1; i < buckets->size(); ++i) {
    double& current = (*buckets)[i].count;
    if (current == previous) {
      continue;
    }
    if (AlmostEqual(previous, current, 1e-12) || current < previous) {
      current = previous;
      continue;
    }
    previous = current;
  }
}

double BucketQuantile(double q, std::vector<Bucket> buckets) {
  if (std::isnan(q)) {
    return kNaN;
  }
  if (q < 0) {
    return -kInf;
  }
  if (q > 1) {
    return kInf;
  }
  SortAndCoalesce(&buckets);
  if (buckets.empty() || buckets.back().upper != kInf) {
    return kNaN;
  }
  EnsureMonotonic(&buckets);
  if (buckets.size() < 2 || buckets.back().count == 0) {
    return kNaN;
  }
  double rank = q * buckets.back().count;
  size_t last = buckets.size() - 1;
  size_t b = last;
  for (size_t i = 0; i < last; ++i) {
    if (buckets[i].count >= rank) {
      b = i;
      break;
    }
  }
  if (b == last) {
    return buckets[last - 1].upper;
  }
  if (b == 0 && buckets[0].upper <= 0) {
    return buckets[0].upper;
  }
  double start = 0;
  double end = buckets[b].upper;
  double count = buckets[b].count;
  if (b > 0) {
    start = buckets[b - 1].upper;
    count -= buckets[b - 1].count;
    rank -= buckets[b - 1].count;
  }
  return start + (end - start) * (rank / count);
}

double BucketFraction(double lower, double upper, std::vector<Bucket> buckets) {
  SortAndCoalesce(&buckets);
  if (buckets.empty() || buckets.back().upper != kInf) {
    return kNaN;
  }
  double total = buckets.back().count;
  if (total == 0 || std::isnan(lower) || std::isnan(upper)) {
    return kNaN;
  }
  if (lower >= upper) {
    return 0;
  }
  auto plain_rank_of = [&](double v) {
    double rank = 0;
    for (size_t i = 0; i < buckets.size(); ++i) {
      double low = i > 0 ? buckets[i - 1].upper : (buckets[0].upper > 0 ? 0 : -kInf);
      double high = buckets[i].upper;
      if (low >= v) {
        return rank;
      }
      if (high > v) {
        if (std::isinf(low) || std::isinf(high)) {
          return std::isinf(low) ? buckets[i].count : rank;
        }
        return rank + (buckets[i].count - rank) * (v - low) / (high - low);
      }
      rank = buckets[i].count;
    }
    return total;
  };
  // Counts that are not monotonic may exceed the last one.
  auto rank_of = [&](double v) { return std::min(plain_rank_of(v), total); };
  return (rank_of(upper) - rank_of(lower)) / total;
}

std::string OpenMetricsFloat(double v) {
  if (std::isnan(v)) {
    return "NaN";
  }
  if (std::isinf(v)) {
    return v > 0 ? "+Inf" : "-Inf";
  }
  std::string text = FormatFloat(v, 'g');
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

// Go's Regexp.Expand: $1, ${name}, $name (longest run of word characters), $$.
std::string Expand(const std::string& pattern, const re2::RE2& re, const std::vector<re2::StringPiece>& groups) {
  std::string out;
  auto append_group = [&](const std::string& name) {
    if (!name.empty() && name.find_first_not_of("0123456789") == std::string::npos) {
      size_t index = std::strtoul(name.c_str(), nullptr, 10);
      if (index < groups.size()) {
        out.append(groups[index].data() ? groups[index].as_string() : "");
      }
      return;
    }
    auto it = re.NamedCapturingGroups().find(name);
    if (it != re.NamedCapturingGroups().end() && groups[static_cast<size_t>(it->second)].data()) {
      out.append(groups[static_cast<size_t>(it->second)].as_string());
    }
  };
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '$' || i + 1 == pattern.size()) {
      out.push_back(pattern[i]);
      continue;
    }
    if (pattern[i + 1] == '$') {
      out.push_back('$');
      ++i;
      continue;
    }
    bool braced = pattern[i + 1] == '{';
    size_t begin = i + (braced ? 2 : 1);
    size_t end = begin;
    while (end < pattern.size() && (std::isalnum(static_cast<unsigned char>(pattern[end])) || pattern[end] == '_')) {
      ++end;
    }
    if (end == begin || (braced && (end == pattern.size() || pattern[end] != '}'))) {
      out.push_back('$');
      continue;
    }
    append_group(pattern.substr(begin, end - begin));
    i = braced ? end : end - 1;
  }
  return out;
}

void SetLabel(Element* e, const std::string& name, const std::string& value) {
  e->labels.Set(name, value);
  if (name == kMetricName) {
    e->drop_name = false;
  }
}

}  // namespace

double GoMax(double a, double b) {
  if (a == kInf || b == kInf) {
    return kInf;
  }
  if (std::isnan(a) || std::isnan(b)) {
    return kNaN;
  }
  if (a == 0 && b == 0) {
    return std::signbit(a) ? b : a;
  }
  return a > b ? a : b;
}

double GoMin(double a, double b) {
  if (a == -kInf || b == -kInf) {
    return -kInf;
  }
  if (std::isnan(a) || std::isnan(b)) {
    return kNaN;
  }
  if (a == 0 && b == 0) {
    return std::signbit(a) ? a : b;
  }
  return a < b ? a : b;
}

bool IsMathFunction(std::string_view name) { return MathFunctions().count(name) > 0; }
double MathFunction(std::string_view name, double v) { return MathFunctions().at(name)(v); }

bool IsDateFunction(std::string_view name) {
  static const std::set<std::string_view> names = {"minute",      "hour",          "day_of_week", "day_of_month",
                                                   "day_of_year", "days_in_month", "month",       "year"};
  return names.count(name) > 0;
}

double DateFunction(std::string_view name, double v) {
  // Go counts from 1 March of the year -292277022400 in 64 bits that wrap; what fits no int64 (NaN too) becomes the least one.
  constexpr uint64_t kEpoch = 9223372028741760000ULL;  // from there to 1970, in seconds
  bool fits = v >= -9223372036854775808.0 && v < 9223372036854775808.0;
  uint64_t seconds =
      kEpoch + static_cast<uint64_t>(fits ? static_cast<int64_t>(v) : std::numeric_limits<int64_t>::min());
  int64_t days = static_cast<int64_t>(seconds / 86400) - static_cast<int64_t>(kEpoch / 86400);
  int64_t second_of_day = static_cast<int64_t>(seconds % 86400);
  Civil c = CivilFromDays(days);
  if (name == "minute") {
    return static_cast<double>(second_of_day / 60 % 60);
  }
  if (name == "hour") {
    return static_cast<double>(second_of_day / 3600);
  }
  if (name == "day_of_week") {
    return static_cast<double>(((days + 4) % 7 + 7) % 7);
  }
  if (name == "day_of_month") {
    return c.day;
  }
  if (name == "days_in_month") {
    return DaysInMonth(c.year, c.month);
  }
  if (name == "month") {
    return c.month;
  }
  if (name == "year") {
    return static_cast<double>(c.year);
  }
  int day = c.day;
  for (int m = 1; m < c.month; ++m) {
    day += DaysInMonth(c.year, m);
  }
  return day;
}

std::vector<Element> HistogramQuantile(const std::vector<double>& qs, const std::string& label,
                                       const std::vector<Element>& input) {
  std::vector<Element> out;
  for (const Histogram& h : GatherBuckets(input)) {
    for (double q : qs) {
      Element e;
      e.labels = DropMetadata(h.labels);
      if (!label.empty()) {
        e.labels.Set(label, OpenMetricsFloat(q));
      }
      e.v = BucketQuantile(q, h.buckets);
      out.push_back(e);
    }
  }
  return out;
}

std::vector<Element> HistogramFraction(double lower, double upper, const std::vector<Element>& input) {
  std::vector<Element> out;
  for (const Histogram& h : GatherBuckets(input)) {
    Element e;
    e.labels = DropMetadata(h.labels);
    e.v = BucketFraction(lower, upper, h.buckets);
    out.push_back(e);
  }
  return out;
}

std::vector<Element> LabelReplace(std::vector<Element> input, const std::vector<std::string>& text) {
  const std::string& dst = text[0];
  re2::RE2::Options options(re2::RE2::Quiet);
  re2::RE2 re("^(?s:" + text[3] + ")$", options);
  if (!re.ok()) {
    throw EvalError("invalid regular expression in label_replace(): " + text[3]);
  }
  if (dst.empty() || !IsValidUtf8(dst)) {
    throw EvalError("invalid destination label name in label_replace(): " + dst);
  }
  for (Element& e : input) {
    std::string source(e.labels.Get(text[2]));
    std::vector<re2::StringPiece> groups(static_cast<size_t>(re.NumberOfCapturingGroups()) + 1);
    if (!re.Match(source, 0, source.size(), re2::RE2::ANCHOR_BOTH, groups.data(), static_cast<int>(groups.size()))) {
      continue;
    }
    SetLabel(&e, dst, Expand(text[1], re, groups));
  }
  return input;
}

std::vector<Element> LabelJoin(std::vector<Element> input, const std::vector<std::string>& text) {
  for (size_t i = 2; i < text.size(); ++i) {
    if (text[i].empty() || !IsValidUtf8(text[i])) {
      throw EvalError("invalid source label name in label_join(): " + text[i]);
    }
  }
  if (text[0].empty() || !IsValidUtf8(text[0])) {
    throw EvalError("invalid destination label name in label_join(): " + text[0]);
  }
  for (Element& e : input) {
    std::string joined;
    for (size_t i = 2; i < text.size(); ++i) {
      joined += (i > 2 ? text[1] : "") + std::string(e.labels.Get(text[i]));
    }
    SetLabel(&e, text[0], joined);
  }
  return input;
}

bool NaturalLess(std::string_view a, std::string_view b) {
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      size_t i0 = i;
      size_t j0 = j;
      while (i < a.size() && digit(a[i])) {
        ++i;
      }
      while (j < b.size() && digit(b[j])) {
        ++j;
      }
      std::string_view x = a.substr(i0, i - i0);
      std::string_view y = b.substr(j0, j - j0);
      std::string_view xs = x.substr(std::min(x.find_first_not_of('0'), x.size()));
      std::string_view ys = y.substr(std::min(y.find_first_not_of('0'), y.size()));
      if (xs.size() != ys.size()) {
        return xs.size() < ys.size();
      }
      if (xs != ys) {
        return xs < ys;
      }
      if (x.size() != y.size()) {
        return x.size() < y.size();
      }
      continue;
    }
    if (a[i] != b[j]) {
      return a[i] < b[j];
    }
    ++i;
    ++j;
  }
  return a.size() - i < b.size() - j;
}

}  // namespace weir::naive
