"""`bulkhead token create | list | revoke`: who may speak to the gateway. A secret is shown once, and kept nowhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from libs.desk.saying import SECOND_NS, day_and_time_of
from libs.desk.tokens import Scope, Token, TokenError, TokenStore, token_file
from libs.runtime.registry import settings_of
from libs.runtime.settings import load_settings
from services.cli.answering import answering, show
from services.cli.exit_codes import CONFIG, POINTER, Failure
from services.cli.options import Home, Json
from services.cli.place import stack_settings

app = typer.Typer(help="Tokens of the API and the console.", epilog=POINTER, no_args_is_help=True)

SCOPES_HELP = "read looks, operate also halts and resumes, admin also overrides; alerts may only bring Alertmanager's. Repeatable."


@app.command(epilog=POINTER)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="After who will hold it; it signs what he orders.")],
    scope: Annotated[list[str], typer.Option("--scope", help=SCOPES_HELP, show_default=False)],
    days: Annotated[int, typer.Option("--days", help="So long it is valid.")] = 90,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a token. It is shown now, and never again."""
    with answering(as_json), _failing_clearly():
        token, text = _store(home or ctx.obj).create(name, _scopes(scope), days, _now())
    if as_json:
        show({**_row(token), "token": text}, as_json)
        return
    typer.echo(text)
    typer.echo(f"this is the only time that it is shown; {_in_words(token)}", err=True)


@app.command(name="list", epilog=POINTER)
def list_all(ctx: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Every token there is or was, without its secret."""
    with answering(as_json), _failing_clearly():
        tokens = _store(home or ctx.obj).tokens()
    if as_json:
        show([_row(token) for token in tokens], as_json)
        return
    table = Table(box=None, pad_edge=False, header_style="cyan")
    for column in ("id", "name", "scope", "state", "expires"):
        table.add_column(column)
    for token in tokens:
        expires = day_and_time_of(token.expires * SECOND_NS)
        table.add_row(token.id, Text(token.name), " ".join(token.scopes), token.standing(_now()), expires)
    show(table if tokens else Text("no tokens; make one with `bulkhead token create`"), as_json)


@app.command(epilog=POINTER)
def revoke(
    ctx: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `bulkhead token list` shows it.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """From now on it lets nobody in; a running gateway knows within a second."""
    with answering(as_json), _failing_clearly():
        token = _store(home or ctx.obj).revoke(token_id, _now())
    show(_row(token) if as_json else Text(f"{token.id} ({token.name}) lets nobody in any more"), as_json)


@contextmanager
def _failing_clearly() -> Iterator[None]:
    try:
        yield
    except TokenError as error:
        raise Failure(CONFIG, str(error), error.cure) from error


def _store(home: Path | None) -> TokenStore:
    """The file that the gateway of this stack reads."""
    told = load_settings(settings_of("gateway"), strict=False).gateway_token_file  # type: ignore[attr-defined]
    return TokenStore(told or token_file(stack_settings(home, strict=False).home))


def _scopes(words: list[str]) -> tuple[Scope, ...]:
    scopes: Any = tuple(words)  # `minted` refuses what is none
    return scopes


def _now() -> int:
    return int(time.time())


def _row(token: Token) -> dict[str, Any]:
    fields = {name: value for name, value in msgspec.structs.asdict(token).items() if name != "sha256"}
    return {**fields, "state": token.standing(_now())}


def _in_words(token: Token) -> str:
    until = day_and_time_of(token.expires * SECOND_NS)
    return f"id {token.id}, for {' '.join(token.scopes)}, until {until}"
