"""Which protection is missing now, as far as can be known while the log is away: the machine's last state and what the venue said since.

It only ever sells what is held and not yet on its way out, and it stays silent where anything on the selling side is unknown:

    nothing was read of the account yet, no rules of the venue        nothing
    a stranger's order was heard of in the instrument                 nothing: we are not alone there
    a sell is without an answer, or its cancel is                     nothing: it may sell what we would sell
    an entry's stop price is unknown                                  nothing
    what is held exceeds what stops and exits cover                   a stop of exactly the gap
    ... and the venue has just refused such a stop on its merits      the gap at market

Pure: the same state, reports and earlier steps give the same next steps, with ids that follow from the entry's intent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from libs.common.ids import cl_ord_id_of
from libs.common.messages import OrderRole, OrdStatus, OrdType, VenueReported
from libs.common.money import ZERO, floor_to_step, plain, round_px
from services.order_executor.orders import CLOSED, OPEN, Order, base_of, exec_key
from services.order_executor.refusals import kind_of
from services.order_executor.state import State

FIRST_ATTEMPT = 900
"""Attempts of improvised orders begin here, far above those the machine counts."""


class Improvised(msgspec.Struct, frozen=True, kw_only=True):
    """One order from the local journal. `outcome` is "" until the venue has answered; `attempt` is counted within its owner."""

    cl_ord_id: str
    instrument: str
    owner: str
    role: OrderRole
    ord_type: OrdType
    order_qty: Decimal
    stop_px: Decimal | None
    attempt: int
    outcome: Literal["", "CONFIRMED", "REJECTED", "UNKNOWN"] = ""
    code: str = ""


class _Seen(msgspec.Struct):
    """An order of ours as it stands after everything heard."""

    role: OrderRole
    side: str
    order_qty: Decimal
    cum_qty: Decimal
    status: OrdStatus
    is_unsettled: bool
    order: Order | None = None
    venue_cum_qty: Decimal = ZERO

    @property
    def is_doubtful(self) -> bool:
        return self.is_unsettled or self.venue_cum_qty > self.cum_qty

    @property
    def leaves_qty(self) -> Decimal:
        return ZERO if self.status in CLOSED else max(self.order_qty - self.cum_qty, ZERO)


class _View:
    """One instrument after everything heard. `unsent` are pending orders that provably have not left us."""

    def __init__(self, state: State, instrument: str, steps: Sequence[Improvised], unsent: Collection[str]):
        self._instrument = instrument
        self._state = state
        holding = state.holdings.get(instrument)
        self.qty = holding.qty if holding else ZERO
        self.owner = holding.owner if holding else ""
        self.stop_px = holding.stop_px if holding else None
        self.wants_flat = holding.flatten if holding else False
        self.is_strange = False
        self.seen: dict[str, _Seen] = {}
        self._booked: set[str] = set()
        live = state.live_orders(instrument)
        never_left = [each for each in live if each.status == "PENDING_NEW" and each.cl_ord_id in unsent]
        # What an order that never left was to replace stands as before, with the other one of its pair.
        kept = {each.replaces for each in never_left if each.replaces}
        for order in live:
            if order not in never_left:
                seen = self.seen[order.cl_ord_id] = _as_seen(order)
                seen.is_unsettled &= order.cl_ord_id not in kept and order.pair not in kept
        for step in steps:
            if step.instrument == instrument and step.cl_ord_id not in state.orders and step.outcome != "REJECTED":
                is_sure = step.outcome == "CONFIRMED"
                status: OrdStatus = "NEW" if is_sure else "UNKNOWN"
                self.seen[step.cl_ord_id] = _Seen(step.role, "SELL", step.order_qty, ZERO, status, not is_sure)

    def hear(self, report: VenueReported) -> None:
        """Take one report in; telling it again changes nothing."""
        named = report.order or report.fill
        if named is None:
            return
        known = self._state.find(named.cl_ord_id, named.venue_order_id)
        cl_ord_id = known.cl_ord_id if known else named.cl_ord_id
        seen = self.seen.get(cl_ord_id)
        if seen is None and known is not None:
            seen = self.seen[cl_ord_id] = _as_seen(known)
        if seen is None:
            self.is_strange = True
            return
        self._book(seen, report)
        shown = report.order
        if shown is None:
            return
        seen.venue_cum_qty = max(seen.venue_cum_qty, shown.cum_qty)
        is_news = shown.ord_status in CLOSED or seen.status in ("PENDING_NEW", "UNKNOWN")
        if is_news and seen.status not in CLOSED:
            seen.status, seen.is_unsettled = shown.ord_status, False

    def _book(self, seen: _Seen, report: VenueReported) -> None:
        fill = report.fill
        if fill is None or exec_key(fill) in self._state.booked or exec_key(fill) in self._booked:
            return
        self._booked.add(exec_key(fill))
        seen.cum_qty += fill.qty
        self.qty += fill.qty if fill.side == "BUY" else -fill.qty
        if fill.commission_asset == base_of(self._instrument):
            self.qty -= fill.commission
        entry = seen.order
        if entry is not None and entry.role == "ENTRY":
            self.owner = entry.cl_ord_id
            if entry.protect_px is not None:
                self.stop_px = max(self.stop_px or ZERO, entry.protect_px)

    @property
    def is_doubtful(self) -> bool:
        """Whether something may sell that we do not see, or we are not alone here."""
        return self.is_strange or any(each.is_doubtful for each in self.seen.values() if each.side == "SELL")

    @property
    def covered(self) -> Decimal:
        """What stops at rest and exits on their way will sell."""
        sells = [each for each in self.seen.values() if each.side == "SELL"]
        covering = [each for each in sells if each.role == "EXIT" or (each.role == "STOP" and each.status in OPEN)]
        return sum((each.leaves_qty for each in covering), ZERO)


def missing(
    state: State,
    heard: Sequence[VenueReported],
    steps: Sequence[Improvised],
    *,
    unsent: Collection[str] = (),
    used: Iterable[tuple[str, int]] = (),
) -> list[Improvised]:
    """The orders to send now, at most one an instrument; each is to be in the journal before it leaves.

    `used` are further attempts (owner, count) whose steps are no longer at hand: an id is never used twice.
    """
    if not state.opened:
        return []
    attempts = {**dict(used)}
    for step in steps:
        attempts[step.owner] = max(attempts.get(step.owner, 0), step.attempt + 1)
    names = dict.fromkeys([*state.holdings, *(each.instrument for each in heard)])
    found = [_missing_in(state, name, heard, steps, unsent, attempts) for name in names]
    return [each for each in found if each is not None]


def _missing_in(
    state: State,
    instrument: str,
    heard: Sequence[VenueReported],
    steps: Sequence[Improvised],
    unsent: Collection[str],
    attempts: dict[str, int],
) -> Improvised | None:
    view = _View(state, instrument, steps, unsent)
    for report in heard:
        if report.instrument == instrument:
            view.hear(report)
    spec, owner = state.specs.get(instrument), state.orders.get(view.owner)
    if spec is None or owner is None or view.stop_px is None or view.is_doubtful or view.qty <= ZERO:
        return None
    gap = floor_to_step(view.qty, spec.qty_step) - view.covered
    stop_px = plain(round_px(view.stop_px, spec.px_tick, up=False))
    if gap <= ZERO or gap < spec.qty_min or gap * stop_px < spec.notional_min:
        return None
    attempt = attempts.get(owner.cl_ord_id, 0)
    at_market = view.wants_flat or _was_refused(steps, instrument)
    role: OrderRole = "EXIT" if at_market else "STOP"
    return Improvised(
        cl_ord_id=cl_ord_id_of(owner.intent_id, role, FIRST_ATTEMPT + attempt),
        instrument=instrument,
        owner=owner.cl_ord_id,
        role=role,
        ord_type="MARKET" if at_market else "STOP_LOSS",
        order_qty=plain(gap),
        stop_px=None if at_market else stop_px,
        attempt=attempt,
    )


def _was_refused(steps: Sequence[Improvised], instrument: str) -> bool:
    """Whether the last thing tried here was a stop that the venue refused for what it is."""
    tried = [each for each in steps if each.instrument == instrument]
    if not tried or tried[-1].role != "STOP":
        return False
    return tried[-1].outcome == "REJECTED" and kind_of(tried[-1].code, "") == "ORDER"


def _as_seen(order: Order) -> _Seen:
    unsettled = not order.is_closed and order.is_unsettled
    return _Seen(
        order.role, order.side, order.order_qty, order.cum_qty, order.status, unsettled, order, order.venue_cum_qty
    )
