#!/usr/bin/python3
"""Peers that reset: who comes back from the same address and port is somebody else, and who has
left was not refused."""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import Peer, PeerError, Response, request_head, upgrade_head

HOME = '127.%d.%d.1' % (64 + os.getpid() // 250 % 64, 1 + os.getpid() % 250)  # nobody else's


class SamePlace(lastcall.Case):
    """The address is this test's own, so that nobody else can get the port in between."""

    @staticmethod
    def connect(daemon, port=0):
        peer = Peer(daemon.address, lastcall.scaled(10), connect=False)
        try:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            peer.socket.bind((HOME, port))
            peer.socket.connect(daemon.address)
        except OSError:
            peer.close_socket()
            raise
        return peer

    def come_back(self, daemon, first_head):
        """Sends a request, resets, and asks for something else from the same place at once."""
        first = self.connect(daemon)
        port = first.socket.getsockname()[1]
        first.send(first_head)
        first.reset()
        second = self.connect(daemon, port)
        try:
            second.send(request_head('/health/live', headers=['Connection: close']))
            return Response(second.read_to_end())
        finally:
            second.reset()

    def whole_each_time(self, rounds, first_head):
        daemon, wrong = self.daemon(), []
        for number in range(rounds):
            try:
                answer = self.come_back(daemon, first_head)
                if answer.status != 200 or answer.header('content-length') is None:
                    wrong.append(f'{number}: {answer.status}')
            except (OSError, PeerError) as error:
                wrong.append(f'{number}: {error}')
            if len(wrong) == 5:
                break
        self.assertEqual(wrong, [])

    def test_a_request_from_the_place_of_a_reset_post_gets_its_whole_answer(self):
        self.whole_each_time(200, request_head('/', 'POST', ['Content-Length: 10']))

    def test_a_request_from_the_place_of_a_reset_post_to_nowhere_gets_its_whole_answer(self):
        self.whole_each_time(200, request_head('/nowhere', 'POST', ['Content-Length: 10']))


class Resets(lastcall.Case):
    @staticmethod
    def refused(daemon):
        """What /metrics says of refusals: {reason: number}, of all routes."""
        found = {}
        for line in daemon.get('/metrics').text().splitlines():
            match = re.match(r'lastcall_refused_total\{.*reason="(\w+)".*\} (\d+)$', line)
            if match:
                found[match[1]] = found.get(match[1], 0) + int(match[2])
        return found

    def test_a_peer_that_resets_before_its_101_is_gone_and_was_not_refused_a_descriptor(self):
        daemon = self.daemon()

        def storm():
            for _ in range(100):
                peer = self.peer(daemon)
                peer.send(upgrade_head())
                peer.reset()
            return self.refused(daemon)

        lastcall.wait_until(lambda: sum(storm().values()) > 0, 20, 'one reset before its 101')
        found = self.refused(daemon)
        self.assertEqual(found.get('descriptors', 0), 0, found)
        self.assertGreater(found.get('gone', 0), 0, found)
        self.websocket(daemon).echo(b'not disturbed')


if __name__ == '__main__':
    lastcall.main()
