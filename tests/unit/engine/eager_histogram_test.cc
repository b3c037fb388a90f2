// Alerts on quantiles of classic histograms between ticks: how often samples cross.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/engine/engine.h"
#include "core/promql/parser.h"

namespace weir::engine {
namespace {

// Servers that are scraped every 15 s, a tick a minute, an evaluation after each crossing as the runtime makes them.
class ServersTest : public ::testing::Test {
 protected:
  static constexpr int64_t kScrapeMs = 15000;
  static constexpr int64_t kTickMs = 60000;

  void Plan(const std::string& expr) {
    Grid grid;
    grid.interval_ms = kTickMs;
    grid.between = true;
    const promql::ParseOutcome parsed = promql::ParseExpr(expr, promql::ParserOptions::All());
    ASSERT_TRUE(parsed.expr) << expr;
    const Result<PlanId> plan = engine_.AddPlan(*parsed.expr, grid);
    ASSERT_TRUE(plan.ok());
    plan_ = *plan;
  }
  // `begun`: what their counters are at.
  void Servers(size_t n, double requests, double slow_share, double begun = 1e6) {
    for (size_t server = 0; server < n; ++server) {
      for (const char* bound : kBounds) {
        const Labels labels({{"__name__", "s_bucket"}, {"i", std::to_string(server)}, {"le", bound}});
        series_.push_back(engine_.Intern(engine_.labels().InternSet(labels)));
        counts_.push_back(begun);
      }
    }
    requests_ = requests;
    slow_share_ = slow_share;
  }
  void Run(int64_t until_ms) {
    for (; now_ms_ < until_ms; now_ms_ += 1000) {
      if (now_ms_ % kTickMs == 0) {
        Arm(now_ms_);
        evaluations_ = 0;
      }
      const size_t servers = series_.size() / std::size(kBounds);
      for (size_t server = 0; server < servers; ++server) {
        if (now_ms_ % kScrapeMs == static_cast<int64_t>(server * 7 % 15) * 1000) {
          Scrape(server);
        }
      }
      (void)engine_.EndTogether(now_ms_, 0);
      Cross();
    }
  }
  // Arms the plan in small pieces and scrapes all servers before that piece, or at the end if there are not so many. RETURNS:
  // whether that crosses what it is armed with then.
  bool CrossesBeforePiece(size_t piece) {
    now_ms_ += kScrapeMs;
    Arm(now_ms_ - 2000);
    const auto scrape = [&] {
      scraped_ = true;
      for (size_t server = 0; server < series_.size() / std::size(kBounds); ++server) {
        Grow(server);
      }
    };
    size_t pieces = 0;
    scraped_ = false;
    engine_.SetYield([&] {
      if (pieces++ == piece) {
        scrape();
        (void)engine_.TakeCrossings();  // of what it was armed with before
      }
    });
    engine_.BeginYielding();
    Arm(now_ms_ - 1000);
    engine_.EndYielding();
    if (!scraped_) {
      scrape();
    }
    (void)engine_.EndTogether(now_ms_, 0);
    return !engine_.TakeCrossings().empty();
  }
  size_t evaluations_ = 0;  // since the last tick
  bool firing_ = false;
  double slow_share_ = 0;

 private:
  static constexpr const char* kBounds[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                            "0.5",   "1",    "2.5",   "5",    "10",  "+Inf"};
  static constexpr size_t kSlow = 7;  // buckets of 1 and above have the slow ones

