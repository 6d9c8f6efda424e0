#!/usr/bin/python3
"""Out of descriptors: it refuses or lets wait, says so once, burns no processor, loses nobody who is
there, and goes on when there are descriptors again."""
import errno
import os
import resource
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from fault_scene import Scene, Wrong
from faults import ALWAYS
from peer import Peer, Response, WebSocket, request_head, upgrade_head

WATCHED = 2.0  # seconds


class Descriptors(lastcall.Case):
    def processor_time(self, daemon):
        with open(f'/proc/{daemon.pid}/stat') as file:
            fields = file.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def watch(self, daemon):
        """What it costs and says in two seconds: (seconds of processor, lines)."""
        lines, before = len(daemon.lines), self.processor_time(daemon)
        time.sleep(WATCHED)
        return self.processor_time(daemon) - before, daemon.lines[lines:]

    def leave(self, daemon, free):
        """So many descriptors are left to it from now on; None: as many as it was started with."""
        if free is None:
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, self.limits)
            return
        self.limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        used = {int(name) for name in os.listdir(f'/proc/{daemon.pid}/fd')}
        lowest = min(set(range(len(used) + 1)) - used)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (lowest + free, self.limits[1]))

    def test_without_descriptors_new_ones_wait_and_it_sleeps_says_so_and_goes_on(self):
        daemon = self.daemon('log.level=info')
        there = self.websocket(daemon)
        there.echo(b'before')
        for round_number in range(2):
            self.leave(daemon, 0)
            waiting = [self.peer(daemon) for _ in range(10)]
            for peer in waiting:
                peer.send(request_head('/health/live', headers=['Connection: close']))
            daemon.wait_log('no descriptors are left: new connections wait', 1 + round_number)
            seconds, lines = self.watch(daemon)
            there.echo(b'meanwhile')
            self.leave(daemon, None)
            for peer in waiting:
                self.assertEqual(Response(peer.read_to_end()).status, 200)
            self.assertEqual([], lines)
            if not lastcall.sanitized():
                self.assertLess(seconds, 0.1 * WATCHED)
            daemon.wait_log('there are descriptors again: new connections are served',
                            1 + round_number)
            began = time.monotonic()
            self.assertEqual(daemon.get('/health/live').status, 200)
            self.assertWithin(time.monotonic() - began, 2.5, 'the next one')
        there.echo(b'afterwards')
        self.leave(daemon, 0)
        daemon.wait_log('no descriptors are left: new connections wait', 3)
        daemon.send_signal()
        there.answer_close()
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_a_load_of_connections_that_no_descriptors_are_for_is_refused_and_said_a_few_times(self):
        daemon = self.daemon('server.http_threads=4', 'server.loops=1', 'log.level=info',
                             descriptors=200)
        limit = daemon.logged('ready')[0]['connections']
        self.assertLess(limit, 100)
        open_ones = [self.websocket(daemon) for _ in range(limit)]
        refused, before, lines = 0, self.processor_time(daemon), len(daemon.lines)
        for _ in range(500):
            peer = self.peer(daemon)
            peer.send(upgrade_head())
            refused += Response(peer.read_to_end()).status == 503
            peer.close_socket()
        self.assertEqual(refused, 500)
        self.assertLess(len(daemon.lines) - lines, 50)
        if not lastcall.sanitized():
            self.assertLess(self.processor_time(daemon) - before, 1.0)
            self.assertLess(self.watch(daemon)[0], 0.1 * WATCHED)
        for peer in open_ones:
            peer.echo(b'not disturbed')
            peer.close_socket()
        lastcall.wait_until(lambda: self.fits(daemon, limit), 10, 'all fit again')

    def fits(self, daemon, count):
        """Whether so many WebSockets can be opened; they are closed again."""
        peers = []
        try:
            for _ in range(count):
                peers.append(WebSocket(daemon.address, lastcall.scaled(10)))
                peers[-1].send(upgrade_head())
                if not peers[-1].read_until(b'\r\n').startswith(b'HTTP/1.1 101 '):
                    return False
            return True
        finally:
            for peer in peers:
                peer.close_socket()

    def test_a_system_that_refuses_to_accept_disturbs_nobody_who_is_there(self):
        for error in (errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ECONNABORTED, errno.EPERM):
            with self.subTest(errno.errorcode[error]), \
                    tempfile.TemporaryDirectory(prefix='lastcall-test-') as directory, \
                    Scene(directory, of='libcivetweb') as scene:
                scene.daemon.ready()
                there = scene.websocket()
                there.echo(b'before')
                scene.faults.arm('accept', 1, ALWAYS, error)
                peer = scene.peer(Peer)
                peer.send(request_head('/fixed'))
                lastcall.wait_until(scene.faults.reached, 10, 'an accept that fails')
                there.echo(b'meanwhile')
                scene.faults.disarm()
                self.assertIn(b' 200 ', peer.read_until(b'\r\n'))
                peer.close_socket()
                self.assertEqual(scene.play(), [])
                scene.end(there)
                try:
                    scene.stop()
                except Wrong as wrong:
                    self.fail(str(wrong))


if __name__ == '__main__':
    lastcall.main()
