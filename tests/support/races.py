"""One round of the race between a daemon that is told to stop and clients who do as they please.

`play` starts a daemon, lets guests in, sends SIGTERM at a random moment, waits for the end, and
returns what became of it; accounts.py says whether it all adds up. Everything that is random comes
from the seed; what the threads make of it does not.
"""
import asyncio
import json
import os
import random
import shutil
import signal
import tempfile
import time

import ways
from crowd import Guest
from lastcall import TIME_FACTOR, Daemon, scaled

LARGE_FILE = 16 << 20
PATIENCE = 30  # seconds for what comes in the end

# How many of a hundred guests go which way. Those of `POLITE` are answered and answer whatever
# happens, those of `RUDE` go on their own, those of `SILENT` have to be forced.
POLITE = {
    ways.closes: 16, ways.stays: 24, ways.closes_and_half_closes: 4,
    ways.sends_a_frame_in_pieces: 4, ways.stalls_for_a_while: 2, ways.visits: 10,
}
RUDE = {
    ways.vanishes: 5, ways.resets: 5, ways.vanishes_at_the_close: 3, ways.half_closes: 3,
    ways.leaves_in_half_a_frame: 3, ways.closes_and_leaves: 3, ways.babbles_behind_its_close: 2,
    ways.breaks_the_protocol: 3, ways.stalls_and_leaves: 2,
}
UNCERTAIN = {
    ways.says_nothing: 3, ways.asks_half: 5, ways.asks_and_leaves: 4, ways.asks_and_half_closes: 3,
    ways.asks_in_pieces: 3, ways.is_not_let_in: 2, ways.asks_nonsense: 2, ways.visits_and_leaves: 3,
}
SILENT = {ways.is_silent: 8, ways.is_silent_in_half_a_frame: 2}
LATE = {ways.reads_slowly: 2}


running = None  # the daemon of the round that is played


class Kind:
    """A kind of round: who comes, and what they are up against. Times in milliseconds."""

    def __init__(self, name, share, groups, timeout, close_timeout, lasting=False, hurry=False):
        self.name, self.share, self.groups = name, share, groups
        self.timeout, self.close_timeout = timeout, close_timeout
        self.lasting = lasting  # sessions of routes that wait stay until the time is up
        self.hurry = hurry      # there is a second signal


KINDS = [
    Kind('polite', 25, [POLITE], 20000, 10000),
    Kind('certain', 20, [POLITE, RUDE], 20000, 10000),
    Kind('mixed', 25, [POLITE, RUDE, UNCERTAIN], 20000, 10000),
    Kind('silent', 18, [POLITE, RUDE, UNCERTAIN, SILENT], 20000, 400),
    Kind('late', 7, [POLITE, RUDE, UNCERTAIN, SILENT, LATE], 1200, 400, lasting=True),
    Kind('hurried', 5, [POLITE, RUDE, UNCERTAIN, SILENT], 20000, 10000, lasting=True, hurry=True),
]
ROUTES = {
    '/wait': {'handler': 'echo', 'drain': 'wait'},
    '/deflate': {'handler': 'echo', 'compression': 'on'},
    '/status': {'handler': 'status', 'refresh': '100ms'},
}
PATHS = {'/echo': 55, '/deflate': 25, '/wait': 15, '/status': 5}
ENDLESS = (*SILENT, ways.asks_in_pieces)  # where nobody stops them they last until the time is up
WATCHERS = 2
PAGES = ['/', '/health/live', '/health/ready', '/metrics', '/status?json', '/files/large', '/none']


def pick(dice, weights):
    return dice.choices(list(weights), list(weights.values()))[0]


