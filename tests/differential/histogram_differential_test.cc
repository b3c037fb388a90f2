// Native histograms, start timestamps and mixed series: an engine that keeps what its plans need against one that keeps every
// sample. Whatever thinning throws away must not show, in values, hints or annotations. Series reset, change their layout, turn
// into gauges or floats and back, vanish and come; plans are made anew in the middle. WEIR_SEED sets the first seed.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/promql/parser.h"
#include "tests/support/temporary_state.h"

namespace weir::engine {
namespace {

constexpr int kSeries = 10;
constexpr int64_t kEndMs = 45 * 60000;

const char* const kExpressions[] = {
    "h",
    "rate(h[5m])",
    "increase(h[7m30s])",
    "delta(h[5m])",
    "irate(h[3m])",
    "idelta(h[3m])",
    "changes(h[10m])",
    "resets(h[10m])",
    "count_over_time(h[5m])",
    "present_over_time(h[4m])",
    "first_over_time(h[5m])",
    "last_over_time(h[5m] offset 1m)",
    "ts_of_first_over_time(h[5m])",
    "ts_of_last_over_time(h[5m])",
    "rate(h[5m] anchored)",
    "increase(h[5m] anchored)",
    "delta(h[5m] anchored)",
    "changes(h[5m] anchored)",
    "resets(h[5m] anchored)",
    "histogram_count(rate(h[5m]))",
    "histogram_sum(increase(h[6m] offset 2m))",
    "histogram_count(sum(h))",
    "histogram_quantile(0.9, sum(rate(h[10m])))",
    "histogram_fraction(0, 4, rate(h[5m]))",
    "histogram_stddev(h)",
    "sum(rate(h[5m]))",
    "avg(increase(h[5m]))",
    "count_values(\"v\", h)",
    "rate(h[5m]) * 2 + rate(h[5m])",
    "h - h offset 5m",
    "start_timestamp(h)",
    "timestamp(h)",
    "absent_over_time(h{i=\"3\"}[2m])",
    "rate(h[15m] @ 1200)",
};

bool Taped() { return std::getenv("WEIR_TAPE") != nullptr; }

// With tape only what can be on it, so that rings are as short as they can be.
const std::vector<std::string>& Expressions() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> texts;
    for (const std::string text : kExpressions) {
      const bool in_ring = text.find("anchored") != std::string::npos || text.starts_with("changes") ||
                           text.starts_with("irate") || text.starts_with("idelta") || text == "h - h offset 5m" ||
                           text.find('@') != std::string::npos;
      if (!Taped() || !in_ring) {
        texts.push_back(text);
      }
    }
    return texts;
  }();
  return all;
}

// One series of the world: what it sends next.
class Sender {
 public:
  Sender(uint64_t seed, int index) : random_(seed * 1000 + static_cast<uint64_t>(index)) {
    Restart();
    floats_ = index % 2 == 0;
  }

  struct Sent {
    int64_t t_ms = 0;
    int64_t start_ms = 0;
    double v = 0;
    HistogramRef h;  // null: a float, perhaps a stale marker
  };
  // RETURNS: the next sample, later than the last one.
  Sent Next(int64_t* t_ms) {
    *t_ms += 4000 + static_cast<int64_t>(random_() % 7000) + (Chance(60) ? 120000 : 0) + (Chance(200) ? 400000 : 0);
    Sent sent;
    sent.t_ms = *t_ms;
    if (Chance(50)) {
      sent.v = StaleNaN();
      return sent;
    }
    if (Chance(40)) {
      Restart();
      start_ms_ = Chance(2) ? *t_ms - 1000 : 0;
    }
    floats_ = Chance(60) ? !floats_ : floats_;
    gauge_ = Chance(80) ? !gauge_ : gauge_;
    sent.start_ms = Chance(30) ? 0 : start_ms_;
    if (floats_) {
      float_ += static_cast<double>(random_() % 100) / 8;
      sent.v = float_;
      return sent;
    }
    const size_t bucket = random_() % current_.positive_buckets.size();
    const double more = gauge_ && Chance(2) ? -std::min(3.0, current_.positive_buckets[bucket])
                                            : 1 + static_cast<double>(random_() % 5);
    current_.positive_buckets[bucket] += more;
    current_.count += more;
    current_.sum += more * static_cast<double>(random_() % 9) / 4;
    auto h = std::make_shared<FloatHistogram>(current_);
    h->hint = gauge_ ? CounterResetHint::kGauge : Chance(30) ? CounterResetHint::kReset : CounterResetHint::kUnknown;
    sent.h = std::move(h);
    return sent;
  }

 private:
  bool Chance(uint64_t in) { return random_() % in == 0; }
  void Restart() {
    current_ = FloatHistogram();
    if (Chance(3)) {
      current_.schema = kCustomBucketsSchema;
      current_.custom_values = Chance(2) ? std::vector<double>{1, 2, 5} : std::vector<double>{1, 5, 10, 20};
      current_.positive_spans = {{0, 4}};
    } else {
      current_.schema = static_cast<int32_t>(random_() % 4);
      current_.zero_threshold = Chance(2) ? 0.001 : 0.01;
      current_.positive_spans = {{static_cast<int32_t>(random_() % 3), 4}};
    }
    current_.positive_buckets.assign(4, 0);
    float_ = 0;
  }

