"""The ledger decides what to book. It never talks to a venue and never corrects itself.

    CapitalMoved   → JournalPosted(ADJUSTMENT) → EquityChanged, the high-water mark moved with it
    ProjectionBreakerChanged   from its own adapter: AlertRaised when the tables begin to lag, and when they no longer do
    Reconciled     the first clean one with balances → JournalPosted(OPENING) → EquityChanged; a later one is compared with the
                   books: AlertRaised(BALANCE_MISMATCH), and nothing is changed
    TRADE report   once for every exec_id → JournalPosted(FILL) → PositionChanged → EquityChanged; the same report again is
                   ignored, another content under the same exec_id is refused
    FeedStatus     which currency the book is valued in, and which instruments value an asset
    FeedMarks      → EquityChanged, at most every `equity_interval_ns` of log time, and only when something changed

    whatever comes first in a new UTC day (a timer, where nothing else does)   → JournalHeadDeclared: where the chain ended, and what the
                   equity was, before that event is looked at

    BaselineDeclared   from then on whatever is measured is held against it → AlertRaised when a metric has drifted (watch.py)

Every entry is chained to the one before it (libs/trading/journal.py).

A fill's entries belong to the story of the fill's report, so that one correlation id leads from the bar to the posting.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import (
    AlertRaised,
    BaselineDeclared,
    CapitalMoved,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    Message,
    PositionChanged,
    ProjectionBreakerChanged,
    Reconciled,
)
from libs.common.money import ZERO
from libs.runtime.machine import Effect, Publish, Reject, SetTimer
from libs.trading.journal import ChainHead, next_entry
from libs.trading.positions import EXACT, FLAT, Position, avg_entry_px, exactly, fill, is_bookable
from services.ledger import watch
from services.ledger.books import Books, content_of, differences_to_tell, totals_of
from services.ledger.chart_of_accounts import assets_of, capital_postings, fill_postings, moves, opening_postings
from services.ledger.day import DAY_TIMER, declaration, next_day_end
from services.ledger.valuation import count_capital, mark_px, unvalued_assets, value

NAMED_MAX = 20
"""How many assets an alert names; a test account at a venue may hold hundreds."""


class LedgerSettings(msgspec.Struct, frozen=True):
    """What can change an output: how often equity is published while only prices move (ns of log time)."""

    equity_interval_ns: int = 5_000_000_000


class LedgerMachine:
    """The books of one portfolio."""

    Settings = LedgerSettings
    State = Books

    def __init__(self, settings: LedgerSettings):
        self.settings = settings
        self.state = Books()

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event of the log at `now` (ns)."""
        said = self._react(event, now) if now < self.state.day_end else [*self._end_day(now), *self._react(event, now)]
        return said if self.state.watch is None else [*said, *watch.alerts(self.state, event, said)]

    def _react(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, FeedMarks):
            return self._mark(event, now)
        match event:
            case ExecutionReport(exec_type="TRADE"):
                return self._fill(event, now)
            case CapitalMoved():
                return self._move_capital(event, now)
            case BaselineDeclared():
                return watch.declare(self.state, event, now)
            case ProjectionBreakerChanged():
                return self._on_projection(event)
            case FeedStatus():
                return self._learn(event, now)
            case Reconciled(balances=balances) if balances:
                return self._compare(event) if self.state.is_open else self._open(event, now)
        return []

    def _end_day(self, now: int) -> list[Effect]:
        """The books of the day that is over by `now`, once; the timer wakes us where nothing else will."""
        state = self.state
        told: list[Effect] = [Publish(declaration(state, now))] if state.day_end and state.is_open else []
        state.day_end = next_day_end(now)
        return [*told, SetTimer(DAY_TIMER, state.day_end)]

    def _enter(self, now: int, **content: Any) -> Publish:
        """A journal entry, appended to the chain."""
        entry = next_entry(self.state.head, ts_event=now, **content)
        self.state.head = ChainHead(entry.digest, entry.number)
        return Publish(entry)

    # --- opening and comparing ------------------------------------------------------------------------------------

    def _open(self, reconciled: Reconciled, now: int) -> list[Effect]:
        if not reconciled.clean:  # what nobody can explain yet must not become the opening of the books
            return []
        if not _are_bookable(reconciled):
            return [Reject("FIGURE_OUT_OF_RANGE", "a balance has more than 18 digits before or after the point")]
        postings = opening_postings(totals_of(reconciled))
        self.state.is_open = True
        self.state.move(moves(postings))
        self.state.comparison.moved = {}
        entry = self._enter(
            now,
            entry_id=derive_id("entry", "OPENING"),
            kind="OPENING",
            source_id=reconciled.id,
            instrument="",
            postings=postings,
            memo="balances at the venue when the books were opened",
        )
        return [entry, *self._equity(now, at_once=True)]

    def _compare(self, reconciled: Reconciled) -> list[Effect]:
        if not _are_bookable(reconciled):
            return [Reject("FIGURE_OUT_OF_RANGE", "a balance has more than 18 digits before or after the point")]
        totals = totals_of(reconciled)
        differences = differences_to_tell(self.state, totals)
        if not differences:
            return []
        owned = self.state.balances
        texts = [
            f"{asset}: books {exactly(owned.get(asset, ZERO)):f}, venue {totals.get(asset, ZERO):f} ({difference:+f})"
            for asset, difference in differences.items()
        ]
        text = f"the books differ from the venue's balances; nothing was adjusted. {_named(texts)}"
        return [Publish(AlertRaised(code="BALANCE_MISMATCH", severity="ticket", text=text))]

    # --- fills ----------------------------------------------------------------------------------------------------

    def _fill(self, report: ExecutionReport, now: int) -> list[Effect]:
        refusal = _unbookable(report)
        if refusal is not None:
            return [refusal]
        known = self.state.known_content(report)
        if known is not None:
            return [] if known == content_of(report) else [_contradiction(report)]
        self.state.remember(report)
        if not self.state.is_open:
            detail = f"fill {report.exec_id} of {report.instrument}: the opening balances may contain it already"
            return [Reject("BEFORE_OPENING", detail)]
        return [*self._post(report, now), *self._equity(now, at_once=True)]

    def _post(self, report: ExecutionReport, now: int) -> list[Effect]:
        side, qty, px, commission = report.side, report.last_qty, report.last_px, report.commission
        assert qty is not None
        assert px is not None
        assert commission is not None
        instrument = report.instrument
        postings = fill_postings(instrument, side, qty, px, commission, report.commission_asset)
        self.state.move(moves(postings))
        self.state.marks.setdefault(instrument, exactly(px))
        alerts = self._move_position(report, qty, px, commission)
        entry = self._enter(
            now,
            entry_id=derive_id("entry", "FILL", instrument, report.exec_id),
            kind="FILL",
            source_id=report.exec_id,
            instrument=instrument,
            postings=postings,
            memo=f"{side} {exactly(qty):f} {instrument} at {exactly(px):f}, {report.role} order {report.cl_ord_id}",
        )
        position = self.state.positions[instrument]
        return [entry, Publish(_position_changed(report, position)), *alerts]

    def _move_position(self, report: ExecutionReport, qty: Decimal, px: Decimal, commission: Decimal) -> list[Effect]:
        base, quote = _assets(report.instrument)
        asset = report.commission_asset
        alerts: list[Effect] = []
        in_base = commission if asset == base else ZERO
        in_quote = commission if asset == quote else ZERO
        if asset not in (base, quote) and not commission.is_zero():
            third_px = self.state.marks.get(f"{asset}-{quote}")
            if third_px is None:
                alerts.append(Publish(_unvalued_commission(report, commission)))
            else:
                in_quote = _valued(commission, third_px)
        before = self.state.positions.get(report.instrument, FLAT)
        self.state.positions[report.instrument] = fill(
            before, side=report.side, qty=qty, px=px, base_commission=in_base, quote_commission=in_quote
        )
        return alerts

    # --- capital --------------------------------------------------------------------------------------------------

    def _move_capital(self, moved: CapitalMoved, now: int) -> list[Effect]:
        if not moved.asset or not is_bookable(moved.amount):
            detail = f"capital needs an asset, and at most 18 digits before and after the point; told by {moved.id}"
            return [Reject("CAPITAL_UNBOOKABLE", detail)]
        if not self.state.is_open or moved.amount.is_zero():  # the opening balances, read later, contain it
            return []
        postings = capital_postings(moved.asset, moved.amount)
        self.state.move(moves(postings))
        self.state.move_capital(moved.asset, moved.amount)
        entry = self._enter(
            now,
            entry_id=derive_id("entry", "ADJUSTMENT", moved.id),
            kind="ADJUSTMENT",
            source_id=moved.id,
            instrument="",
            postings=postings,
            memo=_capital_memo(moved),
        )
        equity = self._equity(now, at_once=True) or self._name_unvalued()
        return [entry, *self._name_uncovered(moved), *equity]

    def _name_uncovered(self, moved: CapitalMoved) -> list[Effect]:
        """Positions that say more than is owned, now that some of it has been taken out."""
        owned = self.state.balances.get(moved.asset, ZERO)
        alerts: list[Effect] = []
        for instrument, position in sorted(self.state.positions.items()):
            if moved.amount > ZERO or _assets(instrument)[0] != moved.asset or position.signed_qty <= max(owned, ZERO):
                continue
            text = (
                f"{_capital_memo(moved)}: {owned:f} {moved.asset} is owned now, the position is still {position.signed_qty:f}; "
                "bring it back, or sell the rest by hand"
            )
            alerts.append(
                Publish(AlertRaised(code="POSITION_UNCOVERED", severity="ticket", text=text, instrument=instrument))
            )
        return alerts

    # --- the tables -----------------------------------------------------------------------------------------------

    def _on_projection(self, change: ProjectionBreakerChanged) -> list[Effect]:
        was, self.state.projection = self.state.projection, change.state
        if change.state == "OPEN" and was == "CLOSED":
            text = f"the SQL tables lag, trading goes on: {change.reason}"
            return [Publish(AlertRaised(code="PROJECTION_DOWN", severity="ticket", text=text))]
        if change.state == "CLOSED" and was != "CLOSED":
            text = f"the SQL tables are written again: {change.reason}"
            return [Publish(AlertRaised(code="PROJECTION_UP", severity="note", text=text))]
        return []

    # --- equity ---------------------------------------------------------------------------------------------------

    def _learn(self, status: FeedStatus, now: int) -> list[Effect]:
        quotes = list(dict.fromkeys(spec.quote for spec in status.specs))
        if len(quotes) > 1:
            return [Reject("MIXED_QUOTES", f"one book has one quote currency, {status.venue} offers {_named(quotes)}")]
        if quotes and self.state.quote and quotes[0] != self.state.quote:
            return [Reject("QUOTE_CHANGED", f"the book is in {self.state.quote}, {status.venue} offers {quotes[0]}")]
        for spec in status.specs:
            self.state.quote = spec.quote
            self.state.bases[spec.base] = spec.instrument
            self.state.qty_steps[spec.instrument] = spec.qty_step
        return self._equity(now, at_once=self.state.equity is None)

    def _mark(self, marks: FeedMarks, now: int) -> list[Effect]:
        prices = {mark.instrument: mark_px(mark) for mark in marks.marks}
        unusable = [instrument for instrument, px in prices.items() if px is None]
        self.state.marks.update({instrument: px for instrument, px in prices.items() if px is not None})
        refusals: list[Effect] = [Reject("BAD_MARK", f"no usable price for {_named(unusable)}")] if unusable else []
        if self.state.is_untouched_by(prices):
            return refusals
        return refusals + self._equity(now, at_once=self.state.equity is None)

    def _equity(self, now: int, *, at_once: bool) -> list[Effect]:
        """Publish the equity if it is due (or `at_once`), known and not what was published last."""
        state = self.state
        at_once = count_capital(state) or at_once
        if not at_once and now - state.equity_ts < self.settings.equity_interval_ns:
            return []
        equity = value(state)
        if equity is None or equity == state.equity:
            return []
        state.equity, state.equity_ts = equity, now
        told = EquityChanged(
            balance=equity.balance,
            equity=equity.equity,
            realized_pnl=equity.realized_pnl,
            unrealized_pnl=equity.unrealized_pnl,
            high_water_mark=equity.high_water_mark,
            drawdown=equity.drawdown,
        )
        return [Publish(told), *self._name_unvalued()]

    def _name_unvalued(self) -> list[Effect]:
        assets = unvalued_assets(self.state)
        news = assets != self.state.unvalued and bool(assets)
        self.state.unvalued = assets
        if not news:
            return []
        text = f"not part of the equity, because no instrument values them: {_named(assets)}"
        return [Publish(AlertRaised(code="ASSETS_UNVALUED", severity="note", text=text))]


