"""Upgrade requests written byte for byte, as browsers, proxies and attackers send them, and what
comes back. Knows no daemon but its address.
"""
from peer import PeerError, Peer, Response

KEY = 'dGhlIHNhbXBsZSBub25jZQ=='  # RFC 6455, section 1.3
GOOD = ('Upgrade: websocket', 'Connection: Upgrade', f'Sec-WebSocket-Key: {KEY}',
        'Sec-WebSocket-Version: 13')


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode('utf-8')


def upgrade(*lines, path='/echo', host='localhost', end=b'\r\n', before=()):
    """A good upgrade request with further lines, of text or bytes, behind or before its own."""
    first = [f'GET {path} HTTP/1.1', *([] if host is None else [b'Host: ' + as_bytes(host)])]
    return end.join([*map(as_bytes, (*first, *before, *GOOD, *lines)), b'', b''])


def origin(value):
    return b'Origin: ' + as_bytes(value)


def ask(address, raw, timeout):
    """Sends `raw`; returns the Response, the head alone for a 101, or None when the connection
    ended without a whole one."""
    peer = Peer(address, timeout)
    try:
        peer.send(raw)
        try:
            head = peer.read_until(b'\r\n\r\n')
            if b' 101 ' in head.split(b'\r\n')[0]:
                return Response(head)
            return Response(head + peer.read_to_end())
        except PeerError as error:
            if 'nothing from the server' in str(error):
                raise
            return None
    finally:
        peer.close_socket()


def count_of(metrics, name, **labels):
    """The value of one line of /metrics; 0 when it is not there."""
    for line in metrics.splitlines():
        if line.startswith(name + '{') and all(f'{key}="{value}"' in line
                                               for key, value in labels.items()):
            return int(float(line.rsplit(' ', 1)[1]))
    return 0
