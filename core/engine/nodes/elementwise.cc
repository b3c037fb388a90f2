// Functions that map each sample by itself: math, trigonometry, clamps, rounding, dates; and the sorts, which only order.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/engine/annotations.h"
#include "core/engine/arithmetic.h"
#include "core/engine/nodes/nodes.h"

namespace weir::engine {
namespace {

using promql::FunctionId;
using promql::ValueType;

double Sign(double v) { return v < 0 ? -1 : v > 0 ? 1 : v; }
double Degrees(double v) { return v * 180 / M_PI; }
double Radians(double v) { return v * M_PI / 180; }

struct Civil {
  int64_t year;
  int month;  // 1..12
  int day;    // 1..31
};

// Days since the epoch to a proleptic Gregorian date (the era method of Hinnant's "chrono-compatible date algorithms").
Civil CivilOf(int64_t days) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  auto of_era = static_cast<unsigned>(days - era * 146097);
  unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  unsigned day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  unsigned m = (5 * day_of_year + 2) / 153;
  int month = m < 10 ? static_cast<int>(m) + 3 : static_cast<int>(m) - 9;
  return {static_cast<int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month,
          static_cast<int>(day_of_year - (153 * m + 2) / 5 + 1)};
}

// Seconds of a sample as Go's time package sees them: it counts from the year −292277022399, and what lies before wraps.
__int128 SecondsOf(double v) {
  constexpr __int128 kGoZero = 9223372028715321600;
  __int128 seconds = GoInt64(v);
  return seconds + kGoZero < 0 ? seconds + (static_cast<__int128>(1) << 64) : seconds;
}
__int128 FloorDiv(__int128 a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
int64_t DaysOf(double v) { return static_cast<int64_t>(FloorDiv(SecondsOf(v), 86400)); }
bool IsLeap(int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

double Minute(double v) {
  const auto minute = static_cast<int>((SecondsOf(v) - FloorDiv(SecondsOf(v), 3600) * 3600) / 60);
  return minute;
}
double Hour(double v) {
  const auto hour = static_cast<int>((SecondsOf(v) - static_cast<__int128>(DaysOf(v)) * 86400) / 3600);
  return hour;
}
double DayOfWeek(double v) {
  int64_t day = (DaysOf(v) + 4) % 7;
  return static_cast<double>(day < 0 ? day + 7 : day);
}
double DayOfMonth(double v) { return CivilOf(DaysOf(v)).day; }
double Month(double v) { return CivilOf(DaysOf(v)).month; }
double Year(double v) { return static_cast<double>(CivilOf(DaysOf(v)).year); }
double DayOfYear(double v) {
  static constexpr int kBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  Civil date = CivilOf(DaysOf(v));
  return kBefore[date.month - 1] + date.day + (date.month > 2 && IsLeap(date.year) ? 1 : 0);
}
double DaysInMonth(double v) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  Civil date = CivilOf(DaysOf(v));
  return kDays[date.month - 1] + (date.month == 2 && IsLeap(date.year) ? 1 : 0);
}

double Round(double v, const double* p) {
  double inverse = 1 / p[0];
  return std::floor(v * inverse + 0.5) / inverse;
}
double Clamp(double v, const double* p) { return GoMax(p[0], GoMin(p[1], v)); }
double ClampMin(double v, const double* p) { return GoMax(p[0], v); }
double ClampMax(double v, const double* p) { return GoMin(p[0], v); }

struct Row {
  FunctionId id;
  const char* name;
  double (*f)(double);
  double (*with_params)(double, const double*);
  bool rises = false;    // a greater argument never gives a smaller value, where there is one
  bool of_time = false;  // the same for a whole minute
};

constexpr Row kRows[] = {
    {FunctionId::kAbs, "abs", [](double v) { return std::fabs(v); }, nullptr},
    {FunctionId::kCeil, "ceil", [](double v) { return std::ceil(v); }, nullptr, true},
    {FunctionId::kFloor, "floor", [](double v) { return std::floor(v); }, nullptr, true},
    {FunctionId::kSqrt, "sqrt", [](double v) { return std::sqrt(v); }, nullptr, true},
    {FunctionId::kExp, "exp", GoExp, nullptr, true},
    {FunctionId::kLn, "ln", GoLog, nullptr, true},
    {FunctionId::kLog2, "log2", GoLog2, nullptr, true},
    {FunctionId::kLog10, "log10", GoLog10, nullptr, true},
    {FunctionId::kSin, "sin", [](double v) { return std::sin(v); }, nullptr},
    {FunctionId::kCos, "cos", [](double v) { return std::cos(v); }, nullptr},
    {FunctionId::kTan, "tan", [](double v) { return std::tan(v); }, nullptr},
    {FunctionId::kAsin, "asin", [](double v) { return std::asin(v); }, nullptr},
    {FunctionId::kAcos, "acos", [](double v) { return std::acos(v); }, nullptr},
    {FunctionId::kAtan, "atan", [](double v) { return std::atan(v); }, nullptr},
    {FunctionId::kSinh, "sinh", GoSinh, nullptr},
    {FunctionId::kCosh, "cosh", GoCosh, nullptr},
    {FunctionId::kTanh, "tanh", [](double v) { return std::tanh(v); }, nullptr},
    {FunctionId::kAsinh, "asinh", [](double v) { return std::asinh(v); }, nullptr},
    {FunctionId::kAcosh, "acosh", [](double v) { return std::acosh(v); }, nullptr},
    {FunctionId::kAtanh, "atanh", [](double v) { return std::atanh(v); }, nullptr},
    {FunctionId::kDeg, "deg", Degrees, nullptr, true},
    {FunctionId::kRad, "rad", Radians, nullptr, true},
    {FunctionId::kSgn, "sgn", Sign, nullptr, true},
    {FunctionId::kMinute, "minute", Minute, nullptr, false, true},
    {FunctionId::kHour, "hour", Hour, nullptr, false, true},
    {FunctionId::kDayOfWeek, "day_of_week", DayOfWeek, nullptr, false, true},
    {FunctionId::kDayOfMonth, "day_of_month", DayOfMonth, nullptr, false, true},
    {FunctionId::kDayOfYear, "day_of_year", DayOfYear, nullptr, false, true},
    {FunctionId::kDaysInMonth, "days_in_month", DaysInMonth, nullptr, false, true},
    {FunctionId::kMonth, "month", Month, nullptr, false, true},
    {FunctionId::kYear, "year", Year, nullptr, false, true},
    {FunctionId::kRound, "round", nullptr, Round, true},
    {FunctionId::kClamp, "clamp", nullptr, Clamp, true},
    {FunctionId::kClampMin, "clamp_min", nullptr, ClampMin, true},
    {FunctionId::kClampMax, "clamp_max", nullptr, ClampMax, true},
};

// Slots are those of input 0, the metric name goes.
class MapNode : public Node {
 public:
  explicit MapNode(std::vector<NodePtr> inputs) : Node(ValueType::kVector, std::move(inputs)) {
    one_name_ = inputs_[0]->one_name();
  }

 protected:
  void Extend(Context& ctx) override {
    MakeRoom(ctx, input(0).size());
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      AddSlotDroppingName(ctx, input(0).labels(i));
      ctx.MayYieldNew(i);
    }
  }
  template <typename F>
  void Map(Context& ctx, F f) {
    present_ = input(0).present();
    values_.resize(labels_.size());
    histograms_.clear();
    const auto& in = input(0).values();
    for (size_t i = 0; i < values_.size(); ++i) {
      ctx.MayYield(i);
      if (present_[i]) {
        values_[i] = f(in[i]);
      }
    }
    for (size_t i = 0; i < input(0).histograms().size(); ++i) {
      if (present_[i] && input(0).histogram(i)) {
        MapHistogram(i, input(0).histogram(i));
      }
      ctx.MayYield(i);
    }
    if (!one_name_) {
      CheckUnique(ctx);
    }
  }
  // What becomes of a histogram: nothing, the function is one of floats.
  virtual void MapHistogram(size_t slot, const HistogramRef&) { present_[slot] = 0; }
};

class ElementwiseNode final : public MapNode {
 public:
  ElementwiseNode(const Row& row, std::vector<NodePtr> args) : MapNode(std::move(args)), row_(row) {}
  std::string Describe() const override { return row_.name; }
  bool HasBounds() const override { return row_.rises || row_.id == FunctionId::kAbs || row_.of_time; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    if (row_.of_time) {
      out->slots.clear();
      for (const Span& of : in[0]->slots) {
        out->slots.push_back(BoundOfTime(of));
      }
      return;
    }
    double params[2] = {1, 0};
    const bool usable = HasBounds() && TakeParams(params, in);
    out->slots.assign(size(), Span::Any());
    for (size_t i = 0; usable && i < size(); ++i) {
      const Span& of = in[0]->slots[i];
      Span& span = out->slots[i];
      span = Span::Nothing();
      span.absent = of.absent;
      span.nan = of.nan;
      if (of.numbers()) {
        span.Add(Value(of.lo, params));
        span.Add(Value(of.hi, params));
        // The least value lies between: abs() turns there, sqrt() begins there.
        if ((row_.id == FunctionId::kAbs || row_.id == FunctionId::kSqrt) && of.lo < 0 && of.hi > 0) {
          span.Add(0.0);
        }
        if (IsLog()) {
          if (of.lo < 0) {
            span.nan = true;
            span.Add(-std::numeric_limits<double>::infinity());
          }
          span = span.Widened(std::max({1.0, std::fabs(span.lo), std::fabs(span.hi)}));
        } else if (row_.id == FunctionId::kExp) {
          constexpr double kLeast = 1e-300;  // below it few digits are left
          span.lo = span.lo < kLeast ? 0 : span.lo * (1 - Span::kRounding);
          span.hi = span.hi * (1 + Span::kRounding) + kLeast;
        }
      }
    }
  }
  void Restrict(const Horizon&, std::span<const Bounds* const> in, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    double params[2] = {1, 0};
    if (row_.of_time) {
      for (size_t i = 0; i < keep.size(); ++i) {
        (*keep_in[0])[i].Restrict(keep[i].any() || keep[i].nothing() ? keep[i] : in[0]->slots[i]);
      }
      return;
    }
    if (!HasBounds() || !TakeParams(params, in)) {
      RestrictAll(keep, keep_in);
      return;
    }
    for (size_t i = 0; i < keep.size(); ++i) {
      (*keep_in[0])[i].Restrict(row_.id == FunctionId::kAbs ? UnderAbs(keep[i], in[0]->slots[i])
                                                            : Under(keep[i], in[0]->slots[i], params));
    }
  }

