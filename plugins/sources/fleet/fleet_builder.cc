// What the simulated fleet consists of: every target, its series and what the incidents do to them. Figures are those
// of an ordinary H100 fleet; each family is one short function so that a new one is easy to add.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "plugins/sources/fleet/fleet_model.h"

namespace weir::fleet {

namespace {

constexpr double kNoLimit = 1e300;
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

// Latency regimes: share of the requests that are at most `le` seconds long.
struct LatencyBucket {
  std::string_view le;
  double calm;
  double slow;
};
constexpr std::array<LatencyBucket, 11> kLatency = {{{"0.01", 0.08, 0.01},
                                                     {"0.025", 0.31, 0.04},
                                                     {"0.05", 0.62, 0.11},
                                                     {"0.1", 0.87, 0.24},
                                                     {"0.2", 0.965, 0.41},
                                                     {"0.3", 0.993, 0.55},
                                                     {"0.5", 0.998, 0.74},
                                                     {"1", 0.9995, 0.90},
                                                     {"2.5", 0.9999, 0.98},
                                                     {"5", 1.0, 0.997},
                                                     {"+Inf", 1.0, 1.0}}};
constexpr double kCalmSeconds = 0.055, kSlowSeconds = 0.42;  // means of the two regimes

}  // namespace

class FleetBuilder {
 public:
  FleetBuilder(FleetModel* model, const FleetOptions& options) : model_(*model), options_(options) {}

  void Build() {
    for (int64_t node = 0; node < options_.nodes; ++node) {
      GpuExporter(node);
      NodeExporter(node);
    }
    for (int64_t replica = 0; replica < 3; ++replica) {
      Gateway(replica);
    }
    static constexpr std::array<std::string_view, 3> models = {"fraud-detector", "recommender", "chat-13b"};
    for (size_t i = 0; i < models.size(); ++i) {
      ModelServer(models[i], i);
    }
    for (int64_t job = 0; job < 2; ++job) {
      Trainer(job);
    }
    Pipeline();
  }

 private:
  using Signal = FleetModel::Signal;
  using Kind = FleetModel::Kind;
  using Presence = FleetModel::Presence;
  using Touch = FleetModel::Touch;

  uint64_t Random(uint64_t salt) const {
    uint64_t x = options_.seed * 0x9e3779b97f4a7c15ULL + salt * 0xd1342543de82ef95ULL + 1;
    for (int round = 0; round < 2; ++round) {
      x ^= x >> 32;
      x *= 0xd6e8feb86659fd93ULL;
    }
    return x ^ (x >> 32);
  }
  double Share(uint64_t key) const { return static_cast<double>(Random(key) >> 11) * 0x1p-53; }

  // RETURNS: the touch of member `index` of `of`: each cycle has one victim, neighbours are not hit one after the other.
  Touch Victim(Incident incident, int64_t index, int64_t of) const {
    int64_t stride = std::max<int64_t>(1, of * 618 / 1000);
    while (std::gcd(stride, of) != 1) {
      ++stride;
    }
    auto offset = static_cast<int64_t>(Random(static_cast<uint64_t>(incident) + 1000) % static_cast<uint64_t>(of));
    return {incident, static_cast<uint32_t>((index * stride + offset) % of), static_cast<uint32_t>(of)};
  }
  // Touched in every cycle.
  static Touch Always(Incident incident) { return {incident, 0, 1}; }

  void BeginTarget(std::string_view job, std::string instance, Touch vanish = {}) {
    model_.targets_.push_back({vanish});
    common_ = Labels{{"job", std::string(job)}, {"instance", std::move(instance)}};
    Signal up;
    up.kind = Kind::kUp;
    Add("up", {}, up);
    Gauge("scrape_duration_seconds", {}, 0.012, 0.002, 0.003, 0.001, 1);
  }

