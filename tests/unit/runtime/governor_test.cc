// What gives way when memory is short, in which order, and what comes back: readings and loads in, rules out as one line.

#include "core/runtime/governor.h"

#include <map>

#include "tests/unit/runtime/pipeline_fixture.h"

namespace weir::runtime {
namespace {

constexpr int64_t kSecond = 1000;

class GovernorTest : public ::testing::Test {
 protected:
  static rules::RuleDefinition Rule(const std::string& name, const std::string& expr, int importance,
                                    uint64_t budget = 0) {
    rules::RuleDefinition rule = MakeRule(name, expr, name.front() >= 'A' && name.front() <= 'Z');
    rule.importance = importance;
    rule.memory_max_bytes = budget;
    return rule;
  }
  void Set(const std::vector<rules::GroupDefinition>& groups) {
    groups_ = groups;
    governor_.SetRules(groups, 5 * kMinute);
  }
  std::vector<RuleLoad> Loads() const {
    std::vector<RuleLoad> loads;
    for (const rules::GroupDefinition& group : governor_.groups()) {
      for (const rules::RuleDefinition& rule : group.rules) {
        const auto load = loads_.find(rule.name);
        loads.push_back(load == loads_.end() || !rule.stopped.empty() ? RuleLoad() : load->second);
      }
    }
    return loads;
  }
  // A look at `used` percent of a limit of 1,000,000 bytes, `seconds` after the last one.
  std::string Look(uint64_t used, int64_t seconds = 10) {
    now_ms_ += seconds * kSecond;
    governor_.LookAtMemory({now_ms_, used * 10000, 1000000}, [this] { return Loads(); });
    return Shown();
  }
  std::string LookAtBudgets(int64_t seconds = 10) {
    now_ms_ += seconds * kSecond;
    governor_.LookAtBudgets({now_ms_, 0, 0}, Loads());
    return Shown();
  }
  // RETURNS: what differs from the rules as configured: `group/2` for one at twice its interval, `rule!` for one that is stopped.
  std::string Shown() const {
    std::string text;
    const auto add = [&text](const std::string& word) { text += (text.empty() ? "" : " ") + word; };
    for (size_t g = 0; g < groups_.size(); ++g) {
      const rules::GroupDefinition& group = governor_.groups()[g];
      EXPECT_EQ(group.slots.interval_ms, groups_[g].slots.interval_ms * group.slower);
      if (group.slower > 1) {
        add(group.name + "/" + std::to_string(group.slower));
      }
      for (const rules::RuleDefinition& rule : group.rules) {
        if (!rule.stopped.empty()) {
          add(rule.name + "!");
        }
      }
    }
    return text;
  }
  std::string Reason(const std::string& name) const {
    for (const rules::GroupDefinition& group : governor_.groups()) {
      for (const rules::RuleDefinition& rule : group.rules) {
        if (rule.name == name) {
          return rule.stopped;
        }
      }
    }
    return "no such rule";
  }

