"""A call of ours fails while the daemon stops: it ends within its time, nobody is lost from the
counts, and the exit status is true."""
import concurrent.futures
import errno
import json
import os
import tempfile
import threading

import lastcall
from fault_scene import LARGE, Scene, Wrong
from faults import ALWAYS, ERRORS
from peer import CLOSE, PeerError, frame, request_head

AT_A_TIME = 4
MOST = 80
LASTING = (1, 2, 3, 5, 8)
PASSING = (errno.EINTR, errno.ENOBUFS)  # what is tried again until it works: never lasting
LOGGED = ('write',)                     # with which it would say how it has ended
HEARD = ('read',)                       # with which it would hear of the signal


class Leaver(threading.Thread):
    """A peer with an open WebSocket that answers the server's Close, as browsers do."""

    def __init__(self, scene, path):
        super().__init__(daemon=True)
        self.peer = scene.websocket(path)
        self.answered = False
        self.start()

    def run(self):
        try:
            found = self.peer.read_frame()
            while found.opcode != CLOSE:
                found = self.peer.read_frame()
            self.answered = True
            self.peer.send(frame(CLOSE, found.payload[:2]))
            self.peer.read_to_end()
        except (PeerError, OSError):
            pass
        finally:
            self.peer.close_socket()


def read_rest(waiting):
    """A response in flight is finished, or cut where its file can no longer be sent."""
    try:
        waiting.read(len(LARGE))
    except PeerError as why:
        if 'nothing from the server' in str(why):
            raise
    finally:
        waiting.close_socket()


def judge(scene, function, leavers):
    """What must hold whatever has failed."""
    daemon = scene.daemon
    with daemon.changed:
        if not daemon.changed.wait_for(lambda: daemon.ended, lastcall.scaled(10)):
            raise Wrong('it does not end')
    status = daemon.process.wait()
    if not 0 <= status <= 3:
        raise Wrong(f'exit status {status}')
    last = daemon.wait_exit(status)
    scene.check_end(last)
    if (status & 1) != (1 if last['forced'] + last['http_cut'] else 0) \
            or (status & 2) != (0 if last['mg_stop'] == 'returned' else 2):
        raise Wrong(f'status {status} for {last}')
    if last['open'] != len(leavers):
        raise Wrong(f'{last["open"]} sessions were open instead of {len(leavers)}')
    if last['handshake'] > sum(leaver.answered for leaver in leavers):
        raise Wrong(f'{last["handshake"]} handshakes are counted')
    if os.path.exists(scene.report):
        with open(scene.report) as file:
            report = json.load(file)
        if report['status'] != status or report['sessions']['open'] != last['open'] \
                or report['sessions']['handshake'] != last['handshake']:
            raise Wrong(f'a report of something else: {report}')
    elif not [event for event in daemon.events if event.get('key') == 'shutdown.report']:
        raise Wrong('no report, and not a word about it')
    return status


def stop(function, error, number, lasting, of=''):
    """Stops a daemon with that fault. Returns its exit status; None: the fault was not reached."""
    with tempfile.TemporaryDirectory(prefix='lastcall-test-') as directory, \
            Scene(directory, of) as scene:
        daemon = scene.daemon.ready()
        try:
            leavers = [Leaver(scene, path) for path in ('/echo', '/echo', '/deflated', '/status')]
            waiting = scene.peer()
            waiting.send(request_head('/files/large.bin'))
            lastcall.wait_until(lambda: scene.count()['open'] == len(leavers), 5, 'open')
            waiting.read_until(b'\r\n\r\n')
            scene.faults.arm(function, number, ALWAYS if lasting else number, error)
            daemon.send_signal()
            read_rest(waiting)
            status = judge(scene, function, leavers)
        except (AssertionError, PeerError, OSError) as wrong:
            last = '\n'.join(daemon.lines[-5:])
            raise Wrong(f'{of} {function} fails with {error} at call {number}'
                        f'{" and later" if lasting else ""}: {wrong}\n{last}') from None
        return status if scene.faults.reached() else None


def sweep(function, error, lasting, of=''):
    """Returns (how often the fault was reached, what was wrong)."""
    reached, wrong = 0, []
    for number in LASTING if lasting else range(1, MOST + 1):
        try:
            status = stop(function, error, number, lasting, of)
            if status is None:
                break
        except Wrong as what:
            wrong.append(str(what))
            if len(wrong) == 3:
                break
        reached += 1
    return reached, wrong


class Stopping(lastcall.Case):
    def sweep_all(self, lasting):
        self.sweep_cases([(function, error, lasting) for function in ERRORS
                          for error in ERRORS[function] if function not in LOGGED
                          and (not lasting or (error not in PASSING and function not in HEARD))])

    def sweep_cases(self, cases):
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            done = list(pool.map(lambda case: sweep(*case), cases))
        print('# faults reached:', sum(reached for reached, _ in done))
        wrong = [what for _, all_of_it in done for what in all_of_it]
        self.assertEqual([], wrong, '\n\n'.join(wrong))
        self.assertGreater(sum(reached for reached, _ in done), 50)

    def test_a_call_that_fails_once_neither_holds_the_stop_up_nor_spoils_its_counts(self):
        self.sweep_all(lasting=False)

    def test_calls_that_go_on_failing_neither_hold_the_stop_up_nor_spoil_its_counts(self):
        self.sweep_all(lasting=True)

    def test_a_report_that_there_is_no_memory_for_is_left_out_and_said(self):
        self.sweep_cases([('malloc', errno.ENOMEM, lasting, 'libjansson')
                          for lasting in (False, True)])
