"""The circuit breaker: when it opens, how it comes back, and that no clock can lock it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from libs.runtime.breaker import BUCKETS, SECOND_NS, Breaker, BreakerLimits
from libs.runtime.breaker_metrics import BreakerMetrics

LIMITS = BreakerLimits(
    window_ns=10 * SECOND_NS,
    calls_min=4,
    failure_share_max=0.5,
    latency_ns_max=SECOND_NS,
    slow_share_max=0.75,
    failures_in_a_row_max=3,
    open_ns_first=5 * SECOND_NS,
    open_ns_max=40 * SECOND_NS,
    probes_to_close=2,
    probe_ns_max=7 * SECOND_NS,
)
T0 = 1_700_000_000 * SECOND_NS
FAST = SECOND_NS // 100


def _open(now: int = T0) -> Breaker:
    breaker = Breaker()
    for _ in range(LIMITS.failures_in_a_row_max):
        breaker.note(LIMITS, now, ok=False, latency_ns=FAST)
    assert breaker.state == "OPEN"
    return breaker


def _half_open() -> Breaker:
    breaker = _open()
    breaker.due(LIMITS, breaker.retry_at)
    assert breaker.state == "HALF_OPEN"
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_how_many() -> None:
    """The third failure in a row opens it, with the number and the limit in the reason."""
    breaker = Breaker()
    changes = [breaker.note(LIMITS, T0 + each, ok=False, latency_ns=FAST) for each in range(3)]
    assert changes[:2] == [None, None]
    assert changes[2] is not None
    assert (changes[2].old, changes[2].new, changes[2].retry_at) == ("CLOSED", "OPEN", T0 + 2 + 5 * SECOND_NS)
    assert changes[2].reason == "3 failures in a row (limit 3)"


def test_a_success_ends_the_row_but_the_share_still_counts() -> None:
    """Every second call fails: never three in a row, but half of them."""
    breaker = Breaker()
    changes = [breaker.note(LIMITS, T0, ok=each % 2 == 0, latency_ns=FAST) for each in range(4)]
    assert changes[:3] == [None, None, None]
    assert changes[3] is not None
    assert changes[3].reason == "2 of 4 calls within 10 s failed (limit 50%)"


def test_slow_answers_open_it_although_they_are_good() -> None:
    """A venue that answers everything after two seconds is as good as down."""
    breaker = Breaker()
    changes = [breaker.note(LIMITS, T0, ok=True, latency_ns=2 * SECOND_NS) for _ in range(4)]
    assert changes[3] is not None
    assert changes[3].reason == "4 of 4 calls within 10 s took longer than 1 s (limit 75%)"


def test_failures_older_than_the_window_are_forgotten() -> None:
    """Two failures, and two more when the window has passed, with good ones between: never half of what is recent."""
    breaker = Breaker()
    for second in range(0, 60, 6):
        assert breaker.note(LIMITS, T0 + second * SECOND_NS, ok=False, latency_ns=FAST) is None
        for _ in range(3):
            assert breaker.note(LIMITS, T0 + second * SECOND_NS, ok=True, latency_ns=FAST) is None
    assert breaker.state == "CLOSED"


def test_each_failed_probe_doubles_the_pause_up_to_the_longest() -> None:
    """5, 10, 20, 40, 40 seconds."""
    breaker = _open()
    pauses = [breaker.retry_at - breaker.since]
    for _ in range(4):
        now = breaker.retry_at
        assert breaker.allows(LIMITS, now)
        breaker.note(LIMITS, now, ok=False, latency_ns=FAST)
        pauses.append(breaker.retry_at - breaker.since)
    assert [each // SECOND_NS for each in pauses] == [5, 10, 20, 40, 40]


def test_half_open_lets_exactly_one_probe_leave_at_a_time() -> None:
    """The second has to wait for the first one's answer."""
    breaker = _half_open()
    now = breaker.since
    assert [breaker.allows(LIMITS, now) for _ in range(3)] == [True, False, False]
    assert breaker.note(LIMITS, now, ok=True, latency_ns=FAST) is None
    assert [breaker.allows(LIMITS, now) for _ in range(2)] == [True, False]
    change = breaker.note(LIMITS, now, ok=True, latency_ns=FAST)
    assert change is not None
    assert (change.old, change.new) == ("HALF_OPEN", "CLOSED")