  Signal& Add(std::string_view name, std::vector<Label> labels, Signal signal) {
    WEIR_ASSERT(model_.signals_.size() < kSeriesMax);
    signal.target = static_cast<uint32_t>(model_.targets_.size() - 1);
    signal.key = Random(model_.signals_.size() + 1000000);
    if (signal.kind != Kind::kLoss) {
      signal.period_s = 90 + 400 * Share(signal.key);
    }
    signal.phase = 6.283185307179586 * Share(signal.key + 1);
    labels.push_back({std::string(kMetricName), std::string(name)});
    for (const LabelView& label : common_) {
      labels.push_back(label.Owned());
    }
    Labels sorted(std::move(labels));
    signal.labels_at = static_cast<uint32_t>(model_.label_bytes_.size());
    plugin::EncodeLabels(sorted, &model_.label_bytes_);
    signal.labels_size = static_cast<uint32_t>(model_.label_bytes_.size()) - signal.labels_at;
    std::string_view encoded = std::string_view(model_.label_bytes_).substr(signal.labels_at, signal.labels_size);
    plugin::HashLabels(encoded, signal.hash);
    model_.signals_.push_back(signal);
    return model_.signals_.back();
  }

  Signal& Gauge(std::string_view name, std::vector<Label> labels, double base, double wave, double noise,
                double low = 0, double high = kNoLimit, double quantum = 0) {
    Signal signal;
    signal.base = base;
    signal.wave = wave;
    signal.noise = noise;
    signal.low = low;
    signal.high = high;
    signal.quantum = quantum;
    return Add(name, std::move(labels), signal);
  }
  Signal& Constant(std::string_view name, std::vector<Label> labels, double v) {
    return Gauge(name, std::move(labels), v, 0, 0, v, v);
  }
  Signal& Counter(std::string_view name, std::vector<Label> labels, double rate, double quantum = 1,
                  double wave = 0.3) {
    Signal signal;
    signal.kind = Kind::kCounter;
    signal.rate = rate;
    signal.wave = wave;
    signal.quantum = quantum;
    signal.base = std::floor(rate * 3600 * (1 + Share(model_.signals_.size() + 2000000)));
    return Add(name, std::move(labels), signal);
  }
  static void Hit(Signal& signal, Touch touch, double effect) {
    signal.touch = touch;
    signal.effect = effect;
  }

  // A classic histogram with `rate` requests a second, of which half turn slow while `touch` is active.
  void Histogram(const std::string& name, const std::vector<Label>& labels, double rate, Touch touch) {
    double start = std::floor(rate * 5000);
    for (const LatencyBucket& bucket : kLatency) {
      std::vector<Label> with_le = labels;
      with_le.push_back({std::string(kBucketLabel), std::string(bucket.le)});
      // No wave: buckets with waves of their own would cross each other.
      Signal& signal = Counter(name + "_bucket", std::move(with_le), rate * bucket.calm, 1, 0);
      signal.base = std::floor(start * bucket.calm);
      Hit(signal, touch, rate * 0.5 * (bucket.slow - bucket.calm));
    }
    Signal& count = Counter(name + "_count", labels, rate, 1, 0);
    count.base = start;
    Signal& sum = Counter(name + "_sum", labels, rate * kCalmSeconds, 0, 0);
    sum.base = start * kCalmSeconds;
    Hit(sum, touch, rate * 0.5 * (kSlowSeconds - kCalmSeconds));
  }

  void GpuExporter(int64_t node) {
    std::string host = "gpu-node-" + std::to_string(node);
    BeginTarget("dcgm-exporter", host + ":9400", Victim(Incident::kExporterDown, node, options_.nodes));
    for (int64_t gpu = 0; gpu < options_.gpus_per_node; ++gpu) {
      int64_t index = node * options_.gpus_per_node + gpu;
      char uuid[64];
      uint64_t id = Random(static_cast<uint64_t>(index) + 500);
      std::snprintf(uuid, sizeof uuid, "GPU-%08x-%04x-%04x", static_cast<unsigned>(id),
                    static_cast<unsigned>(id >> 32) & 0xffff, static_cast<unsigned>(id >> 48));
      std::vector<Label> labels = {{"gpu", std::to_string(gpu)},
                                   {"UUID", uuid},
                                   {"device", "nvidia" + std::to_string(gpu)},
                                   {"modelName", "NVIDIA H100 80GB HBM3"},
                                   {"Hostname", host}};
      GpuGauges(labels, index);
      GpuFaults(labels, index);
      GpuAllocation(host, gpu, uuid);
    }
  }

