-- POSTs each alert as JSON in the form of Alertmanager's webhook (version 4), with one alert in it.
--
--   sinks:
--     - lua: {script: lua/receivers/webhook.lua, egress: [hook.example.org], config: {url: "https://hook.example.org/alerts"}}
--
-- config:
--   url      where to send; required
--   timeout  seconds to wait for the answer
--
-- Credentials are options of the sink (bearer_token_file, basic_password_file), so the script never sees them. Answers: 2xx is
-- done; none, 408, 429 and 5xx are tried again, honouring Retry-After; everything else is given up.

local M = {}

function M.on_start(cfg)
  for name in pairs(cfg) do
    if name ~= "url" and name ~= "timeout" then error("unknown config " .. name .. "; known are url, timeout") end
  end
  M.url = cfg.url or error("config url is missing")
  if cfg.timeout then
    M.timeout = tonumber(cfg.timeout) or error("config timeout: want seconds, got " .. cfg.timeout)
  end
end

local function rfc3339(t) return weir.time.format(t) end

function M.on_alert(alert)
  -- Labels and annotations are objects even when empty; weir.json writes empty tables so.
  local one = {
    status = alert.status,
    labels = alert.labels,
    annotations = alert.annotations,
    startsAt = rfc3339(alert.starts_at),
    endsAt = rfc3339(alert.status == "resolved" and alert.ends_at or 0),
    generatorURL = alert.generator_url,
    fingerprint = alert.fingerprint,
  }
  local response = weir.http.post{
    url = M.url,
    timeout = M.timeout,
    headers = {["Idempotency-Key"] = alert.id},
    json = {
      version = "4",
      groupKey = alert.fingerprint,
      truncatedAlerts = 0,
      status = alert.status,
      receiver = weir.receiver,
      groupLabels = {alertname = alert.labels.alertname},
      commonLabels = alert.labels,
      commonAnnotations = alert.annotations,
      externalURL = "",
      alerts = {one},
    },
  }
  return response:verdict()
end

return M
