// The `json` codec: records as prometheus-kafka-adapter writes them,
//   {"timestamp": "2024-01-02T03:04:05Z", "value": "1.5", "name": "up", "labels": {"job": "a"}}
// one to a payload, one to a line, or in an array. The adapter cuts times to whole seconds and flattens stale markers to an
// ordinary NaN; neither can be mended here. simdjson is included by this file only.

#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

#include "core/plugin/plugin.h"
#include "plugins/codecs/batch_builder.h"

namespace weir::plugin {

namespace {

namespace dom = simdjson::dom;

constexpr size_t kQuotedBytesMax = 64;  // of an offending value in a message

std::string Quoted(std::string_view text) {
  return '"' + std::string(text.substr(0, kQuotedBytesMax)) + (text.size() > kQuotedBytesMax ? "…\"" : "\"");
}

bool ParseDigits(std::string_view* text, size_t count, int* out) {
  if (text->size() < count) {
    return false;
  }
  auto end = std::from_chars(text->data(), text->data() + count, *out);
  if (end.ec != std::errc() || end.ptr != text->data() + count || *out < 0) {
    return false;
  }
  text->remove_prefix(count);
  return true;
}

bool Skip(std::string_view* text, std::string_view any_of) {
  if (text->empty() || any_of.find(text->front()) == std::string_view::npos) {
    return false;
  }
  text->remove_prefix(1);
  return true;
}

// RFC 3339 with any number of decimals, which are cut to milliseconds.
bool ParseRfc3339(std::string_view text, int64_t* t_ms) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!ParseDigits(&text, 4, &year) || !Skip(&text, "-") || !ParseDigits(&text, 2, &month) || !Skip(&text, "-") ||
      !ParseDigits(&text, 2, &day) || !Skip(&text, "Tt ") || !ParseDigits(&text, 2, &hour) || !Skip(&text, ":") ||
      !ParseDigits(&text, 2, &minute) || !Skip(&text, ":") || !ParseDigits(&text, 2, &second)) {
    return false;
  }
  int64_t fraction_ms = 0;
  if (Skip(&text, ".")) {
    int64_t unit = 100;
    size_t digits = 0;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), ++digits) {
      fraction_ms += unit * (text.front() - '0');
      unit /= 10;
    }
    if (digits == 0) {
      return false;
    }
  }
  int offset_minutes = 0;
  if (!Skip(&text, "Zz")) {
    int sign = !text.empty() && text.front() == '-' ? -1 : 1;
    int offset_hour = 0, offset_minute = 0;
    if (!Skip(&text, "+-") || !ParseDigits(&text, 2, &offset_hour) || !Skip(&text, ":") ||
        !ParseDigits(&text, 2, &offset_minute)) {
      return false;
    }
    offset_minutes = sign * (offset_hour * 60 + offset_minute);
  }
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!text.empty() || !date.ok() || hour > 23 || minute > 59 || second > 60) {
    return false;
  }
  int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  *t_ms = (((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second) * 1000 + fraction_ms;
  return true;
}

// A decimal number, NaN, or ±Inf in any of the spellings in use.
bool ParseValue(std::string_view text, double* v) {
  bool plus = !text.empty() && text.front() == '+';
  if (plus) {
    text.remove_prefix(1);
  }
  auto end = std::from_chars(text.data(), text.data() + text.size(), *v);
  if (text.empty() || end.ptr != text.data() + text.size() || (plus && text.front() == '-')) {
    return false;
  }
  if (end.ec == std::errc::result_out_of_range) {
    return false;
  }
  if (end.ec == std::errc() && std::isnan(*v)) {
    *v = NormalNaN();
  }
  return end.ec == std::errc();
}

class RecordReader {
 public:
  explicit RecordReader(BatchBuilder* builder) : builder_(*builder) {}

  // Reads one record, or every record of an array.
  void Read(dom::element element) {
    dom::array array;
    if (element.get(array) != simdjson::SUCCESS) {
      ReadRecord(element);
      return;
    }
    for (dom::element inner : array) {
      ReadRecord(inner);
    }
  }

 private:
  void ReadRecord(dom::element element) {
    builder_.NextRecord();
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS) {
      builder_.Bad("want an object");
      return;
    }
    int64_t t_ms = 0;
    double v = 0;
    if (ReadTime(object, &t_ms) && ReadValue(object, &v) && ReadLabels(object)) {
      builder_.Add(&labels_, t_ms, v);
    }
  }

  bool ReadTime(dom::object object, int64_t* t_ms) {
    dom::element element;
    if (object["timestamp"].get(element) != simdjson::SUCCESS) {
      builder_.Bad("\"timestamp\" is missing");
      return false;
    }
    double number = 0;
    if (std::string_view text; element.get(text) == simdjson::SUCCESS) {
      if (ParseRfc3339(text, t_ms) || (ParseValue(text, &number) && EpochToMs(number, t_ms))) {
        return true;
      }
      builder_.Bad("\"timestamp\" is neither RFC 3339 nor epoch seconds or milliseconds: " + Quoted(text));
      return false;
    }
    if (element.get(number) == simdjson::SUCCESS && EpochToMs(number, t_ms)) {
      return true;
    }
    builder_.Bad("\"timestamp\" is not a time: " + Quoted(simdjson::minify(element)));
    return false;
  }

  bool ReadValue(dom::object object, double* v) {
    dom::element element;
    if (object["value"].get(element) != simdjson::SUCCESS) {
      builder_.Bad("\"value\" is missing");
      return false;
    }
    if (element.get(*v) == simdjson::SUCCESS) {
      return true;
    }
    if (std::string_view text; element.get(text) == simdjson::SUCCESS && ParseValue(text, v)) {
      return true;
    }
    builder_.Bad("\"value\" is not a number: " + Quoted(simdjson::minify(element)));
    return false;
  }

  // RETURNS: whether labels_ holds a usable set, the metric name among them.
  bool ReadLabels(dom::object object) {
    labels_.clear();
    std::string_view name;
    dom::element element;
    if (object["name"].get(element) == simdjson::SUCCESS && element.get(name) != simdjson::SUCCESS) {
      builder_.Bad("\"name\" is not a string: " + Quoted(simdjson::minify(element)));
      return false;
    }
    if (!name.empty()) {
      labels_.push_back({std::string(kMetricName), std::string(name)});
    }
    if (object["labels"].get(element) == simdjson::SUCCESS && !element.is_null() &&
        !ReadLabelObject(element, !name.empty())) {
      return false;
    }
    if (std::none_of(labels_.begin(), labels_.end(), [](const Label& label) { return label.name == kMetricName; })) {
      builder_.Bad("there is no metric name: neither \"name\" nor the label \"__name__\"");
      return false;
    }
    return true;
  }

  // The adapter repeats the metric name among the labels; an empty label is no label.
  bool ReadLabelObject(dom::element element, bool has_name) {
    dom::object labels;
    if (element.get(labels) != simdjson::SUCCESS) {
      builder_.Bad("\"labels\" is not an object: " + Quoted(simdjson::minify(element)));
      return false;
    }
    for (auto field : labels) {
      std::string_view value;
      if (field.value.get(value) != simdjson::SUCCESS) {
        builder_.Bad("label " + Quoted(field.key) + " is not a string: " + Quoted(simdjson::minify(field.value)));
        return false;
      }
      if (!value.empty() && !(has_name && field.key == kMetricName)) {
        labels_.push_back({std::string(field.key), std::string(value)});
      }
    }
    return true;
  }

  BatchBuilder& builder_;
  std::vector<Label> labels_;
};