  std::vector<rules::GroupDefinition> groups_;
  std::map<std::string, RuleLoad> loads_;  // by name
  Governor governor_;
  int64_t now_ms_ = 0;
};

TEST_F(GovernorTest, TiersGiveWayInTheOrderOfImportanceAndComeBackInReverse) {
  Set({MakeGroup("junk", {Rule("j1", "a", 10), Rule("j2", "b", 10)}, 30 * kSecond),
       MakeGroup("work", {Rule("w1", "c", 50)}), MakeGroup("page", {Rule("P", "d > 1", 100)})});
  loads_ = {{"j1", {10, 50000, 50000}},
            {"j2", {10, 90000, 90000}},
            {"w1", {10, 200000, 200000}},
            {"P", {10, 100000, 100000}}};
  EXPECT_EQ(Look(91), "");
  EXPECT_EQ(Look(92), "junk/2");
  EXPECT_EQ(Look(93, 5), "junk/2") << "a step needs a moment to show";
  EXPECT_EQ(Look(93, 5), "junk/4");
  EXPECT_EQ(Look(94), "junk/4") << "what is more important is left alone while the junk runs";
  EXPECT_EQ(Look(95), "junk/4 j2!") << "the one that frees enough";
  EXPECT_EQ(Look(94), "junk/4 j2!");
  EXPECT_EQ(Look(96), "junk/4 j1! j2!");
  EXPECT_EQ(Look(93), "junk/4 j1! j2! work/2");
  EXPECT_EQ(Look(94), "junk/4 j1! j2! work/4");
  EXPECT_EQ(Look(95), "junk/4 j1! j2! work/4 w1!");
  EXPECT_EQ(Look(94), "junk/4 j1! j2! work/4 w1! page/2");
  EXPECT_EQ(governor_.counts().stopped_for_memory, 3U);
  EXPECT_EQ(governor_.counts().groups_slowed, 3U);
  // The page may double what it holds.
  EXPECT_EQ(Look(76, 60), "junk/4 j1! j2! work/4 w1! page/2");
  EXPECT_EQ(Look(75, 10), "junk/4 j1! j2! work/4 w1!");
  EXPECT_EQ(Look(75, 10), "junk/4 j1! j2! work/4 w1!") << "not so soon";
  EXPECT_EQ(Look(66, 60), "junk/4 j1! j2! work/4 w1!") << "200,000 bytes have no room";
  EXPECT_EQ(Look(65, 10), "junk/4 j1! j2! work/4");
  EXPECT_EQ(Look(65, 60), "junk/4 j1! j2! work/2");
  EXPECT_EQ(Look(65, 60), "junk/4 j1! j2!");
  EXPECT_EQ(Look(75, 60), "junk/4 j2!");
  EXPECT_EQ(Look(75, 60), "junk/4");
  EXPECT_EQ(Look(60, 60), "junk/2");
  EXPECT_EQ(Look(60, 60), "");
  EXPECT_EQ(governor_.counts().steps_down, governor_.counts().steps_up);
}

TEST_F(GovernorTest, WhenMemoryGrowsFastRulesStopWithoutBeingSlowedFirst) {
  Set({MakeGroup("a", {Rule("a1", "a", 10), Rule("a2", "b", 20)}), MakeGroup("b", {Rule("b1", "c", 15)})});
  loads_ = {{"a1", {10, 20000, 20000}}, {"a2", {10, 20000, 20000}}, {"b1", {10, 20000, 20000}}};
  EXPECT_EQ(Look(95), "a1!");
  EXPECT_EQ(Look(96, 1), "a1!") << "a reading later";
  EXPECT_EQ(Look(96, 1), "a1! b1!");
  EXPECT_EQ(Look(97, 2), "a1! a2! b1!");
}

TEST_F(GovernorTest, AReasonTellsTheNumbers) {
  Set({MakeGroup("g", {Rule("r", "a", 50)}, 10 * kMinute)});
  loads_ = {{"r", {10, 50000, 50000}}};
  EXPECT_EQ(Look(96), "r!");
  EXPECT_EQ(
      Reason("r"),
      "stopped: memory is near its limit (937.5 KiB of 976.6 KiB resident), and no rule that runs and holds much is "
      "less important (50)");
}

TEST_F(GovernorTest, ARecordingRuleIsWorthAsMuchAsWhatReadsIt) {
  Set({MakeGroup("rec", {Rule("job:a", "a", 50), Rule("job:b", "b", 50), Rule("job:c", "job:b", 50)}, 10 * kMinute),
       MakeGroup("page", {Rule("P", "job:c > 1", 100), Rule("Q", "ALERTS > 0", 70)}, 10 * kMinute)});
  loads_ = {{"job:a", {1, 20000, 20000}}, {"job:b", {1, 90000, 90000}}};
  EXPECT_EQ(governor_.importances(), (std::vector<int>{50, 100, 100, 100, 70}));
  EXPECT_EQ(Look(96), "job:a!");
  EXPECT_EQ(Look(96), "job:a! job:b! job:c! P!") << "those that read it would take its silence for an answer";
  EXPECT_EQ(Reason("P"), "stopped: reads what \"job:b\" records, which is stopped");
  EXPECT_EQ(Look(70, 60), "job:a!");
}

TEST_F(GovernorTest, RulesThatShareTheirWindowsGoOneByOne) {
  Set({MakeGroup("g", {Rule("a", "x", 50), Rule("b", "x", 50), Rule("tiny", "y", 50)}, 10 * kMinute)});
  loads_ = {{"a", {9, 400000, 0}}, {"b", {9, 500000, 0}}, {"tiny", {1, 900, 900}}};
  EXPECT_EQ(Look(96), "b!");
  loads_["a"].own_bytes = 400000;
  EXPECT_EQ(Look(96), "a! b!");
  EXPECT_EQ(Look(96), "a! b!") << "what holds nothing is not worth a step";
}

TEST_F(GovernorTest, AGroupIsSlowedOnlyWhileItsSeriesStayCurrent) {
  Set({MakeGroup("slow", {Rule("s", "a", 10)}, 2 * kMinute), MakeGroup("read", {Rule("r", "b", 10)}, kMinute),
       MakeGroup("reads", {Rule("t", "rate(r[3m])", 10), Rule("u", "rate(s[9m])", 10)}, 10 * kMinute)});
  loads_ = {{"s", {10, 50000, 50000}}, {"r", {10, 50000, 50000}}, {"t", {10, 50000, 50000}}};
  EXPECT_EQ(Look(93), "slow/2") << "windows of 3m over r would hold less than two samples";
  EXPECT_EQ(Look(93), "slow/2") << "8m are longer than the lookback";
}

TEST_F(GovernorTest, EagerAlertsOfASlowedGroupWaitForTicks) {
  rules::RuleDefinition eager = Rule("E", "a > 1", 100);
  eager.eager = true;
  Set({MakeGroup("g", {eager})});
  loads_ = {{"E", {10, 50000, 50000}}};
  EXPECT_EQ(Look(93), "g/2");
  EXPECT_FALSE(governor_.groups()[0].rules[0]->eager);
  EXPECT_EQ(Look(10, 60), "");
  EXPECT_TRUE(governor_.groups()[0].rules[0]->eager);
}

// What comes back and is too much again waits twice as long for the next time.
TEST_F(GovernorTest, ItDoesNotFlap) {
  Set({MakeGroup("g", {Rule("r", "a", 50)}, 10 * kMinute)});
  loads_ = {{"r", {10, 50000, 50000}}};
  int64_t stopped = 0;
  int changes = 0;
  std::string before;
  for (int64_t t = 0; t < 4 * 3600; t += 10) {  // with it 96 %, without 70 %: more than it seemed to hold
    const std::string shown = Look(before.empty() ? 96 : 70);
    changes += shown != before ? 1 : 0;
    stopped += shown.empty() ? 0 : 10;
    before = shown;
  }
  EXPECT_LT(changes, 22);
  EXPECT_GT(stopped, 4 * 3600 * 95 / 100);
}

TEST_F(GovernorTest, WhatWasHeldIsHalfForgottenWithEveryWait) {
  Set({MakeGroup("g", {Rule("r", "a", 50)}, 10 * kMinute)});
  loads_ = {{"r", {10, 600000, 600000}}};
  EXPECT_EQ(Look(96), "r!");
  EXPECT_EQ(Look(30, 60), "r!") << "90 %";
  EXPECT_EQ(Look(30, 50), "r!");
  EXPECT_EQ(Look(30, 10), "") << "60 %";
}

TEST_F(GovernorTest, WithoutALimitAllComesBack) {
  Set({MakeGroup("g", {Rule("r", "a", 50)})});
  loads_ = {{"r", {10, 50000, 50000}}};
  EXPECT_EQ(Look(93), "g/2");
  now_ms_ += kMinute;
  EXPECT_TRUE(governor_.LookAtMemory({now_ms_, 0, 0}, [this] { return Loads(); }));
  EXPECT_EQ(Shown(), "");
}

TEST_F(GovernorTest, ARuleOverItsBudgetStopsAndIsTriedAgain) {
  Set({MakeGroup("g", {Rule("r", "a", 50, 100000), Rule("s", "r", 50), Rule("t", "b", 50)})});
  loads_ = {{"r", {200, 100000, 0}}, {"t", {10, 500000, 500000}}};
  EXPECT_EQ(LookAtBudgets(), "");
  loads_["r"].bytes = 100001;
  EXPECT_EQ(LookAtBudgets(), "r! s!");
  EXPECT_EQ(Reason("r"),
            "stopped: its state of 97.7 KiB for 200 series is over its budget of 97.7 KiB; tried again at "
            "1970-01-01T00:10:20Z");
  EXPECT_EQ(governor_.counts().stopped_for_budget, 2U);
  EXPECT_EQ(LookAtBudgets(590), "r! s!");
  EXPECT_EQ(LookAtBudgets(10), "");
  EXPECT_EQ(LookAtBudgets(60), "r! s!");
  EXPECT_EQ(LookAtBudgets(1190), "r! s!") << "twice as long";
  EXPECT_EQ(LookAtBudgets(10), "");
  loads_["r"].bytes = 50000;
  EXPECT_EQ(LookAtBudgets(36000), "");
  loads_["r"].bytes = 150000;
  EXPECT_EQ(LookAtBudgets(), "r! s!");
  EXPECT_EQ(LookAtBudgets(600), "") << "that was long ago";
}

TEST_F(GovernorTest, AReloadKeepsWhatMemoryStoppedAndTriesBudgetsAnew) {
  Set({MakeGroup("g", {Rule("r", "a", 50, 1000), Rule("s", "b", 10)}, 10 * kMinute),
       MakeGroup("h", {Rule("t", "c", 50)})});
  loads_ = {{"r", {1, 2000, 2000}}, {"s", {1, 60000, 60000}}, {"t", {1, 60000, 60000}}};
  EXPECT_EQ(Look(96), "s!");
  EXPECT_EQ(Look(93), "s! h/2");
  EXPECT_EQ(LookAtBudgets(), "r! s! h/2");
  Set({MakeGroup("new", {Rule("n", "a", 50)}), MakeGroup("h", {Rule("t", "c", 50)}),
       MakeGroup("g", {Rule("r", "a", 50, 1000), Rule("s", "b + 1", 10)}, 10 * kMinute)});
  EXPECT_EQ(Shown(), "h/2 s!");
}

}  // namespace
}  // namespace weir::runtime
