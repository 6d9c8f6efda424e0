#!/usr/bin/python3
"""The access log: one line for each request and each ended session, and what it must never hold."""
import datetime
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from access import entries, wait_entry
from door import ask, origin, upgrade
from peer import TEXT, Response, close_frame, frame, request_head, upgrade_head

ON = 'log.access=on'
LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=50s')
FORMS = ('log.format=text', 'log.format=json')
SIZE = 24 << 20
AGENT = 'Mozilla/5.0 (X11; Linux x86_64) Test/1.0'
NAMES = {'address', 'time', 'method', 'path', 'http_version', 'status', 'bytes_sent', 'referer',
         'user_agent', 'route', 'duration_ms'}
OF_SESSIONS = {'code', 'outcome', 'received', 'sent', 'received_bytes'}


def get(path, *headers, method='GET', version='HTTP/1.1'):
    raw = request_head(path, method, [*headers, 'Connection: close'])
    return raw.replace(b'HTTP/1.1', version.encode(), 1)


class Case(lastcall.Case):
    def ask(self, daemon, raw):
        return ask(daemon.address, raw, lastcall.scaled(10))

    def status(self, daemon):
        """Of an answer; None without one."""
        try:
            answer = self.ask(daemon, get('/health/live'))
        except OSError:
            return None
        return answer and answer.status

    def files(self, *settings, **routes):
        self.root = self.directory()
        for name, content in (('a.txt', b'0123456789'), ('big', b'b' * SIZE)):
            with open(os.path.join(self.root, name), 'wb') as file:
                file.write(content)
        return self.daemon(ON, *settings, routes={
            '/files/*': {'handler': 'static', 'root': self.root}, **routes})

    def assertEntry(self, entry, **expected):
        self.assertEqual({key: entry.get(key) for key in expected}, expected)


