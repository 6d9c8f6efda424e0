#!/usr/bin/python3
"""Messages compressed with permessage-deflate (RFC 7692), with raw bytes and with a client that
others wrote."""
import asyncio
import fcntl
import os
import random
import struct
import sys
import termios
import unittest
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from door import KEY, ask, count_of, upgrade
from peer import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, PeerError, WebSocket, accept_for,
                  close_frame, frame)

try:
    import websockets
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
except ImportError:
    websockets = None

NAME = 'Sec-WebSocket-Extensions'
OFFER = 'permessage-deflate'
AGREED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'
TAIL, RSV1 = b'\0\0\xff\xff', 4
LIMIT = 64 << 10
NOISE = random.Random(5).randbytes(LIMIT)

# What is offered, line by line; what is answered.
OFFERS = [
    ([OFFER], AGREED),
    ([f'{OFFER}; client_max_window_bits'], AGREED), ([f',, {OFFER} ,'], AGREED),
    ([f'{OFFER}; client_no_context_takeover; server_no_context_takeover'], AGREED),
    ([f'{OFFER}; server_max_window_bits=9'], f'{AGREED}; server_max_window_bits=9'),
    ([f'{OFFER}; server_max_window_bits="15"'], f'{AGREED}; server_max_window_bits=15'),
    # the first that can be met, over all lines
    ([f'x-webkit-deflate-frame, {OFFER}'], AGREED), (['x-other; a=b', OFFER], AGREED),
    ([f'{OFFER}; server_max_window_bits=8', OFFER], AGREED),
    ([f'{OFFER}; server_max_window_bits=12', OFFER], f'{AGREED}; server_max_window_bits=12'),
    ([f'{OFFER}; surprise, {OFFER}; server_max_window_bits=11'],
     f'{AGREED}; server_max_window_bits=11'),
    # what cannot be met is passed over
    ([], None), ([''], None), ([','], None), (['x-other'], None), (['permessage-deflated'], None),
    ([f'{OFFER}; server_max_window_bits=8'], None), ([f'{OFFER}; server_max_window_bits=16'], None),
    ([f'{OFFER}; server_max_window_bits=09'], None), ([f'{OFFER}; server_max_window_bits'], None),
    ([f'{OFFER}; client_max_window_bits=16'], None), ([f'{OFFER}; surprise'], None),
    ([f'{OFFER}; server_no_context_takeover=1'], None),
    ([f'{OFFER}; client_max_window_bits; client_max_window_bits'], None),
]

MALFORMED = [
    [f'{OFFER};'], [f'{OFFER}; ='], [f'{OFFER}; server_max_window_bits='],
    [f'{OFFER}; server_max_window_bits="9'], [f'{OFFER} server_no_context_takeover'], [';'],
    [f'{OFFER}, x/y'], [OFFER, '"x"'], ['x-other;', OFFER],
]


def deflated(data, level=9, window=15, last=False):
    """A message as RFC 7692 wants it; `last`: in a block that says that it is the last."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -window)
    if last:
        return stream.compress(data) + stream.flush(zlib.Z_FINISH) + b'\0'
    data = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert data.endswith(TAIL)
    return data[:-len(TAIL)]


def inflated(data, window=15):
    stream, parts, data = zlib.decompressobj(-window), [], data + TAIL
    while window < 15 and data:  # little at a time: what lies behind must be in the window
        parts.append(stream.decompress(data, 128))
        data = stream.unconsumed_tail
    return b''.join(parts) + stream.decompress(data) + stream.flush()


def packed(data, opcode=TEXT, **options):
    return frame(opcode, deflated(data, **options), rsv=RSV1)


def in_pieces(data, count, opcode=TEXT, between=b''):
    """A compressed message in `count` fragments, RSV1 on the first of them."""
    borders = [len(data) * n // count for n in range(count + 1)]
    return between.join(frame(CONTINUATION if n else opcode, data[borders[n]:borders[n + 1]],
                              fin=n == count - 1, rsv=0 if n else RSV1) for n in range(count))


class Compressed(WebSocket):
    """A peer that has agreed on it; `wire` is the last message's frame as it came."""
    rsv = RSV1
    window = 15

    def read_message(self):
        self.wire = self.read_frame()
        if self.wire.opcode not in (TEXT, BINARY) or not self.wire.fin:
            raise PeerError(f'{self.wire} instead of a whole message')
        payload = self.wire.payload
        return self.wire.opcode, inflated(payload, self.window) if self.wire.rsv else payload

    def read_close(self, code=None):
        found = super().read_close(code)
        if found.rsv:
            raise PeerError('RSV1 on a Close')
        return found

    def zip(self, payload, opcode=TEXT, **options):
        """Sends a message compressed and reads it back."""
        self.send(packed(payload, opcode, **options))
        if self.read_message() != (opcode, payload):
            raise PeerError(f'not the echo: {self.wire}')


