"""The figures of what a WebSocket can talk to: members of a channel, programs, TCP servers."""

from figure import GO, NODE, PLAIN, SOCAT, TARGET, Figure, Row, at_least_times

CHAT = "[route /chat]\nhandler = broadcast\n"
MEMBERS = 1000


def broadcast_figure(name, peer, window, target, **more):
    """One more session than there are members: it publishes."""
    beside = "no history" if peer == PLAIN else peer
    return Figure(
        f"broadcast-{name}",
        ["broadcast", "--path=/chat", f"--sessions={MEMBERS + 1}", f"--window={window}"],
        [
            Row(f"deliveries, {window} on the way ({beside})", "per_second", "/s", target),
            Row("  from publishing on, median", "p50_us", "µs", None),
            Row("  99 %", "p99_us", "µs", None),
            Row("  server's processor time each", "cpu_us", "µs", None),
        ],
        peer=peer,
        **{"config": CHAT, **more},
    )


def exec_figure(name, window, label):
    return Figure(
        f"exec-{name}",
        ["echo", "--path=/cat", "--sessions=100", "--bytes=100", f"--window={window}"],
        [
            Row(f"lines through 100 × cat, {label}", "per_second", "/s", None),
            Row("  latency, median", "p50_us", "µs", None),
            Row("  latency, 99 %", "p99_us", "µs", None),
            Row("  server's processor time each", "cpu_us", "µs", None),
        ],
        config="[route /cat]\nhandler = exec\ncommand = /bin/cat\n",
    )


def tcp_figure(name, label, *arguments):
    return Figure(
        f"tcp-{name}",
        ["bridge", "--path=/bridge", f"--target={TARGET}", *arguments],
        [
            Row(f"1 GB {label} (socat)", "mb_per_second", "MB/s", at_least_times(0.8)),
            Row("  server's processor time", "cpu_ms", "ms", None),
        ],
        peer=SOCAT,
        config=f"[route /bridge]\nhandler = tcp\ntarget = 127.0.0.1:{TARGET}\n",
    )


BEHIND = [
    broadcast_figure("go", GO, 16, at_least_times(1.2)),
    broadcast_figure("node", NODE, 16, at_least_times(2.0)),
    broadcast_figure("go-1", GO, 1, None),
    broadcast_figure("node-1", NODE, 1, None),
    broadcast_figure(
        "history",
        PLAIN,
        16,
        None,
        config=f"{CHAT}history = 100\n",
        plain=CHAT,
        proof=["--ids"],
    ),
    exec_figure("1", 1, "1 on the way"),
    exec_figure("16", 16, "16 on the way"),
    tcp_figure("up", "over a bridge to its target"),
    tcp_figure("down", "over a bridge from it", "--down"),
]
