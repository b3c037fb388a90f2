#include "core/model/labels.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/status.h"

namespace weir {
namespace {

bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

// Go's unicode.IsPrint for code points beyond ASCII: letters, marks, numbers, punctuation, symbols.
bool IsPrintable(std::string_view utf8) {
  static const re2::RE2 printable(R"([\pL\pM\pN\pP\pS])");
  return re2::RE2::FullMatch(re2::StringPiece(utf8.data(), utf8.size()), printable);
}

void AppendHex(std::string_view prefix, uint32_t value, int digits, std::string* out) {
  out->append(prefix);
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
    out->push_back("0123456789abcdef"[(value >> shift) & 15]);
  }
}

// RETURNS: false when `c` needs no short escape.
bool AppendShortEscape(char c, std::string* out) {
  static constexpr std::string_view kFrom = "\a\b\f\n\r\t\v\\\"";
  static constexpr std::string_view kTo = "abfnrtv\\\"";
  const size_t at = kFrom.find(c);
  if (at == std::string_view::npos) {
    return false;
  }
  out->push_back('\\');
  out->push_back(kTo[at]);
  return true;
}

// RETURNS: how many bytes at the start are ASCII, eight at a time.
size_t AsciiPrefix(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  size_t i = 0;
  for (uint64_t eight = 0; i + sizeof(eight) <= text.size(); i += sizeof(eight)) {
    std::memcpy(&eight, text.data() + i, sizeof(eight));
    if ((eight & kHighBits) != 0) {
      return i;
    }
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) {
    ++i;
  }
  return i;
}

constexpr uint32_t kLongLength = 0xff;  // three bytes of length follow
constexpr size_t kTextBytesMax = (1 << 24) - 1;

void AppendLength(size_t size, std::string* out) {
  if (size < kLongLength) {
    out->push_back(static_cast<char>(size));
    return;
  }
  out->push_back(static_cast<char>(kLongLength));
  for (int shift = 0; shift < 24; shift += 8) {
    out->push_back(static_cast<char>((size >> shift) & 0xff));
  }
}

}  // namespace

std::string_view Labels::Iterator::Read(const char** p) {
  const auto byte = [p](int i) { return static_cast<uint32_t>(static_cast<unsigned char>((*p)[i])); };
  uint32_t size = byte(0);
  ++*p;
  if (size == kLongLength) {
    size = byte(0) | byte(1) << 8 | byte(2) << 16;
    *p += 3;
  }
  const std::string_view text(*p, size);
  *p += size;
  return text;
}

Labels::Labels(std::vector<Label> labels) {
  const auto by_name = [](const Label& a, const Label& b) { return a.name < b.name; };
  if (!std::is_sorted(labels.begin(), labels.end(), by_name)) {
    std::stable_sort(labels.begin(), labels.end(), by_name);
  }
  size_t bytes = 0;
  for (const Label& label : labels) {
    bytes += 2 + label.name.size() + label.value.size();
  }
  encoded_.reserve(bytes);
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool overridden = i + 1 < labels.size() && labels[i + 1].name == labels[i].name;
    if (!overridden && !labels[i].value.empty()) {
      Append(labels[i].name, labels[i].value);
    }
  }
}

Labels Labels::FromSorted(std::span<const LabelView> labels) {
  size_t bytes = 0;
  bool all_short = true;
  for (const LabelView& label : labels) {
    bytes += 2 + label.name.size() + label.value.size();
    all_short = all_short && label.name.size() < kLongLength && label.value.size() < kLongLength;
  }
  Labels made;
  if (!all_short) {
    for (const LabelView& label : labels) {
      made.Append(label.name, label.value);
    }
    return made;
  }
  made.encoded_.resize(bytes);
  char* to = made.encoded_.data();
  for (const LabelView& label : labels) {
    for (const std::string_view text : {label.name, label.value}) {
      *to++ = static_cast<char>(text.size());
      to = std::copy(text.begin(), text.end(), to);
    }
  }
  return made;
}

void Labels::Append(std::string_view name, std::string_view value) {
  for (const std::string_view text : {name.substr(0, kTextBytesMax), value.substr(0, kTextBytesMax)}) {
    AppendLength(text.size(), &encoded_);
    encoded_.append(text);
  }
}

size_t Labels::size() const { return static_cast<size_t>(std::distance(begin(), end())); }

size_t Labels::HeapBytes() const {
  return encoded_.capacity() > std::string().capacity() ? encoded_.capacity() + 1 : 0;
}

std::string_view Labels::Get(std::string_view name) const {
  for (const LabelView& label : *this) {
    if (label.name == name) {
      return label.value;
    }
  }
  return {};
}

