#include "tests/differential/naive_evaluator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "core/model/sample.h"
#include "core/promql/functions.h"
#include "tests/differential/naive_internal.h"

namespace weir::naive {

using promql::As;
using promql::BinaryOp;
using promql::Expr;
using promql::ExprKind;
using promql::ValueType;

namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();

bool MatchesAll(const Labels& labels, const std::vector<Matcher>& matchers) {
  return std::all_of(matchers.begin(), matchers.end(),
                     [&](const Matcher& m) { return m.Matches(labels.Get(m.name())); });
}

Value VectorValue(std::vector<Element> elements) {
  Value v;
  v.type = ValueType::kVector;
  v.vector = std::move(elements);
  return v;
}

Value ScalarValue(double x) {
  Value v;
  v.type = ValueType::kScalar;
  v.scalar = x;
  return v;
}

class Evaluator {
 public:
  Evaluator(const Data& data, const Query& query) : data_(data), query_(query) {}

  Value Eval(const Expr& expr, int64_t t) {
    switch (expr.kind) {
      case ExprKind::kNumber:
        return ScalarValue(As<promql::NumberLiteral>(expr).value);
      case ExprKind::kString: {
        Value v;
        v.type = ValueType::kString;
        v.text = As<promql::StringLiteral>(expr).value;
        return v;
      }
      case ExprKind::kParen:
        return Eval(*As<promql::ParenExpr>(expr).expr, t);
      case ExprKind::kVectorSelector:
        return VectorValue(SelectInstant(As<promql::VectorSelector>(expr), t));
      case ExprKind::kMatrixSelector:
      case ExprKind::kSubquery: {
        Value v;
        v.type = ValueType::kMatrix;
        Ranges ranges = EvalRanges(expr, t);
        v.matrix = std::move(ranges.series);
        return v;
      }
      case ExprKind::kUnary:
        return Unary(As<promql::UnaryExpr>(expr), t);
      case ExprKind::kBinary:
        return Binary(As<promql::BinaryExpr>(expr), t);
      case ExprKind::kAggregate:
        return Aggregation(As<promql::AggregateExpr>(expr), t);
      case ExprKind::kCall:
        return CallFunction(As<promql::Call>(expr), t);
    }
    throw EvalError("unknown expression");
  }

  void DropFlagged(Value* v) const {
    for (Element& e : v->vector) {
      if (e.drop_name) {
        e.labels = DropMetadata(e.labels);
      }
    }
    for (Series& s : v->matrix) {
      if (s.drop_name) {
        s.labels = DropMetadata(s.labels);
      }
    }
    if (v->type == ValueType::kVector) {
      RefuseDuplicates(v->vector);
    }
  }

 private:
  // What a range selector or subquery yields, with the window every series shares.
  struct Ranges {
    std::vector<Series> series;
    Window window;
  };

  int64_t ReferenceTime(const promql::TimeModifiers& time, int64_t t) const {
    switch (time.at) {
      case promql::AtKind::kNone:
        break;
      case promql::AtKind::kTime:
        t = time.at_ms;
        break;
      case promql::AtKind::kStart:
        t = query_.start_ms;
        break;
      case promql::AtKind::kEnd:
        t = query_.end_ms;
        break;
    }
    return t - time.offset_ms;
  }

  std::vector<Element> SelectInstant(const promql::VectorSelector& selector, int64_t t) const {
    int64_t ref = ReferenceTime(selector.time, t);
    std::vector<Element> out;
    for (const auto& [labels, points] : data_) {
      if (!MatchesAll(labels, selector.matchers)) {
        continue;
      }
      Element e;
      e.labels = labels;
      if (selector.smoothed) {
        std::vector<Point> live = Between(points, ref - query_.lookback_ms, ref + query_.lookback_ms);
        std::optional<double> v = SmoothedValue(live, ref, query_.lookback_ms);
        if (v) {
          e.v = *v;
          e.t = t;
          out.push_back(e);
        }
        continue;
      }
      auto after = FirstAfter(points, ref);
      if (after == points.begin()) {
        continue;
      }
      const Point* newest = &*(after - 1);
      if (newest->t <= ref - query_.lookback_ms || IsStaleNaN(newest->v)) {
        continue;
      }
      e.v = newest->v;
      e.t = newest->t;
      e.start = newest->start;
      out.push_back(e);
    }
    return out;
  }

