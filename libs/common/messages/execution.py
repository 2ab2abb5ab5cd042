"""What the order executor says, and what the venue told it."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from libs.common.messages.base import Answer, Instant, Message
from libs.common.messages.trading import OrdType, Side, TimeInForce

OrdStatus = Literal[
    "PENDING_NEW", "NEW", "PARTIALLY_FILLED", "FILLED", "PENDING_CANCEL", "CANCELED", "REJECTED", "EXPIRED", "UNKNOWN"
]
ExecType = Literal["NEW", "TRADE", "PENDING_CANCEL", "CANCELED", "REJECTED", "EXPIRED", "UNKNOWN"]
OrderRole = Literal["ENTRY", "EXIT", "STOP", "TARGET"]


class VenueFill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One execution as the venue booked it; `exec_id` is the venue's trade id and books it once."""

    exec_id: str
    cl_ord_id: str
    venue_order_id: str
    instrument: str
    side: Side
    qty: Decimal
    px: Decimal
    commission: Decimal
    commission_asset: str
    liquidity_side: Literal["MAKER", "TAKER"]
    ts_event: int


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order as the venue sees it."""

    cl_ord_id: str
    venue_order_id: str
    instrument: str
    side: Side
    ord_type: OrdType
    ord_status: OrdStatus
    order_qty: Decimal
    cum_qty: Decimal
    limit_px: Decimal | None
    stop_px: Decimal | None
    ts_event: int


class Balance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the venue says we own of one asset."""

    asset: str
    free: Decimal
    locked: Decimal


class OrderSubmitting(Message, frozen=True, kw_only=True, tag="order_submitting.v1"):
    """Written before the order leaves: from here on it must be assumed to exist until the venue proves otherwise."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "submitting.{instrument}"

    cl_ord_id: str
    intent_id: str
    role: OrderRole
    instrument: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_px: Decimal | None
    stop_px: Decimal | None
    reduce_only: bool
    valid_until: int


class ExecutionReport(Message, frozen=True, kw_only=True, tag="execution_report.v1"):
    """What became of an order: `exec_type` says why this report exists now, `ord_status` where the order stands.

    `last_*`, `exec_id` and `commission` are set on TRADE only. UNKNOWN means: asked, and nobody answered.
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "report.{instrument}"

    cl_ord_id: str
    intent_id: str
    venue_order_id: str
    exec_id: str
    role: OrderRole
    exec_type: ExecType
    ord_status: OrdStatus
    instrument: str
    side: Side
    order_qty: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal | None
    last_qty: Decimal | None
    last_px: Decimal | None
    commission: Decimal | None
    commission_asset: str
    liquidity_side: Literal["MAKER", "TAKER", ""]
    reason: str


class InstrumentQuarantined(Message, frozen=True, kw_only=True, tag="instrument_quarantined.v1"):
    """An order's fate is UNKNOWN: no new order for this instrument until the venue has been heard."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "quarantined.{instrument}"

    instrument: str
    cl_ord_id: str
    reason: str


class InstrumentReleased(Message, frozen=True, kw_only=True, tag="instrument_released.v1"):
    """The UNKNOWN order's fate is known; the instrument may trade again."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "released.{instrument}"

    instrument: str
    cl_ord_id: str
    reason: str


class Reconciled(Message, frozen=True, kw_only=True, tag="exec_reconciled.v1"):
    """Orders, fills and balances at the venue were compared with the log; `clean` only if nothing is unexplained."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "reconciled"

    clean: bool
    balances: tuple[Balance, ...]
    mismatches: tuple[str, ...]


class OrderAnswered(Answer, frozen=True, kw_only=True, tag="order_answered.v1"):
    """The venue's answer to a submission or cancel, or the lack of one.

    CONFIRMED: `order` is what the venue accepted (fills may come with it). REJECTED: a definitive code, or provably never
    sent. UNKNOWN: a time-out, a broken connection, an answer that is not one.
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "answered.{instrument}"

    instrument: str
    cl_ord_id: str
    outcome: Literal["CONFIRMED", "REJECTED", "UNKNOWN"]
    order: VenueOrder | None
    fills: tuple[VenueFill, ...]
    code: str
    detail: str


class PairAnswered(Answer, frozen=True, kw_only=True, tag="pair_answered.v1"):
    """The venue's answer to a pair of which one order cancels the other (OCO), placed or taken back; see `OrderAnswered`.

    `list_id` is the client id of the pair: that of its stop. On CONFIRMED `orders` shows both orders as they stand now.
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "pair.{instrument}"

    instrument: str
    list_id: str
    outcome: Literal["CONFIRMED", "REJECTED", "UNKNOWN"]
    orders: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    code: str
    detail: str


class ReplaceAnswered(Answer, frozen=True, kw_only=True, tag="replace_answered.v1"):
    """The venue's answer to a stop replaced in one step (cancel/replace), or the lack of one.

    CONFIRMED: `replaced_id` is gone and `cl_ord_id` stands in its place. HALFWAY: it is gone, and the venue refused the new
    order (`code`, `detail`). REJECTED: nothing was done. UNKNOWN: either may have happened. `orders` shows what the venue showed.
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "replaced.{instrument}"

    instrument: str
    cl_ord_id: str
    replaced_id: str
    outcome: Literal["CONFIRMED", "HALFWAY", "REJECTED", "UNKNOWN"]
    orders: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    code: str
    detail: str