class Requests(Case):
    # The request; status, bytes of the body (None: those that came), the other values.
    KINDS = [
        (get('/'), 200, None, dict(method='GET', path='/', route='/', http_version='1.1')),
        (get('/', method='HEAD'), 200, 0, dict(method='HEAD', route='/')),
        (get('/health/live', version='HTTP/1.0'), 200, None, dict(http_version='1.0')),
        (get('/files/a.txt'), 200, 10, dict(path='/files/a.txt', route='/files/*')),
        (get('/files/a.txt', 'Range: bytes=2-4'), 206, 3, {}),
        (get('/files/a.txt', 'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT'), 304, 0, {}),
        (get('/files/a.txt', 'Range: bytes=99-'), 416, None, {}),
        (get('/files/none'), 404, None, dict(route='/files/*')),
        (get('/nowhere'), 404, None, dict(path='/nowhere', route='')),
        (get('/%61%2f..%2Fa/b'), 404, None, dict(path='/a/b')),
        (get('/', method='POST'), 405, None, dict(method='POST', route='/')),
        (get('/echo', f'User-Agent: {AGENT}', 'Referer: https://a.example/x'), 426, None,
         dict(route='/echo', user_agent=AGENT, referer='https://a.example/x')),
        (get('/../..'), 400, None, dict(method='GET', route='')),
        (get('/' + 'x' * 5000), 414, None, dict(method='GET', route='')),
        (get('/', *[f'X{n}: x' for n in range(70)]), 431, None, dict(path='/')),
        (b'NONSENSE\r\n\r\n', 400, None, dict(method='', path='', http_version='', route='')),
        (b'GET / HTTP/1.1\r\nbroken\r\n\r\n', 400, None, dict(method='', route='')),
        (upgrade(origin('https://evil.com')), 403, None, dict(path='/echo', route='/echo')),
        (upgrade('Sec-WebSocket-Key: again'), 400, None, dict(path='/echo', route='/echo')),
        (upgrade(path='/one'), 503, None, dict(path='/one', route='/one')),
    ]

    def test_each_request_has_one_line_that_says_what_became_of_it(self):
        for form in FORMS:
            daemon = self.files(form, **{'/one': {'handler': 'echo', 'connections': 1}})
            self.websocket(daemon, '/one')
            for number, (raw, status, size, values) in enumerate(self.KINDS, 1):
                with self.subTest(raw[:60], form=form):
                    answer = ask(daemon.address, raw, lastcall.scaled(10)) \
                        if not raw.startswith(b'HEAD') else self.head(daemon, raw)
                    self.assertEqual(answer.status, status)
                    entry = wait_entry(daemon, number)
                    size = len(answer.body) if size is None else size
                    self.assertEntry(entry, address='127.0.0.1', status=status, bytes_sent=size,
                                     **{'referer': '', 'user_agent': '', **values})
                    self.assertEqual(set(entry) - {'level', 'message', 'user'}, NAMES)
            self.assertEqual(len(entries(daemon)), len(self.KINDS))

    def head(self, daemon, raw):
        peer = self.peer(daemon)
        peer.send(raw)
        return Response(peer.read_to_end(), head=True)

    def test_its_time_is_that_of_the_answer_in_utc(self):
        for form, pattern in zip(FORMS, ('%d/%b/%Y:%H:%M:%S %z', '%Y-%m-%dT%H:%M:%S.%fZ')):
            daemon = self.daemon(ON, form)
            before = datetime.datetime.now(datetime.timezone.utc)
            self.ask(daemon, get('/'))
            entry = wait_entry(daemon)
            time = datetime.datetime.strptime(entry['time'], pattern)
            time = time.replace(tzinfo=datetime.timezone.utc)
            self.assertLess(abs((time - before).total_seconds()), lastcall.scaled(5))
            self.assertIn(entry['duration_ms'], range(int(lastcall.scaled(2000))))

    def test_a_download_that_the_peer_cuts_shows_how_far_it_came(self):
        daemon = self.files()
        peer = self.peer(daemon, receive_buffer=16384)
        peer.send(get('/files/big'))
        peer.read(100000)
        peer.reset()
        entry = wait_entry(daemon)
        self.assertEntry(entry, status=200, path='/files/big')
        self.assertIn(entry['bytes_sent'], range(90000, SIZE))
        self.assertEqual(self.ask(daemon, get('/files/big')).status, 200)
        self.assertEqual(wait_entry(daemon, 2)['bytes_sent'], SIZE)

    def test_a_download_that_the_shutdown_cuts_has_its_line_too(self):
        daemon = self.files('shutdown.timeout=1s', 'shutdown.close_timeout=100ms')
        peer = self.peer(daemon, receive_buffer=16384)
        peer.send(get('/files/big'))
        peer.read(1000)
        self.assertEqual(daemon.stop(lastcall.EXIT_FORCED)['http_cut'], 1)
        entry = wait_entry(daemon)
        self.assertEntry(entry, status=200, path='/files/big')
        self.assertIn(entry['bytes_sent'], range(1000, SIZE))

    def test_what_comes_while_draining_has_its_line_with_503(self):
        daemon = self.files(*LONG)
        download = self.peer(daemon, receive_buffer=16384)
        download.send(get('/files/big'))
        download.read(1000)  # as long as it is in flight CivetWeb is not stopped
        late = []
        for raw in (get('/'), upgrade(), get('/nowhere')):
            late.append(self.peer(daemon))
            late[-1].send(raw[:-1])  # all but the last byte: it is in a worker's hands
        self.ask(daemon, get('/health/live'))
        daemon.send_signal()
        lastcall.wait_until(lambda: self.status(daemon) is None, 5, 'the listener refuses')
        for peer in late:
            peer.send(b'\n')
            self.assertEqual(Response(peer.read_to_end()).status, 503)
        download.read_to_end()
        daemon.wait_exit(0)
        self.assertEqual(sorted((entry['path'], entry['bytes_sent'] > 0)
                                for entry in entries(daemon) if entry['status'] == 503),
                         [('/', True), ('/echo', True), ('/nowhere', True)])


