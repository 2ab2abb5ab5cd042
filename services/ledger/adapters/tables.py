"""The tables of the projection. They repeat what the log says, for people and reports; nothing is decided from them.

Every row can be made again from the log. Facts (`fills`, `postings`, `equity`, ...) are inserted once and never changed; `orders`
and `positions` say how things stand and are overwritten by newer facts only (`updated_seq`). `seq` is the place in the log,
`ts_event` nanoseconds UTC. `projection_position` is committed together with the rows it stands for.

Money is exact: NUMERIC in Postgres, text in SQLite, whose own numbers are floats.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

EXPONENT_MAX = 100
KEY_CHARS_MAX = 200


def checked_money(value: Decimal) -> None:
    """Refuse what would become millions of digits.

    Raises:
        ValueError
    """
    if not value.is_finite() or abs(value.adjusted()) > EXPONENT_MAX:
        raise ValueError("a money figure is out of range")


class Money(TypeDecorator[Decimal]):
    """An exact decimal number, with the digits it had in the log."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC where the database has exact numbers, else text."""
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Decimal | str | None:
        """Refuses what would become millions of digits (1E+999999 is short in JSON)."""
        if value is None:
            return None
        checked_money(value)
        return value if dialect.name == "postgresql" else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """A Decimal from either database."""
        return None if value is None else Decimal(value)


METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)


def _key(name: str, *, primary_key: bool = False, index: bool = False) -> Column[str]:
    return Column(name, String(KEY_CHARS_MAX), primary_key=primary_key, index=index, nullable=False)


def _seq(*, primary_key: bool = False) -> Column[int]:
    return Column("seq", BigInteger, primary_key=primary_key, autoincrement=False, nullable=False)


def _story() -> tuple[Column[Any], Column[Any]]:
    return Column("ts_event", BigInteger, nullable=False), _key("correlation_id", index=True)


def _money(name: str, *, nullable: bool = False) -> Column[Decimal]:
    return Column(name, Money, nullable=nullable)


