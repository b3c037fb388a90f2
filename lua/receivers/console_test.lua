-- Cases for console.lua: each alert in `events` is delivered to a fresh script; `console` is what it must print.
local firing = {
  status = "firing", value = 93, starts_at = 1643114203, ends_at = 1643114443,
  labels = {alertname = "GpuHot", severity = "critical", instance = "node-1:9400", gpu = "3"},
  annotations = {summary = "GPU 3 is at 93 C", description = "Check the fans."},
}
local resolved = {
  status = "resolved", value = 0, starts_at = 1643114203, ends_at = 1643118000,
  labels = {alertname = "GpuHot", severity = "warning", instance = "node-1:9400"}, annotations = {},
}

return {
  script = "console.lua",
  cases = {
    {name = "a firing alert is one red line", events = {firing}, outcome = "ok",
     console = {"red|12:36:43 FIRING   critical GpuHot {gpu=3 instance=node-1:9400} - GPU 3 is at 93 C"}},
    {name = "a resolved alert says how long it lasted", events = {resolved}, outcome = "ok",
     console = {"green|13:40:00 RESOLVED warning  GpuHot {instance=node-1:9400} (after 1h 3m)"}},
    {name = "labels can be chosen", config = {labels = "gpu, rack"}, events = {firing}, outcome = "ok",
     console = {"red|12:36:43 FIRING   critical GpuHot {gpu=3} - GPU 3 is at 93 C"}},
    {name = "the description is a second line", config = {labels = "gpu", description = "true"}, events = {firing}, outcome = "ok",
     console = {"red|12:36:43 FIRING   critical GpuHot {gpu=3} - GPU 3 is at 93 C", "dim|         Check the fans."}},
    {name = "control characters of label values do not reach the terminal", outcome = "ok",
     events = {{status = "firing", value = 1, starts_at = 0, ends_at = 0, labels = {alertname = "A", x = "\27[2Jgone\nline"}, annotations = {}}},
     console = {"yellow|00:00:00 FIRING   -        A {x= [2Jgone line}"}},
    {name = "an alert without anything", outcome = "ok",
     events = {{status = "firing", value = 1, starts_at = 0, ends_at = 0, labels = {}, annotations = {}}},
     console = {"yellow|00:00:00 FIRING   -        ?"}},
    {name = "unknown config is refused", config = {colour = "no"}, load_error = "unknown config colour; known are labels, description"},
  },
}
