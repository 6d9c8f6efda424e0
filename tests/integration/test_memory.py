#!/usr/bin/python3
"""limits.memory: who holds the most of what is too much for all is closed, and nobody else."""
import os
import re
import select
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from control_group import MemoryGroup, Unavailable
from peer import BINARY, CONTINUATION, TEXT, close_frame, frame, upgrade_head

WHY = 'all WebSockets together hold too much memory, and this one the most'
MEGABYTE = 1 << 20
LOG_BURST = 20  # lines of one kind that a loop writes at once


class Talk:
    """A good peer, which goes on echoing until it is asked how it went."""

    def __init__(self, peer):
        self.peer, self.count, self.slowest, self.error, self.over = peer, 0, 0, None, False
        self.thread = threading.Thread(target=self.go_on)
        self.thread.start()

    def go_on(self):
        try:
            while not self.over:
                began = time.monotonic()
                self.peer.echo(b'message %d' % self.count)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.count += 1
                time.sleep(0.002)
        except (AssertionError, OSError) as error:
            self.error = error

    def end(self):
        self.over = True
        self.thread.join()


class Memory(lastcall.Case):
    def talk(self, daemon):
        talk = Talk(self.websocket(daemon))
        self.addCleanup(talk.end)
        return talk

    def check_talk(self, talk):
        """It went on until now."""
        count = talk.count
        lastcall.wait_until(lambda: talk.error or talk.count > count + 2, what='an echo')
        talk.end()
        self.assertIsNone(talk.error)

    def stalled(self, daemon, size, count):
        """A peer that asks for echoes and reads none; all of them wait when this returns."""
        peer = self.websocket(daemon, receive_buffer=4096)
        self.asked += size * count
        peer.send(b''.join(frame(BINARY, bytes([n]) * size) for n in range(count)))
        lastcall.wait_until(lambda: self.metric(daemon, 'lastcall_received_bytes_total',
                                                'route="/echo"') >= self.asked,
                            what='the messages have arrived')
        return peer

    def setUp(self):
        self.asked = 0

    def metric(self, daemon, name, labels=''):
        pattern = re.escape(name + (f'{{{labels}}}' if labels else '')) + r' (\S+)$'
        return float(re.search('^' + pattern, daemon.get('/metrics').text(), re.M).group(1))

    def closed(self, daemon, code):
        """How many sessions have ended with this code, however."""
        pattern = r'^lastcall_sessions_closed_total\{route="/echo",code="%s".*\} (\d+)$' % code
        return sum(map(int, re.findall(pattern, daemon.get('/metrics').text(), re.M)))

    def at_rest(self, daemon):
        lastcall.wait_until(lambda: self.metric(daemon, 'lastcall_memory_bytes') == 0,
                            what='nothing is held any more')

    def check_echoes(self, peer, size, most):
        """Reads echoes until something else comes; returns that and how many they were."""
        number = 0
        while (found := peer.read_frame()).opcode == BINARY:
            self.assertTrue(found.fin and found.payload == bytes([number]) * size,
                            f'echo {number} is another: {found}')
            number += 1
        self.assertLessEqual(number, most)
        return found, number

    def all_come(self, peer, size, count):
        peer.send(frame(TEXT, b'still here'))
        found, number = self.check_echoes(peer, size, count)
        self.assertEqual((found.opcode, found.payload, number), (TEXT, b'still here', count))


