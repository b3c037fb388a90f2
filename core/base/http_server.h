#pragma once
// A small HTTP/1.1 server (Boost.Beast in http_server.cc, included nowhere else). Handlers run on the server's I/O
// threads and must not block; they answer by calling the responder once, then or later, from any thread. Keep-alive,
// bodies up to a limit (413 beyond), idle and header timeouts, a bounded number of connections.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace weir {

struct HttpRequest {
  std::string method;                                        // "GET"
  std::string path;                                          // decoded, without query
  std::string query;                                         // raw, after '?'
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string peer;        // "127.0.0.1:53211"
  int64_t arrived_ns = 0;  // when its last byte was there, by Clock::MonotonicNs
  std::string_view Header(std::string_view lower_case_name) const;  // "" when absent
  // RETURNS: decoded parameters of the query and, for form-encoded POST, of the body, in order.
  std::vector<std::pair<std::string, std::string>> Parameters() const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

using HttpResponder = std::function<void(HttpResponse)>;
using HttpHandler = std::function<void(HttpRequest, HttpResponder)>;

struct HttpServerOptions {
  std::string listen = "127.0.0.1:9797";  // host:port, port 0 picks one
  int threads = 1;
  uint64_t body_bytes_max = 32ULL << 20;
  uint64_t bodies_bytes_max = 256ULL << 20;  // of all that are being read: 503 beyond, but one alone is always read
  int connections_max = 1024;
  int64_t header_timeout_ms = 10000;  // from a request's first byte to the end of its header
  int64_t stop_timeout_ms = 5000;     // how long Stop() waits for pending answers
};

class HttpServer {
 public:
  explicit HttpServer(HttpServerOptions options);
  ~HttpServer();  // stops
  // Routes an exact path, or with a last segment of `*` everything below it (`/api/v1/label/*`; exact paths and longer ones
  // win); every method goes to the handler. A responder that is let go unanswered answers 500. REQUIRES: before Start().
  void Handle(std::string path, HttpHandler handler);
  // Binds and serves. ERRORS: kUnavailable "listen 127.0.0.1:9797: address already in use …".
  Status Start();
  // Closes idle connections, waits for pending answers, then ends; responders may outlive it. REQUIRES: not on a server's thread.
  void Stop();
  int port() const;                      // after Start()
  uint64_t refused_connections() const;  // beyond connections_max: answered 503 and closed
  uint64_t refused_bodies() const;       // beyond bodies_bytes_max, the same
  uint64_t body_bytes() const;           // of requests that are being read

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string UrlDecode(std::string_view text, bool plus_is_space);
// url.QueryEscape of Go.
std::string UrlQueryEscape(std::string_view text);

}  // namespace weir
