"""The first tables: what agents said, what was wished, judged, ordered, filled and booked, and how far the log is read.

A copy of the tables as they were at this step; `adapters/tables.py` says how they are today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.String(length=200)
MONEY = sa.Text().with_variant(sa.Numeric(), "postgresql")
FIRST = sa.MetaData()

sa.Table(
    "equity",
    FIRST,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("balance", MONEY, nullable=False),
    sa.Column("equity", MONEY, nullable=False),
    sa.Column("realized_pnl", MONEY, nullable=False),
    sa.Column("unrealized_pnl", MONEY, nullable=False),
    sa.Column("high_water_mark", MONEY, nullable=False),
    sa.Column("drawdown", MONEY, nullable=False),
    sa.PrimaryKeyConstraint("seq", name="pk_equity"),
    sa.Index("ix_equity_correlation_id", "correlation_id"),
)
sa.Table(
    "fills",
    FIRST,
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("exec_id", KEY, nullable=False),
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("cl_ord_id", KEY, nullable=False),
    sa.Column("intent_id", KEY, nullable=False),
    sa.Column("role", KEY, nullable=False),
    sa.Column("side", KEY, nullable=False),
    sa.Column("qty", MONEY, nullable=False),
    sa.Column("px", MONEY, nullable=False),
    sa.Column("commission", MONEY, nullable=False),
    sa.Column("commission_asset", KEY, nullable=False),
    sa.Column("liquidity_side", KEY, nullable=False),
    sa.PrimaryKeyConstraint("instrument", "exec_id", name="pk_fills"),
    sa.Index("ix_fills_cl_ord_id", "cl_ord_id"),
    sa.Index("ix_fills_correlation_id", "correlation_id"),
)
sa.Table(
    "intents",
    FIRST,
    sa.Column("intent_id", KEY, nullable=False),
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("side", KEY, nullable=False),
    sa.Column("ord_type", KEY, nullable=False),
    sa.Column("time_in_force", KEY, nullable=False),
    sa.Column("order_qty", MONEY, nullable=False),
    sa.Column("limit_px", MONEY, nullable=True),
    sa.Column("ref_px", MONEY, nullable=False),
    sa.Column("stop_px", MONEY, nullable=True),
    sa.Column("target_px", MONEY, nullable=True),
    sa.Column("reduce_only", sa.Boolean(), nullable=False),
    sa.Column("valid_until", sa.BigInteger(), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("intent_id", name="pk_intents"),
    sa.Index("ix_intents_correlation_id", "correlation_id"),
)
sa.Table(
    "journal_entries",
    FIRST,
    sa.Column("entry_id", KEY, nullable=False),
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("kind", KEY, nullable=False),
    sa.Column("source_id", KEY, nullable=False),
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("memo", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("entry_id", name="pk_journal_entries"),
    sa.Index("ix_journal_entries_correlation_id", "correlation_id"),
)
sa.Table(
    "orders",
    FIRST,
    sa.Column("cl_ord_id", KEY, nullable=False),
    sa.Column("intent_id", KEY, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("role", KEY, nullable=False),
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("side", KEY, nullable=False),
    sa.Column("ord_type", KEY, nullable=True),
    sa.Column("time_in_force", KEY, nullable=True),
    sa.Column("limit_px", MONEY, nullable=True),
    sa.Column("stop_px", MONEY, nullable=True),
    sa.Column("reduce_only", sa.Boolean(), nullable=True),
    sa.Column("order_qty", MONEY, nullable=False),
    sa.Column("ord_status", KEY, nullable=False),
    sa.Column("venue_order_id", KEY, nullable=False),
    sa.Column("cum_qty", MONEY, nullable=False),
    sa.Column("avg_px", MONEY, nullable=True),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("updated_seq", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("cl_ord_id", name="pk_orders"),
    sa.Index("ix_orders_correlation_id", "correlation_id"),
    sa.Index("ix_orders_intent_id", "intent_id"),
)
sa.Table(
    "positions",
    FIRST,
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("signed_qty", MONEY, nullable=False),
    sa.Column("avg_entry_px", MONEY, nullable=False),
    sa.Column("realized_pnl", MONEY, nullable=False),
    sa.Column("commission", MONEY, nullable=False),
    sa.Column("exec_id", KEY, nullable=False),
    sa.Column("cl_ord_id", KEY, nullable=False),
    sa.Column("updated_seq", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("instrument", name="pk_positions"),
    sa.Index("ix_positions_correlation_id", "correlation_id"),
)
sa.Table(
    "projection_position",
    FIRST,
    sa.Column("reader", KEY, nullable=False),
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("payload_digest", KEY, nullable=False),
    sa.PrimaryKeyConstraint("reader", name="pk_projection_position"),
)
sa.Table(
    "projection_skipped",
    FIRST,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("subject", KEY, nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("seq", name="pk_projection_skipped"),
)
sa.Table(
    "signals",
    FIRST,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("agent_id", KEY, nullable=False),
    sa.Column("end_ts", sa.BigInteger(), nullable=False),
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("timeframe", KEY, nullable=False),
    sa.Column("ready", sa.Boolean(), nullable=False),
    sa.Column("stance", KEY, nullable=False),
    sa.Column("strength", sa.Double(), nullable=False),
    sa.Column("close_px", sa.Double(), nullable=False),
    sa.Column("atr", sa.Double(), nullable=False),
    sa.Column("evidence", sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint("seq", "line", name="pk_signals"),
    sa.Index("ix_signals_correlation_id", "correlation_id"),
)
sa.Table(
    "verdicts",
    FIRST,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("intent_id", KEY, nullable=False),
    sa.Column("verdict", KEY, nullable=False),
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("side", KEY, nullable=False),
    sa.Column("order_qty", MONEY, nullable=False),
    sa.Column("reasons", sa.JSON(), nullable=False),
    sa.Column("checks", sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint("seq", name="pk_verdicts"),
    sa.Index("ix_verdicts_correlation_id", "correlation_id"),
    sa.Index("ix_verdicts_intent_id", "intent_id"),
)
sa.Table(
    "postings",
    FIRST,
    sa.Column("entry_id", KEY, nullable=False),
    sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("account", KEY, nullable=False),
    sa.Column("asset", KEY, nullable=False),
    sa.Column("amount", MONEY, nullable=False),
    sa.ForeignKeyConstraint(["entry_id"], ["journal_entries.entry_id"], name="fk_postings_entry_id"),
    sa.PrimaryKeyConstraint("entry_id", "line", name="pk_postings"),
    sa.Index("ix_postings_account", "account"),
)


def upgrade() -> None:
    """Create every table."""
    FIRST.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """Drop them again; their content is in the log."""
    FIRST.drop_all(op.get_bind(), checkfirst=False)
