#include "core/base/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>
#include <system_error>

#include "core/base/files.h"
#include "core/base/shared_library.h"
#include "core/base/status.h"

namespace weir {
namespace {

// libcurl, which brings some twenty libraries and five megabytes along: for processes that have a client.
struct Curl {
  SharedLibrary opened{"libcurl.so.4"};
  WEIR_LIBRARY_FUNCTION(curl_easy_cleanup);
  WEIR_LIBRARY_FUNCTION(curl_easy_getinfo);
  WEIR_LIBRARY_FUNCTION(curl_easy_init);
  WEIR_LIBRARY_FUNCTION(curl_easy_reset);
  WEIR_LIBRARY_FUNCTION(curl_easy_setopt);
  WEIR_LIBRARY_FUNCTION(curl_easy_strerror);
  WEIR_LIBRARY_FUNCTION(curl_free);
  WEIR_LIBRARY_FUNCTION(curl_global_init);
  WEIR_LIBRARY_FUNCTION(curl_multi_add_handle);
  WEIR_LIBRARY_FUNCTION(curl_multi_cleanup);
  WEIR_LIBRARY_FUNCTION(curl_multi_info_read);
  WEIR_LIBRARY_FUNCTION(curl_multi_init);
  WEIR_LIBRARY_FUNCTION(curl_multi_perform);
  WEIR_LIBRARY_FUNCTION(curl_multi_poll);
  WEIR_LIBRARY_FUNCTION(curl_multi_remove_handle);
  WEIR_LIBRARY_FUNCTION(curl_multi_wakeup);
  WEIR_LIBRARY_FUNCTION(curl_slist_append);
  WEIR_LIBRARY_FUNCTION(curl_slist_free_all);
  WEIR_LIBRARY_FUNCTION(curl_url);
  WEIR_LIBRARY_FUNCTION(curl_url_cleanup);
  WEIR_LIBRARY_FUNCTION(curl_url_get);
  WEIR_LIBRARY_FUNCTION(curl_url_set);
  WEIR_LIBRARY_FUNCTION(curl_version);
  bool usable = opened.status().ok() && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
};

const Curl& Lib() {
  static const Curl curl;
  return curl;
}

// How long one wait for socket events lasts at most; Cancel() wakes the wait at once.
constexpr int kPollMs = 1000;
constexpr int64_t kConnectTimeoutMsMax = 10000;
constexpr uint64_t kSecretBytesMax = 1 << 20;
constexpr size_t kHeadersMax = 64;

struct Exchange {
  const HttpClientRequest* request = nullptr;
  HttpClientResponse* response = nullptr;
  bool body_too_large = false;
};

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto* exchange = static_cast<Exchange*>(user);
  const size_t bytes = size * count;
  if (exchange->response->body.size() + bytes > exchange->request->response_bytes_max) {
    exchange->body_too_large = true;
    return 0;
  }
  exchange->response->body.append(data, bytes);
  return bytes;
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  HttpClientResponse& response = *static_cast<Exchange*>(user)->response;
  const std::string_view line(data, size * count);
  const size_t colon = line.find(':');
  if (line.substr(0, 5) == "HTTP/") {  // an answer begins; what came before was an interim one
    response.headers.clear();
  } else if (colon != std::string_view::npos && response.headers.size() < kHeadersMax) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::string_view value = line.substr(colon + 1);
    const size_t first = value.find_first_not_of(" \t\r\n");
    const size_t last = value.find_last_not_of(" \t\r\n");
    response.headers.emplace_back(std::move(name),
                                  first == std::string_view::npos ? "" : value.substr(first, last - first + 1));
    if (response.headers.back().first == "retry-after") {
      response.retry_after = response.headers.back().second;
    }
  }
  return size * count;
}

std::string LowerFirst(std::string text) {
  if (!text.empty()) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

// Reads a secret into `secret` when there is a file for it; trailing white space is no part of it.
Status LoadSecret(const std::string& file, std::string* secret) {
  if (file.empty()) {
    return Status();
  }
  WEIR_ASSIGN_OR_RETURN(std::string content, ReadFile(file, kSecretBytesMax));
  const size_t last = content.find_last_not_of(" \t\r\n");
  *secret = last == std::string::npos ? std::string() : content.substr(0, last + 1);
  return Status();
}

struct UrlPart {
  ~UrlPart() { Lib().curl_free(text); }
  char* text = nullptr;
};

}  // namespace

