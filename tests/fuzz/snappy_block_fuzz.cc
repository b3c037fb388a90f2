// fuzz: links remote_write_message
// Any bytes as the tags of a snappy block: no crash, and the same answer as the library's.

#include <snappy.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "plugins/codecs/remote_write/snappy_block.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view block(reinterpret_cast<const char*>(data), size);
  size_t length = 0;
  if (!snappy::GetUncompressedLength(block.data(), block.size(), &length) || length > (1 << 20)) {
    return 0;
  }
  size_t header = 0;
  while (static_cast<unsigned char>(block[header]) >= 0x80) {
    ++header;
  }
  std::string want(length, '?');
  std::string got(length, '?');
  const bool good = snappy::RawUncompress(block.data(), block.size(), want.data());
  WEIR_ASSERT(weir::remote_write::DecodeSnappyTags(block.substr(header + 1), got.data(), length) == good);
  WEIR_ASSERT(!good || got == want);
  return 0;
}
