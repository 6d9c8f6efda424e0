#!/usr/bin/python3
"""Peers that connect and vanish, by the thousand: nothing is left behind, nobody is mixed up."""
import base64
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import (TEXT, Peer, PeerError, Response, WebSocket, accept_for, close_frame, frame,
                  request_head, upgrade_head)


def vanish_after_connect(peer):
    peer.reset()


def vanish_quietly_after_connect(peer):
    peer.close_socket()


def vanish_in_half_a_request(peer):
    peer.send(b'GET /echo HTTP/1.1\r\nHost: x\r\nUpgr')
    peer.close_socket()


def reset_in_half_a_request(peer):
    peer.send(b'GET /echo HTTP/1.1\r\nHost: x\r\nUpgr')
    peer.reset()


def reset_before_the_101(peer):
    peer.send(upgrade_head())
    peer.reset()


def end_before_the_101(peer):
    peer.send(upgrade_head())
    peer.close_socket()


def half_close_before_the_101(peer):
    peer.send(upgrade_head())
    peer.half_close()
    while peer.more():
        pass
    peer.close_socket()


def reset_after_the_101(peer):
    peer.send(upgrade_head())
    peer.read_until(b'\r\n\r\n')
    peer.reset()


def end_after_the_101(peer):
    peer.send(upgrade_head())
    peer.read_until(b'\r\n\r\n')
    peer.close_socket()


def reset_with_an_echo_under_way(peer):
    peer.send(upgrade_head())
    peer.read_until(b'\r\n\r\n')
    peer.send(frame(TEXT, b'x' * 50000))
    peer.reset()


def close_properly(peer):
    peer.send(upgrade_head())
    peer.read_until(b'\r\n\r\n')
    peer.send(close_frame(1000))
    while peer.more():
        pass
    peer.close_socket()


def reset_a_plain_request(peer):
    peer.send(request_head('/metrics'))
    peer.reset()


WAYS = [vanish_after_connect, vanish_quietly_after_connect, vanish_in_half_a_request,
        reset_in_half_a_request, reset_before_the_101, end_before_the_101,
        half_close_before_the_101, reset_after_the_101, end_after_the_101,
        reset_with_an_echo_under_way, close_properly, reset_a_plain_request]


