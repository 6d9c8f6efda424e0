#!/usr/bin/python3
"""The status page without a browser: its JSON, its WebSocket, what it costs and what it may not."""
import base64
import hashlib
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall
from peer import CLOSE, PING, PONG, TEXT, close_frame, frame, request

TOP = {'version', 'time', 'uptime_ms', 'state', 'drain', 'limits', 'process', 'routes'}
PROCESS = {'cpu_ms', 'resident_bytes', 'virtual_bytes', 'threads', 'started'}
ROUTE = {'route', 'handler', 'websocket', 'open', 'limit', 'opened', 'received', 'sent',
         'received_bytes', 'sent_bytes', 'queued_bytes', 'closed', 'refused', 'requests'}
DRAIN = {'phase', 'total', 'drained', 'forced', 'requests', 'elapsed_ms', 'left_ms', 'waiting',
         'sessions'}
SESSION = {'address', 'route', 'open_ms', 'why', 'queued_bytes'}
UNANSWERED = 'has not answered our Close'


class Status(lastcall.Case):
    def watched(self, *settings, refresh='100ms', routes=None, **options):
        routes = {'/status': {'handler': 'status', 'refresh': refresh}, **(routes or {})}
        return self.daemon(*settings, routes=routes, **options)

    def json(self, daemon):
        answer = daemon.get('/status?json')
        self.assertEqual(answer.status, 200)
        return json.loads(answer.text())

    def route(self, snapshot, name):
        found = [one for one in snapshot['routes'] if one['route'] == name]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def watcher(self, daemon, **options):
        return self.websocket(daemon, '/status', **options)

    def snapshot(self, peer):
        opcode, payload = peer.read_message()
        self.assertEqual(opcode, TEXT)
        return json.loads(payload)

    def snapshots(self, peer):
        """All that come until the Close; and its code."""
        found = []
        while True:
            one = peer.read_frame()
            if one.opcode == CLOSE:
                return found, one.code()
            found.append(json.loads(one.payload))


