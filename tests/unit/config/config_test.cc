#include "core/config/config.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/config/rows.h"
#include "tests/unit/config/test_plugins.h"

namespace weir::config {
namespace {

ConfigOutcome Load(const std::string& text, const std::string& path = "tests/weir.yml") {
  return ParseConfig(path, text, TestPlugins(), TestEnvironment());
}

TEST(Config, FeaturesComeFromTheFileAndFromTheCommandLine) {
  const auto with = [](const std::string& text, std::vector<std::string> features) {
    return ParseConfig("w.yml", text, TestPlugins(), TestEnvironment(), features);
  };
  const auto both = with("features: [use-start-timestamps]\n", {"type-and-unit-labels"});
  ASSERT_TRUE(both.ok());
  EXPECT_TRUE(both.config.use_start_timestamps);
  EXPECT_TRUE(both.config.type_and_unit_labels);
  EXPECT_EQ(with("", {"type-and-unit-label"}).errors,
            std::vector<std::string>{"--enable-feature: unknown feature \"type-and-unit-label\"; did you mean "
                                     "\"type-and-unit-labels\"?"});
}

TEST(Config, DefaultsAreThoseOfTheRows) {
  const auto out = Load("");
  ASSERT_EQ(out.errors, std::vector<std::string>());
  const Config& c = out.config;
  const Config plain;
  EXPECT_EQ(c.listen, plain.listen);
  EXPECT_EQ(c.evaluation_interval_ms, plain.evaluation_interval_ms);
  EXPECT_EQ(c.evaluation.lookback_ms, plain.evaluation.lookback_ms);
  EXPECT_EQ(c.evaluation.resend_delay_ms, plain.evaluation.resend_delay_ms);
  EXPECT_EQ(c.evaluation.lateness_ms, std::nullopt);
  EXPECT_EQ(c.evaluation.phase, Phase::kAligned);
  EXPECT_EQ(c.limits.series, plain.limits.series);
  EXPECT_EQ(c.limits.body_bytes, plain.limits.body_bytes);
  EXPECT_EQ(c.limits.series_labels, plain.limits.series_labels);
  EXPECT_EQ(c.limits.label_name_bytes, plain.limits.label_name_bytes);
  EXPECT_EQ(c.limits.label_value_bytes, plain.limits.label_value_bytes);
  EXPECT_EQ(c.limits.queue_batches, plain.limits.queue_batches);
  EXPECT_EQ(c.limits.future_ms, plain.limits.future_ms);
  EXPECT_EQ(c.state_dir, "");
  ASSERT_EQ(c.sources.size(), 1u);
  EXPECT_EQ(c.sources[0].plugin->name, "remote_write");
  EXPECT_TRUE(c.sinks.empty());
}

TEST(Config, QueueDefaultsAreThoseOfTheRows) {
  const auto out = Load("remote_write: [{url: http://a/, queue_config: {}}, {url: http://b/}]");
  ASSERT_EQ(out.errors, std::vector<std::string>());
  const RemoteWrite& rows = out.config.remote_write[0];
  const RemoteWrite& plain = out.config.remote_write[1];
  EXPECT_EQ(rows.capacity, plain.capacity);
  EXPECT_EQ(rows.samples_per_send, plain.samples_per_send);
  EXPECT_EQ(rows.send_deadline_ms, plain.send_deadline_ms);
  EXPECT_EQ(rows.min_backoff_ms, plain.min_backoff_ms);
  EXPECT_EQ(rows.max_backoff_ms, plain.max_backoff_ms);
  EXPECT_EQ(rows.retry_on_429, plain.retry_on_429);
  EXPECT_EQ(rows.sample_age_max_ms, plain.sample_age_max_ms);
  EXPECT_EQ(rows.timeout_ms, 30000);
}

TEST(Config, ReadsEverySection) {
  const auto out = Load(R"(
global:
  scrape_interval: 15s
  evaluation_interval: 30s
  rule_query_offset: 5s
  external_labels: {region: "${REGION}-1", cost: "$$5 ${NOT_SET}|$REGION"}
rule_files: [rules/*.yml, /etc/rules.yml]
remote_write:
  - url: http://localhost:9090/api/v1/write
    name: back
    remote_timeout: 7s
    headers: {X-Scope-OrgID: me}
    authorization: {type: Token, credentials: "a${PASSWORD}$b"}
    queue_config: {capacity: 10, retry_on_http_429: true}
    write_relabel_configs: [{source_labels: [__name__], regex: up, action: drop}]
external_url: https://weir.example/x/
evaluation: {phase: prometheus, lateness: 2s, rule_file_prefix: /etc/prometheus}
features: [promql-experimental-functions, promql-delayed-name-removal]
sources: [{kafka: {brokers: ["k:9092"], topics: [m], sasl_password_file: unit/config/data/secret.txt,
                    rdkafka: {sasl.password: "${PASSWORD}", client.id: "${PASSWORD}"}}}]
sinks: [{file: {path: out.jsonl}}]
state: {dir: data/}
limits: {series: 10, body_bytes: 1MiB}
overrides: [{alert: A, mode: eager}]
)");
  ASSERT_EQ(out.errors, std::vector<std::string>());
  const Config& c = out.config;
  EXPECT_EQ(c.evaluation_interval_ms, 30000);
  EXPECT_EQ(c.rule_query_offset_ms, 5000);
  EXPECT_EQ(c.external_labels.ToString(), R"({cost="$5 |eu", region="eu-1"})");
  ASSERT_EQ(c.warnings.size(), 1u);
  EXPECT_EQ(c.warnings[0], "tests/weir.yml:6:50: environment variable \"NOT_SET\" is empty");
  EXPECT_EQ(c.rule_patterns, (std::vector<std::string>{"tests/rules/*.yml", "/etc/rules.yml"}));
  const RemoteWrite& write = c.remote_write.at(0);
  EXPECT_EQ(write.name, "back");
  EXPECT_EQ(write.timeout_ms, 7000);
  EXPECT_EQ(write.headers.at(0).second, "me");
  EXPECT_EQ(write.access.headers.at(0).second, "Token ahunter2$b");
  EXPECT_EQ(write.capacity, 10);
  EXPECT_TRUE(write.retry_on_429);
  EXPECT_FALSE(write.relabel.Process({{"__name__", "up"}}).has_value());
  EXPECT_EQ(c.external_url, "https://weir.example/x");
  EXPECT_EQ(c.evaluation.phase, Phase::kPrometheus);
  EXPECT_EQ(c.evaluation.lateness_ms, 2000);
  EXPECT_TRUE(c.parser.experimental_functions);
  EXPECT_FALSE(c.parser.binop_fill_modifiers);
  EXPECT_TRUE(c.delayed_name_removal);
  EXPECT_EQ(c.sources.at(0).options.String("sasl_password"), "from a file");
  EXPECT_EQ(c.sources.at(0).options.where, "tests/weir.yml:19:12");
  EXPECT_EQ(c.sources.at(0).options.Map("rdkafka").at("sasl.password"), "hunter2");
  EXPECT_EQ(c.sources.at(0).options.Map("rdkafka").at("client.id"), "${PASSWORD}");  // not the name of a secret
  EXPECT_EQ(c.sinks.at(0).options.String("path"), "tests/out.jsonl");
  EXPECT_EQ(c.state_dir, "tests/data");
  EXPECT_EQ(c.limits.body_bytes, 1 << 20);
  EXPECT_EQ(c.overrides.at(0).mode, "eager");
  EXPECT_EQ(c.redacted_yaml.find("hunter2"), std::string::npos);
  EXPECT_EQ(c.redacted_yaml.find("a${PASSWORD}"), std::string::npos);
}

TEST(Config, AlertmanagersAreOnePerTarget) {
  const auto out = Load(R"(
alerting:
  alert_relabel_configs: [{regex: replica, action: labeldrop}]
  alertmanagers:
    - scheme: https
      path_prefix: am/
      basic_auth: {username: u, password_file: unit/config/data/secret.txt}
      tls_config: {ca_file: ca.pem, server_name: am}
      static_configs: [{targets: [a:9093, b:9093, c:9093], labels: {dc: x}}]
      relabel_configs:
        - {source_labels: [__address__], regex: "c:.*", action: drop}
        - {source_labels: [__address__, dc], regex: "b:9093;x", target_label: __address__, replacement: "b2:80"}
      alert_relabel_configs: [{source_labels: [severity], regex: info, action: drop}]
    - static_configs: [{targets: ["d:9093"]}]
)");
  ASSERT_EQ(out.errors, std::vector<std::string>());
  const auto& managers = out.config.alerting.alertmanagers;
  ASSERT_EQ(managers.size(), 3u);
  EXPECT_EQ(managers[0].url, "https://a:9093/am/api/v2/alerts");
  EXPECT_EQ(managers[1].url, "https://b2:80/am/api/v2/alerts");
  EXPECT_EQ(managers[2].url, "http://d:9093/api/v2/alerts");
  EXPECT_EQ(managers[0].access.client.basic_user, "u");
  EXPECT_EQ(managers[0].access.client.basic_password, "from a file");
  EXPECT_EQ(managers[0].access.client.ca_file, "tests/ca.pem");
  EXPECT_FALSE(managers[0].alert_relabel.Process({{"severity", "info"}}).has_value());
  EXPECT_TRUE(managers[2].alert_relabel.empty());
  EXPECT_EQ(out.config.alerting.relabel.Process({{"replica", "1"}, {"a", "b"}})->ToString(), R"({a="b"})");
}

TEST(Config, WhatDoesNotApplyIsListedOnce) {
  const auto out = Load(R"(
scrape_configs: [{job_name: a, anything: goes}]
storage: {tsdb: {out_of_order_time_window: 30m}}
global: {scrape_timeout: 10s}
remote_write:
  - {url: http://a/, send_exemplars: true}
  - {url: http://b/, send_exemplars: true, queue_config: {max_shards: 4}}
alerting: {alertmanagers: [{kubernetes_sd_configs: [{role: pod}]}]}
features: [native-histograms]
overrides: [{group: g, precision: exact, no_data: keep, mode: eager}]
)");
  ASSERT_EQ(out.errors, std::vector<std::string>());
  std::string keys;
  for (const NotApplied& n : out.config.not_applied) {
    keys += n.key + " " + n.where + "\n";
  }
  EXPECT_EQ(keys,
            "alerting.alertmanagers.kubernetes_sd_configs tests/weir.yml:8:29\n"
            "features.native-histograms tests/weir.yml:9:11\n"
            "global.scrape_timeout tests/weir.yml:4:10\n"
            "overrides.no_data tests/weir.yml:10:13\n"
            "queue_config.max_shards tests/weir.yml:7:59\n"
            "remote_write.send_exemplars tests/weir.yml:6:22\n"
            "scrape_configs tests/weir.yml:2:1\n"
            "storage tests/weir.yml:3:1\n");
}

TEST(Config, SecretsNeverReachMessages) {
  const auto out = Load(
      "remote_write: [{url: http://a/, basic_auth: {password: [hunter2]}, authorization: {credentials: {a: "
      "hunter2}}}]");
  EXPECT_FALSE(out.ok());
  for (const std::string& error : out.errors) {
    EXPECT_EQ(error.find("hunter2"), std::string::npos) << error;
  }
}

TEST(Config, AFileThatIsNotThereIsNamed) {
  const auto out = LoadConfig("does/not/exist.yml", TestPlugins());
  ASSERT_EQ(out.errors.size(), 1u);
  EXPECT_NE(out.errors[0].find("does/not/exist.yml"), std::string::npos);
}

TEST(Config, RuleFilesAreFoundOnceAndMissingPatternsAreWarnings) {
  const auto out =
      Load("rule_files: [data/*.rules.yml, data/one.rules.yml, data/none*.yml]", "tests/unit/config/weir.yml");
  ASSERT_TRUE(out.ok());
  const RuleFilesOutcome rules = LoadRuleFiles(out.config);
  EXPECT_EQ(rules.errors, std::vector<std::string>());
  ASSERT_EQ(rules.files.size(), 2u);
  EXPECT_EQ(rules.files[0].path, "tests/unit/config/data/one.rules.yml");
  EXPECT_EQ(rules.files[1].path, "tests/unit/config/data/two.rules.yml");
  ASSERT_EQ(rules.warnings.size(), 1u);
  EXPECT_EQ(rules.warnings[0], "rule_files: no file matches \"tests/unit/config/data/none*.yml\"");
}

TEST(Config, EveryRowIsInTheDocument) {
  const std::string document = GenerateConfigurationMarkdown(TestPlugins());
  for (const Section* section : Sections()) {
    EXPECT_NE(document.find("## " + std::string(section->name) + "\n"), std::string::npos) << section->name;
    for (const plugin::OptionRow& row : section->rows) {
      EXPECT_NE(document.find("| `" + std::string(row.name) + "` |"), std::string::npos) << row.name;
      EXPECT_FALSE(row.help.empty()) << row.name;
      EXPECT_EQ(row.help.back(), '.') << row.name;
    }
  }
  EXPECT_NE(document.find("| `start` | `window`, `earliest`, `latest` | `window` | Where to begin. |"),
            std::string::npos);
  EXPECT_NE(document.find("| `brokers` | list of strings | required |"), std::string::npos);
}

TEST(Environment, OfTheProcess) {
  ASSERT_EQ(setenv("WEIR_CONFIG_TEST", "value", 1), 0);
  EXPECT_EQ(ProcessEnvironment()("WEIR_CONFIG_TEST"), "value");
  EXPECT_EQ(ProcessEnvironment()("WEIR_CONFIG_TEST_NOT_SET"), std::nullopt);
}

}  // namespace
}  // namespace weir::config
