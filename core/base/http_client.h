#pragma once
// A blocking HTTP client (libcurl in http_client.cc, opened by the first client, included nowhere else) for sinks, which own their threads. One
// client per thread; connections are kept alive. TLS is always verified unless the caller's options say otherwise.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace weir {

struct HttpClientOptions {
  std::string user_agent = "weir";
  std::string basic_user, basic_password;
  std::string bearer_token;
  std::string basic_password_file,
      bearer_token_file;  // read before every request, so that rotated secrets are picked up
  std::string ca_file, cert_file, key_file, server_name;
  bool insecure_skip_verify = false;
};

struct HttpClientRequest {
  std::string method = "POST";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  int64_t timeout_ms = 10000;
  uint64_t response_bytes_max = 1 << 20;
};

struct HttpClientResponse {
  int status = 0;  // 0: nothing came back, see error
  std::string body;
  std::string error;  // "connection refused", without secrets
  std::string retry_after;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case; as many as are worth keeping

  std::string_view Header(std::string_view lower_case_name) const;  // "" when absent
};

class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options = {});
  ~HttpClient();
  HttpClientResponse Do(const HttpClientRequest& request);
  // From another thread: makes a running Do return soon with an error, and later ones at once.
  void Cancel();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// ERRORS: kNotFound: libcurl is not installed; every request fails then. Opens it.
Status HttpClientStatus();
// RETURNS: libcurl's version and those of the libraries that it uses, in one line, or why there is none. Opens it.
std::string HttpClientVersion();
// RETURNS: `url` without user, password, query and fragment: for logs and metric labels.
std::string RedactedUrl(std::string_view url);

}  // namespace weir
