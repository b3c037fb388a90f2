#include "core/base/http_server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>

#include "core/base/clock.h"
#include "core/base/log.h"

namespace weir {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = net::ip::tcp;
using boost::system::error_code;
using Time = std::chrono::steady_clock::time_point;

constexpr uint32_t kHeaderBytesMax = 32 << 10;
constexpr auto kIdleTimeout = std::chrono::seconds(120);
constexpr auto kBodyTimeout = std::chrono::seconds(60);
constexpr auto kWriteTimeout = std::chrono::seconds(60);
constexpr auto kLingerTimeout = std::chrono::seconds(2);
constexpr uint64_t kLingerBytesMax = 64ULL << 20;
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);
constexpr auto kSweepEvery = std::chrono::seconds(1);  // how late a timeout may be noticed
constexpr size_t kBodyStep = 64 << 10;                 // room made for a body whose bytes have not come yet

std::string ErrorText(const error_code& error) {
  std::string text = error.message();
  if (!text.empty()) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

struct Address {
  std::string host;
  std::string port;
};

std::optional<Address> SplitAddress(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon + 1 == listen.size()) {
    return std::nullopt;
  }
  std::string host = listen.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  return Address{host.empty() ? "0.0.0.0" : host, listen.substr(colon + 1)};
}

struct Routes {
  std::map<std::string, HttpHandler, std::less<>> exact;
  std::map<std::string, HttpHandler, std::less<>> below;  // "/a/b/": everything that starts with it

  const HttpHandler* Find(std::string_view path) const {
    if (const auto it = exact.find(path); it != exact.end()) {
      return &it->second;
    }
    const HttpHandler* best = nullptr;
    size_t best_length = 0;
    for (const auto& [prefix, handler] : below) {
      if (prefix.size() > best_length && path.substr(0, prefix.size()) == prefix) {
        best = &handler;
        best_length = prefix.size();
      }
    }
    return best;
  }
};

class Session;

// Responders may outlive the server: closed when it ends, and held while an answer is handed over.
struct Gate {
  std::mutex mutex;
  bool open = true;
};

// What sessions share with their server.
struct Shared {
  HttpServerOptions options;
  Routes routes;
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable empty;
  std::unordered_set<std::shared_ptr<Session>> sessions;  // under mutex: owned here until they close
  std::atomic<uint64_t> refused{0};
  std::atomic<uint64_t> body_bytes{0};  // of bodies that are being read
  std::atomic<uint64_t> refused_bodies{0};
  const std::shared_ptr<Gate> gate = std::make_shared<Gate>();
};

HttpResponse PlainResponse(int status, std::string text) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(text);
  return response;
}

