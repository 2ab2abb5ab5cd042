"""What must hold at the end of every incident, whatever it was: the log, the ledger and the venue tell the same story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from libs.common.messages import ExecutionReport, OrderSubmitting, ProtectionImprovised, Reconciled
from libs.common.money import floor_to_step
from libs.runtime.core import Core
from services.ledger.contract import CONTRACT as LEDGER
from services.ledger.machine import LedgerMachine
from tests.chaos.log_tail import LogTail
from tests.chaos.scripted_venue import ScriptedVenue

OTHER_HANDS = ("web_", "autoclose-")
"""How client ids begin that are not ours: somebody's in the web page, and the venue's own."""

NEVER = ("CONTRADICTORY_FILL", "IMPOSSIBLE_REPORT", "ORDER_SURFACED", "ORDER_VANISHED", "OVERFILLED")
"""Alerts that say that we, or the venue, were wrong about an order; no incident here is an excuse for that."""


class Wish(msgspec.Struct, frozen=True):
    """What the gate has approved."""

    intent_id: str
    cl_ord_id: str
    instrument: str
    qty: Decimal


def faults_of(
    venue: ScriptedVenue,
    log: LogTail,
    wishes: dict[str, Wish],
    wanted: dict[str, Decimal],
    alerts: Iterable[str],
) -> list[str]:
    """Everything in which the log, the ledger, the wishes and the venue disagree."""
    return [
        *_submitted_once(venue, log),
        *_as_wished(venue, wishes, wanted),
        *_reported_once(venue, log),
        *_booked(venue, log),
        *_uncovered(venue),
        *_unreconciled(log),
        *(f"{code} was told: somebody guessed" for code in NEVER if code in log.alerts),
        *(f"nobody was told {code}: {log.alerts}" for code in alerts if code not in log.alerts),
    ]


def _submitted_once(venue: ScriptedVenue, log: LogTail) -> list[str]:
    submitted = Counter(each.cl_ord_id for each in [*log.said(OrderSubmitting), *log.said(ProtectionImprovised)])
    return [
        *(f"{name} was submitted {times} times" for name, times in submitted.items() if times > 1),
        *(f"the venue accepted {name} {times} times" for name, times in venue.accepted.items() if times > 1),
        *(
            f"the venue knows {name}, the log does not"
            for name in venue.accepted
            if name not in submitted and not name.startswith(OTHER_HANDS)
        ),
    ]


def _as_wished(venue: ScriptedVenue, wishes: dict[str, Wish], wanted: dict[str, Decimal]) -> list[str]:
    filled: dict[str, Decimal] = {}
    for fill in venue.account.fills():
        filled[fill.cl_ord_id] = filled.get(fill.cl_ord_id, Decimal(0)) + fill.qty
    return [
        f"{name}: {filled.get(wish.cl_ord_id, Decimal(0))} executed, wanted {wanted[name]}"
        for name, wish in wishes.items()
        if filled.get(wish.cl_ord_id, Decimal(0)) != wanted[name]
    ]


def _reported_once(venue: ScriptedVenue, log: LogTail) -> list[str]:
    """Each execution of an order of ours, or of one that was taken over, with its money, exactly once; nobody else's."""
    ours = {each.cl_ord_id for each in [*log.said(OrderSubmitting), *log.said(ProtectionImprovised)]}
    ours |= {each.cl_ord_id for each in log.said(ExecutionReport) if each.role == "EXIT"}
    real = Counter(
        (each.instrument, each.exec_id, each.cl_ord_id, each.side, each.qty, each.px, each.commission)
        for each in venue.account.fills()
        if each.cl_ord_id in ours
    )
    reported = Counter(
        (each.instrument, each.exec_id, each.cl_ord_id, each.side, each.last_qty, each.last_px, each.commission)
        for each in log.said(ExecutionReport)
        if each.exec_type == "TRADE"
    )
    return [
        f"fill {key[:3]} is reported {reported[key]} times, real {real[key]}"
        for key in {**real, **reported}
        if real[key] != reported[key]
    ]


def _booked(venue: ScriptedVenue, log: LogTail) -> list[str]:
    """The real ledger machine over this log comes to the venue's balances."""
    core = Core(LEDGER.writer, LedgerMachine, LedgerMachine.Settings())
    for entry, message in zip(log.entries, log.told, strict=True):
        if isinstance(message, LEDGER.consumes):
            core.step(entry.seq, message)
    books = core.machine.state.balances
    real = {each.asset: each.free + each.locked for each in venue.account.balances()}
    return [
        f"{asset}: the books say {books.get(asset, 0)}, the venue {real.get(asset, 0)}"
        for asset in sorted({*books, *real})
        if books.get(asset, Decimal(0)) != real.get(asset, Decimal(0))
    ]


def _uncovered(venue: ScriptedVenue) -> list[str]:
    """Positions without resting stops of exactly their size; what is too small to be sold needs none."""
    found = []
    for instrument in venue.market.prices:
        spec, px = venue.spec(instrument), Decimal(str(venue.quote(instrument).bid_px))
        held = floor_to_step(venue.total(spec.base), spec.qty_step)
        selling = [each for each in venue.account.open_orders(instrument) if each.side == "SELL"]
        resting = sum((each.order_qty - each.cum_qty for each in selling if each.stop_px is not None), Decimal(0))
        is_dust = held * px < spec.notional_min and not selling
        if resting != held and not is_dust:
            found.append(f"{instrument}: {held} held, {resting} under a stop")
    return found


def _unreconciled(log: LogTail) -> list[str]:
    """The last word about books and venue is that they agree, and it is younger than the last execution."""
    last = max((n for n, each in enumerate(log.told) if _is_trade(each)), default=0)
    words = log.said(Reconciled, last)
    return [] if words and words[-1].clean else ["books and venue have not been seen to agree since the last execution"]


def _is_trade(message: object) -> bool:
    return isinstance(message, ExecutionReport) and message.exec_type == "TRADE"
