#pragma once
// MD5 (RFC 1321) of a text: what `hashmod` deals targets out by. No cryptography hangs on it.

#include <array>
#include <cstdint>
#include <string_view>

namespace weir {

std::array<uint8_t, 16> Md5(std::string_view text);

}  // namespace weir
