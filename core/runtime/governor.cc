#include "core/runtime/governor.h"

#include "core/base/log.h"
#include "core/model/duration.h"
#include "core/plugin/options.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace weir::runtime {
namespace {

using plugin::SizeText;

// Shares of the limit, in hundred.
constexpr uint64_t kSlowAt = 92;
constexpr uint64_t kStopAt = 95;
constexpr uint64_t kStopDownTo = 88;    // so much is stopped at once as should get there
constexpr uint64_t kUpBelow = 85;       // with what comes back
constexpr uint64_t kPlentyBelow = 70;   // the same, to go on without a pause
constexpr uint64_t kWorthShare = 1000;  // what holds less than one part in so many of the limit is not worth a step
constexpr int64_t kDownEveryMs = 10000;
constexpr int64_t kLookDownEveryMs = 2000;
constexpr int64_t kLookUpEveryMs = 10000;
constexpr int64_t kUpWaitMinMs = 60000;
constexpr int64_t kUpWaitMaxMs = 3600000;
constexpr int64_t kSoonMs = 600000;  // a step down so soon after one up: that was too early
constexpr int64_t kHoldMinMs = 600000;
constexpr int64_t kHoldMaxMs = 7200000;
constexpr size_t kSlowStepsMax = 2;  // each doubles the interval

uint64_t Share(uint64_t limit, uint64_t hundredth) { return limit / 100 * hundredth; }

}  // namespace

void Governor::SetRules(std::vector<rules::GroupDefinition> groups, int64_t lookback_ms) {
  std::map<std::string, RuleState> rules_before;
  for (RuleState& state : states_) {
    rules_before.emplace(state.key, state);
  }
  std::map<std::string, GroupState> groups_before;
  for (GroupState& state : group_states_) {
    groups_before.emplace(state.key, state);
  }
  configured_ = std::move(groups);
  lookback_ms_ = lookback_ms;
  readers_ = ReadersOf(configured_);
  importances_ = Importances(configured_, readers_);
  states_.clear();
  group_states_.clear();
  for (size_t g = 0; g < configured_.size(); ++g) {
    GroupState group;
    group.key = configured_[g].Key();
    if (const auto before = groups_before.find(group.key); before != groups_before.end()) {
      group.steps = before->second.steps;
    }
    group_states_.push_back(std::move(group));
    std::map<std::string, int> seen;
    for (size_t r = 0; r < configured_[g].rules.size(); ++r) {
      RuleState state;
      const std::string name = configured_[g].Key() + '\0' + configured_[g].rules[r]->name;
      state.key = name + '\0' + std::to_string(seen[name]++);
      if (const auto before = rules_before.find(state.key);
          before != rules_before.end() && before->second.why == Why::kMemory) {
        state = before->second;
      }
      state.group = g;
      state.index = r;
      states_.push_back(std::move(state));
    }
  }
  Rebuild();
}

std::vector<size_t> Governor::WithReaders(size_t rule) const {
  std::vector<size_t> all{rule};
  std::set<size_t> seen{rule};
  for (size_t i = 0; i < all.size(); ++i) {
    for (const Reader& reader : readers_[all[i]]) {
      if (seen.insert(reader.rule).second) {
        all.push_back(reader.rule);
      }
    }
  }
  return all;
}

void Governor::Rebuild() {
  running_ = configured_;
  counts_.groups_slowed = counts_.stopped_for_memory = counts_.stopped_for_budget = 0;
  for (size_t g = 0; g < running_.size(); ++g) {
    const size_t steps = group_states_[g].steps.size();
    if (steps == 0) {
      continue;
    }
    ++counts_.groups_slowed;
    running_[g].slower = 1 << steps;
    running_[g].slots.interval_ms *= running_[g].slower;
    for (rules::SharedRule& rule : running_[g].rules) {
      if (rule->eager) {
        rule.Edit().eager = false;
      }
    }
  }
  const auto stop = [this](size_t rule, std::string reason, Why why) {
    rules::SharedRule& shared = running_[states_[rule].group].rules[states_[rule].index];
    if (shared->stopped.empty()) {
      shared.Edit().stopped = std::move(reason);
      ++(why == Why::kMemory ? counts_.stopped_for_memory : counts_.stopped_for_budget);
    }
  };
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    if (states_[rule].why != Why::kRuns) {
      stop(rule, states_[rule].reason, states_[rule].why);
    }
  }
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    if (states_[rule].why == Why::kRuns) {
      continue;
    }
    for (const size_t reader : WithReaders(rule)) {
      stop(reader, "stopped: reads what " + GoQuote(definition(rule).name) + " records, which is stopped",
           states_[rule].why);
    }
  }
}

