#!/usr/bin/env python3
"""Windows of 6 hours to 30 days of a live weir, beside a real Prometheus on the same samples.

35 days of counters and gauges, with resets, gaps of minutes to days and series that come late or go, are replayed to weir as they
were recorded: ticks follow the recorded time, so that rows roll to files and files go again. One run has a state directory, and
its results must equal Prometheus's; one has none and asks for `precision: bounded`, and must stay within its bound. Prometheus
takes the same samples by remote write and evaluates each expression at the same instants by range queries.

Nothing but weir and Prometheus is needed. Exit status: 0 passed, 1 failed, 3 skipped because Prometheus cannot be had here. Ends
with `long_windows: N passed, N failed, N skipped`.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import comparison
from native_exporter import double, integer, message, text, varint
from processes import Processes, api, fetch, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
START = 1699999800  # a multiple of five minutes
DAYS = 35
SCRAPE_S = 120
INTERVAL_S = 300
CHECK_EVERY_S = 3 * 3600
BOUND = 1 / 128
# Rule, expression, tolerance with state.dir (0: the same bits), whether it is bounded without (None: left out there).
RULES = (
    ("w:rate6h", "rate(c_total[6h])", 0, True),
    ("w:increase3d", "increase(c_total[3d])", 0, True),
    ("w:rate30d", "rate(c_total[30d])", 0, True),
    ("w:increase25h", "increase(c_total[25h] offset 10m)", 0, True),
    ("w:resets30d", "resets(c_total[30d])", 0, None),  # would keep the other windows whole
    ("w:count30d", "count_over_time(g[30d])", 0, True),
    ("w:delta3d", "delta(g[3d])", 0, False),
    ("w:first3d", "first_over_time(g[3d])", 0, False),
    ("w:last6h", "last_over_time(g[6h])", 0, False),
    ("w:present6h", "present_over_time(g[6h])", 0, False),
    ("w:sum30d", "sum_over_time(g[30d])", 1e-9, False),
    ("w:avg3d", "avg_over_time(g[3d])", 1e-9, False),
    ("w:predict6h", "predict_linear(g[6h], 86400)", 1e-9, False),
    ("w:predict3d", "predict_linear(c_total[3d] offset 10m, 14400)", 1e-9, None),  # would keep the other windows whole, as these
    ("w:deriv30d", "deriv(c_total[30d])", 1e-9, None),
    ("w:stddev3d", "stddev_over_time(g[3d])", 1e-9, False),
    ("w:stdvar30d", "stdvar_over_time(c_total[30d])", 1e-9, None),
    ("w:changes6h", "changes(g[6h])", 0, False),
    ("w:changes30d", "changes(state[30d])", 0, False),
    ("w:predictstate", "predict_linear(state[6h], 3600)", 1e-9, False),
    ("w:stdvarstate", "stdvar_over_time(state[3d])", 1e-9, False),
    ("w:avgsteps30d", "avg_over_time((g > -1000)[30d:10m])", 1e-9, False),
    ("w:sumsteps3d", "sum_over_time(rate(c_total[30m])[3d:5m])", 1e-9, False),
    ("w:steps25h", "increase((c_total * 2)[25h:10m])", 0, None),
    ("w:stepsline", "predict_linear(sum(g)[6h:5m], 3600)", 1e-9, False),
    ("w:burn3d", "sum(rate(c_total[3d])) / count(c_total)", 1e-9, True),
)


def make_series(seed):
    """RETURNS: [(labels, [(t in ms, value)])], each in time order."""
    dice = random.Random(seed)
    series = []
    for name, count in (("c_total", 7), ("g", 5), ("state", 4)):
        for i in range(count):
            born = START + (0 if i < 4 else dice.randrange(20 * 86400))
            dies = START + (DAYS * 86400 if i != 3 else 22 * 86400)
            samples, value, t = [], dice.random() * 100, born
            while t < dies:
                at = t * 1000 + dice.randrange(5000)
                if name == "state":  # stays for hours where it is
                    value = float(round(2 ** (dice.random() * 30))) if dice.random() < 0.004 else value
                elif name == "g":
                    value = dice.random() * 200 - (50 if i % 2 else 0)
                elif i == 2:  # bursts
                    value += dice.random() * 1000 if (t - START) % (156 * 3600) < 3600 else 0
                else:
                    value = dice.random() * 5 if dice.random() < 0.001 else value + dice.random() * 30
                samples.append((at, value))
                t += SCRAPE_S
                if dice.random() < 0.001:
                    t += dice.randrange(86400, 3 * 86400) if dice.random() < 0.05 else dice.randrange(600, 18000)
            series.append(({"__name__": name, "i": str(i)}, samples))
    return series


def snappy(body):
    """RETURNS: the body as a snappy block of literals alone."""
    out = bytearray(varint(len(body)))
    for begin in range(0, len(body), 65536):
        part = body[begin:begin + 65536]
        out += bytes((61 << 2,)) + struct.pack("<H", len(part) - 1) + part
    return bytes(out)


def send(series, port):
    """Six hours a request, since Prometheus takes nothing much older than its newest sample."""
    places = [0] * len(series)
    for until_ms in range((START + 6 * 3600) * 1000, (START + DAYS * 86400 + 6 * 3600) * 1000, 6 * 3600 * 1000):
        request = bytearray()
        for k, (labels, samples) in enumerate(series):
            body = b"".join(message(1, text(1, name) + text(2, value)) for name, value in sorted(labels.items()))
            begin = places[k]
            while places[k] < len(samples) and samples[places[k]][0] < until_ms:
                t, v = samples[places[k]]
                body += message(2, double(1, v) + integer(2, t))
                places[k] += 1
            if places[k] > begin:
                request += message(1, body)
        if request:
            headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
                       "X-Prometheus-Remote-Write-Version": "0.1.0"}
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/write", snappy(bytes(request)),
                                                          headers), timeout=60).close()


class Suite:
    def __init__(self, weir, folder, peers, seed):
        self.weir, self.folder, self.peers = weir, folder, peers
        self.passed = self.failed = 0
        self.processes = Processes(folder)
        self.series = make_series(seed)
        self.port = free_port()

    def check(self, what, good, detail=""):
        self.passed += 1 if good else 0
        self.failed += 0 if good else 1
        print(f"{'ok  ' if good else 'FAIL'} {what}{' ' + detail if detail else ''}", flush=True)

    def write(self, name, body):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(body)
        return path

    def reference(self):
        """RETURNS: {rule: {labels: {t in ms: value}}} as Prometheus evaluates them every CHECK_EVERY_S."""
        self.write("prometheus.yml", "global: {}\n")
        self.processes.start("prometheus", [
            os.path.join(self.peers, "prometheus-slim"), "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{self.port}",
            "--storage.tsdb.path=tsdb", "--storage.tsdb.retention.time=20y", "--web.enable-remote-write-receiver",
            "--query.timeout=10m", "--log.level=error"], ready_url=f"http://127.0.0.1:{self.port}/-/ready")
        send(self.series, self.port)
        want = {}
        for rule, expr, _, _ in RULES:
            data = api(self.port, "query_range", {"query": expr, "start": str(START + CHECK_EVERY_S), "step": str(CHECK_EVERY_S),
                                                  "end": str(START + DAYS * 86400 - 1)})
            want[rule] = {comparison.key_of(s["metric"], ("__name__",)): comparison.points_of(s) for s in data["result"]}
        self.processes.stop("prometheus")
        return want

    def replay(self, name, rules, options):
        """RETURNS: (the same of weir, its /metrics before it ended)."""
        got = {rule: {} for rule, _, _, _ in rules}
        rules = "".join(f"      - {{record: \"{rule}\", expr: \"{expr}\"}}\n" for rule, expr, _, _ in rules)
        self.write("rules.yml", f"groups:\n  - name: long\n    interval: {INTERVAL_S}s\n    rules:\n{rules}")
        port = free_port()
        config = self.write(f"{name}.yml", f"listen: 127.0.0.1:{port}\nrule_files: [rules.yml]\n"
                            f"sources: [{{replay: {{path: recorded.txt}}}}]\nsinks: [{{file: {{path: {name}.jsonl, queue_max: 1000000}}}}]\n{options}")
        metrics = [""]
        process = self.processes.start(name, [self.weir, "run", "--config", config])
        while process.poll() is None:
            try:
                metrics[0] = fetch(f"http://127.0.0.1:{port}/metrics", timeout_s=2).decode()
            except OSError:
                pass
            time.sleep(0.05)
        self.processes.running.pop(name)
        self.check(f"{name}: the replay ends by itself with exit 0", process.returncode == 0, self.processes.log_tail(name, 3) if process.returncode else "")
        with open(os.path.join(self.folder, f"{name}.jsonl"), encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                t = comparison.milliseconds(row["time"])
                if row["type"] != "sample" or row.get("stale") or (t // 1000 - START) % CHECK_EVERY_S:
                    continue
                labels = row["labels"]
                points = got[labels["__name__"]].setdefault(comparison.key_of(labels, ("__name__",)), {})
                points[t] = float(row["value"])
        return got, metrics[0]

    def compare(self, name, want, got, tolerance_of):
        end_ms = (START + DAYS * 86400 - 600) * 1000  # the last ticks may lack their last samples
        for rule, expr, exact, bounded in (row for row in RULES if row[0] in got):
            cut = lambda all_of: {key: {t: v for t, v in points.items() if START * 1000 + 600000 < t < end_ms} for key, points in all_of.items()}
            count, worst, problems = comparison.compare_samples(cut(want[rule]), cut(got[rule]), tolerance_of(exact, bounded))
            self.check(f"{name}: {expr}", count > 200 and not problems,
                       f"{count} values, largest difference {worst:.1e}" + "".join("\n  " + p for p in problems[:4]))


def number_of(metrics, name):
    return max([float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name + " ")] or [0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=os.path.join(ROOT, "build", "weir"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = subprocess.run([os.path.join(HERE, "peers", "build.sh"), "prometheus-slim"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, check=False)
    if found.returncode != 0:
        print(f"SKIP long_windows: {(found.stderr.strip().splitlines() or ['no Prometheus'])[-1]}")
        return 3
    with tempfile.TemporaryDirectory(prefix="weir-long-") as folder:
        suite = Suite(os.path.abspath(arguments.weir), folder, found.stdout.strip(), arguments.seed)
        lines = [f"{labels['__name__']}{{i=\"{labels['i']}\"}} {v!r} {t / 1000:.3f}" for labels, samples in suite.series for t, v in samples]
        suite.write("recorded.txt", "\n".join(lines) + "\n# EOF\n")
        print(f"{len(lines)} samples of {len(suite.series)} series, {DAYS} days, a tick every {INTERVAL_S} s", flush=True)
        try:
            wanted = {}
            reference = threading.Thread(target=lambda: wanted.update(suite.reference()))
            reference.start()
            taped, metrics = suite.replay("taped", RULES, "state: {dir: state}\n")
            bounded, _ = suite.replay("bounded", [row for row in RULES if row[3] is not None], f"overrides: [{{group: long, precision: bounded, max_error: {BOUND}}}]\n")
            reference.join()
            rows = number_of(metrics, "weir_tape_rows_written_total")
            suite.check("rows were written to files", rows > 10000, f"{rows:.0f} rows, {number_of(metrics, 'weir_tape_bytes'):.0f} bytes on disk")
            suite.check("no row was lost", number_of(metrics, "weir_tape_read_errors_total") + number_of(metrics, "weir_tape_write_errors_total") == 0)
            suite.compare("taped", wanted, taped, lambda exact, _: exact)
            suite.compare("bounded", wanted, bounded, lambda exact, is_bounded: BOUND if is_bounded else max(exact, 1e-9))
            worst = max(comparison.compare_samples(wanted[r], bounded[r], 1)[1] for r, _, _, is_bounded in RULES if is_bounded)
            suite.check("the bounded ones are not exact by chance", 0 < worst <= BOUND, f"{worst:.4f} of {BOUND:.4f}")
        finally:
            suite.processes.stop_all()
    print(f"long_windows: {suite.passed} passed, {suite.failed} failed, 0 skipped")
    return 1 if suite.failed else 0


if __name__ == "__main__":
    sys.exit(main())
