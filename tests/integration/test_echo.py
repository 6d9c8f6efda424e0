#!/usr/bin/python3
"""Messages of every length and shape come back as they were sent."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import BINARY, CONTINUATION, PING, PONG, TEXT, PeerError, frame

LENGTHS = (0, 1, 2, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 1 << 20)


class Echo(lastcall.Case):
    def test_text_of_every_length_class_comes_back_as_text(self):
        peer = self.websocket(self.daemon())
        for length in LENGTHS:
            with self.subTest(length=length):
                peer.echo((b'abcdefghij' * (length // 10 + 1))[:length], TEXT)

    def test_binary_of_every_length_class_comes_back_as_binary(self):
        peer = self.websocket(self.daemon())
        for length in LENGTHS:
            with self.subTest(length=length):
                peer.echo(os.urandom(length), BINARY)

    def test_every_mask_is_undone(self):
        peer = self.websocket(self.daemon())
        payload = bytes(range(256)) * 3 + b'xyz'
        for mask in (b'\0\0\0\0', b'\xff\xff\xff\xff', b'\1\2\3\4', b'\x80\0\0\1'):
            for length in (1, 2, 3, 4, 5, 7, 8, 9, 63, 771):
                peer.send(frame(BINARY, payload[:length], mask=mask))
                self.assertEqual(peer.read_message(), (BINARY, payload[:length]))

    def test_fragments_are_one_message(self):
        peer = self.websocket(self.daemon())
        cases = ((b'one', b'two', b'three'), (b'', b'', b''), (b'', b'x', b''), (b'x', b''),
                 (b'a' * 125, b'b' * 126, b'c' * 70000, b'd'), tuple(b'%d' % n for n in range(500)))
        for opcode in (TEXT, BINARY):
            for parts in cases:
                with self.subTest(opcode=opcode, parts=len(parts)):
                    peer.send(frame(opcode, parts[0], fin=False))
                    for part in parts[1:-1]:
                        peer.send(frame(CONTINUATION, part, fin=False))
                    peer.send(frame(CONTINUATION, parts[-1]))
                    self.assertEqual(peer.read_message(), (opcode, b''.join(parts)))

    def test_characters_may_be_cut_by_fragments(self):
        peer = self.websocket(self.daemon())
        text = 'κόσμε – 🍺 \U0010ffff'.encode()
        peer.send(frame(TEXT, text[:1], fin=False))
        for byte in text[1:-1]:
            peer.send(frame(CONTINUATION, bytes([byte]), fin=False))
        peer.send(frame(CONTINUATION, text[-1:]))
        self.assertEqual(peer.read_message(), (TEXT, text))

    def test_frames_that_come_byte_by_byte_are_understood(self):
        peer = self.websocket(self.daemon())
        for payload in (b'', b'hello', b'x' * 126):
            for byte in frame(TEXT, payload):
                peer.send(bytes([byte]))
            self.assertEqual(peer.read_message(), (TEXT, payload))
        whole = frame(BINARY, b'y' * 65536)
        for byte in whole[:20]:
            peer.send(bytes([byte]))
        peer.send(whole[20:])
        self.assertEqual(peer.read_message(), (BINARY, b'y' * 65536))

    def test_many_messages_in_one_write_come_back_in_order(self):
        peer = self.websocket(self.daemon())
        peer.send(b''.join(frame(TEXT, b'%d' % n) for n in range(2000)))
        for n in range(2000):
            self.assertEqual(peer.read_message(), (TEXT, b'%d' % n))

    def test_a_ping_is_answered_with_its_own_payload(self):
        peer = self.websocket(self.daemon())
        for payload in (b'', b'p', bytes(range(125))):
            peer.send(frame(PING, payload))
            found = peer.read_frame()
            self.assertEqual((found.opcode, found.fin, found.payload), (PONG, True, payload))

    def test_a_ping_between_fragments_is_answered_before_the_message(self):
        peer = self.websocket(self.daemon())
        peer.send(frame(TEXT, b'be', fin=False) + frame(PING, b'now')
                  + frame(CONTINUATION, b'fore'))
        self.assertEqual(peer.read_frame().opcode, PONG)
        self.assertEqual(peer.read_message(), (TEXT, b'before'))

    def test_a_pong_that_nobody_asked_for_is_ignored(self):
        peer = self.websocket(self.daemon())
        peer.send(frame(PONG, b'unasked'))
        peer.echo(b'still here')

    def test_a_hundred_sessions_do_not_mix_their_messages(self):
        daemon = self.daemon()
        peers = [self.websocket(daemon) for _ in range(100)]
        for number, peer in enumerate(peers):
            peer.send(frame(TEXT, b'for %d' % number))
        for number, peer in enumerate(peers):
            self.assertEqual(peer.read_message(), (TEXT, b'for %d' % number))

    def test_the_stop_of_an_idle_echo_is_a_close_with_1001(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        daemon.send_signal()
        self.assertEqual(peer.answer_close(1001).reason(), 'server shutting down')
        daemon.wait_exit(0)


class Client(lastcall.Case):
    def test_the_client_of_the_tests_notices_a_wrong_echo(self):
        peer = self.websocket(self.daemon())
        peer.send(frame(TEXT, b'first'))
        with self.assertRaises(PeerError):
            peer.echo(b'second')


if __name__ == '__main__':
    lastcall.main()
