"""Starting, watching and stopping the programs of an integration test; everything listens on loopback only."""
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request


def free_port():
    """RETURNS: a port below the kernel's ephemeral range, so that no outgoing connection can take it meanwhile."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def fetch(url, parameters=None, timeout_s=30):
    """RETURNS: the body of a GET, or of a form POST when there are parameters."""
    data = urllib.parse.urlencode(parameters).encode() if parameters else None
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=timeout_s) as response:
        return response.read()


def answers(url):
    """RETURNS: whether a GET is answered with success now."""
    try:
        fetch(url, timeout_s=2)
        return True
    except (urllib.error.URLError, OSError):
        return False


def api(port, path, parameters=None):
    """RETURNS: `data` of a Prometheus API answer."""
    answer = json.loads(fetch(f"http://127.0.0.1:{port}/api/v1/{path}", parameters))
    if answer["status"] != "success":
        raise RuntimeError(f"{path}: {answer}")
    return answer["data"]


class Processes:
    def __init__(self, folder):
        self.folder = folder
        self.running = {}

    def start(self, name, argv, ready_url=None, ready_s=30, env=None):
        log_path = os.path.join(self.folder, name + ".log")
        with open(log_path, "ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                       env={**os.environ, **(env or {})})
        self.running[name] = process
        deadline = time.monotonic() + ready_s
        while ready_url:
            try:
                fetch(ready_url, timeout_s=2)
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not come up: {self.log_tail(name)}") from None
                time.sleep(0.1)
        return process

    def log_tail(self, name, lines=15):
        with open(os.path.join(self.folder, name + ".log"), encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def stop(self, name, with_signal=signal.SIGTERM, wait_s=15):
        """RETURNS: the exit status; a process that does not end in time is killed and gives None."""
        process = self.running.pop(name)
        process.send_signal(with_signal)
        try:
            return process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None

    def dead(self):
        return [name for name, process in self.running.items() if process.poll() is not None]

    def stop_all(self):
        for name in list(self.running):
            self.stop(name, wait_s=10)


class Checks:
    """What a suite has found, a line each, and the files it writes. It needs a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = Processes(folder)
        self.passed = 0
        self.failed = 0

    def check(self, what, good, shown=""):
        if good:
            self.passed += 1
            print(f"PASS {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL {what}\n     {shown}", flush=True)

    def write(self, name, text):
        """RETURNS: the path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text)
        return path
