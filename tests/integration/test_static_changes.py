#!/usr/bin/python3
"""Files that change, shrink, grow or vanish while they are sent, and trees that are rebuilt under
the server: an answer is whole, or it visibly is not; nobody else notices."""
import gzip
import os
import shutil
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import PeerError, Response, request_head

SIZE = 24 << 20  # more than the buffers of both sockets hold
SECRET = b'this must never leave the house'
ROUNDS = 300


class House(lastcall.Case):
    def start(self):
        self.house = self.directory()
        self.root = os.path.join(self.house, 'root')
        os.makedirs(self.root)
        self.write('../secret', SECRET)
        self.write('small', b'small')
        return self.daemon(routes={'/files/*': {'handler': 'static', 'root': self.root}})

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, content):
        with open(self.path(name), 'wb') as file:
            file.write(content)

    def put(self, name, content):
        """As editors and deployments do: under another name first."""
        self.write(f'{name}.new', content)
        os.replace(self.path(f'{name}.new'), self.path(name))

    def raw(self, daemon, name, *headers):
        peer = self.peer(daemon)
        try:
            peer.send(request_head(f'/files/{name}', headers=[*headers, 'Connection: close']))
            raw = peer.read_to_end()
        finally:
            peer.close_socket()
        self.assertNotIn(SECRET, raw)
        return raw

    def beside(self, change, look, enough=lambda: True):
        """Calls `change` again and again on a thread while `look` is called ROUNDS times, and on
        until there is enough."""
        stop, failures = threading.Event(), []

        def work():
            try:
                while not stop.is_set():
                    change()
            except OSError as error:
                failures.append(error)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            rounds = 0
            while rounds < ROUNDS or not enough():
                self.assertLess(rounds, 50 * ROUNDS, 'the race was not met')
                look()
                rounds += 1
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failures, [])


