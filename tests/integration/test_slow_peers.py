#!/usr/bin/python3
"""Peers that read slowly, or send slowly: they get everything, and nobody waits for them."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame, request_head


class Echoes(lastcall.Case):
    """Large messages and small ones, all sent before the first answer is read."""

    def all_come_back(self, size, rounds, *settings):
        peer = self.websocket(self.daemon(*settings), receive_buffer=4096)
        messages = [(BINARY, b'x' * size)] + [(TEXT, b'%08d' % number) for number in range(200)]
        flood = b''.join(frame(*message) for message in messages) * rounds
        sent = peer.push(flood)
        rest = threading.Thread(target=self.send_rest, args=(peer, flood[sent:]))
        rest.start()
        try:
            for number in range(rounds):
                for message in messages:
                    found = peer.read_frame()
                    if found.opcode == CLOSE:
                        self.fail(f'Close {found.code()} {found.reason()!r} in round {number}')
                    if (found.opcode, found.payload) != message:
                        self.fail(f'{found} is not the echo of {message[1][:20]} ({number})')
        finally:
            peer.reset()
            rest.join()

    @staticmethod
    def send_rest(peer, data):
        try:
            peer.send(data)
        except OSError:
            pass  # the reader tells what became of it

    def test_none_is_lost_with_a_send_queue_that_is_smaller_than_a_message(self):
        self.all_come_back(100000, 120, 'limits.send_queue=4k')

    def test_none_is_lost_with_a_send_queue_about_as_large_as_a_message(self):
        self.all_come_back(100000, 120, 'limits.send_queue=64k')

    def test_none_is_lost_with_the_default_limits(self):
        self.all_come_back(1000000, 12)

    def test_none_is_lost_with_messages_of_many_megabytes(self):
        self.all_come_back(6000000, 6, 'limits.message=16M')


class HalfClose(lastcall.Case):
    """A peer sends, closes, and ends its own side of TCP; then it reads, and slowly."""

    def everything_comes(self, payloads, *settings):
        daemon = self.daemon('shutdown.timeout=60s', 'shutdown.close_timeout=50s', *settings)
        peer = self.websocket(daemon, receive_buffer=4096)
        peer.send(b''.join(frame(BINARY, payload) for payload in payloads) + close_frame(1000))
        peer.half_close()
        for number, payload in enumerate(payloads):
            self.assertTrue(peer.read_message() == (BINARY, payload), f'message {number}')
        peer.read_close(1000)
        peer.expect_end()
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['outcome'], closed['code']), ('handshake', 1000))

    def test_the_echo_of_a_large_message_and_the_close_arrive_after_a_half_close(self):
        self.everything_comes([os.urandom(8000000)], 'limits.message=16M', 'limits.send_queue=16M')

    def test_the_echoes_of_several_messages_and_the_close_arrive_after_a_half_close(self):
        self.everything_comes([bytes([n]) * 900000 for n in range(8)], 'limits.send_queue=16M')

    def test_one_that_then_reads_nothing_is_given_up_after_close_timeout(self):
        daemon = self.daemon('limits.message=16M', 'limits.send_queue=16M',
                             'shutdown.close_timeout=1s')
        peer = self.websocket(daemon, receive_buffer=4096)
        peer.send(frame(BINARY, bytes(8000000)) + close_frame(1000))
        peer.half_close()
        closed = daemon.wait_log('session closed', timeout=5)
        self.assertEqual(closed['received'], 1)
        self.assertNotEqual(closed['outcome'], 'handshake', 'our Close has not arrived')


class Pings(lastcall.Case):
    MESSAGES, SIZE, READ, PAUSE = 50, 50000, 16384, 0.015

    def read_steadily(self, peer):
        """Reads a few hundred kilobytes a second, and answers pings, until all has come."""
        def more():
            time.sleep(self.PAUSE)  # the speed of the reader
            data = peer.socket.recv(self.READ)
            peer.buffer += data
            return data
        peer.more = more
        counts = {BINARY: 0, PING: 0}
        while counts[BINARY] < self.MESSAGES:
            found = peer.read_frame()
            if found.opcode == CLOSE:
                self.fail(f'Close {found.code()} {found.reason()!r} after {counts}')
            counts[found.opcode] += 1
            if found.opcode == PING:
                peer.send(frame(PONG, found.payload))

    def test_ping_timeout_cuts_who_has_stopped_reading_but_not_who_reads_slowly(self):
        daemon = self.daemon('limits.ping_interval=1s', 'limits.ping_timeout=1s',
                             'shutdown.close_timeout=1s')
        flood = frame(BINARY, b'x' * self.SIZE) * self.MESSAGES
        stopped = self.websocket(daemon, receive_buffer=4096)
        slow = self.websocket(daemon, receive_buffer=4096)
        stopped.push(flood)
        sender = threading.Thread(target=Echoes.send_rest, args=(slow, flood))
        sender.start()
        try:
            self.read_steadily(slow)
        finally:
            slow.socket.settimeout(0.1)
            sender.join()
        closed = daemon.wait_log('session closed', address=stopped.name())
        self.assertEqual((closed['code'], closed['outcome']), (1001, 'forced'))
        self.assertEqual(daemon.logged('session closed', address=slow.name()), [])


class Dripping(lastcall.Case):
    """Refused requests whose bodies never end: a byte a second."""
    COUNT = 160

    def test_bodies_that_nobody_wants_are_ended_soon_and_keep_nobody_from_the_server(self):
        daemon = self.daemon()
        head = request_head('/nowhere', 'POST', ['Content-Length: 1000000'])
        began = time.monotonic()
        peers = [self.peer(daemon) for _ in range(self.COUNT)]
        for peer in peers:
            peer.send(head)
        left = list(peers)
        while left and time.monotonic() - began < lastcall.scaled(6):
            left = [peer for peer in left if self.goes_on(peer)]
            asked = time.monotonic()
            self.assertEqual(daemon.get('/health/live').status, 200)
            self.assertWithin(time.monotonic() - asked, 1.5, 'health among dripping bodies')
            time.sleep(1)  # the rate of the drip
        self.assertEqual(len(left), 0, 'connections that go on')

    @staticmethod
    def goes_on(peer):
        """Sends another byte; whether the server still takes it. Once it has closed, a byte is
        answered by a reset, and the next one cannot be sent."""
        try:
            peer.send(b'x')
            return True
        except OSError:
            return False


if __name__ == '__main__':
    lastcall.main()
