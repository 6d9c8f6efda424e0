#!/usr/bin/python3
"""RFC 6455, sections 4.1 to 4.4: what a client's opening handshake must have, as a table.

With it go the rules of RFC 9112 for the request that it is: who reads a broken request in another
way than the proxy before it can be lied to.
"""
import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import Peer, Response, WebSocket, accept_for, exchange

KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
GOOD = [('Host', 'localhost'), ('Upgrade', 'websocket'), ('Connection', 'Upgrade'),
        ('Sec-WebSocket-Key', KEY), ('Sec-WebSocket-Version', '13')]


def opening(start='GET /echo HTTP/1.1', without=None, more=(), end='\r\n', **changed):
    """A good request, changed: key='...' stands for Sec-WebSocket-Key, and so on."""
    lines = [start]
    for name, value in GOOD:
        if name != without:
            lines.append(f'{name}: {changed.pop(name.lower().split("-")[-1], value)}')
    assert not changed, changed
    return (end.join([*lines, *more]) + end + end).encode('latin-1')


# (id, request, the statuses that a right server may answer with)
REFUSED = [
    *[(f'4.2.1-1 method {method!r}', opening(f'{method} /echo HTTP/1.1'), {405, 501, 400})
      for method in ('PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'get', 'Get', 'GETS', 'FOO',
                     'PROPFIND')],
    *[(f'4.2.1-1 version {version!r}', opening(f'GET /echo {version}'), {505, 400, 426})
      for version in ('HTTP/0.9', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/3', 'HTTP/1', 'http/1.1', 'HTTP/1.',
                      'HTTP/.1', 'HTTP/11', 'HTTPS/1.1', 'HTTP/1.1.1', '1.1')],
    *[(f'RFC 9112, 3 request line {line!r}', opening(line), {400, 404, 405, 426, 501, 505})
      for line in ('GET', 'GET /echo', 'GET HTTP/1.1', '/echo HTTP/1.1', 'GET echo HTTP/1.1',
                   'GET /ec ho HTTP/1.1', 'GET /echo HTTP/1.1 x', 'GET\x00/echo HTTP/1.1',
                   'GET /echo\x00 HTTP/1.1', 'GET /echo#part HTTP/1.1')],
    *[(f'4.2.1-2 Host {host!r}', opening(host=host), {400}) for host in ('', ' ')],
    ('4.2.1-2 no Host', opening(without='Host'), {400}),
    ('4.2.1-2 two Hosts alike', opening(more=['Host: localhost']), {400}),
    *[(f'4.2.1-3 Upgrade {value!r}', opening(upgrade=value), {400, 426})
      for value in ('', 'websockets', 'xwebsocket', 'web socket', 'websocket;', '"websocket"',
                    'TLS', 'web-socket', 'h2c, websocke')],
    ('4.2.1-3 no Upgrade', opening(without='Upgrade'), {400, 426}),
    *[(f'4.2.1-4 Connection {value!r}', opening(connection=value), {400, 426})
      for value in ('', 'close', 'keep-alive', 'upgraded', 'up grade', 'x-upgrade', '"upgrade"',
                    'keep-alive; upgrade')],
    ('4.2.1-4 no Connection', opening(without='Connection'), {400, 426}),
    *[(f'4.2.1-5 Sec-WebSocket-Key {key!r}', opening(key=key), {400})
      for key in ('', '=' * 24, 'AAAAAAAAAAAAAAAAAAAAAA=', 'AAAAAAAAAAAAAAAAAAAAAA===',
                  'AAAAAAAAAAAAAAAAAAAAAAA=', 'AAAAAAAAAAAAAAAAAAAAAAAA',
                  'AAAA AAAAAAAAAAAAAAAAA==', 'AAAAAAAAAA=AAAAAAAAAAA==',
                  'AAAAAAAAAAAAAAAAAAAAA-==', 'AAAAAAAAAAAAAAAAAAAAA_==', f'{KEY}, {KEY}',
                  f'"{KEY}"', f'{KEY}x', KEY[:-1], '\xe4' * 22 + '==')],
    *[(f'4.2.1-5 a key of {size} bytes',
       opening(key=base64.b64encode(bytes(size)).decode()), {400})
      for size in (*range(16), *range(17, 34), 1000)],
    ('4.2.1-5 no Sec-WebSocket-Key', opening(without='Sec-WebSocket-Key'), {400}),
    ('4.2.1-5 two keys alike', opening(more=[f'Sec-WebSocket-Key: {KEY}']), {400}),
    *[(f'4.2.1-6 Sec-WebSocket-Version {version!r}', opening(version=version), {426, 400})
      for version in ('', '0', '7', '8', '12', '14', '25', '255', '256', '-13', '+13', '013',
                      '13.0', '1 3', '13a', 'x', '13, 8', '8, 13', '13;', '0x0d', '"13"')],
    ('4.2.1-6 no Sec-WebSocket-Version', opening(without='Sec-WebSocket-Version'), {400, 426}),
    ('4.2.1-6 two versions', opening(more=['Sec-WebSocket-Version: 13']), {400}),
    ('4.2.1-6 versions 8 and 13', opening(version='8', more=['Sec-WebSocket-Version: 13']), {400}),
    *[(f'4.2.1-8 Sec-WebSocket-Protocol {value!r}',
       opening(more=[f'Sec-WebSocket-Protocol: {value}']), {400})
      for value in ('chat, chat', 'a b', 'a;b', '"chat"', 'a/b', '', ',')],
    *[(f'RFC 9112, 5 header line {line!r}', opening(more=[line]), {400})
      for line in ('X-Odd : 1', 'X Odd: 1', ': 1', 'nothing', 'X-\x01: 1', ' X: folded')],
    *[(f'RFC 9112, 6 {line!r}', opening(more=[line]), {400, 411, 413, 501})
      for line in ('Content-Length: 1', 'Content-Length: -1', 'Content-Length: x',
                   'Content-Length: 0, 0', 'Content-Length: 99999999999999999999',
                   'Transfer-Encoding: chunked', 'Transfer-Encoding: identity')],
]

