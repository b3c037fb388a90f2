#pragma once
// The queue between the engine's thread, which must not wait, and the one thread of a sink, which may. Bounded: when it is
// full the oldest items go first, and the producer is told how many. The consumer's pauses end at once when the sink is
// stopped. Thread-safe; one consumer.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace weir {

template <typename T>
class SendQueue {
 public:
  explicit SendQueue(size_t items_max) : items_max_(items_max) {}

  // Adds all of `items`, in order. RETURNS: how many old items (or, if there are more than fit, of these) were dropped for it.
  size_t Push(std::vector<T> items) {
    size_t dropped = 0;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) {
        return items.size();
      }
      for (T& item : items) {
        items_.push_back(std::move(item));
      }
      while (items_.size() > items_max_) {
        items_.pop_front();
        ++dropped;
      }
    }
    changed_.notify_all();
    return dropped;
  }

  // Waits for items and takes up to `max` of them. RETURNS: false when there will be no more.
  bool Pop(size_t max, std::vector<T>* out) {
    out->clear();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !items_.empty() || closed_; });
    if (aborted_ || items_.empty()) {
      return false;
    }
    const size_t count = std::min(max, items_.size());
    for (size_t i = 0; i < count; ++i) {
      out->push_back(std::move(items_.front()));
      items_.pop_front();
    }
    return true;
  }

  // The consumer waits before it tries again. RETURNS: false when the sink was stopped meanwhile: give up.
  bool Pause(int64_t ms) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return aborted_; });
  }

  // The consumer will not touch the queue again.
  void Finish() {
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
    }
    changed_.notify_all();
  }

  // No more items; waits until the consumer has taken the rest and finished. RETURNS: whether it did within `timeout_ms`.
  bool Close(int64_t timeout_ms) {
    std::unique_lock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
    return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return finished_; });
  }

  // Ends Pop() and Pause() now. RETURNS: how many items were left behind.
  size_t Abort() {
    size_t left = 0;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      aborted_ = true;
      left = items_.size();
      items_.clear();
    }
    changed_.notify_all();
    return left;
  }

  size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  const size_t items_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool closed_ = false;
  bool aborted_ = false;
  bool finished_ = false;
};

}  // namespace weir