class Queues(Memory):
    LITTLE, MUCH, MORE = 8, 30, 26  # messages
    SIZE = 50000

    def test_of_stalled_readers_the_one_that_holds_the_most_is_told_1013_and_all_others_go_on(self):
        daemon = self.daemon('limits.memory=3M', 'limits.send_queue=8M', 'server.loops=1',
                             'shutdown.close_timeout=1m', 'shutdown.timeout=2m')
        other = self.websocket(daemon)
        self.assertEqual(self.metric(daemon, 'lastcall_memory_limit_bytes'), 3 * MEGABYTE)
        little = self.stalled(daemon, self.SIZE, self.LITTLE)
        much = self.stalled(daemon, self.SIZE, self.MUCH)
        other.echo(b'not disturbed')
        held = self.metric(daemon, 'lastcall_memory_bytes')
        self.assertGreater(held, 0.9 * self.SIZE * (self.LITTLE + self.MUCH))
        self.assertLess(held, 3 * MEGABYTE)
        self.assertEqual(self.metric(daemon, 'lastcall_memory_closed_total'), 0)
        more = self.stalled(daemon, self.SIZE, self.MORE)
        closing = daemon.wait_log('closing')
        self.assertEqual((closing['address'], closing['route'], closing['code'], closing['why']),
                         (much.name(), '/echo', 1013, WHY))
        self.assertEqual(self.metric(daemon, 'lastcall_memory_closed_total'), 1)
        self.assertLess(self.metric(daemon, 'lastcall_memory_bytes'), 3 * MEGABYTE)
        found, number = self.check_echoes(much, self.SIZE, self.MUCH - 1)
        self.assertGreater(number, 0, 'what had begun to go out')
        self.assertEqual((found.code(), found.reason()), (1013, WHY))
        much.send(close_frame(1013))
        much.expect_end()
        self.all_come(little, self.SIZE, self.LITTLE)
        self.all_come(more, self.SIZE, self.MORE)
        other.echo(b'not disturbed')
        self.at_rest(daemon)
        self.assertEqual(len(daemon.logged('closing')), 1)
        self.assertEqual(daemon.wait_log('session closed')['outcome'], 'handshake')

    def test_one_that_does_not_take_its_close_either_is_cut_and_counted_once(self):
        daemon = self.daemon('limits.memory=1M', 'limits.send_queue=8M',
                             'shutdown.close_timeout=300ms')
        talk = self.talk(daemon)
        peer = self.websocket(daemon, receive_buffer=4096)
        peer.send(frame(BINARY, bytes(self.SIZE)) * self.MUCH)
        closed = daemon.wait_log('session closed')
        self.assertEqual((closed['code'], closed['outcome']), (1013, 'forced'))
        self.check_talk(talk)
        self.at_rest(daemon)
        self.assertEqual(self.metric(daemon, 'lastcall_memory_closed_total'), 1)
        self.assertEqual(self.closed(daemon, 1013), 1)


class HalfMessages(Memory):
    COUNT, SIZE = 60, 65536

    def test_those_that_begin_messages_are_closed_one_by_one_and_whoever_talks_is_not(self):
        daemon = self.daemon('limits.memory=1M', 'server.loops=1')
        talk = self.talk(daemon)
        holders = [self.websocket(daemon) for _ in range(self.COUNT)]
        for holder in holders:
            holder.send(frame(BINARY, bytes(self.SIZE), fin=False))
        most = MEGABYTE // self.SIZE
        lastcall.wait_until(
            lambda: self.metric(daemon, 'lastcall_memory_closed_total') == self.COUNT - most,
            what='all but those that there is room for are closed')
        self.assertEqual(self.metric(daemon, 'lastcall_memory_bytes'), most * self.SIZE)
        told = self.tell(holders)
        self.assertEqual(len(told), self.COUNT - most)
        for holder in told:
            holder.send(frame(CONTINUATION, b'too late') + frame(TEXT, b'lost'))
            holder.answer_close(1013)
        for holder in set(holders) - set(told):
            holder.send(frame(CONTINUATION, b'end'))
            self.assertEqual(holder.read_message(), (BINARY, bytes(self.SIZE) + b'end'))
        self.check_talk(talk)
        self.at_rest(daemon)
        self.check_log(daemon, len(told))

    @staticmethod
    def tell(holders):
        """Those to which the server has said something."""
        readable = select.select([holder.socket for holder in holders], [], [], 0)[0]
        return [holder for holder in holders if holder.socket in readable]

    def check_log(self, daemon, count):
        """Some lines say it, and each of the others is counted in one that comes later."""
        lines = daemon.logged('closing', code=1013, why=WHY)
        self.assertGreaterEqual(len(lines), LOG_BURST)
        self.assertLess(len(lines), count)
        self.assertEqual(self.closed(daemon, 1013), count)


