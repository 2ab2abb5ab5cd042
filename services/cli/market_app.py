"""The commands about market data, as `bulkhead` speaks them. What they do is loaded when they are called: pyarrow is slow to load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from services.cli.answering import answering, show
from services.cli.exit_codes import FINDING, OK
from services.cli.place import find_place

Home = Annotated[
    Path | None,
    typer.Option("--home", help="The state folder (default: BULKHEAD_HOME, else .bulkhead).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")]
Folder = Annotated[
    Path | None, typer.Option(file_okay=False, show_default=False, help="Write Parquet into this folder.")
]


def record(
    ctx: typer.Context,
    out: Folder = None,
    raw: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            show_default=False,
            help="Write raw frames, as exchange_sim replays them, into this folder.",
        ),
    ] = None,
    for_s: Annotated[
        float | None, typer.Option("--for", min=0.1, metavar="SECONDS", show_default=False, help="Stop after so long.")
    ] = None,
    until_caught_up: Annotated[bool, typer.Option(help="Stop when everything there is has been recorded.")] = False,
    roll_mb: Annotated[
        float, typer.Option(min=0.001, help="Commit new files after so many megabytes of messages.")
    ] = 32.0,
    roll_s: Annotated[float, typer.Option(min=0.1, help="Commit new files after so many seconds.")] = 300.0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Record every raw trade and quote of a running stack; Ctrl-C stops it, and the next run goes on where it ended."""
    if out is None and raw is None:
        raise typer.BadParameter("say where to: --out, --raw, or both", param_hint="--out")
    if out and raw and out.resolve() == raw.resolve():
        raise typer.BadParameter("must be another folder than --out", param_hint="--raw")
    from services.cli import record as recording

    wish = recording.Wish(
        out=out, raw=raw, for_s=for_s, until_caught_up=until_caught_up, roll_mb=roll_mb, roll_s=roll_s
    )
    with answering(as_json):
        done = recording.record(find_place(home or ctx.obj), wish, _tell)
    show(done if as_json else _recorded_text(done), as_json)
    raise typer.Exit(FINDING if done.gaps else OK)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _recorded_text(done: Any) -> Text:
    text = Text(f"{done.messages:,} messages, {done.first_seq:,} to {done.last_seq:,}, in {' and '.join(done.folders)}")
    text.append(f"; stopped: {done.stopped_by}", style="dim")
    if done.unknown:
        text.append(f"\n{done.unknown:,} of the recording are of types this code does not know; they are kept as bytes")
    for gap in done.gaps:
        text.append(f"\nGAP: {gap.first_seq:,} to {gap.last_seq:,} are lost", style="bold red")
    return text
