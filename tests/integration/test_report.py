#!/usr/bin/python3
"""The report of a shutdown: what is in it, and that it is there whole or not at all."""
import json
import os
import stat
import subprocess
import sys
import time
import unittest.mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import close_frame, request

LONG = ('shutdown.timeout=60s', 'shutdown.close_timeout=20s')
COUNTS = {'open', 'handshake', 'gone', 'forced', 'refused', 'received'}
FIGURES = {'version', 'time', 'status', 'duration_ms', 'drain', 'mg_stop', 'sessions',
           'http_finished', 'http_cut', 'signal_to_close_ms', 'close_to_answer_ms', 'routes'}
OLD = '{"status": "of the run before"}\n'


def strict(pairs):
    """A JSON object whose names are all different."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise AssertionError(f'a name comes twice: {names}')
    return dict(pairs)


class Reported(lastcall.Case):
    def setUp(self):
        self.folder = self.directory()
        self.path = os.path.join(self.folder, 'report.json')

    def reporting(self, *settings, path=None, **options):
        return self.daemon(f'shutdown.report={path or self.path}', *settings, **options)

    def through(self, script):
        """From now on daemons are started through a shell script, with the program as $1."""
        path = os.path.join(self.directory(), 'start')
        with open(path, 'w') as file:
            file.write(f'#!/bin/sh\nset -- "{lastcall.PROGRAM}" "$@"\n{script}\n')
        os.chmod(path, 0o755)
        patch = unittest.mock.patch.object(lastcall, 'PROGRAM', path)
        patch.start()
        self.addCleanup(patch.stop)

    def read(self):
        """The report, checked for being one and for being alone in its folder."""
        self.assertEqual(os.listdir(self.folder), ['report.json'])
        with open(self.path) as file:
            report = json.load(file, object_pairs_hook=strict)
        self.assertEqual(set(report), FIGURES)
        for counts in [report['sessions'], *report['routes']]:
            self.assertEqual(set(counts) - {'route'}, COUNTS)
            self.assertEqual(counts['open'],
                             counts['handshake'] + counts['gone'] + counts['forced'])
        for name in COUNTS:
            self.assertEqual(report['sessions'][name],
                             sum(route[name] for route in report['routes']), name)
        for name in ('signal_to_close_ms', 'close_to_answer_ms'):
            self.check_percentiles(report[name])
        return report

    def check_percentiles(self, found):
        if found is not None:
            self.assertEqual(list(found), ['p50', 'p99', 'max'])
            self.assertLessEqual(0, found['p50'])
            self.assertLessEqual(found['p50'], found['p99'])
            self.assertLessEqual(found['p99'], found['max'])

    def agrees(self, report, stopped):
        """Every figure of the log's last line is in the report."""
        for name in ('status', 'duration_ms', 'drain', 'mg_stop', 'http_finished', 'http_cut'):
            self.assertEqual(report[name], stopped[name], name)
        for name in COUNTS:
            self.assertEqual(report['sessions'][name], stopped[name], name)
        answers = report['close_to_answer_ms']
        self.assertAlmostEqual(answers['max'] if answers else 0, stopped['slowest_handshake_ms'],
                               delta=1)


