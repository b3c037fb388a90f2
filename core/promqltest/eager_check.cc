#include "core/promqltest/eager_check.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "core/model/duration.h"
#include "core/promql/parser.h"

namespace weir::promqltest {
namespace {

constexpr size_t kChecksMax = 300000;  // of the plans of a group together
constexpr int64_t kTicksOfASpan = 7;   // so often all plans are armed, besides at the evals' own times
constexpr double kTapedRoom = 1e-9;    // sums on tape round otherwise: a threshold keeps that far from what is expected
constexpr int64_t kHorizonShare = 64;  // how far a trigger holds: the interval and such a part of it

// RETURNS: a finite float that the eval expects somewhere.
std::optional<double> ExpectedFloat(const EvalCase& eval) {
  for (const ExpectedSeries& series : eval.series) {
    for (const promql::SequenceValue& value : series.values) {
      if (!value.omitted && value.histogram == nullptr && std::isfinite(value.value)) {
        return value.value;
      }
    }
  }
  return std::nullopt;
}

std::set<Labels> Present(engine::Engine& engine, const engine::Evaluation& evaluation) {
  std::set<Labels> present;
  for (size_t slot = 0; evaluation.status.ok() && slot < evaluation.vector.size(); ++slot) {
    if (evaluation.vector.present(slot)) {
      present.insert(engine.labels().ToLabels(evaluation.vector.labels(slot)));
    }
  }
  return present;
}

engine::Options Untaped(engine::Options options) {
  options.state = nullptr;
  options.tape_after_ms = engine::kNoTape;
  options.tape_points = false;
  return options;
}

}  // namespace

std::string EagerCounts::ToString() const {
  return "eager: " + std::to_string(plans) + " plans (" + std::to_string(ticks_only) + " more at ticks only), " +
         std::to_string(checks) + " checks at samples, " + std::to_string(evaluations) +
         " evaluations by crossings, which found " + std::to_string(appeared) + " new results; " +
         std::to_string(failed) + " plans failed";
}

EagerCheck::EagerCheck(engine::Engine* engine, engine::Options options, EagerCounts* counts)
    : engine_(*engine),
      taped_(options.tape_after_ms != engine::kNoTape || options.tape_points),
      exact_(Untaped(std::move(options))),
      counts_(*counts) {}

void EagerCheck::Plan(const EvalRequest& request, Outcome* outcome) {
  if (request.eval->fail) {
    return;
  }
  PlanText(request, request.eval->expr, outcome);
  if (const std::optional<double> value = ExpectedFloat(*request.eval)) {
    const bool at_least = request.eval->line % 2 == 0;
    const double room = taped_ ? kTapedRoom * std::max(std::abs(*value), 1.0) : 0;
    PlanText(request,
             "(" + request.eval->expr + ")" + (at_least ? " >= " : " <= ") +
                 FormatFloat(at_least ? *value - room : *value + room, 'g', -1),
             outcome);
  }
}

void EagerCheck::PlanText(const EvalRequest& request, const std::string& text, Outcome* outcome) {
  promql::ParserOptions options = promql::ParserOptions::All();
  options.step_ms = request.eval->step_ms;
  options.range_ms = request.eval->end_ms - request.eval->start_ms;
  const promql::ParseOutcome parsed = promql::ParseExpr(text, options);
  if (parsed.expr == nullptr || parsed.expr->type != promql::ValueType::kVector) {
    return;  // a string or a scalar, which always fires
  }
  engine::Grid grid;
  grid.times = request.eval->Times();
  grid.between = true;
  Planned p;
  p.text = text;
  p.outcome = outcome;
  const Result<engine::PlanId> eager = engine_.AddPlan(*parsed.expr, grid);
  if (!eager.ok()) {
    return;  // the eval itself says why
  }
  p.eager = *eager;
  const Result<engine::PlanId> exact = exact_.AddPlan(*parsed.expr, grid);
  if (!exact.ok() || !engine_.Between(p.eager).at_ticks_only.empty()) {
    engine_.RemovePlan(p.eager);
    if (exact.ok()) {
      exact_.RemovePlan(*exact);
    }
    ++counts_.ticks_only;
    return;
  }
  p.exact = *exact;
  ++counts_.plans;
  planned_.push_back(std::move(p));
}

void EagerCheck::Begin(const Storage& storage, const std::vector<engine::SeriesId>& ids, size_t samples,
                       int64_t first_ms, int64_t last_ms) {
  ids_ = ids;
  size_t index = 0;
  for (const auto& [labels, series] : storage) {
    const engine::SeriesId id = ids[index++];
    exact_ids_.resize(std::max<size_t>(exact_ids_.size(), id + size_t{1}), engine::kNoSeries);
    exact_ids_[id] = exact_.Intern(exact_.labels().InternSet(labels));
  }
  stride_ = 1 + samples * planned_.size() / kChecksMax;
  interval_ms_ = std::max<int64_t>(1000, (last_ms - first_ms) / kTicksOfASpan);
  arm_ms_ = first_ms;
}

EagerCheck::Found EagerCheck::Exact(const Planned& p, int64_t t_ms) {
  return Present(exact_, exact_.EvaluateBetween(p.exact, std::max(t_ms, p.last_ms)));
}

void EagerCheck::Arm(Planned& p) {
  const engine::Evaluation evaluation = engine_.EvaluateBetween(p.eager, p.last_ms);
  p.known = Present(engine_, evaluation);
  p.held_all = evaluation.status.ok();
  p.until_ms = p.last_ms + interval_ms_ + interval_ms_ / kHorizonShare;
  p.crossed = false;
  engine_.Arm(std::span(&p.eager, 1), p.last_ms, p.until_ms);
  bool any = false;  // else there is nothing that could cross
  for (const engine::SeriesId id : ids_) {
    const std::string text = engine_.TriggerText(p.eager, id);
    any = any || !text.empty();
    p.held_all = p.held_all && text != "none";
  }
  p.held_all = p.held_all && any;
}

void EagerCheck::EndTogether() {
  (void)engine_.EndTogether(together_ms_, 0);
  TakeCrossings();
  for (Planned& p : planned_) {
    if (p.crossed && p.last_ms != INT64_MIN) {
      Evaluate(p, together_ms_, Exact(p, together_ms_));
    }
  }
}

void EagerCheck::TakeCrossings() {
  for (const engine::Crossing& crossing : engine_.TakeCrossings()) {
    const auto at =
        std::find_if(planned_.begin(), planned_.end(), [&](const Planned& p) { return p.eager == crossing.plan; });
    if (at != planned_.end()) {
      at->crossed = true;
    }
  }
}

void EagerCheck::Before(int64_t t_ms) {
  if (t_ms != together_ms_) {
    EndTogether();
    together_ms_ = t_ms;
  }
  if (t_ms > arm_ms_) {
    Tick(arm_ms_);
    arm_ms_ += (t_ms - arm_ms_ + interval_ms_ - 1) / interval_ms_ * interval_ms_;
  }
  if (samples_ % stride_ == 0) {
    for (Planned& p : planned_) {
      p.before = p.last_ms == INT64_MIN ? Found() : Exact(p, t_ms);
    }
  }
}

void EagerCheck::Take(engine::SeriesId series, int64_t t_ms, double v, const HistogramRef& h, int64_t start_ms) {
  if (h != nullptr) {
    exact_.AppendHistogram(exact_ids_[series], t_ms, h, start_ms);
  } else {
    exact_.Append(exact_ids_[series], t_ms, v, start_ms);
  }
  TakeCrossings();
  if (samples_++ % stride_ == 0) {
    for (Planned& p : planned_) {
      Check(p, series, t_ms);
    }
  }
}

void EagerCheck::Check(Planned& p, engine::SeriesId series, int64_t t_ms) {
  if (p.last_ms == INT64_MIN) {
    return;
  }
  const bool read = p.crossed || !engine_.TriggerText(p.eager, series).empty();
  if (!read && (t_ms > p.until_ms || !p.held_all)) {
    return;  // not its sample, and nothing is said about the time alone
  }
  if (!p.crossed && engine_.AwaitsBuckets(p.eager)) {
    return;  // half a histogram says nothing
  }
  ++counts_.checks;
  const Found exact = Exact(p, t_ms);
  if (p.crossed) {
    Evaluate(p, t_ms, exact);
    return;
  }
  for (const Labels& labels : exact) {
    if (!p.known.contains(labels) && (p.held_all || !p.before.contains(labels))) {
      Fail(p, t_ms,
           "was silent, though " + labels.ToString() +
               " is there; the sample's trigger: " + engine_.TriggerText(p.eager, series) +
               (p.before.contains(labels) ? ", it came with the time alone" : ""));
    }
  }
}

void EagerCheck::Evaluate(Planned& p, int64_t t_ms, const Found& exact) {
  ++counts_.evaluations;
  p.last_ms = std::max(p.last_ms, t_ms);
  const Found found = Present(engine_, engine_.EvaluateBetween(p.eager, p.last_ms));
  counts_.appeared += static_cast<size_t>(
      std::count_if(found.begin(), found.end(), [&](const Labels& labels) { return !p.known.contains(labels); }));
  if (found != exact) {
    Fail(p, t_ms,
         "evaluated, it finds " + std::to_string(found.size()) + " results, where there are " +
             std::to_string(exact.size()) + " or others");
  }
  Arm(p);
}

void EagerCheck::Tick(int64_t t_ms) {
  for (Planned& p : planned_) {
    if (t_ms > p.last_ms) {
      p.last_ms = t_ms;
      Arm(p);
    }
  }
  (void)engine_.TakeCrossings();
}

void EagerCheck::Fail(Planned& p, int64_t t_ms, const std::string& what) {
  if (p.outcome->kind == Outcome::Kind::kValue) {
    ++counts_.failed;
    p.outcome->kind = Outcome::Kind::kError;
    p.outcome->message = "the eager alert `" + p.text + "`, armed at " + std::to_string(p.last_ms) + ", at " +
                         std::to_string(t_ms) + ": " + what;
  }
}

}  // namespace weir::promqltest
