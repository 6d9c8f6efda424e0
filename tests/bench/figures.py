"""What tests/bench/run measures: each figure's load, settings, rows and targets."""

from figure import CIVETWEB, GO, NODE, PLAIN, Figure, Row, at_least_times, at_most, at_most_times
from figures_behind import BEHIND


def stop_figure(sessions, bound):
    return Figure(
        f"stop-{sessions}",
        ["stop", f"--sessions={sessions}"],
        [
            Row(f"SIGTERM to exit, {sessions} sessions", "exit_ms", "ms", at_most_times(bound)),
            Row("  to a session's Close, median", "close_p50_ms", "ms", None),
            Row("  to a session's Close, 99 %", "close_p99_ms", "ms", None),
            Row("  to the last Close", "close_max_ms", "ms", None),
            Row("  server's processor time", "cpu_ms", "ms", None),
        ],
    )


def close_figure(sessions, bound):
    return Figure(
        f"close-{sessions}",
        ["stop", f"--sessions={sessions}"],
        [
            Row(
                f"signal to last Close, {sessions}, reported",
                "report_max_ms",
                "ms",
                at_most(bound, "ms"),
            ),
            Row("  median, reported", "report_p50_ms", "ms", None),
            Row("  99 %, reported", "report_p99_ms", "ms", None),
            Row("  to the last Close, as clients see it", "close_max_ms", "ms", None),
            Row("  median, as clients see it", "close_p50_ms", "ms", None),
            Row("  99 %, as clients see it", "close_p99_ms", "ms", None),
            Row("  to exit", "exit_ms", "ms", None),
        ],
        reported=True,
        peer=None,
    )


def spread_figure(sessions, seconds):
    return Figure(
        f"spread-{sessions}",
        ["stop", f"--sessions={sessions}", f"--spread={seconds * 1000}"],
        [
            Row(
                f"furthest off a spread of {seconds} s, {sessions}",
                "deviation_percent",
                "%",
                at_most(10, "%"),
            ),
            Row("  Closes after the end of the spread", "late_percent", "%", None),
            Row("  share of the Closes in each half second", "shares", "%", None),
            Row("  server's processor load meanwhile", "cpu_percent", "%", at_most(10, "%")),
            Row("  SIGTERM to exit", "exit_ms", "ms", None),
        ],
        settings=[f"shutdown.spread={seconds}s", "shutdown.timeout=20s"],
        peer=None,
    )


def mute_figure(sessions, close_timeout, bound):
    return Figure(
        f"silent-{sessions}",
        ["stop", f"--sessions={sessions}", f"--mute={close_timeout}"],
        [
            Row(
                f"exit after close_timeout, {sessions} silent",
                "overtime_ms",
                "ms",
                at_most(bound, "ms"),
            ),
            Row("  SIGTERM to a session's Close, median", "close_p50_ms", "ms", None),
            Row("  to the last Close", "close_max_ms", "ms", None),
            Row("  to exit", "exit_ms", "ms", None),
            Row("  server's processor time", "cpu_ms", "ms", None),
        ],
        settings=[f"shutdown.close_timeout={close_timeout}ms"],
        status=1,
        peer=None,
    )


def echo_figure(sessions, bound):
    return Figure(
        f"echo-{sessions}",
        ["echo", f"--sessions={sessions}", "--bytes=32"],
        [
            Row(
                f"echo, 32 bytes, {sessions} session{'s'[:sessions > 1]}",
                "per_second",
                "/s",
                at_least_times(bound),
            ),
            Row("  latency, median", "p50_us", "µs", None),
            Row("  latency, 99 %", "p99_us", "µs", None),
            Row("  server's processor time each", "cpu_us", "µs", None),
        ],
    )


