#pragma once
// What the translation units of the naive evaluator share.

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/promql/functions.h"
#include "tests/differential/naive_evaluator.h"

namespace weir::naive {

// A run-time error of the expression; caught in Evaluate().
struct EvalError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One series' part of a range selector or subquery. UNITS: milliseconds; the window is (start, end].
struct Window {
  const std::vector<Point>* points = nullptr;
  int64_t start = 0;
  int64_t end = 0;
  int64_t range = 0;
  int64_t eval = 0;  // the evaluation time, not moved by offset or @
  bool anchored = false;
  bool smoothed = false;
  bool use_start_timestamps = false;
  bool exact_folds = false;
};

// Neumaier's step of semantics §2.2.
void KahanAdd(double x, double* sum, double* c);
double GoMax(double a, double b);
double GoMin(double a, double b);
double Quantile(double q, std::vector<double> values);
double AverageWithOverflow(const std::vector<double>& values);

// RETURNS: the value of a function over one window, or nothing when it has no result. `params` are its scalar arguments.
std::optional<double> RangeFunction(std::string_view name, const Window& window, const std::vector<double>& params);
// RETURNS: what a sum, an average, a deviation or a regression over one window is without rounding; nothing: the function is
// no such, or has no rounding here (samples that are not finite, or all the same).
std::optional<double> ExactFold(std::string_view name, const Window& window, const std::vector<double>& params);
// RETURNS: the value of `x smoothed` at `t`.
std::optional<double> SmoothedValue(const std::vector<Point>& points, int64_t t, int64_t lookback);
bool IsRangeFunction(std::string_view name);

// RETURNS: what a math or date function gives for one float.
bool IsMathFunction(std::string_view name);
double MathFunction(std::string_view name, double v);
bool IsDateFunction(std::string_view name);
double DateFunction(std::string_view name, double v);

Labels DropMetadata(const Labels& labels);
Labels KeepOnly(const Labels& labels, const std::vector<std::string>& names);
Labels DropNames(const Labels& labels, const std::vector<std::string>& names);
std::string GoLabelsText(const Labels& labels);
void RefuseDuplicates(const std::vector<Element>& elements);

std::vector<Element> Aggregate(const promql::AggregateExpr& expr, const std::vector<Element>& input, double param,
                               const std::string& text_param);
std::vector<Element> VectorBinary(const promql::BinaryExpr& expr, const std::vector<Element>& lhs,
                                  const std::vector<Element>& rhs, const Query& query);
double Arithmetic(promql::BinaryOp op, double l, double r);
bool Compare(promql::BinaryOp op, double l, double r);

std::vector<Element> HistogramQuantile(const std::vector<double>& qs, const std::string& label,
                                       const std::vector<Element>& input);
std::vector<Element> HistogramFraction(double lower, double upper, const std::vector<Element>& input);
std::vector<Element> LabelReplace(std::vector<Element> input, const std::vector<std::string>& text);
std::vector<Element> LabelJoin(std::vector<Element> input, const std::vector<std::string>& text);
// Natural order: runs of digits compare as numbers.
bool NaturalLess(std::string_view a, std::string_view b);

}  // namespace weir::naive
