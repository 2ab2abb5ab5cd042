"""What the bot says of how things stand: the folds of the desk as plain text for a phone. The same numbers as the console and the command line,
because they come from the same folds. Pure.

Telegram takes 4,096 characters a message. What is longer is cut at a line, and says how much is left and which command shows it all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from libs.common.money import ZERO
from libs.desk.desk import Phase
from libs.desk.findings import findings_of
from libs.desk.lines import OrderLine
from libs.desk.saying import day_and_time_of, time_of
from libs.desk.standing import ModelLine
from libs.desk.status import Status
from libs.desk.story import Story
from libs.desk.story_text import story_text
from libs.desk.verdicts import EXEMPT, Verdict, headroom_of, room_in_words, share_left
from libs.desk.view import DeskView

CHARS_MAX = 4_096
ID_SHOWN = 8
ALERTS_SHOWN = 15
FILLS_SHOWN = 5
TIGHTEST_SHOWN = 3
INDENT_MAX = 6


def fitted(lines: Iterable[str], more: str) -> str:
    """The lines as one message; `more` is the command that shows what did not fit."""
    all_lines = [line for text in lines for line in (text.splitlines() or [""])]
    whole = "\n".join(all_lines)
    if units(whole) <= CHARS_MAX:
        return whole or "nothing"
    kept: list[str] = []
    left = CHARS_MAX - units(_rest(len(all_lines), len(all_lines), more))
    for line in all_lines:
        if units(line) + 1 > left:
            break
        kept.append(line)
        left -= units(line) + 1
    if not kept:  # a single line that is too long
        kept.append(all_lines[0][: left // 2])
    return "\n".join([*kept, _rest(len(all_lines) - len(kept), len(all_lines), more)])


def units(text: str) -> int:
    """The length as Telegram counts it: UTF-16 units."""
    return len(text.encode("utf-16-le", "replace")) // 2


def _rest(left: int, whole: int, more: str) -> str:
    return f"… {left} of {whole} lines are left out; on the machine of the stack: {more}"


# --- how it stands --------------------------------------------------------------------------------------------------


def status_text(status: Status, phase: Phase) -> str:
    """/status: five seconds' worth."""
    orders = status.orders
    lines = [
        *stale(phase),
        f"{status.trading_state}  {status.trading_reason}".rstrip(),
        f"book {status.book or '-'} ({status.mode or 'not yet known'}) as of {day_and_time_of(status.as_of)}",
        f"feed {status.feed['venue'] or '-'} {status.feed['state'] or 'unknown'}",
        f"reconciled {reconciled(status)}",
        equity_line(status),
        f"positions {sum(line.signed_qty != 0 for line in status.positions.values())}, without a whole stop"
        f" {len(status.uncovered)}",
        f"orders {orders.open} open, {orders.pending} pending, {orders.unknown} UNKNOWN; {orders.fills} fills",
        f"model {model_coverage(status.model)}",
        "",
        *findings(status),
    ]
    return fitted(lines, "bulkhead status")


def findings(status: Status) -> list[str]:
    """What a person should look at."""
    return [f"! {each.text}" for each in findings_of(status)] or ["all is well"]


def stale(phase: Phase) -> list[str]:
    """A word of warning while what is shown may be old."""
    if phase.state == "LIVE" and not phase.lag:
        return []
    behind = f", {phase.lag} events behind" if phase.lag else ""
    return [f"{phase.state}{behind}: {phase.reason or 'this may not be the newest'}"]


def equity_line(status: Status) -> str:
    """Equity, as `bulkhead status` says it."""
    books = status.books
    if books is None:
        return "equity not yet known"
    fees = sum((line.commission for line in status.positions.values()), ZERO)
    net = books.realized_pnl + books.unrealized_pnl - fees
    earned = f"net {net:+,.2f} after {fees:,.2f} fees"
    return f"equity {books.equity:,.2f} (cash {books.balance:,.2f}, {earned}, drawdown {books.drawdown:.2%})"


def reconciled(status: Status) -> str:
    """Whether books and venue agree."""
    return {True: "yes", False: "NO", None: "not yet"}[status.reconciled]


