#include "core/runtime/batch_pool.h"

#include "core/runtime/engine_queue.h"

#include <utility>

namespace weir::runtime {

plugin::SampleBatch BatchPool::Take() {
  const std::lock_guard lock(mutex_);
  ++taken_;
  idle_ = false;
  if (batches_.empty()) {
    return {};
  }
  plugin::SampleBatch batch = std::move(batches_.back());
  batches_.pop_back();
  bytes_ -= BatchBytes(batch);
  return batch;
}

void BatchPool::Give(plugin::SampleBatch&& batch) {
  plugin::SampleBatch kept = std::move(batch);
  kept.ClearButBytes();
  const size_t bytes = BatchBytes(kept);
  const std::lock_guard lock(mutex_);
  if (taken_ == 0) {
    return;
  }
  --taken_;
  if (bytes_ + bytes <= bytes_max_) {
    bytes_ += bytes;
    batches_.push_back(std::move(kept));
  }
}

void BatchPool::ReleaseIfIdle() {
  std::vector<plugin::SampleBatch> unused;
  const std::lock_guard lock(mutex_);
  if (std::exchange(idle_, true)) {
    unused.swap(batches_);
    bytes_ = 0;
  }
}

size_t BatchPool::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace weir::runtime
