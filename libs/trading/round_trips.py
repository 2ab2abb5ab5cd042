"""From fills to round trips: what each trade earned from flat to flat, net of everything it cost. Exact money, pure.

A round trip begins with the fill that leaves flat and ends with the one that returns to it, however many come between. A fill that goes through
zero ends one and begins the next: its quantity and its commission are divided (the second gets the rest, so nothing is lost). What is smaller than
the instrument's quantity step cannot be closed by any order and counts as flat; it stays in the position at what it cost, and whoever sells it
later has its result. Hence, in every instrument and without a tolerance,

    sum of `pnl` of all round trips, closed and open == realized_pnl - commission of the position

A position that is still open has neither won nor lost: it is told apart and in no statistic of trades. The order of fills is the order they are given
in (a log's); timestamps only say when. A fill whose `exec_id` the instrument has seen before is booked once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import Literal

import msgspec

from libs.common.messages import Side
from libs.common.money import ZERO
from libs.trading.positions import COST_STEP, EXACT, FLAT, QUOTIENT, Position, avg_entry_px, fill, is_dust


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: `qty` in base currency at `px`, what it cost in quote currency, and what is known of why.

    `commission` is the value of everything paid for it in quote currency (funding, too; negative: a rebate) except `base_commission`, which was
    kept from the base currency. `stop_px` and `target_px` are the exits its intent planned (None: not known). `reason` is why it was made.
    """

    instrument: str
    side: Side
    qty: Decimal
    px: Decimal
    ts: int
    commission: Decimal = ZERO
    base_commission: Decimal = ZERO
    exec_id: str = ""
    intent_id: str = ""
    agents: tuple[str, ...] = ()
    regime: str = ""
    reason: str = ""
    stop_px: Decimal | None = None
    target_px: Decimal | None = None


class RoundTrip(msgspec.Struct, frozen=True, kw_only=True):
    """A trade from flat to flat (`is_open`: not yet, and all figures are so far). Money is in quote currency.

    `pnl` is net of `commission`. `qty` is the most that was held; `entry_notional` and `exit_notional` what was traded. `risk` is what the planned
    stop would have cost and `reward` what the planned target would have brought, before costs (None: an entry planned none). `agents`
    and `intent_ids` are those of all its fills that entered, `regime` that of the first, `reason` that of the last fill.
    """

    instrument: str
    direction: Literal["LONG", "SHORT"]
    entry_ts: int
    exit_ts: int
    qty: Decimal
    avg_entry_px: Decimal
    entry_notional: Decimal
    exit_notional: Decimal
    commission: Decimal
    pnl: Decimal
    risk: Decimal | None
    reward: Decimal | None
    fills: int
    agents: tuple[str, ...]
    intent_ids: tuple[str, ...]
    regime: str
    reason: str
    is_open: bool

    @property
    def gross_pnl(self) -> Decimal:
        """What it earned before costs."""
        return _sum(self.pnl, self.commission)

    @property
    def notional(self) -> Decimal:
        """What was traded in it, entries and exits."""
        return _sum(self.entry_notional, self.exit_notional)

    @property
    def holding_ns(self) -> int:
        """How long it was held."""
        return max(0, self.exit_ts - self.entry_ts)


class RoundTrips(msgspec.Struct, frozen=True):
    """Closed round trips in the order they ended, and those still open, by instrument."""

    closed: tuple[RoundTrip, ...]
    open: tuple[RoundTrip, ...]


def round_trips(fills: Iterable[Fill], qty_steps: Mapping[str, Decimal] | None = None) -> RoundTrips:
    """The round trips of these fills. An instrument without a quantity step is flat only at exactly zero.

    Raises:
        ValueError: a fill is not bookable (see `positions.fill`).
    """
    steps, books, seen, closed = qty_steps or {}, dict[str, _Book](), set[tuple[str, str]](), list[RoundTrip]()
    for each in fills:
        if each.exec_id:
            if (each.instrument, each.exec_id) in seen:
                continue
            seen.add((each.instrument, each.exec_id))
        book = books.setdefault(each.instrument, _Book(steps.get(each.instrument)))
        closed += book.take(each)
    closed.sort(key=lambda trip: trip.exit_ts)
    still = [trip for _, book in sorted(books.items()) if (trip := book.open_trip()) is not None]
    return RoundTrips(tuple(closed), tuple(still))


