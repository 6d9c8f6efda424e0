#!/usr/bin/python3
"""Connections that say nothing stay in the kernel for a while; also when they come out of there,
nobody else waits. Takes 45 seconds."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import close_frame

SILENT = 200
DURATION = 45  # seconds: longer than the kernel keeps them and than they are then waited for


class Silent(lastcall.Case):
    def handshake(self, daemon):
        peer = self.websocket(daemon)
        peer.send(close_frame(1000))
        peer.read_close(1000)
        peer.expect_end()

    def health(self, daemon):
        self.assertEqual(daemon.get('/health/live').status, 200)

    def test_silent_connections_disturb_nobody_for_as_long_as_they_last(self):
        daemon = self.daemon()
        silent = [self.peer(daemon) for _ in range(SILENT)]
        opened, number, slow = time.monotonic(), 0, []
        while (began := time.monotonic()) - opened < DURATION:
            ask = self.handshake if number % 2 else self.health
            number += 1
            ask(daemon)
            took = time.monotonic() - began
            if took > lastcall.scaled(1.5):
                slow.append(f'{ask.__name__} took {took:.1f} s after {began - opened:.1f} s')
            time.sleep(0.05)  # a load, not a wait
        self.assertEqual(slow, [])
        del silent


if __name__ == '__main__':
    lastcall.main()
