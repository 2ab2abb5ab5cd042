"""Runs the baseline and holds it against the record.

python -m tests.baseline                    what it comes to now, beside the record
python -m tests.baseline --record "why"     put that on record, with the reason
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from libs.research.backtest import Terms, backtest, spec_of
from libs.research.result import BacktestResult, SeriesUsed, result_of
from libs.research.scribe import Scribe
from libs.trading.fill_model import REALISTIC_BARS
from libs.trading.track_record import Trials
from services.cli.backtest_settings import machine_settings
from tests.baseline.market import BARS, BEGIN, INSTRUMENTS, TIMEFRAME, bars

RECORD = Path(__file__).with_name("record.json")
CASH = Decimal(100_000)
SETTINGS = {
    "BULKHEAD_TREND_TIMEFRAMES": "15m,1h",
    "BULKHEAD_RISK_MACRO": "false",
    "BULKHEAD_PORTFOLIO_REGIMES": "false",
}
"""A fortnight has no weekly regime."""
TOLERANCES = {
    "trades": 0.0,
    "denials": 0.0,
    "equity_final": 0.005,
    "commission": 0.005,
    "drawdown_max": 0.001,
    "win_rate": 0.001,
}
"""How far a figure may be from the record, in its own unit. Another digest alone is a change as well: something was decided otherwise."""


def played() -> BacktestResult:
    """The baseline as this code plays it."""
    settings = machine_settings(SETTINGS, tuple(INSTRUMENTS))
    specs = tuple(spec_of(name, px, fee=Decimal("0.001"), px_decimals=2) for name, px in INSTRUMENTS.items())
    scribe = Scribe()
    test = backtest(Terms(specs=specs, cash=CASH), [bars(name) for name in INSTRUMENTS], settings, scribe)
    series = tuple(
        SeriesUsed(
            instrument=name, timeframe=TIMEFRAME, bars=BARS, first_ts_open=BEGIN, end_ts=test.now, digest="generated"
        )
        for name in INSTRUMENTS
    )
    return result_of(
        scribe,
        series=series,
        settings=settings,
        code_version="",
        model=REALISTIC_BARS,
        quote="USDT",
        cash=CASH,
        qty_steps={each.instrument: each.qty_step for each in specs},
        trials=Trials(),
    )


def figures(result: BacktestResult) -> dict[str, Any]:
    """What is on record of a run."""
    trades = result.record.trades
    return {
        "digest": result.digest,
        "trades": trades.count,
        "denials": sum(result.denials.values()),
        "equity_final": float(result.equity_final),
        "commission": float(trades.commission),
        "drawdown_max": float(result.drawdown_max),
        "win_rate": trades.win_rate.value,
    }


def on_record() -> dict[str, Any]:
    """The newest figures on record."""
    entries: list[dict[str, Any]] = json.loads(RECORD.read_text())
    return entries[-1]


def changes(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """A line for each figure that is not what is on record."""
    found = [
        f"{name}: {then[name]:,.6g} on record, {now[name]:,.6g} now (tolerance {tolerance:g})"
        for name, tolerance in TOLERANCES.items()
        if not abs(now[name] - then[name]) <= tolerance
    ]
    if now["digest"] != then["digest"]:
        found.append(f"digest: {then['digest']} on record, {now['digest']} now: something was decided otherwise")
    return found


def record(reason: str, day: str) -> dict[str, Any]:
    """Put what the code comes to now on record, as of `day`."""
    entries = json.loads(RECORD.read_text()) if RECORD.exists() else []
    entry = {"day": day, "reason": reason, **figures(played())}
    RECORD.write_text(json.dumps([*entries, entry], indent=1) + "\n")
    return entry