class _Book:
    """One instrument: its position, and the round trip that is under way."""

    def __init__(self, step: Decimal | None):
        self._step = step
        self._position = FLAT
        self._before = FLAT
        self._fills: list[tuple[Fill, bool]] = []
        self._peak = FLAT

    def take(self, each: Fill) -> list[RoundTrip]:
        """Book a fill; the trips it ended."""
        held = self._position.signed_qty
        is_against = bool(self._fills) and not held.is_zero() and held.is_signed() != (each.side == "SELL")
        if is_against and each.qty > held.copy_abs() and not self._is_flat(self._after(each)):
            first, second = _divided(each, held.copy_abs())
            return [*self._book(first, is_entry=False), *self._book(second, is_entry=True)]
        return self._book(each, is_entry=not is_against)

    def open_trip(self) -> RoundTrip | None:
        """The trip under way, so far."""
        return self._trip(is_open=True) if self._fills else None

    def _book(self, each: Fill, *, is_entry: bool) -> list[RoundTrip]:
        if not self._fills:
            self._before, self._peak = self._position, FLAT
        self._position = self._after(each)
        self._fills.append((each, is_entry))
        if self._position.signed_qty.copy_abs() > self._peak.signed_qty.copy_abs():
            self._peak = self._position
        if not self._is_flat(self._position):
            return []
        trip = self._trip(is_open=False)
        self._fills = []
        return [trip]

    def _after(self, each: Fill) -> Position:
        return fill(
            self._position,
            side=each.side,
            qty=each.qty,
            px=each.px,
            base_commission=each.base_commission,
            quote_commission=each.commission,
        )

    def _is_flat(self, position: Position) -> bool:
        return position.signed_qty.is_zero() or (self._step is not None and is_dust(position, self._step))

    def _trip(self, *, is_open: bool) -> RoundTrip:
        first, last = self._fills[0][0], self._fills[-1][0]
        entries = [each for each, is_entry in self._fills if is_entry]
        exits = [each for each, is_entry in self._fills if not is_entry]
        commission = _difference(self._position.commission, self._before.commission)
        realized = _difference(self._position.realized_pnl, self._before.realized_pnl)
        return RoundTrip(
            instrument=first.instrument,
            direction="LONG" if first.side == "BUY" else "SHORT",
            entry_ts=first.ts,
            exit_ts=last.ts,
            qty=self._peak.signed_qty.copy_abs(),
            avg_entry_px=avg_entry_px(self._peak),
            entry_notional=_sum(*(_product(each.qty, each.px) for each in entries)),
            exit_notional=_sum(*(_product(each.qty, each.px) for each in exits)),
            commission=commission,
            pnl=_difference(realized, commission),
            risk=_planned([(each, each.stop_px) for each in entries]),
            reward=_planned([(each, each.target_px) for each in entries]),
            fills=len(self._fills),
            agents=tuple(sorted({agent for each in entries for agent in each.agents})),
            intent_ids=tuple(dict.fromkeys(each.intent_id for each in entries if each.intent_id)),
            regime=first.regime,
            reason=last.reason,
            is_open=is_open,
        )


def _divided(each: Fill, qty: Decimal) -> tuple[Fill, Fill]:
    """The fill as one of `qty` and one of the rest, with their shares of what it cost."""
    with localcontext(QUOTIENT):
        share = qty / each.qty
        commission = (each.commission * share).quantize(COST_STEP)
        base = (each.base_commission * share).quantize(COST_STEP)
    replace = msgspec.structs.replace
    # what was kept in base of the part that closes is valued in quote: otherwise it would not be flat after it
    closing = replace(each, qty=qty, commission=_sum(commission, _product(base, each.px)), base_commission=ZERO)
    rest = replace(
        each,
        qty=_difference(each.qty, qty),
        commission=_difference(each.commission, _sum(commission, _product(base, each.px))),
        base_commission=each.base_commission,
    )
    return closing, rest


def _planned(entries: list[tuple[Fill, Decimal | None]]) -> Decimal | None:
    """What lies between the entries and their planned exits, in quote currency; None if one planned none."""
    if not entries:
        return None
    found = ZERO
    for each, px in entries:
        if px is None:
            return None
        found = _sum(found, _product(_difference(each.px, px).copy_abs(), each.qty))
    return found


def _sum(*values: Decimal) -> Decimal:
    with localcontext(EXACT):
        return sum(values, ZERO)


def _difference(one: Decimal, other: Decimal) -> Decimal:
    with localcontext(EXACT):
        return one - other


def _product(one: Decimal, other: Decimal) -> Decimal:
    with localcontext(EXACT):
        return one * other
