// Runs conformance scripts: conformance EVALUATOR [--skips] PATH… where EVALUATOR is naive, naive-exact (folds do not round) or a mode of streaming: streaming (all
// evals of a segment in one engine), one-by-one, shuffled, delayed, reloaded, sharded or yielding (core/promqltest/streaming.h), or
// `taped-` and such a mode: every window that can be is on tape, or `eager-` and streaming, one-by-one, delayed or reloaded: every
// eval is an eager alert's expression, too (core/promqltest/eager_check.h). Of the taped modes an eval that differs from what is
// expected passes, and is counted, when it is what comes out without rounding. A PATH is a script or a folder of *.test files. WEIR_SEED is the
// seed of shuffled; unset, a fresh one is drawn and printed.
// Exit status: 0 when nothing failed, 1 when something did, 2 when a script cannot be read, 77 when a path does not exist
// (ctest: skipped).
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>
#include <string_view>
#include <utility>

#include "core/promqltest/runner.h"
#ifdef WEIR_HAVE_ENGINE
#include "core/base/state_directory.h"
#include "core/promqltest/eager_check.h"
#include "core/promqltest/streaming.h"
#include "tests/support/temporary_state.h"
#endif
#include "tests/differential/naive_script_evaluator.h"

namespace {

constexpr int kExitSkipped = 77;

#ifdef WEIR_HAVE_ENGINE
using weir::promqltest::EagerCounts;

uint64_t PrintedSeed() {
  const char* given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "WEIR_SEED=" << seed << "\n";
  return seed;
}
#else
struct EagerCounts {};
#endif

std::unique_ptr<weir::promqltest::Evaluator> MakeEvaluator(std::string name, [[maybe_unused]] EagerCounts* counts) {
  using weir::promqltest::Evaluator;
  if (name == "naive" || name == "naive-exact") {
    return std::make_unique<weir::naive::ScriptEvaluator>(name == "naive-exact");
  }
#ifdef WEIR_HAVE_ENGINE
  using weir::promqltest::StreamingEvaluator;
  using weir::promqltest::StreamingMode;
  static constexpr std::pair<std::string_view, StreamingMode> kModes[] = {
      {"streaming", StreamingMode::kTogether}, {"one-by-one", StreamingMode::kOneByOne},
      {"shuffled", StreamingMode::kShuffled},  {"delayed", StreamingMode::kDelayed},
      {"reloaded", StreamingMode::kReloaded},  {"yielding", StreamingMode::kYielding},
      {"sharded", StreamingMode::kSharded},
  };
  constexpr std::string_view kTaped = "taped-";
  std::shared_ptr<weir::StateDirectory> tape;
  if (name.starts_with(kTaped)) {
    static const weir::test::TemporaryState state;
    tape = state.directory();
    name.erase(0, kTaped.size());
  }
  constexpr std::string_view kEager = "eager-";
  const bool eager = name.starts_with(kEager);
  name.erase(0, eager ? kEager.size() : 0);
  for (const auto& [mode_name, mode] : kModes) {
    if (name == mode_name && (!eager || StreamingEvaluator::MayBeEager(mode))) {
      return std::make_unique<StreamingEvaluator>(mode, mode == StreamingMode::kShuffled ? PrintedSeed() : 0, tape,
                                                  eager ? counts : nullptr);
    }
  }
#endif
  return nullptr;
}

std::vector<std::filesystem::path> Scripts(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> out;
  if (!std::filesystem::is_directory(path)) {
    return {path};
  }
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".test") {
      out.push_back(entry.path());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  EagerCounts eager;
  std::unique_ptr<weir::promqltest::Evaluator> evaluator = argc > 2 ? MakeEvaluator(argv[1], &eager) : nullptr;
  if (!evaluator) {
    std::cerr << "usage: conformance "
                 "naive|naive-exact|[taped-][eager-]streaming|one-by-one|shuffled|delayed|reloaded|sharded|yielding "
                 "[--skips] PATH...\n";
    return 2;
  }
  // Windows on tape fold in more digits than Prometheus does.
  weir::naive::ScriptEvaluator exact(true);
  const bool taped = std::string_view(argv[1]).starts_with("taped-");
  weir::promqltest::ScriptRunner runner(evaluator.get(), taped ? &exact : nullptr);
  bool skips = false;
  bool unreadable = false;
  for (int i = 2; i < argc; ++i) {
    if (std::string(argv[i]) == "--skips") {
      skips = true;
      continue;
    }
    if (!std::filesystem::exists(argv[i])) {
      std::cout << "SKIPPED: no conformance scripts at " << argv[i] << "\n";
      return kExitSkipped;
    }
    for (const std::filesystem::path& path : Scripts(argv[i])) {
      std::ifstream in(path);
      std::stringstream text;
      text << in.rdbuf();
      weir::promqltest::Counts before = runner.counts();
      weir::Status status = runner.Run(text.str(), path.filename().string());
      if (!status.ok()) {
        std::cout << status.message() << "\n";
        unreadable = true;
        continue;
      }
      const weir::promqltest::Counts& c = runner.counts();
      std::cout << path.filename().string() << ": passed " << c.passed - before.passed << ", failed "
                << c.failed - before.failed << ", unsupported " << c.unsupported - before.unsupported
                << ", undecidable " << c.undecidable - before.undecidable << "\n";
    }
  }
  runner.Finish();
  for (const weir::promqltest::Failure& f : runner.failures()) {
    std::cout << f.file << ":" << f.line << ": " << f.expr << "\n    " << f.detail << "\n";
  }
  for (const weir::promqltest::Failure& f : runner.decided_by_rounding()) {
    std::cout << "decided by a rounding, not counted: " << f.file << ":" << f.line << ": " << f.expr << "\n    "
              << f.detail << "\n";
  }
  for (size_t i = 0; skips && i < runner.skips().size(); ++i) {
    std::cout << runner.skips()[i] << "\n";
  }
  std::cout << runner.Summary() << "\n";
#ifdef WEIR_HAVE_ENGINE
  if (eager.plans > 0) {
    std::cout << eager.ToString() << "\n";
  }
#endif
  return unreadable ? 2 : runner.counts().failed > 0 ? 1 : 0;
}
