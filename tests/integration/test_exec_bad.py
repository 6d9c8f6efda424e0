#!/usr/bin/python3
"""Programs behind a WebSocket that behave badly: they never read, flood, hold what they should let
go, or are too many. Each is bounded, and the others do not notice."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from exec_scene import Programs, children
from peer import CLOSE, TEXT, frame

MEGABYTE = 1 << 20
FLOOD = 'while True: sys.stdout.write("x" * 1000 + "\\n" * 24)'


class Floods(Programs):
    def untouched(self, daemon):
        """Another session of the same daemon is served at once."""
        other = self.websocket(daemon)
        for number in range(20):
            other.echo(b'%d' % number)

    def memory(self, daemon):
        return daemon.status('VmRSS') * 1024

    def test_a_program_that_never_reads_slows_its_peer_down_and_nobody_else(self):
        daemon = self.running('say("up"); time.sleep(600)', 'shutdown.close_timeout=1s')
        peer = self.websocket(daemon, '/run')
        self.read_line(peer)
        before = self.memory(daemon)
        sent = peer.push(frame(TEXT, b'x' * 100000) * 300)
        self.assertLess(sent, 20 * MEGABYTE, 'it was slowed down')
        if not lastcall.sanitized():
            self.assertLess(self.memory(daemon) - before, 8 * MEGABYTE)
        self.untouched(daemon)
        peer.reset()
        self.assertChildless(daemon)

    def test_a_flood_on_standard_output_waits_for_the_peer(self):
        daemon = self.running(FLOOD, 'shutdown.close_timeout=1s')
        peer = self.websocket(daemon, '/run', receive_buffer=4096)
        self.read_line(peer)
        child = next(iter(children(daemon.pid)))
        lastcall.wait_until(lambda: self.sleeps(child), what='the program waits')
        if not lastcall.sanitized():
            self.assertLess(self.memory(daemon), 60 * MEGABYTE)
        self.untouched(daemon)
        for _ in range(30000):
            peer.read_message()
        peer.reset()
        self.assertChildless(daemon)

    def sleeps(self, pid):
        """It has not used the processor for a while."""
        def used():
            with open(f'/proc/{pid}/stat') as file:
                return file.read().rsplit(')', 1)[1].split()[11:13]
        before = used()
        time.sleep(0.3)
        return used() == before

    def test_a_small_send_queue_is_no_reason_to_close(self):
        daemon = self.running('for n in range(20000): sys.stdout.write("line %d\\n" % n)',
                              'limits.send_queue=4k')
        peer = self.websocket(daemon, '/run', receive_buffer=4096)
        self.assertEqual(self.read_lines(peer, 20000), [f'line {n}' for n in range(20000)])
        self.closed(peer, 1000)

    def test_a_flood_of_empty_lines_is_bounded_too(self):
        daemon = self.running('for _ in range(100): sys.stdout.write("\\n" * 3000)\nsay("end")',
                              'limits.send_queue=16k')
        peer = self.websocket(daemon, '/run', receive_buffer=4096)
        lines = self.read_lines(peer, 300001)
        self.assertEqual(lines[-1], 'end')
        self.assertFalse(any(lines[:-1]))

    def test_a_flood_on_standard_error_is_thinned_out_and_holds_nobody_up(self):
        daemon = self.running('for n in range(100000): sys.stderr.write("trouble %d\\n" % n)\n'
                              'sys.stderr.write("x" * 300000 + "\\n"); say("done")')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), 'done')
        self.closed(peer, 1000)
        said = daemon.logged('a program says')
        self.assertGreaterEqual(len(said), 20)
        self.assertLess(len(said), 100)
        self.untouched(daemon)

    def test_a_program_that_closes_its_input_is_still_listened_to(self):
        go = os.path.join(self.directory(), 'go')
        command = self.script('os.close(0); say("deaf")\n'
                              'while not os.path.exists(sys.argv[1]): time.sleep(0.01)\n'
                              'say("still here")')
        daemon = self.daemon(routes={'/run': {'handler': 'exec', 'command': f'{command} {go}'}})
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), 'deaf')
        peer.send(frame(TEXT, b'x' * 100000) * 50)
        open(go, 'w').close()
        self.assertEqual(self.read_line(peer), 'still here')
        self.closed(peer, 1000)

    def test_a_program_that_closes_its_output_goes_on_reading(self):
        path = os.path.join(self.directory(), 'heard')
        command = self.script('os.close(1); os.close(2)\n'
                              'open(sys.argv[1], "w").write(sys.stdin.read())')
        daemon = self.daemon(routes={'/run': {'handler': 'exec', 'command': f'{command} {path}'}})
        peer = self.websocket(daemon, '/run')
        for number in range(100):
            self.line(peer, str(number))
        self.close(peer)
        self.assertChildless(daemon)
        with open(path) as file:
            self.assertEqual(file.read(), ''.join(f'{n}\n' for n in range(100)))


class Left(Programs):
    """What a program leaves behind."""

    def test_children_that_hold_its_output_are_not_waited_for_and_end_with_it(self):
        daemon = self.running('child = os.fork()\n'
                              'if child == 0: time.sleep(600)\n'
                              'say(child); os._exit(0)')
        peer = self.websocket(daemon, '/run')
        child = int(self.read_line(peer))
        self.closed(peer, 1000)
        self.assertGone(child)
        self.assertChildless(daemon)

    def test_children_that_flood_its_output_are_not_waited_for_either(self):
        daemon = self.running('if os.fork() == 0:\n'
                              '    while True: os.write(1, b"flood\\n" * 100)\n'
                              'sys.stdin.readline(); os._exit(4)')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), 'flood')
        self.line(peer, 'go')
        while True:
            found = peer.read_frame()
            if found.opcode == CLOSE:
                break
        self.assertEqual((found.code(), found.reason()), (1011, 'the program ended with status 4'))
        peer.reset()
        self.assertChildless(daemon)

    def test_children_that_ignore_sigterm_are_killed(self):
        daemon = self.running('child = os.fork()\n'
                              'if child == 0:\n'
                              '    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n'
                              '    say(os.getpid()); time.sleep(600)\n'
                              'time.sleep(0.5); os._exit(0)', 'shutdown.close_timeout=900ms')
        peer = self.websocket(daemon, '/run')
        child = int(self.read_line(peer))
        self.closed(peer, 1000)
        self.assertGone(child)
        self.assertChildless(daemon)

    def test_orphans_of_a_running_program_are_reaped(self):
        daemon = self.running('''
for _ in range(50):
    if os.fork() == 0:
        for _ in range(3):
            if os.fork() == 0: time.sleep(0.1); os._exit(0)
        os._exit(0)
    os.wait()
say("ready"); sys.stdin.read()''')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), 'ready')
        lastcall.wait_until(lambda: len(children(daemon.pid)) == 1, what='only the program is left')
        self.close(peer)
        self.assertChildless(daemon)


class Many(Programs):
    def test_one_too_many_is_closed_with_1013_and_those_that_are_ending_count(self):
        daemon = self.running('signal.signal(signal.SIGTERM, signal.SIG_IGN); say("up")\n'
                              'time.sleep(600)', 'shutdown.close_timeout=2s', keys={'max': '2'})
        first, second = self.websocket(daemon, '/run'), self.websocket(daemon, '/run')
        self.read_line(first), self.read_line(second)
        third = self.websocket(daemon, '/run')
        self.assertIn('2 programs', self.closed(third, 1013))
        first.reset()
        daemon.wait_log('session closed', count=2, route='/run')
        third = self.websocket(daemon, '/run')
        self.assertIn('2 programs', self.closed(third, 1013), 'the first is still ending')
        lastcall.wait_until(lambda: len(children(daemon.pid)) == 1, what='the end of the first')

        def served():
            peer = self.websocket(daemon, '/run')
            found = peer.read_frame()
            return found.payload == b'up'
        lastcall.wait_until(served, what='a place')
        second.reset()

    def test_many_come_and_go_and_nothing_stays(self):
        daemon = self.daemon(routes={'/cat': {'handler': 'exec', 'command': 'cat'}})
        descriptors = None
        for _ in range(3):
            peers = [self.websocket(daemon, '/cat') for _ in range(40)]
            for number, peer in enumerate(peers):
                peer.echo(b'%d' % number)
            for number, peer in enumerate(peers):
                peer.reset() if number % 2 else self.close(peer)
            self.assertChildless(daemon)
            if descriptors is None:
                descriptors = daemon.fd_count()
        lastcall.wait_until(lambda: daemon.fd_count() <= descriptors, what='the descriptors')


if __name__ == '__main__':
    lastcall.main()
