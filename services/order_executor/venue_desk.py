"""The counter of a venue that lives in our own process: a request that has arrived becomes an answer, and one that has not becomes what
the adapter says then. Backtests and the simulation stand at it; the answers have the form of those that adapters of real venues give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from libs.common.messages import (
    AccountRead,
    Answer,
    OrderAnswered,
    OrderLookedUp,
    PairAnswered,
    ReplaceAnswered,
    VenueChecked,
    VenueFill,
    VenueOrder,
)
from libs.runtime.machine import Request
from libs.trading.venue import NewOrder, NewPair, SpotVenue, VenueRejected, VenueUpdate
from services.order_executor.requests import (
    CancelOrder,
    CancelPair,
    CheckVenue,
    LookUpOrder,
    ReadAccount,
    ReplaceOrder,
    SubmitOrder,
    SubmitPair,
)

Verdict = Literal["CONFIRMED", "HALFWAY", "REJECTED", "UNKNOWN"]
Action = SubmitOrder | CancelOrder | SubmitPair | CancelPair | ReplaceOrder
"""What changes something at the venue."""


def is_action(request: Request) -> bool:
    """Whether the request changes something at the venue."""
    return isinstance(request, Action)


def kind_at_venue(request: Request) -> str:
    """The type of order a submission would enter, `PAIR` for a pair; "" for anything else."""
    if isinstance(request, SubmitPair):
        return "PAIR"
    return request.ord_type if isinstance(request, SubmitOrder | ReplaceOrder) else ""


def names_of(request: Request) -> tuple[str, ...]:
    """The client ids of the orders a submission would enter."""
    match request:
        case SubmitOrder() | ReplaceOrder():
            return (request.cl_ord_id,)
        case SubmitPair():
            return (request.stop_id, request.target_id)
    return ()


def act(venue: SpotVenue, request: Action, now: int) -> tuple[list[VenueUpdate], VenueRejected | None]:
    """Do at the venue what is asked: what happened, and why a replacement stopped halfway, if it did.

    Raises:
        VenueRejected: the venue refuses.
    """
    match request:
        case SubmitOrder():
            wanted = {name: getattr(request, name) for name in NewOrder.__struct_fields__}
            return venue.submit(NewOrder(**wanted), now), None
        case ReplaceOrder():
            wanted = {name: getattr(request, name) for name in NewOrder.__struct_fields__}
            return venue.replace(NewOrder(**wanted), now, cl_ord_id=request.replaced_id)
        case SubmitPair():
            pair = NewPair(
                list_id=request.stop_id,
                instrument=request.instrument,
                side="SELL",
                order_qty=request.order_qty,
                stop_id=request.stop_id,
                stop_px=request.stop_px,
                target_id=request.target_id,
                target_px=request.target_px,
            )
            return venue.submit_pair(pair, now), None
        case CancelOrder():
            return venue.cancel(request.instrument, request.cl_ord_id, now), None
        case CancelPair():
            return venue.cancel_pair(request.instrument, request.list_id, now), None


def confirmed(
    venue: SpotVenue, request_id: str, request: Action, updates: list[VenueUpdate], refused: VenueRejected | None = None
) -> Answer:
    """The answer of a venue that has done as it was asked, or (`refused`) the first half of it."""
    fills = tuple(update.fill for update in updates if update.fill is not None)
    if isinstance(request, SubmitPair | CancelPair):
        list_id = request.stop_id if isinstance(request, SubmitPair) else request.list_id
        pair = venue.pairs.find(request.instrument, list_id)
        assert pair is not None, "the venue acted on a pair that it does not have"
        orders: Iterable[VenueOrder] = (booked.as_order() for booked in venue.pairs.orders(pair))
    elif isinstance(request, ReplaceOrder):
        orders = {update.order.venue_order_id: update.order for update in updates}.values()
        if refused is not None:
            code, detail = str(refused.code), refused.message
            return answered(request_id, request, "HALFWAY", tuple(orders), fills, code, detail)
    else:
        shown = venue.order(request.instrument, request.cl_ord_id)
        assert shown is not None, "the venue acted on an order that it does not have"
        orders = (shown,)
    return answered(request_id, request, "CONFIRMED", tuple(orders), fills)


def answered(
    request_id: str,
    request: Action,
    outcome: Verdict,
    orders: tuple[VenueOrder, ...] = (),
    fills: tuple[VenueFill, ...] = (),
    code: str = "",
    detail: str = "",
) -> Answer:
    """An answer to an action, in the form its request wants."""
    if isinstance(request, SubmitPair | CancelPair):
        return PairAnswered(
            request_id=request_id,
            instrument=request.instrument,
            list_id=request.stop_id if isinstance(request, SubmitPair) else request.list_id,
            outcome=outcome,
            orders=orders,
            fills=fills,
            code=code,
            detail=detail,
        )
    if isinstance(request, ReplaceOrder):
        return ReplaceAnswered(
            request_id=request_id,
            instrument=request.instrument,
            cl_ord_id=request.cl_ord_id,
            replaced_id=request.replaced_id,
            outcome=outcome,
            orders=orders,
            fills=fills,
            code=code,
            detail=detail,
        )
    return OrderAnswered(
        request_id=request_id,
        instrument=request.instrument,
        cl_ord_id=request.cl_ord_id,
        outcome=outcome,  # type: ignore[arg-type]
        order=orders[0] if orders else None,
        fills=fills,
        code=code,
        detail=detail,
    )


def told(venue: SpotVenue, request_id: str, request: Request) -> Answer:
    """The answer to a question that the venue could answer."""
    match request:
        case LookUpOrder():
            order = venue.order(request.instrument, request.cl_ord_id)
            fills = [fill for fill in venue.fills(request.instrument) if fill.cl_ord_id == request.cl_ord_id]
            return OrderLookedUp(
                request_id=request_id,
                instrument=request.instrument,
                cl_ord_id=request.cl_ord_id,
                outcome="NOT_FOUND" if order is None else "FOUND",
                order=order,
                fills=tuple(fills),
                detail="",
            )
        case ReadAccount():
            return _account(venue, request_id, request)
        case CheckVenue():
            tradable = tuple(each for each in request.instruments if venue.market_status(each) == "TRADING")
            return _checked(request_id, tradable)
    raise AssertionError(f"the venue cannot {type(request).__name__}")


def untold(request_id: str, request: Request, detail: str, outcome: Verdict = "UNKNOWN", code: str = "") -> Answer:
    """What the adapter says of a request that got no answer, or (`outcome` REJECTED) a refusal that is about no order."""
    match request:
        case LookUpOrder():
            return OrderLookedUp(
                request_id=request_id,
                instrument=request.instrument,
                cl_ord_id=request.cl_ord_id,
                outcome="FAILED",
                order=None,
                fills=(),
                detail=detail,
            )
        case ReadAccount():
            return AccountRead(request_id=request_id, ok=False, balances=(), open_orders=(), fills=(), detail=detail)
        case CheckVenue():
            return _checked(request_id, None, detail)
        case SubmitOrder() | CancelOrder() | SubmitPair() | CancelPair() | ReplaceOrder():
            return answered(request_id, request, outcome, code=code, detail=detail)
    raise AssertionError(f"nobody can {type(request).__name__}")


def _account(venue: SpotVenue, request_id: str, request: ReadAccount) -> AccountRead:
    fills = [
        fill
        for instrument in request.instruments
        for fill in venue.fills(instrument)
        if int(fill.exec_id) > int(request.fills_after.get(instrument, "-1") or "-1")
    ]
    return AccountRead(
        request_id=request_id,
        ok=True,
        balances=venue.balances(),
        open_orders=tuple(venue.open_orders()),
        fills=tuple(fills),
        detail="",
    )


def _checked(request_id: str, tradable: tuple[str, ...] | None, detail: str = "") -> VenueChecked:
    """A key that is as it should be; without `tradable` nobody answered."""
    ok = tradable is not None
    return VenueChecked(
        request_id=request_id,
        ok=ok,
        detail=detail,
        clock_drift_ms=3 if ok else None,
        can_trade=True if ok else None,
        can_withdraw=False if ok else None,
        ip_restricted=True if ok else None,
        maker_bps=None,
        taker_bps=None,
        tradable=tradable,
    )
