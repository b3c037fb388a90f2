#pragma once
// What gives way when memory is short, and what comes back. It is told readings and what rules hold, and changes the rules as
// configured: groups evaluated at twice and four times their interval, rules stopped. It owns neither clock nor engine: the same
// readings give the same steps. Engine's thread only.
//
// The order is that of importance, and a tier of equals is done with before the next is touched: first its groups are slowed, then its
// rules stop, those first that free most. A rule that is stopped takes along those that read what it records by name: they
// would see its series end and take that for an answer.

#include "core/rules/definition.h"
#include "core/runtime/dependencies.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace weir::runtime {

// What a rule holds. UNITS: bytes.
struct RuleLoad {
  uint64_t series = 0;     // that it reads
  uint64_t bytes = 0;      // windows, whoever else reads them, nodes and results
  uint64_t own_bytes = 0;  // of these, what would be free without the rule
};

struct MemoryReading {
  int64_t now_ms = 0;
  uint64_t used = 0;   // resident
  uint64_t limit = 0;  // 0: none
};

class Governor {
 public:
  using Loads =
      std::function<std::vector<RuleLoad>()>;  // by rule, numbered over all groups; costs a walk over all series

  // The rules as configured. What is slowed or stopped for memory stays so; what was for its budget is tried anew.
  void SetRules(std::vector<rules::GroupDefinition> groups, int64_t lookback_ms);
  // RETURNS: the rules as they are to run.
  const std::vector<rules::GroupDefinition>& groups() const { return running_; }

  // Looks at memory as a whole. RETURNS: whether groups() has changed.
  bool LookAtMemory(const MemoryReading& reading, const Loads& loads);
  // Looks at the budgets of rules. `loads`: as they are now. RETURNS: as above.
  bool LookAtBudgets(const MemoryReading& reading, const std::vector<RuleLoad>& loads);
  // RETURNS: of each rule what counts: its own importance, or that of what reads from it.
  const std::vector<int>& importances() const { return importances_; }
  // RETURNS: whether some rule has a budget.
  bool HasBudgets() const;

  struct Counts {
    size_t groups_slowed = 0;
    size_t stopped_for_memory = 0;  // with those that read from them
    size_t stopped_for_budget = 0;
    uint64_t steps_down = 0;  // since the start
    uint64_t steps_up = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  enum class Why : unsigned char { kRuns, kMemory, kBudget };
  struct RuleState {
    std::string key;  // the same rule across reloads
    size_t group = 0;
    size_t index = 0;  // in its group
    Why why = Why::kRuns;
    std::string reason;
    uint64_t step = 0;         // kMemory: which step stopped it
    uint64_t freed_bytes = 0;  // kMemory: what it held by itself
    int64_t again_ms = 0;      // kBudget: when it is tried again
    int64_t hold_ms = 0;       // how long the last stop for its budget was for
    int64_t tried_ms = 0;      // when it came back from that
  };
  struct GroupState {
    std::string key;
    std::vector<uint64_t> steps;  // that doubled its interval
  };

  const rules::RuleDefinition& definition(size_t rule) const {
    return configured_[states_[rule].group].rules[states_[rule].index];
  }
  bool Stopped(size_t rule) const { return !running_[states_[rule].group].rules[states_[rule].index]->stopped.empty(); }
  // Makes running_ from what is configured and the states.
  void Rebuild();
  bool Down(const MemoryReading& reading, const std::vector<RuleLoad>& loads);
  bool Up(const MemoryReading& reading, const std::vector<RuleLoad>& loads);
  bool Slow(int importance, uint64_t worth_bytes, const std::vector<RuleLoad>& loads);
  bool MaySlow(size_t group, int factor) const;
  bool StopSome(int importance, uint64_t worth_bytes, const MemoryReading& reading, const std::vector<RuleLoad>& loads);
  // RETURNS: the rule and those that stop with it.
  std::vector<size_t> WithReaders(size_t rule) const;

  std::vector<rules::GroupDefinition> configured_;
  std::vector<rules::GroupDefinition> running_;
  int64_t lookback_ms_ = 0;
  std::vector<RuleState> states_;
  std::vector<GroupState> group_states_;
  std::vector<std::vector<Reader>> readers_;
  std::vector<int> importances_;
  uint64_t step_ = 0;  // number of the last one
  int64_t stepped_ms_ = INT64_MIN;
  int64_t looked_ms_ = INT64_MIN;  // at loads
  int64_t down_ms_ = INT64_MIN;
  int64_t up_ms_ = INT64_MIN;
  bool plenty_ = false;  // of room, after the last step up
  int64_t up_wait_ms_ = 0;
  Counts counts_;
};

}  // namespace weir::runtime
