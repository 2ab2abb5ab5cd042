"""What we hear of our orders, from whatever source, booked once and in any order.

Answers, the user stream, look-ups and account readings all end here: `hear` takes what the venue shows of an order and its
executions. Executions are booked by exec_id, once; statuses move by `transitions.TRANSITIONS`; every movement is reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from libs.common.messages import ExecType, InstrumentQuarantined, InstrumentReleased, VenueFill, VenueOrder
from libs.common.money import ZERO
from services.order_executor import inquiries
from services.order_executor.orders import CLOSED, OPEN, Order, base_of, exec_key, quote_of
from services.order_executor.state import Holding, keep_last
from services.order_executor.transitions import Fact, led_to
from services.order_executor.turn import Ended, Turn

SMALLEST, LARGEST = Decimal("1e-18"), Decimal("1e18")
"""No venue trades less or more than this of anything: what lies beyond is nonsense, and arithmetic on it would end the process."""

_SAYS: dict[Fact, ExecType] = {
    Fact.ACCEPTED: "NEW",
    Fact.REFUSED: "REJECTED",
    Fact.LAPSED: "EXPIRED",
    Fact.UNHEARD: "UNKNOWN",
    Fact.CANCEL_ASKED: "PENDING_CANCEL",
    Fact.STILL_WHOLE: "NEW",
    Fact.STILL_PART: "NEW",
    Fact.CANCELED: "CANCELED",
    Fact.EXPIRED: "EXPIRED",
    Fact.SURFACED: "NEW",
}


def hear(turn: Turn, order: Order, seen: VenueOrder | None, fills: Iterable[VenueFill] = ()) -> None:
    """Take in what the venue shows of `order`: its state, its executions, or both."""
    news = [fill for fill in fills if _is_news(turn, order, fill)]
    exists = seen is not None and seen.ord_status != "REJECTED"
    if seen is not None and seen.ord_status in OPEN and seen.ts_event < order.venue_ts:
        seen = None  # older than what we know: the venue's clock must advance for an open order to look different
    if order.was_never_there and (exists or news):
        _surface(turn, order)
    if seen is not None:
        _meet(turn, order, seen)
    for fill in news:
        _book(turn, order, fill)
    if seen is not None:
        order.venue_ts = max(order.venue_ts, seen.ts_event)
        if seen.cum_qty > order.venue_cum_qty:
            order.venue_cum_qty = seen.cum_qty
            turn.state.changed(order)
        if seen.ord_status in ("FILLED", "CANCELED", "EXPIRED") and not order.is_closed:
            order.closing = seen.ord_status  # type: ignore[assignment]
    settle(turn, order)


def settle(turn: Turn, order: Order) -> None:
    """Ask for executions the venue counts and we lack; without such, close what the venue has closed."""
    turn.touched[order.instrument] = None
    if order.lacks_fills:
        inquiries.begin(turn, order, needs_word=False)
        return
    if order.closing and not order.is_closed:
        canceled = order.closing == "CANCELED"
        reason = "filled less than was asked" if order.closing == "FILLED" else ""
        move(turn, order, Fact.CANCELED if canceled else Fact.EXPIRED, reason)
    if order.inquiry is not None and not order.inquiry.needs_word:
        inquiries.end(turn, order)


def move(turn: Turn, order: Order, fact: Fact, reason: str = "", code: str = "") -> bool:
    """Move `order` by the table and report it; False if `fact` changes nothing."""
    old = order.status
    new = led_to(old, fact)
    if new is None:
        text = f"order {order.cl_ord_id} is {old}, and then {fact}: cannot be; nothing was changed"
        turn.alert("IMPOSSIBLE_REPORT", "page", text, order)
        return False
    if new == old:
        return False
    order.status = new
    turn.change(order)
    says: ExecType = _SAYS.get(fact) or ("CANCELED" if new == "CANCELED" else "REJECTED")
    turn.report(order, says, reason)
    _after(turn, order, old, fact, reason, code)
    return True


def unheard(turn: Turn, order: Order, why: str) -> None:
    """Nobody answered the submission of `order`: it may exist. Ask for it, and trade nothing else there until it is known."""
    if not order.is_closed:
        turn.state.holding(
            order.instrument
        ).market_closed = False  # as far as we know now: the deadline for what is naked runs
        move(turn, order, Fact.UNHEARD, why)
        inquiries.begin(turn, order, needs_word=True)


def _after(turn: Turn, order: Order, old: str, fact: Fact, reason: str, code: str) -> None:
    """What every change of status entails."""
    holding = turn.state.holding(order.instrument)
    if order.status == "UNKNOWN":
        if not holding.quarantined_by:
            holding.quarantined_by = order.cl_ord_id
            turn.publish(
                InstrumentQuarantined(
                    instrument=order.instrument,
                    cl_ord_id=order.cl_ord_id,
                    reason=reason[:300],
                    correlation_id=order.correlation_id,
                )
            )
        text = f"{order.role} {order.side} {order.order_qty} {order.instrument} ({order.cl_ord_id}): fate unknown: {reason}"
        turn.alert("ORDER_UNKNOWN", "page", text, order)
    elif old == "UNKNOWN":
        if order.inquiry is not None:
            order.inquiry.needs_word = False
        _release(turn, order)
    if old in ("PENDING_NEW", "UNKNOWN", "REJECTED", "EXPIRED") and (order.status in OPEN or order.cum_qty):
        for each in turn.state.replaced_by(
            order
        ):  # the venue has it, so what it replaces is gone, whatever was heard of that
            inquiries.begin(turn, each, needs_word=True)
    if order.status in CLOSED:
        if order.inquiry is not None:
            order.inquiry.needs_word = False
        if order.cancel_not_before:
            turn.cancel_timer(f"again:{order.cl_ord_id}")
        turn.ended.append(Ended(order, fact, reason, code))


def _release(turn: Turn, order: Order) -> None:
    """Release the instrument once none of its orders is unknown; it is named by the order that quarantined it."""
    holding = turn.state.holding(order.instrument)
    if holding.quarantined_by and not turn.state.is_quarantined(order.instrument):
        turn.publish(
            InstrumentReleased(
                instrument=order.instrument,
                cl_ord_id=holding.quarantined_by,
                reason=f"{order.cl_ord_id} is {order.status}",
                correlation_id=order.correlation_id,
            )
        )
        holding.quarantined_by = ""


def _surface(turn: Turn, order: Order) -> None:
    text = f"order {order.cl_ord_id} was declared {order.status} without ever reaching the venue, and now the venue shows it"
    turn.alert("ORDER_SURFACED", "page", text, order)
    move(turn, order, Fact.SURFACED, "the venue shows it after all")
    inquiries.begin(turn, order, needs_word=True)


def _meet(turn: Turn, order: Order, seen: VenueOrder) -> None:
    """The venue speaks of the order: it is there, or it was refused."""
    order.venue_order_id = order.venue_order_id or seen.venue_order_id
    if seen.ord_status == "REJECTED":
        move(turn, order, Fact.REFUSED, "the venue shows it as rejected")
    elif move(turn, order, Fact.ACCEPTED):
        turn.state.holding(order.instrument).market_closed = False  # what the venue takes, it trades


def _is_news(turn: Turn, order: Order, fill: VenueFill) -> bool:
    """Whether an execution is to be booked: not yet, of this order, and of a quantity."""
    if exec_key(fill) in turn.state.booked:
        return False
    amounts = (fill.qty, fill.px)
    if fill.instrument != order.instrument or fill.side != order.side or not all(map(_is_amount, amounts)):
        text = (
            f"execution {fill.exec_id} ({fill.side} {fill.qty} {fill.instrument}) contradicts order {order.cl_ord_id}"
        )
        turn.alert("CONTRADICTORY_FILL", "page", text, order)
        return False
    return True


def _is_amount(value: Decimal) -> bool:
    """Whether a number can be a quantity or a price: positive, finite, and of this world."""
    return value.is_finite() and SMALLEST <= value <= LARGEST


def _book(turn: Turn, order: Order, fill: VenueFill) -> None:
    """Book one execution: the order, the holding, the flows of money, and a report."""
    if exec_key(fill) in turn.state.booked:  # told twice in one breath
        return
    turn.state.booked[exec_key(fill)] = order.cl_ord_id
    keep_last(turn.state.booked, turn.policy.execs_kept)
    order.venue_order_id = order.venue_order_id or fill.venue_order_id
    order.cum_qty += fill.qty
    order.cum_cost += fill.qty * fill.px
    _book_flows(turn, fill)
    _book_holding(turn, order, fill)
    if order.cum_qty > order.order_qty and order.foreign:
        order.order_qty = order.cum_qty  # we know only as much of it as it has executed
    elif order.cum_qty > order.order_qty:
        text = f"order {order.cl_ord_id} was filled for {order.cum_qty}, more than the {order.order_qty} asked for"
        turn.alert("OVERFILLED", "page", text, order)
    old = order.status
    fact = Fact.ALL_FILLED if order.cum_qty >= order.order_qty else Fact.PART_FILLED
    order.status = led_to(old, fact) or old
    turn.change(order)
    turn.report(order, "TRADE", fill=fill)
    if order.status != old:
        _after(turn, order, old, fact, "", "")


def _book_flows(turn: Turn, fill: VenueFill) -> None:
    sign = 1 if fill.side == "BUY" else -1
    flows = turn.state.flows
    for asset, amount in (
        (base_of(fill.instrument), sign * fill.qty),
        (quote_of(fill.instrument), -sign * fill.qty * fill.px),
        (fill.commission_asset, -fill.commission),
    ):
        if asset and amount:
            flows[asset] = flows.get(asset, ZERO) + amount


def _book_holding(turn: Turn, order: Order, fill: VenueFill) -> None:
    """Quantity after fees in base; an entry's fill makes it the owner, and the tightest stop of all entries holds."""
    holding = turn.state.holding(order.instrument)
    sign = 1 if fill.side == "BUY" else -1
    if order.role == "ENTRY" and not order.foreign and _is_remainder(turn, order, holding, fill.px):
        holding.stop_px = holding.target_px = None
        holding.rung = holding.breached_since = 0
        holding.two_step = False
        holding.high_px = ZERO
        holding.owner = ""
    if not holding.owner:
        holding.cash = ZERO
    holding.qty += sign * fill.qty
    holding.cash -= sign * fill.qty * fill.px
    if fill.commission_asset == base_of(order.instrument):
        holding.qty -= fill.commission
    elif fill.commission_asset == quote_of(order.instrument):
        holding.cash -= fill.commission
    if order.role == "ENTRY" and not order.foreign:
        holding.owner = order.cl_ord_id
        if order.protect_px is not None:
            holding.stop_px = max(holding.stop_px or ZERO, order.protect_px)
        if order.target_px is not None:
            holding.target_px = order.target_px
        holding.closed_by = None
    else:
        holding.closed_by = order.role


def _is_remainder(turn: Turn, entry: Order, holding: Holding, px: Decimal) -> bool:
    """Whether what an earlier position left is too little to be sold, so that its stop and its story say nothing of the next."""
    spec = turn.state.specs.get(entry.instrument)
    if spec is None or holding.owner == entry.cl_ord_id or len(turn.state.live_orders(entry.instrument)) > 1:
        return False
    return holding.qty < spec.qty_min or holding.qty * px < spec.notional_min