struct HttpClient::Impl {
  explicit Impl(HttpClientOptions given) : options(std::move(given)) {
    if (!Lib().usable) {
      return;
    }
    easy = Lib().curl_easy_init();
    multi = Lib().curl_multi_init();
    WEIR_ASSERT(easy != nullptr && multi != nullptr);
  }
  ~Impl() {
    if (easy != nullptr) {
      Lib().curl_easy_cleanup(easy);
      Lib().curl_multi_cleanup(multi);
    }
  }

  template <typename T>
  void Set(CURLoption option, T value) {
    Lib().curl_easy_setopt(easy, option, value);
  }

  void SetText(CURLoption option, const std::string& value) {
    if (!value.empty()) {
      Lib().curl_easy_setopt(easy, option, value.c_str());
    }
  }

  // Puts `options.server_name` into the URL, so that SNI and certificate checks use it, while the connection goes to the host
  // that was asked for and the Host header keeps that name.
  bool OverrideServerName(const std::string& url, curl_slist** headers, curl_slist** connect_to) {
    CURLU* parts = Lib().curl_url();
    UrlPart host, port, rewritten;
    bool ok = parts != nullptr && Lib().curl_url_set(parts, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK &&
              Lib().curl_url_get(parts, CURLUPART_HOST, &host.text, 0) == CURLUE_OK &&
              Lib().curl_url_get(parts, CURLUPART_PORT, &port.text, CURLU_DEFAULT_PORT) == CURLUE_OK &&
              Lib().curl_url_set(parts, CURLUPART_HOST, options.server_name.c_str(), 0) == CURLUE_OK &&
              Lib().curl_url_get(parts, CURLUPART_URL, &rewritten.text, 0) == CURLUE_OK;
    if (ok) {
      const std::string target = std::string("::") + host.text + ":" + port.text;
      *connect_to = Lib().curl_slist_append(nullptr, target.c_str());
      *headers = Lib().curl_slist_append(*headers, (std::string("Host: ") + host.text + ":" + port.text).c_str());
      Set(CURLOPT_CONNECT_TO, *connect_to);
      Set(CURLOPT_URL, rewritten.text);
    }
    Lib().curl_url_cleanup(parts);
    return ok;
  }

  void SetCommon(Exchange* exchange, char* error_text) {
    Set(CURLOPT_NOSIGNAL, 1L);
    Set(CURLOPT_ERRORBUFFER, error_text);
    Set(CURLOPT_PROTOCOLS_STR, "http,https");
    Set(CURLOPT_PROXY, "");  // environment proxies would surprise: nothing else of the configuration comes from there
    Set(CURLOPT_WRITEFUNCTION, &OnBody);
    Set(CURLOPT_WRITEDATA, exchange);
    Set(CURLOPT_HEADERFUNCTION, &OnHeader);
    Set(CURLOPT_HEADERDATA, exchange);
    Set(CURLOPT_TCP_KEEPALIVE, 1L);
    SetText(CURLOPT_USERAGENT, options.user_agent);
    if (!options.basic_user.empty() || !options.basic_password.empty()) {
      Set(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
      Set(CURLOPT_USERNAME, options.basic_user.c_str());
      Set(CURLOPT_PASSWORD, options.basic_password.c_str());
    } else if (!options.bearer_token.empty()) {
      Set(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
      Set(CURLOPT_XOAUTH2_BEARER, options.bearer_token.c_str());
    }
    SetText(CURLOPT_CAINFO, options.ca_file);
    SetText(CURLOPT_SSLCERT, options.cert_file);
    SetText(CURLOPT_SSLKEY, options.key_file);
    Set(CURLOPT_SSL_VERIFYPEER, options.insecure_skip_verify ? 0L : 1L);
    Set(CURLOPT_SSL_VERIFYHOST, options.insecure_skip_verify ? 0L : 2L);
  }

  void SetRequest(const HttpClientRequest& request) {
    const int64_t timeout_ms = std::max<int64_t>(1, request.timeout_ms);
    Set(CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
    Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(timeout_ms, kConnectTimeoutMsMax)));
    if (request.method == "HEAD") {
      Set(CURLOPT_NOBODY, 1L);
    } else if (request.method == "GET" && request.body.empty()) {
      Set(CURLOPT_HTTPGET, 1L);
    } else {
      Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      Set(CURLOPT_POSTFIELDS, request.body.data());
      Set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
  }

  // Runs the prepared transfer until it ends or is cancelled.
  CURLcode Run() {
    if (Lib().curl_multi_add_handle(multi, easy) != CURLM_OK) {
      return CURLE_FAILED_INIT;
    }
    CURLcode code = CURLE_OK;
    int running = 1;
    while (true) {
      if (cancelled.load(std::memory_order_acquire)) {
        code = CURLE_ABORTED_BY_CALLBACK;
        break;
      }
      if (Lib().curl_multi_perform(multi, &running) != CURLM_OK) {
        code = CURLE_FAILED_INIT;
        break;
      }
      if (running == 0) {
        int left = 0;
        while (const CURLMsg* message = Lib().curl_multi_info_read(multi, &left)) {
          if (message->msg == CURLMSG_DONE) {
            code = message->data.result;
          }
        }
        break;
      }
      Lib().curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
    }
    Lib().curl_multi_remove_handle(multi, easy);
    return code;
  }

  std::string ErrorText(CURLcode code, const char* error_text, const Exchange& exchange) {
    if (code == CURLE_ABORTED_BY_CALLBACK) {
      return "cancelled";
    }
    if (exchange.body_too_large) {
      return "response is larger than " + std::to_string(exchange.request->response_bytes_max) + " bytes";
    }
    long os_error = 0;
    if (code == CURLE_COULDNT_CONNECT && Lib().curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error) == CURLE_OK &&
        os_error != 0) {
      return LowerFirst(std::generic_category().message(static_cast<int>(os_error)));
    }
    return LowerFirst(error_text[0] != '\0' ? error_text : Lib().curl_easy_strerror(code));
  }

  HttpClientOptions options;
  CURL* easy = nullptr;    // null: there is no libcurl
  CURLM* multi = nullptr;  // its connection cache keeps connections alive between requests
  std::atomic<bool> cancelled{false};
};

std::string_view HttpClientResponse::Header(std::string_view lower_case_name) const {
  const auto found =
      std::find_if(headers.begin(), headers.end(), [&](const auto& header) { return header.first == lower_case_name; });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

HttpClient::HttpClient(HttpClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpClient::~HttpClient() = default;

HttpClientResponse HttpClient::Do(const HttpClientRequest& request) {
  HttpClientResponse response;
  if (impl_->easy == nullptr) {
    response.error = std::string(HttpClientStatus().message());
    return response;
  }
  Exchange exchange{&request, &response};
  Status secrets = LoadSecret(impl_->options.basic_password_file, &impl_->options.basic_password);
  if (secrets.ok()) {
    secrets = LoadSecret(impl_->options.bearer_token_file, &impl_->options.bearer_token);
  }
  if (!secrets.ok()) {
    response.error = std::string(secrets.message());
    return response;
  }
  char error_text[CURL_ERROR_SIZE] = "";
  Lib().curl_easy_reset(impl_->easy);  // keeps connections and the DNS cache
  impl_->SetCommon(&exchange, error_text);
  impl_->SetRequest(request);

  curl_slist* headers = Lib().curl_slist_append(nullptr, "Expect:");  // no round trip before the body
  for (const auto& [name, value] : request.headers) {
    if (name.find_first_of("\r\n:") == std::string::npos && value.find_first_of("\r\n") == std::string::npos) {
      headers = Lib().curl_slist_append(headers, (name + (value.empty() ? ";" : ": " + value)).c_str());
    }
  }
  curl_slist* connect_to = nullptr;
  bool url_ok = true;
  if (impl_->options.server_name.empty()) {
    impl_->Set(CURLOPT_URL, request.url.c_str());
  } else {
    url_ok = impl_->OverrideServerName(request.url, &headers, &connect_to);
  }
  impl_->Set(CURLOPT_HTTPHEADER, headers);

  const CURLcode code = url_ok ? impl_->Run() : CURLE_URL_MALFORMAT;
  if (code == CURLE_OK) {
    long status = 0;
    Lib().curl_easy_getinfo(impl_->easy, CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
  } else {
    response.error = impl_->ErrorText(code, error_text, exchange);
  }
  Lib().curl_slist_free_all(headers);
  Lib().curl_slist_free_all(connect_to);
  return response;
}

void HttpClient::Cancel() {
  impl_->cancelled.store(true, std::memory_order_release);
  if (impl_->multi != nullptr) {
    Lib().curl_multi_wakeup(impl_->multi);
  }
}

Status HttpClientStatus() {
  if (Lib().usable) {
    return {};
  }
  const Status& opened = Lib().opened.status();
  return NotFoundError("no HTTP client, install libcurl: " +
                       std::string(opened.ok() ? "it cannot be initialized" : opened.message()));
}

std::string HttpClientVersion() {
  return Lib().usable ? Lib().curl_version() : std::string(HttpClientStatus().message());
}

}  // namespace weir
