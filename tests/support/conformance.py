"""RFC 6455 as cases: what a client sends, and every byte that must come back.

A Case is played on a connection of its own, from the 101 to the end of TCP. Whatever the server
sends in between is compared byte for byte, so nothing can follow a Close unseen, and the server
must end TCP first: the peer only reads, until the end. An id says in which section of the RFC the
rule stands; a number behind a slash is that of the Autobahn suite's case which it rebuilds.
"""
import collections
import struct

import lastcall
from peer import CLOSE, CONTINUATION, PING, PONG, PeerError, WebSocket, frame, upgrade_head

NORMAL, GOING_AWAY, PROTOCOL, NOT_UTF8, TOO_LARGE = 1000, 1001, 1002, 1007, 1009
TOGETHER = 64  # connections at a time
PATIENCE = 3   # behind so many wrong ones the rest of them is not waited for as long
KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

# `steps` are writes (bytes) and Await; `back` is everything that comes before the server's Close.
# `end`: an error's close code, the payload of the server's answering Close (bytes), or None when
# the session stays open: the peer then closes it with 1000.
Case = collections.namedtuple('Case', 'id steps back end', defaults=(b'', None))

# These bytes, which are the next of `back`, must have come before anything more is sent.
Await = collections.namedtuple('Await', 'data')


def told(opcode, payload=b''):
    """A frame of the server: whole, and never masked."""
    return frame(opcode, payload, mask=None)


def chopped(data, size):
    """The data in writes of so many bytes."""
    return [data[start:start + size] for start in range(0, len(data), size)]


def in_chops(name, frames, back=b'', end=None):
    """The frames in one write, each in its own, and byte by byte: it must make no difference."""
    whole = b''.join(frames)
    return [Case(f'{name} (one write)', [whole], back, end),
            Case(f'{name} (by frames)', list(frames), back, end),
            Case(f'{name} (by bytes)', chopped(whole, 1), back, end)]


def fragments(opcode, parts, between=b'', fin=True):
    """The frames of a message, `between` standing at each border; `fin` False leaves it open."""
    frames = []
    for place, part in enumerate(parts):
        if place > 0 and between:
            frames.append(between)
        frames.append(frame(CONTINUATION if place else opcode, part,
                            fin=fin and place == len(parts) - 1))
    return frames


def pings(payloads):
    """(what a client sends, what comes back) for these pings."""
    return (b''.join(frame(PING, payload) for payload in payloads),
            b''.join(told(PONG, payload) for payload in payloads))


def failing_close(rest, code):
    """What is wrong with `rest` as a Close with this code and a reason that can be read."""
    if len(rest) < 4 or rest[0] != 0x80 | CLOSE or rest[1] != len(rest) - 2 or rest[1] > 125:
        return f'not one Close and the end, but {rest[:60]!r}'
    if struct.unpack('!H', rest[2:4])[0] != code:
        return f'closed with {struct.unpack("!H", rest[2:4])[0]} instead of {code}'
    try:
        rest[4:].decode('utf-8')
    except UnicodeDecodeError:
        return f'a reason that is not UTF-8: {rest[4:]!r}'
    return None


def wrong_with(case, got):
    """What is wrong with everything that came back; None: nothing."""
    if not got.startswith(case.back):
        return f'{got[:80]!r} came back, and not {case.back[:80]!r}'
    rest = got[len(case.back):]
    if isinstance(case.end, int):
        return failing_close(rest, case.end)
    payload = struct.pack('!H', NORMAL) if case.end is None else case.end
    return None if rest == told(CLOSE, payload) else f'at the end came {rest[:80]!r}'


class Player:
    """One case on one connection; what goes wrong with it is kept in `wrong`."""

    def __init__(self, case, address, path):
        self.case, self.wrong, self.got = case, None, b''
        self.steps = list(case.steps)
        if case.end is None:
            self.steps.append(frame(CLOSE, struct.pack('!H', NORMAL)))
        self.peer = WebSocket(address, timeout=lastcall.scaled(10))
        self.peer.send(upgrade_head(path, KEY))

    def attempt(self, action):
        if self.wrong is None:
            try:
                action()
            except (OSError, PeerError) as error:
                self.wrong = f'{type(error).__name__}: {error}'

    def open(self):
        self.attempt(lambda: self.peer.finish_handshake(KEY))

    def step(self):
        step = self.steps.pop(0)
        self.attempt(lambda: self.wait_for(step.data) if isinstance(step, Await)
                     else self.send(step))

    def send(self, data):
        try:
            self.peer.send(data)
        except (BrokenPipeError, ConnectionResetError):
            if self.case.end is None:
                raise
            # The server has ended the session already: what it said before that is judged.

    def wait_for(self, data):
        came = self.peer.read(len(data))
        self.got += came
        if came != data:
            raise PeerError(f'{came[:80]!r} came, and not {data[:80]!r}')

    def finish(self, forget):
        def judge():
            self.got += self.peer.read_to_end()
            self.wrong = wrong_with(self.case, self.got)
        self.attempt(judge)
        if forget:
            self.peer.reset()
        self.peer.close_socket()


def play_together(address, path, cases, forget=False):
    players = [Player(case, address, path) for case in cases]
    for player in players:
        player.open()
    # Step by step over all of them, so that the writes of each are pieces of their own.
    while any(player.steps for player in players):
        for player in players:
            if player.steps:
                player.step()
    wrong = []
    for player in players:
        if len(wrong) == PATIENCE:
            player.peer.socket.settimeout(lastcall.scaled(0.5))
        player.finish(forget)
        if player.wrong:
            wrong.append(f'{player.case.id}: {player.wrong}')
    return wrong


class Conformance(lastcall.Case):
    def conforming(self):
        """A daemon that would not cut a peer for its slowness: the end must come by itself."""
        return self.daemon('log.level=info', 'limits.control_frames=0',
                           'shutdown.close_timeout=1m', 'shutdown.timeout=2m',
                           routes={'/big': {'handler': 'echo', 'message': '16M'},
                                   '/small': {'handler': 'echo', 'message': '4096'}})

    def play(self, cases, path='/echo', forget=False):
        """Plays all of them and says what was wrong with each. `forget`: a reset follows the end,
        so that the kernel does not remember thousands of connections, which other work minds."""
        self.assertEqual(len({case.id for case in cases}), len(cases), 'an id comes twice')
        daemon = self.conforming()
        wrong = []
        for start in range(0, len(cases), TOGETHER):
            wrong += play_together(daemon.address, path, cases[start:start + TOGETHER], forget)
            if len(wrong) >= 20:
                break
        print(f'#   {len(cases)} cases')
        self.assertEqual(wrong, [])