class Case(lastcall.Case):
    def start(self, *settings, **keys):
        keys = {'handler': 'echo', 'compression': 'on', 'message': LIMIT, **keys}
        return self.daemon(*settings, routes={'/zip': keys})

    def ask(self, daemon, offers, path='/zip'):
        lines = [f'{NAME}: {offer}' for offer in offers]
        return ask(daemon.address, upgrade(*lines, path=path), lastcall.scaled(10))

    def zipped(self, daemon, offer=OFFER, path='/zip', **options):
        """An open WebSocket that compresses."""
        peer = Compressed(daemon.address, lastcall.scaled(10), **options)
        self.addCleanup(peer.close_socket)
        if not peer.handshake(path, [f'{NAME}: {offer}']).header(NAME):
            raise AssertionError('nothing was agreed on')
        return peer


class Agreement(Case):
    def test_the_first_offer_that_can_be_met_is_answered(self):
        daemon = self.start()
        for offers, agreed in OFFERS:
            with self.subTest(offers):
                answer = self.ask(daemon, offers)
                self.assertEqual((answer.status, answer.header(NAME)), (101, agreed))

    def test_the_101_is_exactly_this(self):
        daemon = self.start(subprotocols='chat')
        peer = self.peer(daemon)
        peer.send(upgrade('Sec-WebSocket-Protocol: chat',
                          f'{NAME}: {OFFER}; server_max_window_bits=10', path='/zip'))
        self.assertEqual(peer.read_until(b'\r\n\r\n').decode(), '\r\n'.join((
            'HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
            f'Sec-WebSocket-Accept: {accept_for(KEY)}', 'Sec-WebSocket-Protocol: chat',
            f'{NAME}: {AGREED}; server_max_window_bits=10', '', '')))

    def test_it_is_off_unless_the_route_says_on(self):
        daemon = self.daemon(routes={'/off': {'handler': 'echo', 'compression': 'off'}})
        for path in ('/echo', '/off'):
            for offers, _ in OFFERS:
                with self.subTest(offers, path=path):
                    answer = self.ask(daemon, offers, path)
                    self.assertEqual((answer.status, answer.header(NAME)), (101, None))

    def test_what_is_no_list_of_extensions_is_400(self):
        daemon = self.start()
        for offers in MALFORMED:
            with self.subTest(offers):
                answer = self.ask(daemon, offers)
                self.assertEqual(answer.status, 400)
                self.assertIn(NAME, answer.text())
        self.assertIn(NAME, daemon.wait_log('refused', count=len(MALFORMED))['why'])


