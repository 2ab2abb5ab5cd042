"""Everything the executor remembers, and the settings that can change what it decides."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from libs.common.messages import InstrumentSpec, Mark, OrderRole
from libs.common.money import ZERO
from libs.runtime.breaker import Breaker, BreakerLimits
from services.order_executor.orders import CLOSED, Order

MS = 1_000_000


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Every value that can change a decision (the machine's `Settings`); part of the recorded `started` event.

    `gate_public_key` is Ed25519, hex. `notional_max` caps one entry, in quote currency. `price_band_bps` is the largest
    distance of an entry's price from the latest mark. `retry_delays_ms` paces failed attempts to protect a position and
    failed account readings, `lookup_delays_ms` look-ups; the last delay repeats.

    `pairs`: the venue links a stop and a target (OCO); else we do. `replaces`: it takes one order back and another in its place
    in one step (cancel/replace); else there are two, and the software stop stands between them. A position may stand without cover for `cover_ms_max`,
    then it is sold. A stop that should have gone off by the protective price, and has sold nothing for `soft_stop_ms`, is
    taken into our own hands. A stop limit sells down to `stop_limit_slack_bps` below its trigger. At most `guards_max`
    stops or pairs share a position. `trail_bps` (0: never) is how far a stop follows the highest price, in steps of
    `trail_step_bps`. `foreign_orders` says what becomes of open orders that are not ours: told to a person, taken over
    where they sell what we hold, or cancelled. `flatten_on_stop` sells everything when the service is told to stop.

    `venue_url` and `clock_url` decide nothing: they put into the log where orders went (empty: a log from before this was told), and by
    which clock (empty: wall time).
    """

    gate_public_key: str
    instruments: tuple[str, ...]
    venue: str = ""
    notional_max: Decimal = Decimal(10_000)
    price_band_bps: int = 200
    mark_age_ms_max: int = 60_000
    recv_window_ms: int = 5_000
    finality_margin_ms: int = 1_000
    protect_ttl_ms: int = 10_000
    pairs: bool = True
    replaces: bool = True
    cover_ms_max: int = 10_000
    soft_stop_ms: int = 2_000
    stop_limit_slack_bps: int = 100
    guards_max: int = 3
    trail_bps: int = 0
    trail_step_bps: int = 25
    foreign_orders: Literal["tell", "adopt", "cancel"] = "tell"
    flatten_on_stop: bool = False
    check_venue: bool = True
    check_interval_ms: int = 3_600_000
    clock_drift_ms_max: int = 1_000
    crash_starts_max: int = 15
    crash_window_ms: int = 600_000
    losses_in_a_row_max: int = 6
    losses_pause_ms: int = 1_800_000
    call_limits: BreakerLimits = BreakerLimits()
    reject_limits: BreakerLimits = BreakerLimits(failures_in_a_row_max=5, failure_share_max=2.0, slow_share_max=2.0)
    ask_ttl_ms: int = 30_000
    reconcile_interval_ms: int = 60_000
    lookup_delays_ms: tuple[int, ...] = (200, 500, 1_000, 2_000, 5_000)
    retry_delays_ms: tuple[int, ...] = (0, 1_000, 2_000, 5_000, 10_000, 30_000)
    base_tolerance: Decimal = Decimal("0.00000001")
    quote_tolerance: Decimal = Decimal("0.01")
    intents_kept: int = 5_000
    orders_kept: int = 500
    execs_kept: int = 5_000
    venue_url: str = ""
    clock_url: str = ""


class Holding(msgspec.Struct):
    """What we hold of one instrument, and how it is protected.

    `qty` is the net base quantity of our fills after fees in base, `cash` the net quote amount of the same fills since the
    position was opened. `owner` is the entry in whose story stops are placed. `exits` are approved exits that wait for their
    quantity to be free. `rung` is how far down the ladder of order types we had to go (`ladder`). `two_step`: the venue refused to replace its guard in one step. `flatten` asks for a market
    exit, `forced` does not wait for stops of unknown fate. `retry_at` paces guards that fail, `exit_retry_at` exits that do.
    `naked_since` and `breached_since` (ns; 0: not) are since when a part has no cover (`naked_at_qty`: how much was held
    then), and since when the protective price has been at or below the stop; `high_px` is the highest price while held.
    """

    qty: Decimal = ZERO
    cash: Decimal = ZERO
    stop_px: Decimal | None = None
    target_px: Decimal | None = None
    high_px: Decimal = ZERO
    rung: int = 0
    two_step: bool = False
    forced: bool = False
    naked_since: int = 0
    naked_at_qty: Decimal = ZERO
    breached_since: int = 0
    market_closed: bool = False
    owner: str = ""
    exits: list[Order] = []
    flatten: bool = False
    failures: int = 0
    failed_at: int = 0
    retry_at: int = 0
    exit_retry_at: int = 0
    closed_by: OrderRole | None = None
    dust_told: Decimal = ZERO
    quarantined_by: str = ""