bool Governor::HasBudgets() const {
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    if (definition(rule).memory_max_bytes > 0) {
      return true;
    }
  }
  return false;
}

bool Governor::LookAtBudgets(const MemoryReading& reading, const std::vector<RuleLoad>& loads) {
  bool changed = false;
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    RuleState& state = states_[rule];
    const rules::RuleDefinition& rule_definition = definition(rule);
    const bool room = reading.limit == 0 || reading.used <= Share(reading.limit, kUpBelow);
    if (state.why == Why::kBudget && room && reading.now_ms >= state.again_ms) {
      state.why = Why::kRuns;
      state.tried_ms = reading.now_ms;
      changed = true;
      LogInfo("a rule that was over its budget is tried again",
              {{"group", group_states_[state.group].key}, {"rule", rule_definition.name}});
      continue;
    }
    const uint64_t budget = rule_definition.memory_max_bytes;
    if (state.why != Why::kRuns || Stopped(rule) || budget == 0 || loads[rule].bytes <= budget) {
      continue;
    }
    const bool soon = state.hold_ms > 0 && reading.now_ms - state.tried_ms < state.hold_ms;
    state.hold_ms = soon ? std::min(2 * state.hold_ms, kHoldMaxMs) : kHoldMinMs;
    state.again_ms = reading.now_ms + state.hold_ms;
    state.why = Why::kBudget;
    state.reason = "stopped: its state of " + SizeText(loads[rule].bytes) + " for " +
                   std::to_string(loads[rule].series) + " series is over its budget of " + SizeText(budget) +
                   "; tried again at " + FormatRfc3339(state.again_ms);
    changed = true;
    LogWarn("a rule is stopped: its state is over its budget", {{"group", group_states_[state.group].key},
                                                                {"rule", rule_definition.name},
                                                                {"bytes", std::to_string(loads[rule].bytes)},
                                                                {"budget", std::to_string(budget)},
                                                                {"series", std::to_string(loads[rule].series)},
                                                                {"again", FormatRfc3339(state.again_ms)}});
  }
  if (changed) {
    Rebuild();
  }
  return changed;
}

bool Governor::LookAtMemory(const MemoryReading& reading, const Loads& loads) {
  if (up_wait_ms_ == 0) {
    up_wait_ms_ = kUpWaitMinMs;
  }
  const auto since = [&reading](int64_t then_ms) {
    return then_ms == INT64_MIN ? INT64_MAX : reading.now_ms - then_ms;
  };
  const bool restrained = counts_.groups_slowed + counts_.stopped_for_memory > 0;
  bool changed = false;
  if (reading.limit > 0 && reading.used >= Share(reading.limit, kSlowAt)) {
    // A rule that has stopped shows at the next reading; one that is slowed needs a moment.
    const int64_t pause_ms = reading.used >= Share(reading.limit, kStopAt) ? kLookDownEveryMs : kDownEveryMs;
    if (since(stepped_ms_) < pause_ms || since(looked_ms_) < kLookDownEveryMs) {
      return false;
    }
    looked_ms_ = reading.now_ms;
    if (!Down(reading, loads())) {
      return false;
    }
    plenty_ = false;
    up_wait_ms_ = since(up_ms_) < kSoonMs ? std::min(2 * up_wait_ms_, kUpWaitMaxMs) : up_wait_ms_;
    down_ms_ = reading.now_ms;
    ++counts_.steps_down;
    changed = true;
  } else if (restrained && since(stepped_ms_) >= (plenty_ ? kLookUpEveryMs : up_wait_ms_) &&
             since(looked_ms_) >= kLookUpEveryMs) {
    looked_ms_ = reading.now_ms;
    if (!Up(reading, loads())) {
      return false;
    }
    up_ms_ = reading.now_ms;
    ++counts_.steps_up;
    changed = true;
  } else if (since(down_ms_) >= kUpWaitMaxMs) {
    up_wait_ms_ = kUpWaitMinMs;
  }
  if (changed) {
    stepped_ms_ = reading.now_ms;
    Rebuild();
  }
  return changed;
}

