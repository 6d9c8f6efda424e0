#!/usr/bin/python3
"""Ids, and what a client is given that comes back: docs/broadcast.md, seen from outside."""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import BINARY, CLOSE, TEXT, WebSocket, close_frame, frame

MIB = 1 << 20


class Client(WebSocket):
    """One that does what docs/broadcast.md says: remembers the last id, comes back with it."""

    def join(self, path='/chat', since=None):
        self.handshake(path + ('' if since is None else f'?since={since}'))
        opcode, position = self.read_message()
        assert opcode == TEXT and position.isdigit(), position
        self.position = self.last = int(position)
        return self

    def hear(self):
        """The next message, whose id must be the next one, as (opcode, payload)."""
        opcode, message = self.read_message()
        number, newline, payload = message.partition(b'\n')
        assert newline and number.isdigit(), message[:60]
        assert int(number) == self.last + 1, (int(number), self.last)
        self.last += 1
        return opcode, payload

    def say(self, payload, opcode=TEXT):
        self.send(frame(opcode, payload))

    def leave(self):
        self.send(close_frame(1000))
        while self.read_frame().opcode != CLOSE:
            pass
        self.close_socket()


class Case(lastcall.Case):
    def served(self, *settings, history=100, echo_self='yes', **options):
        return self.daemon('server.loops=4', *settings,
                           routes={'/chat': {'handler': 'broadcast', 'history': history,
                                             'echo_self': echo_self, **options}})

    def client(self, daemon, since=None, path='/chat', **options):
        client = Client(daemon.address, timeout=lastcall.scaled(20), **options)
        self.addCleanup(client.close_socket)
        return client.join(path, since)

    def said(self, client, texts):
        """Says these, and has heard them."""
        for text in texts:
            client.say(text)
            assert client.hear() == (TEXT, text)


class Protocol(Case):
    def test_the_position_comes_first_and_each_message_with_the_next_id(self):
        client = self.client(self.served())
        now = time.time() * 1e6
        self.assertLess(abs(client.position - now), lastcall.scaled(60e6))
        self.assertLess(client.position, 2 ** 53, 'a number of JavaScript')
        for opcode, payload in ((TEXT, b'one'), (BINARY, bytes(range(256))), (TEXT, b''),
                                (TEXT, 'κόσμε\nline'.encode()), (BINARY, b'\n\n')):
            client.say(payload, opcode)
            self.assertEqual(client.hear(), (opcode, payload))

    def test_without_since_nothing_is_replayed_and_the_position_is_the_newest(self):
        daemon = self.served()
        one = self.client(daemon)
        self.said(one, [b'old'] * 5)
        other = self.client(daemon)
        self.assertEqual(other.position, one.last)
        one.say(b'new')
        self.assertEqual(other.hear(), (TEXT, b'new'))

    def test_since_in_all_cases(self):
        daemon = self.served(history=3)
        one = self.client(daemon)
        first = one.position
        self.said(one, [b'1', b'2', b'3', b'4', b'5'])
        cases = [(one.last, one.last), (one.last - 1, one.last - 1), (one.last - 3, one.last - 3)]
        cases += [(since, one.last - 3) for since in (
            0, first, first + 1, one.last + 1, 2 ** 53, 2 ** 64 - 1, 2 ** 64, '', 'x', '-1',
            f'{one.last}x', f'+{one.last}', '%30', f' {one.last}'.replace(' ', '%20'), '1e3')]
        cases += [(f'{one.last}&since=0', one.last), (f'0&a={one.last}', one.last - 3)]
        for since, position in cases:
            with self.subTest(since=since):
                other = self.client(daemon, since)
                self.assertEqual(other.position, position)
                for number in range(position - first, one.last - first):
                    self.assertEqual(other.hear(), (TEXT, b'%d' % (number + 1)))
                other.leave()
        with_others = self.client(daemon, path=f'/chat?a=1&since={one.last - 1}&b')
        self.assertEqual((with_others.position, with_others.hear()), (one.last - 1, (TEXT, b'5')))

    def test_a_history_is_kept_while_nobody_is_there_and_then_given_up(self):
        daemon = self.served(keep='700ms')
        one = self.client(daemon)
        self.said(one, [b'1', b'2'])
        one.leave()
        daemon.wait_log('session closed')
        other = self.client(daemon, since=one.last - 1)
        self.assertEqual((other.position, other.hear()), (one.last - 1, (TEXT, b'2')))
        other.leave()
        daemon.wait_log('session closed', 2)

        def forgotten():
            probe = self.client(daemon, since=one.last)
            probe.leave()
            return probe.position != one.last
        time.sleep(lastcall.scaled(2))  # nobody is to come meanwhile: that would keep it
        self.assertTrue(forgotten())

    def test_a_restart_is_seen_as_another_position(self):
        before = self.served()
        one = self.client(before)
        self.said(one, [b'1', b'2'])
        before.send_signal()
        one.answer_close(1001)
        before.wait_exit(0)
        again = self.client(self.served(), since=one.last)
        self.assertNotEqual(again.position, one.last)
        self.assertGreater(again.position, one.last)
        again.say(b'on')
        self.assertEqual(again.hear(), (TEXT, b'on'))

    def test_without_echo_self_one_does_not_hear_itself_but_what_it_said_before_it_came_back(self):
        daemon = self.served(echo_self='no')
        one, other = self.client(daemon), self.client(daemon)
        one.say(b'mine')
        self.assertEqual(other.hear(), (TEXT, b'mine'))
        other.say(b'yours')
        self.assertEqual(one.read_message(), (TEXT, b'%d\nyours' % (one.last + 2)))
        one.leave()
        back = self.client(daemon, since=one.last)
        self.assertEqual([back.hear(), back.hear()], [(TEXT, b'mine'), (TEXT, b'yours')])

    def test_without_a_history_messages_come_as_they_are_and_since_means_nothing(self):
        daemon = self.served(history=0)
        peer = self.websocket(daemon, '/chat?since=0')
        peer.send(frame(TEXT, b'hello'))
        self.assertEqual(peer.read_message(), (TEXT, b'hello'))


