#!/usr/bin/python3
"""What one member of a channel sends reaches all others, in one order for all."""
import os
import random
import select
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from crowd import RSV1, compressed, expanded
from peer import BINARY, CLOSE, TEXT, WebSocket, close_frame, frame

LOOPS = 'server.loops=4'
CHAT = {'handler': 'broadcast'}
OFFER = ['Sec-WebSocket-Extensions: permessage-deflate']


class Broadcast(lastcall.Case):
    def served(self, *settings, path='/chat/*', **options):
        return self.daemon(LOOPS, *settings, routes={path: {**CHAT, **options}})

    def members(self, daemon, count, path='/chat/x', **options):
        """So many members, of whom everybody knows that they have joined: each is heard by all."""
        members = [self.websocket(daemon, path, **options) for _ in range(count)]
        self.settle(members)
        return members

    def settle(self, members, echo=False):
        """A join takes effect a moment after the 101: each says its number until all hear it."""
        first, rest = members[0], members[1:]
        for number, member in enumerate(rest):
            mark = b'joined %d' % number
            while True:
                first.send(frame(TEXT, mark))
                if echo:
                    self.assertEqual(first.read_message(), (TEXT, mark))
                if self.readable(member, 0.2):
                    break
        last = b'all are here'
        first.send(frame(TEXT, last))
        for member in rest + [first] * echo:
            while member.read_message() != (TEXT, last):
                pass

    @staticmethod
    def readable(member, seconds):
        return bool(member.buffer) or bool(select.select([member.socket], [], [], seconds)[0])


