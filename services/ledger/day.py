"""The end of a UTC day: what the ledger declares of its journal then. Pure.

The declaration is made before the first event of the new day is looked at, so a ledger that was down at midnight and catches up says the same
as one that was awake. Days in which nothing at all was heard are not made up afterwards: one declaration stands for all of them, and `equity_ts` says
since when nothing had changed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from libs.common.messages import JournalHeadDeclared
from libs.common.timeframe import DAY, SECOND
from services.ledger.books import Books
from services.ledger.valuation import value

DAY_TIMER = "day-end"


def next_day_end(now: int) -> int:
    """The first 00:00 UTC after `now` (ns)."""
    return now // DAY * DAY + DAY


def declaration(books: Books, now: int) -> JournalHeadDeclared:
    """What stood in the books when the last UTC day before `now` ended."""
    day_end = now // DAY * DAY
    valued = value(books)
    return JournalHeadDeclared(
        day=datetime.fromtimestamp((day_end - DAY) // SECOND, UTC).strftime("%Y-%m-%d"),
        day_end=day_end,
        number=books.head.number,
        digest=books.head.digest,
        quote=books.quote,
        equity_ts=books.equity_ts,
        equity=None if valued is None else valued.equity,
    )
