#!/usr/bin/python3
"""Programs at the end: of their session, by the ladder from the end of their input to SIGKILL, and
of the daemon, after which nothing of what they have started is left."""
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from exec_scene import Programs, SlowStart, children, lives, processes
from peer import PING, PONG, frame

STUBBORN = 'signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(os.getpid())\n' \
           'while True: time.sleep(600)\n'
ESCAPED = '''
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.write(writing, str(os.getpid()).encode())
        time.sleep(600)
    os._exit(0)
os.wait()
say(os.read(reading, 20).decode())
'''


class Drain(Programs):
    def test_its_input_ends_and_what_it_still_writes_is_delivered_before_1001(self):
        daemon = self.running('heard = sys.stdin.read().split()\n'
                              'for text in heard: say("heard " + text)\nsys.exit(3)')
        peer = self.websocket(daemon, '/run')
        for number in range(100):
            self.line(peer, str(number))
        self.heard(peer)
        daemon.send_signal()
        self.assertEqual(self.read_lines(peer, 100), [f'heard {n}' for n in range(100)])
        self.assertEqual(self.closed(peer, 1001), 'server shutting down')
        stopped = daemon.wait_exit(0)
        self.assertEqual((stopped['forced'], stopped['handshake']), (0, 1))

    def heard(self, peer):
        """All that it has sent has reached its session."""
        peer.send(frame(PING, b'?'))
        found = peer.read_frame()
        self.assertEqual((found.opcode, found.payload), (PONG, b'?'))

    def test_what_waits_for_a_slow_program_is_written_before_its_input_ends(self):
        daemon = self.running('time.sleep(1); say(len(sys.stdin.read()))',
                              'shutdown.close_timeout=15s', 'shutdown.timeout=20s')
        peer = self.websocket(daemon, '/run')
        self.line(peer, 'x' * 400000)
        self.heard(peer)
        daemon.send_signal()
        self.assertEqual(self.read_line(peer), '400001')
        self.closed(peer, 1001)
        daemon.wait_exit(0)

    def test_one_that_does_not_end_is_asked_after_a_third_and_killed_after_two(self):
        script = ('began = None\n'
                  'def asked(*_): say("asked %.3f" % (time.monotonic() - began))\n'
                  'signal.signal(signal.SIGTERM, asked)\n'
                  'say("up"); sys.stdin.read(); began = time.monotonic()\n'
                  'while True: time.sleep(600)')
        daemon = self.running(script, 'shutdown.close_timeout=3s', 'shutdown.timeout=20s')
        peer = self.websocket(daemon, '/run')
        self.read_line(peer)
        began = daemon.send_signal()
        word, seconds = self.read_line(peer).split()
        self.assertEqual(word, 'asked')
        self.assertGreater(float(seconds), 0.5)
        self.assertLess(float(seconds), lastcall.scaled(1.9))
        self.closed(peer, 1001)
        self.assertGreater(time.monotonic() - began, 1.8)
        daemon.wait_exit(0)
        self.assertWithin(daemon.since_signal(), 3.5, 'two thirds of close_timeout and a little')

    def test_a_program_that_ends_when_it_is_asked_to_says_its_last_words(self):
        daemon = self.running('def asked(*_): say("goodbye"); sys.exit(0)\n'
                              'signal.signal(signal.SIGTERM, asked)\n'
                              'say("up")\nwhile True: time.sleep(600)',
                              'shutdown.close_timeout=1500ms')
        peer = self.websocket(daemon, '/run')
        self.read_line(peer)
        daemon.send_signal()
        self.assertEqual(self.read_line(peer), 'goodbye')
        self.closed(peer, 1001)
        daemon.wait_exit(0)

    def test_a_route_that_waits_lets_the_program_end_by_itself(self):
        daemon = self.running('say("up"); sys.stdin.readline(); say("done")', keys={'drain': 'wait'})
        peer = self.websocket(daemon, '/run')
        self.read_line(peer)
        daemon.send_signal()
        daemon.wait_log('draining')
        self.line(peer, 'go')
        self.assertEqual(self.read_line(peer), 'done')
        self.closed(peer, 1000)
        daemon.wait_exit(0)


