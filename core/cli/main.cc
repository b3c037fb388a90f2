// The weir program: subcommands and their help.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/cli/commands.h"

namespace weir::cli {
namespace {

constexpr const char* kAbout =
    "weir evaluates Prometheus recording and alerting rules on the stream: samples come in by\n"
    "remote write, Kafka or a recorded file, recorded series and alerts go out, no database behind it.";

constexpr const char* kExamples =
    "Examples:\n"
    "  weir run --config configs/quickstart.yml      a simulated GPU fleet, alerts on the console\n"
    "  weir run --config prometheus.yml              your own configuration of Prometheus works\n"
    "  weir check weir.yml rules/*.yml               what is wrong, where, and what to write instead\n"
    "  weir test tests/promql                        conformance scripts, evaluated by streaming\n"
    "  weir explain configs/rules/gpu.rules.yml      what a rule keeps and what it costs\n"
    "\n"
    "Help on a command: weir COMMAND --help. All options of weir.yml: docs/CONFIGURATION.md.";

void AddRun(CLI::App& app, RunOptions* options) {
  CLI::App* run = app.add_subcommand("run", "Runs weir until SIGTERM or SIGINT.");
  run->add_option("-c,--config", options->config, "The configuration, weir.yml or prometheus.yml.")
      ->capture_default_str();
  run->add_option("--listen", options->listen,
                  "HOST:PORT to serve remote write, API and metrics on; over the file's `listen`.");
  run->add_option("--enable-feature", options->features,
                  "Features by Prometheus's names, with commas or repeated; besides the file's `features`.")
      ->delimiter(',');
  run->add_option("--log-level", options->log_level, "debug, info, warn or error.")->capture_default_str();
  run->footer(
      "Signals:\n"
      "  SIGHUP            reads configuration and rules again; a bad file changes nothing and says why\n"
      "                    (also: curl -X POST http://127.0.0.1:9797/-/reload)\n"
      "  SIGTERM, SIGINT   sources stop, what is queued is evaluated, sinks send what they hold; exit 0\n"
      "\n"
      "Exit status:\n"
      "  0   ended in order      1   something could not start, e.g. the port is taken\n"
      "  2   the configuration or a rule is wrong; nothing has listened\n"
      "\n"
      "Examples:\n"
      "  weir run --config configs/quickstart.yml\n"
      "  weir run --config /etc/weir/weir.yml --listen 0.0.0.0:9797 --log-level warn");
}

void AddCheck(CLI::App& app, std::vector<std::string>* files) {
  CLI::App* check = app.add_subcommand("check", "Checks configurations and rule files without starting anything.");
  check->add_option("FILE", *files, "weir.yml, prometheus.yml, rule files, PrometheusRule resources, ConfigMaps.")
      ->required();
  check->footer(
      "A configuration is checked with the rule files that it names. Every problem is one line,\n"
      "FILE:LINE:COL: what is wrong, what was found, what to write instead.\n"
      "\n"
      "Lines that begin with `note:` are no errors. They tell\n"
      "  of settings of Prometheus that weir does not apply, and patterns that match no file;\n"
      "  of rules that read past their evaluation time (offset -1m, smoothed) or at a fixed one (@ TIME):\n"
      "    what has arrived by the tick is what they see, and results once sent are not taken back;\n"
      "  of rate() and increase() of metrics whose names do not look like counters'.\n"
      "\n"
      "Exit status: 0 when all files are fine, 1 otherwise.\n"
      "\n"
      "Example:\n"
      "  weir check weir.yml rules/*.yml");
}

void AddTest(CLI::App& app, TestOptions* options) {
  CLI::App* test = app.add_subcommand("test", "Runs promqltest scripts, evaluating every expression by streaming.");
  test->add_option("PATH", options->paths, "Scripts, or directories of .test files.")->required();
  test->add_flag("--one-by-one", options->one_by_one, "An engine of its own for every eval: nothing is shared.");
  test->add_flag("--unsupported", options->show_unsupported, "Also name the evals that were not run, and why.");
  test->footer(
      "Each `eval` is planned as a rule, the loaded samples are fed in time order, and the tick at its\n"
      "time must give the expected result. The last line is\n"
      "  passed N, failed N, unsupported N, undecidable N\n"
      "where undecidable evals need samples after their own time.\n"
      "\n"
      "Exit status: 0 when nothing failed, 1 otherwise.");
}

void AddExplain(CLI::App& app, ExplainOptions* options) {
  CLI::App* explain =
      app.add_subcommand("explain", "Prints what each rule keeps, what it costs and how it is evaluated.");
  explain->add_option("FILE|EXPR", options->subject, "A configuration, a rule file, or one PromQL expression.")
      ->required();
  explain->add_option("--rule", options->rule, "Of a file only the rules that record, or alert under, this name.");
  explain
      ->add_option("--scrape-interval", options->scrape_interval, "How often a series has a sample, for the figures.")
      ->capture_default_str();
  explain
      ->add_option("--interval", options->interval, "How often an EXPR is evaluated; rules have that of their group.")
      ->capture_default_str();
  explain->footer(
      "For each rule three things are printed.\n"
      "\n"
      "The tree: one line a node, with the work that it does at a tick. Equal parts of any rules\n"
      "are one node; the line names the rules that share it (and thereby all that is below it).\n"
      "\n"
      "The windows: what is kept of each series for every selector and subquery.\n"
      "  keeps       edges of panes, dense (every sample up to 512, then panes), or every sample;\n"
      "              a pane is the time between two instants at which some window starts or ends\n"
      "  codec       how a sample is stored\n"
      "  a series    bytes at most as a formula, and as a figure for --scrape-interval; for this window\n"
      "              alone, floats, no late tick; what a ring holds in reserve is in the figure, what\n"
      "              panes hold (three times as much at most, or 99 panes) is not\n"
      "  exact       whether values equal Prometheus's bit for bit, or the bound\n"
      "  bounded     of what cannot be incremental: how many samples are kept, and the limit\n"
      "  histograms  the same of native histograms, where they are kept otherwise than floats\n"
      "  a sample    the work when a sample arrives\n"
      "  a tick      the work when the rule is evaluated, and how it grows; native histograms cost\n"
      "              besides their buckets for every record that is looked at\n"
      "  also for    other rules that read the same series\n"
      "\n"
      "The Kafka key: by which labels a topic must be partitioned so that every partition can\n"
      "evaluate the rule by itself; of series that rules of the file record, how they are made counts.\n"
      "\n"
      "Exit status: 0, or 1 when FILE|EXPR has errors or no such rule.\n"
      "\n"
      "Examples:\n"
      "  weir explain configs/rules/training.rules.yml --rule job:training_samples:rate1m\n"
      "  weir explain --scrape-interval 1s 'avg by (job) (avg_over_time(temp[1h]))'");
}

int Main(int argc, char** argv) {
  CLI::App app(kAbout, "weir");
  app.set_version_flag("-V,--version", [] { return VersionText(); });
  app.footer(kExamples);
  app.require_subcommand(1);
  RunOptions run;
  TestOptions test;
  std::vector<std::string> files;
  ExplainOptions explain;
  std::string docs_output;
  AddRun(app, &run);
  AddCheck(app, &files);
  AddTest(app, &test);
  AddExplain(app, &explain);
  CLI::App* docs = app.add_subcommand("config-docs", "Writes docs/CONFIGURATION.md from the option rows.");
  docs->add_option("-o,--output", docs_output, "File to write; standard output without it.");
  CLI::App* functions = app.add_subcommand("function-docs", "Writes docs/FUNCTIONS.md from the function table.");
  functions->add_option("-o,--output", docs_output, "File to write; standard output without it.");
  app.add_subcommand("version", "Prints version, commit, libraries and plug-ins.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  const CLI::App* chosen = app.get_subcommands().front();
  const std::string name = chosen->get_name();
  if (name == "run") {
    return RunCommand(run);
  }
  if (name == "check") {
    return CheckCommand(files);
  }
  if (name == "test") {
    return TestCommand(test);
  }
  if (name == "explain") {
    return ExplainCommand(explain);
  }
  if (name == "config-docs") {
    return ConfigDocsCommand(docs_output);
  }
  if (name == "function-docs") {
    return FunctionDocsCommand(docs_output);
  }
  std::fputs(VersionText().c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace weir::cli

int main(int argc, char** argv) { return weir::cli::Main(argc, argv); }
