"""What the gateway shows Prometheus of the whole system: the book, trading, people and room, as the log, the services and the machine say.

All of it is computed when it is asked for. Of what is not known there is no series, and none of the log before it was read to its end. While the bus
is away what was known last is still shown, beside `bulkhead_ready` 0.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.registry import Collector

from libs.common.metrics import Declared, declared_in
from libs.common.metrics import system as declared
from libs.desk.desk import Desk
from libs.desk.saying import SECOND_NS
from libs.desk.view import DeskView
from libs.runtime.made_metrics import Family, family_of
from libs.runtime.registry import writer_of
from services.gateway.watch import Watch

COMPUTED = declared_in(declared)
READ = ("LIVE", "DISCONNECTED")
"""Where the desk stands when it has once read the log to its end."""
STATES = ("ACTIVE", "REDUCING", "HALTED")
FEED_STATES = ("LIVE", "STALE", "DOWN")
ENDINGS = ("filled", "canceled", "rejected", "expired")
RESTING = ("open", "pending", "unknown")

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the value."""


class LogSeries(Collector):
    """The series of one gateway; `clock_offset_s` is None while it is not known."""

    def __init__(self, desk: Desk, watch: Watch, home: Path, clock_offset_s: Callable[[], float | None]):
        self._desk = desk
        self._watch = watch
        self._home = home
        self._clock_offset_s = clock_offset_s

    def describe(self) -> list[Family]:
        """The families, empty: nothing is computed for a registration."""
        return [family_of(each) for each in COMPUTED]

    def collect(self) -> Iterator[Family]:
        """The families as they stand now."""
        found: dict[Declared, list[Sample]] = {each: [] for each in COMPUTED}
        self._room(found)
        self._services(found)
        if self._desk.phase.state in READ:
            samples_of(self._desk.view, found)
        for each, samples in found.items():
            family = family_of(each)
            for labels, value in samples:
                family.add_metric(labels, value)
            yield family

    def _room(self, found: dict[Declared, list[Sample]]) -> None:
        disk, store, offset_s = shutil.disk_usage(self._home), self._watch.store, self._clock_offset_s()
        found[declared.DISK_FREE] = [((), disk.free)]
        found[declared.DISK_SIZE] = [((), disk.total)]
        if store is not None:
            found[declared.BUS_STORE] = [((), store.bytes)]
            found[declared.BUS_STORE_LIMIT] = [((), store.bytes_max)]
        if offset_s is not None:
            found[declared.CLOCK_OFFSET] = [((), offset_s)]

    def _services(self, found: dict[Declared, list[Sample]]) -> None:
        services, starts = self._desk.services, self._desk.view.standing.facts.starts
        found[declared.SERVICE_READY] = [((name,), line.up and line.ready) for name, line in sorted(services.items())]
        found[declared.SERVICE_ANSWERED] = [((name,), at) for name, at in sorted(self._watch.answered_at.items())]
        counted = ((name, starts.get(writer_of(name))) for name in sorted(services))
        found[declared.SERVICE_STARTS] = [((name,), count) for name, count in counted if count is not None]


def samples_of(view: DeskView, found: dict[Declared, list[Sample]]) -> None:
    """What the log says, into `found`; what it does not say stays empty."""
    _book(view, found)
    _positions(view, found)
    _trading(view, found)
    tally, facts = view.alert_tally, view.standing.facts
    found[declared.ALERTS_RAISED] = [(labels, count) for labels, count in sorted(tally.raised.items())]
    found[declared.ALERTS_OPEN] = [((code, severity), 1) for code, severity in tally.open.items() if severity]
    if (backup := facts.backup) is not None:
        found[declared.BACKUP_AT] = [((), backup.made_at / SECOND_NS)]
        if backup.proven_at:
            found[declared.RESTORE_PROVEN_AT] = [((), backup.proven_at / SECOND_NS)]


def _book(view: DeskView, found: dict[Declared, list[Sample]]) -> None:
    facts = view.standing.facts
    if (books := facts.books) is not None:
        for each, value in (
            (declared.BOOK_EQUITY, books.equity),
            (declared.BOOK_CASH, books.balance),
            (declared.BOOK_REALIZED, books.realized_pnl),
            (declared.BOOK_UNREALIZED, books.unrealized_pnl),
            (declared.BOOK_DRAWDOWN, books.drawdown),
        ):
            found[each] = [((), float(value))]
    if facts.reconciled is not None:
        found[declared.BOOK_RECONCILED] = [((), facts.reconciled)]
    trips = view.record.trips.closed
    won = sum(trip.pnl > 0 for trip in trips)
    found[declared.ROUND_TRIPS] = [(("WON",), won), (("LOST",), len(trips) - won)]


def _positions(view: DeskView, found: dict[Declared, list[Sample]]) -> None:
    lines = view.position_lines
    found[declared.POSITIONS_OPEN] = [((), sum(not line.is_dust for line in lines))]
    for line in lines:
        name = (line.instrument,)
        found[declared.POSITION_QTY].append((name, float(line.signed_qty)))
        found[declared.POSITION_ENTRY].append((name, float(line.avg_entry_px)))
        if line.mark_px is not None and line.unrealized_pnl is not None:
            found[declared.POSITION_NOTIONAL].append((name, float(abs(line.signed_qty) * line.mark_px)))
            found[declared.POSITION_UNREALIZED].append((name, float(line.unrealized_pnl)))


def _trading(view: DeskView, found: dict[Declared, list[Sample]]) -> None:
    facts, orders, tally = view.standing.facts, view.standing.orders, view.model_tally
    found[declared.TRADING_STATE] = _one_of(STATES, facts.trading_state)
    if facts.feed_state:
        states = _one_of(FEED_STATES, facts.feed_state)
        found[declared.VENUE_STATE] = [((facts.feed_venue, *state), value) for state, value in states]
    found[declared.ORDERS_RESTING] = [((name,), getattr(orders, name)) for name in RESTING]
    found[declared.ORDERS_ENDED] = [((name,), getattr(orders, name)) for name in ENDINGS]
    found[declared.VERDICTS] = [(("APPROVED",), orders.approved), (("DENIED",), orders.denied)]
    judged = (("JUDGED",), tally.asked - tally.failed), (("FAILED",), tally.failed)
    found[declared.MODEL_JUDGEMENTS] = list(judged) if tally.asked else []


def _one_of(states: Iterable[str], now: str) -> list[Sample]:
    """1 for the state that is, 0 for the others."""
    return [((state,), state == now) for state in states]
