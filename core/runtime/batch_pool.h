#pragma once
// Sample batches that were taken in, kept for their memory: a body of half a megabyte costs less to decode into pages that the
// process has than into new ones, which the kernel clears one fault at a time. Thread-safe.

#include "core/plugin/plugin.h"

#include <cstddef>
#include <mutex>
#include <vector>

namespace weir::runtime {

class BatchPool {
 public:
  // Keeps no more than `bytes_max` in all; what is beyond is freed.
  explicit BatchPool(size_t bytes_max) : bytes_max_(bytes_max) {}

  // RETURNS: a batch to decode into. Its arena may hold bytes of the past; codecs overwrite them.
  plugin::SampleBatch Take();
  // Keeps no more batches than were taken: those of sources that make their own would only lie here.
  void Give(plugin::SampleBatch&& batch);
  // Frees what is kept if no batch was taken since the last call.
  void ReleaseIfIdle();
  // RETURNS: what is kept.
  size_t bytes() const;

 private:
  const size_t bytes_max_;
  mutable std::mutex mutex_;
  std::vector<plugin::SampleBatch> batches_;  // under mutex_
  size_t bytes_ = 0;                          // under mutex_
  size_t taken_ = 0;                          // and not given back; under mutex_
  bool idle_ = true;                          // since the last ReleaseIfIdle; under mutex_
};

}  // namespace weir::runtime