  void GpuGauges(const std::vector<Label>& labels, int64_t index) {
    Touch hot = Victim(Incident::kHotGpu, index, options_.nodes * options_.gpus_per_node);
    double load = 0.75 + 0.2 * Share(static_cast<uint64_t>(index) + 600);
    Hit(Gauge("DCGM_FI_DEV_GPU_TEMP", labels, 48 + 20 * load, 3, 1, 25, 99, 1), hot, 30);
    Hit(Gauge("DCGM_FI_DEV_MEMORY_TEMP", labels, 55 + 22 * load, 3, 1, 25, 110, 1), hot, 24);
    Hit(Gauge("DCGM_FI_DEV_POWER_USAGE", labels, 160 + 480 * load, 30, 12, 60, 700, 0.001), hot, -260);
    Constant("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", labels, 700);
    Hit(Gauge("DCGM_FI_DEV_SM_CLOCK", labels, 1830, 60, 15, 345, 1980, 15), hot, -900);
    Constant("DCGM_FI_DEV_MEM_CLOCK", labels, 2619);
    Gauge("DCGM_FI_DEV_GPU_UTIL", labels, 100 * load, 6, 3, 0, 100, 1);
    Gauge("DCGM_FI_DEV_MEM_COPY_UTIL", labels, 55 * load, 6, 3, 0, 100, 1);
    double used = std::floor(46000 + 24000 * Share(static_cast<uint64_t>(index) + 700));
    Constant("DCGM_FI_DEV_FB_USED", labels, used);
    Constant("DCGM_FI_DEV_FB_FREE", labels, 81000 - used);
    Constant("DCGM_FI_DEV_FB_RESERVED", labels, 559);
    Gauge("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, load, 0.05, 0.02, 0, 1);
    Hit(Gauge("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", labels, 0.55 * load, 0.08, 0.03, 0, 1), hot, -0.25);
    Gauge("DCGM_FI_PROF_DRAM_ACTIVE", labels, 0.4 * load, 0.05, 0.02, 0, 1);
    // Bits of the throttle mask: 0x40 is the hardware's own thermal slowdown.
    Hit(Gauge("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", labels, 0, 0, 0, 0, 64, 64), hot, 64);
    Counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", labels, (160 + 480 * load) * 1000);
    Hit(Counter("DCGM_FI_DEV_THERMAL_VIOLATION", labels, 0), hot, 8e8);
    Counter("DCGM_FI_DEV_POWER_VIOLATION", labels, 2e6);
    Counter("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", labels, 4.2e5 * load);
    Counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", labels, 0.001);
  }

  void GpuFaults(const std::vector<Label>& labels, int64_t index) {
    Touch burst = Victim(Incident::kXidBurst, index, options_.nodes * options_.gpus_per_node);
    // The gauge holds the last code, and each code is a series of its own, as exporters do it.
    std::vector<Label> calm = labels;
    calm.push_back({"err_code", "0"});
    calm.push_back({"err_msg", "No Error"});
    Signal& none = Constant("DCGM_FI_DEV_XID_ERRORS", calm, 0);
    none.touch = burst;
    none.presence = Presence::kExceptDuring;
    struct Xid {
      const char* code;
      const char* message;
      int64_t from_s, to_s;
    };
    static constexpr std::array<Xid, 4> kBurst = {
        {{"48", "Double Bit ECC Error", 0, 8},
         {"63", "ECC page retirement or row remapping recording event", 8, 14},
         {"95", "Uncontained ECC error", 14, 25},
         {"79", "GPU has fallen off the bus", 25, 120}}};
    for (const Xid& xid : kBurst) {
      std::vector<Label> coded = labels;
      coded.push_back({"err_code", xid.code});
      coded.push_back({"err_msg", xid.message});
      Signal& last = Constant("DCGM_FI_DEV_XID_ERRORS", coded, std::stod(xid.code));
      last.touch = burst;
      last.presence = Presence::kOnlyDuring;
      last.from_s = xid.from_s;
      last.to_s = xid.to_s;
      std::vector<Label> counted = labels;
      counted.push_back({"xid", xid.code});
      counted.push_back({"window_size_in_ms", "300000"});
      Signal& count = Constant("DCGM_EXP_XID_ERRORS_COUNT", counted, 1);
      count.touch = burst;
      count.presence = Presence::kOnlyDuring;
      count.from_s = xid.from_s;
      count.to_s = 120;
    }
    Hit(Counter("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", labels, 0), burst, 0.25);
    Hit(Counter("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", labels, 0.0005), burst, 3);
    Hit(Counter("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", labels, 0), burst, 0.02);
    Constant("DCGM_FI_DEV_ROW_REMAP_FAILURE", labels, 0);
  }

  // The names of an older exporter that labels series with the job that owns the GPU.
  void GpuAllocation(const std::string& host, int64_t gpu, const std::string& uuid) {
    std::vector<Label> labels = {{"gpu_id", std::to_string(gpu)},
                                 {"gpu_uuid", uuid},
                                 {"node", host},
                                 {"namespace", "ml-training"},
                                 {"job_name", gpu % 2 == 0 ? "llm-pretrain" : "ranker-finetune"}};
    Gauge("nvidia_gpu_duty_cycle", labels, 84, 8, 4, 0, 100, 1);
    Gauge("nvidia_gpu_memory_used_bytes", labels, 56 * kGiB, 6 * kGiB, kGiB, 0, 80 * kGiB, 1048576);
    Constant("nvidia_gpu_memory_total_bytes", labels, 80 * kGiB);
  }

  void NodeExporter(int64_t node) {
    BeginTarget("node-exporter", "gpu-node-" + std::to_string(node) + ":9100");
    static constexpr std::array<std::string_view, 4> modes = {"idle", "user", "system", "iowait"};
    static constexpr std::array<double, 4> shares = {0.46, 0.42, 0.1, 0.02};
    for (int64_t cpu = 0; cpu < 4; ++cpu) {
      for (size_t mode = 0; mode < modes.size(); ++mode) {
        Counter("node_cpu_seconds_total", {{"cpu", std::to_string(cpu)}, {"mode", std::string(modes[mode])}},
                shares[mode], 0.01, 0.15);
      }
    }
    Gauge("node_load1", {}, 38, 9, 3, 0, kNoLimit, 0.01);
    Constant("node_memory_MemTotal_bytes", {}, 2048 * kGiB);
    Gauge("node_memory_MemAvailable_bytes", {}, 1310 * kGiB, 90 * kGiB, 8 * kGiB, 0, 2048 * kGiB, 4096);
    Touch fills = Victim(Incident::kDiskFills, node, options_.nodes);
    std::vector<Label> root = {{"mountpoint", "/"}, {"device", "/dev/nvme0n1p2"}, {"fstype", "ext4"}};
    std::vector<Label> scratch = {{"mountpoint", "/scratch"}, {"device", "/dev/nvme1n1"}, {"fstype", "xfs"}};
    Constant("node_filesystem_size_bytes", root, 880 * kGiB);
    Gauge("node_filesystem_avail_bytes", root, 610 * kGiB, kGiB, kGiB / 8, 0, 880 * kGiB, 4096);
    Constant("node_filesystem_size_bytes", scratch, 7000 * kGiB);
    Hit(Gauge("node_filesystem_avail_bytes", scratch, 4100 * kGiB, 40 * kGiB, 2 * kGiB, 0, 7000 * kGiB, 4096), fills,
        -3900 * kGiB);
    Counter("node_network_receive_bytes_total", {{"device", "eth0"}}, 2.1e8);
    Counter("node_network_transmit_bytes_total", {{"device", "eth0"}}, 1.7e8);
    Counter("node_disk_io_time_seconds_total", {{"device", "nvme1n1"}}, 0.31, 0.001);
    const int64_t boot_s = model_.start_ms_ / 1000 - 86400 * (3 + node);
    Constant("node_boot_time_seconds", {}, static_cast<double>(boot_s));
  }

  void Gateway(int64_t replica) {
    Touch vanish = Victim(Incident::kReplicaGone, replica, 3);
    BeginTarget("inference-gateway", "gateway-" + std::to_string(replica) + ":8080", vanish);
    Touch burn = Always(Incident::kErrorBurn);
    struct Endpoint {
      const char* path;
      const char* method;
      double rate;
    };
    static constexpr std::array<Endpoint, 3> kEndpoints = {
        {{"/predict", "POST", 60}, {"/embed", "POST", 25}, {"/models", "GET", 4}}};
    for (const Endpoint& endpoint : kEndpoints) {
      std::vector<Label> labels = {
          {"service", "inference-gateway"}, {"environment", "prod"}, {"endpoint", endpoint.path}};
      auto requests = [&](const char* code, double rate, double during) {
        std::vector<Label> coded = labels;
        coded.push_back({"method", endpoint.method});
        coded.push_back({"status_code", code});
        Hit(Counter("http_requests_total", std::move(coded), rate, 1, 0.2), burn, during);
      };
      requests("200", endpoint.rate * 0.985, -endpoint.rate * 0.2);
      requests("400", endpoint.rate * 0.0145, 0);
      requests("500", endpoint.rate * 0.0004, endpoint.rate * 0.14);
      requests("503", endpoint.rate * 0.0001, endpoint.rate * 0.06);
      Histogram("http_request_duration_seconds", labels, endpoint.rate, burn);
    }
    std::vector<Label> service = {{"service", "inference-gateway"}};
    Counter("inference_requests_total", service, 85);
    Counter("inference_duration_seconds_count", service, 85, 1, 0);
    Hit(Counter("inference_duration_seconds_sum", service, 85 * kCalmSeconds, 0, 0), burn, 25);
    Hit(Gauge("inference_queue_depth", service, 9, 4, 3, 0, kNoLimit, 1), burn, 240);
    for (auto [le, share] : {std::pair{"0.5", 0.04}, {"0.7", 0.13}, {"0.9", 0.42}, {"1.0", 1.0}, {"+Inf", 1.0}}) {
      Counter("inference_confidence_score_bucket", {{"service", "inference-gateway"}, {"le", le}}, 85 * share, 1, 0);
    }
    Counter("inference_confidence_score_count", service, 85, 1, 0);
    Counter("inference_confidence_score_sum", service, 85 * 0.86, 0, 0);
    Gauge("model_memory_bytes", {{"service", "inference-gateway"}, {"model_name", "router"}}, 5.1e9, 2e8, 2e7, 0,
          kNoLimit, 4096);
  }

  void ModelServer(std::string_view model, size_t index) {
    std::string name(model);
    BeginTarget("model-server", name + "-0:9000");
    double rate = 40 + 30 * static_cast<double>(index);
    // Two naming habits live side by side in one fleet: model/version and model_name/model_version.
    std::vector<Label> both = {{"model", name},         {"version", "v2"},           {"model_name", name},
                               {"model_version", "v2"}, {"namespace", "ml-serving"}, {"environment", "prod"}};
    std::vector<Label> short_names = {{"model", name}, {"version", "v2"}};
    std::vector<Label> long_names = {{"model_name", name}, {"model_version", "v2"}};
    std::vector<Label> only = {{"model", name}};
    Counter("model_predictions_total", both, rate, 1, 0.2);
    Counter("model_prediction_errors_total", short_names, rate * 0.002, 1, 0.2);
    Counter("model_errors_total", long_names, rate * 0.002, 1, 0.2);
    Histogram("model_prediction_duration_seconds", only, rate, {});
    Histogram("model_inference_duration_seconds", long_names, rate, {});
    Counter("model_cache_hits_total", only, rate * 0.82, 1, 0.1);
    Counter("model_cache_misses_total", only, rate * 0.18, 1, 0.1);
    Gauge("model_accuracy", only, 0.93, 0.004, 0.002, 0, 1);
    Gauge("model_memory_usage_bytes", only, 6.4e9, 1e8, 2e7, 0, kNoLimit, 4096);
    for (auto [status, share] : {std::pair{"200", 0.996}, {"404", 0.002}, {"500", 0.002}}) {
      Counter("http_requests_total",
              {{"service", name},
               {"environment", "prod"},
               {"endpoint", "/v1/infer"},
               {"method", "POST"},
               {"status", status}},
              rate * share, 1, 0.2);
    }
    std::vector<Label> container = {
        {"container", "model-server"}, {"pod", "ml-" + name + "-0"}, {"namespace", "ml-serving"}, {"model", name}};
    Counter("container_cpu_usage_seconds_total", container, 3.2, 0.001);
    Gauge("container_memory_usage_bytes", container, 11 * kGiB, 0.4 * kGiB, 0.05 * kGiB, 0, 16 * kGiB, 4096);
    Constant("container_spec_memory_limit_bytes", container, 16 * kGiB);
  }

  void Trainer(int64_t job) {
    std::string name = job == 0 ? "llm-pretrain" : "ranker-finetune";
    std::string id = "job-" + std::to_string(4100 + job * 17);
    BeginTarget("trainer", name + "-rank0:9101");
    std::vector<Label> labels = {{"job_id", id}, {"job_name", name}};
    Touch diverges = Victim(Incident::kLossDiverges, job, 2);
    std::vector<Label> epoch = labels;
    epoch.push_back({"epoch", "3"});
    Signal loss;
    loss.kind = Kind::kLoss;
    loss.base = 1.7;
    loss.rate = 2.4;
    loss.noise = 0.02;
    loss.period_s = 5400;
    loss.touch = diverges;
    Add("training_loss", epoch, loss);
    Hit(Gauge("training_gradient_norm", labels, 0.9, 0.1, 0.08, 0), diverges, 480);
    Counter("training_samples_processed_total", labels, 5200, 1, 0.1);
    Counter("training_current_step", labels, 2.5, 1, 0.1);
    Constant("training_total_steps", labels, 500000);
    Constant("training_gpu_count", labels, static_cast<double>(options_.nodes * options_.gpus_per_node) / 2);
    Constant("training_theoretical_max_throughput", labels, 900);
    Counter("container_gpu_allocation", {{"job_id", id}},
            static_cast<double>(options_.nodes * options_.gpus_per_node) / 2, 1, 0);
  }

  void Pipeline() {
    BeginTarget("feature-pipeline", "pipeline-0:9200");
    static constexpr std::array<std::string_view, 3> stages = {"extract", "transform", "load"};
    for (std::string_view stage : stages) {
      std::string text(stage);
      Counter("data_records_processed_total",
              {{"pipeline_name", "features"}, {"stage", text}, {"pipeline_stage", text}}, 1800, 1, 0.2);
      Counter("data_stage_duration_seconds_sum", {{"pipeline_stage", text}}, 0.7, 0, 0);
      Counter("data_stage_duration_seconds_count", {{"pipeline_stage", text}}, 12, 1, 0);
    }
    for (const char* rule : {"not_null", "in_range"}) {
      Counter("data_validation_failures_total", {{"pipeline_name", "features"}, {"validation_rule", rule}}, 1.1, 1,
              0.2);
      Gauge("data_quality_score", {{"dataset", "clicks"}, {"validation_rule", rule}}, 0.985, 0.005, 0.003, 0, 1);
    }
    for (const char* feature : {"age_days", "basket_value", "session_length"}) {
      Gauge("feature_distribution_distance", {{"feature_name", feature}, {"dataset", "clicks"}}, 0.06, 0.02, 0.01, 0,
            1);
    }
  }

  FleetModel& model_;
  const FleetOptions& options_;
  Labels common_;
};

FleetModel::FleetModel(const FleetOptions& options, int64_t start_ms) : options_(options), start_ms_(start_ms) {
  FleetBuilder(this, options_).Build();
  for (const Signal& signal : signals_) {
    WEIR_ASSERT(signal.wave < 1 || signal.kind != Kind::kCounter);
  }
}

}  // namespace weir::fleet
