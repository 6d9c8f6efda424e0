"""Very many clients at once, in one thread, and what each of them knows of its end.

A Guest is one connection, from an address of its own (127.x.y.z), by which the server's log names
it. It reads all the time, unless it is told to stall, and notes what it saw: the answer's status,
echoes, the server's Close, the end of TCP. What it does is said in ways.py. Times are those of
time.monotonic(). Knows no daemon.
"""
import asyncio
import base64
import os
import socket
import struct
import time
import zlib
from collections import deque

from peer import BINARY, CLOSE, CONTINUATION, TEXT, close_frame, frame, upgrade_head

RSV1 = 4
TAIL = b'\0\0\xff\xff'  # RFC 7692, section 7.2.1
BIND_ADDRESS_NO_PORT = 24
READ_SIZE = 1 << 18
KNOWN = ('source', 'asked_at', 'status', 'text', 'length', 'body', 'sent', 'echoed', 'close_read',
         'close_read_at', 'close_sent', 'close_sent_at', 'erred_at', 'babbled', 'left_at', 'end',
         'end_at', 'closed_at')  # what is told of one


class Ended(Exception):
    """Nothing more can be done on this connection."""


class Wrong(AssertionError):
    """The server did what no server may do."""


def compressed(data):
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(TAIL)


def expanded(data):
    return zlib.decompressobj(-15).decompress(data + TAIL)


