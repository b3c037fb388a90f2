// Trigger values on random series and random expressions: never silent. One round is one world; every plan is armed at ticks and
// after each evaluation, as the runtime does it. At every sample the same plan in a second engine, which nothing arms, is
// evaluated exactly at that sample's time: what is present there and was absent when the plan was armed must have made the sample
// cross. Evaluations between ticks are compared with the naive evaluator, too. WEIR_SEED, WEIR_ROUNDS and WEIR_EXPR as in
// differential_test.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <tuple>

#include "core/engine/engine.h"
#include "core/model/duration.h"
#include "core/promql/parser.h"
#include "tests/differential/random_world.h"

namespace weir::differential {
namespace {

constexpr size_t kReportsMax = 20;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Totals {
  size_t plans = 0;
  size_t ticks_only = 0;
  size_t samples = 0;      // that a plan could have been evaluated for
  size_t evaluations = 0;  // made
  size_t appeared = 0;     // slots that were found by an evaluation between ticks
  size_t torn = 0;         // of the evaluations: of histograms that did not come whole
  size_t late = 0;         // of the samples: that came while a plan was armed
  size_t by_time = 0;      // became present by the time alone, between samples of their own series
  size_t compared = 0;     // with the naive evaluator
  size_t silent = 0;
  size_t wrong = 0;
};

// Expressions of alerts, thresholds where the world's values are.
std::string AlertExpr(Random* random) {
  const auto number = [&](std::vector<const char*> choices) { return std::string(random->Pick(choices)); };
  const auto op = [&] { return number({" > ", " > ", " >= ", " < ", " <= ", " == ", " != "}); };
  const auto by = [&] { return number({"", " by (i)", " by (j)", " without (j)"}); };
  const auto window = [&] { return number({"60s", "90s", "127s", "300s", "600s"}); };
  const auto gauge = [&] {
    return number({"g", "g{j=\"0\"}", "w", "g offset 10s", "-g", "abs(g)", "clamp_min(g, -50)", "round(g)"});
  };
  const auto rate = [&] {
    return number({"rate", "rate", "increase"}) + "(" + number({"c_total", "c_total", "b_bucket"}) + "[" + window() +
           "]" + number({"", "", "", " offset 20s"}) + ")";
  };
  const auto limit = [&] { return number({"0", "1", "5", "20", "100", "400", "-100", "0.5", "1e300"}); };
  switch (random->Below(30)) {
    case 0:
      return gauge() + op() + limit();
    case 1:
      return limit() + op() + gauge();
    case 2:
      return rate() + op() + limit();
    case 3:
      return "sum" + by() + "(" + rate() + ")" + op() + limit();
    case 4:
      if (random->Chance(0.3)) {
        return "quantile" + by() + "(" + number({"0", "0.5", "0.9", "1"}) + ", " + gauge() + ")" + op() + limit();
      }
      return number({"sum", "avg", "min", "max", "count", "group"}) + by() + "(" + gauge() + ")" + op() + limit();
    case 5:
      return "sum" + by() + "(rate(c_total[" + window() + "])) / sum" + by() + "(rate(b_bucket[" + window() + "]))" +
             op() + limit();
    case 6:
      return "sum(rate(c_total[60s])) / sum(rate(b_bucket[60s]))" + op() + limit() +
             number({" and ", " or ", " unless "}) + "sum(rate(c_total[300s])) / sum(rate(b_bucket[300s]))" + op() +
             limit();
    case 7:
      return "(" + gauge() + " * 100" + number({" + 3", " - 3", " / 7", " * -2"}) + ")" + op() + limit();
    case 8:
      return gauge() + op() + limit() + number({" and ", " unless ", " or "}) + number({"", "on (i) "}) + gauge() +
             op() + limit();
    case 9:
      return gauge() + number({" + ", " - ", " * ", " / "}) + "on (i, j) " + gauge() + op() + limit();
    case 10:
      return gauge() + op() + "on (i, j) group_left () " + gauge();
    case 11:
      return "count" + by() + "(" + gauge() + op() + limit() + ") " + op() + number({"0", "1", "2", "3"});
    case 12:
      return number({"absent(g", "absent(c_total", "absent(nothing", "absent(b_bucket{le=\"1\"", "absent(g{i=\"1\"}"}) +
             " > " + limit() + ")";
    case 13:
      return number({"max_over_time(", "min_over_time(", "last_over_time(", "delta(", "avg_over_time(",
                     "quantile_over_time(0.5, ", "quantile_over_time(0.9, ", "quantile_over_time(1, "}) +
             number({"g", "w", "c_total"}) + "[" + window() + "])" + op() + limit();
    case 14:
      return "histogram_quantile(" + number({"0.5", "0.9", "0.99"}) + ", sum by (le) (rate(b_bucket[" + window() +
             "])))" + op() + number({"0.1", "0.4", "1", "2"});
    case 18:
    case 19:
    case 20:
    case 21: {
      const std::string leaf = number({"rate", "rate", "increase"}) + "(s_bucket[" + window() + "]" +
                               number({"", "", "", " offset 20s"}) + ")";
      const std::string input =
          number({"sum by (le) (", "sum by (le) (", "sum by (i, le) (", "sum without (i) (", "("});
      return "histogram_quantile(" + number({"0.5", "0.9", "0.95", "0.99", "0.99", "1"}) + ", " + input + leaf + "))" +
             number({" > ", " > ", " >= ", " < ", " * 1000 > 100 * "}) +
             number({"0.05", "0.1", "0.5", "0.5", "0.7", "1", "2"});
    }
    case 22:
    case 23:
    case 24:
    case 25: {
      const std::string of = number({"irate(", "idelta(", "changes(", "resets(", "sum_over_time(", "count_over_time(",
                                     "present_over_time(", "absent_over_time("}) +
                             number({"g", "w", "c_total", "c_total", "b_bucket", "g{i=\"1\"}", "s_bucket{le=\"1\"}",
                                     "e", "e", "e_total", "e_total"}) +
                             "[" + window() + "]" + number({"", "", " offset 20s"}) + ")";
      const std::string than = op() + number({"0", "1", "2", "3", "5", "10", "100", "1000", "-5"});
      return random->Chance(0.3) ? number({"sum", "max", "min", "count"}) + by() + "(" + of + ")" + than : of + than;
    }
    case 26:
      return number({"time() - timestamp(", "timestamp("}) + gauge() + ")" + op() + number({"30", "100", "301", "600"});
    case 27:
      return number({"ln(", "log2(", "log10(", "exp(", "exp(0.01 * ", "sqrt(", "hour(", "minute(60 * ", "minute("}) +
             gauge() + ")" + op() + number({"0", "1", "2", "-1", "5", "30"});
    case 28:
      return number({"minute()", "hour()", "day_of_week()", "vector(time())", "vector(scalar(g{i=\"1\",j=\"0\"}))"}) +
             op() + limit() + number({" and on () ", " unless on () ", " or "}) + gauge() + op() + limit();
    case 29:
      return gauge() + op() +
             number({"scalar(g{i=\"1\",j=\"0\"})", "scalar(c_total)", "scalar(count(g > 5))",
                     "scalar(g{i=\"1\",j=\"0\"}) * 2"}) +
             number({"", " and topk(2, g) > 3", " and bottomk by (i) (1, g) <= 3"});
    case 15:
      return number({"topk(2, g)", "irate(c_total[60s])", "stddev(g)", "quantile_over_time(0.5, g[60s])",
                     "time() - timestamp(g)", "avg_over_time(g[60s])", "changes(g[90s])",
                     "scalar(g{i=\"1\",j=\"0\"}) * g"}) +
             op() + limit();
    case 16:
      return "(" + rate() + op() + "bool " + limit() + ")" + number({" == 1", " > 0", " < 1"});
    default:
      return "label_replace(" + gauge() + op() + limit() + ", \"x\", \"$1\", \"i\", \"(.*)\")";
  }
}

// Gauges that are mostly zero, and what they sum up to, at times many times a second.
void AddErrors(Random* random, World* world) {
  for (int host = 0; host < 2; ++host) {
    const Labels gauge({{"__name__", "e"}, {"i", std::to_string(host)}});
    const Labels counter({{"__name__", "e_total"}, {"i", std::to_string(host)}});
    double total = 0;
    const bool quick = random->Chance(0.3);
    for (int64_t t = random->Between(0, 20000); t <= world->end_ms;
         t += quick && t < 200000 ? random->Between(100, 2000) : random->Between(2000, 20000)) {
      const double errors = random->Chance(0.8) ? 0 : static_cast<double>(random->Between(-1, 3));
      total += std::max(0.0, errors);
      world->data[gauge].push_back({t, errors, 0});
      world->data[counter].push_back({t, total, 0});
    }
  }
}

// Histograms as servers have them: the buckets of an instance are scraped at once and grow together, few observations are slow, at
// times many. Some come torn, late by themselves, not at all, or begin anew.
void AddServers(Random* random, World* world) {
  const char* const bounds[] = {"0.1", "0.5", "1", "+Inf"};
  const double trouble = random->Chance(0.5) ? 0 : 0.01;
  for (int host = 0; host < 3; ++host) {
    double counts[4] = {0, 0, 0, 0};
    const bool old = random->Chance(0.7);
    for (double& count : counts) {
      count = old ? static_cast<double>(random->Below(100000)) + count : 0;
    }
    std::sort(std::begin(counts), std::end(counts));
    if (random->Chance(0.2)) {  // up to now all were slow
      counts[0] = counts[1] = 0;
    }
    const auto load = static_cast<double>(random->Between(20, 2000));
    double slow = 0.002;
    const int64_t begin = random->Chance(0.7) ? random->Between(0, 20000) : random->Between(0, world->end_ms);
    for (int64_t t = begin; t <= world->end_ms; t += 15000) {
      slow = random->Chance(0.05) ? (random->Chance(0.5) ? 0.05 : 0.002) : slow;
      if (random->Chance(trouble)) {
        std::fill(std::begin(counts), std::end(counts), 0);
      }
      const double much = random->Chance(0.02) ? 0 : random->Chance(0.03) ? 50 : 1;
      const double all = std::floor(much * load * (0.9 + 0.2 * random->Unit()));
      const double late = std::floor(all * slow * 2 * random->Unit());
      const double grown[] = {std::floor((all - late) * 0.9), all - late, all - std::floor(late / 2), all};
      for (int b = 0; b < 4; ++b) {
        counts[b] += grown[b];
        const Labels labels({{"__name__", "s_bucket"}, {"i", std::to_string(host)}, {"le", bounds[b]}});
        if (!random->Chance(trouble)) {
          world->data[labels].push_back({t + (random->Chance(trouble) ? random->Between(1, 3000) : 0), counts[b], 0});
        }
      }
    }
  }
}

class Round {
 public:
  Round(uint64_t seed, Totals* totals) : seed_(seed), random_(seed), world_(MakeWorld(&random_)), totals_(totals) {
    AddServers(&random_, &world_);
    AddErrors(&random_, &world_);
    engine::Options options;
    options.delayed_name_removal = query_.delayed_name_removal = random_.Chance(0.3);
    options.slots_per_yield = 2;
    eager_ = std::make_unique<engine::Engine>(options);
    options.slots_per_yield = engine::Options().slots_per_yield;
    exact_ = std::make_unique<engine::Engine>(options);
    patience_ms_ = random_.Chance(0.7) ? 0 : 2000;
    late_ms_ = random_.Chance(0.5) ? 0 : random_.Between(1, world_.interval_ms / 2);
    if (random_.Chance(0.6)) {
      yield_chance_ = random_.Chance(0.5) ? 0.02 : 0.3;
      later_chance_ = 0.3;
    }
    eager_->SetYield([this] {
      if (random_.Chance(yield_chance_)) {
        TakeNext();
      }
    });
  }