  // RETURNS: the points in (from, to], without stale markers.
  static std::vector<Point> Between(const std::vector<Point>& points, int64_t from, int64_t to) {
    std::vector<Point> out;
    for (auto p = FirstAfter(points, from); p != points.end() && p->t <= to; ++p) {
      if (!IsStaleNaN(p->v)) {
        out.push_back(*p);
      }
    }
    return out;
  }

  static std::vector<Point>::const_iterator FirstAfter(const std::vector<Point>& points, int64_t t) {
    return std::upper_bound(points.begin(), points.end(), t, [](int64_t x, const Point& p) { return x < p.t; });
  }

  Ranges EvalRanges(const Expr& expr, int64_t t) {
    const Expr& inner = promql::Unparen(expr);
    Ranges out = inner.kind == ExprKind::kSubquery ? EvalSubquery(As<promql::SubqueryExpr>(inner), t)
                                                   : SelectRange(As<promql::MatrixSelector>(inner), t);
    out.window.exact_folds = query_.exact_folds;
    return out;
  }

  Ranges SelectRange(const promql::MatrixSelector& matrix, int64_t t) const {
    const promql::VectorSelector& selector = *matrix.selector;
    Ranges out;
    Window& w = out.window;
    w.range = matrix.range_ms;
    w.end = ReferenceTime(selector.time, t);
    w.start = w.end - w.range;
    w.eval = t;
    w.anchored = selector.anchored;
    w.smoothed = selector.smoothed;
    w.use_start_timestamps = query_.use_start_timestamps;
    int64_t from = w.start - (w.anchored || w.smoothed ? query_.lookback_ms : 0);
    int64_t to = w.end + (w.smoothed ? query_.lookback_ms : 0);
    for (const auto& [labels, points] : data_) {
      if (!MatchesAll(labels, selector.matchers)) {
        continue;
      }
      std::vector<Point> in = Between(points, from, to);
      if (!in.empty()) {
        out.series.push_back({labels, false, std::move(in)});
      }
    }
    return out;
  }

  Ranges EvalSubquery(const promql::SubqueryExpr& sub, int64_t t) {
    Ranges out;
    Window& w = out.window;
    w.range = sub.range_ms;
    w.end = ReferenceTime(sub.time, t);
    w.start = w.end - w.range;
    w.eval = t;
    int64_t step = sub.step_ms != 0 ? sub.step_ms : query_.default_step_ms;
    int64_t first = w.start / step * step;  // truncates toward zero
    if (first <= w.start) {
      first += step;
    }
    std::map<Labels, size_t> index;
    for (int64_t s = first; s <= w.end; s += step) {
      Value v = Eval(*sub.expr, s);
      if (v.type == ValueType::kScalar) {
        Element e;
        e.v = v.scalar;
        v.vector = {e};
      }
      for (const Element& e : v.vector) {
        auto [it, added] = index.emplace(e.labels, out.series.size());
        if (added) {
          out.series.push_back({e.labels, e.drop_name, {}});  // of several the first decides
        }
        Series& series = out.series[it->second];
        series.points.push_back({s, e.v, 0});
      }
    }
    return out;
  }

  void DropName(Element* e) const {
    if (query_.delayed_name_removal) {
      e->drop_name = true;
    } else {
      e->labels = DropMetadata(e->labels);
    }
  }

  Value Checked(std::vector<Element> elements) const {
    if (!query_.delayed_name_removal) {
      RefuseDuplicates(elements);
    }
    return VectorValue(std::move(elements));
  }

