#include "core/promqltest/streaming.h"

#include <algorithm>
#include <set>

#include "core/engine/engine.h"
#include "core/promqltest/classify.h"

namespace weir::promqltest {

namespace {

struct Feed {
  int64_t t;
  engine::SeriesId series;
  double v;
  HistogramRef h;  // null: a float
  int64_t start;
};

TickResult ToTick(const engine::Evaluation& evaluation, const LabelSetTable& labels) {
  TickResult tick;
  tick.type = evaluation.type;
  tick.scalar = evaluation.scalar;
  tick.text = evaluation.text;
  if (evaluation.type != promql::ValueType::kVector) {
    return tick;
  }
  const engine::VectorView& view = evaluation.vector;
  std::vector<uint32_t> slots = evaluation.order;
  for (uint32_t slot = 0; evaluation.order.empty() && slot < view.size(); ++slot) {
    if (view.present(slot)) {
      slots.push_back(slot);
    }
  }
  for (uint32_t slot : slots) {
    tick.vector.push_back({labels.ToLabels(view.labels(slot)), view.value(slot), view.histogram(slot)});
  }
  return tick;
}

void AddMissing(const std::string& text, std::vector<std::string>* to) {
  if (std::find(to->begin(), to->end(), text) == to->end()) {
    to->push_back(text);
  }
}

// One engine with its plans and the samples still to come.
class Stream {
 public:
  Stream(const Storage& storage, bool share) : engine_(EngineOptions(share)), storage_(storage) {}

  void Plan(const EvalRequest& request, Outcome* outcome) {
    engine::Grid grid;
    grid.times = request.eval->Times();
    if (request.eval->range && UsesQueryBounds(request)) {  // an instant query is what a rule's tick is
      grid.bounds = engine::QueryBounds{request.eval->start_ms, request.eval->end_ms, request.eval->step_ms};
    }
    Result<engine::PlanId> plan = engine_.AddPlan(*request.expr, grid);
    if (!plan.ok()) {
      bool unsupported = plan.status().code() == Code::kUnsupported;
      outcome->kind = unsupported ? Outcome::Kind::kUnsupported : Outcome::Kind::kError;
      outcome->message = std::string(plan.status().message());
      return;
    }
    for (int64_t t : grid.times) {
      times_.insert(t);
    }
    planned_.push_back({*plan, std::move(grid.times), request.eval->expr, outcome});
  }

  void Run() {
    for (const auto& [labels, series] : storage_) {
      engine::SeriesId id = engine_.Intern(engine_.labels().InternSet(labels));
      for (const LoadedSample& s : series.samples) {
        feed_.push_back({s.t, id, s.v, nullptr, s.start});
      }
      for (const LoadedHistogram& h : series.histograms) {
        feed_.push_back({h.t, id, 0, h.histogram, h.start});
      }
    }
    std::stable_sort(feed_.begin(), feed_.end(), [](const Feed& a, const Feed& b) { return a.t < b.t; });
    for (int64_t t : times_) {
      AppendUpTo(t);
      for (const Planned& p : planned_) {
        if (std::binary_search(p.times.begin(), p.times.end(), t) && p.outcome->kind == Outcome::Kind::kValue) {
          Tick(p, t);
        }
      }
      engine_.Release(t);
    }
  }

 private:
  struct Planned {
    engine::PlanId plan;
    std::vector<int64_t> times;
    std::string_view query;
    Outcome* outcome;
  };

  static engine::Options EngineOptions(bool share) {
    engine::Options options;
    options.delayed_name_removal = true;
    options.use_start_timestamps = true;
    options.share = share;
    return options;
  }

  void AppendUpTo(int64_t t) {
    for (; next_ < feed_.size() && feed_[next_].t <= t; ++next_) {
      if (next_ == 0 || feed_[next_ - 1].t != feed_[next_].t) {
        engine_.AdvanceTo(feed_[next_].t - 1);
      }
      const Feed& f = feed_[next_];
      if (f.h) {
        engine_.AppendHistogram(f.series, f.t, f.h, f.start);
      } else {
        engine_.Append(f.series, f.t, f.v, f.start);
      }
    }
  }

  void Tick(const Planned& p, int64_t t) {
    engine::Evaluation evaluation = engine_.Evaluate(p.plan, t);
    if (!evaluation.status.ok()) {
      p.outcome->kind = Outcome::Kind::kError;
      p.outcome->message = std::string(evaluation.status.message());
      return;
    }
    p.outcome->ticks.push_back(ToTick(evaluation, engine_.labels()));
    for (const engine::Remark& remark : evaluation.remarks) {
      AddMissing(remark.Shown(p.query), remark.info ? &p.outcome->infos : &p.outcome->warnings);
    }
  }

  engine::Engine engine_;
  const Storage& storage_;
  std::vector<Planned> planned_;
  std::set<int64_t> times_;
  std::vector<Feed> feed_;
  size_t next_ = 0;
};

// Settles what needs no engine. RETURNS: whether it did.
bool Settle(const EvalRequest& request, Outcome* outcome) {
  if (request.expr->type == promql::ValueType::kMatrix) {
    outcome->kind = Outcome::Kind::kUnsupported;
    outcome->message = "a range vector is no result of a rule";
    return true;
  }
  if (std::optional<std::string> why = ReadsAhead(request)) {
    outcome->kind = Outcome::Kind::kUndecidable;
    outcome->message = *why;
    return true;
  }
  return false;
}

}  // namespace

std::vector<Outcome> StreamingEvaluator::Evaluate(const Storage& storage, std::span<const EvalRequest> requests) {
  std::vector<Outcome> outcomes(requests.size());
  std::vector<size_t> open;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!Settle(requests[i], &outcomes[i])) {
      open.push_back(i);
    }
  }
  if (mode_ == StreamingMode::kTogether) {
    Stream stream(storage, true);
    for (size_t i : open) {
      stream.Plan(requests[i], &outcomes[i]);
    }
    stream.Run();
    return outcomes;
  }
  for (size_t i : open) {
    Stream stream(storage, false);
    stream.Plan(requests[i], &outcomes[i]);
    stream.Run();
  }
  return outcomes;
}

}  // namespace weir::promqltest
