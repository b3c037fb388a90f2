#pragma once
// The door to the engine's thread: a bounded queue of sample batches and of tasks. Any thread pushes, the engine's
// thread pops. Batches are refused beyond a number and a size in bytes, so that sources push back; tasks (API calls,
// reloads) and notes (what sources say about their streams) have limits of their own and keep their place among the
// batches.

#include "core/plugin/plugin.h"
#include "core/runtime/pipeline.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace weir::runtime {

struct QueueLimits {
  size_t batches = 4096;
  size_t bytes = 256ULL << 20;
  size_t tasks = 1024;
  size_t notes = 65536;
};

// One batch on its way, or one task (when `task` is set).
struct QueueItem {
  plugin::SampleBatch batch;
  std::string stream;
  std::function<void(const plugin::IngestOutcome&)> done;
  int64_t arrived_ms = 0;
  int64_t queued_ns = 0;  // on the monotonic clock
  Pipeline::Times times;  // of the batch
  ingest::Parts parts;    // of the batch, when there are several shards
  std::function<void()> task;
  bool note = false;
};

class EngineQueue {
 public:
  // `shards`: into how many parts batches are cut on their way in.
  explicit EngineQueue(QueueLimits limits, uint32_t shards = 1) : limits_(limits), shards_(shards) {}

  // RETURNS: false when the queue is full or closed; the batch is untouched then.
  bool PushBatch(plugin::SampleBatch&& batch, std::string_view stream, int64_t arrived_ms, int64_t queued_ns,
                 std::function<void(const plugin::IngestOutcome&)> done);
  bool PushTask(std::function<void()> task);
  // A short task of a source about a stream; refused only when the engine has stopped taking them.
  bool PushNote(std::function<void()> note);
  // RETURNS: false when nothing is queued.
  bool Pop(QueueItem* item);
  // Pops what may go ahead while a tick runs: the next batch or note, past tasks, which wait. RETURNS: false when there is none,
  // or when it is a batch with a sample at or before `after_ms`: nothing overtakes that, for samples of one series must stay in
  // order.
  bool PopSamples(int64_t after_ms, QueueItem* item);
  // Pops the front if it is a batch with no sample later than `until_ms`.
  bool PopBatch(int64_t until_ms, QueueItem* item);
  // Blocks until something is queued, Wake() is called or `ms` have passed.
  void Wait(int64_t ms);
  void Wake();
  // Refuses everything from here on; what is queued can still be popped.
  void Close();

  bool empty() const;
  size_t batches() const;
  size_t bytes() const;

 private:
  bool Push(std::function<void()> task, bool note);
  void Take(std::deque<QueueItem>::iterator from, QueueItem* item);

  const QueueLimits limits_;
  const uint32_t shards_;
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<QueueItem> items_;
  size_t batches_ = 0;
  size_t bytes_ = 0;
  size_t tasks_ = 0;
  size_t notes_ = 0;
  bool closed_ = false;
  bool woken_ = false;
};

// RETURNS: roughly the memory a batch holds.
size_t BatchBytes(const plugin::SampleBatch& batch);

}  // namespace weir::runtime