class Guest:
    """`end` is None, then 'refused' (no connection), 'eof', 'reset' or, if it did not wait for the
    server's, 'left'."""

    def __init__(self, crowd, number, path, way):
        self.crowd, self.path, self.way = crowd, path, way
        self.head_alone = False   # it stalls as soon as the head of the answer has come
        self.source = '127.%d.%d.%d' % (number >> 16 & 127, number >> 8 & 255, number & 255)
        self.socket = None
        self.reader = None
        self.waiters = []
        self.dismissed = False    # it need not wait for anything any more
        self.buffer = bytearray()
        self.compressing = False
        self.parts = []           # of a message in fragments
        self.awaited = deque()    # what was sent and is to come back; None: nothing of the kind
        self.asked = b''          # the request
        self.asked_at = None      # it was handed to the kernel whole
        self.status = None        # of the answer
        self.text = b''           # how the body begins
        self.length = None        # of its body, as it says
        self.body = 0             # as it came
        self.sent = 0             # whole messages, before its Close
        self.echoed = 0
        self.last_message = None  # for those that are not echoed
        self.close_read = None    # the code of the server's Close; 1005: without one
        self.close_read_at = None
        self.close_sent = None    # the code of its own
        self.close_sent_at = None
        self.erred_at = None      # it broke the protocol
        self.babbled = False      # it went on behind its Close
        self.left_at = None       # it has ended its side, by FIN or RST
        self.closed_at = None     # its own side, in any case
        self.end = None
        self.end_at = None
        self.wrong = None

    # --- what it knows ---

    def opened(self):
        return self.status == 101

    def asked_always(self):
        """Whether it asked for what is answered behind the closed gate, too, and counted nowhere."""
        return any(path in self.asked for path in (b' /health/', b' /metrics'))

    def answered(self):
        """Whether a whole answer has come."""
        return self.status is not None and (self.opened() or self.body == self.length)

    def sent_away(self):
        """Whether it was told that the server is shutting down."""
        return self.status == 503 and self.answered() and b'shutting down' in self.text

    def closing(self):
        return self.close_read is not None

    def __str__(self):
        facts = [f'{self.way.__name__} on {self.path}:']
        for name in KNOWN:
            value = getattr(self, name)
            if name.endswith('_at') and value is not None:
                value = f'{value - self.crowd.began:.3f}'
            if value not in (None, False, 0, b''):
                facts.append(f'{name}={value}')
        return ' '.join(facts)

    # --- what it does ---

    async def connect(self, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((self.source, 0))
        try:
            await asyncio.get_running_loop().sock_connect(self.socket, self.crowd.address)
        except ConnectionError:
            self._note_end('refused')
            raise Ended from None

    async def ask(self, raw, **options):
        """Connects and sends a request."""
        await self.connect(**options)
        self.listen()
        self.asked = raw
        await self.send(raw)
        self.asked_at = time.monotonic()

    async def ask_upgrade(self, path=None, headers=(), **options):
        if self.crowd.compresses(path or self.path):
            headers = [*headers, 'Sec-WebSocket-Extensions: permessage-deflate']
        key = base64.b64encode(os.urandom(16)).decode()
        await self.ask(upgrade_head(path or self.path, key, headers), **options)

    async def enter(self, **options):
        """Opens a WebSocket, or raises Ended when it is not let in."""
        await self.ask_upgrade(**options)
        await self.until(self.answered)
        if self.opened():
            return
        await self.until(lambda: False)
        raise Ended

    async def send(self, data):
        if self.end:
            raise Ended
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, data)
        except ConnectionError:
            await self.until(lambda: False)  # the reader sees it too
            raise Ended from None

    async def say(self, payload, opcode=BINARY, pieces=1):
        """Sends a message, in so many fragments."""
        self.awaited.append((opcode, payload) if self.crowd.echoes(self.path) else None)
        rsv = 0
        if self.compressing and len(payload) % 3:
            payload, rsv = compressed(payload), RSV1
        cuts = [len(payload) * piece // pieces for piece in range(pieces + 1)]
        for piece in range(pieces):
            await self.send(frame(CONTINUATION if piece else opcode,
                                  payload[cuts[piece]:cuts[piece + 1]], piece == pieces - 1,
                                  0 if piece else rsv, os.urandom(4)))
        if self.close_sent is None:
            self.sent += 1

    async def say_close(self, code, reason=b''):
        await self.send(close_frame(None if code == 1005 else code, reason))
        self.close_sent, self.close_sent_at = code, time.monotonic()

    def half_close(self):
        if self.end:
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # reset, and not read yet
        self.left_at = time.monotonic()

    async def leave(self, reset=False):
        """Ends the connection, without waiting for anything."""
        await self.stall()
        if self.socket is None:
            return
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()
        self.socket = None
        self.closed_at = time.monotonic()
        if self.end is None:
            self.left_at = time.monotonic() if self.left_at is None else self.left_at
            self._note_end('left')

    def listen(self):
        """Reads from now on."""
        if self.reader is None and self.end is None:
            self.reader = asyncio.create_task(self._read())

    async def stall(self):
        """Reads no more until `listen`."""
        reader, self.reader = self.reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])

    # --- waiting ---

    async def until(self, condition, seconds=None):
        """Waits until it holds, the connection has ended, all is over, or so much time has passed;
        returns whether it holds."""
        loop = asyncio.get_running_loop()
        deadline = None if seconds is None else loop.time() + seconds
        timer = None if seconds is None else loop.call_at(deadline, self.stir)
        while not (condition() or self.end or self.crowd.over or self.dismissed
                   or (deadline is not None and loop.time() >= deadline)):
            waiter = loop.create_future()
            self.waiters.append(waiter)
            await waiter
        if timer:
            timer.cancel()
        return condition()

    async def pause(self, seconds):
        await self.until(lambda: False, seconds)

    def dismiss(self):
        self.dismissed = True
        self.stir()

    def stir(self):
        """Lets who waits for it look again."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # --- reading ---

    def _note_end(self, how):
        self.end, self.end_at = how, time.monotonic()
        self.stir()

    async def _read(self):
        loop = asyncio.get_running_loop()
        how = 'eof'
        try:
            while data := await loop.sock_recv(self.socket, READ_SIZE):
                self.buffer += data
                if self.status is None:
                    self._take_head()
                if self.opened():
                    self._take_frames()
                else:
                    self._take_body()
                self.stir()
                if self.head_alone and self.status is not None:
                    return
        except ConnectionError:
            how = 'reset'
        except (Wrong, zlib.error) as problem:
            self.wrong = str(problem)
        self._note_end(how)

    def _take_head(self):
        end = self.buffer.find(b'\r\n\r\n')
        if end < 0:
            return
        lines = self.buffer[:end].decode('latin-1').split('\r\n')
        del self.buffer[:end + 4]
        if not lines[0].startswith('HTTP/1.1 '):
            raise Wrong(f'this is not HTTP: {lines[0]!r}')
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(':') for line in lines[1:])}
        self.length = int(headers.get('content-length', 0))
        self.compressing = 'sec-websocket-extensions' in headers
        self.status = int(lines[0].split(' ')[1])

    def _take_body(self):
        if self.status is None:
            return
        self.text += bytes(self.buffer[:60 - min(60, len(self.text))])
        self.body += len(self.buffer)
        self.buffer.clear()
        if self.body > self.length:
            raise Wrong(f'{self.body} bytes of a body of {self.length}')

    def _take_frames(self):
        while len(self.buffer) >= 2:
            first, length = self.buffer[0], self.buffer[1]
            head = 2 if length < 126 else 4 if length == 126 else 10
            if len(self.buffer) < head:
                return
            if head > 2:
                length = int.from_bytes(self.buffer[2:head], 'big')
            if len(self.buffer) < head + length:
                return
            payload = bytes(self.buffer[head:head + length])
            del self.buffer[:head + length]
            self._take_frame(first, payload)

    def _take_frame(self, first, payload):
        opcode = first & 15
        if self.close_read is not None:
            raise Wrong(f'a frame of opcode {opcode} behind the Close')
        if not first & 0x80:
            raise Wrong('a fragment: the server sends none')
        if opcode == CLOSE:
            self.close_read = struct.unpack('!H', payload[:2])[0] if payload else 1005
            self.close_read_at = time.monotonic()
        elif opcode in (TEXT, BINARY):
            self._take_message(opcode, expanded(payload) if first >> 4 & RSV1 else payload)

    def _take_message(self, opcode, payload):
        if not self.crowd.echoes(self.path):
            self.last_message = payload
            return
        if not self.awaited or self.awaited.popleft() != (opcode, payload):
            raise Wrong(f'echo {self.echoed + 1} is not what was sent: {payload[:40]!r}')
        self.echoed += 1
