// However the work is cut, results are the same bits in the same order: a stream of random batches runs through pipelines that
// differ only in when samples come in, and everything that their rules emit is compared. Rules whose results hang on the
// order of series (sums of floats, topk, limitk, recorded series beside those that arrive) are among them on purpose.

#include <bit>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/runtime/pipeline_fixture.h"

namespace weir::runtime {
namespace {

constexpr int64_t kTickMs = 15000;
// The thread sanitizer makes every hand-over dear, and looks at each one in the same way.
#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kWorlds = 4;
constexpr uint64_t kShardedWorlds = 1;
#else
constexpr uint64_t kWorlds = 40;
constexpr uint64_t kShardedWorlds = 5;
#endif

struct Arrival {
  int64_t now_ms = 0;
  std::string stream;
  std::vector<TestSample> samples;
};

struct World {
  std::vector<Arrival> arrivals;
  std::vector<rules::GroupDefinition> groups;
};

// Series come, pause, leave and come again; a stream's samples are in time order, so that no tick finds one late.
World RandomWorld(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](uint64_t n) { return random() % n; };
  World world;
  const int64_t end_ms = 400000 + static_cast<int64_t>(draw(400000));
  std::map<std::string, double> counters;
  for (int64_t t = 1000; t < end_ms; t += 500 + static_cast<int64_t>(draw(2500))) {
    Arrival arrival{t, "s" + std::to_string(draw(3)), {}};
    const uint64_t universe = 4 + static_cast<uint64_t>(t) / 10000;  // new ones all the time
    for (uint64_t n = draw(30); n > 0; --n) {
      const uint64_t id = draw(universe);
      std::string series =
          "m" + std::to_string(id % 3) + "{a=\"" + std::to_string(id % 5) + "\",id=\"" + std::to_string(id) + "\"}";
      double& counter = counters[series];
      counter = draw(20) == 0 ? 0 : counter + 1.0 / static_cast<double>(1 + draw(1000));
      arrival.samples.push_back({series, t, draw(40) == 0 ? StaleNaN() : counter});
    }
    world.arrivals.push_back(std::move(arrival));
  }
  const std::vector<std::string> exprs = {
      "sum by (a) ({__name__=~\"m.*|rec.*\"})",
      "avg(rate({__name__=~\"m.*\"}[1m]))",
      "topk(3, m0)",
      "limitk(2, {__name__=~\"m.*|r0\"})",
      "stddev by (a) (m1) + on (a) group_left sum by (a) (m2)",
      "sum(sum_over_time(m1[45s:10s]))",
      "count_values(\"v\", round(m2))",
      "m0 unless on (id) m1",
      "sum(max_over_time({__name__=~\"m.*\"}[2m])) or vector(0)",
      "quantile(0.7, irate(m0[1m]))",
      "sum({__name__=~\"rec.*\"} offset 15s)",
  };
  for (size_t g = 0; g < 3; ++g) {
    std::vector<rules::RuleDefinition> rules;
    for (size_t i = 0; i < 5; ++i) {
      rules.push_back(MakeRule("rec" + std::to_string(g) + std::to_string(i), exprs[draw(exprs.size())]));
      rules.back().expr = promql::ParseExpr(rules.back().query, promql::ParserOptions::All()).expr;
    }
    rules.push_back(MakeRule("A" + std::to_string(g), "sum by (a) (m" + std::to_string(g) + ") > 0", true, kTickMs));
    rules.push_back(MakeRule("B" + std::to_string(g), "sum by (a) ({__name__=~\"m0|rec00|rec11\"}) > 2", true));
    world.groups.push_back(MakeGroup("g" + std::to_string(g), std::move(rules), g == 2 ? 2 * kTickMs : kTickMs));
  }
  return world;
}

class SharingTest : public PipelineTest {
 protected:
  struct Cut {
    bool yields = false;
    uint32_t shards = 1;
    size_t together = 1;  // batches at most
    bool eager = false;   // the alerts
  };

