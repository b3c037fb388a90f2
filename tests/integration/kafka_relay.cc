// A receiver of remote write 2.0 that puts what it gets on a Kafka topic, as a metrics pipeline does: each request is split by
// `instance`, every part is a body of remote write 2.0 of its own, keyed by the instance so that a series stays on one
// partition. A request is answered when the broker has all of it. Runs until SIGTERM; a tool of the integration tests
// only.

#include "core/base/http_server.h"
#include "plugins/codecs/remote_write/write_request.h"

#include <csignal>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <librdkafka/rdkafka.h>
#include <CLI/CLI.hpp>

namespace weir {
namespace {

constexpr int kTimeoutMs = 10000;

class Topic {
 public:
  Topic(const std::string& brokers, std::string name) : name_(std::move(name)) {
    char error[512];
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), error, sizeof error);
    rd_kafka_conf_set(conf, "enable.idempotence", "true", error, sizeof error);  // order kept, nothing twice
    rd_kafka_conf_set(conf, "linger.ms", "2", error, sizeof error);
    producer_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error));
  }

  // RETURNS: "" or why the topic is not there.
  std::string Create(int partitions) {
    if (producer_ == nullptr) {
      return "no producer";
    }
    char error[512];
    rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(name_.c_str(), partitions, 1, error, sizeof error);
    rd_kafka_queue_t* queue = rd_kafka_queue_new(producer_.get());
    rd_kafka_CreateTopics(producer_.get(), &topic, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, kTimeoutMs);
    std::string problem = event == nullptr ? "creating the topic timed out" : "";
    if (event != nullptr && rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      problem = rd_kafka_event_error_string(event);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return problem;
  }

  bool Send(const std::string& key, const std::string& body) {
    return rd_kafka_producev(producer_.get(), RD_KAFKA_V_TOPIC(name_.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
                             RD_KAFKA_V_VALUE(const_cast<char*>(body.data()), body.size()),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR;
  }

  // RETURNS: whether the broker has everything that was sent.
  bool Flush() { return rd_kafka_flush(producer_.get(), kTimeoutMs) == RD_KAFKA_RESP_ERR_NO_ERROR; }

 private:
  struct Destroy {
    void operator()(rd_kafka_t* producer) const { rd_kafka_destroy(producer); }
  };
  const std::string name_;
  std::unique_ptr<rd_kafka_t, Destroy> producer_;
};

// RETURNS: the answer to one request, with the counts that a sender of 2.0 wants to see.
HttpResponse Relay(const std::string& body, Topic& topic) {
  plugin::SampleBatch batch;
  if (!remote_write::DecodeSnappy(body, {.message = remote_write::Message::kRequestV2}, &batch).ok()) {
    return {.status = 400};
  }
  std::map<std::string, remote_write::RequestV2Builder> parts;
  std::vector<std::pair<std::string_view, std::string_view>> decoded;
  for (const auto& series : batch.series) {
    if (!plugin::DecodeLabels(series.labels, &decoded).ok()) {
      return {.status = 400};
    }
    Labels labels;
    std::string instance;
    for (const auto& [name, value] : decoded) {
      labels.Set(name, value);
      if (name == "instance") {
        instance = value;
      }
    }
    remote_write::RequestV2Builder& part = parts[instance];
    for (uint32_t i = series.first; i < series.first + series.count; ++i) {
      part.Add(labels, batch.samples[i], batch.start_times.empty() ? 0 : batch.start_times[i]);
    }
    for (uint32_t i = series.first_histogram; i < series.first_histogram + series.histogram_count; ++i) {
      const plugin::HistogramSample& histogram = batch.histograms[i];
      part.Add(labels, histogram.t, *histogram.h, histogram.start_ms);
    }
  }
  for (auto& [instance, part] : parts) {
    if (!topic.Send(instance, part.TakeSnappy())) {
      return {.status = 503};
    }
  }
  return {.status = topic.Flush() ? 204 : 503,
          .headers = {
              {"X-Prometheus-Remote-Write-Samples-Written", std::to_string(batch.samples.size())},
              {"X-Prometheus-Remote-Write-Histograms-Written", std::to_string(batch.histograms.size())},
              {"X-Prometheus-Remote-Write-Exemplars-Written", "0"},
          }};
}

int Run(const std::string& listen, const std::string& brokers, const std::string& name, int partitions) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by the server's thread
  Topic topic(brokers, name);
  if (const std::string problem = topic.Create(partitions); !problem.empty()) {
    std::cerr << "kafka_relay: topic " << name << ": " << problem << "\n";
    return 1;
  }
  HttpServerOptions options;
  options.listen = listen;
  HttpServer server(options);
  server.Handle("/api/v1/write", [&topic](const HttpRequest& request, const HttpResponder& respond) {
    respond(Relay(request.body, topic));
  });
  server.Handle("/-/ready", [](const HttpRequest&, const HttpResponder& respond) { respond({}); });
  if (const Status status = server.Start(); !status.ok()) {
    std::cerr << "kafka_relay: " << status.message() << "\n";
    return 1;
  }
  int received = 0;
  sigwait(&signals, &received);
  server.Stop();
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  std::string listen, brokers, topic;
  int partitions = 4;
  CLI::App app{"Takes remote write 2.0 and puts it on a Kafka topic, keyed by instance."};
  app.add_option("--listen", listen, "host:port")->required();
  app.add_option("--brokers", brokers, "host:port of the broker")->required();
  app.add_option("--topic", topic, "topic, created with --partitions")->required();
  app.add_option("--partitions", partitions, "partitions of the topic");
  CLI11_PARSE(app, argc, argv);
  return weir::Run(listen, brokers, topic, partitions);
}
