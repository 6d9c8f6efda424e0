#!/usr/bin/python3
"""The limits that one route has and another has not."""
import os
import select
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from door import count_of
from peer import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, PeerError, WebSocket, close_frame,
                  exchange, frame, upgrade_head)

FULL = "as many WebSockets are open here as the route's connections allows"


def echo(**keys):
    return {'handler': 'echo', **keys}


class Message(lastcall.Case):
    def test_a_message_that_one_route_takes_is_closed_with_1009_on_another(self):
        daemon = self.daemon('limits.message=64k', routes={
            '/small': echo(message='1k'), '/large': echo(message='2M'),
            '/auto': echo(message='auto')})
        for path, limit in (('/small', 1 << 10), ('/large', 2 << 20), ('/auto', 64 << 10),
                            ('/echo', 64 << 10)):
            with self.subTest(path):
                peer = self.websocket(daemon, path)
                peer.echo(b'x' * limit)
                half = limit // 2
                peer.send(frame(TEXT, b'x' * half, fin=False)
                          + frame(CONTINUATION, b'y' * (limit - half)))
                self.assertEqual(peer.read_message()[1], b'x' * half + b'y' * (limit - half))
                pieces = self.websocket(daemon, path)
                pieces.send(frame(BINARY, b'x' * half, fin=False)
                            + frame(CONTINUATION, claim=limit - half + 1))
                pieces.answer_close(1009)
                peer.send(frame(BINARY, claim=limit + 1))
                peer.answer_close(1009)