# All that the door can check, with lists that are searched to their end.
DOOR = """
[server]
trusted_proxies = 10.0.0.0/8, 192.168.0.0/16, fd00::/8, 127.0.0.0/8
[route /echo]
handler = echo
origins = https://example.org, https://*.example.net, https://app.example.com:8443, \
https://*.staging.example.org, https://chat.example.org
subprotocols = mqtt, chat.v3, chat.v2
connections = 10000
max_age = 1h
rate = 1000
"""
PLAIN_DOOR = """
[route /echo]
handler = echo
origins = *
"""
DOOR_HEADERS = [
    "Origin: https://chat.example.org",
    "Sec-WebSocket-Protocol: chat.v9, chat.v8, chat.v2",
    "X-Forwarded-For: 203.0.113.9, 10.1.2.3",
    "X-Forwarded-Host: chat.example.org",
]


def door_figure():
    headers = [f"--header={line}" for line in DOOR_HEADERS]
    return Figure(
        "door",
        ["handshakes", "--sessions=20", *headers],
        [
            Row("handshakes, all checks (none)", "per_second", "/s", at_least_times(0.97)),
            Row("  server's processor time each", "cpu_us", "µs", None),
            Row("  duration, median", "p50_us", "µs", None),
        ],
        peer=PLAIN,
        config=DOOR,
        plain=PLAIN_DOOR,
        turns=20,
        proof=["--answer=Sec-WebSocket-Protocol: chat.v2"],
    )


