#!/usr/bin/python3
"""The handler tcp: bytes both ways, targets that are not there, and sides that end."""
import hashlib
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import bridge
import lastcall
from bridge import read_exactly, read_to_end
from peer import BINARY, CLOSE, CONTINUATION, TEXT, close_frame, frame

MEGABYTES = 50


class Bytes(bridge.Case):
    def test_messages_of_either_kind_arrive_as_bytes_and_answers_as_binary_messages(self):
        _, peer, connection = self.bridge(self.target())
        peer.send(frame(TEXT, 'grüß '.encode()) + frame(BINARY, b'\0\xff') + frame(BINARY, b''))
        peer.send(frame(BINARY, b'in ', fin=False) + frame(CONTINUATION, b'parts'))
        expected = 'grüß '.encode() + b'\0\xffin parts'
        self.assertEqual(read_exactly(connection, len(expected)), expected)
        connection.sendall(b'\xff\xfe')
        self.assertEqual(peer.read_message(), (BINARY, b'\xff\xfe'))

    def test_a_unix_socket_is_a_target(self):
        target = self.target(path=os.path.join(self.directory(), 'socket'))
        _, peer, connection = self.bridge(target)
        self.roundtrip(peer, connection)

    def test_an_abstract_unix_socket_is_a_target(self):
        target = self.target(path=f'\0lastcall-test-{os.getpid()}')
        target.name = f'unix:@lastcall-test-{os.getpid()}'
        _, peer, connection = self.bridge(target)
        self.roundtrip(peer, connection)

    def test_a_target_is_found_by_name(self):
        target = self.target()
        target.name = target.name.replace('127.0.0.1', 'localhost')
        _, peer, connection = self.bridge(target)
        self.roundtrip(peer, connection)

    def test_a_target_may_speak_first(self):
        _, peer, connection = self.bridge(self.target())
        connection.sendall(b'220 welcome\r\n')
        self.assertEqual(peer.read_message(), (BINARY, b'220 welcome\r\n'))

    def test_what_the_peer_says_before_the_target_is_connected_arrives(self):
        path = os.path.join(self.directory(), 'socket')
        target = self.target(path=path, backlog=0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)  # now the queue is full
            peer = self.websocket(self.bridged(target.name), '/tcp')
            peer.send(b''.join(frame(BINARY, b'%04d' % number) for number in range(1000)))
            target.accept().close()
            connection = target.accept()
            self.addCleanup(connection.close)
            self.assertEqual(read_exactly(connection, 4000),
                             b''.join(b'%04d' % number for number in range(1000)))

    def test_fifty_megabytes_each_way_at_the_same_time_arrive_unchanged(self):
        _, peer, connection = self.bridge(self.target())
        block = os.urandom(1 << 20)
        frames = frame(BINARY, block[:500000]) + frame(BINARY, block[500000:])
        expected = hashlib.sha256()
        for _ in range(MEGABYTES):
            expected.update(block)
        got = {}

        def sink():
            digest, left = hashlib.sha256(), MEGABYTES << 20
            while left:
                data = connection.recv(min(left, 1 << 18))
                digest.update(data)
                left -= len(data)
            got['target'] = digest.digest()
        threads = [threading.Thread(target=lambda: [peer.send(frames) for _ in range(MEGABYTES)]),
                   threading.Thread(target=lambda: [connection.sendall(block)
                                                    for _ in range(MEGABYTES)]),
                   threading.Thread(target=sink)]
        for thread in threads:
            thread.start()
        digest, left = hashlib.sha256(), MEGABYTES << 20
        while left:
            payload = peer.read_message()[1]
            digest.update(payload)
            left -= len(payload)
        for thread in threads:
            thread.join()
        self.assertEqual(digest.digest(), expected.digest())
        self.assertEqual(got['target'], expected.digest())


