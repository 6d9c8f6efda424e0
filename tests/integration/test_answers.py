#!/usr/bin/python3
"""Fixed answers and redirects, as the daemon gives them."""
import os
import re
import sys
from urllib.parse import urljoin, urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import exchange, request_head

METHODS = ('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS')
OURS = 'http://localhost:8080'  # where a browser thinks that it is

# Keys of a route, and what must be written about them: behind "[route /x]: " or as a whole.
MISTAKES = [
    ({'handler': 'respond', 'status': '199'}, 3,
     'status = 199: too small; allowed: 200 to 599'),
    ({'handler': 'respond', 'status': '101'}, 3,
     'status = 101: too small; allowed: 200 to 599'),
    ({'handler': 'respond', 'status': '600'}, 3,
     'status = 600: too large; allowed: 200 to 599'),
    ({'handler': 'respond', 'status': '204', 'body': 'x'}, 1,
     '[route /x]: status = 204: such an answer has no body; leave body and file out, or write '
     'another status'),
    ({'handler': 'respond', 'status': '304', 'file': '/etc/hostname'}, 1,
     '[route /x]: status = 304: such an answer has no body; leave body and file out, or write '
     'another status'),
    ({'handler': 'respond', 'file': '/nowhere/at/all'}, 1,
     '[route /x]: file = /nowhere/at/all: does not exist'),
    ({'handler': 'respond', 'file': '/dev/zero'}, 1,
     '[route /x]: file = /dev/zero: is a device, not a file'),
    ({'handler': 'respond', 'file': '/etc/hostname', 'body': 'x'}, 1,
     '[route /x]: file = /etc/hostname: body is given too; leave one of the two out'),
    ({'handler': 'respond', 'type': 'html'}, 1,
     '[route /x]: type = html: no media type: write TYPE/SUBTYPE, and parameters behind a '
     'semicolon, as in text/html; charset=utf-8'),
    ({'handler': 'respond', 'header': 'Cache-Control no-store'}, 1,
     '[route /x]: header = Cache-Control no-store: no header: write Name: value, without a blank '
     'before the colon, and | between two'),
    ({'handler': 'respond', 'header': 'A: b | Content-Length: 5'}, 1,
     '[route /x]: header = Content-Length: the server sets it'),
    ({'handler': 'respond', 'header': 'Content-Type: a/b'}, 1,
     '[route /x]: header = Content-Type: write the key type instead'),
    ({'handler': 'respond', 'header': 'A: b |'}, 1,
     '[route /x]: header = A: b |: nothing is written on one side of a |'),
    ({'handler': 'redirect'}, 1,
     '[route /x]: the handler redirect needs the key to; allowed: 1 to 4000 bytes'),
    ({'handler': 'redirect', 'to': '/a', 'status': '300'}, 4,
     'status = 300: did you mean 301? allowed: 301, 302, 303, 307 or 308'),
    ({'handler': 'redirect', 'to': 'https://example.org$rest'}, 1,
     '[route /x]: to = https://example.org$rest: $rest would become a part of the host; write a '
     'slash before it'),
    ({'handler': 'redirect', 'to': 'https://example.org$$rest'}, 1,
     '[route /x]: to = https://example.org$rest: $rest would become a part of the host; write a '
     'slash before it'),
    ({'handler': 'redirect', 'to': '/$uri'}, 1,
     '[route /x]: to = /$uri: there are $path, $rest and $query, and no others; write %24 for a '
     'dollar'),
    ({'handler': 'redirect', 'to': 'example.org'}, 1,
     '[route /x]: to = example.org: write a path that begins with one slash, or http://HOST/... or '
     'https://HOST/...'),
    ({'handler': 'redirect', 'to': '//example.org'}, 1,
     '[route /x]: to = //example.org: two slashes would begin with a host; write one slash, or '
     'https://HOST/...'),
    ({'handler': 'redirect', 'to': '$path$query'}, 1,
     '[route /x]: to = $path$query: it leads every request back to itself, for ever; write another '
     'path, or https://HOST$path'),
    ({'handler': 'redirect', 'to': 'https://example.org:65536/'}, 1,
     '[route /x]: to = https://example.org:65536/: a port is a number from 1 to 65535; write '
     'https://HOST:PORT/...'),
    ({'handler': 'redirect', 'to': '/ü'}, 1,
     '[route /x]: to = /ü: it holds a byte that no URL can hold; write it as % and two '
     'hexadecimal digits'),
    ({'handler': 'redirect', 'to': '/a', 'body': 'x'}, 4,
     'body: no such key for the handler redirect; '),
    ({'handler': 'respond', 'to': '/a'}, 3,
     'to: no such key for the handler respond; '),
]


