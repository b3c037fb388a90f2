#pragma once
// The contract between the process and its plug-ins: sources bring batches of samples in, codecs turn bytes into
// batches, sinks take results and alerts out. A plug-in is one source file that defines one `const Plugin`, one
// `weir_plugin(kind name)` line in CMake, and one data test; its option rows are its documentation, its validation
// and its --help (core/plugin/options.h).

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/http_server.h"
#include "core/base/metrics.h"
#include "core/base/status.h"
#include "core/model/histogram.h"
#include "core/model/labels.h"
#include "core/model/sample.h"
#include "core/plugin/options.h"

namespace weir::plugin {

// --- samples in -------------------------------------------------------------------------------------------------

// One native histogram at a time. UNITS: milliseconds. `h` is never null and valid (model/histogram.h); a stale marker is a
// histogram whose sum is StaleNaN().
struct HistogramSample {
  int64_t t = 0;
  int64_t start_ms = 0;  // when its counts began; 0: unknown
  HistogramRef h;
};

inline constexpr uint32_t kNoSource = 0xffffffff;

// What a codec makes of one payload. Label sets stay encoded: `labels` is a run of protobuf fields
// `0x0a len {0x0a len name 0x12 len value}` (prompb.Label as repeated field 1), the form in which remote write 1.0
// carries them; every codec produces this one form. Labels are parsed only for series not seen before.
struct SampleBatch {
  static constexpr size_t kArenaBytesMin = 64;
  struct Series {
    std::string_view labels;    // points into `arena` (or `body`)
    uint64_t hash[2] = {0, 0};  // HashLabels(labels)
    uint32_t first = 0;         // index into samples
    uint32_t count = 0;
    uint32_t first_histogram = 0;  // index into histograms
    uint32_t histogram_count = 0;
  };
  // Owns the bytes that `labels` points into; never reallocated after the first view is taken. Reserve kArenaBytesMin first:
  // a short string keeps its bytes inside itself, and views into it would not survive a move of the batch.
  std::string arena;
  std::vector<Series> series;
  std::vector<Sample> samples;
  std::vector<int64_t> start_times;  // of samples, by the same index; 0: unknown; empty when none is known
  std::vector<HistogramSample> histograms;
  uint64_t histogram_bytes = 0;  // heap that the histograms hold, about
  uint32_t bad_records = 0;      // parts of the payload that were skipped as malformed
  std::string first_error;       // of those
  uint32_t source = kNoSource;   // which of the process's sources it came through; the process sets it
  // When the payload's bytes were there, by Clock::MonotonicNs; 0: when the batch is submitted.
  int64_t arrived_ns = 0;
  // For codecs that need the payload's bytes while they fill `arena`. Kept for its memory alone.
  std::string scratch;

