#pragma once
// A rule group with every default filled in: what the rules room is given after rule files and the configuration have
// been read. Plain values; two equal definitions mean that a reload leaves the group undisturbed.

#include "core/model/labels.h"
#include "core/promql/ast.h"
#include "core/rules/schedule.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weir::rules {

struct RuleDefinition {
  bool alerting = false;
  std::string name;                                  // of the recorded series or of the alert
  std::string query;                                 // the canonical text of `expr`
  std::function<std::string(size_t)> where_in_expr;  // file:line:col of a byte of the expression; may be empty
  promql::ExprPtr expr;
  std::vector<Label> labels;       // group labels under rule labels, by name; an empty value removes the result's label
  std::vector<Label> annotations;  // alerts only, by name
  int64_t for_ms = 0;
  int64_t keep_firing_for_ms = 0;
  bool eager = false;    // alerts only: evaluated between ticks, too, when a sample makes it possible that it fires
  double max_error = 0;  // above 0: long windows may be off by this share (engine::Grid::max_error)
  int importance = 50;   // when memory is short, rules with less give way first
  uint64_t memory_max_bytes = 0;  // that its state may take; 0: any
  std::string stopped;            // why it is not evaluated and keeps nothing; "": it is evaluated
  std::string where;              // file:line:col of the expression, for messages

  // Position does not count: a rule that moved in its file is the same rule.
  friend bool operator==(const RuleDefinition& a, const RuleDefinition& b) {
    return a.alerting == b.alerting && a.name == b.name && a.query == b.query && a.labels == b.labels &&
           a.annotations == b.annotations && a.for_ms == b.for_ms && a.keep_firing_for_ms == b.keep_firing_for_ms &&
           a.eager == b.eager && a.max_error == b.max_error && a.importance == b.importance &&
           a.memory_max_bytes == b.memory_max_bytes && a.stopped == b.stopped;
  }
};

// A rule as part of a group: copies of a group share its definitions until one of them is edited.
class SharedRule {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): groups are made of definitions
  SharedRule(RuleDefinition definition) : rule_(std::make_shared<RuleDefinition>(std::move(definition))) {}

  // NOLINTNEXTLINE(google-explicit-constructor): who only reads need not know
  operator const RuleDefinition&() const { return *rule_; }
  const RuleDefinition* operator->() const { return rule_.get(); }
  // RETURNS: the definition as this holder's own.
  RuleDefinition& Edit() {
    if (rule_.use_count() > 1) {
      rule_ = std::make_shared<RuleDefinition>(*rule_);
    }
    return *rule_;
  }
  friend bool operator==(const SharedRule& a, const SharedRule& b) {
    return a.rule_ == b.rule_ || *a.rule_ == *b.rule_;
  }

 private:
  std::shared_ptr<RuleDefinition> rule_;
};

struct GroupDefinition {
  std::string file;  // as shown by APIs and metrics
  std::string name;
  Slots slots;
  int64_t query_offset_ms = 0;
  uint64_t limit = 0;  // series or alerts a rule may produce; 0 = any number
  int slower = 1;      // by how much its interval is longer than configured, since memory is short
  std::vector<SharedRule> rules;

  // RETURNS: `file;name`, the identity of the group across reloads and in metrics.
  std::string Key() const { return file + ";" + name; }
  friend bool operator==(const GroupDefinition&, const GroupDefinition&) = default;
};

}  // namespace weir::rules
