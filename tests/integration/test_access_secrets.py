#!/usr/bin/python3
"""What peers send must not be seen in the log where it is secret, nor write lines of its own."""
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from access import entries, from_json, from_text, wait_entry
from door import KEY, ask, origin, upgrade
from peer import WebSocket, close_frame, request_head

ON = 'log.access=on'
FORMS = ('log.format=text', 'log.format=json')
SECRET = 'Hunter2'


def get(path, *headers, method='GET'):
    return request_head(path, method, [*headers, 'Connection: close'])


class Case(lastcall.Case):
    def ask(self, daemon, raw):
        return ask(daemon.address, raw, lastcall.scaled(10))

    def session(self, daemon, raw):
        peer = self.peer(daemon)
        peer.send(raw)
        self.assertIn(b' 101 ', peer.read_until(b'\r\n'))
        peer.send(close_frame(1000))
        peer.read_to_end()


class Secrets(Case):
    TOKEN = f'?token={SECRET}&x={SECRET}'
    PATHS = ('/', '/nowhere', '/echo', '/files/none', '/files/sub', '/files/a.txt', '/health/live',
             '/../..', '/%zz', '/%00', '/' + 'x' * 5000)
    # Questions within questions, and question marks in other words.
    ODD = (f'/nowhere%3Ftoken={SECRET}', f'/nowhere%3f{SECRET}?{SECRET}', f'/%zz%3F{SECRET}',
           f'/files/x%3F{SECRET}', f'/??{SECRET}', f'/?{SECRET}?{SECRET}#{SECRET}', f'/?{SECRET} x',
           f'/../..?{SECRET}', f'/nowhere?%0A{SECRET}')
    HEADERS = (f'Referer: https://a.example/x?token={SECRET}',
               f'Referer: https://user:{SECRET}@a.example/',
               f'Referer: https://a.example/#{SECRET}', f'Referer: /x?{SECRET}',
               f'Referer: ?{SECRET}', f'Referer: user:{SECRET}@a.example',
               f'Cookie: session={SECRET}', f'Authorization: Bearer {SECRET}',
               f'Proxy-Authorization: Basic {SECRET}', f'X-Token: {SECRET}',
               f'Sec-WebSocket-Extensions: x; y={SECRET}',
               f'Origin: https://evil.com/?{SECRET}', f'Sec-WebSocket-Key: {SECRET}',
               f'Sec-WebSocket-Protocol: {SECRET}, {SECRET}')
    HARMLESS = HEADERS[:11]  # an upgrade with these is let in
    UNREADABLE = (f'GET /?{SECRET} HTTP/9.9\r\nHost: x\r\n\r\n', f'GET /?{SECRET}\r\n\r\n',
                  f'NONSENSE /?{SECRET} HTTP/1.1\r\nHost: x\r\n\r\n',
                  f'GET /?{SECRET} HTTP/1.1\r\nCookie {SECRET}\r\n\r\n',
                  f'GET /?{SECRET} HTTP/1.1\r\nHost: x\r\nCookie: {SECRET}\r\n {SECRET}\r\n\r\n',
                  f'GET http://other.example/?{SECRET} HTTP/1.1\r\nHost: other.example\r\n\r\n',
                  f'GET /?{SECRET} HTTP/1.1\r\nX: ' + 'x' * 17000 + '\r\n\r\n')

    def start(self, form):
        root = self.directory()
        os.mkdir(os.path.join(root, 'sub'))
        with open(os.path.join(root, 'a.txt'), 'w') as file:
            file.write('hello')
        return self.daemon(ON, form, routes={
            '/files/*': {'handler': 'static', 'root': root},
            '/chat': {'handler': 'echo', 'subprotocols': 'chat', 'subprotocols_required': 'yes'}})

    def test_no_value_of_a_query_and_no_other_secret_is_ever_printed(self):
        for form in FORMS:
            daemon = self.start(form)
            for path in (*(path + self.TOKEN for path in self.PATHS), *self.ODD):
                self.ask(daemon, get(path))
                self.ask(daemon, get(path, method='POST'))
                self.ask(daemon, upgrade(path=path))
            for header in self.HEADERS:
                for path in ('/', '/nowhere', '/echo', '/chat'):
                    self.ask(daemon, get(path + self.TOKEN, header))
                    self.ask(daemon, upgrade(header, path=path + self.TOKEN))
            for raw in self.UNREADABLE:
                self.ask(daemon, raw.encode())
            self.session(daemon, upgrade(*self.HARMLESS, path='/echo' + self.TOKEN))
            peer = WebSocket(daemon.address, lastcall.scaled(10))
            peer.send(upgrade(*self.HARMLESS, path='/echo' + self.TOKEN))
            peer.finish_handshake(KEY)
            os.kill(daemon.pid, signal.SIGUSR1)
            daemon.send_signal()
            peer.read_close(1001)
            peer.close_socket()
            daemon.wait_exit(0)
            self.assertGreater(len(entries(daemon)), 150)
            shown = [line[:300] for line in daemon.lines if SECRET.lower() in line.lower()]
            self.assertEqual(shown, [], form)

    def test_of_what_is_no_secret_enough_is_left(self):
        daemon = self.start(FORMS[0])
        self.ask(daemon, get('/nowhere' + self.TOKEN, 'Referer: https://u:p@a.example/x?y#z'))
        entry = wait_entry(daemon)
        self.assertEqual((entry['path'], entry['referer']), ('/nowhere', 'https://a.example/x'))
        self.assertEqual(daemon.wait_log('refused')['path'], '/nowhere')


