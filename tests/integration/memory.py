#!/usr/bin/env python3
"""A real weir under a small limits.memory, a flood of new series, and windows that fill beyond it.

Resident memory never passes the limit; new series are refused and counted; the least important rule is slowed and stopped and says so;
the alert that pages fires all the same; when the flood is over everything comes back. A source and a rule have budgets of their own.
Nothing but weir is needed; takes about three minutes. Exit status: 0 passed, 1 failed. Ends with
`memory: N passed, N failed, N skipped`.
"""
import argparse
import http.client
import os
import struct
import sys
import tempfile
import time

from native_exporter import double, integer, message, text, varint
from processes import Checks, api, fetch, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT_MIB = 120
STEADY_SERIES = 20000
STEADY_SAMPLES = 4  # of each series a second
FLOOD_SERIES_A_SECOND = 40000
SERIES_A_REQUEST = 4000

RULES = """groups:
  - name: junk
    interval: 1s
    rules:
      - record: junk:p90
        expr: quantile_over_time(0.9, steady[3m])
  - name: work
    interval: 1s
    rules:
      - record: flood:count
        expr: count(flood)
  - name: page
    interval: 1s
    rules:
      - alert: Down
        expr: heartbeat == 0
      - record: greedy
        expr: max_over_time(limited[1h])
"""
CONFIG = """rule_files: [rules.yml]
listen: 127.0.0.1:{port}
evaluation: {{lateness: 200ms, lookback: 10s}}
sources:
  - remote_write: {{}}
  - remote_write: {{path: /limited, max_series: 100}}
limits: {{memory: {limit}MiB, rule_memory: 200MiB, body_bytes: 1MiB}}
overrides:
  - {{group: junk, importance: 10}}
  - {{record: greedy, memory: 8KiB}}
sinks: [{{file: {{path: results.jsonl, samples: false}}}}]
"""


def series(labels, t_ms, value, samples=1):
    """RETURNS: one TimeSeries of a WriteRequest; its samples are a millisecond apart."""
    pairs = b"".join(message(1, text(1, name) + text(2, label)) for name, label in sorted(labels.items()))
    return message(1, pairs + b"".join(message(2, double(1, value) + integer(2, t_ms + i)) for i in range(samples)))


def snappy(data):
    """RETURNS: the block format, nothing compressed."""
    out = [varint(len(data))]
    for at in range(0, len(data), 65536):
        chunk = data[at:at + 65536]
        out.append(b"\xf4" + struct.pack("<H", len(chunk) - 1) + chunk)
    return b"".join(out)


def now_ms():
    return int(time.time() * 1000)


