#include "core/plugin/http_client_options.h"

namespace weir::plugin {

HttpClientOptions HttpClientOptionsFrom(const OptionValues& options) {
  HttpClientOptions http;
  http.basic_user = options.String("basic_user");
  http.basic_password = options.String("basic_password");
  http.basic_password_file = options.String("basic_password_file");
  http.bearer_token = options.String("bearer_token");
  http.bearer_token_file = options.String("bearer_token_file");
  http.ca_file = options.String("ca_file");
  http.cert_file = options.String("cert_file");
  http.key_file = options.String("key_file");
  http.server_name = options.String("server_name");
  http.insecure_skip_verify = options.Bool("insecure_skip_verify");
  return http;
}

Status CheckHttpClientOptions(const OptionValues& options) {
  const auto exclude = [&options](const std::string& a, const std::string& b) {
    return options.String(a).empty() || options.String(b).empty()
               ? Status()
               : InvalidError(options.where + ": options \"" + a + "\" and \"" + b + "\" exclude each other");
  };
  WEIR_RETURN_IF_ERROR(exclude("basic_password", "basic_password_file"));
  WEIR_RETURN_IF_ERROR(exclude("bearer_token", "bearer_token_file"));
  WEIR_RETURN_IF_ERROR(exclude("basic_user", "bearer_token"));
  WEIR_RETURN_IF_ERROR(exclude("basic_user", "bearer_token_file"));
  if (options.String("cert_file").empty() != options.String("key_file").empty()) {
    return InvalidError(options.where + ": options \"cert_file\" and \"key_file\" need each other");
  }
  return Status();
}

}  // namespace weir::plugin
