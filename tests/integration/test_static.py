#!/usr/bin/python3
"""Files below the root, and nothing else."""
import os
import sys
from urllib.parse import urljoin

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import exchange

SECRET = b'this must never leave the house'


class Static(lastcall.Case):
    def start(self):
        house = self.directory()
        self.root = os.path.join(house, 'root')
        os.makedirs(os.path.join(self.root, 'sub'))
        os.makedirs(os.path.join(house, 'rootless'))
        for name, content in (('a.txt', b'plain text\n'), ('sub/b.html', b'<p>hello'),
                              ('a b.txt', b'blank'), ('empty', b''), ('ü.txt', 'ü'.encode()),
                              ('big', os.urandom(3 << 20)), ('../secret', SECRET),
                              ('../rootless/secret', SECRET), ('data.json', b'{}')):
            with open(os.path.join(self.root, name), 'wb') as file:
                file.write(content)
        os.symlink(os.path.join(house, 'secret'), os.path.join(self.root, 'link'))
        os.symlink('../secret', os.path.join(self.root, 'relative'))
        os.symlink(house, os.path.join(self.root, 'out'))
        os.mkfifo(os.path.join(self.root, 'fifo'))
        return self.daemon(routes={'/files/*': {'handler': 'static', 'root': self.root}})

    def content(self, name):
        with open(os.path.join(self.root, name), 'rb') as file:
            return file.read()

    def test_a_file_is_served_whole_with_its_length(self):
        daemon = self.start()
        for path, name in (('a.txt', 'a.txt'), ('sub/b.html', 'sub/b.html'), ('empty', 'empty'),
                           ('a%20b.txt', 'a b.txt'), ('%C3%BC.txt', 'ü.txt'), ('big', 'big'),
                           ('a.txt?query=1', 'a.txt'), ('sub/../a.txt', 'a.txt')):
            with self.subTest(path):
                answer = daemon.get(f'/files/{path}')
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.body, self.content(name))
                self.assertEqual(int(answer.header('content-length')), len(answer.body))

    def test_the_type_follows_the_name(self):
        daemon = self.start()
        for path, kind in (('a.txt', 'text/plain'), ('sub/b.html', 'text/html'),
                           ('data.json', 'application/json')):
            self.assertTrue(daemon.get(f'/files/{path}').header('content-type').startswith(kind))

    def test_head_tells_the_length_and_sends_nothing(self):
        daemon = self.start()
        head = daemon.get('/files/a.txt', 'HEAD')
        self.assertEqual((head.status, head.header('content-length')), (200, '11'))
        self.assertEqual(daemon.get('/files/none', 'HEAD').status, 404)

    def test_what_is_not_there_is_404(self):
        daemon = self.start()
        for path in ('none', 'sub/none', 'a.txt/below', 'A.TXT', '%20', 'x' * 300):
            with self.subTest(path):
                self.assertEqual(daemon.get(f'/files/{path}').status, 404)

    def test_what_is_no_file_is_not_served(self):
        daemon = self.start()
        for path in ('', 'sub', 'sub/', 'fifo'):
            with self.subTest(path):
                answer = daemon.get(f'/files/{path}')
                self.assertIn(answer.status, (301, 403, 404))
                if answer.status == 301:
                    self.assertEqual(urljoin(f'/files/{path}', answer.header('location')),
                                     f'/files/{path}/')

    def test_any_method_but_get_and_head_is_405_and_allow_names_the_two(self):
        daemon = self.start()
        for method in ('POST', 'PUT', 'DELETE', 'PATCH'):
            with self.subTest(method):
                answer = daemon.get('/files/a.txt', method, headers=['Content-Length: 0'])
                self.assertEqual(answer.status, 405)
                self.assertEqual(sorted(answer.tokens('allow')), ['get', 'head'])
        self.assertEqual(self.content('a.txt'), b'plain text\n')

    def test_no_path_leads_out_of_the_root(self):
        daemon = self.start()
        for path in ('../secret', '../../etc/passwd', '%2e%2e/secret', '..%2fsecret',
                     '%2e%2e%2fsecret', '.%2e/secret', '..%5csecret', '..\\secret',
                     'sub/../../secret', 'sub/%2e%2e/%2e%2e/secret', '%252e%252e/secret',
                     '../rootless/secret', '..//secret', './/../secret', '/etc/passwd',
                     '%2fetc%2fpasswd', 'a.txt%00', '../secret%00.txt', '....//secret',
                     '%c0%ae%c0%ae/secret', 'link', 'relative', 'out/secret', 'out/root/a.txt',
                     '../root/a.txt/../../secret'):
            with self.subTest(path):
                raw = f'GET /files/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
                answer = exchange(daemon.address, raw.encode('latin-1'))
                self.assertNotIn(SECRET, answer.body)
                self.assertNotIn(b'root:', answer.body)
                self.assertNotEqual(answer.status, 200)

    def test_an_absolute_uri_does_not_lead_out_either(self):
        daemon = self.start()
        port = daemon.address[1]
        for path, status in (('a.txt', 200), ('../secret', 404), ('..%2fsecret', 404),
                             ('link', 404), ('relative', 404), ('out/secret', 404)):
            with self.subTest(path):
                raw = f'GET http://x:{port}/files/{path} HTTP/1.1\r\nHost: x:{port}\r\n\r\n'
                answer = exchange(daemon.address, raw.encode())
                self.assertEqual(answer.status, status)
                self.assertNotIn(SECRET, answer.body)

    def test_a_reader_that_leaves_in_the_middle_leaves_nothing_open(self):
        daemon = self.start()
        before = daemon.fd_count()
        for _ in range(30):
            peer = self.peer(daemon, receive_buffer=4096)
            peer.send(b'GET /files/big HTTP/1.1\r\nHost: x\r\n\r\n')
            peer.read_until(b'\r\n\r\n')
            peer.reset()
        lastcall.wait_until(lambda: daemon.fd_count() <= before, 10, 'files are closed')

    def test_two_requests_in_one_write_do_not_confuse_it(self):
        daemon = self.start()
        peer = self.peer(daemon)
        peer.send(b'GET /files/a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' * 2)
        try:
            peer.read_until(b'plain text\n')
        finally:
            peer.close_socket()
        self.assertEqual(daemon.get('/files/a.txt').status, 200)


if __name__ == '__main__':
    lastcall.main()
