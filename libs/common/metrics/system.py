"""What the gateway says as the one reader of the whole log: of the book, of trading, of everybody else, and of the room that is left.

Nothing here is a 0 that nobody has measured: what is not known has no series.
"""

from __future__ import annotations

from libs.common.metrics.declared import INSTRUMENT, Label, counter, gauge

_GATEWAY = ("gateway",)
_CODE = Label("code", "the code in libs/common/alerts.py, or `other`")
_SEVERITY = Label("severity", "how grave", ("page", "ticket", "note"))
_NAME = Label("name", "the service that is looked at")

BOOK_EQUITY = gauge(
    "book_equity_quote",
    "quote",
    "cash and positions at the latest marks",
    by=_GATEWAY,
    reading="the portfolio's value over time",
)
BOOK_CASH = gauge(
    "book_cash_quote",
    "quote",
    "what is not in a position",
    by=_GATEWAY,
    reading="against the equity: how much is invested",
)
BOOK_REALIZED = gauge(
    "book_realized_pnl_quote",
    "quote",
    "profit of what was sold, before commissions",
    by=_GATEWAY,
    reading="a step is an exit",
)
BOOK_UNREALIZED = gauge(
    "book_unrealized_pnl_quote",
    "quote",
    "profit of what is held, at the latest marks",
    by=_GATEWAY,
    reading="moves with the market",
)
BOOK_DRAWDOWN = gauge(
    "book_drawdown_ratio",
    "ratio",
    "how far the equity is below its high-water mark",
    by=_GATEWAY,
    reading="against `bulkhead_risk_drawdown_limit_ratio`",
)
BOOK_RECONCILED = gauge(
    "book_reconciled",
    "state",
    "1 if orders and holdings agreed with the venue's account when they were compared last",
    by=_GATEWAY,
    reading="0: nothing is entered; absent: they were not compared yet",
)
ROUND_TRIPS = counter(
    "round_trips_total",
    "trades from flat to flat, net of everything they cost",
    Label("outcome", "what came of it", ("WON", "LOST")),
    by=_GATEWAY,
    reading="`WON` of both is the win rate, since the log began",
)
POSITIONS_OPEN = gauge(
    "positions_open",
    "",
    "instruments that are held; too little to be sold is not a position",
    by=_GATEWAY,
    reading="against BULKHEAD_RISK_POSITIONS_MAX",
)
POSITION_QTY = gauge(
    "position_qty_base", "base", "what is held; below 0: owed", INSTRUMENT, by=_GATEWAY, reading="absent: flat"
)
POSITION_ENTRY = gauge(
    "position_entry_quote", "quote", "the average price of the entry", INSTRUMENT, by=_GATEWAY, reading="absent: flat"
)
POSITION_NOTIONAL = gauge(
    "position_notional_quote",
    "quote",
    "what the position is worth at the middle",
    INSTRUMENT,
    by=_GATEWAY,
    reading="absent: flat, or no price",
)
POSITION_UNREALIZED = gauge(
    "position_unrealized_pnl_quote",
    "quote",
    "its profit at the middle",
    INSTRUMENT,
    by=_GATEWAY,
    reading="absent: flat, or no price",
)
ORDERS_RESTING = gauge(
    "orders_resting",
    "",
    "orders that may still do something",
    Label("group", "where they stand", ("open", "pending", "unknown")),
    by=_GATEWAY,
    reading="`unknown` wants a person",
)
ORDERS_ENDED = counter(
    "orders_ended_total",
    "orders that have ended, and how",
    Label("ending", "how", ("filled", "canceled", "rejected", "expired")),
    by=_GATEWAY,
    reading="`rejected` is the venue's word, not ours",
)
VERDICTS = counter(
    "risk_verdicts_total",
    "intents that the gate has judged",
    Label("verdict", "how", ("APPROVED", "DENIED")),
    by=_GATEWAY,
    reading="DENIED alone for long: something stands in the way of every entry",
)
TRADING_STATE = gauge(
    "trading_state",
    "state",
    "1 for the state that trading is in",
    Label("state", "which", ("ACTIVE", "REDUCING", "HALTED")),
    by=_GATEWAY,
    reading="HALTED: the kill switch is on",
)
VENUE_STATE = gauge(
    "venue_state",
    "state",
    "1 for how the venue that tells prices is",
    Label("venue", "the venue that speaks"),
    Label("state", "which", ("LIVE", "STALE", "DOWN")),
    by=_GATEWAY,
    reading="the feed's last word; absent: it has said nothing",
)
MODEL_JUDGEMENTS = counter(
    "model_judgements_total",
    "questions that were put to a model, by what came of them",
    Label("outcome", "what", ("JUDGED", "FAILED")),
    by=_GATEWAY,
    reading="FAILED of both is the failure rate; nobody asked is not counted",
)

SERVICE_READY = gauge(
    "service_ready",
    "state",
    "1 if the service said at the last look that it can work",
    _NAME,
    by=_GATEWAY,
    reading="0: down, or it says why not on /readyz",
)
SERVICE_ANSWERED = gauge(
    "service_answered_timestamp_seconds",
    "timestamp",
    "when the service answered last",
    _NAME,
    by=_GATEWAY,
    reading="`time() -` it is the age of its last sign of life; absent: it never answered this gateway",
)
SERVICE_STARTS = counter(
    "service_starts_total",
    "starts of a service, as the log counts them",
    _NAME,
    by=_GATEWAY,
    reading="`increase()` finds a crash loop",
)
ALERTS_RAISED = counter(
    "alerts_raised_total",
    "alerts that stand in the log",
    _CODE,
    _SEVERITY,
    by=_GATEWAY,
    reading="`increase()` by `code`: what people were told",
)
ALERTS_OPEN = gauge(
    "alerts_open",
    "",
    "troubles that were told and whose end was not, of those whose end is told",
    _CODE,
    _SEVERITY,
    by=_GATEWAY,
    reading="1: still there; of alerts without an end nothing is said here",
)
BACKUP_AT = gauge(
    "backup_timestamp_seconds",
    "timestamp",
    "when the newest backup was made",
    by=_GATEWAY,
    reading="`time() -` it is its age; absent: none was ever made",
)
RESTORE_PROVEN_AT = gauge(
    "restore_proven_timestamp_seconds",
    "timestamp",
    "when a backup was last seen to come back",
    by=_GATEWAY,
    reading="`time() -` it is its age; absent: backups are not drilled",
)
BUS_STORE = gauge(
    "bus_store_bytes",
    "bytes",
    "what the bus has stored",
    by=_GATEWAY,
    reading="against `bulkhead_bus_store_limit_bytes`",
)
BUS_STORE_LIMIT = gauge(
    "bus_store_limit_bytes",
    "bytes",
    "what the bus may store",
    by=_GATEWAY,
    reading="at the limit nothing can be written and trading stops",
)
DISK_FREE = gauge(
    "disk_free_bytes",
    "bytes",
    "what is free on the disk with the state folder",
    by=_GATEWAY,
    reading="against `bulkhead_disk_size_bytes`",
)
DISK_SIZE = gauge(
    "disk_size_bytes", "bytes", "the size of the disk with the state folder", by=_GATEWAY, reading="the whole"
)
CLOCK_OFFSET = gauge(
    "clock_offset_seconds",
    "seconds",
    "by how much our clock is ahead of the log server's",
    by=_GATEWAY,
    reading="to half a round trip; absent on a simulated market's clock",
)
