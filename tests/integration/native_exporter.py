"""An exporter with native histograms, in the protobuf exposition (delimited `io.prometheus.client.MetricFamily` messages),
written by hand. It has what every PromQL function needs: gauges of either sign, counters and histograms with their start
times, exponential histograms of changing resolution with negative and zero buckets, gauge histograms, classic histograms
for custom buckets, and `target_info`. As the fleet's, its output depends on seed, instance and time only.
"""
import bisect
import math
import random
import struct
import threading

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
COUNTER, GAUGE, HISTOGRAM, GAUGE_HISTOGRAM = 0, 1, 4, 5
CLASSIC_BOUNDS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, math.inf]
ZERO_THRESHOLD = 1e-3


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def integer(field, value):
    return varint(field << 3) + varint(value)


def signed(field, value):
    return integer(field, value << 1 if value >= 0 else (-value << 1) - 1)


def double(field, value):
    return varint(field << 3 | 1) + struct.pack("<d", value)


def message(field, body):
    return varint(field << 3 | 2) + varint(len(body)) + body


def text(field, value):
    return message(field, value.encode())


def timestamp(field, seconds):
    return message(field, integer(1, int(seconds)) + integer(2, int(seconds % 1 * 1e9)))


def family(name, kind, metrics):
    """`metrics`: [(labels, the encoded value of that kind)]. RETURNS: the delimited message."""
    value_field = {COUNTER: 3, GAUGE: 2, HISTOGRAM: 7, GAUGE_HISTOGRAM: 7}[kind]
    body = text(1, name) + integer(3, kind)
    for labels, value in metrics:
        pairs = b"".join(message(1, text(1, key) + text(2, label)) for key, label in labels)
        body += message(4, pairs + message(value_field, value))
    return varint(len(body)) + body


def runs(indexes):
    """RETURNS: [(gap before, length)] of the runs of consecutive numbers."""
    spans, last = [], None
    for index in indexes:
        if last is not None and index == last + 1:
            spans[-1][1] += 1
        else:
            spans.append([index if last is None else index - last - 1, 1])
        last = index
    return spans


class Distribution:
    """Observations in exponential buckets of one schema, and in classic ones when it has them."""

    def __init__(self, schema, classic=False):
        self.schema = schema
        self.count = self.zeros = 0
        self.sum = 0.0
        self.sides = {1: {}, -1: {}}  # sign -> bucket index -> count
        self.classic = [0] * len(CLASSIC_BOUNDS) if classic else None

    def observe(self, value):
        self.count += 1
        self.sum += value
        if self.classic is not None:
            self.classic[bisect.bisect_left(CLASSIC_BOUNDS, value)] += 1
        if abs(value) <= ZERO_THRESHOLD:
            self.zeros += 1
            return
        side = self.sides[1 if value > 0 else -1]
        index = math.ceil(math.log2(abs(value)) * 2.0**self.schema)
        side[index] = side.get(index, 0) + 1

    def encode_classic(self):
        body, running = integer(1, self.count) + double(2, self.sum), 0
        for bound, count in zip(CLASSIC_BOUNDS, self.classic):
            running += count
            body += message(3, integer(1, running) + double(2, bound))
        return body

    def encode(self, floats=False):
        """`floats`: with counts that are no integers, as gauge histograms may have."""
        body = self.encode_classic() if self.classic is not None else integer(1, self.count) + double(2, self.sum)
        body += signed(5, self.schema) + double(6, ZERO_THRESHOLD)
        body += double(4, self.count / 2) + double(8, self.zeros / 2) if floats else integer(7, self.zeros)
        for sign, span_field in ((-1, 9), (1, 12)):
            indexes, last = sorted(self.sides[sign]), 0
            for gap, length in runs(indexes) or ([[0, 0]] if sign == 1 else []):
                body += message(span_field, signed(1, gap) + integer(2, length))
            for index in indexes:
                count = self.sides[sign][index]
                body += double(span_field + 2, count / 2) if floats else signed(span_field + 1, count - last)
                last = count
        return body