SIGNALS = Table(
    "signals",
    METADATA,
    _seq(primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    *_story(),
    _key("agent_id"),
    Column("end_ts", BigInteger, nullable=False),
    _key("instrument"),
    _key("timeframe"),
    Column("ready", Boolean, nullable=False),
    _key("stance"),
    Column("strength", Double, nullable=False),
    Column("close_px", Double, nullable=False),
    Column("atr", Double, nullable=False),
    Column("evidence", JSON, nullable=False),
)

INTENTS = Table(
    "intents",
    METADATA,
    _key("intent_id", primary_key=True),
    _seq(),
    *_story(),
    _key("instrument"),
    _key("side"),
    _key("ord_type"),
    _key("time_in_force"),
    _money("order_qty"),
    _money("limit_px", nullable=True),
    _money("ref_px"),
    _money("stop_px", nullable=True),
    _money("target_px", nullable=True),
    Column("reduce_only", Boolean, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

VERDICTS = Table(
    "verdicts",
    METADATA,
    _seq(primary_key=True),
    *_story(),
    _key("intent_id", index=True),
    _key("verdict"),
    _key("instrument"),
    _key("side"),
    _money("order_qty"),
    Column("reasons", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
)

VERDICT_CHECKS = Table(
    "verdict_checks",
    METADATA,
    _seq(primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    _key("code", index=True),
    Column("passed", Boolean, nullable=False),
    Column("value", Text, nullable=False),
    Column("bound", Text, nullable=False),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    _seq(primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    *_story(),
    Column("end_ts", BigInteger, nullable=False),
    _key("mode"),
    _key("instrument"),
    _key("action"),
    Column("reason", Text, nullable=False),
    Column("size_factor", Double, nullable=False),
    Column("regime_share", Double, nullable=False),
    Column("score", Double, nullable=False),
    _key("driver"),
    Column("fallback", Text, nullable=False),
    _key("intent_id", index=True),
)

BALLOTS = Table(
    "ballots",
    METADATA,
    _seq(primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    _key("agent_id", index=True),
    _key("kind"),
    _key("stance"),
    Column("p", Double, nullable=False),
    Column("weight", Double, nullable=False),
    Column("freshness", Double, nullable=False),
    Column("size_without", Double, nullable=False),
)

JUDGEMENTS = Table(
    "judgements",
    METADATA,
    _seq(primary_key=True),
    *_story(),
    _key("proposal_id", index=True),
    _key("instrument"),
    _key("outcome"),
    Column("failure", Text, nullable=False),
    _key("expects"),
    Column("p", Double, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("why", Text, nullable=False),
    Column("flags", JSON, nullable=False),
    _key("case_id"),
    _key("key", index=True),
    _key("model"),
)

MODEL_CALLS = Table(
    "model_calls",
    METADATA,
    _seq(primary_key=True),
    *_story(),
    _key("request_id"),
    _key("key", index=True),
    _key("outcome"),
    Column("failure", Text, nullable=False),
    _key("model"),
    _key("finish"),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    _money("cost_usd"),
    Column("latency_ms", BigInteger, nullable=False),
    Column("http_status", Integer, nullable=False),
    Column("retry_after_s", Double, nullable=False),
)

ORDERS = Table(
    "orders",
    METADATA,
    _key("cl_ord_id", primary_key=True),
    _key("intent_id", index=True),
    *_story(),
    _key("role"),
    _key("instrument"),
    _key("side"),
    # what only the submission knows: empty for an order the executor found at the venue
    Column("ord_type", String(KEY_CHARS_MAX)),
    Column("time_in_force", String(KEY_CHARS_MAX)),
    _money("limit_px", nullable=True),
    _money("stop_px", nullable=True),
    Column("reduce_only", Boolean),
    _money("order_qty"),
    _key("ord_status"),
    _key("venue_order_id"),
    _money("cum_qty"),
    _money("avg_px", nullable=True),
    Column("reason", Text, nullable=False),
    Column("updated_seq", BigInteger, nullable=False),
)

FILLS = Table(
    "fills",
    METADATA,
    _key("instrument", primary_key=True),
    _key("exec_id", primary_key=True),
    _seq(),
    *_story(),
    _key("cl_ord_id", index=True),
    _key("intent_id"),
    _key("role"),
    _key("side"),
    _money("qty"),
    _money("px"),
    _money("commission"),
    _key("commission_asset"),
    _key("liquidity_side"),
)

JOURNAL_ENTRIES = Table(
    "journal_entries",
    METADATA,
    _key("entry_id", primary_key=True),
    _seq(),
    *_story(),
    _key("kind"),
    _key("source_id"),
    Column("instrument", String(KEY_CHARS_MAX), nullable=False),
    Column("memo", Text, nullable=False),
    Column("number", BigInteger, nullable=False, server_default="0"),
    Column("previous", String(KEY_CHARS_MAX), nullable=False, server_default=""),
    Column("digest", String(KEY_CHARS_MAX), nullable=False, server_default=""),
)

POSTINGS = Table(
    "postings",
    METADATA,
    Column("entry_id", String(KEY_CHARS_MAX), ForeignKey(JOURNAL_ENTRIES.c.entry_id), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    _key("account", index=True),
    _key("asset"),
    _money("amount"),
)

POSITIONS = Table(
    "positions",
    METADATA,
    _key("instrument", primary_key=True),
    *_story(),
    _money("signed_qty"),
    _money("avg_entry_px"),
    _money("realized_pnl"),
    _money("commission"),
    _key("exec_id"),
    _key("cl_ord_id"),
    Column("updated_seq", BigInteger, nullable=False),
)

EQUITY = Table(
    "equity",
    METADATA,
    _seq(primary_key=True),
    *_story(),
    _money("balance"),
    _money("equity"),
    _money("realized_pnl"),
    _money("unrealized_pnl"),
    _money("high_water_mark"),
    _money("drawdown"),
)

EQUITY_DAILY = Table(
    "equity_daily",
    METADATA,
    _seq(primary_key=True),
    *_story(),
    _key("day", index=True),
    Column("day_end", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    _key("digest"),
    _key("quote"),
    Column("equity_ts", BigInteger, nullable=False),
    _money("equity", nullable=True),
)

PROJECTION_POSITION = Table(
    "projection_position",
    METADATA,
    _key("reader", primary_key=True),
    _seq(),
    _key("payload_digest"),
)

PROJECTION_SKIPPED = Table(
    "projection_skipped",
    METADATA,
    _seq(primary_key=True),
    _key("subject"),
    Column("reason", Text, nullable=False),
)

CHANGING = (ORDERS, POSITIONS, PROJECTION_POSITION)
"""How things stand. Every other table holds facts: its rows are inserted once, and the database refuses to change or delete them."""
FACTS = tuple(table for table in METADATA.sorted_tables if table not in CHANGING)
