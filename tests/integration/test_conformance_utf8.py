#!/usr/bin/python3
"""RFC 6455, section 8.1: text is UTF-8, and the first byte that is not ends the session at once.

What is wrong is sent up to its first wrong byte and no further: the rest of the character, of the
frame and of the message never comes, and the Close must come all the same.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from conformance import NOT_UTF8, Case, Conformance, chopped, fragments, pings, told
from peer import BINARY, CONTINUATION, TEXT, frame
from utf8_table import CUT, KOSME, SUITE, bad_at, borders, firsts, unfinished

MORE = 100  # bytes that a header announces and that never come
BESIDE = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xF4, 0xF5, 0xFF)
MIXED = 'aß\u07ff\u0800€\ud7ff\ue000\uffff\U00010000🍺\U0010ffff\0z'.encode()


def unended(payload):
    """A text frame that has arrived as far as this payload."""
    whole = frame(TEXT, payload + b'?' * MORE)
    return whole[:len(whole) - MORE]


def failing(name, data):
    """The ways in which wrong text can arrive as far as its first wrong byte."""
    wrong = bad_at(data)
    right, data = data[:wrong], data[:wrong + 1]
    byte = frame(CONTINUATION, data[wrong:] + b'?' * MORE)[:-MORE]
    yield Case(f'{name}, in a frame that goes on', [unended(data)], b'', NOT_UTF8)
    yield Case(f'{name}, by bytes', chopped(unended(data), 1), b'', NOT_UTF8)
    yield Case(f'{name}, in a fragment', [frame(TEXT, data, fin=False)], b'', NOT_UTF8)
    yield Case(f'{name}, behind a border', [frame(TEXT, right, fin=False), byte], b'', NOT_UTF8)
    yield Case(f'{name}, behind an empty fragment and a ping',
               [frame(TEXT, right, fin=False) + frame(CONTINUATION, fin=False)
                + pings([b'p'])[0] + byte], pings([b'p'])[1], NOT_UTF8)
    yield Case(f'{name}, whole', [frame(TEXT, data)], b'', NOT_UTF8)


def cut_short(name, data):
    """The ways in which a message can end inside a character."""
    yield Case(f'{name}, ending the message', [frame(TEXT, data)], b'', NOT_UTF8)
    yield Case(f'{name}, ended by an empty fragment',
               [frame(TEXT, data, fin=False), frame(CONTINUATION)], b'', NOT_UTF8)
    yield Case(f'{name}, ended in fragments of a byte',
               fragments(TEXT, chopped(data, 1) + [b'']), b'', NOT_UTF8)


def taken(name, data):
    """The ways in which right text can arrive."""
    echo = told(TEXT, data)
    yield Case(f'{name}, whole', [frame(TEXT, data)], echo)
    yield Case(f'{name}, by bytes', chopped(frame(TEXT, data), 1), echo)
    yield Case(f'{name}, in fragments of a byte', [b''.join(fragments(TEXT, chopped(data, 1)))],
               echo)


def judged(name, data):
    """The cases of text of any kind."""
    wrong = bad_at(data)
    ways = taken if wrong is None else cut_short if wrong == CUT else failing
    return ways(name, data)


def once(names):
    return list(dict.fromkeys(names))


def suite():
    yield Case('6.1.1', [frame(TEXT)], told(TEXT))
    yield Case('6.1.2', fragments(TEXT, [b'', b'', b'']), told(TEXT))
    yield Case('6.1.3', fragments(TEXT, [b'', b'middle', b'']), told(TEXT, b'middle'))
    for number, data in SUITE:
        yield from judged(f'8.1/{number}', data)
    for number, data in SUITE:
        yield Case(f'5.6/{number}, as binary', [frame(BINARY, data)], told(BINARY, data))


def wrong_behind(begun, last=range(256)):
    """This beginning of a character with each of the bytes that cannot follow it."""
    every = [begun + bytes([byte]) for byte in last]
    return [data for data in every if bad_at(data) == len(begun)]


def every_wrong_byte():
    for begun in [b'', *unfinished()]:
        for data in wrong_behind(begun):
            yield Case(f'8.1 {data.hex()}', [unended(data)], b'', NOT_UTF8)


def wrong_at_borders():
    """The bytes beside the ranges of the syntax, behind everything, in every way to come."""
    for begun in once([b'', *unfinished(), *firsts()]):
        for data in wrong_behind(begun, BESIDE):
            yield from failing(f'8.1 {data.hex()}', data)


def wrong_at_each_place():
    """Text is looked at in words and in blocks: no place in them hides a wrong byte."""
    for wrong in (b'\x80', b'\xff', b'\xc0', b'\xc3(', b'\xe0\x9f', b'\xed\xa0', b'\xf0\x8f',
                  b'\xf4\x90', b'\xe2\x82(', b'\xf0\x9f\x8d('):
        for place in [*range(20), *range(56, 74), *range(120, 137)]:
            for kind, filler in (('ASCII', b'a' * place),
                                 ('letters', b'a' * (place % 2) + b'\xc3\xa4' * (place // 2))):
                name = f'8.1 {wrong.hex()} behind {place} bytes of {kind}'
                yield Case(f'{name}, the last', [unended(filler + wrong)], b'', NOT_UTF8)
                yield Case(f'{name}, in a frame', [frame(TEXT, filler + wrong + b'z' * 70)], b'',
                           NOT_UTF8)


def ends():
    """Each beginning of a character at the end of a message."""
    for begun in once(unfinished() + firsts()):
        yield from cut_short(f'8.1 {begun.hex()}', begun)
        yield from cut_short(f'8.1 text and {begun.hex()}', MIXED + begun)
    yield Case('8.1 a message cut short, its character completed in the next message',
               [frame(TEXT, KOSME[:1]), frame(TEXT, KOSME[1:])], b'', NOT_UTF8)
    yield Case('8.1 a character does not reach over a binary message',
               [frame(TEXT, b'ok') + frame(BINARY, b'\xc3') + frame(TEXT, b'\xa4')],
               told(TEXT, b'ok') + told(BINARY, b'\xc3'), NOT_UTF8)


def cuts():
    """Right text in two writes, two fragments and three, cut at every byte."""
    echo = told(TEXT, MIXED)
    ping, pong = pings([b'\xff'])
    whole = frame(TEXT, MIXED)
    for cut in range(1, len(whole)):
        yield Case(f'8.1 the frame cut behind byte {cut}', [whole[:cut], whole[cut:]], echo)
    for cut in range(len(MIXED) + 1):
        two = [MIXED[:cut], MIXED[cut:]]
        yield Case(f'8.1 two fragments, cut behind byte {cut}', fragments(TEXT, two), echo)
        yield Case(f'8.1 two fragments and a ping, cut behind byte {cut}',
                   [b''.join(fragments(TEXT, two, ping))], pong + echo)
        three = [[MIXED[:cut], MIXED[cut:end], MIXED[end:]]
                 for end in range(cut, len(MIXED) + 1)]
        yield Case(f'8.1 three fragments, the first cut behind byte {cut}',
                   [b''.join(b''.join(fragments(TEXT, parts)) for parts in three)],
                   echo * len(three))


def every_code_point():
    """All of them, shifted against the words in which text is looked at."""
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    for shift in (0, 1, 3, 6):
        for start in range(0, len(points), 0x8000):
            text = 'x' * shift + ''.join(map(chr, points[start:start + 0x8000]))
            yield f'from {points[start]:#x} on, behind {shift} bytes', text.encode()


class Utf8(Conformance):
    def test_the_table_agrees_with_another_reader_of_utf8(self):
        samples = [data for _, data in SUITE] + unfinished() + borders() + [MIXED]
        samples += [begun + bytes([byte]) for begun in [b'', *unfinished(), *firsts()]
                    for byte in range(256)]
        for data in samples:
            try:
                data.decode('utf-8')
                found = None
            except UnicodeDecodeError:
                found = 'wrong'
            self.assertEqual(bad_at(data) is None, found is None, data)

    def test_the_texts_of_the_suite(self):
        self.play(list(suite()))

    def test_each_byte_that_cannot_follow_ends_the_session_at_once(self):
        self.play(list(every_wrong_byte()), forget=True)

    def test_a_wrong_byte_is_found_in_whatever_way_it_comes(self):
        self.play(list(wrong_at_borders()), forget=True)

    def test_a_wrong_byte_is_found_at_whatever_place_it_stands(self):
        self.play(list(wrong_at_each_place()), forget=True)

    def test_a_message_must_not_end_inside_a_character(self):
        self.play(list(ends()))

    def test_the_first_and_last_character_of_each_range_come_back(self):
        self.play([case for data in borders() for case in taken(f'8.1 {data.hex()}', data)])

    def test_right_text_may_be_cut_at_any_byte(self):
        self.play(list(cuts()))

    def test_every_code_point_comes_back(self):
        peer = self.websocket(self.conforming())
        for name, text in every_code_point():
            with self.subTest(name):
                peer.echo(text)


if __name__ == '__main__':
    lastcall.main()