class Unreachable(bridge.Case):
    def refused(self, daemon, reason, why, code=1014):
        peer = self.websocket(daemon, '/tcp')
        found = peer.answer_close(code)
        self.assertEqual(found.reason(), f'cannot connect to the target: {reason}')
        line = daemon.wait_log('cannot connect to the target')
        self.assertEqual((line['level'], line['why'], line['route']), ('warning', why, '/tcp'))
        return line

    def test_a_target_that_is_down_closes_with_1014_and_the_log_names_it(self):
        target = f'127.0.0.1:{lastcall.free_port()}'
        daemon = self.bridged(target)
        line = self.refused(daemon, 'Connection refused', 'Connection refused')
        self.assertEqual(line['target'], target)
        self.websocket(daemon).echo()

    def test_a_unix_socket_that_is_not_there_closes_with_1014(self):
        daemon = self.bridged('unix:' + os.path.join(self.directory(), 'nobody'))
        self.refused(daemon, 'No such file or directory', 'No such file or directory')

    def test_a_name_that_nobody_has_closes_with_1014(self):
        daemon = self.bridged('nobody.invalid:80')
        peer = self.websocket(daemon, '/tcp')
        found = peer.answer_close(1014)
        self.assertRegex(found.reason(), '(there is no such host|cannot be looked up now)$')

    def test_the_addresses_of_a_name_are_tried_in_turn(self):
        target = self.target()
        target.name = target.name.replace('127.0.0.1', 'two.invalid')
        _, peer, connection = self.bridge(target, environment=bridge.LOOKUPS)
        self.roundtrip(peer, connection)

    def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(self):
        target = self.target()
        port = target.listener.getsockname()[1]
        with socket.socket() as other:
            other.bind(('127.0.0.2', port))
            other.listen(0)
            with socket.create_connection(('127.0.0.2', port)):
                target.name = f'two.invalid:{port}'
                _, peer, connection = self.bridge(target, environment=bridge.LOOKUPS,
                                                  keys={'connect_timeout': '4s'})
                self.roundtrip(peer, connection)

    def test_a_name_that_is_not_looked_up_in_time_closes_with_1014(self):
        daemon = self.bridged('stuck.invalid:80', environment=bridge.LOOKUPS,
                              keys={'connect_timeout': '300ms'})
        why = 'its name was not looked up in time'
        self.refused(daemon, why, why)

    def full(self, target, connect):
        daemon = self.bridged(target.name, keys={'connect_timeout': '300ms'})
        with connect:
            self.refused(daemon, 'no answer in time', 'no answer in time')

    def test_a_unix_socket_that_takes_nobody_closes_with_1014_after_connect_timeout(self):
        path = os.path.join(self.directory(), 'socket')
        target = self.target(path=path, backlog=0)
        first = socket.socket(socket.AF_UNIX)
        first.connect(path)
        self.full(target, first)

    def test_a_target_that_takes_nobody_closes_with_1014_after_connect_timeout(self):
        target = self.target(backlog=0)
        first = socket.create_connection(target.listener.getsockname())
        self.full(target, first)

    def test_the_log_is_not_flooded_by_a_target_that_is_down(self):
        daemon = self.bridged(f'127.0.0.1:{lastcall.free_port()}', 'log.level=info')
        for _ in range(60):
            self.websocket(daemon, '/tcp').answer_close(1014)
        self.assertLess(len(daemon.logged('cannot connect to the target')), 50)
        self.assertGreaterEqual(len(daemon.logged('cannot connect to the target')), 20)

    def test_a_peer_that_leaves_before_its_target_has_answered_leaves_nothing_behind(self):
        target = self.target(backlog=0)
        with socket.create_connection(target.listener.getsockname()):
            daemon = self.bridged(target.name, keys={'connect_timeout': '1h'})
            before = daemon.fd_count()
            for _ in range(20):
                self.websocket(daemon, '/tcp').reset()
            lastcall.wait_until(lambda: daemon.fd_count() <= before, what='descriptors given back')
            daemon.wait_log('session closed', count=20, outcome='gone')


