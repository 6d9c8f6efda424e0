"""What the daemons learn from HAProxy of who the client is, and what clients say of that."""
import socket
import ssl
import unittest

import lastcall
from access import entries
from door import upgrade
from peer import request_head
from proxied import HAPROXY, HASTY, MISSING, Proxied, command, replaced


@unittest.skipUnless(HAPROXY, MISSING)
class Told(Proxied):
    """Who the client is and which host it asked for, as the daemons learn it from HAProxy."""
    CLIENT = '127.0.0.2'  # HAProxy itself comes from 127.0.0.1
    SPOOFED = ('X-Forwarded-For: 192.0.2.1', 'x-forwarded-for: 192.0.2.2, 127.0.0.1',
               'Forwarded: for=192.0.2.3;host=evil.com', 'X-Forwarded-Host: evil.com',
               'X-FORWARDED-HOST: evil.com', 'X-Forwarded-Server: evil.com',
               'X-Real-IP: 192.0.2.4')

    def ask(self, raw, front=None):
        """The status of what comes back to a client at CLIENT."""
        connection = socket.create_connection(front or self.front, lastcall.scaled(10),
                                              (self.CLIENT, 0))
        if not front:
            connection = ssl.create_default_context(cafile=self.certificate).wrap_socket(
                connection, server_hostname='localhost')
        with connection:
            connection.sendall(raw)
            answer = b''
            while b'\r\n' not in answer and (piece := connection.recv(4096)):
                answer += piece
        return int(answer.split()[1])

    def addresses(self, path):
        """Those in the access logs, of the requests for this path."""
        def found():
            return [entry['address'] for daemon in self.running.values()
                    for entry in entries(daemon) if entry['path'] == path]
        lastcall.wait_until(found, 10, f'{path} is in an access log')
        return found()

    def test_haproxy_takes_the_configuration_without_a_warning(self):
        status, text = command(HAPROXY, '-c', '-f', self.haproxy_config)
        self.assertEqual(status, 0, text)
        self.assertNotRegex(text, r'\[(ALERT|WARNING|NOTICE)\]')

    def test_the_client_s_address_is_in_the_access_log_whatever_it_says_itself(self):
        self.start_proxied(HASTY)
        for number, lines in enumerate([(), *zip(self.SPOOFED), self.SPOOFED]):
            with self.subTest(lines):
                path = f'/nowhere/{number}'
                self.assertEqual(self.ask(request_head(path, headers=lines)), 404)
                self.assertEqual(self.addresses(path), [self.CLIENT])
        self.assertEqual(self.ask(upgrade(*self.SPOOFED)), 101)
        self.assertEqual(self.addresses('/echo'), [self.CLIENT])

    def test_who_comes_past_it_is_not_believed(self):
        self.start_proxied(HASTY)
        direct = ('127.0.0.1', self.ports['one'])
        self.assertEqual(self.ask(request_head('/nowhere', headers=self.SPOOFED), direct), 404)
        self.assertEqual(self.addresses('/nowhere'), [self.CLIENT])

    def test_without_the_lines_of_the_shipped_file_a_client_is_believed(self):
        """The first case proves something: its headers would be taken."""
        def naive(text):
            return replaced(text, forwarded=('http-request del-header', '# http-request'),
                            address=('http-request set-header X-Forwarded-For', '# http-request'))
        self.start_proxied(HASTY, change=naive)
        self.assertEqual(self.ask(request_head('/nowhere', headers=[self.SPOOFED[0]])), 404)
        self.assertEqual(self.addresses('/nowhere'), ['192.0.2.1'])

    def test_its_own_page_may_connect_and_another_one_may_not(self):
        self.start_proxied(HASTY)
        here = '%s:%d' % self.front
        for page, lines, wanted in ((f'https://{here}', (), 101), ('https://evil.com', (), 403),
                                    (f'https://{here}', self.SPOOFED, 101),
                                    ('https://evil.com', self.SPOOFED, 403)):
            with self.subTest(page, lines=lines):
                self.assertEqual(self.ask(upgrade(f'Origin: {page}', *lines, host=here)), wanted)
