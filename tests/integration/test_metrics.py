#!/usr/bin/python3
"""What Prometheus is told agrees with what clients did."""
import os
import sys
import threading
import time
from signal import SIGUSR2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from exposition import FormatError, Scrape
from peer import (BINARY, TEXT, Response, close_frame, exchange, frame, request_head,
                  upgrade_head)

TYPE = 'text/plain; version=0.0.4; charset=utf-8'


class Case(lastcall.Case):
    def scrape(self, daemon):
        answer = daemon.get('/metrics')
        self.assertEqual((answer.status, answer.header('content-type')), (200, TYPE))
        return Scrape(answer.body)

    def wait_value(self, daemon, wanted, name, **labels):
        """For what the server counts a moment after its client has seen it."""
        lastcall.wait_until(lambda: self.scrape(daemon).value(name, **labels) == wanted, 10,
                            f'{name} {labels} is {wanted}')

    def files(self):
        """A route with a file that is more than what a connection takes unread."""
        root = self.directory()
        with open(os.path.join(root, 'big'), 'wb') as file:
            file.truncate(32 << 20)
        return {'/files/*': {'handler': 'static', 'root': root}}

    def download(self, daemon):
        """Somebody who has begun to read it."""
        reader = self.peer(daemon, receive_buffer=4096)
        reader.send(request_head('/files/big'))
        reader.read_until(b'\r\n\r\n')
        return reader

    def close(self, peer, code=1000):
        peer.send(close_frame(code))
        peer.read_close(code)
        peer.expect_end()


