// Load for a remote-write receiver: INSTANCES × 51 series of the families that alerting rules on an inference fleet
// read, sent as remote write 1.0 as fast as the receiver accepts them, and what that cost the receiver (CPU and memory
// of --pid, from /proc). Each connection owns a share of the instances and sends their samples in time order, as
// Prometheus's shards do. Prints one JSON object.

#include "core/base/clock.h"
#include "core/base/http_client.h"

#include <snappy.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

namespace weir {
namespace {

using LabelPairs = std::vector<std::pair<std::string, std::string>>;

struct Options {
  std::string url;
  int instances = 2000;
  int steps = 40;
  int step_seconds = 15;
  int samples_per_request = 2000;
  int connections = 2;
  int64_t pid = 0;
  int64_t start_ms = 0;  // 0: so that the last step is now
};

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void AppendBytes(char tag, const std::string& bytes, std::string* out) {
  out->push_back(tag);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

// One series: its labels as they stand in a TimeSeries message, and the state of its value.
struct LoadSeries {
  std::string labels;
  bool counter = true;
  double value = 0;
  double growth = 1;
};

struct Family {
  const char* name;
  bool counter;
  std::vector<std::string> le;  // empty: not a bucket family
  LabelPairs labels;
};

// 51 series: histograms with their buckets, counters, gauges and `up`, as one inference server exposes them.
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
  LabelPairs labels = family.labels;
  labels.insert(labels.end(), {{"__name__", family.name},
                               {"cluster", "lab"},
                               {"instance", "node-" + std::to_string(instance) + ".example:8000"},
                               {"job", "inference-gateway"}});
  const std::string model = "model-" + std::to_string(instance % 20);
  if (std::strncmp(family.name, "model_", 6) == 0 || std::strncmp(family.name, "container_", 10) == 0) {
    labels.insert(labels.end(), {{"model", model}, {"model_name", model}, {"model_version", "v1"}, {"version", "v1"}});
  }
  if (!le.empty()) {
    labels.emplace_back("le", le);
  }
  std::sort(labels.begin(), labels.end());
  LoadSeries series;
  for (const auto& [name, value] : labels) {
    std::string pair;
    AppendBytes(0x0a, name, &pair);
    AppendBytes(0x12, value, &pair);
    AppendBytes(0x0a, pair, &series.labels);
  }
  series.counter = family.counter;
  series.growth = 1 + (instance * 31 + static_cast<int>(le.size()) * 7) % 50;
  return series;
}

void AppendTimeSeries(const LoadSeries& series, int64_t t_ms, std::string* out) {
  std::string sample(1, 0x09);
  sample.append(reinterpret_cast<const char*>(&series.value), sizeof(double));
  sample.push_back(0x10);
  AppendVarint(static_cast<uint64_t>(t_ms), &sample);
  out->push_back(0x0a);
  AppendVarint(series.labels.size() + sample.size() + 2, out);
  out->append(series.labels);
  AppendBytes(0x12, sample, out);
}

struct Totals {
  uint64_t samples = 0, requests = 0, retries = 0;
  std::string error;
};

// Sends one body until it is taken. RETURNS: "" or why it was refused.
std::string Send(HttpClient& client, const Options& options, const std::string& body, uint64_t* retries) {
  HttpClientRequest request;
  request.url = options.url;
  request.timeout_ms = 60000;
  request.headers = {{"Content-Type", "application/x-protobuf"},
                     {"Content-Encoding", "snappy"},
                     {"X-Prometheus-Remote-Write-Version", "0.1.0"}};
  snappy::Compress(body.data(), body.size(), &request.body);
  constexpr int kAttemptsMax = 6000;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const HttpClientResponse response = client.Do(request);
    if (response.status / 100 == 2) {
      return "";
    }
    if (response.status != 429 && response.status != 503) {
      return "status " + std::to_string(response.status) + " " + response.error + response.body;
    }
    ++*retries;
    SystemClock().SleepMs(5);
  }
  return "still refused with 429 or 503 after all attempts";
}

// One connection: its share of the instances, step by step.
Totals SendShare(const Options& options, int connection, int64_t start_ms) {
  std::vector<LoadSeries> all;
  for (int instance = connection; instance < options.instances; instance += options.connections) {
    for (const Family& family : Families()) {
      for (const std::string& le : family.le.empty() ? std::vector<std::string>{""} : family.le) {
        all.push_back(MakeSeries(family, le, instance));
      }
    }
  }
  Totals totals;
  HttpClient client;
  uint64_t random = 88172645463325252ULL + static_cast<uint64_t>(connection);
  std::string body;
  int in_body = 0;
  const auto flush = [&] {
    totals.error = Send(client, options, body, &totals.retries);
    totals.requests += 1;
    totals.samples += static_cast<uint64_t>(in_body);
    body.clear();
    in_body = 0;
    return totals.error.empty();
  };
  for (int step = 0; step < options.steps; ++step) {
    for (LoadSeries& series : all) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      const double draw = static_cast<double>(random % 1000) / 1000;
      series.value = series.counter ? series.value + series.growth * draw : series.growth * (1 + draw);
      AppendTimeSeries(series, start_ms + int64_t{step} * options.step_seconds * 1000, &body);
      if (++in_body == options.samples_per_request && !flush()) {
        return totals;
      }
    }
  }
  if (in_body > 0) {
    flush();
  }
  return totals;
}

