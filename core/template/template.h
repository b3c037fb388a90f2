#pragma once
// The Go text/template subset of rule labels and annotations, with every function Prometheus offers there (semantics
// 7). A text is parsed once, when its rule loads, and expanded at every evaluation of an active alert. The standard
// definitions of $labels, $externalLabels, $externalURL and $value stand in front of every text, so columns in
// messages are those that Prometheus prints. Templates are immutable and safe to share between threads; an expansion
// is bounded in output, steps and depth by the limits below, whatever the text says.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/model/labels.h"

namespace weir::tmpl {

inline constexpr size_t kTemplateBytesMax = 1 << 20;  // text of one template
inline constexpr size_t kOutputBytesMax = 1 << 20;    // one expansion, and any one string made on the way
inline constexpr size_t kStepsMax = 1000000;          // nodes evaluated by one expansion, loops included
inline constexpr int kParseDepthMax = 100;            // nested actions and parentheses
inline constexpr int kTemplateDepthMax = 100;         // {{template}} calls within each other

// What a template sees: `.Labels`, `.ExternalLabels`, `.ExternalURL`, `.Value`.
struct TemplateData {
  Labels labels;  // of the result element, __name__ included
  Labels external_labels;
  std::string external_url;  // "http://host:9797/prefix"
  double value = 0;
};

// One element of what `query` returns. A scalar is one element without labels; a string result is one element with the
// text in the label __value__.
struct QueryResult {
  Labels labels;
  double value = 0;
};

// Evaluates an instant expression at `ts_ms` for the function `query`. May be empty: `query` is an error then.
using QueryFn = std::function<Result<std::vector<QueryResult>>(const std::string& expr, int64_t ts_ms)>;

class Template {
 public:
  // ERRORS: kInvalid, `error parsing template __alert_X: template: __alert_X:1: function "foo" not defined`.
  static Result<Template> Parse(std::string name, std::string_view text);

  // RETURNS: the text. ERRORS: kInvalid (the template's fault), kLimit (a bound of this file), or the code of a failed
  // query; message `error executing template NAME: template: NAME:1:COL: executing "NAME" at <…>: …`.
  Result<std::string> Expand(const TemplateData& data, int64_t ts_ms, const QueryFn& query) const;

  const std::string& name() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;  // shared by copies of one template; never changed after Parse
};

// Checks a text as rule loading does. ERRORS: kInvalid, `template: NAME:1: …`.
Status TestParse(std::string name, std::string_view text);

// The text that stands in place of a value whose expansion failed: `<error expanding template: …>`.
std::string ExpansionErrorText(const Status& status);

}  // namespace weir::tmpl