  void Run() {
    const char* only = std::getenv("WEIR_EXPR");
    for (int i = 0; i < (only != nullptr ? 1 : kPlans); ++i) {
      const std::string any = MakeExpr(&random_, world_.interval_ms).text;
      Plan(only != nullptr ? only : random_.Chance(0.2) ? any + " > 3" : AlertExpr(&random_));
    }
    const bool mixed = random_.Chance(0.5);
    for (const auto& [labels, points] : world_.data) {
      for (const naive::Point& p : points) {
        feed_.push_back({p.t, mixed ? random_.Next() : 0, &labels, p.v});
      }
    }
    std::stable_sort(feed_.begin(), feed_.end(),
                     [](const Feed& a, const Feed& b) { return std::tie(a.t, a.order) < std::tie(b.t, b.order); });
    feed_.resize(std::min(feed_.size(), kSamplesMax));
    int64_t tick = world_.phase_ms + world_.interval_ms;
    next_tick_ms_ = tick + late_ms_;
    while (next_ < feed_.size()) {
      for (; tick + late_ms_ < feed_[next_].t; tick += world_.interval_ms) {
        next_tick_ms_ = tick + world_.interval_ms + late_ms_;
        Tick(tick);
        if (next_ == feed_.size()) {
          return;
        }
      }
      TakeNext();
      ArmBegun();
    }
  }

