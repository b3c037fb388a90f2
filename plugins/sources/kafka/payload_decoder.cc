#include "plugins/sources/kafka/payload_decoder.h"

#include <utility>

namespace weir::kafka {

namespace {

Result<std::unique_ptr<plugin::Codec>> MakeCodec(const std::string& name, std::string_view where,
                                                 const std::vector<plugin::RawOption>& raw = {}) {
  const plugin::Plugin* codec = plugin::FindPlugin(plugin::PluginKind::kCodec, name);
  if (codec == nullptr) {
    return UnsupportedError(std::string(where) + ": this build has no codec \"" + name + "\"");
  }
  WEIR_ASSIGN_OR_RETURN(const plugin::OptionValues options,
                        plugin::ParseOptions(codec->options, "codec " + name, where, raw));
  return codec->make_codec(options);
}

// Records and arrays of records only; what may follow the bracket is white space, a name, or another bracket.
bool MayBeJson(std::string_view message) {
  return message.size() >= 2 && (message[0] == '{' || message[0] == '[') &&
         std::string_view(" \t\r\n\"{}[]").find(message[1]) != std::string_view::npos;
}

// The first element of a snappy block is a literal, whose tag ends in two zero bits.
bool MayBeSnappy(std::string_view message) { return (static_cast<unsigned char>(message[1]) & 3) == 0; }

}  // namespace

Result<PayloadDecoder> PayloadDecoder::Create(std::string_view payload, std::string_view where,
                                              bool type_and_unit_labels) {
  PayloadDecoder decoder;
  if (payload != "remote_write") {
    WEIR_ASSIGN_OR_RETURN(decoder.json_, MakeCodec("json", where));
  }
  if (payload != "json") {
    const std::vector<plugin::RawOption> raw = {
        {"type_and_unit_labels", std::string(where), type_and_unit_labels ? "true" : "false"}};
    WEIR_ASSIGN_OR_RETURN(decoder.remote_write_, MakeCodec("remote_write", where, raw));
  }
  return decoder;
}

Status PayloadDecoder::Decode(std::string_view message, plugin::SampleBatch* batch) const {
  if (json_ == nullptr || remote_write_ == nullptr) {
    return (json_ != nullptr ? *json_ : *remote_write_).Decode(message, batch);
  }
  if (!MayBeJson(message)) {
    return remote_write_->Decode(message, batch);
  }
  Status status = json_->Decode(message, batch);
  if (status.ok() || !MayBeSnappy(message)) {
    return status;
  }
  plugin::SampleBatch again;
  if (!remote_write_->Decode(message, &again).ok()) {
    return status;
  }
  *batch = std::move(again);
  return {};
}

}  // namespace weir::kafka
