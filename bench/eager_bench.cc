// From the byte's arrival to the alert: runs `weir run` as a process of its own with a few eager alerts, offers it a steady load
// by remote write and has one series after another cross its threshold. Open loop: every request has the time at which it is
// due, whatever became of those before it, and latency counts from that time, so a stall is paid for by all that it delays.
// An alert has arrived when this process, as its Alertmanager, has read it. Prints one JSON object; CPU time is weir's.

#include "bench/load.h"
#include "bench/write_body.h"
#include "core/base/clock.h"
#include "core/base/http_client.h"
#include "core/base/http_server.h"

#include <snappy.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

extern char** environ;  // NOLINT: POSIX names it so

namespace weir {
namespace {

struct Options {
  std::string weir = "build/weir";
  std::string listen = "127.0.0.1:19797";
  int64_t rate = 200000;
  int seconds = 30;
  int warm_seconds = 12;  // load before the first crossing: two ticks
  int instances = 2000;
  int samples_per_request = 1000;
  int connections = 2;
  int crossings = 20;  // a second
  int together = 1;    // of them in one request
  int probes = 0;      // series of the alert that is crossed, at least those that cross
  bool eager = true;
  bool quantile = false;
};

constexpr int64_t kTickSeconds = 5;

// When each probe was due to be sent and when its alert came, in nanoseconds; 0: not yet.
struct Probes {
  explicit Probes(size_t n) : due_ns(n), seen_ns(n) {}
  std::vector<std::atomic<int64_t>> due_ns;
  std::vector<std::atomic<int64_t>> seen_ns;
};

void WriteFile(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

std::string Config(const Options& options, int alertmanager_port) {
  return "global: {evaluation_interval: " + std::to_string(kTickSeconds) + "s}\nlisten: " + options.listen +
         "\nrule_files: [rules.yml]\nsources: [{remote_write: {}}]\nalerting: {alertmanagers: [{static_configs: "
         "[{targets: [\"127.0.0.1:" +
         std::to_string(alertmanager_port) + "\"]}]}]}\n" +
         (options.eager ? "overrides: [{group: eager, mode: eager}]\n" : "");
}

constexpr const char* kRules = R"yaml(groups:
  - name: eager
    rules:
      - {alert: Probe, expr: probe > 0.5}
      - {alert: Errors, expr: "rate(model_errors_total[1m]) > 1e9"}
      - {alert: Requests, expr: "sum by (status) (rate(http_requests_total[1m])) > 1e12"}
      - alert: Burn
        expr: >
          sum(rate(http_requests_total{status="500"}[1m])) / sum(rate(http_requests_total[1m])) > 0.99
          and sum(rate(http_requests_total{status="500"}[5m])) / sum(rate(http_requests_total[5m])) > 0.99
%QUANTILE%  - name: ticks
    rules:
      - {record: "latency:p99", expr: "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))"}
      - {record: "requests:rate5m", expr: "sum by (service) (rate(inference_requests_total[5m]))"}
)yaml";

// Over ten buckets of each instance.
constexpr const char* kQuantile = R"yaml(      - alert: Slow
        expr: histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m]))) > 1
)yaml";

std::string Rules(const Options& options) {
  constexpr std::string_view kPlace = "%QUANTILE%";
  std::string rules = kRules;
  return rules.replace(rules.find(kPlace), kPlace.size(), options.quantile ? kQuantile : "");
}

// One connection: its share of the series in turn, and every so often a probe that crosses.
class Sender {
 public:
  Sender(const Options& options, int connection, int64_t start_ns, Probes* probes)
      : options_(options), connection_(connection), start_ns_(start_ns), probes_(*probes), random_(connection) {
    for (int i = connection; i < options.instances; i += options.connections) {
      begins_.push_back(series_.size());
      for (bench::LoadSeries& series : bench::InstanceSeries(i)) {
        labels_.push_back(bench::EncodeLabels(series.labels));
        series_.push_back(std::move(series));
      }
    }
  }

  void Run() {
    const Clock& clock = SystemClock();
    const int64_t every_ns = int64_t{1000000000} * options_.samples_per_request * options_.connections / options_.rate;
    const int64_t requests = int64_t{1000000000} * (options_.warm_seconds + options_.seconds) / every_ns;
    HttpClient client;
    for (int64_t n = 0; n < requests; ++n) {
      const int64_t due_ns = start_ns_ + n * every_ns + every_ns * connection_ / options_.connections;
      Fill(n, due_ns, clock);
      const int64_t wait_ms = (due_ns - clock.MonotonicNs()) / 1000000;
      if (wait_ms > 0) {
        clock.SleepMs(wait_ms);
      }
      late_ns = std::max(late_ns, clock.MonotonicNs() - due_ns);
      HttpClientRequest request;
      request.url = "http://" + options_.listen + "/api/v1/write";
      request.timeout_ms = 60000;
      request.headers = {{"Content-Type", "application/x-protobuf"},
                         {"Content-Encoding", "snappy"},
                         {"X-Prometheus-Remote-Write-Version", "0.1.0"}};
      snappy::Compress(body_.data(), body_.size(), &request.body);
      const HttpClientResponse response = client.Do(request);
      if (response.status / 100 != 2) {
        ++refused;
      }
    }
  }

