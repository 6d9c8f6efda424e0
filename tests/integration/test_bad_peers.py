#!/usr/bin/python3
"""A drain and peers that do not do what they should: it ends in time, with the right status, and
the counts add up."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import (BINARY, CLOSE, CONTINUATION, PING, TEXT, PeerError, WebSocket, close_frame, frame,
                  upgrade_head)

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=50s')
SHORT = ('shutdown.timeout=5s', 'shutdown.close_timeout=600ms')
LARGE = 100 << 20
CHUNK = bytes(1 << 20)


class Bad(lastcall.Case):
    def draining(self, *settings, count=1):
        """A daemon that drains, and peers that have read its Close."""
        daemon = self.daemon(*settings)
        peers = [self.websocket(daemon) for _ in range(count)]
        daemon.send_signal()
        for peer in peers:
            peer.read_close(1001)
        return daemon, peers

    def ends(self, daemon, status=0, within=2.5, **expected):
        stopped = daemon.wait_exit(status)
        self.assertWithin(daemon.since_signal(), within, 'it took too long')
        self.assertEqual(stopped['open'],
                         stopped['handshake'] + stopped['gone'] + stopped['forced'])
        closed = daemon.logged('session closed')
        self.assertEqual(len(closed), stopped['open'], 'sessions that were never closed')
        for outcome in ('handshake', 'gone', 'forced'):
            self.assertEqual(len(daemon.logged('session closed', outcome=outcome)),
                             stopped[outcome], outcome)
        self.assertEqual({name: stopped[name] for name in expected}, expected)
        return stopped

    def leave(self, peer):
        """Reads to the end, whatever comes, and hangs up as a peer does."""
        try:
            peer.read_to_end()
        except PeerError:
            pass  # a peer that broke the protocol has no claim to an orderly end
        peer.close_socket()


class Answers(Bad):
    def test_any_code_that_a_peer_may_send_is_an_answer(self):
        codes = (None, 1000, 1001, 1002, 1003, 1007, 1011, 1012, 3000, 4000, 4999)
        daemon, peers = self.draining(*LONG, count=len(codes))
        for peer, code in zip(peers, codes):
            peer.send(close_frame(code))
            peer.expect_end()
        self.ends(daemon, open=len(codes), handshake=len(codes))
        self.assertEqual({line['code'] for line in daemon.logged('session closed')}, {1001},
                         'the first Close was ours')

    def test_an_answer_with_a_reason_of_any_length_is_an_answer(self):
        daemon, peers = self.draining(*LONG, count=3)
        for peer, reason in zip(peers, (b'bye', b'x' * 123, 'schöner Abend'.encode())):
            peer.send(close_frame(1001, reason))
            peer.expect_end()
        self.ends(daemon, open=3, handshake=3)

    def test_an_answer_that_breaks_the_protocol_holds_nobody_up(self):
        answers = {
            'a code that must not be sent': close_frame(1005),
            'a code below all': close_frame(999),
            'a code above all': close_frame(5000),
            'half a code': frame(CLOSE, b'\x03'),
            'a reason that is not UTF-8': close_frame(1001, b'\xff\xfe'),
            'a Close that is too long': frame(CLOSE, b'\x03\xe9' + b'x' * 124),
            'a Close in pieces': frame(CLOSE, b'\x03\xe9', fin=False),
            'an unmasked Close': frame(CLOSE, b'\x03\xe9', mask=None),
            'a Close with a reserved bit': frame(CLOSE, b'\x03\xe9', rsv=4),
            'an unknown opcode': frame(11, b'?'),
            'HTTP': upgrade_head(),
            'noise': bytes(range(255, 0, -1)) * 40,
        }
        daemon, peers = self.draining(*LONG, count=len(answers))
        for peer, answer in zip(peers, answers.values()):
            peer.send(answer)
            self.leave(peer)
        self.ends(daemon, open=len(answers), forced=0)

    def test_data_after_its_close_is_not_a_message_and_does_not_spoil_the_end(self):
        daemon, peers = self.draining(*LONG, count=3)
        for peer, size in zip(peers, (1, 5000, 50000)):
            peer.send(frame(TEXT, b'before') + close_frame(1001) + frame(TEXT, b'x' * size))
            peer.expect_end()
        self.ends(daemon, open=3, handshake=3, received=3)

    def test_a_peer_that_never_stops_sending_after_its_close_is_let_go(self):
        daemon, (peer,) = self.draining(*LONG)
        peer.send(close_frame(1001))
        with self.assertRaises(OSError):
            while True:
                peer.send(frame(TEXT, b'x' * 10000))
        self.ends(daemon, open=1, handshake=1, received=0)

    def test_two_closes_are_one(self):
        daemon, (peer,) = self.draining(*LONG)
        peer.send(close_frame(1001) + close_frame(1000))
        peer.expect_end()
        self.ends(daemon, open=1, handshake=1)

    def test_a_peer_that_has_closed_but_does_not_hang_up_is_not_waited_for(self):
        daemon, peers = self.draining(*LONG, count=5)
        for peer in peers:
            peer.send(close_frame(1001))
        self.ends(daemon, open=5, handshake=5)


class Slow(Bad):
    def test_an_answer_that_comes_byte_by_byte_is_an_answer(self):
        daemon, peers = self.draining(*LONG, count=3)
        for peer, answer in zip(peers, (close_frame(1001), frame(TEXT, b'late') + close_frame(1000),
                                        frame(PING, b'!') + close_frame(1001, b'slowly'))):
            for byte in answer:
                peer.send(bytes([byte]))
                time.sleep(0.003)  # so that each is a segment of its own
            peer.read_to_end()
        self.ends(daemon, open=3, handshake=3, received=1)

    def test_a_message_that_comes_byte_by_byte_and_never_ends_is_forced_at_close_timeout(self):
        daemon, (peer,) = self.draining(*SHORT)
        with self.assertRaises(OSError):
            peer.send(frame(TEXT, b'', claim=60000))
            while True:
                peer.send(b'x')
                time.sleep(0.01)
        self.ends(daemon, 1, within=1.8, open=1, forced=1, received=0)
        self.assertGreater(daemon.since_signal(), 0.55, 'close_timeout was 0.6 s')

    def test_a_peer_that_pings_but_never_answers_is_forced_at_close_timeout(self):
        daemon, (peer,) = self.draining(*SHORT)
        with self.assertRaises(OSError):
            while True:
                peer.send(frame(PING, b'are you there?'))
                time.sleep(0.005)
        self.ends(daemon, 1, within=1.8, open=1, forced=1)

    def test_forty_that_never_answer_are_forced_together(self):
        daemon, _ = self.draining(*SHORT, count=40)
        self.ends(daemon, 1, within=1.8, open=40, forced=40)
        self.assertGreater(daemon.since_signal(), 0.55, 'close_timeout was 0.6 s')


class Large(Bad):
    """A message of 100 MB of which half has come when the signal does."""

    def half(self, *settings):
        daemon = self.daemon('limits.message=200M', *settings)
        peer = self.websocket(daemon)
        peer.send(frame(BINARY, b'', claim=LARGE, form=64, mask=bytes(4)))
        for _ in range(LARGE // len(CHUNK) // 2):
            peer.send(CHUNK)
        daemon.send_signal()
        peer.read_close(1001)
        return daemon, peer

    def test_it_still_reaches_the_handler_when_the_other_half_comes(self):
        daemon, peer = self.half(*LONG)
        for _ in range(LARGE // len(CHUNK) // 2):
            peer.send(CHUNK)
        peer.send(close_frame(1001))
        peer.expect_end()
        self.ends(daemon, within=5, open=1, handshake=1, received=1)
        self.assertEqual(daemon.logged('session closed')[0]['bytes_received'], LARGE)

    def test_when_nothing_more_comes_it_is_forced_at_close_timeout(self):
        daemon, _ = self.half(*SHORT)
        self.ends(daemon, 1, within=2.5, open=1, forced=1, received=0)

    def test_when_the_peer_resets_it_is_gone(self):
        daemon, peer = self.half(*LONG)
        peer.reset()
        self.ends(daemon, open=1, gone=1, received=0)

    def test_a_close_in_the_middle_of_it_is_no_close(self):
        daemon, peer = self.half(*LONG)
        peer.send(close_frame(1001))
        peer.half_close()
        peer.read_to_end()
        self.ends(daemon, open=1, gone=1, received=0)


class Resets(Bad):
    def test_a_reset_in_the_middle_of_anything_is_gone(self):
        pieces = (frame(TEXT, b'', claim=5000) + b'x' * 100, frame(TEXT, b'x', fin=False),
                  frame(TEXT, b'x' * 200)[:3], close_frame(1001)[:-1], close_frame(1001)[:1],
                  frame(CONTINUATION, b'')[:1], b'')
        daemon, peers = self.draining(*LONG, count=len(pieces))
        for peer, piece in zip(peers, pieces):
            peer.send(piece)
            peer.reset()
        self.ends(daemon, open=len(pieces), gone=len(pieces))

    def test_the_end_of_tcp_in_the_middle_of_anything_is_gone(self):
        pieces = (frame(TEXT, b'', claim=5000) + b'x' * 100, close_frame(1001)[:-1], b'')
        daemon, peers = self.draining(*LONG, count=len(pieces))
        for peer, piece in zip(peers, pieces):
            peer.send(piece)
            peer.half_close()
            self.leave(peer)
        self.ends(daemon, open=len(pieces), gone=len(pieces))

    def test_a_reset_right_after_the_answer_is_still_a_handshake(self):
        daemon, peers = self.draining(*LONG, count=20)
        for peer in peers:
            peer.send(close_frame(1001))
            peer.reset()
        self.ends(daemon, open=20, handshake=20)

    def test_resets_before_at_and_after_the_signal_add_up(self):
        daemon = self.daemon(*LONG)
        peers = [self.websocket(daemon) for _ in range(90)]
        for peer in peers[:30]:
            peer.reset()
        daemon.send_signal()
        for peer in peers[30:60]:
            peer.reset()
        for peer in peers[60:]:
            peer.read_close(1001)
            peer.reset()
        stopped = daemon.wait_exit(0)
        self.assertEqual(stopped['open'],
                         stopped['handshake'] + stopped['gone'] + stopped['forced'])
        self.assertEqual(len(daemon.logged('session closed', outcome='gone')), 90)
        self.assertGreaterEqual(stopped['gone'], 30)


class Together(Bad):
    def test_all_kinds_at_once_are_each_counted_for_what_they_are(self):
        kinds = {
            'answers': lambda peer: peer.send(close_frame(1001)),
            'another code': lambda peer: peer.send(close_frame(4321)),
            'data after it': lambda peer: peer.send(close_frame(1001) + frame(TEXT, b'x')),
            'resets': WebSocket.reset,
            'hangs up': WebSocket.close_socket,
            'half a frame, then a reset': lambda peer: (peer.send(b'\x81'), peer.reset()),
            'silent': lambda peer: None,
            'half a frame': lambda peer: peer.send(frame(TEXT, b'', claim=70)),
            'talks on': lambda peer: peer.send(frame(TEXT, b'still talking')),
        }
        outcomes = dict(handshake=3, gone=3, forced=3)
        daemon, peers = self.draining('shutdown.timeout=10s', 'shutdown.close_timeout=2s',
                                      count=10 * len(kinds))
        order = list(kinds) * 10
        random.Random(7).shuffle(order)
        for peer, kind in zip(peers, order):
            kinds[kind](peer)
        self.ends(daemon, 1, within=3.5, open=len(order), received=10,
                  **{name: 10 * count for name, count in outcomes.items()})
        self.assertGreater(daemon.since_signal(), 1.9, 'close_timeout was 2 s')

    def test_paced_closes_meet_bad_peers_as_well(self):
        daemon = self.daemon('shutdown.spread=600ms', 'shutdown.timeout=20s',
                             'shutdown.close_timeout=3s')
        peers = [self.websocket(daemon) for _ in range(30)]
        daemon.send_signal()
        daemon.wait_log('draining')
        for number, peer in enumerate(peers[:20]):
            if number % 2:
                peer.reset()
            else:
                peer.send(close_frame(1000))
        self.ends(daemon, 1, within=8, open=30, handshake=10, gone=10, forced=10)


if __name__ == '__main__':
    lastcall.main()
