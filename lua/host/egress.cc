#include "lua/host/egress.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "core/model/labels.h"

namespace weir::lua {
namespace {

constexpr std::string_view kMetadataNames[] = {"metadata", "metadata.google.internal", "instance-data",
                                               "instance-data.ec2.internal"};

struct Target {
  std::string host;  // lower case; an address in its plain form, without brackets
  int port = 0;
};

// RETURNS: the address in dotted form for every notation inet_aton takes (decimal, octal, hexadecimal, short).
std::optional<std::string> PlainIpv4(const std::string& host) {
  in_addr address{};
  if (inet_aton(host.c_str(), &address) == 0) {
    return std::nullopt;
  }
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address, text, sizeof text);
  return std::string(text);
}

std::optional<std::string> PlainIpv6(const std::string& host) {
  in6_addr address{};
  if (inet_pton(AF_INET6, host.c_str(), &address) != 1) {
    return std::nullopt;
  }
  static constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr std::array<unsigned char, 12> kCompatible = {};
  const bool carries_v4 = memcmp(address.s6_addr, kMapped.data(), 12) == 0 ||
                          (memcmp(address.s6_addr, kCompatible.data(), 12) == 0 && address.s6_addr[12] != 0);
  char text[INET6_ADDRSTRLEN];
  if (carries_v4) {
    inet_ntop(AF_INET, address.s6_addr + 12, text, sizeof text);
  } else {
    inet_ntop(AF_INET6, &address, text, sizeof text);
  }
  return std::string(text);
}

// Splits `host[:port]`; an IPv6 address stands in brackets. RETURNS: nothing when malformed.
std::optional<Target> ParseAuthority(std::string_view text) {
  Target target;
  std::string_view port;
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return std::nullopt;
    }
    const auto plain = PlainIpv6(std::string(text.substr(1, close - 1)));
    if (!plain) {
      return std::nullopt;
    }
    target.host = *plain;
    port = text.substr(close + 1);
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    target.host = text.substr(0, colon);
    port = text.substr(colon);
    std::transform(target.host.begin(), target.host.end(), target.host.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    while (!target.host.empty() && target.host.back() == '.') {
      target.host.pop_back();
    }
    if (target.host.empty() ||
        target.host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-_") != std::string::npos) {
      return std::nullopt;
    }
    if (const auto plain = PlainIpv4(target.host)) {
      target.host = *plain;
    }
  }
  if (!port.empty()) {
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), target.port);
    if (port[0] != ':' || error != std::errc() || end != port.data() + port.size() || target.port < 1 ||
        target.port > 65535) {
      return std::nullopt;
    }
  }
  return target;
}

bool ServesCredentials(const std::string& host) {
  const std::string_view text = host;
  const bool by_name =
      std::find(std::begin(kMetadataNames), std::end(kMetadataNames), text) != std::end(kMetadataNames);
  const bool link_local_v6 = text.find(':') != std::string_view::npos && text.size() > 3 && text.substr(0, 2) == "fe" &&
                             (text[2] == '8' || text[2] == '9' || text[2] == 'a' || text[2] == 'b');
  return by_name || link_local_v6 || text.substr(0, 8) == "169.254." || text == "100.100.100.200" ||
         text == "168.63.129.16" || text == "fd00:ec2::254";
}

}  // namespace

Result<EgressPolicy> EgressPolicy::Create(const std::vector<std::string>& allowed) {
  EgressPolicy policy;
  for (const std::string& text : allowed) {
    const auto target = ParseAuthority(text);
    if (!target) {
      return InvalidError("egress: want \"host\" or \"host:port\", got " + GoQuote(text));
    }
    policy.allowed_.push_back({target->host, target->port});
  }
  return policy;
}

Status EgressPolicy::Check(std::string_view url) const {
  const bool secure = url.substr(0, 8) == "https://";
  if (!secure && url.substr(0, 7) != "http://") {
    return InvalidError("url must start with http:// or https://, got " + GoQuote(url.substr(0, 64)));
  }
  for (const char c : url) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '\\') {
      return InvalidError("url holds a space, a control character or a backslash");
    }
  }
  std::string_view authority = url.substr(secure ? 8 : 7);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (authority.find('@') != std::string_view::npos) {
    return InvalidError("url must not carry a user or password");
  }
  auto target = ParseAuthority(authority);
  if (!target) {
    return InvalidError("url names no valid host: " + GoQuote(authority));
  }
  const int port = target->port != 0 ? target->port : secure ? 443 : 80;
  for (const Entry& entry : allowed_) {
    if (entry.host == target->host && (entry.port == 0 || entry.port == port)) {
      return Status();
    }
  }
  if (ServesCredentials(target->host)) {
    return InvalidError("requests to " + target->host +
                        " are refused: link-local and metadata addresses must be named in egress");
  }
  if (!allowed_.empty()) {
    return InvalidError("requests to " + target->host + ":" + std::to_string(port) + " are refused: not in egress");
  }
  return Status();
}

}  // namespace weir::lua