  Value Unary(const promql::UnaryExpr& expr, int64_t t) {
    Value v = Eval(*expr.expr, t);
    if (!expr.negate) {
      return v;
    }
    v.scalar = -v.scalar;
    for (Element& e : v.vector) {
      e.v = -e.v;
      DropName(&e);
    }
    if (v.type == ValueType::kVector && !query_.delayed_name_removal) {
      RefuseDuplicates(v.vector);
    }
    return v;
  }

  Value Binary(const promql::BinaryExpr& expr, int64_t t) {
    Value l = Eval(*expr.lhs, t);
    Value r = Eval(*expr.rhs, t);
    if (l.type == ValueType::kScalar && r.type == ValueType::kScalar) {
      if (promql::IsComparison(expr.op)) {
        return ScalarValue(Compare(expr.op, l.scalar, r.scalar) ? 1 : 0);
      }
      return ScalarValue(Arithmetic(expr.op, l.scalar, r.scalar));
    }
    if (l.type == ValueType::kVector && r.type == ValueType::kVector) {
      return Checked(VectorBinary(expr, l.vector, r.vector, query_));
    }
    return VectorScalar(expr, l, r);
  }

  Value VectorScalar(const promql::BinaryExpr& expr, const Value& l, const Value& r) const {
    bool scalar_left = l.type == ValueType::kScalar;
    std::vector<Element> out;
    if (expr.op == BinaryOp::kTrimUpper || expr.op == BinaryOp::kTrimLower) {
      return VectorValue(out);
    }
    for (Element e : scalar_left ? r.vector : l.vector) {
      double a = scalar_left ? l.scalar : e.v;
      double b = scalar_left ? e.v : r.scalar;
      if (promql::IsComparison(expr.op)) {
        bool holds = Compare(expr.op, a, b);
        if (expr.return_bool) {
          e.v = holds ? 1 : 0;
          DropName(&e);
        } else if (!holds) {
          continue;
        }
      } else {
        e.v = Arithmetic(expr.op, a, b);
        DropName(&e);
      }
      out.push_back(e);
    }
    return Checked(std::move(out));
  }

  Value Aggregation(const promql::AggregateExpr& expr, int64_t t) {
    double param = 0;
    std::string text;
    if (expr.param) {
      Value p = Eval(*expr.param, t);
      param = p.scalar;
      text = p.text;
    }
    Value input = Eval(*expr.expr, t);
    return VectorValue(Aggregate(expr, input.vector, param, text));
  }

  double ScalarArg(const promql::Call& call, size_t i, int64_t t) { return Eval(*call.args[i], t).scalar; }

  std::vector<std::string> TextArgs(const promql::Call& call, size_t first, int64_t t) {
    std::vector<std::string> out;
    for (size_t i = first; i < call.args.size(); ++i) {
      out.push_back(Eval(*call.args[i], t).text);
    }
    return out;
  }

  // anchored and smoothed go with few functions (semantics §4.3).
  static void RefuseModifier(std::string_view name, const Window& w) {
    bool rates = name == "rate" || name == "increase" || name == "delta";
    bool counts = name == "changes" || name == "resets";
    if (w.anchored && !rates && !counts) {
      throw EvalError("anchored modifier can only be used with: changes, delta, increase, rate, resets - not with " +
                      std::string(name));
    }
    if (w.smoothed && !rates) {
      throw EvalError("smoothed modifier can only be used with: delta, increase, rate - not with " + std::string(name));
    }
  }

  Value CallRange(const promql::Call& call, int64_t t) {
    std::string_view name = call.function->name;
    std::vector<double> params;
    const Expr* range = nullptr;
    for (const promql::ExprPtr& arg : call.args) {
      if (arg->type == ValueType::kMatrix) {
        range = arg.get();
      } else {
        params.push_back(Eval(*arg, t).scalar);
      }
    }
    Ranges ranges = EvalRanges(*range, t);
    RefuseModifier(name, ranges.window);
    bool keeps_name = name == "last_over_time" || name == "first_over_time";
    std::vector<Element> out;
    for (const Series& s : ranges.series) {
      Window w = ranges.window;
      w.points = &s.points;
      std::optional<double> v = RangeFunction(name, w, params);
      if (!v) {
        continue;
      }
      Element e;
      e.labels = s.labels;
      e.v = *v;
      e.t = t;
      e.drop_name = s.drop_name;
      if (!keeps_name) {
        DropName(&e);
      }
      out.push_back(e);
    }
    return Checked(std::move(out));
  }

