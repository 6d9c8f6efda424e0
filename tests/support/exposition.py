"""Prometheus' text format 0.0.4, read strictly: whatever is not as it should be is an error."""
import re

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+(?:\.\d+)?)')
SUFFIXES = {'gauge': ('',), 'counter': ('',), 'histogram': ('_bucket', '_sum', '_count')}


class FormatError(AssertionError):
    """No Prometheus would take it, or it would not mean what it says."""


def unescaped(value):
    return re.sub(r'\\(.)', lambda match: '\n' if match[1] == 'n' else match[1], value)


class Scrape:
    """One scrape: `types` by metric, `samples` by name and labels."""

    def __init__(self, body):
        self.types, self.samples = {}, {}
        self.helped = self.typed = None  # whose HELP, and whose TYPE, came last
        lines = body.decode('utf-8').split('\n')
        if lines.pop() != '':
            raise FormatError('the last line is not ended')
        for line in lines:
            try:
                self._read(line)
            except FormatError as error:
                raise FormatError(f'{error}: {line!r}') from None
        for name in [name for name, kind in self.types.items() if kind == 'histogram']:
            self._check_histogram(name)

    def _read(self, line):
        if line.startswith('# HELP '):
            match = re.fullmatch(rf'# HELP ({NAME}) \S.*', line)
            if not match or match[1] in self.types:
                raise FormatError('no HELP, or a second one')
            self.helped, self.typed = match[1], None
        elif line.startswith('# TYPE '):
            match = re.fullmatch(rf'# TYPE ({NAME}) (gauge|counter|histogram)', line)
            if not match or match[1] != self.helped or match[1] in self.types:
                raise FormatError('a TYPE that does not follow its HELP')
            self.typed = match[1]
            self.types[match[1]] = match[2]
            if match[1].endswith('_total') != (match[2] == 'counter'):
                raise FormatError('counters are named _total, and nothing else is')
        else:
            self._read_sample(line)

    def _read_sample(self, line):
        match = SAMPLE.fullmatch(line)
        if not match or not self.typed:
            raise FormatError('no sample, or one without its TYPE')
        if match[1] not in [self.typed + suffix for suffix in SUFFIXES[self.types[self.typed]]]:
            raise FormatError(f'a sample among those of {self.typed}')
        pairs = [(name, unescaped(value)) for name, value in re.findall(LABEL, match[2] or '')]
        key = match[1], frozenset(pairs)
        if key in self.samples or len(dict(pairs)) != len(pairs):
            raise FormatError('a sample or a label that comes twice')
        number = match.group(match.lastindex)
        self.samples[key] = float(number) if '.' in number else int(number)

    def _check_histogram(self, name):
        series = {}
        for (sample, labels), value in self.samples.items():
            if sample == name + '_bucket':
                bound = dict(labels)['le']
                rest = frozenset(pair for pair in labels if pair[0] != 'le')
                series.setdefault(rest, []).append((float(bound.replace('+Inf', 'inf')), value))
        for labels, buckets in series.items():
            counts = [count for _, count in sorted(buckets)]
            if sorted(buckets)[-1] != (float('inf'), self.samples[name + '_count', labels]) \
                    or counts != sorted(counts) or (name + '_sum', labels) not in self.samples:
                raise FormatError(f'{name} {dict(labels)} does not add up: {buckets}')

    def value(self, name, **labels):
        """The value of one sample; None: it is not shown."""
        return self.samples.get((f'lastcall_{name}', frozenset(labels.items())))

    def shown(self, name):
        """All samples of a name: {(label values in the order of their names): value}."""
        return {tuple(value for _, value in sorted(labels)): value
                for (sample, labels), value in self.samples.items() if sample == f'lastcall_{name}'}
