#!/usr/bin/python3
"""Which pages may open a WebSocket: every way to pass for one of them, from the outside."""
import os
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from door import KEY, ask, count_of, origin, upgrade
from origins import BELOW, EXACT, NOT_BELOW, NO_HOST, NOT_EXACT, NOT_SAME, RIGHT
from peer import WebSocket, request_head

EVIL = 'https://evil.com'
BROWSER = shutil.which('chromium')

# One request each that could make its Origin be missed, or another one be seen.
HIDING = [
    ('twice the right one', upgrade(*[origin('https://example.org')] * 2)),
    ('a right one before it', upgrade(origin('https://example.org'), origin(EVIL))),
    ('a right one behind it', upgrade(origin(EVIL), origin('https://example.org'))),
    ('an empty one before it', upgrade('Origin:', origin(EVIL))),
    ('an empty one behind it', upgrade(origin(EVIL), 'Origin:')),
    ('in small letters', upgrade('origin: https://evil.com')),
    ('in large letters', upgrade('ORIGIN: https://evil.com')),
    ('in both, a right one first', upgrade('ORIGIN: https://example.org', 'origin: ' + EVIL)),
    ('without a blank', upgrade('Origin:https://evil.com')),
    ('before all others', upgrade(before=[origin(EVIL)])),
    ('before Host', upgrade(host=None, before=[origin(EVIL), 'Host: example.org'])),
    ('beside the header of older drafts',
     upgrade('Sec-WebSocket-Origin: https://example.org', origin(EVIL))),
    ('beside a Referer', upgrade('Referer: https://example.org/', origin(EVIL))),
    ('beside a right X-Forwarded-Host',
     upgrade('X-Forwarded-Host: evil.com', 'X-Forwarded-Proto: https', origin(EVIL))),
    ('beside a Forwarded', upgrade('Forwarded: host=evil.com;proto=https', origin(EVIL))),
    ('beside an X-Host', upgrade('X-Host: evil.com', 'X-Original-Host: evil.com', origin(EVIL))),
    ('behind an empty line', b'\r\n' + upgrade(origin(EVIL))),
    ('as the 62nd header', upgrade(*[f'X-{n}: x' for n in range(56)], origin(EVIL))),
    ('behind a very long header', upgrade('Cookie: ' + 'c' * 15000, origin(EVIL))),
]

# These are no requests; whoever takes them all the same must not lose the Origin in them.
NO_REQUESTS = [
    ('with lines that end in LF', upgrade(origin(EVIL), end=b'\n')),
    ('a folded header before it', upgrade('X: a', ' b', origin(EVIL))),
    ('folded', upgrade('Origin: https://example.org', ' .evil.com')),
    ('folded behind its name', upgrade('Origin:', ' ' + EVIL)),
    ('folded with a tab', upgrade('X: a', '\tb', origin(EVIL))),
    ('a blank line of blanks before it', upgrade(' ', origin(EVIL))),
    ('a blank before its name', upgrade(' Origin: ' + EVIL)),
    ('a header without a name before it', upgrade(': x', origin(EVIL))),
    ('a colon before its name', upgrade(':Origin: ' + EVIL)),
    ('a header with a name of odd bytes before it', upgrade(b'\xffX: x', origin(EVIL))),
    ('a name of odd bytes', upgrade(b'\xffOrigin: https://evil.com')),
    ('an odd byte within its name', upgrade(b'Ori\xe2\x80\x8bgin: https://evil.com')),
    ('LF and CR in the wrong order before it', upgrade(b'X: a\n\rY: b', origin(EVIL))),
    ('an empty line of a lone LF before it', upgrade(b'X: a\n', origin(EVIL))),
    ('an empty line of a lone CR before it', upgrade(b'\rX: a', origin(EVIL))),
    ('a lone CR within a header before it', upgrade(b'X: a\rY: b', origin(EVIL))),
    ('a lone CR behind it', upgrade(b'Origin: https://example.org\r.evil.com')),
    ('a header that is none before it', upgrade('nothing', origin(EVIL))),
    ('a zero before it', upgrade(b'X: \0', origin(EVIL))),
    ('a zero within it', upgrade(b'Origin: https://example.org\0.evil.com')),
    ('a zero within its name', upgrade(b'Orig\0in: https://evil.com')),
    ('control bytes within it', upgrade(b'Origin: https://example.org\x01\x08\x7f')),
    ('an escape sequence within it', upgrade(b'Origin: https://example.org\x1b[2K')),
    ('a tab within it', upgrade('Origin: https://exam\tple.org')),
    ('as the 65th header', upgrade(*[f'X-{n}: x' for n in range(59)], origin(EVIL))),
    ('as the 70th header', upgrade(*[f'X-{n}: x' for n in range(64)], origin(EVIL))),
    ('as the 1000th header', upgrade(*[f'X{n}:' for n in range(995)], origin(EVIL))),
    ('behind more than fits', upgrade('Cookie: ' + 'c' * 17000, origin(EVIL))),
    ('longer than fits', upgrade('Origin: https://' + 'a' * 20000 + '.example.org')),
    ('two Hosts', upgrade('Host: evil.com', origin(EVIL), host='example.org')),
    ('two Hosts, the right one last', upgrade('Host: example.org', origin(EVIL), host='evil.com')),
    ('no Host', upgrade(origin(EVIL), host=None)),
    ('a Host of nothing', upgrade(origin('http://'), host='')),
    *[(f'the Host {host}', upgrade(origin(value), host=host)) for host, value in NO_HOST],
]


