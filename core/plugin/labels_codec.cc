// The encoded form of label sets (plugin.h) and its hash.

#include <cstring>
#include <random>

#include "core/plugin/plugin.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace weir::plugin {
namespace {

constexpr char kLabelTag = 0x0a;  // field 1, length-delimited: TimeSeries.labels
constexpr char kNameTag = 0x0a;   // Label.name
constexpr char kValueTag = 0x12;  // Label.value
constexpr int kVarintBytesMax = 10;

// The key is random per process, so that nobody outside can prepare label sets that collide.
struct HashKey {
  HashKey() {
    std::random_device random;
    seed = (static_cast<uint64_t>(random()) << 32) | random();
    XXH3_generateSecret_fromSeed(secret, seed);
  }
  uint64_t seed = 0;
  unsigned char secret[XXH3_SECRET_DEFAULT_SIZE] = {};
};

const HashKey& Key() {
  static const HashKey key;
  return key;
}

void AppendVarint(uint64_t v, std::string* out) {
  while (v >= 0x80) {
    out->push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out->push_back(static_cast<char>(v));
}

size_t VarintBytes(uint64_t v) {
  size_t bytes = 1;
  while (v >= 0x80) {
    v >>= 7;
    ++bytes;
  }
  return bytes;
}

bool ReadVarint(std::string_view* in, uint64_t* out) {
  uint64_t v = 0;
  for (int i = 0; i < kVarintBytesMax && !in->empty(); ++i) {
    const auto byte = static_cast<unsigned char>(in->front());
    in->remove_prefix(1);
    v |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      *out = v;
      return true;
    }
  }
  return false;
}

bool ReadBytes(std::string_view* in, std::string_view* out) {
  uint64_t length = 0;
  if (!ReadVarint(in, &length) || length > in->size()) {
    return false;
  }
  *out = in->substr(0, length);
  in->remove_prefix(length);
  return true;
}

// Steps over the value of a field that is not known here.
bool SkipField(uint64_t tag, std::string_view* in) {
  uint64_t ignored = 0;
  std::string_view ignored_bytes;
  size_t fixed = 0;
  switch (tag & 7) {
    case 0:
      return ReadVarint(in, &ignored);
    case 1:
      fixed = 8;
      break;
    case 2:
      return ReadBytes(in, &ignored_bytes);
    case 5:
      fixed = 4;
      break;
    default:
      return false;
  }
  if (in->size() < fixed) {
    return false;
  }
  in->remove_prefix(fixed);
  return true;
}

bool DecodeLabel(std::string_view in, std::pair<std::string_view, std::string_view>* label) {
  while (!in.empty()) {
    uint64_t tag = 0;
    if (!ReadVarint(&in, &tag)) {
      return false;
    }
    bool ok = false;
    if (tag == kNameTag) {
      ok = ReadBytes(&in, &label->first);
    } else if (tag == kValueTag) {
      ok = ReadBytes(&in, &label->second);
    } else {
      ok = SkipField(tag, &in);
    }
    if (!ok) {
      return false;
    }
  }
  return true;
}

void EncodeLabel(std::string_view name, std::string_view value, std::string* out) {
  out->push_back(kLabelTag);
  AppendVarint(2 + VarintBytes(name.size()) + name.size() + VarintBytes(value.size()) + value.size(), out);
  out->push_back(kNameTag);
  AppendVarint(name.size(), out);
  out->append(name);
  out->push_back(kValueTag);
  AppendVarint(value.size(), out);
  out->append(value);
}

}  // namespace

void SampleBatch::Clear() {
  arena.clear();
  ClearButBytes();
}

void SampleBatch::ClearButBytes() {
  series.clear();
  samples.clear();
  start_times.clear();
  histograms.clear();
  histogram_bytes = 0;
  bad_records = 0;
  first_error.clear();
  source = kNoSource;
  arrived_ns = 0;
}

void HashLabels(std::string_view encoded, uint64_t out[2]) {
  const HashKey& key = Key();
  const XXH128_hash_t hash =
      XXH3_128bits_withSecretandSeed(encoded.data(), encoded.size(), key.secret, sizeof(key.secret), key.seed);
  out[0] = hash.low64;
  out[1] = hash.high64;
}

void EncodeLabels(std::span<const Label> labels, std::string* out) {
  for (const Label& label : labels) {
    EncodeLabel(label.name, label.value, out);
  }
}

void EncodeLabels(const Labels& labels, std::string* out) {
  for (const LabelView& label : labels) {
    EncodeLabel(label.name, label.value, out);
  }
}

Status DecodeLabels(std::string_view encoded, std::vector<std::pair<std::string_view, std::string_view>>* out) {
  const size_t total = encoded.size();
  out->clear();
  while (!encoded.empty()) {
    const size_t offset = total - encoded.size();
    uint64_t tag = 0;
    std::string_view label;
    auto& decoded = out->emplace_back();
    if (!ReadVarint(&encoded, &tag) || tag != kLabelTag || !ReadBytes(&encoded, &label) ||
        !DecodeLabel(label, &decoded)) {
      return Status(Code::kCorrupt, "label block: malformed label at byte " + std::to_string(offset));
    }
  }
  return Status();
}

std::string LabelsText(std::span<const std::pair<std::string_view, std::string_view>> labels) {
  static constexpr size_t kTextBytesMax = 200;  // of a value; enough to recognise it
  std::vector<Label> owned;
  owned.reserve(labels.size());
  for (const auto& [name, value] : labels) {
    owned.push_back({std::string(name.substr(0, kTextBytesMax)), std::string(value.substr(0, kTextBytesMax))});
  }
  return Labels(std::move(owned)).ToString();
}

std::string LabelsText(std::string_view encoded) {
  std::vector<std::pair<std::string_view, std::string_view>> labels;
  if (!DecodeLabels(encoded, &labels).ok()) {
    labels.pop_back();
  }
  return LabelsText(labels);
}

}  // namespace weir::plugin