  std::mt19937_64 random_;
  FloatHistogram current_;
  double float_ = 0;
  bool floats_ = false;
  bool gauge_ = false;
  int64_t start_ms_ = 0;
};

struct Side {
  explicit Side(bool thin) : engine(MakeOptions(thin)) { Plan(); }
  static Options MakeOptions(bool thin) {
    Options options;
    options.use_start_timestamps = true;
    options.thin = thin;
    if (thin && Taped()) {
      static const test::TemporaryState state;
      options.state = state.directory();
      options.tape_after_ms = 0;
      options.tape_margin_ms = 0;
    }
    options.shards = thin ? 3 : 1;
    options.always_share = true;
    options.slots_per_yield = 1;  // even few slots are cut among them
    return options;
  }
  // Plans everything; what was planned before goes, as at a reload.
  void Plan() {
    std::vector<PlanId> fresh;
    for (const std::string& text : Expressions()) {
      Grid grid;
      grid.interval_ms = 60000;
      auto plan = engine.AddPlan(*promql::ParseExpr(text, promql::ParserOptions::All()).expr, grid);
      ASSERT_TRUE(plan.ok()) << text << ": " << plan.status().message();
      fresh.push_back(*plan);
    }
    for (PlanId plan : plans) {
      engine.RemovePlan(plan);
    }
    plans = fresh;
  }
  // RETURNS: everything an evaluation says, as sorted lines.
  std::set<std::string> Tell(size_t i, int64_t t_ms) {
    std::set<std::string> out;
    const Evaluation e = engine.Evaluate(plans[i], t_ms);
    if (!e.status.ok()) {
      return {"error: " + std::string(e.status.message())};
    }
    for (size_t slot = 0; slot < e.vector.size(); ++slot) {
      if (e.vector.present(slot)) {
        char number[40];
        std::snprintf(number, sizeof(number), "%a", e.vector.value(slot));
        const HistogramRef h = e.vector.histogram(slot);
        out.insert(engine.labels().ToLabels(e.vector.labels(slot)).ToString() + " " +
                   (h                                  ? h->ToTestExpression()
                    : std::isnan(e.vector.value(slot)) ? "nan"
                                                       : number));
      }
    }
    for (const Remark& remark : e.remarks) {
      out.insert(remark.text + remark.detail);
    }
    return out;
  }
  void Send(int series, const Sender::Sent& sent) {
    const SeriesId id =
        engine.Intern(engine.labels().InternSet(Labels{{"__name__", "h"}, {"i", std::to_string(series)}}));
    if (sent.h) {
      engine.AppendHistogram(id, sent.t_ms, sent.h, sent.start_ms);
    } else {
      engine.Append(id, sent.t_ms, sent.v, sent.start_ms);
    }
  }

  Engine engine;
  std::vector<PlanId> plans;
};

TEST(HistogramDifferential, WhatThinningTakesAwayDoesNotShow) {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 20261121;
  size_t compared = 0;
  size_t kept[2] = {0, 0};
  for (uint64_t seed = first; seed < first + 20; ++seed) {
    Side thin(true);
    Side every(false);
    std::vector<Sender> senders;
    std::vector<Sender::Sent> next;
    std::vector<int64_t> times(kSeries);
    for (int i = 0; i < kSeries; ++i) {
      senders.emplace_back(seed, i);
      times[static_cast<size_t>(i)] = i * 90000;  // they appear one after the other
      next.push_back(senders.back().Next(&times[static_cast<size_t>(i)]));
    }
    for (int64_t tick = 60000; tick <= kEndMs; tick += 60000) {
      for (;;) {
        const auto it =
            std::min_element(next.begin(), next.end(), [](const auto& a, const auto& b) { return a.t_ms < b.t_ms; });
        if (it->t_ms > tick) {
          break;
        }
        const auto i = static_cast<size_t>(it - next.begin());
        thin.engine.AdvanceTo(it->t_ms - 1);
        every.engine.AdvanceTo(it->t_ms - 1);
        thin.Send(static_cast<int>(i), *it);
        every.Send(static_cast<int>(i), *it);
        *it = senders[i].Next(&times[i]);
      }
      if (tick == 20 * 60000) {
        thin.Plan();
      }
      thin.engine.BeginTick(thin.plans, tick);
      for (size_t i = 0; i < Expressions().size(); ++i) {
        const auto a = thin.Tell(i, tick);
        const auto b = every.Tell(i, tick);
        compared += b.size();
        ASSERT_EQ(a, b) << "WEIR_SEED=" << seed << " " << Expressions()[i] << " at " << tick;
      }
      thin.engine.EndTick();
      thin.engine.Release(tick);
      every.engine.Release(tick);
    }
    kept[0] += thin.engine.Stats().samples_kept;
    kept[1] += every.engine.Stats().samples_kept;
  }
  std::printf("%zu results compared; records kept at the end: thinned %zu, every sample %zu\n", compared, kept[0],
              kept[1]);
  EXPECT_LT(kept[0], kept[1]);
}

}  // namespace
}  // namespace weir::engine
