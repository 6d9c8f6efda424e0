"""What the tests of exec share: daemons whose route /run is a script, and who still lives in /proc.

A script is Python, and has `sys`, `os`, `time`, `signal` and `say`, which writes a line at once.
"""
import ctypes
import os

import lastcall
from peer import CLOSE, TEXT, frame

HEAD = '''import os, signal, sys, time
def say(text):
    sys.stdout.write(str(text) + "\\n")
    sys.stdout.flush()
'''


def stat(pid):
    """(state, parent, group, session) of a process; None when there is none."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            fields = file.read().rsplit(')', 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1]), int(fields[2]), int(fields[3])


def processes():
    """{pid: (state, parent, group, session)} of all there are."""
    found = {int(name): stat(name) for name in os.listdir('/proc') if name.isdigit()}
    return {pid: what for pid, what in found.items() if what}


def children(pid):
    """The states of the children of a process: {pid: 'S'}; 'Z' is a zombie."""
    return {child: what[0] for child, what in processes().items() if what[1] == pid}


def lives(pid):
    """Whether it is there, and no zombie."""
    what = stat(pid)
    return what is not None and what[0] not in 'ZX'


class SlowStart:
    """A program whose file nobody gets to execute until it is closed, as on a dead network."""
    FAN_CLASS_CONTENT, FAN_CLOEXEC, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM = 4, 1, 1, 0x40000
    AT_FDCWD = -100

    def __init__(self, path):
        """Raises OSError where the system or the user may not do that."""
        system = ctypes.CDLL(None, use_errno=True)
        self.descriptor = system.fanotify_init(self.FAN_CLASS_CONTENT | self.FAN_CLOEXEC, 0)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), 'fanotify_init')
        if system.fanotify_mark(self.descriptor, self.FAN_MARK_ADD,
                                ctypes.c_uint64(self.FAN_OPEN_EXEC_PERM), self.AT_FDCWD,
                                path.encode()) != 0:
            os.close(self.descriptor)
            raise OSError(ctypes.get_errno(), 'fanotify_mark')

    def close(self):
        os.close(self.descriptor)


class Programs(lastcall.Case):
    def script(self, text):
        path = os.path.join(self.directory(), 'script.py')
        with open(path, 'w') as file:
            file.write(HEAD + text)
        return f'/usr/bin/python3 {path}'

    def running(self, text, *settings, keys=None, routes=None, wait=True, **options):
        """A daemon with the script on /run."""
        run = {'handler': 'exec', 'command': self.script(text), **(keys or {})}
        return self.daemon(*settings, routes={'/run': run, **(routes or {})}, wait=wait, **options)

    def line(self, peer, text):
        peer.send(frame(TEXT, text.encode()))

    def read_line(self, peer):
        opcode, payload = peer.read_message()
        self.assertEqual(opcode, TEXT)
        return payload.decode()

    def read_lines(self, peer, count):
        return [self.read_line(peer) for _ in range(count)]

    def closed(self, peer, code):
        """Reads the server's Close, answers it; returns its reason."""
        found = peer.read_close(code)
        peer.send(frame(CLOSE, found.payload[:2]))
        peer.expect_end()
        return found.reason()

    def close(self, peer, code=1000):
        """Closes, and reads the answer."""
        peer.send(frame(CLOSE, code.to_bytes(2, 'big')))
        peer.read_close(code)
        peer.expect_end()

    def assertChildless(self, daemon):
        lastcall.wait_until(lambda: not children(daemon.pid), what='the end of all children')

    def assertGone(self, *pids):
        for pid in pids:
            lastcall.wait_until(lambda pid=pid: not lives(pid), what=f'the end of {pid}')