class Case(lastcall.Case):
    def ask(self, daemon, raw):
        return ask(daemon.address, raw, lastcall.scaled(10))

    def status(self, daemon, raw):
        answer = self.ask(daemon, raw)
        return answer and answer.status

    def start(self, *settings, **origins):
        """A daemon with one route of echo for each list of origins, by name."""
        routes = {f'/{name}': {'handler': 'echo', 'origins': value}
                  for name, value in origins.items()}
        return self.daemon(*settings, routes=routes)


class Bypasses(Case):
    def refused(self, daemon, path, pairs):
        """Each is 403, and /metrics says so too."""
        statuses = []
        for host, value in pairs:
            with self.subTest(origin=value if len(value) < 100 else f'{value[:80]}... long'):
                statuses.append(self.status(daemon, upgrade(origin(value), path=path, host=host)))
                self.assertEqual(statuses[-1], 403)
        metrics = daemon.get('/metrics').text()
        self.assertEqual(count_of(metrics, 'lastcall_refused_total', route=path, reason='origin'),
                         len(pairs))
        self.assertEqual(count_of(metrics, 'lastcall_sessions_opened_total', route=path), 0)

    def test_a_page_that_only_looks_like_one_of_the_list_gets_403(self):
        daemon = self.start(exact=EXACT)
        self.refused(daemon, '/exact', [('example.org', value) for value in NOT_EXACT])

    def test_a_page_that_only_looks_as_if_it_were_below_a_name_gets_403(self):
        self.refused(self.start(below=BELOW), '/below', [('evil.com', v) for v in NOT_BELOW])

    def test_a_page_from_another_host_than_the_one_it_asks_gets_403_without_any_configuration(self):
        self.refused(self.daemon(), '/echo', NOT_SAME)

    def test_null_is_not_let_in_by_a_page_that_is_named(self):
        daemon = self.start(null='null, https://example.org')
        self.refused(daemon, '/null', [('x', value) for value in
                                       ('Null', 'null x', 'nullx', 'null://example.org', '',
                                        'https://null', 'null, https://example.org', 'file://')])

    def test_an_origin_that_hides_in_its_request_is_found_and_gets_403(self):
        daemon = self.daemon(routes={'/echo': {'handler': 'echo', 'origins': EXACT}})
        for name, raw in HIDING:
            with self.subTest(name):
                self.assertEqual(self.status(daemon, raw), 403)

    def test_an_origin_that_hides_in_what_is_no_request_gets_400_or_431(self):
        for origins in ('same', EXACT):
            daemon = self.daemon(routes={'/echo': {'handler': 'echo', 'origins': origins}})
            for name, raw in NO_REQUESTS:
                with self.subTest(name, origins=origins):
                    answer = self.ask(daemon, raw)
                    if answer is None:  # it was longer than what is read, and so ends in a reset
                        self.assertGreater(len(raw), 16384)
                    else:
                        self.assertIn(answer.status, (400, 431), answer.body)
            daemon.stop()
            self.assertEqual(daemon.logged('session opened'), [])

    def test_an_origin_that_comes_byte_by_byte_is_read_whole(self):
        daemon = self.daemon()
        peer = self.peer(daemon)
        for byte in upgrade(origin('http://localhost.evil.com')):
            peer.send(bytes([byte]))
        self.assertIn(b' 403 ', peer.read_until(b'\r\n'))

    def test_a_refusal_says_what_it_is_and_ends_the_connection(self):
        daemon = self.daemon()
        answer = self.ask(daemon, upgrade(origin(EVIL)))
        self.assertEqual((answer.status, answer.header('connection')), (403, 'close'))
        self.assertIn('origin', answer.text())
        for name in ('sec-websocket-accept', 'upgrade', 'access-control-allow-origin'):
            self.assertIsNone(answer.header(name))


