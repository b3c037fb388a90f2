// Load for a remote-write receiver (bench/load.h), sent as remote write 1.0 as fast as the receiver accepts it, and what that
// cost the receiver (CPU and memory of --pid, from /proc). Each connection owns a share of the instances and sends their samples in time order, as
// Prometheus's shards do; with --prepare all bodies are made before the first is sent, so that the rate is the receiver's own. For soaks the load follows the clock, instances come and go, some are late, and several receivers get
// the same bodies. Prints one JSON object.

#include "bench/load.h"
#include "bench/write_body.h"
#include "core/base/clock.h"
#include "core/base/http_client.h"

#include <snappy.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

namespace weir {
namespace {

struct Options {
  std::vector<std::string> urls;
  int instances = 2000;
  int steps = 40;
  int step_seconds = 15;
  int samples_per_request = 2000;
  int connections = 2;
  int64_t pid = 0;
  int64_t start_ms = 0;  // 0: so that the last step is now
  bool live = false;     // a step of the samples is a step of the clock
  int churn = 0;         // instances that give way to new ones, per step and connection
  int late_share = 0;    // one in so many instances is sent a step late; 0: none
  bool prepare = false;  // all bodies are made before any is sent
};

struct Totals {
  uint64_t samples = 0, requests = 0, retries = 0;
  std::string error;
};

// Sends one body until it is taken. RETURNS: "" or why it was refused.
std::string Send(HttpClient& client, const std::string& url, const std::string& block, uint64_t* retries) {
  HttpClientRequest request;
  request.url = url;
  request.timeout_ms = 60000;
  request.headers = {{"Content-Type", "application/x-protobuf"},
                     {"Content-Encoding", "snappy"},
                     {"X-Prometheus-Remote-Write-Version", "0.1.0"}};
  request.body = block;
  constexpr int kAttemptsMax = 6000;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    const HttpClientResponse response = client.Do(request);
    if (response.status / 100 == 2) {
      return "";
    }
    if (response.status != 429 && response.status != 503) {
      return url + ": status " + std::to_string(response.status) + " " + response.error + response.body;
    }
    ++*retries;
    SystemClock().SleepMs(5);
  }
  return url + ": still refused with 429 or 503 after all attempts";
}

// What one instance exposes.
struct Instance {
  explicit Instance(int given) : id(given), series(bench::InstanceSeries(given)) {
    for (const bench::LoadSeries& one : series) {
      labels.push_back(bench::EncodeLabels(one.labels));
    }
  }
  int id;
  std::vector<bench::LoadSeries> series;
  std::vector<std::string> labels;
};

// One connection: its share of the instances, step by step.
class Share {
 public:
  Share(const Options& options, int connection, int64_t start_ms)
      : options_(options),
        start_ms_(start_ms),
        next_id_(options.instances + connection),
        random_(static_cast<uint64_t>(connection)) {
    for (int instance = connection; instance < options.instances; instance += options.connections) {
      instances_.emplace_back(instance);
    }
  }

  // Makes the bodies that are to be there before the first is sent.
  void Prepare() {
    if (options_.prepare) {
      AllSteps();
    }
  }

  Totals Run() {
    if (!options_.prepare) {
      AllSteps();
    }
    for (const Body& body : prepared_) {
      SendBody(body);
    }
    return totals_;
  }

 private:
  struct Body {
    std::string block;
    int samples = 0;
  };

  void AllSteps() {
    const int64_t began_ms = SystemClock().NowMs();
    for (int step = 0; step < options_.steps && totals_.error.empty(); ++step) {
      const int64_t due_ms = began_ms + int64_t{step} * options_.step_seconds * 1000;
      if (const int64_t now_ms = SystemClock().NowMs(); options_.live && now_ms < due_ms) {
        SystemClock().SleepMs(due_ms - now_ms);
      }
      Step(step);
    }
    Flush();
  }

