#include "plugins/sources/fleet/fleet_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace weir::fleet {

namespace {

constexpr double kRampUpSeconds = 6;
constexpr double kRampDownSeconds = 8;

const ScriptLine* FindLine(Incident incident) {
  for (const ScriptLine& line : Script()) {
    if (line.incident == incident) {
      return &line;
    }
  }
  return nullptr;
}

// splitmix64: enough to spread small integers.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// RETURNS: a number in [-1, 1] that is fixed by its arguments.
double Noise(uint64_t key, int64_t step) {
  return static_cast<double>(Mix(key ^ Mix(static_cast<uint64_t>(step))) >> 11) * 0x1p-52 - 1.0;
}

double Quantize(double v, double quantum, bool down) {
  if (quantum <= 0) {
    return v;
  }
  return (down ? std::floor(v / quantum) : std::round(v / quantum)) * quantum;
}

}  // namespace

std::string_view IncidentName(Incident incident) {
  switch (incident) {
    case Incident::kNone:
      return "none";
    case Incident::kHotGpu:
      return "hot_gpu";
    case Incident::kErrorBurn:
      return "error_burn";
    case Incident::kXidBurst:
      return "xid_burst";
    case Incident::kLossDiverges:
      return "loss_diverges";
    case Incident::kExporterDown:
      return "exporter_down";
    case Incident::kReplicaGone:
      return "replica_gone";
    case Incident::kDiskFills:
      return "disk_fills";
  }
  return "none";
}

// The first line begins early: a newcomer shall see an alert within a minute.
const std::vector<ScriptLine>& Script() {
  static const std::vector<ScriptLine> script = {
      {Incident::kHotGpu, 8, 95, "a GPU overheats and throttles"},
      {Incident::kErrorBurn, 50, 170, "the inference gateway burns its error budget"},
      {Incident::kXidBurst, 120, 240, "a GPU reports a burst of XID errors"},
      {Incident::kLossDiverges, 220, 340, "a training loss diverges"},
      {Incident::kExporterDown, 330, 420, "a GPU exporter cannot be scraped"},
      {Incident::kReplicaGone, 360, 450, "a gateway replica vanishes"},
      {Incident::kDiskFills, 440, 560, "a scratch disk fills up"},
  };
  return script;
}

double FleetModel::ScriptSeconds(int64_t t_ms) const {
  return static_cast<double>(t_ms - start_ms_) / 1000.0 * options_.speed;
}

double FleetModel::Since(const Touch& touch, double script_s) const {
  if (touch.incident == Incident::kNone || !options_.incidents) {
    return -1;
  }
  const ScriptLine* line = FindLine(touch.incident);
  auto cycle = static_cast<int64_t>(std::floor(script_s / kCycleSeconds));
  double in_cycle = script_s - static_cast<double>(cycle * kCycleSeconds);
  if (cycle % touch.of != touch.position || in_cycle < static_cast<double>(line->begin_s) ||
      in_cycle >= static_cast<double>(line->end_s)) {
    return -1;
  }
  return in_cycle - static_cast<double>(line->begin_s);
}

// 0 when calm, rising to 1 after the begin and falling after the end, so that gauges move like physical things.
double FleetModel::Ramp(const Touch& touch, double script_s) const {
  if (touch.incident == Incident::kNone || !options_.incidents) {
    return 0;
  }
  double since = Since(touch, script_s);
  if (since >= 0) {
    return std::min(1.0, since / kRampUpSeconds);
  }
  const ScriptLine* line = FindLine(touch.incident);
  auto cycle = static_cast<int64_t>(std::floor(script_s / kCycleSeconds));
  double after = script_s - static_cast<double>(cycle * kCycleSeconds + line->end_s);
  if (cycle % touch.of == touch.position && after >= 0 && after < kRampDownSeconds) {
    return 1.0 - after / kRampDownSeconds;
  }
  return 0;
}

// RETURNS: how long the incident has touched the series since the start. UNITS: real seconds.
double FleetModel::ActiveSeconds(const Touch& touch, double script_s) const {
  if (touch.incident == Incident::kNone || !options_.incidents) {
    return 0;
  }
  const ScriptLine* line = FindLine(touch.incident);
  auto cycle = static_cast<int64_t>(std::floor(script_s / kCycleSeconds));
  int64_t of = touch.of;
  int64_t full_cycles = (cycle + of - 1 - static_cast<int64_t>(touch.position)) / of;
  double active = static_cast<double>(full_cycles * (line->end_s - line->begin_s));
  if (cycle % of == touch.position) {
    double in_cycle = script_s - static_cast<double>(cycle * kCycleSeconds);
    active += std::clamp(in_cycle, static_cast<double>(line->begin_s), static_cast<double>(line->end_s)) -
              static_cast<double>(line->begin_s);
  }
  return active / options_.speed;
}