class Sessions(Case):
    def open(self, daemon, messages=()):
        peer = self.peer(daemon)
        peer.send(upgrade(f'User-Agent: {AGENT}', 'Referer: https://a.example/', path='/echo?q'))
        peer.read_until(b'\r\n\r\n')
        for message in messages:
            peer.send(frame(TEXT, message))
            self.assertEqual(peer.read(2 + len(message))[2:], message)
        return peer

    def assertSession(self, daemon, **expected):
        entry = wait_entry(daemon, outcome=expected['outcome'])
        self.assertEntry(entry, method='GET', path='/echo', route='/echo', status=101,
                         http_version='1.1', address='127.0.0.1', user_agent=AGENT,
                         referer='https://a.example/', **expected)
        self.assertEqual(set(entry) - {'level', 'message', 'user'}, NAMES | OF_SESSIONS)
        self.assertIn(entry['duration_ms'], range(int(lastcall.scaled(10000))))

    def test_each_ended_session_has_one_line_with_code_outcome_and_counts(self):
        for form in FORMS:
            with self.subTest(form):
                daemon = self.daemon(ON, form, 'shutdown.close_timeout=300ms')
                peer = self.open(daemon, [b'one', b'three', b''])
                peer.send(close_frame(4321))
                peer.read_to_end()
                self.assertSession(daemon, outcome='handshake', code=4321, received=3, sent=3,
                                   received_bytes=8, bytes_sent=8)
                self.open(daemon, [b'hello']).reset()
                self.assertSession(daemon, outcome='gone', code=1006, received=1, sent=1,
                                   received_bytes=5, bytes_sent=5)
                self.open(daemon)
                daemon.send_signal()
                daemon.process.wait(lastcall.scaled(10))
                self.assertSession(daemon, outcome='forced', code=1001, received=0, sent=0,
                                   received_bytes=0, bytes_sent=0)
                self.assertEqual(len(entries(daemon)), 3)

    def test_a_session_that_is_open_has_no_line_yet(self):
        daemon = self.daemon(ON)
        self.open(daemon, [b'hello'])
        self.ask(daemon, get('/'))
        wait_entry(daemon)
        self.assertEqual([entry['status'] for entry in entries(daemon)], [200])

    def test_every_session_of_a_drain_has_its_line_before_the_last_one(self):
        daemon = self.daemon(ON, *LONG)
        peers = [self.open(daemon) for _ in range(200)]
        daemon.send_signal()
        for peer in peers:
            peer.send(close_frame(1000))
        daemon.wait_exit(0)
        self.assertEqual(len(entries(daemon)), 200)


class Switch(Case):
    def test_off_writes_no_line_and_is_what_it_is_without_configuration(self):
        for settings in (['log.access=off'], [], ['log.access=off', 'log.format=json']):
            with self.subTest(settings):
                daemon = self.daemon(*settings)
                self.ask(daemon, get('/'))
                self.ask(daemon, get('/nowhere'))
                self.websocket(daemon).close_socket()
                daemon.wait_log('session closed')
                daemon.stop()
                self.assertEqual(entries(daemon), [])
                self.assertNotIn('"GET', '\n'.join(daemon.lines))

    def test_on_writes_lines_at_every_level_of_the_log(self):
        for level in lastcall.LEVELS:
            with self.subTest(level):
                port = lastcall.free_port()
                quiet = self.daemon(ON, f'log.level={level}', f'server.listen=127.0.0.1:{port}',
                                    wait=False)
                quiet.address = ('127.0.0.1', port)
                lastcall.wait_until(lambda: self.status(quiet) == 200, 10, 'it serves')
                wait_entry(quiet, path='/health/live')
                quiet.send_signal()
                quiet.process.wait(lastcall.scaled(10))

    def test_a_start_writes_none(self):
        """The start takes a connection of its own over, which is nobody's business."""
        daemons = [self.daemon(ON, wait=False) for _ in range(12)]
        for daemon in daemons:
            daemon.ready().stop()
            self.assertEqual(entries(daemon), [])


class Kept(lastcall.Case):
    def test_a_session_keeps_no_more_of_its_request_than_a_line_can_show(self):
        daemon = self.daemon('log.access=on', 'log.level=info')
        long = 'x' * 7000
        headers = [f'User-Agent: {long}', f'Referer: http://x/{long}']
        for _ in range(20):
            self.websocket(daemon).echo()
        before = daemon.status('VmRSS')
        peers = []
        for _ in range(300):
            peer = self.peer(daemon)
            peer.send(upgrade_head(headers=headers))
            peer.read_until(b'\r\n\r\n')
            peers.append(peer)
        each = (daemon.status('VmRSS') - before) / len(peers)
        if lastcall.TIME_FACTOR == 1:  # a sanitizer keeps memory of its own
            self.assertLess(each, 6, 'KB: of 14 that were sent')


if __name__ == '__main__':
    lastcall.main()
