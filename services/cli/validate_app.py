"""`bulkhead validate`: what may be claimed of a strategy, and what not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from libs.research.bar_files.terms import RefusedFile, Told
from services.cli.answering import answering, show
from services.cli.backtest_app import BPS, Repairs, Sets, ns_of
from services.cli.backtest_settings import given
from services.cli.exit_codes import BAD_DATA, CANNOT_WRITE, FINDING, OK, Failure
from services.cli.options import Json

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="Bars, as `bulkhead backtest` reads them; without any, nothing is said of what it earns.",
        exists=True,
    ),
]
Grid = Annotated[
    list[str],
    typer.Option("--grid", metavar="NAME=A,B,..", help="Other values of a setting to choose from; each is a trial."),
]
Trials = Annotated[
    str,
    typer.Option(
        "--trials", metavar="URL", help="The database that counts trials (default: the ledger's).", show_default=False
    ),
]


def validate(
    item: Annotated[
        str, typer.Argument(metavar="STRATEGY", help="An agent's file, the name of its entry point, or `trend`.")
    ],
    files: Files = None,
    cash: Annotated[float, typer.Option(min=1, help="What it begins with, in quote currency.")] = 100_000,
    fee_bps: Annotated[float, typer.Option(min=0, max=1_000, help="What the venue takes of a fill.")] = 10,
    begin: Annotated[datetime | None, typer.Option("--from", help="Bars from here on (UTC).")] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="Bars that close by then (UTC).")] = None,
    instrument: Annotated[str, typer.Option(help="What the files are about, if their names do not say it.")] = "",
    timeframe: Annotated[str, typer.Option(help="How long their bars are, if their names do not say it.")] = "",
    assume_utc: Annotated[bool, typer.Option("--assume-utc", help="Times without an offset are UTC.")] = False,
    repair: Repairs = [],  # noqa: B006  typer wants a list
    sets: Sets = [],  # noqa: B006
    grid: Grid = [],  # noqa: B006
    runs: Annotated[int, typer.Option(min=2, max=10_000, help="Noise markets.")] = 20,
    shuffles: Annotated[int, typer.Option(min=20, max=100_000, help="Shuffles of its votes.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The seed of all chance.")] = 1,
    votes_only: Annotated[
        bool, typer.Option("--votes-only", help="Leave out the full backtests (costs x 0 to 3, one bar later).")
    ] = False,
    trials: Trials = "",
    html: Annotated[Path | None, typer.Option("--html", help="Write the verdict here.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Ask a strategy whether it looks ahead, and if not: whether it survives costs, delay, chance, time and noise."""
    with answering(as_json):
        from libs.research.validity.page import page_of
        from libs.research.validity.words import as_json as json_of
        from services.cli import validate_runs as runs_of  # what it needs takes a while to import

        wish = runs_of.Wish(
            item=item,
            files=tuple(files or ()),
            told=Told(instrument=instrument, timeframe=timeframe, assume_utc=assume_utc),
            repair=frozenset(repair),
            begin=ns_of(begin),
            end=ns_of(end),
            cash=Decimal(str(cash)),
            fee=Decimal(str(fee_bps)) * BPS,
            environment={**os.environ, **given(sets)},
            grid=tuple(grid),
            runs=runs,
            shuffles=shuffles,
            seed=seed,
            votes_only=votes_only,
            trials=trials,
        )
        try:
            with _telling(as_json) as progress:
                found = runs_of.validated(wish, progress)
        except RefusedFile as refused:
            raise Failure(BAD_DATA, refused.wrong, refused.remedy or "correct the file, or leave it out") from refused
        if html is not None:
            _write(html, page_of(found))
        show(json_of(found) if as_json else _text(found, html), as_json)
        code = FINDING if found.is_finding else OK
    raise typer.Exit(code)


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        cure = "name a file that can be written"
        raise Failure(CANNOT_WRITE, f"cannot write {path}: {error.strerror}", cure) from error


@contextmanager
def _telling(as_json: bool) -> Iterator[Any]:
    """What is asked just now, on standard error, where somebody looks."""
    if as_json or not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("beginning") as status:
        yield status.update


def _text(found: Any, html: Path | None) -> RenderableType:
    from libs.research.validity.words import sections_of

    rows = [Text(f"{found.name}: code {found.code_digest}, settings {found.settings_digest}", style="dim")]
    rows += [Text(each, style="dim") for each in found.series]
    for section in sections_of(found):
        rows += [Text(""), Text(section.title, style="bold"), *(Text(f"  {line}") for line in section.lines)]
    if html is not None:
        rows += [Text(""), Text(f"page: {html}", style="dim")]
    return Group(*rows)
