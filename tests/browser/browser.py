"""Chromium without a window, driven through its DevTools WebSocket. Knows no daemon.

A Browser is one process with a profile of its own, which is gone when it is stopped; a Page is one
tab in it. A page keeps every request that it made and everything that its console said.
"""
import asyncio
import base64
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import websockets

PROGRAM = shutil.which('chromium')
OPTIONS = (
    '--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-default-browser-check',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-default-apps', '--disable-extensions', '--disable-domain-reliability',
    '--disable-dev-shm-usage', '--no-pings', '--metrics-recording-only', '--mute-audio',
    '--hide-scrollbars', '--force-color-profile=srgb', '--remote-debugging-port=0',
    '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1',
)
KEYS = {'Tab': ('Tab', 9, ''), 'Enter': ('Enter', 13, '\r'), ' ': ('Space', 32, ' ')}


class BrowserError(AssertionError):
    """The browser did not do what it was told."""


class Browser:
    def __init__(self, timeout=30):
        self.timeout = timeout
        self.profile = tempfile.mkdtemp(prefix='lastcall-browser-')
        options = list(OPTIONS) + [f'--user-data-dir={self.profile}', 'about:blank']
        if os.geteuid() == 0:
            options.insert(0, '--no-sandbox')  # there is none for root
        self.process = subprocess.Popen(
            [PROGRAM, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, 'HOME': self.profile})
        self.said, self.waiting, self.pages, self.number = [], {}, {}, 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        try:
            self._connect()
        except BaseException:
            self.stop()
            raise

    def _connect(self):
        address = concurrent.futures.Future()
        threading.Thread(target=self._read_errors, args=(address,), daemon=True).start()
        try:
            self.socket = self._wait(self._open(address.result(self.timeout)))
        except concurrent.futures.TimeoutError:
            raise BrowserError('it does not start: ' + '\n'.join(self.said[-20:])) from None
        asyncio.run_coroutine_threadsafe(self._read(), self.loop)

    def _read_errors(self, address):
        for raw in self.process.stderr:
            self.said.append(raw.decode('utf-8', 'replace').rstrip())
            found = re.match(r'DevTools listening on (ws://\S+)', self.said[-1])
            if found and not address.done():
                address.set_result(found.group(1))
        if not address.done():
            address.set_exception(BrowserError('it ended at once: ' + '\n'.join(self.said[-20:])))

    @staticmethod
    async def _open(address):
        return await websockets.connect(address, max_size=None, ping_interval=None,
                                        compression=None)

    def _wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(self.timeout)

    async def _read(self):
        try:
            async for text in self.socket:
                message = json.loads(text)
                if 'id' in message:
                    self.waiting.pop(message['id']).set_result(message)
                elif message.get('sessionId') in self.pages:
                    self.pages[message['sessionId']].take(message['method'], message['params'])
        except websockets.ConnectionClosed:
            pass
        for waiting in self.waiting.values():
            waiting.set_exception(BrowserError('the browser has gone'))

    def call(self, method, session=None, **parameters):
        """A method of the DevTools protocol; returns its result."""
        answer = concurrent.futures.Future()
        self.number += 1
        self.waiting[self.number] = answer
        message = {'id': self.number, 'method': method, 'params': parameters}
        if session:
            message['sessionId'] = session
        self._wait(self.socket.send(json.dumps(message)))
        try:
            answer = answer.result(self.timeout)
        except concurrent.futures.TimeoutError:
            raise BrowserError(f'no answer to {method}') from None
        if 'error' in answer:
            raise BrowserError(f'{method}: {answer["error"]["message"]}')
        return answer['result']

    def stop(self):
        """Ends the process and everything that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        shutil.rmtree(self.profile, True)


class Page:
    """A tab, `width` by `height` pixels; `media`: features such as prefers-color-scheme."""

    def __init__(self, browser, width=1280, height=900, scale=1, **media):
        self.browser = browser
        self.requests, self.console, self.loaded = [], [], threading.Event()
        target = browser.call('Target.createTarget', url='about:blank')['targetId']
        self.target = target
        self.session = browser.call('Target.attachToTarget', targetId=target,
                                    flatten=True)['sessionId']
        browser.pages[self.session] = self
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(domain + '.enable')
        self.resize(width, height, scale)
        self.media(**media)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def take(self, method, event):
        if method == 'Network.requestWillBeSent':
            self.requests.append(event['request']['url'])
        elif method == 'Page.loadEventFired':
            self.loaded.set()
        elif method == 'Network.webSocketCreated':
            self.requests.append(event['url'])
        elif method == 'Runtime.consoleAPICalled':
            self.console.append(' '.join(str(one.get('value', one.get('description')))
                                         for one in event['args']))
        elif method == 'Runtime.exceptionThrown':
            details = event['exceptionDetails']
            self.console.append(details.get('exception', {}).get('description', details['text']))
        elif method == 'Log.entryAdded':
            self.console.append(event['entry']['text'])

    def resize(self, width, height, scale=1):
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)

    def media(self, **features):
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': name.replace('_', '-'), 'value': value} for name, value in features.items()])

    def open(self, url):
        """Opens an address; its scripts have run when this returns."""
        self.loaded.clear()
        error = self.call('Page.navigate', url=url).get('errorText')
        if error or not self.loaded.wait(self.browser.timeout):
            raise BrowserError(f'{url}: {error or "does not load"}')

    def evaluate(self, expression):
        """The value of JavaScript."""
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True,
                           awaitPromise=True)
        if 'exceptionDetails' in answer:
            details = answer['exceptionDetails']
            raise BrowserError(details.get('exception', {}).get('description', details['text']))
        return answer['result'].get('value')

    def wait_for(self, expression, timeout=None):
        """Waits until JavaScript gives something true, and returns that."""
        end = time.monotonic() + (timeout or self.browser.timeout)
        while True:
            value = self.evaluate(expression)
            if value:
                return value
            if time.monotonic() > end:
                raise BrowserError(f'never true: {expression}\nthe page says:\n{self.text()}'
                                   f'\nits console: {self.console}')
            time.sleep(0.03)

    def text(self):
        """What a person sees."""
        return self.evaluate('document.body.innerText')

    def press(self, key):
        code, number, text = KEYS[key]
        what = {'key': key, 'code': code, 'windowsVirtualKeyCode': number}
        self.call('Input.dispatchKeyEvent', type='keyDown', **what, **({'text': text} if text
                                                                       else {}))
        self.call('Input.dispatchKeyEvent', type='keyUp', **what)

    def type(self, text):
        self.call('Input.insertText', text=text)

    def screenshot(self, path, whole=True):
        """Writes a PNG: of the whole page, or of what is in view."""
        answer = self.call('Page.captureScreenshot', format='png', captureBeyondViewport=whole)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(answer['data']))

    def close(self):
        self.browser.pages.pop(self.session, None)
        self.browser.call('Target.closeTarget', targetId=self.target)
