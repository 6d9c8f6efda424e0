#!/usr/bin/python3
"""Slow peers hold threads of the server; as many as they hold are let in, and nobody else waits."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
import peer

HALF_REQUEST = b'GET /echo HTTP/1.1\r\nHost: localhost\r\n'


class Workers(lastcall.Case):
    def test_100_half_requests_keep_nobody_from_the_server(self):
        daemon = self.daemon('limits.handshake_timeout=60s')
        for _ in range(100):
            self.peer(daemon).send(HALF_REQUEST)
        for _ in range(20):
            self.assertEqual(daemon.get('/health/live').status, 200)
            self.websocket(daemon).echo(b'through')

    def test_more_half_requests_than_threads_are_ended_by_the_time_limit(self):
        daemon = self.daemon('limits.handshake_timeout=1s', 'server.http_threads=4')
        for _ in range(12):
            self.peer(daemon).send(HALF_REQUEST)
        self.websocket(daemon).echo(b'through')

    def test_the_exit_does_not_wait_for_threads_that_were_never_needed(self):
        daemon = self.daemon('server.http_threads=1000')
        self.websocket(daemon).close_socket()
        daemon.send_signal()
        daemon.wait_exit(0)
        self.assertWithin(daemon.since_signal(), 1.5, 'CivetWeb alone takes 2 s')

    def test_as_many_downloads_as_threads_are_all_cut_in_time(self):
        directory = self.directory()
        with open(os.path.join(directory, 'big'), 'wb') as file:
            file.truncate(24 << 20)
        daemon = self.daemon('server.http_threads=64', 'limits.requests_per_address=64',
                             'limits.handshake_timeout=60s',
                             'shutdown.close_timeout=500ms',
                             f'shutdown.timeout={int(lastcall.scaled(2000))}ms',
                             routes={'/files/*': {'handler': 'static', 'root': directory}})
        for _ in range(60):
            download = self.peer(daemon, receive_buffer=16384)
            download.send(peer.request_head('/files/big'))
            download.read_until(b'\r\n\r\n')
        stopped = daemon.stop(1)
        self.assertEqual((stopped['http_cut'], stopped['mg_stop']), (60, 'returned'))


if __name__ == '__main__':
    lastcall.main()