class WhileItIsSent(House):
    def begin(self, daemon, *headers):
        """A download of SIZE bytes that has begun and is not being read."""
        self.write('big', b'a' * SIZE)
        self.before = daemon.fd_count()
        peer = self.peer(daemon, receive_buffer=16384)
        peer.send(request_head('/files/big', headers=headers))
        peer.head = peer.read_until(b'\r\n\r\n')
        return peer

    def finish(self, daemon, peer):
        """What has arrived, and whether that is all that was promised."""
        body = peer.read_to_end()
        peer.close_socket()
        lastcall.wait_until(lambda: daemon.fd_count() <= self.before, 10, 'the file is closed')
        self.assertEqual(Response(self.raw(daemon, 'small')).body, b'small')
        promised = int(Response(peer.head, head=True).header('content-length'))
        return body, len(body) == promised

    def test_one_that_shrinks_ends_early_so_that_the_peer_can_see_it(self):
        daemon = self.start()
        for headers in ((), (f'Range: bytes=10-{SIZE - 10}',)):
            with self.subTest(headers):
                peer = self.begin(daemon, *headers)
                os.truncate(self.path('big'), SIZE // 2)
                body, whole = self.finish(daemon, peer)
                self.assertFalse(whole)
                self.assertGreaterEqual(len(body), 10000)
                self.assertEqual(body.count(b'a'), len(body))

    def test_one_that_is_emptied_ends_early(self):
        daemon = self.start()
        peer = self.begin(daemon)
        os.truncate(self.path('big'), 0)
        body, whole = self.finish(daemon, peer)
        self.assertFalse(whole)
        self.assertEqual(body.count(b'a'), len(body))

    def test_one_that_grows_sends_what_was_promised(self):
        daemon = self.start()
        peer = self.begin(daemon)
        with open(self.path('big'), 'ab') as file:
            file.write(b'b' * 100000)
        body, whole = self.finish(daemon, peer)
        self.assertTrue(whole and body == b'a' * SIZE)

    def test_one_that_vanishes_arrives_whole(self):
        daemon = self.start()
        peer = self.begin(daemon)
        os.unlink(self.path('big'))
        body, whole = self.finish(daemon, peer)
        self.assertTrue(whole and body == b'a' * SIZE)

    def test_one_that_is_replaced_arrives_as_it_was(self):
        daemon = self.start()
        peer = self.begin(daemon)
        self.put('big', b'b' * 1000)
        body, whole = self.finish(daemon, peer)
        self.assertTrue(whole and body == b'a' * SIZE)
        self.assertEqual(Response(self.raw(daemon, 'big')).body, b'b' * 1000)

    def test_one_that_is_written_over_keeps_its_length(self):
        daemon = self.start()
        peer = self.begin(daemon)
        with open(self.path('big'), 'r+b') as file:
            file.write(b'b' * SIZE)
        body, whole = self.finish(daemon, peer)
        self.assertTrue(whole)
        self.assertEqual(body.count(b'a') + body.count(b'b'), SIZE)

    def test_one_whose_folder_is_taken_away_arrives_whole(self):
        daemon = self.start()
        peer = self.begin(daemon)
        os.rename(self.root, self.root + '2')  # the root's descriptor goes with it
        body, whole = self.finish(daemon, peer)
        self.assertTrue(whole and body == b'a' * SIZE)


class WhileRequestsRun(House):
    def test_a_file_that_is_replaced_is_the_old_or_the_new_one(self):
        daemon = self.start()
        versions = [bytes([letter]) * length for letter, length in
                    zip(b'abcdefgh', (1, 10, 4096, 65535, 65536, 65537, 200000, 16384))]
        turn = iter(range(10**9))
        tags = {}

        def look():
            answer = Response(self.raw(daemon, 'page'))
            self.assertEqual(answer.status, 200)
            self.assertIn(answer.body, versions)
            self.assertEqual(tags.setdefault(answer.header('etag'), answer.body), answer.body)

        self.put('page', versions[0])
        self.beside(lambda: self.put('page', versions[next(turn) % len(versions)]), look)

    def test_a_file_that_is_written_in_place_is_never_longer_than_promised(self):
        daemon = self.start()
        self.write('log', b'')
        turn = iter(range(10**9))

        def look():
            raw = self.raw(daemon, 'log')
            head, _, body = raw.partition(b'\r\n\r\n')
            answer = Response(head + b'\r\n\r\n', head=True)
            self.assertEqual(answer.status, 200)
            self.assertLessEqual(len(body), int(answer.header('content-length')))
            self.assertEqual(set(body) - set(b'xy'), set())

        self.beside(lambda: self.write('log', b'xy'[next(turn) % 2:][:1] * 100000), look)

    def test_a_name_that_is_now_a_file_now_something_else_is_that_file_or_404(self):
        daemon = self.start()
        name = self.path('thing')

        def clear():
            if os.path.isdir(name) and not os.path.islink(name):
                os.rmdir(name)
            else:
                os.unlink(name)

        def change():
            for make in (lambda: self.write('thing', b'thing'), lambda: os.mkfifo(name),
                         lambda: os.symlink('../secret', name), lambda: os.mkdir(name),
                         lambda: os.symlink('/dev/zero', name)):
                make()
                clear()

        def look():
            raw = self.raw(daemon, 'thing')
            head, _, body = raw.partition(b'\r\n\r\n')
            status = Response(head + b'\r\n\r\n', head=True).status
            self.assertIn(status, (200, 301, 404))
            if status == 200:
                self.assertTrue(b'thing'.startswith(body), raw)

        self.beside(change, look)

    def test_a_gz_that_comes_and_goes_is_never_sent_as_what_it_is_not(self):
        daemon = self.start()
        text = b'some text that is worth packing\n' * 300
        self.write('page', text)
        packed = gzip.compress(text)

        seen, turn = set(), iter(range(10**9))

        def change():
            if next(turn) % 2:
                os.unlink(self.path('page.gz'))
            else:
                self.put('page.gz', packed)

        def look():
            answer = Response(self.raw(daemon, 'page', 'Accept-Encoding: gzip'))
            self.assertEqual(answer.status, 200)
            coding = answer.header('content-encoding')
            seen.add(coding)
            self.assertEqual(gzip.decompress(answer.body) if coding else answer.body, text)
            self.assertEqual(answer.header('vary'), 'Accept-Encoding' if coding else None)

        self.beside(change, look, lambda: seen == {None, 'gzip'})

    def test_a_tree_that_is_rebuilt_answers_with_files_or_404(self):
        daemon = self.start()

        def change():
            for number in range(5):
                os.makedirs(self.path(f'tree/{number}'), exist_ok=True)
                self.write(f'tree/{number}/index.html', b'leaf')
            shutil.rmtree(self.path('tree'))

        def look():
            for name in ('tree', 'tree/', 'tree/3', 'tree/3/', 'tree/3/index.html'):
                raw = self.raw(daemon, name)
                head, _, body = raw.partition(b'\r\n\r\n')
                status = Response(head + b'\r\n\r\n', head=True).status
                self.assertIn(status, (200, 301, 404))
                if status == 200:
                    self.assertTrue(b'leaf'.startswith(body), raw)

        self.beside(change, look)

    def test_readers_of_all_kinds_at_once_leave_nothing_open(self):
        daemon = self.start()
        self.write('big', b'a' * (1 << 20))
        before = daemon.fd_count()

        def read(number):
            peer = self.peer(daemon, receive_buffer=8192)
            headers = [(), ('Range: bytes=70000-',), ('If-None-Match: *',)][number % 3]
            peer.send(request_head('/files/big', headers=headers))
            try:
                if number % 2:
                    peer.read_to_end()
                else:
                    peer.read_until(b'\r\n\r\n')
                    peer.reset()
            except PeerError:
                pass
            finally:
                peer.close_socket()
        threads = [threading.Thread(target=read, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lastcall.wait_until(lambda: daemon.fd_count() <= before, 10, 'all files are closed')


if __name__ == '__main__':
    lastcall.main()
