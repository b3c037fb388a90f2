#include <librdkafka/rdkafka.h>
#include <boost/version.hpp>

#include "core/base/http_client.h"
#include "core/base/shared_library.h"
#include "core/cli/commands.h"
#include "core/plugin/plugin.h"

namespace weir::cli {

std::string VersionNumber() { return WEIR_VERSION; }
std::string Commit() { return WEIR_COMMIT; }

std::string Compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

namespace {

std::string RdkafkaVersion() {
  struct {
    SharedLibrary opened{"librdkafka.so.1"};
    WEIR_LIBRARY_FUNCTION(rd_kafka_version_str);
  } rdkafka;
  return rdkafka.opened.status().ok() ? std::string("librdkafka/") + rdkafka.rd_kafka_version_str()
                                      : std::string(rdkafka.opened.status().message());
}

}  // namespace

std::string VersionText() {
  std::string text = "weir " + VersionNumber() + ", commit " + Commit() + ", " + Compiler() + "\n";
  text += "libraries:\n  " + HttpClientVersion() + "\n  " + RdkafkaVersion() + "\n  Boost " BOOST_LIB_VERSION "\n";
  text += "plug-ins:";
  for (const plugin::Plugin* plugin : plugin::Plugins()) {
    const std::string_view kind = plugin->kind == plugin::PluginKind::kSource  ? "source"
                                  : plugin->kind == plugin::PluginKind::kCodec ? "codec"
                                                                               : "sink";
    text += "\n  " + std::string(kind) + " " + std::string(plugin->name);
  }
  return text + "\n";
}

}  // namespace weir::cli