bool FleetModel::Present(const Signal& signal, int64_t t_ms) const {
  double script_s = ScriptSeconds(t_ms);
  const Touch& vanish = targets_[signal.target].vanish;
  if (Since(vanish, script_s) >= 0 && !(signal.kind == Kind::kUp && vanish.incident == Incident::kExporterDown)) {
    return false;
  }
  double since = signal.presence == Presence::kAlways ? 0 : Since(signal.touch, script_s);
  switch (signal.presence) {
    case Presence::kAlways:
      return true;
    case Presence::kExceptDuring:
      return since < 0;
    case Presence::kOnlyDuring:
      return since >= static_cast<double>(signal.from_s) && since < static_cast<double>(signal.to_s);
  }
  return true;
}

double FleetModel::Value(const Signal& signal, int64_t t_ms) const {
  double script_s = ScriptSeconds(t_ms);
  double elapsed_s = static_cast<double>(t_ms - start_ms_) / 1000.0;
  double angle = 2 * std::numbers::pi * elapsed_s / signal.period_s + signal.phase;
  int64_t step = t_ms / std::max<int64_t>(options_.interval_ms, 1);
  switch (signal.kind) {
    case Kind::kUp:
      return Since(targets_[signal.target].vanish, script_s) >= 0 ? 0 : 1;
    case Kind::kGauge: {
      double v = signal.base + signal.wave * std::sin(angle) + signal.noise * Noise(signal.key, step) +
                 signal.effect * Ramp(signal.touch, script_s);
      return Quantize(std::clamp(v, signal.low, signal.high), signal.quantum, false);
    }
    case Kind::kCounter: {
      // The integral of rate·(1 + wave·sin): never falls while wave < 1.
      double swing =
          signal.wave * signal.period_s / (2 * std::numbers::pi) * (std::cos(signal.phase) - std::cos(angle));
      double v =
          signal.base + signal.rate * (elapsed_s + swing) + signal.effect * ActiveSeconds(signal.touch, script_s);
      return Quantize(v, signal.quantum, true);
    }
    case Kind::kLoss: {
      double calm =
          signal.base + signal.rate * std::exp(-elapsed_s / signal.period_s) + signal.noise * Noise(signal.key, step);
      double since = Since(signal.touch, script_s);
      return since < 0 ? calm : std::min(calm * std::exp(since / 12.0), 1e9);
    }
  }
  return 0;
}

void FleetModel::Scrape(int64_t t_ms, plugin::SampleBatch* batch) const {
  batch->Clear();
  batch->arena = label_bytes_;
  batch->series.reserve(signals_.size());
  batch->samples.reserve(signals_.size());
  for (const Signal& signal : signals_) {
    double v = 0;
    if (Present(signal, t_ms)) {
      v = Value(signal, t_ms);
    } else if (t_ms - options_.interval_ms >= start_ms_ && Present(signal, t_ms - options_.interval_ms)) {
      v = StaleNaN();
    } else {
      continue;
    }
    plugin::SampleBatch::Series series;
    series.labels = std::string_view(batch->arena).substr(signal.labels_at, signal.labels_size);
    series.hash[0] = signal.hash[0];
    series.hash[1] = signal.hash[1];
    series.first = static_cast<uint32_t>(batch->samples.size());
    series.count = 1;
    batch->series.push_back(series);
    batch->samples.push_back({t_ms, v});
  }
}

std::vector<Incident> FleetModel::ActiveAt(int64_t t_ms) const {
  std::vector<Incident> active;
  double in_cycle = std::fmod(ScriptSeconds(t_ms), kCycleSeconds);
  for (const ScriptLine& line : Script()) {
    if (options_.incidents && in_cycle >= static_cast<double>(line.begin_s) &&
        in_cycle < static_cast<double>(line.end_s)) {
      active.push_back(line.incident);
    }
  }
  return active;
}

}  // namespace weir::fleet
