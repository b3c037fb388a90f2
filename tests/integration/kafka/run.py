#!/usr/bin/env python3
"""Runs kafka_broker_test against a real broker: run.py PROGRAM [ARGUMENTS…]. Without a broker to be had, the program runs
all the same and its tests are skipped visibly."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from live import KafkaBroker, find_peers  # noqa: E402


def main():
    libraries, reason = find_peers("kafka")
    if libraries is None:
        print(f"SKIP kafka_broker: {reason}", flush=True)
        return subprocess.run(sys.argv[1:], check=False).returncode
    with tempfile.TemporaryDirectory(prefix="weir-kafka-") as folder:
        broker = KafkaBroker(libraries, folder)
        try:
            environment = {**broker.environment, "WEIR_KAFKA_BROKERS": broker.address, "WEIR_KAFKA_CONTROL": broker.script}
            return subprocess.run(sys.argv[1:], env=environment, check=False).returncode
        finally:
            broker.stop()


if __name__ == "__main__":
    sys.exit(main())
