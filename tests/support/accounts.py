"""Whether a round of races.py adds up: what the guests know, what the log says of each of them, the
last line, the report and the last figures of the status page must be one and the same story.

`check` returns sentences, one for each thing that does not fit; none: all is well.
"""
import collections
import json

from lastcall import scaled
from races import WATCHERS

OUTCOMES = ('handshake', 'gone', 'forced')
ALL = set(OUTCOMES)
CERTAINLY = 0.6  # of close_timeout: who did it within this share of it was in time


class Accounts:
    def __init__(self, played):
        self.round = played
        self.guests = {guest.source: guest for guest in played.guests}
        self.problems = list(played.problems)
        self.lines = collections.defaultdict(lambda: collections.defaultdict(list))
        for event in played.daemon.events:
            address = event.get('address', '').rsplit(':', 1)[0]
            if event['message'] in ('session opened', 'session closed', 'access'):
                self.lines[event['message']][address].append(event)

    def expect(self, condition, sentence):
        if not condition:
            self.problems.append(sentence)

    # --- one guest ---

    def earliest(self, guest):
        """When the time that the server gives a guest for its Close can have begun."""
        played = self.round
        times = [guest.erred_at, guest.close_sent_at, played.signal_at]
        if played.waits(guest.path):
            times[2] += played.timeout - played.close_timeout
        return min(time for time in times if time is not None)

    def in_time(self, guest, moment):
        return moment < self.earliest(guest) + CERTAINLY * self.round.close_timeout

    def may_have_ended(self, guest):
        """The outcomes that a guest with a 101, or one that does not know, may be counted as; None
        is among them if it need not have been let in."""
        may = set() if guest.opened() else {None}
        if guest.asked_at is None or (guest.answered() and not guest.opened()):
            return may
        if not guest.opened() and guest.left_at is None:
            return may  # it has waited for an answer: there was none, so there is no session
        done_at = guest.left_at or guest.closed_at
        if guest.erred_at:
            may |= {'gone'}  # what comes behind an error is not understood any more
        elif guest.close_sent is None:
            may |= {'gone'} if guest.left_at else {'forced'}
        elif guest.closing() and guest.end == 'eof' and not guest.babbled:
            may |= {'handshake'}
            done_at = guest.close_sent_at
        else:
            may |= {'handshake', 'gone'}
        if self.round.hurried or not self.in_time(guest, done_at):
            may |= {'forced'}
        return may

    def check_guest(self, guest):
        opened, closed, access = (self.lines[kind][guest.source] for kind in
                                  ('session opened', 'session closed', 'access'))
        sessions = [line for line in access if line['status'] == 101]
        counts = len(opened), len(closed), len(sessions)
        self.expect(not guest.wrong, f'{guest.wrong}: {guest}')
        self.expect(counts in ((0, 0, 0), (1, 1, 1)),
                    f'opened, closed and logged {counts} times: {guest}')
        self.expect(len(access) <= 1, f'{len(access)} lines of the access log: {guest}')
        outcome = closed[0]['outcome'] if closed else None
        self.expect(outcome in self.may_have_ended(guest),
                    f'counted as {outcome} and not {self.may_have_ended(guest)}: {guest} '
                    f'{closed}')
        if guest.answered() and not guest.opened() and not guest.sent_away():
            self.expect([line['status'] for line in access] == [guest.status],
                        f'answered, and not so in the access log: {guest}')
        if closed and guest.opened():
            self.check_session(guest, closed[0])
        self.check_answer(guest)

    def check_session(self, guest, line):
        """What both sides know of a session."""
        expect, outcome = self.expect, line['outcome']
        stayed = guest.left_at is None and not self.round.hurried
        expect(not stayed or guest.closing() or outcome == 'forced',
               f'it stayed, and got no Close: {guest}')
        expect(not guest.closing() or line['code'] == guest.close_read,
               f'the log has the code {line["code"]}: {guest}')
        if outcome != 'handshake' or guest.babbled or guest.left_at or guest.close_sent is None:
            return
        expect(guest.end == 'eof', f'closed by handshake, and not by the end of TCP: {guest}')
        first = guest.close_read == guest.close_sent != 1001
        expect(not first or not self.round.echoes(guest.path) or guest.echoed == guest.sent,
               f'it closed first, and has not all its echoes: {guest}')

    def check_received(self, guest):
        """Nothing sent before its Close is lost for one that closed as it should."""
        for line in self.lines['session closed'][guest.source]:
            if line['outcome'] == 'handshake' and not guest.babbled:
                self.expect(line['received'] == guest.sent,
                            f'{line["received"]} messages received: {guest}')

    def check_answer(self, guest):
        """Who asked before the signal, and waited, has been answered."""
        if guest.asked_at is None or guest.asked_at > self.round.signal_at or guest.left_at:
            return
        cut = guest.way.__name__ == 'reads_slowly' and guest.status == 200
        self.expect(guest.answered() or cut or self.round.hurried,
                    f'it asked before the signal, and got no answer: {guest}')

    # --- all of them ---

    def closed_lines(self):
        return [line for lines in self.lines['session closed'].values() for line in lines]

    def forced_before(self):
        """How many may have been forced before the signal: their time began long before it."""
        began = self.round.heard_at - self.round.close_timeout
        return sum(1 for guest in self.guests.values()
                   if any(line['outcome'] == 'forced'
                          for line in self.lines['session closed'][guest.source])
                   and min(guest.erred_at or began + 1, guest.close_sent_at or began + 1) <= began)

    def check_last_line(self, stopped, report):
        """The last line, the report and the lines of the routes say the same, and add up."""
        total = report['sessions']
        names = ('open', *OUTCOMES, 'refused', 'received')
        routes = report['routes']
        drained = [event for event in self.round.daemon.events
                   if event['message'] == 'route drained']
        for name in names:
            told = {stopped[name], total[name], sum(route[name] for route in routes),
                    sum(line[name] for line in drained)}
            self.expect(len(told) == 1, f'{name} has more than one value: {told}')
        for one in (stopped, *routes):
            self.expect(one['open'] == sum(one[name] for name in OUTCOMES), f'no sum: {one}')
        for name in ('http_finished', 'http_cut', 'status', 'drain', 'mg_stop'):
            self.expect(stopped[name] == report[name], f'{name} has two values')
        if self.round.hurried:
            return
        ended = collections.Counter(line['outcome'] for line in self.closed_lines())
        for name in OUTCOMES:
            self.expect(stopped[name] <= ended[name],
                        f'{stopped[name]} {name}, {ended[name]} lines')
        before = self.forced_before()
        self.expect(stopped['forced'] + before >= ended['forced'],
                    f'{stopped["forced"]} forced, {before} perhaps before the signal, '
                    f'{ended["forced"]} lines')

    def check_open(self, stopped):
        """Who was open at the signal, or came later, and knows it, is in the count."""
        heard_at = self.round.heard_at
        surely = sum(1 for guest in self.guests.values()
                     if guest.opened() and (guest.left_at or guest.end_at) > heard_at
                     and (guest.close_sent_at is None or guest.close_sent_at > heard_at)
                     and guest.erred_at is None)
        opened = sum(len(lines) for lines in self.lines['session opened'].values())
        self.expect(surely <= stopped['open'] <= opened,
                    f'{stopped["open"]} open, of {opened}; {surely} know that they were')

    def check_status(self, stopped):
        """The exit status agrees with the counts."""
        bad = stopped['forced'] + stopped['http_cut']
        tolerate = self.round.tolerate
        allowed = (int(tolerate[:-1]) * stopped['open'] // 100 if tolerate.endswith('%')
                   else int(tolerate))
        status = 1 if bad > allowed else 0
        complete = (stopped['drain'], stopped['mg_stop']) == ('complete', 'returned')
        if self.round.hurried and not (complete and stopped['status'] == status):
            status = 143  # the second signal came before the end, which may have been near
        self.expect(self.round.returned == stopped['status'] == status,
                    f'exit status {self.round.returned}, logged {stopped["status"]}, not {status}')
        self.expect(stopped['mg_stop'] == 'returned' or self.round.hurried,
                    'mg_stop did not return')
        if self.round.kind.name in ('polite', 'certain', 'mixed'):
            self.expect(bad == 0, f'{bad} forced or cut, but nobody was silent')
        if self.round.kind.name == 'late':
            slow = sum(1 for guest in self.guests.values()
                       if guest.way.__name__ == 'reads_slowly' and guest.status == 200)
            self.expect(stopped['http_cut'] == slow, f'{stopped["http_cut"]} cut of {slow}')

    def check_refused(self, stopped):
        """Refusals since the signal: those that were read, and no more than may have been."""
        guests = self.guests.values()
        away = sum(1 for guest in guests if guest.sent_away())
        unknown = sum(1 for guest in guests if not guest.answered()
                      and guest.end != 'refused')
        others = sum(1 for guest in guests if guest.status not in (None, 101, 200, 503))
        self.expect(away <= stopped['refused'] <= away + unknown + others,
                    f'{stopped["refused"]} refused: {away} know, {unknown} cannot, {others} may')

    def check_finished(self, stopped):
        """HTTP answers since the signal."""
        signal_at, heard_at = self.round.signal_at, self.round.heard_at
        answered = [guest for guest in self.guests.values()
                    if guest.answered() and not guest.opened() and not guest.sent_away()]
        surely = sum(1 for guest in answered if guest.asked_at and guest.asked_at > heard_at
                     and guest.status == 200 and not guest.asked_always())
        left = sum(1 for guest in self.guests.values() if guest.asked_at and not guest.answered())
        # the daemon counts an answer when its thread has sent it, and the guest may be quicker
        counted_late = signal_at - scaled(1)
        most = sum(1 for guest in answered if guest.end_at > counted_late) + left
        self.expect(surely <= stopped['http_finished'] <= most,
                    f'{stopped["http_finished"]} finished: between {surely} and {most}')

    def check_last_figures(self):
        """Those who watch are told last, when all others have gone: these are the final counts."""
        watchers = [guest for guest in self.round.guests[:WATCHERS] if guest.opened()]
        self.expect(len(watchers) == WATCHERS, f'{len(watchers)} watched')
        for guest in watchers:
            figures = json.loads(guest.last_message)
            for route in figures['routes']:
                if route['websocket'] and route['route'] != '/status':
                    self.check_route(route)
            drain = figures['drain']
            self.expect(drain and drain['total'] == drain['drained'],
                        f'the last figures of the drain are {drain}')

    def check_route(self, route):
        lines = [line for line in self.closed_lines() if line['route'] == route['route']]
        ended = collections.Counter(line['outcome'] for line in lines)
        opened = [line for found in self.lines['session opened'].values() for line in found
                  if line['route'] == route['route']]
        told = {name: route[name] for name in
                ('open', 'queued_bytes', 'opened', 'received', 'sent', 'received_bytes',
                 'sent_bytes')}
        logged = {'open': 0, 'queued_bytes': 0, 'opened': len(opened),
                  'received': sum(line['received'] for line in lines),
                  'sent': sum(line['sent'] for line in lines),
                  'received_bytes': sum(line['bytes_received'] for line in lines),
                  'sent_bytes': sum(line['bytes_sent'] for line in lines)}
        told.update(route['closed'])
        logged.update({name: ended[name] for name in OUTCOMES})
        self.expect(told == logged, f'the last figures of {route["route"]} are {told}, '
                                    f'and by the log {logged}')
        vanished = sum(1 for guest in self.guests.values()
                       if guest.path == route['route'] and not guest.answered())
        self.expect(route['refused'].get('gone', 0) <= vanished,
                    f'{route["refused"]} refused, but only {vanished} went')


def check(played):
    """Everything of one round that does not fit."""
    accounts = Accounts(played)
    events = played.daemon.events
    if played.returned == 99 or played.returned < 0:
        return [f'exit status {played.returned}: a sanitizer, or a signal']
    if not events or events[-1]['message'] != 'stopped':
        return [f'the last line is not `stopped`, exit status {played.returned}']
    if any('log lines lost' in event['message'] for event in events):
        return ['lines of the log were lost: nothing can be said']
    stopped = events[-1]
    accounts.check_last_line(stopped, played.report)
    accounts.check_status(stopped)
    accounts.check_open(stopped)
    accounts.check_refused(stopped)
    accounts.check_finished(stopped)
    if not played.hurried:
        for guest in played.guests:
            accounts.check_guest(guest)
            accounts.check_received(guest)
        if not played.lasting:
            accounts.check_last_figures()
    return accounts.problems
