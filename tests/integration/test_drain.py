#!/usr/bin/python3
"""How the Close frames are given out: paced over `spread`, held back by `drain = wait`, and how
many WebSockets may be forced before the exit status says so (`tolerate`)."""
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import close_frame, request_head

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=5s')
WAITING = {'/slow': {'handler': 'echo', 'drain': 'wait'}}
SO_TIMESTAMPNS = 35
TRIES = 3  # what a plan is measured against may itself be held up, on a busy machine


class Drained(lastcall.Case):
    def sessions(self, daemon, count, path='/echo'):
        """Open WebSockets, the oldest first, each known to its loop before the next one comes; the
        kernel notes when something arrives for them."""
        peers = []
        for _ in range(count):
            peer = self.websocket(daemon, path)
            peer.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            peer.echo()
            peers.append(peer)
        return peers

    def signal(self, daemon):
        daemon.send_signal()
        self.began = time.time()  # of the clock that the kernel's notes are from

    def arrival(self, peer):
        """Reads a Close that is there; returns the seconds from the signal to its arrival."""
        data, notes, _, _ = peer.socket.recvmsg(4096, 256)
        now = time.time()
        for level, kind, value in notes:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack('qq', value[:16])
                now = seconds + nanoseconds / 1e9
        peer.buffer += data
        peer.read_close(1001)
        return now - self.began

    def closes(self, peers, answer=True):
        """Waits for the Close of each, and answers at once: [(seconds, number of the peer)] in the
        order of their arrival."""
        found = []
        poll = select.poll()
        numbers = {peer.socket.fileno(): number for number, peer in enumerate(peers)}
        for descriptor in numbers:
            poll.register(descriptor, select.POLLIN)
        while len(found) < len(peers):
            ready = poll.poll(lastcall.scaled(10) * 1000)
            self.assertTrue(ready, f'no more than {len(found)} of {len(peers)} Close frames')
            for descriptor, _ in ready:
                number = numbers[descriptor]
                found.append((self.arrival(peers[number]), number))
                poll.unregister(descriptor)
                if answer:
                    peers[number].send(close_frame(1001))
        if answer:
            for peer in peers:
                peer.expect_end()
        return sorted(found)

    def assertCounts(self, stopped, **expected):
        counts = dict(open=0, handshake=0, gone=0, forced=0)
        counts.update(expected)
        self.assertEqual({key: stopped[key] for key in counts}, counts)

    def assertNothing(self, peer):
        """Nothing has been sent to it but what it has read."""
        self.assertFalse(peer.buffer or select.select([peer.socket], [], [], 0)[0])


def quarters(found, spread):
    """How many Close frames came in each quarter of the time."""
    counts = [0] * 4
    for seconds, _ in found:
        counts[min(3, int(seconds * 4 / spread))] += 1
    return counts


