#!/usr/bin/env python3
"""One remote-write load, several receivers, one table: what weir costs beside Prometheus, VictoriaMetrics and vmagent.

Each receiver is started alone with an empty folder, gets the same bodies from bench/rw_load over loopback, and is
measured from outside (/proc/PID/stat and status). Receivers that have rules evaluate all acceptance rules meanwhile; one
round of all rules is the sum of prometheus_rule_group_last_duration_seconds over the groups, read when every group has
run once more after the load, with all series live. The first such round, in which weir meets most series for the first time,
is printed apart. On a busy machine a round is mostly waiting; the CPU that rules take in a minute without samples, from /proc,
is not. Resident memory is read after the load and again after two rounds.

weir is measured three times more with other rules: one that reads none of the series, one that reads one family, and that one
among 10,000 of which no other reads anything. Then twice on one core, with four times as many samples and the load generator on the
other cores: with all rules and with the one that reads nothing. At last a storm: ten times as many instances, one sample of each series, with all
rules, groups without an interval of their own each second.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from processes import Processes, fetch, free_port  # noqa: E402
from rule_files import write_rules  # noqa: E402


def metric_values(port, name):
    """RETURNS: the values of one metric's series on /metrics."""
    text = fetch(f"http://127.0.0.1:{port}/metrics").decode()
    return [float(line.rsplit(" ", 1)[1]) for line in text.split("\n") if re.match(re.escape(name) + r"[{ ]", line)]


