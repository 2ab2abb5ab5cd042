"""The chain of the journal, what led to a decision, model calls, equity by day; facts that cannot be changed.

A database that was filled before lacks the new tables' rows up to where it stands. So the position is forgotten: the projection reads the log from
its beginning once more, what is there already is passed over, and what is missing is added. No row is deleted. Entries that stand there were
booked before there was a chain, and what the new columns say of them (0 and "") is what the log says too.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.String(length=200)
MONEY = sa.Text().with_variant(sa.Numeric(), "postgresql")
SECOND = sa.MetaData()
FACTS = (
    "ballots",
    "decisions",
    "equity",
    "equity_daily",
    "fills",
    "intents",
    "journal_entries",
    "judgements",
    "model_calls",
    "postings",
    "projection_skipped",
    "signals",
    "verdict_checks",
    "verdicts",
)
REFUSAL = "rows of this table are facts: they are never changed or deleted"

sa.Table(
    "ballots",
    SECOND,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("agent_id", KEY, nullable=False),
    sa.Column("kind", KEY, nullable=False),
    sa.Column("stance", KEY, nullable=False),
    sa.Column("p", sa.Double(), nullable=False),
    sa.Column("weight", sa.Double(), nullable=False),
    sa.Column("freshness", sa.Double(), nullable=False),
    sa.Column("size_without", sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint("seq", "line", "place", name="pk_ballots"),
    sa.Index("ix_ballots_agent_id", "agent_id"),
)
sa.Table(
    "decisions",
    SECOND,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("end_ts", sa.BigInteger(), nullable=False),
    sa.Column("mode", KEY, nullable=False),
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("action", KEY, nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("size_factor", sa.Double(), nullable=False),
    sa.Column("regime_share", sa.Double(), nullable=False),
    sa.Column("score", sa.Double(), nullable=False),
    sa.Column("driver", KEY, nullable=False),
    sa.Column("fallback", sa.Text(), nullable=False),
    sa.Column("intent_id", KEY, nullable=False),
    sa.PrimaryKeyConstraint("seq", "line", name="pk_decisions"),
    sa.Index("ix_decisions_correlation_id", "correlation_id"),
    sa.Index("ix_decisions_intent_id", "intent_id"),
)
sa.Table(
    "equity_daily",
    SECOND,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("day", KEY, nullable=False),
    sa.Column("day_end", sa.BigInteger(), nullable=False),
    sa.Column("number", sa.BigInteger(), nullable=False),
    sa.Column("digest", KEY, nullable=False),
    sa.Column("quote", KEY, nullable=False),
    sa.Column("equity_ts", sa.BigInteger(), nullable=False),
    sa.Column("equity", MONEY, nullable=True),
    sa.PrimaryKeyConstraint("seq", name="pk_equity_daily"),
    sa.Index("ix_equity_daily_correlation_id", "correlation_id"),
    sa.Index("ix_equity_daily_day", "day"),
)
sa.Table(
    "judgements",
    SECOND,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("proposal_id", KEY, nullable=False),
    sa.Column("instrument", KEY, nullable=False),
    sa.Column("outcome", KEY, nullable=False),
    sa.Column("failure", sa.Text(), nullable=False),
    sa.Column("expects", KEY, nullable=False),
    sa.Column("p", sa.Double(), nullable=False),
    sa.Column("evidence", sa.JSON(), nullable=False),
    sa.Column("why", sa.Text(), nullable=False),
    sa.Column("flags", sa.JSON(), nullable=False),
    sa.Column("case_id", KEY, nullable=False),
    sa.Column("key", KEY, nullable=False),
    sa.Column("model", KEY, nullable=False),
    sa.PrimaryKeyConstraint("seq", name="pk_judgements"),
    sa.Index("ix_judgements_correlation_id", "correlation_id"),
    sa.Index("ix_judgements_key", "key"),
    sa.Index("ix_judgements_proposal_id", "proposal_id"),
)
sa.Table(
    "model_calls",
    SECOND,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("ts_event", sa.BigInteger(), nullable=False),
    sa.Column("correlation_id", KEY, nullable=False),
    sa.Column("request_id", KEY, nullable=False),
    sa.Column("key", KEY, nullable=False),
    sa.Column("outcome", KEY, nullable=False),
    sa.Column("failure", sa.Text(), nullable=False),
    sa.Column("model", KEY, nullable=False),
    sa.Column("finish", KEY, nullable=False),
    sa.Column("tokens_in", sa.BigInteger(), nullable=False),
    sa.Column("tokens_out", sa.BigInteger(), nullable=False),
    sa.Column("cost_usd", MONEY, nullable=False),
    sa.Column("latency_ms", sa.BigInteger(), nullable=False),
    sa.Column("http_status", sa.Integer(), nullable=False),
    sa.Column("retry_after_s", sa.Double(), nullable=False),
    sa.PrimaryKeyConstraint("seq", name="pk_model_calls"),
    sa.Index("ix_model_calls_correlation_id", "correlation_id"),
    sa.Index("ix_model_calls_key", "key"),
)
sa.Table(
    "verdict_checks",
    SECOND,
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("code", KEY, nullable=False),
    sa.Column("passed", sa.Boolean(), nullable=False),
    sa.Column("value", sa.Text(), nullable=False),
    sa.Column("bound", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("seq", "line", name="pk_verdict_checks"),
    sa.Index("ix_verdict_checks_code", "code"),
)

FUNCTION = f"""
CREATE FUNCTION bulkhead_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: {REFUSAL}', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""
SLIPPAGE = """
CREATE VIEW fill_slippage AS
SELECT f.instrument, f.exec_id, f.ts_event, f.role, f.side, f.intent_id, f.px, i.ref_px,
       CASE f.side WHEN 'BUY' THEN 1 ELSE -1 END * 10000.0
       * (CAST(f.px AS double precision) / CAST(i.ref_px AS double precision) - 1) AS slippage_bps
FROM fills f JOIN intents i ON i.intent_id = f.intent_id
"""


