#pragma once
// Remote-write 1.0 bodies for tests, by an encoder of its own: what the product decodes must not be made by the product.
// Writes protobuf by hand (WriteRequest{timeseries{labels, samples}}) and compresses it as a snappy block.

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <snappy.h>

namespace weir::testing {

class RemoteWriteEncoder {
 public:
  using LabelPairs = std::vector<std::pair<std::string, std::string>>;  // sorted by name, "__name__" among them
  using Samples = std::vector<std::pair<int64_t, double>>;              // time in ms, value

  RemoteWriteEncoder& Add(const LabelPairs& labels, const Samples& samples) {
    std::string series;
    for (const auto& [name, value] : labels) {
      std::string label;
      AppendBytes(0x0a, name, &label);
      AppendBytes(0x12, value, &label);
      AppendBytes(0x0a, label, &series);
    }
    for (const auto& [t_ms, v] : samples) {
      std::string sample;
      sample.push_back(0x09);
      auto bits = std::bit_cast<uint64_t>(v);
      for (int i = 0; i < 8; ++i) {
        sample.push_back(static_cast<char>(bits >> (8 * i)));
      }
      sample.push_back(0x10);
      AppendVarint(static_cast<uint64_t>(t_ms), &sample);
      AppendBytes(0x12, sample, &series);
    }
    AppendBytes(0x0a, series, &request_);
    return *this;
  }

  const std::string& Plain() const { return request_; }
  std::string Compressed() const {
    std::string out;
    snappy::Compress(request_.data(), request_.size(), &out);
    return out;
  }
  void Clear() { request_.clear(); }

 private:
  static void AppendVarint(uint64_t v, std::string* out) {
    for (; v >= 0x80; v >>= 7) {
      out->push_back(static_cast<char>(v | 0x80));
    }
    out->push_back(static_cast<char>(v));
  }
  static void AppendBytes(char tag, std::string_view bytes, std::string* out) {
    out->push_back(tag);
    AppendVarint(bytes.size(), out);
    out->append(bytes);
  }

  std::string request_;
};

}  // namespace weir::testing
