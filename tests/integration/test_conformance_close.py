#!/usr/bin/python3
"""RFC 6455, sections 5.5.1 and 7: each code and reason of a Close, and what stands around it."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from conformance import (GOING_AWAY, NORMAL, NOT_UTF8, PROTOCOL, Await, Case, Conformance,
                         fragments, in_chops, pings, play_together, told)
from peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame
from utf8_table import SUITE, bad_at, borders, unfinished

# 7.4.1 and its registry, which has given out 1012 to 1014 since; 7.4.2: 3000 to 4999.
ALLOWED = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
BYE = close_frame(NORMAL)
NORMAL_BYTES = b'\x03\xe8'


def closed(name, code):
    """The case of this code without a reason."""
    good = code in ALLOWED
    return Case(name, [close_frame(code)], b'', struct.pack('!H', code) if good else PROTOCOL)


def reasons():
    for length in range(124):
        yield Case(f'5.5.1 a reason of {length} bytes', [close_frame(NORMAL, b'*' * length)], b'',
                   NORMAL_BYTES)
    for length in range(124, 128):
        yield Case(f'5.5 a reason of {length} bytes', [close_frame(NORMAL, b'*' * length)], b'',
                   PROTOCOL)
    texts = [*SUITE, *((data.hex(), data) for data in borders()),
             *(('the beginning ' + data.hex(), data) for data in unfinished())]
    for number, data in texts:
        for place, text in (('the reason', data), ('behind 120 bytes', b'r' * 120 + data),
                            ('behind a letter', 'ä'.encode() + data)):
            if len(text) <= 123:
                yield Case(f'5.5.1 {number}, {place}', [close_frame(NORMAL, text)], b'',
                           NORMAL_BYTES if bad_at(text) is None else NOT_UTF8)


def payloads():
    """5.5.1: a body holds at least the two bytes of the code."""
    yield Case('5.5.1 no body', [frame(CLOSE)], b'', b'')
    for byte in range(256):
        yield Case(f'5.5.1 a body of the one byte {byte:#04x}', [frame(CLOSE, bytes([byte]))], b'',
                   PROTOCOL)
    for form in (16, 64):
        for length in (0, 2, 125, 126, 127, 65535, 65536):
            if form == 64 or length < 65536:
                yield Case(f'5.5 a body of {length} bytes, said in {form} bits',
                           [frame(CLOSE, NORMAL_BYTES, claim=length, form=form)], b'', PROTOCOL)
    for mask in (b'\0\0\0\0', b'\xff\xff\xff\xff', b'\x03\xe8\0\0'):
        sent = frame(CLOSE, NORMAL_BYTES + b'masked', mask=mask)
        for cut in range(1, len(sent)):
            yield Case(f'5.5.1 mask {mask.hex()}, cut behind byte {cut}', [sent[:cut], sent[cut:]],
                       b'', NORMAL_BYTES)


def suite():
    """Section 7 of the suite."""
    hello, echo = frame(TEXT, b'Hello World!'), told(TEXT, b'Hello World!')
    ping = pings([b'too late'])[0]
    yield from in_chops('5.5.1/7.1.1', [hello, BYE], echo, NORMAL_BYTES)
    yield from in_chops('5.5.1/7.1.2', [BYE, BYE], b'', NORMAL_BYTES)
    yield from in_chops('5.5.1/7.1.3', [BYE, ping], b'', NORMAL_BYTES)
    yield from in_chops('5.5.1/7.1.4', [BYE, hello], b'', NORMAL_BYTES)
    begun = frame(TEXT, b'fragment1', fin=False)
    yield from in_chops('5.5.1/7.1.5', [begun, BYE, frame(CONTINUATION, b'fragment2')], b'',
                        NORMAL_BYTES)
    big = b'BAsd7&jh23' * 26214 + b'BAsd'
    yield Case('5.5.1/7.1.6', [frame(TEXT, big), BYE + ping], told(TEXT, big), NORMAL_BYTES)
    yield from in_chops('5.5.1/7.3.1', [frame(CLOSE)], b'', b'')
    yield from in_chops('5.5.1/7.3.2', [frame(CLOSE, b'a')], b'', PROTOCOL)
    yield from in_chops('5.5.1/7.3.3', [BYE], b'', NORMAL_BYTES)
    yield from in_chops('5.5.1/7.3.4', [close_frame(NORMAL, b'Hello World!')], b'', NORMAL_BYTES)
    yield from in_chops('5.5.1/7.3.5', [close_frame(NORMAL, b'*' * 123)], b'', NORMAL_BYTES)
    yield from in_chops('5.5/7.3.6', [close_frame(NORMAL, b'*' * 124)], b'', PROTOCOL)
    yield from in_chops('5.5.1/7.5.1', [close_frame(NORMAL, b'\xce\xba\xe1\xbd\xb9\xed\xa0\x80')],
                        b'', NOT_UTF8)
    for row, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999,
                                4000, 4999), 1):
        yield from in_chops(f'7.4/7.7.{row}', [close_frame(code)], b'', struct.pack('!H', code))
    for row, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield from in_chops(f'7.4/7.9.{row}', [close_frame(code)], b'', PROTOCOL)
    for row, code in enumerate((5000, 65535), 1):
        yield from in_chops(f'7.4/7.13.{row}', [close_frame(code)], b'', PROTOCOL)


def around():
    """5.5.1 and 7.1: what stands before a Close is answered, what stands behind it is nothing."""
    ping, pong = pings([b'before'])
    text, echo = frame(TEXT, b'before'), told(TEXT, b'before')
    befores = [('nothing', b'', b''), ('a ping', ping, pong), ('text', text, echo),
               ('a message in fragments', b''.join(fragments(BINARY, [b'a', b'b'])),
                told(BINARY, b'ab')), ('an open message', frame(TEXT, b'a', fin=False), b''),
               ('half a character', frame(TEXT, b'\xc3', fin=False), b'')]
    behinds = [('nothing', b''), ('text', text), ('a ping', ping), ('a pong', frame(PONG)),
               ('binary, much of it', frame(BINARY, b'x' * 300000)),
               ('another code', close_frame(GOING_AWAY)), ('a bad code', close_frame(1005)),
               ('an unmasked frame', frame(TEXT, b'x', mask=None)), ('opcode 3', frame(3)),
               ('text that is none', frame(TEXT, b'\xff')), ('noise', b'\xff' * 5000)]
    ends = [('no body', frame(CLOSE), b''), ('1000', BYE, NORMAL_BYTES),
            ('4999 and a reason', close_frame(4999, 'adiós'.encode()), struct.pack('!H', 4999)),
            ('a bad code', close_frame(1006), PROTOCOL), ('RSV', frame(CLOSE, rsv=4), PROTOCOL),
            ('a bad reason', close_frame(NORMAL, b'\xff'), NOT_UTF8),
            ('a Close in fragments', frame(CLOSE, NORMAL_BYTES, fin=False), PROTOCOL),
            ('a Close without a mask', frame(CLOSE, NORMAL_BYTES, mask=None), PROTOCOL)]
    for before, sent, back in befores:
        for name, close, end in ends:
            for behind, more in behinds:
                yield Case(f'5.5.1 {before}, then {name}, then {behind}', [sent + close + more],
                           back, end)
                yield Case(f'5.5.1 {before}, then {name}, then {behind}, awaited',
                           [sent, Await(back), close, more], back, end)


class Closes(Conformance):
    def test_each_code_is_answered_with_itself_or_with_1002(self):
        self.play([closed(f'7.4 code {code}', code) for code in range(65536)], forget=True)

    def test_each_reason_is_utf8_of_at_most_123_bytes(self):
        self.play(list(reasons()))

    def test_a_body_is_nothing_or_a_code_and_a_reason(self):
        self.play(list(payloads()))

    def test_the_closes_of_the_suite(self):
        self.play(list(suite()))

    def test_what_is_before_a_close_is_answered_and_nothing_behind_it(self):
        self.play(list(around()))

    def test_nothing_comes_behind_the_close_of_the_server_itself(self):
        daemon = self.conforming()
        sents = [frame(PING, b'late'), frame(TEXT, b'late'), frame(PONG),
                 frame(BINARY, b'la', fin=False) + frame(PING) + frame(CONTINUATION, b'te'),
                 frame(TEXT, b'begun', fin=False), frame(TEXT, b'x' * 100000), b'']
        ends = [frame(CLOSE), close_frame(GOING_AWAY), close_frame(NORMAL, b'bye'),
                close_frame(1005), close_frame(NORMAL, b'\xff'), frame(3), frame(TEXT, b'\xff'),
                frame(PING, mask=None)]
        peers = [(self.websocket(daemon), sent, end) for sent in sents for end in ends]
        daemon.send_signal()
        for peer, sent, _ in peers:
            peer.read_close(GOING_AWAY)
            peer.send(sent)
        for peer, _, end in peers:
            peer.send(end)
        for peer, sent, end in peers:
            with self.subTest(sent=sent[:20], end=end):
                peer.expect_end()
                peer.close_socket()
        daemon.wait_exit(0)

    def test_the_player_notices_what_should_not_be(self):
        wrong = [Case('an echo that is not awaited', [frame(TEXT, b'a'), BYE], b'', NORMAL_BYTES),
                 Case('another echo', [frame(TEXT, b'a')], told(TEXT, b'b')),
                 Case('another code', [close_frame(1001)], b'', NORMAL_BYTES),
                 Case('another error', [frame(3)], b'', NOT_UTF8),
                 Case('an error where none is due', [frame(3)], told(TEXT)),
                 Case('an answer that is not due yet', [BYE, Await(told(TEXT))], told(TEXT)),
                 Case('no error where one is due', [BYE], b'', PROTOCOL)]
        daemon = self.conforming()
        for case in wrong:
            with self.subTest(case.id):
                self.assertNotEqual(play_together(daemon.address, '/echo', [case]), [])


if __name__ == '__main__':
    lastcall.main()
