#include "core/engine/range_functions.h"

#include "core/model/duration.h"

namespace weir::engine {
namespace {

using promql::FunctionId;
using window::BoundedKind;
using window::RangeFunction;
using window::TapeKind;
using window::Thinning;

constexpr std::string_view kCancels = "values of both signs may cancel, and no relative bound holds for what is left";
constexpr auto kFloatsOnly = RangeFunction::kFloatsOnly;

constexpr RangeRow kRangeRows[] = {
    {.id = FunctionId::kRate,
     .kernel = window::Rate,
     .rich = RangeFunction::kRate,
     .resets = true,
     .tape = TapeKind::kResets,
     .bounded = BoundedKind::kIncrease,
     .anchored = window::AnchoredRate,
     .smoothed = window::SmoothedRate},
    {.id = FunctionId::kIncrease,
     .kernel = window::Increase,
     .rich = RangeFunction::kIncrease,
     .resets = true,
     .tape = TapeKind::kResets,
     .bounded = BoundedKind::kIncrease,
     .anchored = window::AnchoredIncrease,
     .smoothed = window::SmoothedIncrease},
    {.id = FunctionId::kDelta,
     .kernel = window::Delta,
     .rich = RangeFunction::kDelta,
     .tape = TapeKind::kFirst,
     .unbounded = kCancels,
     .anchored = window::AnchoredDelta,
     .smoothed = window::SmoothedDelta},
    {.id = FunctionId::kIrate, .kernel = window::Irate, .rich = RangeFunction::kIrate, .last_kept = 2, .newest = true},
    {.id = FunctionId::kIdelta,
     .kernel = window::Idelta,
     .rich = RangeFunction::kIdelta,
     .last_kept = 2,
     .newest = true},
    {.id = FunctionId::kChanges,
     .kernel = window::Changes,
     .rich = RangeFunction::kChanges,
     .changes = true,
     .tape = TapeKind::kChanges,
     .anchored = window::AnchoredChanges},
    {.id = FunctionId::kResets,
     .kernel = window::Resets,
     .rich = RangeFunction::kResets,
     .resets = true,
     .tape = TapeKind::kResets,
     .anchored = window::AnchoredResets},
    {.id = FunctionId::kCountOverTime,
     .kernel = window::CountOverTime,
     .rich = RangeFunction::kCount,
     .tape = TapeKind::kFirst,
     .bounded = BoundedKind::kCount},
    {.id = FunctionId::kPresentOverTime,
     .kernel = window::PresentOverTime,
     .rich = RangeFunction::kCount,
     .newest = true,
     .tape = TapeKind::kFirst},
    {.id = FunctionId::kAbsentOverTime,
     .kernel = window::PresentOverTime,
     .rich = RangeFunction::kCount,
     .newest = true,
     .tape = TapeKind::kFirst},
    {.id = FunctionId::kFirstOverTime,
     .kernel = window::FirstOverTime,
     .rich = RangeFunction::kFirst,
     .keeps_name = true,
     .tape = TapeKind::kFirst},
    {.id = FunctionId::kLastOverTime,
     .kernel = window::LastOverTime,
     .rich = RangeFunction::kLast,
     .keeps_name = true,
     .newest = true,
     .tape = TapeKind::kFirst},
    {.id = FunctionId::kTsOfFirstOverTime,
     .kernel = window::TsOfFirstOverTime,
     .rich = RangeFunction::kTsOfFirst,
     .tape = TapeKind::kFirst},
    {.id = FunctionId::kTsOfLastOverTime,
     .kernel = window::TsOfLastOverTime,
     .rich = RangeFunction::kTsOfLast,
     .newest = true,
     .tape = TapeKind::kFirst},
    {.id = FunctionId::kSumOverTime,
     .kernel = window::SumOverTime,
     .rich = RangeFunction::kSum,
     .thinning = Thinning::kDense,
     .aggregates = window::kSums,
     .tape = TapeKind::kSums,
     .unbounded = kCancels},
    {.id = FunctionId::kAvgOverTime,
     .kernel = window::AvgOverTime,
     .rich = RangeFunction::kAvg,
     .thinning = Thinning::kDense,
     .aggregates = window::kSums,
     .tape = TapeKind::kSums,
     .unbounded = kCancels},
    {.id = FunctionId::kMinOverTime,
     .kernel = window::MinOverTime,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kExtremes},
    {.id = FunctionId::kMaxOverTime,
     .kernel = window::MaxOverTime,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kExtremes},
    {.id = FunctionId::kTsOfMinOverTime,
     .kernel = window::TsOfMinOverTime,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kExtremes},
    {.id = FunctionId::kTsOfMaxOverTime,
     .kernel = window::TsOfMaxOverTime,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kExtremes},
    {.id = FunctionId::kStddevOverTime,
     .kernel = window::StddevOverTime,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kDeviations,
     .tape = TapeKind::kDeviations},
    {.id = FunctionId::kStdvarOverTime,
     .kernel = window::StdvarOverTime,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kDeviations,
     .tape = TapeKind::kDeviations},
    {.id = FunctionId::kDeriv,
     .kernel = window::Deriv,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kRegressions | window::kExtremes,
     .tape = TapeKind::kMoments},
    {.id = FunctionId::kPredictLinear,
     .kernel = window::PredictLinear,
     .rich = kFloatsOnly,
     .thinning = Thinning::kDense,
     .aggregates = window::kRegressions | window::kExtremes,
     .tape = TapeKind::kMoments},
    {.id = FunctionId::kQuantileOverTime,
     .kernel = window::QuantileOverTime,
     .rich = kFloatsOnly,
     .thinning = Thinning::kNever},
    {.id = FunctionId::kMadOverTime, .kernel = window::MadOverTime, .rich = kFloatsOnly, .thinning = Thinning::kNever},
    {.id = FunctionId::kDoubleExponentialSmoothing,
     .kernel = window::DoubleExponentialSmoothing,
     .rich = kFloatsOnly,
     .thinning = Thinning::kNever},
};

}  // namespace

const RangeRow* FindRangeRow(FunctionId id) {
  for (const RangeRow& row : kRangeRows) {
    if (row.id == id) {
      return &row;
    }
  }
  return nullptr;
}

Status CheckSmoothing(const double* p) {
  if (p[0] <= 0 || p[0] >= 1) {
    return InvalidError("invalid smoothing factor. Expected: 0 < sf < 1, got: " + FormatFloat(p[0], 'f', 6));
  }
  if (p[1] <= 0 || p[1] >= 1) {
    return InvalidError("invalid trend factor. Expected: 0 < tf < 1, got: " + FormatFloat(p[1], 'f', 6));
  }
  return {};
}

}  // namespace weir::engine
