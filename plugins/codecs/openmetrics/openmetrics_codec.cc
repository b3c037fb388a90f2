// The `openmetrics` codec: text exposition (OpenMetrics 1.0 or the Prometheus text format) whose samples carry timestamps,
// as recordings do. Comments, units, exemplars and `# EOF` are skipped. Times are seconds as in OpenMetrics, or
// milliseconds as in the Prometheus format when that large. A line that cannot be read is counted and costs only itself.

#include <charconv>
#include <cmath>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/plugin/plugin.h"
#include "plugins/codecs/batch_builder.h"

namespace weir::plugin {

namespace {

constexpr size_t kQuotedBytesMax = 64;

std::string Quoted(std::string_view text) {
  return '"' + std::string(text.substr(0, kQuotedBytesMax)) + (text.size() > kQuotedBytesMax ? "…\"" : "\"");
}

// One sample line: name or {"name", …}, labels, value, timestamp. A cursor over the line; the first error stays.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  // RETURNS: false and fills error() when the line is not a sample with a timestamp.
  bool Read(std::vector<Label>* labels, int64_t* t_ms, double* v) {
    labels->clear();
    SkipSpace();
    size_t name_end = std::min(rest_.find_first_of("{ \t"), rest_.size());
    if (name_end > 0) {
      std::string_view name = rest_.substr(0, name_end);
      if (!IsLegacyMetricName(name)) {
        return Fail("not a metric name: " + Quoted(name));
      }
      labels->push_back({std::string(kMetricName), std::string(name)});
      rest_.remove_prefix(name_end);
    }
    SkipSpace();
    if (Take('{') && !ReadLabels(labels)) {
      return false;
    }
    if (labels->empty()) {
      return Fail("there is no metric name");
    }
    std::string_view value = Word(), time = Word();
    if (!ParseNumber(value, v)) {
      return Fail("the value is not a number: " + Quoted(value));
    }
    double number = 0;
    if (time.empty() || time == "#") {
      return Fail("the sample has no timestamp");
    }
    if (!ParseNumber(time, &number) || !EpochToMs(number, t_ms)) {
      return Fail("the timestamp is neither seconds nor milliseconds: " + Quoted(time));
    }
    SkipSpace();
    if (!rest_.empty() && rest_.front() != '#') {
      return Fail("text after the timestamp: " + Quoted(rest_));
    }
    return true;
  }
  const std::string& error() const { return error_; }

 private:
  bool ReadLabels(std::vector<Label>* labels) {
    while (true) {
      SkipSpace();
      if (Take('}')) {
        return true;
      }
      std::string name;
      bool quoted = !rest_.empty() && rest_.front() == '"';
      if (quoted) {
        if (!ReadQuoted(&name)) {
          return false;
        }
      } else {
        size_t end = std::min(rest_.find_first_of("= \t,}\""), rest_.size());
        name = rest_.substr(0, end);
        rest_.remove_prefix(end);
        if (!IsLegacyLabelName(name)) {
          return Fail("not a label name: " + Quoted(name));
        }
      }
      SkipSpace();
      if (Take('=')) {
        SkipSpace();
        std::string value;
        if (!ReadQuoted(&value)) {
          return false;
        }
        if (!value.empty()) {
          labels->push_back({std::move(name), std::move(value)});
        }
      } else if (quoted) {
        // A quoted name without a value is the metric name in its UTF-8 form.
        labels->push_back({std::string(kMetricName), std::move(name)});
      } else {
        return Fail("want = after the label name " + Quoted(name));
      }
      SkipSpace();
      if (!Take(',') && (rest_.empty() || rest_.front() != '}')) {
        return Fail("want , or } after a label");
      }
    }
  }

  bool ReadQuoted(std::string* out) {
    if (!Take('"')) {
      return Fail("want \" at " + Quoted(rest_));
    }
    while (!rest_.empty() && rest_.front() != '"') {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '\\') {
        if (rest_.empty()) {
          break;
        }
        c = rest_.front() == 'n' ? '\n' : rest_.front();
        rest_.remove_prefix(1);
      }
      out->push_back(c);
    }
    return Take('"') || Fail("a quoted text does not end");
  }

  static bool ParseNumber(std::string_view text, double* v) {
    bool plus = !text.empty() && text.front() == '+';
    if (plus) {
      text.remove_prefix(1);
    }
    auto end = std::from_chars(text.data(), text.data() + text.size(), *v);
    if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size() ||
        (plus && text.front() == '-')) {
      return false;
    }
    if (std::isnan(*v)) {
      *v = NormalNaN();
    }
    return true;
  }

  void SkipSpace() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view Word() {
    SkipSpace();
    size_t end = std::min(rest_.find_first_of(" \t"), rest_.size());
    std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return word;
  }
  bool Fail(std::string what) {
    error_ = std::move(what);
    return false;
  }

  std::string_view rest_;
  std::string error_;
};

class OpenMetricsCodec final : public Codec {
 public:
  Status Decode(std::string_view payload, SampleBatch* batch) const override {
    BatchBuilder builder(batch);
    std::vector<Label> labels;
    for (std::string_view rest = payload; !rest.empty();) {
      size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      builder.NextRecord();  // records are lines, so messages name the line
      if (!line.empty() && line.back() == '\r') {
        line.remove_suffix(1);
      }
      size_t first = line.find_first_not_of(" \t");
      if (first == std::string_view::npos || line[first] == '#') {
        continue;
      }
      LineReader reader(line);
      int64_t t_ms = 0;
      double v = 0;
      if (reader.Read(&labels, &t_ms, &v)) {
        builder.Add(&labels, t_ms, v);
      } else {
        builder.Bad(reader.error());
      }
    }
    return builder.Finish();
  }
};

std::unique_ptr<Codec> MakeOpenMetrics(const OptionValues&) { return std::make_unique<OpenMetricsCodec>(); }

}  // namespace

extern const Plugin openmetrics_codec;
const Plugin openmetrics_codec = {
    .kind = PluginKind::kCodec,
    .name = "openmetrics",
    .help = "OpenMetrics or Prometheus text whose samples carry timestamps.",
    .options = {},
    .make_codec = MakeOpenMetrics,
};

}  // namespace weir::plugin
