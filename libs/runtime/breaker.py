"""A circuit breaker: whether something that keeps failing should be tried at all. Pure: `now` is an argument, all memory is one Struct.

    CLOSED ──too many failures, or too slow──▶ OPEN ──`retry_at` is reached──▶ HALF_OPEN ──`probes_to_close` good answers──▶ CLOSED
                                                ▲                                 │
                                                └──a bad, slow or missing answer──┘   each time twice as long, up to `open_ns_max`

`Breaker` is the state: it lives in a machine's state or beside an adapter, and survives a snapshot. `BreakerLimits` are settings and are
passed in, so that changed settings are obeyed by an old state.

    change = breaker.due(limits, now)                   time has passed: OPEN may have become HALF_OPEN, a probe may be lost
    if breaker.allows(limits, now): ...                 in HALF_OPEN this takes the one probe
    change = breaker.note(limits, now, ok=..., latency_ns=...)

What need not ask (exits, cancels) may still be noted: what it shows of the other side counts, as evidence does.

**Contract for whoever asks.** A breaker never raises for what the world or the clock does. Where the asking itself goes wrong (a defect), what
would open or enlarge a position must not leave: let the exception end the process, or take it for "not allowed"; never ask as
`except Exception: allowed = True`. Exits do not ask, so no defect here can hold one back.

**Time.** A clock that stands still changes nothing by itself. One that jumps back begins the pause or the wait for the probe's answer anew, from
its new time: a wrong future is never waited for.
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["CLOSED", "OPEN", "HALF_OPEN"]

SECOND_NS = 1_000_000_000
BUCKETS = 10
"""Into so many parts the window is cut: it slides by a tenth of itself, and is never longer than this list."""
DOUBLINGS_MAX = 62


class BreakerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When to open, for how long, and what closes again. *Reaching* a limit opens; times are ns, shares are 0..1 of the calls in `window_ns`.

    Shares count once there are `calls_min` calls; a share above 1 is never reached and switches its test off. A call is slow if it took longer
    than `latency_ns_max`, whether it succeeded or not. An unanswered probe counts as failed after `probe_ns_max`.

    Raises:
        ValueError: a limit under which the breaker could not work.
    """

    window_ns: int = 60 * SECOND_NS
    calls_min: int = 10
    failure_share_max: float = 0.5
    latency_ns_max: int = 10 * SECOND_NS
    slow_share_max: float = 0.8
    failures_in_a_row_max: int = 5
    open_ns_first: int = 5 * SECOND_NS
    open_ns_max: int = 300 * SECOND_NS
    probes_to_close: int = 1
    probe_ns_max: int = 30 * SECOND_NS

    def __post_init__(self) -> None:
        whole = (
            self.calls_min,
            self.failures_in_a_row_max,
            self.probes_to_close,
            self.open_ns_first,
            self.probe_ns_max,
        )
        if min(whole) < 1 or self.window_ns < BUCKETS or self.latency_ns_max < 0:
            raise ValueError("a breaker's counts and times must be positive")
        if self.open_ns_max < self.open_ns_first:
            raise ValueError("open_ns_max must not be below open_ns_first")
        if not (self.failure_share_max > 0 and self.slow_share_max > 0):
            raise ValueError("a breaker's shares must be above 0")


class BreakerChange(msgspec.Struct, frozen=True):
    """A breaker moved; `reason` in plain words, with the numbers. `retry_at` (ns) is set while OPEN; 0 then: only an operator closes it.

    OPEN to OPEN is a probe that went wrong before anybody had heard of HALF_OPEN: a new pause.
    """

    old: State
    new: State
    reason: str
    retry_at: int


class Bucket(msgspec.Struct):
    """What happened in one part of the window; `slot` is its number since the epoch."""

    slot: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


