"""What a venue model must remember for a fill model that is not free: who waits for what, and how much traded lately.

An order *defers* while its latency runs, and is *carried* when the market had more for it than our share allows. Both are NEW
or PARTIALLY_FILLED like any other, but not in the book: nothing fills or triggers them until their turn.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.money import ZERO

WINDOW_S = 60
SECOND = 1_000_000_000


class FlowSecond(msgspec.Struct, kw_only=True, array_like=True):
    """One second of trading, in base currency: the market's, and our own fills against it."""

    second: int
    traded: Decimal = ZERO
    ours: Decimal = ZERO


class Flow(msgspec.Struct, kw_only=True):
    """The last minute of one instrument, by whole seconds: the current one and the 59 before it."""

    seconds: list[FlowSecond] = []

    def count(self, now: int, *, traded: Decimal = ZERO, ours: Decimal = ZERO) -> None:
        """Add to the second of `now` (ns), and forget what is older than the window."""
        second = now // SECOND
        if not self.seconds or self.seconds[-1].second < second:
            self.seconds = [each for each in self.seconds if each.second > second - WINDOW_S]
            self.seconds.append(FlowSecond(second=second))
        self.seconds[-1].traded += traded
        self.seconds[-1].ours += ours

    def totals(self, now: int) -> tuple[Decimal, Decimal]:
        """What traded in the window that ends at `now` (ns), and how much of our own did."""
        since = now // SECOND - WINDOW_S
        recent = [each for each in self.seconds if each.second > since]
        return sum((each.traded for each in recent), ZERO), sum((each.ours for each in recent), ZERO)


class Waiting(msgspec.Struct, kw_only=True):
    """By venue order id: when a deferred order becomes active (ns), and which orders are carried, oldest first."""

    deferred: dict[str, int] = {}
    carried: list[str] = []
    flows: dict[str, Flow] = {}

    def __contains__(self, venue_order_id: str) -> bool:
        return venue_order_id in self.deferred or venue_order_id in self.carried

    def forget(self, venue_order_id: str) -> None:
        """The order waits for nothing any more."""
        self.deferred.pop(venue_order_id, None)
        if venue_order_id in self.carried:
            self.carried.remove(venue_order_id)

    def carry(self, venue_order_id: str) -> None:
        """The order waits for the market to trade more."""
        if venue_order_id not in self.carried:
            self.carried.append(venue_order_id)

    def due(self, now: int) -> list[tuple[int, str]]:
        """Deferred orders that are active by `now` (ns), first come first: when, and which."""
        found = [(at, order_id) for order_id, at in self.deferred.items() if at <= now]
        return sorted(found, key=lambda each: each[0])

    def flow(self, instrument: str) -> Flow:
        """The flow of `instrument`, begun empty."""
        return self.flows.setdefault(instrument, Flow())