def test_a_slow_probe_is_no_proof_of_health() -> None:
    """Answered, but after two seconds where one is the limit."""
    breaker = _half_open()
    assert breaker.allows(LIMITS, breaker.since)
    change = breaker.note(LIMITS, breaker.since, ok=True, latency_ns=2 * SECOND_NS)
    assert change is not None
    assert change.reason == "the probe took 2 s (limit 1 s)"


def test_an_unanswered_probe_counts_as_failed_after_a_while() -> None:
    """Else a request that is never answered would hold the breaker half-open for ever."""
    breaker = _half_open()
    now = breaker.since
    assert breaker.allows(LIMITS, now)
    assert breaker.due_at(LIMITS) == now + 7 * SECOND_NS
    assert breaker.probe_lost(LIMITS, now + 7 * SECOND_NS - 1) is None
    change = breaker.probe_lost(LIMITS, now + 7 * SECOND_NS)
    assert change is not None
    assert change.new == "OPEN"
    assert change.reason == "the probe was not answered within 7 s"


def test_a_probe_that_never_left_is_given_back() -> None:
    """It expired before it was sent: nothing was proven, the next one may go."""
    breaker = _half_open()
    assert breaker.allows(LIMITS, breaker.since)
    breaker.give_back()
    assert breaker.allows(LIMITS, breaker.since)


def test_what_is_heard_while_open_changes_nothing() -> None:
    """Answers of attempts that left before it opened neither close it nor lengthen the pause."""
    breaker = _open()
    before = msgspec.json.encode(breaker)
    assert breaker.note(LIMITS, T0 + 1, ok=True, latency_ns=FAST) is None
    assert breaker.note(LIMITS, T0 + 2, ok=False, latency_ns=FAST) is None
    assert msgspec.json.encode(breaker) == before


def test_an_exit_that_never_asked_is_evidence_too() -> None:
    """After the pause its success counts as a probe's; the change says where the breaker came from."""
    once = msgspec.structs.replace(LIMITS, probes_to_close=1)
    breaker = _open()
    change = breaker.note(once, breaker.retry_at, ok=True, latency_ns=FAST)
    assert change is not None
    assert (change.old, change.new) == ("OPEN", "CLOSED")


def test_only_a_person_closes_a_latched_one() -> None:
    """Lost too much today: no time and no success reopens the shop."""
    breaker = Breaker()
    change = breaker.trip(LIMITS, T0, "lost 5 % today (limit 5 %)", latched=True)
    assert (change.new, change.retry_at) == ("OPEN", 0)
    assert not breaker.allows(LIMITS, T0 + 10**18)
    assert breaker.note(LIMITS, T0 + 10**18, ok=True, latency_ns=0) is None
    assert breaker.trip(LIMITS, T0 + 10**18, "and again").retry_at == 0
    closed = breaker.reset(T0 + 10**18, "RESUME by alice")
    assert closed is not None
    assert (closed.old, closed.new) == ("OPEN", "CLOSED")
    assert breaker.allows(LIMITS, T0 + 10**18)


def test_a_clock_that_was_an_hour_ahead_is_not_waited_for() -> None:
    """It opened in a wrong future; from the right time on the pause is as long as it was meant to be."""
    breaker = _open(T0 + 3_600 * SECOND_NS)
    assert not breaker.allows(LIMITS, T0)
    assert not breaker.allows(LIMITS, T0 + 5 * SECOND_NS - 1)
    assert breaker.allows(LIMITS, T0 + 5 * SECOND_NS)


@pytest.mark.parametrize(
    "bad",
    [
        {"calls_min": 0},
        {"window_ns": 5},
        {"open_ns_max": 1},
        {"failure_share_max": 0.0},
        {"slow_share_max": float("nan")},
    ],
)
def test_limits_under_which_it_could_not_work_are_refused(bad: dict[str, float]) -> None:
    """A pause of nothing or a share of nothing is a mistake in the settings."""
    with pytest.raises(ValueError, match="must"):
        BreakerLimits(**bad)  # type: ignore[arg-type]


def test_the_metric_shows_the_state_and_counts_openings() -> None:
    """2 while OPEN, 1 while HALF_OPEN, 0 while CLOSED; an opening told twice is one."""
    registry = CollectorRegistry()
    metrics = BreakerMetrics("ledger", registry)
    labels = {"service": "ledger", "name": "database"}
    seen = []
    for state in ("CLOSED", "OPEN", "OPEN", "HALF_OPEN", "OPEN"):
        metrics.stands("database", state)  # type: ignore[arg-type]
        seen.append(registry.get_sample_value("bulkhead_breaker_state", labels))
    assert seen == [0, 2, 2, 1, 2]
    assert registry.get_sample_value("bulkhead_breaker_openings_total", labels) == 2


