#!/usr/bin/python3
"""The configuration: every mistake named with file and line, the dump a fixed point."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall

ECHO = '[route /echo]\nhandler = echo\n'

# What is wrong; the text, with the bad line marked by @; patterns that the message must have.
MISTAKES = [
    ('an unknown section', '@[servr]\nlisten = 8080\n', ['servr', 'server']),
    ('an unknown key, with the nearest right one',
     '[limits]\n@conections = 5\n', ['conections', r'\bconnections\b']),
    ('an unknown key far from all others', '[limits]\n@zzzzzz = 5\n', ['zzzzzz']),
    ('a key in the wrong section', '[server]\n@close_timeout = 3s\n', ['close_timeout']),
    ('a key before any section', '@listen = 127.0.0.1:0\n', ['listen']),
    ('a key that comes twice', '[limits]\nmessage = 1k\n@message = 2k\n',
     ['message', 'line 2|:2|twice|already']),
    ('a section that comes twice', '[limits]\nmessage = 1k\n[log]\n@[limits]\nsend_queue = 2k\n',
     ['limits']),
    ('a route that comes twice', ECHO + '@' + ECHO, ['/echo']),
    ('a duration without a unit', '[shutdown]\n@timeout = 8\n', [r'\b8\b', '8s']),
    ('a duration in a wrong unit', '[shutdown]\n@timeout = 8d\n', ['8d', r'\bms\b']),
    ('a negative duration', '[shutdown]\n@timeout = -8s\n', ['-8s']),
    ('a duration that is no number', '[shutdown]\n@timeout = soon\n', ['soon']),
    ('an empty value', '[shutdown]\n@timeout =\n', ['timeout']),
    ('a size in a wrong unit', '[limits]\n@message = 1X\n', ['1X']),
    ('a size that does not fit', '[limits]\n@message = 99999999999999999999G\n', ['message']),
    ('a count out of range', '[server]\n@http_threads = 0\n', ['http_threads|0']),
    ('a count that is no number', '[server]\n@http_threads = many\n', ['many']),
    ('a count with something behind it', '[server]\n@http_threads = 12x\n', ['12x']),
    ('a wrong choice', '[log]\n@level = loud\n', ['loud', 'info', 'debug']),
    ('a misspelt choice', '[log]\n@format = jsn\n', ['jsn', 'json']),
    ('a port out of range', '[server]\n@listen = 127.0.0.1:99999\n', ['99999']),
    ('a name where a number is due', '[server]\n@listen = 127.0.0.1:http\n', ['http']),
    ('an address that is none', '[server]\n@listen = 300.1.2.3:80\n', [r'300\.1\.2\.3']),
    ('a list with an empty item', '[server]\n@listen = 127.0.0.1:80,,127.0.0.1:81\n',
     ['listen|empty']),
    ('delay and close_timeout that exceed timeout',
     '[shutdown]\ntimeout = 5s\ndelay = 3s\nclose_timeout = 3s\n', ['timeout', 'delay', '5s|6s']),
    ('a close code that must not be sent', '[shutdown]\n@close_code = 1005\n', ['1005']),
    ('a close code out of range', '[shutdown]\n@close_code = 99\n', ['99']),
    ('a reason that does not fit into a Close', '[shutdown]\n@close_reason = ' + 'r' * 124 + '\n',
     ['123']),
    ('an unknown handler, with the nearest right one', '[route /x]\n@handler = ecko\n',
     ['ecko', r'\becho\b']),
    ('a route without a handler', '@[route /x]\n', ['/x', 'handler']),
    ('a key that the handler does not have', '[route /x]\nhandler = echo\n@root = /tmp\n',
     ['root', 'echo']),
    ('static without its root', '@[route /x/*]\nhandler = static\n', ['root']),
    ('a path without its slash', '@[route x]\nhandler = echo\n', ['x', '/|path']),
    ('a star in the middle', '@[route /x/*/y]\nhandler = echo\n', [r'/x/\*/y']),
    ('an unbalanced quote', '[shutdown]\n@close_reason = "bye\n', ['quote|"']),
    ('a bare #', '[shutdown]\n@close_reason = closing #1\n', ['#']),
    ('a line that is nothing', '[server]\n@listen\n', ['listen']),
    ('a section that does not end', '@[server\nlisten = 8080\n', ['server|section|]']),
    ('a line that is too long', '[shutdown]\n@close_reason = ' + 'x' * 5000 + '\n',
     ['long|long|bytes']),
    ('a section name that is too long', '@[route /' + 'x' * 60 + ']\nhandler = echo\n',
     ['49', 'path']),
    ('a variable that is not set', '[shutdown]\n@close_reason = ${LASTCALL_NO_SUCH}\n',
     ['LASTCALL_NO_SUCH']),
    ('a variable that does not end', '[shutdown]\n@close_reason = ${HOME\n', [r'\$']),
    ('a lone dollar', '[shutdown]\n@close_reason = costs $5\n', [r'\$\$']),
]


class Files(lastcall.Case):
    def write(self, text, mode='w'):
        path = os.path.join(self.directory(), 'some.ini')
        with open(path, mode) as file:
            file.write(text)
        return path

    def check(self, text, status, *arguments, **options):
        path = self.write(text)
        return path, self.run_program('-c', path, *arguments, '-t', expect=status, **options)


class Mistakes(Files):
    def test_each_is_78_with_file_line_and_what_to_do(self):
        for name, text, patterns in MISTAKES:
            with self.subTest(name):
                before, mark, rest = text.partition('@')
                line = before.count('\n') + 1 if mark else r'\d+'  # it is of several lines
                text = before + rest
                if 'route' not in text:
                    text += ECHO
                path, (_, stderr) = self.check(text, 78)
                self.assertRegex(stderr, rf'(?m)^{re.escape(path)}:{line}: \S', 'file and line')
                for pattern in patterns:
                    self.assertRegex(stderr, pattern)

    def test_the_same_file_also_stops_a_start_with_78(self):
        path = self.write('[limits]\nconections = 5\n' + ECHO)
        _, stderr = self.run_program('-c', path, expect=78)
        self.assertIn(f'{path}:2: ', stderr)

    def test_all_mistakes_are_shown_and_not_the_first_alone(self):
        path, (_, stderr) = self.check('[limits]\nmessage = 1X\nsend_queue = 1Y\n[log]\n'
                                       'level = loud\n[route /x]\nhandler = ecko\n', 78)
        for line in (2, 3, 5, 7):
            self.assertRegex(stderr, rf'(?m)^{re.escape(path)}:{line}: ')

    def test_a_setting_on_the_command_line_is_named_as_it_was_written(self):
        path = self.write(ECHO)
        for setting in ('limits.message=1X', 'limits.mesage=1k', 'log.level=loud',
                        'shutdown.timeout=8'):
            with self.subTest(setting):
                _, stderr = self.run_program('-c', path, '-s', setting, '-t', expect=78)
                self.assertRegex(stderr, rf'(?m)^-s {re.escape(setting)}: \S')

    def test_a_file_that_is_not_there_is_78_and_named(self):
        _, stderr = self.run_program('-c', '/nowhere/at/all.ini', expect=78)
        self.assertIn('/nowhere/at/all.ini', stderr)
        self.assertRegex(stderr, '(?i)no such|not exist|not there')

    def test_a_directory_is_78_and_said_to_be_one(self):
        path = self.directory()
        _, stderr = self.run_program('-c', path, expect=78)
        self.assertRegex(stderr, rf'{re.escape(path)}.*directory')

    def test_a_fifo_is_78_and_is_not_waited_for(self):
        path = os.path.join(self.directory(), 'fifo')
        os.mkfifo(path)
        _, stderr = self.run_program('-c', path, expect=78)
        self.assertRegex(stderr, rf'{re.escape(path)}.*(?i:fifo|pipe|regular)')

    def test_a_file_that_cannot_be_read_is_78(self):
        if os.geteuid() == 0:
            self.skipTest('SKIPPED LOUDLY: root may read every file')
        path = self.write(ECHO)
        os.chmod(path, 0)
        _, stderr = self.run_program('-c', path, expect=78)
        self.assertRegex(stderr, rf'{re.escape(path)}.*(?i:permission|read)')

    def test_bytes_that_are_no_text_are_refused_and_do_no_harm(self):
        path = self.write(os.urandom(4096).replace(b'\n', b'\0'), 'wb')
        _, stderr = self.run_program('-c', path, expect=78)
        self.assertIn(path, stderr)

    def test_a_root_that_is_not_there_is_named(self):
        path = self.write('[server]\nlisten = 127.0.0.1:0\n[route /f/*]\nhandler = static\n'
                          'root = /nowhere/at/all\n')
        _, stderr = self.run_program('-c', path, expect=78)
        self.assertIn('/nowhere/at/all', stderr)


class Dump(Files):
    FULL = '''
; everything is written in another way than -T would
[server]
listen = 127.0.0.1:8081, 127.0.0.1:8082
http_threads = 16
loops = 2
[limits]
connections = 500
handshake_timeout = 5000ms
message = 1024k
send_queue = 2m
ping_interval = 1m
ping_timeout = 10s
idle_timeout = 0
[shutdown]
timeout = 8s
close_timeout = 3s
delay = 0s
close_code = 1001
close_reason = "closing time ; and # all, $$5"
[log]
level = debug
format = json
[route /echo]
handler = echo
[route far]
path = /a/path/that/is/much/longer/than/what/a/section/can/have/as/its/name/*
handler = echo
[route /files/*]
handler = static
root = /tmp
'''

    def dump(self, path, *arguments, **options):
        return self.run_program('-c', path, *arguments, '-T', expect=0, **options)[0]

    def test_what_is_dumped_is_a_fixed_point_of_itself(self):
        for text in (self.FULL, ECHO, ''.join(
                f'[route /r{n}/*]\nhandler = echo\n' for n in range(50))):
            first = self.dump(self.write(text))
            self.assertEqual(self.dump(self.write(first)), first)

    def test_the_dump_shows_what_is_in_force(self):
        dumped = self.dump(self.write(self.FULL))
        for pattern in (r'(?m)^http_threads = 16$', r'(?m)^connections = 500$',
                        r'closing time ; and # all', '/a/path/that/is/much/longer',
                        r'(?m)^root = /tmp$', r'(?m)^format = json$'):
            self.assertRegex(dumped, pattern)

    def test_settings_win_over_the_file_and_the_last_one_wins(self):
        dumped = self.dump(self.write(self.FULL), '-s', 'server.http_threads=17', '-s',
                           'server.http_threads=18')
        self.assertIn('http_threads = 18\n', dumped)

    def test_the_environment_is_read_with_its_defaults(self):
        path = self.write('[shutdown]\nclose_reason = ${LC_REASON:-the default} $$1\n' + ECHO)
        self.assertIn('the default', self.dump(path))
        dumped = self.dump(path, environment={'LC_REASON': 'from outside'})
        self.assertIn('from outside', dumped)
        self.assertNotIn('the default', dumped)

    def test_a_value_goes_on_in_a_line_that_begins_with_a_blank(self):
        dumped = self.dump(self.write('[server]\nlisten = 127.0.0.1:8081,\n  127.0.0.1:8082\n'
                                      + ECHO))
        self.assertRegex(dumped, r'127\.0\.0\.1:8081, ?127\.0\.0\.1:8082')

    def test_a_good_file_is_0_and_says_nothing_wrong(self):
        _, (_, stderr) = self.check(self.FULL, 0)
        self.assertNotRegex(stderr, r':\d+: ')

    def test_the_sample_files_of_the_project_are_good(self):
        folder = os.path.join(lastcall.ROOT, 'config')
        for name in sorted(os.listdir(folder)):
            if name.endswith('.ini'):
                with self.subTest(name):
                    self.run_program('-c', os.path.join(folder, name), '-t', expect=0)


if __name__ == '__main__':
    lastcall.main()
