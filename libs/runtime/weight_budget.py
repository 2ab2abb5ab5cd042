"""How much of a venue's request weight this process may use. A pure machine: `now` (ns, wall time) is an argument, the world is not here.

Every process has one **row** that stands where all can read it: what it has taken in each slot (a twelfth of the venue's window),
by lane, and what the venue told it. Before it calls, it **leases** a chunk: the row with the chunk in it must be written on the
condition that no row has changed since it was read (compare and set), so the sum of all rows never exceeds the limit.
A lease is good for the slot it was taken in; what it has not spent by the next, it gives back with the next writing of the row.
Whoever crashes leaves a row that says too much, never too little, until its slots leave the window.

    data      all rows' data + max(all rows' orders, reserve) + surplus <= limit
    orders    all rows' orders + all rows' data + surplus               <= limit

`surplus` is what the venue has counted beyond all rows: strangers behind the same address, weights we have wrong.

Orders are held only by what this process knows for itself. Whatever others claim to have taken counts against orders up to
`limit - reserve` and no further, except orders that a writer of orders has booked under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from libs.runtime.venue_terms import SLACK_NS, Terms
from libs.runtime.weight_breaker import HOLD_NS, Breaker, Gate, Instant, Lane

ORDER_WRITERS = ("exec",)
"""Writers (without their shard) whose bookings in the orders lane are believed."""

Weight = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """What was taken in the slot that begins at `at`."""

    at: Instant
    data: Weight
    orders: Weight


class Row(msgspec.Struct, frozen=True):
    """What one process has taken of a venue's budget, and what the venue told it. Only that process writes it."""

    taken: Annotated[tuple[Taken, ...], msgspec.Meta(max_length=64)] = ()
    surplus: Weight = 0
    surplus_at: Instant = 0
    breaker: Breaker | None = None


class Lease(msgspec.Struct, frozen=True):
    """Weight set aside in one slot."""

    at: int
    lane: Lane
    weight: int


def _nothing() -> dict[Lane, int]:
    return {"data": 0, "orders": 0}


class _Slot(msgspec.Struct):
    """Ours: leased is what our row says while the slot lasts, pending the part of it not yet settled, spent is what left."""

    leased: dict[Lane, int] = msgspec.field(default_factory=_nothing)
    pending: dict[Lane, int] = msgspec.field(default_factory=_nothing)
    spent: dict[Lane, int] = msgspec.field(default_factory=_nothing)

    def left(self, lane: Lane) -> int:
        return self.leased[lane] - self.pending[lane] - self.spent[lane]


class _Sums(msgspec.Struct, frozen=True):
    """All that counts now: ours, and what others claim. Others' orders are `booked` where they are believed, else `doubted`."""

    data: int
    orders: int
    claimed: int
    booked: int
    doubted: int
    surplus_own: int
    surplus_claimed: int


class OrderCount:
    """New orders of the account in a short window of their own; the venue's number wins when it is higher."""

    def __init__(self, terms: Terms):
        self._max, self._window_ns = terms.orders_max, (terms.orders_window_s * 1_000_000_000) + SLACK_NS // 4
        self._times: list[int] = []

    def has_room(self, now: int) -> bool:
        """Whether one more may leave."""
        self._times = [each for each in self._times if abs(now - each) < self._window_ns]
        return not self._max or len(self._times) < self._max

    def add(self, now: int, count: int = 1) -> None:
        """So many leave now."""
        self._times += [now] * count

    def told(self, now: int, count: int) -> None:
        """The venue has counted so many."""
        self.has_room(now)
        self.add(now, min(max(count - len(self._times), 0), max(self._max, 1)))