TAKEN = [
    *[(f'4.2.1-3 Upgrade {value!r}', opening(upgrade=value))
      for value in ('websocket', 'WebSocket', 'WEBSOCKET', ' websocket ', 'h2c, websocket',
                    'websocket,', ',websocket', 'TLS/1.0,websocket')],
    *[(f'4.2.1-4 Connection {value!r}', opening(connection=value))
      for value in ('upgrade', 'UPGRADE', 'keep-alive, Upgrade', 'Upgrade,keep-alive',
                    'a , Upgrade , b', ',Upgrade')],
    *[(f'4.2.1-5 key {key!r}', opening(key=key))
      for key in ('AAAAAAAAAAAAAAAAAAAAAA==', '/////////////////////w==',
                  '+/+/+/+/+/+/+/+/+/+/+w==', 'x3JJHMbDL1EzLkh9GBhXDw==')],
    *[(f'4.2.1 target {target!r}', opening(f'GET {target} HTTP/1.1'))
      for target in ('/echo', '/echo?', '/echo?a=b&c', '/echo?a=/../x', '/%65%63%68%6f',
                     '/x/../echo', 'http://localhost:PORT/echo')],
    *[(f'4.2.1-2 Host {host!r}', opening(host=host))
      for host in ('localhost:80', '127.0.0.1', '[::1]', '[::1]:8080', 'a.example')],
    *[(f'4.2.1-8 Sec-WebSocket-Protocol {value!r}',
       opening(more=[f'Sec-WebSocket-Protocol: {value}']))
      for value in ('chat', 'chat, superchat', 'v1.example, v2.example', "!#$%&'*+-.^_`|~")],
    *[(f'9.1 Sec-WebSocket-Extensions {value!r}',
       opening(more=[f'Sec-WebSocket-Extensions: {value}']))
      for value in ('foo', 'foo, bar; baz=2', 'permessage-deflate', 'bar; baz="2", foo',
                    'permessage-deflate; client_max_window_bits, x-webkit-deflate-frame')],
    ('9.1 extensions in two headers',
     opening(more=['Sec-WebSocket-Extensions: foo', 'Sec-WebSocket-Extensions: bar; baz=2'])),
    ('4.2.1 headers that nobody knows', opening(more=[f'X-{n}: {n}' for n in range(50)])),
    ('RFC 9112, 5 no blank behind the colon',
     opening().replace(b': ', b':')),
    ('RFC 9112, 2.2 an empty line before the request', b'\r\n' + opening()),
    ('RFC 9110, 5.1 names in any case', b'\r\n'.join(
        line if line.startswith(b'GET') else line.split(b':')[0].swapcase() + b':'
        + line.split(b':', 1)[1] if b':' in line else line for line in opening().split(b'\r\n'))),
]


