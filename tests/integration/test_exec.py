#!/usr/bin/python3
"""The exec handler: a program for each WebSocket, its lines or bytes, its arguments, environment,
descriptors and signals, and how its end is told."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from exec_scene import Programs
from peer import BINARY, CLOSE, TEXT, WebSocket, frame

CAT = {'/cat': {'handler': 'exec', 'command': 'cat'},
       '/bytes': {'handler': 'exec', 'command': 'cat', 'mode': 'binary'}}
MEGABYTE = 1 << 20
RESERVED = 3 << 31  # the two signals that glibc keeps for itself, and has ignored by what it spawns


class Lines(Programs):
    def test_text_messages_are_lines_of_its_input_and_its_lines_are_text_messages(self):
        peer = self.websocket(self.daemon(routes=CAT), '/cat')
        for text in (b'hello', b'', 'Größe €'.encode(), b'x' * 70000):
            peer.echo(text)
        self.close(peer)

    def test_a_message_of_several_lines_is_several_lines(self):
        peer = self.websocket(self.daemon(routes=CAT), '/cat')
        self.line(peer, 'one\ntwo\n')
        self.assertEqual(self.read_lines(peer, 3), ['one', 'two', ''])

    def test_a_carriage_return_before_the_newline_is_not_part_of_the_line(self):
        peer = self.websocket(self.running('sys.stdout.write("one\\r\\ntwo\\rthree\\r\\n\\r\\n")'),
                              '/run')
        self.assertEqual(self.read_lines(peer, 3), ['one', 'two\rthree', ''])
        self.closed(peer, 1000)

    def test_a_last_line_without_newline_is_delivered(self):
        peer = self.websocket(self.running('say("one"); sys.stdout.write("two")'), '/run')
        self.assertEqual(self.read_lines(peer, 2), ['one', 'two'])
        self.closed(peer, 1000)

    def test_a_line_in_many_pieces_is_one_message(self):
        peer = self.websocket(self.running(
            'for piece in ("a", "b\\n", "c" * 5000, "d\\ne"):\n'
            '    sys.stdout.write(piece); sys.stdout.flush(); sys.stdin.readline()'), '/run')
        self.line(peer, '')
        self.assertEqual(self.read_line(peer), 'ab')
        self.line(peer, '')
        self.line(peer, '')
        self.assertEqual(self.read_line(peer), 'c' * 5000 + 'd')
        self.line(peer, '')
        self.assertEqual(self.read_line(peer), 'e')

    def test_a_binary_message_is_closed_with_1003(self):
        daemon = self.daemon(routes=CAT)
        peer = self.websocket(daemon, '/cat')
        peer.send(frame(BINARY, b'x'))
        self.assertIn('text', self.closed(peer, 1003))

    def test_a_line_longer_than_a_message_may_be_is_closed_with_1011_and_logged(self):
        daemon = self.running('say("x" * 2000); sys.stdin.read()', 'limits.message=1k')
        peer = self.websocket(daemon, '/run')
        self.assertIn('1024 bytes', self.closed(peer, 1011))
        daemon.wait_log('the program has written a line of more than 1024 bytes', route='/run')

    def test_a_line_as_long_as_a_message_may_be_is_delivered(self):
        daemon = self.running('say("x" * 1024 + "\\r"); say("y" * 1024)', 'limits.message=1k')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_lines(peer, 2), ['x' * 1024, 'y' * 1024])

    def test_what_is_not_utf8_is_closed_with_1011_and_logged(self):
        daemon = self.running('say("good"); os.write(1, b"bad \\xff\\n"); sys.stdin.read()')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), 'good')
        self.assertIn('UTF-8', self.closed(peer, 1011))
        self.assertEqual(len([event for event in daemon.events if 'UTF-8' in event['message']]), 1)


class Bytes(Programs):
    def test_messages_of_either_kind_are_bytes_and_come_back_as_binary(self):
        peer = self.websocket(self.daemon(routes=CAT), '/bytes')
        for opcode, payload in ((BINARY, bytes(range(256))), (TEXT, b'text\n'), (BINARY, b'\n')):
            peer.send(frame(opcode, payload))
            self.assertEqual(peer.read_message(), (BINARY, payload))
        self.close(peer)

    def test_a_megabyte_goes_both_ways(self):
        daemon = self.daemon(routes=CAT)
        for path, opcode, payload in (('/bytes', BINARY, os.urandom(MEGABYTE)),
                                      ('/cat', TEXT, b'x' * MEGABYTE)):
            peer = self.websocket(daemon, path)
            peer.send(frame(opcode, payload))
            got = b''
            while len(got) < len(payload):
                got += peer.read_message()[1]
            self.assertTrue(got == payload, path)
            self.close(peer)


class Told(Programs):
    SHOW = 'import json\nsay(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))\n'

    def show(self, keys=None, path='/run/a%20b/c?x=1&y=%20', route='/run/*', environment=None,
             headers=()):
        keys = {'handler': 'exec', **(keys or {})}
        keys['command'] = self.script(self.SHOW) + keys.pop('arguments', '')
        daemon = self.daemon(routes={route: keys}, environment=environment)
        peer = WebSocket(daemon.address, timeout=lastcall.scaled(10))
        self.addCleanup(peer.close_socket)
        peer.handshake(path, headers)
        self.peer_port, self.daemon_port = peer.socket.getsockname()[1], daemon.address[1]
        return json.loads(self.read_line(peer))

    def test_arguments_are_quoted_as_in_a_shell_and_nothing_is_expanded(self):
        arguments, _, _ = self.show({'arguments': r""" 'a b' c\ d 'x'y'z' '' * ~ '$$HOME' $home"""})
        self.assertEqual(arguments, ['a b', 'c d', 'xyz', '', '*', '~', '$HOME', '$home'])

    def test_it_is_told_the_request_as_cgi_does(self):
        _, variables, _ = self.show(headers=['User-Agent: test', 'Cookie: a=1', 'Cookie: b=2',
                                             'X-List: one', 'x-list: two'])
        expected = {
            'GATEWAY_INTERFACE': 'CGI/1.1', 'SERVER_PROTOCOL': 'HTTP/1.1', 'REQUEST_METHOD': 'GET',
            'REQUEST_URI': '/run/a%20b/c?x=1&y=%20', 'SCRIPT_NAME': '/run', 'PATH_INFO': '/a b/c',
            'QUERY_STRING': 'x=1&y=%20', 'REMOTE_ADDR': '127.0.0.1',
            'REMOTE_PORT': str(self.peer_port), 'SERVER_NAME': 'localhost',
            'SERVER_PORT': str(self.daemon_port), 'HTTP_USER_AGENT': 'test',
            'HTTP_COOKIE': 'a=1; b=2', 'HTTP_X_LIST': 'one, two', 'HTTP_HOST': 'localhost',
        }
        self.assertEqual({name: variables.get(name) for name in expected}, expected)
        self.assertTrue(variables['SERVER_SOFTWARE'].startswith('lastcall/'))

    def test_it_is_not_told_what_would_mislead_it_or_is_secret(self):
        _, variables, _ = self.show(headers=[
            'Proxy: http://evil', 'Authorization: Basic secret', 'Proxy-Authorization: secret',
            'Content-Type: text/plain', 'X_Forwarded_For: liar'])
        told = [name for name in variables if name.startswith('HTTP_')]
        for name in told:
            self.assertNotRegex(name, 'PROXY|AUTH|CONTENT|FORWARDED')
        self.assertNotIn('secret', ''.join(variables.values()))

    def test_of_our_environment_it_gets_path_and_what_is_asked_for(self):
        _, variables, _ = self.show({'env': "SHARED MODE='a b' SERVER_NAME=mine ABSENT"},
                                    environment={'SHARED': 'yes', 'SECRET': 'no'})
        self.assertEqual(variables['PATH'], os.environ['PATH'])
        self.assertEqual(variables['SHARED'], 'yes')
        self.assertEqual(variables['MODE'], 'a b')
        self.assertEqual(variables['SERVER_NAME'], 'mine')
        self.assertNotIn('SECRET', variables)
        self.assertNotIn('ABSENT', variables)

    def test_it_starts_in_its_directory(self):
        directory = os.path.realpath(self.directory())
        self.assertEqual(self.show({'directory': directory})[2], directory)

    def test_the_program_has_only_its_three_descriptors_and_default_signals(self):
        daemon = self.daemon(routes={
            '/fd': {'handler': 'exec', 'command': 'ls /proc/self/fd'},
            '/status': {'handler': 'exec', 'command': 'cat /proc/self/status'},
            '/stat': {'handler': 'exec', 'command': 'cat /proc/self/stat'}})
        others = [self.websocket(daemon) for _ in range(5)]
        peer = self.websocket(daemon, '/fd')
        self.assertEqual(self.read_lines(peer, 4), ['0', '1', '2', '3'], 'the last is the folder')
        self.closed(peer, 1000)
        peer = self.websocket(daemon, '/status')
        status = {}
        while 'Seccomp' not in status:
            name, value = self.read_line(peer).split(':', 1)
            status[name] = value.strip()
        self.assertEqual(int(status['SigBlk'], 16), 0)
        self.assertEqual(int(status['SigIgn'], 16) & ~RESERVED, 0)
        peer = self.websocket(daemon, '/stat')
        fields = self.read_line(peer).split()
        self.assertEqual(fields[0], fields[4], 'a process group of its own')
        self.assertEqual(fields[0], fields[5], 'a session of its own')
        for other in others:
            other.echo()


class Ends(Programs):
    def test_status_0_is_1000(self):
        peer = self.websocket(self.running('say("last words")'), '/run')
        self.assertEqual(self.read_line(peer), 'last words')
        self.closed(peer, 1000)

    def test_another_status_is_1011_with_the_status_and_a_log_line(self):
        daemon = self.running('say("before"); sys.exit(3)')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), 'before')
        self.assertEqual(self.closed(peer, 1011), 'the program ended with status 3')
        daemon.wait_log('the program ended with status 3', route='/run', level='warning')

    def test_a_signal_is_1011_with_its_name(self):
        daemon = self.running('say("before"); os.kill(os.getpid(), signal.SIGSEGV); time.sleep(60)')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_line(peer), 'before')
        self.assertEqual(self.closed(peer, 1011), 'the program was ended by SIGSEGV')

    def test_what_it_wrote_before_its_end_is_delivered_first(self):
        daemon = self.running('sys.stdout.write("\\n".join(map(str, range(5000))) + "\\n")\n'
                              'sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)')
        peer = self.websocket(daemon, '/run')
        self.assertEqual(self.read_lines(peer, 5000), [str(n) for n in range(5000)])
        self.assertEqual(self.closed(peer, 1011), 'the program was ended by SIGKILL')

    def test_what_cannot_be_executed_is_1011_with_the_reason(self):
        path = os.path.join(self.directory(), 'broken')
        with open(path, 'w') as file:
            file.write('#!/nonexistent/interpreter\n')
        os.chmod(path, 0o755)
        daemon = self.daemon(routes={'/run': {'handler': 'exec', 'command': path}})
        peer = self.websocket(daemon, '/run')
        self.assertIn('could not be started', self.closed(peer, 1011))
        self.assertChildless(daemon)

    def test_standard_error_is_for_the_log(self):
        daemon = self.running('sys.stderr.write("on fire\\nreally\\n"); sys.exit(1)')
        peer = self.websocket(daemon, '/run')
        self.closed(peer, 1011)
        said = daemon.wait_log('a program says', count=2, route='/run', level='warning')
        self.assertEqual(said['text'], 'really')
        self.assertGreater(said['pid'], 1)

    def test_the_peers_close_ends_its_input_and_what_it_still_writes_is_delivered(self):
        daemon = self.running('for text in sys.stdin: pass\nsay("that was all")')
        peer = self.websocket(daemon, '/run')
        self.line(peer, 'x')
        peer.send(frame(CLOSE, (1000).to_bytes(2, 'big')))
        self.assertEqual(self.read_line(peer), 'that was all')
        peer.read_close(1000)
        peer.expect_end()
        self.assertChildless(daemon)


class Mistakes(Programs):
    def refused(self, keys, *expected):
        keys = {'handler': 'exec', **keys}
        path = os.path.join(self.directory(), 'lastcall.ini')
        with open(path, 'w') as file:
            file.write(lastcall.ini(lastcall.BASE, {'/run': keys}))
        _, errors = self.run_program('-t', '-c', path, expect=lastcall.EXIT_CONFIG)
        for text in (path, '/run', *expected):
            self.assertIn(text, errors)

    def test_a_command_that_cannot_be_is_a_mistake_of_the_configuration(self):
        self.refused({'command': "cat 'x"}, "the quote ' is not closed", 'character 5')
        self.refused({'command': 'cat | wc'}, 'no shell', 'sh -c', 'character 5')
        self.refused({'command': "''"}, 'empty')
        self.refused({'command': 'no-such-program-here x'}, 'no-such-program-here', 'PATH')
        self.refused({'command': '/nonexistent/program'}, 'there is no such file')
        self.refused({'command': '/etc/passwd'}, 'chmod +x')
        self.refused({'command': '/etc'}, 'folder')

    def test_a_directory_or_a_variable_that_cannot_be_is_one_too(self):
        self.refused({'command': 'cat', 'directory': '/nonexistent'}, 'there is no such folder')
        self.refused({'command': 'cat', 'directory': '/etc/passwd'}, 'not a folder')
        self.refused({'command': 'cat', 'env': '1A=b'}, '1A=b', 'NAME=value')
        self.refused({'command': 'cat', 'env': 'A=1 A=2'}, 'A is there twice')
        self.refused({'command': 'cat', 'env': "A='"}, 'not closed')

    def test_a_relative_program_is_looked_for_in_its_directory(self):
        directory = self.directory()
        program = os.path.join(directory, 'hello')
        with open(program, 'w') as file:
            file.write('#!/bin/sh\necho hello $0\n')
        os.chmod(program, 0o755)
        daemon = self.daemon(routes={'/run': {'handler': 'exec', 'command': './hello',
                                              'directory': directory}})
        peer = self.websocket(daemon, '/run')
        self.assertTrue(self.read_line(peer).startswith('hello '))
        self.refused({'command': './hello', 'directory': '/'}, 'there is no such file')


if __name__ == '__main__':
    lastcall.main()
