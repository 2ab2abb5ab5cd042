"""How every command answers: for people or for scripts, and its failures with an exit code that means something."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import typer
from rich.console import Console

from services.cli.exit_codes import INTERRUPTED, Failure, failing_clearly
from services.cli.screen import Terminal, visible

PLAIN_WIDTH = 200
"""How wide tables may be where nobody's terminal says it."""


@contextmanager
def answering(as_json: bool) -> Iterator[None]:
    """Failures leave through here: words on standard error, JSON if asked for, an exit code that means something."""
    try:
        with failing_clearly():
            yield
    except Failure as failure:
        if as_json:
            show({"error": failure.text, "what_to_do": failure.cure, "exit_code": failure.code}, as_json)
        tell_failure(failure.text, failure.cure)
        raise typer.Exit(failure.code) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def tell_failure(text: str, cure: str) -> None:
    """What is wrong and what to do, on standard error."""
    print(visible(f"bulkhead: {text}\nwhat to do: {cure}"), file=sys.stderr)


def show(answer: Any, as_json: bool) -> None:
    """The answer, on standard output."""
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
    else:
        terminal().print(answer)


def terminal() -> Console:
    """Standard output for people."""
    return Terminal(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
