#include "plugins/sources/fleet/fleet_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string>

namespace weir::fleet {
namespace {

constexpr int64_t kStart = 1700000000000;

// One scrape as text: `name{labels}` -> value.
using Page = std::map<std::string, double>;

Labels Decode(std::string_view encoded) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  EXPECT_TRUE(plugin::DecodeLabels(encoded, &pairs).ok());
  std::vector<Label> labels;
  for (auto& [name, value] : pairs) {
    labels.push_back({std::string(name), std::string(value)});
  }
  return Labels(std::move(labels));
}

Page ScrapePage(const FleetModel& model, int64_t t_ms) {
  plugin::SampleBatch batch;
  model.Scrape(t_ms, &batch);
  Page page;
  for (const auto& series : batch.series) {
    EXPECT_EQ(series.count, 1u);
    EXPECT_EQ(batch.samples[series.first].t, t_ms);
    bool inserted = page.emplace(Decode(series.labels).ToString(), batch.samples[series.first].v).second;
    EXPECT_TRUE(inserted) << "series sent twice: " << Decode(series.labels).ToString();
  }
  return page;
}

// RETURNS: the largest value of the series whose text begins with `prefix` and contains `part`; -1 when there is none.
double MaxOf(const Page& page, std::string_view prefix, std::string_view part = "") {
  double max = -1;
  for (const auto& [text, v] : page) {
    if (text.rfind(prefix, 0) == 0 && text.find(part) != std::string::npos && !IsStaleNaN(v)) {
      max = std::max(max, v);
    }
  }
  return max;
}

size_t CountStale(const Page& page) {
  return static_cast<size_t>(
      std::count_if(page.begin(), page.end(), [](const auto& entry) { return IsStaleNaN(entry.second); }));
}

bool SameBits(const Page& a, const Page& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.first == y.first && std::memcmp(&x.second, &y.second, sizeof(double)) == 0;
         });
}

TEST(FleetModel, SameSeedGivesTheSameFleet) {
  FleetOptions options;
  FleetModel a(options, kStart);
  FleetModel b(options, kStart);
  for (int64_t s : {0, 7, 130, 345, 1203}) {
    EXPECT_TRUE(SameBits(ScrapePage(a, kStart + s * 1000), ScrapePage(b, kStart + s * 1000))) << s;
  }
  options.seed = 2;
  FleetModel c(options, kStart);
  EXPECT_FALSE(SameBits(ScrapePage(a, kStart), ScrapePage(c, kStart)));
}

TEST(FleetModel, ValueDoesNotDependOnEarlierScrapes) {
  FleetModel walked(FleetOptions{}, kStart);
  FleetModel fresh(FleetOptions{}, kStart);
  Page last;
  for (int64_t s = 0; s <= 700; ++s) {
    plugin::SampleBatch batch;
    walked.Scrape(kStart + s * 1000, &batch);
  }
  EXPECT_TRUE(SameBits(ScrapePage(walked, kStart + 701000), ScrapePage(fresh, kStart + 701000)));
}

TEST(FleetModel, HotGpuIsHotWithinTwentySecondsAndRecovers) {
  FleetModel model(FleetOptions{}, kStart);
  EXPECT_LT(MaxOf(ScrapePage(model, kStart), "DCGM_FI_DEV_GPU_TEMP{"), 88);
  for (int64_t s = 16; s < 95; ++s) {
    EXPECT_GT(MaxOf(ScrapePage(model, kStart + s * 1000), "DCGM_FI_DEV_GPU_TEMP{"), 88) << s;
  }
  EXPECT_LT(MaxOf(ScrapePage(model, kStart + 110000), "DCGM_FI_DEV_GPU_TEMP{"), 88);
}

TEST(FleetModel, VictimChangesFromCycleToCycle) {
  FleetModel model(FleetOptions{}, kStart);
  std::set<std::string> victims;
  for (int64_t cycle = 0; cycle < 4; ++cycle) {
    for (const auto& [text, v] : ScrapePage(model, kStart + (cycle * kCycleSeconds + 40) * 1000)) {
      if (text.rfind("DCGM_FI_DEV_GPU_TEMP{", 0) == 0 && v > 88) {
        victims.insert(text);
      }
    }
  }
  EXPECT_EQ(victims.size(), 4u);
}

