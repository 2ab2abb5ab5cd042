"""When a process that lives is taken for one that hangs."""

from __future__ import annotations

from services.cli.health_watch import SILENT_S_MAX, Pulse


def test_a_service_that_fell_silent_hangs_after_a_while() -> None:
    """Not before; and an answer in between makes it start anew."""
    pulse = Pulse()
    assert not pulse.hangs(7, True, 0)
    assert not pulse.hangs(7, False, 10)
    assert not pulse.hangs(7, False, 10 + SILENT_S_MAX - 1)
    assert not pulse.hangs(7, True, 10 + SILENT_S_MAX)
    assert not pulse.hangs(7, False, 50)
    assert pulse.hangs(7, False, 50 + SILENT_S_MAX)


def test_a_service_that_never_answered_is_left_alone() -> None:
    """It may be reading a long log; and so may the process that followed one which had answered."""
    pulse = Pulse()
    assert not any(pulse.hangs(7, False, now) for now in range(0, 500, 2))
    assert not pulse.hangs(7, True, 500)
    assert not any(pulse.hangs(8, False, now) for now in range(502, 900, 2))


def test_a_supervisor_that_slept_accuses_nobody() -> None:
    """Silence begins with a question that was not answered, not with the last answer."""
    pulse = Pulse()
    assert not pulse.hangs(7, True, 0)
    assert not pulse.hangs(7, False, 5000)
