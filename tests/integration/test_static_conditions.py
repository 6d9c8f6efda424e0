#!/usr/bin/python3
"""Requests with conditions, files that are packed beside themselves, and headers that nobody
sends."""
import email.utils
import gzip
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import Response, request_head

TEXT = b'some text that is worth packing\n' * 200
THEN = 784111777
DATE = 'Sun, 06 Nov 1994 08:49:37 GMT'
EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT'
LATER = 'Sun, 06 Nov 1994 08:49:38 GMT'


class House(lastcall.Case):
    def start(self, **options):
        self.root = self.directory()
        os.makedirs(os.path.join(self.root, 'sub'))
        self.write('text.html', TEXT)
        self.write('sub/index.html', TEXT)
        self.write('small', b'0123456789')
        return self.daemon(routes={'/files/*': {'handler': 'static', 'root': self.root, **options}})

    def write(self, name, content, when=THEN):
        path = os.path.join(self.root, name)
        with open(path, 'wb') as file:
            file.write(content)
        os.utime(path, (when, when))

    def pack(self, name, when=THEN):
        self.write(f'{name}.gz', gzip.compress(TEXT), when)

    def ask(self, daemon, name, *headers, method='GET'):
        peer = self.peer(daemon)
        try:
            peer.send(request_head(f'/files/{name}', method, [*headers, 'Connection: close']))
            raw = peer.read_to_end()
        finally:
            peer.close_socket()
        answer = Response(raw, method == 'HEAD' or raw.startswith(b'HTTP/1.1 304'))
        return answer

    def tag(self, daemon, name, *headers):
        return self.ask(daemon, name, *headers).header('etag')


class Conditions(House):
    def test_what_a_browser_has_is_not_sent_again(self):
        daemon = self.start()
        first = self.ask(daemon, 'text.html')
        self.assertEqual(first.header('last-modified'), DATE)
        tag = first.header('etag')
        for header in (f'If-None-Match: {tag}', f'If-None-Match: W/{tag}', 'If-None-Match: *',
                       f'If-None-Match: "a", "b,c", W/{tag}', f'If-Modified-Since: {DATE}',
                       f'If-Modified-Since: {LATER}',
                       'If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT',
                       'If-Modified-Since: Sun Nov  6 08:49:37 1994'):
            for method in ('GET', 'HEAD'):
                with self.subTest(f'{method} {header}'):
                    answer = self.ask(daemon, 'text.html', header, method=method)
                    self.assertEqual((answer.status, answer.body), (304, b''))
                    self.assertEqual(answer.header('etag'), tag)
                    self.assertEqual(answer.header('cache-control'), 'no-cache')
                    self.assertIsNotNone(answer.header('date'))
                    self.assertIsNone(answer.header('content-length'))
                    self.assertIsNone(answer.header('content-type'))

    def test_a_change_that_only_nanoseconds_tell_is_seen(self):
        daemon = self.start()
        tag = self.tag(daemon, 'text.html')
        os.utime(os.path.join(self.root, 'text.html'), ns=(THEN * 10**9, THEN * 10**9 + 1))
        answer = self.ask(daemon, 'text.html', f'If-None-Match: {tag}')
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.header('last-modified'), DATE)
        self.assertNotEqual(answer.header('etag'), tag)

    def test_what_has_changed_is_sent(self):
        daemon = self.start()
        for header in ('If-None-Match: "other"', f'If-Modified-Since: {EARLIER}',
                       f'If-None-Match: "other"\r\nIf-Modified-Since: {LATER}',
                       'If-None-Match: ', 'If-None-Match: x', 'If-Modified-Since: yesterday',
                       'If-Modified-Since: 784111777', f'If-Modified-Since: {DATE} {DATE}'):
            with self.subTest(header):
                answer = self.ask(daemon, 'text.html', header)
                self.assertEqual((answer.status, answer.body), (200, TEXT))

    def test_what_the_peer_does_not_want_is_412(self):
        daemon = self.start()
        tag = self.tag(daemon, 'text.html')
        for header, status in (('If-Match: "other"', 412), (f'If-Match: W/{tag}', 412),
                               (f'If-Match: {tag}', 200), ('If-Match: *', 200),
                               (f'If-Match: "other", {tag}', 200), ('If-Match: ', 412),
                               (f'If-Unmodified-Since: {EARLIER}', 412),
                               (f'If-Unmodified-Since: {DATE}', 200),
                               ('If-Unmodified-Since: never', 200),
                               (f'If-Match: {tag}\r\nIf-None-Match: {tag}', 304),
                               (f'If-Match: "other"\r\nIf-None-Match: {tag}', 412)):
            with self.subTest(header):
                answer = self.ask(daemon, 'text.html', header)
                self.assertEqual(answer.status, status)
                if status == 412:
                    self.assertNotIn(TEXT[:20], answer.body)

    def test_cache_says_how_long(self):
        for value, control in (('0', 'no-cache'), ('1s', 'max-age=1'), ('1h', 'max-age=3600'),
                               ('1500ms', 'max-age=2'), ('8760h', 'max-age=31536000')):
            with self.subTest(value):
                daemon = self.start(cache=value)
                answer = self.ask(daemon, 'small')
                self.assertEqual(answer.header('cache-control'), control)
                again = self.ask(daemon, 'small', f'If-None-Match: {answer.header("etag")}')
                self.assertEqual((again.status, again.header('cache-control')), (304, control))

    def test_a_file_of_tomorrow_is_not_said_to_be_of_tomorrow(self):
        daemon = self.start()
        self.write('small', b'0123456789', 4102444800)
        answer = self.ask(daemon, 'small')
        date = email.utils.parsedate_to_datetime(answer.header('date'))
        changed = email.utils.parsedate_to_datetime(answer.header('last-modified'))
        self.assertLessEqual(changed, date)