class Spread(Drained):
    def evenly(self, count, spread, *settings):
        """The closes of a drain in which each quarter had its share; the machine's own stalls are
        no reason to fail, a wrong pace fails every time."""
        share, blur = count / 4, count / 40 + 2
        for last in (False,) * (TRIES - 1) + (True,):
            daemon = self.daemon(f'shutdown.spread={int(spread * 1000)}ms', *LONG, *settings)
            peers = self.sessions(daemon, count)
            self.signal(daemon)
            found = self.closes(peers)
            self.assertCounts(daemon.wait_exit(0), open=count, handshake=count)
            counts = quarters(found, spread)
            if all(abs(here - share) <= blur for here in counts):
                return found, daemon
            self.assertFalse(last, f'{counts} closes in the quarters, three times in a row')

    def test_the_closes_are_paced_evenly_and_the_oldest_goes_first(self):
        found, daemon = self.evenly(100, 2, 'server.loops=1')
        self.assertEqual([number for _, number in found], list(range(100)))
        early = lastcall.scaled(0.012)
        for seconds, number in found:
            self.assertGreater(seconds, number * 0.02 - early, f'{number} came too early')
        self.assertLess(found[0][0], lastcall.scaled(0.2), 'the first is due at once')
        self.assertWithin(daemon.since_signal() - found[-1][0], 0.4, 'exit after the last answer')

    def test_every_loop_paces_its_own(self):
        found, _ = self.evenly(100, 1, 'server.loops=2')
        for position, (_, number) in enumerate(found):
            self.assertLess(abs(position - number), 25, 'by age, as far as the loops agree')

    def test_few_sessions_on_many_loops_are_spread_as_well(self):
        daemon = self.daemon('shutdown.spread=3s', 'server.loops=16', *LONG)
        peers = self.sessions(daemon, 3)
        self.signal(daemon)
        moments = [seconds for seconds, _ in self.closes(peers)]
        for number, seconds in enumerate(moments):
            self.assertGreaterEqual(seconds, number - 0.05)
            self.assertWithin(seconds - number, 0.6, f'close {number} of 3 in 3 s')
        self.assertCounts(daemon.wait_exit(0), open=3, handshake=3)

    def test_one_session_does_not_wait_for_the_time_to_pass(self):
        daemon = self.daemon('shutdown.spread=20s', *LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.answer_close(1001)
        self.assertCounts(daemon.wait_exit(0), open=1, handshake=1)
        self.assertWithin(daemon.since_signal(), 1.5, 'not 20 s')

    def test_without_a_session_the_time_is_not_waited_for(self):
        daemon = self.daemon('shutdown.spread=20s', *LONG)
        daemon.stop(0)
        self.assertWithin(daemon.since_signal(), 1.5, 'not 20 s')

    def test_a_session_that_is_not_due_yet_is_served_as_before(self):
        daemon = self.daemon('shutdown.spread=40s', 'server.loops=1', *LONG)
        old, young = self.sessions(daemon, 2)
        daemon.send_signal()
        old.answer_close(1001)
        for number in range(20):
            young.echo(b'still here %d' % number)
        with socket.socket() as late:
            self.assertNotEqual(late.connect_ex(daemon.address), 0, 'a session opened during it')
        young.send(close_frame(1000))
        young.read_close(1000)
        young.expect_end()
        self.assertCounts(daemon.wait_exit(0), open=2, handshake=2)
        self.assertEqual(daemon.logged('stopped')[0]['received'], 20)
        self.assertWithin(daemon.since_signal(), 5, 'nobody was left to wait for')

    def test_sessions_that_leave_by_themselves_take_no_part_in_it(self):
        daemon = self.daemon('shutdown.spread=1s', 'server.loops=1', *LONG)
        peers = self.sessions(daemon, 20)
        staying = peers[0:1] + peers[11:]
        self.signal(daemon)
        daemon.wait_log('draining')
        for number, peer in enumerate(peers[1:11]):
            if number % 2:
                peer.send(close_frame(1000))
            else:
                peer.reset()
        found = self.closes(staying)
        self.assertEqual([number for _, number in found], list(range(10)), 'the order of age')
        stopped = daemon.wait_exit(0)
        self.assertEqual(stopped['open'], 20)
        self.assertEqual(stopped['handshake'] + stopped['gone'], 20)
        self.assertWithin(daemon.since_signal() - found[-1][0], 0.4, 'exit after the last answer')
        self.assertWithin(daemon.since_signal(), 1.5, 'spread was 1 s')

    def test_when_all_have_left_by_themselves_the_rest_of_the_time_is_not_waited_for(self):
        daemon = self.daemon('shutdown.spread=40s', *LONG)
        peers = self.sessions(daemon, 10)
        daemon.send_signal()
        daemon.wait_log('draining')
        for peer in peers:
            peer.send(close_frame(1000))
            peer.read_close()
            peer.expect_end()
        self.assertCounts(daemon.wait_exit(0), open=10, handshake=10)
        self.assertWithin(daemon.since_signal(), 5, 'not 40 s')

    def test_it_begins_when_the_delay_has_passed(self):
        daemon = self.daemon('shutdown.delay=400ms', 'shutdown.spread=600ms', *LONG)
        peers = self.sessions(daemon, 12)
        self.signal(daemon)
        found = self.closes(peers)
        self.assertGreater(found[0][0], 0.39, 'the delay was 0.4 s')
        self.assertGreater(found[-1][0], 0.85, 'the spread was 0.6 s')
        self.assertWithin(found[-1][0], 1.4, 'delay and spread were 1 s')
        daemon.wait_exit(0)

    def test_each_silent_peer_has_its_close_timeout_from_its_own_close_on(self):
        daemon = self.daemon('shutdown.spread=800ms', 'shutdown.close_timeout=500ms',
                             'server.loops=1')
        peers = self.sessions(daemon, 4)
        self.signal(daemon)
        found = self.closes(peers, answer=False)
        self.assertGreater(found[-1][0], 0.58, 'the last is due after three quarters')
        self.assertCounts(daemon.wait_exit(1), open=4, forced=4)
        self.assertGreater(daemon.since_signal(), 1.05, 'the last had less than its 0.5 s')
        self.assertWithin(daemon.since_signal(), 1.9, 'spread and close_timeout were 1.3 s')

    def test_a_second_signal_cuts_those_that_are_not_due_yet(self):
        daemon = self.daemon('shutdown.spread=40s', *LONG)
        peers = self.sessions(daemon, 10)
        daemon.send_signal()
        peers[0].read_close(1001)
        daemon.wait_log('draining')
        time.sleep(lastcall.scaled(0.15))  # the rule itself: a second signal comes after 100 ms
        daemon.stop(143)
        self.assertWithin(daemon.since_signal(), 1.0, 'now means now')
        stopped = daemon.logged('stopped')[0]
        self.assertCounts(stopped, open=10, forced=10)


class Wait(Drained):
    def waiting(self, *settings, count=1):
        daemon = self.daemon(*(settings or LONG), routes=WAITING)
        return daemon, self.sessions(daemon, count, '/slow')

    def test_a_session_that_waits_is_served_until_its_peer_ends_it(self):
        daemon, (peer,) = self.waiting('server.loops=1', *LONG)
        other = self.websocket(daemon)
        daemon.send_signal()
        other.answer_close(1001)  # the drain has come to the loop
        for number in range(30):
            peer.echo(b'during %d' % number)
        peer.send(close_frame(1000, b'I am done'))
        peer.read_close(1000)
        peer.expect_end()
        stopped = daemon.wait_exit(0)
        self.assertCounts(stopped, open=2, handshake=2)
        self.assertEqual(stopped['received'], 30)
        self.assertEqual(daemon.logged('session closed', route='/slow')[0]['code'], 1000)

    def test_it_gets_its_close_when_no_more_than_close_timeout_is_left(self):
        daemon, (peer,) = self.waiting('shutdown.timeout=2s', 'shutdown.close_timeout=1400ms')
        self.signal(daemon)
        found = self.closes([peer])
        self.assertGreater(found[0][0], 0.58, 'timeout - close_timeout were 0.6 s')
        self.assertWithin(found[0][0], 1.0, 'timeout - close_timeout were 0.6 s')
        self.assertCounts(daemon.wait_exit(0), open=1, handshake=1)
        self.assertWithin(daemon.since_signal() - found[0][0], 0.4, 'exit after the answer')

    def test_a_silent_one_is_forced_at_the_timeout(self):
        daemon, (peer,) = self.waiting('shutdown.timeout=1200ms', 'shutdown.close_timeout=400ms')
        daemon.send_signal()
        peer.read_close(1001)
        self.assertCounts(daemon.wait_exit(1), open=1, forced=1)
        self.assertGreater(daemon.since_signal(), 1.1, 'the timeout was 1.2 s')
        self.assertWithin(daemon.since_signal(), 1.7, 'the timeout was 1.2 s')

    def test_other_routes_get_their_close_at_once_meanwhile(self):
        daemon, waiting = self.waiting(*LONG, count=2)
        closed = self.sessions(daemon, 2)
        daemon.send_signal()
        for peer in closed:
            peer.answer_close(1001)
        for peer in waiting:
            peer.echo(b'still here')
            self.assertNothing(peer)
            peer.send(close_frame())
            peer.read_close(1005)
            peer.expect_end()
        self.assertCounts(daemon.wait_exit(0), open=4, handshake=4)
        self.assertEqual({line['route']: line['handshake']
                          for line in daemon.logged('route drained')}, {'/echo': 2, '/slow': 2})

    def test_the_exit_comes_as_soon_as_the_last_one_has_ended(self):
        daemon, peers = self.waiting(*LONG, count=3)
        daemon.send_signal()
        daemon.wait_log('draining')
        for number, peer in enumerate(peers):
            for other in peers[number:]:
                other.echo(b'one after the other')
            ended = time.monotonic()
            if number == 1:
                peer.reset()
                continue
            peer.send(close_frame(1000))
            peer.read_close(1000)
            peer.expect_end()
        self.assertCounts(daemon.wait_exit(0), open=3, handshake=2, gone=1)
        self.assertWithin(daemon.ended - ended, 0.6, 'nobody was left to wait for')

    def test_the_spread_does_not_close_it_either(self):
        daemon, (peer,) = self.waiting('shutdown.spread=200ms', 'shutdown.delay=200ms',
                                       'shutdown.timeout=1800ms', 'shutdown.close_timeout=600ms')
        self.signal(daemon)
        found = self.closes([peer])
        self.assertGreater(found[0][0], 1.18, 'timeout - close_timeout were 1.2 s')
        daemon.wait_exit(0)

    def test_a_second_signal_cuts_it(self):
        daemon, (peer,) = self.waiting()
        daemon.send_signal()
        daemon.wait_log('draining')
        peer.echo()
        time.sleep(lastcall.scaled(0.15))  # the rule itself: a second signal comes after 100 ms
        self.assertCounts(daemon.stop(143), open=1, forced=1)
        self.assertWithin(daemon.since_signal(), 1.0, 'now means now')


class Tolerate(Drained):
    def test_so_many_forced_are_still_0_and_one_more_is_1(self):
        # All of them side by side, and with time enough for the peers that do answer.
        stopping = []
        for tolerate, sessions, silent, status in (('0', 3, 0, 0), ('2', 4, 2, 0), ('2', 4, 3, 1),
                                                   ('20%', 10, 2, 0), ('20%', 10, 3, 1),
                                                   ('50%', 3, 1, 0), ('50%', 3, 2, 1),
                                                   ('9%', 10, 1, 1), ('100%', 2, 2, 0)):
            daemon = self.daemon(f'shutdown.tolerate={tolerate}', 'shutdown.close_timeout=5s')
            peers = self.sessions(daemon, sessions)
            daemon.send_signal()
            for peer in peers[silent:]:
                peer.answer_close(1001)
            stopping.append((daemon, peers, tolerate, silent, status))
        for daemon, peers, tolerate, silent, status in stopping:
            with self.subTest(tolerate=tolerate, sessions=len(peers), silent=silent):
                stopped = daemon.wait_exit(status)
                self.assertCounts(stopped, open=len(peers), forced=silent,
                                  handshake=len(peers) - silent)
                self.assertEqual(stopped['drain'], 'forced' if silent else 'complete')
                self.assertEqual(stopped['level'], 'warning' if status else 'info')

    def test_a_download_that_is_cut_counts_as_forced(self):
        directory = self.directory()
        with open(os.path.join(directory, 'big'), 'wb') as file:
            file.truncate(24 << 20)
        for tolerate, status in (('0', 1), ('1', 0)):
            with self.subTest(tolerate=tolerate):
                daemon = self.daemon(f'shutdown.tolerate={tolerate}', 'server.http_threads=8',
                                     f'shutdown.timeout={int(lastcall.scaled(800))}ms',
                                     'shutdown.close_timeout=100ms',
                                     routes={'/files/*': {'handler': 'static', 'root': directory}})
                peer = self.peer(daemon, receive_buffer=16384)
                peer.send(request_head('/files/big'))
                peer.read_until(b'\r\n\r\n')
                stopped = daemon.stop(status)
                self.assertCounts(stopped)
                self.assertEqual((stopped['http_cut'], stopped['drain']), (1, 'forced'))
                self.assertWithin(daemon.since_signal(), 1.3, 'the timeout was 0.8 s')


if __name__ == '__main__':
    lastcall.main()