  // Applies f to every element and drops names.
  template <typename F>
  Value Map(std::vector<Element> in, int64_t t, F f) const {
    for (Element& e : in) {
      e.v = f(e);
      e.t = t;
      DropName(&e);
    }
    return Checked(std::move(in));
  }

  static const promql::VectorSelector* BareSelector(const Expr& expr) {
    const Expr& inner = promql::Unparen(expr);
    if (inner.kind == ExprKind::kVectorSelector) {
      return &As<promql::VectorSelector>(inner);
    }
    if (inner.kind == ExprKind::kMatrixSelector) {
      return As<promql::MatrixSelector>(inner).selector.get();
    }
    return nullptr;
  }

  static Labels AbsentLabels(const Expr& arg) {
    Labels out;
    const promql::VectorSelector* selector = BareSelector(arg);
    if (selector == nullptr) {
      return out;
    }
    // What takes series away (a negative matcher that "" satisfies, or a name that may be missing) comes last.
    std::set<std::string> needed;
    for (const Matcher& m : selector->matchers) {
      if (!m.MatchesEmpty()) {
        needed.insert(m.name());
      }
    }
    std::set<std::string> set_before;
    for (bool last : {false, true}) {
      for (const Matcher& m : selector->matchers) {
        bool negative = m.type() == MatchType::kNotEqual || m.type() == MatchType::kNotRegex;
        bool takes_away = needed.count(m.name()) == 0 || (negative && m.MatchesEmpty());
        if (m.name() == kMetricName || takes_away != last) {
          continue;
        }
        if (m.type() == MatchType::kEqual && set_before.insert(m.name()).second) {
          out.Set(m.name(), m.value());
        } else {
          out.Remove(m.name());
        }
      }
    }
    return out;
  }

  Value CallFunction(const promql::Call& call, int64_t t) {
    std::string_view name = call.function->name;
    if (IsRangeFunction(name)) {
      return CallRange(call, t);
    }
    double seconds = static_cast<double>(t) / 1000;
    if (name == "time") {
      return ScalarValue(seconds);
    }
    if (name == "pi") {
      return ScalarValue(3.141592653589793);
    }
    if (name == "start" || name == "end") {
      return ScalarValue(static_cast<double>(name == "start" ? query_.start_ms : query_.end_ms) / 1000);
    }
    if (name == "step" || name == "range") {
      return ScalarValue(static_cast<double>(name == "step" ? query_.step_ms : query_.end_ms - query_.start_ms) / 1000);
    }
    if (name == "min_of" || name == "max_of") {
      double a = ScalarArg(call, 0, t);
      double b = ScalarArg(call, 1, t);
      return ScalarValue(name == "min_of" ? GoMin(a, b) : GoMax(a, b));
    }
    if (name == "vector") {
      Element e;
      e.v = ScalarArg(call, 0, t);
      e.t = t;
      return VectorValue({e});
    }
    if (name == "absent" || name == "absent_over_time") {
      bool empty =
          name == "absent" ? Eval(*call.args[0], t).vector.empty() : EvalRanges(*call.args[0], t).series.empty();
      Element e;
      e.labels = AbsentLabels(*call.args[0]);
      e.v = 1;
      return VectorValue(empty ? std::vector<Element>{e} : std::vector<Element>{});
    }
    if (IsDateFunction(name) && call.args.empty()) {
      Element e;
      e.v = DateFunction(name, seconds);
      return VectorValue({e});
    }
    if (name == "histogram_quantile" || name == "histogram_fraction" || name == "histogram_quantiles") {
      return ClassicHistogram(call, t);
    }
    return CallVector(call, t);
  }

