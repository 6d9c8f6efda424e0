#!/usr/bin/python3
"""Everybody is told how the drain goes: systemd by its datagrams, the log, and the person at the
terminal."""
import ctypes
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import close_frame

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=50s')
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # of waitpid: threads too


class Listener:
    """What systemd is to the daemon: a datagram socket."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name.replace('@', '\0', 1) if name.startswith('@') else name)
        self.texts = []  # (when, text)

    def read(self, timeout):
        """The next datagram, or None when none has come in so many seconds."""
        self.socket.settimeout(max(timeout, 0.001))
        try:
            text = self.socket.recv(65536).decode()
        except TimeoutError:
            return None
        self.texts.append((time.monotonic(), text))
        return text

    def wait(self, line):
        """Reads until a datagram has this line; returns it."""
        end = time.monotonic() + lastcall.scaled(10)
        while (left := end - time.monotonic()) > 0:
            text = self.read(left)
            if text is not None and line in text.split('\n'):
                return text
        raise AssertionError(f'{line} was not said, but {self.texts}')

    def listen(self, seconds):
        """Everything that is said in so many seconds: [(when, text)]."""
        end, before = time.monotonic() + seconds, len(self.texts)
        while (left := end - time.monotonic()) > 0:
            self.read(left)
        return self.texts[before:]

    def count(self, line):
        return sum(line in text.split('\n') for _, text in self.texts)


class Notified(lastcall.Case):
    def listener(self, name=None):
        found = Listener(name or os.path.join(self.directory(), 'notify'))
        self.addCleanup(found.socket.close)
        return found

    def notified(self, listener, *settings, watchdog=None, process='', **options):
        environment = {'NOTIFY_SOCKET': listener.name, 'WATCHDOG_USEC': str(watchdog or ''),
                       'WATCHDOG_PID': str(process)}
        return self.daemon(*settings, environment=environment, **options)


class Systemd(Notified):
    def test_it_hears_ready_when_everything_is_served_and_stopping_at_the_signal(self):
        path = os.path.join(self.directory(), 'notify')
        for name in (path, f'@lastcall-test-{os.getpid()}'):
            with self.subTest(name=name[0]):
                listener = self.listener(name)
                daemon = self.notified(listener, *LONG, wait=False)
                self.assertTrue(listener.wait('READY=1').startswith('READY=1\n'))
                daemon.ready()
                self.assertEqual(daemon.get('/health/ready').status, 200)
                peer = self.websocket(daemon)
                self.assertEqual(listener.count('STOPPING=1'), 0)
                daemon.send_signal()
                self.assertIn('STATUS=draining 0 of 1', listener.wait('STOPPING=1').split('\n'))
                peer.answer_close(1001)
                daemon.wait_exit(0)
                listener.listen(0.05)
                self.assertEqual((listener.count('READY=1'), listener.count('STOPPING=1')), (1, 1))

    def test_it_hears_how_many_have_been_drained(self):
        listener = self.listener()
        daemon = self.notified(listener, *LONG)
        peers = [self.websocket(daemon) for _ in range(4)]
        daemon.send_signal()
        listener.wait('STATUS=draining 0 of 4')
        for peer in peers[:3]:
            peer.answer_close(1001)
        listener.wait('STATUS=draining 3 of 4')
        peers[3].answer_close(1001)
        daemon.wait_exit(0)

    def test_it_hears_every_second_and_the_log_every_five_how_a_long_drain_goes(self):
        listener = self.listener()
        daemon = self.notified(listener, *LONG)
        peer = self.websocket(daemon)
        began = daemon.send_signal()
        listener.wait('STOPPING=1')
        heard = [(began, 'EXTEND_TIMEOUT_USEC=1000000'), *listener.listen(5.3)]
        line = daemon.wait_log('drain')
        self.assertEqual((line['drained'], line['total'], line['forced']), (0, 1, 0))
        self.assertTrue(53000 < line['left_ms'] <= 55000, line)
        peer.answer_close(1001)
        daemon.wait_exit(0)
        self.assertEqual(len(daemon.logged('drain')), 1)
        self.assertGreaterEqual(sum(text == 'STATUS=draining 0 of 1' for _, text in heard), 5)
        asked = [(when, int(number)) for when, text in heard
                 for number in re.findall(r'^EXTEND_TIMEOUT_USEC=(\d+)$', text, re.M)]
        self.assertGreaterEqual(len(asked), 5)
        for (when, microseconds), (following, _) in zip(asked, asked[1:]):
            self.assertLess(following - when, microseconds / 1e6, 'systemd would have killed it')

    def test_its_watchdog_is_told_within_each_interval_and_in_the_drain_too(self):
        listener = self.listener()
        daemon = self.notified(listener, *LONG, watchdog=1000000)
        peer = self.websocket(daemon)
        heard = listener.listen(2.2)
        daemon.send_signal()
        heard += listener.listen(1.7)
        peer.answer_close(1001)
        daemon.wait_exit(0)
        alive = [when for when, text in heard if text == 'WATCHDOG=1']
        self.assertGreaterEqual(len(alive), 5)
        self.assertLess(max(later - when for when, later in zip(alive, alive[1:])),
                        lastcall.scaled(0.9), 'the interval was 1 s')

    def test_signals_do_not_keep_its_watchdog_from_being_told(self):
        listener = self.listener()
        daemon = self.notified(listener, watchdog=400000)
        listener.wait('WATCHDOG=1')
        before = listener.count('WATCHDOG=1')
        for _ in range(60):  # each comes before the pause that the last one ended is over
            os.kill(daemon.pid, signal.SIGHUP)
            listener.listen(0.02)
        self.assertGreaterEqual(listener.count('WATCHDOG=1') - before, 3, 'in 1.2 s')

    def test_its_watchdog_is_not_told_while_a_loop_does_not_turn(self):
        listener = self.listener()
        daemon = self.notified(listener, 'server.loops=2', watchdog=400000)
        listener.wait('WATCHDOG=1')
        lastcall.wait_until(lambda: len(self.loops(daemon)) == 2, what='both loops at rest')
        stopped = self.loops(daemon)[0]
        trace = ctypes.CDLL(None, use_errno=True).ptrace
        if trace(PTRACE_SEIZE, stopped, 0, 0) != 0 or trace(PTRACE_INTERRUPT, stopped, 0, 0) != 0:
            self.skipTest(f'no thread can be stopped: {os.strerror(ctypes.get_errno())}')
        os.waitpid(stopped, WALL)
        self.addCleanup(trace, PTRACE_DETACH, stopped, 0, 0)  # or the daemon could not even die
        listener.listen(0.3)  # what was on its way
        self.assertNotIn('WATCHDOG=1', [text for _, text in listener.listen(1)])
        trace(PTRACE_DETACH, stopped, 0, 0)
        listener.wait('WATCHDOG=1')

    @staticmethod
    def loops(daemon):
        """The threads that sleep in epoll, as nothing but an event loop does."""
        found = []
        for thread in os.listdir(f'/proc/{daemon.pid}/task'):
            with open(f'/proc/{daemon.pid}/task/{thread}/wchan') as file:
                if re.search(r'epoll|ep_poll', file.read()):
                    found.append(int(thread))
        return found

    def test_a_watchdog_that_is_meant_for_another_process_is_not_told(self):
        listener = self.listener()
        self.notified(listener, watchdog=200000, process=1)
        listener.wait('READY=1')
        self.assertEqual(listener.listen(0.6), [])

    def test_one_that_does_not_read_holds_nothing_up(self):
        listener = self.listener()
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        while True:  # until its queue is full
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                try:
                    other.sendto(b'x', socket.MSG_DONTWAIT, listener.name)
                except BlockingIOError:
                    break
        daemon = self.notified(listener, *LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.answer_close(1001)
        daemon.wait_exit(0)
        self.assertWithin(daemon.since_signal(), 1.0, 'nobody was to be waited for')

    def test_one_that_is_not_there_is_only_warned_of(self):
        daemon = self.daemon(environment={'NOTIFY_SOCKET': '/nowhere/at/all'})
        self.websocket(daemon).echo()
        self.assertTrue([event for event in daemon.events if event['level'] == 'warning'
                         and 'systemd' in event['message']])


class Log(lastcall.Case):
    def test_a_line_comes_at_each_quarter(self):
        for form in ('text', 'json'):
            with self.subTest(form):
                daemon = self.daemon(f'log.format={form}', *LONG)
                peers = [self.websocket(daemon) for _ in range(8)]
                daemon.send_signal()
                for number, peer in enumerate(peers, 1):
                    peer.answer_close(1001)
                    if number in (2, 4, 6):
                        daemon.wait_log('drain', drained=number, total=8, forced=0)
                daemon.wait_exit(0)
                self.assertEqual(len(daemon.logged('drain')), 3)
                self.assertLess(daemon.since_signal(), 4.9, 'it was the line of five seconds')

    def test_a_quick_drain_says_nothing_in_between(self):
        daemon = self.daemon(*LONG)
        peers = [self.websocket(daemon) for _ in range(4)]
        daemon.send_signal()
        for peer in peers:
            peer.answer_close(1001)
        daemon.wait_exit(0)
        self.assertLessEqual(len(daemon.logged('drain')), 1)


class Screen:
    """What a person sees: the lines of a terminal, from what was written to it."""

    def __init__(self, text):
        self.lines, column = [''], 0
        for piece in re.findall(r'\x1b\[[0-9;]*[A-Za-z]|[^\x1b]', text):
            if piece == '\r':
                column = 0
            elif piece == '\n':
                self.lines.append('')
            elif piece == '\x1b[K':
                self.lines[-1] = self.lines[-1][:column]
            elif not piece.startswith('\x1b'):
                self.lines[-1] = (self.lines[-1][:column].ljust(column) + piece
                                  + self.lines[-1][column + 1:])
                column += 1


class OnTerminal:
    """A daemon whose terminal is one of 100 columns. What it writes is gathered in `text`."""

    def __init__(self, directory, settings, environment):
        config = os.path.join(directory, 'lastcall.ini')
        with open(config, 'w') as file:
            file.write(lastcall.ini(lastcall.BASE, lastcall.ROUTES))
        command = [lastcall.PROGRAM, '-c', config]
        for setting in settings:
            command += ['-s', setting]
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('4H', 40, 100, 0, 0))
        left_out = ('NO_COLOR', 'JOURNAL_STREAM', 'LC_ALL', 'LC_CTYPE')
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**{name: value for name, value in os.environ.items() if name not in left_out},
                 'TERM': 'xterm-256color', 'LANG': 'C.UTF-8', **environment},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.text = ''
        self.ended = False
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        address = self.wait(r'127\.0\.0\.1:(\d+)[\s\S]*\bready\b[\s\S]*\n')
        self.address = ('127.0.0.1', int(address.group(1)))

    def _read(self):
        content = b''
        while True:
            try:
                content += os.read(self.master, 65536)
            except OSError:  # nobody has the other side open
                break
            with self.changed:
                self.text = content.decode('utf-8', 'ignore')
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def plain(self):
        """What was written, without colours and whatever else is no text."""
        return re.sub(r'\x1b\[[0-9;]*[A-Za-z]', '', self.text)

    def wait(self, pattern):
        def found():
            return re.search(pattern, self.plain())
        with self.changed:
            self.changed.wait_for(lambda: found() or self.ended, lastcall.scaled(10))
            if not found():
                raise AssertionError(f'{pattern} was not written, but {self.text!r}')
            return found()

    def wait_exit(self, status):
        """Waits for the end; returns the lines that stay on the screen."""
        lastcall.Daemon.check_status(self.process.wait(lastcall.scaled(20)), status)
        self.reader.join(lastcall.scaled(5))
        return Screen(self.text).lines

    def leave(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(5)
        os.close(self.master)


class Terminal(lastcall.Case):
    LIVE = r'draining \u2595[\u2588\u2591]+\u258f %s  forced 0  \S+ s left'

    def on_terminal(self, *settings, **environment):
        daemon = OnTerminal(self.directory(), settings, environment)
        self.addCleanup(daemon.leave)
        return daemon

    def drained(self, daemon, live, number=signal.SIGTERM):
        """Drains two sessions, one after the other, waiting for the live line of each; returns the
        lines that stay on the screen."""
        peers = [self.websocket(daemon) for _ in range(2)]
        if number is not None:
            daemon.process.send_signal(number)
        for count, peer in enumerate(peers):
            peer.read_close(1001)
            daemon.wait(live % f'{count}/2')
            peer.send(close_frame(1001))
            peer.expect_end()
        return daemon.wait_exit(0)

    def assertEnd(self, lines):
        """The table once, the last line, and nothing of the live line."""
        self.assertEqual(lines[-1], '', 'the cursor stays behind a line')
        self.assertIsNotNone(re.search(r'info stopped status=0 .*handshake=2 ', lines[-2]), lines)
        headings = [number for number, line in enumerate(lines) if line.startswith('route ')]
        self.assertEqual(len(headings), 1, lines)
        self.assertEqual(lines[headings[0]].split(), ['route', 'open', 'handshake', 'gone',
                                                      'forced', 'refused', 'received'])
        rows = [line.split() for line in lines[headings[0] + 1:-2]]
        self.assertEqual([row for row in rows if row[0] in ('/echo', 'total')],
                         [['/echo', '2', '2', '0', '0', '0', '0'],
                          ['total', '2', '2', '0', '0', '0', '0']])
        for line in lines[:headings[0]]:
            self.assertIsNotNone(lastcall.parse_line(line), f'no line of the log: {line!r}')

    def test_a_live_line_shows_the_drain_and_a_table_and_one_last_line_stay(self):
        daemon = self.on_terminal(*LONG)
        self.assertEnd(self.drained(daemon, self.LIVE))
        self.assertIn('\x1b[32m', daemon.text)

    def test_no_color_is_obeyed(self):
        daemon = self.on_terminal(*LONG, NO_COLOR='1')
        self.assertEnd(self.drained(daemon, self.LIVE))
        self.assertEqual(set(re.findall(r'\x1b\[[0-9;]*.', daemon.text)), {'\x1b[K'})

    def test_a_terminal_without_unicode_gets_none(self):
        daemon = self.on_terminal(*LONG, LANG='C')
        self.assertEnd(self.drained(daemon, r'draining \[[#-]+\] %s  forced 0  \S+ s left'))
        self.assertTrue(daemon.text.isascii())

    def test_control_c_drains(self):
        daemon = self.on_terminal(*LONG)
        peers = [self.websocket(daemon) for _ in range(2)]
        os.write(daemon.master, b'\x03')
        for peer in peers:
            peer.answer_close(1001)
        self.assertIn('info stopped status=0', daemon.wait_exit(0)[-2])
        self.assertIn('signal name=SIGINT', daemon.plain())

    def test_json_has_neither_live_line_nor_table_nor_colours(self):
        daemon = self.on_terminal('log.format=json', *LONG)
        peers = [self.websocket(daemon) for _ in range(8)]
        daemon.process.send_signal(signal.SIGTERM)
        for number, peer in enumerate(peers, 1):
            peer.answer_close(1001)
            if number == 4:
                daemon.wait('"message":"drain"')
                time.sleep(lastcall.scaled(0.3))  # a live line would come after 0.2 s
        daemon.wait_exit(0)
        lines = [json.loads(line) for line in daemon.text.splitlines()]
        self.assertEqual(lines[-1]['message'], 'stopped')
        self.assertNotIn('\x1b', daemon.text)


if __name__ == '__main__':
    lastcall.main()
