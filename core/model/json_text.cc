#include "core/model/json_text.h"

#include "core/model/labels.h"

namespace weir {
namespace {

void AppendControl(char c, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  out->append("\\u00");
  out->push_back(kHex[byte >> 4]);
  out->push_back(kHex[byte & 15]);
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    const char c = text.front();
    uint32_t rune = 0;
    const size_t size = DecodeRune(text, &rune);
    if (size == 0) {
      out->append("\xef\xbf\xbd");
    } else if (rune < 0x20) {
      AppendControl(c, out);
    } else {
      if (c == '"' || c == '\\') {
        out->push_back('\\');
      }
      out->append(text.substr(0, size));
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  out->push_back('"');
}

}  // namespace weir
