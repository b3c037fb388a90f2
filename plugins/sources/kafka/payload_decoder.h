#pragma once
// Chooses the codec of a Kafka message. With `auto` the first two bytes decide: JSON begins with { or [, which as the first
// byte of a snappy block would say "123 or 91 bytes"; but a literal's tag follows there, and the only second byte that
// both may have is a space: those messages are tried as JSON first. Immutable, thread-safe.

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/plugin/plugin.h"

namespace weir::kafka {

class PayloadDecoder {
 public:
  // `payload` is auto, remote_write (which tells 1.0 and 2.0 apart by itself) or json. ERRORS: kUnsupported when this build lacks
  // a codec.
  static Result<PayloadDecoder> Create(std::string_view payload, std::string_view where,
                                       bool type_and_unit_labels = false);
  Status Decode(std::string_view message, plugin::SampleBatch* batch) const;

 private:
  std::unique_ptr<plugin::Codec> json_;
  std::unique_ptr<plugin::Codec> remote_write_;
};

}  // namespace weir::kafka