// One connection. Every member is used on the connection's strand only, except where noted.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Shared* shared) : socket_(std::move(socket)), shared_(shared) {
    error_code ignored;
    const tcp::endpoint peer = socket_.remote_endpoint(ignored);
    peer_ = (peer.address().is_v6() ? "[" + peer.address().to_string() + "]" : peer.address().to_string()) + ":" +
            std::to_string(peer.port());
    socket_.set_option(tcp::no_delay(true), ignored);
  }

  void Run() {
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->sessions.insert(shared_from_this());
    }
    net::dispatch(socket_.get_executor(), [self = shared_from_this()] { self->WaitForRequest(); });
  }

  // From any thread: an idle connection closes now, a busy one after its answer.
  void Stop() {
    net::post(socket_.get_executor(), [self = shared_from_this()] {
      if (self->idle_) {
        self->Cancel();
      }
    });
  }

  // From any thread: ends what the connection waits for if it has waited too long.
  void CheckDeadline(Time now) {
    if (now < deadline_.load(std::memory_order_relaxed)) {
      return;
    }
    net::post(socket_.get_executor(), [self = shared_from_this(), now] {
      if (now >= self->deadline_.load(std::memory_order_relaxed)) {
        self->Cancel();
      }
    });
  }

  // From any thread, once per request.
  void Answer(HttpResponse response) {
    net::post(socket_.get_executor(), [self = shared_from_this(), response = std::move(response)]() mutable {
      self->Write(std::move(response));
    });
  }

 private:
  // The server looks at deadlines now and then: a timer of its own would cost every request several system calls.
  void ExpiresAfter(std::chrono::milliseconds timeout) {
    deadline_.store(std::chrono::steady_clock::now() + timeout, std::memory_order_relaxed);
  }

  void ExpiresNever() { deadline_.store(Time::max(), std::memory_order_relaxed); }

  void Cancel() {
    error_code ignored;
    socket_.cancel(ignored);
  }

  void WaitForRequest() {
    if (shared_->stopping.load()) {
      return Close();
    }
    if (buffer_.size() > 0) {
      return ReadHeader();
    }
    idle_ = true;
    ExpiresAfter(kIdleTimeout);
    socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code error, size_t bytes) {
      self->idle_ = false;
      if (error) {
        return self->Close();
      }
      self->buffer_.commit(bytes);
      self->ReadHeader();
    });
  }

  void ReadHeader() {
    parser_.emplace();
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(shared_->options.body_bytes_max);
    keep_alive_ = false;
    head_ = false;
    ExpiresAfter(std::chrono::milliseconds(shared_->options.header_timeout_ms));
    http::async_read_header(socket_, buffer_, *parser_, [self = shared_from_this()](error_code error, size_t) {
      if (error) {
        return self->RefuseRead(error);
      }
      self->ReadBody();
    });
  }

  void ReadBody() {
    head_ = parser_->get().method() == http::verb::head;
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue") && !parser_->is_done()) {
      auto proceed = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
      ExpiresAfter(kWriteTimeout);
      return http::async_write(socket_, *proceed, [self = shared_from_this(), proceed](error_code error, size_t) {
        if (error) {
          return self->Close();
        }
        self->ReadBodyNow();
      });
    }
    ReadBodyNow();
  }

  void ReadBodyNow() {
    ExpiresAfter(kBodyTimeout);
    body_.clear();
    const auto length = parser_->content_length();
    if (!length.has_value()) {  // none, or chunked
      return ReadPieces();
    }
    // Read where it is to lie. What is there of it came with the header.
    const size_t here = static_cast<size_t>(std::min<uint64_t>(*length, buffer_.size()));
    body_.assign(static_cast<const char*>(buffer_.data().data()), here);
    buffer_.consume(here);
    ReadRest(here, static_cast<size_t>(*length));
  }

  // Room is made as bytes come, not as they are promised.
  void ReadRest(size_t have, size_t length) {
    if (have == length) {
      return Dispatch();
    }
    const size_t room = std::min(length, std::max(2 * have, kBodyStep));
    if (!Hold(room)) {
      return RefuseBody();
    }
    body_.resize(room);
    socket_.async_read_some(net::buffer(body_.data() + have, body_.size() - have),
                            [self = shared_from_this(), have, length](error_code error, size_t bytes) {
                              if (error) {
                                return self->RefuseRead(error);
                              }
                              self->ReadRest(have + bytes, length);
                            });
  }

  void ReadPieces() {
    std::string& so_far = parser_->get().body();
    if (!Hold(so_far.size())) {
      return RefuseBody();
    }
    if (parser_->is_done()) {
      body_ = std::move(so_far);
      return Dispatch();
    }
    http::async_read_some(socket_, buffer_, *parser_, [self = shared_from_this()](error_code error, size_t) {
      if (error) {
        return self->RefuseRead(error);
      }
      self->ReadPieces();
    });
  }

  // Charges the body that is being read, instead of what was charged for it before. RETURNS: false, with nothing changed, when bodies of
  // all connections would take too much; one alone always may.
  bool Hold(size_t bytes) {
    const uint64_t others = shared_->body_bytes.fetch_add(bytes) - held_;
    if (bytes > held_ && others > 0 && others + bytes > shared_->options.bodies_bytes_max) {
      shared_->body_bytes.fetch_sub(bytes);
      return false;
    }
    shared_->body_bytes.fetch_sub(std::exchange(held_, bytes));
    return true;
  }

  void RefuseBody() {
    shared_->refused_bodies.fetch_add(1);
    linger_ = true;
    HttpResponse answer = PlainResponse(
        503, "request bodies take more than " + std::to_string(shared_->options.bodies_bytes_max) + " bytes\n");
    answer.headers.emplace_back("Retry-After", "1");
    Write(std::move(answer));
  }

  // A request that cannot be read gets its status where there still is somebody to read it; the connection ends.
  void RefuseRead(const error_code& error) {
    linger_ = true;
    if (error == http::error::body_limit) {
      return Write(PlainResponse(
          413, "request body is larger than " + std::to_string(shared_->options.body_bytes_max) + " bytes\n"));
    }
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return Write(PlainResponse(431, "request header is larger than " + std::to_string(kHeaderBytesMax) + " bytes\n"));
    }
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error.category() != http::make_error_code(http::error::bad_method).category()) {
      return Close();
    }
    Write(PlainResponse(400, "malformed HTTP request: " + ErrorText(error) + "\n"));
  }

  void Dispatch();

  void DropBody() {
    body_ = std::string();
    Hold(0);
  }

  static bool IsPlainHeader(const std::string& name, const std::string& value) {
    return !name.empty() && name.find_first_of("\r\n: ") == std::string::npos &&
           value.find_first_of("\r\n") == std::string::npos;
  }

  void Write(HttpResponse answer) {
    DropBody();
    auto response = std::make_shared<http::response<http::string_body>>();
    response->version(11);
    response->result(static_cast<unsigned>(answer.status));
    response->keep_alive(keep_alive_ && !shared_->stopping.load());
    for (const auto& [name, value] : answer.headers) {
      if (IsPlainHeader(name, value)) {
        response->set(name, value);
      }
    }
    const bool bodiless = answer.status == 204 || answer.status == 304 || answer.status < 200;
    if (!bodiless) {
      if (IsPlainHeader("content-type", answer.content_type) && !answer.content_type.empty()) {
        response->set(http::field::content_type, answer.content_type);
      }
      response->content_length(answer.body.size());
      if (!head_) {
        response->body() = std::move(answer.body);
      }
    }
    ExpiresAfter(kWriteTimeout);
    http::async_write(socket_, *response, [self = shared_from_this(), response](error_code error, size_t) {
      if (error) {
        return self->Close();
      }
      if (response->keep_alive()) {
        return self->WaitForRequest();
      }
      self->Linger();
    });
  }

  // Closing with unread bytes in the kernel resets the connection, and the peer may lose the answer: read them away.
  void Linger() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    if (!linger_) {
      return Close();
    }
    ExpiresAfter(kLingerTimeout);
    buffer_.clear();
    Discard();
  }

  void Discard() {
    socket_.async_read_some(buffer_.prepare(65536), [self = shared_from_this()](error_code error, size_t bytes) {
      self->discarded_ += bytes;
      if (error || self->discarded_ > kLingerBytesMax) {
        return self->Close();
      }
      self->Discard();
    });
  }

  void Close() {
    error_code ignored;
    socket_.close(ignored);
    DropBody();
    const std::lock_guard lock(shared_->mutex);
    shared_->sessions.erase(shared_from_this());
    if (shared_->sessions.empty()) {
      shared_->empty.notify_all();
    }
  }

  tcp::socket socket_;
  Shared* const shared_;  // outlives every session
  std::string peer_;
  beast::flat_buffer buffer_{1 << 20};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::string body_;
  size_t held_ = 0;  // of shared_->body_bytes
  std::atomic<Time> deadline_{Time::max()};
  bool idle_ = false;
  bool keep_alive_ = false;
  bool head_ = false;
  bool linger_ = false;
  uint64_t discarded_ = 0;
};

