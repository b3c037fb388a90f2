#!/usr/bin/env python3
"""A long run that must leave no trace: two weirs get the same samples as the clock goes, with instances that come and go and some
that are late. One of them is reloaded every 10 seconds. At the end: no tick missed, resident memory flat once windows are
full, and every recorded sample of both runs the same.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
sys.path.insert(0, os.path.join(ROOT, "bench"))

from processes import Processes, free_port  # noqa: E402
from side_by_side import metric_values, resident_mb  # noqa: E402

FULL_S = 900     # windows of 5 minutes, series forgotten after 5 minutes of silence, swept now and then
SETTLED_S = 120  # ticks before have not learned yet how late senders are


class Weir:
    def __init__(self, processes, folder, name, build):
        self.port, self.name, self.results = free_port(), name, os.path.join(folder, name + ".jsonl")
        config = os.path.join(folder, name + ".yml")
        with open(config, "w", encoding="utf-8") as handle:
            handle.write(f"global: {{evaluation_interval: 10s}}\nrule_files: [{ROOT}/bench/soak.rules.yml]\n"
                         f"listen: 127.0.0.1:{self.port}\nsources: [{{remote_write: {{}}}}]\n"
                         f"sinks: [{{file: {{path: {self.results}}}}}]\nstate: {{dir: {os.path.join(folder, name)}}}\n")
        self.process = processes.start(name, [os.path.join(ROOT, build, "weir"), "run", "--config", config],
                                       ready_url=f"http://127.0.0.1:{self.port}/-/ready")
        self.url = f"http://127.0.0.1:{self.port}/api/v1/write"

    def reload(self):
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/-/reload", b"", method="POST"), timeout=30).read()

    def samples(self, since, until):
        """RETURNS: recorded values by time and labels, of ticks in [since, until)."""
        found = {}
        with open(self.results, encoding="utf-8") as handle:
            for line in handle:
                record = json.loads(line)
                if record["type"] == "sample" and since <= record["time"] < until:
                    found[record["time"], json.dumps(record["labels"], sort_keys=True)] = record.get("value", "stale")
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--instances", type=int, default=200, help="of 51 series each")
    parser.add_argument("--build", default="build", help="build folder")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="weir-soak-")
    processes = Processes(folder)
    rss, reloads = {"disturbed": [], "calm": []}, 0
    try:
        weirs = [Weir(processes, folder, name, args.build) for name in rss]
        load = subprocess.Popen(
            [os.path.join(ROOT, args.build, "rw_load"), "--pid", str(weirs[0].process.pid), "--live", "--step-seconds", "5",
             "--instances", str(args.instances), "--steps", str(int(args.minutes * 12)), "--churn", "1", "--late-share", "10",
             "--url", weirs[0].url, "--url", weirs[1].url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        began = time.time()
        settled = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began + SETTLED_S))
        while load.poll() is None:
            time.sleep(10)
            weirs[0].reload()
            reloads += 1
            for weir in weirs:
                rss[weir.name].append((time.time() - began, resident_mb(weir.process.pid)))
            print(f"\r{(time.time() - began) / 60:5.1f} of {args.minutes:.0f} minutes, "
                  f"{rss['disturbed'][-1][1]:.1f} and {rss['calm'][-1][1]:.1f} MB", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        if load.returncode != 0:
            print(load.stderr.read(), file=sys.stderr)
            return 1
        ended = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())  # the processes stop one after the other
        time.sleep(15)
        missed = {weir.name: sum(metric_values(weir.port, "prometheus_rule_group_iterations_missed_total")) for weir in weirs}
        series = sum(metric_values(weirs[0].port, "weir_series"))
        processes.stop_all()
        disturbed, calm = (weir.samples(settled, ended) for weir in weirs)
    finally:
        processes.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    differ = [key for key in disturbed.keys() | calm.keys() if disturbed.get(key) != calm.get(key)]
    failed = bool(differ) or any(missed.values()) or not calm
    for name, points in rss.items():
        full = [mb for at, mb in points if at > FULL_S]
        half = len(full) // 2
        if half > 0:
            before, after = sum(full[:half]) / half, sum(full[half:]) / len(full[half:])
            failed |= after > before * 1.03
            print(f"{name}: {before:.1f} MB after {FULL_S / 60:.0f} minutes, {after:.1f} MB in the end; {missed[name]:.0f} ticks missed")
        else:
            print(f"{name}: {points[-1][1]:.1f} MB in the end (too short to tell whether it grows); {missed[name]:.0f} ticks missed")
    print(f"{reloads} reloads, {series:.0f} series at a time, 2 of {args.instances} instances replaced every 5 s, one in 10 five seconds late: "
          f"{len(calm):,} recorded samples, {len(differ)} differ")
    for key in sorted(differ)[:5]:
        print(f"  {key[0]} {key[1]}: {disturbed.get(key)} disturbed, {calm.get(key)} calm")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
