"""Clients that can misbehave: raw TCP, HTTP and WebSocket, in blocking sockets.

Nothing here forgives the server: a reset where an end was due, a masked frame, a length that is
not in its shortest form or a response that is not HTTP is an error. Knows no daemon.
"""
import base64
import email.utils
import hashlib
import os
import select
import socket
import struct
import time

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'


class PeerError(AssertionError):
    """The server did what no server may do."""


def masked(data, mask):
    repeated = (mask * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, 'big') ^ int.from_bytes(repeated, 'big')).to_bytes(len(data),
                                                                                   'big')


def frame(opcode, payload=b'', fin=True, rsv=0, mask=b'\x11\x22\x33\x44', claim=None, form=None):
    """A frame of any shape. `claim`: another length than the payload's; `form`: 7, 16 or 64
    bits for it, else the shortest; `mask` None: unmasked."""
    length = len(payload) if claim is None else claim
    form = form or (7 if length < 126 else 16 if length < 65536 else 64)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask is not None else 0
    if form == 7:
        head += bytes([bit | length])
    elif form == 16:
        head += bytes([bit | 126]) + struct.pack('!H', length)
    else:
        head += bytes([bit | 127]) + struct.pack('!Q', length)
    if mask is None:
        return head + payload
    return head + mask + masked(payload, mask)


def close_frame(code=None, reason=b''):
    return frame(CLOSE, b'' if code is None else struct.pack('!H', code) + reason)


class Peer:
    """A TCP connection to the server."""

    def __init__(self, address, timeout=10, source_port=None, source_host=None,
                 receive_buffer=None, connect=True):
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source_port or source_host:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind((source_host or '127.0.0.1', source_port or 0))
        self.address = address
        self.buffer = b''
        if connect:
            try:
                self.socket.connect(address)
            except BaseException:
                self.socket.close()
                raise

    def name(self):
        """The address as the server's log shows it."""
        return '%s:%d' % self.socket.getsockname()

    def send(self, data):
        self.socket.sendall(data)

    def push(self, data, quiet=0.7):
        """Sends what the server takes, until it takes nothing for `quiet` seconds; returns how
        many bytes that was."""
        view, sent = memoryview(data), 0
        while sent < len(view) and select.select([], [self.socket], [], quiet)[1]:
            sent += self.socket.send(view[sent:sent + 65536], socket.MSG_DONTWAIT)
        return sent

    def more(self):
        """Reads what there is; b'' at the end."""
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            raise PeerError('the server reset the connection') from None
        except TimeoutError:
            raise PeerError('nothing from the server; read so far: '
                            f'{self.buffer[:200]!r}') from None
        self.buffer += data
        return data

    def read(self, length):
        while len(self.buffer) < length:
            if not self.more():
                raise PeerError(f'end after {len(self.buffer)} of {length} bytes: '
                                f'{self.buffer[:200]!r}')
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise PeerError(f'end before {mark!r}: {self.buffer[:200]!r}')
        data, self.buffer = self.buffer.split(mark, 1)
        return data + mark

    def read_to_end(self):
        """Everything until the server ends the connection; a reset is an error."""
        chunks = [self.buffer]
        self.buffer = b''
        while self.more():
            chunks.append(self.buffer)
            self.buffer = b''
        return b''.join(chunks)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()

    def close_socket(self):
        self.socket.close()


class Response:
    """One whole HTTP response, checked for being one."""

    def __init__(self, raw, head=False):
        top, separator, self.body = raw.partition(b'\r\n\r\n')
        lines = top.decode('latin-1').split('\r\n')
        words = lines[0].split(' ', 2)
        if not separator or len(words) != 3 or words[0] != 'HTTP/1.1' or len(words[1]) != 3:
            raise PeerError(f'this is not HTTP: {raw[:200]!r}')
        self.status = int(words[1])
        self.headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(':')
            if not colon or name != name.strip() or not name:
                raise PeerError(f'this is no header: {line!r}')
            self.headers.append((name.lower(), value.strip()))
        length = self.header('content-length')
        if length is not None and not head and self.status != 101 and int(length) != len(self.body):
            raise PeerError(f'Content-Length {length}, but {len(self.body)} bytes came')
        if head and self.body:
            raise PeerError(f'a HEAD was answered with a body: {self.body[:100]!r}')

    def header(self, name):
        """The value of the only such header; None without one."""
        values = [value for key, value in self.headers if key == name.lower()]
        if len(values) > 1:
            raise PeerError(f'{name} comes {len(values)} times: {values}')
        return values[0] if values else None

    def tokens(self, name):
        """All comma-separated words of all such headers, in lower case."""
        return [token.strip().lower() for key, value in self.headers if key == name.lower()
                for token in value.split(',')]

    def age(self):
        """How many seconds ago it was made, by its Date."""
        date = self.header('date')
        if date is None or not date.endswith(' GMT'):
            raise PeerError(f'this is no date: {date!r}')
        return time.time() - email.utils.parsedate_to_datetime(date).timestamp()

    def text(self):
        return self.body.decode('utf-8')