bool Governor::Down(const MemoryReading& reading, const std::vector<RuleLoad>& loads) {
  std::set<int> tiers(importances_.begin(), importances_.end());
  const uint64_t worth_bytes = reading.limit / kWorthShare;
  const bool stop = reading.used >= Share(reading.limit, kStopAt);
  for (const int importance : tiers) {
    // What is slowed gives memory back as its windows go on: close to the limit that is too late.
    if (stop ? StopSome(importance, worth_bytes, reading, loads) : Slow(importance, worth_bytes, loads)) {
      return true;
    }
    const auto runs = [&](size_t rule) {
      return importances_[rule] == importance && !Stopped(rule) && loads[rule].bytes >= worth_bytes;
    };
    bool left = false;
    for (size_t rule = 0; rule < states_.size(); ++rule) {
      left = left || runs(rule);
    }
    if (left && !stop) {
      return false;  // these stop before anything more important is touched, and it is not yet time
    }
  }
  return false;
}

bool Governor::Slow(int importance, uint64_t worth_bytes, const std::vector<RuleLoad>& loads) {
  std::vector<int> tier(group_states_.size(), -1);  // of the most important rule that runs
  std::vector<uint64_t> bytes(group_states_.size());
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    if (!Stopped(rule)) {
      int& most = tier[states_[rule].group];
      most = std::max(most, importances_[rule]);
      bytes[states_[rule].group] += loads[rule].bytes;
    }
  }
  size_t steps = kSlowStepsMax;
  std::vector<size_t> chosen;
  for (size_t g = 0; g < group_states_.size(); ++g) {
    const size_t now = group_states_[g].steps.size();
    if (tier[g] != importance || bytes[g] < worth_bytes || now >= kSlowStepsMax || now > steps ||
        !MaySlow(g, 2 << now)) {
      continue;
    }
    if (now < steps) {
      steps = now;
      chosen.clear();
    }
    chosen.push_back(g);
  }
  if (chosen.empty()) {
    return false;
  }
  ++step_;
  for (const size_t g : chosen) {
    group_states_[g].steps.push_back(step_);
    LogWarn("memory is near its limit: a group is evaluated less often",
            {{"group", group_states_[g].key},
             {"interval", FormatDurationMs(configured_[g].slots.interval_ms << group_states_[g].steps.size())},
             {"configured", FormatDurationMs(configured_[g].slots.interval_ms)},
             {"importance", std::to_string(importance)}});
  }
  return true;
}

// Its series must stay current from one evaluation to the next, and windows over them must still hold two samples.
bool Governor::MaySlow(size_t group, int factor) const {
  const int64_t interval_ms = configured_[group].slots.interval_ms * factor;
  if (interval_ms >= lookback_ms_) {
    return false;
  }
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    if (states_[rule].group != group) {
      continue;
    }
    const auto too_short = [interval_ms](const Reader& r) { return r.range_ms > 0 && r.range_ms < 2 * interval_ms; };
    if (std::any_of(readers_[rule].begin(), readers_[rule].end(), too_short)) {
      return false;
    }
  }
  return true;
}

