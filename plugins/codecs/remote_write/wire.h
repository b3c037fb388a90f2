#pragma once
// Protobuf on the wire, for the messages of remote write: fields are read where they stand and appended to a string.
// Readers return the byte after what they read, or nullptr when it is damaged. Stateless.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace weir::remote_write::wire {

inline constexpr unsigned kVarint = 0;
inline constexpr unsigned kFixed64 = 1;
inline constexpr unsigned kBytes = 2;
inline constexpr unsigned kFixed32 = 5;

inline constexpr uint64_t Tag(unsigned field, unsigned type) { return uint64_t{field} << 3 | type; }

inline const char* ReadVarint(const char* p, const char* end, uint64_t* out) {
  if (p < end && static_cast<unsigned char>(*p) < 0x80) {
    *out = static_cast<unsigned char>(*p);
    return p + 1;
  }
  uint64_t v = 0;
  for (int shift = 0; shift < 64 && p < end; shift += 7) {
    const auto byte = static_cast<unsigned char>(*p++);
    v |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *out = v;
      return p;
    }
  }
  return nullptr;
}

// A tag; field 0 does not exist.
inline const char* ReadTag(const char* p, const char* end, uint64_t* tag) {
  p = ReadVarint(p, end, tag);
  return p != nullptr && (*tag >> 3) != 0 ? p : nullptr;
}

// A length that as many bytes follow. RETURNS: their first.
inline const char* ReadLength(const char* p, const char* end, uint64_t* length) {
  p = ReadVarint(p, end, length);
  return p != nullptr && *length <= static_cast<uint64_t>(end - p) ? p : nullptr;
}

inline const char* ReadDouble(const char* p, const char* end, double* out) {
  if (end - p < 8) {
    return nullptr;
  }
  std::memcpy(out, p, 8);
  return p + 8;
}

// The value of a field of no interest, behind its tag.
inline const char* SkipValue(uint64_t tag, const char* p, const char* end) {
  uint64_t v = 0;
  switch (tag & 7) {
    case kVarint:
      return ReadVarint(p, end, &v);
    case kFixed64:
      return end - p >= 8 ? p + 8 : nullptr;
    case kBytes:
      p = ReadLength(p, end, &v);
      return p == nullptr ? nullptr : p + v;
    case kFixed32:
      return end - p >= 4 ? p + 4 : nullptr;
    default:
      return nullptr;
  }
}

inline int64_t FromZigZag(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }
inline uint64_t ToZigZag(int64_t v) { return static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63); }

inline void AppendVarint(uint64_t v, std::string* out) {
  while (v >= 0x80) {
    out->push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out->push_back(static_cast<char>(v));
}

inline void AppendVarintField(unsigned field, uint64_t v, std::string* out) {
  AppendVarint(Tag(field, kVarint), out);
  AppendVarint(v, out);
}

inline void AppendDouble(double v, std::string* out) {
  char bytes[8];
  std::memcpy(bytes, &v, 8);
  out->append(bytes, 8);
}

inline void AppendDoubleField(unsigned field, double v, std::string* out) {
  AppendVarint(Tag(field, kFixed64), out);
  AppendDouble(v, out);
}

inline void AppendBytesField(unsigned field, std::string_view bytes, std::string* out) {
  AppendVarint(Tag(field, kBytes), out);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

inline size_t VarintBytes(uint64_t v) { return v == 0 ? 1 : (static_cast<size_t>(std::bit_width(v)) + 6) / 7; }

}  // namespace weir::remote_write::wire
