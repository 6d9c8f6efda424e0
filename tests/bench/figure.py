"""What one measurement of tests/bench/run is, and what its rows can be held to."""

import collections

# What a row is held to: a bound for the figure itself, or for its ratio to the peer's.
Target = collections.namedtuple("Target", "text met")
# One line of the table. A figure that is a list is shown as the medians of its places.
Row = collections.namedtuple("Row", "label key unit target")

# One measurement.
#   load      arguments of the load client, {folder} is a folder with `files`, by name and content;
#             or a script beside this one, which starts the server and prints what it measured
#   proof     further arguments, where the configuration is that of the figure
#   settings  what lastcall is measured with, and in `config` a whole file; {folder} as above
#   status    its exit status
#   reported  whether its report on the shutdown is read too (as report_p50_ms, report_p99_ms,
#             report_max_ms: from the signal to a Close)
#   peer      GO, CIVETWEB, NODE, SOCAT, PLAIN: lastcall itself with the file `plain`, or None
#   abuse     the kind of abusive peer (see abuse_kinds.c) beside which the load is run a second
#             time; of the first, without it, the numbers are alone_...
#   turns     into how many short runs a timed round is cut; for a small difference, many
Figure = collections.namedtuple(
    "Figure",
    "name load rows settings status reported peer config plain files turns proof abuse",
    defaults=[(), 0, False, "go", None, None, {}, 1, (), None],
)
GO, CIVETWEB, NODE, SOCAT, PLAIN = "go", "civetweb", "node", "socat", "plain"
TARGET = 21021  # the port that a bridge leads to; none that the system gives away by itself


def at_most(bound, unit):
    return Target(f"≤ {bound} {unit}", lambda ours, ratio: ours <= bound)


def at_most_times(bound):
    return Target(f"≤ {bound} ×", lambda ours, ratio: None if ratio is None else ratio <= bound)


def at_least_times(bound):
    return Target(f"≥ {bound} ×", lambda ours, ratio: None if ratio is None else ratio >= bound)
