#pragma once
// Which offset of one partition may be committed: everything before it has been applied by the engine. Completions come from
// the engine's thread and mostly in order; the poll thread adds and asks. It outlives the partition's assignment, because
// completions may come late; those of an earlier reading are ignored. Thread-safe; all calls are O(log n) or better.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <mutex>

namespace weir::kafka {

class OffsetTracker {
 public:
  // A message is on its way. An offset that does not grow means that the partition is read anew (it was made again, or its
  // begin moved): what was on its way is forgotten. RETURNS: the epoch to give back to Done().
  uint64_t Sent(int64_t offset) {
    std::lock_guard lock(mutex_);
    if (!outstanding_.empty() && offset <= outstanding_.back().offset) {
      outstanding_.clear();
      ++epoch_;
    }
    outstanding_.push_back({offset, false});
    return epoch_;
  }
  // The message was applied, or skipped for good.
  void Done(int64_t offset, uint64_t epoch) {
    std::lock_guard lock(mutex_);
    if (epoch != epoch_) {
      return;
    }
    auto at = Find(offset);
    if (at != outstanding_.end()) {
      at->done = true;
    }
    while (!outstanding_.empty() && outstanding_.front().done) {
      next_ = outstanding_.front().offset + 1;
      outstanding_.pop_front();
    }
  }
  // The message was not applied and must be read again.
  void Refused(int64_t offset, uint64_t epoch) {
    std::lock_guard lock(mutex_);
    if (epoch == epoch_) {
      rewind_to_ = rewind_to_ < 0 ? offset : std::min(rewind_to_, offset);
    }
  }
  // RETURNS: the offset to commit (of the next message to read), or -1 when nothing was applied yet.
  int64_t Next() const {
    std::lock_guard lock(mutex_);
    return next_;
  }
  size_t outstanding() const {
    std::lock_guard lock(mutex_);
    return outstanding_.size();
  }
  // RETURNS: the offset to read from again, or -1; forgets all that is on its way.
  int64_t TakeRewind() {
    std::lock_guard lock(mutex_);
    int64_t offset = rewind_to_;
    if (offset >= 0) {
      rewind_to_ = -1;
      outstanding_.clear();
      ++epoch_;
    }
    return offset;
  }

 private:
  struct Entry {
    int64_t offset;
    bool done;
  };
  std::deque<Entry>::iterator Find(int64_t offset) {
    auto at = std::lower_bound(outstanding_.begin(), outstanding_.end(), offset,
                               [](const Entry& entry, int64_t wanted) { return entry.offset < wanted; });
    return at != outstanding_.end() && at->offset == offset ? at : outstanding_.end();
  }

  mutable std::mutex mutex_;
  std::deque<Entry> outstanding_;  // in offset order; its length is bounded by the engine's queue
  int64_t next_ = -1;
  int64_t rewind_to_ = -1;
  uint64_t epoch_ = 0;
};

}  // namespace weir::kafka
