#!/usr/bin/python3
"""Parts of files: a range gives its bytes and no others, and what is no range changes nothing."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import Response, request_head

SMALL = b'0123456789'
LARGE = 3 << 20  # more than is copied on its way

# Each is answered as if it were not there, with everything (RFC 9110, section 14.2), or refused.
IGNORED = (
    '', 'bytes', 'bytes=', 'bytes=-', 'bytes=--', 'bytes=---', 'bytes=--1', 'bytes=-1-', 'bytes=1',
    'bytes=1--', 'bytes=1--2', 'bytes=a-b', 'bytes=0-b', 'bytes=a-9', 'bytes=0x0-0x9', 'bytes=0h-9',
    'bytes=+0-9', 'bytes=0-+9', 'bytes=-+1', 'bytes=0--9', 'bytes=5-3', 'bytes=1-0',
    'bytes=99999999999999999999-0', 'bytes=18446744073709551615-1', 'bytes=0-1,3-4', 'bytes=0-1,',
    'bytes=,0-1', 'bytes=,', 'bytes=0-1, 3-4', 'bytes=0-0,-1', 'bytes=0-9,0-9,0-9', 'bytes=9-9,0-0',
    'bytes=0-1,99-', 'bytes=99-,0-1', 'bytes=0-1;3-4', 'bytes=0-1-2', 'bytes=0-1x', 'bytes=0-1 x',
    'bytes=0 -1', 'bytes=0- 1', 'bytes= 0-1', 'bytes =0-1', 'bytes:0-1', 'bytes 0-1',
    'bytes 0-1/10', 'bytes==0-1', 'bytes=0-1=', 'byte=0-1', 'bytess=0-1', 'items=0-1', 'lines=1-2',
    'seconds=0-1', 'none', '=0-1', '0-1', '-1', '-', '=', '*', 'bytes=*', 'bytes=0-*', 'bytes=*-1',
    'bytes=*/10', 'bytes=1.5-3', 'bytes=1e0-2', 'bytes=0,5-3', 'bytes="0-1"', "bytes='0-1'",
    'bytes=(0-1)', 'bytes=%30-1', 'bytes=0%2D1', 'bytes=0\x961', 'bytes=\xb2-\xb3', 'bytes=0-\xff',
    'bytes=0\t-1', 'bytes=0-\x01', 'bytes=0-1\x00', 'bytes=NaN-', 'bytes=inf-', 'bytes=-inf',
    'bytes=null-1', 'bytes=0-1\r', 'bytes=../../etc/passwd', 'bytes=%s%n%x-', 'bytes={0}-{1}',
    'bytes=' + '0-1,' * 3000 + '0-1', 'bytes=' + '-' * 12000, 'x' * 14000, 'bytes=' + ',' * 9000,
)

UNSATISFIABLE = (
    'bytes=10-', 'bytes=10-10', 'bytes=11-20', 'bytes=-0', 'bytes=-000', 'bytes=2147483648-',
    'bytes=4294967296-', 'bytes=9223372036854775807-', 'bytes=9223372036854775808-',
    'bytes=18446744073709551616-', 'bytes=18446744073709551617-18446744073709551618',
    'bytes=' + '9' * 10000 + '-',
)


class House(lastcall.Case):
    def start(self, *settings):
        self.root = self.directory()
        self.large = random.Random(1).randbytes(LARGE)
        for name, content in (('small', SMALL), ('large', self.large), ('empty', b'')):
            with open(os.path.join(self.root, name), 'wb') as file:
                file.write(content)
        return self.daemon(*settings,
                           routes={'/files/*': {'handler': 'static', 'root': self.root}})

    def ask(self, daemon, name, *headers, method='GET'):
        peer = self.peer(daemon)
        try:
            peer.send(request_head(f'/files/{name}', method, [*headers, 'Connection: close']))
            return Response(peer.read_to_end(), method == 'HEAD')
        finally:
            peer.close_socket()

    def part(self, daemon, name, text, first, last, size):
        """Asks for a part and checks all that a 206 says."""
        answer = self.ask(daemon, name, f'Range: {text}')
        self.assertEqual(answer.status, 206)
        self.assertEqual(answer.header('content-range'), f'bytes {first}-{last}/{size}')
        self.assertEqual(answer.header('accept-ranges'), 'bytes')
        self.assertTrue(answer.header('etag').startswith('"'))
        self.assertIsNotNone(answer.header('last-modified'))
        self.assertEqual(answer.header('cache-control'), 'no-cache')
        self.assertEqual(len(answer.body), last - first + 1)
        return answer.body


class Ranges(House):
    def test_a_range_gives_its_bytes(self):
        daemon = self.start()
        for text, first, last in (('0-0', 0, 0), ('0-9', 0, 9), ('3-5', 3, 5), ('9-9', 9, 9),
                                  ('0-', 0, 9), ('4-', 4, 9), ('9-', 9, 9), ('-1', 9, 9),
                                  ('-10', 0, 9), ('-99', 0, 9), ('2-99', 2, 9),
                                  ('2-' + '9' * 5000, 2, 9), ('-' + '9' * 5000, 0, 9),
                                  ('0' * 5000 + '2-' + '0' * 5000 + '3', 2, 3)):
            for unit in ('bytes', 'Bytes', 'BYTES'):
                with self.subTest(f'{unit}={text}'[:40]):
                    body = self.part(daemon, 'small', f'{unit}={text}', first, last, 10)
                    self.assertEqual(body, SMALL[first:last + 1])

    def test_a_range_of_a_large_file_gives_its_bytes(self):
        daemon = self.start()
        source = random.Random(2)
        cases = [(0, LARGE - 1), (1, LARGE - 1), (0, 0), (LARGE - 1, LARGE - 1), (0, 65535),
                 (0, 65534), (0, 65536), (65535, 65536), (4096, 200000), (LARGE - 70000, LARGE - 1)]
        cases += [tuple(sorted(source.randrange(LARGE) for _ in '12')) for _ in range(40)]
        for first, last in cases:
            with self.subTest(f'{first}-{last}'):
                body = self.part(daemon, 'large', f'bytes={first}-{last}', first, last, LARGE)
                self.assertTrue(body == self.large[first:last + 1])

    def test_a_file_in_random_pieces_is_the_file(self):
        daemon = self.start()
        source, pieces, at = random.Random(3), [], 0
        while at < LARGE:
            last = min(LARGE - 1, at + source.choice((0, 1, 500, 65535, 65536, 300000)))
            pieces.append(self.part(daemon, 'large', f'bytes={at}-{last}', at, last, LARGE))
            at = last + 1
        self.assertTrue(b''.join(pieces) == self.large)

    def test_what_is_no_range_changes_nothing(self):
        self.assertGreaterEqual(len(IGNORED), 60)
        daemon = self.start()
        for text in IGNORED:
            with self.subTest(repr(text[:40])):
                answer = self.ask(daemon, 'small', f'Range: {text}')
                if answer.status != 200:
                    self.assertEqual(answer.status, 400)  # these are no header at all
                    self.assertTrue(set(text) & set('\x00\x01\t\r\x96\xb2\xb3\xff'), text[:40])
                    continue
                self.assertEqual(answer.body, SMALL)
                self.assertIsNone(answer.header('content-range'))

    def test_a_range_behind_the_end_is_416_with_the_length(self):
        daemon = self.start()
        for text in UNSATISFIABLE:
            with self.subTest(text[:40]):
                answer = self.ask(daemon, 'small', f'Range: {text}')
                self.assertEqual(answer.status, 416)
                self.assertEqual(answer.header('content-range'), 'bytes */10')
                self.assertNotIn(b'0123', answer.body)

    def test_of_an_empty_file_all_is_sent(self):
        daemon = self.start()
        for text in ('bytes=0-', 'bytes=-1', 'bytes=0-0', 'bytes=5-', 'bytes=-0'):
            with self.subTest(text):
                answer = self.ask(daemon, 'empty', f'Range: {text}')
                self.assertEqual((answer.status, answer.body), (200, b''))

    def test_random_ranges_give_a_part_that_is_right_or_everything(self):
        daemon = self.start()
        source = random.Random(4)
        for _ in range(600):
            text = 'bytes=' + ''.join(source.choice('0123456789--,= x') for _ in
                                      range(source.randrange(1, 8)))
            with self.subTest(text):
                answer = self.ask(daemon, 'small', f'Range: {text}')
                self.assertIn(answer.status, (200, 206, 416))
                if answer.status == 206:
                    span, size = answer.header('content-range').removeprefix('bytes ').split('/')
                    first, last = map(int, span.split('-'))
                    self.assertEqual(size, '10')
                    self.assertEqual(answer.body, SMALL[first:last + 1])
                elif answer.status == 200:
                    self.assertEqual(answer.body, SMALL)

    def test_head_and_other_methods_know_no_ranges(self):
        daemon = self.start()
        answer = self.ask(daemon, 'small', 'Range: bytes=2-4', method='HEAD')
        self.assertEqual((answer.status, answer.header('content-length')), (200, '10'))
        answer = self.ask(daemon, 'small', 'Range: bytes=99-', method='HEAD')
        self.assertEqual(answer.status, 200)
        answer = self.ask(daemon, 'small', 'Range: bytes=2-4', 'Content-Length: 0', method='POST')
        self.assertEqual(answer.status, 405)
        self.assertEqual(self.ask(daemon, 'none', 'Range: bytes=2-4').status, 404)


class Resuming(House):
    def test_a_download_is_resumed_where_it_broke_off(self):
        daemon = self.start()
        peer = self.peer(daemon, receive_buffer=16384)
        peer.send(request_head('/files/large'))
        head = Response(peer.read_until(b'\r\n\r\n'), head=True)
        begin = peer.read(100000)
        peer.reset()
        answer = self.ask(daemon, 'large', 'Range: bytes=100000-',
                          f'If-Range: {head.header("etag")}')
        self.assertEqual(answer.status, 206)
        self.assertTrue(begin + answer.body == self.large)

    def test_a_download_of_a_file_that_has_changed_begins_again(self):
        daemon = self.start()
        before = self.ask(daemon, 'large')
        with open(os.path.join(self.root, 'large'), 'wb') as file:
            file.write(self.large[::-1])
        for text in ('bytes=1000-', 'bytes=99999999-'):
            answer = self.ask(daemon, 'large', f'Range: {text}',
                              f'If-Range: {before.header("etag")}')
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.body == self.large[::-1])

    def test_if_range_takes_a_date_a_strong_tag_and_nothing_else(self):
        daemon = self.start()
        os.utime(os.path.join(self.root, 'small'), (784111770, 784111770))
        now = self.ask(daemon, 'small')
        tag, date = now.header('etag'), now.header('last-modified')
        for value, status in ((tag, 206), (date, 206), (f'W/{tag}', 200), (f'{tag}, {tag}', 200),
                              ('"other"', 200), ('Sun, 06 Nov 1994 08:49:37 GMT', 200),
                              ('Fri, 31 Dec 9999 23:59:59 GMT', 200), ('*', 200), ('', 200),
                              ('"', 200), ('W/', 200), ('yesterday', 200), ('x' * 10000, 200),
                              ('"' * 10000, 200)):
            with self.subTest(value[:40]):
                answer = self.ask(daemon, 'small', 'Range: bytes=2-4', f'If-Range: {value}')
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.body, SMALL[2:5] if status == 206 else SMALL)

    def test_if_range_does_not_take_the_date_of_a_file_that_may_change_once_more_in_its_second(self):
        daemon = self.start()
        tomorrow = time.time() + 86400  # which counts as now, whenever that is
        os.utime(os.path.join(self.root, 'small'), (tomorrow, tomorrow))
        date = self.ask(daemon, 'small').header('last-modified')
        answer = self.ask(daemon, 'small', 'Range: bytes=2-4', f'If-Range: {date}')
        self.assertEqual((answer.status, answer.body), (200, SMALL))

    def test_readers_that_leave_in_the_middle_of_a_part_leave_nothing_open(self):
        daemon = self.start()
        before = daemon.fd_count()
        for _ in range(30):
            peer = self.peer(daemon, receive_buffer=4096)
            peer.send(request_head('/files/large', headers=['Range: bytes=5-']))
            peer.read_until(b'\r\n\r\n')
            peer.reset()
        lastcall.wait_until(lambda: daemon.fd_count() <= before, 10, 'files are closed')
        self.part(daemon, 'small', 'bytes=0-0', 0, 0, 10)


if __name__ == '__main__':
    lastcall.main()
