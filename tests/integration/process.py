#!/usr/bin/env python3
"""The weir program as a user meets it: exit statuses, signals, reload, a recorded file replayed to its end.

Nothing but weir is needed. Exit status: 0 passed, 1 failed. Ends with `process: N passed, N failed, N skipped`.
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from processes import Checks, api, fetch, free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

RULES = """groups:
  - name: g
    interval: 10s
    rules:
      - record: job:requests:rate30s
        expr: sum by (job) (rate(requests_total[30s]))
      - record: job:requests:double
        expr: 2 * job:requests:rate30s
      - alert: Busy
        expr: job:requests:double > 3
        for: 20s
        labels: {severity: page}
        annotations: {summary: "{{ $labels.job }} at {{ $value }}"}
      - record: broken
        expr: requests_total * on (job) requests_total
"""


class Suite(Checks):
    def __init__(self, weir, folder):
        super().__init__(folder)
        self.weir = weir

    def run(self, *arguments, seconds=60, environment=None):
        return subprocess.run([self.weir, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=seconds,
                              env=environment)

    def config(self, name, port, more=""):
        return self.write(name, f"rule_files: [rules.yml]\nlisten: 127.0.0.1:{port}\nevaluation: {{lateness: 1s}}\n{more}")

    # --- commands ---

    def commands(self):
        done = self.run("--version")
        self.check("--version names version, commit and libraries",
                   done.returncode == 0 and "commit" in done.stdout and "librdkafka" in done.stdout, done.stdout)
        for command in ("run", "check", "test", "explain"):
            done = self.run(command, "--help")
            self.check(f"{command} --help explains itself", done.returncode == 0 and "xample" in done.stdout or
                       "Exit status" in done.stdout, done.stdout)
        self.write("rules.yml", RULES)
        done = self.run("check", "rules.yml")
        self.check("check takes a good rule file", done.returncode == 0 and "4 rules" in done.stdout, done.stdout + done.stderr)
        self.write("bad.yml", RULES.replace("sum by (job) (rate(", "sum by (job) (rat("))
        done = self.run("check", "rules.yml", "bad.yml")
        self.check("check names file, line and column of a bad expression",
                   done.returncode == 1 and "bad.yml:6:" in done.stderr and "rat" in done.stderr, done.stdout + done.stderr)
        self.write("ahead.yml", RULES.replace("2 * job", "rate(temp[1m]) + x offset -1m + job"))
        done = self.run("check", "ahead.yml")
        self.check("check notes what reads ahead and what looks like no counter, and passes",
                   done.returncode == 0 and
                   'ahead.yml:8:32: record "job:requests:double": reads 1m past its evaluation time: '
                   "evaluates over what has arrived by the tick" in done.stderr and
                   "ahead.yml:8:20: " in done.stderr and "metric might not be a counter" in done.stderr,
                   done.stdout + done.stderr)
        self.write("later.yml", RULES.replace("2 * job", "max_over_time((x @ start())[5m:1m]) + job"))
        done = self.run("check", "later.yml")
        self.check("check takes a subquery that reads the tick", done.returncode == 0, done.stdout + done.stderr)
        done = self.run("explain", "rules.yml", "--rule", "job:requests:rate30s")
        self.check("explain prints a plan, what is kept, what it costs and the key",
                   done.returncode == 0 and "read by rate()" in done.stdout and "scraped every 15s: 3 records" in done.stdout and
                   "Kafka key     job\n" in done.stdout, done.stdout + done.stderr)
        done = self.run("explain", "rules.yml")
        self.check("explain names the rules of a file", done.returncode == 0 and
                   "rules.yml:7:9: record job:requests:double, every 10s" in done.stdout and "any:" not in done.stdout, done.stdout + done.stderr)
        done = self.run("explain", "--scrape-interval", "1s", "--interval", "30s", "quantile_over_time(0.9, x[1m])")
        self.check("explain takes an expression, and says what bounds it",
                   done.returncode == 0 and "= 90 samples a series (scraped every 1s)" in done.stdout, done.stdout + done.stderr)
        for arguments, text in ((["sum("], "not a file, and as an expression:\n1:5: parse error"),
                                (["x", "--scrape-interval", "0"], "--scrape-interval: \"0\" is no duration above 0"),
                                (["none.yml"], "none.yml"), (["rules.yml", "--rule", "zz"], 'no rule named "zz"')):
            done = self.run("explain", *arguments)
            self.check("explain says what is wrong with " + " ".join(arguments),
                       done.returncode == 1 and text in done.stderr and not done.stdout, done.stdout + done.stderr)
        for name, command in (("CONFIGURATION.md", "config-docs"), ("FUNCTIONS.md", "function-docs")):
            with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as handle:
                self.check(f"docs/{name} is what {command} writes", handle.read() == self.run(command).stdout,
                           f"weir {command} -o docs/{name}")
        many = "groups:\n" + "".join(
            f"  - name: g{g}\n    rules:\n" + "".join(
                f"      - record: r{g}:{n}\n        expr: sum(rate(m{n}{{g=\"{g}\"}}[5m]))\n" for n in range(100))
            for g in range(100))
        self.write("many.yml", many)
        done = self.run("check", "many.yml", seconds=120)
        self.check("check takes 10,000 rules", done.returncode == 0 and "10000 rules" in done.stdout, done.stdout + done.stderr)

    # --- starting ---

    def starting(self):
        port = free_port()
        path = self.write("unknown.yml", f"listen: 127.0.0.1:{port}\nrule_filez: [rules.yml]\n")
        done = self.run("run", "--config", path)
        self.check("a bad configuration exits 2, with position and the nearest key",
                   done.returncode == 2 and "unknown.yml:2:1" in done.stderr and "rule_files" in done.stderr, done.stderr)
        done = self.run("run", "--config", "missing.yml")
        self.check("a missing configuration exits 2 and is named", done.returncode == 2 and "missing.yml" in done.stderr, done.stderr)
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            done = self.run("run", "--config", self.config("port.yml", port))
        self.check("a port in use exits 1 and is named",
                   done.returncode == 1 and f"127.0.0.1:{port}" in done.stderr and "in use" in done.stderr, done.stderr)

    # Libraries that are opened late: an empty file stands for one that is missing.
    def without_libraries(self):
        folder = os.path.join(self.folder, "empty")
        os.makedirs(folder)
        for library in ("libcurl.so.4", "librdkafka.so.1"):
            self.write(os.path.join("empty", library), "")
        environment = dict(os.environ, LD_LIBRARY_PATH=folder)
        for kind, entry in (("libcurl", "sinks: [{alertmanager: {urls: 'http://127.0.0.1:9'}}]"),
                            ("libcurl", "sinks: [{remote_write: {url: 'http://127.0.0.1:9'}}]"),
                            ("librdkafka", "sources: [{kafka: {brokers: '127.0.0.1:9', topics: [t]}}]")):
            config = self.config("late.yml", free_port(), entry + "\n")
            done = self.run("run", "--config", config, environment=environment)
            self.check(f"without {kind} it does not start and says so: {entry}",
                       done.returncode == 2 and kind in done.stderr, f"exit {done.returncode}: {done.stderr}")

    # --- a recorded file, to its end ---

    def replay(self):
        lines = ["# TYPE requests counter"]
        start = 1700000000
        for second in range(0, 121):
            for instance in (1, 2):
                lines.append(f'requests_total{{job="api",instance="{instance}"}} {second * instance} {start + second}')
        self.write("recorded.txt", "\n".join(lines) + "\n# EOF\n")
        results = os.path.join(self.folder, "results.jsonl")
        config = self.config("replay.yml", free_port(), "sources: [{replay: {path: recorded.txt}}]\nsinks: [{file: {path: results.jsonl}}]\n")
        outputs = []
        for _ in range(2):
            if os.path.exists(results):
                os.remove(results)
            done = self.run("run", "--config", config)
            self.check("a replay ends by itself with exit 0", done.returncode == 0, done.stderr)
            with open(results, encoding="utf-8") as handle:
                outputs.append(handle.read())
        rows = [json.loads(line) for line in outputs[0].splitlines()]
        text = outputs[0]
        self.check("recorded series and alerts are written",
                   "job:requests:double" in text and "ALERTS" in text and "Busy" in text, text[:400])
        self.check("two replays give the same bytes", outputs[0] == outputs[1], f"{len(outputs[0])} and {len(outputs[1])} bytes")
        self.check("ticks follow the recorded time", rows[-1]["time"] == "2023-11-14T22:15:20Z", str(rows[-1:]))

    # --- a running process ---

    def running(self):
        port = free_port()
        self.write("rules.yml", RULES)
        config = self.config("run.yml", port, "sources: [{fleet: {nodes: 1, interval: 1s}}]\n")
        process = self.processes.start("weir", [self.weir, "run", "--config", config], ready_url=f"http://127.0.0.1:{port}/-/ready")
        names = lambda: [rule["name"] for group in api(port, "rules")["groups"] for rule in group["rules"]]
        self.check("rules are served", names() == ["job:requests:rate30s", "job:requests:double", "Busy", "broken"], str(names()))

        self.write("rules.yml", RULES.replace("expr: 2 *", "expr: 2 **"))
        try:
            reload = urllib.request.Request(f"http://127.0.0.1:{port}/-/reload", method="POST")
            urllib.request.urlopen(reload, timeout=30).close()
            self.check("a bad reload is refused", False, "200")
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            self.check("a bad reload is refused and says where", error.code == 500 and "rules.yml:8:" in text, text)
        self.check("a bad reload changes nothing", len(names()) == 4, str(names()))

        self.write("rules.yml", RULES.replace("job:requests:double\n", "job:requests:twice\n"))
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while "job:requests:twice" not in names() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.check("SIGHUP reloads", "job:requests:twice" in names(), str(names()))
        metrics = fetch(f"http://127.0.0.1:{port}/metrics").decode()
        self.check("metrics tell of the reload", "prometheus_config_last_reload_successful 1" in metrics)
        self.check("the log tells of the bad reload", "reload refused" in self.processes.log_tail("weir", 100))
        started = time.monotonic()
        code = self.processes.stop("weir")
        self.check("SIGTERM ends in order with exit 0", code == 0, f"exit {code} after {time.monotonic() - started:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=os.path.join(ROOT, "build", "weir"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-process-") as folder:
        suite = Suite(os.path.abspath(arguments.weir), folder)
        for part in (suite.commands, suite.starting, suite.without_libraries, suite.replay, suite.running):
            try:
                part()
            except (OSError, RuntimeError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
                suite.check(part.__name__, False, repr(error))
        for name in list(suite.processes.running):
            suite.processes.stop(name)
    print(f"process: {suite.passed} passed, {suite.failed} failed, 0 skipped")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