class SendQueue(lastcall.Case):
    SIZE = 60 << 20

    def test_what_waits_for_a_slow_reader_follows_its_route(self):
        daemon = self.daemon('limits.message=64k', routes={
            '/shallow': echo(send_queue='4k'), '/deep': echo(send_queue='128M')})
        flood = frame(BINARY, b'x' * 65000) * (self.SIZE // 65000)
        taken = {path: self.websocket(daemon, path, receive_buffer=65536)
                 .push(flood, lastcall.scaled(0.7)) for path in ('/shallow', '/deep')}
        self.assertEqual(taken['/deep'], len(flood), 'half of the queue has room for all of it')
        self.assertLess(taken['/shallow'], 40 << 20, 'the server should have stopped reading')
        self.websocket(daemon, '/shallow').echo(b'x' * 60000)


class Connections(lastcall.Case):
    def start(self, *settings):
        return self.daemon(*settings, routes={'/few': echo(connections=2),
                                              '/one': echo(connections=1)})

    def leave(self, peer):
        peer.send(close_frame(1000))
        peer.read_close(1000)
        peer.expect_end()

    def enter(self, daemon, path):
        """A session that takes a place which is about to be free."""
        peers = []

        def opened():
            try:
                peers.append(self.websocket(daemon, path))
            except PeerError:
                return False
            return True
        lastcall.wait_until(opened, 3, 'a place is free')
        return peers[0]

    def test_one_too_many_is_503_until_one_leaves_and_other_routes_are_open(self):
        daemon = self.start()
        first, second = self.websocket(daemon, '/few'), self.websocket(daemon, '/few')
        for _ in range(3):
            answer = exchange(daemon.address, upgrade_head('/few'))
            self.assertEqual((answer.status, answer.header('retry-after')), (503, '1'))
            self.assertEqual(answer.text(), FULL + '\n')
        line = daemon.wait_log('refused')
        self.assertEqual((line['route'], line['status'], line['why']), ('/few', 503, FULL))
        self.websocket(daemon, '/one').echo()
        for _ in range(3):
            self.websocket(daemon).echo()
        self.leave(second)
        third = self.enter(daemon, '/few')
        self.assertEqual(exchange(daemon.address, upgrade_head('/few')).status, 503)
        first.reset()
        self.enter(daemon, '/few').echo()
        third.echo(b'not disturbed')
        metrics = daemon.get('/metrics').text()
        self.assertGreaterEqual(
            count_of(metrics, 'lastcall_refused_total', route='/few', reason='route_full'), 4)
        self.assertEqual(count_of(metrics, 'lastcall_sessions_opened_total', route='/few'), 4)

    def test_who_is_refused_for_another_reason_takes_no_place(self):
        daemon = self.start()
        for _ in range(5):
            for header, status in (('Origin: https://evil.com', 403),
                                   ('Sec-WebSocket-Protocol: ?', 400)):
                answer = exchange(daemon.address, upgrade_head('/one', headers=[header]))
                self.assertEqual(answer.status, status)
        self.websocket(daemon, '/one').echo()

    def test_of_all_who_come_at_once_as_many_get_in_as_there_are_places(self):
        daemon = self.daemon(routes={'/few': echo(connections=7)})
        barrier, peers, statuses = threading.Barrier(40), [], []

        def come():
            peer = WebSocket(daemon.address, lastcall.scaled(10))
            peers.append(peer)
            barrier.wait(lastcall.scaled(10))
            peer.send(upgrade_head('/few'))
            statuses.append(int(peer.read_until(b'\r\n\r\n').split()[1]))
        threads = [threading.Thread(target=come) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for peer in peers:
            self.addCleanup(peer.close_socket)
        self.assertEqual((statuses.count(101), statuses.count(503)), (7, 33))

    def test_the_limit_of_all_routes_together_holds_beside_it_and_says_so(self):
        daemon = self.start('limits.connections=2')
        self.websocket(daemon, '/few'), self.websocket(daemon)
        for path in ('/few', '/one', '/echo'):
            answer = exchange(daemon.address, upgrade_head(path))
            self.assertEqual(answer.status, 503)
            self.assertIn('limits.connections', answer.text())


class MaxAge(lastcall.Case):
    COUNT, AGE = 60, 3.0

    def test_each_session_is_closed_with_1001_near_its_age_and_not_all_at_one_moment(self):
        daemon = self.daemon(routes={'/old': echo(max_age='3s')})
        forever = self.websocket(daemon)
        opened, ages = {}, []
        for number in range(self.COUNT):
            began = time.monotonic()
            peer = self.websocket(daemon, '/old')
            if number % 2:
                peer.echo()  # whether it is busy makes no difference
            opened[peer.socket] = (peer, began)
        patience = lastcall.scaled(1.0)
        while opened:
            ready = select.select(list(opened), [], [], self.AGE + patience + 1)[0]
            self.assertTrue(ready, f'{len(opened)} sessions are not closed')
            now = time.monotonic()
            for one in ready:
                peer, began = opened.pop(one)
                ages.append(now - began)
                self.assertIn('connect again', peer.answer_close(1001).reason())
        self.assertGreaterEqual(min(ages), self.AGE * 0.9 - 0.01)
        self.assertLess(max(ages), self.AGE + patience)
        self.assertGreater(max(ages) - min(ages), self.AGE / 30)
        forever.echo(b'still here')
        metrics = daemon.get('/metrics').text()
        self.assertEqual(count_of(metrics, 'lastcall_sessions_closed_total', route='/old',
                                  code='1001', outcome='handshake'), self.COUNT)

    def test_a_drain_that_comes_before_is_as_any_other(self):
        daemon = self.daemon(routes={'/old': echo(max_age='1s')})
        peer = self.websocket(daemon, '/old')
        daemon.send_signal()
        self.assertIn('shutting down', peer.answer_close(1001).reason())
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)


class Rate(lastcall.Case):
    def start(self, rate, *settings):
        return self.daemon(*settings, routes={'/slow': echo(rate=rate)})

    def flood(self, peer, count):
        peer.send(b''.join(frame(TEXT, b'%d' % number) for number in range(count)))

    def test_who_sends_more_is_closed_with_1008_and_nobody_else_is(self):
        daemon = self.start(5)
        other, elsewhere = self.websocket(daemon, '/slow'), self.websocket(daemon)
        peer = self.websocket(daemon, '/slow')
        self.flood(peer, 1000)
        for number in range(5):
            self.assertEqual(peer.read_message(), (TEXT, b'%d' % number))
        self.assertIn('messages a second', peer.answer_close(1008).reason())
        self.assertEqual(daemon.wait_log('session closed')['code'], 1008)
        for _ in range(3):
            other.echo(b'not disturbed')
        self.flood(elsewhere, 100)
        for number in range(100):
            self.assertEqual(elsewhere.read_message(), (TEXT, b'%d' % number))

    def test_within_the_rate_nothing_happens_for_seconds(self):
        peer = self.websocket(self.start(20), '/slow')
        began = time.monotonic()
        for number in range(60):
            peer.echo(b'%d' % number)
            time.sleep(max(0, began + (number + 1) / 18 - time.monotonic()))  # 18 a second
        self.flood(peer, 2)
        self.assertEqual(peer.read_message()[1], b'0')

    def test_who_has_been_quiet_may_send_a_second_s_worth_at_once_and_no_more(self):
        peer = self.websocket(self.start(4), '/slow')
        self.flood(peer, 4)
        for _ in range(4):
            peer.read_message()
        time.sleep(2.5)  # the rule itself is about time: two seconds' worth is not saved up
        self.flood(peer, 9)
        echoes = 0
        while (found := peer.read_frame()).opcode == TEXT:
            echoes += 1
        self.assertEqual((found.opcode, found.code()), (CLOSE, 1008))
        self.assertIn(echoes, (4, 5), 'one more where a slow machine took the flood in pieces')
        peer.send(close_frame(1008))
        peer.expect_end()

    def test_pings_and_pieces_of_a_message_are_no_messages(self):
        peer = self.websocket(self.start(1), '/slow')
        peer.send(frame(PING, b'?') * 50)
        for _ in range(50):
            self.assertEqual(peer.read_frame().opcode, PONG)
        peer.send(frame(TEXT, b'a', fin=False) + frame(CONTINUATION, b'b', fin=False) * 50
                  + frame(CONTINUATION, b'c'))
        self.assertEqual(peer.read_message()[1], b'a' + b'b' * 50 + b'c')

    def test_during_the_drain_nothing_is_lost_at_any_rate(self):
        daemon = self.start(3, 'shutdown.timeout=60s', 'shutdown.close_timeout=50s')
        peer = self.websocket(daemon, '/slow')
        peer.echo()
        daemon.send_signal()
        peer.read_close(1001)
        self.flood(peer, 200)
        peer.send(close_frame(1001))
        peer.expect_end()
        stopped = daemon.wait_exit(0)
        closed = daemon.logged('session closed')[0]
        self.assertEqual((closed['code'], closed['outcome'], closed['received']),
                         (1001, 'handshake', 201))
        self.assertEqual((stopped['received'], stopped['handshake']), (200, 1))


if __name__ == '__main__':
    lastcall.main()