 protected:
  void Compute(Context& ctx) override {
    if (row_.f != nullptr) {
      Map(ctx, row_.f);
      return;
    }
    double params[2] = {1, 0};
    for (size_t i = 1; i < inputs_.size(); ++i) {
      params[i - 1] = input(i).scalar();
    }
    if (row_.id == FunctionId::kClamp && params[1] < params[0]) {
      ClearValues();
      return;
    }
    Map(ctx, [&](double v) { return row_.with_params(v, params); });
  }

 private:
  bool IsLog() const {
    return row_.id == FunctionId::kLn || row_.id == FunctionId::kLog2 || row_.id == FunctionId::kLog10;
  }
  Span BoundOfTime(const Span& of) const {
    constexpr double kMinute = 60;
    constexpr double kMinutesMax = 3000;
    constexpr double kTimeMax = 1e12;  // seconds
    if (!of.numbers()) {
      return of.nan ? Span::Any() : of;
    }
    Span span = Span::Any();
    if (!of.nan && std::fabs(of.lo) < kTimeMax && std::fabs(of.hi) < kTimeMax &&
        of.hi - of.lo < kMinutesMax * kMinute) {
      span = Span::Of(row_.f(of.lo));
      const auto last = static_cast<int64_t>(std::floor(of.hi / kMinute));
      for (auto minute = static_cast<int64_t>(std::floor(of.lo / kMinute)) + 1; minute <= last; ++minute) {
        span.Add(row_.f(static_cast<double>(minute) * kMinute));
      }
      span.Add(row_.f(of.hi));
    }
    span.absent = of.absent;
    return span;
  }
  double Value(double v, const double* params) const {
    return row_.f != nullptr ? row_.f(v) : row_.with_params(v, params);
  }
  // RETURNS: whether the parameters are constants in order, with which the function rises.
  bool TakeParams(double* params, std::span<const Bounds* const> in) const {
    for (size_t i = 1; i < inputs_.size(); ++i) {
      const Span& param = in[i]->slots[0];
      if (param.nan || param.absent || param.lo != param.hi) {
        return false;
      }
      params[i - 1] = param.lo;
    }
    return (row_.id != FunctionId::kClamp || params[0] <= params[1]) &&
           (row_.id != FunctionId::kRound || params[0] > 0);
  }
  static Span UnderAbs(const Span& keep, const Span& of) {
    Span under = keep;
    under.lo = of.lo >= 0 ? keep.lo : -keep.hi;
    under.hi = of.hi <= 0 && keep.lo > 0 ? -keep.lo : keep.hi;
    return keep.numbers() ? under : keep;
  }
  // What the argument keeps to. Bound tells whether it does.
  Span Under(const Span& keep, const Span& of, const double* params) const {
    Span under = keep;
    if (keep.numbers()) {
      under.hi = Furthest(of.hi, std::numeric_limits<double>::infinity(),
                          [&](double v) { return !(Value(v, params) > keep.hi); });
      under.lo = Furthest(of.lo, -std::numeric_limits<double>::infinity(),
                          [&](double v) { return !(Value(v, params) < keep.lo); });
    }
    return under;
  }
  // RETURNS: a number between `from` and `to` up to which `holds`; `from` if not even that does.
  template <typename Holds>
  static double Furthest(double from, double to, Holds holds) {
    if (holds(to) || !std::isfinite(from)) {
      return holds(to) ? to : from;
    }
    double step = std::max(std::fabs(from), 1.0) * (to > from ? 1 : -1);
    while (std::isfinite(from + step) && holds(from + step)) {
      step *= 2;
    }
    double inside = from;
    double outside = std::isfinite(from + step) ? from + step : to;
    constexpr int kHalvings = 60;
    for (int i = 0; i < kHalvings; ++i) {
      const double middle = inside / 2 + outside / 2;
      (holds(middle) ? inside : outside) = middle;
    }
    return inside;
  }

