#include "plugins/codecs/remote_write/snappy_block.h"

#include <gtest/gtest.h>
#include <snappy.h>

#include <random>
#include <string>
#include <vector>

#include "tests/unit/remote_write/prompb.h"

namespace weir::remote_write {
namespace {

// RETURNS: what the tags make, or "refused".
std::string Decode(std::string_view tags, size_t size) {
  std::string out(size, '?');
  return DecodeSnappyTags(tags, out.data(), size) ? out : "refused";
}

std::string Literal(std::string_view bytes) {
  return std::string(1, static_cast<char>((bytes.size() - 1) << 2)) + std::string(bytes);
}

std::string Copy1(unsigned offset, unsigned length) {
  return {static_cast<char>((offset >> 8) << 5 | (length - 4) << 2 | 1), static_cast<char>(offset)};
}

std::string Copy2(unsigned offset, unsigned length) {
  return {static_cast<char>((length - 1) << 2 | 2), static_cast<char>(offset), static_cast<char>(offset >> 8)};
}

std::string Copy4(unsigned offset, unsigned length) {
  return {static_cast<char>((length - 1) << 2 | 3), static_cast<char>(offset), static_cast<char>(offset >> 8),
          static_cast<char>(offset >> 16), static_cast<char>(offset >> 24)};
}

TEST(SnappyBlock, EveryKindOfTag) {
  EXPECT_EQ(Decode("", 0), "");
  EXPECT_EQ(Decode(Literal("abcd"), 4), "abcd");
  EXPECT_EQ(Decode(Literal("abcd") + Copy1(4, 4), 8), "abcdabcd");
  EXPECT_EQ(Decode(Literal("abcd") + Copy1(1, 11), 15), "abc" + std::string(12, 'd'));
  EXPECT_EQ(Decode(Literal("abcd") + Copy2(3, 7), 11), "abcdbcdbcdb");
  EXPECT_EQ(Decode(Literal("abcd") + Copy4(2, 5), 9), "abcdcdcdc");
  for (const size_t length : {60, 61, 256, 257, 65536, 65537, 1 << 24, (1 << 24) + 1}) {
    const std::string bytes(length, 'x');
    std::string tag;
    size_t left = length - 1;
    if (length > 60) {
      for (; left > 0; left >>= 8) {
        tag += static_cast<char>(left);
      }
      tag.insert(0, 1, static_cast<char>((59 + tag.size()) << 2));
    } else {
      tag = std::string(1, static_cast<char>(left << 2));
    }
    EXPECT_EQ(Decode(tag + bytes, length), bytes) << length;
    EXPECT_EQ(Decode(tag + bytes.substr(1), length), "refused") << length;
  }
}

TEST(SnappyBlock, WhatReachesBeyondIsRefused) {
  const std::string four = Literal("abcd");
  EXPECT_EQ(Decode(Literal("abcd"), 3), "refused");
  EXPECT_EQ(Decode(Literal("abcd"), 5), "refused");
  EXPECT_EQ(Decode(Copy1(1, 4), 4), "refused");
  EXPECT_EQ(Decode(four + Copy1(5, 4), 8), "refused");
  EXPECT_EQ(Decode(four + Copy1(4, 4), 7), "refused");
  EXPECT_EQ(Decode(four + Copy2(5, 4), 8), "refused");
  EXPECT_EQ(Decode(four + Copy4(1u << 31, 4), 8), "refused");
  for (const std::string& copy : {Copy1(0, 4), Copy2(0, 4), Copy4(0, 4)}) {
    EXPECT_EQ(Decode(four + copy, 8), "refused");
  }
  for (const std::string& copy : {Copy1(1, 4), Copy2(1, 4), Copy4(1, 4)}) {  // cut short
    for (size_t i = 1; i < copy.size(); ++i) {
      EXPECT_EQ(Decode(four + copy.substr(0, i), 8), "refused");
    }
  }
  // The same where there is room enough for the quick path.
  const std::string long_tail = Literal(std::string(60, 'y')) + Literal(std::string(60, 'y'));
  EXPECT_EQ(Decode(four + Copy1(5, 4) + long_tail, 128), "refused");
  EXPECT_EQ(Decode(four + Copy1(0, 4) + long_tail, 128), "refused");
  EXPECT_EQ(Decode(four + Copy2(5, 4) + long_tail, 128), "refused");
  EXPECT_EQ(Decode(four + Copy2(0, 4) + long_tail, 128), "refused");
}

TEST(SnappyBlock, CopiesOfEveryOffsetAndLength) {
  const std::string start = "0123456789abcdefghijklmnopqrstuvwxyz";
  const std::string tail = Literal(std::string(60, '-')) + Literal(std::string(60, '-'));
  for (unsigned offset = 1; offset <= start.size(); ++offset) {
    for (unsigned length = 1; length <= 64; ++length) {
      std::string want = start;
      for (unsigned i = 0; i < length; ++i) {
        want += want[want.size() - offset];
      }
      EXPECT_EQ(Decode(Literal(start) + Copy2(offset, length), want.size()), want);
      want += std::string(120, '-');
      EXPECT_EQ(Decode(Literal(start) + Copy2(offset, length) + tail, want.size()), want);
      if (length >= 4 && length <= 11) {
        EXPECT_EQ(Decode(Literal(start) + Copy1(offset, length) + tail, want.size()), want);
      }
    }
  }
}

// What the library makes, and what is left of it after a byte was changed or the end was lost, is taken for the same.
TEST(SnappyBlock, AgreesWithTheLibrary) {
  std::mt19937_64 random(7);
  const auto below = [&random](uint64_t n) { return random() % n; };
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const uint64_t alphabet = 1 + below(40);
    const uint64_t size = below(round % 50 == 0 ? 200000 : 2000);
    while (text.size() < size) {
      if (below(3) == 0 && !text.empty()) {
        text += text.substr(below(text.size()), below(100));
      } else {
        text += static_cast<char>('a' + below(alphabet));
      }
    }
    std::string block;
    snappy::Compress(text.data(), text.size(), &block);
    for (int damage = 0; damage < 8; ++damage) {
      std::string damaged = block;
      if (damage == 1) {
        damaged.resize(below(damaged.size() + 1));
      } else if (damage > 1) {
        damaged[below(damaged.size())] = static_cast<char>(below(256));
      }
      size_t length = 0;
      if (!snappy::GetUncompressedLength(damaged.data(), damaged.size(), &length) || length > (1 << 20)) {
        continue;
      }
      std::string want(length, '?');
      const bool good = snappy::RawUncompress(damaged.data(), damaged.size(), want.data());
      const size_t header = prompb::Varint(length).size();
      const std::string got = Decode(std::string_view(damaged).substr(header), length);
      ASSERT_EQ(got, good ? want : "refused") << "round " << round << " damage " << damage;
      refused += good ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace weir::remote_write