class NativeInstance:
    """State of one exporter; `body(t)` advances it to t seconds after the start and renders all families."""

    content_type = CONTENT_TYPE

    def __init__(self, number, seed, started_s):
        self.number, self.started_s = number, started_s
        self.random = random.Random(f"{seed}/native/{number}")
        self.restarts_at = [45, 120, 200] if number == 1 else []
        self.advanced_to = 0
        self.lock = threading.Lock()
        self.restart(0)

    def restart(self, t):
        """Counters begin again; with the new life the histograms have another resolution."""
        self.created_s = self.started_s + t - 0.25
        self.version = f"v{t}"
        self.requests = {"200": 0, "500": 0}
        self.work_s = 0.0
        self.latency = {path: Distribution([2, 1, 0][(t + self.number) % 3], classic=True) for path in ("/a", "/b", "/c")}
        self.drift = Distribution(1)
        self.plain = Distribution(0, classic=True)
        for value in (0.005, 0.02, 0.05, 0.2, 0.5, 2, 5):  # no bucket is empty: see every_function.rules.yml
            self.plain.observe(value)

    def body(self, t):
        with self.lock:
            while self.advanced_to < t:
                self.advanced_to += 1
                self.step(self.advanced_to)
            return self.render(t)

    def step(self, t):
        """One second of life."""
        if t in self.restarts_at:
            self.restart(t)
        self.requests["200"] += self.random.randrange(40)
        self.requests["500"] += self.random.randrange(3) if 20 <= t % 60 < 40 else 0
        self.work_s += self.random.random()
        slow = 8.0 if 60 <= t % 150 < 90 else 1.0
        for path, distribution in self.latency.items():
            if path != "/c" or t % 50 < 25:  # stands still at times
                for _ in range(self.random.randrange(12)):
                    distribution.observe(self.random.expovariate(20.0) * slow)
        for _ in range(5):
            self.drift.observe(self.random.choice((0.0, self.random.gauss(0.5, 2.0))))
            if t % 50 < 30:
                self.plain.observe(self.random.expovariate(3.0))
        self.backlog = Distribution(1)
        for _ in range(10 + t % 7):
            self.backlog.observe(self.random.uniform(0, 30))
        self.temperatures = {sensor: 20 * math.sin(t / 9 + order) + self.random.uniform(-3, 3)
                             for order, sensor in enumerate(("inlet", "outlet", "roof"))}
        self.balance = math.sin(t / 11 + self.number)
        self.level = t // 6 % 5

    def render(self, t):
        temperatures = [([("sensor", sensor)], double(1, value)) for sensor, value in self.temperatures.items()
                        if not (sensor == "roof" and 30 <= t % 80 < 45)]  # vanishes and comes back
        requests = [([("code", code)], double(1, total) + timestamp(3, self.created_s))
                    for code, total in self.requests.items()]
        latencies = [([("path", path)], distribution.encode() + timestamp(15, self.created_s))
                     for path, distribution in self.latency.items() if not (path == "/b" and 70 <= t % 110 < 85)]
        return b"".join((
            family("native_temperature_celsius", GAUGE, temperatures),
            family("native_balance_ratio", GAUGE, [([], double(1, self.balance))]),
            family("native_level", GAUGE, [([], double(1, self.level))]),
            family("native_requests_total", COUNTER, requests),
            family("native_work_seconds_total", COUNTER, [([], double(1, self.work_s))]),
            family("native_latency_seconds", HISTOGRAM, latencies),
            family("native_drift_meters", HISTOGRAM, [([], self.drift.encode())]),
            family("native_backlog_age_seconds", GAUGE_HISTOGRAM, [([], self.backlog.encode(floats=True))]),
            family("native_plain_seconds", HISTOGRAM, [([], self.plain.encode_classic())]),
            family("target_info", GAUGE, [([("region", "lab"), ("version", self.version)], double(1, 1.0))]),
        ))