  const Row& row_;
};

class NegateNode final : public MapNode {
 public:
  explicit NegateNode(NodePtr operand) : MapNode({std::move(operand)}) {}
  std::string Describe() const override { return "-"; }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    out->slots.reserve(size());
    for (const Span& of : in[0]->slots) {
      out->slots.push_back({-of.hi, -of.lo, of.absent, of.nan});
    }
  }
  void Restrict(const Horizon&, std::span<const Bounds* const>, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    for (size_t i = 0; i < keep.size(); ++i) {
      (*keep_in[0])[i].Restrict({-keep[i].hi, -keep[i].lo, keep[i].absent, keep[i].nan});
    }
  }

 protected:
  void Compute(Context& ctx) override {
    Map(ctx, [](double v) { return -v; });
  }
  void MapHistogram(size_t slot, const HistogramRef& h) override {
    auto negated = std::make_shared<FloatHistogram>(*h);
    negated->Mul(-1);
    SetHistogram(slot, std::move(negated));
  }
};

class NegateScalarNode final : public Node {
 public:
  explicit NegateScalarNode(NodePtr operand) : Node(ValueType::kScalar, {std::move(operand)}) {}
  std::string Describe() const override { return "-"; }

 protected:
  void Compute(Context&) override { scalar_ = -input(0).scalar(); }
};

