#pragma once
// Time as an argument. The process has one Clock; everything that needs the time or a delay is handed it,
// so tests and replay run on a fake one. Implementations are thread-safe.

#include <cstdint>
#include <memory>

namespace weir {

class Clock {
 public:
  virtual ~Clock() = default;
  // RETURNS: wall clock, milliseconds since the epoch, UTC. May step backwards.
  virtual int64_t NowMs() const = 0;
  // RETURNS: monotonic time in nanoseconds, for durations only.
  virtual int64_t MonotonicNs() const = 0;
  // Blocks the caller for `ms`. Only threads owned by the runtime or by a plug-in may sleep.
  virtual void SleepMs(int64_t ms) const = 0;
};

// The machine's clock; lives as long as the process.
const Clock& SystemClock();

// A clock that a test moves by hand. SleepMs advances it.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(int64_t now_ms) : now_ms_(now_ms) {}
  int64_t NowMs() const override { return now_ms_; }
  int64_t MonotonicNs() const override { return now_ms_ * 1000000; }
  void SleepMs(int64_t ms) const override { now_ms_ += ms; }
  void Set(int64_t now_ms) { now_ms_ = now_ms; }

 private:
  mutable int64_t now_ms_;
};

}  // namespace weir