void Labels::Set(std::string_view name, std::string_view value) {
  Labels changed;
  changed.encoded_.reserve(encoded_.size() + 2 + name.size() + value.size());
  bool set = value.empty();
  for (const LabelView& label : *this) {
    if (!set && label.name >= name) {
      changed.Append(name, value);
      set = true;
    }
    if (label.name != name) {
      changed.Append(label.name, label.value);
    }
  }
  if (!set) {
    changed.Append(name, value);
  }
  encoded_ = std::move(changed.encoded_);
}

void Labels::Remove(std::string_view name) {
  if (Has(name)) {
    Set(name, "");
  }
}

std::string Labels::ToString() const {
  const std::string_view name = Get(kMetricName);
  const bool bare_name = IsLegacyMetricName(name);
  std::string out(bare_name ? name : std::string_view());
  std::string inside;
  if (!name.empty() && !bare_name) {
    inside = GoQuote(name);
  }
  for (const LabelView& label : *this) {
    if (label.name == kMetricName) {
      continue;
    }
    inside.append(inside.empty() ? "" : ", ");
    inside.append(IsLegacyLabelName(label.name) ? std::string(label.name) : GoQuote(label.name));
    inside.append("=").append(GoQuote(label.value));
  }
  if (inside.empty() && bare_name) {
    return out;
  }
  return out.append("{").append(inside).append("}");
}

uint64_t Labels::Hash() const {
  const char* bytes = encoded_.data();
  WEIR_ASSERT(bytes != nullptr);  // it never is; the static analyzer does not know
  return XXH64(bytes, encoded_.size(), 0);
}

int Labels::Compare(const Labels& a, const Labels& b) {
  auto left = a.begin();
  auto right = b.begin();
  for (; left != a.end() && right != b.end(); ++left, ++right) {
    const LabelView l = *left;
    const LabelView r = *right;
    if (const int by_name = l.name.compare(r.name); by_name != 0) {
      return by_name < 0 ? -1 : 1;
    }
    if (const int by_value = l.value.compare(r.value); by_value != 0) {
      return by_value < 0 ? -1 : 1;
    }
  }
  return left == a.end() ? (right == b.end() ? 0 : -1) : 1;
}

bool IsLegacyLabelName(std::string_view name) {
  if (name.empty() || IsAsciiDigit(name.front())) {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) { return IsAsciiLetter(c) || IsAsciiDigit(c) || c == '_'; });
}

bool IsLegacyMetricName(std::string_view name) {
  if (name.empty() || IsAsciiDigit(name.front())) {
    return false;
  }
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return IsAsciiLetter(c) || IsAsciiDigit(c) || c == '_' || c == ':'; });
}

size_t DecodeRune(std::string_view text, uint32_t* rune) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    *rune = lead;
    return 1;
  }
  size_t size = 0;
  uint32_t minimum = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2;
    minimum = 0x80;
    *rune = lead & 0x1f;
  } else if ((lead & 0xf0) == 0xe0) {
    size = 3;
    minimum = 0x800;
    *rune = lead & 0x0f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4;
    minimum = 0x10000;
    *rune = lead & 0x07;
  } else {
    return 0;
  }
  if (text.size() < size) {
    return 0;
  }
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
    *rune = (*rune << 6) | (byte(i) & 0x3f);
  }
  const bool surrogate = *rune >= 0xd800 && *rune <= 0xdfff;
  return *rune < minimum || *rune > 0x10ffff || surrogate ? 0 : size;
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(AsciiPrefix(text));
    if (text.empty()) {
      return true;
    }
    uint32_t rune = 0;
    const size_t size = DecodeRune(text, &rune);
    if (size == 0) {
      return false;
    }
    text.remove_prefix(size);
  }
  return true;
}

std::string GoQuote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    uint32_t rune = 0;
    const size_t size = DecodeRune(text, &rune);
    if (size == 0) {
      AppendHex("\\x", static_cast<unsigned char>(text[0]), 2, &out);
      text.remove_prefix(1);
      continue;
    }
    if (size == 1) {
      if (!AppendShortEscape(text[0], &out)) {
        if (rune < 0x20 || rune == 0x7f) {
          AppendHex("\\x", rune, 2, &out);
        } else {
          out.push_back(text[0]);
        }
      }
    } else if (IsPrintable(text.substr(0, size))) {
      out.append(text.substr(0, size));
    } else {
      AppendHex(rune < 0x10000 ? "\\u" : "\\U", rune, rune < 0x10000 ? 4 : 8, &out);
    }
    text.remove_prefix(size);
  }
  return out.append("\"");
}

}  // namespace weir