class Round:
    """The crowd of one round, and the facts that the accounts are made of."""
    pages, large, sizes = PAGES, '/files/large', ways.SIZES

    def __init__(self, seed, number, guests):
        self.dice = random.Random(f'{seed}.{number}')
        self.kind = pick(self.dice, {kind: kind.share for kind in KINDS})
        self.lasting = self.kind.lasting
        self.span = self.dice.uniform(0.02, 0.3) * TIME_FACTOR ** 0.5
        self.signal_after = self.dice.uniform(0.3, 1.6) * self.span
        factor = TIME_FACTOR if self.kind.close_timeout < 1000 else 1
        self.close_timeout = self.kind.close_timeout * factor / 1000
        self.timeout = self.kind.timeout * factor / 1000
        self.tolerate = self.dice.choice(['0', '0', '3', '10%', '100%'])
        self.over = False
        self.address = None
        self.signal_at = None   # just before the signal is sent
        self.heard_at = None    # just after the daemon has said that it came
        self.hurried = False    # there was a second one
        self.problems = []
        self.guests = [self._guest(place) for place in range(guests)]

    def _guest(self, place):
        weights = {way: share for group in self.kind.groups for way, share in group.items()}
        path, way = pick(self.dice, PATHS), pick(self.dice, weights)
        if self.waits(path) and way in ENDLESS and not self.lasting:
            path = '/echo'
        if place < WATCHERS:  # those who are told the final figures
            path, way = '/status', ways.stays
        return Guest(self, place + 257, path, way)

    now = staticmethod(time.monotonic)

    def echoes(self, path):
        return path != '/status'

    def compresses(self, path):
        return path == '/deflate'

    def waits(self, path):
        return path == '/wait'

    def settings(self):
        dice = self.dice
        return [
            'log.format=json', 'log.access=on',
            f'server.loops={dice.choice([1, 2, 2, 4])}',
            f'server.http_threads={dice.choice([4, 16, 64])}',
            f'shutdown.timeout={int(self.timeout * 1000)}ms',
            f'shutdown.close_timeout={int(self.close_timeout * 1000)}ms',
            f'shutdown.spread={dice.choice([0, 0, 0, 100 if not self.lasting else 0])}ms',
            f'shutdown.delay={dice.choice([0, 0, 0, 50])}ms',
            f'shutdown.tolerate={self.tolerate}',
        ]

    # --- the course of it ---

    async def _live(self, guest):
        dice = random.Random(self.dice.random())
        try:
            if guest not in self.guests[:WATCHERS]:
                await asyncio.sleep(self.span * dice.random())
            await guest.way(guest, dice)
        except ways.Ended:
            pass
        if guest.opened() and guest.end is None:
            guest.listen()
            done, _ = await asyncio.wait([guest.reader], timeout=scaled(PATIENCE))
            if not done:
                self.problems.append(f'the process has ended and it still waits: {guest}')
        await guest.leave()

    async def _signals(self, daemon):
        await asyncio.sleep(self.signal_after)
        self.signal_at = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        await asyncio.to_thread(daemon.wait_log, 'signal')
        self.heard_at = time.monotonic()
        if self.kind.hurry:
            await asyncio.to_thread(daemon.wait_log, 'draining')
            await asyncio.sleep(0.15)  # sooner it would be taken for the first
            self.hurried = daemon.process.poll() is None
            if self.hurried:
                daemon.send_signal(signal.SIGTERM)

    async def _run(self, daemon):
        self.began = time.monotonic()
        watchers = self.guests[:WATCHERS]
        living = [asyncio.create_task(self._live(guest)) for guest in watchers]
        await asyncio.gather(*(guest.until(guest.answered) for guest in watchers))
        living += [asyncio.create_task(self._live(guest)) for guest in self.guests[WATCHERS:]]
        await self._signals(daemon)
        patience = self.timeout + scaled(PATIENCE)
        self.returned = await asyncio.to_thread(daemon.process.wait, patience)
        self.over = True
        for guest in self.guests:
            guest.stir()
        await asyncio.gather(*living)

    def play(self):
        global running
        directory = tempfile.mkdtemp(prefix='lastcall-races-')
        try:
            with open(os.path.join(directory, 'large'), 'wb') as file:
                file.truncate(LARGE_FILE)
            report = os.path.join(directory, 'report.json')
            routes = {**ROUTES, '/files/*': {'handler': 'static', 'root': directory}}
            self.settings_used = self.settings()
            self.daemon = Daemon(directory, [*self.settings_used, f'shutdown.report={report}'],
                                 routes)
            running = self.daemon
            try:
                self.address = self.daemon.ready().address
                asyncio.run(self._run(self.daemon))
                self.daemon.reader.join()
            finally:
                self.daemon.kill()
            if os.path.exists(report):
                with open(report) as file:
                    self.report = json.load(file)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
