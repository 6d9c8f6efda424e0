#!/usr/bin/python3
"""Request lines, their targets, and what becomes of them in the log."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from door import ask
from peer import Peer, exchange, upgrade_head


def raw(*lines):
    return ('\r\n'.join(lines) + '\r\n\r\n').encode()


class Targets(lastcall.Case):
    def test_a_target_with_scheme_and_host_is_served_as_its_path(self):
        daemon = self.daemon()
        for host in ('127.0.0.1:%d' % daemon.address[1], 'localhost:%d' % daemon.address[1]):
            with self.subTest(host):
                answer = exchange(daemon.address,
                                  raw(f'GET http://{host}/health/live HTTP/1.1', f'Host: {host}',
                                      'Connection: close'))
                self.assertEqual(answer.status, 200)
                self.assertIn('status', answer.text())

    def test_a_request_of_http_1_1_without_host_is_400_and_one_of_1_0_needs_none(self):
        daemon = self.daemon()
        for path in ('/', '/health/live', '/echo'):
            with self.subTest(path):
                answer = exchange(daemon.address, raw(f'GET {path} HTTP/1.1', 'Connection: close'))
                self.assertEqual(answer.status, 400)
        answer = exchange(daemon.address, raw('GET /health/live HTTP/1.0'))
        self.assertEqual(answer.status, 200)


class Headers(lastcall.Case):
    def test_a_request_with_more_header_lines_than_are_kept_is_431_whatever_it_asks_for(self):
        """What is dropped could be the Origin."""
        daemon = self.daemon()
        upgrade = ('GET /echo HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade',
                   'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
        plain = ('GET /health/live HTTP/1.1', 'Host: x')
        for lines, good in ((upgrade, 403), (plain, 200)):
            for count in range(60, 70):
                with self.subTest(good=good, headers=count):
                    filler = [f'X-{i}: y' for i in range(count - len(lines))]
                    answer = exchange(daemon.address,
                                      raw(*lines, *filler, 'Origin: https://evil.example'))
                    self.assertEqual(answer.status, good if count < 64 else 431)

    def test_a_request_of_16380_bytes_is_taken_and_a_longer_one_is_not(self):
        daemon = self.daemon()
        head = b'GET /health/live HTTP/1.1\r\nHost: x\r\nX: '
        for before in (b'', b' ' * 1000):
            for end, good in ((b'\r\n\r\n', 200), (b'\n\n', 400), (b'\r\n\n', 400)):
                for size in range(16374, 16392):
                    with self.subTest(size=size, end=end, before=len(before)):
                        filler = b'x' * (size - len(before) - len(head) - len(end))
                        answer = ask(daemon.address, before + head + filler + end,
                                     lastcall.scaled(10))
                        if answer or size <= 16380:  # else it ended in a reset
                            self.assertEqual(answer.status, good if size <= 16380 else 400)

    def test_what_an_earlier_request_left_in_memory_ends_no_later_one(self):
        daemon = self.daemon('server.http_threads=2')
        head = b'GET /health/live HTTP/1.1\r\nHost: x\r\nX: '
        for size in range(100):
            for end, status in ((b'\r\n\r\n', 200), (b'\r\n\r\n', 200), (b'\n\n', 400)) * 2:
                filler = b'x' * (size + (2 if end == b'\n\n' else 0))
                self.assertEqual(ask(daemon.address, head + filler + end,
                                     lastcall.scaled(10)).status, status, (size, end))

    def test_a_request_with_two_hosts_or_none_that_can_be_one_is_400_whatever_it_asks_for(self):
        daemon = self.daemon()
        for version, hosts, good in (
                ('1.1', ['localhost'], True), ('1.1', ['my_service:8080'], True),
                ('1.1', ['[::1]:80'], True), ('1.1', [''], True), ('1.0', [], True),
                ('1.1', [], False), ('1.1', ['one', 'two'], False), ('1.1', ['x', 'x'], False),
                ('1.1', ['', 'x'], False), ('1.0', ['one', 'two'], False), ('1.1', ['a, b'], False),
                ('1.1', ['a b'], False), ('1.1', ['a/b'], False), ('1.1', ['a?b'], False),
                ('1.1', ['a#b'], False), ('1.1', ['a@b'], False), ('1.1', ['a\\b'], False),
                ('1.1', ['a"b'], False), ('1.1', ['<a>'], False), ('1.0', ['a/b'], False)):
            for path, status in (('/', 200), ('/health/live', 200), ('/nowhere', 404)):
                with self.subTest(version=version, hosts=hosts, path=path):
                    answer = exchange(daemon.address,
                                      raw(f'GET {path} HTTP/{version}',
                                          *[f'Host: {host}' for host in hosts], 'A: b'))
                    self.assertEqual(answer.status, status if good else 400)

    def test_a_header_whose_name_is_no_token_is_400(self):
        """What is in front may take it for another, or for none."""
        daemon = self.daemon()
        for line, status in (('X: 1', 200), ('X:1', 200), ('X:', 200), ('X:  ', 200),
                             ("!#$%&'*+-.^_`|~1aZ: 1", 200), ('X: a : b', 200),
                             ('X : 1', 400), ('X :', 400), ('X  : 1', 400), ('X :1', 400),
                             ('X\t: 1', 400), ('Content-Length : 5', 400), ('Host : x', 400),
                             ('X Y: 1', 400), ('X(: 1', 400), ('X/Y: 1', 400), ('X@: 1', 400),
                             ('"X": 1', 400), ('X,Y: 1', 400), ('[X]: 1', 400), ('X=: 1', 400)):
            for place in range(3):
                with self.subTest(line, place=place):
                    lines = ['Host: x', 'A: b']
                    lines.insert(place, line)
                    answer = exchange(daemon.address, raw('GET /health/live HTTP/1.1', *lines))
                    self.assertEqual(answer.status, status)

    def test_blanks_around_a_value_are_no_part_of_it(self):
        daemon = self.daemon()
        for blanks in ('', ' ', '   '):
            with self.subTest(blanks=blanks):
                peer = Peer(daemon.address)
                peer.send(raw(
                    'GET /echo HTTP/1.1', f'Host:{blanks}x{blanks}', f'Upgrade: websocket{blanks}',
                    f'Connection: Upgrade{blanks}', f'Sec-WebSocket-Version:{blanks}13{blanks}',
                    f'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=={blanks}',
                    f'Origin:{blanks}http://x{blanks}'))
                self.assertIn(b'HTTP/1.1 101 ', peer.read_until(b'\r\n'))
                peer.close_socket()


class Refusals(lastcall.Case):
    def test_a_refusal_is_logged_with_its_path(self):
        daemon = self.daemon()
        for send, path, status in ((upgrade_head('/nowhere'), '/nowhere', 404),
                                   (raw('GET /some/where HTTP/1.1', 'Host: x'), '/some/where', 404),
                                   (raw('GET /echo HTTP/1.1', 'Host: x'), '/echo', 426)):
            with self.subTest(path):
                self.assertEqual(exchange(daemon.address, send).status, status)
                daemon.wait_log('refused', path=path, status=status, timeout=2)


class Static(lastcall.Case):
    def start(self, path):
        root = self.directory()
        os.mkdir(os.path.join(root, 'sub'))
        for name in ('index.html', 'sub/index.html'):
            with open(os.path.join(root, name), 'w') as file:
                file.write(f'this is {name}')
        return self.daemon(routes={path: {'handler': 'static', 'root': root}})

    def test_an_exact_route_serves_the_index(self):
        answer = self.start('/site').get('/site')
        self.assertEqual((answer.status, answer.body), (200, b'this is index.html'))

    def test_a_redirect_to_a_folder_keeps_the_query(self):
        daemon = self.start('/site/*')
        for query in ('', '?', '?a=1&b=%2F', '?next=/x?y'):
            with self.subTest(query):
                answer = daemon.get('/site/sub' + query)
                self.assertEqual(answer.status, 301)
                location = answer.header('location')
                self.assertIn(location, ['/site/sub/' + query, 'sub/' + query]
                              + ([] if query != '?' else ['/site/sub/', 'sub/']))


if __name__ == '__main__':
    lastcall.main()
