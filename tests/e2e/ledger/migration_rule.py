"""What a migration may do to tables that the release before it goes on using, judged by the tables before and after it.

An expanding one adds: tables, views, columns that need not be given, indexes that forbid nothing. Whatever else is a contract, has a name that says so, and
says since which release nobody uses what it takes away.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, inspect

from services.ledger.adapters.database import open_engine
from services.ledger.adapters.schema import MIGRATIONS

BEFORE_THE_RULE = ("0001", "0002")
"""No release has ever run on less."""
_NAME = re.compile(r"(\d{4})_needs_(\d{4})")
_RELEASE = re.compile(r"\d+\.\d+\.\d+: \S.*")


class Shape(msgspec.Struct, frozen=True):
    """Tables as code that reads and writes them meets them."""

    columns: dict[str, dict[str, tuple[str, bool, bool]]]
    """By table and name: type, whether it may be null, whether it has a default."""
    demands: dict[str, set[str]]
    """What rows of a table must be like: keys, references, checks."""
    views: set[str]


def shape_of(url: URL) -> Shape:
    """The tables that are in `url` now."""
    engine = open_engine(url)
    found = inspect(engine)
    names = [name for name in found.get_table_names() if name != "alembic_version"]
    columns = {
        name: {
            each["name"]: (str(each["type"]), bool(each["nullable"]), each["default"] is not None)
            for each in found.get_columns(name)
        }
        for name in names
    }
    shape = Shape(columns, {name: _demands(found, name) for name in names}, set(found.get_view_names()))
    engine.dispose()
    return shape


def _demands(found: Any, table: str) -> set[str]:
    demands = {f"primary key {found.get_pk_constraint(table)['constrained_columns']}"}
    for each in found.get_foreign_keys(table):
        demands.add(f"reference {each['constrained_columns']} to {each['referred_table']}")
    demands |= {f"unique {each['column_names']}" for each in found.get_unique_constraints(table)}
    demands |= {f"unique {each['column_names']}" for each in found.get_indexes(table) if each["unique"]}
    return demands | {f"check {each['sqltext']}" for each in found.get_check_constraints(table)}


def taken_away(before: Shape, after: Shape) -> list[str]:
    """Every way in which `after` is not `before` with something added."""
    found = [f"view {name} is gone" for name in sorted(before.views - after.views)]
    for table, columns in before.columns.items():
        if table not in after.columns:
            found.append(f"table {table} is gone")
            continue
        for name, (kind, nullable, default) in after.columns[table].items():
            if name in columns:
                if columns[name] != (kind, nullable, default):
                    found.append(f"{table}.{name} is {kind}{'' if nullable else ' NOT NULL'}, not what it was")
            elif not (nullable or default):
                found.append(f"{table}.{name} must be given, and older code does not know it")
        found += [f"{table}.{name} is gone" for name in columns if name not in after.columns[table]]
        found += [f"{table}: {each} is new" for each in sorted(after.demands[table] - before.demands[table])]
        found += [f"{table}: {each} is gone" for each in sorted(before.demands[table] - after.demands[table])]
    return found


def offences(script: ModuleType, needs_before: int, found: list[str]) -> list[str]:
    """Why a migration that took away what `found` says must not be: its name lies, or nobody has said that it may."""
    name = _NAME.fullmatch(script.revision)
    if name is None:
        return [f"{script.revision} does not say what code must know: name it NNNN_needs_NNNN"]
    number, needs = int(name[1]), int(name[2])
    said = getattr(script, "CONTRACT", "")
    if needs == number:
        return (
            [] if _RELEASE.fullmatch(said) else [f"{script.revision} is a contract: CONTRACT = 'X.Y.Z: why' is missing"]
        )
    wrong = [f"{script.revision} takes away what older code uses: {each}" for each in found]
    if needs != needs_before:
        wrong.append(f"{script.revision} is no contract, so it needs what its predecessor needs: {needs_before:04}")
    return wrong


def verdicts(url: URL, migrations: Path = MIGRATIONS) -> dict[str, list[str]]:
    """Each step of `migrations`, taken in the empty database `url`, with what speaks against it."""
    found: dict[str, list[str]] = {}
    needs = int(BEFORE_THE_RULE[-1])
    scripts = list(reversed(list(ScriptDirectory(str(migrations)).walk_revisions())))
    for script in scripts:
        before = shape_of(url)
        step(url, migrations, script.revision)
        if script.revision in BEFORE_THE_RULE:
            continue
        found[script.revision] = offences(script.module, needs, taken_away(before, shape_of(url)))
        named = _NAME.fullmatch(script.revision)
        needs = int(named[2]) if named else needs
    return found


def step(url: URL, migrations: Path, revision: str = "head") -> None:
    """Bring the tables of `url` to a revision of `migrations`."""
    engine = open_engine(url)
    with engine.connect() as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", str(migrations))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def planted(folder: Path, revision: str, upgrade: str, contract: str = "") -> Path:
    """Our migrations in a folder of their own, and one step more, which does `upgrade`."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    said = f"CONTRACT = {contract!r}\n" if contract else ""
    (folder / "versions" / f"{revision}.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = {revision!r}\ndown_revision = {head!r}\nbranch_labels = None\ndepends_on = None\n{said}"
        f"def upgrade() -> None:\n    {upgrade}\n"
    )
    return folder
