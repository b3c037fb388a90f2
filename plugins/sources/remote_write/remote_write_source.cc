// remote_write source: the receiver of Prometheus remote write 1.0. Bodies are decoded on the HTTP thread; the answer is sent
// when the engine has taken the batch, so a 2xx means that every sample counts. Unlike Prometheus, a bad sample costs itself
// only: the request is still answered 400 (senders must not repeat it), but its neighbours are kept.

#include <algorithm>
#include <atomic>
#include <cctype>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "core/base/log.h"
#include "core/plugin/plugin.h"
#include "plugins/codecs/remote_write/write_request.h"

namespace weir::plugin {
namespace {

constexpr size_t kStreamNameBytesMax = 128;
constexpr size_t kStreamsMax = 10000;      // beyond, senders share one stream
constexpr int64_t kStreamSweepMs = 10000;  // how often quiet senders are looked for
constexpr std::string_view kSharedStream = "remote_write other";
constexpr std::string_view kRetryAfterSeconds = "1";

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
    text.remove_prefix(1);
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return text;
}

// RETURNS: "" when the media type is that of remote write 1.0, else what is wrong with it.
std::string CheckContentType(std::string_view header) {
  const size_t semicolon = header.find(';');
  const std::string_view type = Trim(header.substr(0, semicolon));
  if (!type.empty() && Lower(type) != "application/x-protobuf") {
    return "unsupported content type \"" + std::string(type) + "\", want application/x-protobuf";
  }
  std::string_view rest = semicolon == std::string_view::npos ? std::string_view() : header.substr(semicolon + 1);
  while (!rest.empty()) {
    const size_t end = rest.find(';');
    const std::string_view parameter = Trim(rest.substr(0, end));
    const size_t equals = parameter.find('=');
    if (equals != std::string_view::npos && Lower(Trim(parameter.substr(0, equals))) == "proto") {
      std::string_view proto = Trim(parameter.substr(equals + 1));
      if (proto.size() >= 2 && proto.front() == '"' && proto.back() == '"') {
        proto = proto.substr(1, proto.size() - 2);
      }
      if (proto != "prometheus.WriteRequest") {
        return "unsupported message \"" + std::string(proto) + "\", want prometheus.WriteRequest (remote write 1.0)";
      }
    }
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return "";
}

HttpResponse Answer(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.body = text.empty() ? std::string() : std::move(text) + "\n";
  return response;
}

// 503 and not 429: Prometheus repeats a request after any 5xx, after a 429 only when it was told to.
HttpResponse AnswerRetry(std::string text) {
  HttpResponse response = Answer(503, std::move(text));
  response.headers.emplace_back("Retry-After", kRetryAfterSeconds);
  return response;
}

struct Limits {
  remote_write::DecodeLimits decode;
  uint64_t body_bytes_max = 0;
  int64_t requests_in_flight_max = 0;
  int64_t bytes_in_flight_max = 0;
  int64_t stream_idle_ms = 0;
};

// All that handlers and callbacks need; they may outlive the source.
class Receiver : public std::enable_shared_from_this<Receiver> {
 public:
  Receiver(SourceHost& host, const Limits& limits)
      : host_(host),
        limits_(limits),
        bytes_(host.metrics().GetCounter("weir_remote_write_received_bytes_total",
                                         "Compressed bytes of remote-write requests.")),
        samples_(host.metrics().GetCounter("weir_remote_write_received_samples_total",
                                           "Samples decoded from remote-write requests.")),
        histograms_(host.metrics().GetCounter("weir_remote_write_histograms_skipped_total",
                                              "Native-histogram samples that were left out: they are not evaluated.")),
        in_flight_bytes_gauge_(host.metrics().GetGauge(
            "weir_remote_write_in_flight_bytes", "Decoded bytes of remote-write requests that wait for the engine.")) {}

  void Handle(HttpRequest request, HttpResponder respond) {
    const std::shared_lock lock(stop_mutex_);
    if (stopped_) {
      return Send(respond, AnswerRetry("shutting down"));
    }
    HttpResponse refusal;
    if (Refuses(request, &refusal)) {
      return Send(respond, std::move(refusal));
    }
    bytes_.Add(request.body.size());
    const auto in_flight = std::make_shared<InFlight>(shared_from_this());
    if (in_flight_requests_.load() > limits_.requests_in_flight_max) {
      return Send(respond,
                  AnswerRetry("more than " + std::to_string(limits_.requests_in_flight_max) + " requests in flight"));
    }
    if (!in_flight->Charge(static_cast<int64_t>(request.body.size()))) {
      return Send(respond, TooManyBytes());
    }
    SampleBatch batch;
    const Status status = remote_write::DecodeSnappy(request.body, limits_.decode, &batch);
    if (!status.ok()) {
      return Send(respond, Answer(400, std::string(status.message())));
    }
    request.body = std::string();
    if (!in_flight->Charge(static_cast<int64_t>(batch.arena.size()))) {
      return Send(respond, TooManyBytes());
    }
    samples_.Add(batch.samples.size());
    NoteHistograms(batch.histograms);
    if (batch.samples.empty()) {
      return Send(respond, Answer(204, ""));
    }
    const std::string stream = Stream(request);
    const bool taken = host_.Submit(std::move(batch), stream, [in_flight, respond](const IngestOutcome& outcome) {
      in_flight->Release();
      in_flight->receiver().Finish(outcome, respond);
    });
    if (!taken) {
      Send(respond, AnswerRetry("the ingest queue is full"));
    }
  }

  // Afterwards no handler submits any more.
  void Stop() {
    const std::unique_lock lock(stop_mutex_);
    stopped_ = true;
  }

 private:
  // Counts one request, and the bytes charged to it, for as long as it lives.
  class InFlight {
   public:
    explicit InFlight(std::shared_ptr<Receiver> receiver) : receiver_(std::move(receiver)) {
      receiver_->in_flight_requests_.fetch_add(1);
    }
    ~InFlight() { Release(); }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;
    // RETURNS: whether this request may hold `bytes` (instead of what it held before).
    bool Charge(int64_t bytes) {
      const int64_t total = receiver_->AddBytes(bytes - bytes_);
      bytes_ = bytes;
      return total <= receiver_->limits_.bytes_in_flight_max;
    }
    void Release() {
      if (!released_) {
        released_ = true;
        receiver_->in_flight_requests_.fetch_sub(1);
        receiver_->AddBytes(-bytes_);
      }
    }
    Receiver& receiver() const { return *receiver_; }

   private:
    std::shared_ptr<Receiver> receiver_;
    int64_t bytes_ = 0;
    bool released_ = false;
  };

  int64_t AddBytes(int64_t bytes) {
    const int64_t total = in_flight_bytes_.fetch_add(bytes) + bytes;
    in_flight_bytes_gauge_.Set(static_cast<double>(total));
    return total;
  }

  HttpResponse TooManyBytes() const {
    return AnswerRetry("more than " + std::to_string(limits_.bytes_in_flight_max) + " bytes in flight");
  }

  bool Refuses(const HttpRequest& request, HttpResponse* refusal) const {
    if (request.method != "POST") {
      *refusal = Answer(405, "method not allowed");
      refusal->headers.emplace_back("Allow", "POST");
      return true;
    }
    if (const std::string wrong = CheckContentType(request.Header("content-type")); !wrong.empty()) {
      *refusal = Answer(415, wrong);
      return true;
    }
    const std::string_view encoding = Trim(request.Header("content-encoding"));
    if (!encoding.empty() && Lower(encoding) != "snappy") {
      *refusal = Answer(415, "unsupported content encoding \"" + std::string(encoding) + "\", want snappy");
      return true;
    }
    if (request.body.size() > limits_.body_bytes_max) {
      *refusal = Answer(413, "request body is larger than " + std::to_string(limits_.body_bytes_max) + " bytes");
      return true;
    }
    return false;
  }

  void NoteHistograms(uint32_t count) {
    if (count == 0) {
      return;
    }
    histograms_.Add(count);
    if (!histograms_logged_.exchange(true)) {
      LogWarn("remote write: native histograms are left out; rules cannot read them",
              {{"count", std::to_string(count)}});
    }
  }

  // On the engine's thread.
  void Finish(const IngestOutcome& outcome, const HttpResponder& respond) {
    if (outcome.overloaded) {
      return Send(respond, AnswerRetry(outcome.first_error.empty() ? "overloaded" : outcome.first_error));
    }
    if (outcome.rejected > 0) {
      std::string text = outcome.first_error.empty() ? "samples were rejected" : outcome.first_error;
      return Send(respond, Answer(400, text + " (" + std::to_string(outcome.rejected) + " rejected, " +
                                           std::to_string(outcome.written + outcome.duplicates) + " stored)"));
    }
    Send(respond, Answer(204, ""));
  }

  void Send(const HttpResponder& respond, HttpResponse response) {
    host_.metrics()
        .GetCounter("weir_remote_write_requests_total", "Remote-write requests by the status they were answered with.",
                    {{"code", std::to_string(response.status)}})
        .Add();
    respond(std::move(response));
  }

  // The host and the agent: ports change with every connection, and all shards of a sender belong together.
  std::string Stream(const HttpRequest& request) {
    const std::string_view peer = request.peer;
    std::string name = "remote_write " + std::string(peer.substr(0, peer.rfind(':')));
    const std::string_view agent = request.Header("user-agent");
    if (!agent.empty()) {
      name.append(" ").append(agent);
    }
    name.resize(std::min(name.size(), kStreamNameBytesMax));
    const int64_t now_ms = host_.clock().NowMs();
    const std::lock_guard lock(streams_mutex_);
    CloseQuietStreams(now_ms);
    const auto it = streams_.find(name);
    if (it != streams_.end()) {
      it->second = now_ms;
    } else if (streams_.size() < kStreamsMax) {
      streams_.emplace(name, now_ms);
    } else {
      streams_[std::string(kSharedStream)] = now_ms;
      return std::string(kSharedStream);
    }
    return name;
  }

  // A sender that went away must not hold ticks.
  void CloseQuietStreams(int64_t now_ms) {
    if (now_ms - last_sweep_ms_ < kStreamSweepMs) {
      return;
    }
    last_sweep_ms_ = now_ms;
    for (auto it = streams_.begin(); it != streams_.end();) {
      if (now_ms - it->second > limits_.stream_idle_ms) {
        host_.CloseStream(it->first);
        it = streams_.erase(it);
      } else {
        ++it;
      }
    }
  }

  SourceHost& host_;
  const Limits limits_;
  Counter& bytes_;
  Counter& samples_;
  Counter& histograms_;
  Gauge& in_flight_bytes_gauge_;
  std::atomic<int64_t> in_flight_requests_{0};
  std::atomic<int64_t> in_flight_bytes_{0};
  std::atomic<bool> histograms_logged_{false};
  std::shared_mutex stop_mutex_;
  bool stopped_ = false;  // under stop_mutex_
  std::mutex streams_mutex_;
  std::map<std::string, int64_t, std::less<>> streams_;  // name -> last request; under streams_mutex_
  int64_t last_sweep_ms_ = 0;                            // under streams_mutex_
};

class RemoteWriteSource final : public Source {
 public:
  explicit RemoteWriteSource(const OptionValues& options) : path_(options.String("path")) {
    limits_.decode.decoded_bytes_max = static_cast<uint64_t>(options.Int("decoded_bytes_max"));
    limits_.body_bytes_max = static_cast<uint64_t>(options.Int("body_bytes_max"));
    limits_.requests_in_flight_max = options.Int("requests_in_flight_max");
    limits_.bytes_in_flight_max = options.Int("bytes_in_flight_max");
    limits_.stream_idle_ms = options.Int("stream_idle");
  }

  Status Start(SourceHost& host) override {
    receiver_ = std::make_shared<Receiver>(host, limits_);
    host.HandleHttp(path_, [receiver = receiver_](HttpRequest request, HttpResponder respond) {
      receiver->Handle(std::move(request), std::move(respond));
    });
    return Status();
  }

  void Stop() override {
    if (receiver_) {
      receiver_->Stop();
    }
  }

 private:
  const std::string path_;
  Limits limits_;
  std::shared_ptr<Receiver> receiver_;
};

constexpr OptionRow kOptions[] = {
    {.name = "path",
     .type = OptionType::kString,
     .fallback = "/api/v1/write",
     .help = "Path of the process's HTTP server."},
    {.name = "body_bytes_max",
     .type = OptionType::kSize,
     .fallback = "32MiB",
     .help = "Larger request bodies are answered 413."},
    {.name = "decoded_bytes_max",
     .type = OptionType::kSize,
     .fallback = "32MiB",
     .help = "Requests that would decode to more bytes are answered 400."},
    {.name = "requests_in_flight_max",
     .type = OptionType::kInt,
     .fallback = "256",
     .help = "With more requests waiting for the engine, senders are asked to retry (503)."},
    {.name = "bytes_in_flight_max",
     .type = OptionType::kSize,
     .fallback = "256MiB",
     .help = "With more bytes waiting for the engine, senders are asked to retry (503)."},
    {.name = "stream_idle",
     .type = OptionType::kDuration,
     .fallback = "5m",
     .help = "A sender that is quiet for this long no longer holds back ticks."},
};

std::unique_ptr<Source> Make(const OptionValues& options) { return std::make_unique<RemoteWriteSource>(options); }

Status Validate(const OptionValues& options) {
  WEIR_RETURN_IF_ERROR(CheckAtLeast(
      options,
      {{"body_bytes_max", 1}, {"decoded_bytes_max", 1}, {"requests_in_flight_max", 1}, {"bytes_in_flight_max", 1}}));
  if (options.String("path").empty() || options.String("path").front() != '/') {
    return InvalidError(options.where + ": option \"path\": want a path that starts with /, got \"" +
                        options.String("path") + "\"");
  }
  return Status();
}

}  // namespace

extern const Plugin remote_write_source;
const Plugin remote_write_source = {
    .kind = PluginKind::kSource,
    .name = "remote_write",
    .help = "Receives Prometheus remote write 1.0 over HTTP.",
    .options = kOptions,
    .make_source = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
