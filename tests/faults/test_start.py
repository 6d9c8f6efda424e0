"""A call of ours fails while the daemon starts: it starts all the same, or says why not and ends with
the right status."""
import concurrent.futures
import errno
import re
import sys
import tempfile

import lastcall
from fault_scene import Scene, Wrong
from faults import ALWAYS, EAI_MEMORY, ERRORS
from lastcall import EXIT_CONFIG, EXIT_LISTEN, EXIT_SYSTEM
from peer import PeerError

AT_A_TIME = 4
MOST = 400                  # calls of one function that are made to fail, one in each start
MOST_OF_LIBRARY = 80        # the first of them make it ready
LASTING = (1, 2, 3, 5, 8, 13, 21, 34)
PASSING = (errno.EINTR,)    # what is tried again until it works: never lasting
SYSTEM = (errno.ENOMEM, errno.EMFILE, errno.EAGAIN, EAI_MEMORY)  # a mistake of nobody's
SPOKEN = ('fprintf', 'fputc', 'fputs', 'fwrite', 'putc')  # with which it would say something
LOGGED = ('write',)         # with which it would say that it is ready


def judge_end(scene, function, error):
    status = scene.daemon.process.wait()
    lastcall.Daemon.check_status(status, status)
    allowed = (EXIT_SYSTEM,) if error in SYSTEM else (EXIT_SYSTEM, EXIT_LISTEN, EXIT_CONFIG)
    if status not in allowed:
        raise Wrong(f'exit status {status}, and not {allowed}')
    if function not in SPOKEN and not any(' debug ' not in line for line in scene.daemon.lines):
        raise Wrong(f'exit status {status} without a word')


def start(function, error, number, lasting, of):
    """Starts it with that fault. Returns whether it was reached."""
    with tempfile.TemporaryDirectory(prefix='lastcall-test-') as directory, \
            Scene(directory, of, (function, number, ALWAYS if lasting else number, error)) as scene:
        daemon = scene.daemon
        try:
            lastcall.wait_until(lambda: daemon.ended or daemon.logged('ready'), 10, 'ready or ended')
            scene.faults.disarm()
            if daemon.ended:
                judge_end(scene, function, error)
            else:
                if re.fullmatch(r'127\.0\.0\.1:\d+', daemon.logged('listening')[0]['address']):
                    daemon.ready()
                    failed = scene.play()
                    if failed:
                        raise Wrong(f'started, but {failed}')
                scene.stop()
        except (AssertionError, PeerError, OSError, IndexError) as wrong:
            last = '\n'.join(daemon.lines[-5:])
            raise Wrong(f'{of} {function} fails with {error} at call {number}'
                        f'{" and later" if lasting else ""}: {wrong}\n{last}') from None
        return scene.faults.reached() > 0


def sweep(function, error, lasting, of=''):
    """Returns (how often the fault was reached, what was wrong)."""
    reached, wrong = 0, []
    most = MOST_OF_LIBRARY if of else MOST
    for number in LASTING if lasting else range(1, most + 1):
        try:
            if not start(function, error, number, lasting, of):
                break
        except Wrong as what:
            wrong.append(str(what))
            if len(wrong) == 3:
                break
        reached += 1
    return reached, wrong


class Starting(lastcall.Case):
    def sweep_all(self, lasting):
        self.sweep_cases([(function, error, lasting) for function in ERRORS
                          for error in ERRORS[function]
                          if function not in LOGGED and (not lasting or error not in PASSING)])

    def sweep_cases(self, cases, least=100):
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            done = list(pool.map(lambda case: sweep(*case), cases))
        print('# faults reached:', sum(reached for reached, _ in done))
        wrong = [what for _, all_of_it in done for what in all_of_it]
        self.assertEqual([], wrong, '\n\n'.join(wrong))
        self.assertGreater(sum(reached for reached, _ in done), least)

    def test_a_call_that_fails_once_ends_the_start_with_the_right_status_or_does_not_matter(self):
        self.sweep_all(lasting=False)

    def test_calls_that_go_on_failing_end_the_start_with_the_right_status_or_do_not_matter(self):
        self.sweep_all(lasting=True)

    def test_civetweb_without_memory_for_what_it_looks_at_ends_the_start_with_71(self):
        if lastcall.sanitized():
            self.skipTest('CivetWeb does not give everything back then')
        self.sweep_cases([(function, errno.ENOMEM, lasting, 'libcivetweb')
                          for function in ('calloc', 'realloc') for lasting in (False, True)],
                         least=5)

    def test_libcrypto_without_memory_ends_the_start_and_does_not_crash_it(self):
        if lastcall.sanitized():
            self.skipTest('libcrypto does not give everything back then')
        self.sweep_cases([(function, errno.ENOMEM, lasting, 'libcrypto')
                          for function in ('malloc', 'realloc') for lasting in (False, True)])
