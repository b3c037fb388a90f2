// Where the bytes of a scalar stand. The scalar's way of writing (plain, quoted, block) is read again from the text
// beside the value that the parser made of it; whenever the two disagree, there is no map and the scalar's own place
// is used.

#include <algorithm>

#include "core/config/yaml.h"

namespace weir::config::yaml {
namespace {

using Offsets = std::vector<uint32_t>;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsBreak(char c) { return c == '\n' || c == '\r'; }

// --- flow scalars: plain, 'single', "double" --------------------------------------------------------------------

class FlowWalker {
 public:
  FlowWalker(std::string_view text, size_t at, std::string_view value) : text_(text), at_(at), value_(value) {
    if (at < text.size() && (text[at] == '"' || text[at] == '\'')) {
      quote_ = text[at];
      ++at_;
    }
  }

  bool Walk(Offsets* out) {
    while (out->size() < value_.size()) {
      if (at_ >= text_.size() || !Step(out)) {
        return false;
      }
    }
    out->push_back(static_cast<uint32_t>(at_));
    return out->size() == value_.size() + 1;
  }

 private:
  bool Step(Offsets* out) {
    const char c = text_[at_];
    if (quote_ == '"' && c == '\\') {
      return Escape(out);
    }
    if (quote_ == '\'' && c == '\'') {
      return text_.substr(at_).starts_with("''") && Take(out, "'", 2);
    }
    if (IsBlank(c) || IsBreak(c)) {
      return Space(out);
    }
    return Take(out, text_.substr(at_, 1), 1);
  }

  // The value must go on with `bytes`; all of them stand here, and `size` bytes of text are used.
  bool Take(Offsets* out, std::string_view bytes, size_t size) {
    if (!value_.substr(out->size()).starts_with(bytes)) {
      return false;
    }
    out->insert(out->end(), bytes.size(), static_cast<uint32_t>(at_));
    at_ += size;
    return true;
  }

  // Blanks in a line are themselves; blanks around line breaks fold into one space, or into the further breaks.
  bool Space(Offsets* out) {
    size_t end = at_;
    size_t breaks = 0;
    while (end < text_.size() && (IsBlank(text_[end]) || IsBreak(text_[end]))) {
      breaks += text_[end] == '\n' ? 1 : 0;
      ++end;
    }
    if (breaks == 0) {
      return Take(out, text_.substr(at_, end - at_), 0) && Advance(out, end);
    }
    const std::string folded = breaks == 1 ? " " : std::string(breaks - 1, '\n');
    return Take(out, folded, end - at_);
  }

  // Gives the bytes that Take() put at one place their own places.
  bool Advance(Offsets* out, size_t end) {
    const size_t first = out->size() - (end - at_);
    for (size_t i = first; i < out->size(); ++i) {
      (*out)[i] = static_cast<uint32_t>(at_ + (i - first));
    }
    at_ = end;
    return true;
  }

  bool Escape(Offsets* out) {
    if (at_ + 1 >= text_.size()) {
      return false;
    }
    const char c = text_[at_ + 1];
    if (IsBreak(c)) {  // an escaped line break joins the lines
      at_ = std::min(text_.find('\n', at_), text_.size());
      at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
      return true;
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    // The parser decoded the escape; all its bytes stand at the backslash. One rune is what every escape makes.
    const std::string_view rest = value_.substr(out->size());
    if (rest.empty()) {
      return false;
    }
    const auto lead = static_cast<unsigned char>(rest.front());
    const size_t rune = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return Take(out, rest.substr(0, rune), 2 + digits);
  }

  std::string_view text_;
  size_t at_;
  std::string_view value_;
  char quote_ = '\0';
};

// --- block scalars: | and > -------------------------------------------------------------------------------------

struct BlockLine {
  size_t start = 0;  // offset after the indentation
  size_t size = 0;   // without the line break
};

struct BlockHeader {
  bool folded = false;
  size_t indent = 0;  // as given by a digit; 0: found from the first line
  size_t first_line = 0;
};

BlockHeader ReadHeader(std::string_view text, size_t at) {
  BlockHeader header;
  header.folded = text[at] == '>';
  for (++at; at < text.size() && !IsBreak(text[at]) && !IsBlank(text[at]); ++at) {
    if (text[at] >= '1' && text[at] <= '9') {
      header.indent = static_cast<size_t>(text[at] - '0');
    }
  }
  const size_t newline = text.find('\n', at);
  header.first_line = newline == std::string_view::npos ? text.size() : newline + 1;
  return header;
}

// The lines of the block for an indentation of `indent` blanks; `indent` 0 takes that of the first line with text.
std::vector<BlockLine> ReadLines(std::string_view text, size_t at, size_t indent) {
  std::vector<BlockLine> lines;
  bool found = indent > 0;
  while (at < text.size()) {
    const size_t newline = std::min(text.find('\n', at), text.size());
    size_t end = newline;
    if (end > at && text[end - 1] == '\r') {
      --end;
    }
    const size_t word = std::min(text.find_first_not_of(' ', at), end);
    const size_t blanks = word - at;
    if (word == end) {  // blanks only: what goes beyond the indentation is content
      const size_t start = found ? std::min(at + indent, end) : end;
      lines.push_back({start, end - start});
    } else {
      if (!found) {
        indent = blanks;
        found = true;
      }
      if (blanks < indent) {
        break;
      }
      lines.push_back({at + indent, end - at - indent});
    }
    at = newline + 1;
  }
  return lines;
}

class BlockWalker {
 public:
  BlockWalker(std::string_view text, const BlockHeader& header, std::string_view value)
      : text_(text), header_(header), value_(value) {}

