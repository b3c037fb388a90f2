#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <ctime>
#include <map>
#include <memory>

#include "core/api/api.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "core/cli/commands.h"
#include "core/cli/status_line.h"
#include "core/runtime/process_metrics.h"
#include "core/runtime/runtime.h"

namespace weir::cli {
namespace {

constexpr int kExitStart = 1;
constexpr int kExitConfig = 2;
constexpr long kPollNs = 200000000;  // between looks at finished sources and the status line

// Signals reach the main thread alone, where it waits for them. REQUIRES: before any thread is made.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
    sigaddset(&set, number);
  }
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

void PrintError(const Status& status) { std::fprintf(stderr, "%s\n", std::string(status.message()).c_str()); }

bool ApplyLogLevel(const std::string& name) {
  const std::map<std::string, LogLevel> levels = {
      {"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warn", LogLevel::kWarn}, {"error", LogLevel::kError}};
  const auto level = levels.find(name);
  if (level == levels.end()) {
    return false;
  }
  SetLogLevel(level->second);
  return true;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    out += (out.empty() ? "" : ",") + name;
  }
  return out;
}

void WaitForTheEnd(runtime::Runtime& runtime, const sigset_t& signals) {
  StatusLine status_line;
  while (true) {
    const timespec pause{0, kPollNs};
    const int number = sigtimedwait(&signals, nullptr, &pause);
    if (number == SIGINT || number == SIGTERM) {
      LogInfo("stopping", {{"signal", number == SIGINT ? "SIGINT" : "SIGTERM"}});
      return;
    }
    if (number == SIGHUP) {
      (void)runtime.Reload();  // says itself what came of it
    }
    if (runtime.Finished()) {
      LogInfo("the sources have ended");
      return;
    }
    status_line.Update(runtime.GetFigures(), SystemClock().MonotonicNs());
  }
}

}  // namespace

int RunCommand(const RunOptions& options) {
  if (!ApplyLogLevel(options.log_level)) {
    std::fprintf(stderr, "--log-level: want debug, info, warn or error, got \"%s\"\n", options.log_level.c_str());
    return kExitConfig;
  }
  const sigset_t signals = BlockSignals();
  const runtime::SettingsOverrides overrides{options.listen, options.features};
  const auto load = [options, overrides] { return runtime::LoadSettings(options.config, overrides); };
  Result<runtime::Settings> settings = load();
  if (!settings.ok()) {
    PrintError(settings.status());
    return kExitConfig;
  }
  LogInfo("weir starts", {{"version", VersionNumber()}, {"commit", Commit()}, {"config", options.config}});
  for (const std::string& notice : settings->notices) {
    LogInfo(notice);
  }
  const std::string listen = settings->listen;
  size_t rules = 0;
  for (const rules::GroupDefinition& group : settings->rules.groups) {
    rules += group.rules.size();
  }
  MetricRegistry registry;
  registry
      .GetGauge("weir_build_info", "Always 1; the labels tell the build.",
                {{"version", VersionNumber()}, {"revision", Commit()}})
      .Set(1);
  runtime::AddProcessMetrics(registry, SystemClock().NowMs());
  runtime::Runtime runtime(std::move(*settings), load, SystemClock(), registry);
  if (const Status status = runtime.Prepare(); !status.ok()) {
    PrintError(status);
    return kExitConfig;
  }
  api::RouteApi(runtime, {{VersionNumber(), Commit(), Compiler()},
                          {{"config", options.config},
                           {"enable-feature", Joined(options.features)},
                           {"listen", listen},
                           {"log-level", options.log_level}}});
  if (const Status status = runtime.Start(); !status.ok()) {
    PrintError(status);
    runtime.Stop();
    return kExitStart;
  }
  LogInfo("ready", {{"listen", listen}, {"rules", std::to_string(rules)}});
  WaitForTheEnd(runtime, signals);
  runtime.Stop();
  LogInfo("stopped");
  return 0;
}

}  // namespace weir::cli