  Value ClassicHistogram(const promql::Call& call, int64_t t) {
    std::string_view name = call.function->name;
    if (name == "histogram_quantile") {
      double q = ScalarArg(call, 0, t);
      return Histogram(HistogramQuantile({q}, "", Eval(*call.args[1], t).vector));
    }
    if (name == "histogram_fraction") {
      double lower = ScalarArg(call, 0, t);
      double upper = ScalarArg(call, 1, t);
      return Histogram(HistogramFraction(lower, upper, Eval(*call.args[2], t).vector));
    }
    std::vector<double> qs;
    for (size_t i = 2; i < call.args.size(); ++i) {
      qs.push_back(ScalarArg(call, i, t));
    }
    return Histogram(HistogramQuantile(qs, Eval(*call.args[1], t).text, Eval(*call.args[0], t).vector));
  }

  Value Histogram(std::vector<Element> elements) const {
    RefuseDuplicates(elements);
    return VectorValue(std::move(elements));
  }

  // Functions whose first argument is an instant vector.
  Value CallVector(const promql::Call& call, int64_t t) {
    std::string_view name = call.function->name;
    std::vector<Element> in = Eval(*call.args[0], t).vector;
    if (IsMathFunction(name)) {
      return Map(std::move(in), t, [&](const Element& e) { return MathFunction(name, e.v); });
    }
    if (IsDateFunction(name)) {
      return Map(std::move(in), t, [&](const Element& e) { return DateFunction(name, e.v); });
    }
    if (name == "round") {
      double inverse = 1 / (call.args.size() > 1 ? ScalarArg(call, 1, t) : 1);
      return Map(std::move(in), t, [&](const Element& e) { return std::floor(e.v * inverse + 0.5) / inverse; });
    }
    if (name == "clamp") {
      double lower = ScalarArg(call, 1, t);
      double upper = ScalarArg(call, 2, t);
      if (upper < lower) {
        return VectorValue({});
      }
      return Map(std::move(in), t, [&](const Element& e) { return GoMax(lower, GoMin(upper, e.v)); });
    }
    if (name == "clamp_min" || name == "clamp_max") {
      double bound = ScalarArg(call, 1, t);
      bool is_min = name == "clamp_min";
      return Map(std::move(in), t, [&](const Element& e) { return is_min ? GoMax(bound, e.v) : GoMin(bound, e.v); });
    }
    if (name == "timestamp" || name == "start_timestamp") {
      const promql::VectorSelector* own = BareSelector(*call.args[0]);
      if (own != nullptr && own->smoothed) {  // times are those of samples
        promql::VectorSelector plain = *own;
        plain.smoothed = false;
        in = Eval(plain, t).vector;
      }
    }
    if (name == "timestamp") {
      bool own_time = BareSelector(*call.args[0]) != nullptr;
      return Map(std::move(in), t, [&](const Element& e) { return static_cast<double>(own_time ? e.t : t) / 1000; });
    }
    if (name == "start_timestamp") {
      if (BareSelector(*call.args[0]) == nullptr || !query_.use_start_timestamps) {
        return VectorValue({});
      }
      return Map(std::move(in), t, [&](const Element& e) { return static_cast<double>(e.start) / 1000; });
    }
    if (name == "scalar") {
      return ScalarValue(in.size() == 1 ? in[0].v : kNaN);
    }
    if (name.substr(0, 4) == "sort") {
      return Sort(call, std::move(in), t);
    }
    if (name == "label_replace" || name == "label_join") {
      std::vector<std::string> text = TextArgs(call, 1, t);
      in = name == "label_join" ? LabelJoin(std::move(in), text) : LabelReplace(std::move(in), text);
      RefuseDuplicates(in);
      return VectorValue(std::move(in));
    }
    if (name == "info") {
      return Info(call, std::move(in), t);
    }
    if (name.substr(0, 10) == "histogram_") {
      return VectorValue({});  // native histograms only: floats have no result
    }
    throw EvalError("the naive evaluator has no function " + std::string(name));
  }

