#!/usr/bin/env python3
"""weir beside a real Prometheus, on the same scrapes and the same rules.

Prometheus A scrapes an exporter, evaluates the acceptance rules and a rule file that uses every PromQL function, and sends
the raw samples, native histograms and start times on to the subject by remote write 2.0. The subject evaluates the same files
in the same slots (`phase: prometheus`), writes its results, histograms too, to Prometheus B by remote write 2.0 and its alerts
to a real Alertmanager. Then every recorded series at every tick, every ALERTS series, what a query sees between ticks
(staleness), rule health, alert states with activeAt, and the notifications are compared. Durations in the acceptance rules are
divided by --factor, so that an hour of rules passes in minutes; both sides load the same rewritten files. A rule_query_offset
lets every scrape arrive before it is evaluated, so nothing hangs on how fast the machine is.

The same bodies also go through a real Kafka broker, on four partitions keyed by instance, to a second weir, which is killed
in the middle and started again with `start: window`; its results are compared too.

`--subject prometheus` puts a second Prometheus in weir's place: a control run that shows the test itself is right. It goes
without start times, which the receiver of Prometheus does not keep.
Exit status: 0 passed, 1 failed, 3 skipped because a peer cannot be had here.
"""
import argparse
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import comparison
from exporter import Exporter
from processes import Processes, answers, fetch, free_port
from rule_files import write_rules

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
QUERY_OFFSET_S = 15
RESTART_S = 16  # a restarted weir usually has its partitions (the dead one's session ends) and has read them again by then
SETTLE_S = 60  # at most: until what was evaluated has reached B; a loaded machine sends late, but it sends
TOLERANCE = 1e-9
EVERY_FUNCTION = os.path.join(HERE, "every_function.rules.yml")
FEATURES = ("--enable-feature=promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers,"
            "use-start-timestamps")
STORES_STARTS = "--enable-feature=st-storage"  # Prometheus keeps and sends start times; its receiver drops them
REMOTE_WRITE_2 = "    protobuf_message: io.prometheus.write.v2.Request\n    send_native_histograms: true\n"


class Webhook:
    """Receives Alertmanager's notifications."""

    def __init__(self, port):
        self.notified = {"firing": {}, "resolved": {}}  # labels -> when first told
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    webhook.notified[alert["status"]].setdefault(comparison.key_of(alert["labels"]), time.time())
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class KafkaBroker:
    """One real broker; its jars come from the cache."""

    def __init__(self, libraries, folder):
        self.script = os.path.join(HERE, "peers", "kafka", "kafka.sh")
        self.environment = {**os.environ, "KAFKA_LIB": libraries, "KAFKA_HOME_DIR": os.path.join(folder, "kafka")}
        self.address = self.command("start").strip().split()[-1]

    def command(self, word):
        return subprocess.run([self.script, word], env=self.environment, check=True, capture_output=True, text=True,
                              timeout=120).stdout

    def stop(self):
        self.command("wipe")


