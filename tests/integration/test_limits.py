#!/usr/bin/python3
"""What a peer may not do without end: connections, messages, queues, silence."""
import os
import select
import sys
import time
from socket import MSG_DONTWAIT

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import (BINARY, CLOSE, PING, PONG, TEXT, PeerError, close_frame, exchange, frame,
                  upgrade_head)


class Connections(lastcall.Case):
    def test_one_too_many_gets_503_before_the_upgrade_and_a_place_that_is_left_is_free(self):
        daemon = self.daemon('limits.connections=2')
        first, second = self.websocket(daemon), self.websocket(daemon)
        for _ in range(3):
            answer = exchange(daemon.address, upgrade_head())
            self.assertEqual(answer.status, 503)
            self.assertEqual(answer.header('retry-after'), '1')
            self.assertIn('close', answer.tokens('connection'))
        self.assertEqual(daemon.wait_log('refused')['status'], 503)
        self.assertEqual(daemon.get('/health/ready').status, 200)
        second.send(close_frame(1000))
        second.read_close(1000)
        second.expect_end()
        third = self.when_free(daemon)
        self.assertEqual(exchange(daemon.address, upgrade_head()).status, 503)
        first.reset()
        self.when_free(daemon)
        third.echo(b'not disturbed')

    def when_free(self, daemon):
        """A session that takes a place which is about to be free."""
        peers = []

        def opened():
            try:
                peers.append(self.websocket(daemon))
            except PeerError:
                return False
            return True
        lastcall.wait_until(opened, 3, 'a place is free')
        peers[0].echo()
        return peers[0]

    def test_refused_upgrades_do_not_use_up_the_limit(self):
        daemon = self.daemon('limits.connections=2')
        for _ in range(20):
            exchange(daemon.address, upgrade_head('/nowhere'))
            exchange(daemon.address, upgrade_head().replace(b'13', b'12'))
        self.websocket(daemon).echo()
        self.websocket(daemon).echo()

    def test_more_connections_than_descriptors_can_be_had_is_71_and_names_both(self):
        directory = self.directory()
        path = os.path.join(directory, 'lastcall.ini')
        with open(path, 'w') as file:
            file.write('[server]\nlisten = 127.0.0.1:0\n[limits]\nconnections = 50000\n'
                       '[route /echo]\nhandler = echo\n')
        _, stderr = self.run_program('-c', path, expect=71, descriptors=1024)
        self.assertRegex(stderr, r'\b50000\b')
        self.assertRegex(stderr, r'\b1024\b')

    def test_auto_takes_what_the_descriptor_limit_gives_and_says_so(self):
        daemon = self.daemon('limits.connections=auto', descriptors=1024)
        connections = daemon.logged('ready')[0]['connections']
        self.assertGreater(connections, 200)
        self.assertLess(connections, 1024)
        self.websocket(daemon).echo()

    def test_auto_is_what_can_really_be_had(self):
        daemon = self.daemon('limits.connections=auto', descriptors=600)
        connections = daemon.logged('ready')[0]['connections']
        peers = [self.websocket(daemon) for _ in range(connections)]
        for peer in peers:
            peer.echo()
        self.assertEqual(exchange(daemon.address, upgrade_head()).status, 503)
        self.assertEqual(daemon.get('/health/live').status, 200)

    def test_auto_leaves_room_for_what_many_loops_and_threads_need(self):
        daemon = self.daemon('limits.connections=auto', 'server.loops=64',
                             'server.http_threads=64', descriptors=624)
        connections = daemon.logged('ready')[0]['connections']
        self.assertGreater(connections, 10)
        for peer in [self.websocket(daemon) for _ in range(connections)]:
            peer.echo()
        self.assertEqual(exchange(daemon.address, upgrade_head()).status, 503)
        self.assertEqual(daemon.get('/health/live').status, 200)


class Messages(lastcall.Case):
    def test_a_message_over_the_limit_is_closed_with_1009(self):
        daemon = self.daemon('limits.message=1k')
        peer = self.websocket(daemon)
        peer.echo(b'x' * 1024)
        peer.send(frame(TEXT, b'x' * 1025))
        peer.answer_close(1009)
        self.assertEqual(daemon.wait_log('session closed')['code'], 1009)

    def test_the_default_limit_lets_a_megabyte_through_and_no_more(self):
        peer = self.websocket(self.daemon())
        peer.echo(b'x' * (1 << 20))
        peer.send(frame(BINARY, claim=(1 << 20) + 1))
        peer.answer_close(1009)

    def test_one_message_fits_though_it_is_larger_than_the_send_queue(self):
        peer = self.websocket(self.daemon('limits.message=4M', 'limits.send_queue=64k'))
        peer.echo(os.urandom(4 << 20), BINARY)


