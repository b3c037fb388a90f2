// The `replay` source: a recording (OpenMetrics text, or JSON records) as a stream, in time order, at full speed or paced.
// The file is read and sorted when the source starts, because recordings are usually written series by series; it costs
// about three times the file in memory, and a file past `file_bytes_max` is refused. At the end the source is finished.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/files.h"
#include "core/base/log.h"
#include "core/plugin/plugin.h"

namespace weir::plugin {

namespace {

constexpr std::string_view kStream = "replay";
constexpr size_t kBatchSamplesMax = 10000;
constexpr int64_t kBatchSpanMsMax = 1000;  // a batch at full speed holds no more time than that
constexpr int64_t kSleepSliceMs = 50;
constexpr int64_t kBackoffMs = 2;  // while the queue is full

constexpr OptionRow kRows[] = {
    {"path", OptionType::kPath, "", "File with the recorded samples; every sample carries a timestamp.", true},
    {"format", OptionType::kEnum, "openmetrics", "Format of the file.", false, "openmetrics|json"},
    {"speed", OptionType::kFloat, "0",
     "Pace as a multiple of real time: 1 is real time, 0 is as fast as the samples are taken."},
    {"restamp", OptionType::kBool, "false",
     "Moves the samples to the present as they are sent; otherwise they keep their times and ticks follow them. Needs "
     "a speed."},
    {"file_bytes_max", OptionType::kSize, "1GiB", "Files larger than this are refused."},
};

Status ValidateReplay(const OptionValues& values) {
  double speed = values.Float("speed");
  if (!(speed >= 0 && speed <= 1e6)) {
    return InvalidError(values.where + ": option \"speed\": want 0 to 1000000, got \"" +
                        values.values.find("speed")->second.text + "\"");
  }
  if (values.Bool("restamp") && speed == 0) {
    return InvalidError(values.where +
                        ": option \"restamp\": want \"speed\" above 0 with it (1 is real time), got speed \"0\"");
  }
  if (values.Int("file_bytes_max") < 1) {
    return InvalidError(values.where + ": option \"file_bytes_max\": want at least 1 byte, got \"" +
                        values.values.find("file_bytes_max")->second.text + "\"");
  }
  return {};
}

class ReplaySource final : public Source {
 public:
  explicit ReplaySource(const OptionValues& values)
      : path_(values.String("path")),
        format_(values.String("format")),
        where_(values.where),
        speed_(values.Float("speed")),
        restamp_(values.Bool("restamp")),
        file_bytes_max_(static_cast<uint64_t>(values.Int("file_bytes_max"))) {}
  ~ReplaySource() override { Stop(); }

  Status Start(SourceHost& host) override {
    host_ = &host;
    WEIR_RETURN_IF_ERROR(Load().WithPrefix(where_ + ": replay: "));
    Counter& bad = host.metrics().GetCounter("weir_replay_bad_records_total",
                                             "Lines or records of the replayed file that could not be read.");
    bad.Add(recording_.bad_records);
    if (recording_.bad_records > 0) {
      LogWarn(
          "replay skips what it cannot read",
          {{"path", path_}, {"records", std::to_string(recording_.bad_records)}, {"first", recording_.first_error}});
    }
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  void Stop() override {
    stop_ = true;
    if (thread_.joinable()) {
      thread_.join();
      host_->CloseStream(kStream);
    }
  }

  bool Finished() const override { return sent_all_ && progress_->outstanding == 0; }
  bool EventTime() const override { return !restamp_; }

 private:
  // One sample in time order. 16 bytes, because a recording may hold hundreds of millions.
  struct Item {
    int64_t t_ms;
    uint32_t series;
    uint32_t sample;
  };
  // Shared with the completions, which may come after the source is gone.
  struct Progress {
    std::atomic<int64_t> outstanding{0};
  };

  Status Load() {
    WEIR_ASSIGN_OR_RETURN(std::string text, ReadFile(path_, file_bytes_max_));
    const Plugin* codec = FindPlugin(PluginKind::kCodec, format_);
    if (codec == nullptr) {
      return UnsupportedError("this build has no codec " + format_);
    }
    WEIR_ASSIGN_OR_RETURN(OptionValues defaults, ParseOptions(codec->options, "codec " + format_, where_, {}));
    WEIR_RETURN_IF_ERROR(codec->make_codec(defaults)->Decode(text, &recording_).WithPrefix(path_ + ": "));
    items_.reserve(recording_.samples.size());
    for (uint32_t i = 0; i < recording_.series.size(); ++i) {
      const SampleBatch::Series& series = recording_.series[i];
      for (uint32_t sample = series.first; sample < series.first + series.count; ++sample) {
        items_.push_back({recording_.samples[sample].t, i, sample});
      }
    }
    // Stable: of one series and one time the file's order decides, as it would have live.
    std::stable_sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) { return a.t_ms < b.t_ms; });
    return {};
  }

