"""`bulkhead graduate`: what a paper book has proved, and what stands between it and live trading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from services.cli import trace
from services.cli.answering import answering, show
from services.cli.exit_codes import NOT_YET, OK
from services.cli.place import find_place

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")]


def graduate(
    ctx: typer.Context,
    from_file: Annotated[
        Path | None, typer.Option("--from-file", help="Read this dump instead of a running stack's log.")
    ] = None,
    home: Annotated[Path | None, typer.Option("--home", help="The state folder.", show_default=False)] = None,
    baseline_out: Annotated[
        Path | None,
        typer.Option("--baseline-out", help="Write what the book has shown to this file, for `bulkhead watch`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold the log of a paper book against what is asked before live trading, and say what is missing. It unlocks nothing."""
    with answering(as_json):
        from libs.research.graduation import Requirements, graduation
        from libs.trading.drift import lines as watch_lines
        from libs.trading.track_record import lines
        from services.cli.baseline import baseline_of, watch_of, write_baseline
        from services.cli.paper_record import paper_record
        from services.cli.readiness import readiness

        asked = Requirements()
        source = trace.read_from(from_file) if from_file else trace.read_live(find_place(home or ctx.obj))
        with source as log:
            found = graduation(log, asked)
            record = paper_record(log)
            shown, watch = baseline_of(log, found.days), watch_of(log)
        if baseline_out is not None:
            write_baseline(baseline_out, shown)
        counted = sum(each.counts for each in found.days)
        ready = readiness(counted, asked.days_min)
        told = lines(record) if record is not None else ["no equity is known: the book was never opened"]
        is_ready = found.is_ready and all(each.met for each in ready)
        answer = {
            "ready": is_ready,
            "criteria": msgspec.to_builtins(found.criteria),
            "readiness": msgspec.to_builtins(ready),
            "days": [{**msgspec.to_builtins(each), "day": each.day.isoformat()} for each in found.days],
            "record": told,
            "baseline": msgspec.to_builtins(shown),
            "watch": watch_lines(watch),
        }
        show(answer if as_json else _text(answer), as_json)
    raise typer.Exit(OK if is_ready else NOT_YET)


def _text(answer: dict[str, Any]) -> RenderableType:
    rows = [Text("What the book has shown", style="bold")]
    rows += [_row(each["met"], each["name"], f"{each['seen']} (asked: {each['asked']})") for each in answer["criteria"]]
    rows += [Text("What the system has shown", style="bold")]
    rows += [_row(each["met"], each["name"], each["evidence"]) for each in answer["readiness"]]
    rows += [Text("What the strategy has shown: the baseline of a later comparison", style="bold")]
    rows += [Text(f"  {line}") for line in answer["record"]]
    rows += [Text("How the watch stands", style="bold"), *(Text(f"  {line}") for line in answer["watch"])]
    verdict = "Everything that is asked was shown." if answer["ready"] else "Live trading stays locked."
    return Group(*rows, Text(verdict, style="bold"))


def _row(met: bool, name: str, told: str) -> Text:
    return Text(f"  {'yes' if met else 'no ':3}  {name}: {told}", style="" if met else "yellow")
