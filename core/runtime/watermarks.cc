#include "core/runtime/watermarks.h"

#include <algorithm>

namespace weir::runtime {

void RecentMax::Observe(int64_t value, int64_t now_ms) {
  const int64_t passed = now_ms - period_start_ms_;
  if (passed >= 2 * period_ms_ || passed < 0) {
    previous_ = 0;
    current_ = 0;
    period_start_ms_ = now_ms;
  } else if (passed >= period_ms_) {
    previous_ = current_;
    current_ = 0;
    period_start_ms_ = now_ms;
  }
  current_ = std::max(current_, value);
}

Watermarks::Stream& Watermarks::Find(std::string_view stream, int64_t now_ms) {
  auto it = streams_.find(stream);
  if (it == streams_.end()) {
    it = streams_.emplace(std::string(stream), Stream{}).first;
    it->second.arrived_ms = now_ms;
  }
  return it->second;
}

void Watermarks::Observe(std::string_view stream, int64_t oldest_ms, int64_t newest_ms, int64_t now_ms, bool past) {
  Stream& s = Find(stream, now_ms);
  constexpr int64_t kSmoothing = 8;
  s.pause_ms += (now_ms - s.arrived_ms - s.pause_ms) / kSmoothing;
  s.arrived_ms = now_ms;
  // Disorder beyond the bound of lateness belongs to samples that are late whatever we do: waiting for them helps
  // nobody.
  if (s.newest_ms != INT64_MIN && oldest_ms < s.newest_ms && s.newest_ms - oldest_ms <= options_.lateness_max_ms) {
    s.disorder.Observe(s.newest_ms - oldest_ms, now_ms);
  } else {
    s.disorder.Observe(0, now_ms);
  }
  const int64_t believed = past ? newest_ms : std::min(newest_ms, now_ms + options_.ahead_max_ms);
  s.newest_ms = std::max(s.newest_ms, believed);
  newest_ms_ = std::max(newest_ms_, believed);
  furthest_ms_ = std::max(furthest_ms_, believed);
  const int64_t delay = now_ms - oldest_ms;
  if (!past && delay <= options_.lateness_max_ms) {
    delay_.Observe(std::max<int64_t>(0, delay), now_ms);
    delay_known_ = true;
  }
}

void Watermarks::Advance(std::string_view stream, int64_t t_ms, int64_t now_ms) {
  Stream& s = Find(stream, now_ms);
  s.stated_ms = std::max(s.stated_ms, t_ms);
  furthest_ms_ = std::max(furthest_ms_, t_ms);
  s.arrived_ms = now_ms;
}

void Watermarks::Close(std::string_view stream) {
  if (const auto it = streams_.find(stream); it != streams_.end()) {
    streams_.erase(it);
  }
}

bool Watermarks::Live(const Stream& stream, int64_t now_ms) const {
  const int64_t idle = std::min(options_.idle_max_ms, std::max(options_.idle_ms, 3 * stream.pause_ms));
  return now_ms - stream.arrived_ms < idle;
}

int64_t Watermarks::CompleteUntil(const Stream& stream) {
  // More samples of the newest instant itself may follow.
  const int64_t seen = stream.newest_ms == INT64_MIN ? INT64_MIN : stream.newest_ms - 1 - stream.disorder.Get();
  return std::max(seen, stream.stated_ms);
}

int64_t Watermarks::Complete(int64_t now_ms) const {
  int64_t complete = INT64_MAX;
  bool any = false;
  for (const auto& [name, stream] : streams_) {
    if (Live(stream, now_ms)) {
      complete = std::min(complete, CompleteUntil(stream));
      any = true;
    }
  }
  return any ? complete : INT64_MIN;
}

int64_t Watermarks::LatenessMs() const {
  if (!options_.lateness_auto) {
    return options_.lateness_ms;
  }
  if (!delay_known_) {
    return options_.lateness_initial_ms;
  }
  // A quarter and half a second above what was seen: delays vary, and one late sample makes a wrong result.
  const int64_t wanted = delay_.Get() + delay_.Get() / 4 + 500;
  return std::clamp(wanted, options_.lateness_min_ms, options_.lateness_max_ms);
}

size_t Watermarks::live(int64_t now_ms) const {
  return static_cast<size_t>(
      std::count_if(streams_.begin(), streams_.end(), [&](const auto& entry) { return Live(entry.second, now_ms); }));
}

void Watermarks::DropIdle(int64_t now_ms) {
  std::erase_if(streams_,
                [&](const auto& entry) { return now_ms - entry.second.arrived_ms > 2 * options_.idle_max_ms; });
}

}  // namespace weir::runtime