class Run:
    def __init__(self, args, peers, folder):
        self.args, self.peers, self.folder = args, peers, folder
        self.processes = Processes(folder)
        self.passed = self.failed = self.skipped = 0
        self.broker = None
        self.gap = None  # (killed, whole again) of the weir behind Kafka
        self.reading_again = False
        self.ports = {name: free_port() for name in ("exporter", "a", "b", "subject", "alertmanager", "webhook", "relay",
                                                     "kafka_subject")}
        self.interval_s = 60 // args.factor
        self.rule_files, self.rules, slack_ms = write_rules(args.rules, folder, args.factor, self.interval_s,
                                                            more=[EVERY_FUNCTION])
        print(f"live: {self.rules} rules of {len(self.rule_files)} files, durations divided by {args.factor}, "
              f"{slack_ms:.0f} ms between writers and readers, seed {args.seed}", flush=True)

    def check(self, name, count, problems, unit):
        if problems or count == 0:
            self.failed += 1
            print(f"FAIL {name}: {len(problems)} differences in {count} {unit}")
            for problem in problems[:12]:
                print(f"     {problem}")
        else:
            self.passed += 1
            print(f"PASS {name}: {count} {unit}", flush=True)

    def url(self, name, path=""):
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as handle:
            handle.write(text)
        os.rename(path + ".new", path)
        return path

    def global_block(self, more=""):
        return (f"global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: {self.interval_s}s, "
                f"rule_query_offset: {QUERY_OFFSET_S}s{', ' + more if more else ''}}}\n")

    def rules_block(self):
        return "rule_files:\n" + "".join(f"  - {path}\n" for path in self.rule_files)

    def results_block(self):
        return f"remote_write:\n  - url: {self.url('b', '/api/v1/write')}\n{REMOTE_WRITE_2}"

    def start_prometheus(self, name, config, *flags):
        path = self.write(f"{name}.yml", config)
        self.processes.start(
            name, [os.path.join(self.peers, "prometheus-slim"), f"--config.file={path}",
                   f"--storage.tsdb.path={os.path.join(self.folder, name)}", "--storage.remote.flush-deadline=2s",
                   f"--web.listen-address=127.0.0.1:{self.ports[name]}", "--log.level=warn", *flags],
            ready_url=self.url(name, "/-/ready"))

    def start_subject(self):
        results = self.results_block()
        alerting = (f"alerting: {{alertmanagers: [{{static_configs: "
                    f"[{{targets: ['127.0.0.1:{self.ports['alertmanager']}']}}]}}]}}\n")
        config = self.global_block() + self.rules_block() + results + alerting
        if self.args.subject == "prometheus":
            keep = "    write_relabel_configs: [{source_labels: [__name__], regex: '.+:.+|ALERTS.*', action: keep}]\n"
            config = self.global_block() + self.rules_block() + results + keep + alerting
            self.start_prometheus("subject", config, "--web.enable-remote-write-receiver", FEATURES)
            return
        config += (f"listen: 127.0.0.1:{self.ports['subject']}\n"
                   "evaluation: {phase: prometheus}\n"
                   "sources:\n  - remote_write: {}\n"
                   f"state: {{dir: {os.path.join(self.folder, 'weir-state')}}}\n")
        path = self.write("weir.yml", config)
        self.processes.start("subject", [self.args.weir, "run", FEATURES, "--config", path],
                             ready_url=self.url("subject", "/-/ready"))

    def start_kafka(self):
        """Broker, relay and a weir that consumes. What cannot be had is skipped visibly."""
        relay = os.path.join(os.path.dirname(self.args.weir), "kafka_relay")
        libraries, reason = find_peers("kafka")
        if self.args.subject != "weir" or not os.path.exists(relay):
            reason = "only with weir as the subject, and with kafka_relay built beside it"
        if reason:
            self.skipped += 1
            print(f"SKIP kafka: {reason}", flush=True)
            return
        self.broker = KafkaBroker(libraries, self.folder)
        self.processes.start("relay", [relay, "--listen", f"127.0.0.1:{self.ports['relay']}", "--brokers",
                                       self.broker.address, "--topic", "metrics", "--partitions", "4"],
                             ready_url=self.url("relay", "/-/ready"))
        self.write("weir-kafka.yml", self.global_block("external_labels: {via: kafka}") + self.rules_block() + (
            f"{self.results_block()}listen: 127.0.0.1:{self.ports['kafka_subject']}\n"
            "evaluation: {phase: prometheus}\n"
            f"sources:\n  - kafka: {{brokers: ['{self.broker.address}'], topics: [metrics], group: weir, payload: auto, "
            "start: window, rdkafka: {session.timeout.ms: \"6000\"}}\n"))
        self.start_kafka_subject()

    def start_kafka_subject(self):
        config = os.path.join(self.folder, "weir-kafka.yml")
        self.processes.start("kafka_subject", [self.args.weir, "run", FEATURES, "--config", config],
                             ready_url=self.url("kafka_subject", "/-/healthy"))

    def start_all(self):
        self.webhook = Webhook(self.ports["webhook"])
        alertmanager = self.write("alertmanager.yml", (
            "route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
            f"receivers: [{{name: hook, webhook_configs: [{{url: '{self.url('webhook', '/')}', send_resolved: true}}]}}]\n"))
        self.processes.start(
            "alertmanager", [os.path.join(self.peers, "alertmanager"), f"--config.file={alertmanager}",
                             f"--storage.path={os.path.join(self.folder, 'am')}", "--cluster.listen-address=",
                             f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}"],
            ready_url=self.url("alertmanager", "/-/ready"))
        self.start_prometheus("b", "global: {scrape_interval: 1m}\n", "--web.enable-remote-write-receiver")
        self.start_subject()
        self.start_kafka()
        self.exporter = Exporter(self.ports["exporter"], self.args.seed)
        self.set_targets()
        self.write("native.json", json.dumps(self.exporter.targets(self.ports["exporter"], True)))
        drop = "{source_labels: [__name__], regex: '.+:.+|ALERTS|ALERTS_FOR_STATE', action: drop}"
        self.start_prometheus("a", self.global_block() + self.rules_block() + (
            "scrape_configs:\n  - job_name: fleet\n"
            f"    file_sd_configs: [{{files: ['{self.folder}/targets.json'], refresh_interval: 1s}}]\n"
            "  - job_name: native\n"
            f"    file_sd_configs: [{{files: ['{self.folder}/native.json']}}]\n"
            "    scrape_protocols: [PrometheusProto]\n    scrape_native_histograms: true\n"
            "    always_scrape_classic_histograms: true\n    convert_classic_histograms_to_nhcb: true\n"
            "remote_write:\n") + "".join(
                f"  - url: {self.url(name, '/api/v1/write')}\n{REMOTE_WRITE_2}"
                "    queue_config: {max_shards: 1, max_samples_per_send: 2000, batch_send_deadline: 500ms}\n"
                "    metadata_config: {send: false}\n"
                f"    write_relabel_configs: [{drop}]\n"
                for name in (["subject", "relay"] if self.broker else ["subject"])),
            FEATURES, *([STORES_STARTS] if self.args.subject == "weir" else []))

    def set_targets(self, without=()):
        self.write("targets.json", json.dumps(self.exporter.targets(self.ports["exporter"], False, without)))

    def drive(self):
        """Lets the timeline pass; a target leaves discovery for a while, and the weir behind Kafka is killed."""
        started = time.time()
        expected_alerts = comparison.AlertWatch(self.ports["a"])
        got_alerts = comparison.AlertWatch(self.ports["subject"])
        steps = [(0.45, lambda: self.set_targets(without=[("trainer", 2)])), (0.7, self.set_targets)]
        if self.broker:
            steps.insert(1, (0.55, self.restart_kafka_subject))
        while time.time() - started < self.args.seconds:
            if steps and time.time() - started > steps[0][0] * self.args.seconds:
                steps.pop(0)[1]()
            self.watch_gap()
            if self.processes.dead():
                raise RuntimeError("ended early: " + ", ".join(
                    f"{name}: {self.processes.log_tail(name)}" for name in self.processes.dead()))
            time.sleep(0.5)
        return started, time.time(), expected_alerts, got_alerts

    def restart_kafka_subject(self):
        killed = time.time()
        self.processes.stop("kafka_subject", with_signal=signal.SIGKILL)
        time.sleep(2)
        self.start_kafka_subject()
        self.gap = (killed - QUERY_OFFSET_S - self.interval_s - 5, time.time() - QUERY_OFFSET_S + RESTART_S)
        self.reading_again = True

    def watch_gap(self):
        """The gap ends when the restarted weir says that it has read the past again, however long that takes."""
        if self.reading_again:
            if answers(self.url("kafka_subject", "/-/ready")):
                self.reading_again = False
            else:
                self.gap = (self.gap[0], max(self.gap[1], time.time() - QUERY_OFFSET_S + self.interval_s + 1))

    def judge(self, started, ended, expected_alerts, got_alerts):
        time.sleep(6)  # what was evaluated until `ended` reaches B and Alertmanager
        start_s = started + 4 * self.interval_s  # Prometheus writes no ALERTS in its first two evaluations
        end_s = ended - QUERY_OFFSET_S - 2
        missed = self.missed_slots()
        if missed:
            self.skipped += 1
            print(f"SKIP live: nothing to compare with, Prometheus itself missed slots on this machine: {missed}")
            return
        self.check("slots of the reference", self.rules, [], "rules on time")
        self.settle(start_s, end_s)
        self.judge_samples("", start_s, end_s)
        expected = comparison.visible_of(self.ports["a"], comparison.RESULTS, start_s, end_s)
        got = comparison.visible_of(self.ports["b"], comparison.results_via(""), start_s, end_s)
        count, _, problems = comparison.compare_samples(expected, got, TOLERANCE)
        self.check("staleness between ticks", count, problems, "points")
        count, problems = comparison.compare_alerts(expected_alerts, got_alerts, start_s + QUERY_OFFSET_S, ended - 3)
        self.check("alert states and activeAt", count, problems, "alerts")
        self.judge_health()
        self.judge_notifications(start_s, end_s)
        if self.gap:
            self.judge_samples("kafka", start_s, self.gap[0])
            self.judge_samples("kafka", self.gap[1], end_s, " after kill and restart")

    def settle(self, start_s, end_s):
        """Waits until B has the newest sample of each result that A has, from both ways; what never comes is judged."""
        parts = [("", start_s)] + ([("kafka", self.gap[1])] if self.gap else [])
        deadline = time.monotonic() + SETTLE_S
        for via, since_s in parts:
            while since_s < end_s and time.monotonic() < deadline:
                expected = comparison.samples_of(self.ports["a"], comparison.RESULTS, since_s, end_s)
                got = comparison.samples_of(self.ports["b"], comparison.results_via(via), since_s, end_s, without=("via",))
                if all(max(points) in got.get(key, {}) for key, points in expected.items()):
                    break
                time.sleep(1)

    def judge_samples(self, via, start_s, end_s, when=""):
        """Every sample that the rules wrote in (start, end]."""
        for name, selector in (("recorded series", "__name__=~\".+:.+\""),
                               ("ALERTS", "__name__=~\"ALERTS|ALERTS_FOR_STATE\"")):
            expected = comparison.samples_of(self.ports["a"], f"{{{selector}}}", start_s, end_s)
            got = comparison.samples_of(self.ports["b"], f"{{{selector},via=\"{via}\"}}", start_s, end_s, without=("via",))
            count, worst, problems = comparison.compare_samples(expected, got, TOLERANCE)
            self.check(f"{via + ': ' if via else ''}{name}{when}", count, problems,
                       f"samples of {len(expected)} series, largest difference {worst:.1e}")

    def missed_slots(self):
        """RETURNS: evaluations that Prometheus A itself left out because the machine was too slow."""
        text = fetch(self.url("a", "/metrics")).decode()
        return {line.split(" ")[0]: line.split(" ")[1] for line in text.split("\n")
                if line.startswith("prometheus_rule_group_iterations_missed_total") and not line.endswith(" 0")}

    def judge_health(self):
        expected, got = comparison.health_of(self.ports["a"]), comparison.health_of(self.ports["subject"])
        problems = [f"{rule}: expected {expected.get(rule)}, got {got.get(rule)}"
                    for rule in sorted(expected.keys() | got.keys()) if expected.get(rule) != got.get(rule)]
        self.check("rule health", len(expected), problems, "rules")

    def judge_notifications(self, start_s, end_s):
        """Each alert that fires on A must have been told as firing, and as resolved when it ended in time; how late a loaded
        machine tells it is not judged."""
        visible = comparison.visible_of(self.ports["a"], 'ALERTS{alertstate="firing"}', start_s, end_s,
                                        without=("__name__", "alertstate"))
        firing = {key for key, points in visible.items() if min(points) < (end_s - 8) * 1000}
        ended = {key for key, points in visible.items() if max(points) < (end_s - 8) * 1000}
        deadline = time.monotonic() + SETTLE_S
        for state, keys in (("firing", firing), ("resolved", ended)):
            while any(key not in self.webhook.notified[state] for key in keys) and time.monotonic() < deadline:
                time.sleep(1)
            told = dict(self.webhook.notified[state])
            problems = [f"no {state} notification for {comparison.name_of(key)}" for key in sorted(keys - told.keys())]
            if state == "firing":
                problems += [f"notification for {comparison.name_of(key)}, which does not fire on the reference"
                             for key, when in sorted(told.items())
                             if key not in visible and start_s + QUERY_OFFSET_S + 5 < when < end_s]
            self.check(f"Alertmanager, {state}", len(keys), problems, "alerts")


