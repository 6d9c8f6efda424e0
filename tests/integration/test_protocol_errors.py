#!/usr/bin/python3
"""Whoever breaks RFC 6455 gets the right close code, and TCP ends without a reset."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, PeerError, close_frame, frame

PROTOCOL, NOT_UTF8, TOO_LARGE = 1002, 1007, 1009
LIMIT = 4096

BROKEN = [
    ('an unmasked text', frame(TEXT, b'hi', mask=None), PROTOCOL),
    ('an unmasked ping', frame(PING, b'', mask=None), PROTOCOL),
    ('an unmasked Close', frame(CLOSE, b'\x03\xe8', mask=None), PROTOCOL),
    ('RSV1', frame(TEXT, b'hi', rsv=4), PROTOCOL),
    ('RSV2', frame(TEXT, b'hi', rsv=2), PROTOCOL),
    ('RSV3', frame(TEXT, b'hi', rsv=1), PROTOCOL),
    ('RSV1 on a ping', frame(PING, b'hi', rsv=4), PROTOCOL),
    ('RSV1 on a continuation',
     frame(TEXT, b'a', fin=False) + frame(CONTINUATION, b'b', rsv=4), PROTOCOL),
    ('a fragmented ping', frame(PING, b'hi', fin=False), PROTOCOL),
    ('a fragmented pong', frame(PONG, b'hi', fin=False), PROTOCOL),
    ('a fragmented Close', frame(CLOSE, b'\x03\xe8', fin=False), PROTOCOL),
    ('a ping of 126 bytes', frame(PING, b'x' * 126), PROTOCOL),
    ('a Close of 126 bytes', frame(CLOSE, b'\x03\xe8' + b'x' * 124), PROTOCOL),
    ('a ping that claims 65536 bytes, its header alone', frame(PING, claim=65536), PROTOCOL),
    ('a continuation of nothing', frame(CONTINUATION, b'x'), PROTOCOL),
    ('a continuation after a whole message, behind its echo', None, PROTOCOL),
    ('a new message inside another',
     frame(TEXT, b'a', fin=False) + frame(TEXT, b'b'), PROTOCOL),
    ('125 in 16 bits', frame(TEXT, b'x' * 125, form=16), PROTOCOL),
    ('0 in 16 bits', frame(TEXT, b'', form=16), PROTOCOL),
    ('126 in 64 bits', frame(TEXT, b'x' * 126, form=64), PROTOCOL),
    ('a length with its highest bit set', frame(BINARY, claim=1 << 63, form=64), PROTOCOL),
    ('a Close of one byte', frame(CLOSE, b'\x03'), PROTOCOL),
    ('a Close whose reason is not UTF-8', close_frame(1000, b'\xff\xfe'), NOT_UTF8),
    ('a Close whose reason ends inside a character', close_frame(1000, b'\xc3'), NOT_UTF8),
    ('text that is not UTF-8', frame(TEXT, b'\xff'), NOT_UTF8),
    ('text that ends inside a character', frame(TEXT, 'ü'.encode()[:1]), NOT_UTF8),
    ('an overlong slash', frame(TEXT, b'\xc0\xaf'), NOT_UTF8),
    ('an overlong zero of three bytes', frame(TEXT, b'\xe0\x80\x80'), NOT_UTF8),
    ('half a surrogate pair', frame(TEXT, b'\xed\xa0\x80'), NOT_UTF8),
    ('a code point above 10FFFF', frame(TEXT, b'\xf4\x90\x80\x80'), NOT_UTF8),
    ('a lone continuation byte', frame(TEXT, b'ok\x80'), NOT_UTF8),
    ('a bad byte in the second fragment, the message not ended',
     frame(TEXT, b'good', fin=False) + frame(CONTINUATION, b'\xfe', fin=False), NOT_UTF8),
    ('a bad byte at the start of a frame that has not arrived whole',
     frame(TEXT, b'bad \xff', claim=1000, form=16), NOT_UTF8),
    ('a message over the limit, its header alone', frame(BINARY, claim=LIMIT + 1), TOO_LARGE),
    ('a claim of 4 GB', frame(BINARY, claim=1 << 32), TOO_LARGE),
    ('a claim of all but the highest bit', frame(TEXT, claim=(1 << 63) - 1), TOO_LARGE),
    ('fragments over the limit together, the last one\'s header alone',
     frame(BINARY, b'x' * LIMIT, fin=False) + frame(CONTINUATION, claim=1), TOO_LARGE),
] + [(f'opcode {opcode:#x}', frame(opcode, b'hi'), PROTOCOL)
     for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)
] + [(f'close code {code}', close_frame(code), PROTOCOL)
     for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)]


class ProtocolErrors(lastcall.Case):
    def start(self):
        return self.daemon(f'limits.message={LIMIT}')

    def test_each_error_is_closed_with_its_code_and_tcp_ends_cleanly(self):
        daemon = self.start()
        for name, data, code in BROKEN:
            with self.subTest(name):
                peer = self.websocket(daemon)
                if data is None:
                    peer.echo(b'whole')
                    data = frame(CONTINUATION, b'more')
                peer.send(data)
                peer.answer_close(code, within=lastcall.scaled(1.0))

    def test_each_error_is_logged_with_its_code(self):
        daemon = self.start()
        for title, data, code in BROKEN:
            if data is None:
                continue
            with self.subTest(title):
                peer = self.websocket(daemon)
                peer.send(data)
                peer.read_close(code)
                name = peer.name()
                peer.reset()
                closed = daemon.wait_log('session closed', address=name)
                self.assertEqual(closed['code'], code)

    def test_an_error_sent_with_a_megabyte_behind_it_still_gets_its_close(self):
        daemon = self.start()
        for code, data in ((PROTOCOL, frame(3)), (NOT_UTF8, frame(TEXT, b'\xff')),
                           (TOO_LARGE, frame(BINARY, claim=1 << 30))):
            with self.subTest(code=code):
                peer = self.websocket(daemon)
                peer.send(data + b'\0' * (1 << 20))
                peer.read_close(code)
                peer.half_close()
                peer.expect_end()

    def test_an_error_is_not_echoed_and_what_follows_it_is_not_either(self):
        peer = self.websocket(self.start())
        peer.send(frame(TEXT, b'good') + frame(TEXT, b'bad', rsv=1) + frame(TEXT, b'late'))
        self.assertEqual(peer.read_message(), (TEXT, b'good'))
        peer.answer_close(PROTOCOL)

    def test_a_message_of_exactly_the_limit_passes(self):
        peer = self.websocket(self.start())
        peer.echo(b'x' * LIMIT)
        peer.send(frame(TEXT, b'y' * (LIMIT - 1), fin=False) + frame(CONTINUATION, b'y'))
        self.assertEqual(peer.read_message(), (TEXT, b'y' * LIMIT))

    def test_claims_of_gigabytes_cost_no_memory(self):
        daemon = self.daemon('limits.message=1G')
        self.websocket(daemon).echo()
        before = daemon.status('VmSize')
        peers = [self.websocket(daemon) for _ in range(20)]
        for peer in peers:
            peer.send(frame(BINARY, b'x' * 100, claim=1 << 30, form=64))
        for peer in peers:
            peer.send(b'')
        self.websocket(daemon).echo()
        self.assertLess(daemon.status('VmSize') - before, 1 << 20, 'kB of address space')

    def test_a_good_close_is_answered_with_its_own_code(self):
        daemon = self.start()
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
                     3000, 3999, 4000, 4999):
            with self.subTest(code=code):
                peer = self.websocket(daemon)
                peer.send(close_frame(code, 'adiós'.encode()))
                peer.read_close(code)
                peer.expect_end()

    def test_a_close_without_a_code_is_answered_without_one(self):
        daemon = self.start()
        peer = self.websocket(daemon)
        peer.send(close_frame())
        self.assertEqual(peer.read_close().payload, b'')
        peer.expect_end()
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['code'], closed['outcome']), (1005, 'handshake'))

    def test_a_close_with_the_longest_reason_is_fine(self):
        peer = self.websocket(self.start())
        peer.send(frame(CLOSE, struct.pack('!H', 1000) + b'r' * 123))
        peer.read_close(1000)
        peer.expect_end()

    def test_the_client_of_the_tests_notices_a_wrong_code(self):
        peer = self.websocket(self.start())
        peer.send(close_frame(1000))
        with self.assertRaises(PeerError):
            peer.read_close(1001)


class ClosingFromThePeer(lastcall.Case):
    def test_the_server_ends_tcp_first_after_the_peers_close(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        peer.echo(b'one')
        peer.send(close_frame(1000, b'bye'))
        peer.read_close(1000)
        peer.expect_end(within=lastcall.scaled(1.0))
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['code'], closed['outcome']), (1000, 'handshake'))
        self.assertEqual((closed['received'], closed['sent']), (1, 1))

    def test_data_behind_the_peers_close_is_read_away_and_not_answered(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        peer.send(close_frame(1000) + frame(TEXT, b'x' * 60000) * 10)
        peer.read_close(1000)
        peer.expect_end()
        self.assertEqual(daemon.wait_log('session closed')['received'], 0)

    def test_a_peer_that_half_closes_without_a_close_frame_is_gone(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        peer.echo()
        peer.half_close()
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['code'], closed['outcome']), (1006, 'gone'))
        peer.more()

    def test_a_peer_that_resets_is_gone(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        peer.echo()
        peer.reset()
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['code'], closed['outcome']), (1006, 'gone'))

    def test_a_peer_that_ends_inside_a_frame_is_gone(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        peer.send(frame(TEXT, b'x' * 100)[:50])
        peer.half_close()
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['received'], closed['outcome']), (0, 'gone'))

    def test_what_was_sent_before_the_peers_close_is_answered_first(self):
        peer = self.websocket(self.daemon())
        peer.send(b''.join(frame(TEXT, b'%d' % n) for n in range(100)) + close_frame(1000))
        for n in range(100):
            self.assertEqual(peer.read_message(), (TEXT, b'%d' % n))
        peer.read_close(1000)
        peer.expect_end()


if __name__ == '__main__':
    lastcall.main()
