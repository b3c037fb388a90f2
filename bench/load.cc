#include "bench/load.h"

#include <algorithm>
#include <cstring>

namespace weir::bench {
namespace {

struct Family {
  const char* name;
  bool counter;
  std::vector<std::string> le;  // empty: not a bucket family
  LabelPairs labels;
};

std::vector<Family> Families() {
  const LabelPairs http = {{"endpoint", "/predict"}, {"environment", "lab"}, {"service", "inference-gateway"}};
  const LabelPairs service = {{"service", "inference-gateway"}};
  const LabelPairs container = {{"container", "model-server"}};
  const LabelPairs training = {{"job_name", "pretrain"}, {"namespace", "training"}};
  std::vector<Family> families = {
      {"http_request_duration_seconds_bucket",
       true,
       {"0.01", "0.025", "0.05", "0.1", "0.2", "0.3", "0.5", "1.0", "5.0", "+Inf"},
       http},
      {"http_request_duration_seconds_sum", true, {}, http},
      {"http_request_duration_seconds_count", true, {}, http},
      {"model_prediction_duration_seconds_bucket",
       true,
       {"0.05", "0.1", "0.2", "0.3", "0.5", "1.0", "5.0", "+Inf"},
       {}},
      {"model_prediction_duration_seconds_sum", true, {}, {}},
      {"model_prediction_duration_seconds_count", true, {}, {}},
      {"model_inference_duration_seconds_bucket", true, {"0.05", "0.1", "0.3", "0.5", "1.0", "+Inf"}, {}},
      {"inference_duration_seconds_sum", true, {}, service},
      {"inference_duration_seconds_count", true, {}, service},
      {"inference_requests_total", true, {}, service},
      {"inference_confidence_score_bucket", true, {"0.7", "1.0"}, service},
      {"inference_confidence_score_count", true, {}, service},
      {"inference_queue_depth", false, {}, service},
      {"model_memory_bytes", false, {}, service},
      {"model_predictions_total", true, {}, {}},
      {"model_prediction_errors_total", true, {}, {}},
      {"model_errors_total", true, {}, {}},
      {"model_cache_hits_total", true, {}, {}},
      {"model_cache_misses_total", true, {}, {}},
      {"container_cpu_usage_seconds_total", true, {}, container},
      {"container_memory_usage_bytes", false, {}, container},
      {"nvidia_gpu_duty_cycle", true, {}, training},
      {"nvidia_gpu_memory_used_bytes", false, {}, training},
      {"nvidia_gpu_memory_total_bytes", false, {}, training},
      {"up", false, {}, {}},
  };
  for (const char* status : {"200", "404", "500", "503"}) {
    LabelPairs labels = http;
    labels.insert(labels.end(), {{"method", "POST"}, {"status", status}, {"status_code", status}});
    families.push_back({"http_requests_total", true, {}, std::move(labels)});
  }
  return families;
}

LoadSeries MakeSeries(const Family& family, const std::string& le, int instance) {
  LoadSeries series;
  series.labels = family.labels;
  series.labels.insert(series.labels.end(), {{"__name__", family.name},
                                             {"cluster", "lab"},
                                             {"instance", "node-" + std::to_string(instance) + ".example:8000"},
                                             {"job", "inference-gateway"}});
  const std::string model = "model-" + std::to_string(instance % 20);
  if (std::strncmp(family.name, "model_", 6) == 0 || std::strncmp(family.name, "container_", 10) == 0) {
    series.labels.insert(series.labels.end(),
                         {{"model", model}, {"model_name", model}, {"model_version", "v1"}, {"version", "v1"}});
  }
  if (!le.empty()) {
    series.labels.emplace_back("le", le);
  }
  std::sort(series.labels.begin(), series.labels.end());
  series.counter = family.counter;
  series.growth = 1 + (instance * 31 + static_cast<int>(le.size()) * 7) % 50;
  return series;
}

}  // namespace

std::vector<LoadSeries> InstanceSeries(int instance) {
  std::vector<LoadSeries> all;
  for (const Family& family : Families()) {
    for (const std::string& le : family.le.empty() ? std::vector<std::string>{""} : family.le) {
      all.push_back(MakeSeries(family, le, instance));
    }
  }
  return all;
}

void LoadRandom::Step(LoadSeries* series) {
  state_ ^= state_ << 13;
  state_ ^= state_ >> 7;
  state_ ^= state_ << 17;
  const double draw = static_cast<double>(state_ % 1000) / 1000;
  series->value = series->counter ? series->value + series->growth * draw : series->growth * (1 + draw);
}

}  // namespace weir::bench
