-- Prints alerts for people: one line when an alert fires, one when it is resolved.
--
--   sinks:
--     - lua: {script: lua/receivers/console.lua, config: {labels: "instance,gpu"}}
--
-- config:
--   labels       names of the labels to show, with commas between them; without it all but alertname and severity
--   description  "true" shows the description in a second line

local M = {}

local STYLES = {critical = "red", error = "red", page = "red", warning = "yellow", info = ""}

function M.on_start(cfg)
  for name in pairs(cfg) do
    if name ~= "labels" and name ~= "description" then
      error("unknown config " .. name .. "; known are labels, description")
    end
  end
  if cfg.labels then
    M.labels = {}
    for name in cfg.labels:gmatch("[^,%s]+") do M.labels[#M.labels + 1] = name end
  end
  M.description = cfg.description == "true"
end

local function sorted_names(labels)
  local names = {}
  for name in pairs(labels) do
    if name ~= "alertname" and name ~= "severity" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function label_text(labels)
  local parts = {}
  for _, name in ipairs(M.labels or sorted_names(labels)) do
    if labels[name] then parts[#parts + 1] = name .. "=" .. labels[name] end
  end
  return table.concat(parts, " ")
end

local function lasted(seconds)
  seconds = math.max(0, math.floor(seconds))
  if seconds < 60 then return seconds .. "s" end
  if seconds < 3600 then return ("%dm %ds"):format(seconds / 60, seconds % 60) end
  return ("%dh %dm"):format(seconds / 3600, seconds % 3600 / 60)
end

function M.on_alert(alert)
  local firing = alert.status == "firing"
  local labels, annotations = alert.labels, alert.annotations
  local parts = {
    weir.time.format(firing and alert.starts_at or alert.ends_at, "%H:%M:%S"),
    firing and "FIRING  " or "RESOLVED",
    ("%-8s"):format(labels.severity or "-"),
    labels.alertname or "?",
  }
  local shown = label_text(labels)
  if shown ~= "" then parts[#parts + 1] = "{" .. shown .. "}" end
  local summary = annotations.summary or annotations.message or annotations.description
  if summary then parts[#parts + 1] = "- " .. summary end
  if not firing then parts[#parts + 1] = "(after " .. lasted(alert.ends_at - alert.starts_at) .. ")" end
  weir.console.write(table.concat(parts, " "), firing and (STYLES[labels.severity] or "yellow") or "green")
  if M.description and firing and annotations.description and annotations.description ~= summary then
    weir.console.write("         " .. annotations.description, "dim")
  end
  return "ok"
end

return M
