#pragma once
// What an eval of a conformance script reads, decided from its tree and the loaded series: whether an engine that keeps
// floats and sees nothing newer than the evaluation time can be asked for it at all. Pure functions.

#include <optional>
#include <string>

#include "core/promqltest/runner.h"

namespace weir::promqltest {

// RETURNS: whether a selector of the expression matches a series that holds native histograms.
bool ReadsHistograms(const EvalRequest& request, const Storage& storage);
// RETURNS: whether the expression makes label values of last digits: of what trigonometric and hyperbolic functions give, which Go
// and the C library compute to within a last digit of each other; of sums, averages and deviations over series, which add up in
// their order, that of arrival here; or of lines that were laid at a fixed time and are followed from there. `exact_folds`: or of
// what deviations, regressions, sums and averages over windows give.
bool SeesLastDigits(const EvalRequest& request, bool exact_folds);
// RETURNS: how the expression reads past one of its evaluation times, if it does.
std::optional<std::string> ReadsAhead(const EvalRequest& request);
// RETURNS: whether the expression does to histograms what shows their empty buckets. Prometheus's storage pads the histograms of
// a chunk with empty buckets to one layout, each chunk in its own way, and where a chunk ends by its size cannot be told from
// the samples. It shows in changes() and `==` (equal histograms of two layouts differ), in quantiles and fractions (a zero
// bucket is cut to one side only beside buckets of the other; what is below every bucket ends at the last, empty or not), in
// resets of negated histograms, and where an empty bucket becomes NaN.
bool SeesChunks(const EvalRequest& request, const Storage& storage);
// RETURNS: whether the expression takes some elements of many: between equal ones, and for limitk() always, the order of series
// decides, which is the order in which Prometheus's script loader happens to make them.
bool PicksByOrder(const EvalRequest& request);
// RETURNS: what describes the range query around the expression rather than the data, as `step()`; a rule has no such.
std::optional<std::string> UsesQueryBounds(const EvalRequest& request);

}  // namespace weir::promqltest
