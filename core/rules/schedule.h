#pragma once
// When a rule group is evaluated. A group's slots are k·interval + phase on the epoch; the phase is 0 (aligned, the
// default) or Prometheus's own, a hash of the group's file path and name modulo the interval (semantics 5.1). Pure
// functions; the phase is kept in nanoseconds because Prometheus prints activeAt with them.

#include <cstdint>
#include <string_view>

namespace weir::rules {

enum class PhaseKind : unsigned char { kAligned, kPrometheus };

// RETURNS: xxhash64 over {file="…", name="…"} in Prometheus's label encoding.
uint64_t GroupHash(std::string_view file, std::string_view name);

struct Slots {
  int64_t interval_ms = 60000;
  int64_t phase_ns = 0;  // in [0, interval)

  int64_t phase_ms() const { return phase_ns / 1000000; }
  // RETURNS: the nanoseconds that a slot's time in milliseconds leaves out.
  int64_t sub_ms_ns() const { return phase_ns % 1000000; }
  // RETURNS: the newest slot at or before `t_ms`.
  int64_t AtOrBefore(int64_t t_ms) const;
  // RETURNS: the oldest slot after `t_ms`.
  int64_t After(int64_t t_ms) const { return AtOrBefore(t_ms) + interval_ms; }
  friend bool operator==(const Slots&, const Slots&) = default;
};

// REQUIRES: interval_ms > 0.
Slots MakeSlots(PhaseKind phase, std::string_view file, std::string_view name, int64_t interval_ms);

}  // namespace weir::rules
