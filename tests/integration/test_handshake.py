#!/usr/bin/python3
"""The opening handshake: what is let in, and with which proper response the rest is refused."""
import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import Response, WebSocket, accept_for, exchange, request_head, upgrade_head

KEY = 'dGhlIHNhbXBsZSBub25jZQ=='  # RFC 6455, section 1.3
ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='


def upgrade(method='GET', path='/echo', version='HTTP/1.1', without=(), body=b'', **changed):
    """A good upgrade request with some headers left out, changed or (a list) doubled."""
    headers = {'Host': 'localhost', 'Upgrade': 'websocket', 'Connection': 'Upgrade',
               'Sec-WebSocket-Key': KEY, 'Sec-WebSocket-Version': '13'}
    for name, value in changed.items():
        headers['-'.join(word.capitalize() for word in name.split('_'))
                .replace('Websocket', 'WebSocket')] = value
    lines = [f'{method} {path} {version}']
    for name, value in headers.items():
        if name not in without:
            values = value if isinstance(value, list) else [value]
            lines += [f'{name}: {one}' for one in values]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode() + body


REFUSED = [
    ('an unknown path', upgrade(path='/nowhere'), 404),
    ('a path below an exact route', upgrade(path='/echo/below'), 404),
    ('version 8', upgrade(sec_websocket_version='8'), 426),
    ('version 14', upgrade(sec_websocket_version='14'), 426),
    ('no key', upgrade(without=['Sec-WebSocket-Key']), 400),
    ('an empty key', upgrade(sec_websocket_key=''), 400),
    ('a key of 15 bytes', upgrade(sec_websocket_key=base64.b64encode(b'x' * 15).decode()), 400),
    ('a key of 17 bytes', upgrade(sec_websocket_key=base64.b64encode(b'x' * 17).decode()), 400),
    ('a key that is not base64', upgrade(sec_websocket_key='!' * 22 + '=='), 400),
    ('a key without its padding', upgrade(sec_websocket_key='dGhlIHNhbXBsZSBub25jZQ'), 400),
    ('two keys', upgrade(sec_websocket_key=[KEY, KEY]), 400),
    ('no Host', upgrade(without=['Host']), 400),
    ('two Hosts', upgrade(host=['one', 'two']), 400),
    ('HTTP/1.0', upgrade(version='HTTP/1.0'), 505),
    ('POST', upgrade(method='POST'), 405),
    ('HEAD', upgrade(method='HEAD'), 405),
    ('no Connection', upgrade(without=['Connection']), 400),
    ('a Connection of another token', upgrade(connection='keep-alive'), 400),
    ('a token that only begins like upgrade', upgrade(connection='notupgrade'), 400),
    ('a token that only ends like upgrade', upgrade(connection='upgrader'), 400),
    ('a body of known length', upgrade(content_length='5', body=b'hello'), 400),
    ('a body in chunks', upgrade(transfer_encoding='chunked', body=b'0\r\n\r\n'), 400),
    ('a plain GET', request_head('/echo'), 426),
    ('a plain GET with a query', request_head('/echo?x=1'), 426),
    ('an upgrade to something else', upgrade(upgrade='h2c'), 426),
]

ACCEPTED = [
    ('as the RFC shows it', upgrade()),
    ('any case in the values', upgrade(upgrade='WebSocket', connection='uPGRADE')),
    ('Connection with more tokens', upgrade(connection='keep-alive, Upgrade')),
    ('Connection in two headers', upgrade(connection=['keep-alive', 'Upgrade'])),
    ('Upgrade with more tokens', upgrade(upgrade='h2c, websocket')),
    ('a length of nothing', upgrade(content_length='0')),
    ('names in lower case', upgrade().replace(b'Sec-WebSocket', b'sec-websocket')
     .replace(b'Host', b'host').replace(b'Connection', b'connection')),
    ('a query', upgrade(path='/echo?room=1')),
    ('an encoded path', upgrade(path='/%65cho')),
    ('an offer of compression', upgrade(
        sec_websocket_extensions='permessage-deflate; client_max_window_bits')),
    ('an offer of a subprotocol', upgrade(sec_websocket_protocol='chat, superchat')),
    ('a browser\'s other headers', upgrade(origin='http://localhost', user_agent='x' * 500,
                                           cookie='a=b; ' * 300)),
]


