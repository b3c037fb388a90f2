#!/usr/bin/env python3
"""What weir costs on a quiet GPU node: the GPU rule pack, one node of 8 GPUs sampled once a second by the simulated fleet in the
same process (its cost counts), no other traffic. Prints the share of one core and resident memory, both from /proc.
"""
import argparse
import os
import shutil
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))
sys.path.insert(0, os.path.join(ROOT, "bench"))

from processes import Processes, free_port  # noqa: E402
from side_by_side import cpu_seconds, machine, metric_values, resident_mb  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--build", default="build", help="build folder")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="weir-idle-")
    processes = Processes(folder)
    try:
        port, config = free_port(), os.path.join(folder, "weir.yml")
        with open(config, "w", encoding="utf-8") as handle:
            handle.write(f"global: {{evaluation_interval: 5s}}\nrule_files: [{ROOT}/configs/rules/gpu.rules.yml]\n"
                         f"listen: 127.0.0.1:{port}\n"
                         "sources: [{fleet: {nodes: 1, gpus_per_node: 8, interval: 1s, seed: 1}}, {remote_write: {}}]\n"
                         f"sinks: [{{file: {{path: {os.path.join(folder, 'results.jsonl')}}}}}]\n")
        process = processes.start("weir", [os.path.join(ROOT, args.build, "weir"), "run", "--config", config],
                                  ready_url=f"http://127.0.0.1:{port}/-/ready")
        time.sleep(15)
        before, began = cpu_seconds(process.pid), time.monotonic()
        time.sleep(args.seconds)
        share = (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
        series, unread = (sum(metric_values(port, name)) for name in ("weir_series", "weir_series_ignored"))
        print(f"{machine()}: {100 * share:.2f} % of a core, {resident_mb(process.pid):.1f} MB; {series:.0f} series read, "
              f"{unread:.0f} not, over {args.seconds} s")
    finally:
        processes.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
