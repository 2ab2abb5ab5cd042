"""`bulkhead tail`: the log as it is written, in words or as JSON, for as long as one likes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from libs.common.codec import BadEvent, decode_from
from libs.common.subjects import subject_matches
from libs.desk.narrator import Narrator
from libs.runtime.adapter import LogEntry
from services.cli.answering import answering, terminal
from services.cli.exit_codes import failing_clearly
from services.cli.observer import looking
from services.cli.options import Home, Json
from services.cli.place import Place, find_place

EVENTS_A_LINE = 40
"""So many events are looked at for each earlier line: most of a log are prices, of which no line is made."""


def tail(
    ctx: typer.Context,
    only: Annotated[str, typer.Option("--only", help="Only subjects like this: `risk.>`, `exec.report.*`.")] = ">",
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=2_000, help="So many earlier ones first.")] = 20,
    follow: Annotated[bool, typer.Option(help="Go on as the log grows, until Ctrl-C.")] = True,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what is decided and done, line by line; with --json every event as it stands in the log, one document a line."""
    with answering(as_json):
        asyncio.run(_tail(find_place(home or ctx.obj), only, lines, follow, as_json))


async def _tail(place: Place, only: str, lines: int, follow: bool, as_json: bool) -> None:
    narrator, earlier, screen = Narrator(), deque[str | Text](maxlen=lines), terminal()
    with failing_clearly():
        async with looking(place) as observer:
            end = (await observer.size()).last_seq
            is_now = False
            async for entry in observer.growing(max(1, end + 1 - lines * EVENTS_A_LINE)):
                if not is_now and (entry is None or entry.seq > end):
                    is_now = True
                    for line in earlier:
                        screen.print(line, soft_wrap=True, markup=False)
                    if not follow:
                        return
                if entry is None or not subject_matches(only, entry.subject):
                    continue
                line = _document(entry) if as_json else narrator.line_at(entry.subject, entry.payload)
                if line is not None and is_now:
                    screen.print(line, soft_wrap=True, markup=False)
                elif line is not None:
                    earlier.append(line)


def _document(entry: LogEntry) -> str:
    """The event as it stands there; of what is none, why not."""
    found: dict[str, Any] = {"seq": entry.seq, "subject": entry.subject}
    try:
        decode_from(entry.subject, entry.payload)
        found["event"] = msgspec.Raw(entry.payload)
    except BadEvent as error:
        found["error"] = str(error)
    return msgspec.json.encode(found).decode()
