"""The status page of a running daemon."""
import signal
import socket

import browser
import lastcall

STATUS = {'/status': {'handler': 'status', 'refresh': '100ms'}}
ROW = ('[...document.querySelectorAll("#rows tr")]'
       '.find(row => row.cells[0].firstChild.textContent === %r)')
NETWORK = ('net::ERR_', 'WebSocket connection to')  # what a browser says when nobody is there


class Watched(lastcall.Case):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser(lastcall.scaled(30))
        cls.addClassCleanup(cls.browser.stop)

    def watched(self, *settings, routes=STATUS, **options):
        return self.daemon('shutdown.close_timeout=2s', *settings, routes=routes, **options)

    def page(self, daemon, **options):
        page = browser.Page(self.browser, **options)
        self.addCleanup(page.close)
        page.open('http://%s:%d/status' % daemon.address)
        page.wait_for('link.state === "live"')
        return page

    def cell(self, page, route, column):
        """What the table says of a route."""
        place = page.evaluate(f'columns.findIndex(column => column.name === {column!r})')
        return page.evaluate(f'({ROW % route}).cells[{place}].innerText')

    def wait_cell(self, page, route, column, pattern):
        page.wait_for(f'new RegExp({pattern!r}).test(({ROW % route}).cells[columns.findIndex('
                      f'column => column.name === {column!r})].innerText)')


class Open(Watched):
    def test_the_page_asks_nobody_but_its_server_and_its_console_says_nothing(self):
        daemon = self.watched()
        page = self.page(daemon)
        page.wait_for('recent.length > 3')
        base = '%s:%d/status' % daemon.address
        self.assertEqual([url for url in page.requests if not url.startswith('data:')],
                         ['http://' + base, 'ws://' + base])
        self.assertEqual(page.console, [])

    def test_the_policy_keeps_the_page_from_asking_anybody_else(self):
        daemon = self.watched()
        page = self.page(daemon)
        with socket.create_server(('127.0.0.1', 0)) as other:
            port = other.getsockname()[1]
            for attempt in (f'fetch("http://127.0.0.1:{port}/").catch(() => "refused")',
                            f'new Promise(done => Object.assign(new Image(), {{onerror: () =>'
                            f' done("refused"), src: "http://127.0.0.1:{port}/"}}))',
                            'new Promise(done => { const one = document.createElement("script");'
                            ' one.textContent = "window.broken = 1"; document.body.append(one);'
                            ' done(window.broken ? "run" : "refused"); })'):
                with self.subTest(attempt):
                    self.assertEqual(page.evaluate(attempt), 'refused')
            other.settimeout(0)
            with self.assertRaises(BlockingIOError):
                other.accept()

    def test_the_title_and_the_head_say_how_it_is(self):
        daemon = self.watched()
        page = self.page(daemon)
        self.assertEqual(page.evaluate('document.title'), 'ready · 1 session · Lastcall')
        self.assertEqual(page.evaluate('document.getElementById("state").innerText'), 'ready')
        daemon.send_signal(signal.SIGUSR2)
        page.wait_for('document.getElementById("state").innerText === "paused by SIGUSR2"')
        self.assertIn('paused', page.evaluate('document.title'))

    def test_the_numbers_move_when_a_client_connects_and_talks(self):
        daemon = self.watched()
        page = self.page(daemon)
        self.assertEqual(self.cell(page, '/echo', 'Open').split()[0], '0')
        peer = self.websocket(daemon)
        self.wait_cell(page, '/echo', 'Open', r'^1\b')
        self.wait_cell(page, '/echo', 'Opened', r'\b1 in all')
        for _ in range(20):
            peer.echo(b'x' * 1000)
        self.wait_cell(page, '/echo', 'Messages', r'in [1-9].*\s+out [1-9]')
        self.wait_cell(page, '/echo', 'Bytes', r'in [1-9].*\s+out [1-9]')
        self.wait_cell(page, '/echo', 'Messages', r'in 0/s\s+out 0/s')
        daemon.get('/nowhere')
        self.wait_cell(page, '(none)', 'Refused', r'1\s+route.1')
        daemon.get('/')
        self.wait_cell(page, '/', 'HTTP', r'2xx.1')
        peer.close_socket()
        self.wait_cell(page, '/echo', 'Open', r'^0\b')
        self.wait_cell(page, '/echo', 'Closed', r'1\s+gone.1')


