#pragma once
// What an eval of a conformance script reads, decided from its tree and the loaded series: whether an engine that keeps
// floats and sees nothing newer than the evaluation time can be asked for it at all. Pure functions.

#include <optional>
#include <string>

#include "core/promqltest/runner.h"

namespace weir::promqltest {

// RETURNS: why the data that `expr` reads cannot be held as plain floats (native histograms, start timestamps), if so.
// `start_times` says whether the evaluator takes start timestamps.
std::optional<std::string> ReadsUnheldData(const EvalRequest& request, const Storage& storage, bool start_times);
// RETURNS: how the expression reads past one of its evaluation times, if it does.
std::optional<std::string> ReadsAhead(const EvalRequest& request);
// RETURNS: whether the expression counts changes() of histograms. Prometheus's storage pads equal histograms with empty buckets,
// each chunk in its own way, and changes() sees that: where a chunk ends by its size, so differs the count.
bool SeesChunks(const EvalRequest& request, const Storage& storage);
// RETURNS: what describes the range query around the expression rather than the data, as `step()`; a rule has no such.
std::optional<std::string> UsesQueryBounds(const EvalRequest& request);

}  // namespace weir::promqltest