class Injection(Case):
    LINE = '127.0.0.1 - - [01/Jan/2030:00:00:00 +0000] "GET /forged HTTP/1.1" 200 1 "-" "-"'
    PATHS = ('/a%0A' + LINE.replace(' ', '%20').replace('"', '%22'), '/a%0D%0Ab', '/a%0Db',
             '/a%1B[2K%1B[1A', '/a%1B]0;title%07', '/a%9B2K', '/a%C2%9B2Kb', '/a%C2%85b', '/a%7F',
             '/a%08%08', '/a"b', '/a%22%20200%201%20"-"', '/a\\b', '/a%5Cx0Ab', '/a%FF%FE',
             '/a%ED%A0%80', '/a%E2%80%A8b', '/a%E2%80%AEb', '/a%20b=c%20status=200', '/a%00b',
             '/a%22,%22status%22:200,%22x%22:%22', '/' + '%0A' * 1300, '/' + '%22' * 1300,
             '/' + '%C2%9B' * 600, '/ü')
    VALUES = ('"', '\\', '\\"', '" 200 1 "-" "forged', '\\x0A', '\\n', '","status":200,"x":"',
              '{"level":"info","message":"access"}', 'a" level=error message="forged', '\u009b2K',
              '\u0085', '\u2028', '\u202e', b'\xff\xfe', b'\xc2', b'\xed\xa0\x80', b'\xc0\x8a',
              'x' * 9000, '"' * 9000, '\u009b' * 4000, '%0A%0D', '$(reboot)', '-', '=', ' ',
              b'a\nb', b'a\rb', b'a\x1b[2Kb', b'a\x00b', b'a\r\n b', b'a\tb')
    NAMES = ('User-Agent', 'Referer', 'Origin', 'Host', 'X-Forwarded-For', 'Forwarded',
             'Sec-WebSocket-Protocol', 'Sec-WebSocket-Key', 'Cookie')

    def requests(self):
        for path in self.PATHS:
            yield get(path)
            yield upgrade(path=path)
            yield upgrade(origin('https://evil.com'), path='/echo/' + path[1:])
        for value in self.VALUES:
            value = value if isinstance(value, bytes) else value.encode()
            for name in self.NAMES:
                header = name.encode() + b': ' + value
                yield upgrade(header, path='/')
                yield upgrade(header, path='/echo/x')
        for method in ('GET"', 'G\x1bET', 'GET\n', '', '"', 'g' * 5000):
            yield f'{method} / HTTP/1.1\r\nHost: x\r\n\r\n'.encode()
        for version in ('HTTP/1.1"', 'HTTP/1.1 "-" 200', 'HTTP/' + '9' * 5000, 'HTTP/1.\x1b[2K'):
            yield f'GET / {version}\r\nHost: x\r\n\r\n'.encode()

    def test_nothing_that_a_peer_sends_makes_a_line_of_its_own_or_steers_a_terminal(self):
        known = {'refused', 'session opened', 'session closed', 'listening', 'ready', 'route',
                 'signal', 'draining', 'route drained', 'stopped', 'civetweb', 'access'}
        for form in FORMS:
            daemon = self.daemon(ON, form, 'server.trusted_proxies=127.0.0.1',
                                 routes={'/echo/*': {'handler': 'echo'}})
            answers = 0
            for raw in self.requests():
                answers += self.ask(daemon, raw) is not None
            daemon.stop(lastcall.EXIT_DRAINED)
            count = 0
            for line in [raw.rstrip(b'\n') for raw in daemon.raw]:
                with self.subTest(form=form, line=line[:160]):
                    self.assertLessEqual(len(line), 1024)
                    self.assertNotRegex(line, rb'[\x00-\x1f\x7f]')
                    text = line.decode('utf-8', 'strict' if 'json' in form else 'replace')
                    self.assertNotRegex(text, '[\u0080-\u009f]')
                    entry = from_json(text) if text.startswith('{') else from_text(text)
                    event = None if entry else lastcall.parse_line(text)
                    self.assertTrue(entry or event, 'neither a line of this log nor of that one')
                    if entry:
                        count += 1
                        self.assertEqual((entry['address'], entry['status'] == 200
                                          and '/forged' in entry['path']), ('127.0.0.1', False))
                    else:
                        self.assertIn(event['message'].split(' this container')[0],
                                      known | {'only'})
            self.assertGreaterEqual(count, answers)