class Reading(msgspec.Struct):
    """The account readings: which one is under way, and what the last one left open.

    `unconfirmed`: the process has just begun, and two readings must show the same; `seen` is what the first one showed.
    """

    number: int = 0
    asked: bool = False
    again: bool = False
    activity: int = 0
    failures: int = 0
    rereads: int = 0
    suspects: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    unconfirmed: bool = True
    seen: str = ""
    key_told: bool = False


class State(msgspec.Struct, dict=True):
    """The executor's memory. Beside its fields it keeps an index of the orders that are live, which is in no snapshot.

    `flows` are the net amounts of every asset our fills moved since `opening`. `asked` is when each request that waits for an
    answer was asked. `starts` are the unplanned starts of the last while, `losses` the positions in a row that lost money.
    `baseline_wanted` names who wants the venue's balances to count. `tradable` is what the venue trades (None: not told).
    """

    genesis: bool = False
    reconciled: bool = False
    activity: int = 0
    opening: dict[str, Decimal] = {}
    opened: bool = False
    flows: dict[str, Decimal] = {}
    specs: dict[str, InstrumentSpec] = {}
    marks: dict[str, Mark] = {}
    intents: dict[str, str] = {}
    orders: dict[str, Order] = {}
    booked: dict[str, str] = {}
    foreign: dict[str, str] = {}
    holdings: dict[str, Holding] = {}
    watermarks: dict[str, str] = {}
    asked: dict[str, int] = {}
    stopping: bool = False
    starts: list[int] = []
    mode: str = ""
    baseline_wanted: str = ""
    losses: int = 0
    tradable: tuple[str, ...] | None = None
    checked: bool = False
    check_failures: int = 0
    flaws_told: str = ""
    breakers: dict[str, Breaker] = {}
    reading: Reading = msgspec.field(default_factory=Reading)

    def holding(self, instrument: str) -> Holding:
        """The holding of `instrument`, made on first use."""
        holding = self.holdings.get(instrument)
        if holding is None:
            holding = self.holdings[instrument] = Holding()
        return holding

    def live_orders(self, instrument: str) -> list[Order]:
        """The orders of `instrument` that are not closed, or closed without all their executions; oldest first."""
        live: dict[str, Order] | None = self.__dict__.get("live")
        if live is None:
            live = self.__dict__["live"] = {name: order for name, order in self.orders.items() if _is_live(order)}
        found = []
        for name, order in list(live.items()):
            if not _is_live(order):
                live.pop(name, None)
            elif order.instrument == instrument:
                found.append(order)
        return found

    def changed(self, order: Order) -> None:
        """An order is new or has moved, maybe one that was over: must be told, or `live_orders` may not see it."""
        live: dict[str, Order] | None = self.__dict__.get("live")
        if live is None or order.cl_ord_id in live:
            return
        if next(reversed(self.orders), "") == order.cl_ord_id:
            live[order.cl_ord_id] = order
        else:  # it has its place among the others
            self.reindex()

    def reindex(self) -> None:
        """Orders were taken out."""
        self.__dict__.pop("live", None)

    def find(self, cl_ord_id: str, venue_order_id: str = "") -> Order | None:
        """The order with this client id, or else the one the venue knows by `venue_order_id`."""
        if cl_ord_id in self.orders:
            return self.orders[cl_ord_id]
        if not venue_order_id:
            return None
        return next((order for order in self.orders.values() if order.venue_order_id == venue_order_id), None)

    def pair_of(self, order: Order) -> list[Order]:
        """The other order of the pair that `order` belongs to; empty if it stands alone."""
        if not order.pair:
            return []
        for each in reversed(self.orders.values()):
            if each.pair == order.pair and each is not order:
                return [each]
        return []

    def replaced_by(self, order: Order) -> list[Order]:
        """The order in whose place `order` was sent and the other one of its pair, unless they have ended or are forgotten."""
        old = self.orders.get(order.replaces)
        found = [] if old is None else [old, *self.pair_of(old)]
        return [each for each in found if not each.is_closed and not each.closing]

    def is_quarantined(self, instrument: str) -> bool:
        """Whether an order of `instrument` has an unknown fate."""
        return any(order.status == "UNKNOWN" for order in self.live_orders(instrument))


def _is_live(order: Order) -> bool:
    return order.status not in CLOSED or order.cum_qty < order.venue_cum_qty


def keep_last(memory: dict[str, str], count: int) -> None:
    """Forget the oldest entries of `memory` beyond `count`."""
    while len(memory) > count:
        del memory[next(iter(memory))]