class Loops(Memory):
    def test_whoever_holds_the_most_on_one_loop_makes_room_for_those_on_all_others(self):
        daemon = self.daemon('limits.memory=4M', 'limits.send_queue=8M', 'server.loops=4',
                             'shutdown.close_timeout=1m', 'shutdown.timeout=2m')
        much = self.stalled(daemon, 50000, 50)
        others = [self.stalled(daemon, 50000, 12) for _ in range(3)]
        closing = daemon.wait_log('closing')
        self.assertEqual((closing['address'], closing['code']), (much.name(), 1013))
        for other in others:
            self.all_come(other, 50000, 12)
        self.assertEqual(self.metric(daemon, 'lastcall_memory_closed_total'), 1)
        found, _ = self.check_echoes(much, 50000, 49)
        self.assertEqual(found.code(), 1013)
        much.send(close_frame(1013))
        much.expect_end()
        self.at_rest(daemon)

    def test_there_are_no_more_loops_than_can_be_told_apart_however_many_processors(self):
        compiler = shutil.which('cc')
        if compiler is None or lastcall.sanitized():
            self.skipTest('no compiler, or a sanitizer, which must be loaded first')
        folder = self.directory()
        source, library = os.path.join(folder, 'many.c'), os.path.join(folder, 'many.so')
        with open(source, 'w') as file:
            file.write('#include <string.h>\n'
                       'int sched_getaffinity(int pid, unsigned long size, void *set)\n'
                       '{ (void)pid; memset(set, 0xff, size); return 0; }\n')
        subprocess.run([compiler, '-shared', '-fPIC', '-o', library, source], check=True)
        daemon = self.daemon(environment={'LD_PRELOAD': library})
        self.assertEqual(daemon.logged('ready')[0]['loops'], 64)
        self.websocket(daemon).echo()


class Container(Memory):
    """A daemon in a control group of 64 MB, which decides by itself what that is enough for."""
    LIMIT, PEERS, SIZE = 64 * MEGABYTE, 1000, 65536

    def test_a_thousand_peers_that_stop_reading_end_with_1013_and_not_with_the_daemon(self):
        if lastcall.sanitized():
            self.skipTest('a sanitizer needs more memory')
        try:
            group = MemoryGroup(self.LIMIT)
        except Unavailable as why:
            self.skipTest(str(why))
        self.addCleanup(group.remove)
        daemon = self.daemon('limits.memory=auto', 'log.level=info', group=group.procs)
        self.assertLess(daemon.logged('ready')[0]['memory_limit'], self.LIMIT / 2)
        talk = self.talk(daemon)
        peers = [self.peer(daemon) for _ in range(self.PEERS)]
        for peer in peers:
            peer.send(upgrade_head())
            peer.read_until(b'\r\n\r\n')
            peer.socket.setblocking(False)
        peak = self.flood(daemon, group, peers)
        self.check_talk(talk)
        self.assertLess(talk.slowest, lastcall.scaled(5), 'seconds for an echo')
        self.assertLess(peak, self.LIMIT)
        self.at_rest_without(daemon, peers)
        self.assertEqual(len(daemon.logged('closing', code=1013)),
                         len(daemon.logged('closing')), 'nobody is closed for anything else')

    def flood(self, daemon, group, peers):
        """Sends whatever the server takes until hardly anybody is left, and reads nothing. Those
        that are left hold no more than they may. Returns the most memory that was in use."""
        message = frame(BINARY, bytes(self.SIZE))
        sent = dict.fromkeys(peers, 0)
        peak = 0
        end = time.monotonic() + lastcall.scaled(60)
        while len(sent) > self.PEERS / 20:
            self.assertLess(time.monotonic(), end, f'{len(sent)} peers are left')
            self.assertIsNone(daemon.process.poll(), 'the daemon was killed')
            idle = True
            for peer in list(sent):
                try:
                    sent[peer] = (sent[peer] + peer.socket.send(message[sent[peer]:])) % len(message)
                    idle = False
                except BlockingIOError:
                    pass
                except OSError:
                    del sent[peer]
            peak = max(peak, group.used())
            if idle:
                time.sleep(0.01)
        return peak

    def at_rest_without(self, daemon, peers):
        """All have ended with 1013, but for those that were left, who are gone now."""
        for peer in peers:
            peer.close_socket()
        self.at_rest(daemon)
        self.assertGreaterEqual(self.closed(daemon, 1013), 0.95 * self.PEERS)
        lastcall.wait_until(lambda: self.closed(daemon, 1013) + self.closed(daemon, 1006)
                            == self.PEERS, what='all have ended')


if __name__ == '__main__':
    lastcall.main()
