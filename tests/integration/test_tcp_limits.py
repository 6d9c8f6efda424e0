#!/usr/bin/python3
"""What bridges of the handler tcp may hold: memory, descriptors, and whom they slow down."""
import errno
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import bridge
import lastcall
from faults import ALWAYS, Faults
from peer import BINARY, frame

MESSAGE = frame(BINARY, b'x' * 100000)


def push(connection, most, quiet=0.7):
    """Sends zeroes until the other side takes none for so long; returns how many it took."""
    sent = 0
    connection.settimeout(lastcall.scaled(quiet))
    try:
        while sent < most:
            sent += connection.send(bytes(min(65536, most - sent)))
    except TimeoutError:
        pass
    connection.settimeout(lastcall.scaled(20))
    return sent


class Slow(bridge.Case):
    def test_a_slow_target_slows_the_peer_down_and_gets_everything(self):
        daemon, peer, connection = self.bridge(self.target(receive_buffer=4096))
        flood = MESSAGE * 1000
        sent = peer.push(flood)
        self.assertLess(sent, 20 << 20)
        self.assertLess(self.held(daemon), 4 << 20)
        missing = len(MESSAGE) - sent % len(MESSAGE)
        rest = threading.Thread(target=peer.send, args=(flood[sent:sent + missing],))
        rest.start()
        whole = (sent + missing) // len(MESSAGE) * 100000
        self.assertEqual(bridge.read_exactly(connection, whole), b'x' * whole)
        rest.join()
        self.roundtrip(peer, connection)

    def held(self, daemon):
        """What the sessions hold, as /metrics tells."""
        for line in daemon.get('/metrics').text().splitlines():
            if line.startswith('lastcall_memory_bytes '):
                return float(line.split()[1])
        self.fail('/metrics does not say what the sessions hold')

    def test_a_slow_peer_slows_the_target_down_and_gets_everything(self):
        daemon, peer, connection = self.bridge(self.target(), peer={'receive_buffer': 4096})
        sent = push(connection, 100 << 20)
        self.assertLess(sent, 20 << 20)
        self.assertLess(self.held(daemon), 4 << 20)
        self.assertEqual(self.receive(peer, sent), bytes(sent))
        self.roundtrip(peer, connection)

    def test_what_waits_for_targets_counts_against_the_memory_of_all(self):
        target = self.target(receive_buffer=4096)
        daemon = self.bridged(target.name, 'limits.memory=2M', 'log.level=info')
        peers = [self.websocket(daemon, '/tcp') for _ in range(6)]
        connections = [target.accept() for _ in peers]
        for peer in peers:
            try:
                peer.push(MESSAGE * 100, quiet=0.3)
            except OSError:
                pass  # it was cut for what it had sent
        daemon.wait_log('closing', code=1013)
        self.websocket(daemon).echo()
        for connection in connections:
            connection.close()
        for peer in peers:
            peer.close_socket()

    def test_a_peer_that_vanishes_while_it_is_paused_is_noticed_and_its_target_reset(self):
        daemon, peer, connection = self.bridge(self.target(receive_buffer=4096))
        peer.push(MESSAGE * 300)
        peer.reset()
        self.assertEqual(daemon.wait_log('session closed')['outcome'], 'gone')
        with self.assertRaises(ConnectionResetError):
            bridge.read_to_end(connection)

    def test_so_is_one_whose_end_waits_behind_what_nobody_reads(self):
        """Neither end nor reset comes by itself: its side asks again and again for room."""
        daemon, peer, connection = self.bridge(self.target(receive_buffer=4096),
                                               'limits.ping_interval=1s', 'limits.ping_timeout=5s')
        peer.push(MESSAGE * 300)
        peer.close_socket()
        self.assertEqual(daemon.wait_log('session closed')['outcome'], 'gone')
        with self.assertRaises(ConnectionResetError):
            bridge.read_to_end(connection)

    def test_others_are_served_while_one_target_takes_nothing(self):
        target = self.target(receive_buffer=4096)
        daemon, peer, connection = self.bridge(target)
        peer.push(MESSAGE * 300)
        other = self.websocket(daemon, '/tcp')
        its = target.accept()
        for _ in range(20):
            self.roundtrip(other, its)
        its.close()
        other.answer_close(1000)
        peer.reset()


class Descriptors(bridge.Case):
    def test_two_hundred_bridges_that_come_and_go_leave_no_descriptor(self):
        target = self.target()
        daemon = self.bridged(target.name)
        self.come_and_go(daemon, target, 3)
        lastcall.wait_until(lambda: not self.open_sessions(daemon))
        before = daemon.fd_count()
        self.come_and_go(daemon, target, 200)
        lastcall.wait_until(lambda: daemon.fd_count() <= before, what='descriptors given back')

    @staticmethod
    def open_sessions(daemon):
        return len(daemon.logged('session opened')) - len(daemon.logged('session closed'))

    def come_and_go(self, daemon, target, count):
        """They end in three ways in turn."""
        for number in range(count):
            peer = self.websocket(daemon, '/tcp')
            connection = target.accept()
            self.roundtrip(peer, connection)
            if number % 3 == 0:
                connection.close()
                peer.answer_close(1000)
            elif number % 3 == 1:
                peer.reset()
            else:
                bridge.reset(connection)
                peer.answer_close(1014)
            connection.close()
            peer.close_socket()

    def test_as_many_bridges_can_be_open_as_the_start_says(self):
        target = self.target(backlog=1024)
        daemon = self.bridged(target.name, descriptors=700)
        most = daemon.logged('ready')[0]['connections']
        self.assertGreater(most, 50)
        peers = [self.websocket(daemon, '/tcp') for _ in range(most)]
        connections = [target.accept() for _ in peers]
        for number, peer in enumerate(peers):
            peer.send(frame(BINARY, b'%04d' % number))
        for connection in connections:
            connection.sendall(bridge.read_exactly(connection, 4))
        for number, peer in enumerate(peers):
            self.assertEqual(peer.read_message(), (BINARY, b'%04d' % number))
        for connection in connections:
            connection.close()
        for peer in peers:
            peer.answer_close(1000)

    def test_without_a_descriptor_for_the_target_the_peer_is_closed_with_1013(self):
        faults = Faults(os.path.join(self.directory(), 'faults'))
        daemon, peer, connection = self.bridge(self.target(), environment=faults.environment())
        faults.arm('socket', 1, ALWAYS, errno.EMFILE)
        found = self.websocket(daemon, '/tcp').answer_close(1013)
        self.assertEqual(found.reason(), 'cannot connect to the target: Too many open files')
        faults.disarm()
        self.roundtrip(peer, connection)


if __name__ == '__main__':
    lastcall.main()
