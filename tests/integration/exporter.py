"""A small fleet that a real Prometheus scrapes: one HTTP server, one path an instance, with every metric family that
the acceptance rules read. What an instance says depends only on the seed, the instance and the time since the start, so
a run can be repeated. Counters reset when an instance restarts, series come and go, values are NaN and infinite at
times, and a timeline of incidents makes alerts fire and resolve.
"""
import bisect
import http.server
import random
import threading
import time

from native_exporter import NativeInstance

# (job, instances). Jobs and names are those that the rules select.
JOBS = [("inference-gateway", 4), ("model-server", 4), ("trainer", 3), ("pipeline", 2)]
NATIVE_JOB, NATIVE_INSTANCES = "native", 3
BUCKETS = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.2", "0.3", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"]
CONFIDENCE_BUCKETS = ["0.1", "0.3", "0.5", "0.7", "0.9", "1.0", "+Inf"]


class Counters:
    """Monotonic totals of one instance; `restart` sets them all back to zero."""

    def __init__(self):
        self.totals = {}

    def add(self, name, labels, amount):
        key = (name, tuple(sorted(labels.items())))
        self.totals[key] = self.totals.get(key, 0.0) + amount

    def observe(self, name, labels, buckets, values):
        counts = [0] * len(buckets)
        bounds = [float(b.replace("+Inf", "inf")) for b in buckets]
        for value in values:
            counts[bisect.bisect_left(bounds, value)] += 1
        running = 0
        for bound, count in zip(buckets, counts):
            running += count
            self.add(name + "_bucket", {**labels, "le": bound}, running)
        self.add(name + "_sum", labels, sum(values))
        self.add(name + "_count", labels, len(values))