class Counts(Case):
    def test_sessions_messages_and_bytes_are_counted_by_route(self):
        daemon = self.daemon(routes={'/other': {'handler': 'echo'}})
        peers = [self.websocket(daemon) for _ in range(3)]
        for peer in peers:
            peer.echo(b'12345')
        peers[0].echo(b'x' * 1000, BINARY)
        self.websocket(daemon, '/other').echo(b'y')
        self.close(peers[2])
        self.wait_value(daemon, 2, 'sessions_open', route='/echo')
        found = self.scrape(daemon)
        for name, echo, other in (('sessions_open', 2, 1), ('sessions_opened_total', 3, 1),
                                  ('messages_received_total', 4, 1), ('messages_sent_total', 4, 1),
                                  ('received_bytes_total', 1015, 1), ('sent_bytes_total', 1015, 1),
                                  ('send_queue_bytes', 0, 0)):
            self.assertEqual(found.shown(name), {('/echo',): echo, ('/other',): other}, name)

    def test_closes_are_counted_by_code_and_outcome(self):
        daemon = self.daemon('limits.ping_interval=1s', 'limits.ping_timeout=1s',
                             'shutdown.close_timeout=500ms', 'limits.message=1k')
        silent = self.websocket(daemon)
        for code in (1000, 1000, 1001, 3000, 4999):
            self.close(self.websocket(daemon), code)
        for _ in range(3):
            self.websocket(daemon).reset()
        for bad, code in ((frame(TEXT, b'x', rsv=1), 1002), (frame(TEXT, b'\xff'), 1007),
                          (frame(TEXT, b'x' * 1025), 1009)):
            peer = self.websocket(daemon)
            peer.send(bad)
            peer.answer_close(code)
            peer.close_socket()
        daemon.wait_log('session closed', count=12)
        self.assertEqual(self.scrape(daemon).shown('sessions_closed_total'), {
            ('1000', 'handshake', '/echo'): 2, ('1001', 'handshake', '/echo'): 1,
            ('other', 'handshake', '/echo'): 2, ('1006', 'gone', '/echo'): 3,
            ('1002', 'gone', '/echo'): 1, ('1007', 'gone', '/echo'): 1,
            ('1009', 'gone', '/echo'): 1, ('1001', 'forced', '/echo'): 1})
        silent.close_socket()

    def test_refusals_are_counted_by_reason(self):
        daemon = self.daemon('limits.connections=3', routes={
            '/echo': {'handler': 'echo', 'connections': '2'}, '/other': {'handler': 'echo'}})
        peers = [self.websocket(daemon) for _ in range(2)]
        for count, head in ((4, upgrade_head()), (2, upgrade_head('/nowhere')),
                            (3, upgrade_head().replace(b'13', b'12')), (1, b'nonsense\r\n\r\n')):
            for _ in range(count):
                exchange(daemon.address, head)
        peers.append(self.websocket(daemon, '/other'))
        for _ in range(5):
            self.assertEqual(exchange(daemon.address, upgrade_head('/other')).status, 503)
        foreign = upgrade_head(headers=['Origin: https://elsewhere.example'])
        self.assertEqual(exchange(daemon.address, foreign).status, 403)
        self.assertEqual(self.scrape(daemon).shown('refused_total'), {
            ('route_full', '/echo'): 4, ('handshake', '/echo'): 3, ('origin', '/echo'): 1,
            ('full', '/other'): 5, ('route', '(none)'): 2, ('request', '(none)'): 1})

    def test_answers_are_counted_by_status(self):
        daemon = self.daemon()
        for count, path, method in ((3, '/', 'GET'), (2, '/nowhere', 'GET'), (4, '/', 'DELETE'),
                                    (1, '/echo', 'GET'), (2, '/health/none', 'GET'),
                                    (1, '/health/live', 'HEAD')):
            for _ in range(count):
                daemon.get(path, method)
        self.websocket(daemon).echo()
        exchange(daemon.address, upgrade_head().replace(b'13', b'12'))
        self.scrape(daemon)
        self.wait_value(daemon, 1, 'http_requests_total', route='/health/*', status='200')
        found = self.scrape(daemon).shown('http_requests_total')
        self.assertGreaterEqual(found.pop(('/metrics', '200')), 2)
        self.assertEqual(found, {
            ('/', '200'): 3, ('/', '405'): 4, ('(none)', '404'): 2, ('/echo', '426'): 2,
            ('/health/*', '404'): 2, ('/health/*', '200'): 1})

    def test_limits_are_shown_and_one_of_a_route_where_it_has_one(self):
        daemon = self.daemon('limits.connections=123', routes={
            '/echo': {'handler': 'echo', 'connections': '7'}, '/other': {'handler': 'echo'}})
        found = self.scrape(daemon)
        self.assertEqual(found.value('sessions_limit'), 123)
        self.assertEqual(found.shown('route_sessions_limit'), {('/echo',): 7})

    def test_what_waits_for_a_reader_that_stalls_is_shown_until_he_has_gone(self):
        daemon = self.daemon('limits.message=16M', 'limits.send_queue=16M')
        reader = self.websocket(daemon, receive_buffer=4096)
        reader.send(frame(BINARY, bytes(12_000_000)))
        lastcall.wait_until(
            lambda: self.scrape(daemon).value('messages_sent_total', route='/echo') == 1, 20,
            'the echo is queued')
        self.assertGreater(self.scrape(daemon).value('send_queue_bytes', route='/echo'), 4_000_000)
        self.assertLess(self.scrape(daemon).value('send_queue_bytes', route='/echo'), 12_000_100)
        reader.reset()
        self.wait_value(daemon, 0, 'send_queue_bytes', route='/echo')

    def test_requests_in_flight_are_shown_and_the_scrape_is_one_of_them(self):
        daemon = self.daemon(routes=self.files())
        self.assertEqual(self.scrape(daemon).value('requests_in_flight'), 1)
        readers = [self.download(daemon) for _ in range(3)]
        self.assertEqual(self.scrape(daemon).value('requests_in_flight'), 4)
        for reader in readers:
            reader.reset()
        self.wait_value(daemon, 1, 'requests_in_flight')


class Durations(Case):
    def test_they_agree_with_what_clients_measured(self):
        daemon = self.daemon()
        inside = outside = 0
        for number in range(5):
            began = time.monotonic()
            peer = self.websocket(daemon)
            peer.echo()
            opened = time.monotonic()  # before the echo it may be on its way to a loop yet
            for _ in range(30):
                peer.echo()
            inside += time.monotonic() - opened
            self.close(peer)
            daemon.wait_log('session closed', count=number + 1)
            outside += time.monotonic() - began
        found = self.scrape(daemon)
        for name in ('handshake', 'session'):
            self.assertEqual(found.value(f'{name}_duration_seconds_count', route='/echo'), 5)
        handshakes = found.value('handshake_duration_seconds_sum', route='/echo')
        self.assertGreater(handshakes, 0)
        self.assertLess(handshakes, outside)
        sessions = found.value('session_duration_seconds_sum', route='/echo')
        unsure = 5 * 0.005  # a loop's clock counts milliseconds, and stands still during a turn
        self.assertGreater(sessions, inside - unsure)
        self.assertLess(sessions, outside + unsure)

    def test_a_session_falls_into_the_bucket_of_its_length(self):
        daemon = self.daemon(routes={'/echo': {'handler': 'echo', 'max_age': '1500ms'}})
        peer = self.websocket(daemon)
        peer.answer_close(1001)
        self.wait_value(daemon, 1, 'session_duration_seconds_count', route='/echo')
        found = self.scrape(daemon)
        length = found.value('session_duration_seconds_sum', route='/echo')
        self.assertGreater(length, 1.2, 'max_age is 1.5 s, less up to a tenth')
        for bound in (1, 10, 60):
            self.assertEqual(
                found.value('session_duration_seconds_bucket', route='/echo', le=str(bound)),
                length <= bound, f'{length} s in {bound} s')


