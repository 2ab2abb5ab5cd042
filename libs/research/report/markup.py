"""HTML from text: everything that is given here is text and comes out escaped. Tables have a caption and say what heads what."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

import msgspec

ROWS_MAX = 100
TEXT_MAX = 200
"""A name or a reason longer than this is cut: a page is for people."""


class Cell(msgspec.Struct, frozen=True):
    """A cell with a tone: good or bad news, or neither."""

    text: str
    tone: Literal["", "up", "down"] = ""


def toned(text: str, value: float) -> Cell:
    """A cell whose tone is the sign of `value`."""
    return Cell(text, "up" if value > 0 else "down" if value < 0 else "")


def text(words: str) -> str:
    """Escaped, and not longer than a person reads."""
    return escape(words if len(words) <= TEXT_MAX else words[: TEXT_MAX - 1] + "…")


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of our own words; `kind` is its class."""
    return f"<p{_class(kind)}>{escape(words)}</p>"


def heading(words: str) -> str:
    """A heading within a section."""
    return f"<h3>{text(words)}</h3>"


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what they stand for."""
    return "<dl>" + "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in rows) + "</dl>"


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Cell]],
    *,
    words: Sequence[int] = (),
    kind: str = "",
) -> str:
    """A table whose first column heads its rows; `words` are the columns (from 0) that are no numbers, besides the first.

    More than `ROWS_MAX` rows are cut, and the last one says so.
    """
    left = {0, *words}
    head = "".join(
        f'<th scope="col"{_class("" if place in left else "n")}>{text(name)}</th>' for place, name in enumerate(columns)
    )
    body = [
        "<tr>" + "".join(_cell(cell, place, place in left) for place, cell in enumerate(row)) + "</tr>"
        for row in rows[:ROWS_MAX]
    ]
    if len(rows) > ROWS_MAX:
        body.append(f'<tr><td colspan="{len(columns)}">and {len(rows) - ROWS_MAX:,} more</td></tr>')
    return (
        f'<div class="wide" role="region" aria-label="{text(caption)}" tabindex="0"><table{_class(kind)}><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(cell: str | Cell, place: int, is_left: bool) -> str:
    found = cell if isinstance(cell, Cell) else Cell(cell)
    if place == 0:
        return f'<th scope="row">{text(found.text)}</th>'
    return f"<td{_class(' '.join(filter(None, ('' if is_left else 'n', found.tone))))}>{text(found.text)}</td>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