class Instance:
    """State of one exporter; `body(t)` advances it to t seconds after the start and renders the text format."""

    content_type = "text/plain; version=0.0.4"

    def __init__(self, job, number, seed):
        self.job, self.number = job, number
        self.random = random.Random(f"{seed}/{job}/{number}")
        self.counters = Counters()
        self.gauges = {}
        self.advanced_to = 0
        self.walk = 1.0
        self.restarts_at = sorted(self.random.uniform(20, 900) for _ in range(6)) if number % 2 else []
        self.lock = threading.Lock()

    def body(self, t):
        with self.lock:
            while self.advanced_to < t:
                self.advanced_to += 1
                self.step(self.advanced_to)
            return self.render().encode()

    def step(self, t):
        """One second of life."""
        while self.restarts_at and self.restarts_at[0] <= t:
            self.restarts_at.pop(0)
            self.counters = Counters()
        self.walk = min(3.0, max(0.2, self.walk + self.random.uniform(-0.1, 0.1)))
        self.gauges = {}
        getattr(self, "step_" + self.job.replace("-", "_"))(t)

    def step_inference_gateway(self, t):
        errors_now = 0.5 if 40 <= t % 200 < 75 else 0.002
        slow = 6.0 if 60 <= t % 200 < 110 else 1.0
        for endpoint, weight in (("/predict", 40), ("/health", 3), ("/embed", 7)):
            count = int(weight * self.walk * self.random.uniform(0.5, 1.5))
            latencies = [self.random.expovariate(12.0) * slow for _ in range(count)]
            labels = {"service": "inference-gateway", "endpoint": endpoint, "environment": "lab"}
            self.counters.observe("http_request_duration_seconds", labels, BUCKETS, latencies)
            failed = sum(self.random.random() < errors_now for _ in range(count))
            for status, amount in (("200", count - failed), ("503", failed), ("404", count % 3)):
                self.counters.add("http_requests_total",
                                  {**labels, "status_code": status, "status": status, "method": "POST"}, amount)
        count = int(20 * self.walk)
        labels = {"service": "inference-gateway"}
        self.counters.add("inference_duration_seconds_sum", labels, count * self.random.uniform(0.01, 0.2))
        self.counters.add("inference_duration_seconds_count", labels, count)
        self.counters.add("inference_requests_total", labels, count)
        spread = 0.4 if 80 <= t % 160 < 130 else 0.12
        self.counters.observe("inference_confidence_score", {"model_name": "ranker"}, CONFIDENCE_BUCKETS,
                              [min(1.0, abs(self.random.gauss(0.8, spread))) for _ in range(count)])
        self.gauges[("inference_queue_depth", (("service", "inference-gateway"),))] = (
            130 + 40 * self.walk if 30 <= t % 180 < 95 else 20 * self.walk)
        memory = 9.1e9 if 50 <= t % 240 < 140 else 6e9
        for model in ("ranker", "embedder"):
            labels = (("model_name", model), ("service", "inference-gateway"))
            self.gauges[("model_memory_bytes", labels)] = memory + 1e8 * self.walk

    def step_model_server(self, t):
        models = [("ranker", "v1"), ("ranker", "v2"), ("embedder", "v1"), ("reader", "")]
        for order, (model, version) in enumerate(models):
            if model == "embedder" and self.number == 2 and t % 120 > 60:
                continue  # unloaded: its counters stand still but stay visible
            labels = {"model": model, "model_name": model, "namespace": "serving"}
            if version:
                labels.update(version=version, model_version=version)
            quiet = model == "reader" and 45 <= t % 150 < 100
            count = 0 if quiet else int((order + 2) * 6 * self.walk * self.random.uniform(0.3, 1.7))
            bad = 0.3 if model == "ranker" and 70 <= t % 180 < 120 else 0.01
            failed = sum(self.random.random() < bad for _ in range(count))
            self.counters.add("model_predictions_total", labels, count)
            self.counters.add("model_prediction_errors_total", labels, failed)
            self.counters.add("model_errors_total", labels, failed)
            scale = 0.7 if model == "ranker" and 90 <= t % 200 < 150 else 0.08
            latencies = [self.random.expovariate(1 / scale) for _ in range(count)]
            self.counters.observe("model_prediction_duration_seconds", labels, BUCKETS, latencies)
            self.counters.observe("model_inference_duration_seconds", labels, BUCKETS, [v * 0.8 for v in latencies])
            hits = int(count * (0.4 if t % 100 > 50 else 0.9))
            self.counters.add("model_cache_hits_total", {"model": model}, hits)
            self.counters.add("model_cache_misses_total", {"model": model}, count - hits)
            self.counters.add("container_cpu_usage_seconds_total", {"model": model, "container": "model-server"},
                              self.random.uniform(0.2, 0.9))
            grown = (t % 300) * 2e6 * (order + 1)
            for container in ("model-server", "sidecar"):
                key = (("container", container), ("model", model))
                self.gauges[("container_memory_usage_bytes", key)] = 2e9 + grown + 1e7 * self.walk

    def step_trainer(self, t):
        job_id = f"job-{self.number}-{t // 90}"  # a new training job every 90 s: series come and go
        if t % 90 == 0:
            self.counters = Counters()
        labels = {"job_id": job_id, "job_name": f"pretrain-{self.number}", "namespace": "training"}
        self.counters.add("training_samples_processed_total", labels, int(512 * self.walk))
        self.counters.add("container_gpu_allocation", {"job_id": job_id}, 8 * self.random.random())
        for gpu in range(4):
            key = {"job_name": f"pretrain-{self.number}", "namespace": "training", "gpu": str(gpu)}
            self.counters.add("nvidia_gpu_duty_cycle", key, self.random.uniform(10, 100))
            flat = tuple(sorted(key.items()))
            self.gauges[("nvidia_gpu_memory_used_bytes", flat)] = 6e10 * min(1.0, self.walk / 2)
            self.gauges[("nvidia_gpu_memory_total_bytes", flat)] = 0.0 if t % 130 == 7 else 8.5e10

    def step_pipeline(self, t):
        for pipeline in ("clicks", "images"):
            for stage in ("read", "clean", "write"):
                self.counters.add("data_records_processed_total", {"pipeline_name": pipeline, "stage": stage},
                                  int(300 * self.walk))
            for rule in ("schema", "range"):
                self.counters.add("data_validation_failures_total",
                                  {"pipeline_name": pipeline, "validation_rule": rule}, int(self.random.random() * 4))
        for feature in ("age", "ctr", "price"):
            key = (("dataset", "daily"), ("feature_name", feature))
            value = self.random.gauss(0.2, 0.05)
            if feature == "ctr" and 30 <= t % 70 < 36:
                value = float("nan")
            if feature == "price" and t % 50 == 11:
                value = float("inf")
            if not (feature == "age" and 60 <= t % 110 < 80):  # vanishes and comes back
                self.gauges[("feature_distribution_distance", key)] = value

    def render(self):
        rows = []
        for (name, labels), value in [*self.counters.totals.items(), *self.gauges.items()]:
            text = ",".join(f'{key}="{label}"' for key, label in labels)
            number = "NaN" if value != value else repr(float(value)).replace("inf", "Inf")
            rows.append(f"{name}{{{text}}} {number}\n")
        return "".join(rows)


class Exporter:
    """Serves /JOB/NUMBER. An instance in an outage answers 503, which Prometheus records as `up` 0 and stale series."""

    def __init__(self, port, seed):
        self.started = time.monotonic()
        self.instances = {(job, n): Instance(job, n, seed) for job, count in JOBS for n in range(count)}
        self.instances.update({(NATIVE_JOB, n): NativeInstance(n, seed, time.time()) for n in range(NATIVE_INSTANCES)})
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                _, job, number = self.path.split("/")
                t = int(time.monotonic() - exporter.started)
                instance = exporter.instances[(job, int(number))]
                body = instance.body(max(1, t))
                code = 503 if exporter.in_outage(job, int(number), t) else 200
                self.send_response(code)
                self.send_header("Content-Type", instance.content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the scraper gave up: what it records then is its own affair

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def in_outage(job, number, t):
        return (job == "inference-gateway" and number == 3 and 50 <= t % 150 < 80) or \
               (job == "model-server" and number == 1 and 100 <= t % 210 < 108) or \
               (job == NATIVE_JOB and number == 2 and 85 <= t % 120 < 95)

    def targets(self, port, native, without=()):
        """RETURNS: the target groups for Prometheus's file discovery, of the native job or of all others, without the named
        (job, number) pairs."""
        return [{"targets": [f"127.0.0.1:{port}"],
                 "labels": {"job": job, "instance": f"{job}-{n}", "__metrics_path__": f"/{job}/{n}"}}
                for (job, n) in self.instances if (job == NATIVE_JOB) == native and (job, n) not in without]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
