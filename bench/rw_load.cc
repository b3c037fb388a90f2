// Load for a remote-write receiver (bench/load.h), sent as remote write 1.0 as fast as the receiver accepts it, and what that
// cost the receiver (CPU and memory of --pid, from /proc). Each connection owns a share of the instances and sends their samples in time order, as
// Prometheus's shards do. Prints one JSON object.

#include "bench/load.h"
#include "core/base/clock.h"
#include "core/base/http_client.h"

#include <snappy.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
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

// RETURNS: the labels as they stand in a TimeSeries message.
std::string EncodeLabels(const bench::LabelPairs& labels) {
  std::string encoded;
  for (const auto& [name, value] : labels) {
    std::string pair;
    AppendBytes(0x0a, name, &pair);
    AppendBytes(0x12, value, &pair);
    AppendBytes(0x0a, pair, &encoded);
  }
  return encoded;
}

void AppendTimeSeries(const std::string& labels, double value, int64_t t_ms, std::string* out) {
  std::string sample(1, 0x09);
  sample.append(reinterpret_cast<const char*>(&value), sizeof(double));
  sample.push_back(0x10);
  AppendVarint(static_cast<uint64_t>(t_ms), &sample);
  out->push_back(0x0a);
  AppendVarint(labels.size() + sample.size() + 2, out);
  out->append(labels);
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
  std::vector<bench::LoadSeries> all;
  std::vector<std::string> labels;
  for (int instance = connection; instance < options.instances; instance += options.connections) {
    for (bench::LoadSeries& series : bench::InstanceSeries(instance)) {
      labels.push_back(EncodeLabels(series.labels));
      all.push_back(std::move(series));
    }
  }
  Totals totals;
  HttpClient client;
  bench::LoadRandom random(static_cast<uint64_t>(connection));
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
    for (size_t i = 0; i < all.size(); ++i) {
      random.Step(&all[i]);
      AppendTimeSeries(labels[i], all[i].value, start_ms + int64_t{step} * options.step_seconds * 1000, &body);
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
