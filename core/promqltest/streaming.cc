#include "core/promqltest/streaming.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "core/engine/engine.h"
#include "core/promqltest/classify.h"
#include "core/promqltest/eager_check.h"

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
  Stream(const Storage& storage, StreamingMode mode, uint64_t seed, const std::shared_ptr<StateDirectory>& tape,
         EagerCounts* eager)
      : engine_(EngineOptions(mode, tape)), storage_(storage), mode_(mode), random_(seed), taped_(tape != nullptr) {
    if (mode == StreamingMode::kYielding) {
      engine_.SetYield([this] { AppendAhead(); });
    }
    if (eager != nullptr) {
      eager_ = std::make_unique<EagerCheck>(&engine_, EngineOptions(mode, tape), eager);
    }
    for (uint32_t shard = 0; shard < engine_.shards(); ++shard) {
      writers_.emplace_back(&engine_, shard);
    }
  }

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
    planned_.push_back({*plan, std::move(grid), &request, outcome});
    if (eager_) {
      eager_->Plan(request, outcome);
    }
  }

  void Run() {
    const std::vector<engine::SeriesId> ids = Intern();
    size_t index = 0;
    for (const auto& [labels, series] : storage_) {
      const engine::SeriesId id = ids[index++];
      for (const LoadedSample& s : series.samples) {
        feed_.push_back({s.t, id, s.v, nullptr, s.start});
      }
      for (const LoadedHistogram& h : series.histograms) {
        feed_.push_back({h.t, id, 0, h.histogram, h.start});
      }
    }
    std::stable_sort(feed_.begin(), feed_.end(), [](const Feed& a, const Feed& b) { return a.t < b.t; });
    if (eager_ && !feed_.empty()) {
      eager_->Begin(storage_, ids, feed_.size(), feed_.front().t, feed_.back().t);
    }
    const int64_t delay_ms = mode_ == StreamingMode::kDelayed ? kDelayMs : 0;
    for (int64_t t : times_) {
      AppendUpTo(t, delay_ms);
      if (mode_ == StreamingMode::kYielding) {
        ahead_of_ms_ = engine_.ReadsUntil(t);
        engine_.BeginYielding();
      }
      std::vector<const Planned*> now;
      std::vector<engine::PlanId> plans;
      for (const Planned& p : planned_) {
        const std::vector<int64_t>& times = p.grid.times;
        if (std::binary_search(times.begin(), times.end(), t) && p.outcome->kind == Outcome::Kind::kValue) {
          now.push_back(&p);
          plans.push_back(p.plan);
        }
      }
      if (mode_ == StreamingMode::kSharded) {
        engine_.BeginTick(plans, t);
      }
      for (const Planned* p : now) {
        Tick(*p, t);
      }
      if (mode_ == StreamingMode::kSharded) {
        engine_.EndTick();
      }
      if (mode_ == StreamingMode::kYielding) {
        engine_.EndYielding();
      }
      if (eager_) {
        eager_->Tick(t);
      }
      engine_.Release(eager_ ? t - 1 : t);
    }
  }

 private:
  struct Planned {
    engine::PlanId plan;
    engine::Grid grid;
    const EvalRequest* request;
    Outcome* outcome;
  };

  static engine::Options EngineOptions(StreamingMode mode, const std::shared_ptr<StateDirectory>& tape) {
    engine::Options options;
    options.share = mode != StreamingMode::kOneByOne;
    options.shards = mode == StreamingMode::kSharded ? 3 : 1;
    options.always_share = true;
    options.delayed_name_removal = true;
    options.use_start_timestamps = true;
    if (tape) {
      options.state = tape;
      options.tape_after_ms = 0;
      options.tape_margin_ms = 0;
      options.tape_points = true;
    }
    options.slots_per_yield = 1;
    return options;
  }

  // Makes all series known, in the order of the script. Series n is shard n % shards'.
  std::vector<engine::SeriesId> Intern() {
    std::vector<engine::SeriesId> ids(storage_.size());
    size_t n = 0;
    for (const auto& [labels, series] : storage_) {
      std::vector<std::pair<std::string_view, std::string_view>> views;
      for (const LabelView label : labels) {
        views.emplace_back(label.name, label.value);
      }
      engine::ShardWriter& writer = writers_[n % writers_.size()];
      writer.Begin();
      ids[n++] = writer.Intern(views);
    }
    return ids;
  }

  // Feeds what is due at tick `t`: all samples up to `delay_ms` after it.
  void AppendUpTo(int64_t t, int64_t delay_ms) {
    const auto first = feed_.begin() + static_cast<ptrdiff_t>(next_);
    const auto last = std::find_if(first, feed_.end(), [&](const Feed& f) { return f.t > t + delay_ms; });
    const size_t end = static_cast<size_t>(last - feed_.begin());
    if (mode_ == StreamingMode::kShuffled) {
      Shuffle(end);
    }
    // Every sample at or before it has been fed.
    std::vector<int64_t> settled(end - next_);
    int64_t oldest = std::numeric_limits<int64_t>::max();
    for (size_t i = end; i-- > next_;) {
      oldest = std::min(oldest, feed_[i].t);
      settled[i - next_] = oldest - 1 - delay_ms;
    }
    for (size_t i = next_; i < end; ++i) {
      if (mode_ == StreamingMode::kReloaded && i == feed_.size() / 2) {
        Reload();
      }
      const int64_t settled_ms = settled[i - next_];
      if (settled_ms > advanced_ms_) {
        AppendRun();
        engine_.AdvanceTo(settled_ms);
        advanced_ms_ = settled_ms;
        if (taped_) {
          engine_.Release(std::min(settled_ms, t - 1));  // rows are written as they would be between ticks
        }
      }
      if (mode_ == StreamingMode::kSharded) {
        run_.push_back(feed_[i]);
      } else {
        Append(feed_[i]);
      }
    }
    AppendRun();
    next_ = end;
  }

  // Every shard appends what is its own of the run.
  void AppendRun() {
    if (run_.empty()) {
      return;
    }
    engine_.OnShards(true, 1, [this](uint32_t shard, size_t) {
      engine::ShardWriter& writer = writers_[shard];
      for (const Feed& f : run_) {
        if (!writer.Owns(f.series)) {
          continue;
        }
        if (f.h) {
          writer.AppendHistogram(f.series, f.t, f.h, f.start);
        } else {
          writer.Append(f.series, f.t, f.v, f.start);
        }
      }
    });
    run_.clear();
  }

  // In the middle of a tick: the next sample, if the tick cannot see it.
  void AppendAhead() {
    if (next_ < feed_.size() && feed_[next_].t > ahead_of_ms_) {
      Append(feed_[next_++]);
    }
  }

  void Append(const Feed& f) {
    if (eager_) {
      eager_->Before(f.t);
    }
    if (f.h) {
      engine_.AppendHistogram(f.series, f.t, f.h, f.start);
    } else {
      engine_.Append(f.series, f.t, f.v, f.start);
    }
    if (eager_) {
      eager_->Take(f.series, f.t, f.v, f.h, f.start);
    }
  }

  // Deals the places of the samples up to `end` anew among the series: each keeps its samples in order.
  void Shuffle(size_t end) {
    std::vector<engine::SeriesId> places;
    std::map<engine::SeriesId, std::deque<Feed>> by_series;
    for (size_t i = next_; i < end; ++i) {
      places.push_back(feed_[i].series);
      by_series[feed_[i].series].push_back(std::move(feed_[i]));
    }
    std::shuffle(places.begin(), places.end(), random_);
    for (size_t i = next_; i < end; ++i) {
      std::deque<Feed>& own = by_series[places[i - next_]];
      feed_[i] = std::move(own.front());
      own.pop_front();
    }
  }

  // As a reload does it: the new plans come before the old ones go, so that what did not change is kept.
  void Reload() {
    std::vector<engine::PlanId> old;
    for (Planned& p : planned_) {
      old.push_back(p.plan);
      Result<engine::PlanId> plan = engine_.AddPlan(*p.request->expr, p.grid);
      if (!plan.ok()) {
        p.outcome->kind = Outcome::Kind::kError;
        p.outcome->message = "planned again: " + std::string(plan.status().message());
        continue;
      }
      p.plan = *plan;
    }
    for (engine::PlanId plan : old) {
      engine_.RemovePlan(plan);
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
      AddMissing(remark.Shown(p.request->eval->expr), remark.info ? &p.outcome->infos : &p.outcome->warnings);
    }
  }

  engine::Engine engine_;
  const Storage& storage_;
  const StreamingMode mode_;
  std::mt19937_64 random_;
  const bool taped_;
  std::vector<Planned> planned_;
  std::set<int64_t> times_;
  std::vector<Feed> feed_;
  size_t next_ = 0;
  int64_t advanced_ms_ = std::numeric_limits<int64_t>::min();
  int64_t ahead_of_ms_ = 0;
  std::unique_ptr<EagerCheck> eager_;  // null: nothing is evaluated between ticks
  std::vector<engine::ShardWriter> writers_;
  std::vector<Feed> run_;  // kSharded: to be appended together
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

bool StreamingEvaluator::MayBeEager(StreamingMode mode) {
  return mode == StreamingMode::kTogether || mode == StreamingMode::kOneByOne || mode == StreamingMode::kDelayed ||
         mode == StreamingMode::kReloaded;
}

std::vector<Outcome> StreamingEvaluator::Evaluate(const Storage& storage, std::span<const EvalRequest> requests) {
  std::vector<Outcome> outcomes(requests.size());
  std::vector<size_t> open;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!Settle(requests[i], &outcomes[i])) {
      open.push_back(i);
    }
  }
  if (mode_ != StreamingMode::kOneByOne) {
    Stream stream(storage, mode_, seed_++, tape_, eager_);
    for (size_t i : open) {
      stream.Plan(requests[i], &outcomes[i]);
    }
    stream.Run();
    return outcomes;
  }
  for (size_t i : open) {
    Stream stream(storage, mode_, seed_, tape_, eager_);
    stream.Plan(requests[i], &outcomes[i]);
    stream.Run();
  }
  return outcomes;
}

}  // namespace weir::promqltest