class Storm(lastcall.Case):
    def rounds(self, daemon, count):
        for number in range(count):
            peer = Peer(daemon.address, lastcall.scaled(10))
            try:
                WAYS[number % len(WAYS)](peer)
            except (OSError, PeerError):
                pass  # how the server answers such a peer is not the question here
            finally:
                peer.close_socket()

    def settle(self, daemon, descriptors=None):
        """Waits until no session and no connection is left."""
        if descriptors is None:
            last = [0]

            def steady():
                count = daemon.fd_count()
                last[0], same = count, last[0] == count
                return same and len(daemon.logged('session opened')) == \
                    len(daemon.logged('session closed'))
            lastcall.wait_until(steady, 20, 'sessions end')
            return daemon.fd_count()
        lastcall.wait_until(lambda: daemon.fd_count() <= descriptors, 20,
                            f'no more than {descriptors} descriptors')
        return daemon.fd_count()

    def test_a_thousand_rounds_leave_no_descriptor_thread_or_memory_behind(self):
        daemon = self.daemon('limits.handshake_timeout=2s')
        idle = daemon.fd_count()
        threads = daemon.status('Threads')
        self.rounds(daemon, 300)  # until every buffer and pool has its size
        self.settle(daemon, idle)
        memory = daemon.status('VmRSS')
        self.rounds(daemon, 1000)
        self.settle(daemon, idle)
        self.assertEqual(daemon.status('Threads'), threads)
        if not lastcall.sanitized():
            self.assertLess(daemon.status('VmRSS') - memory, 2048, 'kB')
        peer = self.websocket(daemon)
        peer.echo()
        daemon.send_signal()
        peer.answer_close(1001)
        self.assertEqual(daemon.wait_exit(0)['open'], 1)

    def test_sessions_come_and_go_without_leaving_memory_behind(self):
        daemon = self.daemon()
        for _ in range(3):
            for peer in [self.websocket(daemon) for _ in range(100)]:
                peer.echo(b'x' * 5000)
                peer.reset()
        self.settle(daemon)
        memory, descriptors = daemon.status('VmRSS'), daemon.fd_count()
        for _ in range(7):
            for peer in [self.websocket(daemon) for _ in range(100)]:
                peer.echo(b'x' * 5000)
                peer.reset()
        self.settle(daemon, descriptors)
        if not lastcall.sanitized():
            self.assertLess(daemon.status('VmRSS') - memory, 1024, 'kB')

    def test_a_stop_in_the_middle_of_a_storm_is_a_clean_stop(self):
        daemon = self.daemon('shutdown.close_timeout=2s')
        over = threading.Event()

        def storm():
            number = 0
            while not over.is_set():
                number += 1
                try:
                    peer = Peer(daemon.address, lastcall.scaled(5))
                    try:
                        WAYS[number % len(WAYS)](peer)
                    finally:
                        peer.close_socket()
                except (OSError, PeerError):
                    pass

        threads = [threading.Thread(target=storm) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            daemon.wait_log('session closed', count=100, timeout=20)
            daemon.send_signal()
            stopped = daemon.wait_exit(0)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(stopped['open'],
                         stopped['handshake'] + stopped['gone'] + stopped['forced'])
        self.assertEqual(stopped['mg_stop'], 'returned')


class SamePort(lastcall.Case):
    """A peer resets in the middle of its handshake and comes back from the same port: a server
    that goes by addresses alone takes the wrong socket."""

    def on_four_ports(self, daemon, rounds, one_round):
        failures = []

        def work(port):
            for _ in range(rounds):
                try:
                    one_round(daemon, port)
                except Exception as error:
                    failures.append(error)
                    return

        threads = [threading.Thread(target=work, args=(lastcall.free_port(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    @staticmethod
    def come_back(daemon, port, kind):
        """Asks for an upgrade, resets, and connects from the same port at once."""
        first = Peer(daemon.address, lastcall.scaled(10), source_port=port)
        first.send(upgrade_head())
        first.reset()
        return kind(daemon.address, lastcall.scaled(10), source_port=port)

    def test_a_plain_request_from_the_port_of_a_reset_upgrade_never_sees_a_101(self):
        def one_round(daemon, port):
            peer = self.come_back(daemon, port, Peer)
            try:
                peer.send(request_head('/health/live'))
                answer = Response(peer.read_to_end())
                self.assertEqual(answer.status, 200)
            finally:
                peer.reset()

        self.on_four_ports(self.daemon(), 400, one_round)

    def test_a_slow_request_from_the_port_of_a_reset_upgrade_never_sees_a_101(self):
        def one_round(daemon, port):
            peer = self.come_back(daemon, port, Peer)
            try:
                peer.send(b'GET /health/live HTTP/1.1\r\n')
                peer.send(b'Host: localhost\r\n')
                peer.send(b'\r\n')
                self.assertEqual(Response(peer.read_to_end()).status, 200)
            finally:
                peer.reset()

        self.on_four_ports(self.daemon(), 200, one_round)

    def test_a_second_upgrade_from_the_same_port_gets_its_own_101_or_a_proper_refusal(self):
        def one_round(daemon, port):
            key = base64.b64encode(os.urandom(16)).decode()
            peer = self.come_back(daemon, port, WebSocket)
            try:
                peer.send(upgrade_head('/second', key))
                answer = Response(peer.read_until(b'\r\n\r\n'), head=True)
                if answer.status != 101:
                    self.assertEqual(answer.status, 503)
                    return
                self.assertEqual(answer.header('sec-websocket-accept'), accept_for(key))
                peer.echo(os.urandom(8).hex().encode())
                opened.add(port)
            finally:
                peer.reset()

        opened = set()
        self.on_four_ports(self.daemon(routes={'/second': {'handler': 'echo'}}), 60, one_round)
        self.assertTrue(opened, 'not one of them was let in')


if __name__ == '__main__':
    lastcall.main()
