#pragma once
// The option rows that every plug-in with an HTTP client has, and what they mean to core/base/http_client.h.

#include <array>
#include <cstddef>
#include <span>

#include "core/base/http_client.h"
#include "core/plugin/options.h"

namespace weir::plugin {

inline constexpr OptionRow kHttpClientRows[] = {
    {.name = "basic_user", .type = OptionType::kString, .help = "User of HTTP basic authentication."},
    {.name = "basic_password", .type = OptionType::kSecret, .help = "Password of HTTP basic authentication."},
    {.name = "basic_password_file",
     .type = OptionType::kString,
     .help = "File that holds the password, read before every request."},
    {.name = "bearer_token", .type = OptionType::kSecret, .help = "Token of HTTP bearer authentication."},
    {.name = "bearer_token_file",
     .type = OptionType::kString,
     .help = "File that holds the token, read before every request."},
    {.name = "ca_file", .type = OptionType::kString, .help = "Certificates that servers are checked against."},
    {.name = "cert_file", .type = OptionType::kString, .help = "Our certificate, for servers that want one."},
    {.name = "key_file", .type = OptionType::kString, .help = "The key of cert_file."},
    {.name = "server_name", .type = OptionType::kString, .help = "Name that the server's certificate must carry."},
    {.name = "insecure_skip_verify",
     .type = OptionType::kBool,
     .fallback = "false",
     .help = "Do not check the server's certificate."},
};

// RETURNS: two sets of rows as one, for a plug-in's table.
template <size_t A, size_t B>
constexpr std::array<OptionRow, A + B> JoinRows(const OptionRow (&first)[A], const OptionRow (&second)[B]) {
  std::array<OptionRow, A + B> rows{};
  for (size_t i = 0; i < A; ++i) {
    rows[i] = first[i];
  }
  for (size_t i = 0; i < B; ++i) {
    rows[A + i] = second[i];
  }
  return rows;
}

HttpClientOptions HttpClientOptionsFrom(const OptionValues& options);
// For Plugin::validate. ERRORS: kInvalid when options exclude each other or need each other.
Status CheckHttpClientOptions(const OptionValues& options);

}  // namespace weir::plugin