def request_head(path, method='GET', headers=(), host='localhost'):
    lines = [f'{method} {path} HTTP/1.1', f'Host: {host}', *headers]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1')


def exchange(address, raw, timeout=10, head=False):
    """Sends `raw` and reads to the end."""
    peer = Peer(address, timeout)
    try:
        peer.send(raw)
        return Response(peer.read_to_end(), head)
    finally:
        peer.close_socket()


def request(address, path, method='GET', headers=(), timeout=10):
    return exchange(address, request_head(path, method, [*headers, 'Connection: close']), timeout,
                    method == 'HEAD')


def upgrade_head(path='/echo', key=None, headers=()):
    key = key or base64.b64encode(os.urandom(16)).decode()
    return request_head(path, headers=['Upgrade: websocket', 'Connection: Upgrade',
                                       f'Sec-WebSocket-Key: {key}', 'Sec-WebSocket-Version: 13',
                                       *headers])


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


class Frame:
    def __init__(self, fin, opcode, payload, rsv=0):
        self.fin, self.opcode, self.payload, self.rsv = fin, opcode, payload, rsv

    def __repr__(self):
        return f'Frame(fin={self.fin}, opcode={self.opcode}, {self.payload[:60]!r})'

    def code(self):
        return struct.unpack('!H', self.payload[:2])[0] if self.payload else 1005

    def reason(self):
        return self.payload[2:].decode('utf-8')


class WebSocket(Peer):
    """A WebSocket after `handshake`; sends whatever frames it is told to."""
    rsv = 0  # the bits that an extension allows in what the server sends

    def handshake(self, path='/echo', headers=()):
        key = base64.b64encode(os.urandom(16)).decode()
        self.send(upgrade_head(path, key, headers))
        return self.finish_handshake(key)

    def finish_handshake(self, key):
        response = Response(self.read_until(b'\r\n\r\n'))
        if response.status != 101:
            raise PeerError(f'{response.status} instead of 101: {response.headers}')
        if response.header('sec-websocket-accept') != accept_for(key):
            raise PeerError('a 101 for the key of somebody else')
        if 'upgrade' not in response.tokens('connection') \
                or response.header('upgrade').lower() != 'websocket':
            raise PeerError(f'not the headers of a 101: {response.headers}')
        return response

    def read_frame(self):
        first, second = self.read(2)
        if first >> 4 & 7 & ~self.rsv or second & 0x80:
            raise PeerError(f'RSV or mask bits from a server: {first:#x} {second:#x}')
        length = second
        if length == 126:
            length = struct.unpack('!H', self.read(2))[0]
            if length < 126:
                raise PeerError('a length that is not in its shortest form')
        elif length == 127:
            length = struct.unpack('!Q', self.read(8))[0]
            if length < 65536:
                raise PeerError('a length that is not in its shortest form')
        return Frame(bool(first & 0x80), first & 0x0F, self.read(length), first >> 4 & 7)

    def read_message(self):
        """The next message, whole, as (opcode, payload); control frames are not expected."""
        found = self.read_frame()
        opcode, parts = found.opcode, [found.payload]
        while not found.fin:
            found = self.read_frame()
            if found.opcode != CONTINUATION:
                raise PeerError(f'{found} inside a message')
            parts.append(found.payload)
        if opcode not in (TEXT, BINARY):
            raise PeerError(f'{found} instead of a message')
        return opcode, b''.join(parts)

    def echo(self, payload=b'hello', opcode=TEXT):
        """Sends a message and reads it back."""
        self.send(frame(opcode, payload))
        got = self.read_message()
        if got != (opcode, payload):
            raise PeerError(f'not the echo: {got[0]}, {len(got[1])} bytes')

    def read_close(self, code=None):
        """The next frame, which must be a Close (with `code`)."""
        found = self.read_frame()
        if found.opcode != CLOSE or not found.fin:
            raise PeerError(f'{found} instead of a Close')
        if code is not None and found.code() != code:
            raise PeerError(f'Close {found.code()} {found.reason()!r} instead of {code}')
        return found

    def expect_end(self, within=None):
        """Nothing more comes, and the server ends TCP without a reset (in so many seconds)."""
        began = time.monotonic()
        rest = self.read_to_end()
        if within is not None and time.monotonic() - began > within:
            raise PeerError(f'TCP ended only after {time.monotonic() - began:.2f} s')
        if rest:
            raise PeerError(f'{len(rest)} bytes after the Close: {rest[:60]!r}')

    def answer_close(self, code=1001, within=None):
        """Reads the server's Close, answers it as it should be answered, and sees TCP end."""
        found = self.read_close(code)
        self.send(frame(CLOSE, found.payload[:2]))
        self.expect_end(within)
        return found