class Nothing(Programs):
    """Nothing is left, whatever the way out."""

    def stubborn(self, *settings, count=3, text=STUBBORN):
        daemon = self.running(text, *settings)
        peers = [self.websocket(daemon, '/run') for _ in range(count)]
        return daemon, peers, [int(self.read_line(peer)) for peer in peers]

    def test_programs_that_ignore_everything_are_gone_with_the_daemon(self):
        daemon, peers, pids = self.stubborn('shutdown.close_timeout=1500ms')
        daemon.send_signal()
        for peer in peers:
            self.closed(peer, 1001)
        daemon.wait_exit(0)
        self.assertFalse([pid for pid in pids if lives(pid)])

    def test_programs_whose_session_has_gone_do_not_outlive_the_daemon(self):
        daemon, peers, pids = self.stubborn('shutdown.close_timeout=6s', 'shutdown.timeout=7s')
        for peer in peers:
            peer.reset()
        daemon.wait_log('session closed', count=3, route='/run')
        daemon.send_signal()
        stopped = daemon.wait_exit(0)
        self.assertFalse([pid for pid in pids if lives(pid)])
        self.assertGreater(stopped['duration_ms'], 2000, 'the ladder was not cut short')
        self.assertWithin(daemon.since_signal(), 7.5, 'the timeout')

    def test_a_second_signal_kills_at_once(self):
        daemon, _, pids = self.stubborn('shutdown.close_timeout=20s', 'shutdown.timeout=60s')
        daemon.send_signal()
        daemon.wait_log('draining')
        time.sleep(0.15)  # a second one within 100 ms would be taken for the first
        began = daemon.send_signal()
        daemon.wait_exit(128 + signal.SIGTERM)
        self.assertFalse([pid for pid in pids if lives(pid)])
        self.assertWithin(time.monotonic() - began, 2, 'at once')

    def test_a_second_signal_kills_also_those_whose_session_has_gone(self):
        daemon, peers, pids = self.stubborn('shutdown.close_timeout=20s', 'shutdown.timeout=60s')
        for peer in peers:
            peer.reset()
        daemon.wait_log('session closed', count=3, route='/run')
        daemon.send_signal()
        daemon.wait_log('draining')
        time.sleep(0.15)
        began = daemon.send_signal()
        daemon.wait_exit(128 + signal.SIGTERM)
        self.assertFalse([pid for pid in pids if lives(pid)])
        self.assertWithin(time.monotonic() - began, 2, 'at once')

    def test_at_the_timeout_everything_is_killed(self):
        daemon, peers, pids = self.stubborn('shutdown.close_timeout=2s', 'shutdown.timeout=2s')
        daemon.send_signal()
        for peer in peers:
            peer.reset()  # its ladder would take longer than the daemon has
        daemon.wait_exit(0)
        self.assertFalse([pid for pid in pids if lives(pid)])

    def test_who_has_left_its_group_and_session_is_gone_with_the_daemon(self):
        daemon, peers, pids = self.stubborn(text=ESCAPED + 'sys.stdin.read()', count=2)
        self.assertTrue(all(lives(pid) for pid in pids))
        self.close(peers[0])
        self.assertTrue(all(lives(pid) for pid in pids), 'they live on, as they wanted')
        daemon.send_signal()
        self.closed(peers[1], 1001)
        daemon.wait_exit(0)
        self.assertFalse([pid for pid in pids if lives(pid)])

    def test_a_whole_tree_is_gone_with_the_daemon(self):
        tree = '''
def grow(depth):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number in range(2):
        if depth and os.fork() == 0:
            if number: os.setsid()
            grow(depth - 1)
    if depth == 4: say(os.getsid(0)); sys.stdin.read(); os._exit(0)
    time.sleep(600)
grow(4)'''
        daemon, peers, pids = self.stubborn('shutdown.close_timeout=900ms', text=tree, count=1)
        lastcall.wait_until(lambda: len(self.below(daemon.pid)) == 31, what='the tree')
        tree = self.below(daemon.pid)
        self.assertIn(pids[0], tree)
        daemon.send_signal()
        self.closed(peers[0], 1001)
        daemon.wait_exit(0)
        self.assertFalse([pid for pid in tree if lives(pid)])

    def below(self, pid):
        """All descendants."""
        found, all_of_them = [pid], processes()
        for one in found:
            found += [child for child, what in all_of_them.items() if what[1] == one]
        return found[1:]

    def test_when_the_daemon_is_killed_their_input_ends(self):
        daemon, _, pids = self.stubborn(text='say(os.getpid())\nsys.stdin.read()')
        daemon.process.kill()
        daemon.process.wait()
        self.assertGone(*pids)
        daemon.process.returncode = 0  # it was us


