"""A server of the status page that shows what it is told: for states that a real one has seldom.

`Stage` serves the page and its WebSocket; `figures` makes snapshots of a busy server.
"""
import asyncio
import http
import json
import math
import os
import random
import threading

import websockets

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../handlers/status.html')


class Stage:
    """`send` gives a snapshot to every page that is open, `close` ends their WebSockets."""

    def __init__(self, port=0):
        self.open, self.last = set(), None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self._run(self._start(port))
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f'http://127.0.0.1:{self.port}/status'

    async def _start(self, port):
        return await websockets.serve(self._serve, '127.0.0.1', port, ping_interval=None,
                                      process_request=self._answer)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def _answer(self, path, headers):
        if 'Upgrade' in headers:
            return None
        if path != '/status':
            return http.HTTPStatus.NOT_FOUND, [], b''
        with open(PAGE, 'rb') as file:
            return http.HTTPStatus.OK, [('Content-Type', 'text/html; charset=utf-8')], file.read()

    async def _serve(self, socket):
        self.open.add(socket)
        if self.last:
            await socket.send(self.last)
        await socket.wait_closed()
        self.open.discard(socket)

    def send(self, snapshot):
        self.last = json.dumps(snapshot)

        async def send():
            for socket in list(self.open):
                await socket.send(self.last)
        self._run(send())

    def close(self, code=1001, reason='server shutting down'):
        """Closes the WebSockets and leaves the port."""
        async def close():
            self.server.server.close()  # the listener; the library's own close has its own code
            await asyncio.gather(*[socket.close(code, reason) for socket in self.open])
        self._run(close())

    def stop(self):
        async def cancel():
            self.server.server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not self.loop.is_running():
            return
        self._run(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


def route(path, handler, number=0, **figures):
    socket = handler in ('echo', 'broadcast', 'status')
    return {'route': path, 'handler': handler, 'websocket': socket, 'open': 0, 'limit': None,
            'opened': 0, 'received': 0, 'sent': 0, 'received_bytes': 0, 'sent_bytes': 0,
            'queued_bytes': 0, 'closed': {'handshake': 0, 'gone': 0, 'forced': 0}, 'refused': {},
            'requests': {}, **figures}


def chat(path, second, size, seed=1):
    """A route whose figures go up and down like those of people who talk."""
    wave = 1 + .25 * math.sin(second / 23 + seed) + .1 * math.sin(second / 5 + 2 * seed)
    messages = int(size * (second * .6 + 7 * math.sin(second / 17 + seed) + 20))
    return route(path, 'broadcast', open=int(size * wave), limit=int(size * 1.45),
                 opened=int(size * 3 + second * size / 90),
                 received=messages, sent=messages * 9, received_bytes=messages * 84,
                 sent_bytes=messages * 740, queued_bytes=int(size * 12 * (wave - .6)),
                 closed={'handshake': int(size * 1.8), 'gone': int(size / 5), 'forced': 0},
                 refused={'origin': 3} if seed == 1 else {})


def figures(second=0, routes=None, **changed):
    """A snapshot of a server, `second` seconds after the first."""
    noise = random.Random(second)
    if routes is None:
        routes = [
            route('/', 'page', requests={'200': 900 + 2 * second, '304': 310 + second}),
            chat('/chat/*', second, 640, 1), chat('/rooms/lobby', second, 160, 4),
            route('/echo', 'echo', open=12 + noise.randrange(3), opened=90 + second // 4,
                  received=second * 31 + noise.randrange(30), sent=second * 31,
                  received_bytes=second * 31 * 50, sent_bytes=second * 31 * 50,
                  closed={'handshake': 64, 'gone': 9, 'forced': 1}),
            route('/assets/*', 'static', requests={'200': 5000 + 14 * second + noise.randrange(9),
                                                   '206': 40, '404': 7, '500': 1}),
            route('/health/*', 'health', requests={'200': 8000 + second}),
            route('/metrics', 'metrics', requests={'200': 410 + second // 15}),
            route('/status', 'status', open=2, opened=5, sent=second * 2 + 9,
                  sent_bytes=second * 2400, closed={'handshake': 2, 'gone': 1, 'forced': 0},
                  requests={'200': 6}),
            route('(none)', None, refused={'route': 41}, requests={'404': 41}),
        ]
    used = sum(one['open'] for one in routes)
    return {
        'version': '0.1.0', 'time': '2026-11-22T14:19:%02d.123Z' % (second % 60),
        'uptime_ms': 266_400_000 + second * 1000, 'state': 'ready', 'drain': None,
        'limits': [
            {'name': 'WebSockets', 'key': 'limits.connections', 'used': used, 'limit': 1000},
            {'name': 'HTTP requests', 'key': 'server.http_threads',
             'used': 3 + noise.randrange(5), 'limit': 128},
            {'name': 'open files', 'key': 'ulimit -n', 'used': used + 61, 'limit': 20000},
            {'name': 'memory held', 'key': 'limits.memory', 'used': 1_200_000 + 70_000 * second,
             'limit': 357_913_941},
        ],
        'process': {'cpu_ms': 90_000 + second * 61 + noise.randrange(12),
                    'resident_bytes': 31_200_000 + 4000 * noise.randrange(40),
                    'virtual_bytes': 900_000_000, 'threads': 135,
                    'started': '2026-11-19T12:19:33.000Z'},
        'routes': routes, **changed}


def drain(drained, total=1000, **changed):
    left = total - drained
    return {
        'phase': 'draining', 'total': total, 'drained': drained, 'forced': 0, 'requests': 2,
        'elapsed_ms': 2400, 'left_ms': 5600,
        'waiting': [{'why': 'has not answered our Close', 'sessions': max(0, left - 9)},
                    {'why': 'waits for its turn', 'sessions': min(left, 9)}],
        'sessions': [{'address': f'203.0.113.{n}:{50000 + 37 * n}', 'route': '/chat/*',
                      'open_ms': 86_400_000 // n, 'why': 'has not answered our Close',
                      'queued_bytes': 1200 * (n % 3)} for n in range(1, min(50, left) + 1)],
        **changed}