 private:
  static constexpr int kPlans = 12;
  static constexpr size_t kSamplesMax = 2500;

  struct Feed {
    int64_t t;
    uint64_t order;  // among those of a time
    const Labels* labels;
    double v;
  };
  // What an exact evaluation finds at a sample that came while the plan was being armed.
  struct Since {
    int64_t t;
    engine::SeriesId series;
    std::set<Labels> before;  // without the sample
    std::set<Labels> exact;
    bool torn;  // some histogram was
  };
  struct Planned {
    std::string text;
    promql::ExprPtr expr;
    engine::PlanId eager = 0;
    engine::PlanId exact = 0;
    int64_t last_ms = INT64_MIN;  // of the newest evaluation; nothing is armed before the first tick
    std::set<Labels> known;       // present when it was armed
    bool failed = false;          // the evaluation then
    bool arming = false;
    bool held_all = false;  // no series' trigger is "none"
    int64_t until_ms = INT64_MIN;
    bool begun = false;  // it was evaluated and is to be armed
    bool crossed = false;
    bool newborn = false;  // by a series that evaluations cannot see yet
    std::vector<Since> since;
  };

  void Plan(const std::string& text) {
    engine::Grid grid;
    grid.interval_ms = world_.interval_ms;
    grid.phase_ms = world_.phase_ms;
    grid.between = true;
    promql::ParseOutcome outcome = promql::ParseExpr(text, promql::ParserOptions::All());
    if (outcome.expr == nullptr) {
      return;  // a random expression of another type than a vector
    }
    Planned p;
    p.text = text;
    p.expr = outcome.expr;
    Result<engine::PlanId> eager = eager_->AddPlan(*p.expr, grid);
    Result<engine::PlanId> exact = exact_->AddPlan(*p.expr, grid);
    if (!eager.ok() || !exact.ok()) {
      return;
    }
    p.eager = *eager;
    p.exact = *exact;
    if (!eager_->Between(p.eager).at_ticks_only.empty()) {
      ++totals_->ticks_only;
      eager_->RemovePlan(p.eager);
      exact_->RemovePlan(p.exact);
      return;
    }
    ++totals_->plans;
    planned_.push_back(std::move(p));
  }

