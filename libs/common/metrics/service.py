"""What every service says about itself: its work in the log, its breakers, and its share of a venue's budget."""

from __future__ import annotations

from libs.common.metrics.declared import EVERY, MACHINES, SERVICE, VENUE, Label, counter, gauge, histogram

_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_WAITS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
_CALLERS = ("market-feed", "order-executor")
_TYPE = Label("type", "the event's subject without its instrument, or `other`")
_LANE = Label("lane", "who waits", ("orders", "data"))
_BREAKER = Label("name", "the breaker: `database`, `model`, or a channel to people")

INPUTS = counter(
    "inputs_total",
    "inputs of the log that were handled",
    SERVICE,
    _TYPE,
    by=MACHINES,
    reading="`rate()` is how busy a service is, and with what",
)
APPENDED = counter(
    "appended_total",
    "messages appended to the log",
    SERVICE,
    _TYPE,
    by=MACHINES,
    reading="`rate()` by `type` is what grows the log",
)
REJECTED = counter(
    "rejected_total",
    "inputs refused as poison",
    SERVICE,
    Label("reason", "why, a slug"),
    by=MACHINES,
    reading="anything above 0 stands in DEAD and was told as EVENT_REJECTED",
)
MARKET_DROPPED = counter(
    "market_dropped_total",
    "market records dropped: the outlet was full or the bus away",
    SERVICE,
    by=EVERY,
    reading="costs a hole in the recording, nothing else",
    question="is the recording whole?",
)
LINES_DROPPED = counter(
    "log_lines_dropped_total",
    "log lines that could not be made safe, and were not written",
    SERVICE,
    by=EVERY,
    reading="above 0 a defect hides its own words",
    question="why does a service's log say nothing about a defect?",
)
HANDLE_SECONDS = histogram(
    "handle_seconds",
    "time to handle one input",
    SERVICE,
    by=MACHINES,
    buckets=_FAST,
    reading="`histogram_quantile(0.99, ...)`; the machine alone, without the log",
)
APPEND_SECONDS = histogram(
    "append_seconds",
    "time from sending an append to its acknowledgement",
    SERVICE,
    by=MACHINES,
    buckets=_FAST,
    reading="`histogram_quantile(0.99, ...)` is the bus and its disk",
)
READY = gauge(
    "ready", "state", "1 while /readyz says ready", SERVICE, by=EVERY, reading="0 for minutes: `/readyz` says why"
)
PENDING_REQUESTS = gauge(
    "pending_requests",
    "",
    "requests to the world without an answer",
    SERVICE,
    by=EVERY,
    reading="stands still above 0: the world does not answer",
)
OUTBOX = gauge(
    "outbox",
    "events",
    "outputs decided but not yet in the log",
    SERVICE,
    by=EVERY,
    reading="above 0 for long: the bus does not take appends",
)
LOG_LAG = gauge(
    "log_lag",
    "events",
    "inputs in the log that were not yet handled",
    SERVICE,
    by=EVERY,
    reading="a consumer's lag; growing means it is slower than the log",
)
PROCESSED_SEQ = gauge(
    "processed_seq",
    "events",
    "the last input handled",
    SERVICE,
    by=EVERY,
    reading="behind others: this one does not get on",
    question="where in the log does a service stand?",
)
LOG_TAIL_SEQ = gauge(
    "log_tail_seq",
    "events",
    "the highest sequence of the log seen by this process",
    SERVICE,
    by=MACHINES,
    reading="`deriv()` is how fast the log grows; it never falls while one log is in use",
)
SNAPSHOT_AGE = gauge(
    "snapshot_age_seconds",
    "seconds",
    "age of the last snapshot this process wrote (of its start before)",
    SERVICE,
    by=EVERY,
    reading="how much would be read again after a restart",
    question="how long will a restart take?",
)
BUILD_INFO = gauge(
    "build_info",
    "info",
    "always 1; the code that runs",
    SERVICE,
    Label("code_version", "the version of the code"),
    by=EVERY,
    reading="more than one version for long: a roll-out stopped half-way",
)
LEADER = gauge(
    "leader",
    "state",
    "1 while this process certainly holds its service's lease",
    SERVICE,
    by=MACHINES,
    reading="exactly one for each service; two executors, or none, is a page",
)

BREAKER_STATE = gauge(
    "breaker_state",
    "state",
    "0 while the breaker is CLOSED, 1 HALF_OPEN, 2 OPEN",
    SERVICE,
    _BREAKER,
    by=("ledger", "notifier", "agent-llm"),
    reading="the higher, the worse; what is behind an open one is not asked",
)
BREAKER_OPENINGS = counter(
    "breaker_openings_total",
    "how often the breaker has opened in the life of this process",
    SERVICE,
    _BREAKER,
    by=("ledger", "notifier", "agent-llm"),
    reading="`increase()` finds what comes and goes between two looks",
    question="does something fail now and then, for too short to be seen?",
)
HEARTBEATS = counter(
    "heartbeats_total",
    "heartbeats to the dead man's switch: sent, failed, or withheld because something is wrong here",
    SERVICE,
    Label("result", "what became of it", ("sent", "failed", "withheld")),
    by=("notifier",),
    reading="absent: no switch is configured",
    question="why did the dead man's switch go off?",
)

WEIGHT_USED = gauge(
    "venue_weight_used",
    "",
    "request weight of all processes behind this address, in the window",
    SERVICE,
    VENUE,
    by=_CALLERS,
    reading="against `bulkhead_venue_weight_limit`",
)
WEIGHT_LIMIT = gauge(
    "venue_weight_limit",
    "",
    "request weight that the venue allows in its window",
    SERVICE,
    VENUE,
    by=_CALLERS,
    reading="the venue's own number",
)
VENUE_BREAKER_OPEN = gauge(
    "venue_breaker_open",
    "state",
    "1 while the venue has told this process to be quiet (429, 418)",
    SERVICE,
    VENUE,
    by=_CALLERS,
    reading="1: no request leaves until the venue's pause is over",
)
BUDGET_SHARED = gauge(
    "venue_budget_shared",
    "state",
    "1 while the budget is shared over the bus, 0 on this host only",
    SERVICE,
    VENUE,
    by=_CALLERS,
    reading="0 for long: each host uses a part of the venue's limit alone",
    question="do all hosts behind one address share one budget?",
)
WEIGHT_WAIT_SECONDS = histogram(
    "venue_weight_wait_seconds",
    "how long a request waited for its share of the budget",
    SERVICE,
    VENUE,
    _LANE,
    by=_CALLERS,
    buckets=_WAITS,
    reading="`histogram_quantile(0.99, ...)` by `lane`; orders must not wait",
)
WEIGHT_REFUSED = counter(
    "venue_weight_refused_total",
    "requests that got no share in time and were not sent",
    SERVICE,
    VENUE,
    _LANE,
    by=_CALLERS,
    reading="in the lane `orders` each is an order that did not leave",
)