class Stopping(Case):
    LONG = ('shutdown.timeout=40s', 'shutdown.close_timeout=20s')

    def test_paused_is_not_ready_and_not_stopping(self):
        daemon = self.daemon()
        for ready in (1, 0, 1):
            found = self.scrape(daemon)
            self.assertEqual([found.value(name) for name in ('ready', 'stopping', 'draining')],
                             [ready, 0, 0])
            daemon.send_signal(SIGUSR2)
            lastcall.wait_until(
                lambda: self.scrape(daemon).value('ready') == 1 - ready, 5, 'it is toggled')

    def test_during_the_delay_it_is_stopping_and_shows_what_it_will_drain(self):
        daemon = self.daemon('shutdown.delay=3s', 'shutdown.timeout=20s')
        peers = [self.websocket(daemon) for _ in range(2)]
        self.wait_value(daemon, 2, 'sessions_open', route='/echo')
        self.assertIsNone(self.scrape(daemon).value('drain_sessions'))
        daemon.send_signal()
        daemon.wait_log('signal')
        found = self.scrape(daemon)
        self.assertEqual([found.value(name) for name in
                          ('ready', 'stopping', 'draining', 'drain_sessions')], [0, 1, 0, 2])
        for peer in peers:
            peer.answer_close(1001)
        daemon.wait_exit(0)

    def test_whoever_connected_before_the_gate_closed_is_told_how_the_drain_goes(self):
        daemon = self.daemon(*self.LONG, routes=self.files())
        peers = [self.websocket(daemon) for _ in range(3)]
        self.wait_value(daemon, 3, 'sessions_open', route='/echo')
        download = self.download(daemon)  # for which connections without a request are kept, too
        early = self.peer(daemon)
        early.send(request_head('/metrics')[:-1])
        daemon.get('/health/live')  # those before it have been accepted too
        daemon.send_signal()
        daemon.wait_log('draining')
        peers[0].answer_close(1001)
        peers[1].reset()
        daemon.wait_log('session closed', count=2)
        early.send(b'\n')
        found = Scrape(Response(early.read_to_end()).body)
        self.assertEqual([found.value(name) for name in ('ready', 'stopping', 'draining')],
                         [0, 1, 1])
        self.assertEqual(found.value('drain_sessions'), 3)
        self.assertEqual(found.shown('drain_sessions_ended'),
                         {('handshake',): 1, ('gone',): 1, ('forced',): 0})
        self.assertEqual(found.value('sessions_open', route='/echo'), 1)
        self.assertEqual(found.value('requests_in_flight'), 1)
        peers[2].answer_close(1001)
        download.read_to_end()
        daemon.wait_exit(0)


class Process(Case):
    def test_its_figures_are_those_of_proc(self):
        daemon = self.daemon()
        self.websocket(daemon).echo()
        found = self.scrape(daemon)
        self.assertAlmostEqual(found.value('process_threads'), daemon.status('Threads'), delta=2)
        self.assertAlmostEqual(found.value('process_open_fds'), daemon.fd_count(), delta=2)
        self.assertAlmostEqual(found.value('process_start_time_seconds'), time.time(),
                               delta=lastcall.scaled(60))
        self.assertGreater(found.value('process_max_fds'), found.value('process_open_fds'))
        self.assertGreater(found.value('process_virtual_memory_bytes'),
                           found.value('process_resident_memory_bytes'))
        resident = daemon.status('VmRSS') * 1024
        self.assertAlmostEqual(found.value('process_resident_memory_bytes') / resident, 1,
                               delta=0.5)

    def test_processor_time_grows_with_work_and_never_beyond_what_has_passed(self):
        daemon = self.daemon()
        began = time.time()
        before = self.scrape(daemon).value('process_cpu_seconds_total')
        for _ in range(100):
            daemon.get('/metrics')
        spent = self.scrape(daemon).value('process_cpu_seconds_total') - before
        self.assertGreater(spent, 0)
        self.assertLess(spent, (time.time() - began) * os.cpu_count() + 0.1)

    def test_the_build_names_both_versions(self):
        daemon = self.daemon()
        ready = daemon.logged('ready')[0]
        self.assertEqual(self.scrape(daemon).value('build_info', version=str(ready['version']),
                                                   civetweb=str(ready['civetweb'])), 1)


