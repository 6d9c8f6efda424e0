#!/usr/bin/python3
"""Measures a scrape of /metrics with sessions on many routes, and prints it as one JSON object.

  tests/bench/scrape.py [--routes=100] [--scrapes=500] [--warm=20] [PROGRAM]

PROGRAM is build/release/lastcall unless it is given. It is started here with so many echo routes,
a session that has echoed a message on each, and stopped at the end. A scrape is timed from its
request on a new connection to the last byte of the answer, over loopback, by one client. Printed
are the median and the 99th percentile in milliseconds, the bytes of an answer, and the processor
time that the server spent on each.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, '../support'))

from peer import Response, WebSocket, request_head  # noqa: E402

WAIT = 30  # seconds


def arguments():
    parser = argparse.ArgumentParser(description='measures a scrape of /metrics')
    parser.add_argument('--routes', type=int, default=100)
    parser.add_argument('--scrapes', type=int, default=500)
    parser.add_argument('--warm', type=int, default=20, help='scrapes that are not counted')
    parser.add_argument('program', nargs='?', default=f'{ROOT}/build/release/lastcall')
    return parser.parse_args()


def start(program, config, routes):
    """Returns the process and its address."""
    with open(config, 'w') as file:
        file.write('[server]\nlisten = 127.0.0.1:0\n[route /metrics]\nhandler = metrics\n')
        file.writelines(f'[route /route/{number:03}]\nhandler = echo\n'
                        for number in range(routes))
    process = subprocess.Popen([program, '-c', config], stderr=subprocess.PIPE, text=True)
    address, lines = None, []
    for line in process.stderr:
        lines.append(line)
        if 'listening address=' in line:
            host, port = line.split('address=')[1].split()[0].rsplit(':', 1)
            address = host, int(port)
        if 'ready version=' in line:
            return process, address
    raise SystemExit(f'{program} did not start:\n{"".join(lines[-5:])}')


def open_sessions(address, routes):
    sessions = []
    for number in range(routes):
        sessions.append(WebSocket(address, WAIT))
        sessions[-1].handshake(f'/route/{number:03}')
        sessions[-1].echo(b'hello')
    return sessions


def scrape(address, buffer):
    """Returns the seconds that it took, and the answer."""
    view = memoryview(buffer)
    have = 0
    with socket.create_connection(address, WAIT) as connection:
        request = request_head('/metrics')
        began = time.perf_counter()
        connection.sendall(request)
        while (got := connection.recv_into(view[have:])) > 0:
            have += got
        took = time.perf_counter() - began
    answer = Response(bytes(view[:have]))  # whole, or this fails
    if answer.status != 200:
        raise SystemExit(f'a scrape was answered {answer.status}')
    return took, answer


def processor_time(pid):
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def measure(options, address, pid):
    buffer = bytearray(16 << 20)
    for _ in range(options.warm):
        scrape(address, buffer)
    spent = processor_time(pid)
    found = [scrape(address, buffer) for _ in range(options.scrapes)]
    spent = processor_time(pid) - spent
    times = sorted(took * 1000 for took, _ in found)
    text = found[-1][1].text()
    if text.count('lastcall_sessions_open{') != options.routes:
        raise SystemExit('the scrape does not show all routes')
    return {
        'routes': options.routes,
        'scrapes': options.scrapes,
        'bytes': len(text.encode()),
        'lines': text.count('\n'),
        'median_ms': round(statistics.median(times), 3),
        'p99_ms': round(times[min(len(times) - 1, len(times) * 99 // 100)], 3),
        'cpu_ms': round(spent * 1000 / options.scrapes, 3),
    }


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        process, address = start(options.program, f'{folder}/lastcall.ini', options.routes)
        try:
            sessions = open_sessions(address, options.routes)
            print(json.dumps(measure(options, address, process.pid)))
            for session in sessions:
                session.reset()
        finally:
            process.terminate()
            process.communicate(timeout=WAIT)


if __name__ == '__main__':
    main()
