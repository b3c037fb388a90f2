// lua sink: alerts and recorded samples to a receiver that is a Lua script.

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/base/files.h"
#include "core/base/http_client.h"
#include "core/base/log.h"
#include "core/plugin/http_client_options.h"
#include "plugins/sinks/lua/courier.h"

namespace weir::plugin {
namespace {

constexpr int64_t kRetryPollMs = 20;  // how exactly retries keep their time
constexpr int64_t kDrainPollMs = 5;
constexpr int64_t kCancelledGraceMs = 2000;  // how long a script may still run once its requests are cancelled

constexpr OptionRow kOwnRows[] = {
    {.name = "script",
     .type = OptionType::kPath,
     .help = "The receiver: a file that returns on_alert, on_samples or both.",
     .required = true},
    {.name = "name",
     .type = OptionType::kString,
     .help = "Name in metrics, logs and weir.receiver; the file's name without one."},
    {.name = "config", .type = OptionType::kMap, .help = "What on_start gets, as strings."},
    {.name = "queue_max",
     .type = OptionType::kInt,
     .fallback = "100000",
     .help = "Alerts and samples that wait at most; beyond, the oldest samples are dropped, then the oldest alerts."},
    {.name = "retry_for",
     .type = OptionType::kDuration,
     .fallback = "1h",
     .help = "How long a delivery is tried again."},
    {.name = "memory", .type = OptionType::kSize, .fallback = "16MiB", .help = "Memory the script may use."},
    {.name = "instructions",
     .type = OptionType::kInt,
     .fallback = "10000000",
     .help = "Instructions one call of a handler may use."},
    {.name = "wall",
     .type = OptionType::kDuration,
     .fallback = "30s",
     .help = "Time the requests of one call may take together."},
    {.name = "timeout", .type = OptionType::kDuration, .fallback = "10s", .help = "Time one request may take."},
    {.name = "egress",
     .type = OptionType::kStringList,
     .help = "Hosts (host or host:port) the script may send to; without it all but link-local and cloud-metadata "
             "addresses."},
};
constexpr auto kOptions = JoinRows(kOwnRows, kHttpClientRows);

// The real world of a script.
class ProcessServices final : public lua::Services {
 public:
  ProcessServices(const Clock* clock, std::string receiver, HttpClientOptions options)
      : clock_(clock), receiver_(std::move(receiver)), http_(std::move(options)) {
    colour_ = isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == nullptr;
  }

  const Clock& clock() override { return *clock_; }
  HttpClientResponse Http(const HttpClientRequest& request) override { return http_.Do(request); }
  void Cancel() { http_.Cancel(); }

  void Log(LogLevel level, std::string_view message,
           const std::vector<std::pair<std::string, std::string>>& fields) override {
    std::string text(message);
    for (const auto& [name, value] : fields) {
      text += " " + name + "=" + value;
    }
    weir::Log(level, text, {{"receiver", receiver_}});
  }

  void Console(std::string_view text, std::string_view style) override {
    const char* const code = style == "red"      ? "31"
                             : style == "green"  ? "32"
                             : style == "yellow" ? "33"
                             : style == "dim"    ? "2"
                                                 : "";
    std::string line(text);
    if (colour_ && code[0] != '\0') {
      line = std::string("\x1b[") + code + "m" + line + "\x1b[0m";
    }
    line += "\n";
    fwrite(line.data(), 1, line.size(), stdout);
    fflush(stdout);
  }

 private:
  const Clock* clock_;
  std::string receiver_;
  HttpClient http_;
  bool colour_;
};

class LuaSink final : public Sink {
 public:
  LuaSink(lua::CourierOptions options, HttpClientOptions http, size_t queue_max, std::string where)
      : options_(std::move(options)), http_(std::move(http)), where_(std::move(where)), queue_(queue_max) {}
  ~LuaSink() override { Drain(0); }

  Status Start(SinkHost& host) override {
    clock_ = &host.clock();
    auto source = ReadFile(options_.script.file, lua::kScriptBytesMax);
    if (!source.ok()) {
      return source.status().WithPrefix(where_ + ": sink lua: ");
    }
    options_.source = std::move(*source);
    services_ = std::make_unique<ProcessServices>(clock_, options_.script.receiver, http_);
    courier_ = std::make_unique<lua::Courier>(options_, services_.get(), &host.metrics());
    const Status started = courier_->Start();
    if (!started.ok()) {
      return started.WithPrefix(where_ + ": sink lua: ");
    }
    if (const Status http = HttpClientStatus(); !http.ok()) {  // a script need not send anything
      LogWarn(http.message(), {{"receiver", options_.script.receiver}});
    }
    thread_ = std::thread([this] { Run(); });
    return Status();
  }