class Right(Case):
    def test_the_pages_that_are_meant_are_let_in(self):
        lists = sorted({value for value, _, _ in RIGHT})
        daemon = self.start(**{f'list{n}': value for n, value in enumerate(lists)})
        for value, host, page in RIGHT:
            with self.subTest(origins=value, host=host, page=page[:60]):
                path = f'/list{lists.index(value)}'
                self.assertEqual(self.status(daemon, upgrade(origin(page), path=path, host=host)),
                                 101)

    def test_who_names_no_origin_is_no_browser_and_is_let_in(self):
        daemon = self.start(exact=EXACT, below=BELOW, null='null', any='*')
        for path in ('/echo', '/exact', '/below', '/null', '/any'):
            with self.subTest(path):
                self.assertEqual(self.status(daemon, upgrade(path=path)), 101)

    def test_with_origins_required_who_names_no_origin_gets_403_and_is_told_why(self):
        required = {'handler': 'echo', 'origins_required': 'yes'}
        daemon = self.daemon(routes={'/echo': required, '/any': {**required, 'origins': '*'}})
        for path in ('/echo', '/any'):
            with self.subTest(path):
                answer = self.ask(daemon, upgrade(path=path))
                self.assertEqual(answer.status, 403)
                self.assertIn('Origin', answer.text())
                self.assertEqual(
                    self.status(daemon, upgrade(origin('http://localhost'), path=path)), 101)
                line = daemon.wait_log('refused', route=path, status=403)
                self.assertIn('Origin', line['why'])
        self.assertEqual(self.status(daemon, upgrade(origin(EVIL))), 403)

    def test_what_is_no_websocket_is_asked_for_no_origin(self):
        daemon = self.daemon()
        for path in ('/', '/metrics', '/health/live'):
            with self.subTest(path):
                plain = request_head(path, headers=[f'Origin: {EVIL}', 'Connection: close'])
                self.assertEqual(self.status(daemon, plain), 200)
                self.assertEqual(self.status(daemon, upgrade(origin(EVIL), path=path)), 200)
        self.assertEqual(self.status(daemon, upgrade(origin(EVIL), path='/nowhere')), 404)


class Proxies(Case):
    ROUTES = {'/list': {'handler': 'echo', 'origins': 'https://app.example'}}

    def open(self, daemon, page, *lines, path='/echo'):
        return self.status(daemon, upgrade(origin(page), *lines, path=path, host='backend:8081'))

    def test_the_host_that_a_trusted_proxy_tells_is_the_one_that_was_asked(self):
        daemon = self.daemon('server.trusted_proxies=127.0.0.1')
        for page, lines, wanted in (
                ('https://app.example', ['X-Forwarded-Host: app.example'], 101),
                ('https://app.example:8443', ['X-Forwarded-Host: app.example:8443'], 101),
                ('http://backend:8081', ['X-Forwarded-Host: app.example'], 403),
                (EVIL, ['X-Forwarded-Host: app.example'], 403),
                (EVIL, ['X-Forwarded-Host: evil.com, app.example'], 403),
                (EVIL, ['X-Forwarded-Host: evil.com', 'X-Forwarded-Host: app.example'], 403),
                ('https://app.example', ['X-Forwarded-Host: evil.com, app.example'], 101),
                ('https://app.example', ['Forwarded: for=192.0.2.1;host=app.example'], 101),
                (EVIL, ['Forwarded: host=evil.com, for=192.0.2.1;host=app.example'], 403),
                (EVIL, ['Forwarded: host=evil.com', 'X-Forwarded-Host: app.example'], 403),
                (EVIL, ['X-Forwarded-Host: evil.com/'], 403),
                ('http://backend:8081', ['X-Forwarded-Host: evil.com/'], 101),
                ('http://backend:8081', [], 101),
                (EVIL, ['X-Forwarded-For: 192.0.2.1', 'Forwarded: host=evil.com'], 403),
                (EVIL, ['Forwarded: host="evil.com'], 403),
                (EVIL, ['X-Forwarded-Server: evil.com', 'X-Original-Host: evil.com'], 403)):
            with self.subTest(page=page, lines=lines):
                self.assertEqual(self.open(daemon, page, *lines), wanted)

    def test_the_host_that_anybody_else_tells_is_not_listened_to(self):
        for settings in ([], ['server.trusted_proxies=10.0.0.0/8, ::1, 127.0.0.2']):
            daemon = self.daemon(*settings)
            for line in ('X-Forwarded-Host: evil.com', 'Forwarded: host=evil.com'):
                with self.subTest(line, settings=settings):
                    self.assertEqual(self.open(daemon, EVIL, line), 403)
                    self.assertEqual(self.open(daemon, 'http://backend:8081', line), 101)

    def test_a_list_of_pages_needs_no_proxy_that_tells_the_host(self):
        daemon = self.daemon(routes=self.ROUTES)
        self.assertEqual(self.open(daemon, 'https://app.example', path='/list'), 101)
        self.assertEqual(self.open(daemon, 'http://backend:8081', path='/list'), 403)


