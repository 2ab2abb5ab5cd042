"""Who may do what in Postgres, made from the tables.

    owner             makes and changes the tables (`bulkhead ledger migrate`), and is nobody the ledger runs as
    bulkhead_ledger   reads and inserts everywhere; changes only what says how things stand; cannot delete, empty or make a table
    bulkhead_reader   reads

Beside the roles, triggers of migration 0002 refuse to change or delete facts, whoever asks: in SQLite too, which has no roles.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine, text

from services.ledger.adapters.tables import CHANGING, FACTS

LEDGER = "bulkhead_ledger"
READER = "bulkhead_reader"
ROLES = (LEDGER, READER)
VIEWS = ("fill_slippage",)


def role_statements() -> Iterator[str]:
    """The SQL that makes both roles and grants them what they may, for the schema the owner works in; can be run again."""
    for role in ROLES:
        missing = f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"  # nosec B608  # a role of ROLES
        yield f"DO $$ BEGIN {missing} THEN CREATE ROLE {role} NOLOGIN; END IF; END $$"
    every = ", ".join(sorted(table.name for table in (*FACTS, *CHANGING)))
    facts = ", ".join(sorted(table.name for table in FACTS))
    changing = ", ".join(sorted(table.name for table in CHANGING))
    readable = ", ".join([every, "alembic_version", *VIEWS])
    yield f"REVOKE ALL ON {readable} FROM PUBLIC, {', '.join(ROLES)}"
    yield f"GRANT SELECT ON {readable} TO {', '.join(ROLES)}"
    yield f"GRANT INSERT ON {facts} TO {LEDGER}"
    yield f"GRANT INSERT, UPDATE ON {changing} TO {LEDGER}"


def grant_roles(engine: Engine) -> None:
    """Run them as the owner. The tables must be there.

    Raises:
        SQLAlchemyError: the database refuses; nothing was granted.
    """
    with engine.begin() as connection:
        for statement in role_statements():
            connection.execute(text(statement))
