"""On which tables this code can run: those it makes itself, and newer ones that have only been added to.

A release that is rolled back finds the tables of its successor, of which it has no migration. So a revision says by its name what it asks of the code:

    0003_needs_0002   the tables of step 3; whoever knows those of step 2 can read and write them, without knowing what was added
    0005_needs_0005   a contract: what older code used is gone, and only who knows step 5 may come near

The name is all that older code sees, in `alembic_version`, and all it needs. docs/MIGRATIONS.md has the rule; a test holds every migration to it.
"""

from __future__ import annotations

import re
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent.parent / "migrations"
_NAMED = re.compile(r"(\d{4})(?:_needs_(\d{4}))?")


class SchemaTooNew(Exception):
    """The tables are of a later version that this code must not touch; nothing was read or written."""


def newest_revision(migrations: Path = MIGRATIONS) -> str:
    """The revision of the tables that this code makes."""
    revision = ScriptDirectory(str(migrations)).get_current_head()
    assert revision is not None
    return revision


def revision_in(connection: Connection) -> str:
    """The revision of the tables that are there; "" without any, several joined by "and" where branches were never joined."""
    return " and ".join(sorted(MigrationContext.configure(connection).get_current_heads()))


def is_later(found: str, migrations: Path = MIGRATIONS) -> bool:
    """Whether tables at `found` were made by code that is not at hand: none of its own steps is called so."""
    known = {script.revision for script in ScriptDirectory(str(migrations)).walk_revisions()}
    return found != "" and found not in known


def fits(found: str, newest: str) -> bool:
    """Whether code whose newest tables are `newest` can run on tables at `found`."""
    if found == newest:
        return True
    named, ours = _NAMED.fullmatch(found), _NAMED.fullmatch(newest)
    if named is None or ours is None or named[2] is None:
        return False
    return int(named[2]) <= int(ours[1]) < int(named[1])


def refuse_too_new(found: str, newest: str) -> None:
    """Return if this code can run on tables at `found`, which are later than its own.

    Raises:
        SchemaTooNew
    """
    if not fits(found, newest):
        raise SchemaTooNew(
            f"the tables are at {found}, this code knows {newest} and cannot run on them: what it uses is gone, or is not what it was."
            " Run the release that made them, or let this one fill an empty database from the log (docs/ROLLBACK.md)"
        )