  void Scrape(size_t server) {
    Grow(server, [this] { Cross(); });
  }
  template <typename F = void (*)()>
  void Grow(
      size_t server, F each = [] {}) {
    const double all = std::floor(requests_ * (0.8 + 0.4 * Unit()));
    const double slow = std::floor(all * slow_share_ * 2 * Unit());
    for (size_t b = 0; b < std::size(kBounds); ++b) {
      const size_t at = server * std::size(kBounds) + b;
      counts_[at] += b >= kSlow ? all : std::floor((all - slow) * static_cast<double>(b + 1) / kSlow);
      engine_.Append(series_[at], now_ms_, counts_[at]);
      each();
    }
  }
  void Cross() {
    for (const Crossing& crossing : engine_.TakeCrossings()) {
      ++evaluations_;
      Arm(crossing.t_ms);
    }
  }
  void Arm(int64_t t_ms) {
    const Evaluation evaluation = engine_.EvaluateBetween(plan_, t_ms);
    ASSERT_TRUE(evaluation.status.ok());
    firing_ = false;
    for (size_t slot = 0; slot < evaluation.vector.size(); ++slot) {
      firing_ = firing_ || evaluation.vector.present(slot);
    }
    engine_.Arm(std::span(&plan_, 1), t_ms, t_ms + kTickMs + 5000);
  }
  double Unit() {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(random_ >> 11) * 0x1p-53;
  }

  static Options SmallPieces() {
    Options options;
    options.slots_per_yield = 2;
    return options;
  }

  Engine engine_{SmallPieces()};
  bool scraped_ = false;
  PlanId plan_ = 0;
  std::vector<SeriesId> series_;
  std::vector<double> counts_;
  double requests_ = 0;
  int64_t now_ms_ = 0;
  uint64_t random_ = 1;
};

TEST_F(ServersTest, SteadyTrafficIsNotEvaluated) {
  Plan("histogram_quantile(0.99, sum by (le) (rate(s_bucket[5m]))) > 0.5");
  Servers(20, 1500, 0.001);
  Run(659000);
  EXPECT_FALSE(firing_);
  EXPECT_LE(evaluations_, 3u);  // of 960 samples
}

TEST_F(ServersTest, SteadyTrafficOfServersByThemselvesIsNotEvaluated) {
  Plan("histogram_quantile(0.99, rate(s_bucket[5m])) > 0.5");
  Servers(20, 1500, 0.001);
  Run(659000);
  EXPECT_FALSE(firing_);
  EXPECT_LE(evaluations_, 3u);
}

TEST_F(ServersTest, WhatHasBegunAtZeroNeedsNoMore) {
  Plan("histogram_quantile(0.99, sum by (le) (rate(s_bucket[10m]))) > 0.5");
  Servers(20, 1500, 0.001, 0);
  Run(479000);
  EXPECT_FALSE(firing_);
  EXPECT_LE(evaluations_, 3u);
}

TEST_F(ServersTest, BetweenTwoBuckets) {
  Plan("histogram_quantile(0.95, sum by (le) (rate(s_bucket[5m]))) > 0.7");
  Servers(20, 1500, 0.01);
  Run(659000);
  EXPECT_FALSE(firing_);
  EXPECT_LE(evaluations_, 3u);
}

TEST_F(ServersTest, ABurstOfSlowRequestsFires) {
  Plan("histogram_quantile(0.99, sum by (le) (rate(s_bucket[5m]))) > 0.5");
  Servers(5, 1500, 0.001);
  Run(605000);
  EXPECT_FALSE(firing_);
  slow_share_ = 0.3;
  Run(630000);
  EXPECT_TRUE(firing_);
}

class ServersBetweenPiecesTest : public ServersTest, public ::testing::WithParamInterface<size_t> {};

TEST_P(ServersBetweenPiecesTest, AScrapeCrossesOnlyWhenItIsSlow) {
  Plan("histogram_quantile(0.99, sum by (le) (rate(s_bucket[5m]))) > 0.5");
  Servers(5, 1500, 0.001);
  Run(600000);
  EXPECT_FALSE(CrossesBeforePiece(GetParam()));
  EXPECT_FALSE(firing_);
  slow_share_ = 0.5;
  EXPECT_TRUE(CrossesBeforePiece(GetParam()));
  EXPECT_FALSE(firing_);
}

INSTANTIATE_TEST_SUITE_P(Pieces, ServersBetweenPiecesTest, ::testing::Range(size_t{0}, size_t{120}, size_t{5}));

}  // namespace
}  // namespace weir::engine
