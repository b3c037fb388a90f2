"""What two Prometheus-compatible servers say about the same rules, compared sample by sample and alert by alert."""
import datetime
import math
import re
import threading
import time

from processes import api

RESULTS = '{__name__=~".+:.+|ALERTS|ALERTS_FOR_STATE"}'


def results_via(path):
    """RETURNS: the selector of what the rules wrote by one path; the direct one has no `via` label."""
    return RESULTS[:-1] + f',via="{path}"}}'


def key_of(labels, without=()):
    return tuple(sorted((name, value) for name, value in labels.items() if name not in without))


class Histogram:
    """A native histogram as the query API tells it."""

    def __init__(self, answer):
        self.count, self.sum = float(answer["count"]), float(answer["sum"])
        # (which ends belong to the bucket, lower bound, upper bound) -> count
        self.buckets = {(ends, float(lower), float(upper)): float(count)
                        for ends, lower, upper, count in answer.get("buckets", [])}

    def difference(self, other):
        """RETURNS: the largest relative difference of count, sum and buckets; infinite when the buckets are others."""
        if self.buckets.keys() != other.buckets.keys():
            return math.inf
        return max(difference(self.count, other.count), difference(self.sum, other.sum),
                   *(difference(count, other.buckets[bucket]) for bucket, count in self.buckets.items()))

    def __repr__(self):
        return f"{{count {self.count!r}, sum {self.sum!r}, buckets {self.buckets}}}"


def points_of(series):
    """RETURNS: {time in ms: float or Histogram} of one series of an API answer."""
    return {**{round(float(t) * 1000): float(v) for t, v in series.get("values", [])},
            **{round(float(t) * 1000): Histogram(h) for t, h in series.get("histograms", [])}}


def samples_of(port, selector, start_s, end_s, without=()):
    """RETURNS: {labels: {time in ms: value}} of the stored samples in (start, end]."""
    data = api(port, "query", {"query": f"{selector}[{math.ceil(end_s - start_s)}s]", "time": f"{end_s:.3f}"})
    return {key_of(s["metric"], without): points_of(s) for s in data["result"]}


def visible_of(port, selector, start_s, end_s, without=()):
    """RETURNS: the same on a one-second grid as a query sees it: what went stale is not there."""
    data = api(port, "query_range", {"query": selector, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": "1"})
    return {key_of(s["metric"], without): points_of(s) for s in data["result"]}


def difference(a, b):
    """RETURNS: the relative difference; NaN equals NaN, and a histogram no float."""
    if isinstance(a, Histogram) or isinstance(b, Histogram):
        return a.difference(b) if isinstance(a, Histogram) and isinstance(b, Histogram) else math.inf
    if a == b or (a != a and b != b):
        return 0.0
    if a != a or b != b or math.isinf(a) or math.isinf(b):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b))


def name_of(key):
    labels = dict(key)
    name = labels.pop("__name__", "")
    return name + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "}"


def compare_samples(expected, got, tolerance):
    """RETURNS: (samples compared, largest difference, [sentence a difference])."""
    problems, compared, worst = [], 0, 0.0
    for key in sorted(expected.keys() | got.keys()):
        mine, theirs = got.get(key, {}), expected.get(key, {})
        for t in sorted(mine.keys() | theirs.keys()):
            if t not in mine:
                problems.append(f"missing {name_of(key)} at {t}: expected {theirs[t]!r}")
            elif t not in theirs:
                problems.append(f"extra {name_of(key)} at {t}: got {mine[t]!r}")
            else:
                compared += 1
                d = difference(theirs[t], mine[t])
                worst = max(worst, d)
                if d > tolerance:
                    problems.append(f"{name_of(key)} at {t}: expected {theirs[t]!r}, got {mine[t]!r} ({d:.2e})")
    return compared, worst, problems


def milliseconds(rfc3339):
    match = re.match(r"(.*?)(\.\d+)?(Z|[+-]\d\d:\d\d)$", rfc3339)
    zone = match.group(3).replace("Z", "+00:00")
    whole = datetime.datetime.fromisoformat(match.group(1) + zone).timestamp()
    return round(whole) * 1000 + int(float(match.group(2) or "0") * 1000 + 1e-6)


class AlertWatch:
    """Polls /api/v1/rules of one server and keeps when each (rule, labels, state, activeAt) was first and last seen."""

    def __init__(self, port):
        self.port = port
        self.seen = {}
        self.longest_gap_s = 0.0  # between two answers: what lasted no longer may not have been seen
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.poll, daemon=True)
        self.thread.start()

    def poll(self):
        answered = time.time()
        while not self.stopping.wait(0.4):
            try:
                groups = api(self.port, "rules?type=alert")["groups"]
            except (OSError, RuntimeError, ValueError):
                continue
            now = time.time()
            self.longest_gap_s = max(self.longest_gap_s, now - answered)
            answered = now
            for group in groups:
                for rule in group["rules"]:
                    for alert in rule.get("alerts") or []:
                        entry = (group["name"], rule["name"], key_of(alert["labels"]), alert["state"],
                                 milliseconds(alert["activeAt"]))
                        first, _ = self.seen.get(entry, (now, now))
                        self.seen[entry] = (first, now)

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def lasting(self, start_s, end_s, at_least_s):
        """RETURNS: what was seen for a while, began after `start` and well before `end`."""
        return {entry for entry, (first, last) in self.seen.items()
                if last - first >= at_least_s and start_s < first < end_s and entry[4] > start_s * 1000}


def compare_alerts(expected, got, start_s, end_s):
    """What one side showed for two seconds, and for longer than the other was not looked at, the other must have shown at
    all. RETURNS: (count, [sentence])."""
    problems = []
    for mine, theirs, word in ((expected, got, "missing"), (got, expected, "extra")):
        for group, rule, labels, state, active_at in mine.lasting(start_s, end_s, max(2, theirs.longest_gap_s + 1)):
            if (group, rule, labels, state, active_at) not in theirs.seen:
                problems.append(f"{word} alert {group}/{rule} {name_of(labels)} {state} active since {active_at}")
    return len(expected.lasting(start_s, end_s, 2)), problems


def health_of(port):
    """RETURNS: {(group, position, rule): (health, has an error)}."""
    return {(group["file"].rsplit("/", 1)[-1], group["name"], position, rule["name"]):
            (rule["health"], bool(rule.get("lastError")))
            for group in api(port, "rules")["groups"] for position, rule in enumerate(group["rules"])}
