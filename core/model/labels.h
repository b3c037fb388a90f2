#pragma once
// Labels: an owned, sorted label set, for the slow paths (rule results, APIs, relabelling, templates). The
// engine keeps interned ids instead (model/symbols.h). A label with an empty value does not exist. A set is one string: 32 bytes
// and what its labels have, so that a hundred thousand alerts stay small; texts are cut at 16 MiB, where Prometheus gives up.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

inline constexpr std::string_view kMetricName = "__name__";
inline constexpr std::string_view kAlertName = "alertname";
inline constexpr std::string_view kBucketLabel = "le";

struct Label {
  std::string name;
  std::string value;
  friend bool operator==(const Label&, const Label&) = default;
};

// A label of a set; lives until the set changes.
struct LabelView {
  std::string_view name;
  std::string_view value;
  Label Owned() const { return {std::string(name), std::string(value)}; }
  friend bool operator==(const LabelView&, const LabelView&) = default;
};

class Labels {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = LabelView;
    using difference_type = std::ptrdiff_t;
    using pointer = const LabelView*;
    using reference = LabelView;
    Iterator() = default;
    explicit Iterator(const char* at) : at_(at) {}
    LabelView operator*() const {
      const char* p = at_;
      const std::string_view name = Read(&p);
      return {name, Read(&p)};
    }
    Iterator& operator++() {
      Read(&at_);
      Read(&at_);
      return *this;
    }
    Iterator operator++(int) {
      const Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    static std::string_view Read(const char** p);
    const char* at_ = nullptr;
  };

  Labels() = default;
  // Sorts by name; drops empty values; of equal names the last one given wins.
  explicit Labels(std::vector<Label> labels);
  Labels(std::initializer_list<Label> labels) : Labels(std::vector<Label>(labels)) {}
  // REQUIRES: sorted by name, no name twice, no empty value.
  static Labels FromSorted(std::span<const LabelView> labels);

  // RETURNS: the value, or "" when the label is absent.
  std::string_view Get(std::string_view name) const;
  bool Has(std::string_view name) const { return !Get(name).empty(); }
  // Sets, replaces, or (empty value) removes a label.
  void Set(std::string_view name, std::string_view value);
  void Remove(std::string_view name);

  size_t size() const;
  bool empty() const { return encoded_.empty(); }
  Iterator begin() const { return Iterator(encoded_.data()); }
  Iterator end() const { return Iterator(encoded_.data() + encoded_.size()); }
  // RETURNS: memory beyond the object itself.
  size_t HeapBytes() const;

  // RETURNS: `name{a="b", c="d"}` as Prometheus prints metrics; names that need quotes get them.
  std::string ToString() const;
  // RETURNS: xxhash64 over Prometheus's stringlabels encoding (semantics 1.6).
  uint64_t Hash() const;
  // Pairwise name then value in byte order; a strict prefix sorts first (labels.Compare).
  static int Compare(const Labels& a, const Labels& b);
  friend bool operator==(const Labels&, const Labels&) = default;
  friend bool operator<(const Labels& a, const Labels& b) { return Compare(a, b) < 0; }

 private:
  void Append(std::string_view name, std::string_view value);

  // Name and value in turn, each behind its length: Prometheus's stringlabels encoding, which Hash() is of.
  std::string encoded_;
};

// RETURNS: whether `name` can be written without quotes as a label name / as a metric name.
bool IsLegacyLabelName(std::string_view name);
bool IsLegacyMetricName(std::string_view name);
// RETURNS: the bytes of the well-formed UTF-8 sequence at the start of `text` (not empty), 0 when it is malformed; `rune` gets
// its code point.
size_t DecodeRune(std::string_view text, uint32_t* rune);
// RETURNS: whether `text` is well-formed UTF-8.
bool IsValidUtf8(std::string_view text);
// RETURNS: `text` as a Go double-quoted string literal (strconv.Quote).
std::string GoQuote(std::string_view text);

}  // namespace weir
