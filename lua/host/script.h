#pragma once
// A receiver's script: loaded, checked and started once, then called for every delivery. The script is text that
// returns a table of handlers: on_start(config), on_alert(alert), on_samples(batch). Handlers answer "ok", "retry",
// why, after_s or "drop", why. Whatever a script does ends in an Outcome within its budgets. Confined to one thread.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/plugin/plugin.h"
#include "lua/host/egress.h"
#include "lua/host/services.h"

namespace weir::lua {

inline constexpr size_t kScriptBytesMax = 256 << 10;
inline constexpr size_t kSamplesPerCallMax = 1000;

struct ScriptOptions {
  std::string file;                           // as the user wrote it, for messages
  std::string receiver;                       // weir.receiver
  std::string version;                        // weir.version
  std::map<std::string, std::string> config;  // what on_start gets
  size_t memory_bytes = 16 << 20;
  uint64_t instructions = 10000000;  // of one handler call
  int64_t http_timeout_ms = 10000;
  int64_t wall_ms = 30000;  // of one handler call, bounds its requests
  EgressPolicy egress;
};

struct Delivery {
  std::string id;  // the same for every attempt
  int attempt = 1;
};

enum class OutcomeKind : unsigned char { kOk, kRetry, kDrop, kScriptError, kLimit };

struct Outcome {
  OutcomeKind kind = OutcomeKind::kOk;
  std::string why;
  double after_s = 0;     // kRetry: not before
  bool memory = false;    // kLimit: the memory limit; make a new Script, its tables may be half written
  std::string traceback;  // kScriptError, kLimit
};

class Script {
 public:
  // Loads and runs the chunk, checks its handlers and calls on_start. `services` outlives the script. ERRORS: kInvalid,
  // `FILE: …` or `FILE:LINE: …` as Lua says it; kLimit when a budget ran out.
  static Result<std::unique_ptr<Script>> Load(std::string_view source, const ScriptOptions& options,
                                              Services* services);
  ~Script();

  bool handles_alerts() const;
  bool handles_samples() const;

  Outcome OnAlert(const plugin::Alert& alert, const Delivery& delivery);
  // Delivers samples first … first+count-1 of one tick. REQUIRES: count <= kSamplesPerCallMax.
  Outcome OnSamples(const plugin::SampleResults& results, size_t first, size_t count, const Delivery& delivery);

  size_t memory_bytes() const;
  uint64_t log_lines_dropped() const;

  // Runs a chunk without handlers and returns what it returns, as JSON: for tables of test cases.
  static Result<std::string> EvaluateToJson(std::string_view source, const ScriptOptions& options, Services* services);

 private:
  struct Impl;
  explicit Script(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

std::string_view OutcomeName(OutcomeKind kind);

}  // namespace weir::lua
