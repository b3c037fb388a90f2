#pragma once
// Protobuf fields by hand, so that tests can write any message a sender might: fields in any order, repeated, damaged.

#include <snappy.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace weir::prompb {

inline std::string Varint(uint64_t v) {
  std::string out;
  while (v >= 0x80) {
    out.push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out.push_back(static_cast<char>(v));
  return out;
}

inline std::string Bytes(int field, std::string_view value) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(value.size()) + std::string(value);
}

inline std::string LabelField(std::string_view name, std::string_view value) {
  return Bytes(1, Bytes(1, name) + Bytes(2, value));
}

inline std::string LabelFields(std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += LabelField(name, value);
  }
  return out;
}

inline std::string SampleField(double value, int64_t t) {
  std::string bits(8, '\0');
  std::memcpy(bits.data(), &value, 8);
  return Bytes(2, "\x09" + bits + "\x10" + Varint(static_cast<uint64_t>(t)));
}

inline std::string Series(std::string_view fields) { return Bytes(1, fields); }

inline std::string Snappy(std::string_view message) {
  std::string out;
  snappy::Compress(message.data(), message.size(), &out);
  return out;
}

}  // namespace weir::prompb
