#!/usr/bin/python3
"""Who the client is behind proxies, in every line that names it; and who may not say so."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from access import wait_entry
from door import ask, origin, upgrade
from peer import close_frame, exchange, request_head

TRUST = 'server.trusted_proxies=127.0.0.1, 10.0.0.0/8, fd00::/8'
FOR, STANDARD = 'X-Forwarded-For: ', 'Forwarded: '
ITSELF = None  # the peer, with its port

# What a proxy at 127.0.0.1 sends; the client; its port, None where it is not told.
CLIENTS = [
    ([FOR + '192.0.2.7'], '192.0.2.7', None),
    ([FOR + '192.0.2.7:5555'], '192.0.2.7', 5555),
    ([FOR + '  192.0.2.7'], '192.0.2.7', None),
    (['x-forwarded-for: 192.0.2.7'], '192.0.2.7', None),
    ([FOR + ', 192.0.2.7,,'], '192.0.2.7', None),
    # whatever stands at the left of what the outermost trusted proxy saw has been made up
    ([FOR + '1.2.3.4, 192.0.2.7'], '192.0.2.7', None),
    ([FOR + '1.2.3.4', FOR + '192.0.2.7'], '192.0.2.7', None),
    ([FOR + '10.0.0.1, 192.0.2.7'], '192.0.2.7', None),
    ([FOR + '127.0.0.1, ::1, localhost, 192.0.2.7'], '192.0.2.7', None),
    ([FOR + 'x' * 8000 + ', 192.0.2.7'], '192.0.2.7', None),
    ([FOR + '", 192.0.2.7'], '192.0.2.7', None),
    # proxies behind proxies
    ([FOR + '192.0.2.7, 10.0.0.1'], '192.0.2.7', None),
    ([FOR + '1.2.3.4, 192.0.2.7, 10.0.0.1', FOR + '10.9.9.9, fd00::1'], '192.0.2.7', None),
    ([FOR + '10.0.0.2, 10.0.0.1'], '10.0.0.2', None),
    ([FOR + '192.0.2.7, 11.0.0.1'], '11.0.0.1', None),
    ([FOR + '192.0.2.7' + ', 10.0.0.1' * 100], '10.0.0.1', None),
    # IPv6
    ([FOR + '2001:db8::7'], '2001:db8::7', None),
    ([FOR + '[2001:db8::7]'], '2001:db8::7', None),
    ([FOR + '[2001:DB8:0:0::7]:5555'], '2001:db8::7', 5555),
    ([FOR + '2001:db8::7, fd00::1'], '2001:db8::7', None),
    ([FOR + '::ffff:192.0.2.7'], '192.0.2.7', None),
    ([FOR + '192.0.2.7, ::ffff:10.0.0.1'], '192.0.2.7', None),
    # what is no address ends the list
    ([FOR + 'unknown'], ITSELF, None), ([FOR], ITSELF, None), ([FOR + ','], ITSELF, None),
    ([FOR + 'localhost'], ITSELF, None), ([FOR + '192.0.2.999'], ITSELF, None),
    ([FOR + '192.0.2.7/32'], ITSELF, None), ([FOR + '192.0.2.7:99999'], ITSELF, None),
    ([FOR + '3221225991'], ITSELF, None), ([FOR + '192.0.2.7 192.0.2.8'], ITSELF, None),
    ([FOR + '[192.0.2.7]'], ITSELF, None), ([FOR + '[2001:db8::7'], ITSELF, None),
    ([FOR + '2001:db8::7%eth0'], ITSELF, None), ([b'X-Forwarded-For: \xff\xfe'], ITSELF, None),
    ([FOR + '<script>alert(1)</script>'], ITSELF, None),
    ([FOR + '192.0.2.7, unknown, 10.0.0.1'], '10.0.0.1', None),
    # the standard's way
    ([STANDARD + 'for=192.0.2.7'], '192.0.2.7', None),
    ([STANDARD + 'FOR="192.0.2.7:5555";proto=https;by=10.0.0.1'], '192.0.2.7', 5555),
    ([STANDARD + 'proto=http;for="[2001:db8::7]:5555"'], '2001:db8::7', 5555),
    ([STANDARD + 'for="192.0.2.7:_hidden"'], '192.0.2.7', None),
    ([STANDARD + 'for=1.2.3.4, for=192.0.2.7, for=10.0.0.1'], '192.0.2.7', None),
    ([STANDARD + 'for=1.2.3.4', STANDARD + 'for=192.0.2.7'], '192.0.2.7', None),
    ([STANDARD + 'for=192.0.2.7, for=_gazonk, for=10.0.0.1'], '10.0.0.1', None),
    ([STANDARD + 'for=unknown'], ITSELF, None), ([STANDARD + 'for=_SEVKISEK'], ITSELF, None),
    ([STANDARD + 'for="192.0.2.7'], ITSELF, None), ([STANDARD + 'for=192.0.2.7 x'], ITSELF, None),
    ([STANDARD + 'for=2001:db8::7'], ITSELF, None), ([STANDARD + '192.0.2.7'], ITSELF, None),
    ([STANDARD + 'for=192.0.2.7;for=192.0.2.8'], ITSELF, None),
    ([STANDARD + 'x="for=1.2.3.4, for=1.2.3.4", for=192.0.2.7'], '192.0.2.7', None),
    # a proxy that sets one kind passes the other on as the client has sent it
    ([STANDARD + 'for=1.2.3.4', FOR + '192.0.2.7'], '192.0.2.7', None),
    ([FOR + '192.0.2.7', STANDARD + 'for=1.2.3.4'], '192.0.2.7', None),
    # nobody's
    (['X-Real-IP: 1.2.3.4', 'True-Client-IP: 1.2.3.4', 'CF-Connecting-IP: 1.2.3.4',
      'X-Client-IP: 1.2.3.4', 'X-Forwarded: for=1.2.3.4', 'Via: 1.1 1.2.3.4'], ITSELF, None),
    ([], ITSELF, None),
]


class Case(lastcall.Case):
    def start(self, *settings):
        return self.daemon('log.access=on', *settings)

    def session(self, daemon, lines):
        """A session that comes with these lines and goes; returns its peer's own address."""
        peer = self.peer(daemon)
        peer.send(upgrade(*lines))
        peer.read_until(b'\r\n\r\n')
        peer.send(close_frame(1000))
        peer.read_to_end()
        return peer.name()

    def joined(self, host, port):
        if port is None:
            return host
        return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


