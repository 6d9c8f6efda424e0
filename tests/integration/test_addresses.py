#!/usr/bin/python3
"""What one client address may take, so that something is left for the others."""
import os
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from door import count_of
from peer import PeerError, Response, close_frame, exchange, request_head, upgrade_head

OTHER = '127.0.0.2'
MANY_OPEN = 'as many WebSockets are open from this address as limits.connections_per_address allows'
MANY_SERVED = ('as many requests of this address are being served as limits.requests_per_address '
               'allows')
OFTEN = 'this address asks more often than limits.rate_per_address allows'
SLOW = ('requests of this address take long to arrive, and hold as many threads as '
        'limits.requests_per_address allows')


class Addresses(lastcall.Case):
    def ask(self, daemon, raw, source=None):
        peer = self.peer(daemon, source_host=source)
        peer.send(raw)
        response = Response(peer.read_to_end())
        peer.close_socket()
        return response

    def assertRefused(self, response, why):
        self.assertEqual(response.status, 429)
        self.assertEqual(response.header('retry-after'), '1')
        self.assertIn(why, response.body.decode())

    def wait_free(self, daemon, path='/echo'):
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


class Connections(Addresses):
    def test_one_too_many_of_an_address_gets_429_and_another_address_is_let_in(self):
        daemon = self.daemon('limits.connections_per_address=2')
        first, second = self.websocket(daemon), self.websocket(daemon)
        for _ in range(3):
            self.assertRefused(self.ask(daemon, upgrade_head()), MANY_OPEN)
        self.websocket(daemon, source_host=OTHER).echo()
        refused = daemon.wait_log('refused')
        self.assertEqual((refused['status'], refused['why']), (429, MANY_OPEN))
        self.assertEqual(count_of(daemon.get('/metrics').text(), 'lastcall_refused_total',
                                  reason='address'), 3)
        second.send(close_frame(1000))
        second.read_close(1000)
        second.expect_end()
        self.wait_free(daemon).echo()
        first.echo(b'not disturbed')

    def test_sessions_that_vanish_or_never_came_to_be_give_their_places_back(self):
        daemon = self.daemon('limits.connections_per_address=3')
        for _ in range(20):
            gone = self.wait_free(daemon)
            gone.reset()
            half = self.peer(daemon)
            half.send(upgrade_head())
            half.reset()
        peers = [self.wait_free(daemon) for _ in range(3)]
        for peer in peers:
            peer.echo()
        self.assertRefused(self.ask(daemon, upgrade_head()), MANY_OPEN)

    def test_behind_a_trusted_proxy_each_client_counts_for_itself(self):
        daemon = self.daemon('limits.connections_per_address=1',
                             'server.trusted_proxies=127.0.0.1')
        for client in ('192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8:0:1::1'):
            forwarded = upgrade_head(headers=[f'X-Forwarded-For: {client}'])
            peer = self.peer(daemon)
            peer.send(forwarded)
            peer.read_until(b'\r\n\r\n')
            self.assertRefused(self.ask(daemon, forwarded), MANY_OPEN)
        same_network = upgrade_head(headers=['X-Forwarded-For: 2001:db8::2'])
        self.assertRefused(self.ask(daemon, same_network), MANY_OPEN)
        for _ in range(3):
            self.websocket(daemon).echo()  # the proxy itself is no client


class Requests(Addresses):
    def start(self, *settings):
        directory = self.directory()
        with open(os.path.join(directory, 'big'), 'wb') as file:
            file.truncate(24 << 20)
        return self.daemon(*settings, 'limits.handshake_timeout=60s',
                           'shutdown.timeout=1s', 'shutdown.close_timeout=500ms',
                           routes={'/files/*': {'handler': 'static', 'root': directory}})

    def download(self, daemon):
        peer = self.peer(daemon, receive_buffer=16384)
        peer.send(request_head('/files/big'))
        peer.read_until(b'\r\n\r\n')
        return peer

    def test_one_too_many_at_a_time_gets_429_but_health_and_other_addresses_are_served(self):
        daemon = self.start('limits.requests_per_address=3')
        first, *_ = [self.download(daemon) for _ in range(3)]
        self.assertRefused(self.ask(daemon, request_head('/files/big')), MANY_SERVED)
        self.assertRefused(self.ask(daemon, upgrade_head()), MANY_SERVED)
        self.assertEqual(self.ask(daemon, request_head('/health/live')).status, 200)
        self.assertEqual(self.ask(daemon, request_head('/'), OTHER).status, 200)
        self.websocket(daemon, source_host=OTHER).echo()
        first.reset()
        lastcall.wait_until(lambda: self.ask(daemon, request_head('/')).status == 200, 5,
                            'the place of a download that has ended is free')

    def test_an_address_with_half_requests_leaves_threads_for_the_others(self):
        daemon = self.daemon('server.http_threads=32', 'limits.handshake_timeout=60s',
                             'log.level=info')
        half = request_head('/').rstrip()
        slow = [self.peer(daemon) for _ in range(50)]  # threads, and their queue nearly
        for peer in slow:
            peer.send(half[:-1])
        began = time.monotonic()
        self.assertEqual(self.ask(daemon, request_head('/'), OTHER).status, 200)
        self.assertWithin(time.monotonic() - began, 15, 'the answer to another address')
        refused = daemon.wait_log('refused', timeout=20)
        self.assertEqual((refused['status'], refused['why']), (429, SLOW))
        answered = []

        def all_but_sixteen():
            answered[:] = [peer for peer in slow if peer in answered or self.ended(peer)]
            return len(answered) >= len(slow) - 16
        lastcall.wait_until(all_but_sixteen, 20, 'all but 16 of the slow ones have been ended')
        for peer in slow:
            if peer not in answered:
                peer.send(half[-1:] + b'\r\n\r\n')
                self.assertEqual(Response(peer.read_to_end()).status, 200)
        metrics = daemon.get('/metrics').text()
        self.assertEqual(count_of(metrics, 'lastcall_refused_total', reason='address'), 34)
        self.assertEqual(count_of(metrics, 'lastcall_refused_total', reason='request'), 0)
        self.assertEqual(count_of(metrics, 'lastcall_http_requests_total', route='(none)',
                                  status='429'), 34)

    def ended(self, peer):
        """Whether the server has ended the connection, and with 429."""
        if not select.select([peer.socket], [], [], 0)[0]:
            return False
        self.assertEqual(Response(peer.read_to_end()).status, 429)
        return True


