#include "core/runtime/dependencies.h"

#include "core/model/labels.h"
#include "core/promql/ast.h"

#include <algorithm>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>

namespace weir::runtime {
namespace {

struct Read {
  const promql::VectorSelector* selector;
  int64_t back_ms;       // how far before the evaluation the selector looks
  int64_t range_ms = 0;  // of the selector itself
};

// Collects the selectors below `expr`, each with the time that windows and offsets above it add.
class Selectors {
 public:
  explicit Selectors(int64_t lookback_ms) : lookback_ms_(lookback_ms) {}

  void Walk(const promql::Expr& expr, int64_t back_ms) {
    using promql::As;
    switch (expr.kind) {
      case promql::ExprKind::kNumber:
      case promql::ExprKind::kString:
        return;
      case promql::ExprKind::kVectorSelector: {
        const auto& selector = As<promql::VectorSelector>(expr);
        reads_.push_back({&selector, back_ms + lookback_ms_ + Back(selector.time)});
        return;
      }
      case promql::ExprKind::kMatrixSelector: {
        const auto& matrix = As<promql::MatrixSelector>(expr);
        // anchored and smoothed ranges also look for a sample before their window
        const bool extended = matrix.selector->anchored || matrix.selector->smoothed;
        reads_.push_back({matrix.selector.get(),
                          back_ms + matrix.range_ms + Back(matrix.selector->time) + (extended ? lookback_ms_ : 0),
                          matrix.range_ms});
        return;
      }
      case promql::ExprKind::kSubquery: {
        const auto& subquery = As<promql::SubqueryExpr>(expr);
        return Walk(*subquery.expr, back_ms + subquery.range_ms + Back(subquery.time));
      }
      case promql::ExprKind::kCall:
        for (const promql::ExprPtr& arg : As<promql::Call>(expr).args) {
          Walk(*arg, back_ms);
        }
        return;
      case promql::ExprKind::kAggregate: {
        const auto& aggregate = As<promql::AggregateExpr>(expr);
        Walk(*aggregate.expr, back_ms);
        if (aggregate.param != nullptr) {
          Walk(*aggregate.param, back_ms);
        }
        return;
      }
      case promql::ExprKind::kBinary:
        Walk(*As<promql::BinaryExpr>(expr).lhs, back_ms);
        return Walk(*As<promql::BinaryExpr>(expr).rhs, back_ms);
      case promql::ExprKind::kUnary:
        return Walk(*As<promql::UnaryExpr>(expr).expr, back_ms);
      case promql::ExprKind::kParen:
        return Walk(*As<promql::ParenExpr>(expr).expr, back_ms);
    }
  }

  std::vector<Read> Take() { return std::move(reads_); }

 private:
  static int64_t Back(const promql::TimeModifiers& time) { return std::max<int64_t>(0, time.offset_ms); }

  int64_t lookback_ms_;
  std::vector<Read> reads_;
};

// Names written by rules, and which rule writes them. Rules are numbered over all groups.
class Producers {
 public:
  explicit Producers(const std::vector<rules::GroupDefinition>& groups) {
    size_t number = 0;
    for (const rules::GroupDefinition& group : groups) {
      for (const rules::RuleDefinition& rule : group.rules) {
        if (rule.alerting) {
          by_name_["ALERTS"].push_back(number);
          by_name_["ALERTS_FOR_STATE"].push_back(number);
        } else {
          by_name_[rule.name].push_back(number);
        }
        ++number;
      }
    }
  }

  // Calls `found` with every rule whose name the selector's name matchers admit.
  void For(const promql::VectorSelector& selector, const std::function<void(size_t)>& found) const {
    for (const Matcher& matcher : selector.matchers) {
      if (matcher.name() == kMetricName && matcher.type() == MatchType::kEqual) {
        const auto it = by_name_.find(matcher.value());
        if (it != by_name_.end()) {
          std::for_each(it->second.begin(), it->second.end(), found);
        }
        return;
      }
    }
    for (const auto& [name, rules] : by_name_) {
      const auto admits = [&name = name](const Matcher& m) { return m.name() != kMetricName || m.Matches(name); };
      if (std::all_of(selector.matchers.begin(), selector.matchers.end(), admits)) {
        std::for_each(rules.begin(), rules.end(), found);
      }
    }
  }