  std::set<Labels> Present(engine::Engine& engine, const engine::Evaluation& evaluation) const {
    std::set<Labels> present;
    for (size_t slot = 0; evaluation.status.ok() && slot < evaluation.vector.size(); ++slot) {
      if (evaluation.vector.present(slot)) {
        present.insert(engine.labels().ToLabels(evaluation.vector.labels(slot)));
      }
    }
    return present;
  }

  void Begin(Planned& p) {
    const engine::Evaluation evaluation = eager_->EvaluateBetween(p.eager, p.last_ms);
    p.known = Present(*eager_, evaluation);
    p.failed = !evaluation.status.ok();
    p.begun = true;
    p.crossed = p.newborn = false;
    p.since.clear();
    eager_->BeginArm(p.eager, p.last_ms);
  }

  // In pieces, between which samples come.
  void Arm(Planned& p) {
    const int64_t horizon =
        random_.Chance(0.8) ? world_.interval_ms + late_ms_ : random_.Between(1, world_.interval_ms);
    const int64_t from_ms = p.last_ms;
    p.begun = false;
    p.arming = true;
    inside_ = true;
    eager_->BeginYielding();
    eager_->Arm(std::span(&p.eager, 1), from_ms, from_ms + horizon);
    eager_->EndYielding();
    inside_ = false;
    p.arming = false;
    TakeCrossings();
    if (p.begun) {
      return;  // evaluated meanwhile: that came to nothing
    }
    p.until_ms = from_ms + horizon;
    p.held_all = !p.failed;
    bool any = false;  // else there is nothing that could cross
    for (engine::SeriesId id : ids_) {
      const std::string text = eager_->TriggerText(p.eager, id);
      any = any || !text.empty();
      p.held_all = p.held_all && text != "none";
    }
    p.held_all = p.held_all && any;
    if (!p.crossed) {
      for (const Since& s : p.since) {
        ++totals_->late;
        const bool half = s.torn && p.text.find("histogram_quantile") != std::string::npos;
        const bool read = !eager_->TriggerText(p.eager, s.series).empty();
        if (!half && (read || (s.t <= p.until_ms && p.held_all))) {
          Compare(p, s, "while it was armed");
        }
      }
    }
    p.since.clear();
  }