def _unbookable(report: ExecutionReport) -> Reject | None:
    """Why this TRADE report cannot be booked, if so."""
    if assets_of(report.instrument) is None:
        return Reject("BAD_INSTRUMENT", f"{report.instrument[:80]!r} is not a BASE-QUOTE token")
    figures = (report.last_qty, report.last_px, report.commission)
    if not report.exec_id or any(figure is None for figure in figures):
        return Reject("FILL_INCOMPLETE", "a TRADE report needs exec_id, last_qty, last_px and commission")
    if not all(is_bookable(figure) for figure in figures if figure is not None):
        return Reject("FIGURE_OUT_OF_RANGE", "a figure has more than 18 digits before or after the point")
    if report.last_qty <= 0 or report.last_px <= 0:  # type: ignore[operator]  # checked above
        return Reject("FILL_INCOMPLETE", "a fill has a positive quantity and a positive price")
    if report.commission and not report.commission_asset:
        return Reject("FILL_INCOMPLETE", "a commission needs the asset it was paid in")
    return None


def _contradiction(report: ExecutionReport) -> Reject:
    detail = f"fill {report.exec_id} of {report.instrument} is booked with another content; the first one stands"
    return Reject("FILL_CONTRADICTS", detail)


def _unvalued_commission(report: ExecutionReport, commission: Decimal) -> AlertRaised:
    paid = f"{commission:f} {report.commission_asset} on fill {report.exec_id}"
    text = f"a commission of {paid} has no price: it is booked, but not part of the position's commission"
    return AlertRaised(code="COMMISSION_UNVALUED", severity="note", text=text, instrument=report.instrument)


def _position_changed(report: ExecutionReport, position: Position) -> PositionChanged:
    return PositionChanged(
        instrument=report.instrument,
        signed_qty=position.signed_qty,
        avg_entry_px=avg_entry_px(position),
        realized_pnl=position.realized_pnl,
        commission=position.commission,
        exec_id=report.exec_id,
        cl_ord_id=report.cl_ord_id,
    )


def _capital_memo(moved: CapitalMoved) -> str:
    way = "came in" if moved.amount > ZERO else "went out"
    why = "as the venue told" if moved.reason == "TRANSFER" else "as an operator accepted"
    return f"{exactly(abs(moved.amount)):f} {moved.asset[:40]} {way}, {why}"


def _are_bookable(reconciled: Reconciled) -> bool:
    return all(is_bookable(balance.free) and is_bookable(balance.locked) for balance in reconciled.balances)


def _assets(instrument: str) -> tuple[str, str]:
    assets = assets_of(instrument)
    assert assets is not None
    return assets


def _valued(commission: Decimal, px: Decimal) -> Decimal:
    with localcontext(EXACT):
        return exactly(commission * px)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more