TEST(FleetModel, ErrorBurnRaisesTheShareOf5xx) {
  FleetModel model(FleetOptions{}, kStart);
  auto share = [&](int64_t from_s, int64_t to_s) {
    double errors = 0, all = 0;
    Page from = ScrapePage(model, kStart + from_s * 1000), to = ScrapePage(model, kStart + to_s * 1000);
    for (const auto& [text, v] : to) {
      if (text.rfind("http_requests_total{", 0) == 0 && text.find("job=\"inference-gateway\"") != std::string::npos) {
        double increase = v - from.at(text);
        all += increase;
        if (text.find("status_code=\"5") != std::string::npos) {
          errors += increase;
        }
      }
    }
    return errors / all;
  };
  EXPECT_LT(share(0, 45), 0.005);
  EXPECT_GT(share(60, 160), 0.1);
  EXPECT_LT(share(180, 320), 0.005);
}

TEST(FleetModel, XidBurstReplacesTheCalmSeries) {
  FleetModel model(FleetOptions{}, kStart);
  Page calm = ScrapePage(model, kStart + 100000);
  EXPECT_EQ(MaxOf(calm, "DCGM_FI_DEV_XID_ERRORS{"), 0);
  EXPECT_EQ(MaxOf(calm, "DCGM_EXP_XID_ERRORS_COUNT{"), -1);
  Page begin = ScrapePage(model, kStart + 120000);
  EXPECT_EQ(MaxOf(begin, "DCGM_FI_DEV_XID_ERRORS{"), 48);
  EXPECT_EQ(CountStale(begin), 1u) << "the series of err_code 0 ends with one marker";
  EXPECT_EQ(MaxOf(ScrapePage(model, kStart + 150000), "DCGM_FI_DEV_XID_ERRORS{"), 79);
  EXPECT_EQ(MaxOf(ScrapePage(model, kStart + 245000), "DCGM_FI_DEV_XID_ERRORS{"), 0);
}

TEST(FleetModel, LossDivergesAndComesBack) {
  FleetModel model(FleetOptions{}, kStart);
  EXPECT_LT(MaxOf(ScrapePage(model, kStart + 200000), "training_loss{"), 5);
  EXPECT_GT(MaxOf(ScrapePage(model, kStart + 300000), "training_loss{"), 1000);
  EXPECT_LT(MaxOf(ScrapePage(model, kStart + 341000), "training_loss{"), 5);
}

TEST(FleetModel, ExporterDownKeepsUpAndMarksTheRestStale) {
  FleetModel model(FleetOptions{}, kStart);
  Page before = ScrapePage(model, kStart + 329000);
  Page at = ScrapePage(model, kStart + 330000);
  size_t down = 0;
  std::string instance;
  for (const auto& [text, v] : at) {
    if (text.rfind("up{", 0) == 0 && v == 0) {
      ++down;
      instance = text.substr(text.find("instance="));
    }
  }
  EXPECT_EQ(down, 1u);
  EXPECT_NE(instance.find("gpu-node-"), std::string::npos);
  EXPECT_GT(CountStale(at), 100u);
  EXPECT_EQ(at.size(), before.size());
  Page later = ScrapePage(model, kStart + 331000);
  EXPECT_EQ(CountStale(later), 0u);
  EXPECT_EQ(later.size() + CountStale(at), before.size());
  bool up_again =
      MaxOf(ScrapePage(model, kStart + 420000), "DCGM_FI_DEV_GPU_TEMP{", instance.substr(0, instance.find(','))) > 0;
  EXPECT_TRUE(up_again);
}

TEST(FleetModel, ReplicaGoneEndsEverySeriesOfTheTarget) {
  FleetModel model(FleetOptions{}, kStart);
  auto replicas = [&](int64_t s) {
    Page page = ScrapePage(model, kStart + s * 1000);
    return std::count_if(page.begin(), page.end(), [](const auto& entry) {
      return entry.first.rfind("up{", 0) == 0 && entry.first.find("gateway-") != std::string::npos &&
             !IsStaleNaN(entry.second);
    });
  };
  EXPECT_EQ(replicas(359), 3);
  EXPECT_EQ(replicas(360), 2);
  EXPECT_EQ(replicas(449), 2);
  EXPECT_EQ(replicas(450), 3);
}

