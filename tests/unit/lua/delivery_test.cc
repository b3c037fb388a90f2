// The queue before a receiver, and what becomes of each try.

#include <gtest/gtest.h>

#include "plugins/sinks/lua/courier.h"
#include "tests/unit/lua/fake_services.h"

namespace weir::lua {
namespace {

using plugin::AlertBatch;
using plugin::SampleResults;

std::shared_ptr<const AlertBatch> Alerts(const std::vector<std::string>& names, bool resolved = false,
                                         int64_t tick_ms = 1000) {
  auto batch = std::make_shared<AlertBatch>();
  batch->tick_ms = tick_ms;
  for (const std::string& name : names) {
    plugin::Alert alert;
    alert.labels = Labels{{"alertname", name}};
    alert.resolved = resolved;
    batch->alerts.push_back(alert);
  }
  return batch;
}

std::shared_ptr<const SampleResults> Samples(size_t count) {
  auto results = std::make_shared<SampleResults>();
  results->group = "g";
  results->samples.assign(count, {std::make_shared<const Labels>(Labels{{"__name__", "x"}}), 1, 1});
  return results;
}

std::string NameOf(const std::optional<QueuedDelivery>& delivery) {
  if (!delivery) {
    return "none";
  }
  return delivery->alerts ? std::string(delivery->alerts->alerts[delivery->first].labels.Get("alertname"))
                          : "samples:" + std::to_string(delivery->first) + "+" + std::to_string(delivery->count);
}

TEST(Queue, AlertsBeforeSamplesAndSamplesInParts) {
  DeliveryQueue queue(10000);
  queue.PushSamples(Samples(2500), 1000);
  queue.PushAlerts(Alerts({"a", "b"}));
  EXPECT_EQ(queue.items(), 2502U);
  for (const char* want : {"a", "b", "samples:0+1000", "samples:1000+1000", "samples:2000+500", "none"}) {
    EXPECT_EQ(NameOf(queue.Take(0, false)), want);
  }
  EXPECT_EQ(queue.items(), 0U);
}

TEST(Queue, ResentAlertsAreDeliveredOnce) {
  DeliveryQueue queue(100);
  queue.PushAlerts(Alerts({"a"}));
  queue.PushAlerts(Alerts({"a", "b"}, false, 2000));
  EXPECT_EQ(NameOf(queue.Take(0, false)), "a");
  EXPECT_EQ(NameOf(queue.Take(0, false)), "b");
  EXPECT_EQ(NameOf(queue.Take(0, false)), "none");
  queue.PushAlerts(Alerts({"a"}, true, 3000));
  EXPECT_EQ(NameOf(queue.Take(0, false)), "a");
  queue.PushAlerts(Alerts({"a"}, true, 4000));
  EXPECT_EQ(NameOf(queue.Take(0, false)), "none");
  queue.PushAlerts(Alerts({"a"}, true, 4000 + 3 * kKnownAlertsForgetMs));
  EXPECT_EQ(NameOf(queue.Take(0, false)), "a") << "long not seen: new again";
}

TEST(Queue, OverflowDropsOldestSamplesThenOldestAlerts) {
  DeliveryQueue queue(5);
  queue.PushSamples(Samples(2), 1000);
  queue.PushSamples(Samples(3), 1000);
  DroppedDeliveries dropped = queue.PushAlerts(Alerts({"a"}));
  EXPECT_EQ(dropped.samples, 2U);
  EXPECT_EQ(dropped.alerts, 0U);
  dropped = queue.PushAlerts(Alerts({"b", "c", "d", "e", "f"}));
  EXPECT_EQ(dropped.samples, 3U);
  EXPECT_EQ(dropped.alerts, 1U);
  EXPECT_EQ(NameOf(queue.Take(0, false)), "b");
  EXPECT_EQ(queue.items(), 4U);
}

TEST(Queue, RetriesKeepTheirTimeAndNewerStatesReplaceThem) {
  DeliveryQueue queue(100);
  queue.PushAlerts(Alerts({"a", "b"}));
  auto a = queue.Take(0, false);
  auto b = queue.Take(0, false);
  EXPECT_TRUE(queue.PutBack(*a, 500));
  EXPECT_EQ(queue.NextDueMs(), 500);
  EXPECT_EQ(NameOf(queue.Take(499, false)), "none");
  EXPECT_EQ(queue.PushAlerts(Alerts({"a"}, true)).superseded, 1U);
  EXPECT_EQ(queue.NextDueMs(), 0);
  auto resolved = queue.Take(0, false);
  EXPECT_TRUE(resolved->alerts->alerts[0].resolved);
  EXPECT_EQ(NameOf(queue.Take(1000, false)), "none");
  queue.PushAlerts(Alerts({"b"}, true));
  EXPECT_FALSE(queue.PutBack(*b, 500)) << "its resolved state is known by now";
  EXPECT_TRUE(queue.PutBack(*resolved, 900));
  EXPECT_EQ(NameOf(queue.Take(0, true)), "a") << "draining does not wait";
  EXPECT_EQ(queue.Clear().alerts, 1U);
  EXPECT_EQ(queue.items(), 0U);
}

class CourierTest : public testing::Test {
 protected:
  void Start(const std::string& body, int64_t retry_for_ms = 3600000) {
    CourierOptions options;
    options.source = AlertScript(body);
    options.script = TestOptions();
    options.retry_for_ms = retry_for_ms;
    courier_ = std::make_unique<Courier>(options, &services_, &metrics_);
    const Status started = courier_->Start();
    ASSERT_TRUE(started.ok()) << started.message();
    DeliveryQueue queue(10);
    queue.PushAlerts(Alerts({"a"}));
    delivery_ = *queue.Take(0, false);
  }
  // RETURNS: the pause until the next try, or -1 when there is none.
  int64_t Deliver(int64_t now_ms, bool last = false) {
    const auto due_ms = courier_->Deliver(&delivery_, now_ms, last);
    return due_ms ? *due_ms - now_ms : -1;
  }
  uint64_t Count(const char* name, const char* label = nullptr, const char* value = nullptr) {
    MetricLabels labels = {{"receiver", "test"}};
    if (label != nullptr) {
      labels.emplace_back(label, value);
    }
    return metrics_.GetCounter(name, "", labels).value();
  }

