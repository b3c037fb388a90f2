#include "core/rules/alert_set.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weir::rules {
namespace {

constexpr int64_t kMinute = 60000;

constexpr LabelSetId kA = 7;  // ids are ids: the set asks nothing of the labels themselves
constexpr LabelSetId kB = 8;
constexpr LabelSetId kC = 9;

AlertElement Element(LabelSetId labels, double value = 1) { return {labels, labels + 100, value}; }

// One evaluation a minute of one alert. `in_result`: '1' present, '0' absent. RETURNS: after each, '.' nothing tracked,
// 'p' pending, 'F' firing, 'r' resolved and kept.
std::string States(const std::string& in_result, AlertTimings timings) {
  AlertSet set;
  std::string states;
  for (size_t i = 0; i < in_result.size(); ++i) {
    std::vector<AlertElement> elements;
    if (in_result[i] == '1') {
      elements.push_back(Element(kA));
    }
    EXPECT_TRUE(set.Update(elements, timings, static_cast<int64_t>(i) * kMinute).ok());
    if (set.size() == 0) {
      states += '.';
    } else {
      const AlertState state = set.all().front().state;
      states += state == AlertState::kPending ? 'p' : state == AlertState::kFiring ? 'F' : 'r';
    }
  }
  return states;
}

TEST(AlertSet, MovesThroughItsStates) {
  struct Case {
    const char* what;
    AlertTimings timings;
    const char* in_result;
    const char* states;
  };
  const Case cases[] = {
      {"for 0 fires at once", {0, 0, 0}, "0110", ".FFr"},
      {"for 2m fires when two minutes have passed", {2 * kMinute, 0, 0}, "11110", "ppFFr"},
      {"for below the interval fires at the second evaluation", {1000, 0, 0}, "110", "pFr"},
      {"a gap while pending starts over", {2 * kMinute, 0, 0}, "1101110", "pp.ppFr"},
      {"keep_firing_for 2m holds over one gap", {0, 2 * kMinute, 0}, "1011", "FFFF"},
      {"keep_firing_for 2m ends after two minutes", {0, 2 * kMinute, 0}, "1000", "FFFr"},
      {"keep_firing_for starts anew after a return", {0, 2 * kMinute, 0}, "1001000", "FFFFFFr"},
      {"keep_firing_for does not hold a pending alert", {5 * kMinute, 9 * kMinute, 0}, "110", "pp."},
      {"resolved is kept 15m and forgotten after", {0, 0, 0}, "10000000000000000000", "Frrrrrrrrrrrrrrrr..."},
      {"resolved and back starts a new pending", {2 * kMinute, 0, 0}, "11101", "ppFrp"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(States(c.in_result, c.timings), c.states) << c.what;
  }
}

TEST(AlertSet, KeepsActiveAtAndRefreshesTheValue) {
  AlertSet set;
  ASSERT_TRUE(set.Update({Element(kA, 1)}, {kMinute, 0, 0}, 0).ok());
  ASSERT_TRUE(set.Update({Element(kA, 2)}, {kMinute, 0, 0}, kMinute).ok());
  const TrackedAlert& alert = set.all().front();
  EXPECT_EQ(alert.active_at_ms, 0);
  EXPECT_EQ(alert.fired_at_ms, kMinute);
  EXPECT_EQ(alert.value, 2);
}

TEST(AlertSet, RaisingForSendsAFiringAlertBackToPending) {
  AlertSet set;
  ASSERT_TRUE(set.Update({Element(kA)}, {0, 0, 0}, 0).ok());
  ASSERT_EQ(set.State(), AlertState::kFiring);
  ASSERT_EQ(set.TakeDue(0, kMinute).size(), 1u);
  ASSERT_TRUE(set.Update({Element(kA)}, {5 * kMinute, 0, 0}, kMinute).ok());
  EXPECT_EQ(set.State(), AlertState::kPending);
  EXPECT_EQ(set.all().front().last_sent_at_ms, kNoTime);
  EXPECT_EQ(set.all().front().fired_at_ms, kNoTime);
}

TEST(AlertSet, DuplicateLabelsChangeNothing) {
  AlertSet set;
  ASSERT_TRUE(set.Update({Element(kA, 1)}, {0, 0, 0}, 0).ok());
  const Status status = set.Update({Element(kA, 7), Element(kA, 8)}, {0, 0, 0}, kMinute);
  EXPECT_EQ(status.message(), "vector contains metrics with the same labelset after applying alert labels");
  EXPECT_EQ(set.all().front().value, 1);
  EXPECT_EQ(set.State(), AlertState::kFiring);
}

TEST(AlertSet, LimitForgetsEveryAlert) {
  AlertSet set;
  ASSERT_TRUE(set.Update({Element(kA), Element(kB)}, {0, 0, 2}, 0).ok());
  const Status status = set.Update({Element(kA), Element(kB), Element(kC)}, {0, 0, 2}, kMinute);
  EXPECT_EQ(status.message(), "exceeded limit of 2 with 3 alerts");
  EXPECT_EQ(set.size(), 0u);
}

// RETURNS: the minutes (or halves, by `interval_ms`) at which an alert that fires at 0 and stays is sent, up to
// `until_ms`.
std::vector<int64_t> SendTimes(int64_t interval_ms, int64_t until_ms) {
  AlertSet set;
  std::vector<int64_t> sent;
  for (int64_t t = 0; t <= until_ms; t += interval_ms) {
    EXPECT_TRUE(set.Update({Element(kA)}, {0, 0, 0}, t).ok());
    if (!set.TakeDue(t, kMinute).empty()) {
      sent.push_back(t / 1000);
    }
  }
  return sent;
}

TEST(AlertSet, ResendsStrictlyAfterTheDelay) {
  EXPECT_EQ(SendTimes(15000, 160000), (std::vector<int64_t>{0, 75, 150}));
  EXPECT_EQ(SendTimes(30000, 190000), (std::vector<int64_t>{0, 90, 180}));
  EXPECT_EQ(SendTimes(60000, 250000), (std::vector<int64_t>{0, 120, 240}));
}

TEST(AlertSet, ResolvedIsSentAtOnceThenAgainUntilForgotten) {
  AlertSet set;
  ASSERT_TRUE(set.Update({Element(kA)}, {0, 0, 0}, 0).ok());
  ASSERT_EQ(set.TakeDue(0, kMinute).size(), 1u);
  std::vector<int64_t> sent;
  for (int64_t minute = 1; minute <= 20; ++minute) {
    ASSERT_TRUE(set.Update({}, {0, 0, 0}, minute * kMinute).ok());
    for (const TrackedAlert* alert : set.TakeDue(minute * kMinute, kMinute)) {
      EXPECT_EQ(alert->resolved_at_ms, kMinute);
      sent.push_back(minute);
    }
  }
  EXPECT_EQ(sent, (std::vector<int64_t>{1, 3, 5, 7, 9, 11, 13, 15}));
}

// A firing alert that stays, one that resolves and comes back: in the end it is another alert, behind the one that stayed, and the
// old one is gone.
TEST(AlertSet, KeepsTheOrderOfCreation) {
  AlertSet set;
  ASSERT_TRUE(set.Update({Element(kA), Element(kB)}, {0, 0, 0}, 0).ok());
  ASSERT_TRUE(set.Update({Element(kB)}, {0, 0, 0}, kMinute).ok());
  EXPECT_EQ(set.Find(kA)->state, AlertState::kInactive);
  ASSERT_TRUE(set.Update({Element(kA), Element(kB)}, {kMinute, 0, 0}, 2 * kMinute).ok());
  ASSERT_EQ(set.size(), 2u);
  EXPECT_EQ(set.all()[0].labels, kB);
  EXPECT_EQ(set.all()[1].labels, kA);
  EXPECT_EQ(set.Find(kA), &set.all()[1]);
  EXPECT_EQ(set.Find(kA)->active_at_ms, 2 * kMinute);
  EXPECT_EQ(set.Count(AlertState::kFiring), 1u);
  EXPECT_EQ(set.Count(AlertState::kPending), 1u);
  EXPECT_EQ(set.Count(AlertState::kInactive), 0u);
  EXPECT_EQ(set.Find(kC), nullptr);
}

TEST(AlertSet, PendingIsNeverSent) {
  AlertSet set;
  ASSERT_TRUE(set.Update({Element(kA)}, {5 * kMinute, 0, 0}, 0).ok());
  EXPECT_TRUE(set.TakeDue(0, kMinute).empty());
}

}  // namespace
}  // namespace weir::rules
