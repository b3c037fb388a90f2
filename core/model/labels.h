#pragma once
// Labels: an owned, sorted label set, for the slow paths (rule results, APIs, relabelling, templates). The
// engine keeps interned ids instead (model/symbols.h). A label with an empty value does not exist.

#include <cstdint>
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

class Labels {
 public:
  Labels() = default;
  // Sorts by name; drops empty values; of equal names the last one given wins.
  explicit Labels(std::vector<Label> labels);
  Labels(std::initializer_list<Label> labels) : Labels(std::vector<Label>(labels)) {}

  // RETURNS: the value, or "" when the label is absent.
  std::string_view Get(std::string_view name) const;
  bool Has(std::string_view name) const { return !Get(name).empty(); }
  // Sets, replaces, or (empty value) removes a label.
  void Set(std::string_view name, std::string_view value);
  void Remove(std::string_view name);

  size_t size() const { return labels_.size(); }
  bool empty() const { return labels_.empty(); }
  auto begin() const { return labels_.begin(); }
  auto end() const { return labels_.end(); }
  std::span<const Label> span() const { return labels_; }

  // RETURNS: `name{a="b", c="d"}` as Prometheus prints metrics; names that need quotes get them.
  std::string ToString() const;
  // RETURNS: xxhash64 over Prometheus's stringlabels encoding (semantics 1.6).
  uint64_t Hash() const;
  // Pairwise name then value in byte order; a strict prefix sorts first (labels.Compare).
  static int Compare(const Labels& a, const Labels& b);
  friend bool operator==(const Labels&, const Labels&) = default;
  friend bool operator<(const Labels& a, const Labels& b) { return Compare(a, b) < 0; }

 private:
  std::vector<Label> labels_;
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
