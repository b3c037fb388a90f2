#pragma once
// Bodies of remote write 1.0, made by hand: labels are encoded once, a sample costs a few appends.

#include "bench/load.h"

#include <cstdint>
#include <string>

namespace weir::bench {

inline void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

inline void AppendBytes(char tag, const std::string& bytes, std::string* out) {
  out->push_back(tag);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

// RETURNS: the labels as they stand in a TimeSeries message.
inline std::string EncodeLabels(const LabelPairs& labels) {
  std::string encoded;
  for (const auto& [name, value] : labels) {
    std::string pair;
    AppendBytes(0x0a, name, &pair);
    AppendBytes(0x12, value, &pair);
    AppendBytes(0x0a, pair, &encoded);
  }
  return encoded;
}

inline void AppendTimeSeries(const std::string& labels, double value, int64_t t_ms, std::string* out) {
  std::string sample(1, 0x09);
  sample.append(reinterpret_cast<const char*>(&value), sizeof(double));
  sample.push_back(0x10);
  AppendVarint(static_cast<uint64_t>(t_ms), &sample);
  out->push_back(0x0a);
  AppendVarint(labels.size() + sample.size() + 2, out);
  out->append(labels);
  AppendBytes(0x12, sample, out);
}

}  // namespace weir::bench
