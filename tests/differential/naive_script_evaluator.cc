#include "tests/differential/naive_script_evaluator.h"

#include "core/promqltest/classify.h"
#include "tests/differential/naive_evaluator.h"

namespace weir::naive {

namespace {

promqltest::TickResult ToTick(const Value& value) {
  promqltest::TickResult tick;
  tick.type = value.type;
  tick.scalar = value.scalar;
  tick.text = value.text;
  for (const Element& e : value.vector) {
    tick.vector.push_back({e.labels, e.v});
  }
  for (const Series& s : value.matrix) {
    promqltest::ResultSeries& out = tick.matrix.emplace_back();
    out.labels = s.labels;
    for (const Point& p : s.points) {
      out.points.push_back({p.t, p.v});
    }
  }
  return tick;
}

promqltest::Outcome EvaluateOne(const Data& data, const promqltest::EvalRequest& request, bool exact_folds) {
  promqltest::Outcome outcome;
  Query query;
  query.exact_folds = exact_folds;
  query.start_ms = request.eval->start_ms;
  query.end_ms = request.eval->end_ms;
  query.step_ms = request.eval->step_ms;
  for (int64_t t : request.eval->Times()) {
    Result<Value> value = naive::Evaluate(*request.expr, t, data, query);
    if (!value.ok()) {
      outcome.kind = promqltest::Outcome::Kind::kError;
      outcome.message = std::string(value.status().message());
      return outcome;
    }
    outcome.ticks.push_back(ToTick(*value));
  }
  return outcome;
}

}  // namespace

std::vector<promqltest::Outcome> ScriptEvaluator::Evaluate(const promqltest::Storage& storage,
                                                           std::span<const promqltest::EvalRequest> requests) {
  Data data;
  for (const auto& [labels, series] : storage) {
    std::vector<Point>& points = data[labels];
    for (const promqltest::LoadedSample& s : series.samples) {
      points.push_back({s.t, s.v, s.start});
    }
  }
  std::vector<promqltest::Outcome> outcomes;
  for (const promqltest::EvalRequest& request : requests) {
    if (promqltest::ReadsHistograms(request, storage)) {
      outcomes.emplace_back().kind = promqltest::Outcome::Kind::kUnsupported;
      outcomes.back().message = "native histograms";
      continue;
    }
    outcomes.push_back(EvaluateOne(data, request, exact_folds_));
  }
  return outcomes;
}

}  // namespace weir::naive
