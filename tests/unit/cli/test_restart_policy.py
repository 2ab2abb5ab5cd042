"""When a process that ended is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.cli.restart_policy import Restart, RestartLimits, RestartPolicy

LIMITS = RestartLimits(
    delay_s_first=1.0, delay_s_max=10.0, steady_s=30.0, loop_crashes=6, loop_window_s=60.0, loop_pause_s=300.0
)


def test_each_crash_waits_twice_as_long_up_to_a_bound() -> None:
    """A process that cannot start is tried ever less often."""
    policy = RestartPolicy(LIMITS)
    delays = [policy.ended(at, at + 1).delay_s for at in (0.0, 100.0, 200.0, 300.0, 400.0, 500.0)]
    assert delays == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_process_that_ran_steadily_begins_anew() -> None:
    """Yesterday's crashes are not held against it."""
    policy = RestartPolicy(LIMITS)
    policy.ended(0.0, 1.0)
    policy.ended(2.0, 3.0)
    assert policy.ended(10.0, 40.0) == Restart(1.0)


def test_too_many_crashes_within_the_window_are_a_loop() -> None:
    """One long pause, then the count begins again."""
    policy = RestartPolicy(LIMITS)
    ends = [policy.ended(float(at), at + 0.5) for at in range(7)]
    assert [end.is_loop for end in ends] == [False] * 5 + [True, False]
    assert ends[5].delay_s == 300.0
    assert ends[6].delay_s == 1.0


def test_crashes_spread_over_time_are_no_loop() -> None:
    """Six crashes in an hour are bad luck, not a loop."""
    policy = RestartPolicy(LIMITS)
    assert not any(policy.ended(at * 600.0, at * 600.0 + 40).is_loop for at in range(20))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=60))
def test_it_never_spins(runs: list[tuple[float, float]]) -> None:
    """Whatever happens, there is a pause, and no window holds more starts than a loop's worth."""
    policy, now, starts = RestartPolicy(LIMITS), 0.0, []
    for waited, ran in runs:
        now += waited
        starts.append(now)
        restart = policy.ended(now, now + ran)
        assert LIMITS.delay_s_first <= restart.delay_s <= LIMITS.loop_pause_s
        now += ran + restart.delay_s
    for first in starts:
        assert sum(first <= start < first + LIMITS.loop_window_s for start in starts) <= 2 * LIMITS.loop_crashes
    assert policy.restarts == len(runs)
