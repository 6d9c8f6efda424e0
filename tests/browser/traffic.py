"""Clients of all kinds for the picture in docs/: sessions that come and go and talk now more, now
less, files that are fetched, pages that may not connect."""
import asyncio
import contextlib
import math
import os
import random

import websockets

from peer import request, upgrade_head, exchange

ROUTES = {
    '/chat/*': {'handler': 'echo', 'connections': '400'},
    '/rooms/lobby': {'handler': 'echo', 'origins': 'https://app.example.org'},
    '/files/*': {'handler': 'static', 'root': os.path.dirname(os.path.abspath(__file__))},
    '/status': {'handler': 'status', 'refresh': '500ms'},
}
SETTINGS = ('limits.connections=500', 'log.level=info')


async def talk(url, wave):
    """One session after another on a path; how often it speaks follows a wave."""
    while True:
        with contextlib.suppress(OSError, websockets.WebSocketException):
            async with websockets.connect(url, origin=None) as socket:
                for turn in range(random.randrange(100, 400)):
                    await socket.send('x' * random.randrange(20, 400))
                    await socket.recv()
                    await asyncio.sleep(0.15 + 0.12 * math.sin(turn / 20 + wave))


async def surf(address):
    """Requests that a server gets all day long."""
    paths = ['/', '/files/run', '/files/browser.py', '/files/nothing', '/health/ready', '/metrics']
    while True:
        await asyncio.to_thread(request, address, random.choice(paths))
        if random.random() < 0.05:
            await asyncio.to_thread(exchange, address, upgrade_head(
                '/rooms/lobby', headers=['Origin: https://evil.example']))
        await asyncio.sleep(random.random() / 5)


async def make(address, seconds):
    """All of it together, for so long."""
    base = 'ws://%s:%d' % address
    tasks = [surf(address)]
    for path, sessions in (('/chat/one', 60), ('/rooms/lobby', 25), ('/echo', 8)):
        tasks += [talk(base + path, number / 9) for number in range(sessions)]
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.gather(*tasks), seconds)