# --- for any history ------------------------------------------------------------------------------------------------

Step = tuple[str, int, bool, int]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["note", "allows", "due", "probe_lost", "give_back"]),
        st.integers(-30 * SECOND_NS, 30 * SECOND_NS) | st.just(0),
        st.booleans(),
        st.integers(0, 3 * SECOND_NS),
    ),
    max_size=80,
)


def _walk(breaker: Breaker, steps: list[Step]) -> tuple[list[object], int]:
    """What a history of calls answers, and the time at its end; after every step the invariants hold."""
    now, answers = T0, []
    for what, elapsed, ok, latency_ns in steps:
        now += elapsed
        answer: object = None
        if what == "note":
            answer = breaker.note(LIMITS, now, ok=ok, latency_ns=latency_ns)
        elif what == "give_back":
            breaker.give_back()
        else:
            answer = getattr(breaker, what)(LIMITS, now)
            assert not (what == "allows" and breaker.state == "OPEN" and answer), "while OPEN nothing may leave"
        answers.append(answer)
        assert len(breaker.buckets) <= BUCKETS
        if breaker.state == "OPEN":
            assert breaker.retry_at - now <= LIMITS.open_ns_max + 30 * SECOND_NS * len(steps)
    return answers, now


@given(_STEPS)
def test_the_same_history_gives_the_same_answers_also_through_a_snapshot(steps: list[Step]) -> None:
    """Deterministic, and everything it needs is in what is stored."""
    whole = Breaker()
    answers, _ = _walk(whole, steps)
    stored = Breaker()
    again: list[object] = []
    now = T0
    for step in steps:
        stored = msgspec.json.decode(msgspec.json.encode(stored), type=Breaker)
        part, _ = _walk_from(stored, [step], now)
        now += step[1]
        again += part
    assert again == answers
    assert stored == whole


def _walk_from(breaker: Breaker, steps: list[Step], now: int) -> tuple[list[object], int]:
    (what, elapsed, ok, latency_ns), *_ = steps
    return _walk(breaker, [(what, elapsed + now - T0, ok, latency_ns)])


@given(_STEPS, st.integers(-(10**18), 10**18))
def test_from_any_state_and_any_time_good_answers_close_it(steps: list[Step], jump: int) -> None:
    """Never OPEN for ever: wherever the clock is now, after the longest pause (and a lost probe) it is tried, and successes close it."""
    breaker = Breaker()
    _, now = _walk(breaker, steps)
    now += jump
    tried = 0
    for _ in range(4 + LIMITS.probes_to_close):
        if breaker.allows(LIMITS, now):
            tried += 1
            breaker.note(LIMITS, now, ok=True, latency_ns=FAST)
        else:
            now += LIMITS.open_ns_max
    assert tried >= 1
    assert breaker.state == "CLOSED"


@given(st.lists(st.tuples(st.integers(0, 5 * SECOND_NS), st.integers(0, SECOND_NS)), max_size=200))
def test_good_and_fast_answers_never_open_it(calls: list[tuple[int, int]]) -> None:
    """Whatever the rhythm."""
    breaker, now = Breaker(), T0
    for elapsed, latency_ns in calls:
        now += elapsed
        assert breaker.note(LIMITS, now, ok=True, latency_ns=latency_ns) is None
    assert breaker.state == "CLOSED"


@given(_STEPS)
def test_while_half_open_at_most_one_probe_is_under_way(steps: list[Step]) -> None:
    """Asked twice at one instant, at most one gets through unless it is CLOSED."""
    breaker = Breaker()
    _, now = _walk(breaker, steps)
    allowed = [breaker.allows(LIMITS, now) for _ in range(3)]
    assert breaker.state == "CLOSED" or sum(allowed) <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_a_clock_that_stands_still_keeps_it_small_and_working(answers: list[bool]) -> None:
    """One bucket, and it opens and stays open without any time passing; the first later instant that is due tries again."""
    breaker = Breaker()
    for ok in answers:
        breaker.note(LIMITS, T0, ok=ok, latency_ns=FAST)
        assert len(breaker.buckets) <= 1
    assert breaker.allows(LIMITS, T0 + 5 * SECOND_NS)