  bool Walk(size_t indent, Offsets* out) {
    lines_ = ReadLines(text_, header_.first_line, indent);
    size_t last = lines_.size();
    while (last > 0 && lines_[last - 1].size == 0) {
      --last;
    }
    size_t i = 0;
    for (; i < last && same_; ++i) {
      const BlockLine& line = lines_[i];
      for (size_t j = 0; j < line.size; ++j) {
        Put(text_[line.start + j], line.start + j, out);
      }
      if (i + 1 < last) {
        i = Join(i, last, out);
      }
    }
    const size_t end_of_text = last == 0 ? header_.first_line : lines_[last - 1].start + lines_[last - 1].size;
    // What is left are the breaks that chomping keeps; the parser's count is taken.
    while (same_ && out->size() < value_.size()) {
      Put('\n', std::min(end_of_text, text_.size()), out);
    }
    out->push_back(static_cast<uint32_t>(std::min(end_of_text, text_.size())));
    return same_ && out->size() == value_.size() + 1;
  }

 private:
  void Put(char c, size_t at, Offsets* out) {
    same_ = same_ && out->size() < value_.size() && value_[out->size()] == c;
    if (same_) {
      out->push_back(static_cast<uint32_t>(at));
    }
  }

  bool IsIndented(const BlockLine& line) const { return line.size > 0 && IsBlank(text_[line.start]); }

  // Puts what the breaks after line `i` become. RETURNS: the last line that was used up.
  size_t Join(size_t i, size_t last, Offsets* out) {
    const size_t place = lines_[i].start + lines_[i].size;
    if (!header_.folded || lines_[i].size == 0) {
      Put('\n', place, out);
      return i;
    }
    size_t next = i + 1;
    while (next < last && lines_[next].size == 0) {
      ++next;
    }
    const size_t empty = next - i - 1;
    const bool keeps = IsIndented(lines_[i]) || (next < last && IsIndented(lines_[next]));
    if (!keeps && empty == 0) {
      Put(' ', place, out);
    }
    for (size_t k = 0; k < empty + (keeps ? 1 : 0); ++k) {
      Put('\n', place, out);
    }
    return next - 1;
  }

  std::string_view text_;
  BlockHeader header_;
  std::string_view value_;
  std::vector<BlockLine> lines_;
  bool same_ = true;
};

std::optional<Offsets> MapBlock(std::string_view text, size_t at, std::string_view value) {
  const BlockHeader header = ReadHeader(text, at);
  // A digit counts from the parent's indentation, which is not known here: the right one gives the right value.
  static constexpr size_t kIndentMax = 64;
  const size_t most = header.indent == 0 ? 0 : header.indent + kIndentMax;
  for (size_t indent = header.indent; indent <= most; ++indent) {
    Offsets offsets;
    offsets.reserve(value.size() + 1);
    if (BlockWalker(text, header, value).Walk(indent, &offsets)) {
      return offsets;
    }
  }
  return std::nullopt;
}

std::optional<Offsets> MapScalar(std::string_view text, const Node& scalar) {
  if (scalar.offset >= text.size()) {
    return std::nullopt;
  }
  if (!scalar.plain && (text[scalar.offset] == '|' || text[scalar.offset] == '>')) {
    return MapBlock(text, scalar.offset, scalar.text);
  }
  Offsets offsets;
  offsets.reserve(scalar.text.size() + 1);
  if (!FlowWalker(text, scalar.offset, scalar.text).Walk(&offsets)) {
    return std::nullopt;
  }
  return offsets;
}

std::vector<uint32_t> LineStarts(std::string_view text) {
  std::vector<uint32_t> starts = {0};
  for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    starts.push_back(static_cast<uint32_t>(at + 1));
  }
  return starts;
}

}  // namespace

Source::Source(std::string file, std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) {  // a byte-order mark is no part of the text
    text.remove_prefix(3);
  }
  text_ = text;
  auto made = std::make_shared<File>();
  made->name = std::move(file);
  made->line_starts = LineStarts(text);
  file_ = std::move(made);
}

Source::Source(const Source& outer, const Node& scalar) : file_(outer.file_), text_(scalar.text) {
  if (auto offsets = outer.FileOffsets(scalar); offsets.has_value()) {
    to_file_ = std::move(*offsets);
  } else {
    to_file_.assign(text_.size() + 1, static_cast<uint32_t>(outer.ToFile(scalar.offset)));
  }
}

size_t Source::ToFile(size_t offset) const {
  return to_file_.empty() ? offset : to_file_[std::min(offset, to_file_.size() - 1)];
}

Place Source::PlaceOfFileOffset(size_t offset) const {
  const auto& starts = file_->line_starts;
  const auto next = std::upper_bound(starts.begin(), starts.end(), offset);
  const auto line = static_cast<size_t>(next - starts.begin());
  return {static_cast<int>(line), static_cast<int>(offset - starts[line - 1]) + 1};
}

Place Source::PlaceOf(size_t offset) const { return PlaceOfFileOffset(ToFile(std::min(offset, text_.size()))); }

std::string Source::Where(size_t offset) const {
  const Place place = PlaceOf(offset);
  return file_->name + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

std::optional<std::vector<uint32_t>> Source::FileOffsets(const Node& scalar) const {
  auto offsets = MapScalar(text_, scalar);
  if (offsets.has_value() && !to_file_.empty()) {
    for (uint32_t& offset : *offsets) {
      offset = static_cast<uint32_t>(ToFile(offset));
    }
  }
  return offsets;
}

std::string Source::WhereIn(const Node& scalar, size_t offset) const {
  const auto offsets = FileOffsets(scalar);
  if (!offsets.has_value()) {
    return Where(scalar);
  }
  const Place place = PlaceOfFileOffset((*offsets)[std::min(offset, offsets->size() - 1)]);
  return file_->name + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

}  // namespace weir::config::yaml
