"""SQL is written, never put together from what somebody sent: values travel beside a statement, and names are our own.

What may not be a parameter in SQL is a name (a table, a role). The few places that write one into a statement are listed with where the name comes from.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.style.tree import python_files, tree_of

SINKS = {"execute", "executemany", "exec_driver_sql", "executescript", "DDL", "copy"}
"""Calls whose first argument is, or may be, SQL; and `text`, where it is SQLAlchemy's."""
BEGINS = re.compile(
    r"\s*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|GRANT|REVOKE|TRUNCATE|MERGE|COPY|CALL|WITH|PRAGMA|SET|DO)\s+[\w\"'*({$]"
)
"""How a statement begins; capitals, as everywhere in this project, so that prose is none."""
NAMES_WRITTEN = {
    "libs/desk/index.py:_prepared": "pragmas of the function itself",
    "services/cli/deploy/opening.py:_confine": "a name quoted by the dialect, a number of the module",
    "services/cli/deploy/opening.py:_make_login": "a name quoted by the dialect, a password quoted by the server, a role of roles.py",
    "services/ledger/adapters/database.py:_patient": "milliseconds of this module, into a pragma",
    "services/ledger/adapters/roles.py:role_statements": "roles and tables of this module and of tables.py",
    "services/ledger/migrations/versions/0002_the_chain_and_the_votes.py:<module>": "a refusal of the migration's own",
    "services/ledger/migrations/versions/0002_the_chain_and_the_votes.py:_guard": "tables and verbs of the migration's own lists",
    "services/ledger/migrations/versions/0002_the_chain_and_the_votes.py:downgrade": "tables of the migration's own list",
}
"""Functions that write a name into a statement, and whose names these are."""


def built(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Functions that put SQL together, with the line: a statement that begins as SQL, or whatever is handed over as SQL, made of more than constants."""
    owners = {
        id(node): function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    sinks = SINKS | {
        "text"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        if "text" in {each.name for each in node.names}
    }
    for node in ast.walk(tree):
        handed = isinstance(node, ast.Call) and node.args and _called(node) in sinks and _is_put_together(node.args[0])
        if handed or (_is_put_together(node) and BEGINS.match(_literal_start(node))):
            yield owners.get(id(node), "<module>"), node.lineno  # type: ignore[attr-defined]


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_put_together(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr(values=values):
            return any(isinstance(each, ast.FormattedValue) for each in values)
        case ast.BinOp(op=ast.Mod() | ast.Add(), left=left, right=right):
            return any(_is_text(each) for each in (left, right))
        case ast.Call(func=ast.Attribute(value=value, attr="format" | "join" | "replace")):
            return _is_text(value)
    return False


def _is_text(node: ast.AST) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)) or _is_put_together(node)


def _literal_start(node: ast.AST) -> str:
    """The constant text at the beginning of something put together."""
    match node:
        case ast.JoinedStr(values=[ast.Constant(value=str(words)), *rest]):
            return words + ("{" if rest else "")
        case ast.BinOp(left=left):
            return _literal_start(left)
        case ast.Call(func=ast.Attribute(value=value)):
            return _literal_start(value)
        case ast.Constant(value=str(words)):
            return words
    return ""


def found() -> dict[str, list[int]]:
    """Every function that puts SQL together, with its lines."""
    places: dict[str, list[int]] = {}
    for path in python_files("libs", "services", "deploy"):
        for function, line in built(tree_of(path)):
            places.setdefault(f"{Path(path).as_posix()}:{function}", []).append(line)
    return places


def test_no_sql_is_put_together() -> None:
    """Except for names that are our own, in the functions that are listed; and each of these still does."""
    assert {place: lines for place, lines in found().items() if place not in NAMES_WRITTEN} == {}
    assert set(NAMES_WRITTEN) - set(found()) == set()


def test_the_rule_bites() -> None:
    """Each way of putting a statement together is found, and what resembles one is not."""
    for source in (
        'connection.execute(f"SELECT * FROM t WHERE id = {wanted}")',
        'from sqlalchemy import text\nconnection.scalars(text(f"{verb} x"))',
        'connection.execute(text("SELECT 1 WHERE x = %s" % wanted))',
        'connection.exec_driver_sql("DELETE FROM t WHERE id = " + wanted)',
        'sql = "UPDATE t SET x = {}".format(wanted)',
        'cursor.execute("".join(["SELECT ", wanted]))',
        'op.execute(f"{verb} TABLE t")',
        'sql = "INSERT INTO t VALUES (" + wanted + ")"',
    ):
        assert list(built(ast.parse(source))), source
    for source in (
        'connection.execute(text("SELECT * FROM t WHERE id = :wanted"), {"wanted": wanted})',
        "connection.execute(select(TABLE).where(TABLE.c.id == wanted))",
        'say(f"SELECTED {wanted}")',
        'say(f"Update {wanted}")',
        'text(f"Backtest of {names}")',
    ):
        assert not list(built(ast.parse(source))), source
