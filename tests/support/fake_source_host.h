#pragma once
// A SourceHost for tests of sources: records what is submitted, completes it at once or when the test says so, and can be
// full. Thread-safe; waiting is by condition variable with a generous limit, never by sleeping.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/model/labels.h"
#include "core/plugin/plugin.h"

namespace weir::testing {

class FakeSourceHost final : public plugin::SourceHost {
 public:
  struct Received {
    std::string stream;
    Labels labels;
    Sample sample;
  };

  explicit FakeSourceHost(const Clock& clock = SystemClock()) : clock_(clock) {}

  const Clock& clock() const override { return clock_; }
  MetricRegistry& metrics() override { return metrics_; }

  bool Submit(plugin::SampleBatch&& batch, std::string_view stream,
              std::function<void(const plugin::IngestOutcome&)> done) override {
    plugin::IngestOutcome outcome;
    {
      std::lock_guard lock(mutex_);
      if (full_) {
        ++refused_;
        changed_.notify_all();
        return false;
      }
      plugin::SampleBatch taken = std::move(batch);
      for (const auto& series : taken.series) {
        std::vector<std::pair<std::string_view, std::string_view>> pairs;
        WEIR_ASSERT(plugin::DecodeLabels(series.labels, &pairs).ok());
        std::vector<Label> labels;
        for (auto& [name, value] : pairs) {
          labels.push_back({std::string(name), std::string(value)});
        }
        for (uint32_t i = 0; i < series.count; ++i) {
          received_.push_back({std::string(stream), Labels(labels), taken.samples[series.first + i]});
        }
      }
      if (hold_completions_) {
        held_.push_back(std::move(done));
        changed_.notify_all();
        return true;
      }
      outcome.overloaded = overload_next_ > 0;
      overload_next_ -= outcome.overloaded ? 1 : 0;
    }
    done(outcome);
    Notify();
    return true;
  }
  void AdvanceStream(std::string_view stream, int64_t t_ms) override {
    std::lock_guard lock(mutex_);
    advanced_[std::string(stream)] = t_ms;
    events_.push_back("advance " + std::string(stream));
    changed_.notify_all();
  }
  void CloseStream(std::string_view stream) override {
    std::lock_guard lock(mutex_);
    closed_.push_back(std::string(stream));
    changed_.notify_all();
  }
  void HandleHttp(std::string, HttpHandler) override {}
  int64_t LongestWindowMs() const override { return longest_window_ms; }
  void BeginCatchUp(std::string_view) override {
    std::lock_guard lock(mutex_);
    ++catch_up_begun_;
  }
  void CatchUpDone(std::string_view) override {
    std::lock_guard lock(mutex_);
    ++catch_up_done_;
    received_at_catch_up_ = received_.size();
    changed_.notify_all();
  }

  // What the test sets and reads. The state is passed to the predicate under the lock.
  void SetFull(bool full) {
    std::lock_guard lock(mutex_);
    full_ = full;
  }
  void HoldCompletions(bool hold) {
    std::lock_guard lock(mutex_);
    hold_completions_ = hold;
  }
  void OverloadNext(int batches) {
    std::lock_guard lock(mutex_);
    overload_next_ = batches;
  }
  void CompleteHeld() {
    std::vector<std::function<void(const plugin::IngestOutcome&)>> held;
    {
      std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (auto& done : held) {
      done({});
    }
  }
  // Waits until `ready()` (called under the lock) is true. RETURNS: false after 30 s.
  bool WaitUntil(const std::function<bool()>& ready) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), ready);
  }
  // Metrics tell nobody when they change, so this looks again every now and then. RETURNS: false after 30 s.
  bool WaitForMetric(const std::string& text) {
    std::unique_lock lock(mutex_);
    for (int i = 0; i < 3000; ++i) {
      if (metrics_.Expose().find(text) != std::string::npos) {
        return true;
      }
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
    return false;
  }
  bool WaitForSamples(size_t count) {
    return WaitUntil([&] { return received_.size() >= count; });
  }
  void Notify() {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  std::vector<Received> received() {
    std::lock_guard lock(mutex_);
    return received_;
  }

  // Read inside WaitUntil's predicate, or when no thread runs.
  std::vector<Received> received_;
  std::map<std::string, int64_t> advanced_;
  std::vector<std::string> closed_;
  std::vector<std::string> events_;
  std::vector<std::function<void(const plugin::IngestOutcome&)>> held_;
  int catch_up_begun_ = 0;
  int catch_up_done_ = 0;
  size_t received_at_catch_up_ = 0;
  int refused_ = 0;
  int64_t longest_window_ms = 300000;  // set before the source starts

 private:
  const Clock& clock_;
  MetricRegistry metrics_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool full_ = false;
  bool hold_completions_ = false;
  int overload_next_ = 0;
};

}  // namespace weir::testing