class Scrapes(Case):
    def test_a_head_has_the_headers_and_no_body(self):
        head = self.daemon().get('/metrics', 'HEAD')
        self.assertEqual((head.status, head.header('content-type')), (200, TYPE))
        self.assertGreater(int(head.header('content-length')), 1000)

    def test_routes_of_any_name_are_shown_and_break_nothing(self):
        names = ('/say "hi"', '/caf\u00e9', '/tea\u2028\U0001f375', '/a,b="c"} 1', '/100%')
        environment = {f'NAME{number}': name for number, name in enumerate(names)}
        daemon = self.daemon(environment=environment, routes={
            f'hostile{number}': {'handler': 'echo', 'path': f'${{NAME{number}}}'}
            for number in range(len(names))})
        self.websocket(daemon, '/caf%C3%A9').echo()
        self.assertEqual(self.scrape(daemon).shown('sessions_open'), {
            ('/echo',): 0, **{(name,): int(name == '/caf\u00e9') for name in names}})

    def test_counts_never_go_back_and_every_scrape_is_whole_while_clients_come_and_go(self):
        daemon = self.daemon('log.level=info', routes={
            f'/{number}': {'handler': 'echo'} for number in range(20)})
        stopping = threading.Event()
        clients = [threading.Thread(target=self.come_and_go, args=(daemon, number, stopping))
                   for number in range(4)]
        for client in clients:
            client.start()
        try:
            before = self.scrape(daemon)
            for _ in range(40):
                found = self.scrape(daemon)
                for (name, labels), value in before.samples.items():
                    if name.endswith(('_total', '_bucket', '_count', '_sum')):
                        self.assertGreaterEqual(found.samples[name, labels], value, name)
                before = found
        finally:
            stopping.set()
            for client in clients:
                client.join()
        self.assertGreater(sum(before.shown('sessions_opened_total').values()), 20)

    def come_and_go(self, daemon, number, stopping):
        while not stopping.is_set():
            peer = self.websocket(daemon, f'/{number}')
            peer.echo(b'x' * 100)
            self.close(peer)

    def test_many_at_a_time_are_all_whole(self):
        daemon = self.daemon(routes={f'/{number}': {'handler': 'echo'} for number in range(100)})
        failures = []

        def scrape_often():
            try:
                for _ in range(2):
                    self.assertEqual(len(self.scrape(daemon).shown('sessions_open')), 101)
            except Exception as error:  # noqa: BLE001 told below, in the test's own thread
                failures.append(error)
        threads = [threading.Thread(target=scrape_often) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_its_memory_is_given_back_also_when_the_reader_leaves_in_the_middle(self):
        if lastcall.sanitized():
            self.skipTest('a sanitizer has memory of its own')
        daemon = self.daemon(routes={f'/{number}': {'handler': 'echo'} for number in range(300)})
        daemon.get('/metrics')
        before = daemon.status('VmRSS')
        for _ in range(200):
            reader = self.peer(daemon, receive_buffer=4096)
            reader.send(request_head('/metrics'))
            reader.read_until(b'\r\n\r\n')
            reader.reset()
        self.wait_value(daemon, 1, 'requests_in_flight')
        self.assertLess(daemon.status('VmRSS') - before, 20_000, 'kB; one scrape has 800')


class Tests(lastcall.Case):
    def test_the_reader_of_these_tests_refuses_what_is_wrong(self):
        gauge = b'# HELP g a\n# TYPE g gauge\n'
        histogram = b'# HELP h a\n# TYPE h histogram\n'
        Scrape(gauge + b'g{a="1"} 1\ng{a="2"} 0.5\n')
        Scrape(histogram + b'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n')
        for text in (b'g 1\n', gauge + b'g 1', gauge + gauge, gauge + b'h 1\n', gauge + b'g x\n',
                     gauge + b'g 1\ng 1\n', gauge + b'g{a="1",a="2"} 1\n', gauge + b'g{a="\\x"} 1\n',
                     gauge + b'g{a=1} 1\n', b'# TYPE g gauge\ng 1\n',
                     b'# HELP c a\n# TYPE c counter\nc 1\n',
                     histogram + b'h_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n',
                     histogram + b'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 3\n',
                     histogram + b'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_count 2\n'):
            with self.subTest(text), self.assertRaises((FormatError, KeyError)):
                Scrape(text)


if __name__ == '__main__':
    lastcall.main()
