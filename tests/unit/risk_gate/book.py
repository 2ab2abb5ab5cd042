"""A book in good order, and the facts and wishes the tests tell the gate about it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages import (
    BreakerChanged,
    Check,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Mark,
    OperatorCommanded,
    OrderIntent,
    PositionChanged,
    Reconciled,
)
from libs.common.timeframe import SECOND
from services.risk_gate.checks import evaluate
from services.risk_gate.limits import Limits
from services.risk_gate.machine import RiskMachine
from services.risk_gate.view import View
from tests.playbook import START, Playbook

BTC = "BTC-USDT"
ETH = "ETH-USDT"
D = Decimal
LIMITS = Limits(instruments=(BTC, ETH))
NOW = START


def spec(instrument: str = BTC, **changed: Any) -> InstrumentSpec:
    """Binance's rules for BTC-USDT, with a fee of 10 bp."""
    fields: dict[str, Any] = {
        "instrument": instrument,
        "base": instrument.split("-")[0],
        "quote": "USDT",
        "px_tick": D("0.01"),
        "qty_step": D("0.001"),
        "qty_min": D("0.001"),
        "notional_min": D(10),
        "taker_fee": D("0.001"),
        "maker_fee": D("0.001"),
    }
    return InstrumentSpec(**{**fields, **changed})


def mark(instrument: str = BTC, px: float = 60_000.0, ts: int = NOW) -> Mark:
    """A quote without a spread, so that the mark is a round number."""
    return Mark(instrument=instrument, bid_px=px, ask_px=px, last_px=px, protective_px=px, trust="TRUSTED", ts=ts)


def marks(*of: Mark, as_of: int = NOW, alive: tuple[str, ...] = ()) -> FeedMarks:
    return FeedMarks(venue="binance", as_of=as_of, marks=of, alive=alive)


def equity(value: str = "10000", **changed: Any) -> EquityChanged:
    fields: dict[str, Any] = {
        "balance": D(value),
        "equity": D(value),
        "realized_pnl": D(0),
        "unrealized_pnl": D(0),
        "high_water_mark": D(value),
        "drawdown": D(0),
    }
    return EquityChanged(**{**fields, **changed})


def status(state: str = "LIVE", *specs: InstrumentSpec) -> FeedStatus:
    return FeedStatus(venue="binance", state=state, via="SOCKETS", reason="", health={}, specs=specs)  # type: ignore[arg-type]


def reconciled(clean: bool = True, *mismatches: str) -> Reconciled:
    return Reconciled(clean=clean, balances=(), mismatches=mismatches)


def breaker(state: str, name: str = "submit") -> BreakerChanged:
    return BreakerChanged(name=name, state=state, reason="5 failures in a row (limit 5)", retry_at=0)  # type: ignore[arg-type]


def entry(intent_id: str = "i1", **changed: Any) -> OrderIntent:
    """Buy 0.02 BTC at the market (1200 USDT of 10000), stop 2 % below."""
    fields: dict[str, Any] = {
        "intent_id": intent_id,
        "instrument": BTC,
        "side": "BUY",
        "ord_type": "MARKET",
        "time_in_force": "GTC",
        "order_qty": D("0.02"),
        "limit_px": None,
        "ref_px": D(60_000),
        "stop_px": D(58_800),
        "target_px": None,
        "reduce_only": False,
        "valid_until": NOW + 60 * SECOND,
        "reason": "trend up",
    }
    return OrderIntent(**{**fields, **changed})


def exit_(intent_id: str = "x1", **changed: Any) -> OrderIntent:
    """Sell what `entry` bought."""
    return entry(intent_id, **{"side": "SELL", "stop_px": None, "reduce_only": True, "reason": "trend over", **changed})


def limit_entry(intent_id: str = "i1", px: str = "60000", **changed: Any) -> OrderIntent:
    return entry(intent_id, **{"ord_type": "LIMIT", "limit_px": D(px), **changed})


def report(intent: OrderIntent, **changed: Any) -> ExecutionReport:
    """The venue accepted the order; `changed` says what else."""
    fields: dict[str, Any] = {
        "cl_ord_id": f"order of {intent.intent_id}",
        "intent_id": intent.intent_id,
        "venue_order_id": "v1",
        "exec_id": "",
        "role": "EXIT" if intent.reduce_only else "ENTRY",
        "exec_type": "NEW",
        "ord_status": "NEW",
        "instrument": intent.instrument,
        "side": intent.side,
        "order_qty": intent.order_qty,
        "cum_qty": D(0),
        "leaves_qty": intent.order_qty,
        "avg_px": None,
        "last_qty": None,
        "last_px": None,
        "commission": None,
        "commission_asset": "",
        "liquidity_side": "",
        "reason": "",
    }
    return ExecutionReport(**{**fields, **changed})


def trade(intent: OrderIntent, exec_id: str, qty: str, cum: str, ord_status: str = "FILLED", **changed: Any) -> Any:
    """A fill of `qty`, `cum` in all, at 60000 with 10 bp commission in quote currency."""
    fields: dict[str, Any] = {
        "exec_type": "TRADE",
        "ord_status": ord_status,
        "exec_id": exec_id,
        "cum_qty": D(cum),
        "leaves_qty": intent.order_qty - D(cum),
        "last_qty": D(qty),
        "last_px": D(60_000),
        "commission": D(qty) * 60,
        "commission_asset": "USDT",
        "liquidity_side": "TAKER",
    }
    return report(intent, **{**fields, **changed})


def position(qty: str, exec_id: str = "", instrument: str = BTC) -> PositionChanged:
    return PositionChanged(
        instrument=instrument,
        signed_qty=D(qty),
        avg_entry_px=D(60_000),
        realized_pnl=D(0),
        commission=D(0),
        exec_id=exec_id,
        cl_ord_id="",
    )


def command(name: str, reason: str = "drill", author: str = "ada") -> OperatorCommanded:
    return OperatorCommanded(command=name, reason=reason, author=author)  # type: ignore[arg-type]


def opened(limits: Limits = LIMITS, *, cash: str = "10000") -> Playbook:
    """A gate that has heard everything it needs to approve `entry`."""
    book = Playbook(RiskMachine(limits), writer="risk")
    for fact in (
        status("LIVE", spec(), spec(ETH)),
        marks(mark(), mark(ETH, 3_000.0)),
        equity(cash),
        reconciled(),
    ):
        book.tell(fact).expect()
    return book


def view() -> View:
    """The memory of such a gate."""
    return opened().machine.state


def tightened(**changed: Any) -> Limits:
    return msgspec.structs.replace(LIMITS, **changed)


def judged(intent: OrderIntent, seen: View | None = None, limits: Limits = LIMITS, now: int = NOW) -> dict[str, Check]:
    """Every check of the intent, by code."""
    checks = evaluate(intent, view() if seen is None else seen, limits, now)
    return {check.code: check for check in checks}


def failed(intent: OrderIntent, seen: View | None = None, limits: Limits = LIMITS, now: int = NOW) -> list[str]:
    """The codes of the checks the intent fails."""
    return [code for code, check in judged(intent, seen, limits, now).items() if not check.passed]