  Lines Run(const World& world, const Cut& cut) {
    clock_.Set(0);
    PipelineOptions options = FixedLateness(2000);
    options.engine.slots_per_yield = 1;
    options.engine.shards = cut.shards;
    options.engine.always_share = true;
    eager_ = cut.eager;
    pipeline_.reset();
    std::vector<rules::GroupDefinition> groups = world.groups;
    for (rules::GroupDefinition& group : groups) {
      for (rules::SharedRule& rule : group.rules) {
        rule.Edit().eager = cut.eager && rule->alerting;
      }
    }
    Make(std::move(groups), options);
    std::deque<const Arrival*> waiting;
    for (const Arrival& arrival : world.arrivals) {
      waiting.push_back(&arrival);
    }
    const auto apply = [&](int64_t until_ms, size_t most) {
      std::deque<plugin::SampleBatch> batches;
      std::vector<Pipeline::Arrival> arrivals;
      do {
        batches.push_back(BatchOf(waiting.front()->samples));
        arrivals.push_back({&batches.back(),
                            waiting.front()->stream,
                            waiting.front()->now_ms,
                            Pipeline::TimesOf(batches.back()),
                            nullptr,
                            {}});
        waiting.pop_front();
      } while (arrivals.size() < most && !waiting.empty() && waiting.front()->now_ms <= until_ms);
      pipeline_->Apply(arrivals);
      for (const Pipeline::Arrival& arrival : arrivals) {
        outcomes_.push_back(std::to_string(arrival.outcome.written) + " " + std::to_string(arrival.outcome.duplicates) +
                            " " + std::to_string(arrival.outcome.rejected) + " " + arrival.outcome.first_error + " " +
                            std::to_string(arrival.outcome.invalid_series) + " " + arrival.outcome.first_invalid);
      }
    };
    outcomes_.clear();
    taken_early_ = 0;
    if (cut.yields) {
      pipeline_->SetYield([&](int64_t after_ms) {
        if (!waiting.empty() && waiting.front()->now_ms > after_ms &&
            waiting.front()->now_ms < clock_.NowMs() + kTickMs / 3) {
          apply(INT64_MIN, 1);
          ++taken_early_;
        }
      });
    }
    while (!waiting.empty()) {
      clock_.Set(std::max(clock_.NowMs() + 1, waiting.front()->now_ms));
      apply(pipeline_->TogetherUntilMs(), cut.together);
      pipeline_->RunDue(clock_.NowMs());
    }
    At(world.arrivals.back().now_ms + kTickMs);
    return Take();
  }

  void OnSamples(const std::shared_ptr<const plugin::SampleResults>& results) override {
    for (const plugin::ResultSample& sample : results->samples) {
      lines_.push_back(results->group + " " + std::to_string(sample.t) + " " + sample.labels->ToString() + " " +
                       std::to_string(std::bit_cast<uint64_t>(sample.v)));
    }
  }

  // Those of eager alerts come between ticks, too.
  void OnAlerts(plugin::AlertBatch batch) override {
    between_ticks_ += batch.tick_ms % kTickMs != 0 ? 1 : 0;
    if (!eager_) {
      PipelineTest::OnAlerts(std::move(batch));
    }
  }

  size_t taken_early_ = 0;
  bool eager_ = false;
  size_t between_ticks_ = 0;
  Lines outcomes_;
};

// RETURNS: the first line that differs, or "".
std::string Differences(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::string left = i < a.size() ? a[i] : "(end)";
    const std::string right = i < b.size() ? b[i] : "(end)";
    if (left != right) {
      return "line " + std::to_string(i) + " of " + std::to_string(a.size()) + ": " + left + " / " + right;
    }
  }
  return "";
}

