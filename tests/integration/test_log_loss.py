#!/usr/bin/python3
"""Standard error that does not take a line at once: what is lost is said to be lost."""
import fcntl
import os
import re
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import WebSocket, close_frame


class NonBlocking(lastcall.Case):
    """A pipe of a page that somebody has made non-blocking, as a shell or a supervisor may."""
    SESSIONS = 400

    def start(self):
        path = os.path.join(self.directory(), 'lastcall.ini')
        with open(path, 'w') as file:
            file.write(lastcall.ini(lastcall.BASE, lastcall.ROUTES))
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writing, False)
        self.process = subprocess.Popen([lastcall.PROGRAM, '-c', path],
                                        stdin=subprocess.DEVNULL, stderr=writing)
        os.close(writing)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.text = b''

    def read_until(self, mark):
        """Reads until the mark (None: the end) has come, 512 bytes at a time."""
        end = time.monotonic() + lastcall.scaled(20)
        while mark is None or mark not in self.text:
            if not select.select([self.reading], [], [], max(0, end - time.monotonic()))[0]:
                self.fail(f'{mark} did not come: {self.text[-300:]!r}')
            data = os.read(self.reading, 512)
            if not data:
                self.assertIsNone(mark, f'the end came before {mark}')
                return
            self.text += data

    def session(self, address):
        peer = WebSocket(address, lastcall.scaled(10))
        try:
            peer.handshake()
            peer.send(close_frame(1000))
            peer.read_close(1000)
            peer.expect_end()
        finally:
            peer.close_socket()

    def test_every_line_arrives_or_is_counted_as_lost(self):
        self.start()
        self.read_until(b' ready ')
        port = int(re.search(rb'listening address=127\.0\.0\.1:(\d+)', self.text)[1])
        for _ in range(self.SESSIONS):
            self.session(('127.0.0.1', port))
        self.process.terminate()
        self.read_until(b'stopped status=')
        self.read_until(None)
        self.assertEqual(self.process.wait(lastcall.scaled(10)), 0)
        events = []
        for line in self.text.decode().splitlines():
            event = lastcall.parse_line(line)
            self.assertIsNotNone(event, f'half a line: {line!r}')
            self.assertNotRegex(line, r'Z (debug|info) .*Z (debug|info) ', 'two lines in one')
            events.append(event)
        lost = sum(event['lines'] for event in events if 'log lines lost' in event['message'])
        arrived = sum(event['message'] in ('session opened', 'session closed')
                      for event in events)
        self.assertGreaterEqual(arrived + lost, 2 * self.SESSIONS, f'{lost} are counted as lost')


if __name__ == '__main__':
    lastcall.main()