def cpu_seconds(pid):
    """RETURNS: user and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as handle:
        fields = handle.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.processes = Processes(folder)
        self.plain_rules, self.rules, _ = write_rules(args.rules, folder, 1, 60, candidates=1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as handle:
            handle.write(text)
        return self.path(name)

    def load(self, process, url, cores=(), steps=None, instances=None):
        done = subprocess.run(
            on_cores(cores) + [
                os.path.join(ROOT, self.args.build, "rw_load"), "--url", url, "--pid", str(process.pid), "--instances",
                str(instances or self.args.instances), "--steps", str(steps or self.args.steps), "--connections",
                str(self.args.connections), "--prepare"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return json.loads(done.stdout)

    def round(self, port, limit_s=150):
        """Waits until every group has run after now. RETURNS: how long all groups took, or None when they did not run."""
        since = time.time()
        while time.time() < since + limit_s:
            time.sleep(1)
            runs = metric_values(port, "prometheus_rule_group_last_evaluation_timestamp_seconds")
            if runs and min(runs) > since:
                return sum(metric_values(port, "prometheus_rule_group_last_duration_seconds"))
        return None

    def rules_alone(self, process, port):
        """RETURNS: the first round after the load, the next one, and the CPU that rules take in a minute without samples."""
        first_s, since, cpu = self.round(port), time.time(), cpu_seconds(process.pid)
        round_s = self.round(port)
        minutes = (time.time() - since) / 60
        return {"first_round_s": first_s, "round_s": round_s,
                "rules_cpu_s_per_minute": (cpu_seconds(process.pid) - cpu) / minutes}

    def start_weir(self, files, cores=(), interval="1m"):
        """RETURNS: version, process and port of a weir that evaluates these rule files, on these cores or on all."""
        port = free_port()
        config = self.write("weir.yml", (
            f"global: {{evaluation_interval: {interval}}}\nrule_files:\n" + "".join(f"  - {f}\n" for f in files) +
            f"listen: 127.0.0.1:{port}\nsources:\n  - remote_write: {{}}\n"
            f"sinks:\n  - file: {{path: {self.path('results.jsonl')}}}\nstate: {{dir: {self.path('weir-state')}}}\n"))
        weir = os.path.join(ROOT, self.args.build, "weir")
        version = subprocess.run([weir, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
        process = self.processes.start("weir", on_cores(cores) + [weir, "run", "--config", config],
                                       ready_url=f"http://127.0.0.1:{port}/-/ready")
        return version, process, port

    def rule_files(self):
        return sorted(os.path.join(self.args.rules, f) for f in os.listdir(self.args.rules))

    def weir(self):
        version, process, port = self.start_weir(self.rule_files())
        idle_mb = resident_mb(process.pid)
        result = self.load(process, f"http://127.0.0.1:{port}/api/v1/write")
        result["idle_mb"] = idle_mb
        if not self.args.quick:
            result.update(self.rules_alone(process, port))
            result["rss_rounds_mb"] = resident_mb(process.pid)
        result["accounted"] = sum(sum(metric_values(port, name)) for name in BYTE_METRICS) / (resident_mb(process.pid) * 2**20)
        return version, result

    def weir_with(self, what, files):
        """Measures ingest alone: nothing of the rules is waited for."""
        version, process, port = self.start_weir(files)
        return f"{version}, {what}", self.load(process, f"http://127.0.0.1:{port}/api/v1/write")

    def weir_on_one_core(self, what, files):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return None, "needs a second core for the load generator"
        version, process, port = self.start_weir(files, cores[:1])
        url = f"http://127.0.0.1:{port}/api/v1/write"
        return f"{version}, on one core, {what}", self.load(process, url, cores=cores[1:], steps=4 * self.args.steps)

    def written(self, rules):
        text = "groups:\n- name: bench\n  rules:\n" + "".join(f"  - {{record: '{name}', expr: '{expr}'}}\n" for name, expr in rules)
        return [self.write("bench.rules.yml", text)]

    READ = ("read:rate5m", "sum by (job) (rate(http_requests_total[5m]))")
    UNREAD = ("none:rate5m", "sum(rate(not_there_total[5m]))")

    def weir_unread(self):
        return self.weir_with("series no rule reads", self.written([self.UNREAD]))

    def weir_one_core(self):
        return self.weir_on_one_core(f"{4 * self.args.steps} samples a series", self.rule_files())

    def weir_one_core_unread(self):
        return self.weir_on_one_core("the same, series no rule reads", self.written([self.UNREAD]))

    def weir_one_rule(self):
        return self.weir_with("1 rule", self.written([self.READ]))

    def weir_10000_rules(self):
        others = [(f"none_{i}:rate5m", f"sum by (job) (rate(not_there_{i}_total{{shard=\"{i % 7}\"}}[5m]))") for i in range(9999)]
        return self.weir_with("10,000 rules, 1 matching", self.written(others + [self.READ]))

    def weir_storm(self):
        version, process, port = self.start_weir(self.rule_files(), interval="1s")
        result = self.load(process, f"http://127.0.0.1:{port}/api/v1/write", steps=1, instances=10 * self.args.instances)
        result["missed"] = sum(metric_values(port, "prometheus_rule_group_iterations_missed_total"))
        return f"{version}, a storm of {result['samples']:,} new series", result

    def prometheus(self):
        done = subprocess.run([os.path.join(ROOT, "tests/integration/peers/build.sh"), "prometheus-slim"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None, done.stderr.strip().splitlines()[-1]
        binary = os.path.join(done.stdout.strip(), "prometheus-slim")
        port = free_port()
        config = self.write("prometheus.yml", "global: {evaluation_interval: 1m}\nrule_files:\n" +
                            "".join(f"  - {f}\n" for f in self.plain_rules))
        process = self.processes.start(
            "prometheus", [binary, f"--config.file={config}", f"--storage.tsdb.path={self.path('prometheus')}",
                           "--web.enable-remote-write-receiver", f"--web.listen-address=127.0.0.1:{port}"],
            ready_url=f"http://127.0.0.1:{port}/-/ready")
        result = self.load(process, f"http://127.0.0.1:{port}/api/v1/write")
        if not self.args.quick:
            result.update(self.rules_alone(process, port))
        return "Prometheus 3.15.0", result

    def victoria_metrics(self):
        if not shutil.which("victoria-metrics"):
            return None, "victoria-metrics is not installed (script/bootstrap --test)"
        port = free_port()
        process = self.processes.start(
            "victoria-metrics", ["victoria-metrics", f"-storageDataPath={self.path('vm')}",
                                 f"-httpListenAddr=127.0.0.1:{port}"], ready_url=f"http://127.0.0.1:{port}/health")
        result = self.load(process, f"http://127.0.0.1:{port}/api/v1/write")
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "victoria-metrics"], capture_output=True,
                                 text=True, check=False).stdout.split("+")[0]
        return f"VictoriaMetrics {version}".strip(), result

    def vmagent(self):
        if not shutil.which("vmagent"):
            return None, "vmagent is not installed (script/bootstrap --test)"
        port = free_port()
        sink = self.processes.start("sink", [sys.executable, os.path.join(ROOT, "bench", "discard.py"), str(free_port())])
        process = self.processes.start(
            "vmagent", ["vmagent", f"-httpListenAddr=127.0.0.1:{port}", f"-remoteWrite.url=http://127.0.0.1:{sink.args[-1]}/",
                        f"-remoteWrite.tmpDataPath={self.path('vmagent')}"],
            ready_url=f"http://127.0.0.1:{port}/health")
        result = self.load(process, f"http://127.0.0.1:{port}/api/v1/write")
        return "vmagent, which passes on (Debian's has no stream aggregation)", result

    def measure(self, name):
        """RETURNS: (version, figures), or (None, reason)."""
        try:
            version, result = getattr(self, name)()
            if version:
                print(f"measured {version}: {json.dumps(result)}", file=sys.stderr, flush=True)
            return version, result
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            return None, f"failed: {error}"
        finally:
            self.processes.stop_all()


def busy_and_stolen():
    """RETURNS: time that all cores worked since boot, and time that they were to work in while the hypervisor ran others. UNITS: ticks."""
    with open("/proc/stat", encoding="utf-8") as handle:
        fields = [int(field) for field in handle.readline().split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal


def on_cores(cores):
    return ["taskset", "-c", ",".join(map(str, cores))] if cores else []


def resident_mb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as handle:
        return next(float(line.split()[1]) / 1024 for line in handle if line.startswith("VmRSS:"))


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as handle:
        model = next((line.split(":")[1].strip() for line in handle if line.startswith("model name")), "unknown CPU")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def table(rows):
    print("| receiver | CPU per sample | samples/s | one round of all rules | the first round | CPU of the rules alone | RSS idle | RSS "
          "after the load | after rounds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for _, version, r in rows:
        rules = first = alone = "–"
        if "round_s" in r:
            rules, first = ("not all groups ran" if seconds is None else f"{seconds * 1000:.1f} ms"
                            for seconds in (r["round_s"], r["first_round_s"]))
            alone = f"{r['rules_cpu_s_per_minute']:.2f} s/min"
        memory = (f"{r[key]:.0f} MB" if key in r else "–" for key in ("idle_mb", "rss_mb", "rss_rounds_mb"))
        print(f"| {version} | {r['cpu_us_per_sample']:.2f} µs | {r['samples_per_second']:,.0f} | {rules} | {first} | {alone} | "
              + " | ".join(memory) + " |")


def ratios(rows):
    """Prints what each receiver costs as a multiple of weir in this run."""
    by_name = {name: r for name, _, r in rows}
    own = by_name.get("weir")
    for name, version, r in rows:
        if own and not name.startswith("weir"):
            rounds = (f", a round {r['round_s'] / own['round_s']:,.0f} times" if r.get("round_s") and own.get("round_s") else "")
            print(f"{version}: {r['cpu_us_per_sample'] / own['cpu_us_per_sample']:.1f} times the CPU per sample{rounds}, "
                  f"{r['rss_mb'] / own['rss_mb']:.1f} times the memory of weir.")
    if own and "accounted" in own:
        print(f"weir's own byte metrics add up to {100 * own['accounted']:.0f} % of its resident memory.")
    if "weir_storm" in by_name:
        storm = by_name["weir_storm"]
        print(f"{storm['samples']:,} new series were taken in {storm['seconds']:.1f} s; {storm['missed']:.0f} ticks missed.")
    one, many = by_name.get("weir_one_rule"), by_name.get("weir_10000_rules")
    if one and many:
        print(f"10,000 rules of which one matches: {100 * one['cpu_us_per_sample'] / many['cpu_us_per_sample']:.0f} % of the rate "
              "with that rule alone (by CPU per sample).")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="an eighth of the load, no rounds")
    parser.add_argument("--peers", action="store_true", help="measure the peers too")
    parser.add_argument("--only", choices=OWN + PEERS, help="measure one receiver")
    parser.add_argument("--instances", type=int, help="instances of 51 series (default 2000; quick: 500)")
    parser.add_argument("--steps", type=int, help="15-s samples a series (default 40; quick: 20)")
    parser.add_argument("--connections", type=int, default=2)
    parser.add_argument("--build", default="build", help="build folder")
    parser.add_argument("--rules", default=os.environ.get("WEIR_ACCEPTANCE_DIR", os.path.join(ROOT, "../shared/acceptance"))
                        + "/rules", help="folder of rule files (default: $WEIR_ACCEPTANCE_DIR/rules)")
    args = parser.parse_args()
    args.rules = os.path.abspath(args.rules)
    args.instances = args.instances or (500 if args.quick else 2000)
    args.steps = args.steps or (20 if args.quick else 40)
    names = [args.only] if args.only else OWN + PEERS
    if not args.peers and not args.only:
        names = OWN
    if not os.path.isdir(args.rules):
        print(f"no rule files at {args.rules}; set WEIR_ACCEPTANCE_DIR", file=sys.stderr)
        return 1
    busy_before, stolen_before = busy_and_stolen()
    folder = tempfile.mkdtemp(prefix="weir-bench-")
    try:
        bench = Bench(args, folder)
        measured = [(name, *bench.measure(name)) for name in names]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    busy_after, stolen_after = busy_and_stolen()
    busy, stolen = busy_after - busy_before, stolen_after - stolen_before
    print(f"{args.instances:,} instances × 51 series, {args.steps} samples 15 s apart, remote write 1.0, 2,000 samples a "
          f"request, {args.connections} connections, bodies made beforehand, as fast as accepted; {bench.rules} rules where there are rules; load generator on the "
          f"same machine.\n{machine()}; weir at {commit()}; load average before: {load_before:.1f}; of the time that was "
          f"wanted the hypervisor took {100 * stolen / max(1, busy + stolen):.0f} %.\n")
    rows = [row for row in measured if row[1]]
    table(rows)
    print()
    ratios(rows)
    failed = False
    for name, version, result in measured:
        if not version:
            print(f"SKIP {name}: {result}")
            failed |= result.startswith("failed")
    return 1 if failed else 0


BYTE_METRICS = [f"weir_{part}_bytes" for part in (
    "code", "heap_free", "window", "spare_window", "label", "ingest_alias", "plan", "rule", "queue", "http_body", "spare_batch")]
OWN = ["weir", "weir_unread", "weir_one_rule", "weir_10000_rules", "weir_one_core", "weir_one_core_unread",
       "weir_storm"]
PEERS = ["vmagent", "victoria_metrics", "prometheus"]
load_before = os.getloadavg()[0]

if __name__ == "__main__":
    sys.exit(main())