uint64_t FirstSeed() {
  const char* given = std::getenv("WEIR_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

TEST_F(SharingTest, SamplesThatComeInDuringATickChangeNothing) {
  size_t early = 0;
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + kWorlds; ++seed) {
    SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
    const World world = RandomWorld(seed);
    const Lines whole = Run(world, {});
    ASSERT_GT(whole.size(), 100U);
    const Lines cut = Run(world, {.yields = true});
    ASSERT_EQ(Differences(whole, cut), "");
    early += taken_early_;
  }
  EXPECT_GT(early, 25 * kWorlds);
}

TEST_F(SharingTest, NorDoTheyWithEagerAlerts) {
  size_t early = 0;
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + kWorlds; ++seed) {
    SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
    const World world = RandomWorld(seed);
    Lines whole = Run(world, {});
    ASSERT_GT(whole.size(), 100U);
    std::erase_if(whole, [](const std::string& line) {
      return line.find(" firing {") != std::string::npos || line.find(" resolved {") != std::string::npos;
    });
    ASSERT_EQ(Differences(whole, Run(world, {.eager = true})), "");
    ASSERT_EQ(Differences(whole, Run(world, {.yields = true, .eager = true})), "");
    early += taken_early_;
    if (seed < FirstSeed() + kShardedWorlds) {
      ASSERT_EQ(Differences(whole, Run(world, {.yields = true, .shards = 3, .together = 5, .eager = true})), "");
    }
  }
  EXPECT_GT(early, 25 * kWorlds);
  EXPECT_GT(between_ticks_, kWorlds);
}

TEST_F(SharingTest, AnyNumberOfShardsGivesTheSameResultsAndAnswers) {
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + kShardedWorlds; ++seed) {
    SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
    const World world = RandomWorld(seed);
    const Lines whole = Run(world, {});
    const Lines answers = outcomes_;
    for (const Cut& cut : {Cut{false, 2, 1}, Cut{false, 3, 5}, Cut{true, 3, 1}, Cut{true, 4, 5}}) {
      SCOPED_TRACE("shards " + std::to_string(cut.shards) + (cut.yields ? ", yielding" : ""));
      ASSERT_EQ(Differences(whole, Run(world, cut)), "");
      ASSERT_EQ(Differences(answers, outcomes_), "");
    }
  }
}

TEST_F(SharingTest, ATickDoesNotSeeSamplesOfItsOwnTimeThatComeWhileItRuns) {
  PipelineOptions options = FixedLateness(2000);
  options.engine.slots_per_yield = 1;
  Make({MakeGroup("g", {MakeRule("n", "count(m offset -10s)"), MakeRule("now", "count(m)")}, kTickMs)}, options);
  std::vector<int64_t> bounds;
  pipeline_->SetYield([&](int64_t after_ms) { bounds.push_back(after_ms); });
  Send({{"m{a=\"1\"}", 1000, 1}});
  At(18000);
  ASSERT_FALSE(bounds.empty());
  // The negative offset reads ten seconds past the tick: nothing up to there may come in between.
  EXPECT_GT(std::count(bounds.begin(), bounds.end(), kTickMs + 10000), 0);
  for (const int64_t bound : bounds) {
    EXPECT_TRUE(bound == INT64_MIN || bound >= kTickMs + 10000 || bound < kTickMs) << bound;
  }
}

TEST_F(SharingTest, NothingComesInBetweenInEventTime) {
  PipelineOptions options = FixedLateness(2000);
  options.engine.slots_per_yield = 1;
  Make({MakeGroup("g", {MakeRule("n", "count(m)")}, kTickMs)}, options);
  pipeline_->UseEventTime();
  size_t yields = 0;
  pipeline_->SetYield([&](int64_t) { ++yields; });
  Send({{"m", 1000, 1}});
  Send({{"m", 61000, 1}});
  EXPECT_FALSE(Take().empty());
  EXPECT_EQ(yields, 0U);
}

}  // namespace
}  // namespace weir::runtime
