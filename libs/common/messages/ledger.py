"""What the ledger says: postings, positions, equity. All money is Decimal."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

import msgspec

from libs.common.messages.base import Count, Instant, Message


class Posting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a journal entry: `amount` of `asset` is debited (> 0) or credited (< 0) to `account`."""

    account: str
    asset: str
    amount: Decimal


class JournalPosted(Message, frozen=True, kw_only=True, tag="journal_posted.v2"):
    """A journal entry: its postings sum to zero in every asset. `source_id` is the exec_id or balance it books.

    It is number `number` of the chain, from 1 on; `digest` (SHA-256, hex) is that of its content and of `previous`, the digest of the entry
    before it (libs/trading/journal.py). 0 and "": it was booked before there was a chain.
    """

    said_by: ClassVar[str] = "ledger"
    suffix: ClassVar[str] = "entry"

    entry_id: str
    kind: Literal["OPENING", "FILL", "ADJUSTMENT"]
    source_id: str
    instrument: str
    postings: tuple[Posting, ...]
    memo: str
    number: Count
    previous: str
    digest: str


class JournalHeadDeclared(Message, frozen=True, kw_only=True, tag="journal_head.v1"):
    """Where the journal's chain ended when a UTC day ended: whoever keeps `digest` and `number` can prove what stood before.

    `day` (2026-11-25) ended at `day_end` (ns). `equity` is what was owned at the marks of that moment, in `quote` (None: not known); it was last
    said at `equity_ts`.
    """

    said_by: ClassVar[str] = "ledger"
    suffix: ClassVar[str] = "head"

    day: str
    day_end: Instant
    number: Count
    digest: str
    quote: str
    equity_ts: Instant
    equity: Decimal | None


class PositionChanged(Message, frozen=True, kw_only=True, tag="position_changed.v1"):
    """Where we stand in one instrument after a fill. `signed_qty` is in base currency, PnL in quote currency."""

    said_by: ClassVar[str] = "ledger"
    suffix: ClassVar[str] = "position.{instrument}"

    instrument: str
    signed_qty: Decimal
    avg_entry_px: Decimal
    realized_pnl: Decimal
    commission: Decimal
    exec_id: str
    cl_ord_id: str


class EquityChanged(Message, frozen=True, kw_only=True, tag="equity_changed.v1"):
    """Cash plus positions at the latest marks, in quote currency. `drawdown` is a fraction >= 0 of the high-water mark."""

    said_by: ClassVar[str] = "ledger"
    suffix: ClassVar[str] = "equity"

    balance: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    high_water_mark: Decimal
    drawdown: Decimal


class ProjectionBreakerChanged(Message, frozen=True, kw_only=True, tag="projection_breaker.v1"):
    """The breaker before the ledger's database moved: while it is OPEN the tables lag, and trading goes on."""

    said_by: ClassVar[str] = "ledger"
    suffix: ClassVar[str] = "projection"
    is_source: ClassVar[bool] = True

    state: Literal["CLOSED", "OPEN", "HALF_OPEN"]
    reason: str
    retry_at: Instant
