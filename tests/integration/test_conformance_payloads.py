#!/usr/bin/python3
"""RFC 6455, sections 5.2 and 5.4: payloads up to 16 MB, in fragments and writes of many sizes."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from conformance import NORMAL, TOO_LARGE, Conformance, fragments, told
from peer import BINARY, CONTINUATION, PING, PONG, TEXT, close_frame, frame

KB, MB = 1 << 10, 1 << 20
LETTERS = ''.join(map(chr, [*range(32, 127), *range(0xA1, 0x400), 0x20AC, 0x1F37A])).encode()


def text_of(size):
    """Text of exactly so many bytes, of characters of one to four."""
    text = (LETTERS * (size // len(LETTERS) + 1))[:size]
    return text.decode('utf-8', 'ignore').encode().ljust(size, b'.')


def payload_of(opcode, size):
    """No two places that a chop might confuse are alike: each 4 KB of it have their number."""
    if opcode == TEXT:
        return text_of(size)
    block = bytes(range(256)) * 16
    return b''.join(struct.pack('!I', number) + block[4:]
                    for number in range(size // len(block) + 1))[:size]


class Payloads(Conformance):
    def start(self):
        self.peer_of_all = self.websocket(self.conforming(), '/big')
        self.peer_of_all.socket.settimeout(lastcall.scaled(30))
        return self.peer_of_all

    def read_back(self, peer, expected, name):
        """Reads so many bytes and compares them: without the copies of a growing buffer."""
        found = bytearray(len(expected))
        place, view = 0, memoryview(found)
        while place < len(found):
            got = peer.socket.recv_into(view[place:])
            self.assertGreater(got, 0, f'{name}: the end after {place} bytes')
            place += got
        if found != expected:
            first = next(n for n in range(len(found)) if found[n] != expected[n])
            self.fail(f'{name}: byte {first} differs: {bytes(found[first:first + 20])!r}')

    def talk(self, peer, name, sent, payload, opcode, chop=None):
        """Sends, in writes of `chop` bytes, and expects the payload back as one message."""
        with self.subTest(name):
            view = memoryview(sent)
            for start in range(0, len(view), chop or len(view)):
                peer.send(view[start:start + (chop or len(view))])
            self.read_back(peer, told(opcode, payload), name)

    def tearDown(self):
        self.assertEqual(self.peer_of_all.buffer, b'', 'something that nobody asked for')
        self.peer_of_all.send(close_frame(NORMAL))
        self.peer_of_all.read_close(NORMAL)
        self.peer_of_all.expect_end()

    def test_messages_of_up_to_16_MB_come_back_whole(self):
        peer = self.start()
        for section, opcode in ((1, TEXT), (2, BINARY)):
            for row, size in enumerate((64 * KB, 256 * KB, MB, 4 * MB, 8 * MB, 16 * MB), 1):
                payload = payload_of(opcode, size)
                self.talk(peer, f'5.2/9.{section}.{row}', frame(opcode, payload), payload, opcode)

    def test_4_MB_come_back_from_fragments_of_each_size(self):
        peer = self.start()
        for section, opcode in ((3, TEXT), (4, BINARY)):
            payload = payload_of(opcode, 4 * MB)
            for row, size in enumerate((64, 256, KB, 4 * KB, 16 * KB, 64 * KB, 256 * KB, MB,
                                        4 * MB), 1):
                parts = [payload[start:start + size] for start in range(0, len(payload), size)]
                self.talk(peer, f'5.4/9.{section}.{row}', b''.join(fragments(opcode, parts)),
                          payload, opcode)

    def test_1_MB_comes_back_from_writes_of_each_size(self):
        peer = self.start()
        for section, opcode in ((5, TEXT), (6, BINARY)):
            payload = payload_of(opcode, MB)
            for row, size in enumerate((64, 128, 256, 512, KB, 2 * KB), 1):
                self.talk(peer, f'5.2/9.{section}.{row}', frame(opcode, payload), payload, opcode,
                          size)

    def test_a_thousand_messages_of_each_size_come_back_one_by_one(self):
        peer = self.start()
        for section, opcode in ((7, TEXT), (8, BINARY)):
            for row, size in enumerate((0, 16, 64, 256, KB, 4 * KB), 1):
                payload = payload_of(opcode, size)
                sent = frame(opcode, payload)
                for turn in range(1000):
                    self.talk(peer, f'5.6/9.{section}.{row}, message {turn}', sent, payload, opcode)

    def test_16_MB_come_back_from_writes_and_fragments_of_odd_sizes(self):
        peer = self.start()
        payload = payload_of(BINARY, 16 * MB)
        whole = frame(BINARY, payload)
        for size in (65537, 16 * KB - 1, MB + 3, 4 * KB + 14):
            self.talk(peer, f'5.2 in writes of {size}', whole, payload, BINARY, size)
        for size, chop in ((65535, 1000), (65536, 65536), (99991, None), (5 * MB + 1, 12345)):
            parts = [payload[start:start + size] for start in range(0, len(payload), size)]
            self.talk(peer, f'5.4 in fragments of {size} and writes of {chop}',
                      b''.join(fragments(BINARY, parts)), payload, BINARY, chop)

    def test_a_text_in_fragments_of_1300_bytes_is_one_message(self):
        peer = self.start()
        for opcode in (TEXT, BINARY):
            payload = payload_of(opcode, 64 * KB)
            parts = [payload[start:start + 1300] for start in range(0, len(payload), 1300)]
            self.talk(peer, '5.4/10.1.1', b''.join(fragments(opcode, parts)), payload, opcode)

    def test_a_ping_between_fragments_of_megabytes_is_answered_at_once(self):
        peer = self.start()
        payload = payload_of(TEXT, 8 * MB)
        for place in range(8):
            part = payload[place * MB:(place + 1) * MB]
            peer.send(frame(CONTINUATION if place else TEXT, part, fin=place == 7))
            if place < 7:
                peer.send(frame(PING, b'%d' % place))
                self.read_back(peer, told(PONG, b'%d' % place), f'ping {place}')
        self.read_back(peer, told(TEXT, payload), 'the message')

    def test_one_byte_over_16_MB_is_too_large(self):
        daemon = self.conforming()
        self.peer_of_all = self.websocket(daemon, '/big')
        for begun in ([], [b''], [b'x' * 100], [payload_of(BINARY, 16 * MB - 1)]):
            peer = self.websocket(daemon, '/big')
            have = sum(map(len, begun))
            peer.send(b''.join(fragments(BINARY, begun, fin=False)))
            peer.send(frame(CONTINUATION if begun else BINARY, claim=16 * MB + 1 - have))
            peer.read_close(TOO_LARGE)
            peer.expect_end()


if __name__ == '__main__':
    lastcall.main()
