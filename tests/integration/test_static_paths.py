#!/usr/bin/python3
"""Every way to ask for a file that is not meant: none leads out of the root, to a hidden name or to
what is no file. In each case the answer is known, and the secret is in none."""
import os
import socket
import stat
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import Response, request_head

SECRET = b'this must never leave the house'
INSIDE = b'plain text\n'

# What lies outside the root, or inside it and hidden.
SECRETS = ('secret', 'root2/secret', 'rootsecret', 'root/.env', 'root/.git/config',
           'root/sub/.htpasswd', 'root/sub/.d/x', 'root/.well-known/.x', 'root/...',
           'root/sub/.well-known/x')

BELOW = (  # path below the route, status
    ('a.txt', 200), ('./a.txt', 200), ('.//a.txt', 200), ('//a.txt', 200), ('sub/../a.txt', 200),
    ('sub/./../a.txt', 200), ('nothing/../a.txt', 200), ('%61.txt', 200), ('a%2Etxt', 200),
    ('sub%2fb.txt', 200), ('sub%2F..%2Fa.txt', 200), ('a.txt?x', 200), ('a.txt?../../secret', 200),
    ('a%20b.txt', 200), ('%C3%BC.txt', 200), ('%E2%80%AE.txt', 404),
    ('.well-known/security.txt', 404),  # that name is for the top of a host
    # up and out
    ('../secret', 404), ('../../secret', 400), ('../../../../../../etc/passwd', 400),
    ('../root2/secret', 404), ('../rootsecret', 404), ('..', 200), ('../..', 400),
    ('sub/../../secret', 404), ('sub/../../../secret', 400), ('a.txt/../../secret', 404),
    ('./.././secret', 404), ('..//secret', 404), ('.//..//secret', 404), ('/../secret', 404),
    # encoded once, in part, twice, otherwise
    ('%2e%2e/secret', 404), ('%2E%2E/secret', 404), ('.%2e/secret', 404), ('%2e./secret', 404),
    ('..%2fsecret', 404), ('..%2Fsecret', 404), ('%2e%2e%2fsecret', 404),
    ('%2e%2e%2f%2e%2e%2fsecret', 400), ('%252e%252e/secret', 404), ('%252e%252e%252fsecret', 404),
    ('..%252fsecret', 404), ('%25252e%25252e/secret', 404), ('..%c0%afsecret', 404),
    ('..%c1%9csecret', 404), ('%c0%ae%c0%ae/secret', 404), ('%c0%ae%c0%ae%c0%afsecret', 404),
    ('%e0%80%ae%e0%80%ae/secret', 404), ('%f0%80%80%ae%f0%80%80%ae/secret', 404),
    ('%uff0e%uff0e/secret', 400), ('%u002e%u002e/secret', 400), ('&#46;&#46;/secret', 404),
    ('\xff\xfe/secret', 400), ('%ff%fe/secret', 404), ('....//secret', 404),
    ('.../secret', 404), ('..;/secret', 404), ('..;a=b/secret', 404), ('..%00/secret', 400),
    ('..%0d/secret', 404), ('..%0a/secret', 404), ('..%09/secret', 404), ('.. /secret', 400),
    ('..%20/secret', 404),
    # backslashes, drives, shares, schemes
    ('..\\secret', 404), ('..%5csecret', 404), ('..%5Csecret', 404), ('\\..\\secret', 404),
    ('sub\\..\\..\\secret', 404), ('sub%5cb.txt', 404), ('..%255csecret', 404),
    ('c:/secret', 404), ('file:///etc/passwd', 404), ('~root/.profile', 404), ('~/secret', 404),
    # a path of the whole system behind the route's
    ('/etc/passwd', 404), ('//etc/passwd', 404), ('%2fetc%2fpasswd', 404), ('%2Fetc/passwd', 404),
    ('%2f%2fetc/passwd', 404), ('/proc/self/environ', 404), ('/dev/zero', 404),
    # zero bytes, broken escapes
    ('a.txt%00', 400), ('a.txt%00.html', 400), ('%00', 400), ('../secret%00.txt', 400), ('%', 400),
    ('%2', 400), ('a.txt%', 400), ('a.txt%2', 400), ('%zz', 400), ('%2gb', 400), ('%-1', 400),
    # hidden names
    ('.env', 404), ('%2eenv', 404), ('./.env', 404), ('sub/../.env', 404), ('.git/config', 404),
    ('.git/', 404), ('.git', 404), ('%2egit%2fconfig', 404), ('sub/.htpasswd', 404),
    ('sub/.d/x', 404), ('sub/.d/', 404), ('.well-known/.x', 404), ('.well-known/', 404),
    ('sub/.well-known/x', 404), ('...', 404), ('%2e%2e%2e', 404), ('.', 404), ('%2e', 404),
    # almost
    ('a.txt/', 404), ('a.txt/.', 404), ('a.txt//', 404), ('a.txt/..', 404), ('a.txt%2f', 404),
    ('a.txt%20', 404), ('a.txt.', 404), ('a.txt;x', 404), ('a.txt#x', 404), ('a.txt%3fx', 404),
    ('a.txt::$DATA', 404), ('A.TXT', 404), ('a.txt%0d%0aX:%20y', 404), ('*', 404), ('sub/*', 404),
    ('', 404), ('/', 404), ('sub', 301), ('sub/', 404), ('sub//', 404), ('sub%2f', 404),
    # links
    ('link', 404), ('relative', 404), ('out/secret', 404), ('out/', 404), ('out', 404),
    ('out/root/a.txt', 404), ('chain', 404), ('loop', 404), ('system/passwd', 404),
    ('process/environ', 404), ('process/root/etc/passwd', 404), ('again', 200),
    ('absolute', 404), ('round/a.txt', 200), ('sub/up/a.txt', 200), ('sub/link', 404),
)

