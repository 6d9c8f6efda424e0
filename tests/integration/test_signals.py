#!/usr/bin/python3
"""Signals other than the one that stops, signals at every moment, and the life of process 1."""
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import close_frame, request_head

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=50s')
HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
STOPPING = (signal.SIGTERM, signal.SIGINT)


def kill(daemon, *numbers):
    for number in numbers:
        os.kill(daemon.pid, number)


class Harmless(lastcall.Case):
    def assertServes(self, daemon, *peers):
        for peer in peers:
            peer.echo(b'as before')
        new = self.websocket(daemon)
        new.echo(b'as before')
        self.assertEqual(daemon.get('/').status, 200)
        self.assertEqual(daemon.get('/health/live').status, 200)
        new.send(close_frame(1000))
        new.read_close(1000)
        new.expect_end()

    def readiness(self, daemon):
        answer = daemon.get('/health/ready')
        return answer.status, json.loads(answer.text())

    def test_sigusr1_prints_the_state_and_stops_nothing(self):
        daemon = self.daemon('limits.connections=50')
        peers = [self.websocket(daemon) for _ in range(3)]
        for peer in peers:
            peer.echo()
        kill(daemon, signal.SIGUSR1)
        state = daemon.wait_log('state')
        self.assertEqual((state['readiness'], state['sessions'], state['limit'],
                          state['requests']), ('ready', 3, 50, 0))
        self.assertEqual(daemon.logged('state of a route', route='/echo')[0]['open'], 3)
        self.assertServes(daemon, *peers)
        daemon.wait_log('session closed')
        kill(daemon, signal.SIGUSR1)
        daemon.wait_log('state', count=2)
        route = daemon.logged('state of a route', route='/echo')[1]
        self.assertEqual((route['opened'], route['handshake']), (4, 1))

    def test_sigusr2_takes_it_out_of_the_balancer_and_puts_it_back(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        for _ in range(2):
            self.assertEqual(self.readiness(daemon)[0], 200)
            kill(daemon, signal.SIGUSR2)
            lastcall.wait_until(lambda: self.readiness(daemon)[0] == 503, what='not ready')
            self.assertEqual(self.readiness(daemon)[1]['status'], 'paused')
            self.assertIn('SIGUSR2', self.readiness(daemon)[1]['reason'])
            self.assertServes(daemon, peer)
            kill(daemon, signal.SIGUSR2)
            lastcall.wait_until(lambda: self.readiness(daemon)[0] == 200, what='ready again')
            self.assertServes(daemon, peer)
        self.assertGreaterEqual(sum(event.get('name') == 'SIGUSR2' for event in daemon.events), 4)

    def test_sighup_says_that_nothing_has_changed_and_stops_nothing(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        kill(daemon, signal.SIGHUP)
        lastcall.wait_until(lambda: [event for event in daemon.events
                                     if event.get('name') == 'SIGHUP'], what='a line about it')
        self.assertServes(daemon, peer)

    def test_sigterm_drains_one_that_is_out_of_the_balancer(self):
        daemon = self.daemon('shutdown.delay=500ms', *LONG)
        peer = self.websocket(daemon)
        kill(daemon, signal.SIGUSR2)
        lastcall.wait_until(lambda: self.readiness(daemon)[0] == 503, what='not ready')
        daemon.send_signal()
        daemon.wait_log('signal')
        self.assertEqual(self.readiness(daemon)[1]['status'], 'draining')
        peer.answer_close(1001)
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_during_the_delay_and_the_drain_they_do_no_harm(self):
        daemon = self.daemon('shutdown.delay=600ms', *LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        daemon.wait_log('signal')
        kill(daemon, *HARMLESS)
        self.assertEqual(daemon.wait_log('state')['readiness'], 'stopping')
        self.assertEqual(self.readiness(daemon), (503, {
            'status': 'draining', 'reason': self.readiness(daemon)[1]['reason']}))
        peer.echo(b'in the delay')
        peer.read_close(1001)
        daemon.wait_log('draining')
        for count in range(2, 5):
            kill(daemon, *HARMLESS)
            self.assertEqual(daemon.wait_log('state', count)['sessions'], 1)
        peer.send(close_frame(1001))
        peer.expect_end()
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_a_storm_of_them_changes_nothing_under_traffic_nor_in_the_drain(self):
        daemon = self.daemon(*LONG, routes={'/slow': {'handler': 'echo', 'drain': 'wait'}})
        peer = self.websocket(daemon, '/slow')
        for message in ('ready', 'draining'):
            daemon.wait_log(message)
            for _ in range(100):
                kill(daemon, *HARMLESS)
                peer.echo(b'x' * 1000)
            if message == 'ready':
                daemon.send_signal()
        peer.send(close_frame(1000))
        peer.read_close(1000)
        peer.expect_end()
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_sigquit_kills_as_it_does_any_program(self):
        wrapper = os.path.join(self.directory(), 'start')
        with open(wrapper, 'w') as file:
            file.write(f'#!/bin/sh\nexec prlimit --core=0 "{lastcall.PROGRAM}" "$@"\n')
        os.chmod(wrapper, 0o755)
        with unittest.mock.patch.object(lastcall, 'PROGRAM', wrapper):
            daemon = lastcall.Daemon(self.directory())
        self.addCleanup(daemon.kill)
        daemon.ready()
        peer = self.websocket(daemon)
        kill(daemon, signal.SIGQUIT)
        self.assertEqual(daemon.process.wait(lastcall.scaled(10)), -signal.SIGQUIT)
        peer.close_socket()


class EveryOrder(lastcall.Case):
    def test_all_signals_in_any_order_end_in_a_drain(self):
        """Within 100 ms a second one that stops is taken for the first."""
        orders = list(itertools.permutations(HARMLESS + STOPPING))
        for order in random.Random(1).sample(orders, 16):
            with self.subTest(' '.join(number.name for number in order)):
                daemon = self.daemon(*LONG)
                peer = self.websocket(daemon)
                kill(daemon, *order)
                peer.answer_close(1001)
                self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_the_second_that_stops_counts_whatever_came_between(self):
        daemon = self.daemon(*LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        kill(daemon, *HARMLESS, *HARMLESS)
        daemon.wait_log('state')
        time.sleep(lastcall.scaled(0.15))  # the rule itself: a second signal comes after 100 ms
        kill(daemon, signal.SIGUSR1)
        self.assertEqual(daemon.stop(130, signal.SIGINT)['forced'], 1)

    def test_a_second_signal_counts_the_request_that_it_has_cut(self):
        directory = self.directory()
        with open(os.path.join(directory, 'big'), 'wb') as file:
            file.truncate(24 << 20)
        daemon = self.daemon(*LONG, routes={'/files/*': {'handler': 'static', 'root': directory}})
        peer = self.peer(daemon, receive_buffer=16384)
        peer.send(request_head('/files/big'))
        peer.read_until(b'\r\n\r\n')
        daemon.send_signal()
        daemon.wait_log('draining')
        time.sleep(lastcall.scaled(0.15))  # the rule itself: a second signal comes after 100 ms
        stopped = daemon.stop(143)
        self.assertWithin(daemon.since_signal(), 1.0, 'now means now')
        self.assertEqual((stopped['http_cut'], stopped['drain']), (1, 'forced'))


class AtTheStart(lastcall.Case):
    """The start takes some 20 ms here: a signal falls into each part of it."""

    def start(self):
        config = os.path.join(self.directory(), 'lastcall.ini')
        with open(config, 'w') as file:
            file.write(lastcall.ini(lastcall.BASE, lastcall.ROUTES))
        process = subprocess.Popen([lastcall.PROGRAM, '-c', config], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def check(self, process, number, errors):
        """Ended by its own rules, or before it could have any."""
        if process.returncode == -number:
            self.assertEqual(errors, '', f'{number.name} killed it when it had begun to log')
            return
        self.assertEqual(process.returncode, 0, f'{number.name}\n{errors}')
        self.assertRegex(errors.splitlines()[-1], r' stopped status=0 ')

    def test_one_that_stops_is_obeyed_whenever_it_comes(self):
        for moment in range(31):
            process = self.start()
            time.sleep(moment / 1000)  # the moment is what is tried
            number = STOPPING[moment % 2]
            process.send_signal(number)
            errors = process.communicate(timeout=lastcall.scaled(20))[1]
            with self.subTest(moment=moment):
                self.check(process, number, errors)

    def test_any_other_is_survived_whenever_it_comes(self):
        for moment in range(31):
            process = self.start()
            time.sleep(moment / 1000)  # the moment is what is tried
            number = HARMLESS[moment % 3]
            process.send_signal(number)
            lines = list(itertools.takewhile(lambda line: ' ready ' not in line, process.stderr))
            process.send_signal(signal.SIGTERM)
            errors = ''.join(lines) + process.communicate(timeout=lastcall.scaled(20))[1]
            with self.subTest(moment=moment):
                self.check(process, number, errors)


class Process1(lastcall.Case):
    """What a container without an init of its own makes of it."""

    @classmethod
    def setUpClass(cls):
        tried = subprocess.run(['unshare', '--pid', '--fork', '--mount-proc', 'true'],
                               capture_output=True, text=True)
        if tried.returncode != 0:
            raise lastcall.unittest.SkipTest(
                f'no process namespace can be made: {tried.stderr.strip()}')

    def first(self, script, *settings):
        """A daemon that is process 1, which it became through a shell script ("$@" starts it);
        what is asked of its pid and its status goes to it and not to unshare."""
        wrapper = os.path.join(self.directory(), 'start')
        with open(wrapper, 'w') as file:
            file.write(f'#!/bin/sh\nset -- "{lastcall.PROGRAM}" "$@"\n'
                       f"exec unshare --pid --fork --mount-proc sh -c '{script}' sh \"$@\"\n")
        os.chmod(wrapper, 0o755)
        with unittest.mock.patch.object(lastcall, 'PROGRAM', wrapper):
            daemon = self.daemon(*settings)
        daemon.pid, = children(daemon.pid)
        with open(f'/proc/{daemon.pid}/status') as file:
            self.assertRegex(file.read(), r'(?m)^NSpid:.*\t1$', 'it is not process 1')
        return daemon

    def test_sigterm_and_sigint_drain_it_with_0(self):
        for number in STOPPING:
            with self.subTest(number.name):
                daemon = self.first('exec "$@"', *LONG)
                peer = self.websocket(daemon)
                daemon.send_signal(number)
                peer.answer_close(1001)
                self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_a_signal_from_inside_its_own_container_drains_it_too(self):
        inside = 'while [ ! -e "$STOP" ]; do sleep 0.02; done; kill -TERM 1'
        stop = os.path.join(self.directory(), 'stop')
        daemon = self.first(f'({inside.replace("$STOP", stop)}) & exec "$@"')
        peer = self.websocket(daemon)
        peer.echo()
        with open(stop, 'w'):
            pass
        peer.answer_close(1001)
        self.assertEqual(daemon.wait_exit(0)['handshake'], 1)

    def test_a_second_signal_cuts_everything(self):
        daemon = self.first('exec "$@"', *LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        time.sleep(lastcall.scaled(0.15))  # the rule itself: a second signal comes after 100 ms
        self.assertEqual(daemon.stop(143)['forced'], 1)

    def test_the_others_do_no_harm(self):
        daemon = self.first('exec "$@"')
        kill(daemon, *HARMLESS)
        daemon.wait_log('state')
        self.websocket(daemon).echo()

    def test_an_orphan_is_reaped(self):
        daemon = self.first('(sleep 1 &); exec "$@"')
        self.assertEqual(len(children(daemon.pid)), 1, 'there is no orphan')
        lastcall.wait_until(lambda: not children(daemon.pid), 5, 'the orphan is reaped')

    def test_a_child_that_ended_before_it_was_there_is_reaped(self):
        """An entrypoint may leave one behind when it becomes the daemon."""
        python = ('import os, sys; os.fork() or os._exit(0); '
                  'os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT); os.execv(sys.argv[1], '
                  'sys.argv[1:])')
        daemon = self.first(f'exec /usr/bin/python3 -c "{python}" "$@"')
        lastcall.wait_until(lambda: not children(daemon.pid), 2, 'the child is reaped')


class Health(lastcall.Case):
    def test_asking_for_health_can_be_interrupted(self):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            port = silent.getsockname()[1]
            asking = subprocess.Popen(
                [lastcall.PROGRAM, '-s', f'server.listen=127.0.0.1:{port}', '--health'])
            try:
                silent.settimeout(lastcall.scaled(10))
                with silent.accept()[0]:
                    asking.send_signal(signal.SIGINT)
                    self.assertEqual(asking.wait(lastcall.scaled(2)), -signal.SIGINT)
            finally:
                asking.kill()
                asking.wait()


def children(parent):
    """The pids of a process's children, those that nobody has reaped included."""
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat') as file:
                    fields = file.read().rpartition(')')[2].split()
            except OSError:
                continue  # it has ended meanwhile
            if int(fields[1]) == parent:
                found.append(int(name))
    return found


if __name__ == '__main__':
    lastcall.main()
