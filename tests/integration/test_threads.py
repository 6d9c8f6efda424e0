#!/usr/bin/python3
"""A system that gives too few threads: said at once, in words that name them."""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support'))

import lastcall

USER = 64531 + os.getpid() % 1000  # nobody else's: the limit counts all processes of a user


class Threads(lastcall.Case):
    def limited(self, threads, *command):
        """The command line with so many threads; root is exempt from the limit, so not as root."""
        limit = ['prlimit', f'--nproc={threads}:{threads}', '--', *command]
        if os.geteuid() != 0:
            return limit
        return ['setpriv', f'--reuid={USER}', '--clear-groups', *limit]

    def setUp(self):
        if lastcall.sanitized():
            self.skipTest('a sanitizer needs threads of its own')
        for program in ('prlimit', 'setpriv'):
            if shutil.which(program) is None:
                self.skipTest(f'{program} is not there')
        thread = 'import threading; threading.Thread(target=print).start()'
        probe = subprocess.run(self.limited(1, '/usr/bin/python3', '-c', thread),
                               capture_output=True, timeout=lastcall.scaled(10))
        if probe.returncode == 0 or b'start new thread' not in probe.stderr:
            self.skipTest('a limit on threads has no effect here')
        folder = self.directory()
        os.chmod(folder, 0o755)
        self.program = os.path.join(folder, 'lastcall')
        shutil.copy(lastcall.PROGRAM, self.program)

    def test_too_few_threads_are_71_at_once_and_named(self):
        for threads in (1, 2, 3, 4, 5, 6, 8, 12, 20, 40):
            with self.subTest(threads):
                began = time.monotonic()
                done = subprocess.run(
                    self.limited(threads, self.program, '-s', 'server.listen=127.0.0.1:0',
                                 '-s', 'server.http_threads=128'),
                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=lastcall.scaled(10))
                self.assertWithin(time.monotonic() - began, 2.0, 'at once')
                self.assertEqual(done.returncode, lastcall.EXIT_SYSTEM, done.stderr)
                self.assertRegex(done.stderr, r'\bthreads?\b')


if __name__ == '__main__':
    lastcall.main()