@unittest.skipUnless(websockets, '*** python3-websockets is not here: no other client asked ***')
class Client(Case):
    def talk(self, daemon, messages, **options):
        """Has messages echoed; one that is a list is sent in as many fragments."""
        async def session():
            uri = 'ws://%s:%d/zip' % daemon.address
            async with websockets.connect(uri, open_timeout=lastcall.scaled(10), **options) as ws:
                self.assertEqual([one.name for one in ws.extensions], [OFFER])
                for message in messages:
                    await ws.send(message)
                    got = await asyncio.wait_for(ws.recv(), lastcall.scaled(10))
                    if isinstance(message, list):
                        message = type(message[0])().join(message)
                    self.assertTrue(got == message, f'{len(message)} {type(message)}')
        asyncio.run(session())

    def test_a_client_that_others_wrote_gets_every_message_back(self):
        text = 'Letzte Bestellung, bitte! ñ€😀 ' * 300
        messages = ['', b'', 'x', b'\0', 'hello', text, text.encode(), 'z' * LIMIT, bytes(LIMIT),
                    NOISE[:1], NOISE[:64], NOISE[:1000], NOISE, ['', 'a', '', text, ''],
                    [b'x'] * 100, [NOISE[n:n + 5000] for n in range(0, LIMIT, 5000)], 'bye']
        daemon = self.start()
        self.talk(daemon, messages, compression='deflate')
        for bits in (9, 12, 15):
            with self.subTest(bits):
                self.talk(daemon, messages, extensions=[ClientPerMessageDeflateFactory(
                    server_max_window_bits=bits, client_max_window_bits=bits)])

    def test_one_byte_over_the_limit_is_1009_for_it(self):
        daemon = self.start()
        for message in ('z' * (LIMIT + 1), NOISE + b'x'):
            with self.assertRaises(websockets.ConnectionClosed) as closed:
                self.talk(daemon, ['first', message], compression='deflate')
            self.assertEqual(closed.exception.rcvd.code, 1009)


