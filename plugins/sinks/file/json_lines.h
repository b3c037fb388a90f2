#pragma once
// The lines of the file sink: one JSON object a sample or an alert, keys in a fixed order, times in RFC 3339.

#include <string>

#include "core/plugin/plugin.h"

namespace weir::file {

// Appends `{"type":"sample","time":…,"group":…,"labels":{…},"value":"1.5"}` and a line break; a stale marker has
// "stale":true and no value, a native histogram "histogram":{…} as the query API writes it.
void AppendSampleLine(const plugin::ResultSample& sample, const std::string& group, const Labels& external_labels,
                      std::string* out);
// Appends `{"type":"alert","time":…,"status":"firing","labels":{…},"annotations":{…},"value":…,"starts_at":…,…}` and a
// line break.
void AppendAlertLine(const plugin::Alert& alert, int64_t tick_ms, std::string* out);

}  // namespace weir::file
