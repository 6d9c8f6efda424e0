#!/usr/bin/python3
"""Health, the page and the log."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import close_frame, exchange, request_head, upgrade_head


class Health(lastcall.Case):
    def test_all_three_paths_answer_with_json(self):
        daemon = self.daemon()
        for path in ('/health/live', '/health/ready', '/health'):
            with self.subTest(path):
                answer = daemon.get(path)
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.header('content-type').startswith('application/json'))
                self.assertIn('status', json.loads(answer.text()))
        self.assertEqual(json.loads(daemon.get('/health').text())['status'], 'ready')

    def test_an_unknown_path_below_health_is_not_healthy(self):
        self.assertEqual(self.daemon().get('/health/nonsense').status, 404)

    def test_a_wrong_method_is_405_and_says_which_is_right(self):
        daemon = self.daemon()
        for path in ('/health', '/metrics', '/'):
            answer = daemon.get(path, 'DELETE')
            self.assertEqual(answer.status, 405, path)
            self.assertIn('get', answer.tokens('allow'))

    def test_head_has_the_headers_and_no_body(self):
        daemon = self.daemon()
        for path in ('/', '/health/live'):
            answer, head = daemon.get(path), daemon.get(path, 'HEAD')
            self.assertEqual(head.status, answer.status)
            self.assertEqual(head.header('content-length'), answer.header('content-length'))

    def test_a_path_that_nothing_is_at_is_a_proper_404(self):
        answer = self.daemon().get('/nothing/here')
        self.assertEqual(answer.status, 404)
        self.assertIsNotNone(answer.header('content-length'))

    def test_the_page_connects_to_echo(self):
        answer = self.daemon().get('/')
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.header('content-type').startswith('text/html'))
        self.assertIn('new WebSocket(', answer.text())
        self.assertIn('/echo', answer.text())
        self.assertNotRegex(answer.text(), r'(src|href)="https?://', 'it must stand alone')

    def test_many_requests_in_a_row_are_all_answered(self):
        daemon = self.daemon()
        for _ in range(300):
            self.assertEqual(daemon.get('/health/live').status, 200)


class Log(lastcall.Case):
    def traffic(self, daemon):
        peer = self.websocket(daemon)
        peer.echo(b'12345')
        exchange(daemon.address, upgrade_head('/nowhere'))
        exchange(daemon.address, request_head('/echo?a="b"&c=\\'))
        peer.send(close_frame(1000, 'say "no"\\ ü'.encode()))
        peer.read_close(1000)
        daemon.wait_log('session closed')
        daemon.stop(0)

    def test_every_line_of_the_json_log_is_an_object_with_time_level_and_message(self):
        daemon = self.daemon('log.format=json', 'limits.connections=10')
        self.traffic(daemon)
        self.assertGreater(len(daemon.lines), 5)
        for line in daemon.lines:
            event = json.loads(line, object_pairs_hook=self.without_doubles)
            self.assertRegex(event['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d')
            self.assertIn(event['level'], lastcall.LEVELS)
            self.assertIsInstance(event['message'], str)
        self.assertIsInstance(daemon.logged('stopped')[0]['status'], int)

    def without_doubles(self, pairs):
        names = [name for name, _ in pairs]
        self.assertEqual(len(names), len(set(names)), f'a name comes twice: {names}')
        return dict(pairs)

    def test_every_line_of_the_text_log_has_a_level_and_no_colour(self):
        daemon = self.daemon()
        self.traffic(daemon)
        for line in daemon.lines:
            self.assertIsNotNone(lastcall.parse_line(line), line)
            self.assertNotIn('\x1b', line)

    def test_the_journal_is_given_no_time_of_ours(self):
        reading, writing = os.pipe()
        about = os.fstat(writing)
        directory = self.directory()
        path = os.path.join(directory, 'lastcall.ini')
        with open(path, 'w') as file:
            file.write(lastcall.ini(lastcall.BASE, lastcall.ROUTES))
        daemon = subprocess.Popen(
            [lastcall.PROGRAM, '-c', path], stdin=subprocess.DEVNULL, stderr=writing,
            env={**os.environ, 'JOURNAL_STREAM': f'{about.st_dev}:{about.st_ino}'})
        os.close(writing)
        self.addCleanup(daemon.kill)
        with open(reading) as log:
            lines = []
            for line in log:
                lines.append(line)
                if 'info ready ' in line:
                    daemon.terminate()
        self.assertEqual(daemon.wait(lastcall.scaled(10)), 0)
        for line in lines:
            self.assertRegex(line, '^(info|debug|warning) ')

    def test_a_session_is_logged_with_its_address_counts_and_duration(self):
        daemon = self.daemon()
        peer = self.websocket(daemon)
        name = peer.name()
        self.assertEqual(daemon.wait_log('session opened', address=name)['route'], '/echo')
        peer.echo(b'12345')
        peer.echo(b'x' * 200)
        peer.send(close_frame(4000))
        peer.read_close(4000)
        closed = daemon.wait_log('session closed', address=name)
        self.assertEqual(closed['level'], 'debug')
        self.assertEqual((closed['route'], closed['code'], closed['outcome']),
                         ('/echo', 4000, 'handshake'))
        self.assertEqual((closed['received'], closed['sent']), (2, 2))
        self.assertGreaterEqual(closed['bytes_received'], 205)
        self.assertGreaterEqual(closed['bytes_sent'], 205)
        self.assertGreaterEqual(closed['duration_ms'], 0)

    def test_at_level_info_sessions_are_not_logged(self):
        daemon = self.daemon('log.level=info')
        self.websocket(daemon).reset()
        daemon.stop(0)
        self.assertEqual(daemon.logged('session opened'), [])
        self.assertEqual(len(daemon.logged('stopped')), 1)

    def test_a_storm_of_refusals_does_not_flood_the_log(self):
        daemon = self.daemon()
        for _ in range(500):
            exchange(daemon.address, upgrade_head('/nowhere'))
        daemon.stop(0)
        count = len(daemon.logged('refused'))
        self.assertGreater(count, 0)
        self.assertLess(count, 250)

    def test_ready_says_what_is_in_force(self):
        ready = self.daemon('server.http_threads=7', 'server.loops=1',
                            'limits.connections=33').logged('ready')[0]
        self.assertEqual((ready['http_threads'], ready['loops'], ready['connections']), (7, 1, 33))
        self.assertEqual(ready['routes'], 4)
        self.assertTrue(str(ready['civetweb']).startswith('1.'))


if __name__ == '__main__':
    lastcall.main()
