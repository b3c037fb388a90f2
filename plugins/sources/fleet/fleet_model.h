#pragma once
// A small GPU fleet as a pure function of (seed, time): exporters of GPUs, nodes, containers, an inference gateway,
// model servers, trainers and data pipelines, under the metric names that real ones use. It stands in for a fleet in
// the quickstart, in demonstrations and in tests. Counters are closed forms of the elapsed time, so a value
// never depends on which earlier times were asked for. Incidents follow a script that repeats with changing
// victims. Immutable after construction and safe to share; one scrape costs a few sines a series.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/plugin/plugin.h"

namespace weir::fleet {

struct FleetOptions {
  int64_t nodes = 4;
  int64_t gpus_per_node = 8;
  int64_t interval_ms = 1000;  // between scrapes; a vanished series gets one stale marker
  uint64_t seed = 1;
  double speed = 1;  // of the incident script; sample times are always real
  bool incidents = true;
};

enum class Incident : unsigned char {
  kNone,
  kHotGpu,        // one GPU overheats and throttles
  kErrorBurn,     // the inference gateway answers 5xx and slowly
  kXidBurst,      // one GPU reports XID 48, 63, 95, then 79
  kLossDiverges,  // the loss of one training job explodes
  kExporterDown,  // a GPU exporter cannot be scraped: up is 0, its other series end
  kReplicaGone,   // a gateway replica is deleted: all its series end, up too
  kDiskFills,     // a node's scratch disk runs full
};

// One line of the script. UNITS: seconds of script time from the begin of a cycle.
struct ScriptLine {
  Incident incident;
  int64_t begin_s;
  int64_t end_s;
  std::string_view what;
};

inline constexpr int64_t kCycleSeconds = 600;
inline constexpr size_t kSeriesMax = 5000000;
std::string_view IncidentName(Incident incident);
// The script of one cycle, ordered by begin.
const std::vector<ScriptLine>& Script();

class FleetModel {
 public:
  // `start_ms` is where the script and all counters begin.
  FleetModel(const FleetOptions& options, int64_t start_ms);

  // Replaces `batch` by what a scrape of every target at `t_ms` gives, stale markers included.
  // REQUIRES: t_ms >= start_ms.
  void Scrape(int64_t t_ms, plugin::SampleBatch* batch) const;
  // RETURNS: incidents that are in progress at `t_ms`.
  std::vector<Incident> ActiveAt(int64_t t_ms) const;
  // RETURNS: series that may ever be sent.
  size_t series() const { return signals_.size(); }

 private:
  friend class FleetBuilder;
  enum class Kind : unsigned char { kGauge, kCounter, kLoss, kUp };
  enum class Presence : unsigned char { kAlways, kOnlyDuring, kExceptDuring };

  // How strongly, and in which cycles, an incident touches a series: it does when cycle % of == position.
  struct Touch {
    Incident incident = Incident::kNone;
    uint32_t position = 0;
    uint32_t of = 1;
  };
  struct Target {
    Touch vanish;  // kExporterDown keeps `up`, kReplicaGone does not
  };
  struct Signal {
    Kind kind = Kind::kGauge;
    uint32_t target = 0;
    double base = 0;   // gauge: middle; counter: value at the start; loss: floor
    double rate = 0;   // counter: per second; loss: initial excess over the floor
    double wave = 0;   // gauge: amplitude; counter: share of the rate, below 1
    double noise = 0;  // gauge and loss: amplitude
    double low = 0, high = 0;
    double quantum = 0;  // values are multiples of it; 0 = any
    double period_s = 300;
    double phase = 0;
    double effect = 0;  // at full strength; counter: per second
    Touch touch;
    Presence presence = Presence::kAlways;
    int64_t from_s = 0, to_s = 0;  // kOnlyDuring: part of the incident, from its begin
    uint64_t key = 0;
    uint32_t labels_at = 0, labels_size = 0;
    uint64_t hash[2] = {0, 0};
  };

  double ScriptSeconds(int64_t t_ms) const;
  // RETURNS: script seconds since the begin of the incident in this cycle if the touch is active, else -1.
  double Since(const Touch& touch, double script_s) const;
  double Ramp(const Touch& touch, double script_s) const;
  double ActiveSeconds(const Touch& touch, double script_s) const;
  bool Present(const Signal& signal, int64_t t_ms) const;
  double Value(const Signal& signal, int64_t t_ms) const;

  FleetOptions options_;
  int64_t start_ms_;
  std::vector<Target> targets_;
  std::vector<Signal> signals_;
  std::string label_bytes_;  // all encoded label sets, one after the other
};

}  // namespace weir::fleet
