"""A model that fails is left alone, for longer each time, and what cannot mend itself is not tried on."""

from __future__ import annotations

import pytest

from services.signal_agents.llm.adapters.route import ASKED_MIN, RETRY_AFTER_S_MAX, WINDOW, Route, retry_after_s
from services.signal_agents.llm.failures import LASTING, OURS, Failure, failure_of
from tests.unit.signal_agents.llm.cases import BAR_END

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
NOW = BAR_END


def asked(route: Route, *failures: Failure | None, now: int = NOW) -> list[bool]:
    """Ask as often as allowed; whether each asking was."""
    allowed = []
    for failure in failures:
        allowed.append(route.allows(now))
        if allowed[-1]:
            route.note(failure, now)
    return allowed


def test_half_of_the_last_askings_failed_and_it_opens() -> None:
    """Five are needed to say anything."""
    route = Route()
    assert asked(route, None, "timeout", None, "parse") == [True] * 4
    assert asked(route, "schema", None) == [True, False]
    assert route.breaker.state == "OPEN"


def test_fewer_than_five_askings_say_nothing() -> None:
    """One bad morning is not an outage."""
    route = Route()
    assert asked(route, *["timeout"] * (ASKED_MIN - 1), None) == [True] * ASKED_MIN


def test_only_the_last_twenty_count() -> None:
    """However long it worked before: ten failures in twenty are enough, and old ones are forgotten."""
    route = Route()
    asked(route, *[None] * 500)
    assert asked(route, *["overloaded"] * (WINDOW // 2), None) == [True] * (WINDOW // 2) + [False]
    healthy = Route()
    for _ in range(50):
        assert all(asked(healthy, None, None, "timeout"))


def test_a_pause_doubles_up_to_half_an_hour() -> None:
    """One probe at the end of each, and a good one closes it."""
    route, now, pauses = Route(), NOW, []
    asked(route, *["timeout"] * ASKED_MIN)
    for _ in range(7):
        pauses.append((route.breaker.retry_at - now) // SECOND)
        now = route.breaker.retry_at
        assert not route.allows(now - 1)
        assert route.allows(now)
        assert not route.allows(now)
        route.note("timeout", now)
    assert pauses == [60, 120, 240, 480, 960, 1800, 1800]
    now = route.breaker.retry_at
    assert asked(route, None, None, now=now) == [True, True]
    assert route.breaker.state == "CLOSED"


def test_a_probe_that_did_not_leave_lets_another_be_the_probe() -> None:
    """What was not paid for proves nothing."""
    route = Route()
    asked(route, *["timeout"] * ASKED_MIN)
    assert route.allows(NOW + MINUTE)
    route.give_back()
    assert route.allows(NOW + MINUTE)


@pytest.mark.parametrize("failure", sorted(LASTING))
def test_what_cannot_mend_itself_opens_at_once(failure: Failure) -> None:
    """A refused key is refused the second time, too; several that were out together are one."""
    route = Route()
    assert asked(route, None, failure, None) == [True, True, False]
    pause = route.breaker.retry_at
    assert route.note(failure, NOW) is None
    assert route.breaker.retry_at == pause == NOW + MINUTE


@pytest.mark.parametrize("failure", sorted(OURS))
def test_what_never_left_says_nothing_about_the_model(failure: Failure) -> None:
    """A spent budget is not an outage."""
    route = Route()
    for _ in range(WINDOW):
        route.note(failure, NOW)
    assert route.allows(NOW)
    assert route.last == []


def test_a_server_that_names_a_time_is_left_alone_until_then() -> None:
    """Neither sooner, nor for longer than it said."""
    route = Route()
    route.note("rate_limited", NOW, retry_after_s=7)
    assert not route.allows(NOW + 7 * SECOND - 1)
    assert route.allows(NOW + 7 * SECOND)


def test_a_clock_that_was_set_back_does_not_silence_it_for_ever() -> None:
    """A wrong future is never waited for."""
    route = Route()
    route.note("rate_limited", NOW, retry_after_s=RETRY_AFTER_S_MAX)
    assert not route.allows(NOW)
    assert route.allows(NOW - 86_400 * SECOND)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("Mon, 05 Jan 2026 00:00:30 GMT", 30.0),
        ("Mon, 05 Jan 2026 00:00:30 -0000", 30.0),
        ("Sun, 04 Jan 2026 00:00:00 GMT", 0.0),
        ("999999999", RETRY_AFTER_S_MAX),
        ("", 0.0),
        ("-5", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e999", 0.0),
        ("soon", 0.0),
        ("Mon, 99 Jan 2026 00:00:30 GMT", 0.0),
        ("Mon, 05 Jan 99999 00:00:30 GMT", 0.0),
    ],
)
def test_a_time_is_read_as_it_may_be_meant(header: str, seconds: float) -> None:
    """Seconds or a date, never nonsense, never longer than an hour."""
    assert retry_after_s(header, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (301, b"", "redirect"),
        (400, b'{"error":{"code":"context_length_exceeded"}}', "context_window"),
        (400, b'{"error":{"message":"API key not valid. Please pass a valid API key."}}', "auth"),
        (400, b"\xff\xfe", "bad_request"),
        (401, b"", "auth"),
        (402, b"", "quota"),
        (407, b"", "auth"),
        (408, b"", "overloaded"),
        (422, b"", "bad_request"),
        (429, b"", "rate_limited"),
        (429, b'{"error":{"type":"insufficient_quota"}}', "quota"),
        (504, b"<html>", "overloaded"),
        (599, b"", "overloaded"),
        (204, b"", "protocol"),
        (0, b"", "protocol"),
        (999, b"", "overloaded"),
    ],
)
def test_a_status_says_what_happened(status: int, body: bytes, failure: str) -> None:
    """With the words beside it where one status has several meanings."""
    assert failure_of(status, body) == failure
