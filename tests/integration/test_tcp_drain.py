#!/usr/bin/python3
"""What the shutdown does with bridges of the handler tcp."""
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import bridge
import lastcall
from bridge import read_exactly, read_to_end
from peer import BINARY, close_frame, frame


def close_timeout(seconds):
    return ('shutdown.timeout=60s', f'shutdown.close_timeout={int(lastcall.scaled(seconds) * 1000)}ms')


class Drain(bridge.Case):
    def test_the_target_reads_an_end_what_it_still_says_comes_and_then_the_close(self):
        daemon, peer, connection = self.bridge(self.target())
        peer.send(frame(BINARY, b'x' * 600000))
        self.assertEqual(read_exactly(connection, 600000), b'x' * 600000)
        daemon.send_signal()
        self.assertEqual(read_to_end(connection), b'')
        connection.sendall(b'y' * 3000000)
        connection.close()
        self.assertEqual(self.receive(peer, 3000000), b'y' * 3000000)
        self.assertEqual(peer.answer_close(1001).reason(), 'server shutting down')
        stopped = daemon.wait_exit(lastcall.EXIT_DRAINED)
        self.assertEqual((stopped['handshake'], stopped['forced']), (1, 0))

    def test_what_waits_for_a_slow_target_arrives_before_its_end(self):
        daemon, peer, connection = self.bridge(self.target(receive_buffer=4096),
                                               *close_timeout(6))
        peer.send(frame(BINARY, b'x' * 500000))
        self.ping(peer)
        daemon.send_signal()
        daemon.wait_log('draining')
        self.assertEqual(read_to_end(connection), b'x' * 500000)
        connection.close()
        peer.answer_close(1001)
        daemon.wait_exit(lastcall.EXIT_DRAINED)

    def test_a_target_that_never_ends_is_left_after_two_thirds_of_close_timeout(self):
        daemon, peer, connection = self.bridge(self.target(), *close_timeout(1.5))
        began = daemon.send_signal()
        self.assertEqual(read_to_end(connection), b'')
        peer.answer_close(1001)
        self.assertGreaterEqual(time.monotonic() - began, lastcall.scaled(0.99))
        stopped = daemon.wait_exit(lastcall.EXIT_DRAINED)
        self.assertEqual((stopped['handshake'], stopped['forced']), (1, 0))

    def test_a_target_that_floods_does_not_keep_the_close_back(self):
        daemon, peer, connection = self.bridge(self.target(), *close_timeout(1.5))

        def flood():
            try:
                while True:
                    connection.sendall(b'z' * 65536)
            except OSError:
                pass
        thread = threading.Thread(target=flood)
        thread.start()
        self.assertEqual(peer.read_message()[0], BINARY)
        daemon.send_signal()
        while (found := peer.read_frame()).opcode == BINARY:
            pass
        self.assertEqual(found.code(), 1001)
        peer.send(close_frame(1001))
        peer.expect_end()
        daemon.wait_exit(lastcall.EXIT_DRAINED)
        thread.join()

    def test_a_target_that_takes_nothing_is_reset_and_the_peer_closed_in_time(self):
        daemon, peer, connection = self.bridge(self.target(receive_buffer=4096),
                                               *close_timeout(1.5))
        last = frame(BINARY, b'x' * 100000) * 100
        sent = peer.push(last)
        daemon.send_signal()
        rest = threading.Thread(target=peer.send, args=(last[sent:],))
        rest.start()
        peer.read_close(1001)
        rest.join()
        peer.send(close_frame(1001))
        peer.expect_end()
        with self.assertRaises(ConnectionResetError):
            read_to_end(connection)
        daemon.wait_exit(lastcall.EXIT_DRAINED)

    def test_the_peers_close_while_the_target_is_ending_is_answered_when_that_has_ended(self):
        daemon, peer, connection = self.bridge(self.target())
        daemon.send_signal()
        self.assertEqual(read_to_end(connection), b'')
        peer.send(close_frame(1000))
        connection.sendall(b'last')
        connection.close()
        self.assertEqual(peer.read_message(), (BINARY, b'last'))
        peer.read_close(1001)
        peer.expect_end()
        daemon.wait_exit(lastcall.EXIT_DRAINED)

    def test_a_peer_that_does_not_answer_is_forced_and_the_target_ended(self):
        daemon, peer, connection = self.bridge(self.target(), *close_timeout(0.6))
        daemon.send_signal()
        self.assertEqual(read_to_end(connection), b'')
        connection.close()
        peer.read_close(1001)
        daemon.wait_exit(lastcall.EXIT_FORCED)

    def test_a_bridge_on_a_route_that_waits_works_on_until_it_ends(self):
        daemon, peer, connection = self.bridge(self.target(), keys={'drain': 'wait'})
        daemon.send_signal()
        daemon.wait_log('draining')
        self.roundtrip(peer, connection)
        connection.close()
        peer.answer_close(1000)
        daemon.wait_exit(lastcall.EXIT_DRAINED)

    def test_a_second_signal_cuts_both_sides(self):
        daemon, peer, connection = self.bridge(self.target())
        daemon.send_signal()
        self.assertEqual(read_to_end(connection), b'')
        time.sleep(lastcall.scaled(0.15))  # the rule itself: a second signal comes after 100 ms
        daemon.send_signal()
        daemon.wait_exit(128 + signal.SIGTERM)
        with self.assertRaises(OSError):
            while True:
                connection.sendall(b'x' * 1000)

    def test_a_bridge_that_is_not_connected_yet_is_closed_at_once(self):
        daemon = self.bridged('stuck.invalid:80', environment=bridge.LOOKUPS,
                              keys={'connect_timeout': '1h'})
        peer = self.websocket(daemon, '/tcp')
        daemon.send_signal()
        peer.answer_close(1001)
        stopped = daemon.wait_exit(lastcall.EXIT_DRAINED)
        self.assertEqual(stopped['handshake'], 1)
        self.assertWithin(daemon.since_signal(), 2, 'a look-up that still runs holds nothing up')

    def test_look_ups_that_were_given_up_do_not_hold_up_the_end(self):
        daemon = self.bridged('stuck.invalid:80', environment=bridge.LOOKUPS,
                              keys={'connect_timeout': '50ms'})
        for _ in range(10):
            self.websocket(daemon, '/tcp').answer_close(1014)
        self.assertEqual(daemon.stop(lastcall.EXIT_DRAINED)['forced'], 0)
        self.assertWithin(daemon.since_signal(), 2, 'the end')


if __name__ == '__main__':
    lastcall.main()
