#include "core/runtime/engine_queue.h"

#include <chrono>
#include <utility>

namespace weir::runtime {

size_t BatchBytes(const plugin::SampleBatch& batch) {
  return batch.arena.capacity() + batch.series.capacity() * sizeof(plugin::SampleBatch::Series) +
         batch.samples.capacity() * sizeof(Sample) + batch.start_times.capacity() * sizeof(int64_t) +
         batch.histograms.capacity() * sizeof(plugin::HistogramSample) + batch.histogram_bytes;
}

bool EngineQueue::PushBatch(plugin::SampleBatch&& batch, std::string_view stream, int64_t arrived_ms,
                            std::function<void(const plugin::IngestOutcome&)> done) {
  const size_t bytes = BatchBytes(batch);
  {
    const std::lock_guard lock(mutex_);
    // One batch is always taken: a limit below the size of a body must not stop a sender for good.
    const bool full = batches_ >= limits_.batches || (batches_ > 0 && bytes_ + bytes > limits_.bytes);
    if (closed_ || full) {
      return false;
    }
    items_.push_back({std::move(batch), std::string(stream), std::move(done), arrived_ms, nullptr, false});
    ++batches_;
    bytes_ += bytes;
  }
  filled_.notify_one();
  return true;
}

bool EngineQueue::PushTask(std::function<void()> task) { return Push(std::move(task), false); }

bool EngineQueue::PushNote(std::function<void()> note) { return Push(std::move(note), true); }

bool EngineQueue::Push(std::function<void()> task, bool note) {
  {
    const std::lock_guard lock(mutex_);
    size_t& count = note ? notes_ : tasks_;
    if (closed_ || count >= (note ? limits_.notes : limits_.tasks)) {
      return false;
    }
    items_.push_back({{}, {}, nullptr, 0, std::move(task), note});
    ++count;
  }
  filled_.notify_one();
  return true;
}

bool EngineQueue::Pop(QueueItem* item) {
  const std::lock_guard lock(mutex_);
  if (items_.empty()) {
    return false;
  }
  *item = std::move(items_.front());
  items_.pop_front();
  if (item->task != nullptr) {
    --(item->note ? notes_ : tasks_);
  } else {
    --batches_;
    bytes_ -= BatchBytes(item->batch);
  }
  return true;
}

void EngineQueue::Wait(int64_t ms) {
  std::unique_lock lock(mutex_);
  filled_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return !items_.empty() || woken_ || closed_; });
  woken_ = false;
}

void EngineQueue::Wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  filled_.notify_one();
}

void EngineQueue::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  filled_.notify_one();
}

bool EngineQueue::empty() const {
  const std::lock_guard lock(mutex_);
  return items_.empty();
}

size_t EngineQueue::batches() const {
  const std::lock_guard lock(mutex_);
  return batches_;
}

size_t EngineQueue::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace weir::runtime
