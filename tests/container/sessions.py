#!/usr/bin/env python3
"""Holds WebSocket sessions open and says how the server ended them.

sessions.py HOST PORT COUNT: opens COUNT sessions on /echo, sends a message on each and awaits its
echo, prints "open", then waits for the Close of each, answers it and awaits the end of the
connection. Ends with 0 if every session saw the code 1001. Python's standard library only, because
it runs wherever a container engine does.
"""
import base64
import os
import socket
import sys

TIMEOUT = 60  # seconds for any one answer


class Session:
    def __init__(self, address):
        self.socket = socket.create_connection(address, TIMEOUT)
        self.input = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /echo HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        status = self.input.readline().decode().strip()
        if " 101 " not in status:
            raise OSError(f"the upgrade was answered with '{status}'")
        while self.input.readline().strip():
            pass

    def send(self, opcode, payload):
        """One masked frame; its payload is short (RFC 6455, section 5.2)."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def receive(self):
        """One short frame: (opcode, payload)."""
        head = self.input.read(2)
        if len(head) < 2:
            raise OSError("the connection ended without a Close frame")
        return head[0] & 0x0F, self.input.read(head[1] & 0x7F)

    def echo(self, text):
        self.send(0x1, text)
        if self.receive() != (0x1, text):
            raise OSError("the echo was not what was sent")

    def await_close(self):
        """Returns the code of the server's Close, after the closing handshake."""
        opcode, payload = self.receive()
        while opcode != 0x8:
            if opcode == 0x9:
                self.send(0xA, payload)
            opcode, payload = self.receive()
        self.send(0x8, payload[:2])
        if self.input.read(1) != b"":
            raise OSError("data came after the Close frame")
        return int.from_bytes(payload[:2], "big")


def main(host, port, count):
    sessions = [Session((host, port)) for _ in range(count)]
    for session in sessions:
        session.echo(b"hello")
    print("open", flush=True)
    codes = [session.await_close() for session in sessions]
    right = codes.count(1001)
    others = sorted(set(codes) - {1001})
    print(f"{right} of {count} sessions were closed with 1001" + (f", others with {others}" if others else ""))
    return 0 if right == count else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    except OSError as error:
        sys.exit(f"sessions.py: {error}")
