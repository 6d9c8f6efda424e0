#!/usr/bin/python3
"""Mistakes in the keys of the door, of routes' limits and of the access log: what one reads."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall

ECHO = '[route /echo]\nhandler = echo\n'
ORIGINS = ('allowed: same, *, null, an origin as https://example.org, or https://*.example.org for '
           'all below; at most 64, comma separated')
NETWORKS = ('allowed: addresses and networks, as 127.0.0.1, 10.0.0.0/8, ::1, fd00::/8; at most 64, '
            'comma separated')
NAMES = ('allowed: names separated by commas, at most 32 of at most 64 bytes: letters, digits and '
         'any of !#$%&\'*+-.^_`|~')
STAR = ('a star stands only for the first labels of a name, as in https://*.example.org, and alone '
        'for every origin; ')
NUMERIC = 'not a numeric address; names are not looked up: write for example 10.0.0.0/8; '
LENGTH = 'the length behind / is not a number from 0 to 32; '

# Key, value, what is said of it.
OF_A_ROUTE = [
    ('origins', 'https://example.org/', 'an origin has no path: write https://example.org; '),
    ('origins', 'https://example.org:8443/chat',
     'an origin has no path: write https://example.org:8443; '),
    ('origins', 'https://example.org?x', 'an origin has no path: write https://example.org; '),
    ('origins', 'https://me:secret@example.org',
     'an origin has no user: write https://example.org; '),
    ('origins', 'example.org', 'write the scheme too, https://example.org; '),
    ('origins', '*.example.org', 'write the scheme too, https://*.example.org; '),
    ('origins', 'wss://example.org',
     'an origin is the address of the page: write https://example.org; '),
    ('origins', 'sam', 'neither an origin, as https://example.org, nor same, * or null; '),
    ('origins', 'none', 'neither an origin, as https://example.org, nor same, * or null; '),
    ('origins', 'Same', 'write it in small letters: same; '),
    ('origins', 'file:///home/me', 'pages from files send null: write null; '),
    ('origins', 'same,', 'an origin is missing at a comma; '),
    ('origins', 'same, same', 'same: it is given twice; '),
    ('origins', 'https://a.example, same, HTTPS://A.example:443',
     'HTTPS://A.example:443: it is given twice; '),
    ('origins', '*, same', 'same: * is every origin: write it alone; '),
    ('origins', 'https://*', STAR), ('origins', 'https://*example.org', STAR),
    ('origins', 'https://a.*.example.org', STAR),
    ('origins', 'https://example.org.', 'write the name without the dot at its end; '),
    ('origins', 'https://a.example https://b.example',
     'a blank within it: origins are separated by commas; '),
    ('origins', 'https://bücher.example',
     'write the name as browsers send it, for example https://xn--bcher-kva.example; '),
    ('origins', 'https://example.org:0', 'the port is not a number from 1 to 65535; '),
    ('origins', '', 'nothing is written behind the =; '),
    ('origins_required', 'on', 'no such choice; allowed: no or yes'),
    ('origins_required', 'Yes', 'did you mean yes? allowed: no or yes'),
    ('origins_required', '1', 'no such choice; allowed: no or yes'),
    ('subprotocols', 'chat, chat', 'chat: it is given twice; '),
    ('subprotocols', 'chat superchat', 'names are separated by commas; '),
    ('subprotocols', 'chat,', 'a name is missing at a comma; '),
    ('subprotocols', 'chat/v1',
     'a name holds letters, digits and any of !#$%&\'*+-.^_`|~ only; '),
    ('subprotocols', 'mqtt, ' + 'x' * 65, 'x' * 65 + ': a name has at most 64 bytes; '),
    ('subprotocols_required', 'maybe', 'no such choice; allowed: no or yes'),
    ('message', '124', 'too small; allowed: 125 to 2147483647, or auto'),
    ('message', '1MB', 'not a size: write a whole number of bytes, or one and k, M or G, as in '
                       '64k; allowed: 125 to 2147483647, or auto'),
    ('send_queue', '1k', 'too small; allowed: 4k to 1G, or auto'),
    ('connections', '0', 'too small; allowed: 1 to 1000000, or auto'),
    ('connections', 'unlimited', 'not a whole number; allowed: 1 to 1000000, or auto'),
    ('max_age', '60', '60 what? write 60s; allowed: 0 (any) or 1s to 720h'),
    ('max_age', '500ms', 'too small; allowed: 0 (any) or 1s to 720h'),
    ('max_age', '31d', 'not a duration: write a whole number and ms, s, m or h, as in 1500ms; '
                       'allowed: 0 (any) or 1s to 720h'),
    ('rate', '0.5', 'not a whole number; allowed: 0 (any number) or 1 to 1000000'),
    ('rate', '5/s', 'not a whole number; allowed: 0 (any number) or 1 to 1000000'),
    ('rate', '1000001', 'too large; allowed: 0 (any number) or 1 to 1000000'),
]
OF_THE_SERVER = [
    ('10.0.0.1/8', 'did you mean 10.0.0.0/8? '),
    ('127.0.0.1, fd12:3456::1/16', 'fd12:3456::1/16: did you mean fd12::/16? '),
    ('10.0.0.0/33', LENGTH), ('10.0.0.0/255.0.0.0', LENGTH), ('10.0.0.0/', LENGTH),
    ('127.0.0.1:443', 'an address without brackets and port: write 127.0.0.1; '),
    ('[::1]', 'an address without brackets and port: write ::1; '),
    ('localhost', 'names are not looked up: write 127.0.0.1, ::1; '),
    ('*', 'write the address of the proxy: if everybody is believed, each client chooses the '
          'address that is logged for it; '),
    ('proxy.example', NUMERIC), ('10.0.0', NUMERIC), ('300.1.1.1', NUMERIC),
    ('127.0.0.1 ::1', 'addresses are separated by commas; '),
    ('10.0.0.0/8 127.0.0.1', 'addresses are separated by commas; '),
    ('127.0.0.1,', 'an address is missing at a comma; '),
    ('10.0.0.1, ::ffff:10.0.0.1', '::ffff:10.0.0.1: it is given twice; '),
    ('fe80::1%eth0', 'an address without a zone: leave out what begins with %; '),
]

FULL = '''
[server]
listen = 127.0.0.1:0
trusted_proxies = 127.0.0.1,10.0.0.0/8 , ::1,fd00::/8
[log]
access = on
[route /chat/*]
handler = echo
origins = same,   https://example.org:8443,https://*.example.com , null
origins_required = yes
subprotocols = "chat.v2, chat.v1,!#$$%&'*+-.^_`|~"
subprotocols_required = yes
message = 65536
send_queue = 0256k
connections = 20000
max_age = 90m
rate = 50
drain = wait
[route /open]
handler = echo
origins = *
message = auto
send_queue = auto
connections = auto
max_age = 0
rate = 0
[route /static/*]
handler = static
root = /tmp
'''


class Files(lastcall.Case):
    def write(self, text):
        path = os.path.join(self.directory(), 'some.ini')
        with open(path, 'w') as file:
            file.write(text)
        return path

    def says(self, text, line, wanted):
        """The check of a file ends with this one message and no other."""
        path = self.write(text)
        _, stderr = self.run_program('-c', path, '-t', expect=lastcall.EXIT_CONFIG)
        self.assertEqual(stderr.splitlines(), [f'{path}:{line}: {wanted}'])


class Mistakes(Files):
    ALLOWED = {'origins': ORIGINS, 'subprotocols': NAMES}

    def test_each_in_a_route_is_said_with_its_line_and_what_to_write(self):
        for key, value, wanted in OF_A_ROUTE:
            with self.subTest(key, value=value):
                shown = value if len(value) <= 60 else value[:60] + '...'
                self.says(f'{ECHO}{key} = {value}\n', 3,
                          f'{key} = {shown}: {wanted}{self.ALLOWED.get(key, "")}')

    def test_each_in_the_proxies_is_said_with_its_line_and_what_to_write(self):
        for value, wanted in OF_THE_SERVER:
            with self.subTest(value):
                self.says(f'[server]\ntrusted_proxies = {value}\n{ECHO}', 2,
                          f'trusted_proxies = {value}: {wanted}{NETWORKS}')

    def test_the_access_log_is_on_or_off(self):
        for value, wanted in (('yes', 'no such choice; '), ('On', 'did you mean on? '),
                              ('combined', 'no such choice; '), ('of', 'did you mean off? '),
                              ('', 'nothing is written behind the =; ')):
            with self.subTest(value):
                self.says(f'[log]\naccess = {value}\n{ECHO}', 2,
                          f'access = {value}: {wanted}allowed: off or on')

    def test_a_misspelt_key_is_offered_the_right_one(self):
        for wrong, right in (('origin', 'origins'), ('orgins_required', 'origins_required'),
                             ('sub_protocols', 'subprotocols'), ('subprotocol', 'subprotocols'),
                             ('mesage', 'message'), ('sendqueue', 'send_queue'),
                             ('connection', 'connections'), ('maxage', 'max_age'),
                             ('rates', 'rate')):
            with self.subTest(wrong):
                path = self.write(f'{ECHO}{wrong} = 1\n')
                _, stderr = self.run_program('-c', path, '-t', expect=lastcall.EXIT_CONFIG)
                self.assertIn(f'{path}:3: {wrong}: no such key for the handler echo; '
                              f'did you mean {right}? allowed: ', stderr)

    def test_a_key_for_websockets_is_refused_where_there_are_none(self):
        for key, value in (('origins', 'https://example.org'), ('origins_required', 'yes'),
                           ('subprotocols', 'chat'), ('subprotocols_required', 'yes'),
                           ('message', '1k'), ('send_queue', '64k'), ('connections', '5'),
                           ('max_age', '1h'), ('rate', '5'), ('drain', 'wait')):
            with self.subTest(key):
                self.says(f'[route /files/*]\nhandler = static\n{key} = {value}\nroot = /tmp\n', 3,
                          f'{key}: the handler static serves no WebSockets, so it would do nothing; '
                          'leave it out')
                also = 'subprotocols = chat\n' if key == 'subprotocols_required' else ''
                path = self.write(f'[route /s]\nhandler = status\n{also}{key} = {value}\n')
                self.run_program('-c', path, '-t', expect=0)

    def test_subprotocols_that_are_required_are_named(self):
        self.says(f'{ECHO}subprotocols_required = yes\n', 3,
                  'subprotocols_required = yes: no subprotocols are named, so every client would be '
                  'refused; name them with subprotocols, or leave it out')

    def test_the_same_is_said_of_a_setting_on_the_command_line(self):
        path = self.write(ECHO)
        for setting, wanted in (
                ('server.trusted_proxies=10.0.0.1/8', 'did you mean 10.0.0.0/8? ' + NETWORKS),
                ('route /echo.rate=0.5', 'not a whole number; allowed: 0 (any number) or 1 to '
                                         '1000000')):
            with self.subTest(setting):
                _, stderr = self.run_program('-c', path, '-s', setting, '-t',
                                             expect=lastcall.EXIT_CONFIG)
                key, value = setting.split('.', 1)[1].split('=')
                self.assertEqual(stderr, f'-s {setting}: {key} = {value}: {wanted}\n')

    def test_all_that_is_wrong_is_said_at_once(self):
        path = self.write('[server]\ntrusted_proxies = x\n' + ECHO
                          + 'origins = x\nsubprotocols = ,\nrate = x\nmax_age = 5\n')
        _, stderr = self.run_program('-c', path, '-t', expect=lastcall.EXIT_CONFIG)
        self.assertEqual([line.split(': ')[0] for line in stderr.splitlines()],
                         [f'{path}:{line}' for line in (2, 5, 6, 7, 8)])


class Dump(Files):
    def dump(self, text, *arguments):
        return self.run_program('-c', self.write(text), *arguments, '-T', expect=0)[0]

    def test_all_keys_are_dumped_as_they_are_in_force_and_that_is_a_fixed_point(self):
        first = self.dump(FULL)
        self.assertEqual(self.dump(first), first)
        chat = first[first.index('[route /chat/*]'):first.index('[route /open]')].splitlines()
        for line in ('origins = same,   https://example.org:8443,https://*.example.com , null',
                     'origins_required = yes', 'subprotocols_required = yes',
                     'subprotocols = "chat.v2, chat.v1,!#$$%&\'*+-.^_`|~"', 'message = 64k',
                     'send_queue = 256k', 'connections = 20000', 'max_age = 90m', 'rate = 50',
                     'drain = wait'):
            self.assertIn(line, chat)
        static = first[first.index('[route /static/*]'):].splitlines()
        self.assertEqual(static, ['[route /static/*]', 'handler = static', 'root = /tmp',
                                  'index = index.html', 'cache = 0'])
        self.assertIn('trusted_proxies = 127.0.0.1,10.0.0.0/8 , ::1,fd00::/8\n', first)
        self.assertIn('access = on\n', first)

    def test_what_is_dumped_of_the_defaults_is_a_fixed_point_too(self):
        first = self.dump(ECHO)
        self.assertEqual(self.dump(first), first)
        self.assertIn('access = off\n', first)

    def test_a_daemon_runs_with_what_is_dumped(self):
        path = self.write(self.dump(FULL))
        self.run_program('-c', path, '-t', expect=0)


class Help(lastcall.Case):
    def test_the_sample_shows_each_key_with_its_default(self):
        sample, _ = self.run_program('-h', 'config', expect=0)
        for line in ('trusted_proxies = ""', 'access = off', ';origins = same',
                     ';origins_required = no', ';subprotocols = ""', ';subprotocols_required = no',
                     ';message = auto', ';send_queue = auto', ';connections = auto', ';max_age = 0',
                     ';rate = 0'):
            self.assertIn(line, sample.splitlines())

    def test_who_sets_a_rate_reads_what_may_come_at_once(self):
        wanted = ("closed with 1008. A second's worth may come at once: what a stalled network "
                  'delivers together must fit into it. Number: ')
        for topic in ('config', 'handlers'):
            with self.subTest(topic):
                text = ' '.join(self.run_program('-h', topic, expect=0)[0].replace(';', '').split())
                self.assertTrue(wanted in text)


if __name__ == '__main__':
    lastcall.main()