  Value Sort(const promql::Call& call, std::vector<Element> in, int64_t t) {
    std::string_view name = call.function->name;
    bool descending = name.size() > 5 && name.substr(name.size() - 5) == "_desc";
    if (name == "sort" || name == "sort_desc") {
      std::stable_sort(in.begin(), in.end(), [&](const Element& a, const Element& b) {
        if (std::isnan(a.v) || std::isnan(b.v)) {
          return !std::isnan(a.v);
        }
        return descending ? a.v > b.v : a.v < b.v;
      });
      return VectorValue(std::move(in));
    }
    std::vector<std::string> names = TextArgs(call, 1, t);
    std::stable_sort(in.begin(), in.end(), [&](const Element& a, const Element& b) {
      for (const std::string& label : names) {
        std::string_view x = a.labels.Get(label);
        std::string_view y = b.labels.Get(label);
        if (x != y) {  // an empty one is before nothing, and nothing before it
          return (!x.empty() && !y.empty() && NaturalLess(x, y)) != descending;
        }
      }
      return descending ? b.labels < a.labels : a.labels < b.labels;
    });
    return VectorValue(std::move(in));
  }

  // The time the first selector inside `expr` reads at, through every subquery around it; info() reads there too.
  bool FirstSelectorTime(const Expr& expr, int64_t t, int64_t* found) const {
    const Expr& e = promql::Unparen(expr);
    switch (e.kind) {
      case ExprKind::kVectorSelector:
        *found = ReferenceTime(As<promql::VectorSelector>(e).time, t);
        return true;
      case ExprKind::kMatrixSelector:
        *found = ReferenceTime(As<promql::MatrixSelector>(e).selector->time, t);
        return true;
      case ExprKind::kSubquery: {
        const auto& sub = As<promql::SubqueryExpr>(e);
        return FirstSelectorTime(*sub.expr, ReferenceTime(sub.time, t), found);
      }
      case ExprKind::kUnary:
        return FirstSelectorTime(*As<promql::UnaryExpr>(e).expr, t, found);
      case ExprKind::kBinary:
        return FirstSelectorTime(*As<promql::BinaryExpr>(e).lhs, t, found) ||
               FirstSelectorTime(*As<promql::BinaryExpr>(e).rhs, t, found);
      case ExprKind::kAggregate:
        return FirstSelectorTime(*As<promql::AggregateExpr>(e).expr, t, found);
      case ExprKind::kCall:
        for (const promql::ExprPtr& arg : As<promql::Call>(e).args) {
          if (FirstSelectorTime(*arg, t, found)) {
            return true;
          }
        }
        return false;
      default:
        return false;
    }
  }

  // semantics §2.9
  Value Info(const promql::Call& call, std::vector<Element> base, int64_t t) {
    std::vector<Matcher> name_matchers;
    std::vector<Matcher> data_matchers;
    if (call.args.size() > 1) {
      for (const Matcher& m : As<promql::VectorSelector>(promql::Unparen(*call.args[1])).matchers) {
        (m.name() == kMetricName ? name_matchers : data_matchers).push_back(m);
      }
    }
    bool positive = std::any_of(name_matchers.begin(), name_matchers.end(), [](const Matcher& m) {
      return m.type() == MatchType::kEqual || m.type() == MatchType::kRegex;
    });
    if (!positive) {
      bool none = name_matchers.empty();
      Result<Matcher> m = Matcher::Create(none ? MatchType::kEqual : MatchType::kRegex, std::string(kMetricName),
                                          none ? "target_info" : ".+_info");
      name_matchers.push_back(*m);
    }
    int64_t ref = t;
    FirstSelectorTime(*call.args[0], t, &ref);
    std::vector<Element> infos = InfoSamples(name_matchers, data_matchers, Identities(base, name_matchers), ref);
    bool needs_match =
        std::any_of(data_matchers.begin(), data_matchers.end(), [](const Matcher& m) { return !m.MatchesEmpty(); });
    std::vector<Element> out;
    for (Element& e : base) {
      if (MatchesAll(e.labels, name_matchers)) {
        out.push_back(e);
        continue;
      }
      bool any = Enrich(infos, data_matchers, &e);
      if (any || !needs_match) {
        out.push_back(e);
      }
    }
    RefuseDuplicates(out);
    return VectorValue(std::move(out));
  }