class Json(Status):
    def test_it_has_all_that_is_promised_and_nothing_else(self):
        snapshot = self.json(self.watched(routes={'/few': {'handler': 'echo', 'connections': 7}}))
        self.assertEqual(set(snapshot), TOP)
        self.assertEqual(set(snapshot['process']), PROCESS)
        for name in ('time', 'started'):
            self.assertRegex(snapshot.get(name) or snapshot['process'][name],
                             r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$')
        self.assertEqual([one['key'] for one in snapshot['limits']],
                         ['limits.connections', 'server.http_threads', 'ulimit -n',
                          'limits.memory'])
        for one in snapshot['limits']:
            self.assertEqual(set(one), {'name', 'key', 'used', 'limit'})
            self.assertLess(one['used'], one['limit'])
        for one in snapshot['routes']:
            self.assertEqual(set(one), ROUTE)
            self.assertEqual(set(one['closed']), {'handshake', 'gone', 'forced'})
        self.assertEqual((snapshot['state'], snapshot['drain']), ('ready', None))
        self.assertEqual([one['route'] for one in snapshot['routes']],
                         ['/', '/echo', '/health/*', '/metrics', '/status', '/few', '(none)'])
        self.assertEqual([self.route(snapshot, name)['handler'] for name in ('/echo', '(none)')],
                         ['echo', None])
        self.assertEqual([self.route(snapshot, name)['limit'] for name in ('/echo', '/few')],
                         [None, 7])
        self.assertEqual([one['route'] for one in snapshot['routes'] if one['websocket']],
                         ['/echo', '/status', '/few'])

    def test_it_counts_what_has_happened(self):
        daemon = self.watched()
        peers = [self.websocket(daemon) for _ in range(4)]
        for _ in range(3):
            peers[0].echo(b'12345')
        peers[1].reset()
        peers[2].send(close_frame(1000))
        peers[2].read_close(1000)
        peers[2].expect_end()
        lastcall.wait_until(lambda: self.route(self.json(daemon), '/echo')['open'] == 2)
        self.assertEqual(request(daemon.address, '/nowhere').status, 404)
        self.assertEqual(request(daemon.address, '/health/live').status, 200)
        snapshot = self.json(daemon)
        echo = self.route(snapshot, '/echo')
        self.assertEqual({key: echo[key] for key in ('open', 'opened', 'received', 'sent',
                                                     'received_bytes', 'sent_bytes', 'closed')},
                         {'open': 2, 'opened': 4, 'received': 3, 'sent': 3, 'received_bytes': 15,
                          'sent_bytes': 15, 'closed': {'handshake': 1, 'gone': 1, 'forced': 0}})
        self.assertEqual(self.route(snapshot, '(none)')['refused'], {'route': 1})
        self.assertEqual(self.route(snapshot, '(none)')['requests'], {'404': 1})
        self.assertEqual(self.route(snapshot, '/health/*')['requests'], {'200': 1})
        self.assertEqual(snapshot['limits'][0]['used'], 2)
        self.assertEqual(snapshot['limits'][1]['used'], 1, 'the one that asks')

    def test_the_descriptors_are_those_that_are_open(self):
        daemon = self.watched()
        before = self.json(daemon)['limits'][2]['used']
        peers = [self.websocket(daemon) for _ in range(20)]
        after = self.json(daemon)['limits'][2]['used']
        self.assertAlmostEqual(after - before, len(peers), delta=2)
        self.assertLessEqual(abs(after - daemon.fd_count()), 4)

    def test_the_figures_of_the_process_are_its_own(self):
        daemon = self.watched()
        process = self.json(daemon)['process']
        self.assertEqual(process['threads'], daemon.status('Threads'))
        resident = daemon.status('VmRSS') * 1024
        self.assertTrue(.5 < process['resident_bytes'] / resident < 2, (process, resident))

    def test_only_a_query_that_asks_for_it_by_name_gets_json(self):
        daemon = self.watched()
        for query, kind in (('json', 'json'), ('json=1', 'json'), ('a=b&json', 'json'),
                            ('json&a', 'json'), ('jsonx', 'html'), ('a=json', 'html'),
                            ('xjson', 'html'), ('', 'html'), ('&&', 'html'), ('JSON', 'html')):
            with self.subTest(query):
                answer = daemon.get('/status?' + query)
                self.assertIn(kind, answer.header('content-type'))

    def test_a_pause_by_signal_is_in_it(self):
        daemon = self.watched()
        os.kill(daemon.pid, 12)
        lastcall.wait_until(lambda: self.json(daemon)['state'] == 'paused')


class Answers(Status):
    def test_nothing_of_it_is_kept_framed_or_loaded_from_elsewhere(self):
        daemon = self.watched()
        for path in ('/status', '/status?json'):
            answer = daemon.get(path)
            self.assertEqual(answer.header('cache-control'), 'no-store')
            self.assertEqual(answer.header('x-content-type-options'), 'nosniff')
            self.assertEqual(answer.header('referrer-policy'), 'no-referrer')
            policy = dict(part.strip().split(' ', 1) for part in
                          answer.header('content-security-policy').split(';'))
            self.assertEqual(policy['default-src'], "'none'")
            self.assertEqual(policy['frame-ancestors'], "'none'")
            self.assertNotIn('unsafe', str(policy))

    def test_the_policy_names_the_very_script_and_style_of_the_page(self):
        answer = self.watched().get('/status')
        for kind in ('script', 'style'):
            content = re.search(f'<{kind}>(.*?)</{kind}>', answer.text(), re.S).group(1)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            self.assertIn(f"{kind}-src 'sha256-{digest}'",
                          answer.header('content-security-policy'))

    def test_head_has_no_body_and_other_methods_are_refused(self):
        daemon = self.watched()
        page = daemon.get('/status')
        head = daemon.get('/status', 'HEAD')
        self.assertEqual((head.status, head.body), (200, b''))
        self.assertEqual(int(head.header('content-length')), len(page.body))
        self.assertEqual(daemon.get('/status', 'DELETE').status, 405)

    def test_a_refresh_that_makes_no_sense_is_refused(self):
        for refresh in ('99ms', '61m', '0', 'often'):
            path = os.path.join(self.directory(), 'lastcall.ini')
            with open(path, 'w') as file:
                file.write(f'[route /status]\nhandler = status\nrefresh = {refresh}\n')
            _, errors = self.run_program('-c', path, '-t', expect=lastcall.EXIT_CONFIG)
            self.assertIn('refresh', errors)


class Watching(Status):
    def test_the_first_snapshot_comes_at_once_and_the_next_when_its_time_has_come(self):
        peer = self.watcher(self.watched(refresh='1h'))
        self.assertEqual(set(self.snapshot(peer)), TOP)
        peer.socket.settimeout(lastcall.scaled(0.7))
        with self.assertRaises(AssertionError):
            peer.read_frame()

    def test_snapshots_keep_step_with_the_refresh(self):
        peer = self.watcher(self.watched(refresh='200ms'))
        self.snapshot(peer)
        times = [self.snapshot(peer)['uptime_ms'] for _ in range(8)]
        self.assertEqual(times, sorted(set(times)))
        self.assertGreaterEqual(times[-1] - times[0], 7 * 200 - 50)
        self.assertWithin((times[-1] - times[0]) / 1000, 7 * .2 + .4, 'eight in step')

    def test_one_snapshot_is_made_for_all_who_watch(self):
        daemon = self.watched(refresh='400ms')
        peers = [self.watcher(daemon) for _ in range(20)]
        texts = [[peer.read_message()[1] for _ in range(4)][1:] for peer in peers]
        made = {text for of_one in texts for text in of_one}
        self.assertLessEqual(len(made), 6, 'three steps, in which some came a step later')

    def test_what_a_watcher_says_is_ignored_and_too_much_of_it_ends_the_session(self):
        daemon = self.watched(refresh='1h')
        peer = self.watcher(daemon)
        self.snapshot(peer)
        peer.send(frame(TEXT, b'{"hello":1}') * 100)
        peer.send(frame(PING, b'still there'))
        self.assertEqual(peer.read_frame().opcode, PONG)
        peer.send(frame(TEXT, b'x'))
        peer.read_close(1008)

    def test_nothing_piles_up_for_a_watcher_that_does_not_read(self):
        routes = {f'/room/{number}': {'handler': 'echo'} for number in range(200)}
        daemon = self.watched('limits.ping_interval=0', routes=routes)
        slow = self.watcher(daemon, receive_buffer=4096)
        quick = self.watcher(daemon)
        size = len(quick.read_message()[1])
        most = 0
        while most == 0:  # until its socket is full
            most = self.route(self.snapshot(quick), '/status')['queued_bytes']
        for _ in range(15):
            most = max(most, self.route(self.snapshot(quick), '/status')['queued_bytes'])
        self.assertLess(most, 2 * size, 'more than one waits for it')
        before = self.snapshot(quick)['uptime_ms']
        count = 1
        while self.snapshot(slow)['uptime_ms'] < before:
            count += 1
        self.assertLess(count, before / 100 - 10, 'it was spared some')

    def test_fifty_who_watch_cost_next_to_nothing(self):
        daemon = self.watched(refresh='1s')
        peers = [self.watcher(daemon) for _ in range(50)]
        for peer in peers:
            self.snapshot(peer)
        first = self.snapshot(peers[0])
        for _ in range(3):
            for peer in peers:
                last = self.snapshot(peer)
        worked = last['process']['cpu_ms'] - first['process']['cpu_ms']
        passed = last['uptime_ms'] - first['uptime_ms']
        print(f'# 50 watchers: {worked} ms of processor time in {passed} ms')
        self.assertLess(worked / passed, lastcall.scaled(0.02))


class Draining(Status):
    def test_who_watches_sees_the_drain_from_its_beginning_to_its_end_and_leaves_last(self):
        daemon = self.watched('shutdown.close_timeout=5s', refresh='1h')
        watcher = self.watcher(daemon)
        silent = self.websocket(daemon)
        others = [self.websocket(daemon) for _ in range(3)]
        self.snapshot(watcher)
        daemon.send_signal()
        first = self.snapshot(watcher)
        self.assertWithin(time.monotonic() - daemon.signalled, .2, 'not at once')
        self.assertEqual(set(first['drain']), DRAIN)
        self.assertEqual((first['state'], first['drain']['phase']), ('stopping', 'draining'))
        for peer in others:
            peer.answer_close(1001)
        silent.read_close(1001)
        seen = self.snapshot(watcher)
        while seen['drain']['drained'] < 3 or len(seen['drain']['sessions']) != 1:
            seen = self.snapshot(watcher)
        drain = seen['drain']
        self.assertEqual((drain['total'], drain['drained'], drain['forced']), (4, 3, 0))
        self.assertEqual(drain['waiting'], [{'why': UNANSWERED, 'sessions': 1}])
        self.assertEqual(set(drain['sessions'][0]), SESSION)
        self.assertEqual({key: drain['sessions'][0][key] for key in ('address', 'route', 'why')},
                         {'address': silent.name(), 'route': '/echo', 'why': UNANSWERED})
        self.assertTrue(7000 < drain['elapsed_ms'] + drain['left_ms'] <= 8000, drain)
        times = [self.snapshot(watcher)['uptime_ms'] for _ in range(4)]
        for before, after in zip(times, times[1:]):
            self.assertGreater(after - before, 150, 'too often')
        silent.close_socket()
        rest, code = self.snapshots(watcher)
        last = rest[-1]['drain']
        self.assertEqual((last['total'], last['drained'], last['waiting'], last['sessions']),
                         (4, 4, [], []))
        self.assertEqual(code, 1001)
        watcher.send(close_frame(1001))
        stopped = daemon.wait_exit(0)
        self.assertEqual((stopped['open'], stopped['gone']), (5, 1))

    def test_of_many_that_are_still_there_fifty_are_named_and_all_are_counted(self):
        daemon = self.watched('shutdown.close_timeout=1s')
        watcher = self.watcher(daemon)
        peers = [self.websocket(daemon) for _ in range(70)]
        daemon.send_signal()
        for peer in peers:
            peer.read_close(1001)
        found, _ = self.snapshots(watcher)
        watcher.send(close_frame(1001))
        seen = [one['drain'] for one in found if one['drain'] and one['drain']['sessions']]
        self.assertTrue(any(drain['waiting'] == [{'why': UNANSWERED, 'sessions': 70}]
                            and len(drain['sessions']) == 50 for drain in seen), seen)
        self.assertEqual(found[-1]['drain']['forced'], 70)
        daemon.wait_exit(1)

    def test_in_the_delay_all_goes_on_and_the_state_says_what_comes(self):
        daemon = self.watched('shutdown.delay=1s', 'shutdown.close_timeout=1s', refresh='1h')
        watcher = self.watcher(daemon)
        self.snapshot(watcher)
        daemon.send_signal()
        first = self.snapshot(watcher)
        self.assertWithin(time.monotonic() - daemon.signalled, .6, 'within a quarter of a second')
        self.assertEqual((first['state'], first['drain']['phase']), ('stopping', 'delay'))
        self.assertEqual(self.json(daemon)['drain']['phase'], 'delay')
        found, _ = self.snapshots(watcher)
        watcher.send(close_frame(1001))
        self.assertEqual(found[-1]['drain']['phase'], 'draining')
        daemon.wait_exit(0)

    def test_a_watcher_that_does_not_answer_is_cut_like_everybody_else(self):
        daemon = self.watched('shutdown.close_timeout=300ms')
        watcher = self.watcher(daemon)
        daemon.send_signal()
        self.snapshots(watcher)
        stopped = daemon.wait_exit(1)
        self.assertEqual(stopped['forced'], 1)

    def test_stopping_in_the_middle_of_everything_leaves_nothing_behind(self):
        """Watchers that come, go, and are cut by the timeout together with others."""
        daemon = self.watched('shutdown.timeout=1s', 'shutdown.close_timeout=800ms')
        peers = [self.websocket(daemon) for _ in range(10)]
        watchers = [self.watcher(daemon) for _ in range(20)]
        for watcher in watchers[:5]:
            watcher.reset()
        daemon.send_signal()
        daemon.wait_exit(1)
        for peer in peers + watchers[5:]:
            peer.close_socket()


if __name__ == '__main__':
    lastcall.main()
