#!/usr/bin/python3
"""SIGTERM and everything that is no WebSocket: the listener, silent connections, downloads, the
requests that wait in CivetWeb."""
import hashlib
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import Response, close_frame, request_head, upgrade_head

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=50s')
SIZE = 24 << 20


def refused(address):
    with socket.socket() as probe:
        return probe.connect_ex(address) != 0


class Files(lastcall.Case):
    """A daemon with a file of 24 MB to download."""

    def files(self, *settings, **options):
        directory = self.directory()
        content = os.urandom(1 << 16) * (SIZE >> 16)
        with open(os.path.join(directory, 'big'), 'wb') as file:
            file.write(content)
        self.folder, self.content = directory, content
        self.digest = hashlib.sha256(content).hexdigest()
        return self.daemon(*settings, routes={'/files/*': {'handler': 'static',
                                                           'root': directory}}, **options)

    def download(self, daemon, *headers):
        """A download that has begun and is not being read."""
        peer = self.peer(daemon, receive_buffer=16384)
        peer.send(request_head('/files/big', headers=headers))
        peer.head = peer.read_until(b'\r\n\r\n')
        return peer

    def finish(self, peer):
        answer = Response(peer.head + peer.read_to_end())
        self.assertEqual(answer.status, 200)
        self.assertEqual(len(answer.body), SIZE)
        self.assertEqual(hashlib.sha256(answer.body).hexdigest(), self.digest)


