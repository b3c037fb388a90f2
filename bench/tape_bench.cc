// What long windows cost in RAM and on tape (window/tape.h): the same series and windows of 1 h, 6 h, 3 d and 30 d, one after the
// other, each alone in a process of its own, first with rings, then within 1/128 (window/bounded_rows.h), then with tape. Time is compressed: a sample every 15 minutes and
// a tick every 30; of predict_linear() over 6 h a sample every 15 seconds and a tick every minute, as in real rules. Prints for each window what a series takes of RAM (what the engine counts beside labels, and by RSS,
// labels and all), of disk, and what a tick costs of CPU time and at most of wall time once the window is full, and the longest time for which
// it lets no sample in. A tick here is
// evaluation and the writing of rows.
//
//   tape_bench [--series N] [--dir PATH] [--ring-series N] [--only TEXT]
//   N: 100000, rings 10000 (a ring of 30 d takes 46 kB a series); --only: windows whose text has TEXT

#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "core/base/state_directory.h"
#include "core/engine/engine.h"
#include "core/promql/parser.h"

namespace weir {
namespace {

constexpr int64_t kMinuteMs = 60000;
constexpr int64_t kScrapeMs = 15 * kMinuteMs;
constexpr int64_t kTickMs = 30 * kMinuteMs;
constexpr int64_t kDayMs = 1440 * kMinuteMs;
constexpr int kMeasured = 48;  // ticks
constexpr int64_t kStartMs = 1700000000000 / kTickMs * kTickMs;

struct Row {
  const char* expr;
  int64_t range_ms;
  int64_t scrape_ms = kScrapeMs;
  int64_t tick_ms = kTickMs;
  int64_t margin_ms = kTickMs;
};
constexpr Row kRows[] = {
    {"increase(c_total[1h])", 60 * kMinuteMs},
    {"increase(c_total[6h])", 360 * kMinuteMs},
    {"increase(c_total[3d])", 3 * kDayMs},
    {"increase(c_total[30d])", 30 * kDayMs},
    {"sum_over_time(c_total[3d])", 3 * kDayMs},
    {"sum_over_time(c_total[30d])", 30 * kDayMs},
    {"predict_linear(c_total[6h], 86400)", 360 * kMinuteMs, 15000, kMinuteMs, 10 * kMinuteMs},
    {"predict_linear(c_total[30d], 86400)", 30 * kDayMs},
    {"stddev_over_time(c_total[30d])", 30 * kDayMs},
    {"changes(c_total[30d])", 30 * kDayMs},
    {"avg_over_time((c_total * 2)[30d:1h])", 30 * kDayMs},
};

enum class Form : unsigned char { kRing, kBounded, kTape };
constexpr const char* kForms[] = {"ring", "thinned", "tape"};

// Runs in a process of its own and prints a line of the table.
int Measure(const Row& row, int series, Form form, const std::string& directory) {
  engine::Options options;
  options.tape_margin_ms = row.margin_ms;
  if (form == Form::kTape) {
    auto state = StateDirectory::Open(directory);
    if (!state.ok()) {
      std::fprintf(stderr, "%s\n", std::string(state.status().message()).c_str());
      return 1;
    }
    options.state = *state;
    options.tape_after_ms = 60 * kMinuteMs;
  }
  engine::Engine engine(options);
  promql::ParseOutcome parsed = promql::ParseExpr(row.expr, promql::ParserOptions::All());
  engine::Grid grid;
  grid.interval_ms = row.tick_ms;
  constexpr double kMaxError = 1.0 / 128;
  grid.max_error = form == Form::kBounded ? kMaxError : 0;
  const auto plan = engine.AddPlan(*parsed.expr, grid);
  if (!plan.ok()) {
    return 1;
  }
  std::vector<engine::SeriesId> ids;
  for (int i = 0; i < series; ++i) {
    ids.push_back(engine.Intern(engine.labels().InternSet(
        {{"__name__", "c_total"}, {"instance", "host-" + std::to_string(i) + ":9100"}, {"job", "node"}})));
  }
  const auto ticks = static_cast<int>(row.range_ms / row.tick_ms) + 4 + kMeasured;
  double cpu = 0;
  double longest = 0;
  size_t present = 0;
  double yielded = 0;
  double yielded_wall = 0;
  double longest_gap = 0;
  std::vector<double> gaps;  // between yields, of ticks with a full window
  bool measured = false;
  engine.SetYield([&] {
    // CPU time: what other processes take is not the tick's. Wall time has the waits for files, too.
    const double now = bench::ClockMs(CLOCK_THREAD_CPUTIME_ID);
    const double wall = bench::ClockMs(CLOCK_MONOTONIC);
    if (measured) {
      gaps.push_back(now - yielded);
      longest_gap = std::max(longest_gap, wall - yielded_wall);
    }
    yielded = now;
    yielded_wall = wall;
  });
  for (int k = 1; k <= ticks; ++k) {
    const int64_t t = kStartMs + k * row.tick_ms;
    for (int64_t at = t - row.tick_ms + row.scrape_ms; at <= t; at += row.scrape_ms) {
      for (size_t i = 0; i < ids.size(); ++i) {
        engine.Append(ids[i], at - 1000, static_cast<double>(at) / 1000 + static_cast<double>(i));
      }
    }
    const double cpu_before = bench::ClockMs(CLOCK_PROCESS_CPUTIME_ID) / 1e3;
    const double wall_before = bench::ClockMs(CLOCK_MONOTONIC) / 1e3;
    measured = k > ticks - kMeasured;
    yielded = bench::ClockMs(CLOCK_THREAD_CPUTIME_ID);
    yielded_wall = wall_before * 1e3;
    engine.BeginYielding();
    const engine::Evaluation result = engine.Evaluate(*plan, t);
    if (!result.status.ok()) {
      std::fprintf(stderr, "%s\n", std::string(result.status.message()).c_str());
      return 1;
    }
    present = 0;
    for (size_t slot = 0; slot < result.vector.size(); ++slot) {
      present += result.vector.present(slot) ? 1 : 0;
    }
    engine.Release(t);
    engine.EndYielding();
    if (k > ticks - kMeasured) {
      cpu += bench::ClockMs(CLOCK_PROCESS_CPUTIME_ID) / 1e3 - cpu_before;
      longest = std::max(longest, bench::ClockMs(CLOCK_MONOTONIC) / 1e3 - wall_before);
    }
  }
  if (present != ids.size()) {
    std::fprintf(stderr, "%s: %zu of %zu series have a result\n", row.expr, present, ids.size());
    return 1;
  }
  const engine::SeriesStats stats = engine.Stats();
  const auto each = [&](double bytes) { return bytes / series; };
  std::sort(gaps.begin(), gaps.end());
  std::printf("| `%s` | %s | %d | %.0f | %.0f | %.0f | %.1f | %.1f | %.2f | %.2f | %.2f |\n", row.expr,
              kForms[static_cast<int>(form)], series,
              each(static_cast<double>(stats.window_bytes + stats.tape_bytes + stats.node_bytes)),
              each(bench::ResidentBytes()), each(static_cast<double>(stats.tape_disk_bytes)),
              cpu / kMeasured / series * 1e9, longest * 1e3, gaps[gaps.size() - 1 - gaps.size() / 1000], gaps.back(),
              longest_gap);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  int series = 100000;
  int ring_series = 10000;
  std::string directory = "/tmp/weir-tape-bench";
  std::string only;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--series") == 0) {
      series = static_cast<int>(std::strtol(argv[i + 1], nullptr, 10));
    } else if (std::strcmp(argv[i], "--ring-series") == 0) {
      ring_series = static_cast<int>(std::strtol(argv[i + 1], nullptr, 10));
    } else if (std::strcmp(argv[i], "--dir") == 0) {
      directory = argv[i + 1];
    } else if (std::strcmp(argv[i], "--only") == 0) {
      only = argv[i + 1];
    }
  }
  std::printf(
      "| window | kept in | series | RAM B/series | RSS B/series | disk B/series | tick ns/series | longest tick ms "
      "| between yields p99.9 CPU ms | longest CPU ms | longest wall ms |\n");
  std::printf("|---|---|---|---|---|---|---|---|---|---|---|\n");
  int failed = 0;
  for (const weir::Form form : {weir::Form::kRing, weir::Form::kBounded, weir::Form::kTape}) {
    for (const weir::Row& row : weir::kRows) {
      if (form == weir::Form::kBounded && std::strstr(row.expr, "increase") == nullptr) {
        continue;  // exact there, too
      }
      if (std::strstr(row.expr, only.c_str()) == nullptr) {
        continue;
      }
      std::fflush(stdout);
      const pid_t child = ::fork();
      if (child == 0) {
        const int code = weir::Measure(row, form == weir::Form::kTape ? series : ring_series, form, directory);
        std::fflush(stdout);
        ::_exit(code);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      failed += status == 0 ? 0 : 1;
    }
  }
  return failed;
}
