#!/usr/bin/python3
"""SIGTERM and the WebSockets: the drain, its outcomes, its limits, and the exit status."""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import CLOSE, PING, PONG, TEXT, close_frame, frame

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=50s')


class Drain(lastcall.Case):
    def assertCounts(self, stopped, **expected):
        counts = dict(open=0, handshake=0, gone=0, forced=0)
        counts.update(expected)
        self.assertEqual({key: stopped[key] for key in counts}, counts)

    def test_with_nobody_connected_it_ends_at_once_with_0(self):
        daemon = self.daemon()
        stopped = daemon.stop(0)
        self.assertCounts(stopped)
        self.assertEqual((stopped['drain'], stopped['mg_stop']), ('complete', 'returned'))
        self.assertEqual(stopped['level'], 'info')
        self.assertWithin(daemon.since_signal(), 1.0, 'CivetWeb alone takes 1.5 to 2 s')

    def test_sigint_stops_as_sigterm_does(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        daemon.send_signal(signal.SIGINT)
        peer.answer_close(1001)
        daemon.wait_exit(0)
        self.assertEqual(daemon.logged('signal')[0]['name'], 'SIGINT')

    def test_one_session_gets_1001_and_the_reason_and_is_closed_by_handshake(self):
        daemon = self.daemon('shutdown.close_reason=closing time')
        peer = self.websocket(daemon)
        peer.echo()
        daemon.send_signal()
        self.assertEqual(peer.answer_close(1001).reason(), 'closing time')
        stopped = daemon.wait_exit(0)
        self.assertCounts(stopped, open=1, handshake=1)
        self.assertWithin(daemon.since_signal(), 1.0, 'CivetWeb alone takes 1.5 to 2 s')
        self.assertEqual(daemon.logged('signal')[0]['name'], 'SIGTERM')
        self.assertEqual(daemon.logged('draining')[0]['sessions'], 1)
        closed = daemon.logged('session closed')[0]
        self.assertEqual((closed['code'], closed['outcome']), (1001, 'handshake'))
        route = daemon.logged('route drained', route='/echo')[0]
        self.assertEqual((route['open'], route['handshake'], route['forced']), (1, 1, 0))

    def test_the_configured_close_code_is_sent(self):
        daemon = self.daemon('shutdown.close_code=1012')
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.answer_close(1012)
        daemon.wait_exit(0)

    def test_five_hundred_sessions_are_all_closed_by_handshake(self):
        daemon = self.daemon()
        peers = [self.websocket(daemon) for _ in range(500)]
        daemon.send_signal()
        for peer in peers:
            peer.answer_close(1001)
        self.assertCounts(daemon.wait_exit(0), open=500, handshake=500)
        self.assertWithin(daemon.since_signal(), 3.0, 'the peers answered at once')

    def test_a_peer_that_never_answers_is_forced_at_close_timeout_with_status_1(self):
        daemon = self.daemon('shutdown.close_timeout=3s')
        silent, good = self.websocket(daemon), self.websocket(daemon)
        daemon.send_signal()
        good.answer_close(1001)
        silent.read_close(1001)
        stopped = daemon.wait_exit(1)
        self.assertCounts(stopped, open=2, handshake=1, forced=1)
        self.assertEqual((stopped['drain'], stopped['level']), ('forced', 'warning'))
        self.assertGreaterEqual(daemon.since_signal(), 2.9)
        self.assertWithin(daemon.since_signal(), 6.0, 'close_timeout was 3 s')
        self.assertEqual(daemon.logged('session closed', outcome='forced')[0]['code'], 1001)

    def test_a_peer_that_goes_on_sending_but_never_closes_is_forced_all_the_same(self):
        daemon = self.daemon('shutdown.close_timeout=500ms')
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        with self.assertRaises(OSError):
            while True:
                peer.send(frame(TEXT, b'still talking'))
                time.sleep(0.01)
        stopped = daemon.wait_exit(1)
        self.assertCounts(stopped, open=1, forced=1)
        self.assertGreater(stopped['received'], 0)
        self.assertWithin(daemon.since_signal(), 1.6, 'close_timeout was 0.5 s')

    def test_a_peer_that_hangs_up_is_gone_and_not_forced(self):
        for leave in ('half_close', 'reset', 'close_socket'):
            with self.subTest(leave):
                daemon = self.daemon(*LONG)
                peer = self.websocket(daemon)
                daemon.send_signal()
                peer.read_close(1001)
                getattr(peer, leave)()
                self.assertCounts(daemon.wait_exit(0), open=1, gone=1)
                self.assertWithin(daemon.since_signal(), 2.0, 'nobody was left to wait for')

    def test_a_peer_that_does_not_read_is_forced_and_costs_no_more_than_close_timeout(self):
        daemon = self.daemon('shutdown.close_timeout=600ms')
        peer = self.websocket(daemon, receive_buffer=4096)
        flood = frame(TEXT, b'x' * 60000) * 400
        self.assertLess(peer.push(flood), len(flood), 'the server should have stopped reading')
        stopped = daemon.stop(1)
        self.assertCounts(stopped, open=1, forced=1)
        self.assertWithin(daemon.since_signal(), 1.8, 'close_timeout was 0.6 s')

    def test_what_a_peer_sends_before_its_close_reaches_the_handler_unanswered(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        peer.echo(b'before')
        daemon.send_signal()
        peer.read_close(1001)
        for number in range(7):
            peer.send(frame(TEXT, b'late %d' % number))
        peer.send(close_frame(1001))
        peer.expect_end()
        stopped = daemon.wait_exit(0)
        closed = daemon.logged('session closed')[0]
        self.assertEqual((closed['received'], closed['sent']), (8, 1))
        self.assertEqual(stopped['received'], 7)
        self.assertEqual(daemon.logged('route drained', route='/echo')[0]['received'], 7)

    def test_nothing_that_was_under_way_at_the_signal_is_lost(self):
        daemon = self.daemon(*LONG)
        peers = [self.websocket(daemon) for _ in range(20)]
        for peer in peers:
            peer.send(b''.join(frame(TEXT, b'%d' % n) for n in range(50)))
        daemon.send_signal()
        for peer in peers:
            echoes = 0
            while (found := peer.read_frame()).opcode == TEXT:
                self.assertEqual(found.payload, b'%d' % echoes)
                echoes += 1
            self.assertEqual((found.opcode, found.code()), (CLOSE, 1001))
            peer.send(close_frame(1001))
            peer.expect_end()
        daemon.wait_exit(0)
        for closed in daemon.logged('session closed'):
            self.assertEqual(closed['received'], 50)

    def test_a_message_in_pieces_around_the_signal_still_reaches_the_handler(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        message = frame(TEXT, b'x' * 1000)
        peer.send(message[:500])
        daemon.send_signal()
        peer.read_close(1001)
        peer.send(message[500:] + close_frame(1001))
        peer.expect_end()
        self.assertEqual(daemon.wait_exit(0)['received'], 1)

    def test_a_ping_during_the_drain_is_not_answered_with_data(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        peer.send(frame(PING, b'?') + close_frame(1001))
        self.assertIn(peer.read_to_end(), (b'', frame(PONG, b'?', mask=None)))
        daemon.wait_exit(0)

    def test_a_peer_whose_close_crosses_ours_is_closed_by_handshake(self):
        for _ in range(5):
            daemon = self.daemon(*LONG)
            peer = self.websocket(daemon)
            daemon.send_signal()
            peer.send(close_frame(1000))
            found = peer.read_close()
            self.assertIn(found.code(), (1000, 1001))
            peer.expect_end()
            self.assertEqual(daemon.wait_exit(0)['forced'], 0)

    def test_a_peer_that_breaks_the_protocol_during_the_drain_does_not_hold_it(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        peer.send(frame(TEXT, b'unmasked', mask=None))
        peer.read_to_end()
        peer.close_socket()
        daemon.wait_exit(0)
        self.assertWithin(daemon.since_signal(), 5.0, 'not close_timeout')

    def test_the_last_bytes_before_the_close_are_not_destroyed_by_a_reset(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        peer.send(frame(TEXT, b'y' * 500000))
        self.assertEqual(len(peer.read_message()[1]), 500000)
        daemon.send_signal()
        peer.read_close(1001)  # sooner it might still be echoed
        peer.send(frame(TEXT, b'z' * 500000) + close_frame(1001))
        peer.expect_end()
        self.assertEqual(daemon.wait_exit(0)['received'], 1)


class Deadline(lastcall.Case):
    def test_close_timeout_may_be_the_whole_timeout(self):
        daemon = self.daemon('shutdown.timeout=1s', 'shutdown.close_timeout=1s')
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        daemon.wait_exit(1)
        self.assertGreaterEqual(daemon.since_signal(), 0.9)
        self.assertWithin(daemon.since_signal(), 2.0, 'timeout was 1 s')


class Delay(lastcall.Case):
    def test_during_the_delay_it_is_not_ready_but_serves_as_before(self):
        daemon = self.daemon('shutdown.delay=1500ms')
        old = self.websocket(daemon)
        self.assertEqual(daemon.get('/health/ready').status, 200)
        began = daemon.send_signal()
        daemon.wait_log('signal')
        answer = daemon.get('/health/ready')
        self.assertEqual(answer.status, 503)
        self.assertEqual(json.loads(answer.text())['status'], 'draining')
        self.assertEqual(daemon.get('/health').status, 503)
        self.assertEqual(daemon.get('/health/live').status, 200)
        new = self.websocket(daemon)
        new.echo(b'new')
        old.echo(b'old')
        self.assertEqual(daemon.get('/metrics').status, 200)
        self.assertLess(time.monotonic() - began, 1.4, 'too slow a machine for this test')
        for peer in (old, new):
            peer.read_close(1001)
            self.assertGreaterEqual(time.monotonic() - began, 1.4, 'closed before the delay')
            peer.send(close_frame(1001))
            peer.expect_end()
        stopped = daemon.wait_exit(0)
        self.assertEqual((stopped['open'], stopped['handshake']), (2, 2))
        self.assertWithin(daemon.since_signal() - 1.5, 1.0, 'the delay was 1.5 s')

    def test_readiness_says_draining_on_the_first_request_after_the_signal(self):
        daemon = self.daemon('shutdown.delay=2s')
        daemon.send_signal()
        daemon.wait_log('signal')
        self.assertEqual(daemon.get('/health/ready').status, 503)
        daemon.wait_exit(0)


class SecondSignal(lastcall.Case):
    def draining(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        daemon.wait_log('draining')
        return daemon, peer

    def test_a_second_signal_cuts_everything_with_128_and_its_number(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.subTest(status=status):
                daemon, _ = self.draining()
                self.pass_time()
                daemon.stop(status, number)
                self.assertWithin(daemon.since_signal(), 1.0, 'now means now')

    def test_a_second_signal_during_the_delay_cuts_too(self):
        daemon = self.daemon('shutdown.delay=40s', *LONG[:1], 'shutdown.close_timeout=5s')
        self.websocket(daemon)
        daemon.send_signal()
        daemon.wait_log('signal')
        self.pass_time()
        daemon.stop(143)
        self.assertWithin(daemon.since_signal(), 1.0, 'now means now')

    def test_a_second_signal_at_once_counts_as_the_first(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        daemon.send_signal(signal.SIGTERM)
        os.kill(daemon.pid, signal.SIGINT)
        peer.answer_close(1001)
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    @staticmethod
    def pass_time():
        """The rule itself is about time: a second signal is one that comes after 100 ms. The first
        has been logged when this is called."""
        time.sleep(lastcall.scaled(0.15))


class Summary(lastcall.Case):
    def test_the_last_line_tells_everything_by_name(self):
        daemon = self.daemon(*LONG)
        peers = [self.websocket(daemon) for _ in range(3)]
        daemon.send_signal()
        for peer in peers[:2]:
            peer.answer_close(1001)
        peers[2].read_close(1001)
        peers[2].reset()
        stopped = daemon.wait_exit(0)
        for key in ('status', 'duration_ms', 'drain', 'mg_stop', 'open', 'handshake', 'gone',
                    'forced', 'refused', 'received', 'http_finished', 'http_cut',
                    'slowest_handshake_ms'):
            self.assertIn(key, stopped)
        self.assertEqual((stopped['open'], stopped['handshake'], stopped['gone']), (3, 2, 1))
        self.assertLessEqual(stopped['duration_ms'], daemon.since_signal() * 1000 + 50)

    def test_every_route_of_websockets_has_its_line(self):
        daemon = self.daemon(*LONG, routes={'/other/*': {'handler': 'echo'}})
        peers = [self.websocket(daemon), self.websocket(daemon, '/other/a')]
        daemon.send_signal()
        for peer in peers:
            peer.answer_close()
        daemon.wait_exit(0)
        self.assertEqual({line['route']: line['handshake']
                          for line in daemon.logged('route drained')}, {'/echo': 1, '/other/*': 1})

    def test_the_words_of_the_log_are_in_their_order(self):
        daemon = self.daemon()
        daemon.stop(0)
        words = [event['message'] for event in daemon.events
                 if event['message'] in ('listening', 'ready', 'signal', 'draining', 'stopped')]
        self.assertEqual(words, ['listening', 'ready', 'signal', 'draining', 'stopped'])


class Tests(lastcall.Case):
    def test_a_wrong_exit_status_is_noticed(self):
        daemon = self.daemon()
        with self.assertRaisesRegex(AssertionError, 'exit status 0 instead of 1'):
            daemon.stop(1)


if __name__ == '__main__':
    lastcall.main()
