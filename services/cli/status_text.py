"""How things stand, for people: a few tables, and at the end what they should look at."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from libs.common.money import ZERO
from libs.desk.services import ServiceLine
from libs.desk.standing import ModelLine
from libs.desk.status import BackupLine, Status

SECOND_NS = 1_000_000_000
LAST_KNOWN = " (last known)"
_STATE_STYLE = {"ACTIVE": "bold green", "REDUCING": "bold yellow"}


def status_text(status: Status) -> RenderableType:
    """Everything in one screen."""
    return Group(
        _head(status),
        Text(""),
        services_text(status.services),
        Text(""),
        _orders(status),
        _positions(status) if status.positions else Text("positions  none yet", style="dim"),
        Text(""),
        *_findings(status),
    )


def _head(status: Status) -> Text:
    at = datetime.fromtimestamp(status.as_of // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S")
    size = status.log
    feed_age = LAST_KNOWN if status.is_silent("market-feed") else ""
    books_age = LAST_KNOWN if status.is_silent("order-executor") else ""
    book = f"book {status.book} ({status.mode})" if status.book else "no book yet"
    return Text.assemble(
        (book, "bold"),
        f" in {status.home} as of {at}\n",
        ("log        ", "cyan"),
        f"{size.stream}: {size.last_seq:,} events, {size.bytes / 1e6:,.1f} MB\n",
        *([("venue      ", "cyan"), f"{status.venue}\n"] if status.venue else []),
        ("trading    ", "cyan"),
        (status.trading_state, _STATE_STYLE.get(status.trading_state, "bold red")),
        f" {status.trading_reason}\n",
        ("feed       ", "cyan"),
        f"{status.feed['venue'] or '-'} {status.feed['state'] or 'unknown'}{_way(status)}{feed_age}\n",
        ("reconciled ", "cyan"),
        {True: "yes", False: "NO", None: "not yet"}[status.reconciled] + books_age,
        ("\nmodel      ", "cyan"),
        model_coverage(status.model),
        *_backup(status.backup),
        *_others(status),
    )


def _backup(line: BackupLine | None) -> list[str | tuple[str, str]]:
    if line is None:
        return []
    proven = "never drilled" if line.unproven_s is None else f"drilled {_long(line.unproven_s)} ago"
    return [("\nbackup     ", "cyan"), f"{_long(line.age_s)} old, up to event {line.last_seq:,}; {proven}"]


def _long(seconds: float) -> str:
    """A time span in the unit that people would use."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def model_coverage(line: ModelLine | None) -> str:
    """How many decisions a model drove, in words: a fallback that nobody sees looks like a quiet market."""
    if line is None:
        return "no decision yet"
    if line.mode == "off":
        return "off: the rules decide alone"
    why = f", the last one not: {line.fallback}" if line.fallback else ""
    return f"{line.driven} of {line.asked} decisions model-driven ({line.mode}){why}"


def _way(status: Status) -> str:
    return " by polling" if status.feed.get("via") == "POLLING" else ""


def _others(status: Status) -> list[str | tuple[str, str]]:
    """The processes that are no services: supervisor, bus, venue."""
    found = [f"{name} {pid}" for name, pid in status.processes.items() if name not in status.services]
    return [("\nbeside     ", "cyan"), f"pid of {', '.join(found)}"] if found else []


def services_text(services: dict[str, ServiceLine]) -> Table:
    """What the services say of themselves."""
    table = _table("service", "phase", "lag", "at seq", "outbox", "starts", "pid", "code", right=(2, 3, 4, 5, 6))
    for line in services.values():
        style = "green" if line.ready else "bold red"
        table.add_row(
            line.name,
            Text(line.phase, style=style),
            str(line.lag),
            f"{line.processed_seq:,}",
            str(line.outbox),
            str(line.starts),
            str(line.pid or "-"),
            line.code_version[:8] or "-",
        )
    return table


def _orders(status: Status) -> Text:
    orders = status.orders
    text = Text.assemble(
        ("intents    ", "cyan"),
        f"{orders.intents} wished, {orders.approved} approved, {orders.denied} denied\n",
        ("orders     ", "cyan"),
        f"{orders.filled} filled, {orders.open} open, {orders.pending} pending, ",
        (f"{orders.unknown} UNKNOWN", "bold red" if orders.unknown else ""),
        f", {orders.canceled} canceled, {orders.rejected} rejected, {orders.expired} expired; {orders.fills} fills\n",
        ("equity     ", "cyan"),
    )
    books = status.books
    if books is None:
        return text.append("not yet known\n")
    fees = sum((line.commission for line in status.positions.values()), ZERO)
    earned = f"net {_signed(books.realized_pnl + books.unrealized_pnl - fees)} after {fees:,.2f} fees"
    return text.append(f"{books.equity:,.2f} (cash {books.balance:,.2f}, {earned}, drawdown {books.drawdown:.2%})\n")


def _positions(status: Status) -> Table:
    table = _table("position", "quantity", "entry", "realised", "fees", "stopped", right=(1, 2, 3, 4))
    uncovered = {each.instrument: each for each in status.uncovered}
    for instrument, line in status.positions.items():
        stop = uncovered.get(instrument)
        is_flat = line.signed_qty == 0
        covered = "-" if is_flat else "dust" if instrument in status.dust else "yes"
        stopped = Text(covered) if stop is None else Text(f"{stop.stopped_qty}", style="bold red")
        table.add_row(
            instrument,
            "flat" if is_flat else f"{line.signed_qty:f}",
            "-" if is_flat else f"{line.avg_entry_px:,.2f}",
            _signed(line.realized_pnl),
            f"{line.commission:,.2f}",
            stopped,
            style="dim" if is_flat else "",
        )
    return table


def _findings(status: Status) -> list[Text]:
    waiting = [Text(f"catching up, {each}", style="yellow") for each in status.catching_up]
    if not status.findings and not waiting:
        return [Text("all is well", style="bold green")]
    return [Text(f"! {finding}", style="bold yellow") for finding in status.findings] + waiting


def _signed(value: Decimal) -> str:
    return f"{value:+,.2f}"


def _table(*names: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="cyan")
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    return table
