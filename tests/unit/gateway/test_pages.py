"""The console's files are served as they are, and nothing beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from services.gateway.pages import FOLDER, TYPES, Pages


def asked(path: str, **headers: str) -> Request:
    """A request for a path."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": named, "server": ("x", 80)}
    return Request({**scope, "scheme": "http", "root_path": ""})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A console with what should be there, and what should not."""
    (tmp_path / "secret.txt").write_text("hunter22")
    console = tmp_path / "console"
    (console / "js").mkdir(parents=True)
    for name, text in {
        "index.html": "<!doctype html>",
        "js/app.js": "1",
        ".env.js": "no",
        "notes.md": "no",
        "run.py": "no",
    }.items():
        (console / name).write_text(text)
    (console / "link.txt").symlink_to(tmp_path / "secret.txt")
    return console


def test_what_is_there_has_its_type_and_a_name_for_its_content(folder: Path) -> None:
    """Whoever has it already is told so."""
    pages = Pages(folder)
    assert pages.paths == ("/index.html", "/js/app.js")
    found = pages.answer(asked("/"))
    assert (found.body, found.headers["content-type"]) == (b"<!doctype html>", TYPES[".html"])
    again = pages.answer(asked("/index.html", if_none_match=found.headers["etag"]))
    assert (again.status_code, again.body) == (304, b"")
    assert pages.answer(asked("/js/app.js")).headers["content-type"] == TYPES[".js"]


@pytest.mark.parametrize(
    "path",
    [
        "/js",
        "/js/",
        "/../secret.txt",
        "/link.txt",
        "/.env.js",
        "/notes.md",
        "/run.py",
        "//index.html",
        "/INDEX.HTML",
        "/\x00",
    ],
)
def test_what_is_not_there_is_not_found(folder: Path, path: str) -> None:
    """No list of a folder, no way out of it, no file of another kind."""
    with pytest.raises(HTTPException) as caught:
        Pages(folder).answer(asked(path))
    assert caught.value.status_code == 404


def test_the_console_itself_needs_nothing_from_elsewhere() -> None:
    """Every file of it is of a kind that is served."""
    odd = [str(path) for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in TYPES]
    assert odd == []
    assert "/index.html" in Pages().paths
