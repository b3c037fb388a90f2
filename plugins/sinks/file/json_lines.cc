#include "plugins/sinks/file/json_lines.h"

#include "core/model/duration.h"
#include "core/model/histogram_buckets.h"
#include "core/model/json_text.h"

namespace weir::file {
namespace {

void AppendKey(std::string_view key, std::string* out) {
  *out += out->empty() || out->back() == '{' ? "\"" : ",\"";
  *out += key;
  *out += "\":";
}

void AppendText(std::string_view key, std::string_view text, std::string* out) {
  AppendKey(key, out);
  AppendJsonString(text, out);
}

void AppendLabels(std::string_view key, const Labels& labels, std::string* out) {
  AppendKey(key, out);
  out->push_back('{');
  bool first = true;
  for (const LabelView& label : labels) {
    *out += first ? "" : ",";
    first = false;
    AppendJsonString(label.name, out);
    out->push_back(':');
    AppendJsonString(label.value, out);
  }
  out->push_back('}');
}

// The form of the query API: {"count":"5","sum":"7.5","buckets":[[0,"1","2","5"]]}.
void AppendHistogram(std::string_view key, const FloatHistogram& h, std::string* out) {
  AppendKey(key, out);
  out->push_back('{');
  AppendText("count", FormatSampleValue(h.count), out);
  AppendText("sum", FormatSampleValue(h.sum), out);
  std::string_view before = ",\"buckets\":[[";
  for (BucketIterator it(h, BucketOrder::kAscending); it.Next();) {
    const Bucket& bucket = it.bucket();
    if (bucket.count == 0) {
      continue;
    }
    *out += before;
    before = ",[";
    *out += std::to_string(BoundsCode(bucket));
    for (const double v : {bucket.lower, bucket.upper, bucket.count}) {
      out->push_back(',');
      AppendJsonString(FormatSampleValue(v), out);
    }
    out->push_back(']');
  }
  *out += before == ",[" ? "]}" : "}";
}

}  // namespace

void AppendSampleLine(const plugin::ResultSample& sample, const std::string& group, const Labels& external_labels,
                      std::string* out) {
  *out += "{";
  AppendText("type", "sample", out);
  AppendText("time", FormatRfc3339(sample.t), out);
  AppendText("group", group, out);
  if (external_labels.empty()) {
    AppendLabels("labels", *sample.labels, out);
  } else {
    Labels labels = *sample.labels;
    for (const LabelView& label : external_labels) {
      if (!labels.Has(label.name)) {
        labels.Set(label.name, label.value);
      }
    }
    AppendLabels("labels", labels, out);
  }
  if (sample.h != nullptr) {
    AppendHistogram("histogram", *sample.h, out);
    *out += "}\n";
    return;
  }
  if (IsStaleNaN(sample.v)) {
    *out += ",\"stale\":true}\n";
    return;
  }
  AppendText("value", FormatSampleValue(sample.v), out);
  *out += "}\n";
}

void AppendAlertLine(const plugin::Alert& alert, int64_t tick_ms, std::string* out) {
  *out += "{";
  AppendText("type", "alert", out);
  AppendText("time", FormatRfc3339(tick_ms), out);
  AppendText("status", alert.resolved ? "resolved" : "firing", out);
  AppendLabels("labels", alert.labels, out);
  AppendLabels("annotations", alert.annotations, out);
  AppendText("value", FormatSampleValue(alert.value), out);
  AppendText("active_at", FormatRfc3339(alert.active_at_ms), out);
  AppendText("starts_at", FormatRfc3339(alert.starts_at_ms), out);
  AppendText("ends_at", FormatRfc3339(alert.ends_at_ms), out);
  AppendText("generator_url", alert.generator_url, out);
  *out += "}\n";
}

}  // namespace weir::file
