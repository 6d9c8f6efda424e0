"""Two daemons behind HAProxy, with what is shipped in deploy/, on other ports and paths."""
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import lastcall

DEPLOY = os.path.join(lastcall.ROOT, 'deploy')
HAPROXY = shutil.which('haproxy', path=os.environ['PATH'] + ':/usr/sbin')
MISSING = '*** haproxy is not here: nothing was tested behind it ***'
HASTY = ('shutdown.delay=0', 'shutdown.spread=0')


def shipped(name):
    with open(os.path.join(DEPLOY, name)) as file:
        return file.read()


def replaced(text, **pairs):
    """`text` with each pair exchanged; what is not there has been renamed in the shipped file."""
    for old, new in pairs.values():
        if old not in text:
            raise AssertionError(f'{old!r} is not in the shipped file any more')
        text = text.replace(old, new)
    return text


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, 'w') as file:
        file.write(text)
    return path


def command(*arguments):
    """Runs a program to its end: (status, everything it printed)."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=lastcall.scaled(60))
    return done.returncode, done.stdout


def make_certificate(directory):
    """Returns the paths of a certificate for localhost, and of it and its key in one file."""
    key, certificate = os.path.join(directory, 'key'), os.path.join(directory, 'certificate')
    status, text = command(
        'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
        '-keyout', key, '-out', certificate)
    if status:
        raise AssertionError(f'openssl req: {text}')
    with open(certificate) as first, open(key) as second:
        return certificate, write(directory, 'both', first.read() + second.read())


class Daemon(lastcall.Daemon):
    """A daemon that runs with a shipped file on a port of the test's choice."""

    def __init__(self, config, port, settings):
        arguments = [word for setting in settings for word in ('-s', setting)]
        self.process = subprocess.Popen(
            [lastcall.PROGRAM, '-c', config, *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, 'LISTEN': f'127.0.0.1:{port}'})
        self.pid = self.process.pid
        self.lines, self.raw, self.events = [], [], []
        self.address = self.ended = None
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()


class Proxy:
    """HAProxy with a configuration; `lines` is its log, each with the time when it came."""

    def __init__(self, config):
        self.process = subprocess.Popen(
            [HAPROXY, '-db', '-f', config], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        self.lines = []
        self.ended = False
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for raw in self.process.stdout:
            with self.changed:
                self.lines.append((time.monotonic(), raw.decode('utf-8', 'replace').rstrip()))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def said(self, pattern, since=0.0):
        """When it first said such a thing; None if it has not."""
        for when, line in self.lines:
            if when >= since and re.search(pattern, line):
                return when
        return None

    def wait_for(self, pattern, since=0.0, timeout=15):
        with self.changed:
            self.changed.wait_for(lambda: self.said(pattern, since) or self.ended,
                                  lastcall.scaled(timeout))
            found = self.said(pattern, since)
        if not found:
            raise AssertionError(f'HAProxy did not say {pattern!r}:\n' + self.text())
        return found

    def text(self, most=30):
        """The end of its log, requests that went well left out."""
        lines = [line for _, line in self.lines if not re.search(r' (101|200) \d+ - - ', line)]
        return '\n'.join(lines[-most:])

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(lastcall.scaled(10))


class Proxied(lastcall.Case):
    """Two daemons behind HAProxy."""

    def setUp(self):
        directory = self.directory()
        self.certificate, both = make_certificate(directory)
        self.config = write(directory, 'lastcall.ini', shipped('lastcall-behind-proxy.ini'))
        self.ports = {'one': lastcall.free_port(), 'two': lastcall.free_port()}
        self.front = ('localhost', lastcall.free_port())
        self.haproxy_config = write(directory, 'haproxy.cfg', replaced(
            shipped('haproxy.cfg'),
            front=('bind :443 ', f'bind 127.0.0.1:{self.front[1]} '),
            certificate=('/etc/haproxy/lastcall.pem', both),
            one=('127.0.0.1:8081', f'127.0.0.1:{self.ports["one"]}'),
            two=('127.0.0.1:8082', f'127.0.0.1:{self.ports["two"]}')))

    def start(self, name, settings):
        """Starts the daemon that HAProxy knows by this name."""
        daemon = Daemon(self.config, self.ports[name], settings)
        self.daemons.append(daemon)
        self.addCleanup(self._leave, daemon)
        self.running[name] = daemon.ready()

    def start_proxied(self, settings=(), change=lambda text: text):
        """Starts both daemons and HAProxy. `change` is made to HAProxy's configuration."""
        self.running = {}
        for name in self.ports:
            self.start(name, settings)
        with open(self.haproxy_config) as file:
            text = change(file.read())
        self.proxy = Proxy(write(self.directory(), 'haproxy.cfg', text))
        self.addCleanup(self.proxy.stop)
        lastcall.wait_until(self.front_is_open, 10, 'HAProxy listens')

    def front_is_open(self):
        try:
            socket.create_connection(self.front, 1).close()
        except OSError:
            return False
        return True
