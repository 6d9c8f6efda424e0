#!/usr/bin/python3
"""What client and server agree to speak, with raw bytes and with a client that others wrote."""
import asyncio
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from door import KEY, ask, upgrade
from peer import WebSocket

try:
    import websockets
except ImportError:
    websockets = None

NAME = 'Sec-WebSocket-Protocol'
SPOKEN = 'chat.v2, chat.v1, ocpp1.6, !#$$%&\'*+-.^_`|~'  # a dollar is written twice
LONG = 'x' * 64

# What is asked for, line by line; what is agreed on.
AGREED = [
    (['chat.v1'], 'chat.v1'),
    (['chat.v1, chat.v2'], 'chat.v1'),  # the client's order counts
    (['chat.v2, chat.v1'], 'chat.v2'),
    (['chat.v3, chat.v2'], 'chat.v2'),
    (['chat.v3', 'chat.v2'], 'chat.v2'),
    (['chat.v3, chat.v9', 'superchat', 'ocpp1.6, chat.v1'], 'ocpp1.6'),
    (['chat.v1,chat.v2'], 'chat.v1'),
    (['  chat.v1  ,  chat.v2  '], 'chat.v1'),
    ([',, chat.v1 ,,'], 'chat.v1'),
    (["!#$%&'*+-.^_`|~"], "!#$%&'*+-.^_`|~"),
    ([', '.join(f'other{n}' for n in range(63)), 'chat.v1'], 'chat.v1'),
    (['x' * 5000 + ', chat.v1'], 'chat.v1'),
    # none in common
    (['chat.v3'], None), (['CHAT.V1'], None), (['chat'], None), (['chat.v'], None),
    (['chat.v12'], None), (['xchat.v1'], None), (['chat.v3, superchat'], None),
    ([LONG], None), ([LONG + 'x'], None), ([], None),
]

# What is no list of names.
MALFORMED = [
    [''], [' '], [','], [', ,'], ['chat.v1', ''], ['chat.v1, chat.v1'], ['chat.v1', 'chat.v1'],
    ['chat.v3, chat.v3'], ['chat.v1 chat.v2'], ['chat.v1; q=1'], ['chat/v1'], ['"chat.v1"'],
    ['chat.v1, "x"'], ['chat.v1, (x)'], ['chat.v1, a=b'], ['chat@v1'], ['chat:v1'], ['[chat]'],
    ['{chat}'], ['chat\\v1'], ['chät'], [b'\xff'], [b'chat.v1, \x80'],
    [', '.join(f'p{n}' for n in range(65))],
]


class Case(lastcall.Case):
    def start(self, **keys):
        return self.daemon(routes={'/echo': {'handler': 'echo', **keys},
                                   '/plain': {'handler': 'echo'}})

    def ask(self, daemon, wishes, path='/echo'):
        lines = [NAME.encode() + b': ' + (wish if isinstance(wish, bytes) else wish.encode())
                 for wish in wishes]
        return ask(daemon.address, upgrade(*lines, path=path), lastcall.scaled(10))


class Agreement(Case):
    def test_the_first_that_the_client_asks_for_and_that_is_spoken_here_is_agreed_on(self):
        daemon = self.start(subprotocols=SPOKEN)
        for wishes, agreed in AGREED:
            with self.subTest([wish[:60] for wish in wishes]):
                answer = self.ask(daemon, wishes)
                self.assertEqual((answer.status, answer.header(NAME)), (101, agreed))

    def test_with_none_in_common_it_goes_on_without_one(self):
        peer = WebSocket(self.start(subprotocols=SPOKEN).address, lastcall.scaled(10))
        self.addCleanup(peer.close_socket)
        peer.send(upgrade(f'{NAME}: superchat'))
        self.assertIsNone(peer.finish_handshake(KEY).header(NAME))
        peer.echo()

    def test_a_route_that_speaks_none_agrees_on_none(self):
        daemon = self.start(subprotocols=SPOKEN)
        for wishes, _ in AGREED:
            with self.subTest([wish[:60] for wish in wishes]):
                answer = self.ask(daemon, wishes, '/plain')
                self.assertEqual((answer.status, answer.header(NAME)), (101, None))

    def test_with_subprotocols_required_and_none_in_common_it_is_400_and_says_why(self):
        daemon = self.start(subprotocols=SPOKEN, subprotocols_required='yes')
        for wishes, agreed in AGREED:
            with self.subTest([wish[:60] for wish in wishes]):
                answer = self.ask(daemon, wishes)
                self.assertEqual((answer.status, answer.header(NAME)),
                                 (101, agreed) if agreed else (400, None))
                if not agreed:
                    self.assertIn('subprotocol', answer.text())
        line = daemon.wait_log('refused')
        self.assertEqual((line['status'], line['route']), (400, '/echo'))
        self.assertIn('subprotocol', line['why'])
        self.assertEqual(self.ask(daemon, [], '/plain').status, 101)

    def test_what_is_no_list_of_names_is_400_wherever_it_comes(self):
        daemon = self.start(subprotocols=SPOKEN)
        for path in ('/echo', '/plain'):
            for wishes in MALFORMED:
                with self.subTest([wish[:60] for wish in wishes], path=path):
                    answer = self.ask(daemon, wishes, path)
                    self.assertEqual(answer.status, 400)
                    self.assertIn(NAME, answer.text())

    def test_each_route_speaks_its_own(self):
        daemon = self.daemon(routes={'/a': {'handler': 'echo', 'subprotocols': 'a'},
                                     '/b': {'handler': 'echo', 'subprotocols': 'b'}})
        for path in 'ab':
            self.assertEqual(self.ask(daemon, ['b, a'], f'/{path}').header(NAME), path)


@unittest.skipUnless(websockets, '*** python3-websockets is not here: no other client asked ***')
class Client(Case):
    def talk(self, daemon, **options):
        """Connects, has a message echoed, closes; returns what was agreed on."""
        async def session():
            uri = 'ws://%s:%d/echo' % daemon.address
            async with websockets.connect(uri, open_timeout=lastcall.scaled(10), **options) as ws:
                await ws.send('hello')
                self.assertEqual(await asyncio.wait_for(ws.recv(), lastcall.scaled(10)), 'hello')
                return ws.subprotocol
        return asyncio.run(session())

    def test_a_client_that_others_wrote_agrees_with_it(self):
        daemon = self.start(subprotocols='chat.v2, chat.v1')
        for wishes, agreed in ((['chat.v1', 'chat.v2'], 'chat.v1'), (['x', 'chat.v2'], 'chat.v2'),
                               (['x'], None), (None, None)):
            with self.subTest(wishes):
                self.assertEqual(self.talk(daemon, subprotocols=wishes), agreed)

    def test_it_is_refused_where_it_must_agree_and_does_not(self):
        daemon = self.start(subprotocols='chat.v2', subprotocols_required='yes')
        self.assertEqual(self.talk(daemon, subprotocols=['chat.v2']), 'chat.v2')
        for wishes in (['chat.v1'], None):
            with self.subTest(wishes), self.assertRaises(websockets.InvalidStatusCode) as refusal:
                self.talk(daemon, subprotocols=wishes)
            self.assertEqual(refusal.exception.status_code, 400)

    def test_it_is_refused_with_the_origin_of_another_page(self):
        daemon = self.start()
        self.assertIsNone(self.talk(daemon, origin='http://%s:%d' % daemon.address))
        with self.assertRaises(websockets.InvalidStatusCode) as refusal:
            self.talk(daemon, origin='https://evil.com')
        self.assertEqual(refusal.exception.status_code, 403)


if __name__ == '__main__':
    lastcall.main()