def upgrade() -> None:
    """Create what is new, guard the facts, and let the projection begin again."""
    SECOND.create_all(op.get_bind(), checkfirst=False)
    op.add_column("journal_entries", sa.Column("number", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("journal_entries", sa.Column("previous", KEY, nullable=False, server_default=""))
    op.add_column("journal_entries", sa.Column("digest", KEY, nullable=False, server_default=""))
    op.execute(SLIPPAGE)
    is_postgres = op.get_bind().dialect.name == "postgresql"
    if is_postgres:
        op.execute(FUNCTION)
    for table in FACTS:
        _guard(table, is_postgres)
    op.execute("DELETE FROM projection_position")


def downgrade() -> None:
    """Take it back; the content of what is dropped is in the log."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table in FACTS:
        if is_postgres:
            op.execute(f"DROP TRIGGER keep_rows ON {table}")
            op.execute(f"DROP TRIGGER keep_all ON {table}")
        else:
            op.execute(f"DROP TRIGGER keep_{table}_from_update")
            op.execute(f"DROP TRIGGER keep_{table}_from_delete")
    if is_postgres:
        op.execute("DROP FUNCTION bulkhead_refuse_change()")
    op.execute("DROP VIEW fill_slippage")
    for column in ("digest", "previous", "number"):
        op.drop_column("journal_entries", column)
    SECOND.drop_all(op.get_bind(), checkfirst=False)


def _guard(table: str, is_postgres: bool) -> None:
    if is_postgres:
        call = "EXECUTE FUNCTION bulkhead_refuse_change()"
        op.execute(f"CREATE TRIGGER keep_rows BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {call}")
        op.execute(f"CREATE TRIGGER keep_all BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}")
        return
    for verb in ("UPDATE", "DELETE"):
        raising = f"SELECT RAISE(ABORT, '{table}: {REFUSAL}')"
        op.execute(f"CREATE TRIGGER keep_{table}_from_{verb.lower()} BEFORE {verb} ON {table} BEGIN {raising}; END")
