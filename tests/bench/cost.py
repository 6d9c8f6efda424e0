#!/usr/bin/python3
"""Measures what abusive peers cost a server, and prints it as one JSON object.

  tests/bench/cost.py PROGRAM [KIND]...

PROGRAM is lastcall, or the Go peer. For each kind it is started anew, and so many peers of that
kind (a row of KINDS) talk to it from one address. When they have done so for a while, and the
limits have done their work, what the server has more than before is divided by the connections that
it still has: its own memory (resident), and the kernel's for its sockets (`ss -m`). The processor
time is that of all of them together, in percent of one processor.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from figure import GO  # noqa: E402
from figures import cost_figure  # noqa: E402
from servers import Abuser, Server  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
LOAD = os.path.join(HERE, '../../build/release/tests/load')
# How many peers, and for how long before they are measured (seconds).
KINDS = {
    'tiny': (10, 2), 'tiny-unread': (50, 2), 'pings': (1, 2), 'empty': (1, 2),
    'fragments': (10, 2), 'half': (1, 3), 'large': (10, 3), 'stalled': (50, 3),
    'expanding': (10, 3), 'bomb': (1, 2), 'handshakes': (1, 2), 'silent': (1, 2),
    'headers': (1, 3), 'bodies': (1, 3),
}
MEASURED = 2  # seconds


def resident(pid):
    with open(f'/proc/{pid}/smaps_rollup') as file:
        return int(re.search(r'^Rss:\s+(\d+)', file.read(), re.M).group(1))


def processor_time(pid):
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def sockets(port):
    """The server's connections, and the kilobytes that the kernel has for them."""
    found = subprocess.run(['ss', '-tnmH', f'sport = :{port}'], capture_output=True, text=True)
    count, held = 0, 0
    for memory in re.findall(r'skmem:\(([^)]*)\)', found.stdout):
        parts = dict(re.match(r'([a-z]+)(\d+)', part).groups() for part in memory.split(','))
        count += 1
        held += sum(int(parts[key]) for key in ('r', 'f', 'w', 'o', 'bl'))
    return count, held / 1024


def measure(name, program, kind):
    times, wait = KINDS[kind]
    command = [program] if name == GO else [program, '-s', 'server.listen=127.0.0.1:0']
    figure = cost_figure()
    with tempfile.TemporaryDirectory() as folder, Server(name, command, figure, folder) as server:
        pid = server.process.pid
        before = resident(pid)
        with Abuser(LOAD, kind, server.port, times):
            time.sleep(wait)
            used = processor_time(pid)
            time.sleep(MEASURED)
            used = processor_time(pid) - used
            own = resident(pid) - before
            count, kernel = sockets(server.port)
    return {
        f'{kind}_connections': count,
        f'{kind}_own_kb': own / max(count, 1),
        f'{kind}_kernel_kb': kernel / max(count, 1),
        f'{kind}_cpu_percent': 100 * used / MEASURED,
    }


def main():
    program, *kinds = sys.argv[1:]
    name = GO if os.path.basename(program) == 'peer' else 'lastcall'
    result = {}
    for kind in kinds or KINDS:
        result.update(measure(name, program, kind))
    print(json.dumps(result))


if __name__ == '__main__':
    main()
