"""`bulkhead halt | reduce | resume | flatten | cancel | accept-balances`: what an operator orders from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from libs.desk.commands import Order, Word
from services.cli import command
from services.cli.answering import answering, show, tell_failure
from services.cli.exit_codes import FINDING, NOT_YET
from services.cli.options import Home, Json
from services.cli.place import find_place

Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the log for ever.", show_default=False)]
Author = Annotated[str, typer.Option("--author", help="Who says so (default: this user).", show_default=False)]
Wait = Annotated[float, typer.Option("--wait", min=0, max=600, help="Seconds to wait for the answer.")]


def halt(
    ctx: typer.Context, reason: Reason, author: Author = "", wait: Wait = 10.0, home: Home = None, as_json: Json = False
) -> None:
    """No new entries until a human resumes, and those that rest are taken back; exits and stops go on."""
    _say(home or ctx.obj, "HALT", reason, author, wait, as_json)


def reduce(
    ctx: typer.Context, reason: Reason, author: Author = "", wait: Wait = 10.0, home: Home = None, as_json: Json = False
) -> None:
    """Positions may only become smaller."""
    _say(home or ctx.obj, "REDUCE", reason, author, wait, as_json)


def resume(
    ctx: typer.Context, reason: Reason, author: Author = "", wait: Wait = 10.0, home: Home = None, as_json: Json = False
) -> None:
    """Trade again; the reason must say why it is safe. It also closes the breakers that only an operator may close."""
    _say(home or ctx.obj, "RESUME", reason, author, wait, as_json)


def flatten(
    ctx: typer.Context, reason: Reason, author: Author = "", wait: Wait = 10.0, home: Home = None, as_json: Json = False
) -> None:
    """Halt, and sell everything that can be sold; `bulkhead status` shows what is still held."""
    _say(home or ctx.obj, "FLATTEN", reason, author, wait, as_json)


def cancel(
    ctx: typer.Context,
    reason: Reason,
    cl_ord_id: Annotated[
        str, typer.Argument(metavar="ORDER", help="Our id of an entry; without it all that rest.", show_default=False)
    ] = "",
    author: Author = "",
    wait: Wait = 10.0,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take back an entry that rests at the venue, or all of them; stops, targets and exits stay."""
    _say(home or ctx.obj, "CANCEL", reason, author, wait, as_json, cl_ord_id)


def accept_balances(
    ctx: typer.Context, reason: Reason, author: Author = "", wait: Wait = 75.0, home: Home = None, as_json: Json = False
) -> None:
    """Take the venue's balances for the truth: what the books cannot explain becomes capital, neither profit nor loss."""
    author = _checked(reason, author)
    with answering(as_json):
        place = find_place(home or ctx.obj)
        outcome = asyncio.run(command.accept_balances(place, reason=reason, author=author, wait_s=wait))
    show(outcome if as_json else Text(f"{outcome.text} (event {outcome.seq})"), as_json)
    if not outcome.answered:
        tell_failure("the order executor has not compared since", "is it up? Look at `bulkhead status`")
        raise typer.Exit(NOT_YET)
    if not outcome.clean:
        tell_failure("books and venue still differ", "find out why before you accept again: `bulkhead status`")
        raise typer.Exit(FINDING)


WORDS = (halt, reduce, resume, flatten, cancel, accept_balances)
"""Every order, in the order of the help."""


def _checked(reason: str, author: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("say why: it will be read by whoever asks later", param_hint="--reason")
    return author or command.operator_name()


def _say(
    home: Path | None, word: Word, reason: str, author: str, wait_s: float, as_json: bool, cl_ord_id: str = ""
) -> None:
    order = Order(word=word, reason=reason, author=_checked(reason, author), cl_ord_id=cl_ord_id)
    with answering(as_json):
        outcome = asyncio.run(command.say(find_place(home), order, wait_s=wait_s))
    show(outcome if as_json else Text(f"{outcome.text} (event {outcome.seq})"), as_json)
    if not outcome.answered:
        whom = "the order executor" if word == "CANCEL" else "the risk gate"
        tell_failure(f"{whom} has not answered", "is it up? Look at `bulkhead status`")
        raise typer.Exit(NOT_YET)