class Types(House):
    def test_the_type_follows_the_name_and_is_not_guessed(self):
        daemon = self.start()
        for name, kind in (('a.html', 'text/html; charset=utf-8'),
                           ('a.HTM', 'text/html; charset=utf-8'),
                           ('a.css', 'text/css; charset=utf-8'),
                           ('a.js', 'text/javascript; charset=utf-8'),
                           ('a.mjs', 'text/javascript; charset=utf-8'),
                           ('a.txt', 'text/plain; charset=utf-8'), ('a.json', 'application/json'),
                           ('a.svg', 'image/svg+xml'), ('a.png', 'image/png'),
                           ('a.wasm', 'application/wasm'), ('a.woff2', 'font/woff2'),
                           ('a.min.js', 'text/javascript; charset=utf-8'),
                           ('a.html.nothing', 'application/octet-stream'),
                           ('html', 'application/octet-stream'), ('a.', 'application/octet-stream'),
                           ('a.' + 'x' * 200, 'application/octet-stream'),
                           ('a.html;x', 'application/octet-stream')):
            self.write(name, b'<script>')
            with self.subTest(name):
                answer = self.ask(daemon, name)
                self.assertEqual(answer.header('content-type'), kind)
                self.assertEqual(answer.header('x-content-type-options'), 'nosniff')


class Packed(House):
    def test_who_takes_gzip_gets_the_gz_and_who_does_not_gets_the_file(self):
        daemon = self.start()
        self.pack('text.html')
        for header, packed in (('Accept-Encoding: gzip', True), ('Accept-Encoding: GZIP', True),
                               ('Accept-Encoding: gzip, deflate, br, zstd', True),
                               ('Accept-Encoding: *', True), ('Accept-Encoding: x-gzip', True),
                               ('Accept-Encoding: br;q=1, gzip;q=0.1', True),
                               ('Accept-Encoding: gzip;q=0', False), ('X-None: ', False),
                               ('Accept-Encoding: ', False), ('Accept-Encoding: identity', False),
                               ('Accept-Encoding: br', False), ('Accept-Encoding: *;q=0', False),
                               ('Accept-Encoding: identity, gzip;q=0.5', False),
                               ('Accept-Encoding: gzip;q=nonsense', False)):
            for method in ('GET', 'HEAD'):
                with self.subTest(f'{method} {header}'):
                    answer = self.ask(daemon, 'text.html', header, method=method)
                    self.assertEqual(answer.status, 200)
                    self.assertEqual(answer.header('content-encoding'), 'gzip' if packed else None)
                    self.assertEqual(answer.header('vary'), 'Accept-Encoding')
                    self.assertEqual(answer.header('content-type'), 'text/html; charset=utf-8')
                    if method == 'GET':
                        body = gzip.decompress(answer.body) if packed else answer.body
                        self.assertEqual(body, TEXT)

    def test_each_form_has_its_own_tag_its_own_304_and_its_own_parts(self):
        daemon = self.start()
        self.pack('text.html')
        accept = 'Accept-Encoding: gzip'
        plain, packed = self.tag(daemon, 'text.html'), self.tag(daemon, 'text.html', accept)
        self.assertNotEqual(plain, packed)
        for header, tag, status in ((accept, packed, 304), (accept, plain, 200),
                                    ('X: ', plain, 304), ('X: ', packed, 200),
                                    (accept, f'{plain}, {packed}', 304)):
            answer = self.ask(daemon, 'text.html', header, f'If-None-Match: {tag}')
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.header('vary'), 'Accept-Encoding')
        whole = self.ask(daemon, 'text.html', accept).body
        part = self.ask(daemon, 'text.html', accept, 'Range: bytes=5-', f'If-Range: {packed}')
        self.assertEqual((part.status, part.body), (206, whole[5:]))
        self.assertEqual(part.header('content-encoding'), 'gzip')
        self.assertEqual(self.ask(daemon, 'text.html', 'Range: bytes=5-',
                                  f'If-Range: {packed}').status, 200)

    def test_a_gz_that_is_older_than_its_file_is_as_none(self):
        daemon = self.start()
        self.pack('text.html', THEN - 1)
        answer = self.ask(daemon, 'text.html', 'Accept-Encoding: gzip')
        self.assertEqual((answer.body, answer.header('vary')), (TEXT, None))
        self.pack('text.html', THEN + 1)
        answer = self.ask(daemon, 'text.html', 'Accept-Encoding: gzip')
        self.assertEqual(answer.header('content-encoding'), 'gzip')
        self.write('text.html', b'newer', THEN + 2)
        self.assertEqual(self.ask(daemon, 'text.html', 'Accept-Encoding: gzip').body, b'newer')

    def test_without_a_gz_nothing_is_said_about_it(self):
        daemon = self.start()
        answer = self.ask(daemon, 'text.html', 'Accept-Encoding: gzip')
        self.assertEqual((answer.body, answer.header('vary')), (TEXT, None))
        self.pack('alone.html')
        self.assertEqual(self.ask(daemon, 'alone.html', 'Accept-Encoding: gzip').status, 404)
        itself = self.ask(daemon, 'alone.html.gz', 'Accept-Encoding: gzip')
        self.assertEqual(itself.header('content-encoding'), None)
        self.assertEqual(itself.header('content-type'), 'application/gzip')

    def test_an_index_is_packed_as_well(self):
        daemon = self.start()
        self.pack('sub/index.html')
        answer = self.ask(daemon, 'sub/', 'Accept-Encoding: gzip')
        self.assertEqual(gzip.decompress(answer.body), TEXT)
        self.assertEqual(answer.header('content-type'), 'text/html; charset=utf-8')

    def test_a_gz_that_leads_out_or_is_no_file_is_as_none(self):
        daemon = self.start()
        beside = os.path.join(self.root, 'text.html.gz')
        for make in (lambda: os.symlink('/etc/passwd', beside), lambda: os.mkfifo(beside),
                     lambda: os.symlink('text.html.gz', beside), lambda: os.mkdir(beside)):
            make()
            answer = self.ask(daemon, 'text.html', 'Accept-Encoding: gzip')
            self.assertEqual((answer.status, answer.body), (200, TEXT))
            self.assertIsNone(answer.header('vary'))
            (os.rmdir if os.path.isdir(beside) else os.unlink)(beside)


