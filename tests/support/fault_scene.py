"""The daemon whose calls are made to fail, what is asked of it each time, and how that is judged.

A step of the scene may fail when a call has failed, but in order: with a refusal, a Close, or an
end of TCP. What is answered must be right, and no step may wait for an answer that does not come.
"""
import base64
import hashlib
import json
import os
import random
import re
import zlib

import lastcall
from bridge import EchoTarget
from faults import Faults
from peer import BINARY, CLOSE, PING, PONG, TEXT, Peer, PeerError, Response, WebSocket, close_frame
from peer import exchange, frame, request_head, upgrade_head

SMALL, LARGE = b'a file of a few bytes\n', random.Random(7).randbytes(300_000)
LONG = b'what compresses well, and what is more than one piece of input; ' * 1500
TIMEOUT = 3.0   # shutdown.timeout, in seconds
SETTINGS = ('server.http_threads=6', 'server.loops=2', 'limits.connections=200',
            'limits.handshake_timeout=2s', 'shutdown.timeout=3s', 'shutdown.close_timeout=1s',
            'log.access=on')


class Wrong(AssertionError):
    """An answer that is false, or none where something has to come."""


class Refused(Exception):
    """An answer that says no, in order."""


def routes(files, target):
    return {
        '/bridge': {'handler': 'tcp', 'target': target},
        '/named': {'handler': 'tcp', 'target': target.replace('127.0.0.1', 'localhost')},
        '/chat': {'handler': 'broadcast', 'history': 10, 'echo_self': 'yes'},
        '/cat': {'handler': 'exec', 'command': 'cat'},
        '/deflated': {'handler': 'echo', 'compression': 'on'},
        '/files/*': {'handler': 'static', 'root': files},
        '/fixed': {'handler': 'respond', 'body': 'fixed'},
        '/moved': {'handler': 'redirect', 'to': '/fixed'},
        '/status': {'handler': 'status', 'refresh': '100ms'},
    }


def make_files(directory):
    files = os.path.join(directory, 'files')
    os.mkdir(files)
    for name, content in (('small.txt', SMALL), ('large.bin', LARGE), ('packed.txt', SMALL),
                          ('packed.txt.gz', b'zipped'), ('index.html', b'<p>index</p>')):
        with open(os.path.join(files, name), 'wb') as file:
            file.write(content)
    return files


