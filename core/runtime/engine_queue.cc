#include "core/runtime/engine_queue.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace weir::runtime {

size_t BatchBytes(const plugin::SampleBatch& batch) {
  return batch.arena.capacity() + batch.scratch.capacity() +
         batch.series.capacity() * sizeof(plugin::SampleBatch::Series) + batch.samples.capacity() * sizeof(Sample) +
         batch.start_times.capacity() * sizeof(int64_t) +
         batch.histograms.capacity() * sizeof(plugin::HistogramSample) + batch.histogram_bytes;
}

bool EngineQueue::PushBatch(plugin::SampleBatch&& batch, std::string_view stream, int64_t arrived_ms, int64_t queued_ns,
                            std::function<void(const plugin::IngestOutcome&)> done) {
  const size_t bytes = BatchBytes(batch);
  QueueItem item;
  item.stream = stream;
  item.done = std::move(done);
  item.arrived_ms = arrived_ms;
  item.queued_ns = queued_ns;
  item.times = Pipeline::TimesOf(batch);
  if (shards_ > 1) {
    item.parts = ingest::PartsOf(batch, shards_);
  }
  {
    const std::lock_guard lock(mutex_);
    // One batch is always taken: a limit below the size of a body must not stop a sender for good.
    const bool full = batches_ >= limits_.batches || (batches_ > 0 && bytes_ + bytes > limits_.bytes);
    if (closed_ || full) {
      return false;
    }
    item.batch = std::move(batch);
    items_.push_back(std::move(item));
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
    QueueItem& item = items_.emplace_back();
    item.task = std::move(task);
    item.note = note;
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
  Take(items_.begin(), item);
  return true;
}

bool EngineQueue::PopSamples(int64_t after_ms, QueueItem* item) {
  const std::lock_guard lock(mutex_);
  const auto next = std::find_if(items_.begin(), items_.end(),
                                 [](const QueueItem& queued) { return queued.task == nullptr || queued.note; });
  if (next == items_.end() || (next->task == nullptr && next->times.oldest_ms <= after_ms)) {
    return false;
  }
  Take(next, item);
  return true;
}

bool EngineQueue::PopBatch(int64_t until_ms, QueueItem* item) {
  const std::lock_guard lock(mutex_);
  if (items_.empty() || items_.front().task != nullptr || items_.front().times.newest_ms > until_ms) {
    return false;
  }
  Take(items_.begin(), item);
  return true;
}

void EngineQueue::Take(std::deque<QueueItem>::iterator from, QueueItem* item) {
  *item = std::move(*from);
  items_.erase(from);
  if (item->task != nullptr) {
    --(item->note ? notes_ : tasks_);
  } else {
    --batches_;
    bytes_ -= BatchBytes(item->batch);
  }
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