 private:
  std::unordered_map<std::string, std::vector<size_t>> by_name_;
};

std::vector<Read> ReadsOf(const rules::RuleDefinition& rule, int64_t lookback_ms) {
  Selectors selectors(lookback_ms);
  selectors.Walk(*rule.expr, 0);
  return selectors.Take();
}

}  // namespace

std::vector<size_t> OrderGroups(const std::vector<rules::GroupDefinition>& groups) {
  const Producers producers(groups);
  std::vector<size_t> group_of_rule;
  for (size_t g = 0; g < groups.size(); ++g) {
    group_of_rule.insert(group_of_rule.end(), groups[g].rules.size(), g);
  }
  std::vector<std::vector<size_t>> needs(groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const rules::RuleDefinition& rule : groups[g].rules) {
      for (const Read& read : ReadsOf(rule, 0)) {
        producers.For(*read.selector, [&](size_t producer) {
          if (group_of_rule[producer] != g) {
            needs[g].push_back(group_of_rule[producer]);
          }
        });
      }
    }
  }
  // Depth first in file order; a group that is being visited already closes a cycle and is passed over.
  std::vector<size_t> order;
  std::vector<char> visited(groups.size(), 0);
  const std::function<void(size_t)> visit = [&](size_t g) {
    if (visited[g] != 0) {
      return;
    }
    visited[g] = 1;
    std::sort(needs[g].begin(), needs[g].end());
    for (const size_t need : needs[g]) {
      visit(need);
    }
    order.push_back(g);
  };
  for (size_t g = 0; g < groups.size(); ++g) {
    visit(g);
  }
  return order;
}

int64_t HistoryMs(const std::vector<rules::GroupDefinition>& groups, int64_t lookback_ms) {
  const Producers producers(groups);
  std::vector<const rules::RuleDefinition*> rules;
  std::vector<int64_t> offsets;
  for (const rules::GroupDefinition& group : groups) {
    for (const rules::RuleDefinition& rule : group.rules) {
      rules.push_back(&rule);
      offsets.push_back(group.query_offset_ms + group.slots.interval_ms);
    }
  }
  std::vector<int64_t> history(rules.size(), -1);
  const std::function<int64_t(size_t)> of = [&](size_t number) {
    if (history[number] >= 0) {
      return history[number];
    }
    history[number] = 0;  // a rule that reads itself, directly or in a circle, has no end: its own part counts once
    int64_t longest = 0;
    for (const Read& read : ReadsOf(*rules[number], lookback_ms)) {
      longest = std::max(longest, read.back_ms);
      producers.For(*read.selector, [&](size_t producer) { longest = std::max(longest, read.back_ms + of(producer)); });
    }
    history[number] = longest + offsets[number] + rules[number]->for_ms;
    return history[number];
  };
  int64_t longest = 0;
  for (size_t number = 0; number < rules.size(); ++number) {
    longest = std::max(longest, of(number));
  }
  return longest;
}

std::vector<std::vector<Reader>> ReadersOf(const std::vector<rules::GroupDefinition>& groups) {
  const Producers producers(groups);
  std::vector<const rules::RuleDefinition*> rules;
  for (const rules::GroupDefinition& group : groups) {
    for (const rules::RuleDefinition& rule : group.rules) {
      rules.push_back(&rule);
    }
  }
  std::vector<std::vector<Reader>> readers(rules.size());
  for (size_t reader = 0; reader < rules.size(); ++reader) {
    for (const Read& read : ReadsOf(*rules[reader], 0)) {
      const auto named = [](const Matcher& m) { return m.name() == kMetricName && m.type() == MatchType::kEqual; };
      if (std::none_of(read.selector->matchers.begin(), read.selector->matchers.end(), named)) {
        continue;
      }
      producers.For(*read.selector, [&](size_t producer) {
        if (producer != reader && !rules[producer]->alerting) {
          readers[producer].push_back({reader, read.range_ms});
        }
      });
    }
  }
  return readers;
}

std::vector<int> Importances(const std::vector<rules::GroupDefinition>& groups,
                             const std::vector<std::vector<Reader>>& readers) {
  std::vector<int> importances;
  for (const rules::GroupDefinition& group : groups) {
    for (const rules::RuleDefinition& rule : group.rules) {
      importances.push_back(rule.importance);
    }
  }
  for (bool changed = true; changed;) {  // a step along every chain at a time; rings come to rest, too
    changed = false;
    for (size_t rule = 0; rule < readers.size(); ++rule) {
      for (const Reader& reader : readers[rule]) {
        if (importances[rule] < importances[reader.rule]) {
          importances[rule] = importances[reader.rule];
          changed = true;
        }
      }
    }
  }
  return importances;
}

}  // namespace weir::runtime