def unused_functions():
    """RETURNS: the functions of weir's table that EVERY_FUNCTION does not use."""
    with open(os.path.join(ROOT, "core", "promql", "functions.def"), encoding="utf-8") as table:
        names = re.findall(r'(?m)^WEIR_FUNCTION\(\w+, "(\w+)"', table.read())
    with open(EVERY_FUNCTION, encoding="utf-8") as rules:
        expressions = "".join(re.findall(r"(?m)^\s*expr:.*$", rules.read()))
    return [name for name in names if not re.search(rf"\b{name}\(", expressions)]


def find_peers(*names):
    """RETURNS: (folder, None), or (None, why there is none)."""
    done = subprocess.run([os.path.join(HERE, "peers", "build.sh"), *names], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["unknown reason"])[-1]
    return done.stdout.strip(), None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subject", choices=["weir", "prometheus"], default="weir")
    parser.add_argument("--weir", default=os.path.join(ROOT, "build", "weir"))
    parser.add_argument("--rules", default=os.environ.get("WEIR_ACCEPTANCE_DIR", os.path.join(ROOT, "../shared/acceptance"))
                        + "/rules", help="folder of rule files (default: $WEIR_ACCEPTANCE_DIR/rules)")
    parser.add_argument("--seconds", type=int, default=170, help="how long both sides run")
    parser.add_argument("--factor", type=int, default=15, help="by what the rules' durations are divided")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    parser.add_argument("--keep", action="store_true", help="leave the folder with configurations, data and logs")
    args = parser.parse_args()
    if not os.path.isdir(args.rules):
        print(f"SKIP live: no rule files at {args.rules}; set WEIR_ACCEPTANCE_DIR")
        return 3
    if unused_functions():
        print(f"FAIL live: {EVERY_FUNCTION} does not use: {', '.join(unused_functions())}")
        print("live: 0 passed, 1 failed, 0 skipped")
        return 1
    peers, reason = find_peers("prometheus-slim", "alertmanager")
    if reason:
        print(f"SKIP live: {reason}")
        return 3
    folder = tempfile.mkdtemp(prefix="weir-live-")
    run = Run(args, peers, folder)
    try:
        run.start_all()
        run.judge(*run.drive())
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        run.failed += 1
        print(f"FAIL live: {error}")
    finally:
        run.processes.stop_all()
        if run.broker:
            run.broker.stop()
        if run.failed:
            print("".join(f"--- {name}\n{run.processes.log_tail(name)}" for name in ("subject", "kafka_subject", "a")
                          if os.path.exists(os.path.join(folder, name + ".log"))))
        if args.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"live: {run.passed} passed, {run.failed} failed, {run.skipped} skipped")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