bool Governor::StopSome(int importance, uint64_t worth_bytes, const MemoryReading& reading,
                        const std::vector<RuleLoad>& loads) {
  std::vector<size_t> candidates;
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    if (importances_[rule] == importance && !Stopped(rule) && loads[rule].bytes >= worth_bytes) {
      candidates.push_back(rule);
    }
  }
  // Of rules that share their windows none frees much by itself: then the largest goes, and the next one frees them.
  std::stable_sort(candidates.begin(), candidates.end(), [&loads](size_t a, size_t b) {
    return std::pair(loads[a].own_bytes, loads[a].bytes) > std::pair(loads[b].own_bytes, loads[b].bytes);
  });
  const uint64_t wanted = reading.used - Share(reading.limit, kStopDownTo);
  uint64_t freed = 0;
  std::set<size_t> gone;
  ++step_;
  for (const size_t rule : candidates) {
    if (freed >= wanted || gone.contains(rule)) {
      continue;
    }
    uint64_t own = 0;
    const std::vector<size_t> together = WithReaders(rule);
    for (const size_t one : together) {
      if (gone.insert(one).second && !Stopped(one)) {
        own += loads[one].own_bytes;
      }
    }
    freed += own;
    RuleState& state = states_[rule];
    state.why = Why::kMemory;
    state.step = step_;
    state.freed_bytes = own;
    state.reason = "stopped: memory is near its limit (" + SizeText(reading.used) + " of " + SizeText(reading.limit) +
                   " resident), and no rule that runs and holds much is less important (" + std::to_string(importance) +
                   ")";
    LogWarn("memory is near its limit: a rule is stopped", {{"group", group_states_[state.group].key},
                                                            {"rule", definition(rule).name},
                                                            {"importance", std::to_string(importance)},
                                                            {"with_readers", std::to_string(together.size() - 1)},
                                                            {"frees_bytes", std::to_string(own)},
                                                            {"resident_bytes", std::to_string(reading.used)},
                                                            {"limit", std::to_string(reading.limit)}});
    if (own == 0) {
      break;  // what that frees is known only when it is gone
    }
  }
  return !gone.empty();
}

bool Governor::Up(const MemoryReading& reading, const std::vector<RuleLoad>& loads) {
  uint64_t last = 0;
  for (const RuleState& state : states_) {
    last = state.why == Why::kMemory ? std::max(last, state.step) : last;
  }
  for (const GroupState& state : group_states_) {
    last = state.steps.empty() ? last : std::max(last, state.steps.back());
  }
  uint64_t comes_back = 0;
  for (size_t rule = 0; rule < states_.size(); ++rule) {
    const RuleState& state = states_[rule];
    if (state.why == Why::kMemory) {
      comes_back += state.step == last ? state.freed_bytes : 0;
    } else if (const std::vector<uint64_t>& steps = group_states_[state.group].steps;
               !steps.empty() && steps.back() == last) {
      comes_back += loads[rule].own_bytes;  // twice as many panes
    }
  }
  // What a rule held when it stopped says less and less of what it would hold now: its series may be gone.
  constexpr int64_t kHalvingsMax = 40;
  const int64_t waits = stepped_ms_ == INT64_MIN ? 0 : (reading.now_ms - stepped_ms_) / up_wait_ms_;
  comes_back >>= std::clamp<int64_t>(waits - 1, 0, kHalvingsMax);
  if (reading.limit > 0 && reading.used + comes_back > Share(reading.limit, kUpBelow)) {
    return false;
  }
  plenty_ = reading.used + comes_back <= Share(reading.limit, kPlentyBelow);
  for (RuleState& state : states_) {
    if (state.why == Why::kMemory && state.step == last) {
      state.why = Why::kRuns;
      LogInfo("there is room again: a rule is evaluated again",
              {{"group", group_states_[state.group].key},
               {"rule", configured_[state.group].rules[state.index]->name},
               {"resident_bytes", std::to_string(reading.used)}});
    }
  }
  for (size_t g = 0; g < group_states_.size(); ++g) {
    GroupState& state = group_states_[g];
    if (!state.steps.empty() && state.steps.back() == last) {
      state.steps.pop_back();
      LogInfo("there is room again: a group is evaluated more often",
              {{"group", state.key},
               {"interval", FormatDurationMs(configured_[g].slots.interval_ms << state.steps.size())},
               {"resident_bytes", std::to_string(reading.used)}});
    }
  }
  return true;
}

}  // namespace weir::runtime