class Breaker(msgspec.Struct, kw_only=True):
    """The state of one breaker. `since` is when it got into `state` (ns), `pauses` how often it has opened without closing in between.

    `probe_since` is when the probe left, None if none is under way. `is_latched`: OPEN until an operator closes it.
    """

    state: State = "CLOSED"
    since: int = 0
    retry_at: int = 0
    is_latched: bool = False
    pauses: int = 0
    failures_in_a_row: int = 0
    buckets: list[Bucket] = []
    probe_since: int | None = None
    probes_good: int = 0

    # --- asking ---------------------------------------------------------------------------------------------------

    def allows(self, limits: BreakerLimits, now: int) -> bool:
        """Whether an attempt may leave now; where only one may, this is the one, and its answer must be noted (or given back).

        Lets time do its work first; whoever wants to hear of that change calls `due` before.
        """
        self.due(limits, now)
        if self.state == "HALF_OPEN" and self.probe_since is None:
            self.probe_since = now
            return True
        return self.state == "CLOSED"

    def due(self, limits: BreakerLimits, now: int) -> BreakerChange | None:
        """What time alone has changed: OPEN becomes HALF_OPEN at `retry_at`, a probe is lost after `probe_ns_max`."""
        self._set_back_to(now)
        if self.state == "HALF_OPEN":
            return self.probe_lost(limits, now)
        if self.state == "OPEN" and not self.is_latched and now >= self.retry_at:
            waited = _seconds(now - self.since)
            return self._move(now, "HALF_OPEN", f"after {waited} s the next attempt is the probe")
        return None

    def due_at(self, limits: BreakerLimits) -> int | None:
        """When `due` will have something to do (ns), for a timer; None while nothing is waited for."""
        if self.state == "OPEN" and not self.is_latched:
            return self.retry_at
        if self.state == "HALF_OPEN" and self.probe_since is not None:
            return self.probe_since + limits.probe_ns_max
        return None

    # --- hearing --------------------------------------------------------------------------------------------------

    def note(self, limits: BreakerLimits, now: int, *, ok: bool, latency_ns: int) -> BreakerChange | None:
        """An attempt has been answered, or has failed, after `latency_ns`. What is heard while OPEN is late, and counts for nothing."""
        before = self.state
        self.due(limits, now)
        is_slow = latency_ns > limits.latency_ns_max
        if self.state == "HALF_OPEN":
            change = self._probed(limits, now, ok=ok, latency_ns=latency_ns)
        elif self.state == "CLOSED":
            self._count(limits, now, ok=ok, is_slow=is_slow)
            reason = self._too_much(limits)
            change = self._open(limits, now, reason) if reason else None
        else:
            change = None
        return msgspec.structs.replace(change, old=before) if change is not None else None

    def probe_lost(self, limits: BreakerLimits, now: int) -> BreakerChange | None:
        """A probe without an answer for `probe_ns_max` counts as failed; before that, or without one, nothing happens."""
        self._set_back_to(now)
        if self.state != "HALF_OPEN" or self.probe_since is None or now - self.probe_since < limits.probe_ns_max:
            return None
        return self._open(limits, now, f"the probe was not answered within {_seconds(limits.probe_ns_max)} s")

    def give_back(self) -> None:
        """The attempt that was allowed never left (it expired, or was not made): it proves nothing, and another may be the probe."""
        self.probe_since = None

    # --- by decision ----------------------------------------------------------------------------------------------

    def trip(self, limits: BreakerLimits, now: int, reason: str, *, latched: bool = False) -> BreakerChange:
        """Open now, whatever was counted; `latched`: until `reset`. A latched one stays latched."""
        latched = latched or self.is_latched
        change = self._open(limits, now, reason)
        if not latched:
            return change
        self.is_latched, self.retry_at = True, 0
        return msgspec.structs.replace(change, retry_at=0)

    def reset(self, now: int, reason: str) -> BreakerChange | None:
        """Close now and forget what was counted: somebody who knows better says so. None if it is CLOSED."""
        return None if self.state == "CLOSED" else self._move(now, "CLOSED", reason)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _probed(self, limits: BreakerLimits, now: int, *, ok: bool, latency_ns: int) -> BreakerChange | None:
        self.probe_since = None
        if not ok:
            return self._open(limits, now, "the probe failed")
        if latency_ns > limits.latency_ns_max:
            took, limit = _seconds(latency_ns), _seconds(limits.latency_ns_max)
            return self._open(limits, now, f"the probe took {took} s (limit {limit} s)")
        self.probes_good += 1
        if self.probes_good < limits.probes_to_close:
            return None
        return self._move(now, "CLOSED", f"{self.probes_good} good answers of {limits.probes_to_close} wanted")

    def _count(self, limits: BreakerLimits, now: int, *, ok: bool, is_slow: bool) -> None:
        slot = now // (limits.window_ns // BUCKETS)
        # Behind the window, or (the clock was set back) ahead of us: neither is the recent past.
        self.buckets = [each for each in self.buckets if slot - BUCKETS < each.slot <= slot]
        if not self.buckets or self.buckets[-1].slot != slot:
            self.buckets.append(Bucket(slot))
        bucket = self.buckets[-1]
        bucket.calls += 1
        bucket.failures += not ok
        bucket.slow += is_slow
        self.failures_in_a_row = 0 if ok else self.failures_in_a_row + 1

    def _too_much(self, limits: BreakerLimits) -> str:
        """Why it must open, in words; empty if it need not."""
        if self.failures_in_a_row >= limits.failures_in_a_row_max:
            return f"{self.failures_in_a_row} failures in a row (limit {limits.failures_in_a_row_max})"
        calls = sum(each.calls for each in self.buckets)
        if calls < limits.calls_min:
            return ""
        within = f"of {calls} calls within {_seconds(limits.window_ns)} s"
        failures = sum(each.failures for each in self.buckets)
        if failures >= limits.failure_share_max * calls:
            return f"{failures} {within} failed (limit {limits.failure_share_max:.0%})"
        slow = sum(each.slow for each in self.buckets)
        if slow >= limits.slow_share_max * calls:
            took = _seconds(limits.latency_ns_max)
            return f"{slow} {within} took longer than {took} s (limit {limits.slow_share_max:.0%})"
        return ""

    def _open(self, limits: BreakerLimits, now: int, reason: str) -> BreakerChange:
        pause = min(limits.open_ns_first << min(self.pauses, DOUBLINGS_MAX), limits.open_ns_max)
        self.pauses += 1
        self.retry_at = now + pause
        return self._move(now, "OPEN", reason)

    def _move(self, now: int, new: State, reason: str) -> BreakerChange:
        old, self.state, self.since = self.state, new, now
        self.probe_since, self.probes_good, self.failures_in_a_row, self.buckets = None, 0, 0, []
        if new != "OPEN":
            self.retry_at, self.is_latched = 0, False
        if new == "CLOSED":
            self.pauses = 0
        return BreakerChange(old, new, reason, self.retry_at)

    def _set_back_to(self, now: int) -> None:
        """A clock that was set back must not make us wait for a time that was never right."""
        if now < self.since:
            if self.state == "OPEN" and not self.is_latched:
                self.retry_at = now + (self.retry_at - self.since)
            self.since = now
        if self.probe_since is not None:
            self.probe_since = min(self.probe_since, now)


def _seconds(ns: int) -> str:
    return f"{ns / SECOND_NS:.3f}".rstrip("0").rstrip(".")
