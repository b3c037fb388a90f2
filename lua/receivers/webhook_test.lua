-- Cases for webhook.lua: `answers` are given to its requests in order, `calls` are the requests it must have made.
local firing = {
  status = "firing", value = 2.5, starts_at = 1643114203, ends_at = 1643114443, generator_url = "http://weir.example/graph",
  labels = {alertname = "Down", job = "db"}, annotations = {summary = "db is down"},
}
local resolved = {
  status = "resolved", value = 0, starts_at = 1643114203, ends_at = 1643114443, generator_url = "",
  labels = {alertname = "Down", job = "db"}, annotations = {},
}
local url = "https://hook.example.org/alerts"
local config = {url = url}

return {
  script = "webhook.lua",
  cases = {
    {name = "a firing alert is posted", config = config, events = {firing}, answers = {{status = 200}}, outcome = "ok",
     calls = {{method = "POST", url = url, headers = {["Content-Type"] = "application/json", ["Idempotency-Key"] = "test-1"},
       body = {'"version":"4"', '"status":"firing"', '"startsAt":"2022-01-25T12:36:43Z"', '"endsAt":"1970-01-01T00:00:00Z"',
               '"labels":{"alertname":"Down","job":"db"}', '"commonAnnotations":{"summary":"db is down"}', '"receiver":"test"',
               '"generatorURL":"http://weir.example/graph"'}}}},
    {name = "a resolved alert has an end", config = config, events = {resolved}, answers = {{status = 204}}, outcome = "ok",
     calls = {{method = "POST", url = url, body = {'"status":"resolved"', '"endsAt":"2022-01-25T12:40:43Z"', '"annotations":{}'}}}},
    {name = "a 503 is tried again", config = config, events = {firing}, answers = {{status = 503}}, outcome = "retry", why = "HTTP 503"},
    {name = "a 429 is tried again when the server says", config = config, events = {firing},
     answers = {{status = 429, retry_after = "120"}}, outcome = "retry", why = "HTTP 429", after = 120},
    {name = "no answer is tried again", config = config, events = {firing}, answers = {{status = 0, error = "connection refused"}},
     outcome = "retry", why = "connection refused"},
    {name = "a 400 is given up", config = config, events = {firing}, answers = {{status = 400}}, outcome = "drop", why = "HTTP 400"},
    {name = "without url it does not load", config = {}, load_error = "config url is missing"},
    {name = "a bad timeout does not load", config = {url = url, timeout = "soon"}, load_error = "config timeout: want seconds, got soon"},
  },
}
