// file sink: recorded samples and alerts as JSON lines in a file.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "core/base/log.h"
#include "plugins/sinks/file/json_lines.h"
#include "plugins/sinks/file/line_writer.h"

namespace weir::plugin {
namespace {

constexpr int64_t kBackoffFirstMs = 1000;
constexpr int64_t kBackoffMaxMs = 30000;
constexpr int64_t kPollMs = 5;

constexpr OptionRow kOptions[] = {
    {.name = "path", .type = OptionType::kPath, .help = "The file that lines are appended to.", .required = true},
    {.name = "samples",
     .type = OptionType::kBool,
     .fallback = "true",
     .help = "Write recorded samples and ALERTS series."},
    {.name = "alerts",
     .type = OptionType::kBool,
     .fallback = "true",
     .help = "Write alerts whenever they are sent or re-sent."},
    {.name = "queue_max",
     .type = OptionType::kInt,
     .fallback = "200000",
     .help = "Lines that wait at most; beyond, the oldest samples are dropped, then the oldest alerts."},
    {.name = "rotate_size",
     .type = OptionType::kSize,
     .fallback = "0",
     .help = "Size at which the file becomes path.1; 0 never rotates."},
    {.name = "rotate_keep", .type = OptionType::kInt, .fallback = "5", .help = "Rotated files that are kept."},
};

// What one call of the engine brought: exactly one pointer is set.
struct Item {
  std::shared_ptr<const SampleResults> samples;
  std::shared_ptr<const AlertBatch> alerts;
  size_t lines() const { return samples ? samples->samples.size() : alerts->alerts.size(); }
};

class FileSink final : public Sink {
 public:
  explicit FileSink(const OptionValues& options)
      : path_(options.String("path")),
        where_(options.where),
        samples_(options.Bool("samples")),
        alerts_(options.Bool("alerts")),
        lines_max_(static_cast<size_t>(options.Int("queue_max"))),
        writer_(
            {path_, static_cast<uint64_t>(options.Int("rotate_size")), static_cast<int>(options.Int("rotate_keep"))}) {}
  ~FileSink() override { Drain(0); }

  Status Start(SinkHost& host) override {
    clock_ = &host.clock();
    external_labels_ = host.external_labels();
    const MetricLabels labels = {{"path", path_}};
    written_ = &host.metrics().GetCounter("weir_file_lines_written_total", "Lines the file sink wrote.", labels);
    failed_ = &host.metrics().GetCounter("weir_file_write_failures_total", "Writes that failed and were tried again.",
                                         labels);
    dropped_ = &host.metrics().GetCounter("weir_file_lines_dropped_total",
                                          "Lines that were never written: queue full or shutdown.", labels);
    const Status opened = writer_.Open();
    if (!opened.ok()) {
      return opened.WithPrefix(where_ + ": sink file: ");
    }
    thread_ = std::thread([this] { Run(); });
    return Status();
  }

  bool TakesSamples() const override { return samples_; }
  void OnSamples(const std::shared_ptr<const SampleResults>& results) override {
    if (samples_ && !results->samples.empty()) {
      Add({results, nullptr});
    }
  }
  void OnAlerts(const std::shared_ptr<const AlertBatch>& alerts) override {
    if (alerts_ && !alerts->alerts.empty()) {
      Add({nullptr, alerts});
    }
  }

  void Drain(int64_t timeout_ms) override {
    if (!thread_.joinable()) {
      return;
    }
    SetState(State::kDraining);
    for (int64_t waited_ms = 0; waited_ms < timeout_ms && !IsFinished(); waited_ms += kPollMs) {
      clock_->SleepMs(kPollMs);
    }
    SetState(State::kStopped);
    thread_.join();
  }

 private:
  enum class State : unsigned char { kRunning, kDraining, kStopped };

  void SetState(State state) {
    {
      const std::lock_guard lock(mutex_);
      state_ = state;
    }
    changed_.notify_all();
  }
  bool IsFinished() {
    const std::lock_guard lock(mutex_);
    return finished_;
  }