WHOLE = (  # whole targets, as sent; None: an end without an answer
    ('http://x:{port}/files/a.txt', 200), ('http://127.0.0.1:{port}/files/a.txt', 200),
    ('http://x:{port}/files/../secret', 404), ('http://x:{port}/../secret', 400),
    ('http://x:{port}/files/%2e%2e%2fsecret', 404), ('http://x:{port}/files/link', 404),
    ('http://127.0.0.1:{port}/etc/passwd', 404), ('http://x:{port}', 400),
    ('http://x/files/a.txt', None), ('http://x:1/files/a.txt', None),
    ('http://x:99999/files/a.txt', 400),
    ('file:///etc/passwd', 400), ('ftp://x/files/a.txt', 400), ('files/a.txt', 400),
    ('../secret', 400), ('etc/passwd', 400), ('\\files\\..\\secret', 400), ('*', None), ('?', 400),
    ('//files/a.txt', 200), ('/files/../files/a.txt', 200), ('/../files/a.txt', 400),
    ('/%2e%2e/files/a.txt', 400), ('/x/../files/a.txt', 200), ('/files%2fa.txt', 200),
    ('/files%00/a.txt', 400), ('/files/a.txt\x00', 400), ('/files/\x01', 400),
    ('/files/a.txt\r', 400), ('/files/\x7f', 400), ('/..%2f..%2fetc/passwd', 400),
    ('/files/../../root/a.txt', 400), ('/files/' + '../' * 1000 + 'etc/passwd', 400),
    ('/files/' + './' * 1000 + 'a.txt', 200), ('/files/' + '/' * 2000 + 'a.txt', 200),
    ('/files/' + 'sub/../' * 500 + 'a.txt', 200), ('/files/' + 'x/' * 1900, 404),
    ('/files/' + 'x' * 255, 404), ('/files/' + 'x' * 256, 404), ('/files/' + 'x' * 4087, 404),
    ('/files/' + 'x' * 5000, 414), ('/files/' + '%78' * 1300, 404), ('/files/' + 'x' * 20000, 400),
)


class House(lastcall.Case):
    """A root with secrets around it and in it."""

    def start(self, **options):
        self.house = self.directory()
        self.root = os.path.join(self.house, 'root')
        for name in ('root/sub/.d', 'root/.git', 'root/.well-known', 'root/sub/.well-known',
                     'root2'):
            os.makedirs(os.path.join(self.house, name))
        for name in SECRETS:
            self.write(f'../{name}', SECRET)
        for name in ('a.txt', 'sub/b.txt', 'a b.txt', 'ü.txt', '.well-known/security.txt'):
            self.write(name, INSIDE)
        for name, target in (('link', f'{self.house}/secret'), ('relative', '../secret'),
                             ('out', self.house), ('system', '/etc'), ('process', '/proc/self'),
                             ('chain', 'relative'), ('loop', 'loop'), ('again', 'a.txt'),
                             ('absolute', f'{self.root}/a.txt'), ('round', 'sub/..'),
                             ('sub/up', '..'), ('sub/link', '../../secret')):
            os.symlink(target, os.path.join(self.root, name))
        return self.daemon(routes={'/files/*': {'handler': 'static', 'root': self.root}}, **options)

    def write(self, name, content):
        with open(os.path.join(self.root, name), 'wb') as file:
            file.write(content)

    def ask(self, daemon, target, method='GET'):
        """The answer to a target as it is; None for an end without one."""
        head = request_head(target, method, ['Connection: close'])
        peer = self.peer(daemon)
        try:
            peer.send(head)
            raw = peer.read_to_end()
        finally:
            peer.close_socket()
        self.assertNotIn(SECRET, raw)
        self.assertNotIn(b'root:', raw)
        return Response(raw, method == 'HEAD') if raw else None

    def check(self, answer, status):
        self.assertEqual(answer.status, status)
        if status == 200 and b'<html' not in answer.body:  # the page at / is not ours
            self.assertEqual(answer.body, INSIDE)


