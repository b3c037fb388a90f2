#pragma once
// What the planner asks of an expression without evaluating it. Pure functions.

#include <cstdint>
#include <string>
#include <vector>

#include "core/model/labels.h"
#include "core/promql/ast.h"

namespace weir::engine {

// The labels absent() gives: those fixed by an equality matcher that no later matcher on the name contradicts (semantics 2.4).
Labels AbsentLabels(const promql::Expr& arg);
// Appends the labels of every absent() in the tree: they depend on the order of matchers, which printed text does not show.
void AppendAbsentLabels(const promql::Expr& expr, std::string* out);
// Whether something in the expression asks for the start or the end of the query.
bool ReadsQueryTime(const promql::Expr& expr);
// Whether something in it reads samples from after its evaluation time: a negative offset, or an instant `smoothed`.
bool ReadsAhead(const promql::Expr& expr);
// Whether the expression is the same at every step of a query, as Prometheus sees it: everything in it is read at a fixed time.
bool IsStepInvariant(const promql::Expr& expr);
// The time that info() reads info series at: that of the selectors in its first argument, when they all have the same and
// nothing in it goes by the evaluation time; else the evaluation time.
promql::TimeModifiers InfoReferenceTime(const promql::Expr& arg);
// Where the parts of an expression stand, in bytes: the whole, then its arguments.
std::vector<uint32_t> OffsetsOf(const promql::Expr& expr);

}  // namespace weir::engine