  using ValuesByLabel = std::map<std::string, std::set<std::string>>;

  // RETURNS: the values of the identifying labels among the series to enrich; a label that none has is left out.
  static ValuesByLabel Identities(const std::vector<Element>& base, const std::vector<Matcher>& names) {
    ValuesByLabel out;
    for (const Element& e : base) {
      for (const char* label : {"instance", "job"}) {
        if (!MatchesAll(e.labels, names) && e.labels.Has(label)) {
          out[label].emplace(e.labels.Get(label));
        }
      }
    }
    return out;
  }

  // RETURNS: of each metric name and identifying signature, the info sample that is newest at `ref`. Only info series whose
  // identifying labels occur among the base series count, also as duplicates.
  std::vector<Element> InfoSamples(const std::vector<Matcher>& names, const std::vector<Matcher>& data,
                                   const ValuesByLabel& identities, int64_t ref) const {
    promql::VectorSelector selector;
    selector.matchers = names;
    selector.matchers.insert(selector.matchers.end(), data.begin(), data.end());
    std::map<Labels, Element> newest;
    std::vector<Labels> order;
    for (const Element& e : SelectInstant(selector, ref)) {
      bool known = !identities.empty() && std::all_of(identities.begin(), identities.end(), [&](const auto& entry) {
        return entry.second.count(std::string(e.labels.Get(entry.first))) > 0;
      });
      if (!known) {
        continue;
      }
      Labels key = KeepOnly(e.labels, {std::string(kMetricName), "instance", "job"});
      auto [it, added] = newest.emplace(key, e);
      if (added) {
        order.push_back(key);
      } else if (it->second.t == e.t) {
        throw EvalError("found duplicate series for info metric: existing " + GoLabelsText(it->second.labels) +
                        ", new " + GoLabelsText(e.labels));
      } else if (it->second.t < e.t) {
        it->second = e;
      }
    }
    std::vector<Element> out;
    for (const Labels& key : order) {
      out.push_back(newest.at(key));
    }
    return out;
  }

  static bool Enrich(const std::vector<Element>& infos, const std::vector<Matcher>& data, Element* e) {
    const std::vector<std::string> identifying = {"instance", "job"};
    Labels added;
    bool any = false;
    for (const Element& info : infos) {
      Labels signature = KeepOnly(info.labels, identifying);
      if (signature.empty() || !(signature == KeepOnly(e->labels, identifying))) {
        continue;
      }
      any = true;
      for (const LabelView& l : DropNames(DropMetadata(info.labels), identifying)) {
        bool wanted =
            data.empty() || std::any_of(data.begin(), data.end(), [&](const Matcher& m) { return m.name() == l.name; });
        if (!wanted || e->labels.Has(l.name)) {
          continue;
        }
        if (added.Has(l.name) && added.Get(l.name) != l.value) {
          throw EvalError("conflicting label: " + std::string(l.name));
        }
        added.Set(l.name, l.value);
      }
    }
    for (const LabelView& l : added) {
      e->labels.Set(l.name, l.value);
    }
    return any;
  }

  const Data& data_;
  const Query& query_;
};

}  // namespace

Result<Value> Evaluate(const promql::Expr& expr, int64_t t_ms, const Data& data, const Query& query) {
  try {
    Evaluator evaluator(data, query);
    Value v = evaluator.Eval(expr, t_ms);
    evaluator.DropFlagged(&v);
    return v;
  } catch (const EvalError& e) {
    return InvalidError(e.what());
  }
}

}  // namespace weir::naive