  void ArmBegun() {
    for (bool again = true; again;) {
      again = false;
      for (Planned& p : planned_) {
        if (p.crossed) {
          Evaluate(p, together_ms_, Exact(p, together_ms_));
        }
        if (p.begun && !random_.Chance(later_chance_)) {
          Arm(p);
          again = true;
        }
      }
    }
  }

  void TakeCrossings() {
    for (const engine::Crossing& crossing : eager_->TakeCrossings()) {
      for (Planned& p : planned_) {
        if (p.eager == crossing.plan && p.last_ms != INT64_MIN) {
          p.crossed = true;
          p.newborn = p.newborn || crossing.newborn;
        }
      }
    }
  }

  void Tick(int64_t t) {
    for (Planned& p : planned_) {
      if (p.last_ms <= t && !p.crossed) {
        p.last_ms = t;
        Begin(p);
        Arm(p);
      }
    }
    ArmBegun();
    eager_->Release(t - 1);
    exact_->Release(t - 1);
    if (random_.Chance(0.05)) {
      eager_->Expire(t);
    }
  }

  // What came at the same time came together.
  void EndTogether() {
    (void)eager_->EndTogether(together_ms_, patience_ms_);
    TakeCrossings();
    for (Planned& p : planned_) {
      if (p.crossed && !p.newborn) {
        ++totals_->torn;
        Evaluate(p, together_ms_, Exact(p, together_ms_));
      }
    }
  }

  // What is present at the sample's time, by the engine that nothing arms.
  std::set<Labels> Exact(const Planned& p, int64_t t) {
    return Present(*exact_, exact_->EvaluateBetween(p.exact, std::max(t, p.last_ms)));
  }

  // As the runtime does when a sample has crossed.
  void Evaluate(Planned& p, int64_t t, const std::set<Labels>& exact) {
    ++totals_->evaluations;
    p.last_ms = std::max(p.last_ms, t);
    const engine::Evaluation evaluation = eager_->EvaluateBetween(p.eager, p.last_ms);
    const std::set<Labels> found = Present(*eager_, evaluation);
    for (const Labels& present : found) {
      totals_->appeared += p.known.contains(present) ? 0 : 1;
    }
    if (found != exact) {
      Report(&totals_->wrong, p, t, "the evaluation is not that of an engine that keeps everything");
    }
    // Which of equals topk() takes hangs on their order, which is nobody's promise.
    if (random_.Chance(0.05) && p.text.find("topk") == std::string::npos &&
        p.text.find("bottomk") == std::string::npos && p.text.find("limit") == std::string::npos) {
      CompareWithNaive(p, evaluation);
    }
    Begin(p);
  }

  // The next sample, unless a tick comes before it.
  void TakeNext() {
    if (next_ == feed_.size() || feed_[next_].t > next_tick_ms_) {
      return;
    }
    const Feed f = feed_[next_++];
    if (f.t != together_ms_ || random_.Chance(0.02)) {
      EndTogether();
    }
    together_ms_ = f.t;
    Take(f.t, *f.labels, f.v);
  }

  void Take(int64_t t, const Labels& labels, double v) {
    std::vector<std::set<Labels>> before;
    for (const Planned& p : planned_) {
      before.push_back(p.last_ms == INT64_MIN ? std::set<Labels>() : Exact(p, t));
    }
    const engine::SeriesId id = eager_->Intern(eager_->labels().InternSet(labels));
    if (std::find(ids_.begin(), ids_.end(), id) == ids_.end()) {
      ids_.push_back(id);
    }
    ASSERT_EQ(eager_->Append(id, t, v), engine::AppendOutcome::kOk);
    ASSERT_EQ(exact_->Append(exact_->Intern(exact_->labels().InternSet(labels)), t, v), engine::AppendOutcome::kOk);
    seen_[labels].push_back({t, v, 0});
    if (labels.Has("le")) {
      Labels of = labels;
      of.Set("le", "");
      bucket_times_[of][labels] = t;
    }
    TakeCrossings();
    for (size_t i = 0; i < planned_.size(); ++i) {
      Planned& p = planned_[i];
      if (p.last_ms == INT64_MIN || (p.crossed && inside_ && p.newborn)) {
        continue;
      }
      const bool read = p.crossed || p.begun || p.arming || !eager_->TriggerText(p.eager, id).empty();
      if (!read && (t > p.until_ms || !p.held_all)) {
        continue;  // not its sample, and nothing is said about the time alone
      }
      totals_->samples += read ? 1 : 0;
      if (eager_->AwaitsBuckets(p.eager) && !p.crossed && !p.begun && !p.arming) {
        continue;  // half a histogram says nothing
      }
      const std::set<Labels> exact = Exact(p, t);
      if (p.crossed) {
        Evaluate(p, t, exact);
        continue;
      }
      const Since s{t, id, before[i], exact, AnyTorn()};
      if (p.begun || p.arming) {
        p.since.push_back(s);
        continue;
      }
      Compare(p, s, labels.ToString() + " " + FormatFloat(v, 'g') + " within " + eager_->TriggerText(p.eager, id));
    }
  }