class Configuration(lastcall.Case):
    def write(self, text):
        path = os.path.join(self.directory(), 'some.ini')
        with open(path, 'w') as file:
            file.write(text)
        return path

    def test_a_wrong_value_is_named_with_its_line_and_what_is_allowed(self):
        for keys, line, message in MISTAKES:
            with self.subTest(keys):
                path = self.write('[route /x]\n' + ''.join(f'{k} = {v}\n' for k, v in keys.items()))
                _, stderr = self.run_program('-c', path, '-t', expect=78)
                self.assertEqual(stderr.count('\n'), 1, stderr)
                expected = f'{path}:{line}: {message}'
                if message.endswith(' '):  # a list of keys follows, which may grow
                    self.assertTrue(stderr.startswith(expected), stderr)
                else:
                    self.assertEqual(stderr, expected + '\n')

    def test_a_wrong_value_also_stops_a_start(self):
        path = self.write('[server]\nlisten = 127.0.0.1:0\n[route /x]\nhandler = redirect\nto = a\n')
        _, stderr = self.run_program('-c', path, expect=78)
        self.assertIn(f'{path}:3: [route /x]: to = a: ', stderr)

    def test_what_is_dumped_is_a_fixed_point_of_itself(self):
        path = self.write('[route /a/*]\nhandler = redirect\n'
                          'to = https://example.org/$rest?a=$$path$query#top\nstatus = 308\n'
                          '[route /b]\nhandler = respond\nstatus = 503\ntype = text/html\n'
                          'body = "<p title=""a;b"">${LASTCALL_TEST} $$5 $$word"\n'
                          'header = "Retry-After: 60 | X-A: b;c"\n'
                          '[route /c]\nhandler = respond\nfile = /etc/hostname\n')
        environment = {'LASTCALL_TEST': 'of $path and "more"'}
        first, _ = self.run_program('-c', path, '-T', expect=0, environment=environment)
        second, _ = self.run_program('-c', self.write(first), '-T', expect=0)
        self.assertEqual(first, second)
        for line in ('to = "https://example.org/$rest?a=$path$query#top"', 'status = 308',
                     'body = "<p title=""a;b"">of $path and ""more"" $$5 $word"',
                     'header = "Retry-After: 60 | X-A: b;c"', 'file = /etc/hostname'):
            self.assertIn(f'\n{line}\n', first)

    def test_help_shows_both_with_their_keys(self):
        shown, _ = self.run_program('-h', 'handlers', expect=0)
        for handler, keys in (('redirect', ('to', 'status')),
                              ('respond', ('status', 'type', 'body', 'file', 'header'))):
            part = re.search(rf'(?ms)^{handler}$(.*?)(?=^\S|\Z)', shown).group(1)
            self.assertEqual(tuple(re.findall(r'(?m)^  (\w+)$', part)), keys)


class Respond(lastcall.Case):
    def start(self, **routes):
        return self.daemon(routes={f'/{name}': {'handler': 'respond', **keys}
                                   for name, keys in routes.items()})

    def test_the_answer_is_what_is_configured_whatever_the_method(self):
        daemon = self.start(down={'status': '503', 'type': 'text/html', 'body': '<p>later',
                                  'header': 'Retry-After: 60 | X-Why: a, b'})
        for method in METHODS:
            with self.subTest(method):
                answer = daemon.get('/down', method, headers=['Content-Length: 0'])
                self.assertEqual(
                    (answer.status, answer.header('content-type'), answer.body,
                     answer.header('retry-after'), answer.header('x-why')),
                    (503, 'text/html', b'<p>later', '60', 'a, b'))

    def test_a_request_with_a_body_is_answered_too(self):
        daemon = self.start(ok={'body': 'thanks'})
        for length in (1, 100000):
            raw = request_head('/ok', 'POST', [f'Content-Length: {length}', 'Connection: close'])
            self.assertEqual(exchange(daemon.address, raw + b'x' * length).body, b'thanks')

    def test_head_gets_the_headers_alone(self):
        answer = self.start(ok={'body': 'hello'}).get('/ok', 'HEAD')
        self.assertEqual((answer.status, answer.header('content-length'), answer.body),
                         (200, '5', b''))

    def test_without_keys_it_is_an_empty_200(self):
        answer = self.start(ok={}).get('/ok')
        self.assertEqual((answer.status, answer.header('content-type'), answer.body),
                         (200, 'text/plain; charset=utf-8', b''))

    def test_an_answer_that_has_no_body_has_none(self):
        daemon = self.start(**{f'r{status}': {'status': status} for status in (204, 205, 304)})
        for status in (204, 205, 304):
            with self.subTest(status):
                answer = daemon.get(f'/r{status}')
                self.assertEqual((answer.status, answer.header('content-type'), answer.body),
                                 (status, None, b''))

    def test_a_file_is_read_once_and_sent_byte_for_byte(self):
        path = os.path.join(self.directory(), 'body')
        content = b'\0' + os.urandom((1 << 20) - 1)
        with open(path, 'wb') as file:
            file.write(content)
        daemon = self.start(body={'file': path, 'type': 'application/octet-stream'})
        os.unlink(path)
        for _ in range(2):
            self.assertEqual(daemon.get('/body').body, content)

    def test_variables_come_from_the_environment(self):
        daemon = self.daemon(
            routes={'/who': {'handler': 'respond', 'body': '${LASTCALL_TEST} ${LASTCALL_NO:-none}',
                             'header': 'X-Who: ${LASTCALL_TEST}'}},
            environment={'LASTCALL_TEST': 'blue'})
        answer = daemon.get('/who')
        self.assertEqual((answer.body, answer.header('x-who')), (b'blue none', 'blue'))