class Replay(Case):
    def test_a_replay_larger_than_the_send_queue_comes_whole_to_one_that_reads_slowly(self):
        daemon = self.served('limits.send_queue=64k', history=2000)
        one = self.client(daemon)
        start, payload = one.position, os.urandom(5000).hex().encode()
        for number in range(600):  # 6 MB
            self.said(one, [b'%d ' % number + payload])
        slow = self.client(daemon, since=0, receive_buffer=4096)
        self.assertEqual(slow.position, start)
        for number in range(600):
            if number % 50 == 0:
                one.say(b'live')
                time.sleep(0.05)  # it reads slowly
            self.assertTrue(slow.hear() == (TEXT, b'%d ' % number + payload), number)
        for _ in range(12):
            self.assertEqual(slow.hear(), (TEXT, b'live'))
        one.say(b'end')
        self.assertEqual(slow.hear(), (TEXT, b'end'))

    def test_one_that_reads_slower_than_the_history_moves_on_is_closed_with_1013_alone(self):
        daemon = self.served('limits.send_queue=64k', 'shutdown.close_timeout=2s', history=50)
        one = self.client(daemon)
        payload = b'x' * 50000
        self.said(one, [payload] * 50)
        slow = self.client(daemon, since=0, receive_buffer=4096)
        self.said(one, [payload] * 100)
        found = slow.read_frame()
        while found.opcode == TEXT:
            found = slow.read_frame()
        self.assertEqual((found.opcode, found.code()), (CLOSE, 1013))
        self.assertIn('the history has moved on', found.reason())
        self.assertEqual(daemon.wait_log('closing', code=1013)['address'], slow.name())
        self.said(one, [b'still here'])

    def test_all_histories_together_take_at_most_a_quarter_of_the_memory(self):
        daemon = self.daemon('server.loops=2', 'limits.memory=64M', routes={
            '/chat/*': {'handler': 'broadcast', 'history': 100000, 'echo_self': 'yes'}})
        payload = os.urandom(50000).hex().encode()
        before = daemon.status('VmRSS')
        clients = [self.client(daemon, path=f'/chat/{number}') for number in range(20)]
        for round in range(60):  # 120 MB
            for client in clients:
                client.say(payload)
            for client in clients:
                self.assertTrue(client.hear() == (TEXT, payload))
        if not lastcall.sanitized():
            self.assertLess(daemon.status('VmRSS') - before, 40000, 'kB')
        quiet, busy = clients[0], clients[1:]
        for client in busy:
            self.said(client, [payload] * 20)
        back = self.client(daemon, 0, '/chat/0')
        self.assertEqual(back.position, quiet.last, 'the quiet one has given up its history')
        kept = [client.last - self.client(daemon, 0, f'/chat/{number}').position
                for number, client in enumerate(clients)]
        self.assertGreater(kept[-1], 10)
        self.assertLessEqual(sum(kept) * len(payload), 16 * MIB)