class Budget:
    """One venue's budget, as one process (`writer`) sees it."""

    def __init__(self, terms: Terms, writer: str):
        self.terms = terms
        self.writer = writer
        self.gate = Gate()
        self.order_count = OrderCount(terms)
        self._slots: dict[int, _Slot] = {}
        self._rows: dict[str, Row] = {}
        self._neighbours: dict[str, Row] = {}
        self._surplus, self._surplus_at = 0, 0
        self._overdrawn_at = -HOLD_NS["orders"]

    # --- spending ---------------------------------------------------------------------------------------------------

    def left(self, now: int, lane: Lane) -> int:
        """What this lane can spend without a further lease: orders may use what was leased for data."""
        slot = self._slots.get(self._at(now))
        if slot is None:
            return 0
        lanes: tuple[Lane, ...] = ("orders", "data") if lane == "orders" else ("data",)
        return sum(slot.left(each) for each in lanes)

    def go(self, now: int, lane: Lane, weight: int) -> bool:
        """Spend from what is leased, if the venue may be called; whether the request may leave."""
        if self.left(now, lane) < weight or not self.gate.admits(now, lane):
            return False
        slot = self._slot(now)
        moved = max(weight - slot.left(lane), 0)
        if moved:
            slot.leased["data"] -= moved
            slot.leased[lane] += moved
        slot.spent[lane] += weight
        return True

    def overdraw(self, now: int, weight: int) -> bool:
        """Let one order leave that has no room but for what the venue said a while ago: a question to it; once in two seconds."""
        surplus = self._sums(now).surplus_own
        if now - max(self._overdrawn_at, self._surplus_at) < HOLD_NS["orders"]:
            return False
        if self.free(now, "orders", is_shared=False) + surplus < weight or not self.gate.admits(now, "orders"):
            return False
        self._overdrawn_at = now
        slot = self._slot(now)
        slot.leased["orders"] += weight
        slot.spent["orders"] += weight
        return True

    # --- leasing ----------------------------------------------------------------------------------------------------

    def lease(self, now: int, lane: Lane, weight: int, *, is_shared: bool) -> Lease | None:
        """Set aside what `weight` needs, and a chunk more if there is room; None: there is no room.

        Once `row` stands where all can read it, `settle` it, and only then it can be spent; otherwise `give_back`.
        """
        needed = weight - self.left(now, lane)
        free = self.free(now, lane, is_shared=is_shared)
        if free < needed:
            return None
        chunk = self.terms.chunk if lane == "data" else self.terms.order_chunk
        amount = max(needed, min(chunk, free), 0)
        slot = self._slot(now)
        slot.leased[lane] += amount
        slot.pending[lane] += amount
        return Lease(self._at(now), lane, amount)

    def settle(self, lease: Lease) -> None:
        """A lease that everybody can read: it may be spent."""
        slot = self._slots.get(lease.at)
        if slot is not None:
            slot.pending[lease.lane] -= lease.weight

    def give_back(self, lease: Lease) -> None:
        """A lease that could not be made known."""
        self.settle(lease)
        slot = self._slots.get(lease.at)
        if slot is not None:
            slot.leased[lease.lane] -= lease.weight

    def free(self, now: int, lane: Lane, *, is_shared: bool) -> int:
        """What may still be leased. Not shared: others may have taken all that is theirs, so orders have their reserve."""
        sums, terms = self._sums(now), self.terms
        if lane == "data":
            used = sums.data + sums.claimed
            surplus = max(sums.surplus_own, sums.surplus_claimed)
            room = terms.limit - used - surplus - max(sums.orders + sums.booked + sums.doubted, terms.reserve)
            return room if is_shared else min(room, terms.alone_limit - used)
        known = sums.data + sums.surplus_own
        claimed = sums.claimed + sums.doubted + max(sums.surplus_claimed - sums.surplus_own, 0)
        most = max(terms.data_limit - known, 0)
        believed = min(claimed, most) if is_shared else most
        return terms.limit - sums.orders - sums.booked - known - believed

    def frees_at(self, now: int) -> int:
        """When it is worth asking again, at the latest: a slot begins, or one leaves the window."""
        return self._at(now) + self.terms.slot_ns

    def used(self, now: int) -> int:
        """Everything that counts against the limit now."""
        sums = self._sums(now)
        taken = sums.data + sums.orders + sums.claimed + sums.booked + sums.doubted
        return taken + max(sums.surplus_own, sums.surplus_claimed)

    # --- rows -------------------------------------------------------------------------------------------------------

    def row(self, now: int) -> Row:
        """What must stand where all can read it: leases of this slot, and what was really spent in those before."""
        self._slots = {at: slot for at, slot in self._slots.items() if self._counts(at, now)}
        ours = [Taken(at, amounts["data"], amounts["orders"]) for at, amounts in sorted(self._ours(now).items())]
        taken = [each for each in ours if each.data or each.orders]
        return Row(tuple(taken), self._surplus, self._surplus_at, self.gate.own)

    def adopt(self, row: Row) -> None:
        """Our predecessor's row: all it had leased counts as spent."""
        for taken in row.taken:
            slot = self._slots.setdefault(taken.at, _Slot())
            for amounts in (slot.leased, slot.spent):
                amounts["data"] += taken.data
                amounts["orders"] += taken.orders
        if row.surplus_at > self._surplus_at:
            self._surplus, self._surplus_at = row.surplus, row.surplus_at
        self.gate.adopt(row.breaker)

    def learned(self, now: int, rows: Mapping[str, Row]) -> None:
        """The rows of all processes, each written under its own name."""
        self._rows = {writer: row for writer, row in rows.items() if writer != self.writer}
        self._hear_breakers(now)

    def seen_on_host(self, now: int, rows: Mapping[str, Row]) -> None:
        """The rows of this host's processes, in a file that any of them can write."""
        self._neighbours = {writer: row for writer, row in rows.items() if writer != self.writer}
        self._hear_breakers(now)

    def told(self, now: int, status: int, retry_after_s: float | None, used: int | None) -> bool:
        """The venue has answered us: with this status, and having counted `used`. Whether the breaker has changed."""
        if used is not None:
            self._compare(now, used)
        return self.gate.told(now, status, retry_after_s)

    def _compare(self, now: int, used: int) -> None:
        """The newest number counts; of those heard in one slot, where answers overtake each other, the highest."""
        sums = self._sums(now)
        slot = self._slot(now)
        unspent = sum(slot.leased.values()) - sum(slot.spent.values())
        known = sums.data + sums.orders + sums.claimed + sums.booked + sums.doubted - unspent
        surplus = min(max(used - known, 0), 10**9)
        if surplus >= self._surplus or self._at(self._surplus_at) != self._at(now):
            self._surplus, self._surplus_at = surplus, now

    # --- inside -----------------------------------------------------------------------------------------------------

    def _at(self, now: int) -> int:
        return now - now % self.terms.slot_ns

    def _slot(self, now: int) -> _Slot:
        return self._slots.setdefault(self._at(now), _Slot())

    def _counts(self, at: int, now: int) -> bool:
        """A slot counts until all of it has left the window; one far in the future is a clock gone wrong."""
        window = self.terms.window_ns
        return now - window - SLACK_NS - self.terms.slot_ns < at <= now + window

    def _ours(self, now: int) -> dict[int, dict[Lane, int]]:
        """Ours by slot: what is leased in this one, what was spent in those before."""
        current = self._at(now)
        return {
            at: slot.leased if at >= current else slot.spent
            for at, slot in self._slots.items()
            if self._counts(at, now)
        }

    def _sums(self, now: int) -> _Sums:
        ours = self._ours(now).values()
        claimed = booked = doubted = 0
        for writer in {**self._rows, **self._neighbours}:
            told, seen = (self._amounts(rows.get(writer), now) for rows in (self._rows, self._neighbours))
            believed = writer.partition(".")[0] in ORDER_WRITERS
            for at in {**told, **seen}:
                (data, orders), (data_seen, orders_seen) = told.get(at, (0, 0)), seen.get(at, (0, 0))
                claimed += max(data, data_seen)
                booked += orders if believed else 0
                doubted += max(orders, orders_seen) - (orders if believed else 0)
        surpluses = [self._surplus_of(row, now) for row in (*self._rows.values(), *self._neighbours.values())]
        return _Sums(
            data=sum(each["data"] for each in ours),
            orders=sum(each["orders"] for each in ours),
            claimed=claimed,
            booked=booked,
            doubted=doubted,
            surplus_own=self._surplus if self._counts(self._surplus_at, now) else 0,
            surplus_claimed=max(surpluses, default=0),
        )

    def _amounts(self, row: Row | None, now: int) -> dict[int, tuple[int, int]]:
        taken = row.taken if row is not None else ()
        return {each.at: (each.data, each.orders) for each in taken if self._counts(each.at, now)}

    def _surplus_of(self, row: Row, now: int) -> int:
        return row.surplus if self._counts(row.surplus_at, now) else 0

    def _hear_breakers(self, now: int) -> None:
        found: dict[str, Breaker] = {}
        for rows in (self._rows, self._neighbours):
            for writer, row in rows.items():
                if row.breaker is not None and row.breaker.since <= now + self.terms.window_ns:
                    known = found.get(writer)
                    found[writer] = row.breaker if known is None or known.until < row.breaker.until else known
        self.gate.heard(now, found)