  // RETURNS: whether a histogram's buckets are of different times now: half of it says nothing.
  bool AnyTorn() const {
    return std::any_of(bucket_times_.begin(), bucket_times_.end(), [](const auto& histogram) {
      const auto& times = histogram.second;
      return std::any_of(times.begin(), times.end(),
                         [&](const auto& bucket) { return bucket.second != times.begin()->second; });
    });
  }

  void Compare(const Planned& p, const Since& s, const std::string& when) {
    for (const Labels& present : s.exact) {
      if (p.known.contains(present)) {
        continue;
      }
      if (s.before.contains(present) && !p.held_all) {
        ++totals_->by_time;
        continue;
      }
      Report(&totals_->silent, p, s.t,
             present.ToString() + " fires, " + when + (s.before.contains(present) ? ", by the time alone" : ""));
    }
  }

  void CompareWithNaive(const Planned& p, const engine::Evaluation& got) {
    query_.start_ms = query_.end_ms = p.last_ms;
    Result<naive::Value> want = naive::Evaluate(*p.expr, p.last_ms, seen_, query_);
    if (!want.ok() || !got.status.ok()) {
      return;
    }
    ++totals_->compared;
    std::set<Labels> expected;
    for (const naive::Element& e : want->vector) {
      expected.insert(e.labels);
    }
    if (want->type == promql::ValueType::kVector && expected != Present(*eager_, got)) {
      Report(&totals_->wrong, p, p.last_ms, "the evaluation is not the naive evaluator's");
    }
  }

  void Report(size_t* count, const Planned& p, int64_t t, const std::string& what) {
    *count += 1;
    if (reported_.insert(p.text).second && *count <= kReportsMax) {
      ADD_FAILURE() << "WEIR_SEED=" << seed_ << " WEIR_EXPR='" << p.text << "' at " << t << " armed at " << p.last_ms
                    << "\n  " << what;
    }
  }

  const uint64_t seed_;
  Random random_;
  World world_;
  Totals* const totals_;
  naive::Query query_;
  int64_t late_ms_ = 0;
  int64_t patience_ms_ = 0;
  int64_t together_ms_ = INT64_MIN;
  std::unique_ptr<engine::Engine> eager_;
  std::unique_ptr<engine::Engine> exact_;
  std::vector<Planned> planned_;
  std::vector<Feed> feed_;
  size_t next_ = 0;  // in it
  int64_t next_tick_ms_ = 0;
  bool inside_ = false;      // an arming
  double yield_chance_ = 0;  // that a sample comes between two pieces of arming
  double later_chance_ = 0;  // that a plan is armed some samples after its evaluation
  std::vector<engine::SeriesId> ids_;
  naive::Data seen_;
  std::map<Labels, std::map<Labels, int64_t>> bucket_times_;  // by histogram: of each bucket's newest sample
  std::set<std::string> reported_;
};

TEST(Eager, NeverSilent) {
  const uint64_t seed = FromEnvironment("WEIR_SEED", 20261121);
  const uint64_t rounds = FromEnvironment("WEIR_ROUNDS", 40);
  Totals totals;
  for (uint64_t i = 0; i < rounds; ++i) {
    Round(seed + i, &totals).Run();
  }
  std::cout << "seeds " << seed << ".." << seed + rounds - 1 << ": " << totals.plans << " plans (" << totals.ticks_only
            << " at ticks only), " << totals.samples << " samples, " << totals.late << " more while they were armed, "
            << totals.evaluations << " evaluations (" << totals.torn << " of torn histograms), " << totals.appeared
            << " results found by them, " << totals.by_time << " that waited for a sample of their own, "
            << totals.compared << " compared with the naive evaluator, " << totals.silent << " silent, " << totals.wrong
            << " wrong\n";
  EXPECT_EQ(totals.silent, 0u);
  EXPECT_EQ(totals.wrong, 0u);
  EXPECT_GT(totals.appeared, rounds);
}

}  // namespace
}  // namespace weir::differential
