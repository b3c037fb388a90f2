// The parts of http_server.h and http_client.h that need no sockets: requests as values, URLs.

#include "core/base/http_client.h"
#include "core/base/http_server.h"

namespace weir {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

void AppendParameters(std::string_view encoded, std::vector<std::pair<std::string, std::string>>* out) {
  while (!encoded.empty()) {
    const size_t end = encoded.find('&');
    const std::string_view item = encoded.substr(0, end);
    if (!item.empty()) {
      const size_t equals = item.find('=');
      const std::string_view value = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
      out->emplace_back(UrlDecode(item.substr(0, equals), true), UrlDecode(value, true));
    }
    encoded = end == std::string_view::npos ? std::string_view() : encoded.substr(end + 1);
  }
}

}  // namespace

std::string_view HttpRequest::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) {
      return value;
    }
  }
  return {};
}

std::vector<std::pair<std::string, std::string>> HttpRequest::Parameters() const {
  std::vector<std::pair<std::string, std::string>> out;
  AppendParameters(query, &out);
  static constexpr std::string_view kForm = "application/x-www-form-urlencoded";
  if (method == "POST" && Header("content-type").substr(0, kForm.size()) == kForm) {
    AppendParameters(body, &out);
  }
  return out;
}

// A percent sign that does not start an escape stays as it is.
std::string UrlDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
      i += 2;
    } else if (c == '+' && plus_is_space) {
      out.push_back(' ');
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string UrlQueryEscape(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      out.push_back(c);
    } else if (c == ' ') {
      out.push_back('+');
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

std::string RedactedUrl(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = url.find("://");
  const size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
  const size_t path = url.find('/', host);
  const size_t at = url.substr(0, path).rfind('@');
  if (at == std::string_view::npos || at < host) {
    return std::string(url);
  }
  return std::string(url.substr(0, host)) + std::string(url.substr(at + 1));
}

}  // namespace weir