  FakeServices services_;
  MetricRegistry metrics_;
  std::unique_ptr<Courier> courier_;
  QueuedDelivery delivery_;
};

TEST_F(CourierTest, Delivered) {
  Start("weir.log.info(alert.id) return 'ok'");
  EXPECT_EQ(Deliver(0), -1);
  EXPECT_EQ(Count("weir_lua_delivered_total"), 1U);
  EXPECT_EQ(services_.log[0], "1|test-1000-1");
}

TEST_F(CourierTest, RetriesWithGrowingPauses) {
  Start("return 'retry', 'busy'", 100000000);
  int64_t now_ms = 0;
  int64_t plain_ms = 1000;
  for (int i = 0; i < 12; ++i) {
    const int64_t pause_ms = Deliver(now_ms);
    EXPECT_GE(pause_ms, plain_ms * 8 / 10) << i;
    EXPECT_LE(pause_ms, plain_ms * 12 / 10) << i;
    EXPECT_LE(pause_ms, kBackoffMaxMs);
    now_ms += pause_ms;
    plain_ms = std::min(kBackoffMaxMs, plain_ms * 2);
  }
  EXPECT_EQ(Count("weir_lua_retried_total"), 12U);
}

TEST_F(CourierTest, TheScriptMayAskForALongerPause) {
  Start("return 'retry', 'busy', 90");
  EXPECT_EQ(Deliver(5), 90000);
}

TEST_F(CourierTest, GivesUpAfterRetryFor) {
  Start("return 'retry', 'busy'", 5000);
  int64_t now_ms = 0, tries = 0;
  for (int64_t pause_ms = 0; pause_ms >= 0; ++tries) {
    now_ms += pause_ms;
    pause_ms = Deliver(now_ms);
  }
  EXPECT_LE(now_ms, 5000);
  EXPECT_GE(tries, 2);
  EXPECT_EQ(Count("weir_lua_dropped_total", "reason", "retry_for"), 1U);
}

TEST_F(CourierTest, DropsWhenToldTo) {
  Start("return 'drop', 'no route'");
  EXPECT_EQ(Deliver(0), -1);
  EXPECT_EQ(Count("weir_lua_dropped_total", "reason", "script"), 1U);
}

TEST_F(CourierTest, ScriptErrorsAreTriedThreeTimes) {
  Start("error('boom')");
  EXPECT_GT(Deliver(0), 0);
  EXPECT_GT(Deliver(0), 0);
  EXPECT_EQ(Deliver(0), -1);
  EXPECT_EQ(Count("weir_lua_script_errors_total"), 3U);
  EXPECT_EQ(Count("weir_lua_dropped_total", "reason", "script_error"), 1U);
}

TEST_F(CourierTest, MemoryOverrunMakesANewState) {
  Start(
      "n = (n or 0) + 1 if alert.attempt == 2 then big = ('x'):rep(2^30) end return alert.attempt < 3 and 'retry' or "
      "'drop', tostring(n)");
  EXPECT_GT(Deliver(0), 0);
  EXPECT_GT(Deliver(0), 0);
  EXPECT_EQ(Count("weir_lua_limit_total", "reason", "memory"), 1U);
  EXPECT_EQ(Deliver(0), -1);
  EXPECT_EQ(Count("weir_lua_dropped_total", "reason", "script"), 1U);
}

TEST_F(CourierTest, InstructionsAreALimitOfTheirOwn) {
  Start("while true do end");
  EXPECT_GT(Deliver(0), 0);
  EXPECT_EQ(Count("weir_lua_limit_total", "reason", "instructions"), 1U);
}

TEST_F(CourierTest, TheLastTryHasNoNext) {
  Start("return 'retry', 'busy'");
  EXPECT_EQ(Deliver(0, true), -1);
  EXPECT_EQ(Count("weir_lua_dropped_total", "reason", "shutdown"), 1U);
}

}  // namespace
}  // namespace weir::lua