class Paths(House):
    def test_a_path_below_the_route_leads_to_a_file_inside_or_nowhere(self):
        daemon = self.start()
        for path, status in BELOW:
            with self.subTest(path):
                self.check(self.ask(daemon, f'/files/{path}'), status)

    def test_a_head_is_answered_as_a_get(self):
        daemon = self.start()
        for path, status in BELOW:
            if ' ' in path or '\xff' in path:
                continue  # that is no request, so that nobody knows that it is a HEAD
            with self.subTest(path):
                self.assertEqual(self.ask(daemon, f'/files/{path}', 'HEAD').status, status)

    def test_a_target_of_any_form_leads_to_a_file_inside_or_nowhere(self):
        daemon = self.start()
        for target, status in WHOLE:
            with self.subTest(target[:60]):
                answer = self.ask(daemon, target.replace('{port}', str(daemon.address[1])))
                if status is None:
                    self.assertIsNone(answer)
                else:
                    self.check(answer, status)

    def test_an_absolute_uri_leads_where_its_path_does(self):
        daemon = self.start()
        before = f'http://x:{daemon.address[1]}/files/'
        for path, status in BELOW:
            with self.subTest(path):
                self.check(self.ask(daemon, before + path), status)

    def test_on_the_root_of_all_paths_nothing_changes_but_well_known(self):
        self.start()
        daemon = self.daemon(routes={'/*': {'handler': 'static', 'root': self.root}})
        for path, status in (('a.txt', 200), ('sub/b.txt', 200), ('.well-known/security.txt', 200),
                             ('%2ewell-known/security.txt', 200), ('x/../.well-known', 301),
                             ('.well-known/.x', 404), ('.well-knownx', 404), ('.env', 404),
                             ('sub/.well-known/x', 404), ('.git/config', 404), ('link', 404),
                             ('../secret', 400), ('%2e%2e/secret', 400), ('out/secret', 404)):
            with self.subTest(path):
                self.check(self.ask(daemon, f'/{path}'), status)


class Files(House):
    def test_what_is_no_file_is_404_and_nobody_waits(self):
        daemon = self.start()
        os.mkfifo(os.path.join(self.root, 'fifo'))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(self.root, 'socket'))
            listener.listen()
            names = ['fifo', 'socket', 'sub/']
            try:
                os.mknod(os.path.join(self.root, 'device'), 0o666 | stat.S_IFCHR, os.makedev(1, 5))
                names.append('device')  # /dev/zero: it would have no end
            except PermissionError:
                pass  # only root makes devices
            for name in names:
                for method in ('GET', 'HEAD'):
                    with self.subTest(f'{method} {name}'):
                        self.assertEqual(self.ask(daemon, f'/files/{name}', method).status, 404)
        for name in ('fifo', 'device'):
            if os.path.lexists(os.path.join(self.root, name)):
                os.symlink(name, os.path.join(self.root, f'to-{name}'))
                self.assertEqual(self.ask(daemon, f'/files/to-{name}').status, 404)

    def test_a_file_that_may_not_be_read_is_as_none(self):
        self.start()
        os.chmod(os.path.join(self.root, 'a.txt'), 0)
        os.chmod(os.path.join(self.root, 'sub'), 0)
        self.addCleanup(os.chmod, os.path.join(self.root, 'sub'), 0o755)  # so that it can go
        for path in (self.house, self.root):
            os.chmod(path, 0o755)
        if os.geteuid() == 0:  # root may read everything
            daemon = self.as_nobody()
        else:
            daemon = self.daemon(routes={'/files/*': {'handler': 'static', 'root': self.root}})
        self.assertEqual(self.ask(daemon, '/files/a%20b.txt').status, 200)
        for path in ('a.txt', 'sub/b.txt', 'sub/', 'sub'):
            with self.subTest(path):
                self.assertEqual(self.ask(daemon, f'/files/{path}').status, 404)

    def as_nobody(self):
        """A daemon whose user is nobody; skips where that is not possible."""
        wrapper = os.path.join(self.house, 'as-nobody')
        with open(wrapper, 'w') as file:
            file.write('#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups -- '
                       f'{lastcall.PROGRAM} "$@"\n')
        os.chmod(wrapper, 0o755)
        program, lastcall.PROGRAM = lastcall.PROGRAM, wrapper
        try:
            if subprocess.run([wrapper, '-V'], capture_output=True).returncode != 0:
                self.skipTest('nobody may not start the program')
            directory = self.directory()
            os.chmod(directory, 0o755)
            self.directory = lambda: directory
            return self.daemon(routes={'/files/*': {'handler': 'static', 'root': self.root}})
        finally:
            lastcall.PROGRAM = program


