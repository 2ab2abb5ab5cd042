"""The books: what is remembered between two events, and how a fill, an opening and a comparison change it. Pure.

Three questions had to be decided, and are tested:

* **A fill before the opening entry** is refused (`BEFORE_OPENING`). The opening balances are read at the venue, so they already
  contain every fill the venue booked before; posting it too would count it twice, and we cannot know which fills came
  before. The refusal is loud (an alert and a copy in DEAD), because the gate denies every entry until the books are open:
  whoever traded then was not us. Its `exec_id` is remembered, so that it cannot slip in later.
* **exec_ids are remembered for ever**, in a dict per instrument (trade ids are unique per instrument only). A high-water mark
  would be smaller, but not every venue's ids are ordered, and fills do arrive out of order. The price is about 40 bytes a fill in the
  snapshot (an id and 16 hex characters of its content): 100,000 fills are 4 MB.
* **Capital** (`CapitalMoved`) changes what is owned, and nothing that fills have made: an open position keeps its quantity, its cost and so its
  average price. A deposit of base currency is no entry, as what was owned at the opening was none; a withdrawal is no exit, and realises nothing.
  Where less is owned afterwards than the position says, people are told; nobody guesses at what price it was "closed". The high-water mark moves
  with the capital (`valuation`). Before the opening it is passed over: the opening balances are read later and contain it.
* **A difference to the venue's balances** is told, never booked. A balance that moved since the last comparison may have been read
  before its last fill, so there a difference must be seen twice, unchanged, before it is told; then it is told once.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Literal

import msgspec

from libs.common.ids import derive_id
from libs.common.messages import ExecutionReport, Reconciled
from libs.common.money import ZERO, plain
from libs.trading.drift import Watch
from libs.trading.journal import ChainHead
from libs.trading.positions import EXACT, Position, exactly

CONTENT_CHARS = 16


class Equity(msgspec.Struct, frozen=True):
    """The last published valuation, in quote currency."""

    balance: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    high_water_mark: Decimal
    drawdown: Decimal


class Comparison(msgspec.Struct):
    """What is known of differences between books and venue, by asset.

    `moved` since the last comparison; `doubted`: seen once, in a balance that had moved; `told`: the difference people know of.
    """

    moved: dict[str, bool] = {}
    doubted: dict[str, Decimal] = {}
    told: dict[str, Decimal] = {}


class Books(msgspec.Struct):
    """Everything the ledger remembers.

    `bases` are the instruments that can value an asset, by base currency; `quote` is the currency of all PnL. `marks` are mid
    prices by instrument, or the first fill's price until one is seen. `exec_ids` maps instrument and exec_id to the fill's content. `uncounted` is
    capital, by asset, that has moved and has had no price since: the high-water mark has yet to follow it. `projection` is how the breaker before
    the database stands. `head` is where the journal's chain ends; `day_end` is when the current UTC day ends (ns).
    `qty_steps` are the smallest quantities of instruments; `watch` is the regression watch, if a baseline is declared.
    """

    is_open: bool = False
    quote: str = ""
    bases: dict[str, str] = {}
    balances: dict[str, Decimal] = {}
    positions: dict[str, Position] = {}
    marks: dict[str, Decimal] = {}
    exec_ids: dict[str, dict[str, str]] = {}
    comparison: Comparison = msgspec.field(default_factory=Comparison)
    equity: Equity | None = None
    equity_ts: int = 0
    unvalued: list[str] = []
    uncounted: dict[str, Decimal] = {}
    projection: Literal["CLOSED", "OPEN", "HALF_OPEN"] = "CLOSED"
    head: ChainHead = ChainHead()
    day_end: int = 0
    qty_steps: dict[str, Decimal] = {}
    watch: Watch | None = None

    def move(self, changes: Mapping[str, Decimal]) -> None:
        """Add `changes` to what we own."""
        with localcontext(EXACT):
            for asset, change in changes.items():
                self.balances[asset] = plain(self.balances.get(asset, ZERO) + change)
                self.comparison.moved[asset] = True

    def is_untouched_by(self, prices: Mapping[str, object]) -> bool:
        """Whether new `prices` (by instrument) change nothing that is owned, with an equity that is known and no capital waiting."""
        if self.equity is None or self.uncounted:
            return False
        for asset, amount in self.balances.items():
            if asset != self.quote and not amount.is_zero() and self.bases.get(asset) in prices:
                return False
        return not any(name in prices and position.signed_qty for name, position in self.positions.items())

    def move_capital(self, asset: str, amount: Decimal) -> None:
        """Add to `uncounted`; what sums to nothing is forgotten."""
        with localcontext(EXACT):
            waiting = plain(self.uncounted.get(asset, ZERO) + amount)
        self.uncounted.pop(asset, None)
        if not waiting.is_zero():
            self.uncounted[asset] = waiting

    def known_content(self, report: ExecutionReport) -> str | None:
        """The content under which this exec_id was seen before; None if it is new."""
        return self.exec_ids.get(report.instrument, {}).get(report.exec_id)

    def remember(self, report: ExecutionReport) -> None:
        """Remember this exec_id and its content, for ever."""
        self.exec_ids.setdefault(report.instrument, {})[report.exec_id] = content_of(report)


def content_of(report: ExecutionReport) -> str:
    """A digest of what a fill says: two reports of one execution must agree on it."""
    figures = (
        exactly(value) if value is not None else "" for value in (report.last_qty, report.last_px, report.commission)
    )
    texts = (str(figure) for figure in figures)
    return derive_id("fill", report.cl_ord_id, report.side, *texts, report.commission_asset)[:CONTENT_CHARS]


def totals_of(reconciled: Reconciled) -> dict[str, Decimal]:
    """What the venue says we own, free and locked, by asset."""
    totals: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for balance in reconciled.balances:
            totals[balance.asset] = plain(totals.get(balance.asset, ZERO) + balance.free + balance.locked)
    return totals


def differences_to_tell(books: Books, totals: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Venue minus books, by asset, for every difference that is proven and not yet told; forgets those that are gone."""
    seen = books.comparison
    found: dict[str, Decimal] = {}
    with localcontext(EXACT):
        for asset in sorted({**books.balances, **totals}):
            difference = plain(totals.get(asset, ZERO) - books.balances.get(asset, ZERO))
            if not difference.is_zero():
                found[asset] = difference
    proven = {
        asset: difference
        for asset, difference in found.items()
        if asset not in seen.moved or seen.doubted.get(asset) == difference
    }
    news = {asset: difference for asset, difference in proven.items() if seen.told.get(asset) != difference}
    still_told = {asset: difference for asset, difference in seen.told.items() if asset in found}
    seen.told = {**still_told, **proven}
    seen.doubted = {asset: difference for asset, difference in found.items() if asset not in proven}
    seen.moved = {}
    return news