  void Run() {
    int64_t start_ms = host_->clock().NowMs();
    int64_t first_ms = items_.empty() ? 0 : items_.front().t_ms;
    size_t begin = 0;
    while (begin < items_.size() && !stop_) {
      size_t end = EndOfBatch(begin);
      int64_t last_ms = items_[end - 1].t_ms;
      int64_t due_ms =
          speed_ > 0 ? start_ms + std::llround(static_cast<double>(last_ms - first_ms) / speed_) : start_ms;
      if (!SleepUntil(due_ms) || !Send(begin, end, restamp_ ? due_ms : kKeepTimes)) {
        return;
      }
      if (end == items_.size() || items_[end].t_ms > last_ms) {
        host_->AdvanceStream(kStream, restamp_ ? due_ms : last_ms);
      }
      begin = end;
    }
    sent_all_ = begin == items_.size();
  }

  // RETURNS: the end of the batch that begins at `begin`: one instant when paced, up to a second of them at full speed.
  size_t EndOfBatch(size_t begin) const {
    int64_t until_ms = items_[begin].t_ms + (speed_ > 0 ? 0 : kBatchSpanMsMax - 1);
    size_t end = begin;
    while (end < items_.size() && items_[end].t_ms <= until_ms && end - begin < kBatchSamplesMax) {
      ++end;
    }
    return end;
  }

  bool Send(size_t begin, size_t end, int64_t t_ms) {
    SampleBatch batch;
    size_t bytes = 256;  // past what a std::string keeps inside itself: views must survive the move
    for (size_t i = begin; i < end; ++i) {
      bytes += recording_.series[items_[i].series].labels.size();
    }
    batch.arena.reserve(bytes);
    batch.series.reserve(end - begin);
    batch.samples.reserve(end - begin);
    for (size_t i = begin; i < end; ++i) {
      SampleBatch::Series series = recording_.series[items_[i].series];
      size_t at = batch.arena.size();
      batch.arena += series.labels;
      series.labels = std::string_view(batch.arena).substr(at);
      series.first = static_cast<uint32_t>(batch.samples.size());
      series.count = 1;
      batch.series.push_back(series);
      batch.samples.push_back({t_ms == kKeepTimes ? items_[i].t_ms : t_ms, recording_.samples[items_[i].sample].v});
    }
    const auto offer = [&] {  // a batch that is not taken is still there
      return host_->Submit(std::move(batch), kStream,
                           [progress = progress_](const IngestOutcome&) { --progress->outstanding; });
    };
    ++progress_->outstanding;
    while (!stop_) {
      if (offer()) {
        return true;
      }
      host_->clock().SleepMs(kBackoffMs);
    }
    --progress_->outstanding;
    return false;
  }

  bool SleepUntil(int64_t t_ms) {
    while (!stop_) {
      int64_t wait_ms = t_ms - host_->clock().NowMs();
      if (wait_ms <= 0) {
        return true;
      }
      host_->clock().SleepMs(std::min(wait_ms, kSleepSliceMs));
    }
    return false;
  }

  static constexpr int64_t kKeepTimes = INT64_MIN;

  std::string path_;
  std::string format_;
  std::string where_;
  double speed_;
  bool restamp_;
  uint64_t file_bytes_max_;
  SourceHost* host_ = nullptr;
  SampleBatch recording_;
  std::vector<Item> items_;
  std::shared_ptr<Progress> progress_ = std::make_shared<Progress>();
  std::atomic<bool> sent_all_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

std::unique_ptr<Source> MakeReplay(const OptionValues& values) { return std::make_unique<ReplaySource>(values); }

}  // namespace

extern const Plugin replay_source;
const Plugin replay_source = {
    .kind = PluginKind::kSource,
    .name = "replay",
    .help = "Replays a file of recorded samples with timestamps, in time order, at full speed or paced.",
    .options = kRows,
    .make_source = MakeReplay,
    .validate = ValidateReplay,
};

}  // namespace weir::plugin