  int64_t late_ns = 0;  // the furthest behind its plan
  uint64_t refused = 0;

 private:
  void Fill(int64_t n, int64_t due_ns, const Clock& clock) {
    body_.clear();
    // The wall clock at the time the request is due.
    const int64_t t_ms = clock.NowMs() + (due_ns - clock.MonotonicNs()) / 1000000;
    const auto probes = static_cast<int64_t>(probes_.due_ns.size());
    if (n == 0) {
      for (int64_t probe = connection_; probe < std::max<int64_t>(probes, options_.probes);
           probe += options_.connections) {
        AppendProbe(probe, 0, t_ms);
      }
    }
    for (int i = 0; i < options_.samples_per_request; ++i, ++next_) {
      const size_t at = next_ % series_.size();
      // All series of an instance are of one time, as scraped.
      if (std::binary_search(begins_.begin(), begins_.end(), at)) {
        scraped_ms_ = t_ms;
      }
      random_.Step(&series_[at]);
      bench::AppendTimeSeries(labels_[at], series_[at].value, scraped_ms_, &body_);
      if (i != options_.samples_per_request / 2) {
        continue;
      }
      const int64_t warm_ns = start_ns_ + int64_t{1000000000} * options_.warm_seconds;
      int64_t wanted = due_ns < warm_ns ? 0 : (due_ns - warm_ns) * options_.crossings / 1000000000;
      if (options_.together > 1) {
        wanted -= wanted % (int64_t{options_.together} * options_.connections);
      }
      for (; crossed_ * options_.connections + connection_ < std::min(wanted, probes); ++crossed_) {
        const int64_t probe = crossed_ * options_.connections + connection_;
        probes_.due_ns[static_cast<size_t>(probe)] = due_ns;
        AppendProbe(probe, 1, t_ms);
      }
    }
  }
  void AppendProbe(int64_t probe, double value, int64_t t_ms) {
    const bench::LabelPairs labels = {{"__name__", "probe"}, {"probe", std::to_string(probe)}};
    bench::AppendTimeSeries(bench::EncodeLabels(labels), value, t_ms, &body_);
  }

  const Options& options_;
  const int connection_;
  const int64_t start_ns_;
  Probes& probes_;
  bench::LoadRandom random_;
  std::vector<bench::LoadSeries> series_;
  std::vector<std::string> labels_;
  std::vector<size_t> begins_;  // of the instances
  int64_t scraped_ms_ = 0;
  size_t next_ = 0;
  int64_t crossed_ = 0;
  std::string body_;
};

// Notes when each probe of a request to the Alertmanager came first.
void Note(const std::string& body, int64_t now_ns, Probes* probes) {
  constexpr std::string_view kKey = "\"probe\":\"";
  for (size_t at = body.find(kKey); at != std::string::npos; at = body.find(kKey, at + 1)) {
    const auto probe = static_cast<size_t>(std::stoul(body.substr(at + kKey.size(), 10)));
    int64_t unseen = 0;
    probes->seen_ns[probe].compare_exchange_strong(unseen, now_ns);
  }
}

std::string Get(const std::string& url) {
  HttpClient client;
  HttpClientRequest request;
  request.method = "GET";
  request.url = url;
  request.timeout_ms = 1000;
  const HttpClientResponse response = client.Do(request);
  return response.status == 200 ? response.body : "";
}

double Quantile(const std::vector<int64_t>& sorted, double q) {
  if (sorted.empty()) {
    return 0;
  }
  const auto at = static_cast<size_t>(q * static_cast<double>(sorted.size()));
  return static_cast<double>(sorted[std::min(at, sorted.size() - 1)]) / 1e6;
}