class Scarce(Addresses):
    """Many addresses hold all threads, none of them more than it may."""
    THREADS, PLACES = 16, 8
    HOLDERS = ('127.0.0.4', '127.0.0.5')

    def start(self):
        directory = self.directory()
        with open(os.path.join(directory, 'big'), 'wb') as file:
            file.truncate(256 << 20)
        return self.daemon(f'server.http_threads={self.THREADS}', 'limits.handshake_timeout=60s',
                           'log.level=info', 'shutdown.timeout=1s', 'shutdown.close_timeout=500ms',
                           routes={'/files/*': {'handler': 'static', 'root': directory}})

    def assertServed(self, daemon):
        for path in ('/health/live', '/'):
            began = time.monotonic()
            self.assertEqual(self.ask(daemon, request_head(path)).status, 200)
            self.assertWithin(time.monotonic() - began, 20, f'the answer for {path}')

    def test_the_answers_that_are_read_most_slowly_are_cut_so_that_others_are_served(self):
        daemon = self.start()
        for source in self.HOLDERS:
            for _ in range(self.PLACES):
                peer = self.peer(daemon, receive_buffer=4096, source_host=source)
                peer.send(request_head('/files/big'))
                peer.read_until(b'\r\n\r\n')
        self.assertServed(daemon)
        cut = daemon.wait_log('answer cut')
        self.assertEqual(cut['why'], 'its answer is read slowly, and others wait for a thread')
        self.websocket(daemon).echo()

    def test_half_requests_are_answered_408_so_that_others_are_served(self):
        daemon = self.start()
        halves = []
        for source in self.HOLDERS:
            for _ in range(self.PLACES):
                halves.append(self.peer(daemon, source_host=source))
                halves[-1].send(request_head('/').rstrip())
        self.assertServed(daemon)
        refused = daemon.wait_log('refused', status=408)
        self.assertEqual(refused['why'],
                         'the request takes long to arrive, and others wait for a thread')
        readable = select.select([half.socket for half in halves], [], [], 10)[0]
        ended = next(half for half in halves if half.socket in readable)
        self.assertEqual(Response(ended.read_to_end()).status, 408)

    def test_who_reads_steadily_is_not_cut(self):
        daemon = self.start()
        steady = self.peer(daemon, source_host='127.0.0.6')
        steady.send(request_head('/files/big'))
        steady.read_until(b'\r\n\r\n')
        for source in self.HOLDERS:
            for _ in range(self.PLACES):
                peer = self.peer(daemon, receive_buffer=4096, source_host=source)
                peer.send(request_head('/files/big'))
        began = time.monotonic()
        while time.monotonic() - began < lastcall.scaled(3):
            steady.read(1 << 18)
            time.sleep(0.1)
        daemon.wait_log('answer cut')
        steady.read(1 << 20)


class Rate(Addresses):
    def test_who_asks_too_often_gets_429_and_a_second_later_is_served_again(self):
        daemon = self.daemon('limits.rate_per_address=5')
        answers = [self.ask(daemon, request_head('/')) for _ in range(20)]
        refused = [answer for answer in answers if answer.status != 200]
        self.assertGreaterEqual(20 - len(refused), 5)
        self.assertTrue(refused)
        self.assertRefused(refused[0], OFTEN)
        self.assertEqual(self.ask(daemon, request_head('/'), OTHER).status, 200)
        self.assertEqual(daemon.get('/health/live').status, 200)
        lastcall.wait_until(lambda: self.ask(daemon, request_head('/')).status == 200, 3,
                            'it may ask again')

    def test_handshakes_and_what_is_nowhere_count_as_well(self):
        daemon = self.daemon('limits.rate_per_address=1')
        for raw in (upgrade_head(), request_head('/nowhere')):
            with self.subTest(raw[:20]):
                self.assertIn(429, {self.status(daemon, raw) for _ in range(10)})

    def status(self, daemon, raw):
        peer = self.peer(daemon)
        peer.send(raw)
        status = int(peer.read_until(b'\r\n\r\n').split()[1])
        peer.reset()
        return status


if __name__ == '__main__':
    lastcall.main()