class Drained(Watched):
    def test_a_drain_is_shown_live_with_who_is_still_there_and_why_until_the_end(self):
        daemon = self.watched()
        page = self.page(daemon)
        silent = self.websocket(daemon)
        others = [self.websocket(daemon) for _ in range(3)]
        page.wait_for('last.all.open === 5')
        daemon.send_signal()
        for peer in others:
            peer.answer_close(1001)
        page.wait_for('document.getElementById("drain-title").innerText === '
                      '"Draining: 3 of 4 sessions gone"')
        page.wait_for('last.drain.sessions.length === 1')
        self.assertEqual(page.evaluate('document.getElementById("state").innerText'), 'draining')
        self.assertEqual(page.evaluate('document.title'), 'draining · 1 left · Lastcall')
        text = page.text()
        self.assertIn(silent.name(), text)
        self.assertRegex(text, r'1\s*has not answered our Close')
        first = float(page.evaluate('document.getElementById("left-time").innerText').split()[0])
        self.assertLess(first, 8)
        page.wait_for(f'parseFloat(document.getElementById("left-time").innerText) < {first - .3}')
        silent.reset()
        daemon.wait_exit(0)
        page.wait_for('document.getElementById("state").innerText === "stopped"')
        text = page.text()
        self.assertIn('The server has stopped', text)
        self.assertIn('1001 “server shutting down”', text)
        self.assertIn('Drained: 4 of 4 sessions gone', text)
        self.assertTrue(page.evaluate('document.title').startswith('stopped'))
        self.assertIn('/echo', text, 'the last figures are kept')
        errors = [line for line in page.console if not any(word in line for word in NETWORK)]
        self.assertEqual(errors, [])

    def test_a_session_that_is_cut_is_counted_as_forced(self):
        daemon = self.watched('shutdown.close_timeout=400ms')
        page = self.page(daemon)
        self.websocket(daemon)
        page.wait_for('last.all.open === 2')
        daemon.send_signal()
        daemon.wait_exit(1)
        page.wait_for('document.getElementById("state").innerText === "stopped"')
        self.assertIn('1 was cut (forced)', page.text())

    def test_the_delay_before_a_drain_is_explained(self):
        daemon = self.watched('shutdown.delay=3s', 'shutdown.timeout=10s')
        page = self.page(daemon)
        daemon.send_signal()
        page.wait_for('document.getElementById("drain-title").innerText === "Stopping soon"')
        self.assertIn('shutdown.delay', page.text())
        self.assertEqual(page.evaluate('document.getElementById("state").innerText'), 'stopping')
        daemon.wait_exit(0)

    def test_the_page_does_not_hold_up_the_stop(self):
        daemon = self.watched()
        pages = [self.page(daemon) for _ in range(3)]
        daemon.stop(0)
        self.assertWithin(daemon.since_signal(), 1.5, 'an open page is no reason to wait')
        for page in pages:
            page.wait_for('document.getElementById("state").innerText === "stopped"')


class Restarted(Watched):
    def test_it_goes_on_with_the_next_process_on_the_same_port_and_its_rates_stay_sane(self):
        port = lastcall.free_port()
        first = self.watched(f'server.listen=127.0.0.1:{port}')
        page = self.page(first)
        page.evaluate('window.rated = []; const really = rates; rates = (...given) => { const'
                      ' found = really(...given); window.rated.push(...Object.values(found));'
                      ' return found; }')
        peer = self.websocket(first)
        for _ in range(300):
            peer.echo(b'hello')
        page.wait_for('last.all.received === 300')
        peer.reset()
        first.stop(0)
        page.wait_for('link.state === "waiting"')
        second = self.watched(f'server.listen=127.0.0.1:{port}')
        page.wait_for('link.state === "live" && recent.length > 3')
        self.assertEqual(page.evaluate('document.getElementById("state").innerText'), 'ready')
        self.assertFalse(page.evaluate('document.getElementById("notice").checkVisibility()'))
        page.wait_for('last.all.received === 0')
        low, high = page.evaluate('[Math.min(...rated.filter(n => n !== null)),'
                                  ' Math.max(...rated.filter(n => n !== null))]')
        self.assertGreaterEqual(low, 0)
        self.assertLess(high, 1e6)
        self.assertTrue(page.evaluate('tiles[0].series[0].values.includes(null)'),
                        'the plot has a gap')
        second.stop(0)

    def test_a_server_that_was_killed_is_told_from_one_that_has_stopped(self):
        daemon = lastcall.Daemon(self.directory(), routes=STATUS)
        self.addCleanup(daemon.kill)
        page = self.page(daemon.ready())
        daemon.kill()
        page.wait_for('document.getElementById("state").innerText === "no connection"')
        self.assertIn('without a Close frame', page.text())

    def test_the_pauses_between_two_tries_grow(self):
        daemon = self.watched()
        page = self.page(daemon)
        page.evaluate('window.paused = []; const really = retry; retry = () => { really();'
                      ' paused.push(link.retryAt - performance.now()); clearTimeout(link.timer);'
                      ' link.timer = setTimeout(connect, 10); }')
        daemon.stop(0)
        page.wait_for('paused.length >= 8', lastcall.scaled(30))
        paused = page.evaluate('paused')
        self.assertLess(paused[0], 1200)
        for before, after in zip(paused[:5], paused[1:6]):
            self.assertGreater(after, before * 1.4)
        self.assertLess(max(paused), 34000)
