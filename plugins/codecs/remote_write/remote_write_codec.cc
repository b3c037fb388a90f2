// remote_write codec: payloads that hold a remote-write request, as vmagent, Telegraf and Mimir put them on Kafka.

#include "core/plugin/plugin.h"
#include "plugins/codecs/remote_write/write_request.h"

namespace weir::plugin {
namespace {

constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";

enum class Compression : unsigned char { kSnappy, kNone, kAuto };

class RemoteWriteCodec final : public Codec {
 public:
  explicit RemoteWriteCodec(const OptionValues& options) {
    const std::string& compression = options.String("compression");
    compression_ = compression == "snappy" ? Compression::kSnappy
                   : compression == "none" ? Compression::kNone
                                           : Compression::kAuto;
    const std::string& message = options.String("protobuf_message");
    options_.message = message == "auto"                         ? remote_write::Message::kAuto
                       : message == remote_write::kRequestV2Name ? remote_write::Message::kRequestV2
                                                                 : remote_write::Message::kWriteRequest;
    options_.type_and_unit_labels = options.Bool("type_and_unit_labels");
    options_.decoded_bytes_max = static_cast<uint64_t>(options.Int("decoded_bytes_max"));
  }

  Status Decode(std::string_view payload, SampleBatch* batch) const override {
    if (compression_ == Compression::kNone) {
      return remote_write::DecodePlain(payload, options_, batch);
    }
    if (compression_ == Compression::kSnappy) {
      return remote_write::DecodeSnappy(payload, options_, batch);
    }
    if (payload.substr(0, kZstdMagic.size()) == kZstdMagic) {
      batch->Clear();
      return InvalidError("remote write: payload is compressed with zstd; have the sender use snappy");
    }
    // A plain message can start like a block but is not a whole one.
    return remote_write::IsSnappy(payload) ? remote_write::DecodeSnappy(payload, options_, batch)
                                           : remote_write::DecodePlain(payload, options_, batch);
  }

 private:
  Compression compression_ = Compression::kAuto;
  remote_write::DecodeOptions options_;
};

constexpr OptionRow kOptions[] = {
    {.name = "compression",
     .type = OptionType::kEnum,
     .fallback = "auto",
     .help = "How payloads are compressed; auto looks at each.",
     .choices = "auto|snappy|none"},
    {.name = "protobuf_message",
     .type = OptionType::kEnum,
     .fallback = "auto",
     .help = "Which message payloads hold: that of remote write 1.0 or of 2.0; auto looks at each.",
     .choices = "auto|prometheus.WriteRequest|io.prometheus.write.v2.Request"},
    {.name = "type_and_unit_labels",
     .type = OptionType::kBool,
     .fallback = "false",
     .help = "Adds the labels __type__ and __unit__ from the metadata of 2.0 messages."},
    {.name = "decoded_bytes_max",
     .type = OptionType::kSize,
     .fallback = "32MiB",
     .help = "Payloads that would decode to more bytes are refused."},
};

std::unique_ptr<Codec> Make(const OptionValues& options) { return std::make_unique<RemoteWriteCodec>(options); }

Status Validate(const OptionValues& options) {
  if (options.Int("decoded_bytes_max") < 1) {
    return InvalidError(options.where + ": option \"decoded_bytes_max\": want at least 1 byte, got \"" +
                        options.values.find("decoded_bytes_max")->second.text + "\"");
  }
  return Status();
}

}  // namespace

extern const Plugin remote_write_codec;
const Plugin remote_write_codec = {
    .kind = PluginKind::kCodec,
    .name = "remote_write",
    .help = "Prometheus remote-write requests of version 1.0 or 2.0, snappy-compressed or plain.",
    .options = kOptions,
    .make_codec = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