# What a client may send, and CivetWeb takes for broken: tabs for blanks (RFC 9110, 5.6.3), and the
# whole address of another port than the one that was asked (RFC 9112, 3.2.2), as a mapped one is.
MISTAKEN = [
    ('a tab before a value', opening(upgrade='\twebsocket')),
    ('a tab behind a value', opening(upgrade='websocket\t')),
    ('tabs in a list', opening(connection='keep-alive,\tUpgrade')),
    ('the address of another port', opening('GET http://localhost:1/echo HTTP/1.1')),
    ('the address without a port', opening('GET http://localhost/echo HTTP/1.1')),
    ('an asterisk', opening('GET * HTTP/1.1')),
]


class Opening(lastcall.Case):
    @staticmethod
    def sent_to(daemon, request):
        return request.replace(b'PORT', b'%d' % daemon.address[1])

    def refused(self, daemon, request, statuses):
        answer = exchange(daemon.address, request, lastcall.scaled(10))
        self.assertIn(answer.status, statuses, answer.body)
        self.assertIn('close', answer.tokens('connection'))
        self.assertIsNone(answer.header('sec-websocket-accept'))
        if answer.status == 426:
            self.assertEqual(answer.header('sec-websocket-version'), '13')  # 4.2.2, 4.4

    def test_each_request_that_breaks_a_rule_is_refused(self):
        daemon = self.daemon('log.level=info')
        for name, request, statuses in REFUSED:
            with self.subTest(name):
                self.refused(daemon, request, statuses)
        print(f'#   {len(REFUSED)} cases')

    def test_each_request_that_breaks_none_is_answered_with_a_101(self):
        daemon = self.daemon('log.level=info')
        for name, request in TAKEN:
            with self.subTest(name):
                peer = WebSocket(daemon.address, lastcall.scaled(10))
                self.addCleanup(peer.close_socket)
                peer.send(self.sent_to(daemon, request))
                key = next((line.split(b':', 1)[1].strip().decode() for line
                            in request.split(b'\r\n') if line.lower().startswith(
                                b'sec-websocket-key')), None)
                answer = peer.finish_handshake(key)
                for absent in ('sec-websocket-extensions', 'sec-websocket-protocol',
                               'sec-websocket-version', 'content-length', 'transfer-encoding'):
                    self.assertIsNone(answer.header(absent), absent)
                self.assertEqual(peer.buffer, b'')
                peer.echo()
        print(f'#   {len(TAKEN)} cases')

    def test_a_request_that_is_mistaken_for_broken_opens_nothing_and_harms_nobody(self):
        daemon = self.daemon('log.level=info')
        for name, request in MISTAKEN:
            with self.subTest(name):
                peer = self.peer(daemon)
                peer.send(self.sent_to(daemon, request))
                answer = peer.read_to_end()
                if answer:
                    self.assertEqual(Response(answer).status, 400)
        self.websocket(daemon).echo()

    def test_the_accept_is_of_the_key_whatever_the_key(self):
        daemon = self.daemon('log.level=info')
        for _ in range(300):
            key = base64.b64encode(os.urandom(16)).decode()
            peer = WebSocket(daemon.address, lastcall.scaled(10))
            peer.send(opening(key=key))
            self.assertEqual(peer.finish_handshake(key).header('sec-websocket-accept'),
                             accept_for(key))
            peer.close_socket()

    def test_a_request_cut_at_any_byte_is_understood(self):
        daemon = self.daemon('log.level=info')
        request = opening()
        for first in range(1, len(request), 25):
            cuts = range(first, min(first + 25, len(request)))
            peers = [WebSocket(daemon.address, lastcall.scaled(10)) for _ in cuts]
            for peer, cut in zip(peers, cuts):
                peer.send(request[:cut])
            for peer, cut in zip(peers, cuts):
                peer.send(request[cut:])
            for peer in peers:
                peer.finish_handshake(KEY)
                peer.close_socket()

    def test_a_request_that_ends_in_the_middle_opens_nothing(self):
        daemon = self.daemon('log.level=info')
        request = opening()
        for cut in range(1, len(request), 7):
            peer = Peer(daemon.address, lastcall.scaled(10))
            peer.send(request[:cut])
            peer.half_close()
            answer = peer.read_to_end()
            peer.close_socket()
            if answer:
                self.assertGreaterEqual(Response(answer).status, 400, f'cut behind byte {cut}')


if __name__ == '__main__':
    lastcall.main()