// Passes its input through and says in which order the slots are to be shown.
class OrderNode : public Node {
 public:
  OrderNode(NodePtr vector, SortIn in) : Node(ValueType::kVector, {std::move(vector)}), in_(in) {
    one_name_ = inputs_[0]->one_name();
  }
  bool HasBounds() const override { return true; }
  void Bound(const Horizon&, std::span<const Bounds* const> in, Bounds* out) const override {
    *out = *in[0];
    for (Span& span : out->slots) {
      span.absent = true;  // sort() leaves histograms out
    }
  }
  void Restrict(const Horizon&, std::span<const Bounds* const>, const std::vector<Span>& keep,
                std::span<std::vector<Span>* const> keep_in) const override {
    RestrictSame(keep, keep_in[0]);
  }

 protected:
  void Extend(Context&) override {
    for (size_t i = labels_.size(); i < input(0).size(); ++i) {
      AddSlot(input(0).labels(i), input(0).drop_name(i));
    }
  }
  template <typename Less>
  void Order(Context& ctx, bool floats_only, Less less) {
    TakeValues(ctx, input(0));
    for (size_t i = 0; floats_only && i < histograms_.size(); ++i) {
      present_[i] = histograms_[i] ? 0 : present_[i];
    }
    order_.clear();
    for (uint32_t i = 0; i < present_.size(); ++i) {
      if (present_[i]) {
        order_.push_back(i);
      }
    }
    size_t compared = 0;
    std::stable_sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
      ctx.MayYield(compared++);
      return less(a, b);
    });
    if (in_ != SortIn::kQuery) {
      Annotate({this, false, 0, annotations::SortInRange(), {}, in_ == SortIn::kSubquery});
    }
  }

 private:
  SortIn in_;
};

