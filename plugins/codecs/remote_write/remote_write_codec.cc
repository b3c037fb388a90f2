// remote_write codec: payloads that hold a remote-write 1.0 WriteRequest, as vmagent, Telegraf and Mimir put them on Kafka.

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
    limits_.decoded_bytes_max = static_cast<uint64_t>(options.Int("decoded_bytes_max"));
  }

  Status Decode(std::string_view payload, SampleBatch* batch) const override {
    if (compression_ == Compression::kNone) {
      return remote_write::DecodePlain(payload, limits_, batch);
    }
    if (compression_ == Compression::kSnappy) {
      return remote_write::DecodeSnappy(payload, limits_, batch);
    }
    if (payload.substr(0, kZstdMagic.size()) == kZstdMagic) {
      batch->Clear();
      return InvalidError("remote write: payload is compressed with zstd; have the sender use snappy");
    }
    // A plain message can start like a block but is not a whole one.
    return remote_write::IsSnappy(payload) ? remote_write::DecodeSnappy(payload, limits_, batch)
                                           : remote_write::DecodePlain(payload, limits_, batch);
  }

 private:
  Compression compression_ = Compression::kAuto;
  remote_write::DecodeLimits limits_;
};

constexpr OptionRow kOptions[] = {
    {.name = "compression",
     .type = OptionType::kEnum,
     .fallback = "auto",
     .help = "How payloads are compressed; auto looks at each.",
     .choices = "auto|snappy|none"},
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
    .help = "Prometheus remote-write 1.0 requests (prometheus.WriteRequest), snappy-compressed or plain.",
    .options = kOptions,
    .make_codec = Make,
    .validate = Validate,
};

}  // namespace weir::plugin
