"""The page on /: its chat box, in a browser, with a daemon that comes and goes."""
import json
import os
import re
import signal

import browser
import lastcall
from peer import TEXT, frame

SAID = '[...document.querySelectorAll("#lines li:not(.waiting):not(.note) span")].map(e => e.innerText)'
NOTES = '[...document.querySelectorAll("#lines li.note")].length'


class Page(lastcall.Case):
    CHAT = {'/chat': {'handler': 'broadcast', 'history': 100, 'echo_self': 'yes'}}

    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser(lastcall.scaled(30))
        cls.addClassCleanup(cls.browser.stop)

    def served(self, port=0, routes=None):
        return self.daemon(f'server.listen=127.0.0.1:{port}', 'shutdown.close_timeout=2s',
                           routes=self.CHAT if routes is None else routes)

    def page(self, daemon, chat=True, **options):
        page = browser.Page(self.browser, **options)
        self.addCleanup(page.close)
        page.open('http://%s:%d/' % daemon.address)
        page.wait_for('document.body.dataset.state === "open"')
        if chat:
            page.wait_for('document.getElementById("link").innerText === "live"')
        return page

    def say(self, page, text):
        page.evaluate(f'document.getElementById("words").value = {json.dumps(text)};'
                      'document.getElementById("speak").requestSubmit()')

    def hears(self, page, texts):
        page.wait_for(f'JSON.stringify({SAID}) === JSON.stringify({json.dumps(texts)})')


class Chat(Page):
    def test_what_one_says_all_see_once_and_who_comes_later_too(self):
        daemon = self.served()
        one, other = self.page(daemon), self.page(daemon)
        self.say(one, 'hello')
        self.say(other, 'κόσμε')
        for page in (one, other):
            page.wait_for(f'{SAID}.length === 2')
        self.hears(other, one.evaluate(SAID))
        self.hears(self.page(daemon), one.evaluate(SAID))
        self.assertEqual(one.evaluate('document.querySelectorAll("#lines .mine").length'), 1)
        self.assertEqual(one.console + other.console, [])

    def test_text_is_shown_as_text_whatever_it_says_and_whoever_sent_it(self):
        daemon = self.served()
        page = self.page(daemon)
        peer = self.websocket(daemon, '/chat')
        nasty = '<img src=x onerror="window.broken = 1"> & <b>'
        self.say(page, nasty)
        self.hears(page, [nasty])
        for text in (nasty, '{"from": 7}', '{"from": null, "text": "from nobody"}', '', '[1]'):
            peer.send(frame(TEXT, text.encode()))
        self.hears(page, [nasty, nasty, '{"from": 7}', 'from nobody', '', '[1]'])
        self.assertIsNone(page.evaluate('window.broken ?? null'))

    def test_what_was_missed_while_the_connection_was_down_comes_once_and_nothing_twice(self):
        daemon = self.served()
        one, other = self.page(daemon), self.page(daemon)
        self.say(one, 'before')
        self.hears(other, ['before'])
        other.evaluate('chat.wait = 1500; chat.socket.close()')
        other.wait_for('document.getElementById("link").innerText === "reconnecting…"')
        self.say(other, 'said meanwhile')
        self.say(one, 'missed')
        self.hears(other, ['before', 'missed', 'said meanwhile'])
        self.hears(one, ['before', 'missed', 'said meanwhile'])
        self.assertEqual(other.evaluate(NOTES), 0)
        self.assertEqual(other.evaluate('document.querySelectorAll(".waiting").length'), 0)

    def test_a_deploy_is_survived_and_what_may_be_missing_is_said(self):
        daemon = self.served()
        page = self.page(daemon)
        self.say(page, 'before')
        self.hears(page, ['before'])
        port = daemon.address[1]
        daemon.send_signal(signal.SIGTERM)
        daemon.wait_exit(0)
        page.wait_for('document.getElementById("link").innerText === "reconnecting…"')
        self.assertEqual(page.evaluate('document.getElementById("code").innerText'), '1001')
        self.say(page, 'said meanwhile')
        self.served(port)
        page.wait_for('document.getElementById("link").innerText === "live"')
        self.hears(page, ['before', 'said meanwhile'])
        self.assertEqual(page.evaluate(NOTES), 1)

    def test_a_server_without_a_chat_shows_none(self):
        daemon = self.served(routes={})
        page = self.page(daemon, chat=False)
        page.wait_for('chat.socket.readyState === WebSocket.CLOSED')
        self.assertTrue(page.evaluate('document.getElementById("chat").hidden'))

    def test_the_page_fits_a_telephone_and_every_control_has_a_name(self):
        page = self.page(self.served(), width=360, height=640)
        self.assertLessEqual(page.evaluate('document.documentElement.scrollWidth'), 360)
        boxes = page.evaluate('["form", "chat-title", "lines", "speak"].map(id => '
                              'document.getElementById(id).getBoundingClientRect())'
                              '.map(box => [box.top, box.bottom])')
        self.assertEqual(sorted(sum(boxes, [])), sum(boxes, []), 'nothing covers another')
        self.assertEqual(page.evaluate(
            '[...document.querySelectorAll("input, button")].filter(e => !e.innerText &&'
            ' !e.getAttribute("aria-label")).length'), 0)


class Documented(Page):
    def test_the_client_of_the_documentation_resumes_as_it_says(self):
        with open(os.path.join(lastcall.ROOT, 'docs/broadcast.md')) as file:
            script = re.search(r'^```js\n(.*?)^```', file.read(), re.M | re.S).group(1)
        self.assertLessEqual(script.count('\n'), 13)
        daemon = self.served()
        script = script.replace('wss://example.org/chat/room', 'ws://%s:%d/chat' % daemon.address)
        page, peer = self.page(daemon), self.websocket(daemon, '/chat')
        page.evaluate('window.sockets = []; const Real = WebSocket; window.WebSocket = function (url)'
                      ' { const one = new Real(url); sockets.push(one); return one; };'
                      f'(() => {{ window.shown = []; const show = text => shown.push(text);{script}'
                      'join(); })()')
        page.wait_for('sockets.length === 1 && sockets[0].readyState === 1')
        peer.send(frame(TEXT, b'one') + frame(TEXT, 'two\nκόσμε'.encode()))
        page.wait_for('shown.length === 2')
        page.evaluate('sockets[0].close()')
        peer.send(frame(TEXT, b'three'))
        page.wait_for('sockets.length === 2 && shown.length === 3')
        peer.send(frame(TEXT, b''))
        page.wait_for('shown.length === 4')
        self.assertEqual(page.evaluate('shown'), ['one', 'two\nκόσμε', 'three', ''])
