"""`bulkhead risk`: why the gate decided as it did, and how much room its limits leave."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from libs.common.messages import MacroOverrideChanged, Side
from libs.desk.commands import OVERRIDE_HOURS_MAX, Order, is_instrument
from libs.desk.saying import day_and_time_of
from libs.desk.verdicts import (
    EXEMPT,
    Verdict,
    headroom_of,
    measured,
    newest_verdicts,
    room_in_words,
    share_left,
    verdict_json,
    verdicts_on,
)
from libs.runtime.adapter import LogEntry
from services.cli import override as overriding
from services.cli import trace
from services.cli.answering import answering, show, tell_failure
from services.cli.command import operator_name, say
from services.cli.exit_codes import FINDING, NOT_YET, POINTER, Failure
from services.cli.options import Dump, Home, Json
from services.cli.place import find_place

app = typer.Typer(help="What the risk gate decided, and why.", epilog=POINTER, no_args_is_help=True)


@app.command(epilog=POINTER)
def explain(
    ctx: typer.Context,
    wanted: Annotated[
        str, typer.Argument(metavar="INTENT", help="An intent's id, its first 8 characters, or `latest`.")
    ],
    home: Home = None,
    from_file: Dump = None,
    as_json: Json = False,
) -> None:
    """The verdict on an intent: every check, with its value, its limit and the room between them."""
    with answering(as_json), _log(home or ctx.obj, from_file) as log:
        found = verdicts_on(log, wanted)
        if not found:
            cure = "give at least 8 characters of an intent's id, or `latest`; `bulkhead trace latest` shows ids"
            raise Failure(FINDING, f"no verdict on {wanted!r} among {len(log):,} events", cure)
    if as_json:
        show([verdict_json(each) for each in found], as_json)
        return
    for verdict in found:
        show(_headline(verdict), as_json)
        show(_table(verdict), as_json)


@app.command(epilog=POINTER)
def headroom(ctx: typer.Context, home: Home = None, from_file: Dump = None, as_json: Json = False) -> None:
    """How much room each limit left when an entry was last judged, instrument by instrument; the tightest first."""
    with answering(as_json), _log(home or ctx.obj, from_file) as log:
        found = newest_verdicts(log)
        if not found:
            cure = "wait for the first verdict; `bulkhead status` says what the services wait for"
            raise Failure(FINDING, f"no entry was judged among {len(log):,} events", cure)
    if as_json:
        show([verdict_json(each) for each in found], as_json)
        return
    for verdict in found:
        show(_headline(verdict), as_json)
        show(_table(verdict, numbers_only=True), as_json)


@app.command(epilog=POINTER)
def override(
    ctx: typer.Context,
    instrument: Annotated[str, typer.Argument(metavar="INSTRUMENT", help="Like BTC-USDT.", show_default=False)] = "",
    side: Annotated[str, typer.Option(metavar="BUY|SELL", help="The side of the entries.")] = "BUY",
    hours: Annotated[
        float, typer.Option(min=0.01, max=OVERRIDE_HOURS_MAX, help="For how long; a week at most.")
    ] = 24.0,
    reason: Annotated[str, typer.Option(help="Why; it stands in the log for ever.", show_default=False)] = "",
    author: Annotated[str, typer.Option(help="Who says so (default: this user).", show_default=False)] = "",
    revoke: Annotated[bool, typer.Option("--revoke", help="End the one that is in force.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only say which are in force.")] = False,
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for the answer.")] = 10.0,
    home: Home = None,
    from_file: Dump = None,
    as_json: Json = False,
) -> None:
    """Let entries go against the weekly regime for a while, at a quarter of the risk; never where nobody knows the regime."""
    if listed:
        with answering(as_json), _log(home or ctx.obj, from_file) as log:
            found = overriding.in_force(log)
        show(found if as_json else _overrides(found), as_json)
        return
    if not instrument or not reason.strip():
        raise typer.BadParameter("name an instrument and say why (--reason), or ask with --list")
    if not is_instrument(instrument):
        raise typer.BadParameter("an instrument is written like BTC-USDT", param_hint="INSTRUMENT")
    if side not in ("BUY", "SELL"):
        raise typer.BadParameter("want BUY or SELL", param_hint="--side")
    wish = Order(
        word="OVERRIDE",
        reason=reason,
        author=author or operator_name(),
        instrument=instrument,
        side=_side(side),
        hours=0.0 if revoke else hours,
    )
    with answering(as_json):
        outcome = asyncio.run(say(find_place(home or ctx.obj), wish, wait_s=wait))
    show(outcome if as_json else Text(f"{outcome.text} (event {outcome.seq})"), as_json)
    if not outcome.answered:
        tell_failure("the risk gate has not answered", "is it up? Look at `bulkhead status`")
        raise typer.Exit(NOT_YET)
    if not outcome.changed:
        tell_failure("nothing has changed", "see above why; `bulkhead risk override --list` says what is in force")
        raise typer.Exit(FINDING)


def _side(given: str) -> Side:
    return "BUY" if given == "BUY" else "SELL"


def _overrides(found: Sequence[MacroOverrideChanged]) -> RenderableType:
    if not found:
        return Text("no override is in force")
    table = Table("instrument", "side", "until", "author", "reason", "id", box=None, pad_edge=False)
    for each in found:
        row = (
            each.instrument,
            each.side,
            day_and_time_of(each.valid_until),
            each.author,
            each.reason,
            each.override_id,
        )
        table.add_row(*map(Text, row))
    return table


@contextmanager
def _log(home: Path | None, from_file: Path | None) -> Iterator[Sequence[LogEntry]]:
    with trace.read_from(from_file) if from_file else trace.read_live(find_place(home)) as log:
        yield log


def _headline(verdict: Verdict) -> RenderableType:
    said, style = verdict.said, "bold green" if verdict.word == "APPROVED" else "bold red"
    order = f" {said.side} {said.order_qty:f} {said.instrument}"
    return Text.assemble((verdict.word, style), order, (f"  intent {said.intent_id}, event {verdict.seq}", "dim"))


def _table(verdict: Verdict, *, numbers_only: bool = False) -> RenderableType:
    table = Table("check", "", "value", "limit", "headroom", box=None, pad_edge=False)
    checks = [check for check in verdict.said.checks if not numbers_only or headroom_of(check) is not None]
    if numbers_only:
        checks.sort(key=lambda check: (check.passed, share_left(check), check.code))
    for check in checks:
        outcome = "exempt" if check.limit == EXEMPT else "passed" if check.passed else "FAILED"
        style = {"FAILED": "bold red", "exempt": "dim"}.get(outcome, "")
        value, limit = measured(check.code, check.value), measured(check.code, check.limit)
        table.add_row(check.code, outcome, value, limit, room_in_words(check), style=style)
    return table