class Content(Reported):
    def test_it_has_every_figure_and_agrees_with_the_last_line_of_the_log(self):
        daemon = self.reporting('shutdown.close_timeout=3s', 'shutdown.delay=1s',
                                routes={'/other/*': {'handler': 'echo'}})
        peers = [self.websocket(daemon) for _ in range(5)]
        elsewhere = self.websocket(daemon, '/other/x')
        daemon.send_signal()
        daemon.wait_log('signal')
        self.assertEqual(request(daemon.address, '/nowhere').status, 404)
        self.assertEqual(request(daemon.address, '/').status, 200)
        for peer in peers[:3]:
            peer.answer_close(1001)
        peers[3].read_close(1001)
        peers[3].reset()
        elsewhere.answer_close(1001)
        stopped = daemon.wait_exit(1)
        report = self.read()
        self.agrees(report, stopped)
        self.assertEqual(report['status'], 1)
        self.assertEqual((report['drain'], report['mg_stop']), ('forced', 'returned'))
        self.assertEqual(report['sessions'], {'open': 6, 'handshake': 4, 'gone': 1, 'forced': 1,
                                              'refused': 1, 'received': 0})
        routes = {route['route']: route for route in report['routes']}
        self.assertEqual((routes['/echo']['open'], routes['/echo']['forced']), (5, 1))
        self.assertEqual((routes['/other/*']['open'], routes['/other/*']['handshake']), (1, 1))
        self.assertGreaterEqual(report['http_finished'], 1)
        version = subprocess.run([lastcall.PROGRAM, '-V'], capture_output=True, text=True,
                                 timeout=lastcall.scaled(10)).stdout.split()[1]
        self.assertEqual(report['version'], version)
        self.assertRegex(report['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$')

    def test_without_sessions_the_times_are_null(self):
        stopped = self.reporting().stop(0)
        report = self.read()
        self.agrees(report, stopped)
        self.assertIsNone(report['signal_to_close_ms'])
        self.assertIsNone(report['close_to_answer_ms'])
        self.assertEqual(report['sessions']['open'], 0)

    def test_when_nobody_answers_there_is_no_time_of_an_answer(self):
        daemon = self.reporting('shutdown.close_timeout=300ms')
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        stopped = daemon.wait_exit(1)
        report = self.read()
        self.agrees(report, stopped)
        self.assertIsNone(report['close_to_answer_ms'])
        self.assertLess(report['signal_to_close_ms']['max'], lastcall.scaled(300))

    def test_the_times_are_those_that_the_peers_saw(self):
        daemon = self.reporting('shutdown.spread=600ms', 'server.loops=1', *LONG)
        peers = [self.websocket(daemon) for _ in range(10)]
        daemon.send_signal()
        for peer in peers[:9]:
            peer.answer_close(1001)
        peers[9].read_close(1001)
        read = time.monotonic()
        time.sleep(0.4)  # this peer is slow: that is what is measured
        peers[9].send(close_frame(1001))
        peers[9].expect_end()
        self.agrees(self.read_after(daemon), daemon.logged('stopped')[0])
        closes, answers = self.report['signal_to_close_ms'], self.report['close_to_answer_ms']
        self.assertGreater(closes['max'], 530, 'the last of ten is due after 540 ms')
        self.assertLess(closes['max'], lastcall.scaled(900))
        self.assertTrue(200 < closes['p50'] < lastcall.scaled(500), closes)
        self.assertLess(closes['max'], (read - daemon.signalled) * 1000 + lastcall.scaled(50))
        self.assertGreater(answers['max'], 350)
        self.assertLess(answers['p50'], 300)

    def read_after(self, daemon):
        daemon.wait_exit(0)
        self.report = self.read()
        return self.report

    def test_what_a_second_signal_did_is_told_too(self):
        daemon = self.reporting(*LONG)
        peer = self.websocket(daemon)
        daemon.send_signal()
        peer.read_close(1001)
        time.sleep(lastcall.scaled(0.15))  # the rule itself: a second signal comes after 100 ms
        stopped = daemon.stop(143)
        report = self.read()
        self.agrees(report, stopped)
        self.assertEqual((report['status'], report['sessions']['forced']), (143, 1))

    def test_the_name_of_a_route_may_be_anything_that_a_path_may_be(self):
        name = '/ü"'
        daemon = self.reporting(*LONG, routes={name: {'handler': 'echo'}})
        daemon.stop(0)
        self.assertIn(name, [route['route'] for route in self.read()['routes']])


class Writing(Reported):
    def old_report(self):
        with open(self.path, 'w') as file:
            file.write(OLD)

    def assertOld(self, folder=None):
        folder = folder or self.folder
        self.assertEqual([name for name in os.listdir(folder) if name != 'filler'],
                         ['report.json'], 'a half-written file was left')
        with open(os.path.join(folder, 'report.json')) as file:
            self.assertEqual(file.read(), OLD)

    def assertLoggedFailure(self, daemon, path):
        errors = [event for event in daemon.events if event['level'] == 'error']
        self.assertEqual(len(errors), 1, errors)
        self.assertIn(path, str(errors[0]))

    def test_the_start_leaves_the_old_report_and_nothing_else_in_the_folder(self):
        self.old_report()
        daemon = self.reporting()
        self.assertOld()
        daemon.stop(0)
        self.read()

    def test_it_takes_the_place_of_the_old_one_and_never_writes_into_it(self):
        self.old_report()
        kept = os.path.join(self.directory(), 'kept')
        os.link(self.path, kept)
        self.reporting().stop(0)
        self.read()
        with open(kept) as file:
            self.assertEqual(file.read(), OLD, 'who had it open saw half of a report')
        self.assertTrue(stat.S_ISREG(os.lstat(self.path).st_mode))

    def test_none_is_written_when_none_is_wanted(self):
        self.daemon().stop(0)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_relative_path_is_one_from_where_it_was_started(self):
        self.through(f'cd "{self.folder}" && exec "$@"')
        self.reporting(path='report.json').stop(0)
        self.read()

    def test_a_full_disk_changes_neither_the_status_nor_the_old_report(self):
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', self.folder],
                                 capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f'no file system of its own can be mounted: {mounted.stderr.strip()}')
        self.addCleanup(subprocess.run, ['umount', '-l', self.folder], check=True)
        self.old_report()
        daemon = self.reporting()
        peer = self.websocket(daemon)
        with self.assertRaises(OSError):
            with open(os.path.join(self.folder, 'filler'), 'wb', 0) as filler:
                while True:
                    filler.write(bytes(4096))
        daemon.send_signal()
        peer.answer_close(1001)
        daemon.wait_exit(0)
        self.assertOld()
        self.assertLoggedFailure(daemon, self.path)

    def test_a_limit_on_the_size_of_files_changes_neither_the_status_nor_the_old_report(self):
        self.old_report()
        self.through('exec prlimit --fsize=100 --core=0 "$@"')
        daemon = self.reporting()
        daemon.stop(0)
        self.assertOld()
        self.assertLoggedFailure(daemon, self.path)

    def test_a_folder_that_has_gone_meanwhile_changes_no_status(self):
        self.old_report()
        daemon = self.reporting('shutdown.close_timeout=200ms')
        peer = self.websocket(daemon)
        moved = os.path.join(self.directory(), 'moved')
        os.rename(self.folder, moved)
        daemon.send_signal()
        peer.read_close(1001)
        daemon.wait_exit(1)
        self.assertOld(moved)
        self.assertLoggedFailure(daemon, self.path)

    def test_what_a_killed_one_left_behind_does_not_keep_the_next_from_starting(self):
        """In a container every daemon has the same process id."""
        self.through('touch "$REPORT.$$.new"; exec "$@"')
        daemon = self.reporting(environment={'REPORT': self.path})
        daemon.stop(0)
        self.read()

    def test_a_link_that_somebody_has_laid_is_not_written_through(self):
        """In a folder that others write to, such as /tmp."""
        victim = os.path.join(self.directory(), 'victim')
        with open(victim, 'w') as file:
            file.write(OLD)
        daemon = self.reporting()
        os.symlink(victim, f'{self.path}.{daemon.pid}.new')
        daemon.stop(0)
        with open(victim) as file:
            self.assertEqual(file.read(), OLD)
        self.assertTrue(stat.S_ISREG(os.lstat(self.path).st_mode))


