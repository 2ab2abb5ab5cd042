"""The commands about market data, as `bulkhead` speaks them. What they do is loaded when they are called: pyarrow is slow to load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from services.cli.answering import answering, show, tell_failure
from services.cli.exit_codes import BAD_DATA, FINDING, OK
from services.cli.options import Json
from services.cli.place import find_place

Home = Annotated[
    Path | None,
    typer.Option("--home", help="The state folder (default: BULKHEAD_HOME, else .bulkhead).", show_default=False),
]
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


def import_files(
    ctx: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", exists=True, help="Files (.csv, .zip, .feather), or folders of such files."),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="The dataset to import into.", show_default=False)],
    venue: Annotated[str, typer.Option(help="Whose data they are.")] = "binance",
    instrument: Annotated[str, typer.Option(help="Instead of what the names say: BTC-USDT.", show_default=False)] = "",
    kind: Annotated[
        str, typer.Option(help="Instead of what the names say: klines, trades, aggTrades.", show_default=False)
    ] = "",
    timeframe: Annotated[str, typer.Option(help="Instead of what the names say: 1m, 1h, ...", show_default=False)] = "",
    max_mb: Annotated[float, typer.Option(min=1, help="The most that one archive may unpack to.")] = 4096.0,
    as_json: Json = False,
) -> None:
    """Import Binance's public archives and freqtrade's feather files; importing the same twice changes nothing."""
    if kind not in ("", "klines", "trades", "aggTrades"):
        raise typer.BadParameter("want klines, trades or aggTrades", param_hint="--kind")
    from services.cli import importing

    told = importing.Told(venue=venue, instrument=instrument, kind=kind, timeframe=timeframe, max_mb=max_mb)
    with answering(as_json):
        done = importing.import_all(paths, out, told, _tell)
    show(importing.total(done) if as_json else _imported_table(done), as_json)
    refused = [each for each in done if each.refused]
    if refused:
        tell_failure(
            f"{len(refused)} of {len(done)} files were refused, as said above; nothing of them was imported",
            "fetch them again, or correct what is named",
        )
    raise typer.Exit(BAD_DATA if refused or not done else OK)


def _imported_table(done: list[Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="cyan")
    for name in ("file", "what"):
        table.add_column(name, overflow="fold")
    for name in ("rows", "new", "known", "missing"):
        table.add_column(name, justify="right")
    for name in ("from", "to"):
        table.add_column(name)
    for each in done:
        what = f"{each.instrument} {each.timeframe or each.kind}" if not each.refused else "REFUSED"
        numbers = [f"{value:,}" for value in (each.rows, each.added, each.repeated, each.missing)]
        table.add_row(Path(each.file).name, what, *numbers, each.first, each.last)
    return table
