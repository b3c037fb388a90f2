#pragma once
// An HTTP endpoint for tests of sinks: answers as told, keeps what it was sent, and lets the test wait for requests.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/http_server.h"
#include "core/plugin/plugin.h"

namespace weir {

class FakePeer {
 public:
  explicit FakePeer(const std::string& path) {
    HttpServerOptions options;
    options.listen = "127.0.0.1:0";
    server_ = std::make_unique<HttpServer>(options);
    server_->Handle(path, [this](HttpRequest request, HttpResponder respond) {
      const std::lock_guard lock(mutex_);
      requests_.push_back(std::move(request));
      HttpResponse response;
      response.status = 204;
      if (!answers_.empty()) {
        response = answers_.front();
        answers_.pop_front();
      }
      if (held_) {
        pending_.push_back(respond);
      } else {
        respond(response);
      }
      arrived_.notify_all();
    });
    WEIR_ASSERT(server_->Start().ok());
  }

  // The next requests are answered with these, later ones with 204.
  void Answer(int status, std::string retry_after = "") {
    const std::lock_guard lock(mutex_);
    HttpResponse& response = answers_.emplace_back();
    response.status = status;
    response.body = "told to";
    if (!retry_after.empty()) {
      response.headers.emplace_back("Retry-After", retry_after);
    }
  }

  // The next request is answered as a 2.0 receiver does.
  void AnswerWritten(int status, int samples, int histograms) {
    Answer(status);
    const std::lock_guard lock(mutex_);
    auto& headers = answers_.back().headers;
    headers.emplace_back("X-Prometheus-Remote-Write-Samples-Written", std::to_string(samples));
    headers.emplace_back("X-Prometheus-Remote-Write-Histograms-Written", std::to_string(histograms));
  }

  // Requests wait until LetGo().
  void Hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void LetGo() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    for (const HttpResponder& respond : pending_) {
      HttpResponse response;
      response.status = 204;
      respond(response);
    }
    pending_.clear();
  }

  // Waits until `count` requests came. RETURNS: them.
  std::vector<HttpRequest> Wait(size_t count) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return requests_.size() >= count; });
    return requests_;
  }
  std::vector<HttpRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::string Url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(server_->port()) + path;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<HttpRequest> requests_;
  std::deque<HttpResponse> answers_;
  std::vector<HttpResponder> pending_;
  bool held_ = false;
  std::unique_ptr<HttpServer> server_;
};

class FakeSinkHost final : public plugin::SinkHost {
 public:
  const Clock& clock() const override { return SystemClock(); }
  MetricRegistry& metrics() override { return metrics_; }
  const Labels& external_labels() const override { return external_; }

  // RETURNS: the value after `name{…} ` in the exposition that has `part` in it, or "".
  std::string Metric(const std::string& name, const std::string& part = "") const {
    const std::string text = metrics_.Expose();
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      const std::string line = text.substr(at, end - at);
      if (line.rfind(name + "{", 0) == 0 && line.find(part) != std::string::npos) {
        return line.substr(line.rfind(' ') + 1);
      }
      at = end + 1;
    }
    return "";
  }

  MetricRegistry metrics_;
  Labels external_;
};

}  // namespace weir
