#!/usr/bin/python3
"""What becomes of limits.memory while the server stops."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import BINARY, frame

WHY = 'all WebSockets together hold too much memory, and this one the most'
HALF = frame(BINARY, b'x' * 40000, claim=900000, form=64)


class MemoryDrain(lastcall.Case):
    def test_who_is_cut_for_memory_after_our_close_has_a_line_that_says_so(self):
        daemon = self.daemon('limits.memory=1M', 'log.level=info', 'shutdown.close_timeout=2s')
        peers = [self.websocket(daemon) for _ in range(8)]
        for peer in peers:
            peer.send(HALF)
        daemon.send_signal()
        for peer in peers:
            peer.read_close(1001)
        for peer in peers:
            try:
                peer.push(b'x' * 300000, quiet=0.1)
            except OSError:
                pass  # it is cut while it sends
        stopped = daemon.wait_exit(lastcall.EXIT_FORCED)
        self.assertEqual(stopped['forced'], 8)
        cut = daemon.logged('closing', code=1013, why=WHY)
        self.assertTrue(0 < len(cut) < 8, cut)


if __name__ == '__main__':
    lastcall.main()