def model_coverage(line: ModelLine | None) -> str:
    """How many decisions a model drove."""
    if line is None:
        return "no decision yet"
    if line.mode == "off":
        return "off: the rules decide alone"
    why = f", the last one not: {line.fallback}" if line.fallback else ""
    return f"{line.driven} of {line.asked} decisions model-driven ({line.mode}){why}"


def health_text(status: Status, phase: Phase) -> str:
    """/health: who works, who does not, and what is in doubt."""
    lines = [
        f"this door: {phase.state}, event {phase.processed_seq:,}, {phase.lag} behind",
        f"feed {status.feed['venue'] or '-'} {status.feed['state'] or 'unknown'}, reconciled {reconciled(status)}",
        f"stops: {'every position is covered' if not status.uncovered else f'{len(status.uncovered)} positions are not covered'}",
        f"model {model_coverage(status.model)}",
        "",
        *(
            f"{'ok ' if line.ready else 'NO '} {line.name}: {line.phase}, lag {line.lag}"
            for line in status.services.values()
        ),
        *([] if status.services else ["services: not asked (BULKHEAD_TELEGRAM_SERVICES names none)"]),
        "",
        *findings(status),
    ]
    return fitted(lines, "bulkhead status")


# --- what is held and wanted ------------------------------------------------------------------------------------------


def positions_text(view: DeskView, phase: Phase) -> str:
    """/positions: what is held, what it earns, what protects it."""
    lines = list(stale(phase))
    for each in view.position_lines:
        mark = "-" if each.mark_px is None else f"{each.mark_px:,.2f}"
        earned = "not known" if each.unrealized_pnl is None else f"{each.unrealized_pnl:+,.2f}"
        stop = "dust: no stop possible" if each.is_dust else f"stop {_px(each.stop_px)} on {each.stopped_qty:f}"
        lines += [
            f"{each.instrument}  {each.signed_qty:f} at {each.avg_entry_px:,.2f}, now {mark}",
            f"   unrealised {earned}, realised {each.realized_pnl:+,.2f}",
            f"   {stop}, target {_px(each.target_px)}{'' if each.is_covered else '   NOT COVERED'}",
        ]
    return fitted(lines if view.position_lines else [*lines, "nothing is held"], "bulkhead status")


def orders_text(view: DeskView, phase: Phase) -> str:
    """/orders: what rests at the venue or is on its way, and how many ended how."""
    counts = view.standing.orders
    lines = [*stale(phase), *(_order(each) for each in view.open_orders)]
    lines += [] if view.open_orders else ["no order is open"]
    lines += [
        "",
        f"{counts.intents} wished, {counts.approved} approved, {counts.denied} denied",
        f"{counts.filled} filled, {counts.canceled} canceled, {counts.rejected} rejected, {counts.expired} expired,"
        f" {counts.unknown} UNKNOWN",
    ]
    return fitted(lines, "bulkhead status")


def pnl_text(view: DeskView, status: Status, phase: Phase) -> str:
    """/pnl: what the book has earned."""
    books, trips = status.books, view.record.trips.closed
    if books is None:
        return fitted([*stale(phase), "equity not yet known"], "bulkhead performance")
    won = sum(trip.pnl > 0 for trip in trips)
    rate = f", {won / len(trips):.0%} won" if trips else ""
    fills = [
        f"{time_of(each.ts)[:8]} {each.side} {each.qty:f} {each.instrument} at {each.px:,.2f} ({each.role})"
        for each in list(view.fills)[:FILLS_SHOWN]
    ]
    lines = [
        *stale(phase),
        equity_line(status),
        f"realised {books.realized_pnl:+,.2f}, unrealised {books.unrealized_pnl:+,.2f}",
        f"highest {books.high_water_mark:,.2f}, drawdown {books.drawdown:.2%}",
        f"{len(trips)} trades closed{rate}",
        "",
        *(["newest fills", *fills] if fills else ["no fills yet"]),
    ]
    return fitted(lines, "bulkhead performance")


