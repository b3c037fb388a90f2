#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "core/base/http_client.h"
#include "core/base/http_server.h"

namespace weir {
namespace {

HttpServerOptions Loopback() {
  HttpServerOptions options;
  options.listen = "127.0.0.1:0";
  options.threads = 2;
  return options;
}

std::string Url(const HttpServer& server, const std::string& target) {
  return "http://127.0.0.1:" + std::to_string(server.port()) + target;
}

HttpClientRequest Get(const HttpServer& server, const std::string& target) {
  HttpClientRequest request;
  request.method = "GET";
  request.url = Url(server, target);
  return request;
}

HttpResponse Text(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

// A plain socket, for what a good client would not send.
class RawConnection {
 public:
  explicit RawConnection(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;
  ~RawConnection() { ::close(fd_); }
  bool Send(const std::string& bytes) {
    return connected_ && ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // RETURNS: what comes until the server closes.
  std::string ReadAll() {
    std::string answer;
    char chunk[4096];
    ssize_t n = 0;
    while ((n = ::recv(fd_, chunk, sizeof(chunk), 0)) > 0) {
      answer.append(chunk, static_cast<size_t>(n));
    }
    return answer;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

std::string RawExchange(int port, const std::string& bytes) {
  RawConnection connection(port);
  return connection.Send(bytes) ? connection.ReadAll() : "";
}

TEST(HttpServer, GivesTheRequestToItsHandler) {
  HttpServer server(Loopback());
  HttpRequest seen;
  server.Handle("/api/v1/write", [&seen](HttpRequest request, HttpResponder respond) {
    seen = request;
    HttpResponse response = Text(201, "made");
    response.headers = {{"X-Weir", "yes"}, {"Retry-After", "7"}};
    respond(response);
  });
  ASSERT_TRUE(server.Start().ok());
  HttpClientOptions options;
  options.basic_user = "u";
  options.basic_password = "p";
  HttpClient client(options);
  HttpClientRequest request;
  request.url = Url(server, "/api/v1/wr%69te?a=b%20c&d=e+f&a=2");
  request.body = std::string("x\0y", 3);
  request.headers = {{"X-Thing", "1"}, {"Content-Type", "application/x-protobuf"}};
  const HttpClientResponse response = client.Do(request);
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.body, "made");
  EXPECT_EQ(response.retry_after, "7");
  EXPECT_EQ(response.Header("retry-after"), "7");
  EXPECT_EQ(response.Header("x-absent"), "");
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/api/v1/write");
  EXPECT_EQ(seen.query, "a=b%20c&d=e+f&a=2");
  EXPECT_EQ(seen.body, request.body);
  EXPECT_EQ(seen.Header("x-thing"), "1");
  EXPECT_EQ(seen.Header("content-type"), "application/x-protobuf");
  EXPECT_EQ(seen.Header("authorization"), "Basic dTpw");
  EXPECT_EQ(seen.Header("absent"), "");
  EXPECT_EQ(seen.peer.substr(0, 10), "127.0.0.1:");
  const std::vector<std::pair<std::string, std::string>> want = {{"a", "b c"}, {"d", "e f"}, {"a", "2"}};
  EXPECT_EQ(seen.Parameters(), want);
}

TEST(HttpServer, RoutesExactPathsBeforeLongerBeforeShorterPrefixes) {
  HttpServer server(Loopback());
  for (const std::string path : {"/a", "/a/*", "/a/b/*"}) {
    server.Handle(path, [path](HttpRequest, HttpResponder respond) { respond(Text(200, path)); });
  }
  ASSERT_TRUE(server.Start().ok());
  HttpClient client;
  EXPECT_EQ(client.Do(Get(server, "/a")).body, "/a");
  EXPECT_EQ(client.Do(Get(server, "/a/x")).body, "/a/*");
  EXPECT_EQ(client.Do(Get(server, "/a/b/c")).body, "/a/b/*");
  EXPECT_EQ(client.Do(Get(server, "/b")).status, 404);
}

TEST(HttpServer, KeepsConnectionsAliveAndAnswersFromOtherThreads) {
  HttpServer server(Loopback());
  std::vector<std::string> peers;
  std::vector<std::thread> answering;
  server.Handle("/later", [&](HttpRequest request, HttpResponder respond) {
    peers.push_back(request.peer);
    answering.emplace_back([respond] {
      HttpResponse response;
      response.status = 204;
      respond(response);
      respond(Text(200, "the second answer must not be sent"));
    });
  });
  ASSERT_TRUE(server.Start().ok());
  HttpClient client;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.Do(Get(server, "/later")).status, 204);
  }
  for (std::thread& thread : answering) {
    thread.join();
  }
  ASSERT_EQ(peers.size(), 3u);
  EXPECT_EQ(peers[0], peers[2]);
}

TEST(HttpServer, HeadHasNoBody) {
  HttpServer server(Loopback());
  server.Handle("/x", [](HttpRequest, HttpResponder respond) { respond(Text(200, "12345")); });
  ASSERT_TRUE(server.Start().ok());
  const std::string answer = RawExchange(server.port(), "HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(answer.find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_EQ(answer.substr(answer.size() - 4), "\r\n\r\n");
}

TEST(HttpServer, BodyBeyondTheLimitIs413AndTheServerGoesOn) {
  HttpServerOptions options = Loopback();
  options.body_bytes_max = 1000;
  HttpServer server(options);
  int handled = 0;
  server.Handle("/x", [&handled](HttpRequest request, HttpResponder respond) {
    ++handled;
    respond(Text(200, std::to_string(request.body.size())));
  });
  ASSERT_TRUE(server.Start().ok());
  HttpClient client;
  HttpClientRequest request;
  request.url = Url(server, "/x");
  request.body.assign(5 << 20, 'x');
  EXPECT_EQ(client.Do(request).status, 413);
  request.body.assign(1000, 'x');
  EXPECT_EQ(client.Do(request).body, "1000");
  EXPECT_EQ(handled, 1);
  const std::string chunked =
      RawExchange(server.port(), "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" +
                                     std::string(1024, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.substr(0, 12), "HTTP/1.1 413");
}

TEST(HttpServer, BodiesOfAnyLengthArriveWhole) {
  HttpServer server(Loopback());
  server.Handle("/x", [](HttpRequest request, HttpResponder respond) { respond(Text(200, request.body)); });
  ASSERT_TRUE(server.Start().ok());
  HttpClient client;
  HttpClientRequest request;
  request.url = Url(server, "/x");
  for (const size_t length : {0, 1, 4000, 4096, 65535, 65536, 65537, 200000, 900000}) {
    request.body.clear();
    for (size_t i = 0; request.body.size() < length; ++i) {
      request.body += std::to_string(i) + ",";
    }
    request.body.resize(length);
    EXPECT_EQ(client.Do(request).body, request.body) << length;
  }
}

TEST(HttpServer, BodiesThatAreBeingReadHaveALimit) {
  HttpServerOptions options = Loopback();
  options.bodies_bytes_max = 100000;
  HttpServer server(options);
  server.Handle("/x", [](HttpRequest request, HttpResponder respond) {
    respond(Text(200, std::to_string(request.body.size())));
  });
  ASSERT_TRUE(server.Start().ok());
  const std::string post = "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  EXPECT_NE(
      RawExchange(server.port(), post + "Content-Length: 300000\r\n\r\n" + std::string(300000, 'x')).find("300000"),
      std::string::npos);  // alone

  RawConnection slow(server.port());
  ASSERT_TRUE(slow.Send(post + "Content-Length: 80000\r\n\r\n" + std::string(70000, 'x')));
  while (server.body_bytes() < 80000) {
    std::this_thread::yield();
  }
  const std::string refused =
      RawExchange(server.port(), post + "Content-Length: 80000\r\n\r\n" + std::string(80000, 'x'));
  EXPECT_EQ(refused.substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(refused.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_NE(refused.find("request bodies take more than 100000 bytes"), std::string::npos);
  const std::string chunked = RawExchange(server.port(), post + "Transfer-Encoding: chunked\r\n\r\n" + "9c40\r\n" +
                                                             std::string(40000, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.substr(0, 12), "HTTP/1.1 503");
  EXPECT_EQ(server.refused_bodies(), 2u);
  EXPECT_EQ(server.body_bytes(), 80000u);
  ASSERT_TRUE(slow.Send(std::string(10000, 'x')));
  EXPECT_NE(slow.ReadAll().find("80000"), std::string::npos);
  EXPECT_EQ(server.body_bytes(), 0u);
}

TEST(HttpServer, RequestsMayFollowEachOtherWithoutWaiting) {
  HttpServer server(Loopback());
  server.Handle("/x", [](HttpRequest request, HttpResponder respond) { respond(Text(200, "<" + request.body + ">")); });
  ASSERT_TRUE(server.Start().ok());
  const std::string post = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: ";
  const std::string answer = RawExchange(
      server.port(), post + "3\r\n\r\none" + post + "0\r\n\r\n" +
                         "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no"
                         "\r\n0\r\n\r\n" +
                         post + "5\r\nConnection: close\r\n\r\nthree");
  size_t at = 0;
  for (const std::string_view body : {"<one>", "<>", "<two>", "<three>"}) {
    at = answer.find(body, at);
    ASSERT_NE(at, std::string::npos) << body << " in " << answer;
  }
}

TEST(HttpServer, SlowHeadersAreCutOff) {
  HttpServerOptions options = Loopback();
  options.header_timeout_ms = 20;
  HttpServer server(options);
  ASSERT_TRUE(server.Start().ok());
  EXPECT_EQ(RawExchange(server.port(), "GET / HTTP/1.1\r\nHost:"), "");  // would hang
}

TEST(HttpServer, ExpectContinueIsAnswered) {
  HttpServer server(Loopback());
  server.Handle("/x", [](HttpRequest request, HttpResponder respond) { respond(Text(200, request.body)); });
  ASSERT_TRUE(server.Start().ok());
  const std::string answer = RawExchange(
      server.port(),
      "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(answer.substr(0, 21), "HTTP/1.1 100 Continue");
  EXPECT_EQ(answer.substr(answer.size() - 2), "hi");
}

TEST(HttpServer, MalformedRequestsAreRefused) {
  HttpServer server(Loopback());
  ASSERT_TRUE(server.Start().ok());
  EXPECT_EQ(RawExchange(server.port(), "nonsense\r\n\r\n").substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(RawExchange(server.port(), "GET / HTTP/1.1\r\nA: " + std::string(40000, 'x') + "\r\n\r\n").substr(0, 12),
            "HTTP/1.1 431");
}

TEST(HttpServer, HandlersThatForgetOrThrowAnswer500) {
  HttpServer server(Loopback());
  server.Handle("/forgets", [](HttpRequest, HttpResponder) {});
  server.Handle("/throws", [](HttpRequest, HttpResponder) { throw std::runtime_error("secret detail"); });
  ASSERT_TRUE(server.Start().ok());
  HttpClient client;
  EXPECT_EQ(client.Do(Get(server, "/forgets")).status, 500);
  const HttpClientResponse thrown = client.Do(Get(server, "/throws"));
  EXPECT_EQ(thrown.status, 500);
  EXPECT_EQ(thrown.body.find("secret"), std::string::npos);
}

TEST(HttpServer, ResponseHeadersCannotBeSplit) {
  HttpServer server(Loopback());
  server.Handle("/x", [](HttpRequest, HttpResponder respond) {
    HttpResponse response = Text(200, "");
    response.headers = {{"X-A", "1\r\nX-Evil: 2"}, {"X-B", "3"}};
    respond(response);
  });
  ASSERT_TRUE(server.Start().ok());
  const std::string answer = RawExchange(server.port(), "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.find("Evil"), std::string::npos);
  EXPECT_NE(answer.find("X-B: 3"), std::string::npos);
}

TEST(HttpServer, AddressInUseIsSaid) {
  HttpServer first(Loopback());
  ASSERT_TRUE(first.Start().ok());
  HttpServerOptions options;
  options.listen = "127.0.0.1:" + std::to_string(first.port());
  HttpServer second(options);
  const Status status = second.Start();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_EQ(status.message(), "listen " + options.listen + ": address already in use");
  options.listen = "9797";
  EXPECT_EQ(HttpServer(options).Start().code(), Code::kInvalid);
}

TEST(HttpServer, ConnectionsBeyondTheLimitAreRefused) {
  HttpServerOptions options = Loopback();
  options.connections_max = 1;
  HttpServer server(options);
  server.Handle("/x", [](HttpRequest, HttpResponder respond) { respond(Text(200, "ok")); });
  ASSERT_TRUE(server.Start().ok());
  HttpClient first, second;
  EXPECT_EQ(first.Do(Get(server, "/x")).status, 200);  // and stays connected
  EXPECT_EQ(second.Do(Get(server, "/x")).status, 503);
  EXPECT_EQ(first.Do(Get(server, "/x")).status, 200);
  EXPECT_EQ(server.refused_connections(), 1u);
}

TEST(HttpServer, StopWaitsForAPendingAnswer) {
  HttpServer server(Loopback());
  std::promise<HttpResponder> pending;
  server.Handle("/x", [&pending](HttpRequest, HttpResponder respond) { pending.set_value(respond); });
  ASSERT_TRUE(server.Start().ok());
  HttpClientResponse response;
  std::thread asking([&] { response = HttpClient().Do(Get(server, "/x")); });
  HttpResponder respond = pending.get_future().get();
  std::thread stopping([&server] { server.Stop(); });
  respond(Text(200, "in time"));
  respond = nullptr;
  stopping.join();
  asking.join();
  EXPECT_EQ(response.body, "in time");
}

TEST(HttpServer, RespondersMayOutliveTheServer) {
  HttpResponder kept;
  std::promise<void> asked;
  std::thread asking;
  {
    HttpServerOptions options = Loopback();
    options.stop_timeout_ms = 0;
    HttpServer server(options);
    server.Handle("/x", [&](HttpRequest, HttpResponder respond) {
      kept = std::move(respond);
      asked.set_value();
    });
    ASSERT_TRUE(server.Start().ok());
    HttpClientRequest request = Get(server, "/x");
    asking = std::thread([request] { HttpClient().Do(request); });
    asked.get_future().get();
  }
  kept(Text(200, "too late"));
  asking.join();
}

TEST(HttpClient, SaysWhyNothingCameBack) {
  int port = 0;
  {
    HttpServer server(Loopback());
    ASSERT_TRUE(server.Start().ok());
    port = server.port();
  }
  HttpClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(port) + "/";
  const HttpClientResponse response = HttpClient().Do(request);
  EXPECT_EQ(response.status, 0);
  EXPECT_EQ(response.error, "connection refused");
}

TEST(HttpClient, ResponsesAreBounded) {
  HttpServer server(Loopback());
  server.Handle("/x", [](HttpRequest, HttpResponder respond) { respond(Text(200, std::string(1001, 'x'))); });
  ASSERT_TRUE(server.Start().ok());
  HttpClientRequest request = Get(server, "/x");
  request.response_bytes_max = 1000;
  HttpClient client;
  const HttpClientResponse response = client.Do(request);
  EXPECT_EQ(response.status, 0);
  EXPECT_EQ(response.error, "response is larger than 1000 bytes");
}

TEST(HttpClient, CancelEndsARunningRequest) {
  HttpServer server(Loopback());
  std::promise<HttpResponder> pending;
  server.Handle("/x", [&pending](HttpRequest, HttpResponder respond) { pending.set_value(respond); });
  ASSERT_TRUE(server.Start().ok());
  HttpClient client;
  HttpClientResponse response;
  std::thread asking([&] {
    HttpClientRequest request = Get(server, "/x");
    request.timeout_ms = 3600000;
    response = client.Do(request);
  });
  HttpResponder respond = pending.get_future().get();
  client.Cancel();
  asking.join();
  EXPECT_EQ(response.error, "cancelled");
  EXPECT_EQ(client.Do(Get(server, "/x")).error, "cancelled");
}

TEST(Url, EscapesAndDecodes) {
  EXPECT_EQ(UrlQueryEscape("a b+c/d?e=f&g~h"), "a+b%2Bc%2Fd%3Fe%3Df%26g~h");
  EXPECT_EQ(UrlDecode("a+b%2Bc", true), "a b+c");
  EXPECT_EQ(UrlDecode("a+b%2bc", false), "a+b+c");
  EXPECT_EQ(UrlDecode("100%", true), "100%");
  EXPECT_EQ(UrlDecode("%zz%4", true), "%zz%4");
}

TEST(Url, RedactsSecrets) {
  EXPECT_EQ(RedactedUrl("https://user:p@ss@host:9/a/b?token=x#y"), "https://host:9/a/b");
  EXPECT_EQ(RedactedUrl("http://host/a@b"), "http://host/a@b");
  EXPECT_EQ(RedactedUrl("http://host"), "http://host");
  EXPECT_EQ(RedactedUrl("u:p@host/x"), "host/x");
}

}  // namespace
}  // namespace weir
