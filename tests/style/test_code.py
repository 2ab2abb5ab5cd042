"""How code reads here: small, named for what it is, swallowing nothing, knowing no machine it was written on."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.style.tree import ROOT, comment_lines, files, nodes, python_files, text_of, tree_of

CODE = python_files("libs", "services", "docs")
TESTS = python_files("tests")
FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 600
"""Conversations are long and flat; a test file is read one test at a time."""

FUNCTION_LINES_MAX = 70
FORBIDDEN_SUFFIXES = ("Manager", "Handler", "Processor", "Helper", "Util", "Utils", "Data", "Info")

# Spelled in pieces, because this file is looked at, too.
REGISTRY_HOSTS = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "crates" + ".io",
    "ruby" + "gems.org",
    "proxy.go" + "lang.org",
    "deb.deb" + "ian.org",
    "index" + "-url http",
    "index" + "-url=http",
)
MACHINE_PATH = re.compile(
    r"(?<![\w.\-])/(?:" + "|".join(("wo" + "rk/", "ro" + "ot/", "tm" + "p/[A-Za-z]", "Us" + "ers/")) + ")"
)


def lines_of(node: ast.AST) -> int:
    """How many lines a function takes, without its docstring."""
    length = (node.end_lineno or 0) - node.lineno + 1  # type: ignore[attr-defined]
    first = node.body[0] if getattr(node, "body", None) else None  # type: ignore[attr-defined]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        length -= (first.end_lineno or 0) - first.lineno + 1
    return length


def long_functions(tree: ast.AST) -> list[str]:
    return [
        f"{node.name}: {lines_of(node)} lines"
        for node in nodes(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > FUNCTION_LINES_MAX
    ]


def badly_named(tree: ast.AST) -> list[str]:
    return [
        node.name for node in nodes(tree) if isinstance(node, ast.ClassDef) and node.name.endswith(FORBIDDEN_SUFFIXES)
    ]


def wordless(path: Path) -> list[int]:
    """The broad excepts of a file without a word of why; comments are looked for only where there is one to explain."""
    tree = tree_of(path)
    return broad_excepts(tree, comment_lines(path)) if broad_excepts(tree, set()) else []


def broad_excepts(tree: ast.AST, comments: set[int]) -> list[int]:
    """Lines that catch everything without a word of why, on the line or on the one before."""
    return [
        node.lineno
        for node in nodes(tree)
        if isinstance(node, ast.ExceptHandler)
        and _is_broad(node.type)
        and not comments & {node.lineno, node.lineno - 1}
    ]


def _is_broad(caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Tuple(elts=each):
            return any(_is_broad(one) for one in each)
        case ast.Name(id=name):
            return name in ("Exception", "BaseException")
    return False


def suppressed_broadly(tree: ast.AST) -> list[int]:
    """`suppress(Exception)` is a broad except with a nicer face."""
    return [
        node.lineno
        for node in nodes(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] == "suppress"
        and any(_is_broad(arg) for arg in node.args)
    ]


def found_in(paths: Iterable[Path], look: Callable[[Path], Any]) -> dict[str, Any]:
    """What `look` finds fault with, file by file."""
    return {str(path): found for path in paths if (found := look(path))}


def bare(path: Path) -> list[str]:
    """Public classes and functions of a module without a docstring."""
    return [
        node.name
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and "migrations" not in path.parts
    ]


def test_there_is_code_to_look_at() -> None:
    """Rules over no files hold always."""
    assert len(CODE) > 100
    assert len(TESTS) > 100


def test_code_files_are_small() -> None:
    """A file that needs a map has two subjects."""
    lengths = {str(path): len(text_of(path).splitlines()) for path in CODE}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_test_files_are_readable() -> None:
    """Tests may be longer, not endless."""
    lengths = {str(path): len(text_of(path).splitlines()) for path in TESTS}
    assert {path: lines for path, lines in lengths.items() if lines > TEST_FILE_LINES_MAX} == {}


def test_functions_need_no_scrolling() -> None:
    """Most have less than forty lines, none more than seventy."""
    assert found_in((*CODE, *TESTS), lambda path: long_functions(tree_of(path))) == {}


def test_classes_are_named_for_what_they_are() -> None:
    """A name that ends in Manager says that nobody knew what it is."""
    assert found_in((*CODE, *TESTS), lambda path: badly_named(tree_of(path))) == {}


def test_nothing_is_swallowed_without_a_word() -> None:
    """Whoever catches everything says why, on that line or the one before."""
    assert found_in((*CODE, *TESTS), wordless) == {}
    assert found_in((*CODE, *TESTS), lambda path: suppressed_broadly(tree_of(path))) == {}


def test_modules_begin_with_what_they_are() -> None:
    """The head of a module is its theory of operation."""
    heads = (path for path in CODE if path.name != "__main__.py")
    assert found_in(heads, lambda path: not ast.get_docstring(tree_of(path))) == {}


def test_public_things_say_what_they_mean() -> None:
    """Public classes and functions of a module carry a docstring."""
    assert found_in(CODE, bare) == {}


def test_no_file_knows_where_it_was_written() -> None:
    """No package registry's host and no path of somebody's machine: the project builds from whatever index it is given."""
    found = []
    for path in files():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue  # a picture or an archive: nothing that is read as instructions
        found += [f"{path}: {host}" for host in REGISTRY_HOSTS if host in text]
        found += [
            f"{path}:{text[: match.start()].count(chr(10)) + 1}: {match[0]}" for match in MACHINE_PATH.finditer(text)
        ]
    assert found == []


def test_no_lock_that_names_a_host() -> None:
    """The lock is hashes, without an index."""
    assert Path("uv.lock") not in files()


def test_the_rules_bite() -> None:
    """Each planted violation is found, and what resembles one is not."""
    body = "\n".join(f"    x = {number}" for number in range(FUNCTION_LINES_MAX + 1))
    assert long_functions(ast.parse(f"def f():\n{body}")) == ["f: 72 lines"]
    assert long_functions(ast.parse(f'def f():\n    """\n{body}\n    """')) == []
    assert badly_named(ast.parse("class OrderManager: pass\nclass MarketData: pass\nclass Database: pass")) == [
        "OrderManager",
        "MarketData",
    ]
    swallow = "try:\n    f()\nexcept{}:\n    pass"
    for caught in ("", " Exception", " BaseException as e", " (ValueError, Exception)"):
        assert broad_excepts(ast.parse(swallow.format(caught)), set()) == [3]
        assert broad_excepts(ast.parse(swallow.format(caught)), {3}) == []
        assert broad_excepts(ast.parse(swallow.format(caught)), {2}) == []
    assert broad_excepts(ast.parse(swallow.format(" ValueError")), set()) == []
    assert suppressed_broadly(ast.parse("with contextlib.suppress(Exception): pass")) == [1]
    assert MACHINE_PATH.search("cd " + "/wo" + "rk/main")
    assert MACHINE_PATH.search('"' + "/tm" + 'p/t/x"')
    assert not MACHINE_PATH.search("tests/wo" + "rk/x and tmpfs: /tm" + "p:size=1m")