TEST(FleetModel, CountersNeverFallAndHistogramBucketsNeverCross) {
  FleetOptions options;
  options.nodes = 2;
  options.gpus_per_node = 2;
  FleetModel model(options, kStart);
  Page previous = ScrapePage(model, kStart);
  for (int64_t s = 1; s <= 1300; s += 3) {
    Page page = ScrapePage(model, kStart + s * 1000);
    for (const auto& [text, v] : page) {
      std::string name = text.substr(0, text.find('{'));
      bool counter = name.ends_with("_total") || name.ends_with("_bucket") || name.ends_with("_count") ||
                     name.ends_with("_sum") || name.ends_with("_VIOLATION") || name.ends_with("_CONSUMPTION");
      auto before = previous.find(text);
      if (counter && before != previous.end() && !IsStaleNaN(v) && !IsStaleNaN(before->second)) {
        ASSERT_GE(v, before->second) << text << " at " << s;
      }
      size_t le = text.find("le=\"0.1\"");
      if (name == "http_request_duration_seconds_bucket" && le != std::string::npos && !IsStaleNaN(v)) {
        std::string wider = text;
        wider.replace(le, 8, "le=\"0.2\"");
        ASSERT_LE(v, page.at(wider)) << text << " at " << s;
      }
    }
    previous = std::move(page);
  }
}

TEST(FleetModel, IncidentsCanBeSwitchedOff) {
  FleetOptions options;
  options.incidents = false;
  FleetModel model(options, kStart);
  for (int64_t s = 0; s < kCycleSeconds; s += 5) {
    Page page = ScrapePage(model, kStart + s * 1000);
    ASSERT_LT(MaxOf(page, "DCGM_FI_DEV_GPU_TEMP{"), 88);
    ASSERT_EQ(CountStale(page), 0u);
    ASSERT_TRUE(model.ActiveAt(kStart + s * 1000).empty());
  }
}

TEST(FleetModel, SpeedCompressesTheScriptOnly) {
  FleetOptions options;
  options.speed = 10;
  FleetModel model(options, kStart);
  EXPECT_EQ(model.ActiveAt(kStart + 4000), (std::vector<Incident>{Incident::kHotGpu}));
  EXPECT_EQ(model.ActiveAt(kStart + 6000), (std::vector<Incident>{Incident::kHotGpu, Incident::kErrorBurn}));
  EXPECT_EQ(model.ActiveAt(kStart + 60000 + 4000), (std::vector<Incident>{Incident::kHotGpu}));
}

// The names that the rule files of the field read; a rename here would silently empty those rules.
TEST(FleetModel, SpeaksTheNamesThatRulesRead) {
  FleetModel model(FleetOptions{}, kStart);
  Page page = ScrapePage(model, kStart + 130000);
  for (const char* name : {"up{",
                           "nvidia_gpu_duty_cycle{",
                           "nvidia_gpu_memory_used_bytes{",
                           "nvidia_gpu_memory_total_bytes{",
                           "training_samples_processed_total{",
                           "container_gpu_allocation{",
                           "model_predictions_total{",
                           "model_inference_duration_seconds_bucket{",
                           "model_errors_total{",
                           "data_records_processed_total{",
                           "data_validation_failures_total{",
                           "feature_distribution_distance{",
                           "http_requests_total{",
                           "http_request_duration_seconds_bucket{",
                           "http_request_duration_seconds_count{",
                           "inference_duration_seconds_sum{",
                           "inference_duration_seconds_count{",
                           "inference_requests_total{",
                           "inference_confidence_score_bucket{",
                           "inference_confidence_score_count{",
                           "inference_queue_depth{",
                           "model_memory_bytes{",
                           "model_prediction_errors_total{",
                           "model_prediction_duration_seconds_bucket{",
                           "model_cache_hits_total{",
                           "model_cache_misses_total{",
                           "container_cpu_usage_seconds_total{",
                           "container_memory_usage_bytes{",
                           "container_spec_memory_limit_bytes{",
                           "training_loss{",
                           "training_current_step{",
                           "training_total_steps{",
                           "data_quality_score{",
                           "model_accuracy{",
                           "node_filesystem_avail_bytes{",
                           "node_cpu_seconds_total{",
                           "DCGM_FI_DEV_GPU_TEMP{",
                           "DCGM_FI_DEV_XID_ERRORS{",
                           "DCGM_FI_DEV_POWER_USAGE{"}) {
    auto at = page.lower_bound(name);
    EXPECT_TRUE(at != page.end() && at->first.rfind(name, 0) == 0) << name;
  }
}

}  // namespace
}  // namespace weir::fleet