class Ends(bridge.Case):
    def test_after_the_targets_end_all_that_it_said_comes_and_then_a_close(self):
        daemon, peer, connection = self.bridge(self.target())
        connection.sendall(b'x' * 3000000)
        connection.close()
        self.assertEqual(self.receive(peer, 3000000), b'x' * 3000000)
        self.assertEqual(peer.answer_close(1000).reason(), 'the other side has ended')
        self.assertEqual(daemon.wait_log('session closed')['outcome'], 'handshake')

    def test_what_the_peer_says_after_the_targets_end_still_reaches_the_target(self):
        _, peer, connection = self.bridge(self.target())
        connection.sendall(b'bye')
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(peer.read_message(), (BINARY, b'bye'))
        close = peer.read_close(1000)
        for number in range(100):
            peer.send(frame(BINARY, bytes([number]) * 10000))
        peer.send(frame(CLOSE, close.payload[:2]))
        self.assertEqual(read_to_end(connection),
                         b''.join(bytes([number]) * 10000 for number in range(100)))
        peer.expect_end()

    def test_what_the_peer_said_last_reaches_a_slow_target_that_had_ended_its_side(self):
        _, peer, connection = self.bridge(self.target(receive_buffer=4096),
                                          'shutdown.timeout=60s', 'shutdown.close_timeout=50s')
        last = frame(BINARY, b'y' * 100000) * 200
        sent = peer.push(last)
        self.assertLess(sent, len(last))
        connection.shutdown(socket.SHUT_WR)
        peer.read_close(1000)
        rest = threading.Thread(target=peer.send, args=(last[sent:] + close_frame(1000),))
        rest.start()
        self.assertEqual(read_to_end(connection), b'y' * 20000000)
        rest.join()
        peer.expect_end()

    def test_after_the_peers_close_the_target_reads_an_end_and_what_it_still_says_comes(self):
        daemon, peer, connection = self.bridge(self.target())
        peer.send(frame(BINARY, b'x' * 900000) + close_frame(4000, b'enough'))
        self.assertEqual(read_to_end(connection), b'x' * 900000)
        connection.sendall(b'y' * 2000000)
        connection.close()
        self.assertEqual(self.receive(peer, 2000000), b'y' * 2000000)
        peer.read_close(4000)
        peer.expect_end()
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['outcome'], closed['code']), ('handshake', 4000))

    def test_a_target_that_does_not_end_after_the_peers_close_is_left_in_time(self):
        _, peer, connection = self.bridge(self.target(), 'shutdown.close_timeout=600ms')
        peer.send(close_frame(1000))
        self.assertEqual(read_to_end(connection), b'')
        peer.read_close(1000)
        peer.expect_end()
        with self.assertRaises(OSError):
            while True:
                connection.sendall(b'x' * 1000)

    def test_a_target_that_resets_closes_with_1014_after_what_it_said(self):
        daemon, peer, connection = self.bridge(self.target())
        self.roundtrip(peer, connection)
        bridge.reset(connection)
        found = peer.answer_close(1014)
        self.assertEqual(found.reason(), 'the connection to the target has broken: '
                                         'Connection reset by peer')
        daemon.wait_log('the connection to the target has broken', why='Connection reset by peer')

    def test_a_peer_that_resets_ends_the_targets_side(self):
        daemon, peer, connection = self.bridge(self.target())
        self.roundtrip(peer, connection)
        peer.reset()
        self.assertEqual(read_to_end(connection), b'')
        self.assertEqual(daemon.wait_log('session closed')['outcome'], 'gone')

    def test_what_was_not_written_to_the_target_ends_it_with_a_reset(self):
        _, peer, connection = self.bridge(self.target(receive_buffer=4096))
        peer.push(frame(BINARY, b'x' * 900000) * 20)
        peer.reset()
        with self.assertRaises(ConnectionResetError):
            read_to_end(connection)

    def test_other_sessions_are_untouched_by_one_that_breaks(self):
        target = self.target()
        daemon, peer, connection = self.bridge(target)
        other = self.websocket(daemon, '/tcp')
        its = target.accept()
        bridge.reset(connection)
        peer.answer_close(1014)
        self.roundtrip(other, its)
        self.websocket(daemon).echo()
        its.close()
        other.answer_close(1000)


if __name__ == '__main__':
    lastcall.main()