class Handshake(lastcall.Case):
    def test_each_bad_upgrade_gets_a_proper_response_of_its_own(self):
        daemon = self.daemon()
        for name, raw, status in REFUSED:
            with self.subTest(name):
                answer = exchange(daemon.address, raw, lastcall.scaled(10),
                                  head=raw.startswith(b'HEAD'))
                self.assertEqual(answer.status, status, answer.body)
                self.assertIn('close', answer.tokens('connection'))
                self.assertIsNotNone(answer.header('content-length'))
                self.assertLess(abs(answer.age()), lastcall.scaled(10))
                if status == 426:
                    self.assertEqual(answer.header('sec-websocket-version'), '13')
                    self.assertIn('websocket', answer.tokens('upgrade'))
                    self.assertIn('upgrade', answer.tokens('connection'))
                if status == 405:
                    self.assertIn('get', answer.tokens('allow'))
        self.websocket(daemon).echo()

    def test_an_upgrade_without_a_version_is_refused(self):
        daemon = self.daemon()
        answer = exchange(daemon.address, upgrade(without=['Sec-WebSocket-Version']))
        self.assertIn(answer.status, (400, 426))
        self.assertIn('close', answer.tokens('connection'))

    def test_an_upgrade_on_a_route_of_http_alone_gets_a_proper_response(self):
        daemon = self.daemon()
        answer = exchange(daemon.address, upgrade(path='/metrics'))
        self.assertNotEqual(answer.status, 101)
        self.assertLess(answer.status, 500)

    def test_each_good_upgrade_is_answered_with_the_accept_of_its_key(self):
        daemon = self.daemon()
        self.assertEqual(accept_for(KEY), ACCEPT)
        for name, raw in ACCEPTED:
            with self.subTest(name):
                peer = WebSocket(daemon.address, lastcall.scaled(10))
                self.addCleanup(peer.close_socket)
                peer.send(raw)
                answer = peer.finish_handshake(KEY)
                self.assertEqual(answer.header('sec-websocket-accept'), ACCEPT)
                self.assertIsNone(answer.header('sec-websocket-extensions'))
                self.assertIsNone(answer.header('sec-websocket-protocol'))
                peer.echo()

    def test_an_upgrade_that_comes_byte_by_byte_is_let_in(self):
        peer = WebSocket(self.daemon().address, lastcall.scaled(10))
        self.addCleanup(peer.close_socket)
        for byte in upgrade():
            peer.send(bytes([byte]))
        peer.finish_handshake(KEY)
        peer.echo()

    def test_a_refusal_is_logged_with_its_route_status_and_reason(self):
        daemon = self.daemon()
        exchange(daemon.address, upgrade(sec_websocket_version='8'))
        line = daemon.wait_log('refused')
        self.assertEqual((line['level'], line['status'], line['route']), ('info', 426, '/echo'))
        self.assertTrue(line['why'])

    def test_a_route_with_a_star_takes_what_is_below_it_and_itself(self):
        daemon = self.daemon(routes={'/deep/*': {'handler': 'echo'}})
        for path in ('/deep', '/deep/', '/deep/a/b'):
            with self.subTest(path):
                self.websocket(daemon, path).echo()
        self.assertEqual(exchange(daemon.address, upgrade(path='/deeper')).status, 404)

    def test_the_longest_route_wins(self):
        daemon = self.daemon(routes={'/a/*': {'handler': 'metrics'}, '/a/b/*': {'handler': 'echo'},
                                     '/a/b/c': {'handler': 'health'}})
        self.assertEqual(daemon.get('/a/x').status, 200)
        self.assertEqual(daemon.get('/a/b/x').status, 426)
        self.assertNotEqual(daemon.get('/a/b/c').status, 426)

    def test_rubbish_is_answered_or_ended_and_harms_nobody(self):
        daemon = self.daemon()
        for rubbish in (b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03' + b'\0' * 200, b'\r\n\r\n',
                        b'GET\r\n\r\n', b'GET /echo HTTP/9.9\r\n\r\n',
                        os.urandom(3000) + b'\r\n\r\n',
                        upgrade(cookie='x' * 40000), upgrade(path='/' + 'x' * 20000)):
            peer = self.peer(daemon)
            try:
                peer.send(rubbish)
                peer.half_close()
                while peer.more():
                    pass
            except (OSError, AssertionError):
                pass  # a reset is an answer to rubbish
            self.assertFalse(peer.buffer.startswith(b'HTTP/1.1 101'), rubbish[:50])
        self.websocket(daemon).echo()

    def test_nothing_follows_the_101(self):
        peer = WebSocket(self.daemon().address, lastcall.scaled(10))
        self.addCleanup(peer.close_socket)
        peer.send(upgrade_head(key=KEY))
        raw = peer.read_until(b'\r\n\r\n')
        self.assertEqual(Response(raw).status, 101)
        peer.half_close()
        self.assertEqual(peer.read_to_end(), b'')


if __name__ == '__main__':
    lastcall.main()
