"""`bulkhead top`: the whole stack on one screen of a terminal, moving with the log.

It shows what the web console shows, from the same fold. What the log's last events do not tell (counts, positions) comes from the fold that
`bulkhead status` keeps, so that it opens at once however long the log is.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from libs.common.codec import BadEvent, decode_from
from libs.common.money import plain
from libs.desk.lines import PositionLine
from libs.desk.saying import time_of
from libs.desk.services import ServiceLine, probe
from libs.desk.view import DeskView
from libs.runtime.adapter import LogEntry
from services.cli.answering import answering, show, terminal
from services.cli.exit_codes import failing_clearly
from services.cli.observer import LogSize, Observer, looking, observing
from services.cli.options import Home, Json
from services.cli.place import Place, find_place
from services.cli.status import read_standing
from services.cli.status_text import model_coverage

BACK_MAX = 20_000
"""So many of the last events are read for prices, lines and lists."""
FRAME_S = 0.5
LINES_SHOWN = 12
_STATE_STYLE = {"ACTIVE": "bold green", "REDUCING": "bold yellow"}
_SEVERITY_STYLE = {"page": "bold red", "ticket": "yellow"}


def top(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One picture of now, and end.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Watch trading state, positions and their stops, orders, fills, alerts and services; Ctrl-C ends it. --json is one picture."""
    with answering(as_json):
        asyncio.run(_top(find_place(home or ctx.obj), once=once, as_json=as_json))


async def _top(place: Place, *, once: bool, as_json: bool) -> None:
    view, lines = DeskView(), dict[str, ServiceLine]()
    with failing_clearly():
        async with observing(place) as observer:
            size = await observer.size()
            await _read_back(place, observer, size, view)
        lines.update(await probe(place.services))
        if as_json or once:
            show(_document(view, lines, size.last_seq) if as_json else frame(view, lines, size.last_seq), as_json)
            return
        async with looking(place) as observer:
            await _watch(place, observer, view, lines, size.last_seq)


async def _read_back(place: Place, observer: Observer, size: LogSize, view: DeskView) -> None:
    async for entry in observer.entries(max(size.first_seq, size.last_seq - BACK_MAX, 1), size.last_seq):
        _take(view, entry)
    view.standing = await read_standing(place, observer, size)


async def _watch(place: Place, observer: Observer, view: DeskView, lines: dict[str, ServiceLine], seen: int) -> None:
    async def ask() -> None:
        while True:
            lines.update(await probe(place.services))
            await asyncio.sleep(1.0)

    asking, shown_at = asyncio.create_task(ask()), 0.0
    loop = asyncio.get_running_loop()
    try:
        with Live(frame(view, lines, seen), console=terminal(), screen=True, auto_refresh=False) as live:
            async for entry in observer.growing(seen + 1):
                if entry is not None:
                    seen = entry.seq
                    _take(view, entry)
                if loop.time() - shown_at >= FRAME_S:
                    shown_at = loop.time()
                    live.update(frame(view, lines, seen), refresh=True)
    finally:
        asking.cancel()


def _take(view: DeskView, entry: LogEntry) -> None:
    try:
        view.take(entry, decode_from(entry.subject, entry.payload))
    except BadEvent:  # whoever it was meant for tells of it
        return


def _document(view: DeskView, lines: dict[str, ServiceLine], seq: int) -> dict[str, Any]:
    sections = view.sections()
    for partial in ("curve", "log"):  # of the last events alone they would mislead
        sections.pop(partial)
    head = {name: value for name, value in sections.pop("head").items() if not name.startswith("trades_")}
    return {"seq": seq, "head": head, "services": [lines[name] for name in sorted(lines)], **sections}


# --- the picture --------------------------------------------------------------------------------------------------


def frame(view: DeskView, lines: dict[str, ServiceLine], seq: int) -> RenderableType:
    """One picture."""
    screen = Layout()
    screen.split_column(
        Layout(Panel(_head(view, seq), title="bulkhead"), size=6),
        Layout(name="middle"),
        Layout(Panel(_log(view), title="log"), size=LINES_SHOWN + 2),
    )
    screen["middle"].split_row(
        Layout(Group(Panel(_positions(view), title="positions"), Panel(_orders(view), title="open orders"))),
        Layout(Group(Panel(_services(lines), title="services"), Panel(_alerts(view), title="alerts"))),
    )
    return screen


