#pragma once
// `load_with_nhcb`: the classic histograms of a load block as native ones with custom buckets (semantics 9.2).

#include <vector>

#include "core/promqltest/script.h"

namespace weir::promqltest {

// Adds one native series for every label set that has float series `NAME_bucket`, `NAME_count` or `NAME_sum`, with a sample
// wherever one of them has one. ERRORS: kInvalid for samples that are no histogram.
Status AddCustomBucketSeries(std::vector<LoadedSeries>* load);

}  // namespace weir::promqltest
