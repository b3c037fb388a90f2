#include "core/rules/schedule.h"

#include <gtest/gtest.h>

namespace weir::rules {
namespace {

struct Vector {
  const char* file;
  const char* name;
  int64_t interval_ms;
  uint64_t hash;
  int64_t offset_ns;
  int64_t eval_ns;
};

// Semantics 5.1, now = 1700000000 s.
constexpr int64_t kNowMs = 1700000000000;
constexpr Vector kVectors[] = {
    {"rules.yml", "example", 60000, 0x25b5f761f8444e2d, 50337076781, 1699999970337076781},
    {"conf/alerts.yml", "node", 30000, 0xd60fe6c9af48c241, 12670834241, 1699999992670834241},
    {"rules.d/a.yml", "g1", 15000, 0x5fbeb65a5e24aabb, 8420951739, 1699999988420951739},
};

TEST(Schedule, PrometheusSlotsEqualTheVectors) {
  for (const Vector& v : kVectors) {
    EXPECT_EQ(GroupHash(v.file, v.name), v.hash) << v.name;
    const Slots slots = MakeSlots(PhaseKind::kPrometheus, v.file, v.name, v.interval_ms);
    EXPECT_EQ(slots.phase_ns, v.offset_ns) << v.name;
    const int64_t slot_ms = slots.AtOrBefore(kNowMs);
    EXPECT_EQ(slot_ms * 1000000 + slots.sub_ms_ns(), v.eval_ns) << v.name;
    EXPECT_EQ(slots.After(kNowMs), slot_ms + v.interval_ms);
  }
}

TEST(Schedule, AlignedSlotsAreMultiplesOfTheInterval) {
  const Slots slots = MakeSlots(PhaseKind::kAligned, "a.yml", "g", 30000);
  EXPECT_EQ(slots.phase_ns, 0);
  EXPECT_EQ(slots.AtOrBefore(60000), 60000);
  EXPECT_EQ(slots.AtOrBefore(59999), 30000);
  EXPECT_EQ(slots.After(59999), 60000);
  EXPECT_EQ(slots.After(60000), 90000);
  EXPECT_EQ(slots.AtOrBefore(-1), -30000);
}

}  // namespace
}  // namespace weir::rules