  void OnSamples(const std::shared_ptr<const SampleResults>& results) override {
    if (courier_ && courier_->handles_samples() && !results->samples.empty()) {
      Add([&] { return queue_.PushSamples(results, lua::kSamplesPerCallMax); });
    }
  }
  void OnAlerts(const std::shared_ptr<const AlertBatch>& alerts) override {
    if (courier_ && courier_->handles_alerts() && !alerts->alerts.empty()) {
      Add([&] { return queue_.PushAlerts(alerts); });
    }
  }

  void Drain(int64_t timeout_ms) override {
    if (!thread_.joinable()) {
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      draining_ = true;
    }
    changed_.notify_all();
    if (!WaitFinished(timeout_ms)) {
      {
        const std::lock_guard lock(mutex_);
        courier_->CountDropped(queue_.Clear(), "shutdown");
      }
      services_->Cancel();
      WaitFinished(kCancelledGraceMs);
    }
    thread_.join();
  }

 private:
  template <typename Push>
  void Add(const Push& push) {
    {
      const std::lock_guard lock(mutex_);
      if (draining_) {
        return;
      }
      courier_->CountDropped(push(), "queue_full");
      courier_->SetQueueLength(queue_.items());
    }
    changed_.notify_all();
  }

  bool WaitFinished(int64_t timeout_ms) {
    for (int64_t waited_ms = 0; waited_ms < timeout_ms; waited_ms += kDrainPollMs) {
      {
        const std::lock_guard lock(mutex_);
        if (finished_) {
          return true;
        }
      }
      clock_->SleepMs(kDrainPollMs);
    }
    const std::lock_guard lock(mutex_);
    return finished_;
  }

  int64_t NowMs() const { return clock_->MonotonicNs() / 1000000; }

  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const bool last = draining_;
      auto delivery = queue_.Take(NowMs(), last);
      if (delivery) {
        lock.unlock();
        const auto again_ms = courier_->Deliver(&*delivery, NowMs(), last);
        lock.lock();
        if (again_ms && !queue_.PutBack(std::move(*delivery), *again_ms)) {
          courier_->CountDropped({.superseded = 1}, "");
        }
        courier_->SetQueueLength(queue_.items());
        continue;
      }
      if (draining_) {
        break;
      }
      const auto due_ms = queue_.NextDueMs();
      if (!due_ms) {
        changed_.wait(lock);
        continue;
      }
      const int64_t pause_ms = std::clamp<int64_t>(*due_ms - NowMs(), 1, kRetryPollMs);
      lock.unlock();
      clock_->SleepMs(pause_ms);
      lock.lock();
    }
    finished_ = true;
  }

  lua::CourierOptions options_;
  HttpClientOptions http_;
  std::string where_;
  const Clock* clock_ = nullptr;
  std::unique_ptr<ProcessServices> services_;
  std::unique_ptr<lua::Courier> courier_;  // Deliver on thread_ only
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  lua::DeliveryQueue queue_;  // under mutex_
  bool draining_ = false;     // under mutex_
  bool finished_ = false;     // under mutex_
};

// `lua/receivers/console.lua`: console
std::string FileStem(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.size() > 4 && name.ends_with(".lua") ? name.substr(0, name.size() - 4) : name;
}

std::unique_ptr<Sink> Make(const OptionValues& options) {
  lua::CourierOptions courier;
  courier.script.file = options.String("script");
  courier.script.receiver = options.IsSet("name") ? options.String("name") : FileStem(courier.script.file);
  courier.script.version = WEIR_VERSION;
  courier.script.config = options.Map("config");
  courier.script.memory_bytes = static_cast<size_t>(options.Int("memory"));
  courier.script.instructions = static_cast<uint64_t>(options.Int("instructions"));
  courier.script.http_timeout_ms = options.Int("timeout");
  courier.script.wall_ms = options.Int("wall");
  courier.script.egress = *lua::EgressPolicy::Create(options.List("egress"));  // checked by Validate
  courier.retry_for_ms = options.Int("retry_for");
  return std::make_unique<LuaSink>(std::move(courier), HttpClientOptionsFrom(options),
                                   static_cast<size_t>(options.Int("queue_max")), options.where);
}

Status Validate(const OptionValues& options) {
  WEIR_RETURN_IF_ERROR(CheckAtLeast(
      options, {{"queue_max", 1}, {"memory", 128 << 10}, {"instructions", 1000}, {"wall", 1}, {"timeout", 1}}));
  const auto egress = lua::EgressPolicy::Create(options.List("egress"));
  if (!egress.ok()) {
    return egress.status().WithPrefix(options.where + ": option \"egress\": ");
  }
  return CheckHttpClientOptions(options);
}

}  // namespace

extern const Plugin lua_sink;
const Plugin lua_sink = {
    .kind = PluginKind::kSink,
    .name = "lua",
    .help = "Hands alerts and recorded samples to a Lua script, sandboxed and retried.",
    .options = kOptions,
    .make_sink = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
