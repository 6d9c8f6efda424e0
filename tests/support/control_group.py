"""A control group with a limit on memory, for a daemon to be started in. Needs root."""
import os
import tempfile

ROOT = '/sys/fs/cgroup'
MUCH = 1 << 40


class Unavailable(Exception):
    """No such group can be made here; its text says why."""


def read_number(path):
    with open(path) as file:
        return int(file.read())


def write_number(path, number):
    with open(path, 'w') as file:
        file.write(str(number))


class MemoryGroup:
    """Of version 1, where the memory of sockets is charged beside the rest, or of version 2, where
    it is charged with it. `procs` is the file that takes a process into it."""

    def __init__(self, limit):
        self.version = 1 if os.path.isdir(f'{ROOT}/memory') else 2
        try:
            self.path = tempfile.mkdtemp(prefix='lastcall-test-', dir=self.parent())
        except OSError as error:
            raise Unavailable(f'no group can be made: {error}') from None
        try:
            self.limit(limit)
        except OSError as error:
            self.remove()
            raise Unavailable(f'a group without a limit on memory: {error}') from None
        self.procs = f'{self.path}/cgroup.procs'

    def parent(self):
        if self.version == 1:
            return f'{ROOT}/memory'
        with open(f'{ROOT}/cgroup.subtree_control') as file:
            if 'memory' not in file.read().split():
                raise Unavailable('no control groups of memory')
        return ROOT

    def limit(self, limit):
        if self.version == 1:
            write_number(f'{self.path}/memory.limit_in_bytes', limit)
            write_number(f'{self.path}/memory.kmem.tcp.limit_in_bytes', MUCH)  # or it is not counted
        else:
            write_number(f'{self.path}/memory.max', limit)
            write_number(f'{self.path}/memory.swap.max', 0)

    def used(self):
        """Bytes, those of TCP sockets included."""
        if self.version == 2:
            return read_number(f'{self.path}/memory.current')
        return read_number(f'{self.path}/memory.usage_in_bytes') \
            + read_number(f'{self.path}/memory.kmem.tcp.usage_in_bytes')

    def remove(self):
        """When all of its processes have ended."""
        os.rmdir(self.path)
