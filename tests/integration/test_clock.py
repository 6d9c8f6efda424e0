#!/usr/bin/python3
"""A wall clock that jumps by a day changes nothing: every time limit is of the monotonic clock."""
import glob
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall

LIBRARY = (glob.glob('/usr/lib/*/faketime/libfaketimeMT.so.1') or [None])[0]


class Clock(lastcall.Case):
    def jumping(self, jump):
        """A daemon with one silent session, whose wall clock jumps in the middle of the drain."""
        now = os.path.join(self.directory(), 'now')
        with open(now, 'w') as file:
            file.write('+0')
        daemon = self.daemon('shutdown.close_timeout=1s', environment={
            'LD_PRELOAD': LIBRARY, 'FAKETIME_TIMESTAMP_FILE': now, 'FAKETIME_NO_CACHE': '1',
            'DONT_FAKE_MONOTONIC': '1', 'FAKETIME_DONT_FAKE_MONOTONIC': '1'})
        peer = self.websocket(daemon)
        peer.echo(b'before')
        began = time.monotonic()
        daemon.send_signal()
        peer.read_close(1001)
        with open(now, 'w') as file:
            file.write(jump)
        # Not daemon.wait_exit: libfaketime replaces pthread_cond_timedwait, too, and with it the
        # wait for the last lines of the log.
        self.assertEqual(daemon.process.wait(lastcall.scaled(20)), 1)
        took = time.monotonic() - began
        self.assertWithin(took, 2.0, 'close_timeout is 1 s')
        self.assertGreaterEqual(took, 0.9, 'close_timeout is 1 s')

    def test_a_day_forward_or_back_in_the_drain_leaves_close_timeout_as_it_is(self):
        if LIBRARY is None or lastcall.sanitized():
            self.skipTest('libfaketime is not installed, or the program is a sanitizer build')
        for jump in ('+1d', '-1d'):
            with self.subTest(jump):
                self.jumping(jump)


if __name__ == '__main__':
    lastcall.main()