class Everybody(Broadcast):
    def test_everybody_but_the_sender_gets_what_is_sent(self):
        members = self.members(self.served(), 9)
        for number, member in enumerate(members):
            said = (TEXT, b'from %d' % number)
            member.send(frame(*said))
            for other in members:
                if other is not member:
                    self.assertEqual(other.read_message(), said)

    def test_with_echo_self_the_sender_gets_it_too(self):
        daemon = self.served(echo_self='yes')
        members = [self.websocket(daemon, '/chat/x') for _ in range(3)]
        self.settle(members, echo=True)
        members[1].send(frame(TEXT, b'hello'))
        for member in members:
            self.assertEqual(member.read_message(), (TEXT, b'hello'))

    def test_text_stays_text_and_binary_binary_of_every_length(self):
        one, other = self.members(self.served(), 2)
        for length in (0, 1, 125, 126, 65535, 65536, 1 << 20):
            for opcode, payload in ((TEXT, b'x' * length), (BINARY, os.urandom(length))):
                one.send(frame(opcode, payload))
                self.assertTrue(other.read_message() == (opcode, payload), (opcode, length))

    def test_all_hear_many_publishers_in_the_same_order(self):
        daemon = self.served(echo_self='yes')
        members = [self.websocket(daemon, '/chat/x') for _ in range(8)]
        self.settle(members, echo=True)
        count, heard = 300, {}

        def live(number, member):
            heard[number] = [member.read_message()[1] for _ in range(count * len(members))]
        readers = [threading.Thread(target=live, args=pair) for pair in enumerate(members)]
        for reader in readers:
            reader.start()
        for n in range(count):
            for number, member in enumerate(members):
                member.send(frame(TEXT, b'%d:%d' % (number, n)))
        for reader in readers:
            reader.join()
        for number in range(len(members)):
            self.assertEqual(heard[number], heard[0])
            own = [text for text in heard[0] if text.startswith(b'%d:' % number)]
            self.assertEqual(own, [b'%d:%d' % (number, n) for n in range(count)])

    def test_members_may_compress_or_not(self):
        daemon = self.served(compression='on')
        plain, packed, third = (WebSocket(daemon.address, timeout=lastcall.scaled(10))
                                for _ in range(3))
        for peer in (plain, packed, third):
            self.addCleanup(peer.close_socket)
            peer.handshake('/chat/x', OFFER if peer is packed else [])
        packed.rsv = RSV1
        while not (self.readable(packed, 0.1) and self.readable(third, 0.1)):
            plain.send(frame(TEXT, b'joined'))
        text = b'a sentence that is worth it, ' * 40
        plain.send(frame(TEXT, text))
        found = packed.read_frame()
        while found.payload == b'joined':
            found = packed.read_frame()
        self.assertEqual((found.rsv, expanded(found.payload)), (RSV1, text))
        self.assertLess(len(found.payload), len(text) // 4)
        packed.send(frame(TEXT, compressed(text[::-1]), rsv=RSV1))
        self.assertEqual(plain.read_message(), (TEXT, text[::-1]))
        heard = third.read_message()
        while heard == (TEXT, b'joined'):
            heard = third.read_message()
        self.assertEqual([heard, third.read_message()], [(TEXT, text), (TEXT, text[::-1])])


class Channels(Broadcast):
    def test_each_path_is_a_channel_of_its_own(self):
        daemon = self.served()
        here, there = self.members(daemon, 2, '/chat/here'), self.members(daemon, 2, '/chat/there')
        for _ in range(20):
            here[0].send(frame(TEXT, b'here'))
            there[0].send(frame(TEXT, b'there'))
        for _ in range(20):
            self.assertEqual(here[1].read_message(), (TEXT, b'here'))
            self.assertEqual(there[1].read_message(), (TEXT, b'there'))

    def test_the_option_channel_makes_all_paths_one(self):
        daemon = self.served(channel='all of them')
        one, other = self.websocket(daemon, '/chat/a'), self.websocket(daemon, '/chat/b')
        self.settle([one, other])
        other.send(frame(TEXT, b'hello'))
        self.assertEqual(one.read_message(), (TEXT, b'hello'))

    def test_names_are_compared_as_decoded_bytes(self):
        daemon = self.served()
        long = 'y' * 3000
        for name, same, different in (('a%20b', '%61%20%62', 'a+b'), ('%C3%A9', '%c3%a9', 'e'),
                                      ('%ff%fe', '%FF%FE', '%ff'), ('x?a=1', 'x?b=2', 'X'),
                                      ('%E2%82%AC/%01', '%e2%82%ac/%01', '%e2%82%ac/'),
                                      (long, long, long + 'y')):
            with self.subTest(name=name[:20]):
                one, other = (self.websocket(daemon, '/chat/' + path) for path in (name, same))
                stranger = self.websocket(daemon, '/chat/' + different)
                self.settle([one, other])
                other.send(frame(TEXT, b'hello'))
                self.assertEqual(one.read_message(), (TEXT, b'hello'))
                stranger.send(close_frame(1000))
                stranger.read_close(1000)
                for peer in (one, other):
                    peer.send(close_frame(1000))
                    peer.read_close(1000)


class Slow(Broadcast):
    def test_a_slow_member_is_closed_with_1013_and_nobody_else_notices(self):
        daemon = self.served('limits.send_queue=64k', 'shutdown.close_timeout=1s')
        members = self.members(daemon, 5)
        slow = self.websocket(daemon, '/chat/x', receive_buffer=4096)
        self.settle([members[0], slow])
        for other in members[1:]:
            while other.read_message()[1] != b'all are here':
                pass
        message = (BINARY, os.urandom(30000))
        sent = 0
        while not daemon.logged('closing', code=1013):
            members[0].send(frame(*message))
            for member in members[1:]:
                self.assertTrue(member.read_message() == message)
            sent += 1
            self.assertLess(sent, 2000)
        self.assertEqual(daemon.logged('closing')[0]['address'], slow.name())
        daemon.wait_log('session closed', address=slow.name())
        self.assertEqual(len(daemon.logged('session closed')), 1)

    def test_the_flood_of_one_publisher_takes_little_memory_and_does_not_end_it(self):
        daemon = self.served('limits.send_queue=1M')
        flooder, *others = self.members(daemon, 9)
        count = 600 if not lastcall.sanitized() else 60
        block = frame(BINARY, bytes(1000)) * 100
        before = highest = daemon.status('VmRSS')
        for _ in range(count):  # nobody reads, and the kernel takes some of it
            flooder.send(block)
            highest = max(highest, daemon.status('VmRSS'))
        flooder.send(close_frame(1000))
        flooder.read_close(1000)
        closed = daemon.wait_log('session closed', address=flooder.name())
        self.assertGreaterEqual(closed['received'], count * 100)
        if not lastcall.sanitized():
            self.assertLess(highest - before, 40000, 'kB, for 60 MB to eight members')
        for other in others:
            heard = other.read_frame()
            while heard.opcode == BINARY:
                heard = other.read_frame()
            self.assertEqual((heard.opcode, heard.code()), (CLOSE, 1013))

    def test_what_is_sent_before_a_close_is_published(self):
        daemon = self.served()
        for _ in range(20):
            one, other = self.members(daemon, 2, '/chat/last')
            one.send(frame(TEXT, b'last words') + close_frame(1000))
            self.assertEqual(other.read_message(), (TEXT, b'last words'))
            one.read_close(1000)
            one.expect_end()
            other.send(close_frame(1000))
            other.read_close(1000)

    def test_what_is_sent_with_the_handshake_behind_the_101_is_published(self):
        daemon = self.served()
        other = self.websocket(daemon, '/chat/x')
        self.settle([other, self.websocket(daemon, '/chat/x')])
        for number in range(20):
            one = self.websocket(daemon, '/chat/x')
            one.send(frame(TEXT, b'%d' % number) + close_frame(1000))
            self.assertEqual(other.read_message(), (TEXT, b'%d' % number))
            one.read_close(1000)


class Drain(Broadcast):
    def test_all_members_are_closed_with_1001_and_the_status_is_0(self):
        daemon = self.served(history=100)
        members = [self.websocket(daemon, '/chat/%d' % (n % 7)) for n in range(60)]
        for member in members:
            member.read_message()
        daemon.send_signal()
        for member in members:
            member.answer_close(1001)
        daemon.wait_exit(0)

    def churn(self, daemon, ended):
        """Members that come, speak and go, until told to end; reads what there is."""
        def live(seed):
            choice = random.Random(seed)
            while not ended.is_set():
                try:
                    peer = WebSocket(daemon.address, timeout=lastcall.scaled(20))
                except OSError:
                    return
                try:
                    peer.handshake('/chat/%d?since=0' % choice.randrange(3))
                    for _ in range(choice.randrange(6)):
                        peer.send(frame(TEXT, b'x' * choice.choice((1, 100, 5000))))
                    if choice.random() < 0.5:
                        peer.send(close_frame(1000))
                        while peer.read_frame().opcode != CLOSE:
                            pass
                    elif choice.random() < 0.5:
                        peer.reset()
                except (OSError, AssertionError):
                    pass
                finally:
                    peer.close_socket()
        threads = [threading.Thread(target=live, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        return threads

    def churned(self, seconds):
        daemon = self.served('shutdown.close_timeout=2s', history=20, keep='1s')
        ended = threading.Event()
        threads = self.churn(daemon, ended)
        time.sleep(seconds)  # the time of the load
        return daemon, ended, threads

    def test_a_drain_among_members_that_come_and_go_ends_with_0(self):
        daemon, ended, threads = self.churned(1.5)
        try:
            daemon.send_signal()
            daemon.wait_exit(0)
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def test_a_second_signal_among_members_that_come_and_go_ends_it_at_once(self):
        daemon, ended, threads = self.churned(1)
        quiet = [self.websocket(daemon, '/chat/%d' % n) for n in range(3)]
        try:
            daemon.send_signal()
            daemon.wait_log('draining')
            time.sleep(0.15)  # a second signal counts from 100 ms on
            daemon.send_signal()
            daemon.wait_exit(128 + 15)
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        self.assertEqual(len(quiet), 3)


if __name__ == '__main__':
    lastcall.main()