class SlowReader(lastcall.Case):
    def test_the_echo_of_a_peer_that_does_not_read_is_bounded_and_none_of_it_is_lost(self):
        daemon = self.daemon('limits.send_queue=1M', 'limits.message=1M')
        other = self.websocket(daemon)
        peer = self.websocket(daemon, receive_buffer=65536)
        other.echo()
        before = daemon.status('VmRSS')
        count, size = 640, 100000
        flood = b''.join(frame(BINARY, bytes([n % 251]) * size) for n in range(count))
        sent = peer.push(flood)
        self.assertLess(sent, 40 << 20, 'the server should have stopped reading')
        other.echo(b'not disturbed')
        if not lastcall.sanitized():
            self.assertLess(daemon.status('VmRSS') - before, 8 << 10, 'kB')
        got = self.exchange_rest(peer, flood, sent, count * (size + 10))
        for number in range(count):
            start = number * (size + 10)
            self.assertEqual(got[start:start + 2], b'\x82\x7f')
            self.assertEqual(got[start + 10:start + 10 + size], bytes([number % 251]) * size)
        peer.echo(b'and on it goes')

    @staticmethod
    def exchange_rest(peer, flood, sent, expected):
        got, view = bytearray(), memoryview(flood)
        end = time.monotonic() + lastcall.scaled(40)
        while len(got) < expected:
            wanted = [peer.socket] if sent < len(flood) else []
            readable, writable, _ = select.select([peer.socket], wanted, [], 5)
            if time.monotonic() > end or not (readable or writable):
                raise AssertionError(f'{len(got)} of {expected} bytes came back')
            if readable:
                got += peer.socket.recv(1 << 18, MSG_DONTWAIT)
            if writable:
                sent += peer.socket.send(view[sent:sent + 65536], MSG_DONTWAIT)
        return got


class Silence(lastcall.Case):
    def test_a_peer_is_pinged_and_one_that_does_not_answer_is_closed_with_1001(self):
        daemon = self.daemon('limits.ping_interval=1s', 'limits.ping_timeout=1s')
        peer = self.websocket(daemon)
        began = time.monotonic()
        self.assertEqual(peer.read_frame().opcode, PING)
        self.assertGreaterEqual(time.monotonic() - began, 0.8)
        while (found := peer.read_frame()).opcode == PING:
            pass
        self.assertEqual((found.opcode, found.code()), (CLOSE, 1001))
        self.assertGreaterEqual(time.monotonic() - began, 1.8)
        self.assertWithin(time.monotonic() - began, 4.0, 'two times 1 s')
        peer.send(close_frame(1001))
        peer.expect_end()
        self.assertEqual(daemon.wait_log('session closed')['code'], 1001)

    def test_a_peer_that_answers_pings_stays(self):
        peer = self.websocket(self.daemon('limits.ping_interval=1s',
                                          'limits.ping_timeout=1s'))
        for _ in range(3):
            found = peer.read_frame()
            self.assertEqual(found.opcode, PING)
            peer.send(frame(PONG, found.payload))
        peer.echo(b'still here')

    def test_a_peer_that_has_vanished_is_given_up_after_its_ping(self):
        daemon = self.daemon('limits.ping_interval=1s', 'limits.ping_timeout=1s',
                             'shutdown.close_timeout=300ms')
        self.websocket(daemon)  # its socket stays open and never answers anything
        closed = daemon.wait_log('session closed')
        self.assertIn(closed['outcome'], ('forced', 'gone'))
        self.assertEqual(closed['code'], 1001)

    def test_an_idle_session_is_closed_with_1001_and_a_busy_one_is_not(self):
        daemon = self.daemon('limits.idle_timeout=1s')
        busy, idle = self.websocket(daemon), self.websocket(daemon)
        began = time.monotonic()
        while not select.select([idle.socket], [], [], 0.1)[0]:
            busy.echo()
            self.assertWithin(time.monotonic() - began, 5.0, 'idle_timeout was 1 s')
        self.assertGreaterEqual(time.monotonic() - began, 0.8)
        idle.answer_close(1001)
        busy.echo(b'still here')

    def test_a_session_that_begins_a_frame_and_stalls_is_closed_by_its_ping(self):
        daemon = self.daemon('limits.ping_interval=1s', 'limits.ping_timeout=1s',
                             'shutdown.close_timeout=300ms')
        peer = self.websocket(daemon)
        peer.send(frame(TEXT, b'x' * 1000)[:100])
        daemon.wait_log('session closed')

    def test_half_a_request_is_given_up_after_handshake_timeout(self):
        daemon = self.daemon('limits.handshake_timeout=1s')
        peer = self.peer(daemon)
        peer.send(b'GET /echo HTTP/1.1\r\nHost: x\r\n')
        began = time.monotonic()
        try:
            while peer.more():
                pass
        except AssertionError as error:
            self.assertIn('reset', str(error))
        self.assertWithin(time.monotonic() - began, 4.0, 'handshake_timeout was 1 s')

    def test_two_hundred_connections_that_say_nothing_disturb_nobody(self):
        daemon = self.daemon('server.http_threads=8')
        silent = [self.peer(daemon) for _ in range(200)]
        for _ in range(10):
            began = time.monotonic()
            self.websocket(daemon).echo()
            self.assertEqual(daemon.get('/health/live').status, 200)
            self.assertWithin(time.monotonic() - began, 1.0, 'as if they were alone')
        del silent


if __name__ == '__main__':
    lastcall.main()
