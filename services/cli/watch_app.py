"""`bulkhead watch`: how the regression watch stands, and against which baseline the book is held."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from libs.common.messages import Baseline
from services.cli import trace
from services.cli.answering import answering, show
from services.cli.baseline import declaration, read_baseline, watch_of
from services.cli.command import append, operator_name, speaking
from services.cli.exit_codes import USAGE, Failure
from services.cli.options import Dump, Home, Json
from services.cli.place import Place, find_place

NOTHING = Baseline(source="", from_ts=0, until_ts=0, metrics=())


def watch(
    ctx: typer.Context,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="Hold the book against this baseline (`bulkhead graduate --baseline-out`) from now on."
        ),
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Hold it against nothing any more.")] = False,
    author: Annotated[str, typer.Option("--author", help="Who says so; by default the user of this shell.")] = "",
    from_file: Dump = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Which metrics are held against the baseline, live and then, and whether one has drifted. With an option: declare a baseline."""
    with answering(as_json):
        from libs.trading.drift import lines

        if against is not None or end:
            if (against is not None and end) or from_file is not None:
                raise Failure(USAGE, "one of --against, --end and --from-file", "leave the others away")
            said = read_baseline(against) if against is not None else NOTHING
            seq = asyncio.run(_declare(find_place(home or ctx.obj), said, author or operator_name()))
            text = f"from event {seq} on the book is held against {said.source or 'nothing'}"
            show({"seq": seq, "source": said.source} if as_json else Text(text), as_json)
            return
        source = trace.read_from(from_file) if from_file else trace.read_live(find_place(home or ctx.obj))
        with source as log:
            found = watch_of(log)
        answer = {"source": found.source if found else None, "metrics": found.metrics if found else {}}
        show(answer if as_json else Text("\n".join(lines(found))), as_json)


async def _declare(place: Place, baseline: Baseline, author: str) -> int:
    async with speaking(place) as (bus, now):
        seq, _ = await append(bus, "the baseline", lambda writer, _tail: declaration(writer, baseline, author, now))
    return seq