// Answers once. A handler that lets go of its responder without answering gets a 500, so that no connection hangs.
class PendingAnswer {
 public:
  PendingAnswer(std::shared_ptr<Gate> gate, std::weak_ptr<Session> session)
      : gate_(std::move(gate)), session_(std::move(session)) {}
  ~PendingAnswer() { Answer(PlainResponse(500, "the request was dropped\n")); }
  void Answer(HttpResponse response) {
    if (answered_.exchange(true)) {
      return;
    }
    const std::lock_guard lock(gate_->mutex);
    if (!gate_->open) {
      return;
    }
    if (const std::shared_ptr<Session> session = session_.lock()) {
      session->Answer(std::move(response));
    }
  }

 private:
  const std::shared_ptr<Gate> gate_;
  const std::weak_ptr<Session> session_;
  std::atomic<bool> answered_{false};
};

void Session::Dispatch() {
  ExpiresNever();
  const http::request<http::string_body> message = parser_->release();
  keep_alive_ = message.keep_alive();
  HttpRequest request;
  request.method = std::string(message.method_string());
  const std::string_view target(message.target().data(), message.target().size());
  const size_t question = target.find('?');
  request.path = UrlDecode(target.substr(0, question), false);
  if (question != std::string_view::npos) {
    request.query = std::string(target.substr(question + 1));
  }
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  request.body = std::move(body_);
  DropBody();  // whoever gets it charges it anew
  request.peer = peer_;
  request.arrived_ns = SystemClock().MonotonicNs();

  const HttpHandler* handler = shared_->routes.Find(request.path);
  auto pending = std::make_shared<PendingAnswer>(shared_->gate, weak_from_this());
  if (handler == nullptr) {
    return pending->Answer(PlainResponse(404, "404 page not found\n"));
  }
  try {
    (*handler)(std::move(request), [pending](HttpResponse response) { pending->Answer(std::move(response)); });
  } catch (const std::exception& error) {
    LogError("HTTP handler failed", {{"error", error.what()}});
    pending->Answer(PlainResponse(500, "internal error\n"));
  }
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(HttpServerOptions options) { shared.options = std::move(options); }

  Status Bind() {
    const std::string& listen = shared.options.listen;
    const auto fail = [&](const std::string& why) { return UnavailableError("listen " + listen + ": " + why); };
    const std::optional<Address> address = SplitAddress(listen);
    if (!address) {
      return InvalidError("listen " + listen + ": want host:port");
    }
    error_code error;
    tcp::resolver resolver(context);
    const auto found = resolver.resolve(address->host, address->port, tcp::resolver::passive, error);
    if (error || found.empty()) {
      return fail(error ? ErrorText(error) : "no address");
    }
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor.emplace(accept_strand);
    acceptor->open(endpoint.protocol(), error);
    if (!error) {
      acceptor->set_option(net::socket_base::reuse_address(true), error);
    }
    if (!error) {
      acceptor->bind(endpoint, error);
    }
    if (!error) {
      acceptor->listen(net::socket_base::max_listen_connections, error);
    }
    if (error) {
      acceptor.reset();
      return fail(ErrorText(error));
    }
    port = acceptor->local_endpoint(error).port();
    return Status();
  }

  // A connection beyond the limit is told so without a session.
  void Refuse(tcp::socket socket) {
    shared.refused.fetch_add(1);
    error_code ignored;
    socket.non_blocking(true, ignored);
    static constexpr std::string_view kAnswer =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 21\r\n\r\ntoo many "
        "connections\n";
    socket.write_some(net::buffer(kAnswer.data(), kAnswer.size()), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
  }

  void Accept() {
    acceptor->async_accept(net::make_strand(context), [this](error_code error, tcp::socket socket) {
      if (shared.stopping.load()) {
        return;
      }
      if (error) {  // out of descriptors, or the peer went away: a short pause, then on
        retry.expires_after(kAcceptRetry);
        return retry.async_wait([this](error_code cancelled) {
          if (!cancelled && !shared.stopping.load()) {
            Accept();
          }
        });
      }
      size_t open = 0;
      {
        const std::lock_guard lock(shared.mutex);
        open = shared.sessions.size();
      }
      if (open >= static_cast<size_t>(shared.options.connections_max)) {
        Refuse(std::move(socket));
      } else {
        std::make_shared<Session>(std::move(socket), &shared)->Run();
      }
      Accept();
    });
  }

  void Sweep() {
    sweep.expires_after(std::min<std::chrono::milliseconds>(
        kSweepEvery, std::chrono::milliseconds(std::max<int64_t>(1, shared.options.header_timeout_ms / 4))));
    sweep.async_wait([this](error_code cancelled) {
      if (cancelled) {
        return;
      }
      const Time now = std::chrono::steady_clock::now();
      {
        const std::lock_guard lock(shared.mutex);
        for (const std::shared_ptr<Session>& session : shared.sessions) {
          session->CheckDeadline(now);
        }
      }
      Sweep();
    });
  }

  void Stop() {
    if (threads.empty()) {
      return;
    }
    shared.stopping.store(true);
    net::post(accept_strand, [this] {
      error_code ignored;
      acceptor->close(ignored);
      retry.cancel();
    });
    {
      std::unique_lock lock(shared.mutex);
      for (const std::shared_ptr<Session>& session : shared.sessions) {
        session->Stop();
      }
      const std::chrono::milliseconds patience(shared.options.stop_timeout_ms);
      shared.empty.wait_for(lock, patience, [this] { return shared.sessions.empty(); });
    }
    work.reset();
    context.stop();
    for (std::thread& thread : threads) {
      thread.join();
    }
    threads.clear();
    const std::lock_guard lock(shared.gate->mutex);
    shared.gate->open = false;
    shared.sessions.clear();
  }

  Shared shared;  // outlives the context, whose unfinished handlers own sessions
  net::io_context context;
  net::strand<net::io_context::executor_type> accept_strand = net::make_strand(context);
  std::optional<net::executor_work_guard<net::io_context::executor_type>> work;
  std::optional<tcp::acceptor> acceptor;
  net::steady_timer retry{accept_strand};
  net::steady_timer sweep{accept_strand};
  std::vector<std::thread> threads;
  int port = 0;
};

HttpServer::HttpServer(HttpServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() { Stop(); }

void HttpServer::Handle(std::string path, HttpHandler handler) {
  if (path.size() >= 2 && path.compare(path.size() - 2, 2, "/*") == 0) {
    path.pop_back();
    impl_->shared.routes.below[std::move(path)] = std::move(handler);
  } else {
    impl_->shared.routes.exact[std::move(path)] = std::move(handler);
  }
}

Status HttpServer::Start() {
  WEIR_RETURN_IF_ERROR(impl_->Bind());
  impl_->work.emplace(impl_->context.get_executor());
  net::post(impl_->accept_strand, [impl = impl_.get()] {
    impl->Accept();
    impl->Sweep();
  });
  for (int i = 0; i < std::max(1, impl_->shared.options.threads); ++i) {
    impl_->threads.emplace_back([this] { impl_->context.run(); });
  }
  return Status();
}

void HttpServer::Stop() { impl_->Stop(); }
int HttpServer::port() const { return impl_->port; }
uint64_t HttpServer::refused_connections() const { return impl_->shared.refused.load(); }
uint64_t HttpServer::refused_bodies() const { return impl_->shared.refused_bodies.load(); }
uint64_t HttpServer::body_bytes() const { return impl_->shared.body_bytes.load(); }

}  // namespace weir
