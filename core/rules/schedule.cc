#include "core/rules/schedule.h"

#include "core/model/labels.h"

#include <string>

namespace weir::rules {

uint64_t GroupHash(std::string_view file, std::string_view name) {
  return Labels{{"file", std::string(file)}, {"name", std::string(name)}}.Hash();
}

int64_t Slots::AtOrBefore(int64_t t_ms) const {
  const int64_t shifted = t_ms - phase_ms();
  int64_t past = shifted % interval_ms;
  if (past < 0) {
    past += interval_ms;
  }
  return t_ms - past;
}

Slots MakeSlots(PhaseKind phase, std::string_view file, std::string_view name, int64_t interval_ms) {
  Slots slots{interval_ms, 0};
  if (phase == PhaseKind::kPrometheus) {
    const auto interval_ns = static_cast<uint64_t>(interval_ms) * 1000000;
    slots.phase_ns = static_cast<int64_t>(GroupHash(file, name) % interval_ns);
  }
  return slots;
}

}  // namespace weir::rules
