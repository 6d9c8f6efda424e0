"""Clients that talk through a proxy with TLS while the servers behind it restart.

Each is a thread that does the same thing until it is told to stop, and notes whatever no client
should ever see. Knows no daemon and no proxy.
"""
import http.client
import ssl
import threading
import time

from peer import CLOSE, PING, PONG, TEXT, PeerError, WebSocket, frame

PACE = 0.02  # seconds between two messages of one client


class Client(threading.Thread):
    """`failures` are sentences; an empty list is what every test wants."""

    def __init__(self, address, certificate, timeout, number):
        super().__init__(name=f'{type(self).__name__} {number}', daemon=True)
        self.address = address
        self.timeout = timeout
        self.tls = ssl.create_default_context(cafile=certificate)
        self.stopping = threading.Event()
        self.working = threading.Event()  # set after the first thing that went well
        self.failures = []
        self.done = 0  # things that went well

    def run(self):
        while not self.stopping.is_set():
            try:
                self.work()
            except (OSError, PeerError, http.client.HTTPException) as error:
                self.fail(f'{type(error).__name__}: {error}')

    def succeed(self):
        self.done += 1
        self.working.set()
        self.stopping.wait(PACE)

    def fail(self, what):
        self.failures.append(f'{time.monotonic():.2f} {self.name}: {what}')
        self.stopping.wait(PACE)  # a proxy that is down is not hammered


class Chatter(Client):
    """Echoes without end over one WebSocket, and opens the next when that is closed."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.going_away = 0  # 1001, each followed by the end of the connection
        self.back = 0        # sessions that worked after a 1001

    def work(self):
        peer = WebSocket(self.address, self.timeout)
        try:
            peer.socket = self.tls.wrap_socket(peer.socket, server_hostname='localhost')
            peer.handshake()
            first = True
            while not self.stopping.is_set():
                if not self.echo(peer):
                    return
                if first and self.going_away:
                    self.back += 1
                first = False
                self.succeed()
            peer.send(frame(CLOSE, b'\x03\xe8'))
            peer.read_close(1000)
            peer.expect_end()
        finally:
            peer.close_socket()

    def echo(self, peer):
        """One message there and back; False when the server closed the session instead."""
        payload = f'{self.name}, message {self.done}'.encode()
        peer.send(frame(TEXT, payload))
        found = peer.read_frame()
        while found.opcode == PING:
            peer.send(frame(PONG, found.payload))
            found = peer.read_frame()
        if found.opcode == CLOSE:
            if found.code() != 1001:
                raise PeerError(f'closed with {found.code()} {found.reason()!r}')
            peer.send(frame(CLOSE, found.payload[:2]))
            peer.expect_end()
            self.going_away += 1
            return False
        if (found.opcode, found.payload) != (TEXT, payload):
            raise PeerError(f'{found} instead of the echo')
        return True


class Visitor(Client):
    """Gets a page without end, over connections that are kept."""

    def work(self):
        connection = http.client.HTTPSConnection(*self.address, timeout=self.timeout,
                                                 context=self.tls)
        try:
            while not self.stopping.is_set():
                connection.request('GET', '/')
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or not body:
                    self.fail(f'{response.status} {response.reason}, {len(body)} bytes')
                    return
                self.succeed()
        finally:
            connection.close()


class Passerby(Visitor):
    """Gets a page without end, over a new connection each time."""

    def work(self):
        connection = http.client.HTTPSConnection(*self.address, timeout=self.timeout,
                                                 context=self.tls)
        try:
            connection.request('GET', '/', headers={'Connection': 'close'})
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or not body:
                self.fail(f'{response.status} {response.reason}, {len(body)} bytes')
                return
        finally:
            connection.close()
        self.succeed()