  void Step(int step) {
    for (int i = 0; i < options_.churn && !instances_.empty(); ++i) {
      instances_[oldest_] = Instance(next_id_);
      next_id_ += options_.connections;
      oldest_ = (oldest_ + 1) % instances_.size();
    }
    for (Instance& instance : instances_) {
      const bool late = options_.late_share > 0 && instance.id % options_.late_share == 0;
      const int64_t t_ms = start_ms_ + int64_t{step - (late ? 1 : 0)} * options_.step_seconds * 1000;
      for (size_t i = 0; i < instance.series.size(); ++i) {
        random_.Step(&instance.series[i]);
        bench::AppendTimeSeries(instance.labels[i], instance.series[i].value, t_ms, &body_);
        if (++in_body_ == options_.samples_per_request) {
          Flush();
        }
      }
    }
    if (options_.live) {
      Flush();
    }
  }
  void Flush() {
    if (in_body_ == 0) {
      return;
    }
    Body body;
    snappy::Compress(body_.data(), body_.size(), &body.block);
    body.samples = std::exchange(in_body_, 0);
    body_.clear();
    if (options_.prepare) {
      prepared_.push_back(std::move(body));
    } else {
      SendBody(body);
    }
  }
  void SendBody(const Body& body) {
    if (!totals_.error.empty()) {
      return;
    }
    for (const std::string& url : options_.urls) {
      totals_.error = totals_.error.empty() ? Send(client_, url, body.block, &totals_.retries) : totals_.error;
    }
    totals_.requests += 1;
    totals_.samples += static_cast<uint64_t>(body.samples);
  }

  const Options& options_;
  const int64_t start_ms_;
  int next_id_;
  bench::LoadRandom random_;
  std::vector<Instance> instances_;
  size_t oldest_ = 0;
  HttpClient client_;
  Totals totals_;
  std::string body_;
  int in_body_ = 0;
  std::vector<Body> prepared_;
};

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
  const int64_t start_ms = options.start_ms != 0 ? options.start_ms : clock.NowMs() - (options.live ? 0 : length_ms);
  std::vector<std::unique_ptr<Share>> shares(static_cast<size_t>(options.connections));
  std::vector<Totals> sent(shares.size());
  const auto each = [&shares](const auto& what) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < shares.size(); ++i) {
      threads.emplace_back([&what, i] { what(i); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  };
  each([&](size_t i) {
    shares[i] = std::make_unique<Share>(options, static_cast<int>(i), start_ms);
    shares[i]->Prepare();
  });
  const double cpu_before = CpuSeconds(options.pid);
  const int64_t began_ns = clock.MonotonicNs();
  each([&](size_t i) { sent[i] = shares[i]->Run(); });
  Totals totals;
  for (const Totals& share : sent) {
    totals.samples += share.samples;
    totals.requests += share.requests;
    totals.retries += share.retries;
    totals.error += share.error;
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
  app.add_option("--url", options.urls, "remote-write endpoint; several get the same bodies")->required();
  app.add_option("--pid", options.pid, "process of the receiver")->required();
  app.add_option("--instances", options.instances, "instances of 51 series each");
  app.add_option("--steps", options.steps, "samples per series");
  app.add_option("--step-seconds", options.step_seconds, "distance of two samples of a series");
  app.add_option("--samples-per-request", options.samples_per_request, "samples in one body");
  app.add_option("--connections", options.connections, "connections, each with its share of the instances");
  app.add_option("--start-ms", options.start_ms, "time of the first sample (default: the last one is now)");
  app.add_flag("--live", options.live, "send as the clock goes, a step every --step-seconds");
  app.add_option("--churn", options.churn, "instances that give way to new ones, per step and connection");
  app.add_flag("--prepare", options.prepare, "make all bodies before the first is sent")->excludes("--live");
  app.add_option("--late-share", options.late_share, "one in so many instances is sent a step late");
  CLI11_PARSE(app, argc, argv);
  return weir::Run(options);
}
