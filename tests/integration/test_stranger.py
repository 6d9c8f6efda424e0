#!/usr/bin/python3
"""Somebody else's CivetWeb program wraps its route and stops with the tracker and the shutdown."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
import peer

PROGRAM = os.path.join(os.path.dirname(lastcall.PROGRAM), 'tests/stranger')


class Stranger(lastcall.Case):
    def setUp(self):
        self.process = subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.process.stderr.close)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.kill)
        self.address = ('127.0.0.1', int(self.process.stdout.readline()))

    def websocket(self):
        socket = peer.WebSocket(self.address, timeout=lastcall.scaled(10))
        self.addCleanup(socket.close_socket)
        socket.handshake()
        return socket

    def stop(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_exit(self, status):
        self.assertEqual(self.process.wait(lastcall.scaled(10)), status)

    def test_sessions_are_closed_with_its_own_reason_and_the_status_is_0(self):
        sockets = [self.websocket() for _ in range(5)]
        for socket in sockets:
            socket.echo(b'still here')
        self.stop()
        for socket in sockets:
            self.assertEqual(socket.answer_close(1001).reason(), 'so long')
        self.wait_exit(0)

    def test_a_silent_session_is_forced_and_the_status_is_1(self):
        socket = self.websocket()
        self.stop()
        socket.read_close(1001)
        self.wait_exit(1)

    def test_what_is_no_upgrade_is_refused_with_a_proper_response(self):
        response = peer.exchange(self.address, peer.upgrade_head(key='c2hvcnQ='))
        self.assertEqual(response.status, 400)
        self.stop()
        self.wait_exit(0)


if __name__ == '__main__':
    lastcall.main()