class OddHeaders(House):
    NAMES = ('Range', 'If-Range', 'If-Match', 'If-None-Match', 'If-Modified-Since',
             'If-Unmodified-Since', 'Accept-Encoding')

    def check(self, answer, what):
        self.assertIn(answer.status, (200, 206, 304, 400, 412, 416, 431), what)
        if answer.status == 200:
            self.assertEqual(answer.body, b'0123456789', what)
        elif answer.status == 206:
            self.assertIn(answer.body, b'0123456789', what)

    def test_huge_headers_are_answered(self):
        daemon = self.start()
        for name in self.NAMES:
            for value in ('x' * 15000, '"' * 15000, '"a",' * 3700, ',' * 15000, ' ' * 15000,
                          'gzip,' * 3000, 'gzip;q=0.' + '1' * 14000, 'bytes=' + '1' * 14000,
                          'W/' * 7000, '*' * 15000, 'Sun, ' * 3000):
                with self.subTest(f'{name}: {value[:10]}'):
                    self.check(self.ask(daemon, 'small', f'{name}: {value}'), name)

    def test_more_headers_than_there_is_room_for_are_answered(self):
        daemon = self.start()
        for count in (60, 64, 65, 200):
            headers = [f'X-{number}: y' for number in range(count)]
            self.check(self.ask(daemon, 'small', *headers, 'Range: bytes=0-1'), count)

    def test_every_byte_in_every_header_is_answered(self):
        daemon = self.start()
        for name in self.NAMES:
            for byte in range(256):
                if byte in (10, 13):
                    continue  # these end the header
                head = f'GET /files/small HTTP/1.1\r\nHost: x\r\n{name}: '.encode()
                peer = self.peer(daemon)
                peer.send(head + bytes([byte]) + b'\r\n\r\n')
                raw = peer.read_to_end()
                peer.close_socket()
                self.check(Response(raw, raw.startswith(b'HTTP/1.1 304')), (name, byte))

    def test_random_headers_are_answered(self):
        daemon = self.start()
        tag = self.tag(daemon, 'small')
        source = random.Random(5)
        pieces = (tag, 'W/', '"', ',', ' ', '*', 'bytes=', '0-', '-', '5', 'gzip', ';q=', '0', '.5',
                  DATE, DATE[:12], 'GMT', '\xff', 'identity', '=', ':')
        for _ in range(500):
            headers = [name + ': ' + ''.join(source.choices(pieces, k=source.randrange(6)))
                       for name in source.sample(self.NAMES, source.randrange(1, 5))]
            self.check(self.ask(daemon, 'small', *headers), headers)


if __name__ == '__main__':
    lastcall.main()