class First(Programs):
    """As process 1 of a container."""

    def test_as_process_1_it_reaps_what_is_not_its_own_and_leaves_nothing(self):
        unshare = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
        if subprocess.run([*unshare, 'true'], capture_output=True).returncode != 0:
            self.skipTest('unshare --pid --mount-proc is not allowed here')
        wrapper = os.path.join(self.directory(), 'wrapper')
        with open(wrapper, 'w') as file:
            file.write(f'#!/bin/sh\nexec {" ".join(unshare)} {lastcall.PROGRAM} "$@"\n')
        os.chmod(wrapper, 0o755)
        program, lastcall.PROGRAM = lastcall.PROGRAM, wrapper
        try:
            daemon = self.running('''
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(0.05)
        os._exit(0)
    os.wait()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(os.getppid())
sys.stdin.readline()
if os.fork() == 0: os.setsid(); say(os.getpid()); time.sleep(600)
sys.stdin.read()
time.sleep(600)''', 'shutdown.close_timeout=1500ms')
        finally:
            lastcall.PROGRAM = program
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), '1', 'the daemon is process 1 there')
        first = next(iter(children(daemon.pid)))
        lastcall.wait_until(lambda: len(children(first)) == 1, what='orphans reaped')
        self.line(peer, 'go')
        self.read_line(peer)
        os.kill(first, signal.SIGTERM)
        self.closed(peer, 1001)
        daemon.wait_exit(0)
        self.assertEqual(daemon.logged('stopped')[-1]['forced'], 0)

    def test_a_program_whose_start_hangs_keeps_no_other_from_starting_or_ending(self):
        path = os.path.join(self.directory(), 'slow')
        shutil.copy('/bin/cat', path)
        daemon = self.running('say(os.getpid())\nsys.stdin.read()\ntime.sleep(600)',
                              'shutdown.close_timeout=1500ms',
                              routes={'/slow': {'handler': 'exec', 'command': path}})
        first, second = self.websocket(daemon, '/run'), self.websocket(daemon, '/run')
        pids = [int(self.read_line(peer)) for peer in (first, second)]
        try:
            slow = SlowStart(path)
        except OSError as why:
            self.skipTest(f'files cannot be held back here: {why}')
        try:
            stuck = self.websocket(daemon, '/slow')
            lastcall.wait_until(lambda: len(children(daemon.pid)) == 3, what='the start that hangs')
            third = self.websocket(daemon, '/run')
            pids.append(int(self.read_line(third)))
            self.close(first)
            self.assertGone(pids[0])
            daemon.send_signal()
            for peer in (stuck, second, third):
                self.closed(peer, 1001)
            self.assertEqual(daemon.wait_exit(0)['forced'], 0)
            self.assertGone(*pids)
        finally:
            slow.close()


if __name__ == '__main__':
    lastcall.main()