// RETURNS: user and system time of the process so far, in seconds.
double CpuSeconds(int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) {
    return 0;
  }
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  double ticks = 0;
  for (int position = 3; fields >> field && position <= 15; ++position) {  // 14 and 15: utime and stime
    ticks += position >= 14 ? std::stod(field) : 0;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// RETURNS: a line of /proc/PID/status such as VmRSS, in MB.
double MemoryMb(int64_t pid, const std::string& key) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + ":", 0) == 0) {
      return std::stod(line.substr(key.size() + 1)) / 1024;
    }
  }
  return 0;
}

int Run(const Options& options) {
  const Clock& clock = SystemClock();
  const int64_t length_ms = int64_t{options.steps - 1} * options.step_seconds * 1000;
  const int64_t start_ms = options.start_ms != 0 ? options.start_ms : clock.NowMs() - length_ms;
  const double cpu_before = CpuSeconds(options.pid);
  const int64_t began_ns = clock.MonotonicNs();
  std::vector<Totals> shares(static_cast<size_t>(options.connections));
  std::vector<std::thread> threads;
  for (int connection = 0; connection < options.connections; ++connection) {
    threads.emplace_back(
        [&, connection] { shares[static_cast<size_t>(connection)] = SendShare(options, connection, start_ms); });
  }
  Totals totals;
  for (size_t i = 0; i < threads.size(); ++i) {
    threads[i].join();
    totals.samples += shares[i].samples;
    totals.requests += shares[i].requests;
    totals.retries += shares[i].retries;
    totals.error += shares[i].error;
  }
  const double seconds = static_cast<double>(clock.MonotonicNs() - began_ns) / 1e9;
  clock.SleepMs(1000);  // what was accepted but not yet worked off is the receiver's cost too
  const double cpu = CpuSeconds(options.pid) - cpu_before;
  if (!totals.error.empty()) {
    std::cerr << "rw_load: " << totals.error << "\n";
    return 1;
  }
  const auto samples = static_cast<double>(totals.samples);
  std::cout << "{\"samples\": " << totals.samples << ", \"requests\": " << totals.requests
            << ", \"retries\": " << totals.retries << ", \"seconds\": " << seconds
            << ", \"samples_per_second\": " << samples / seconds << ", \"cpu_seconds\": " << cpu
            << ", \"cpu_us_per_sample\": " << cpu / samples * 1e6 << ", \"rss_mb\": " << MemoryMb(options.pid, "VmRSS")
            << ", \"rss_max_mb\": " << MemoryMb(options.pid, "VmHWM") << "}\n";
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::Options options;
  CLI::App app{"Sends remote write as fast as it is accepted and reports what that cost the receiver."};
  app.add_option("--url", options.url, "remote-write endpoint")->required();
  app.add_option("--pid", options.pid, "process of the receiver")->required();
  app.add_option("--instances", options.instances, "instances of 51 series each");
  app.add_option("--steps", options.steps, "samples per series");
  app.add_option("--step-seconds", options.step_seconds, "distance of two samples of a series");
  app.add_option("--samples-per-request", options.samples_per_request, "samples in one body");
  app.add_option("--connections", options.connections, "connections, each with its share of the instances");
  app.add_option("--start-ms", options.start_ms, "time of the first sample (default: the last one is now)");
  CLI11_PARSE(app, argc, argv);
  return weir::Run(options);
}
