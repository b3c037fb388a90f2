// remote_write source: the receiver of Prometheus remote write 1.0 and 2.0. Bodies are decoded on the HTTP thread; the answer is sent
// when the engine has taken the batch, so a 2xx means that every sample counts. Unlike Prometheus, a bad sample costs itself
// only: the request is still answered 400 (senders must not repeat it), but its neighbours are kept.

#include <algorithm>
#include <atomic>
#include <cctype>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

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

// RETURNS: "" when the media type is that of remote write, else what is wrong with it; without `proto` it is 1.0.
std::string CheckContentType(std::string_view header, remote_write::Message* message) {
  const size_t semicolon = header.find(';');
  const std::string_view type = Trim(header.substr(0, semicolon));
  if (!type.empty() && Lower(type) != "application/x-protobuf") {
    return "unsupported content type \"" + std::string(type) + "\", want application/x-protobuf";
  }
  *message = remote_write::Message::kWriteRequest;
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
      if (proto == remote_write::kRequestV2Name) {
        *message = remote_write::Message::kRequestV2;
      } else if (proto == remote_write::kWriteRequestName) {
        *message = remote_write::Message::kWriteRequest;
      } else {
        return "unsupported message \"" + std::string(proto) + "\", want " +
               std::string(remote_write::kWriteRequestName) + " or " + std::string(remote_write::kRequestV2Name);
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

// What was written, as a 2.0 sender is told with every answer to a request that was looked at.
void AddWritten(uint64_t samples, uint64_t histograms, HttpResponse* response) {
  response->headers.emplace_back("X-Prometheus-Remote-Write-Samples-Written", std::to_string(samples));
  response->headers.emplace_back("X-Prometheus-Remote-Write-Histograms-Written", std::to_string(histograms));
  response->headers.emplace_back("X-Prometheus-Remote-Write-Exemplars-Written", "0");
}

struct Limits {
  remote_write::DecodeOptions decode;
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
        histograms_(host.metrics().GetCounter("weir_remote_write_received_histograms_total",
                                              "Native histograms decoded from remote-write requests.")),
        refused_(host.metrics().GetCounter("weir_remote_write_refused_records_total",
                                           "Histograms and series of remote-write requests that decode to nothing "
                                           "usable; their neighbours were kept.")),
        in_flight_bytes_gauge_(host.metrics().GetGauge(
            "weir_remote_write_in_flight_bytes", "Decoded bytes of remote-write requests that wait for the engine.")) {}

  void Handle(HttpRequest request, HttpResponder respond) {
    const std::shared_lock lock(stop_mutex_);
    if (stopped_) {
      return Send(respond, AnswerRetry("shutting down"));
    }
    HttpResponse refusal;
    Exchange exchange;
    exchange.respond = std::move(respond);
    if (Refuses(request, &exchange.message, &refusal)) {
      return Send(exchange.respond, std::move(refusal));
    }
    bytes_.Add(request.body.size());
    const auto in_flight = std::make_shared<InFlight>(shared_from_this());
    if (in_flight_requests_.load() > limits_.requests_in_flight_max) {
      return Reply(exchange,
                   AnswerRetry("more than " + std::to_string(limits_.requests_in_flight_max) + " requests in flight"));
    }
    if (!in_flight->Charge(static_cast<int64_t>(request.body.size()))) {
      return Reply(exchange, TooManyBytes());
    }
    remote_write::DecodeOptions options = limits_.decode;
    options.message = exchange.message;
    options.type_and_unit_labels = host_.type_and_unit_labels();
    SampleBatch batch = host_.TakeBatch();
    const Status status = remote_write::DecodeSnappy(request.body, options, &batch);
    if (!status.ok()) {
      return Reply(exchange, Answer(400, std::string(status.message())));
    }
    batch.arrived_ns = request.arrived_ns;
    request.body = std::string();
    if (!in_flight->Charge(static_cast<int64_t>(batch.arena.size() + batch.histogram_bytes))) {
      return Reply(exchange, TooManyBytes());
    }
    samples_.Add(batch.samples.size());
    histograms_.Add(batch.histograms.size());
    refused_.Add(batch.bad_records);
    exchange.bad_records = batch.bad_records;
    exchange.first_error = std::move(batch.first_error);
    if (batch.series.empty()) {
      return Finish(IngestOutcome{}, exchange);
    }
    const std::string stream = Stream(request);
    const auto done = [in_flight, exchange](const IngestOutcome& outcome) {
      in_flight->Release();
      in_flight->receiver().Finish(outcome, exchange);
    };
    if (!host_.Submit(std::move(batch), stream, done)) {
      Reply(exchange, AnswerRetry("the ingest queue is full"));
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

  // One request on its way to an answer.
  struct Exchange {
    HttpResponder respond;
    remote_write::Message message = remote_write::Message::kWriteRequest;
    uint32_t bad_records = 0;  // that decoding left out
    std::string first_error;   // of those
  };

  int64_t AddBytes(int64_t bytes) {
    const int64_t total = in_flight_bytes_.fetch_add(bytes) + bytes;
    in_flight_bytes_gauge_.Set(static_cast<double>(total));
    return total;
  }

  HttpResponse TooManyBytes() const {
    return AnswerRetry("more than " + std::to_string(limits_.bytes_in_flight_max) + " bytes in flight");
  }

  bool Refuses(const HttpRequest& request, remote_write::Message* message, HttpResponse* refusal) const {
    if (request.method != "POST") {
      *refusal = Answer(405, "method not allowed");
      refusal->headers.emplace_back("Allow", "POST");
      return true;
    }
    if (const std::string wrong = CheckContentType(request.Header("content-type"), message); !wrong.empty()) {
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

  // Also on the engine's thread.
  void Finish(const IngestOutcome& outcome, const Exchange& exchange) {
    if (outcome.overloaded) {
      return Reply(exchange, AnswerRetry(outcome.first_error.empty() ? "overloaded" : outcome.first_error));
    }
    // As in Prometheus, 1.0 passes series with bad labels over in silence and 2.0 does not.
    const bool v2 = exchange.message == remote_write::Message::kRequestV2;
    const uint64_t refused =
        uint64_t{exchange.bad_records} + outcome.rejected + (v2 ? outcome.invalid_series : uint32_t{0});
    const uint64_t stored = uint64_t{outcome.written} + outcome.duplicates;
    if (refused == 0) {
      return Reply(exchange, Answer(204, ""), stored - outcome.histograms, outcome.histograms);
    }
    std::string text = exchange.first_error;
    for (const std::string* more : {&outcome.first_error, v2 ? &outcome.first_invalid : nullptr}) {
      if (more != nullptr && !more->empty()) {
        text += (text.empty() ? "" : "\n") + *more;
      }
    }
    text = text.empty() ? "samples were rejected" : text;
    Reply(exchange,
          Answer(400, text + " (" + std::to_string(refused) + " rejected, " + std::to_string(stored) + " stored)"),
          stored - outcome.histograms, outcome.histograms);
  }

  // The answer to a request whose message is known.
  void Reply(const Exchange& exchange, HttpResponse response, uint64_t samples = 0, uint64_t histograms = 0) {
    if (exchange.message == remote_write::Message::kRequestV2) {
      AddWritten(samples, histograms, &response);
    }
    Send(exchange.respond, std::move(response));
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
  Counter& refused_;
  Gauge& in_flight_bytes_gauge_;
  std::atomic<int64_t> in_flight_requests_{0};
  std::atomic<int64_t> in_flight_bytes_{0};
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
    .help = "Receives Prometheus remote write 1.0 and 2.0 over HTTP.",
    .options = kOptions,
    .make_source = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
