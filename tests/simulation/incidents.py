"""What happens to an account and its venue in a year, drawn into one storm: each incident begins, lasts a while, and is over.

Incidents concern one instrument or the whole venue. What people do by hand (sales, transfers) they do to what the executor has
seen already: a hand that is faster than the user stream is told to a person by the executor, and mended by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from random import Random

import msgspec

from libs.common.money import floor_to_step
from libs.common.timeframe import MINUTE, SECOND
from libs.runtime.simulated_log import Scheduler, SimulatedLog
from libs.trading.venue import NewOrder, SpotVenue
from tests.simulation.market import FeedEdge, spec
from tests.simulation.venue_edge import KEY_REVOKED, LOOK_UPS_FAIL, RATE_LIMITED, SILENT, VenueEdge

FIRST = 6 * MINUTE
"""Positions exist from about then on."""
LASTS_MIN, LASTS_MAX = 20 * SECOND, 240 * SECOND
WAITS_MAX = 900 * SECOND
"""Incidents that are about a position wait for one so long."""
WAITS_LOOK = 3 * SECOND
VENUE_WIDE = ("key_revoked", "rate_limited", "silence", "look_ups_fail", "bus_outage")
OF_AN_INSTRUMENT = (
    "stops_refused",
    "stop_limit_gap",
    "sold_by_hand",
    "liquidated",
    "deposit",
    "withdrawal",
    "delisted",
    "gap",
)
WAITING = ("stop_limit_gap", "sold_by_hand", "liquidated", "gap")
BLINDING = ("key_revoked", "rate_limited", "silence", "bus_outage")
"""While one of these lasts, nobody can protect anything."""
_TROUBLES = {
    "key_revoked": KEY_REVOKED,
    "rate_limited": RATE_LIMITED,
    "silence": SILENT,
    "look_ups_fail": LOOK_UPS_FAIL,
}


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` from `begins` to `ends` (ns); `size` (0..1) is what each kind makes of it."""

    kind: str
    instrument: str
    begins: int
    ends: int
    size: float


def draw(seed: int, count: int, instruments: tuple[str, ...], begin: int, end: int) -> list[Incident]:
    """The incidents of a seed, between `begin` and `end` (ns)."""
    random = Random(f"incidents {seed}")
    drawn = []
    for _ in range(count):
        begins = random.randint(begin + FIRST, max(begin + FIRST, end - LASTS_MAX))
        kind = random.choice((*VENUE_WIDE, *OF_AN_INSTRUMENT, *OF_AN_INSTRUMENT))
        drawn.append(
            Incident(
                kind=kind,
                instrument=random.choice(instruments),
                begins=begins,
                ends=min(end, begins + random.randint(LASTS_MIN, WAITS_MAX if kind in WAITING else LASTS_MAX)),
                size=random.random(),
            )
        )
    return drawn


