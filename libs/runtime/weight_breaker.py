"""Whether a venue may be called at all, after it has said 429 (too much) or 418 (banned). A pure machine: `now` is an argument.

    CLOSED ──429, 418──▶ OPEN until Retry-After ──▶ HALF: one data request at a time, orders at will ──any good answer──▶ CLOSED

What the venue told this very process is believed (an order waits a minute for a 429 and no longer). What another process says it was told is believed for
`HOLD_NS` at most, once in `HOLD_AGAIN_NS`: then one request of ours asks the venue itself, and its answer is what counts. So a process
that lies, or is broken, can delay an order by two seconds, and cannot do it again for a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Literal

import msgspec

from libs.runtime.venue_terms import SECOND_NS

Lane = Literal["data", "orders"]
Instant = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]

LIMITED, BANNED = 429, 418
FORBIDDEN = 403
"""A firewall's answer says nothing about the budget."""
PAUSE_S = {LIMITED: 10, BANNED: 120}
"""How long, when the venue does not say."""
PAUSE_S_MAX = {LIMITED: 600, BANNED: 3 * 24 * 3600}
HOLD_NS: dict[Lane, int] = {"orders": 2 * SECOND_NS, "data": 30 * SECOND_NS}
ORDERS_LIMITED_NS_MAX = 60 * SECOND_NS
HOLD_AGAIN_NS = 60 * SECOND_NS
PROBE_NS: dict[Lane, int] = {"orders": 2 * SECOND_NS, "data": 10 * SECOND_NS}
"""A probe without an answer is given up after so long."""


class Breaker(msgspec.Struct, frozen=True):
    """A venue's refusal: when it was heard, and when it ends."""

    status: Literal[418, 429]
    since: Instant
    until: Instant


class Stance(Enum):
    """What a request has to do."""

    CLOSED = "go"
    HALF = "go one at a time"
    OPEN = "wait"


class Gate:
    """The breaker of one venue, as one process sees it."""

    def __init__(self) -> None:
        self.own: Breaker | None = None
        self._foreign: Breaker | None = None
        self._held_from = -HOLD_AGAIN_NS
        self._good_at = -1
        self._probed_at: dict[Lane, int] = {}

    def told(self, now: int, status: int, retry_after_s: float | None) -> bool:
        """The venue has answered us; whether that has opened or closed the breaker."""
        before = self.own
        if status in PAUSE_S:
            pause_s = PAUSE_S[status] if retry_after_s is None else retry_after_s
            until = now + int(min(max(pause_s, 0), PAUSE_S_MAX[status]) * SECOND_NS)
            if until > now:  # a probe that was refused has its answer: the venue's own pause paces the next one
                self._probed_at.clear()
            if before is not None and before.until > until:  # a ban outlasts a later, smaller refusal
                return False
            self.own = Breaker(status, now, until)  # type: ignore[arg-type]
        elif 0 < status < 500 and status != FORBIDDEN:
            self._good_at = now
            self._probed_at.clear()
            if before is not None and now >= before.until:
                self.own = None
        return self.own is not before

    def heard(self, now: int, breakers: Mapping[str, Breaker]) -> None:
        """What other processes say the venue told them."""
        lasting = [each for each in breakers.values() if each.since > self._good_at and _end(each) > now]
        self._foreign = max(lasting, key=_end, default=None)
        if self._foreign is not None and now - self._held_from >= HOLD_AGAIN_NS + HOLD_NS["data"]:
            self._held_from = now

    def adopt(self, breaker: Breaker | None) -> None:
        """What the venue told our predecessor, it told us."""
        if self.own is None:
            self.own = breaker

    def opens_at(self, now: int, lane: Lane) -> int:
        """When requests of this lane may leave again; 0: they may."""
        own_until = self._own_until(lane)
        if now < own_until:
            return own_until
        foreign = self._believed(now)
        held_until = min(self._held_from + HOLD_NS[lane], _end(foreign)) if foreign else 0
        return held_until if now < held_until else 0

    def stance(self, now: int, lane: Lane) -> Stance:
        """What a request of this lane has to do."""
        if self.opens_at(now, lane):
            return Stance.OPEN
        if self._believed(now) is not None or (self.own is not None and (lane == "data" or now < self.own.until)):
            return Stance.HALF
        return Stance.CLOSED

    def admits(self, now: int, lane: Lane) -> bool:
        """Whether a request may leave now; where only one may, this is the one."""
        stance = self.stance(now, lane)
        if stance is Stance.HALF:
            if now - self._probed_at.get(lane, -PROBE_NS[lane]) < PROBE_NS[lane]:
                return False
            self._probed_at[lane] = now
        return stance is not Stance.OPEN

    def _own_until(self, lane: Lane) -> int:
        """An order waits for the venue's minute to turn, and no longer: a ban is obeyed to its end, anything else is asked about."""
        if self.own is None:
            return 0
        if lane == "orders" and self.own.status == LIMITED:
            return min(self.own.until, self.own.since + ORDERS_LIMITED_NS_MAX)
        return self.own.until

    def _believed(self, now: int) -> Breaker | None:
        """The refusal somebody else has heard, unless it is over, or the venue has served us since."""
        foreign = self._foreign
        if foreign is None or foreign.since <= self._good_at or now >= _end(foreign):
            return None
        return foreign


def _end(breaker: Breaker) -> int:
    return min(breaker.until, breaker.since + PAUSE_S_MAX[breaker.status] * SECOND_NS)
