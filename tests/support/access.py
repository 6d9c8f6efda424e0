"""The daemon's access log, read as other programs read it: text by the expression that tools have
for nginx's combined format, JSON by a JSON library. Knows daemons by lastcall.Daemon.
"""
import json
import re

from lastcall import scaled

TEXT = r'(?:[^"\\]|\\x[0-9A-F]{2})*'
COMBINED = re.compile(
    r'(?P<address>\S+) - (?P<user>\S+) '
    r'\[(?P<time>\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\] '
    rf'"(?P<request>{TEXT})" (?P<status>\d{{3}}) (?P<bytes_sent>\d+) '
    rf'"(?P<referer>{TEXT})" "(?P<user_agent>{TEXT})"(?P<more>(?: [a-z_]+=\S+)*)')
NUMBERS = ('status', 'bytes_sent', 'code', 'received', 'sent', 'received_bytes', 'duration_ms')


def from_text(line):
    """A line as JSON has it; None if it is none of the access log."""
    match = COMBINED.fullmatch(line)
    if not match:
        return None
    entry = match.groupdict()
    entry.update(pair.split('=', 1) for pair in entry.pop('more').split())
    words = entry.pop('request').split(' ')
    entry['method'] = words[0]
    entry['path'] = words[1] if len(words) > 1 else '-'
    entry['http_version'] = words[2].removeprefix('HTTP/') if len(words) > 2 else '-'
    entry['duration_ms'] = int(entry.pop('rt').replace('.', ''))
    entry = {key: '' if value == '-' else value for key, value in entry.items()}
    return {key: int(value) if key in NUMBERS else value for key, value in entry.items()}


def from_json(line):
    entry = json.loads(line) if line.startswith('{') else {}
    return entry if entry.get('message') == 'access' else None


def entries(daemon):
    """All lines of the access log so far, as dictionaries of the names that JSON has."""
    with daemon.changed:
        found = [from_json(line) or from_text(line) for line in daemon.lines]
    return [entry for entry in found if entry]


def wait_entry(daemon, count=1, timeout=10, **values):
    """Waits for `count` such lines and returns the last of them."""
    def found():
        return [entry for entry in entries(daemon)
                if all(entry.get(key) == value for key, value in values.items())]
    with daemon.changed:
        daemon.changed.wait_for(lambda: len(found()) >= count or daemon.ended, scaled(timeout))
        if len(found()) < count:
            raise AssertionError(f'no line {values} (x{count}) in the access log')
        return found()[count - 1]