class Scene:
    """A daemon with its faults. As a context manager it leaves nothing running."""

    def __init__(self, directory, of='', armed=(), arguments=()):
        self.directory = directory
        self.report = os.path.join(directory, 'report.json')
        self.faults = Faults(os.path.join(directory, 'faults'))
        files = make_files(directory)
        self.target = EchoTarget()
        if armed:
            self.faults.arm(*armed)
        self.daemon = lastcall.Daemon(directory, (*SETTINGS, f'shutdown.report={self.report}'),
                                      routes(files, self.target.name), arguments, self.faults.environment(of))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.kill()
        self.target.close()

    # --- steps ---

    def peer(self, kind=Peer):
        return kind(self.daemon.address, timeout=lastcall.scaled(5))

    def websocket(self, path='/echo', headers=()):
        peer = self.peer(WebSocket)
        try:
            peer.send(upgrade_head(path, 'AAAAAAAAAAAAAAAAAAAAAA==', headers))
            head = peer.read_until(b'\r\n\r\n')
            if not head.startswith(b'HTTP/1.1 101 '):
                raise Refused(Response(head + peer.read_to_end()).status)
            answer = Response(head)
            if answer.header('sec-websocket-accept') != 'ICX+Yqv66kxgM0FcWaLWlFLwTAI=':
                raise Wrong(f'not the accept of its key: {answer.headers}')
        except BaseException:
            peer.close_socket()
            raise
        return peer

    def end(self, peer):
        """Closes the WebSocket in order, and sees the server do its part."""
        peer.send(close_frame(1000))
        found = peer.read_frame()
        while found.opcode in (TEXT, BINARY) and found.fin:  # a status page goes on until then
            found = peer.read_frame()
        if found.opcode != CLOSE:
            raise Wrong(f'{found} for a Close')
        peer.expect_end()
        peer.close_socket()

    def expect(self, peer, wanted):
        opcode, payload = wanted
        found = peer.read_frame()
        if found.opcode == CLOSE:
            raise Refused(found.code())
        if (found.opcode, found.payload) != (opcode, payload):
            raise Wrong(f'{found} in place of {payload[:40]!r}')

    def get(self, path, status=200, body=None, headers=(), method='GET', content=b''):
        head = request_head(path, method, [*headers, 'Connection: close'])
        answer = exchange(self.daemon.address, head + content, lastcall.scaled(5),
                          method == 'HEAD')
        if answer.status >= 500 or answer.status == 404:
            raise Refused(answer.status)
        if answer.status != status or (body is not None and answer.body != body):
            raise Wrong(f'{path}: {answer.status}, {answer.body[:60]!r}')
        return answer

    def talk(self):
        peer = self.websocket()
        try:
            peer.send(frame(TEXT, b'one'))
            self.expect(peer, (TEXT, b'one'))
            peer.send(frame(BINARY, LONG[:30000], fin=False) + frame(PING, b'p'))
            self.expect(peer, (PONG, b'p'))
            peer.send(frame(0, LONG[30000:]))
            self.expect(peer, (BINARY, LONG))
            self.end(peer)
        finally:
            peer.close_socket()

    def talk_deflated(self):
        peer = self.websocket('/deflated', ['Sec-WebSocket-Extensions: permessage-deflate'])
        peer.rsv = 4
        try:
            stream = zlib.compressobj(wbits=-15)
            data = stream.compress(LONG) + stream.flush(zlib.Z_SYNC_FLUSH)
            peer.send(frame(TEXT, data[:-4], rsv=4))
            found = peer.read_frame()
            if found.opcode == CLOSE:
                raise Refused(found.code())
            got = found.payload if not found.rsv else zlib.decompressobj(-15).decompress(
                found.payload + b'\0\0\xff\xff')
            if got != LONG:
                raise Wrong(f'{len(got)} bytes of echo')
            self.end(peer)
        finally:
            peer.close_socket()

    def talk_bridged(self, path):
        peer = self.websocket(path)
        try:
            peer.send(frame(BINARY, LONG))
            got = b''
            while len(got) < len(LONG):
                found = peer.read_frame()
                if found.opcode == CLOSE:
                    raise Refused(found.code())
                got += found.payload
            if got != LONG:
                raise Wrong(f'{len(got)} bytes through a bridge')
            self.end(peer)
        finally:
            peer.close_socket()

    def position(self, peer):
        found = peer.read_frame()
        if found.opcode == CLOSE:
            raise Refused(found.code())
        return int(found.payload)

    def chat(self):
        """Two members hear what one says, and one that comes later what it has missed."""
        members = []
        try:
            for since in ('', '', '?since=%d'):
                if since:
                    members[0].send(frame(TEXT, b'hello'))
                    for member in members:
                        self.expect(member, (TEXT, b'%d\nhello' % (begin + 1)))
                    since %= begin
                members.append(self.websocket('/chat' + since))
                begin = self.position(members[-1])
            if not since.endswith(str(begin)):
                raise Refused('the history was given up')
            self.expect(members[2], (TEXT, b'%d\nhello' % (begin + 1)))
            for member in members:
                self.end(member)
        finally:
            for member in members:
                member.close_socket()

    def program(self):
        peer = self.websocket('/cat')
        try:
            for payload in (b'one', b'x' * 70000):
                peer.send(frame(TEXT, payload))
                self.expect(peer, (TEXT, payload))
            self.end(peer)
        finally:
            peer.close_socket()

    def watch(self):
        peer = self.websocket('/status')
        try:
            found = peer.read_frame()
            if found.opcode == CLOSE:
                raise Refused(found.code())
            json.loads(found.payload)
            self.end(peer)
        finally:
            peer.close_socket()

    def vanish(self):
        """A peer that resets in its session, and one that does before it."""
        self.websocket().reset()
        peer = self.peer()
        peer.send(upgrade_head())
        peer.reset()

    def refused_upgrade(self):
        peer = self.peer()
        try:
            peer.send(upgrade_head(headers=['Origin: https://elsewhere.example']))
            answer = Response(peer.read_to_end())
        finally:
            peer.close_socket()
        if answer.status != 403 and answer.status < 500:
            raise Wrong(f'{answer.status} for a page from elsewhere')

    def status_page(self):
        answer = self.get('/status')
        for name in ('style', 'script'):
            content = answer.body.split(f'<{name}>'.encode())[1].split(f'</{name}>'.encode())[0]
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            if f"'sha256-{digest}'" not in answer.header('content-security-policy'):
                raise Wrong(f'a page whose {name} no browser takes')

    def nowhere(self):
        try:
            self.get('/nowhere')
        except Refused as no:
            if no.args != (404,):
                raise

    def steps(self):
        """[(name, what to do)], in their order."""
        return [
            ('talk', self.talk),
            ('talk deflated', self.talk_deflated),
            ('bridge', lambda: self.talk_bridged('/bridge')),
            ('bridge to a name', lambda: self.talk_bridged('/named')),
            ('chat', self.chat),
            ('program', self.program),
            ('small file', lambda: self.get('/files/small.txt', body=SMALL)),
            ('large file', lambda: self.get('/files/large.bin', body=LARGE)),
            ('part of a file', lambda: self.get('/files/large.bin', 206, LARGE[5:100005],
                                                ['Range: bytes=5-100004'])),
            ('packed file', lambda: self.get('/files/packed.txt', headers=['Accept-Encoding: gzip'])),
            ('folder', lambda: self.get('/files/', body=b'<p>index</p>')),
            ('fixed answer', lambda: self.get('/fixed', body=b'fixed')),
            ('redirect', lambda: self.get('/moved', 302)),
            ('page', lambda: self.get('/', method='HEAD')),
            ('status page', self.status_page),
            ('status as JSON', lambda: json.loads(self.get('/status?json').body)),
            ('metrics', lambda: self.get('/metrics')),
            ('health', lambda: self.get('/health/ready')),
            ('body that nobody wants', lambda: self.get('/health/live', 405, method='POST',
                                                        headers=['Content-Length: 5'],
                                                        content=b'12345')),
            ('nowhere', self.nowhere),
            ('refused upgrade', self.refused_upgrade),
            ('watcher', self.watch),
            ('vanishing peers', self.vanish),
        ]

    def play(self):
        """Does all steps; returns those that failed in order: [(name, why)]. Raises Wrong."""
        failed = []
        for name, step in self.steps():
            try:
                step()
            except Wrong as wrong:
                raise Wrong(f'{name}: {wrong}') from None
            except (Refused, PeerError, OSError, ValueError) as why:
                if 'nothing from the server' in str(why):
                    raise Wrong(f'{name}: {why}') from None
                failed.append((name, str(why) or repr(why)))
        return failed

    # --- what must hold afterwards ---

    def count(self):
        """What /metrics says of all routes: opened, open, closed, in_flight."""
        text = self.daemon.get('/metrics').text()

        def total(name):
            return sum(int(n) for n in re.findall(rf'^lastcall_{name}(?:{{.*}})? (\d+)$', text, re.M))
        return {'opened': total('sessions_opened_total'), 'open': total('sessions_open'),
                'closed': total('sessions_closed_total'), 'in flight': total('requests_in_flight')}

    def settled(self, sessions, descriptors):
        """Nothing is left of what was asked before."""
        try:
            lastcall.wait_until(lambda: self.daemon.fd_count() <= descriptors, 5)
        except AssertionError:
            raise Wrong(f'{self.daemon.fd_count()} descriptors are open instead of {descriptors}') \
                from None

        def add_up():
            self.counts = self.count()
            return self.counts['open'] == sessions and self.counts['in flight'] == 1 \
                and self.counts['opened'] == self.counts['open'] + self.counts['closed']
        try:
            lastcall.wait_until(add_up, 5)  # a peer that has vanished is noticed a little later
        except AssertionError:
            raise Wrong(f'counts that do not add up: {self.counts}, {sessions} sessions') from None

    def stop(self, status=0):
        """Ends it, and checks what it says at the end; returns the line `stopped`."""
        last = self.daemon.stop(status)
        self.check_end(last)
        return last

    def check_end(self, last):
        if last['open'] != last['handshake'] + last['gone'] + last['forced']:
            raise Wrong(f'sessions that do not add up: {last}')
        if self.daemon.since_signal() > lastcall.scaled(TIMEOUT + 0.5):
            raise Wrong(f'it took {self.daemon.since_signal():.1f} s to stop')

    def read_report(self):
        with open(self.report) as file:
            return json.load(file)
