// Every example of configs/ is loaded as a user would load it, and the rule pack meets the fleet it is written for.

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/files.h"
#include "core/config/config.h"
#include "core/config/rule_file.h"
#include "core/plugin/plugin.h"
#include "core/promql/ast.h"
#include "plugins/sources/fleet/fleet_model.h"

namespace weir::config {
namespace {

std::string Joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) {
    out += line + "\n";
  }
  return out;
}

// A password that an example takes from the environment is there.
std::optional<std::string> AnyVariable(const std::string&) { return "x"; }

TEST(Configs, EveryExampleLoads) {
  std::vector<std::string> paths = ExpandPattern("configs/*.yml");
  EXPECT_GE(paths.size(), 3u);
  const std::string slo = "configs/slo/weir.yml";
  paths.push_back(slo);
  for (const std::string& path : paths) {
    ConfigOutcome outcome = LoadConfig(path, plugin::Plugins(), AnyVariable);
    EXPECT_TRUE(outcome.ok()) << Joined(outcome.errors);
    EXPECT_TRUE(outcome.config.not_applied.empty()) << path;
    EXPECT_TRUE(outcome.config.warnings.empty()) << path << Joined(outcome.config.warnings);
    RuleFilesOutcome rules = LoadRuleFiles(outcome.config);
    EXPECT_TRUE(rules.errors.empty()) << Joined(rules.errors);
    EXPECT_EQ(rules.files.size(), path == slo ? 1u : 4u) << path;
  }
}

// Adds the metric names that the tree reads.
void CollectNames(const promql::Expr& expr, std::set<std::string>* names) {
  using promql::ExprKind;
  switch (expr.kind) {
    case ExprKind::kVectorSelector:
      names->insert(promql::As<promql::VectorSelector>(expr).name);
      break;
    case ExprKind::kMatrixSelector:
      CollectNames(*promql::As<promql::MatrixSelector>(expr).selector, names);
      break;
    case ExprKind::kSubquery:
      CollectNames(*promql::As<promql::SubqueryExpr>(expr).expr, names);
      break;
    case ExprKind::kCall:
      for (const promql::ExprPtr& argument : promql::As<promql::Call>(expr).args) {
        CollectNames(*argument, names);
      }
      break;
    case ExprKind::kAggregate:
      CollectNames(*promql::As<promql::AggregateExpr>(expr).expr, names);
      break;
    case ExprKind::kBinary:
      CollectNames(*promql::As<promql::BinaryExpr>(expr).lhs, names);
      CollectNames(*promql::As<promql::BinaryExpr>(expr).rhs, names);
      break;
    case ExprKind::kUnary:
      CollectNames(*promql::As<promql::UnaryExpr>(expr).expr, names);
      break;
    case ExprKind::kParen:
      CollectNames(*promql::As<promql::ParenExpr>(expr).expr, names);
      break;
    case ExprKind::kNumber:
    case ExprKind::kString:
      break;
  }
}

// A rule that reads a name which nobody sends or records is silently empty for ever: the worst kind of alert.
TEST(Configs, EveryNameThatARuleReadsIsSentOrRecorded) {
  ConfigOutcome outcome = LoadConfig("configs/quickstart.yml", plugin::Plugins(), AnyVariable);
  ASSERT_TRUE(outcome.ok()) << Joined(outcome.errors);
  std::set<std::string> read, known;
  for (const RuleFile& file : LoadRuleFiles(outcome.config).files) {
    for (const RuleGroup& group : file.groups) {
      for (const Rule& rule : group.rules) {
        CollectNames(*rule.tree, &read);
        if (!rule.alerting) {
          known.insert(rule.name);
        }
      }
    }
  }
  EXPECT_GE(read.size(), 20u);
  fleet::FleetModel model(fleet::FleetOptions{}, 0);
  plugin::SampleBatch batch;
  for (int64_t t_ms = 0; t_ms < fleet::kCycleSeconds * 1000; t_ms += 10000) {
    model.Scrape(t_ms, &batch);
    for (const auto& series : batch.series) {
      std::vector<std::pair<std::string_view, std::string_view>> labels;
      ASSERT_TRUE(plugin::DecodeLabels(series.labels, &labels).ok());
      for (const auto& [name, value] : labels) {
        if (name == kMetricName) {
          known.insert(std::string(value));
        }
      }
    }
  }
  for (const std::string& name : read) {
    EXPECT_TRUE(known.contains(name)) << name;
  }
}

}  // namespace
}  // namespace weir::config
