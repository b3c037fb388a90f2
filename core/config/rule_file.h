#pragma once
// Rule files: plain Prometheus rule files, PrometheusRule resources (groups under `spec`) and ConfigMaps (every rule
// file in `data`), checked as Prometheus checks them (semantics 5.7). All problems of a file are reported, each at
// the line and column of the file where it stands, also inside expressions in block scalars of ConfigMaps. Pure
// functions of the text; a few microseconds a rule; called when weir starts or reloads.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/labels.h"
#include "core/promql/parser.h"

namespace weir::config {

// Where a run of bytes of an expression stands in its file; positions inside the run count on from here.
struct ExprRun {
  uint32_t offset = 0;  // in Rule::expr
  int line = 0;         // 1-based
  int column = 0;       // 1-based, in bytes
  bool solid = true;    // false: an escape or a fold; every byte of the run stands at this very place
};

// Where the bytes of a rule's expression stand.
struct ExprPlaces {
  std::string rule;  // file:line:col of the rule
  std::string file;  // the file part of it
  std::vector<ExprRun> runs;

  // RETURNS: file:line:col of the byte `offset` of the expression.
  std::string Where(size_t offset) const;
};

struct Rule {
  bool alerting = false;
  std::string name;  // of the recorded series or of the alert
  std::string expr;  // as written
  promql::ExprPtr tree;
  int64_t for_ms = 0;
  int64_t keep_firing_for_ms = 0;
  std::vector<Label> labels;       // the rule's own, by name; an empty value removes the result's label
  std::vector<Label> annotations;  // alerts only, by name
  std::string where;               // file:line:col of the rule
  std::string expr_where;          // file:line:col of the expression's first byte
  ExprPlaces places;
};

struct RuleGroup {
  std::string file;  // what APIs, metrics and the schedule name: the path, for a ConfigMap `path/key`
  std::string name;
  int64_t interval_ms = 0;                 // 0: the global evaluation interval
  std::optional<int64_t> query_offset_ms;  // unset: the global rule_query_offset
  uint64_t limit = 0;                      // 0: none
  std::vector<Label> labels;               // given to every rule that does not set them itself; by name
  std::vector<Rule> rules;
  std::string where;
};

struct RuleFile {
  std::string path;
  std::vector<RuleGroup> groups;
};

struct RuleFileOutcome {
  RuleFile file;                    // complete only when errors is empty
  std::vector<std::string> errors;  // `file:line:col: group "g", rule N, "name": what is wrong`
  bool ok() const { return errors.empty(); }
};

RuleFileOutcome LoadRuleFile(const std::string& path, const promql::ParserOptions& options = {});
RuleFileOutcome ParseRuleFile(const std::string& name, std::string_view text,
                              const promql::ParserOptions& options = {});

// RETURNS: group labels under rule labels, by name; a rule's own label wins. What rules::RuleDefinition::labels wants.
std::vector<Label> MergeLabels(const std::vector<Label>& group, const std::vector<Label>& rule);

}  // namespace weir::config
