"""The two wishes a long-only portfolio can have: buy an entry with its exits, sell everything held."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import OrderIntent, Side
from libs.common.money import plain
from services.signal_agents.portfolio.sizing import Entry


class Cause(msgspec.Struct, frozen=True):
    """What a wish follows from: the parent event's id, and until when (ns) the wish may become an order."""

    parent_id: str
    valid_until: int


class Leave(msgspec.Struct, frozen=True):
    """Why to sell, in which story, and the price it was seen at."""

    reason: str
    story: str
    px: Decimal


def buy(instrument: str, entry: Entry, story: str, cause: Cause) -> OrderIntent:
    """The wish to enter."""
    return OrderIntent(
        intent_id=_intent_id(cause, instrument, "BUY"),
        instrument=instrument,
        side="BUY",
        ord_type="MARKET",
        time_in_force="IOC",
        order_qty=entry.qty,
        limit_px=None,
        ref_px=entry.ref_px,
        stop_px=entry.stop_px,
        target_px=entry.target_px,
        reduce_only=False,
        valid_until=cause.valid_until,
        reason="long",
        correlation_id=story,
    )


def sell_all(instrument: str, qty: Decimal, leave: Leave, cause: Cause) -> OrderIntent:
    """The wish to sell `qty`, everything held of `instrument` in whole steps."""
    return OrderIntent(
        intent_id=_intent_id(cause, instrument, "SELL"),
        instrument=instrument,
        side="SELL",
        ord_type="MARKET",
        time_in_force="IOC",
        order_qty=plain(qty),
        limit_px=None,
        ref_px=plain(leave.px),
        stop_px=None,
        target_px=None,
        reduce_only=True,
        valid_until=cause.valid_until,
        reason=leave.reason,
        correlation_id=leave.story,
    )


def _intent_id(cause: Cause, instrument: str, side: Side) -> str:
    return derive_id(cause.parent_id, "intent", instrument, side)