  void Clear();
  // Leaves the bytes in `arena` to be overwritten: what keeps its length is not zeroed when it is filled again.
  void ClearButBytes();
};

// 128-bit keyed hash of an encoded label block; the key is random per process.
void HashLabels(std::string_view encoded, uint64_t out[2]);
// Appends one label set to `out` in the encoded form. `labels` as given: order and duplicates are kept.
void EncodeLabels(std::span<const Label> labels, std::string* out);
void EncodeLabels(const Labels& labels, std::string* out);
// Decodes a block. ERRORS: kCorrupt; the label rules themselves (sorted, unique, named) are the resolver's to check.
Status DecodeLabels(std::string_view encoded, std::vector<std::pair<std::string_view, std::string_view>>* out);
// RETURNS: `name{a="b"}` for messages to people; long names and values are cut.
std::string LabelsText(std::span<const std::pair<std::string_view, std::string_view>> labels);
// The same for a block; what cannot be decoded is left out.
std::string LabelsText(std::string_view encoded);

struct IngestOutcome {
  uint32_t written = 0;         // samples, of floats and of histograms
  uint32_t duplicates = 0;      // same time and value: fine
  uint32_t histograms = 0;      // how many of `written` and `duplicates` are native histograms
  uint32_t rejected = 0;        // out of order, conflicting duplicate, too far in the future, limits
  uint32_t over_budget = 0;     // of `rejected`: of new series beyond what the source may bring
  uint32_t invalid_series = 0;  // bad label sets: skipped
  std::string first_invalid;    // of those, `no metric name: series {…}`
  bool overloaded = false;      // not looked at: a limit held it back, ask the sender to retry
  std::string first_error;      // of the rejected, `out of order sample: series foo{…}, t …`
};

// What the process offers a source. Thread-safe.
class SourceHost {
 public:
  virtual ~SourceHost() = default;
  virtual const Clock& clock() const = 0;
  virtual MetricRegistry& metrics() = 0;
  // RETURNS: whether series get the labels __type__ and __unit__ where a source knows them (feature type-and-unit-labels).
  virtual bool type_and_unit_labels() const { return false; }
  // RETURNS: a batch to decode into, with the memory of one that was taken in before where there is one.
  virtual SampleBatch TakeBatch() { return {}; }
  // Queues one batch. `stream` names the ordered stream it belongs to (a sender, a partition): watermarks and arrival-order
  // prediction are kept per stream. `done` is called once on the engine's thread and must not block.
  // RETURNS: false when the queue is full: the batch was not taken, back off (HTTP: 429/503; Kafka: pause).
  virtual bool Submit(SampleBatch&& batch, std::string_view stream, std::function<void(const IngestOutcome&)> done) = 0;
  // A stream that has nothing to say must not hold ticks: tells that `stream` is complete up to `t_ms`, or gone. A source that
  // re-reads several streams names each of them so (at the time it starts reading) before it submits the first batch, so that
  // none runs ahead of one that is not known yet. A source that has sent all series of an instant may say so and spares the wait.
  virtual void AdvanceStream(std::string_view stream, int64_t t_ms) = 0;
  virtual void CloseStream(std::string_view stream) = 0;
  // Routes a path of the process's HTTP server to the source. REQUIRES: inside Start().
  virtual void HandleHttp(std::string path, HttpHandler handler) = 0;
  // How far back any rule looks (UNITS: ms), for `start: window`.
  virtual int64_t LongestWindowMs() const = 0;
  // Until the source calls CatchUpDone(), ticks before now run but their results are not emitted (re-reading the past).
  virtual void BeginCatchUp(std::string_view source) = 0;
  virtual void CatchUpDone(std::string_view source) = 0;
};

class Source {
 public:
  virtual ~Source() = default;
  // Starts threads, routes, connections. ERRORS: what a user can mend, naming option and value.
  virtual Status Start(SourceHost& host) = 0;
  // No Submit() after it returns.
  virtual void Stop() = 0;
  // RETURNS: true when the source has an end and reached it (replay): the process may drain and exit.
  virtual bool Finished() const { return false; }
  // RETURNS: true when samples carry recorded times and come as fast as they are taken (replay at full speed): ticks then follow
  // the samples alone and not the wall clock. Asked once, after Start().
  virtual bool EventTime() const { return false; }
};

class Codec {
 public:
  virtual ~Codec() = default;
  // Decodes one payload into `batch` (cleared first). Thread-safe. ERRORS: kInvalid when nothing of it can be used; single bad
  // records are skipped and counted in the batch.
  virtual Status Decode(std::string_view payload, SampleBatch* batch) const = 0;
};

// --- results out ------------------------------------------------------------------------------------------------

struct ResultSample {
  std::shared_ptr<const Labels> labels;  // shared; the same series may bring the same ones every tick
  int64_t t = 0;
  double v = 0;          // may be a stale marker, also of a series of histograms
  HistogramRef h;        // null: the sample is the float `v`
  int64_t start_ms = 0;  // when its counts began; 0: unknown
};

// The recorded samples (and ALERTS series) of one group's tick, external labels not yet added. A tick with many comes in several
// parts, one after the other.
struct SampleResults {
  std::string group;  // "file;name"
  int64_t tick_ms = 0;
  std::vector<ResultSample> samples;
};

struct Alert {
  Labels labels;  // with external labels and alert relabelling applied
  Labels annotations;
  bool resolved = false;
  double value = 0;
  int64_t starts_at_ms = 0;  // when it fired
  int64_t ends_at_ms = 0;    // when it resolved, or until when it is valid
  int64_t active_at_ms = 0;
  std::string generator_url;
};

// Alerts of one rule that are due at one time, in several batches if they are many.
struct AlertBatch {
  int64_t tick_ms = 0;
  std::vector<Alert> alerts;
};

class SinkHost {
 public:
  virtual ~SinkHost() = default;
  virtual const Clock& clock() const = 0;
  virtual MetricRegistry& metrics() = 0;
  virtual const Labels& external_labels() const = 0;
};

// Called on the engine's thread: On… methods must not block; a sink owns a bounded queue and a thread. When the queue is
// full the oldest samples go first and are counted; alerts are never dropped before samples.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual Status Start(SinkHost& host) = 0;
  // RETURNS: whether OnSamples does anything: samples that no sink takes are not made.
  virtual bool TakesSamples() const { return true; }
  virtual void OnSamples(const std::shared_ptr<const SampleResults>& results) = 0;
  virtual void OnAlerts(const std::shared_ptr<const AlertBatch>& alerts) = 0;
  // Sends what is queued, for at most `timeout_ms`, then stops the thread.
  virtual void Drain(int64_t timeout_ms) = 0;
};

// --- registration -----------------------------------------------------------------------------------------------

enum class PluginKind : unsigned char { kSource, kCodec, kSink };

struct Plugin {
  PluginKind kind;
  std::string_view name;  // the key in weir.yml
  std::string_view help;  // one sentence
  std::span<const OptionRow> options;
  // Exactly the one of `kind` is set.
  std::unique_ptr<Source> (*make_source)(const OptionValues&) = nullptr;
  std::unique_ptr<Codec> (*make_codec)(const OptionValues&) = nullptr;
  std::unique_ptr<Sink> (*make_sink)(const OptionValues&) = nullptr;
  // Checks beyond the rows (two options that exclude each other); may be null.
  Status (*validate)(const OptionValues&) = nullptr;
};

// Every plug-in of this build, generated by CMake from the weir_plugin() lines, sorted by kind and name.
std::span<const Plugin* const> Plugins();
const Plugin* FindPlugin(PluginKind kind, std::string_view name);

}  // namespace weir::plugin