class Trusted(Case):
    def test_a_session_is_logged_under_the_address_that_the_proxy_tells(self):
        daemon = self.start(TRUST)
        for number, (lines, host, port) in enumerate(CLIENTS, 1):
            with self.subTest([line[:80] for line in lines]):
                name = self.session(daemon, lines)
                wanted = name if host is ITSELF else self.joined(host, port)
                opened = daemon.wait_log('session opened', number)
                closed = daemon.wait_log('session closed', number)
                self.assertEqual((opened['address'], closed['address']), (wanted, wanted))
                entry = wait_entry(daemon, number)
                self.assertEqual((entry['address'], entry['status']), (host or '127.0.0.1', 101))

    def test_a_request_is_logged_under_it_too(self):
        for form in ('text', 'json'):
            daemon = self.start(TRUST, f'log.format={form}')
            for number, (lines, host, _) in enumerate(CLIENTS, 1):
                with self.subTest([line[:80] for line in lines], form=form):
                    raw = upgrade(*lines, path='/health/live')
                    self.assertEqual(ask(daemon.address, raw, lastcall.scaled(10)).status, 200)
                    self.assertEqual(wait_entry(daemon, number)['address'], host or '127.0.0.1')

    def test_a_refusal_is_logged_under_it_too(self):
        daemon = self.start(TRUST)
        for number, (lines, wanted) in enumerate((
                ([FOR + '1.2.3.4, 192.0.2.7'], '192.0.2.7'),
                ([FOR + '[2001:db8::7]:5555, 10.0.0.1'], '[2001:db8::7]:5555'),
                ([STANDARD + 'for=192.0.2.8'], '192.0.2.8'),
                ([FOR + 'unknown'], ITSELF)), 1):
            for path, status, page in (('/nowhere', 404, []),
                                       ('/echo', 403, [origin('https://evil.com')])):
                with self.subTest(lines, path=path):
                    peer = self.peer(daemon)
                    peer.send(upgrade(*lines, *page, path=path))
                    peer.read_to_end()
                    line = daemon.wait_log('refused', number, status=status)
                    self.assertEqual(line['address'], wanted or peer.name())
                    self.assertEqual(wait_entry(daemon, number, status=status)['address'],
                                     wanted.split(']')[0].strip('[') if wanted else '127.0.0.1')

    def test_headers_that_push_the_proxy_s_own_out_of_the_request_gain_nothing(self):
        daemon = self.start(TRUST)
        for name, lines in (('many', [FOR + '1.2.3.4'] + [f'X{n}: x' for n in range(70)]),
                            ('one that is folded', [FOR + '1.2.3.4', 'X: a', ' b']),
                            ('one without a name', [FOR + '1.2.3.4', ': x'])):
            with self.subTest(name):
                answer = ask(daemon.address, upgrade(*lines, FOR + '192.0.2.7', path='/'),
                             lastcall.scaled(10))
                self.assertIn(answer.status, (400, 431))
        for entry in [wait_entry(daemon, 3)] + daemon.logged('refused'):
            self.assertNotIn('1.2.3.4', str(entry))


class Untrusted(Case):
    def test_nobody_else_may_say_who_he_is(self):
        for settings in ([], ['server.trusted_proxies=127.0.0.2, 10.0.0.0/8, ::1']):
            daemon = self.start(*settings)
            for number, (lines, _, _) in enumerate(CLIENTS, 1):
                with self.subTest([line[:80] for line in lines], settings=settings):
                    name = self.session(daemon, lines)
                    opened = daemon.wait_log('session opened', number)
                    closed = daemon.wait_log('session closed', number)
                    self.assertEqual((opened['address'], closed['address']), (name, name))
                    self.assertEqual(wait_entry(daemon, number)['address'], '127.0.0.1')

    def test_a_request_and_a_refusal_are_logged_under_the_peer_s_own_address(self):
        daemon = self.start()
        exchange(daemon.address, request_head('/nowhere', headers=[FOR + '192.0.2.7']))
        self.assertRegex(daemon.wait_log('refused')['address'], r'^127\.0\.0\.1:\d+$')
        self.assertEqual(wait_entry(daemon)['address'], '127.0.0.1')


class Shutdown(Case):
    def test_those_who_hold_up_the_shutdown_are_named_as_the_proxy_tells(self):
        daemon = self.start(TRUST, 'shutdown.close_timeout=300ms')
        peer = self.peer(daemon)
        peer.send(upgrade(FOR + '192.0.2.7'))
        peer.read_until(b'\r\n\r\n')
        daemon.stop(lastcall.EXIT_FORCED)
        self.assertEqual(daemon.logged('session closed', outcome='forced')[0]['address'],
                         '192.0.2.7')
        self.assertEqual(wait_entry(daemon, outcome='forced')['address'], '192.0.2.7')


if __name__ == '__main__':
    lastcall.main()