void Print(const Options& options, const Probes& probes, const std::vector<Sender>& senders) {
  std::vector<int64_t> latencies;
  size_t sent = 0;
  size_t missing = 0;
  for (size_t i = 0; i < probes.due_ns.size(); ++i) {
    if (probes.due_ns[i] == 0) {
      continue;
    }
    ++sent;
    if (probes.seen_ns[i] == 0) {
      ++missing;
    } else {
      latencies.push_back(probes.seen_ns[i] - probes.due_ns[i]);
    }
  }
  std::sort(latencies.begin(), latencies.end());
  uint64_t refused = 0;
  int64_t late_ns = 0;
  for (const Sender& sender : senders) {
    refused += sender.refused;
    late_ns = std::max(late_ns, sender.late_ns);
  }
  std::cout << "{\"offered_samples_per_second\": " << options.rate << ", \"crossings\": " << sent
            << ", \"missing\": " << missing << ", \"refused_requests\": " << refused
            << ", \"sender_late_ms\": " << static_cast<double>(late_ns) / 1e6
            << ", \"due_to_alertmanager_ms\": {\"p50\": " << Quantile(latencies, 0.5)
            << ", \"p99\": " << Quantile(latencies, 0.99) << ", \"p99.9\": " << Quantile(latencies, 0.999)
            << ", \"max\": " << Quantile(latencies, 1) << "}}\n";
  std::istringstream metrics(Get("http://" + options.listen + "/metrics"));
  for (std::string line; std::getline(metrics, line);) {
    if (line.starts_with("weir_eager_") || line.starts_with("weir_tick_duration_seconds_sum") ||
        line.starts_with("weir_tick_duration_seconds_count") || line.starts_with("process_cpu_seconds_total")) {
      std::cout << line << "\n";
    }
  }
}

int Run(const Options& options) {
  Probes probes(static_cast<size_t>(options.crossings) * static_cast<size_t>(options.seconds));
  HttpServer alertmanager({.listen = "127.0.0.1:0"});
  alertmanager.Handle("/api/v2/alerts", [&](HttpRequest request, const HttpResponder& respond) {
    Note(request.body, request.arrived_ns, &probes);
    respond({});
  });
  if (const Status status = alertmanager.Start(); !status.ok()) {
    std::cerr << "eager_bench: " << status.message() << "\n";
    return 1;
  }
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("weir_eager_bench." + std::to_string(getpid()));
  std::filesystem::create_directories(dir);
  WriteFile(dir / "weir.yml", Config(options, alertmanager.port()));
  WriteFile(dir / "rules.yml", Rules(options));
  std::vector<std::string> words = {options.weir,  "run", "--config", (dir / "weir.yml").string(),
                                    "--log-level", "warn"};
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  pid_t child = 0;
  if (posix_spawn(&child, options.weir.c_str(), nullptr, nullptr, argv.data(), environ) != 0) {
    std::cerr << "eager_bench: cannot run " << options.weir << "\n";
    return 1;
  }
  const Clock& clock = SystemClock();
  constexpr int kReadyAttempts = 100;
  for (int i = 0; i < kReadyAttempts && Get("http://" + options.listen + "/-/ready").empty(); ++i) {
    clock.SleepMs(100);
  }
  std::vector<Sender> senders;
  const int64_t start_ns = clock.MonotonicNs() + 2000000000;
  for (int i = 0; i < options.connections; ++i) {
    senders.emplace_back(options, i, start_ns, &probes);
  }
  std::vector<std::thread> threads;
  for (Sender& sender : senders) {
    threads.emplace_back([&sender] { sender.Run(); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  clock.SleepMs(2 * kTickSeconds * 1000);  // without eager alerts the last probes wait for a tick
  Print(options, probes, senders);
  kill(child, SIGTERM);
  waitpid(child, nullptr, 0);
  alertmanager.Stop();
  std::filesystem::remove_all(dir);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::Options options;
  bool ticks_only = false;
  CLI::App app{"Measures how long an eager alert takes from the sample that crosses to the Alertmanager."};
  app.add_option("--weir", options.weir, "the program");
  app.add_option("--listen", options.listen, "where it listens");
  app.add_option("--rate", options.rate, "samples offered per second");
  app.add_option("--seconds", options.seconds, "how long series cross");
  app.add_option("--instances", options.instances, "instances of 51 series each");
  app.add_option("--samples-per-request", options.samples_per_request, "samples in one body");
  app.add_option("--connections", options.connections, "connections, each with its share of the instances");
  app.add_option("--crossings", options.crossings, "series that cross per second");
  app.add_option("--together", options.together, "so many of them cross in one request");
  app.add_option("--probes", options.probes, "series of the alert that they cross, of which the others never do");
  app.add_flag("--quantile", options.quantile, "with an eager alert on a quantile of 20,000 buckets");
  app.add_flag("--ticks-only", ticks_only, "the same alerts without the override");
  CLI11_PARSE(app, argc, argv);
  options.eager = !ticks_only;
  return weir::Run(options);
}
