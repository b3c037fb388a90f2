#include "core/model/md5.h"

#include <gtest/gtest.h>

#include <string>

namespace weir {
namespace {

std::string Hex(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : Md5(text)) {
    hex += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return hex;
}

// RFC 1321, A.5.
TEST(Md5, TheTestSuiteOfTheRfc) {
  EXPECT_EQ(Hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Hex("a"), "0cc175b9c0f1b6a831c399e269772661");
  EXPECT_EQ(Hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(Hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(Hex("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b");
  EXPECT_EQ(Hex("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), "d174ab98d277d9f5a5611c2c9f419d9f");
  EXPECT_EQ(Hex("12345678901234567890123456789012345678901234567890123456789012345678901234567890"),
            "57edf4a22be3c955ac49da2e2107b67a");
}

// Around the place where the length does not fit into the last block any more; as `printf %0*d N 0 | md5sum` has them.
TEST(Md5, LengthsAroundABlock) {
  EXPECT_EQ(Hex(std::string(55, '0')), "d7fe636bd28e2ee2ba4d6c5898318699");
  EXPECT_EQ(Hex(std::string(56, '0')), "ce992c2ad906967c63c3f9ab0c2294a9");
  EXPECT_EQ(Hex(std::string(63, '0')), "5703db92acb9d45e3975822c9206453f");
  EXPECT_EQ(Hex(std::string(64, '0')), "10eab6008d5642cf42abd2aa41f847cb");
  EXPECT_EQ(Hex(std::string(65, '0')), "f8c702aaa8c658413a4efb3a614d7707");
  EXPECT_EQ(Hex(std::string(1000, '0')), "88bb69a5d5e02ec7af5f68d82feb1f1d");
}

}  // namespace
}  // namespace weir