class Flood(Case):
    COUNT = 4000

    def test_all_that_a_flood_says_before_its_close_is_published(self):
        daemon = self.served('limits.send_queue=64k', history=10000, echo_self='no')
        self.flood(daemon, self.client(daemon), 1000)

    def test_so_is_what_it_says_behind_the_close_of_the_server_and_before_its_own(self):
        daemon = self.served('limits.send_queue=64k', history=10000, echo_self='no', max_age='3s')
        flooder = self.client(daemon)
        flooder.read_close(1001)
        self.flood(daemon, flooder)

    def flood(self, daemon, flooder, code=None):
        for number in range(0, self.COUNT, 100):
            flooder.send(b''.join(frame(TEXT, b'%08d' % n + b'x' * 1000)
                                  for n in range(number, number + 100)))
        flooder.send(close_frame(code or 1001))
        if code:
            flooder.read_close(code)
        flooder.expect_end()
        closed = daemon.wait_log('session closed', address=flooder.name())
        self.assertEqual((closed['outcome'], closed['received']), ('handshake', self.COUNT))
        late = self.client(daemon, since=flooder.last)
        self.assertEqual(late.position, flooder.last)
        for number in range(self.COUNT):
            self.assertEqual(late.hear(), (TEXT, b'%08d' % number + b'x' * 1000))


class Coming(Case):
    """Clients that connect and disconnect at random while others publish."""
    PUBLISHERS, CLIENTS, MESSAGES = 3, 8, 1500

    def publish(self, daemon, number):
        publisher = self.client(daemon)
        for n in range(self.MESSAGES):
            publisher.say(b'%d:%d' % (number, n))
            for _ in range(n % 3 == 0):
                publisher.hear()
            if n % 50 == 0:
                time.sleep(0.01)
        while publisher.hear()[1] != b'%d:%d' % (number, self.MESSAGES - 1):
            pass
        publisher.leave()

    def follow(self, daemon, seed, heard):
        """Hears everything to the end, over many connections."""
        choice = random.Random(seed)
        client = self.client(daemon)
        heard.append(client.last)
        connections = 1
        while True:
            for _ in range(choice.randrange(200)):
                heard.append(client.hear()[1])
                if heard[-1] == b'end':
                    heard.append(connections)
                    client.close_socket()
                    return
            (client.reset if choice.random() < 0.5 else client.close_socket)()
            last, client = client.last, self.client(daemon, since=client.last)
            assert client.position == last, (client.position, last)
            connections += 1

    def test_there_is_neither_gap_nor_double_while_messages_flow_and_clients_come_and_go(self):
        daemon = self.served(history=100000)
        keeper = self.client(daemon)
        heard, failures = [[] for _ in range(self.CLIENTS)], []

        def guarded(function, *arguments):
            try:
                function(daemon, *arguments)
            except BaseException as failure:
                failures.append(repr(failure))
        threads = [threading.Thread(target=guarded, args=(self.follow, n, heard[n]))
                   for n in range(self.CLIENTS)]
        threads += [threading.Thread(target=guarded, args=(self.publish, n))
                    for n in range(self.PUBLISHERS)]
        for thread in threads:
            thread.start()
        whole = [keeper.hear()[1] for _ in range(self.PUBLISHERS * self.MESSAGES)]
        self.said(keeper, [b'end'])
        whole.append(b'end')
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        for number in range(self.PUBLISHERS):
            self.assertEqual([text for text in whole if text.startswith(b'%d:' % number)],
                             [b'%d:%d' % (number, n) for n in range(self.MESSAGES)])
        for one in heard:
            start, texts, connections = one[0], one[1:-1], one[-1]
            self.assertEqual(texts, whole[start - keeper.position:])
            self.assertGreater(connections, 5)


class Many(Case):
    COUNT = 10000 if not lastcall.sanitized() else 500

    def test_the_memory_of_many_channels_of_one_member_is_given_back(self):
        daemon = self.daemon('server.loops=2', 'log.level=info', routes={
            '/chat/*': {'handler': 'broadcast', 'history': 10, 'keep': '1s'}})
        self.round(daemon, self.COUNT // 10)
        before = daemon.status('VmRSS')
        first = self.round(daemon, self.COUNT)
        again = self.round(daemon, self.COUNT)
        if not lastcall.sanitized():
            self.assertLess((first - before) * 1024 // self.COUNT, 4000, 'bytes for each')
            self.assertLess(again - first, (first - before) // 4)

    def round(self, daemon, count):
        """So many members of a channel each, which have published; returns VmRSS meanwhile."""
        clients = []
        for number in range(count):
            client = self.client(daemon, path=f'/chat/{number}')
            client.say(b'x')
            clients.append(client)
        held = daemon.status('VmRSS')
        for client in clients:
            client.reset()
        lastcall.wait_until(lambda: '\nlastcall_memory_bytes 0\n' in daemon.get('/metrics').text(),
                            what='all is given back')
        return held


if __name__ == '__main__':
    lastcall.main()