class Listener(Files):
    def test_new_connections_are_refused_and_the_port_is_free_while_a_session_drains(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        began = daemon.send_signal()
        lastcall.wait_until(lambda: refused(daemon.address), 3, 'the listener refuses')
        self.assertWithin(time.monotonic() - began, 0.5, 'the listener refuses')
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(daemon.address)
            other.listen()
            with socket.create_connection(daemon.address) as guest:
                host, _ = other.accept()
                guest.sendall(b'hello')
                self.assertEqual(host.recv(5), b'hello')
                host.close()
            self.assertIsNone(daemon.process.poll(), 'it should be draining still')
            peer.answer_close(1001)
            daemon.wait_exit(0)

    def test_the_next_daemon_can_start_on_the_port_while_the_last_one_drains(self):
        first = self.daemon(*LONG)
        peer = self.websocket(first)
        first.send_signal()
        first.wait_log('draining')
        lastcall.wait_until(lambda: refused(first.address), 3, 'the listener refuses')
        second = self.daemon('server.listen=%s:%d' % first.address)
        self.websocket(second).echo()
        peer.answer_close(1001)
        first.wait_exit(0)

    def test_every_one_of_several_addresses_is_given_back(self):
        daemon = self.daemon('server.listen=127.0.0.1:0, 127.0.0.2:0', *LONG)
        addresses = []
        for line in daemon.logged('listening'):
            host, port = line['address'].rsplit(':', 1)
            addresses.append((host, int(port)))
        self.assertEqual(len(addresses), 2)
        for address in addresses:
            self.assertFalse(refused(address))
        peer = self.websocket(daemon)
        daemon.send_signal()
        for address in addresses:
            lastcall.wait_until(lambda: refused(address), 3, f'{address} refuses')
        peer.answer_close(1001)
        daemon.wait_exit(0)

    def test_the_port_is_in_use_until_the_signal(self):
        daemon = self.daemon()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with self.assertRaises(OSError):
                other.bind(daemon.address)
                other.listen()


class Silent(lastcall.Case):
    def ends_quickly(self, count, sent, *settings):
        daemon = self.daemon(*settings)
        peers = [self.peer(daemon) for _ in range(count)]
        for peer in peers:
            peer.send(sent)
        self.assertEqual(self.peer_status(daemon), 200)
        daemon.stop(0)
        self.assertWithin(daemon.since_signal(), 1.0, 'CivetWeb alone takes 1.3 to 2 s')

    def peer_status(self, daemon):
        return daemon.get('/health/live').status

    def test_a_connection_that_says_nothing_does_not_delay_the_exit(self):
        self.ends_quickly(1, b'')

    def test_sixty_connections_that_say_nothing_do_not_delay_the_exit(self):
        self.ends_quickly(60, b'')

    def test_half_a_request_does_not_delay_the_exit(self):
        self.ends_quickly(1, b'GET /echo HTTP/1.1\r\nHost: x\r\n')

    def test_sixty_half_requests_do_not_delay_the_exit(self):
        self.ends_quickly(60, b'GET /echo HTTP/1.1\r\nHost: x\r\n')

    def test_half_a_request_from_a_peer_that_closed_its_side_does_not_delay_the_exit(self):
        daemon = self.daemon()
        for _ in range(5):
            peer = self.peer(daemon)
            peer.send(b'GET / HT')
            peer.half_close()
        daemon.stop(0)
        self.assertWithin(daemon.since_signal(), 1.0, 'CivetWeb alone takes 1.3 to 2 s')

    def test_a_refused_request_whose_body_never_comes_does_not_delay_the_exit(self):
        daemon = self.daemon()
        for head in (request_head('/nowhere', 'POST', ['Content-Length: 3']),
                     upgrade_head(headers=['Content-Length: 3'])):
            peer = self.peer(daemon)
            peer.send(head)
            peer.read_until(b'\r\n\r\n')
        daemon.stop(0)
        self.assertWithin(daemon.since_signal(), 1.0, 'CivetWeb alone takes 1.3 to 2 s')

    def test_more_half_requests_than_workers_and_queue_do_not_delay_the_exit(self):
        daemon = self.daemon('server.http_threads=4')
        peers = [self.peer(daemon) for _ in range(60)]
        for peer in peers:
            peer.send(b'GET /echo HTTP/1.1\r\n')
        daemon.stop(0)
        self.assertWithin(daemon.since_signal(), 1.2, 'CivetWeb alone takes 1.3 to 2 s')
        for peer in peers:
            try:
                while peer.more():
                    pass
            except AssertionError as error:
                self.assertIn('reset', str(error), 'an end is wanted, or a reset')

    def test_silent_connections_and_sessions_together_end_quickly(self):
        daemon = self.daemon()
        silent = [self.peer(daemon) for _ in range(30)]
        for peer in silent[:15]:
            peer.send(b'GET ')
        peers = [self.websocket(daemon) for _ in range(30)]
        daemon.send_signal()
        for peer in peers:
            peer.answer_close(1001)
        self.assertEqual(daemon.wait_exit(0)['handshake'], 30)
        self.assertWithin(daemon.since_signal(), 1.0, 'CivetWeb alone takes 1.3 to 2 s')


class Downloads(Files):
    def test_a_download_under_way_arrives_whole_and_the_exit_follows_it(self):
        daemon = self.files(*LONG)
        peer = self.download(daemon)
        began = daemon.send_signal()
        lastcall.wait_until(lambda: refused(daemon.address), 3, 'the listener refuses')
        self.assertWithin(time.monotonic() - began, 0.5, 'the listener refuses')
        self.assertEqual(daemon.wait_log('draining')['requests'], 1)
        self.finish(peer)
        arrived = time.monotonic()
        stopped = daemon.wait_exit(0)
        self.assertWithin(daemon.ended - arrived, 0.7, 'the exit follows the download')
        self.assertEqual((stopped['http_finished'], stopped['http_cut']), (1, 0))
        self.assertEqual(stopped['mg_stop'], 'returned')

    def test_a_part_of_a_file_under_way_arrives_whole(self):
        daemon = self.files(*LONG)
        peer = self.download(daemon, f'Range: bytes=-{SIZE - 5}')
        daemon.send_signal()
        daemon.wait_log('draining')
        answer = Response(peer.head + peer.read_to_end())
        self.assertEqual(answer.status, 206)
        self.assertEqual(answer.header('content-range'), f'bytes 5-{SIZE - 1}/{SIZE}')
        digest = hashlib.sha256(self.content[5:]).hexdigest()
        self.assertEqual(hashlib.sha256(answer.body).hexdigest(), digest)
        stopped = daemon.wait_exit(0)
        self.assertEqual((stopped['http_finished'], stopped['http_cut']), (1, 0))

    def test_a_file_that_shrinks_while_it_is_sent_and_the_server_stops_does_not_delay_the_exit(self):
        daemon = self.files(*LONG)
        peer = self.download(daemon)
        os.truncate(os.path.join(self.folder, 'big'), SIZE // 2)
        daemon.send_signal()
        daemon.wait_log('draining')
        self.assertLess(len(peer.read_to_end()), SIZE)
        arrived = time.monotonic()
        daemon.wait_exit(0)
        self.assertWithin(daemon.ended - arrived, 0.7, 'the exit follows the download')

    def test_sessions_are_closed_at_once_while_a_download_goes_on(self):
        daemon = self.files(*LONG)
        download, session = self.download(daemon), self.websocket(daemon)
        began = daemon.send_signal()
        session.answer_close(1001)
        self.assertWithin(time.monotonic() - began, 1.0, 'the Close does not wait')
        self.finish(download)
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_a_download_outlives_sessions_and_a_session_outlives_mg_stop(self):
        daemon = self.files(*LONG)
        download, session = self.download(daemon), self.websocket(daemon)
        daemon.send_signal()
        session.read_close(1001)
        self.finish(download)
        session.send(close_frame(1001))
        session.expect_end()
        stopped = daemon.wait_exit(0)
        self.assertEqual((stopped['http_finished'], stopped['handshake']), (1, 1))

    def test_a_download_that_stalls_is_cut_at_the_timeout_with_status_1(self):
        daemon = self.files('shutdown.timeout=1500ms', 'shutdown.close_timeout=500ms')
        self.download(daemon)
        daemon.send_signal()
        stopped = daemon.wait_exit(1)
        self.assertEqual(stopped['http_cut'], 1)
        self.assertGreaterEqual(daemon.since_signal(), 0.9)
        self.assertWithin(daemon.since_signal(), 2.3, 'timeout was 1.5 s')

    def test_a_peer_that_reads_slowly_but_always_gets_its_file(self):
        """The kernel wants to be written to only when a third of its buffer is free."""
        daemon = self.files('limits.handshake_timeout=300ms', *LONG)
        peer = self.download(daemon)
        got = len(peer.read(1))
        for _ in range(40):  # 4 s: a third of the buffer takes longer than 300 ms at this rate
            got += len(peer.read(64 << 10))
            time.sleep(0.1)
        daemon.send_signal()
        daemon.wait_log('draining')
        rest = peer.read_to_end()
        self.assertEqual(got + len(rest), SIZE)
        self.assertEqual(daemon.wait_exit(0)['http_finished'], 1)

    def test_a_download_that_the_server_gives_up_while_it_stops_is_counted_as_cut(self):
        daemon = self.files('limits.handshake_timeout=300ms', *LONG)
        peer = self.download(daemon)
        daemon.send_signal()
        stopped = daemon.wait_exit(1)
        self.assertEqual((stopped['http_finished'], stopped['http_cut']), (0, 1))
        self.assertEqual(stopped['drain'], 'forced')
        self.assertLess(len(peer.read_to_end()), SIZE)

    def test_a_second_signal_cuts_a_download(self):
        daemon = self.files(*LONG)
        self.download(daemon)
        daemon.send_signal()
        daemon.wait_log('draining')
        time.sleep(lastcall.scaled(0.15))  # the rule itself is about 100 ms
        daemon.stop(143)
        self.assertWithin(daemon.since_signal(), 1.0, 'now means now')


class AcceptedBefore(Files):
    def assertRefused(self, raw):
        answer = Response(raw)
        self.assertEqual(answer.status, 503, raw)
        self.assertEqual(answer.header('retry-after'), '1')
        self.assertLess(abs(answer.age()), lastcall.scaled(10))
        self.assertIn('close', answer.tokens('connection'))

    def half(self, daemon, head):
        """A connection that has sent all of a request but its last byte, in a worker's hands."""
        peer = self.peer(daemon)
        peer.send(head[:-1])
        return peer

    def test_a_request_that_is_finished_after_the_gate_closed_gets_503(self):
        daemon = self.files(*LONG)
        download = self.download(daemon)
        peers = [self.half(daemon, request_head('/')), self.half(daemon, upgrade_head()),
                 self.half(daemon, request_head('/nowhere'))]
        daemon.get('/health/live')  # those before it have been accepted too
        daemon.send_signal()
        daemon.wait_log('draining')
        for peer in peers:
            peer.send(b'\n')
            self.assertRefused(peer.read_to_end())
        self.finish(download)
        daemon.wait_exit(0)

    def test_health_is_not_refused_by_the_gate(self):
        daemon = self.files(*LONG)
        download = self.download(daemon)
        live = self.half(daemon, request_head('/health/live'))
        ready = self.half(daemon, request_head('/health/ready'))
        daemon.get('/health/live')
        daemon.send_signal()
        daemon.wait_log('draining')
        live.send(b'\n')
        self.assertEqual(Response(live.read_to_end()).status, 200)
        ready.send(b'\n')
        answer = Response(ready.read_to_end())
        self.assertEqual(answer.status, 503)
        self.assertIn('draining', answer.text())
        self.finish(download)
        daemon.wait_exit(0)

    def waiting(self, *settings):
        """Both workers busy with downloads, and five more requests in CivetWeb's queue."""
        daemon = self.files('server.http_threads=2', *settings)
        downloads = [self.download(daemon) for _ in range(2)]
        heads = [request_head('/'), upgrade_head(), request_head('/'),
                 request_head('/nowhere'), upgrade_head()]
        queued = []
        before = daemon.fd_count()
        for head in heads:
            queued.append(self.peer(daemon))
            queued[-1].send(head)
        lastcall.wait_until(lambda: daemon.fd_count() == before + len(heads), 10,
                            'the requests are accepted')
        return daemon, downloads, queued

    def test_what_waits_in_the_queue_gets_503_once_a_worker_is_free(self):
        daemon, downloads, queued = self.waiting(*LONG)
        daemon.send_signal()
        daemon.wait_log('draining')
        for download in downloads:
            self.finish(download)
        for peer in queued:
            self.assertRefused(peer.read_to_end())
        stopped = daemon.wait_exit(0)
        self.assertEqual((stopped['http_finished'], stopped['http_cut']), (2, 0))

    def test_what_waits_in_the_queue_gets_503_also_when_no_worker_gets_free(self):
        daemon, _, queued = self.waiting('shutdown.timeout=2s', 'shutdown.close_timeout=500ms')
        daemon.send_signal()
        for peer in queued:
            self.assertRefused(peer.read_to_end())
        stopped = daemon.wait_exit(1)
        self.assertEqual(stopped['http_cut'], 2)
        self.assertWithin(daemon.since_signal(), 3.0, 'timeout was 2 s')


class Tests(Files):
    def test_a_download_that_is_cut_is_noticed(self):
        daemon = self.files('shutdown.timeout=1500ms', 'shutdown.close_timeout=500ms')
        download = self.download(daemon)
        daemon.stop(1)
        with self.assertRaises(AssertionError):
            self.finish(download)


if __name__ == '__main__':
    lastcall.main()