class Redirect(lastcall.Case):
    def start(self, to, route='/*', **keys):
        return self.daemon(routes={'/': None, route: {'handler': 'redirect', 'to': to, **keys}})

    def location(self, daemon, target):
        """Where one is led who asks for `target`, given as raw bytes."""
        raw = b'GET ' + target + b' HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
        answer = exchange(daemon.address, raw, lastcall.scaled(10))
        self.assertEqual((answer.status, answer.body), (302, b''))
        self.assertIsNone(answer.header('set-cookie'))
        return answer.header('location')

    def test_path_rest_and_query_go_where_they_are_written(self):
        for to, target, location in (
                ('https://example.org$path$query', b'/old/a?x=1', 'https://example.org/old/a?x=1'),
                ('https://example.org/new/$rest', b'/old/a?x=1', 'https://example.org/new/a'),
                ('/new/$$rest$$query', b'/old/a/b', '/new/a/b'),
                ('/new?from=$path$query', b'/old/a%26b?x=1', '/new?from=/old/a%26b&x=1'),
                ('/new', b'/old/a?x=1', '/new')):
            with self.subTest(to):
                self.assertEqual(self.location(self.start(to, '/old/*'), target), location)

    def test_every_status_is_sent_whatever_the_method(self):
        for status in (301, 302, 303, 307, 308):
            daemon = self.start('/new', status=status)
            for method in METHODS + ('HEAD',):
                with self.subTest(f'{status} {method}'):
                    answer = daemon.get('/old', method, headers=['Content-Length: 0'])
                    self.assertEqual((answer.status, answer.header('location')), (status, '/new'))

    def test_no_path_leads_to_another_host_nor_into_the_headers(self):
        paths = (b'//evil.com', b'///evil.com', b'/\\evil.com', b'/%5cevil.com', b'/%2fevil.com',
                 b'/%2f%2fevil.com', b'//%5cevil.com/..', b'/%09/evil.com', b'/.//evil.com',
                 b'/x/..//evil.com', b'/;@evil.com', b'/@evil.com', b'/https://evil.com',
                 b'/%0d%0aSet-Cookie:%20a=b', b'/%0aSet-Cookie:%20a=b', b'/%e2%81%84evil.com',
                 b'/%e5%98%8a%e5%98%8dSet-Cookie:%20a=b', b'/%252f%252fevil.com')
        for to in ('$path/', '/$rest', '$path/$query', '/$rest/', 'http://localhost:8080$path'):
            daemon = self.start(to)
            for path in paths:
                with self.subTest(f'{to} {path}'):
                    location = self.location(daemon, path + b'?//evil.com')
                    self.assertRegex(location, r'\A[!-\[\]-~]+\Z')
                    end = urlsplit(urljoin(OURS + '/x', location))
                    self.assertEqual(f'{end.scheme}://{end.netloc}', OURS)

    def test_the_path_is_encoded_again(self):
        self.assertEqual(self.location(self.start('/n$path'), b'/a%20b/%C3%BC/%25/%22%27%3Cq'),
                         '/n/a%20b/%C3%BC/%25/%22%27%3Cq')

    def test_the_query_goes_on_as_it_was_sent_and_what_no_url_can_hold_encoded(self):
        daemon = self.start('/n$query')
        self.assertEqual(self.location(daemon, b'/a?q=%41&r="\'<>|\\&s=1?/:[]'),
                         '/n?q=%41&r=%22%27%3C%3E%7C%5C&s=1?/:[]')
        for target in (b'/a?\xc3\xbc', b'/\xc3\xbc', b'/a?\x01', b'/a?\x80'):
            raw = b'GET ' + target + b' HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
            answer = exchange(daemon.address, raw, lastcall.scaled(10))
            self.assertIn(answer.status, (302, 400))
            self.assertRegex(answer.header('location') or '/', r'\A[!-~]+\Z')

    def test_an_address_that_is_too_long_is_414(self):
        daemon = self.start('/n$path$query')
        self.assertEqual(self.location(daemon, b'/a?' + b'q' * 7995), '/n/a?' + 'q' * 7995)
        self.assertEqual(daemon.get('/a?' + 'q' * 7996).status, 414)
        self.assertEqual(daemon.get('/' + '%01' * 3000).status, 414)

    def test_an_upgrade_request_is_led_on_too(self):
        headers = ['Upgrade: websocket', 'Sec-WebSocket-Version: 13',
                   'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Connection: Upgrade']
        raw = request_head('/old', headers=headers)
        answer = exchange(self.start('/new', status=307).address, raw)
        self.assertEqual((answer.status, answer.header('location')), (307, '/new'))


if __name__ == '__main__':
    lastcall.main()
