#include "plugins/codecs/remote_write/snappy_block.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace weir::remote_write {
namespace {

constexpr ptrdiff_t kRoom = 80;          // what the quick path may read or write beyond the tag that it is at
constexpr size_t kShortLiteralMax = 60;  // longer ones have a length of their own

unsigned Byte(const char* p) { return static_cast<unsigned char>(*p); }

size_t LittleEndian(const char* p, size_t bytes) {
  size_t value = 0;
  for (size_t i = 0; i < bytes; ++i) {
    value |= size_t{Byte(p + i)} << (8 * i);
  }
  return value;
}

// A move in one register, which memmove is a call for.
inline void Move16(char* to, const char* from) {
  using Register [[gnu::vector_size(16), gnu::aligned(1), gnu::may_alias]] = char;
  *reinterpret_cast<Register*>(to) = *reinterpret_cast<const Register*>(from);
}

inline void Move64(char* to, const char* from) {
  for (int i = 0; i < 64; i += 16) {
    Move16(to + i, from + i);
  }
}

class Decoder {
 public:
  Decoder(std::string_view tags, char* out, size_t size)
      : ip_(tags.data()), ip_end_(ip_ + tags.size()), out_(out), op_(out), op_end_(out + size) {}

  bool Run() {
    while (true) {
      if (!Quick()) {
        return false;
      }
      if (ip_ == ip_end_) {
        return op_ == op_end_;
      }
      if (!Careful()) {
        return false;
      }
    }
  }

 private:
  // Decodes tags while there is room for more than each needs, up to one that takes care. What is moved beyond a tag's length is
  // overwritten by the next. The kinds have branches of their own, so that the processor need not wait for a tag to know where
  // the next one is.
  bool Quick() {
    if (ip_end_ - ip_ < kRoom || op_end_ - op_ < kRoom) {
      return true;
    }
    const char* const ip_last = ip_end_ - kRoom;
    const char* const op_last = op_end_ - kRoom;
    const char* const out = out_;
    const char* ip = ip_;
    char* op = op_;
    do {
      const unsigned tag = Byte(ip);
      if ((tag & 3) == 2) {
        const size_t offset = Byte(ip + 1) | Byte(ip + 2) << 8;
        const size_t length = (tag >> 2) + 1;
        ip += 3;
        asm volatile("" : "+r"(ip));                        // or the compiler makes one computed step of the three
        if (offset - 1 >= static_cast<size_t>(op - out)) {  // 0, too
          return false;
        }
        if (offset >= 16) [[likely]] {
          Move64(op, op - offset);
        } else {
          Repeat(op, offset, length);
        }
        op += length;
      } else if ((tag & 3) == 0) {
        const size_t length = (tag >> 2) + 1;
        if (length > kShortLiteralMax) {
          break;
        }
        Move16(op, ip + 1);
        if (length > 16) {
          Move64(op, ip + 1);
        }
        ip += 1 + length;
        op += length;
      } else if ((tag & 3) == 1) {
        const size_t offset = (tag >> 5) << 8 | Byte(ip + 1);
        const size_t length = 4 + ((tag >> 2) & 7);
        ip += 2;
        asm volatile("" : "+r"(ip));
        if (offset - 1 >= static_cast<size_t>(op - out)) {
          return false;
        }
        if (offset >= 16) [[likely]] {
          Move16(op, op - offset);
        } else {
          Repeat(op, offset, length);
        }
        op += length;
      } else {
        break;
      }
    } while (ip <= ip_last && op <= op_last);
    ip_ = ip;
    op_ = op;
    return true;
  }

  // What is copied may be written by the copy itself.
  static void Repeat(char* to, size_t offset, size_t length) {
    const char* const from = to - offset;
    for (size_t i = 0; i < length; ++i) {
      to[i] = from[i];
    }
  }

  // One tag of any kind, anywhere.
  bool Careful() {
    const unsigned tag = Byte(ip_++);
    size_t length = (tag >> 2) + 1;
    const size_t extra = (tag & 3) == 0   ? (length > kShortLiteralMax ? length - kShortLiteralMax : 0)
                         : (tag & 3) == 3 ? 4
                                          : tag & 3;
    if (Left() < extra) {
      return false;
    }
    const size_t number = LittleEndian(ip_, extra);
    ip_ += extra;
    if ((tag & 3) == 0) {
      length = extra == 0 ? length : number + 1;
      if (Left() < length || Room() < length) {
        return false;
      }
      std::memcpy(op_, ip_, length);
      ip_ += length;
    } else {
      length = (tag & 3) == 1 ? 4 + ((tag >> 2) & 7) : length;
      const size_t offset = (tag & 3) == 1 ? (tag >> 5) << 8 | number : number;
      if (offset - 1 >= static_cast<size_t>(op_ - out_) || Room() < length) {
        return false;
      }
      Repeat(op_, offset, length);
    }
    op_ += length;
    return true;
  }

  size_t Left() const { return static_cast<size_t>(ip_end_ - ip_); }
  size_t Room() const { return static_cast<size_t>(op_end_ - op_); }

  const char* ip_;
  const char* const ip_end_;
  char* const out_;
  char* op_;
  char* const op_end_;
};

}  // namespace

bool DecodeSnappyTags(std::string_view tags, char* out, size_t size) { return Decoder(tags, out, size).Run(); }

}  // namespace weir::remote_write
