"""`bulkhead strategy`: begin an agent of your own, and try it before a stack does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from libs.runtime.plugin import AGENT_ID, TAKEN, PluginRefused, find_file
from libs.runtime.plugin_trial import BARS, SEED, Verdict
from services.cli.admission import VARIABLE, heard, passed, tried
from services.cli.answering import answering, show
from services.cli.exit_codes import CANNOT_WRITE, FINDING, OK, POINTER, USAGE, Failure
from services.cli.options import Json

TEMPLATE = Path(__file__).with_name("agent_template.py")
CHECK_S_MAX = 3600.0

app = typer.Typer(help="Agents of your own, one file each.", epilog=POINTER, no_args_is_help=True)


@app.command(epilog=POINTER)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the agent is called: a-z, 0-9 and _.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The new file (default: NAME.py here).", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write an agent that works, as one file to change."""
    path = out or Path(f"{name}.py")
    with answering(as_json):
        text = _written_for(name)
        try:
            with path.open("x") as file:
                file.write(text)
        except FileExistsError:
            raise Failure(
                CANNOT_WRITE, f"{path} is there already", "name another file with --out, or remove it"
            ) from None
        except OSError as error:
            cure = "name a file that can be written with --out"
            raise Failure(CANNOT_WRITE, f"cannot write {path}: {error.strerror}", cure) from error
    told = Group(
        Text(f"{path} is an agent; change it, and then:"),
        Text(f"  bulkhead strategy check {path}          does it look ahead?"),
        Text(f"  {VARIABLE}={path} bulkhead up     its signals in the log"),
    )
    show({"file": str(path), "agent_id": name} if as_json else told, as_json)


@app.command(epilog=POINTER)
def check(
    item: Annotated[str, typer.Argument(metavar="FILE", help="An agent's file, or the name of its entry point.")],
    bars: Annotated[
        int, typer.Option(min=10, max=5000, help="So many bars; the time it takes grows with the square.")
    ] = BARS,
    seed: Annotated[int, typer.Option(min=0, help="Which generated market.")] = SEED,
    as_json: Json = False,
) -> None:
    """Try an agent as `bulkhead up` will: its text, its manners, and whether it looks into the future."""
    with answering(as_json):
        try:
            path = find_file(item)
        except PluginRefused as error:
            raise Failure(USAGE, str(error), "name a file, or begin one: `bulkhead strategy new NAME`") from error
        verdict = tried(path, os.environ, CHECK_S_MAX, bars=bars, seed=seed)
    show(_json(path, verdict) if as_json else _text(path, verdict), as_json)
    raise typer.Exit(OK if verdict.may_run else FINDING)


def _written_for(name: str) -> str:
    if not AGENT_ID.fullmatch(name):
        raise Failure(USAGE, f"{name!r} is no name for an agent", "a letter, then at most 23 of a-z, 0-9 and _")
    if name in TAKEN:
        raise Failure(USAGE, f"the name {name!r} is taken", f"choose another than {', '.join(TAKEN)}")
    text = TEMPLATE.read_text()
    camel = "".join(part.capitalize() for part in name.split("_"))
    for old, new_one in (
        ('"breakout"', f'"{name}"'),
        ("BULKHEAD_AGENT_BREAKOUT_", f"BULKHEAD_AGENT_{name.upper()}_"),
        ("BreakoutMachine", f"{camel}Machine"),
    ):
        text = text.replace(old, new_one)
    return text


def _json(path: Path, verdict: Verdict) -> dict[str, Any]:
    return {"ok": verdict.may_run, "file": str(path), **msgspec.structs.asdict(verdict)}


def _text(path: Path, verdict: Verdict) -> RenderableType:
    if not verdict.may_run:
        return Text(f"{path} may not run:\n{verdict.flaw}", style="bold red")
    rows = [
        Text(
            f"  {each.base} bars, seed {each.seed}: {each.events} events, {each.bars} closing instants after"
            f" {each.history_bars} bars of history; {each.answers} answers, {each.opinions} ready opinions",
            style="dim",
        )
        for each in verdict.rehearsals
    ]
    return Group(
        Text(f"{path} {passed(verdict)}", style="bold green"),
        *rows,
        Text(f"run it: {VARIABLE}={path} bulkhead up; {heard((verdict.agent_id,), os.environ)}"),
    )
