"""Makes plain Prometheus rule files of the acceptance rules (PrometheusRule resources and ConfigMaps unwrapped) with all
durations divided by one factor, so that hours of rules pass in minutes; both sides of a comparison load the result.
"""
import os
import re

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def scaled(duration, factor):
    seconds = int(duration[:-1]) * UNITS[duration[-1]]
    if seconds % factor:
        raise ValueError(f"{duration} is not a multiple of {factor} s")
    return f"{seconds // factor}s"


def scale_text(text, factor):
    """Divides interval, for, keep_firing_for, ranges and offsets; label values and thresholds stay."""
    def by(match):
        return match.group(1) + scaled(match.group(2), factor) + match.group(3)

    duration = r"(\d+[smhd])"
    text = re.sub(rf"(\[){duration}(\])", by, text)
    text = re.sub(rf"(\boffset\s+){duration}(\b)", by, text)
    return re.sub(rf"(?m)^(\s*(?:-\s+)?(?:interval|for|keep_firing_for):\s*){duration}(\s*(?:#.*)?)$", by, text)


def unwrap(text):
    """RETURNS: the rule file inside a ConfigMap's block scalar or a PrometheusRule's spec, or `text` itself."""
    lines = text.split("\n")
    kind = next((line.split(":")[1].strip() for line in lines if line.startswith("kind:")), "")
    if kind == "ConfigMap":
        start = next(i for i, line in enumerate(lines) if re.match(r"  \S+: \|", line)) + 1
    elif kind == "PrometheusRule":
        start = lines.index("spec:") + 1
    else:
        return text
    body = lines[start:]
    indent = min(len(line) - len(line.lstrip()) for line in body if line.strip() and not line.lstrip().startswith("#"))
    return "\n".join(line[indent:] for line in body)


def groups_of(text, default_interval_s):
    """RETURNS: [(group name, interval in seconds)] of a plain rule file."""
    groups = []
    for line in text.split("\n"):
        name = re.match(r"\s*- name:\s*(\S+)", line)
        interval = re.match(r"\s*interval:\s*(\d+[smhd])", line)
        if name:
            groups.append([name.group(1).strip("\"'"), default_interval_s])
        elif interval and groups:
            groups[-1][1] = int(interval.group(1)[:-1]) * UNITS[interval.group(1)[-1]]
    return [tuple(group) for group in groups]


MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579,
                      2870177450012600261)


def rotate(x, r):
    return ((x << r) | (x >> (64 - r))) & MASK


def xxhash64(data):
    """The 64-bit hash, seed 0, by which Prometheus spreads its groups."""
    def mix(acc, lane):
        return rotate((acc + lane * P2) & MASK, 31) * P1 & MASK

    def word(at, size):
        return int.from_bytes(data[at:at + size], "little")

    at = 0
    if len(data) >= 32:
        v = [(P1 + P2) & MASK, P2, 0, (-P1) & MASK]
        while at + 32 <= len(data):
            v = [mix(acc, word(at + 8 * i, 8)) for i, acc in enumerate(v)]
            at += 32
        h = (rotate(v[0], 1) + rotate(v[1], 7) + rotate(v[2], 12) + rotate(v[3], 18)) & MASK
        for acc in v:
            h = ((h ^ mix(0, acc)) * P1 + P4) & MASK
    else:
        h = P5
    h = (h + len(data)) & MASK
    while at + 8 <= len(data):
        h = (rotate(h ^ mix(0, word(at, 8)), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= len(data):
        h = (rotate(h ^ (word(at, 4) * P1 & MASK), 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ (byte * P5 & MASK), 11) * P1 & MASK
    h ^= h >> 33
    h = h * P2 & MASK
    h ^= h >> 29
    h = h * P3 & MASK
    return h ^ (h >> 32)


def slot_offset_ns(path, group, interval_s):
    """RETURNS: where in its interval Prometheus evaluates the group."""
    def sized(text):
        raw = text.encode()
        size = bytes([len(raw)]) if len(raw) < 255 else b"\xff" + len(raw).to_bytes(3, "little")
        return size + raw

    return xxhash64(sized("file") + sized(path) + sized("name") + sized(group)) % (interval_s * 10**9)


def readers(texts, default_interval_s):
    """RETURNS: [((file, group, interval) that records, (file, group, interval) that reads it)]."""
    records, bodies = {}, {}
    for name, text in texts.items():
        intervals = dict(groups_of(text, default_interval_s))
        for part in re.split(r"(?m)^(?=[ \t]*- name:)", text)[1:]:
            group = re.match(r"\s*- name:\s*(\S+)", part).group(1)
            key = (name, group, intervals[group])
            bodies[key] = part
            for record in re.findall(r"(?m)^\s*- record:\s*(\S+)", part):
                records.setdefault(record, set()).add(key)
    return [(writer, reader) for record, writers in records.items() for reader, body in bodies.items()
            for writer in writers if writer != reader and re.search(rf"(?<![\w:]){re.escape(record)}(?![\w:])", body)]


def write_rules(source, parent, factor, default_interval_s, candidates=1500, more=()):
    """Writes the rule files of `source`, and those named by `more` as they are, into a folder under `parent`. The folder's
    name decides the groups' slots; of many names the one is taken that leaves the most time between a group and the
    groups that read it, so that what a reader sees does not hang on how fast the machine is.
    RETURNS: (paths, number of rules, that time in ms)."""
    texts = {}
    for name in sorted(os.listdir(source)):
        if name.endswith((".yml", ".yaml")):
            with open(os.path.join(source, name), encoding="utf-8") as handle:
                texts[name.rsplit(".", 1)[0] + ".yml"] = scale_text(unwrap(handle.read()), factor)
    for path in more:
        with open(path, encoding="utf-8") as handle:
            texts[os.path.basename(path)] = handle.read()
    shortest_ns = 10**9 * min(interval for text in texts.values() for _, interval in groups_of(text, default_interval_s))
    pairs = set(readers(texts, default_interval_s))
    groups = {group for pair in pairs for group in pair}

    def slack(folder):
        offsets = {key: slot_offset_ns(os.path.join(folder, key[0]), key[1], key[2]) for key in groups}
        return min((offsets[reader] - offsets[writer]) % shortest_ns for writer, reader in pairs)

    best = max((os.path.join(parent, f"rules-{n}") for n in range(candidates)), key=slack)
    os.makedirs(best)
    for name, text in texts.items():
        with open(os.path.join(best, name), "w", encoding="utf-8") as handle:
            handle.write(text)
    rules = sum(len(re.findall(r"(?m)^\s*-\s+(?:record|alert):", text)) for text in texts.values())
    return [os.path.join(best, name) for name in texts], rules, slack(best) / 1e6