class Incidents:
    """Makes them happen. `happened` counts them, `transfers` are what came in less what went out, `hands` the ids of foreign orders.

    `known_qty` says how much of an instrument the executor knows to hold, `resting_types` which kinds of its orders rest there.
    """

    def __init__(
        self,
        planned: list[Incident],
        scheduler: Scheduler,
        log: SimulatedLog,
        venue: SpotVenue,
        venue_edge: VenueEdge,
        feed_edge: FeedEdge,
        known_qty: Callable[[str], Decimal],
        resting_types: Callable[[str], set[str]],
    ):
        self.planned = planned
        self.happened: Counter[str] = Counter()
        self.transfers: dict[str, Decimal] = {}
        self.hands: dict[str, str] = {}
        self.meddled: dict[str, int] = {}
        self._scheduler = scheduler
        self._log = log
        self._venue = venue
        self._venue_edge = venue_edge
        self._feed_edge = feed_edge
        self._known_qty = known_qty
        self._resting_types = resting_types
        for incident in planned:
            scheduler.at(incident.begins, self._beginner(incident))
            scheduler.at(incident.ends, self._ender(incident))

    def blinds(self, instrument: str, now: int, grace: int) -> bool:
        """Whether something lasts, or ended less than `grace` ago, under which `instrument` cannot be protected."""
        return any(
            each.begins <= now <= each.ends + grace
            and (each.kind in BLINDING or (each.kind == "delisted" and each.instrument == instrument))
            for each in self.planned
        )

    def given(self, asset: str) -> Decimal:
        """What came into the account as `asset`, less what went out, other than by trading."""
        return self.transfers.get(asset, Decimal(0))

    def _beginner(self, incident: Incident) -> Callable[[], None]:
        return lambda: self._begin(incident)

    def _ender(self, incident: Incident) -> Callable[[], None]:
        return lambda: self._end(incident)

    def _begin(self, incident: Incident) -> None:
        self.happened[incident.kind] += 1
        match incident.kind:
            case "bus_outage":
                self._log.is_reachable = False
            case "stops_refused":
                self._venue_edge.refused_types.update(_refused(incident))
            case "stop_limit_gap":
                self._venue_edge.refused_types.update(_refused(incident))
                self._wait(incident)
            case "sold_by_hand" | "liquidated" | "gap":
                self._wait(incident)
            case "deposit" | "withdrawal":
                self._transfer(incident)
            case "delisted":
                status = "DELISTED" if incident.size < 0.5 else "BREAK"
                self._venue_edge.updated(self._venue.set_market(incident.instrument, status, self._scheduler.now))
            case _:
                self._venue_edge.troubles[_TROUBLES[incident.kind]] += 1
                if incident.kind in ("key_revoked", "silence"):
                    self._venue_edge.drop()

    def _end(self, incident: Incident) -> None:
        match incident.kind:
            case "bus_outage":
                if not any(
                    each.kind == "bus_outage" and each.begins <= self._scheduler.now < each.ends
                    for each in self.planned
                ):
                    self._log.come_back()
            case "stops_refused" | "stop_limit_gap":
                self._venue_edge.refused_types.subtract(_refused(incident))
            case "delisted":
                self._venue.set_market(incident.instrument, "TRADING", self._scheduler.now)
            case kind if kind in _TROUBLES:
                self._venue_edge.troubles[_TROUBLES[kind]] -= 1

    def _wait(self, incident: Incident) -> None:
        """Strike once what is to be struck is there, if it comes in time."""
        name, done = incident.instrument, False
        if incident.kind == "stop_limit_gap":
            if done := "STOP_LOSS_LIMIT" in self._resting_types(name):
                self._gap(incident, 0.05)
        elif incident.kind == "gap":
            if done := self._known_qty(name) > 0 and bool(self._resting_types(name)):
                self._gap(incident, 0.02 + 0.06 * incident.size)
        else:
            done = self._sell_by_hand(incident)
        if done:
            self.happened[f"{incident.kind} struck"] += 1
        elif self._scheduler.now + WAITS_LOOK < incident.ends:
            self._scheduler.at(self._scheduler.now + WAITS_LOOK, lambda: self._wait(incident))

    def _gap(self, incident: Incident, share: float) -> None:
        """The price jumps at once: mostly down, where the stops are."""
        up = incident.kind == "gap" and incident.size > 0.8
        self._feed_edge.paths[incident.instrument].gap(self._scheduler.now, 1 + share if up else 1 - share)

    def _sell_by_hand(self, incident: Incident) -> bool:
        """Somebody takes our orders away and sells what they held, or the venue does."""
        name, now, rules = incident.instrument, self._scheduler.now, spec(incident.instrument)
        known = floor_to_step(self._known_qty(name), rules.qty_step)
        held = sum((each.free + each.locked for each in self._venue.balances() if each.asset == rules.base), Decimal(0))
        if known != floor_to_step(held - self.given(rules.base), rules.qty_step):
            return False
        part = 1 if incident.size < 0.6 else Decimal("0.5")
        qty = floor_to_step(known * part, rules.qty_step)
        if qty * Decimal(str(self._feed_edge.px(name))) < rules.notional_min * 2:
            return False
        if self._venue.market_status(name) != "TRADING":
            return False
        for each in self._venue.open_orders(name):
            if self._venue.booked(name, None, each.venue_order_id).is_open:  # type: ignore[union-attr]
                cancelled = self._venue.cancel(name, None, now, venue_order_id=each.venue_order_id)
                self._venue_edge.updated(cancelled)
        prefix = "autoclose" if incident.kind == "liquidated" else "web"
        order = NewOrder(
            cl_ord_id=f"{prefix}-{len(self.hands) + 1}", instrument=name, side="SELL", ord_type="MARKET", order_qty=qty
        )
        self.hands[order.cl_ord_id] = name
        self.meddled[name] = now
        self._venue_edge.updated(self._venue.submit(order, now))
        return True

    def _transfer(self, incident: Incident) -> None:
        """Quote currency, or coins that are nobody's position; only what came in goes out again."""
        base = spec(incident.instrument).base
        asset, amount = ("USDT", Decimal(500)) if incident.size < 0.7 else (base, Decimal("0.5"))
        if incident.kind == "withdrawal":
            free = next((each.free for each in self._venue.balances() if each.asset == asset), Decimal(0))
            amount = -min(amount, free if asset == "USDT" else min(free, self.given(asset)))
        if not amount:
            return
        self._venue.transfer(asset, amount)
        self.transfers[asset] = self.given(asset) + amount
        self._venue_edge.transferred(asset, amount)


def _refused(incident: Incident) -> tuple[str, ...]:
    if incident.kind == "stop_limit_gap" or incident.size < 0.4:
        return ("PAIR", "STOP_LOSS")
    return ("PAIR",) if incident.size < 0.7 else ("PAIR", "STOP_LOSS", "STOP_LOSS_LIMIT")
