#!/usr/bin/env python3
"""House rules that a machine can hold. Each check prints one line a violation and exits 1 when there is any.

usage: tidy.py CHECK [--build DIR]      CHECK: one of the names below, or `all`

  arrows    a room includes only the rooms its arrows allow
  headers   room headers stay light: own headers and the standard library, `#pragma once`, an opening comment
  alone     every header compiles by itself
  targets   every .cc belongs to a target of the build in DIR
  names     no Utils/Helpers/Common files, snake_case names
  marks     no leftover marks of unfinished work, no machine paths
  time      clocks, sleeps and sockets only in core/base and in libraries that own theirs
  configs   every file in configs/ is accepted by DIR/weir check
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# room -> rooms it may include directly; what those may include is allowed too.
ARROWS = {
    "core/base": [],
    "core/model": ["core/base"],
    "core/promql": ["core/model"],
    "core/window": ["core/model"],
    "core/template": ["core/model"],
    "core/plugin": ["core/model", "core/base"],
    "core/engine": ["core/promql", "core/window"],
    "core/config": ["core/promql", "core/template", "core/plugin"],
    "core/rules": ["core/engine", "core/template", "core/config", "core/plugin"],
    "core/ingest": ["core/model", "core/engine", "core/plugin"],
    "core/promqltest": ["core/promql", "core/engine", "core/model"],
    "core/runtime": ["core/rules", "core/ingest", "core/config", "core/plugin", "core/promqltest"],
    "core/api": ["core/runtime"],
    "core/cli": ["core/api"],
    "lua/host": ["core/plugin"],
    "plugins": ["core/plugin", "lua/host"],
}

STANDARD_C = {"assert.h", "errno.h", "math.h", "stddef.h", "stdint.h", "string.h"}
# Headers that may name a library, and why.
LIBRARY_IN_HEADER = {
    "core/model/matcher.h": "re2",  # a matcher owns its compiled expression
    "lua/host": "lua",              # the binding is about the library's state
}
CLOCKS = re.compile(r"(steady_clock|system_clock|high_resolution_clock)::now|\bsleep_for\b|\bsleep_until\b|"
                    r"\b(gettimeofday|clock_gettime|nanosleep|usleep)\s*\(|(?<![\w.>:])time\s*\(\s*(NULL|nullptr|0|&)|"
                    r"(?<![\w.>:])::?socket\s*\(")


def tracked(*suffixes):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
                         text=True).stdout.split("\n")
    return sorted(f for f in out if f and f.endswith(suffixes) and os.path.exists(os.path.join(ROOT, f)))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as handle:
        return handle.read()


def room_of(path):
    parts = path.split("/")
    if parts[0] in ("core", "lua") and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0]


def reachable(room, seen=None):
    seen = seen if seen is not None else set()
    for other in ARROWS.get(room, []):
        if other not in seen:
            seen.add(other)
            reachable(other, seen)
    return seen


INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def check_arrows(_):
    for room in {room_of(f) for f in tracked(".h", ".cc") if f.startswith(("core/", "lua/"))} - set(ARROWS):
        if room != "lua":
            yield f"{room}: a room without arrows; add its row to tests/tidy/tidy.py"
    for path in tracked(".h", ".cc"):
        room = room_of(path)
        if room not in ARROWS:
            continue
        allowed = reachable(room) | {room}
        for quote, name in INCLUDE.findall(read(path)):
            own = name.startswith(("core/", "plugins/", "lua/", "tests/", "bench/"))
            if own and room_of(name) not in allowed:
                yield f"{path}: includes {name}; {room} may include {', '.join(sorted(allowed - {room})) or 'nothing of ours'}"
            if quote == '"' and not own and not name.startswith("generated/"):
                yield f'{path}: #include "{name}": write our headers with their path from the root, others with <>'
            if own and quote == "<":
                yield f'{path}: #include <{name}>: our headers are written with "…"'


def check_headers(_):
    for path in tracked(".h"):
        if not path.startswith(("core/", "plugins/", "lua/")):
            continue
        text = read(path)
        if not text.startswith("#pragma once\n"):
            yield f"{path}: the first line is #pragma once"
        if not re.match(r"#pragma once\n+//", text):
            yield f"{path}: after #pragma once comes what it is, why, which thread, what it costs"
        if re.search(r"^\s*using namespace", text, re.M):
            yield f"{path}: `using namespace` in a header reaches everybody who includes it"
        library = next((lib for prefix, lib in LIBRARY_IN_HEADER.items() if path.startswith(prefix)), None)
        for quote, name in INCLUDE.findall(text):
            if quote == "<" and ("." in name or "/" in name) and name not in STANDARD_C:
                if not (library and library in name):
                    yield f"{path}: includes <{name}>; libraries stay inside .cc files"


def compile_alone(job):
    header, compiler, flags = job
    source = f'#include "{header}"\n'
    done = subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-I", ROOT, *flags, "-x", "c++", "-"],
                          input=source, capture_output=True, text=True, cwd=ROOT)
    return header, done.returncode, done.stderr


def check_alone(args):
    compiler = os.environ.get("CXX", "c++")
    headers = [h for h in tracked(".h") if h.startswith(("core/", "plugins/", "lua/"))]
    flags = []
    if any(h.startswith("lua/") for h in headers):
        done = subprocess.run(["pkg-config", "--cflags", "luajit"], capture_output=True, text=True)
        flags = shlex.split(done.stdout)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, code, errors in pool.map(compile_alone, [(h, compiler, flags) for h in headers]):
            if code != 0:
                yield f"{header}: does not compile alone: {errors.strip().splitlines()[0]}"


def check_targets(args):
    database = os.path.join(args.build, "compile_commands.json")
    with open(database, encoding="utf-8") as handle:
        built = {os.path.relpath(os.path.join(e["directory"], e["file"]), ROOT) for e in json.load(handle)}
    for path in tracked(".cc"):
        if path.startswith("tests/fuzz/") and path.endswith("_fuzz.cc"):
            if not re.match(r"// fuzz: links [a-z_ ]+\n", read(path)):
                yield f"{path}: its first line says `// fuzz: links ROOM…`, from which the build makes the target"
        elif path not in built:
            yield f"{path}: in no target of {args.build}"


def check_names(_):
    for path in tracked(".h", ".cc", ".py", ".lua", ".test"):
        name = os.path.basename(path)
        stem = name.rsplit(".", 1)[0]
        if re.search(r"(^|_)(utils?|helpers?|commons?|misc|manager)(_|$)", stem.lower()):
            yield f"{path}: such names collect strangers; name the concept"
        if re.search(r"[A-Z-]", stem) and path.startswith(("core/", "plugins/", "lua/")):
            yield f"{path}: file names are snake_case"
    for path in tracked(".h", ".cc"):
        for match in re.finditer(r"\b(?:class|struct|namespace)\s+(\w*(?:Utils?|Helpers?|Common|Manager))\b", read(path)):
            yield f"{path}: {match.group(1)}: name the concept"


def check_marks(_):
    words = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "DIS" + "ABLED_", "for n" + "ow"]
    marks = re.compile("|".join(rf"\b{w}" for w in words))
    machine = re.compile(r"(?<![\w.$}/])/(?:work|root|home/\w+)/")
    for path in tracked(".h", ".cc", ".py", ".lua", ".cmake", ".txt", ".yml", ".yaml", ".md", ".sh", ".test", ".json"):
        if path == "LICENSE":
            continue
        for number, line in enumerate(read(path).split("\n"), 1):
            if marks.search(line):
                yield f"{path}:{number}: unfinished work: {line.strip()[:100]}"
            if machine.search(line):
                yield f"{path}:{number}: a path of one machine: {line.strip()[:100]}"


def check_time(_):
    for path in tracked(".h", ".cc"):
        if not path.startswith(("core/", "plugins/", "lua/")) or path.startswith("core/base/"):
            continue
        for number, line in enumerate(read(path).split("\n"), 1):
            code = line.split("//")[0]
            if CLOCKS.search(code):
                yield f"{path}:{number}: time and sockets are arguments (core/base/clock.h): {line.strip()[:100]}"


def check_configs(args):
    weir = os.path.join(args.build, "weir")
    files = [f for f in tracked(".yml", ".yaml") if f.startswith("configs/")]
    if not files:
        yield "configs/: no file found"
    for path in files:
        done = subprocess.run([weir, "check", path], cwd=ROOT, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            yield f"{path}: weir check exits {done.returncode}: {(done.stdout + done.stderr).strip()[:400]}"


CHECKS = {name[len("check_"):]: function for name, function in list(globals().items()) if name.startswith("check_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=[*CHECKS, "all"])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    args = parser.parse_args()
    violations = 0
    for name in CHECKS if args.check == "all" else [args.check]:
        found = list(CHECKS[name](args))
        violations += len(found)
        for line in found:
            print(line)
        print(f"tidy {name}: {'ok' if not found else f'{len(found)} violations'}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
