#!/usr/bin/python3
"""The figures of a stop are true, and its times are kept, when things go wrong as well."""
import fcntl
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import PeerError, Response, WebSocket, request_head, upgrade_head

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=50s')


class Downloads(lastcall.Case):
    def stalled(self, count, *settings):
        """A daemon with downloads that have begun and that nobody reads."""
        directory = self.directory()
        with open(os.path.join(directory, 'big'), 'wb') as file:
            file.truncate(24 << 20)
        daemon = self.daemon(*settings, routes={'/files/*': {'handler': 'static',
                                                             'root': directory}})
        for _ in range(count):
            peer = self.peer(daemon, receive_buffer=16384)
            peer.send(request_head('/files/big'))
            peer.read_until(b'\r\n\r\n')
        return daemon


class SecondSignal(Downloads):
    def test_a_download_that_a_second_signal_cuts_is_counted_and_the_drain_was_forced(self):
        daemon = self.stalled(1, *LONG)
        daemon.send_signal()
        daemon.wait_log('draining')
        time.sleep(lastcall.scaled(0.15))  # the rule itself is about 100 ms
        stopped = daemon.stop(143)
        self.assertWithin(daemon.since_signal(), 1.0, 'now means now')
        self.assertEqual((stopped['http_cut'], stopped['http_finished']), (1, 0))
        self.assertEqual(stopped['drain'], 'forced')
        self.assertIn(stopped['mg_stop'], ('not called', 'blocked'), 'a download was under way')


class Refused(Downloads):
    def counted(self, waiting):
        """`waiting` requests find both workers busy: those that CivetWeb's queue does not take
        stay in the kernel. Compares what the clients saw with what the daemon says."""
        daemon = self.stalled(2, 'server.http_threads=2', 'shutdown.timeout=5s',
                              'shutdown.close_timeout=500ms')
        heads = [request_head('/'), upgrade_head(), request_head('/nowhere')]
        peers = [self.peer(daemon) for _ in range(waiting)]
        for number, peer in enumerate(peers):
            peer.send(heads[number % len(heads)])
        daemon.send_signal()
        seen = 0
        for peer in peers:
            try:
                seen += Response(peer.read_to_end()).status == 503
            except PeerError:
                pass  # a connection that is cut was not answered
        stopped = daemon.wait_exit(1)
        self.assertGreater(seen, 0)
        self.assertEqual(stopped['refused'], seen)
        return seen

    def test_as_many_are_counted_as_clients_saw_a_503_out_of_the_queue(self):
        self.assertEqual(self.counted(5), 5)

    def test_as_many_are_counted_as_clients_saw_a_503_from_the_end_of_the_listener(self):
        self.assertEqual(self.counted(40), 40)


class Unread(lastcall.Case):
    """Somebody has opened our standard error and stops reading it."""
    TIMEOUT, SESSIONS = 1, 60
    SETTINGS = {'server': {'listen': '127.0.0.1:0'}, 'log': {'level': 'debug'},
                'shutdown': {'timeout': f'{TIMEOUT}s', 'close_timeout': f'{TIMEOUT}s'}}

    def start(self):
        """Reads the log until it is ready, and nothing after that."""
        path = os.path.join(self.directory(), 'lastcall.ini')
        with open(path, 'w') as file:
            file.write(lastcall.ini(self.SETTINGS, lastcall.ROUTES))
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        process = subprocess.Popen([lastcall.PROGRAM, '-c', path], stdin=subprocess.DEVNULL,
                                   stderr=writing)
        os.close(writing)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        text = b''
        while b' ready ' not in text:
            text += os.read(reading, 4096) or self.fail(f'it ended: {text!r}')
        return process, ('127.0.0.1', int(re.search(rb'address=127\.0\.0\.1:(\d+)', text)[1]))

    def overrun(self):
        """Seconds from the timeout to the exit, with sessions that are forced."""
        process, address = self.start()
        for _ in range(self.SESSIONS):
            peer = WebSocket(address, lastcall.scaled(10))
            self.addCleanup(peer.close_socket)
            peer.handshake()
        began = time.monotonic()
        process.terminate()
        self.assertEqual(process.wait(lastcall.scaled(10)), 1)
        return time.monotonic() - began - self.TIMEOUT

    def test_the_timeout_is_kept_when_nobody_reads_the_log(self):
        if lastcall.sanitized():
            self.skipTest('a sanitizer takes its own time at the end')
        best = min(self.overrun() for _ in range(3))  # a busy machine is late now and then
        self.assertWithin(best, 0.05, 'the best of three')


class Delay(lastcall.Case):
    def half_requests(self, count):
        daemon = self.daemon('shutdown.timeout=40s', 'shutdown.delay=30s')
        daemon.send_signal()
        lastcall.wait_until(lambda: daemon.get('/health/ready').status == 503, 5, 'the delay')
        for _ in range(count):
            self.peer(daemon).send(b'GET / HT')
        for _ in range(3):
            began = time.monotonic()
            self.assertEqual(daemon.get('/health/live').status, 200)
            self.assertWithin(time.monotonic() - began, 1.0, 'as if they were not there')
        time.sleep(lastcall.scaled(0.15))  # the rule itself is about 100 ms
        daemon.stop(143)

    def test_eight_half_requests_during_the_delay_keep_nobody_from_the_server(self):
        self.half_requests(8)

    def test_sixty_half_requests_during_the_delay_keep_nobody_from_the_server(self):
        self.half_requests(60)

    def test_the_health_option_says_alive_during_the_delay_whatever_the_path_of_health(self):
        for path in ('/health/*', '/healthz'):
            with self.subTest(path):
                port = lastcall.free_port()
                routes = {'/health/*': None, path: {'handler': 'health'}}
                daemon = self.daemon(f'server.listen=127.0.0.1:{port}', 'shutdown.timeout=40s',
                                     'shutdown.delay=30s', routes=routes)
                self.run_program('-c', daemon.config, '--health', expect=0)
                daemon.send_signal()
                daemon.wait_log('signal')
                self.run_program('-c', daemon.config, '--health', expect=0)
                time.sleep(lastcall.scaled(0.15))  # the rule itself is about 100 ms
                daemon.stop(143)


if __name__ == '__main__':
    lastcall.main()
