#!/usr/bin/python3
"""RFC 6455, section 5.4: messages in fragments, with control frames between them."""
import itertools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from conformance import PROTOCOL, Await, Case, Conformance, fragments, in_chops, pings, told
from peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

PARTS = [b'frag', b'men', b'ta', b't', b'ion!']
PING_BYTES, PONG_BYTES = pings([b'ping'])


def borders():
    """Four fragments, each empty or not, with each choice of borders at which a ping stands."""
    for opcode in (TEXT, BINARY):
        for filled in itertools.product((True, False), repeat=4):
            parts = [part if there else b'' for part, there in zip(PARTS, filled)]
            frames = fragments(opcode, parts)
            for pinged in itertools.product((True, False), repeat=3):
                sent = frames[0] + b''.join((PING_BYTES if there else b'') + later
                                            for there, later in zip(pinged, frames[1:]))
                shape = ''.join('x' if there else '-' for there in filled)
                marks = ''.join('p' if there else '-' for there in pinged)
                yield Case(f'5.4 opcode {opcode}, fragments {shape}, pings {marks}', [sent],
                           PONG_BYTES * sum(pinged) + told(opcode, b''.join(parts)))


def counts():
    """Any number of fragments, and any number of control frames at one border."""
    for count in (2, 3, 10, 100, 1000):
        for opcode in (TEXT, BINARY):
            parts = [b'%d,' % n for n in range(count)]
            yield Case(f'5.4 {count} fragments of opcode {opcode}',
                       [b''.join(fragments(opcode, parts))], told(opcode, b''.join(parts)))
            sent, back = pings([b'%d' % n for n in range(count)])
            yield Case(f'5.4 {count} pings inside a message of opcode {opcode}',
                       [b''.join(fragments(opcode, PARTS[:2], sent))],
                       back + told(opcode, b'fragmen'))
            yield Case(f'5.4 {count} pongs inside a message of opcode {opcode}',
                       [b''.join(fragments(opcode, PARTS[:2], frame(PONG, b'x') * count))],
                       told(opcode, b'fragmen'))


def breaking():
    """Each rule broken behind each number of fragments of an open message."""
    wrongs = [('text', frame(TEXT, b'new')), ('text begun', frame(TEXT, b'new', fin=False)),
              ('binary', frame(BINARY, b'new')), ('empty binary', frame(BINARY)),
              ('RSV1', frame(CONTINUATION, b'x', rsv=4)), ('opcode 3', frame(3, b'x')),
              ('opcode 0xB', frame(0xB)), ('no mask', frame(CONTINUATION, b'x', mask=None)),
              ('a ping in fragments', frame(PING, b'x', fin=False)),
              ('a pong in fragments', frame(PONG, b'x', fin=False)),
              ('a Close in fragments', frame(CLOSE, b'\x03\xe8', fin=False)),
              ('a ping of 126 bytes', frame(PING, b'x' * 126)),
              ('a pong of 65536 bytes', frame(PONG, b'x' * 65536)),
              ('a Close of one byte', frame(CLOSE, b'x')),
              ('a length not in its shortest form', frame(CONTINUATION, b'x', form=16))]
    for name, wrong in wrongs:
        for count in range(1, 5):
            for opcode in (TEXT, BINARY):
                begun = b''.join(fragments(opcode, PARTS[:count], fin=False))
                yield Case(f'5.4 {name} behind {count} fragments of opcode {opcode}',
                           [begun + wrong + frame(CONTINUATION, b'end')], b'', PROTOCOL)