class Log(Case):
    def test_the_line_of_a_403_names_the_origin_and_the_address(self):
        for form in ('text', 'json'):
            daemon = self.daemon(f'log.format={form}')
            peer = self.peer(daemon)
            peer.send(upgrade(origin(EVIL)))
            peer.read_to_end()
            line = daemon.wait_log('refused')
            self.assertEqual((line['origin'], line['status'], line['route'], line['address']),
                             (EVIL, 403, '/echo', peer.name()))
            self.assertEqual(line['level'], 'info')

    def test_a_long_path_or_origin_pushes_nothing_out_of_the_line(self):
        for form in ('text', 'json'):
            daemon = self.daemon(f'log.format={form}', routes={'/echo/*': {'handler': 'echo'}})
            for tail, page in (('x' * 4000, EVIL), ('%01' * 1300, EVIL),
                               ('x', EVIL + '.' + 'a' * 9000), ('%FF"' * 900, 'a"\\' * 3000)):
                with self.subTest(form=form, tail=tail[:6], page=page[:20]):
                    count = len(daemon.logged('refused'))
                    self.ask(daemon, upgrade(origin(page), path='/echo/' + tail))
                    line = daemon.wait_log('refused', count + 1)
                    self.assertEqual((line['status'], line['route']), (403, '/echo/*'))
                    self.assertTrue(line['origin'].startswith(page[:20]), line)
                    self.assertIn('origin', line['why'])


class Default(Case):
    """What is served without a file of one's own."""

    def start_default(self):
        return self.daemon(plain=True, arguments=('-s', 'log.level=debug'))

    def test_the_page_may_open_what_it_asks_for_and_other_pages_may_not(self):
        daemon = self.start_default()
        here = 'http://%s:%d' % daemon.address
        page = daemon.get('/').text()
        self.assertIn('location.origin.replace(/^http/, "ws") + "/echo"', page)
        peer = WebSocket(daemon.address, lastcall.scaled(10))
        self.addCleanup(peer.close_socket)
        peer.send(upgrade(origin(here), host=here[7:]))
        peer.finish_handshake(KEY)
        peer.echo()
        self.assertEqual(self.status(daemon, upgrade(origin(EVIL), host=here[7:])), 403)

    def browse(self, address, path):
        """A browser that shows what is there."""
        process = subprocess.Popen(
            [BROWSER, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
             '--no-first-run', '--remote-debugging-port=0', f'--user-data-dir={self.directory()}',
             'http://%s:%d%s' % (*address, path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

        def stop():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.addCleanup(stop)

    @unittest.skipUnless(BROWSER, '*** chromium is not here: no real browser was asked ***')
    def test_a_browser_opens_it_from_its_own_page_and_not_from_another_one(self):
        daemon = self.start_default()
        self.browse(daemon.address, '/')
        daemon.wait_log('session opened', route='/echo', timeout=60)
        self.assertEqual(daemon.logged('refused', route='/echo'), [])
        root = self.directory()
        with open(os.path.join(root, 'evil.html'), 'w') as file:
            file.write('<script>const s = new WebSocket("ws://%s:%d/echo"), say = what =>'
                       'fetch("/said/" + what); s.onopen = () => say("open");'
                       's.onerror = () => say("refused");</script>' % daemon.address)
        other = self.daemon(routes={'/*': {'handler': 'static', 'root': root}},
                            arguments=('-s', 'log.access=on'))
        self.browse(other.address, '/evil.html')
        line = daemon.wait_log('refused', route='/echo', timeout=60)
        self.assertEqual((line['status'], line['origin']), (403, 'http://%s:%d' % other.address))
        lastcall.wait_until(lambda: any('/said/' in line for line in other.lines), 20, 'the page')
        self.assertEqual([line for line in other.lines if '/said/open' in line], [])


if __name__ == '__main__':
    lastcall.main()