def risk_text(view: DeskView, status: Status, phase: Phase, verdicts: Sequence[Verdict]) -> str:
    """/risk: what is at stake, the tightest limits of the newest `verdicts`, and what the gate has refused."""
    held = view.position_lines
    values = [abs(each.signed_qty) * (each.mark_px or each.avg_entry_px) for each in held]
    at_risk = [(each, _risk(each.signed_qty, each.mark_px or each.avg_entry_px, each.stop_px)) for each in held]
    total = sum((risk for _, risk in at_risk if risk is not None), ZERO)
    equity = status.books.equity if status.books is not None else ZERO
    gross = sum(values, ZERO)
    lines = [
        *stale(phase),
        f"trading {status.trading_state}  {status.trading_reason}".rstrip(),
        f"exposure {gross:,.2f}{_share(gross, equity)}",
        f"at risk down to the stops {total:,.2f}{_share(total, equity)}",
        *(f"{each.instrument}: no stop, all of it is at risk" for each, risk in at_risk if risk is None),
        f"drawdown {status.books.drawdown:.2%}" if status.books is not None else "drawdown not yet known",
        "",
        *(_room(each) for each in verdicts),
        f"{status.orders.denied} of {status.orders.intents} wishes denied",
        *(
            f"{time_of(each.ts)[:8]} {each.side} {each.qty:f} {each.instrument}: {', '.join(each.reasons)}"
            for each in list(view.denials)[:FILLS_SHOWN]
        ),
    ]
    return fitted(lines, "bulkhead risk headroom")


def alerts_text(view: DeskView, phase: Phase) -> str:
    """/alerts: the newest first."""
    lines = list(stale(phase))
    for each in list(view.alerts)[:ALERTS_SHOWN]:
        about = f" {each.instrument}" if each.instrument else ""
        lines.append(f"{day_and_time_of(each.ts)[5:16]} {each.severity} {each.code}{about}: {each.text}")
    return fitted(lines if view.alerts else [*lines, "no alerts"], "bulkhead tail")


def story_lines(story: Story) -> str:
    """/trace: the story as `bulkhead trace` tells it, with less air at the left."""
    lines = [_narrow(line.plain) for line in story_text(story)]
    return fitted(lines, f"bulkhead trace {story.target.key}")


def choices_text(wanted: str, keys: Sequence[str]) -> str:
    """/trace where an id may mean several things."""
    lines = [f"{wanted} may mean {len(keys)} things; send one of these:", *(f"/trace {key}" for key in keys)]
    return fitted(lines, f"bulkhead trace {wanted}")


def help_text(meanings: Mapping[str, str], role: str) -> str:
    """/help."""
    told = "you may look and command" if role == "operate" else "you may look"
    return fitted([told, *(f"/{word} {meaning}" for word, meaning in meanings.items())], "bulkhead --help")


def _narrow(line: str) -> str:
    bare = line.lstrip()
    return " " * min((len(line) - len(bare)) // 6, INDENT_MAX) + bare


def _order(each: OrderLine) -> str:
    at = "market" if each.px is None else f"{each.px:,.2f}"
    return (
        f"{each.cl_ord_id[:ID_SHOWN]} {each.role} {each.side} {each.order_qty - each.cum_qty:f} of {each.order_qty:f}"
        f" {each.instrument} at {at}: {each.status}"
    )


def _room(verdict: Verdict) -> str:
    """The tightest limits of a verdict, as `bulkhead risk headroom` has them."""
    numbers = [check for check in verdict.said.checks if headroom_of(check) is not None and check.limit != EXEMPT]
    numbers.sort(key=lambda check: (check.passed, share_left(check), check.code))
    tightest = ", ".join(f"{check.code} {room_in_words(check)}" for check in numbers[:TIGHTEST_SHOWN])
    return f"{verdict.said.instrument} {verdict.word}, room left: {tightest or 'not known'}"


def _px(px: Decimal | None) -> str:
    return "none" if px is None else f"{px:,.2f}"


def _risk(qty: Decimal, px: Decimal, stop_px: Decimal | None) -> Decimal | None:
    return None if stop_px is None else max(ZERO, (px - stop_px) * qty)


def _share(part: Decimal, whole: Decimal) -> str:
    return f" ({part / whole:.1%} of equity)" if whole > 0 else ""
