// The streaming engine against the naive evaluator on random series and random expressions. One round is one world: all its
// expressions are planned in one engine, samples are fed in time order, and at every tick of a periodic grid each plan's
// result must be what the naive evaluator finds in the raw samples. Half of the rounds evaluate late: newer samples are
// already in when the tick runs. WEIR_SEED and WEIR_ROUNDS choose what is run; the seed of a failing round is printed, and
// WEIR_EXPR runs one expression alone in the worlds of those seeds. With WEIR_TAPE every window that can be is on tape. With
// WEIR_EAGER=1 every expression is watched by trigger values and evaluated between ticks, too, which no tick may notice.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "core/engine/engine.h"
#include "core/model/duration.h"
#include "core/promql/parser.h"
#include "tests/differential/random_world.h"
#include "tests/support/temporary_state.h"

namespace weir::differential {
namespace {

constexpr size_t kExprsPerRound = 32;
constexpr size_t kMismatchesShown = 40;  // expressions
constexpr double kTolerance = 1e-9;
constexpr double kFewDigits = 1e-6;
constexpr double kFewestDigits = 1e-3;
constexpr int64_t kLongestReachMs = 1800000;  // more than any random expression looks back

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

bool SameBits(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

bool Close(double a, double b, double tolerance) {
  if (SameBits(a, b) || a == b) {
    return true;
  }
  return std::fabs(a - b) <= tolerance * std::max(std::fabs(a), std::fabs(b));
}

struct Feed {
  int64_t t;
  const Labels* labels;
  double v;
};

struct Planned {
  RandomExpr source;
  promql::ExprPtr expr;
  engine::PlanId plan = 0;
  engine::PlanId between = engine::kNoPlan;
  int64_t compared_from = INT64_MIN;  // a plan added on the way sees nothing older than itself at first
};

struct Totals {
  size_t values = 0;
  size_t ticks = 0;
  size_t errors_agreed = 0;
  size_t unsupported = 0;
  size_t plans = 0;
  size_t mismatches = 0;
  size_t reported = 0;  // expressions with one
  size_t between = 0;   // evaluations between ticks
};

class Round {
 public:
  Round(uint64_t seed, Totals* totals) : seed_(seed), random_(seed), world_(MakeWorld(&random_)), totals_(totals) {
    engine::Options options;
    options.delayed_name_removal = random_.Chance(0.5);
    options.share = random_.Chance(0.8);
    if (std::getenv("WEIR_TAPE") != nullptr) {
      static const test::TemporaryState state;
      options.state = state.directory();
      options.tape_after_ms = 0;
      options.tape_margin_ms = random_.Chance(0.5) ? 0 : random_.Between(1, 5 * world_.interval_ms);
      options.tape_points = true;
    }
    options.shards = random_.Chance(0.3) ? 3 : 1;
    options.always_share = true;
    options.slots_per_yield = 1;  // even small worlds are cut
    query_.delayed_name_removal = options.delayed_name_removal;
    delay_ms_ = random_.Chance(0.5) ? 0 : random_.Between(1, 3 * world_.interval_ms);
    engine_ = std::make_unique<engine::Engine>(options);
  }

  void Run() {
    Plan(kExprsPerRound, INT64_MIN);
    for (const auto& [labels, points] : world_.data) {
      for (const naive::Point& p : points) {
        feed_.push_back({p.t, &labels, p.v});
      }
    }
    std::stable_sort(feed_.begin(), feed_.end(), [](const Feed& a, const Feed& b) { return a.t < b.t; });
    for (int64_t t = world_.phase_ms + world_.interval_ms; t <= world_.end_ms; t += world_.interval_ms) {
      AppendUpTo(t + delay_ms_);
      std::vector<engine::PlanId> plans;
      for (const Planned& p : planned_) {
        plans.push_back(p.plan);
      }
      engine_->BeginTick(plans, t);
      for (const Planned& p : planned_) {
        Check(p, t);
      }
      engine_->EndTick();
      Arm(t);
      engine_->Release(t);
      if (random_.Chance(0.02)) {
        Replan(t);
      }
      if (random_.Chance(0.05) && engine_->Expire(t) > 0) {
        ids_.clear();  // a series that was forgotten may come back, as a new one
      }
    }
  }

 private:
  void Plan(size_t count, int64_t compared_from) {
    engine::Grid grid;
    grid.interval_ms = world_.interval_ms;
    grid.phase_ms = world_.phase_ms;
    const char* only = std::getenv("WEIR_EXPR");
    for (size_t i = 0; i < (only != nullptr ? 1 : count); ++i) {
      Planned p;
      p.source =
          only != nullptr ? RandomExpr{only, false, false, false, false} : MakeExpr(&random_, world_.interval_ms);
      if (p.source.pinned && compared_from != INT64_MIN) {
        continue;  // the time it reads at is past: not kept
      }
      p.compared_from = p.source.pinned ? kPinnedMs : compared_from;
      promql::ParseOutcome outcome = promql::ParseExpr(p.source.text, promql::ParserOptions::All());
      ASSERT_NE(outcome.expr, nullptr) << p.source.text << ": "
                                       << (outcome.errors.empty() ? "" : outcome.errors[0].ToString());
      p.expr = outcome.expr;
      Result<engine::PlanId> plan = engine_->AddPlan(*p.expr, grid);
      if (!plan.ok()) {
        EXPECT_EQ(plan.status().code(), Code::kUnsupported) << p.source.text << ": " << plan.status().message();
        totals_->unsupported += 1;
        continue;
      }
      totals_->plans += 1;
      p.plan = *plan;
      if (eager_) {
        PlanBetween(&p, grid);
      }
      planned_.push_back(std::move(p));
    }
  }

  void PlanBetween(Planned* p, engine::Grid grid) {
    grid.between = true;
    Result<engine::PlanId> plan = engine_->AddPlan(*p->expr, grid);
    if (plan.ok() && engine_->Between(*plan).at_ticks_only.empty()) {
      p->between = *plan;
    } else if (plan.ok()) {
      engine_->RemovePlan(*plan);
    }
  }

  void Arm(int64_t t) {
    std::vector<engine::PlanId> plans;
    for (const Planned& p : planned_) {
      if (p.between != engine::kNoPlan) {
        plans.push_back(p.between);
      }
    }
    armed_ms_ = std::max(armed_ms_, t);
    engine_->Arm(plans, armed_ms_, t + world_.interval_ms + delay_ms_);
  }

  void EvaluateCrossed(int64_t t) {
    for (const engine::Crossing& crossing : engine_->TakeCrossings()) {
      armed_ms_ = std::max(armed_ms_, t);
      engine_->EvaluateBetween(crossing.plan, armed_ms_);
      engine_->Arm(std::span(&crossing.plan, 1), armed_ms_, armed_ms_ + world_.interval_ms);
      totals_->between += 1;
    }
  }

  // A reload: some plans go, others come; those that stay must not notice.
  void Replan(int64_t t) {
    if (std::getenv("WEIR_EXPR") != nullptr) {
      return;
    }
    Plan(kExprsPerRound / 8, t + kLongestReachMs);
    for (size_t i = 0; i < planned_.size();) {
      if (random_.Chance(0.1)) {
        engine_->RemovePlan(planned_[i].plan);
        if (planned_[i].between != engine::kNoPlan) {
          engine_->RemovePlan(planned_[i].between);
        }
        planned_.erase(planned_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
  }

  void AppendUpTo(int64_t t) {
    for (; next_ < feed_.size() && feed_[next_].t <= t; ++next_) {
      const Feed& f = feed_[next_];
      if (next_ == 0 || feed_[next_ - 1].t != f.t) {
        engine_->AdvanceTo(f.t - 1 - delay_ms_);
      }
      auto [it, added] = ids_.try_emplace(f.labels, engine::kNoSeries);
      if (added) {
        it->second = engine_->Intern(engine_->labels().InternSet(*f.labels));
      }
      ASSERT_EQ(engine_->Append(it->second, f.t, f.v), engine::AppendOutcome::kOk);
      EvaluateCrossed(f.t);
    }
  }

  void Check(const Planned& p, int64_t t) {
    if (t < p.compared_from || IsOfRounding(p)) {
      engine_->Evaluate(p.plan, t);
      return;
    }
    query_.start_ms = t;
    query_.end_ms = t;
    Result<naive::Value> want = naive::Evaluate(*p.expr, t, world_.data, query_);
    engine::Evaluation got = engine_->Evaluate(p.plan, t);
    totals_->ticks += 1;
    if (!want.ok() || !got.status.ok()) {
      if (want.ok() != got.status.ok()) {
        Report(p, t,
               "naive: " + (want.ok() ? "a value" : std::string(want.status().message())) +
                   "; engine: " + (got.status.ok() ? "a value" : std::string(got.status.message())));
      } else {
        totals_->errors_agreed += 1;
      }
      return;
    }
    Compare(p, t, *want, got);
  }

  void Compare(const Planned& p, int64_t t, const naive::Value& want, const engine::Evaluation& got) {
    std::map<Labels, double> expected;
    for (const naive::Element& e : want.vector) {
      expected[e.labels] = e.v;
    }
    size_t seen = 0;
    for (size_t slot = 0; slot < got.vector.size(); ++slot) {
      if (!got.vector.present(slot)) {
        continue;
      }
      ++seen;
      Labels labels = engine_->labels().ToLabels(got.vector.labels(slot));
      double v = got.vector.value(slot);
      auto it = expected.find(labels);
      totals_->values += 1;
      if (it == expected.end()) {
        Report(p, t, "engine alone has " + labels.ToString() + " " + FormatFloat(v, 'g'));
      } else if (p.source.exact ? !SameBits(it->second, v) && !(p.source.any_zero && it->second == v)
                                : !Close(it->second, v, ToleranceOf(p))) {
        Report(p, t, labels.ToString() + " naive " + FormatFloat(it->second, 'g') + " engine " + FormatFloat(v, 'g'));
      }
    }
    if (seen != expected.size()) {
      std::string names;
      for (const auto& [labels, v] : expected) {
        names += " " + labels.ToString() + " " + FormatFloat(v, 'g');
      }
      Report(
          p, t,
          "naive has " + std::to_string(expected.size()) + " elements, engine " + std::to_string(seen) + ":" + names);
    }
  }

  static bool Has(const Planned& p, std::string_view text) { return p.source.text.find(text) != std::string::npos; }
  static double ToleranceOf(const Planned& p) {
    if (std::getenv("WEIR_TAPE") == nullptr) {
      return p.source.few_digits ? kFewDigits : kTolerance;
    }
    // Of counters that jumped by 1e9 Prometheus's own deviations and slopes have but a few digits right; tapes have more.
    if (Has(p, "stddev_over_time(c_total") || Has(p, "stdvar_over_time(c_total") || Has(p, "deriv(c_total") ||
        Has(p, "predict_linear(c_total")) {
      return kFewestDigits;
    }
    // Differences of averages keep few digits when a running sum rounds the averages.
    return p.source.few_digits || Has(p, "avg_over_time(c_total") ? kFewDigits : kTolerance;
  }
  // Sums of a handful of numbers of all sizes are what Prometheus's rounding makes of them, those of rows are right.
  static bool IsOfRounding(const Planned& p) {
    const bool sum = Has(p, "sum_over_time((") || Has(p, "avg_over_time((");
    return std::getenv("WEIR_TAPE") != nullptr && sum && (Has(p, "(w") || Has(p, " w"));
  }

  void Report(const Planned& p, int64_t t, const std::string& what) {
    totals_->mismatches += 1;
    if (!reported_.insert(p.source.text).second) {
      return;  // one line an expression
    }
    totals_->reported += 1;
    if (totals_->reported <= kMismatchesShown) {
      ADD_FAILURE() << "WEIR_SEED=" << seed_ << " interval " << world_.interval_ms << "ms phase " << world_.phase_ms
                    << "ms late " << delay_ms_ << "ms delayed names " << query_.delayed_name_removal << "\n  "
                    << p.source.text << (p.source.exact ? " (exact)" : "") << " at " << t << "\n  " << what;
    }
  }

  const uint64_t seed_;
  Random random_;
  World world_;
  Totals* const totals_;
  naive::Query query_;
  int64_t delay_ms_ = 0;
  const bool eager_ = FromEnvironment("WEIR_EAGER", 0) != 0;
  int64_t armed_ms_ = INT64_MIN;
  std::unique_ptr<engine::Engine> engine_;
  std::vector<Planned> planned_;
  std::vector<Feed> feed_;
  std::map<const Labels*, engine::SeriesId> ids_;
  std::set<std::string> reported_;
  size_t next_ = 0;
};

TEST(Differential, EngineEqualsNaiveEvaluator) {
  uint64_t seed = FromEnvironment("WEIR_SEED", 20240801);
  uint64_t rounds = FromEnvironment("WEIR_ROUNDS", 12);
  Totals totals;
  for (uint64_t i = 0; i < rounds; ++i) {
    Round round(seed + i, &totals);
    round.Run();
  }
  std::cout << "seeds " << seed << ".." << seed + rounds - 1 << ": " << totals.plans << " plans, " << totals.ticks
            << " evaluations, " << totals.values << " values compared, " << totals.errors_agreed << " errors agreed, "
            << totals.unsupported << " unsupported, " << totals.between << " evaluations between ticks, "
            << totals.mismatches << " mismatches in " << totals.reported << " expressions\n";
  EXPECT_EQ(totals.mismatches, 0u);
  EXPECT_GT(totals.values, rounds * 1000);
}

}  // namespace
}  // namespace weir::differential