class JsonCodec final : public Codec {
 public:
  Status Decode(std::string_view payload, SampleBatch* batch) const override {
    BatchBuilder builder(batch);
    RecordReader reader(&builder);
    simdjson::padded_string padded(payload);
    dom::parser parser;
    dom::element root;
    // One document first: it may span lines. If that fails and there are lines, each is a document and a bad one costs only itself.
    simdjson::error_code error = parser.parse(padded).get(root);
    if (error == simdjson::SUCCESS) {
      reader.Read(root);
      return builder.Finish();
    }
    std::string_view rest(padded.data(), padded.size());
    if (rest.find('\n') == std::string_view::npos) {
      builder.NextRecord();
      builder.Bad(std::string("not JSON: ") + simdjson::error_message(error));
      return builder.Finish();
    }
    while (!rest.empty()) {
      size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) {
        continue;
      }
      // The line lies in the padded copy, so the parser may read past its end without copying it again.
      error = parser.parse(line.data(), line.size(), false).get(root);
      if (error == simdjson::SUCCESS) {
        reader.Read(root);
      } else {
        builder.NextRecord();
        builder.Bad(std::string("not JSON: ") + simdjson::error_message(error));
      }
    }
    return builder.Finish();
  }
};

std::unique_ptr<Codec> MakeJson(const OptionValues&) { return std::make_unique<JsonCodec>(); }

}  // namespace

extern const Plugin json_codec;
const Plugin json_codec = {
    .kind = PluginKind::kCodec,
    .name = "json",
    .help = "Samples as JSON in the form of prometheus-kafka-adapter: one record, one a line, or an array.",
    .options = {},
    .make_codec = MakeJson,
};

}  // namespace weir::plugin
