#pragma once
// How complete the input is. Every stream (a sender, a partition) has a time up to which it is complete: its newest
// sample, less the disorder it has shown. A tick T is complete when all live streams have passed T; it runs at T +
// lateness at the latest, where lateness follows the delays that are observed (or is fixed). Engine's thread only; time
// is an argument; a batch costs one hash lookup here.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weir::runtime {

struct WatermarkOptions {
  bool lateness_auto = true;
  int64_t lateness_ms = 0;         // when not auto
  int64_t lateness_min_ms = 1000;  // bounds of auto
  int64_t lateness_max_ms = 60000;
  int64_t lateness_initial_ms = 5000;  // before delays have been observed
  int64_t idle_ms = 60000;             // a stream silent for so long holds no tick …
  int64_t idle_max_ms = 300000;        // … unless its usual pause is longer: three pauses, at most this
  int64_t ahead_max_ms = 10000;        // how far a stream's clock may lead ours before it is not believed
};

// The largest value seen within the last one to two periods.
class RecentMax {
 public:
  explicit RecentMax(int64_t period_ms) : period_ms_(period_ms) {}
  void Observe(int64_t value, int64_t now_ms);
  int64_t Get() const { return current_ > previous_ ? current_ : previous_; }

 private:
  int64_t period_ms_;
  int64_t period_start_ms_ = 0;
  int64_t current_ = 0;
  int64_t previous_ = 0;
};

class Watermarks {
 public:
  explicit Watermarks(WatermarkOptions options) : options_(options) {}
  void SetOptions(WatermarkOptions options) { options_ = options; }

  // A batch whose samples lie in [oldest_ms, newest_ms] arrived at `now_ms`. `past`: the stream re-reads the past or
  // replays, so that its age says nothing about delays and no clock is compared.
  void Observe(std::string_view stream, int64_t oldest_ms, int64_t newest_ms, int64_t now_ms, bool past);
  // The stream says that it is complete up to `t_ms`; also makes it known before its first sample.
  void Advance(std::string_view stream, int64_t t_ms, int64_t now_ms);
  void Close(std::string_view stream);

  // RETURNS: the time up to which all live streams are complete; INT64_MIN when there is no live stream.
  int64_t Complete(int64_t now_ms) const;
  // RETURNS: how long after T a tick runs at the latest.
  int64_t LatenessMs() const;
  // RETURNS: the newest sample of any stream; INT64_MIN before the first.
  int64_t Newest() const { return newest_ms_; }
  // RETURNS: a bound of Complete() that costs nothing.
  int64_t Furthest() const { return furthest_ms_; }
  size_t live(int64_t now_ms) const;
  size_t streams() const { return streams_.size(); }
  // Forgets streams that have been silent for so long that they hold nothing.
  void DropIdle(int64_t now_ms);

 private:
  struct Stream {
    int64_t newest_ms = INT64_MIN;
    int64_t stated_ms = INT64_MIN;  // by Advance
    int64_t arrived_ms = 0;         // last
    int64_t pause_ms = 0;           // usual time between arrivals, smoothed
    RecentMax disorder{kPeriodMs};
  };
  struct StringHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  static constexpr int64_t kPeriodMs = 300000;

  Stream& Find(std::string_view stream, int64_t now_ms);
  bool Live(const Stream& stream, int64_t now_ms) const;
  static int64_t CompleteUntil(const Stream& stream);

  WatermarkOptions options_;
  std::unordered_map<std::string, Stream, StringHash, std::equal_to<>> streams_;
  RecentMax delay_{kPeriodMs};
  bool delay_known_ = false;
  int64_t newest_ms_ = INT64_MIN;
  int64_t furthest_ms_ = INT64_MIN;
};

}  // namespace weir::runtime
