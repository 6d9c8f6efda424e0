"""What the handler tcp connects to: sockets of the test, and daemons with a route to them."""
import os
import socket
import threading

import lastcall
from peer import BINARY, PING, PONG, frame


LOOKUP = os.path.join(os.path.dirname(lastcall.PROGRAM), 'tests/liblookup.so')

# For a daemon whose look-ups of names end as tests/support/lookup.c says.
LOOKUPS = {'LD_PRELOAD': LOOKUP, 'ASAN_OPTIONS': 'verify_asan_link_order=0'}


class Target:
    """Somebody who listens; `path`: at a Unix socket. `name` is what a configuration calls him."""

    def __init__(self, path=None, receive_buffer=None, backlog=64):
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.settimeout(lastcall.scaled(20))
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind(path or ('127.0.0.1', 0))
        self.listener.listen(backlog)
        self.name = f'unix:{path}' if path else '127.0.0.1:%d' % self.listener.getsockname()[1]

    def accept(self):
        connection = self.listener.accept()[0]
        connection.settimeout(lastcall.scaled(20))
        return connection

    def close(self):
        self.listener.close()


class EchoTarget(Target):
    """Says everything back, and ends when the other side does."""

    def __init__(self):
        super().__init__()
        self.listener.settimeout(None)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self.accept()
            except OSError:
                return  # it was closed
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection):
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except OSError:
                pass  # the other side tells what became of it

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        super().close()


def read_exactly(connection, length):
    data = bytearray()
    while len(data) < length:
        more = connection.recv(min(length - len(data), 1 << 18))
        if not more:
            raise AssertionError(f'end after {len(data)} of {length} bytes')
        data += more
    return bytes(data)


def read_to_end(connection):
    """Everything until the other side ends; a reset is an error."""
    parts = []
    while part := connection.recv(1 << 18):
        parts.append(part)
    return b''.join(parts)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    connection.close()


class Case(lastcall.Case):
    """Cases whose daemon has a route /tcp."""

    def target(self, **options):
        target = Target(**options)
        self.addCleanup(target.close)
        return target

    def bridged(self, name, *settings, keys=None, **options):
        routes = {'/tcp': {'handler': 'tcp', 'target': name, **(keys or {})}}
        return self.daemon(*settings, routes=routes, **options)

    def bridge(self, target, *settings, peer=None, **options):
        """A daemon, an open WebSocket, and the connection that it has made to the target."""
        daemon = self.bridged(target.name, *settings, **options)
        websocket = self.websocket(daemon, '/tcp', **(peer or {}))
        connection = target.accept()
        self.addCleanup(connection.close)
        return daemon, websocket, connection

    def receive(self, websocket, length):
        """So many bytes, in messages of any size."""
        data = bytearray()
        while len(data) < length:
            opcode, payload = websocket.read_message()
            self.assertEqual(opcode, BINARY)
            data += payload
        self.assertEqual(len(data), length)
        return bytes(data)

    def roundtrip(self, websocket, connection, data=b'hello'):
        websocket.send(frame(BINARY, data))
        self.assertEqual(read_exactly(connection, len(data)), data)
        connection.sendall(data[::-1])
        self.assertEqual(self.receive(websocket, len(data)), data[::-1])

    @staticmethod
    def ping(websocket):
        """Everything that was sent before has been read when this returns."""
        token = os.urandom(8)
        websocket.send(frame(PING, token))
        answer = websocket.read_frame()
        if (answer.opcode, answer.payload) != (PONG, token):
            raise AssertionError(f'{answer} instead of a Pong')
