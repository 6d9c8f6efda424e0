"""A call of ours fails while the daemon serves: that costs one request or one session, and nobody
else anything; what fails for a while works again afterwards."""
import concurrent.futures
import errno
import tempfile

import lastcall
from fault_scene import Scene, Wrong
from faults import ALWAYS, ERRORS, LIBRARIES
from peer import TEXT, PeerError, frame

AT_A_TIME = 4
MOST = 80                   # calls of one function that one scene is swept through
LASTING = (1, 2, 3, 5, 8)   # calls from which on all fail
WAITED_FOR = ('open',)      # while none can be had, new connections wait: see test_descriptors
PASSING = (errno.EINTR, errno.ENOBUFS)  # what is tried again until it works: never lasting


def fail_at(scene, healthy, function, error, number, lasting):
    """Plays the scene with that fault. Returns whether it was reached."""
    descriptors = scene.daemon.fd_count()
    scene.faults.arm(function, number, ALWAYS if lasting else number, error)
    try:
        failed = scene.play()
    finally:
        scene.faults.disarm()
    if not scene.faults.reached():
        return False
    if len(failed) > 1 and not lasting:
        raise Wrong(f'one fault, and {len(failed)} steps failed: {failed}')
    if healthy:
        echo(scene, healthy)
    after = scene.play()
    if after:
        raise Wrong(f'it does not work again: {after}')
    scene.settled(1 if healthy else 0, descriptors)
    return True


def echo(scene, healthy):
    healthy.send(frame(TEXT, b'still here'))
    scene.expect(healthy, (TEXT, b'still here'))


def sweep(function, error, lasting, of=''):
    """Returns (how often the fault was reached, what was wrong or None)."""
    reached, number = 0, 0
    with tempfile.TemporaryDirectory(prefix='lastcall-test-') as directory, \
            Scene(directory, of) as scene:
        try:
            scene.daemon.ready()
            reached += fail_at(scene, None, function, error, 1, lasting)  # what is done once
            healthy = scene.websocket()
            echo(scene, healthy)
            for number in LASTING if lasting else range(1, MOST + 1):
                if not fail_at(scene, healthy, function, error, number, lasting):
                    break
                reached += 1
            scene.end(healthy)
            scene.stop()
        except (AssertionError, PeerError, OSError) as wrong:
            last = '\n'.join(scene.daemon.lines[-5:])
            return reached, f'{of} {function} fails with {error} at call {number}' \
                f'{" and later" if lasting else ""}: {wrong}\n{last}'
    return reached, None


class Serving(lastcall.Case):
    def sweep_all(self, lasting):
        self.sweep_cases([(function, error, lasting) for function in ERRORS
                          for error in ERRORS[function]
                          if not lasting or (error not in PASSING and function not in WAITED_FOR)])

    def sweep_cases(self, cases, least=100):
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            done = list(pool.map(lambda case: sweep(*case), cases))
        print('# faults reached:', sum(reached for reached, _ in done))
        wrong = [what for _, what in done if what]
        self.assertEqual([], wrong, '\n\n'.join(wrong))
        self.assertGreater(sum(reached for reached, _ in done), least)

    def test_a_call_that_fails_once_costs_no_more_than_its_own_request(self):
        self.sweep_all(lasting=False)

    def test_calls_that_fail_for_a_while_work_again_afterwards(self):
        self.sweep_all(lasting=True)

    def test_a_library_without_memory_costs_no_more_than_the_request_that_needed_it(self):
        self.sweep_cases([('malloc', errno.ENOMEM, False, of) for of in LIBRARIES], least=10)
