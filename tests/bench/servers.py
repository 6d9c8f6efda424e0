"""The servers that tests/bench/run measures: their commands, and one process of one of them."""

import collections
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

from figure import CIVETWEB, GO, NODE, PLAIN, SOCAT, TARGET

HERE = os.path.dirname(os.path.abspath(__file__))
DEBIAN_GO_PATH = "/usr/share/gocode"
DEBIAN_NODE_PATH = "/usr/share/nodejs"
WAIT = 30  # seconds until a server that does not start or stop is killed
HTTP_THREADS = "128"  # what lastcall has by default
SPIN = "spin"  # the abusive peer that talks to nobody
SPINNING = "print(flush=True)\nwhile True: pass"
AGAINST = "against"  # the peer is another build of lastcall
# Relays one connection, and ends with it. Its own default are pieces of 8 KB.
RELAY = ["-d", "-d", "-b", "65536", "TCP4-LISTEN:0,bind=127.0.0.1", f"TCP4:127.0.0.1:{TARGET}"]
LISTENING = re.compile(r"\blistening (?:address=|on AF=2 )\S*:(\d+)")


class Failure(Exception):
    """A measurement that could not be made; its text says why."""


class Server:
    """One process of the server of this name, ready, from its start until it is waited for."""

    def __init__(self, name, command, figure, folder):
        self.name = name
        self.is_foreign = name in (GO, CIVETWEB, NODE, SOCAT)
        self.status = 0 if self.is_foreign else figure.status
        self.abuse = figure.abuse
        self.proof = [] if self.is_foreign or name == PLAIN else figure.proof
        if name == SOCAT:
            self.proof = ["--plain"]
        self.report = None
        self.process = subprocess.Popen(
            command + self._arguments(figure, folder),
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self.last_lines = collections.deque(maxlen=5)
        self.port = None
        self.is_ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _arguments(self, figure, folder):
        """What the figure adds to the command; a file of lastcall's is written into the folder."""
        if self.name == CIVETWEB:
            return [folder, HTTP_THREADS]
        if self.is_foreign:
            return []
        arguments = [part for setting in figure.settings for part in ("-s", setting)]
        config = figure.plain if self.name == PLAIN else figure.config
        if config is not None:
            path = os.path.join(folder, f"{self.name}.ini")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config.replace("{folder}", folder))
            arguments += ["-c", path]
        if figure.reported:
            self.report = os.path.join(folder, f"{self.name}.json")
            arguments += ["-s", f"shutdown.report={self.report}"]
        return arguments

    def _read(self):
        for line in self.process.stderr:
            self.last_lines.append(line)
            address = LISTENING.search(line)
            if address:
                self.port = int(address.group(1))
            if self.port and (self.name == SOCAT or re.search(r"\bready\b", line)):
                self.is_ready.set()
        self.is_ready.set()

    def __enter__(self):
        if not self.is_ready.wait(WAIT) or self.port is None:
            self.__exit__()
            raise self.failure("did not say that it is ready")
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(WAIT)
        self.process.stderr.close()

    def measure(self, command):
        """Lets the load client run against it. Returns what that printed, and the report's."""
        if self.abuse is None:
            return self._measure(command)
        alone = self._measure(command)
        with Abuser(command[0], self.abuse, self.port) as abuser:
            run = self._measure(command)
        run["cpu_percent"] = run["cpu_us"] * run["per_second"] / 1e4
        for key in "p50", "p99":
            run[f"alone_{key}_us"] = alone[f"{key}_us"]
            run[f"{key}_times"] = run[f"{key}_us"] / alone[f"{key}_us"]
        return {**run, **abuser.result}

    def _measure(self, command):
        client = subprocess.run(
            [*command, *self.proof, f"--port={self.port}", f"--pid={self.process.pid}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
        if client.returncode != 0:
            raise self.failure(f"was measured in vain: {client.stderr.strip()}")
        run = json.loads(client.stdout)
        return {**run, **self._read_report(run)} if self.report else run

    def _read_report(self, run):
        self.stop()
        with open(self.report, encoding="utf-8") as file:
            report = json.load(file)
        if report["sessions"]["open"] != run["sessions"] or not report["signal_to_close_ms"]:
            raise Failure(f"the report is not about {run['sessions']} sessions: {report}")
        times = report["signal_to_close_ms"]
        return {f"report_{name}_ms": time for name, time in times.items()}

    def stop(self):
        """Ends it, unless it does so by itself, and insists on its exit status."""
        if self.name != SOCAT:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            raise self.failure(f"still runs {WAIT} s after SIGTERM") from None
        if status != self.status:
            raise self.failure(f"ended with status {status}, not {self.status}")

    def failure(self, what):
        return Failure(f"{self.name} {what}; its last lines:\n" + "".join(self.last_lines))


class Abuser:
    """An abusive peer, or several, once begun; at the end `result` says how it fared."""

    def __init__(self, load, kind, port, times=1):
        command = [os.path.join(os.path.dirname(load), "abuse"), kind, str(port), str(times)]
        if kind == SPIN:
            command = [sys.executable, "-c", SPINNING]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.result = {}

    def __enter__(self):
        if not self.process.stdout.readline():
            raise Failure("the abusive peer has not begun")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        last = self.process.communicate(timeout=WAIT)[0]
        found = json.loads(last) if last else {"opened": 0, "refused": 0, "ended": 0}
        self.result = {**found, "lost": found["refused"] + found["ended"]}


def built(build, *names):
    """The first of these files below the build folder that is there."""
    for name in names:
        path = os.path.join(build, name)
        if os.access(path, os.X_OK):
            return path
    return None


def build_peer(build):
    """Compiles peer*.go against Debian's packages, unless that was done. Uses no network."""
    sources = glob.glob(os.path.join(HERE, "peer*.go"))
    folder = os.path.join(build, "bench")
    program = os.path.join(folder, "peer")
    changed = max(os.path.getmtime(source) for source in sources)
    if os.path.exists(program) and os.path.getmtime(program) > changed:
        return program
    if not shutil.which("go") or not os.path.isdir(f"{DEBIAN_GO_PATH}/src/github.com/gorilla"):
        sys.exit(
            "bench: the peer needs Go and gorilla/websocket:\n"
            "  apt-get install golang-go golang-github-gorilla-websocket-dev\n"
            "or leave it out: --no-peer"
        )
    os.makedirs(folder, exist_ok=True)
    settings = {
        "GO111MODULE": "off",
        "GOPATH": DEBIAN_GO_PATH,
        "GOFLAGS": "",
        "GOPROXY": "off",
        "GOCACHE": os.path.join(folder, "go-cache"),
    }
    command = ["go", "build", "-o", program, *sources]
    if subprocess.run(command, env={**os.environ, **settings}).returncode:
        sys.exit("bench: the peer does not compile")
    return program


def node_peer():
    """The command of the peer on Node.js, or None where that, or its package ws, is not there."""
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        return None
    os.environ["NODE_PATH"] = DEBIAN_NODE_PATH
    known = subprocess.run([node, "-e", "require('ws')"], stderr=subprocess.DEVNULL)
    return None if known.returncode else [node, os.path.join(HERE, "peer.js")]


def commands(options, figures):
    """What starts the servers that these figures need, by name."""
    program = options.lastcall or built(options.build, "lastcall")
    if program is None:
        sys.exit(f"bench: {options.build}/lastcall is not there; ./dev bench builds it first")
    rest = ["-s", "server.listen=127.0.0.1:0"]
    for setting in options.set:
        rest += ["-s", setting]
    found = {"lastcall": [program, *rest]}
    if options.against:
        found[AGAINST] = [options.against, *rest]
    elif not options.no_peer:
        found[PLAIN] = found["lastcall"]
        found[CIVETWEB] = [built(options.build, "tests/civetweb_static", "civetweb_static")]
        if any(figure.peer == GO for figure in figures):
            found[GO] = [build_peer(options.build)]
        if any(figure.peer == NODE for figure in figures) and node_peer():
            found[NODE] = node_peer()
        if shutil.which("socat"):
            found[SOCAT] = [shutil.which("socat"), *RELAY]
    return found