class Races(House):
    def run_beside(self, change, stop, daemon, names):
        """Asks for the names while `change` runs, until a file and a 404 have come many times."""
        thread = threading.Thread(target=change)
        thread.start()
        try:
            seen = {200: 0, 404: 0}
            while min(seen.values()) < 100:
                for name in names:
                    answer = self.ask(daemon, f'/files/{name}')
                    self.assertIn(answer.status, seen)
                    self.check(answer, answer.status)
                    seen[answer.status] += 1
                self.assertLess(sum(seen.values()), 20000, f'the race was not met: {seen}')
        finally:
            stop.set()
            thread.join()

    def test_a_link_that_is_turned_to_and_fro_never_leads_out(self):
        daemon = self.start()
        stop = threading.Event()
        path = os.path.join(self.root, 'swing')

        def swing():
            """A link, a folder's link and a plain file, each put in place by a rename."""
            while not stop.is_set():
                for target in ('a.txt', '../secret', f'{self.house}/secret', 'sub/b.txt'):
                    os.symlink(target, path + '.new')
                    os.replace(path + '.new', path)
                for target in ('sub', '../root2', '..'):
                    os.symlink(target, path + '.dir.new')
                    os.replace(path + '.dir.new', path + '.dir')

        self.run_beside(swing, stop, daemon, ('swing', 'swing.dir/b.txt', 'swing.dir/secret'))

    def test_folders_that_move_out_while_paths_go_through_them_never_lead_out(self):
        daemon = self.start()
        stop = threading.Event()
        deep = os.path.join(self.root, 'deep')
        os.makedirs(os.path.join(deep, 'down'))
        away = os.path.join(self.house, 'away')

        def move():
            while not stop.is_set():
                os.rename(deep + '/down', away)
                os.rename(away, deep + '/down')

        os.symlink('../../a.txt', os.path.join(deep, 'down/back'))
        os.symlink('../secret', os.path.join(deep, 'down/out'))
        self.run_beside(move, stop, daemon, ('deep/down/back', 'deep/down/out'))


class Redirects(House):
    def test_the_address_that_a_folder_is_redirected_to_stays_below_it(self):
        daemon = self.start()
        for name in ('http:', 'a b', '@evil', "it's", 'javascript:alert(1)', 'ü', '%2e', 'a?b#c'):
            os.makedirs(os.path.join(self.root, name))
        for path, location in (('sub', 'sub/'), ('sub?a=1&b', 'sub/?a=1&b'), ('http:', 'http%3A/'),
                               ('a%20b', 'a%20b/'), ('@evil', '%40evil/'), ("it's", 'it%27s/'),
                               ('javascript:alert(1)', 'javascript%3Aalert%281%29/'),
                               ('%c3%bc', '%C3%BC/'), ('%252e', '%252e/'),
                               ('a%3fb%23c', 'a%3Fb%23c/'), ('//sub', 'sub/'),
                               ('sub?' + 'q' * 5000, 'sub/')):
            with self.subTest(path[:40]):
                answer = self.ask(daemon, f'/files/{path}')
                self.assertEqual(answer.status, 301)
                self.assertEqual(answer.header('location'), location)


class Tests(House):
    def test_a_secret_that_comes_out_is_noticed(self):
        daemon = self.start()
        self.write('told', SECRET)
        with self.assertRaises(AssertionError):
            self.ask(daemon, '/files/told')


if __name__ == '__main__':
    lastcall.main()