class SortNode final : public OrderNode {
 public:
  SortNode(NodePtr vector, bool descending, SortIn in) : OrderNode(std::move(vector), in), descending_(descending) {}
  std::string Describe() const override { return descending_ ? "sort_desc" : "sort"; }

 protected:
  void Compute(Context& ctx) override {
    Order(ctx, true, [this](uint32_t a, uint32_t b) {
      double x = values_[a];
      double y = values_[b];
      if (std::isnan(x) || std::isnan(y)) {
        return !std::isnan(x) && std::isnan(y);
      }
      return descending_ ? x > y : x < y;
    });
  }

 private:
  bool descending_;
};

// RETURNS: whether a is before b when runs of digits compare as numbers. Next to an empty text nothing has an order: neither
// in Prometheus, where such neighbours stay as they are, and descending ones change places.
bool NaturalLess(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) {
    return false;
  }
  size_t i = 0;
  size_t j = 0;
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      size_t i_end = i;
      size_t j_end = j;
      while (i_end < a.size() && digit(a[i_end])) {
        ++i_end;
      }
      while (j_end < b.size() && digit(b[j_end])) {
        ++j_end;
      }
      size_t i_first = std::min(a.find_first_not_of('0', i), i_end);
      size_t j_first = std::min(b.find_first_not_of('0', j), j_end);
      if (i_end - i_first != j_end - j_first) {
        return i_end - i_first < j_end - j_first;
      }
      int order = a.substr(i_first, i_end - i_first).compare(b.substr(j_first, j_end - j_first));
      if (order != 0) {
        return order < 0;
      }
      if (i_end - i != j_end - j) {
        return i_end - i < j_end - j;
      }
      i = i_end;
      j = j_end;
      continue;
    }
    if (a[i] != b[j]) {
      return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
    }
    ++i;
    ++j;
  }
  return a.size() - i < b.size() - j;
}

class SortByLabelNode final : public OrderNode {
 public:
  SortByLabelNode(NodePtr vector, std::vector<SymbolId> names, bool descending, SortIn in)
      : OrderNode(std::move(vector), in), names_(std::move(names)), descending_(descending) {}
  std::string Describe() const override { return descending_ ? "sort_by_label_desc" : "sort_by_label"; }

 protected:
  void Compute(Context& ctx) override {
    LabelSetTable& table = ctx.labels();
    Order(ctx, false, [&](uint32_t a, uint32_t b) {
      for (SymbolId name : names_) {
        SymbolId x = table.Value(labels_[a], name);
        SymbolId y = table.Value(labels_[b], name);
        if (x != y) {
          return NaturalLess(table.Text(x), table.Text(y)) != descending_;
        }
      }
      const int order = table.Compare(labels_[a], labels_[b]);
      return descending_ ? order > 0 : order < 0;
    });
  }

 private:
  std::vector<SymbolId> names_;
  bool descending_;
};

}  // namespace

NodePtr MakeElementwise(FunctionId id, std::vector<NodePtr> args) {
  for (const Row& row : kRows) {
    if (row.id == id) {
      return std::make_shared<ElementwiseNode>(row, std::move(args));
    }
  }
  return nullptr;
}

NodePtr MakeNegate(NodePtr operand) {
  if (operand->type() == ValueType::kScalar) {
    return std::make_shared<NegateScalarNode>(std::move(operand));
  }
  return std::make_shared<NegateNode>(std::move(operand));
}

NodePtr MakeSort(NodePtr vector, bool descending, SortIn in) {
  return std::make_shared<SortNode>(std::move(vector), descending, in);
}
NodePtr MakeSortByLabel(NodePtr vector, std::vector<SymbolId> names, bool descending, SortIn in) {
  return std::make_shared<SortByLabelNode>(std::move(vector), std::move(names), descending, in);
}

}  // namespace weir::engine
