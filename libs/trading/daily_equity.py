"""What a book was worth at each 00:00 UTC, and what it earned from one to the next, whatever was paid in or out between. Pure.

Observations come when they come. The value at a midnight is the last one known at or before it. A day without any observation carries the value before
it: its return is zero, it is counted as `carried`, and what happened in the gap is in the first day that was seen again.

Deposits and withdrawals are neither profit nor loss (time-weighted return): a day is divided where money moved, and the growth of its parts is
multiplied. Before a flow the book is worth what was last observed, after it that much more; what the market did between the last observation and the flow
falls to the part behind it. An observation with the timestamp of a flow is taken as made after it. A part that begins with nothing in the book has no
return: days on which that is so are counted as `unfunded`, and their return is that of their funded parts (zero without any).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

DAY_NS = 86_400_000_000_000


class Observed(msgspec.Struct, frozen=True):
    """Equity in quote currency at `ts` (ns UTC)."""

    ts: int
    equity: Decimal


class Flow(msgspec.Struct, frozen=True):
    """Money paid in (> 0) or out (< 0) at `ts` (ns UTC)."""

    ts: int
    amount: Decimal


class Day(msgspec.Struct, frozen=True):
    """The day that ended at the midnight `ts` (ns UTC): its last equity, what was paid in less out, its return without that."""

    ts: int
    equity: Decimal
    flow: Decimal
    growth: float
    is_carried: bool
    is_unfunded: bool


class DailyEquity(msgspec.Struct, frozen=True):
    """The series from the first midnight at or after the first observation on, and the day that is not over.

    `start_ts` and `start_equity` are that first midnight; `live_*` what is known since the last one.
    """

    start_ts: int
    start_equity: Decimal
    days: tuple[Day, ...]
    live_ts: int
    live_equity: Decimal
    live_return: float

    @property
    def returns(self) -> list[float]:
        """One simple return per day, carried days included (as zero)."""
        return [day.growth - 1.0 for day in self.days]

    @property
    def equities(self) -> list[Decimal]:
        """What the book was worth at each midnight, the first included."""
        return [self.start_equity, *(day.equity for day in self.days)]

    @property
    def carried(self) -> int:
        """Days nobody saw."""
        return sum(day.is_carried for day in self.days)

    @property
    def unfunded(self) -> int:
        """Days on which there was nothing in the book at some time."""
        return sum(day.is_unfunded for day in self.days)


def daily_equity(observed: Sequence[Observed], flows: Iterable[Flow] = (), now: int | None = None) -> DailyEquity:
    """The daily series up to the last midnight at or before `now` (ns UTC; the last observation if None).

    Flows at or before the first observation are in it already.

    Raises:
        ValueError: nothing was observed, something was observed out of order, or was not finite or negative.
    """
    if not observed:
        raise ValueError("no equity was observed")
    _check(observed)
    end = observed[-1].ts if now is None else now
    start = -(-observed[0].ts // DAY_NS) * DAY_NS
    moved = [each for each in flows if observed[0].ts < each.ts <= end]
    # a flow comes before what was observed at its instant, and both belong to the day that this instant ends
    events = sorted(
        [*moved, *(each for each in observed if each.ts <= end)], key=lambda each: (each.ts, isinstance(each, Observed))
    )
    course = _Course(observed[0].equity)
    days: list[Day] = []
    midnight, first = start, None
    for each in events:
        while each.ts > midnight:
            day = course.close(midnight)
            if first is None:
                first = day.equity
            else:
                days.append(day)
            midnight += DAY_NS
        course.take(each)
    while midnight <= end:
        day = course.close(midnight)
        if first is None:
            first = day.equity
        else:
            days.append(day)
        midnight += DAY_NS
    live = course.close(end)
    return DailyEquity(
        start, first if first is not None else live.equity, tuple(days), end, live.equity, live.growth - 1
    )


class _Course:
    """The day under way: what it began with, what is known of it, how its parts have grown."""

    def __init__(self, equity: Decimal):
        self._base = self._last = equity
        self._begin()

    def _begin(self) -> None:
        self._base, self._growth, self._flow = self._last, 1.0, Decimal(0)
        self._was_seen, self._was_empty = False, self._last <= 0

    def take(self, each: Observed | Flow) -> None:
        if isinstance(each, Observed):
            self._last, self._was_seen = each.equity, True
            return
        self._grow()
        self._flow += each.amount
        self._last += each.amount
        self._base = self._last
        self._was_empty |= self._base <= 0

    def close(self, midnight: int) -> Day:
        self._grow()
        day = Day(midnight, self._last, self._flow, self._growth, not self._was_seen, self._was_empty)
        self._begin()
        return day

    def _grow(self) -> None:
        if self._base > 0:
            self._growth *= float(self._last / self._base)


def _check(observed: Sequence[Observed]) -> None:
    last = observed[0].ts
    for each in observed:
        if each.ts < last:
            raise ValueError(f"equity observed at {each.ts} comes after one of {last}")
        if not each.equity.is_finite() or each.equity < 0:
            raise ValueError(f"equity at {each.ts} is {each.equity}; it must be finite and not negative")
        last = each.ts