class SlowReader(Case):
    def test_a_log_that_nobody_reads_holds_up_no_request_and_what_is_lost_is_counted(self):
        path = os.path.join(self.directory(), 'lastcall.ini')
        port = lastcall.free_port()
        with open(path, 'w') as file:
            file.write(lastcall.ini({'server': {'listen': f'127.0.0.1:{port}'},
                                     'log': {'access': 'on', 'level': 'info'}}, lastcall.ROUTES))
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        process = subprocess.Popen([lastcall.PROGRAM, '-c', path], stdin=subprocess.DEVNULL,
                                   stderr=writing)
        os.close(writing)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        address = ('127.0.0.1', port)
        lastcall.wait_until(lambda: self.answers(address), 10, 'it serves')
        began = time.monotonic()
        asked = 1500
        for _ in range(asked):
            self.assertEqual(ask(address, get('/health/live'), lastcall.scaled(10)).status, 200)
        self.assertWithin(time.monotonic() - began, 15.0, 'nobody waited for the log')
        text = []
        reader = threading.Thread(target=lambda: text.append(self.read_all(reading)))
        reader.start()
        process.terminate()
        self.assertEqual(process.wait(lastcall.scaled(10)), 0)
        reader.join(lastcall.scaled(10))
        lines = text[0].decode().splitlines()
        lost = sum(int(number) for number in re.findall(r'log lines lost.* lines=(\d+)', text[0]
                                                        .decode()))
        written = sum('"GET /health/live' in line for line in lines)
        self.assertGreater(lost, 0, 'the queue was never full: nothing was proved')
        self.assertGreaterEqual(written + lost, asked)

    @staticmethod
    def answers(address):
        try:
            answer = ask(address, get('/health/live'), lastcall.scaled(10))
        except OSError:
            return False
        return answer is not None and answer.status == 200

    @staticmethod
    def read_all(descriptor):
        data = b''
        while piece := os.read(descriptor, 1 << 16):
            data += piece
        return data


if __name__ == '__main__':
    lastcall.main()
