"""A migration adds; what it takes away is what nobody uses since a release that is named. And which tables code can run on."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from libs.runtime.adapter import LogEntry
from services.ledger.adapters.database import migrate, newest_revision, open_engine, revision_of
from services.ledger.adapters.record import Record
from services.ledger.adapters.schema import MIGRATIONS, SchemaTooNew, fits
from tests.e2e.ledger.databases import Databases, LocalPostgres, SqliteFiles, content, store
from tests.e2e.ledger.migration_rule import BEFORE_THE_RULE, planted, step, verdicts

NEXT = "0003_needs_0002"
ADDS = {
    "a column that may be empty": "op.add_column('fills', sa.Column('note', sa.Text(), nullable=True))",
    "a column with a default": "op.add_column('fills', sa.Column('n', sa.Integer(), nullable=False, server_default='0'))",
    "a table": "op.create_table('notes', sa.Column('seq', sa.BigInteger(), primary_key=True))",
    "an index": "op.create_index('ix_fills_side', 'fills', ['side'])",
    "a view": "op.execute('CREATE VIEW cheap AS SELECT instrument FROM fills')",
}
TAKES = {
    "a column is dropped": ("op.drop_column('fills', 'liquidity_side')", "fills.liquidity_side is gone"),
    "a column must be given": (
        "op.execute('DROP VIEW fill_slippage'); op.drop_table('fills');"
        " op.create_table('fills', sa.Column('note', sa.Text(), nullable=False))",
        "fills.note must be given",
    ),
    "a table is dropped": ("op.drop_table('signals')", "table signals is gone"),
    "a table is renamed": ("op.rename_table('equity', 'equities')", "table equity is gone"),
    "a view is dropped": ("op.execute('DROP VIEW fill_slippage')", "view fill_slippage is gone"),
    "an index that forbids": (
        "op.create_index('one', 'equity', ['ts_event'], unique=True)",
        "unique ['ts_event'] is new",
    ),
}


def test_our_own_migrations_keep_the_rule(local_postgres: LocalPostgres) -> None:
    """Every step since the rule is named for what it needs, and takes nothing away without saying so."""
    assert verdicts(local_postgres.new()) == {
        each.revision: []
        for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions()
        if each.revision not in BEFORE_THE_RULE
    }


@pytest.mark.parametrize("name", ADDS)
def test_what_only_adds_passes(name: str, databases: Databases, tmp_path: Path) -> None:
    """Older code does not see it."""
    assert verdicts(databases.new(), planted(tmp_path / "migrations", NEXT, ADDS[name])) == {NEXT: []}


@pytest.mark.parametrize("name", TAKES)
def test_what_takes_away_is_refused(name: str, databases: Databases, tmp_path: Path) -> None:
    """Under the name of one that adds."""
    upgrade, expected = TAKES[name]
    (found,) = verdicts(databases.new(), planted(tmp_path / "migrations", NEXT, upgrade)).values()
    assert any(expected in each for each in found), found


def test_a_contract_says_so_and_since_when(tmp_path: Path) -> None:
    """It needs its own step, and names the release since which nobody uses what goes; without either it is refused."""
    files, drop = SqliteFiles(tmp_path), "op.drop_column('fills', 'liquidity_side')"
    said = planted(tmp_path / "said", "0003_needs_0003", drop, "0.3.0: nobody reads fills.liquidity_side")
    unsaid = planted(tmp_path / "unsaid", "0003_needs_0003", drop)
    raised = planted(tmp_path / "raised", "0003_needs_0001", "pass")
    unnamed = planted(tmp_path / "unnamed", "0003", "pass")
    assert verdicts(files.new(), said) == {"0003_needs_0003": []}
    for folder, word in ((unsaid, "CONTRACT"), (raised, "predecessor needs: 0002"), (unnamed, "NNNN_needs_NNNN")):
        (found,) = verdicts(files.new(), folder).values()
        assert any(word in each for each in found), found


def test_this_code_books_on_tables_that_were_only_added_to(
    databases: Databases, tmp_path: Path, log: list[LogEntry]
) -> None:
    """After a rollback: it leaves the later tables as they are, fills those it knows, reads them, and is all the same."""
    url = databases.new()
    step(url, planted(tmp_path / "migrations", NEXT, ADDS["a column that may be empty"]))
    store(url, log, batch=50)
    engine = open_engine(url)
    assert revision_of(engine) == NEXT
    engine.dispose()
    plain = SqliteFiles(tmp_path).new()
    store(plain, log, batch=50)
    assert content(url) == content(plain)
    with Record(url) as record:
        assert record.position() == log[-1].seq


@pytest.mark.parametrize("revision", ["0003_needs_0003", "0009_needs_0004", "9999", "0003_then_0002"])
def test_this_code_refuses_tables_whose_contract_has_passed(
    revision: str, databases: Databases, tmp_path: Path
) -> None:
    """What it uses is gone, or nobody can say: it reads and writes nothing, and its words name both versions."""
    url = databases.new()
    step(url, planted(tmp_path / "migrations", revision, "op.drop_column('fills', 'liquidity_side')"))
    engine = open_engine(url)
    with pytest.raises(SchemaTooNew, match=f"the tables are at {revision}, this code knows {newest_revision()}"):
        migrate(engine)
    assert revision_of(engine) == revision
    engine.dispose()


def test_which_tables_fit() -> None:
    """As far as the name reaches: own ones, later ones that need no more, and nothing else."""
    assert [fits(found, "0003_needs_0002") for found in ("0003_needs_0002", "0004_needs_0003", "0007_needs_0002")] == [
        True
    ] * 3
    assert [fits(found, "0003_needs_0002") for found in ("0004_needs_0004", "0002", "", "0003 and 0004")] == [False] * 4