def _head(view: DeskView, seq: int) -> Text:
    facts, books = view.standing.facts, view.standing.facts.books
    equity = "no equity yet" if books is None else f"equity {books.equity:,.2f}  drawdown {books.drawdown:.2%}"
    agrees = {True: "agree with the venue", False: "DO NOT AGREE WITH THE VENUE", None: "not compared yet"}
    uncovered = view.standing.uncovered
    covered = f"{len(uncovered)} POSITIONS WITHOUT THEIR STOP" if uncovered else "every position has its stop"
    return Text.assemble(
        (facts.trading_state, _STATE_STYLE.get(facts.trading_state, "bold red")),
        f"  {facts.trading_reason}\n{equity}\n",
        (covered, "bold red" if uncovered else "green"),
        "  books ",
        (agrees[facts.reconciled], "bold red" if facts.reconciled is False else ""),
        f"  feed {facts.feed_venue or '-'} {facts.feed_state or 'unknown'}\n",
        f"model {model_coverage(facts.model)}  book {facts.book or '-'} ({facts.mode or '-'})  event {seq:,}"
        f"  {time_of(facts.as_of)}",
    )


def _positions(view: DeskView) -> RenderableType:
    held = [line for line in view.position_lines if not line.is_dust]
    if not held:
        return Text("flat", style="dim")
    table = Table("instrument", "quantity", "entry", "mark", "unrealised", "stop", "target", box=None, pad_edge=False)
    for line in held:
        table.add_row(*_position(line))
    return table


def _position(line: PositionLine) -> list[Text]:
    earned = line.unrealized_pnl
    style = "" if earned is None else "green" if earned >= 0 else "red"
    stop = "NONE" if not line.is_covered else _money(line.stop_px)
    return [
        Text(line.instrument),
        Text(f"{plain(line.signed_qty):f}"),
        Text(_money(line.avg_entry_px)),
        Text(_money(line.mark_px)),
        Text("-" if earned is None else f"{earned:+,.2f}", style=style),
        Text(stop, style="" if line.is_covered else "bold red"),
        Text(_money(line.target_px)),
    ]


def _orders(view: DeskView) -> RenderableType:
    table = Table("instrument", "role", "side", "quantity", "at", "status", box=None, pad_edge=False)
    for order in view.open_orders[:10]:
        row = (order.instrument, order.role, order.side, f"{plain(order.order_qty):f}", _money(order.px), order.status)
        table.add_row(*map(Text, row))
    return table if view.open_orders else Text("none", style="dim")


def _services(lines: dict[str, ServiceLine]) -> RenderableType:
    table = Table("service", "state", "lag", box=None, pad_edge=False)
    for _, line in sorted(lines.items()):
        state = Text(line.phase, style="green" if line.ready else "bold red", overflow="ellipsis", no_wrap=True)
        table.add_row(Text(line.name), state, Text(str(line.lag)))
    return table if lines else Text("nobody says where they are", style="dim")


def _alerts(view: DeskView) -> RenderableType:
    found = [
        Text.assemble(
            (time_of(alert.ts)[:8], "dim"),
            " ",
            (alert.code, _SEVERITY_STYLE.get(alert.severity, "dim")),
            f" {alert.text}",
            overflow="ellipsis",
            no_wrap=True,
        )
        for alert in list(view.alerts)[:8]
    ]
    return Group(*found) if found else Text("none", style="dim")


def _log(view: DeskView) -> RenderableType:
    return Group(
        *(
            Text.assemble((time_of(line.ts)[:8], "dim"), f" {line.producer:<12} {line.text}", no_wrap=True)
            for line in reversed(list(view.lines)[:LINES_SHOWN])
        )
    )


def _money(value: Any) -> str:
    return "-" if value is None else f"{round(value, 8).normalize():,f}"
