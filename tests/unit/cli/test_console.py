"""The log as a person reads it: a line for decisions and fills, silence for the rest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.common.codec import encode
from libs.common.messages import (
    AgentSignals,
    AlertRaised,
    Balance,
    Check,
    Decision,
    DecisionsMade,
    EquityChanged,
    EventRejected,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentQuarantined,
    InstrumentReleased,
    JournalPosted,
    MacroRegimes,
    Message,
    OperatorCommanded,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
    PriceTrustChanged,
    Reconciled,
    Regime,
    RegimeState,
    ServiceStarted,
    Signal,
    TimerFired,
    TradingStateChanged,
)
from libs.desk.narrator import Narrator, line_of

AT = 1_700_000_000_000_000_000
ORDER: dict[str, Any] = {
    "intent_id": "i",
    "instrument": "BTC-USDT",
    "side": "BUY",
    "order_qty": Decimal("0.0120"),
}
WISH: dict[str, Any] = {
    **ORDER,
    "ord_type": "MARKET",
    "time_in_force": "IOC",
    "limit_px": None,
    "ref_px": Decimal("67012.50"),
    "stop_px": Decimal(65000),
    "target_px": Decimal(70000),
    "reduce_only": False,
    "valid_until": 0,
}
CHECKS = (Check(code="NOTIONAL", passed=True, value="1", limit="2"),)
REPORT: dict[str, Any] = {
    **ORDER,
    "cl_ord_id": "c",
    "venue_order_id": "v",
    "exec_id": "",
    "role": "ENTRY",
    "exec_type": "NEW",
    "ord_status": "NEW",
    "cum_qty": Decimal(0),
    "leaves_qty": Decimal("0.012"),
    "avg_px": None,
    "last_qty": None,
    "last_px": None,
    "commission": None,
    "commission_asset": "",
    "liquidity_side": "",
    "reason": "",
}
FILL = {
    **REPORT,
    "cl_ord_id": "0123abcd" + 24 * "e",
    "exec_type": "TRADE",
    "ord_status": "FILLED",
    "last_qty": Decimal("0.012"),
    "last_px": Decimal("67010.10"),
    "commission": Decimal("0.000012"),
    "commission_asset": "BTC",
}
SIGNAL: dict[str, Any] = {
    "instrument": "BTC-USDT",
    "timeframe": "1m",
    "ready": True,
    "stance": "LONG",
    "strength": 0.625,
    "close_px": 1.0,
    "atr": 1.0,
    "evidence": {},
}
FLAT = {**SIGNAL, "instrument": "ETH-USDT", "stance": "FLAT"}
COLD = Signal(**{**SIGNAL, "ready": False})


FIRST = {"number": 1, "previous": "", "digest": "d"}


def said(event: type[Message], producer: str, fields: dict[str, Any]) -> str | None:
    line = line_of(event(ts_init=AT, producer=producer, **fields))
    return None if line is None else line.plain


DOUBT = {"venue": "binance", "instrument": "BTC-USDT", "before": "TRUSTED", "reason": "OUTSIDE_BAND"}
PRICES = {"trusted_px": 67_000.0, "protective_px": 67_000.0, "suspect_px": 54_000.0, "band": 0.005}


@pytest.mark.parametrize(
    ("kind", "fields", "text"),
    [
        (
            FeedStatus,
            {"venue": "kraken", "state": "LIVE", "via": "POLLING", "reason": "FAILOVER", "health": {}, "specs": ()},
            "kraken speaks by polling, LIVE FAILOVER",
        ),
        (
            PriceTrustChanged,
            {**DOUBT, **PRICES, "trust": "QUARANTINED"},
            "price of BTC-USDT is QUARANTINED (OUTSIDE_BAND) 54000 against 67000",
        ),
        (
            AgentSignals,
            {"agent_id": "trend", "end_ts": 0, "signals": (Signal(**SIGNAL), Signal(**FLAT), COLD)},
            "thinks BTC-USDT 1m LONG 0.62, ETH-USDT 1m FLAT",
        ),
        (
            OrderIntent,
            {**WISH, "reason": "trend"},
            "wishes to BUY 0.012 BTC-USDT near 67,012.5 stop 65,000 target 70,000  trend",
        ),
        (
            OrderIntent,
            {**WISH, "side": "SELL", "stop_px": None, "target_px": None, "reduce_only": True, "reason": "flip"},
            "wishes to leave SELL 0.012 BTC-USDT near 67,012.5  flip",
        ),
        (OrderApproved, {**WISH, "checks": CHECKS}, "APPROVED BUY 0.012 BTC-USDT  1 checks passed"),
        (
            OrderDenied,
            {**ORDER, "reasons": ("STALE_PRICE", "HALTED"), "checks": CHECKS},
            "DENIED BUY 0.012 BTC-USDT  STALE_PRICE, HALTED",
        ),
        (ExecutionReport, REPORT, "NEW ENTRY BUY 0.012 BTC-USDT"),
        (ExecutionReport, FILL, "FILL ENTRY BUY 0.012 BTC-USDT @ 67,010.1  fee 0.000012 BTC  0123abcd"),
        (
            ExecutionReport,
            {**REPORT, "exec_type": "UNKNOWN", "ord_status": "UNKNOWN", "reason": "no answer"},
            "UNKNOWN ENTRY BUY 0.012 BTC-USDT  no answer",
        ),
        (
            PositionChanged,
            {
                "instrument": "BTC-USDT",
                "signed_qty": Decimal("0.012"),
                "avg_entry_px": Decimal("67010.1"),
                "realized_pnl": Decimal("-1.234"),
                "commission": Decimal(0),
                "exec_id": "e",
                "cl_ord_id": "c",
            },
            "position BTC-USDT 0.012 @ 67,010.1  realised -1.23",
        ),
        (
            PositionChanged,
            {
                "instrument": "BTC-USDT",
                "signed_qty": Decimal("0E-8"),
                "avg_entry_px": Decimal(0),
                "realized_pnl": Decimal(12),
                "commission": Decimal(0),
                "exec_id": "e",
                "cl_ord_id": "c",
            },
            "position BTC-USDT flat  realised +12.00",
        ),
        (
            JournalPosted,
            {
                "entry_id": "e",
                "kind": "OPENING",
                "source_id": "s",
                "instrument": "",
                "postings": (),
                "memo": "USDT",
                **FIRST,
            },
            "books opening USDT",
        ),
        (
            TradingStateChanged,
            {"state": "HALTED", "previous": "ACTIVE", "reason": "drawdown", "author": "gate"},
            "trading is HALTED (was ACTIVE): drawdown",
        ),
        (AlertRaised, {"code": "X", "severity": "page", "text": "wake up"}, "PAGE X wake up"),
        (
            InstrumentQuarantined,
            {"instrument": "BTC-USDT", "cl_ord_id": "c", "reason": "UNKNOWN"},
            "QUARANTINED BTC-USDT UNKNOWN",
        ),
        (
            InstrumentReleased,
            {"instrument": "BTC-USDT", "cl_ord_id": "c", "reason": "found"},
            "released BTC-USDT: found",
        ),
        (
            Reconciled,
            {"clean": False, "balances": (), "mismatches": ("USDT 1 != 2", "order c")},
            "DOES NOT AGREE WITH THE VENUE USDT 1 != 2; order c",
        ),
        (
            EventRejected,
            {"rejected_seq": 7, "rejected_subject": "feed.marks", "reason": "MALFORMED", "detail": "not JSON"},
            "REJECTED event 7 on feed.marks: MALFORMED: not JSON",
        ),
        (
            GenesisDeclared,
            {"book": "main", "mode": "paper", "author": "eva"},
            "the book 'main' begins (paper), declared by eva",
        ),
        (
            OperatorCommanded,
            {"command": "HALT", "reason": "lunch", "author": "eva"},
            "eva commands HALT: lunch",
        ),
        (
            ServiceStarted,
            {"instance": "up", "code_version": "0123456789abcdef", "settings": {}, "state_digest": ""},
            "started, code 0123456789ab",
        ),
    ],
)
def test_a_decision_is_one_line(kind: type[Message], fields: dict[str, Any], text: str) -> None:
    """When, who, what: the numbers as a person writes them."""
    assert said(kind, "risk", fields) == f"11-14 22:13:20 {'risk':<12} {text}"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (FeedMarks, {"venue": "binance", "as_of": 1, "marks": ()}),
        (TimerFired, {"name": "t", "due": 1}),
        (
            EquityChanged,
            dict.fromkeys(
                ("balance", "equity", "realized_pnl", "unrealized_pnl", "high_water_mark", "drawdown"), Decimal(1)
            ),
        ),
        (
            Reconciled,
            {"clean": True, "balances": (Balance(asset="USDT", free=Decimal(1), locked=Decimal(0)),), "mismatches": ()},
        ),
        (AgentSignals, {"agent_id": "trend", "end_ts": 0, "signals": (COLD,)}),
        (
            JournalPosted,
            {
                "entry_id": "e",
                "kind": "FILL",
                "source_id": "s",
                "instrument": "BTC-USDT",
                "postings": (),
                "memo": "",
                **FIRST,
            },
        ),
    ],
)
def test_what_a_person_need_not_see_is_silent(kind: type[Message], fields: dict[str, Any]) -> None:
    """Prices, timers, equity, clean reconciliations, cold indicators."""
    assert said(kind, "feed", fields) is None


def test_what_is_no_event_is_said_loudly() -> None:
    """Somebody has written into the log what no service could have written."""
    line = Narrator().line_at("risk.state", b"{}")
    assert line is not None
    assert line.plain.startswith("not an event, on risk.state: MALFORMED")


def test_an_opinion_is_told_when_it_changes() -> None:
    """An agent that says the same of every bar is heard once."""
    narrator = Narrator()

    def told(stance: str, number: int) -> str:
        signal = Signal(
            instrument="BTC-USDT",
            timeframe="1m",
            ready=True,
            stance=stance,
            strength=0.5,
            close_px=1.0,
            atr=1.0,
            evidence={},
        )
        message = AgentSignals(
            id=f"s{number}", producer="agent.trend", agent_id="trend", end_ts=number, signals=(signal,)
        )
        line = narrator.line_at("agent.trend.signals", encode(message))
        return line.plain if line else ""

    assert "LONG" in told("LONG", 1)
    assert told("LONG", 2) == ""
    assert "SHORT" in told("SHORT", 3)


def test_a_regime_is_told_when_it_changes() -> None:
    """The macro agent repeats itself with every day that closes; people hear of a state once."""
    narrator = Narrator()

    def told(state: RegimeState, number: int, *, provisional: bool = False) -> str:
        regime = Regime(
            instrument="BTC-USDT", state=state, provisional=provisional, weeks=30, since_ts=0, evidence={"votes": 3.0}
        )
        message = MacroRegimes(
            id=f"m{number}", producer="agent.macro", agent_id="macro", end_ts=number, regimes=(regime,)
        )
        line = narrator.line_at("agent.macro.regimes", encode(message))
        return line.plain if line else ""

    assert told("UNKNOWN", 1).endswith("agent.macro  sees BTC-USDT UNKNOWN")
    assert told("UNKNOWN", 2) == ""
    assert told("BULL", 3, provisional=True).endswith("sees BTC-USDT BULL (provisional)")
    assert told("BULL", 4) == ""
    assert told("BEAR", 5).endswith("sees BTC-USDT BEAR")


def decided(fallback: str, driven: int, asked: int, mode: str = "confirm") -> bytes:
    """One entry decided, by the model where `fallback` is empty."""
    decision = Decision(
        instrument="BTC-USDT",
        action="ENTER",
        reason="long",
        size_factor=1.0,
        regime_share=1.0,
        score=1.0,
        ballots=(),
        driver="RULES" if fallback else "MODEL",
        fallback=fallback,
        intent_id="i",
    )
    made = DecisionsMade(
        end_ts=1,
        mode=mode,  # type: ignore[arg-type]
        decisions=(decision,),
        model_driven=driven,
        model_asked=asked,
        id="d",
        producer="portfolio",
    )
    return encode(made)


def test_who_decides_is_told_when_it_changes() -> None:
    """An outage of the model must not look like a quiet market; nor fill the screen."""
    narrator = Narrator()
    told = [
        narrator.line_at("portfolio.decisions", payload)
        for payload in (decided("", 1, 1), decided("timeout", 1, 2), decided("timeout", 1, 3), decided("", 2, 4))
    ]
    assert told[0] is None
    assert told[1] is not None
    assert "1 of 2 decisions model-driven, the rules decide alone: timeout" in told[1].plain
    assert told[2] is None
    assert told[3] is not None
    assert told[3].plain.endswith("2 of 4 decisions model-driven")
    assert Narrator().line_at("portfolio.decisions", decided("off", 0, 0, "off")) is None