  void Add(Item item) {
    {
      const std::lock_guard lock(mutex_);
      if (state_ != State::kRunning) {
        dropped_->Add(item.lines());
        return;
      }
      lines_ += item.lines();
      queue_.push_back(std::move(item));
      while (lines_ > lines_max_) {
        auto oldest =
            std::find_if(queue_.begin(), queue_.end(), [](const Item& other) { return other.samples != nullptr; });
        oldest = oldest == queue_.end() ? queue_.begin() : oldest;
        dropped_->Add(oldest->lines());
        lines_ -= oldest->lines();
        queue_.erase(oldest);
      }
    }
    changed_.notify_all();
  }

  std::string Text(const Item& item) const {
    std::string out;
    if (item.samples) {
      for (const ResultSample& sample : item.samples->samples) {
        file::AppendSampleLine(sample, item.samples->group, external_labels_, &out);
      }
    } else {
      for (const Alert& alert : item.alerts->alerts) {
        file::AppendAlertLine(alert, item.alerts->tick_ms, &out);
      }
    }
    return out;
  }

  // Writes one item, again and again until it is done or the sink is stopped. RETURNS: whether it was written.
  bool Write(const Item& item) {
    const std::string text = Text(item);
    for (int64_t pause_ms = kBackoffFirstMs;; pause_ms = std::min(kBackoffMaxMs, pause_ms * 2)) {
      const Status status = writer_.Append(text);
      if (status.ok()) {
        if (pause_ms != kBackoffFirstMs) {
          LogInfo("file sink: writing again", {{"path", path_}});
        }
        written_->Add(item.lines());
        return true;
      }
      failed_->Add();
      if (pause_ms == kBackoffFirstMs) {
        LogError("file sink: cannot write, will try again", {{"error", std::string(status.message())}});
      }
      for (int64_t waited_ms = 0; waited_ms < pause_ms; waited_ms += kPollMs) {
        {
          const std::lock_guard lock(mutex_);
          if (state_ == State::kStopped || (state_ == State::kDraining && waited_ms > 0)) {
            break;  // one more try right away when draining, none when stopped
          }
        }
        clock_->SleepMs(kPollMs);
      }
      const std::lock_guard lock(mutex_);
      if (state_ == State::kStopped) {
        return false;
      }
    }
  }

  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !queue_.empty() || state_ != State::kRunning; });
      if (queue_.empty() || state_ == State::kStopped) {
        break;
      }
      const Item item = std::move(queue_.front());
      queue_.pop_front();
      lines_ -= item.lines();
      lock.unlock();
      const bool written = Write(item);
      lock.lock();
      if (!written) {
        dropped_->Add(item.lines());
      }
    }
    dropped_->Add(lines_);
    queue_.clear();
    lines_ = 0;
    finished_ = true;
  }

  const std::string path_;
  const std::string where_;
  const bool samples_, alerts_;
  const size_t lines_max_;
  const Clock* clock_ = nullptr;
  Labels external_labels_;
  Counter* written_ = nullptr;
  Counter* failed_ = nullptr;
  Counter* dropped_ = nullptr;
  file::LineWriter writer_;  // on thread_ once it runs
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> queue_;  // this and below under mutex_
  size_t lines_ = 0;
  State state_ = State::kRunning;
  bool finished_ = false;
};

std::unique_ptr<Sink> Make(const OptionValues& options) { return std::make_unique<FileSink>(options); }

Status Validate(const OptionValues& options) {
  WEIR_RETURN_IF_ERROR(CheckAtLeast(options, {{"queue_max", 1}, {"rotate_size", 0}, {"rotate_keep", 0}}));
  if (options.Int("rotate_keep") > 1000) {
    return InvalidError(options.where + ": option \"rotate_keep\": want at most 1000, got \"" +
                        options.values.find("rotate_keep")->second.text + "\"");
  }
  return Status();
}

}  // namespace

extern const Plugin file_sink;
const Plugin file_sink = {
    .kind = PluginKind::kSink,
    .name = "file",
    .help = "Writes recorded samples and alerts as JSON lines to a file.",
    .options = kOptions,
    .make_sink = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