class Frames(Case):
    TEXT = b'last orders, please! ' * 20

    def test_what_breaks_the_agreement_is_closed_with_its_code(self):
        half = deflated(self.TEXT)
        begin, rest = half[:9], half[9:]
        rows = [
            ('RSV1 on a continuation', frame(TEXT, begin, fin=False, rsv=RSV1)
             + frame(CONTINUATION, rest, rsv=RSV1), 1002),
            ('RSV1 on a continuation alone', frame(TEXT, b'a', fin=False)
             + frame(CONTINUATION, rest, rsv=RSV1), 1002),
            ('RSV1 on a continuation of nothing', frame(CONTINUATION, half, rsv=RSV1), 1002),
            *((f'RSV1 on opcode {opcode}', frame(opcode, b'\x03\xe8', rsv=RSV1), 1002)
              for opcode in (3, CLOSE, PING, PONG)),
            ('RSV2', frame(TEXT, half, rsv=2), 1002), ('RSV3', frame(TEXT, half, rsv=1), 1002),
            ('RSV1 and RSV2', frame(TEXT, half, rsv=6), 1002),
            ('RSV1 and RSV3', frame(TEXT, half, rsv=5), 1002),
            ('a block of the reserved type', frame(BINARY, b'\xff', rsv=RSV1), 1007),
            ('text that is not compressed', frame(TEXT, b'Hello, world', rsv=RSV1), 1007),
            ('half of it', frame(BINARY, half[:len(half) // 2], rsv=RSV1), 1007),
            ('nothing at all', frame(BINARY, b'', rsv=RSV1), 1007),
            ('a byte changed, in pieces', in_pieces(b'\x07' + half[1:], 3), 1007),
            ('a repeat of what is not there', frame(TEXT, b'J\x04B\0\0', rsv=RSV1), 1007),
            ('text that is not UTF-8', packed(b'good \xff bad' * 50), 1007),
            ('text that ends inside a character', packed('ü'.encode()[:1]), 1007),
            ('text that is not UTF-8, beside the compressed', frame(TEXT, b'\xff'), 1007),
            ('a byte over the limit', packed(b'x' * (LIMIT + 1)), 1009),
            ('noise, a byte over the limit', packed(NOISE + b'x', BINARY), 1009),
            ('a claim over the limit', frame(BINARY, claim=LIMIT * 2, rsv=RSV1), 1009),
        ]
        daemon = self.start()
        for name, data, code in rows:
            with self.subTest(name):
                peer = self.zipped(daemon)
                peer.zip(b'first')
                peer.send(data)
                peer.answer_close(code)

    def test_without_agreement_rsv1_is_1002(self):
        daemon = self.start()
        for path in ('/zip', '/echo'):
            peer = self.websocket(daemon, path)
            peer.send(packed(self.TEXT))
            peer.answer_close(1002)

    def test_a_message_in_many_fragments_with_pings_between_is_one_message(self):
        peer = self.zipped(self.start('limits.control_frames=0'))
        text = ('ñ€😀' * 500).encode() + NOISE.hex().encode()[:500]
        data = deflated(text)
        for count in (1, 2, 7, len(data), len(data) + 100):
            peer.send(in_pieces(data, count, between=frame(PING, b'still here')))
            for _ in range(count - 1):
                found = peer.read_frame()
                self.assertEqual((found.opcode, found.rsv, found.payload), (PONG, 0, b'still here'))
            self.assertEqual(peer.read_message(), (TEXT, text))

    def test_chops_of_every_size_change_nothing(self):
        peer = self.zipped(self.start('limits.control_frames=0'))
        data = (packed(self.TEXT) + frame(PING, b'p') + in_pieces(deflated(self.TEXT), 3)
                + frame(TEXT, b'plain') + packed(NOISE[:99], BINARY))
        expected = [(TEXT, self.TEXT)] * 2 + [(TEXT, b'plain'), (BINARY, NOISE[:99])]
        for size in range(1, len(data) + 1):
            for at in range(0, len(data), size):
                peer.send(data[at:at + size])
            got = [peer.read_message()]
            self.assertEqual(peer.read_frame().opcode, PONG)
            self.assertEqual(got + [peer.read_message() for _ in range(3)], expected, size)

    def test_what_is_in_last_blocks_or_in_several_or_not_compressed_is_read(self):
        peer = self.zipped(self.start())
        blocks = [deflated(part) + TAIL for part in (b'one ', b'two ')]
        for data, text in ((deflated(self.TEXT, last=True), self.TEXT),
                           (deflated(self.TEXT, last=True)[:-1] + deflated(b'more'),
                            self.TEXT + b'more'),
                           (deflated(NOISE, level=0), NOISE), (b'\0', b''), (b'\x02\0', b''),
                           (b''.join(blocks) + deflated(b'three'), b'one two three')):
            with self.subTest(text[:20]):
                for count in (1, 3):
                    peer.send(in_pieces(data, count, BINARY))
                    self.assertEqual(peer.read_message(), (BINARY, text))

    def test_a_message_may_come_as_it_is_on_a_session_that_compresses(self):
        peer = self.zipped(self.start())
        for payload in (b'', b'x', self.TEXT, b'z' * LIMIT):
            peer.echo(payload)
            peer.zip(payload)

    def test_short_and_incompressible_answers_stay_as_they_are_and_long_ones_get_smaller(self):
        peer = self.zipped(self.start())
        for payload, compressed in ((b'a' * 63, False), (b'a' * 64, True), (self.TEXT, True),
                                    (NOISE, False), (NOISE[:100], False), (b'z' * LIMIT, True)):
            for send in (peer.echo, peer.zip):
                send(payload, BINARY)
                self.assertEqual((peer.wire.rsv, len(peer.wire.payload) < len(payload)),
                                 (RSV1, True) if compressed else (0, False))

    def test_what_is_sent_needs_no_larger_window_than_the_client_asked_for(self):
        daemon = self.start()
        text = (NOISE[:400] + bytes(300)) * 10  # repeats only beyond 512 bytes
        for bits in range(9, 16):
            peer = self.zipped(daemon, f'{OFFER}; server_max_window_bits={bits}')
            peer.window = bits
            peer.zip(text, BINARY)
            self.assertEqual(peer.wire.rsv, RSV1)
        with self.assertRaises(zlib.error):
            inflated(peer.wire.payload, 9)  # as it would be if it did


class Bounds(Case):
    def test_a_bomb_costs_no_more_than_the_limit(self):
        daemon = self.start('server.loops=1', message='1M')
        self.zipped(daemon).zip(b'x' * 100000)
        before = daemon.status('VmRSS')
        bombs = [deflated(bytes(size)) for size in (2 << 20, 64 << 20)]
        for bomb, count in [(bomb, count) for bomb in bombs for count in (1, 9)] * 5:
            peer = self.zipped(daemon)
            peer.send(in_pieces(bomb, count, BINARY))
            peer.answer_close(1009)
        self.zipped(daemon).zip(b'z' * (1 << 20))
        if not lastcall.sanitized():
            self.assertLess(daemon.status('VmHWM') - before, 3 << 10, 'kB')

    def test_what_a_large_message_took_is_given_back(self):
        daemon = self.start('server.loops=1', message='64M')
        peer = self.zipped(daemon)
        peer.zip(b'x' * 1000)
        before = daemon.status('VmRSS')
        peer.zip(bytes(40 << 20), BINARY)
        if not lastcall.sanitized():
            lastcall.wait_until(lambda: daemon.status('VmRSS') - before < 8 << 10, what='kB')

    def test_who_is_answered_next_does_not_wait_for_all_that_one_peer_has_sent_to_expand(self):
        daemon = self.start('server.loops=1', message='1M')
        good, bad = self.websocket(daemon), self.zipped(daemon)
        early = 0
        for _ in range(10):
            bad.send(packed(bytes(1 << 20), BINARY) * 60)
            good.echo()
            answered = struct.unpack('i', fcntl.ioctl(bad.socket, termios.FIONREAD, bytes(4)))[0]
            early += answered < sum(len(bad.read_frame().payload) for _ in range(60)) / 4
        self.assertGreater(early, 7)

    def test_counts_limits_and_rates_are_of_whole_expanded_messages(self):
        daemon = self.start(message='1k', rate=5)
        peer = self.zipped(daemon)
        for n in range(5):
            peer.send(in_pieces(deflated(b'x' * 1024), 1 + n))
            self.assertEqual(peer.read_message(), (TEXT, b'x' * 1024))
        metrics = daemon.get('/metrics').text()
        self.assertEqual([count_of(metrics, f'lastcall_{name}_total', route='/zip') for name in (
            'messages_received', 'messages_sent', 'received_bytes', 'sent_bytes')],
            [5, 5, 5120, 5120])
        peer.send(packed(b'x' * 1024) * 10)
        while (found := peer.read_frame()).opcode != CLOSE:
            self.assertEqual(found.opcode, TEXT)
        self.assertEqual(found.code(), 1008)
        large = self.zipped(daemon)
        large.send(packed(b'x' * 1025))
        large.answer_close(1009)

    def test_a_drain_loses_nothing_and_its_closes_are_not_compressed(self):
        daemon = self.start()
        peers = [self.zipped(daemon) for _ in range(20)]
        text = b'before the last call ' * 50
        for peer in peers:
            peer.zip(text)
            peer.send(in_pieces(deflated(text), 3) * 50)
        daemon.send_signal()
        for peer in peers:
            while (found := peer.read_frame()).opcode != CLOSE:
                self.assertEqual((found.rsv, inflated(found.payload)), (RSV1, text))
            self.assertEqual((found.code(), found.rsv), (1001, 0))
            peer.send(packed(b'my last words ' * 50) + close_frame(1001))
            peer.expect_end()
        self.assertEqual(daemon.wait_exit(0)['handshake'], 20)
        self.assertEqual([one['received'] for one in daemon.logged('session closed')], [52] * 20)

    def test_idle_sessions_that_compress_take_no_more_memory_than_others(self):
        grown = {}
        for path, connect in (('/echo', self.websocket), ('/zip', self.zipped)):
            daemon = self.start('server.loops=1')
            for _ in range(20):
                connect(daemon, path=path).echo(b'x' * LIMIT)
            before = daemon.status('VmRSS')
            for _ in range(500):
                connect(daemon, path=path).echo(b'x' * 100)
            grown[path] = daemon.status('VmRSS') - before
        if not lastcall.sanitized():
            self.assertLess(grown['/zip'], grown['/echo'] * 1.2, grown)


if __name__ == '__main__':
    lastcall.main()