def static_figure(size, connections):
    return Figure(
        "static",
        ["http", f"--sessions={connections}", "--path=/file.txt", "--file={folder}/file.txt"],
        [
            Row(
                f"{size}-byte file, {connections} at a time (CivetWeb)",
                "per_second",
                "/s",
                at_least_times(1.0),
            ),
            Row("  server's processor time each", "cpu_us", "µs", None),
            Row("  duration, median", "p50_us", "µs", None),
            Row("  duration, 99 %", "p99_us", "µs", None),
        ],
        peer=CIVETWEB,
        config="[route /*]\nhandler = static\nroot = {folder}\n",
        files={"file.txt": "".join(f"{line:31}\n" for line in range(size // 32))},
    )


def routes(count):
    return "".join(f"[route /echo/{number}]\nhandler = echo\n" for number in range(count))


def status_figure(count):
    return Figure(
        f"status-{count}",
        ["watch", "--sessions=50", "--path=/status", "--ms=30000"],
        [
            Row(f"status page, 50 open, {count} routes", "cpu_percent", "%", at_most(2, "%")),
            Row("  messages to each per second", "each_per_second", "/s", None),
            Row("  bytes of a message", "message_bytes", "B", None),
        ],
        peer=None,
        config="[route /status]\nhandler = status\nrefresh = 1s\n" + routes(count - 1),
    )


ABUSED = """
[route /echo]
handler = echo
[route /compressed]
handler = echo
compression = on
[route /health/*]
handler = health
"""
ABUSES = {
    "spin": "a process that only computes",
    "tiny": "tiny frames, echoed and read",
    "tiny-unread": "tiny frames, nothing read",
    "pings": "pings",
    "empty": "empty fragments",
    "fragments": "1 MB in 1-byte fragments",
    "half": "100 half messages",
    "large": "1 MB messages",
    "stalled": "1 MB messages, nothing read",
    "expanding": "1 MB messages, compressed",
    "bomb": "compressed bombs of 16 MB",
    "handshakes": "handshakes",
    "silent": "silent connections",
    "headers": "200 slow headers",
    "bodies": "200 slow bodies",
}


def abuse_figure(kind, label):
    """What one abusive peer costs 100 good ones, which echo 20 messages a second each."""
    return Figure(
        f"abuse-{kind}",
        ["steady", "--sessions=100"],
        [
            Row(f"{label}: median", "p50_us", "µs", at_most_times(1.0)),
            Row("  99 %", "p99_us", "µs", at_most_times(1.0)),
            Row("  median, times that without", "p50_times", "×", None),
            Row("  99 %, times that without", "p99_times", "×", None),
            Row("  server's load meanwhile", "cpu_percent", "%", None),
            Row("  connections the abuser opened", "opened", "", None),
            Row("  and had ended or refused", "lost", "", None),
        ],
        config=ABUSED,
        abuse=kind,
    )


COMPRESS = [
    "--path=/compressed",
    "--header=Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover",
]


def compression_figure(peer, size, bound):
    label = f"{size // 1024} KB of JSON, compressed ({peer})"
    return Figure(
        f"compression-{peer}-{size // 1024}k",
        ["packed", "--sessions=20", f"--json={size}", *COMPRESS],
        [
            Row(label, "per_second", "/s", at_least_times(bound)),
            Row("  latency, median", "p50_us", "µs", None),
            Row("  server's processor time each", "cpu_us", "µs", at_most_times(1 / bound)),
        ],
        config=ABUSED,
        peer=peer,
    )


def compression_memory_figure(path, label):
    extra = COMPRESS if path == "/compressed" else [f"--path={path}"]
    return Figure(
        f"compression-memory{path.replace('/', '-')}",
        ["idle", "--sessions=9000", "--request=800", *extra],
        [Row(f"memory for each of 9000 {label}", "session_kb", "KB", None)],
        config=ABUSED,
    )


def cost_figure():
    """What abusive peers cost in memory and processor time, at the limit."""
    rows = []
    for kind, label in ABUSES.items():
        rows += [
            Row(f"{label}: own memory each", f"{kind}_own_kb", "KB", None),
            Row("  the kernel's", f"{kind}_kernel_kb", "KB", None),
            Row("  connections", f"{kind}_connections", "", None),
            Row("  processor load of all", f"{kind}_cpu_percent", "%", None),
        ]
    return Figure("cost", ["cost.py"], rows[4:], config=ABUSED)


FIGURES = [
    Figure(
        "stop-empty",
        ["stop"],
        [Row("SIGTERM to exit, nobody connected", "exit_ms", "ms", at_most(25, "ms"))],
    ),
    Figure(
        "stop-silent",
        ["stop", "--silent=20"],
        [Row("SIGTERM to exit, 20 silent connections", "exit_ms", "ms", at_most(25, "ms"))],
    ),
    Figure(
        "refuse",
        ["stop", "--sessions=1000", "--probe"],
        [Row("SIGTERM to refusal, 1000 sessions", "refused_ms", "ms", at_most(5, "ms"))],
    ),
    stop_figure(1000, 1.0),
    stop_figure(9000, 0.8),
    close_figure(9000, 250),
    spread_figure(2000, 5),
    spread_figure(9000, 5),
    mute_figure(15000, 1000, 200),
    Figure(
        "memory",
        ["idle", "--sessions=9000", "--request=800"],
        [
            Row("memory for each of 9000 idle sessions", "session_kb", "KB", at_most(2, "KB")),
            Row("  for each after the first 1000", "further_kb", "KB", None),
        ],
    ),
    echo_figure(1, 0.95),
    echo_figure(100, 1.2),
    echo_figure(1000, 1.2),
    Figure(
        "handshakes",
        ["handshakes", "--sessions=20"],
        [
            Row("handshakes, 20 at a time", "per_second", "/s", at_least_times(1.0)),
            Row("  server's processor time each", "cpu_us", "µs", at_most_times(0.75)),
            Row("  duration, median", "p50_us", "µs", None),
            Row("  duration, 99 %", "p99_us", "µs", None),
        ],
    ),
    Figure(
        "scrape",
        ["scrape.py"],
        [
            Row("a scrape of 100 routes, median", "median_ms", "ms", at_most(2, "ms")),
            Row("  99 %", "p99_ms", "ms", None),
            Row("  server's processor time each", "cpu_ms", "ms", None),
            Row("  bytes", "bytes", "B", None),
        ],
        peer=None,
    ),
    door_figure(),
    static_figure(4096, 50),
    status_figure(4),
    status_figure(100),
    *(
        compression_figure(peer, size, 1.0)
        for peer in (GO, NODE)
        for size in (1 << 10, 16 << 10)
    ),
    compression_memory_figure("/echo", "plain sessions"),
    compression_memory_figure("/compressed", "compressed sessions"),
    *BEHIND,
    cost_figure(),
    *(abuse_figure(kind, label) for kind, label in ABUSES.items()),
]