def of_nothing():
    """A continuation where no message has begun, whatever went before."""
    whole = b''.join(fragments(TEXT, PARTS))
    befores = [('the handshake', b'', b''),
               ('a message', frame(TEXT, b'a'), told(TEXT, b'a')),
               ('an empty message', frame(BINARY), told(BINARY)),
               ('a message in fragments', whole, told(TEXT, b''.join(PARTS))),
               ('an empty message in fragments', b''.join(fragments(TEXT, [b'', b''])), told(TEXT)),
               ('a ping', PING_BYTES, PONG_BYTES),
               ('a pong', frame(PONG, b'p'), b'')]
    for name, sent, back in befores:
        for fin in (True, False):
            for payload in (b'', b'nothing to continue'):
                yield Case(f'5.4 a continuation of {len(payload)} bytes, fin {fin}, behind {name}',
                           [sent + frame(CONTINUATION, payload, fin=fin) + PING_BYTES], back,
                           PROTOCOL)


def suite():
    """Section 5 of the suite."""
    two, echo = fragments(TEXT, [b'fragment1', b'fragment2']), told(TEXT, b'fragment1fragment2')
    yield from in_chops('5.5/5.1', [frame(PING, b'frag', fin=False), frame(CONTINUATION, b'ment')],
                        b'', PROTOCOL)
    yield from in_chops('5.5/5.2', [frame(PONG, b'frag', fin=False), frame(CONTINUATION, b'ment')],
                        b'', PROTOCOL)
    yield from in_chops('5.4/5.3-5.5', two, echo)
    yield from in_chops('5.4/5.6-5.8', [two[0], PING_BYTES, two[1]], PONG_BYTES + echo)
    hello = frame(TEXT, b'Hello, world!')
    for numbers, fin in (('5.9-5.11', True), ('5.12-5.14', False)):
        yield from in_chops(f'5.4/{numbers}',
                            [frame(CONTINUATION, b'non-continuation payload', fin=fin), hello],
                            b'', PROTOCOL)
    yield from in_chops('5.4/5.15', [*two, frame(CONTINUATION, b'nothing', fin=False), hello],
                        echo, PROTOCOL)
    for number, fin in (('5.16', False), ('5.17', True)):
        turn = [frame(CONTINUATION, b'fragment1', fin=fin), frame(TEXT, b'fragment2', fin=False),
                frame(CONTINUATION, b'fragment3')]
        yield from in_chops(f'5.4/{number}', turn * 2, b'', PROTOCOL)
    yield from in_chops('5.4/5.18', [frame(TEXT, b'fragment1', fin=False),
                                     frame(TEXT, b'fragment2')], b'', PROTOCOL)
    five = fragments(TEXT, [b'fragment%d' % n for n in range(1, 6)])
    echo = told(TEXT, b''.join(b'fragment%d' % n for n in range(1, 6)))
    (ping1, pong1), (ping2, pong2) = pings([b'pongme 1!']), pings([b'pongme 2!'])
    yield Case('5.4/5.19', [five[0] + five[1] + ping1, Await(pong1),
                            five[2] + five[3] + ping2, Await(pong2), five[4]],
               pong1 + pong2 + echo)
    yield Case('5.4/5.20', [five[0], five[1], ping1, Await(pong1), five[2], five[3], ping2,
                            Await(pong2), five[4]], pong1 + pong2 + echo)


def cuts():
    """A message with a ping inside, its bytes cut into two writes at every place."""
    sent = b''.join(fragments(TEXT, [b'frag', b'', b'x' * 130], PING_BYTES))
    back = PONG_BYTES * 2 + told(TEXT, b'frag' + b'x' * 130)
    for cut in range(1, len(sent)):
        yield Case(f'5.4 cut behind byte {cut}', [sent[:cut], sent[cut:]], back)


class Fragments(Conformance):
    def test_fragments_are_one_message_with_pings_at_any_borders(self):
        self.play(list(borders()))

    def test_any_number_of_fragments_and_of_control_frames_between_them(self):
        self.play(list(counts()))

    def test_each_broken_rule_inside_a_message_ends_it(self):
        self.play(list(breaking()))

    def test_a_continuation_of_nothing_is_refused_whatever_went_before(self):
        self.play(list(of_nothing()))

    def test_the_fragments_of_the_suite(self):
        self.play(list(suite()))

    def test_writes_may_cut_fragments_anywhere(self):
        self.play(list(cuts()))


if __name__ == '__main__':
    lastcall.main()