class Suite(Checks):
    def __init__(self, weir, folder):
        super().__init__(folder)
        self.weir = weir
        self.port = free_port()
        self.floods = 0
        self.steady = None
        self.steady_ms = 0

    def post(self, data, path="/api/v1/write"):
        """RETURNS: status and text of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", path, snappy(data), {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                                                        "X-Prometheus-Remote-Write-Version": "0.1.0"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def metrics(self):
        """RETURNS: name with labels to value."""
        found = {}
        for line in fetch(f"http://127.0.0.1:{self.port}/metrics").decode().splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def rule(self, name):
        for group in api(self.port, "rules")["groups"]:
            for rule in group["rules"]:
                if rule["name"] == name:
                    return {**rule, "interval": group["interval"]}
        return {}

    def memory_mib(self, what):
        with open(f"/proc/{self.processes.running['weir'].pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(what + ":")) / 1024

    def heartbeat(self, value):
        return self.post(series({"__name__": "heartbeat", "job": "page"}, now_ms(), value))

    def send_steady(self):
        """The same series with another time: the time is always as long, so its bytes are replaced."""
        t_ms = now_ms()
        if self.steady is None:
            self.steady = [b"".join(series({"__name__": "steady", "job": "steady", "pod": f"steady-{i:06}"}, t_ms, i, STEADY_SAMPLES)
                                    for i in range(begin, begin + SERIES_A_REQUEST))
                           for begin in range(0, STEADY_SERIES, SERIES_A_REQUEST)]
        else:
            for i in range(STEADY_SAMPLES):
                before, now = b"\x10" + varint(self.steady_ms + i), b"\x10" + varint(t_ms + i)
                self.steady = [body.replace(before, now) for body in self.steady]
        self.steady_ms = t_ms
        return [self.post(body) for body in self.steady][-1]

    def send_flood(self, count):
        t_ms = now_ms()
        end = self.floods + count
        while self.floods < end:
            begin, self.floods = self.floods, min(end, self.floods + SERIES_A_REQUEST)
            answer = self.post(b"".join(series({"__name__": "flood", "job": "flood", "pod": f"flood-{i:09}-of-many"}, t_ms, 1)
                                        for i in range(begin, self.floods)))
        return answer

    def second(self, flood, steady, heartbeat=1):
        started = time.monotonic()
        self.heartbeat(heartbeat)
        answers = []
        if steady:
            answers.append(self.send_steady())
        if flood:
            answers.append(self.send_flood(flood))
        time.sleep(max(0, 1 - (time.monotonic() - started)))
        return answers

    def until(self, what, done, seconds, **load):
        """Lets seconds pass until done(). RETURNS: whether that came; how long it took is shown."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            self.second(**load)
            if done():
                print(f"     {time.monotonic() - started:.0f} s, {self.memory_mib('VmRSS'):.0f} MiB until {what}")
                return True
        return False

    def budgets(self):
        status, text = self.post(b"".join(series({"__name__": "limited", "i": str(i)}, now_ms(), 1) for i in range(150)), "/limited")
        self.check("a source brings as many series as its budget allows, and says so",
                   status == 400 and "max_series" in text and "(50 rejected, 100 stored)" in text, f"{status} {text}")
        self.check("another source may bring more", self.post(series({"__name__": "limited", "i": "200"}, now_ms(), 1))[0] == 204)
        time.sleep(2)
        metrics = self.metrics()
        self.check("the share of a source is shown, and what was refused beyond it",
                   metrics['weir_source_series{source="remote_write#2"}'] == 100 and
                   metrics['weir_source_over_budget_samples_total{source="remote_write#2"}'] == 50 and
                   metrics['weir_source_over_budget_samples_total{source="remote_write"}'] == 0)
        greedy = self.rule("greedy")
        self.check("a rule over its own budget is stopped and says why",
                   greedy["health"] == "err" and "is over its budget of 8 KiB; tried again at" in greedy["lastError"], str(greedy))
        self.check("a rule that is stopped for its budget is counted", metrics['weir_rules_stopped{reason="budget"}'] == 1)

    def flood(self):
        stopped = lambda: self.rule("junk:p90").get("health") == "err"
        self.check("the flood is refused before the limit is reached",
                   self.until("new series are refused", lambda: self.metrics()["weir_memory_short"] == 1, 30,
                              flood=FLOOD_SERIES_A_SECOND, steady=True))
        self.check("known series go on, new ones are told why",
                   self.second(FLOOD_SERIES_A_SECOND, True)[0][0] == 204 and
                   "memory is near its limit: new series are refused" in self.send_flood(10)[1])
        self.check("the least important group is evaluated less often",
                   self.until("junk is slowed", lambda: self.rule("junk:p90").get("interval", 1) > 1 or stopped(), 90, flood=1000,
                              steady=True))
        self.check("the least important rule stops", self.until("junk stops", stopped, 120, flood=1000, steady=True))
        junk = self.rule("junk:p90")
        metrics = self.metrics()
        self.check("a rule that is stopped says why", "stopped: memory is near its limit (" in junk["lastError"] and
                   junk["importance"] == 10 and any("in place of 1s" in text for text in junk.get("warnings", [])), str(junk))
        self.check("what gave way is counted", metrics['weir_rules_stopped{reason="memory"}'] == 1 and
                   metrics["weir_rule_groups_slowed"] == 1 and metrics['weir_rule_group_stopped_rules{rule_group="rules.yml;junk"}'] == 1)
        self.check("what was refused is counted", metrics['weir_ingest_samples_total{outcome="memory_short"}'] > 0,
                   str({name: value for name, value in metrics.items() if name.startswith("weir_ingest_samples_total")}))
        firing = lambda: any(a["labels"]["alertname"] == "Down" and a["state"] == "firing" for a in api(self.port, "alerts")["alerts"])
        self.check("the alert that pages fires meanwhile", self.until("it fires", firing, 10, flood=1000, steady=True, heartbeat=0))
        others = [self.rule(name) for name in ("flood:count", "Down")]
        self.check("what is more important runs on", [rule["health"] for rule in others] == ["ok", "ok"], str(others))

    def recovery(self):
        whole = lambda: (self.rule("junk:p90")["health"] == "ok" and self.rule("junk:p90")["interval"] == 1 and
                         self.metrics()["weir_memory_short"] == 0)
        self.check("when the flood is over everything comes back", self.until("all is back", whole, 200, flood=0, steady=False),
                   f"{self.memory_mib('VmRSS'):.0f} MiB; {self.rule('junk:p90')}")
        metrics = self.metrics()
        self.check("nothing is slowed or stopped for memory",
                   metrics['weir_rules_stopped{reason="memory"}'] == 0 and metrics["weir_rule_groups_slowed"] == 0)
        self.check("new series are taken in again", self.send_flood(10)[0] == 204)
        recorded = self.until("junk is recorded", lambda: self.rule("junk:p90")["stateBytes"] > 1000000, 20, flood=0, steady=True)
        self.check("the rule has state again", recorded)

    def run(self):
        self.write("rules.yml", RULES)
        self.write("weir.yml", CONFIG.format(port=self.port, limit=LIMIT_MIB))
        process = self.processes.start("weir", [self.weir, "run", "--config", "weir.yml"], ready_url=f"http://127.0.0.1:{self.port}/-/ready")
        self.budgets()
        self.flood()
        self.recovery()
        peak = self.memory_mib("VmHWM")
        self.check(f"resident memory never passed the limit of {LIMIT_MIB} MiB", peak <= LIMIT_MIB, f"{peak:.1f} MiB")
        refused = self.metrics()['weir_ingest_samples_total{outcome="memory_short"}']
        print(f"     peak {peak:.1f} MiB of {LIMIT_MIB} MiB; {self.floods} series in the flood, "
              f"{refused:.0f} samples refused")
        self.check("it still runs", process.poll() is None)
        self.check("SIGTERM ends in order with exit 0", self.processes.stop("weir") == 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=os.path.join(ROOT, "build", "weir"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-memory-") as folder:
        suite = Suite(os.path.abspath(arguments.weir), folder)
        try:
            suite.run()
        except (OSError, RuntimeError, ValueError, KeyError, http.client.HTTPException) as error:
            suite.check("the test runs to its end", False, repr(error))
            print(suite.processes.log_tail("weir", 30))
        suite.processes.stop_all()
    print(f"memory: {suite.passed} passed, {suite.failed} failed, 0 skipped")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