class Refused(Reported):
    def refused(self, path):
        daemon = self.reporting(path=path, wait=False)
        lastcall.wait_until(lambda: daemon.ended or daemon.logged('ready'), what='the start')
        self.assertFalse(daemon.logged('ready'), 'it had begun to serve')
        daemon.wait_exit(lastcall.EXIT_CONFIG)
        self.assertIn(path, '\n'.join(daemon.lines))

    def test_a_folder_that_is_not_there_is_told_at_the_start(self):
        self.refused(os.path.join(self.folder, 'missing', 'report.json'))

    def test_the_check_of_a_configuration_tells_it_too(self):
        path = os.path.join(self.folder, 'missing', 'report.json')
        _, errors = self.run_program('-t', '-s', f'shutdown.report={path}',
                                     expect=lastcall.EXIT_CONFIG)
        self.assertIn(path, errors)

    def test_a_folder_that_is_a_file_is_told_at_the_start(self):
        with open(self.path, 'w'):
            pass
        self.refused(os.path.join(self.path, 'report.json'))

    def test_a_folder_in_which_nothing_can_be_made_is_told_at_the_start(self):
        self.refused('/proc/report.json')

    def test_a_report_that_is_a_folder_is_told_at_the_start(self):
        self.refused(self.folder)
        self.refused(self.folder + '/')

    def test_a_report_that_is_no_file_is_told_at_the_start(self):
        os.mkfifo(self.path)
        self.refused(self.path)
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.path).st_mode))


if __name__ == '__main__':
    lastcall.main()
