#!/usr/bin/python3
"""RFC 6455, sections 5.1 to 5.6: each header, length, mask, opcode and control frame."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from conformance import (PROTOCOL, TOO_LARGE, Await, Case, Conformance, chopped, fragments,
                         in_chops, pings, told)
from peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

FIN, RSV, CONTROL, MASKED = 0x80, 0x70, 0x08, 0x80
KNOWN = (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
LENGTHS = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537)


def breaks(first, second, inside):
    """Whether the first two bytes of a frame break a rule; `inside`: a message has begun."""
    opcode = first & 0x0F
    return (first & RSV != 0                                            # 5.2
            or opcode not in KNOWN                                      # 5.2
            or second & MASKED == 0                                     # 5.1
            or opcode & CONTROL != 0 and first & FIN == 0               # 5.4, 5.5
            or opcode & CONTROL != 0 and second & 0x7F > 125            # 5.5
            or opcode == CONTINUATION and not inside                    # 5.4
            or opcode in (TEXT, BINARY) and inside)                     # 5.4


def allowed(name, first, payload, inside):
    """The case of a frame that breaks no rule, and of the rest of the message that it is in."""
    opcode, fin = first & 0x0F, first & FIN != 0
    sent, back = [frame(opcode, payload, fin)], b''
    if inside:
        sent.insert(0, frame(TEXT, b'begun ', fin=False))
    if opcode == CLOSE:
        return Case(name, sent, b'', payload[:2])
    if opcode == PING:
        back = told(PONG, payload)
    message = payload if not opcode & CONTROL else b''
    if inside and (opcode & CONTROL or not fin) or not opcode & CONTROL and not fin:
        sent.append(frame(CONTINUATION, b'done'))
        message += b'done'
    if inside or not opcode & CONTROL:
        back += told(BINARY if opcode == BINARY else TEXT, (b'begun ' if inside else b'') + message)
    return Case(name, sent, back)


def first_bytes():
    for inside in (False, True):
        for first in range(256):
            for second in (MASKED, 0):
                name = f'5.2 first byte {first:#04x}, {"" if second else "un"}masked, ' \
                       f'{"in" if inside else "out"}side a message'
                if breaks(first, second, inside):
                    begun = [frame(TEXT, b'begun ', fin=False)] if inside else []
                    yield Case(name, begun + [bytes([first, second])], b'', PROTOCOL)
                else:
                    yield allowed(name, first, b'', inside)


def second_bytes():
    for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
        for second in range(256):
            name = f'5.2 second byte {second:#04x} of opcode {opcode:#x}'
            length = second & 0x7F
            if breaks(FIN | opcode, second, False):
                yield Case(name, [bytes([FIN | opcode, second])], b'', PROTOCOL)
            elif opcode == CLOSE and length == 1:
                yield Case(name, [frame(CLOSE, b'\x03')], b'', PROTOCOL)
            else:
                length = {126: 126, 127: 65536}.get(length, length)
                payload = b'\x03\xe8'[:length] if opcode == CLOSE else b''
                yield allowed(name, FIN | opcode, payload.ljust(length, b'r'), False)


def lengths():
    """5.2: the minimal number of bytes, the highest bit, and what is more than may be."""
    longer = [(16, claim) for claim in range(126)]
    longer += [(64, claim) for claim in (0, 1, 2, 125, 126, 127, 65534, 65535,
                                         *(1 << bit for bit in range(2, 16)))]
    for form, claim in longer:
        for opcode in (TEXT, BINARY, CONTINUATION):
            begun = [frame(TEXT, b'a', fin=False)] if opcode == CONTINUATION else []
            yield Case(f'5.2 length {claim} in {form} bits, opcode {opcode}',
                       begun + [frame(opcode, claim=claim, form=form)], b'', PROTOCOL)
    for claim in ((1 << 63), (1 << 63) + 1, (1 << 63) + 65536, (1 << 64) - 1):
        yield Case(f'5.2 length {claim:#x}', [frame(BINARY, claim=claim)], b'', PROTOCOL)
    for claim in ((1 << 20) + 1, *(1 << bit for bit in range(21, 63)), (1 << 63) - 1):
        yield Case(f'7.4.1 length {claim:#x}, more than the limit', [frame(TEXT, claim=claim)],
                   b'', TOO_LARGE)


def echoes():
    """Section 1 of the suite: text and binary of each length class, in several chops."""
    for number, opcode in ((1, TEXT), (2, BINARY)):
        for length in LENGTHS:
            payload = (b'*' if opcode == TEXT else b'\xfe') * length
            for size in (length + 14, 997, 64, *((1,) if length < 1000 else ())):
                yield Case(f'5.6/1.{number} {length} bytes in writes of {size}',
                           chopped(frame(opcode, payload), size), told(opcode, payload))


def masks():
    payload = bytes(range(1, 20))
    for mask in (b'\0\0\0\0', b'\xff\xff\xff\xff', b'\1\2\4\x08', b'\x80\0\0\0', b'\0\0\0\x80'):
        for length in range(20):
            for chop in (1, 3, 30):
                yield Case(f'5.3 mask {mask.hex()}, {length} bytes in writes of {chop}',
                           chopped(frame(BINARY, payload[:length], mask=mask), chop),
                           told(BINARY, payload[:length]))


def pings_and_pongs():
    """Section 2 of the suite."""
    yield from in_chops('5.5.2/2.1', [frame(PING)], told(PONG))
    for number, payload in (('2.2', b'Hello, world!'), ('2.3', b'\0\xff\xfe\xfd\xfc\xfb\0\xff'),
                            ('2.4, 2.6', b'\xfe' * 125)):
        yield from in_chops(f'5.5.2/{number}', [frame(PING, payload)], told(PONG, payload))
    yield from in_chops('5.5/2.5', [frame(PING, b'\xfe' * 126)], b'', PROTOCOL)
    yield from in_chops('5.5.3/2.7', [frame(PONG)])
    yield from in_chops('5.5.3/2.8', [frame(PONG, b'unasked')])
    yield from in_chops('5.5.3/2.9', [frame(PONG, b'unasked'), frame(PING, b'asked')],
                        told(PONG, b'asked'))
    ten = [b'payload-%d' % n for n in range(10)]
    yield from in_chops('5.5.2/2.10, 2.11', [frame(PING, one) for one in ten], pings(ten)[1])
    for length in range(126):
        yield Case(f'5.5.2 a ping of {length} bytes', [frame(PING, b'\xff' * length)],
                   told(PONG, b'\xff' * length))


def reserved_bits():
    """Section 3 of the suite."""
    hello, echo = frame(TEXT, b'Hello'), told(TEXT, b'Hello')
    yield from in_chops('5.2/3.1', [frame(TEXT, b'Hello', rsv=1)], b'', PROTOCOL)
    yield from in_chops('5.2/3.2', [hello, frame(TEXT, b'Hello', rsv=2), frame(PING)], echo,
                        PROTOCOL)
    yield from in_chops('5.2/3.3', [hello, frame(TEXT, b'Hello', rsv=3), frame(PING)], echo,
                        PROTOCOL)
    yield from in_chops('5.2/3.4', [hello, frame(TEXT, b'Hello', rsv=4), frame(PING)], echo,
                        PROTOCOL)
    yield from in_chops('5.2/3.5', [frame(BINARY, b'\0\xff\xfe', rsv=5)], b'', PROTOCOL)
    yield from in_chops('5.2/3.6', [frame(PING, b'Hello', rsv=6)], b'', PROTOCOL)
    yield from in_chops('5.2/3.7', [frame(CLOSE, b'\x03\xe8', rsv=7)], b'', PROTOCOL)


def reserved_opcodes():
    """Section 4 of the suite: 4.1.1 to 4.1.5 are opcodes 3 to 7, 4.2.1 to 4.2.5 are 11 to 15."""
    hello, echo = frame(TEXT, b'Hello'), told(TEXT, b'Hello')
    for number, opcode in [(f'4.1.{n - 2}', n) for n in range(3, 8)] \
            + [(f'4.2.{n - 10}', n) for n in range(11, 16)]:
        for payload in (b'', b'reserved opcode payload'):
            odd = frame(opcode, payload)
            yield from in_chops(f'5.2/{number}, {len(payload)} bytes', [odd], b'', PROTOCOL)
            yield from in_chops(f'5.2/{number}, {len(payload)} bytes behind text',
                                [hello, odd, frame(PING)], echo, PROTOCOL)


def order():
    """5.4, 5.5.2: what comes back comes in order, and as soon as it can."""
    text, echo = frame(TEXT, b'one'), told(TEXT, b'one')
    ping, pong = pings([b'two'])
    yield Case('5.5.2 a pong is not kept until something else is sent',
               [ping, Await(pong), text, Await(echo), ping, Await(pong)], pong + echo + pong)
    yield Case('5.4 messages and pings alternate in one write', [(text + ping) * 200],
               (echo + pong) * 200)
    yield Case('5.5.2 a ping is answered while a message is under way',
               [frame(BINARY, b'a', fin=False), ping, Await(pong), frame(CONTINUATION, b'b')],
               pong + told(BINARY, b'ab'))
    for cut in range(1, 20):
        data = frame(PING, b'x' * 13)
        yield Case(f'5.5.2 a ping cut behind its byte {cut}', [data[:cut], data[cut:]],
                   told(PONG, b'x' * 13))


class Frames(Conformance):
    def test_each_first_byte_is_taken_or_refused_at_once(self):
        self.play(list(first_bytes()))

    def test_each_second_byte_is_taken_or_refused_at_once(self):
        self.play(list(second_bytes()))

    def test_a_length_in_more_bytes_than_it_needs_or_over_the_limit_is_refused(self):
        self.play(list(lengths()))

    def test_messages_of_each_length_class_come_back_from_any_chops(self):
        self.play(list(echoes()))

    def test_each_mask_is_undone_in_any_chops(self):
        self.play(list(masks()))

    def test_pings_are_answered_and_pongs_are_not(self):
        self.play(list(pings_and_pongs()))

    def test_reserved_bits_end_the_session_behind_what_was_right(self):
        self.play(list(reserved_bits()))

    def test_reserved_opcodes_end_the_session_behind_what_was_right(self):
        self.play(list(reserved_opcodes()))

    def test_answers_come_in_order_and_at_once(self):
        self.play(list(order()))

    def test_the_limit_of_a_route_counts_all_fragments(self):
        cases = [Case('7.4.1 a message of the limit', [frame(BINARY, b'x' * 4096)],
                      told(BINARY, b'x' * 4096)),
                 Case('7.4.1 a message over the limit, its header alone',
                      [frame(BINARY, claim=4097)], b'', TOO_LARGE)]
        for parts in ((4095, 1), (1, 4095), (2048, 0, 2048), (1024,) * 4, (1,) * 4096):
            pieces = [b'x' * part for part in parts]
            cases.append(Case(f'5.4 {len(parts)} fragments of {parts[0]} ... bytes, the limit',
                              [b''.join(fragments(BINARY, pieces))], told(BINARY, b'x' * 4096)))
            begun = b''.join(fragments(BINARY, pieces, fin=False))
            cases.append(Case(f'7.4.1 {len(parts)} fragments of {parts[0]} ... bytes, and one more',
                              [begun + frame(CONTINUATION, claim=1)], b'', TOO_LARGE))
            cases.append(Case(f'5.4 {len(parts)} fragments of {parts[0]} ... bytes, an empty last',
                              [begun + frame(CONTINUATION)], told(BINARY, b'x' * 4096)))
        self.play(cases, '/small')


if __name__ == '__main__':
    lastcall.main()