class OrderLookedUp(Answer, frozen=True, kw_only=True, tag="order_looked_up.v1"):
    """The result of asking for an order by client id. FAILED means the question got no answer, never "not there"."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "looked_up.{instrument}"

    instrument: str
    cl_ord_id: str
    outcome: Literal["FOUND", "NOT_FOUND", "FAILED"]
    order: VenueOrder | None
    fills: tuple[VenueFill, ...]
    detail: str


class AccountRead(Answer, frozen=True, kw_only=True, tag="account_read.v1"):
    """Balances, open orders and recent fills at the venue, read together. Not `ok` means unknown, never "flat"."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "account"

    ok: bool
    balances: tuple[Balance, ...]
    open_orders: tuple[VenueOrder, ...]
    fills: tuple[VenueFill, ...]
    detail: str


class VenueReported(Message, frozen=True, kw_only=True, tag="venue_reported.v1"):
    """The user data stream spoke: an order moved, with at most one fill. Late, double and reordered ones are normal."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "venue.{instrument}"
    is_source: ClassVar[bool] = True

    instrument: str
    order: VenueOrder | None
    fill: VenueFill | None


class UserStreamChanged(Message, frozen=True, kw_only=True, tag="user_stream_changed.v1"):
    """The user data stream was (re)connected or lost; what happened in between must be asked for."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "stream"
    is_source: ClassVar[bool] = True

    connected: bool
    reason: str


class BalanceMoved(Message, frozen=True, kw_only=True, tag="balance_moved.v1"):
    """The venue says that `amount` of `asset` came in (> 0) or went out (< 0) other than by a trade: a deposit, a withdrawal."""

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "balance"
    is_source: ClassVar[bool] = True

    asset: str
    amount: Decimal


class CapitalMoved(Message, frozen=True, kw_only=True, tag="capital_moved.v1"):
    """The books take over an `amount` of `asset` that no trade of ours explains: capital, neither profit nor loss.

    TRANSFER: the venue told us of it. ACCEPTED: an operator took the venue's balances for the truth.
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "capital"

    asset: str
    amount: Decimal
    reason: Literal["TRANSFER", "ACCEPTED"]


class VenueChecked(Answer, frozen=True, kw_only=True, tag="venue_checked.v1"):
    """What the venue says of our key, our clock, our fees and our instruments; None where it did not say.

    `clock_drift_ms` is the venue's clock less ours, fees are in basis points of the notional, `tradable` are those of our
    instruments that the venue trades now. Not `ok` means that nobody answered: nothing is known, and nothing else is set.
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "checked"

    ok: bool
    detail: str
    clock_drift_ms: int | None
    can_trade: bool | None
    can_withdraw: bool | None
    ip_restricted: bool | None
    maker_bps: Decimal | None
    taker_bps: Decimal | None
    tradable: tuple[str, ...] | None


class ProtectionImprovised(Message, frozen=True, kw_only=True, tag="protection_improvised.v1"):
    """While the log could not be reached, this reducing order was sent from the local journal; told first when it is back.

    `owner` is the entry in whose story it stands. What became of it is asked of the venue, whatever `outcome` says.
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "improvised.{instrument}"
    is_source: ClassVar[bool] = True

    instrument: str
    cl_ord_id: str
    owner: str
    role: OrderRole
    ord_type: OrdType
    order_qty: Decimal
    stop_px: Decimal | None
    outcome: Literal["CONFIRMED", "REJECTED", "UNKNOWN"]
    code: str


class BreakerChanged(Message, frozen=True, kw_only=True, tag="breaker_changed.v1"):
    """A breaker moved. While one is OPEN, entries wait; exits, cancels and questions never do.

    `name` is what it guards (`submit`, `cancel`, `query`, `account`, `rejects`, `losses`, `crash_loop`, `venue_check`). OPEN
    until `retry_at`, then HALF_OPEN: the executor lets one attempt be the probe. `retry_at` 0: time alone does not close it, but
    an operator's RESUME (`crash_loop`), or a check of the venue without findings (`venue_check`).
    """

    said_by: ClassVar[str] = "exec"
    suffix: ClassVar[str] = "breaker"

    name: str
    state: Literal["CLOSED", "OPEN", "HALF_OPEN"]
    reason: str
    retry_at: Instant
