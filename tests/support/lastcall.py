"""The daemon under test: started for one case, watched through its log, ended by its pid.

A test file is a unittest module whose cases derive from Case. `self.daemon(...)` starts a daemon
on a free port; whatever the case leaves running is ended afterwards, and its exit status is
checked in every case. Waits are for events: a log line, bytes from a peer, the end of a process.

$LASTCALL names the program (build/release/lastcall), $TIME_FACTOR stretches every time limit.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from peer import Peer, WebSocket, request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.abspath(os.environ.get('LASTCALL')
                          or os.path.join(ROOT, 'build/release/lastcall'))
TIME_FACTOR = float(os.environ.get('TIME_FACTOR', '1'))
LEVELS = ('error', 'warning', 'info', 'debug')

EXIT_DRAINED, EXIT_FORCED = 0, 1
EXIT_USAGE, EXIT_LISTEN, EXIT_SYSTEM, EXIT_CONFIG = 64, 69, 71, 78
EXIT_SANITIZER = 99

BASE = {
    'server': {'listen': '127.0.0.1:0'},
    'log': {'level': 'debug', 'format': 'text'},
}
ROUTES = {
    '/': {'handler': 'page'},
    '/echo': {'handler': 'echo'},
    '/health/*': {'handler': 'health'},
    '/metrics': {'handler': 'metrics'},
}


def scaled(seconds):
    """A time limit on this machine and this build."""
    return seconds * TIME_FACTOR


def sanitized():
    """Whether the program is a sanitizer build: its memory says nothing then."""
    with open(PROGRAM, 'rb') as program:
        content = program.read()
    return b'__asan_init' in content or b'__tsan_init' in content


def unique(pairs):
    """The first of two keys of the same name counts; a test of the log minds that there are two."""
    return dict(reversed(pairs))


def parse_line(line):
    """A log line as {'level': ..., 'message': ..., key: value, ...}; None if it is none."""
    if line.startswith('{'):
        return json.loads(line, object_pairs_hook=unique)
    match = re.match(r'(?:\S+ )?(%s) (.*)$' % '|'.join(LEVELS), line)
    if not match:
        return None
    rest = match.group(2)
    pair = re.compile(r'(?:^|\s)([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)')
    first = pair.search(rest)
    event = {'level': match.group(1), 'message': rest[:first.start()] if first else rest}
    for key, value in pair.findall(rest):
        if value.startswith('"'):
            value = re.sub(r'\\(.)', r'\1', value[1:-1])
        event.setdefault(key, int(value) if re.fullmatch(r'-?\d+', value) else value)
    return event


def ini(sections, routes):
    lines = []
    named = dict(sections)
    named.update({f'route {path}': keys for path, keys in routes.items() if keys is not None})
    for name, keys in named.items():
        lines.append(f'[{name}]')
        lines += [f'{key} = {value}' for key, value in keys.items()]
        lines.append('')
    return '\n'.join(lines)


class Daemon:
    """A running daemon. `settings` are 'section.key=value' on top of BASE; `routes` on ROUTES.
    `plain`: without a file, so that its embedded default is served. `raw` is the log as it came.
    `group`: the file that takes the daemon into a control group when its pid is written there."""

    def __init__(self, directory, settings=(), routes=None, arguments=(), environment=None,
                 descriptors=None, plain=False, group=None):
        sections = {name: dict(keys) for name, keys in BASE.items()}
        for setting in settings:
            name, value = setting.split('=', 1)
            section, key = name.strip().split('.', 1)
            sections.setdefault(section, {})[key] = value
        self.config = os.path.join(directory, 'lastcall.ini')
        with open(self.config, 'w') as file:
            file.write(ini(sections, {**ROUTES, **(routes or {})}))
        command = [PROGRAM, '-c', self.config, *arguments]
        if plain:
            command = [PROGRAM, '-s', 'server.listen=127.0.0.1:0', *arguments]
        if descriptors:
            command = ['prlimit', f'--nofile={descriptors}:{descriptors}', '--', *command]
        if group:
            command = ['sh', '-c', 'echo $$ > "$0" && exec "$@"', group, *command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})}, start_new_session=True)
        self.pid = self.process.pid
        self.lines = []
        self.raw = []
        self.events = []
        self.ended = None  # when its stderr ended
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.address = None

    def _read(self):
        for raw in self.process.stderr:
            line = raw.decode('utf-8', 'replace').rstrip('\n')
            with self.changed:
                self.raw.append(raw)
                self.lines.append(line)
                event = parse_line(line)
                if event:
                    self.events.append(event)
                self.changed.notify_all()
        with self.changed:
            self.ended = time.monotonic()
            self.changed.notify_all()

    def ready(self):
        """Waits until everything is served; `address` is the first that is listened on."""
        self.wait_log('ready', timeout=20)
        host, port = self.logged('listening')[0]['address'].rsplit(':', 1)
        self.address = (host, int(port))
        return self

    def logged(self, message, **values):
        with self.changed:
            return [event for event in self.events if event['message'] == message
                    and all(event.get(key) == value for key, value in values.items())]

    def wait_log(self, message, count=1, timeout=10, **values):
        """Waits for `count` such lines and returns the last of them."""
        def found():
            return len(self.logged(message, **values)) >= count
        with self.changed:
            if not self.changed.wait_for(lambda: found() or self.ended, scaled(timeout)) \
                    or not found():
                raise AssertionError(f'no log line {message!r} {values or ""} (x{count}) '
                                     f'within {scaled(timeout):.1f} s')
        return self.logged(message, **values)[count - 1]

    def send_signal(self, number=signal.SIGTERM):
        """Sends a signal; returns when that was."""
        self.signalled = time.monotonic()
        os.kill(self.pid, number)
        return self.signalled

    def wait_exit(self, status, timeout=20):
        """Waits for the end, checks the exit status, returns the `stopped` line, or {}."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.ended, scaled(timeout)):
                raise AssertionError(f'still running after {scaled(timeout):.1f} s')
        returned = self.process.wait(scaled(10))
        self.check_status(returned, status)
        stopped = self.logged('stopped')
        if not stopped:
            if status <= 3:
                raise AssertionError('it left without a line `stopped`')
            return {}
        last = stopped[-1]
        if last['status'] != returned:
            raise AssertionError(f'it logs status {last["status"]} and exits with {returned}')
        if parse_line(self.lines[-1]) != last:
            raise AssertionError(f'the last line is not `stopped` but {self.lines[-1]!r}')
        return last

    def stop(self, status=EXIT_DRAINED, number=signal.SIGTERM, timeout=20):
        self.send_signal(number)
        return self.wait_exit(status, timeout)

    @staticmethod
    def check_status(returned, expected):
        if returned < 0:
            raise AssertionError(f'killed by {signal.Signals(-returned).name}')
        if returned == EXIT_SANITIZER:
            raise AssertionError('a sanitizer reported something')
        if returned != expected:
            raise AssertionError(f'exit status {returned} instead of {expected}')

    def since_signal(self):
        """Seconds from the last signal to the exit."""
        return self.ended - self.signalled

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)

    def show(self, most=60):
        with self.changed:
            lines = self.lines
            if len(lines) > most:
                lines = [f'({len(lines) - most} lines left out)'] + lines[-most:]
            for line in lines:
                print('#   log:', line)

    def get(self, path, method='GET', **options):
        return request(self.address, path, method, timeout=scaled(10), **options)

    def fd_count(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def status(self, field):
        """A number out of /proc/PID/status: 'Threads', 'VmRSS' (kB)."""
        with open(f'/proc/{self.pid}/status') as file:
            return int(re.search(rf'^{field}:\s+(\d+)', file.read(), re.M).group(1))


class Case(unittest.TestCase):
    longMessage = True

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        self.daemons = []
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for number, daemon in enumerate(self.daemons, 1):
                print(f'#   the daemon of: {self.id()} ({number})')
                daemon.show()
        return result

    def directory(self):
        path = tempfile.mkdtemp(prefix='lastcall-test-')
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def daemon(self, *settings, wait=True, **options):
        daemon = Daemon(self.directory(), settings, **options)
        self.daemons.append(daemon)
        self.addCleanup(self._leave, daemon)
        return daemon.ready() if wait else daemon

    def _leave(self, daemon):
        """The peers of the case are gone by now: what still runs must end with 0."""
        try:
            if daemon.process.poll() is None:
                daemon.stop(EXIT_DRAINED)
            else:
                self.assertNotEqual(daemon.process.returncode, EXIT_SANITIZER)
                self.assertGreaterEqual(daemon.process.returncode, 0, 'killed by a signal')
        finally:
            daemon.kill()

    def peer(self, daemon, **options):
        peer = Peer(daemon.address, timeout=scaled(10), **options)
        self.addCleanup(peer.close_socket)
        return peer

    def websocket(self, daemon, path='/echo', **options):
        """An open WebSocket."""
        peer = WebSocket(daemon.address, timeout=scaled(10), **options)
        self.addCleanup(peer.close_socket)
        peer.handshake(path)
        return peer

    def run_program(self, *arguments, expect, stdin=None, environment=None, descriptors=None):
        """Runs the program to its end; checks its status; returns (stdout, stderr)."""
        command = [PROGRAM, *arguments]
        if descriptors:
            command = ['prlimit', f'--nofile={descriptors}:{descriptors}', '--', *command]
        done = subprocess.run(command, stdin=stdin or subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=scaled(20), start_new_session=True,
                              env={**os.environ, **(environment or {})})
        self.assertEqual(done.returncode, expect,
                         f'{arguments}\nstdout: {done.stdout}\nstderr: {done.stderr}')
        return done.stdout, done.stderr

    def assertWithin(self, seconds, limit, what):
        self.assertLess(seconds, scaled(limit), what)


def free_port():
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_until(condition, timeout=10, what='it'):
    """For what has no event to wait for, such as a number in /proc."""
    end = time.monotonic() + scaled(timeout)
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within {scaled(timeout):.1f} s')
        time.sleep(0.01)


class Tap(unittest.TestResult):
    """Test results as TAP: a test's name is the sentence that it proves."""
    count = 0

    def _line(self, word, test, note=''):
        self.count += 1
        seconds = time.monotonic() - self.began
        name = str(test.id()).split('.')[-1]
        name = re.sub(r'^test_', '', name).replace('_', ' ')
        print(f'{word} {self.count} {name} ({seconds:.2f} s){note}', flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.broken = False

    def _broken(self, test, err):
        text = self._exc_info_to_string(err, test) if not isinstance(err, str) else err
        print('# ' + f'{test}\n{text}'.rstrip().replace('\n', '\n# '), flush=True)
        self.broken = True

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._broken(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._broken(test, err)
        if not hasattr(test, '_testMethodName'):  # a module or class that cannot be set up
            self.began = time.monotonic()
            self._line('not ok', test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._broken(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line('ok', test, f' # skip {reason}')
        self.skipped_now = test

    def stopTest(self, test):
        if getattr(self, 'skipped_now', None) is not test:
            self._line('not ok' if self.broken else 'ok', test)
        super().stopTest(test)


def main():
    """Runs the tests of the calling file; arguments are parts of test names to choose from."""
    if not os.access(PROGRAM, os.X_OK):
        sys.exit(f'{PROGRAM} is not there: build it, or name it in $LASTCALL')
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])
    tests = [test for group in suite for test in group]
    if sys.argv[1:]:
        tests = [test for test in tests if any(part in test.id() for part in sys.argv[1:])]
    result = Tap()
    unittest.TestSuite(tests).run(result)
    print(f'1..{result.count}')
    sys.exit(0 if result.wasSuccessful() else 1)
