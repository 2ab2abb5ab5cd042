"""Bulkhead: the live system's machines over the bars, with the gate, the paper venue and the ledger in the loop.

    PYTHONPATH=. python benchmarks/peers/bulkhead_run.py BARS.csv [--also BARS2.csv ...] [--profile FILE]

The strategy is an agent of the user's (`sma_agent.py`); portfolio, risk gate, order executor and ledger are those of a deployment, and what the backtest
command writes down (`Scribe`) is written down here. Settings come from the environment like everybody's (`ENVIRONMENT`), except for what no deployment
may set (`opened_up`): a position of all the money, and a book that goes on when nearly all of it is gone.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from measured import Run, arguments

from libs.common.messages import ExecutionReport, InstrumentSpec, Message
from libs.common.timeframe import MINUTE
from libs.research.backtest import Terms, backtest
from libs.research.bar_files.series import open_bars
from libs.research.histories import Histories
from libs.research.scribe import Scribe
from libs.trading.fill_model import FillModel
from services.cli.backtest_runs import plugged
from services.cli.backtest_settings import machine_settings

AGENT = Path(__file__).with_name("sma_agent.py")
PARTS = ("portfolio", "risk-gate", "order-executor", "ledger")
ENVIRONMENT = {
    "BULKHEAD_PORTFOLIO_AGENTS": "sma",
    "BULKHEAD_PORTFOLIO_MODEL": "off",
    "BULKHEAD_PORTFOLIO_LEVELS": "false",
    "BULKHEAD_PORTFOLIO_REGIMES": "false",
    "BULKHEAD_PORTFOLIO_EXIT_FLAT_BARS": "1",
    "BULKHEAD_PORTFOLIO_SLIPPAGE_BPS": "0",
    "BULKHEAD_PORTFOLIO_DENIAL_COOLDOWN_MS": "0",
    "BULKHEAD_PORTFOLIO_HOLD_MS_MAX": "0",
    "BULKHEAD_PORTFOLIO_DECAY_MS": "0",
    "BULKHEAD_PORTFOLIO_STOP_ATR": "20",
    "BULKHEAD_PORTFOLIO_TARGET_ATR": "50",
    "BULKHEAD_RISK_MACRO": "false",
    "BULKHEAD_RISK_LEVELS": "false",
    "BULKHEAD_RISK_BARS": "false",
    "BULKHEAD_RISK_COOLDOWN_MS": "0",
    "BULKHEAD_RISK_LOSSES_IN_A_ROW_MAX": "0",
    "BULKHEAD_EXEC_LOSSES_IN_A_ROW_MAX": "0",
    "BULKHEAD_RISK_STOP_DISTANCE_MAX": "0.50",
}
"""What a deployment may be told; the agent's `atr` of 2 % makes the stop 40 % and the target 100 % away."""
ONE = Decimal(1)
ALL = Decimal(10) ** 12


def opened_up(settings: dict[str, Any], instruments: int = 1) -> dict[str, Any]:
    """The settings without the limits that no deployment may go without: all in (an equal share each), and down to the last coin."""
    sizing = msgspec.structs.replace(settings["portfolio"].limits, risk_per_trade=ONE, position_max=ONE / instruments)
    changed: dict[str, dict[str, Any]] = {
        "portfolio": {"limits": sizing},
        "risk-gate": {
            "order_value_max": ALL,
            "order_value_fraction_max": ONE,
            "position_fraction_max": ONE,
            "total_risk_fraction_max": ONE,
            "loss_fraction_max": ONE,
            "cluster_fraction_max": ONE,
            "correlated_fraction_max": ONE,
            "drawdown_half_risk": ONE,
            "drawdown_entry_max": ONE,
            "drawdown_halt": ONE,
            "daily_loss_max": ONE,
        },
        "order-executor": {"notional_max": ALL},
    }
    return {
        name: msgspec.structs.replace(each, **changed.get(name, {}))
        for name, each in settings.items()
        if name in PARTS or name == "agent-sma"
    }


def spec_of(instrument: str, fee: Decimal) -> InstrumentSpec:
    """A venue that hardly rounds."""
    base, _, quote = instrument.partition("-")
    return InstrumentSpec(
        instrument=instrument,
        base=base,
        quote=quote,
        px_tick=Decimal("0.000001"),
        qty_step=Decimal("0.00000001"),
        qty_min=Decimal("0.00000001"),
        notional_min=Decimal("0.00001"),
        taker_fee=fee,
        maker_fee=fee,
    )


class Trades:
    """What is written down of a run, and at which bars it traded and why."""

    def __init__(self, begin: int):
        self.scribe = Scribe()
        self.places: list[int] = []
        self.roles: dict[str, int] = {}
        self.events = 0
        self._begin = begin

    def __call__(self, seq: int, message: Message) -> None:
        """Take note of one event."""
        self.events += 1
        self.scribe(seq, message)
        if isinstance(message, ExecutionReport) and message.exec_type == "TRADE":
            self.places.append((message.ts_event - self._begin) // MINUTE)
            self.roles[message.role] = self.roles.get(message.role, 0) + 1


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--also", nargs="*", default=[], help="further instruments, each a file")
    parser.add_argument("--profile", default="", help="write where the time goes here")


def _limited(bars: Any, limit: int) -> Any:
    for number, bar in enumerate(bars):
        if limit and number >= limit:
            return
        yield bar


def main() -> None:
    """Print one line of JSON."""
    told = arguments(__doc__, _more)
    histories = Histories(open_bars([Path(each) for each in (told.file, *told.also)]))
    fee = Decimal(str(told.fee))
    plugins = plugged([AGENT])
    settings = opened_up(machine_settings(ENVIRONMENT, histories.instruments), len(histories.instruments))
    specs = tuple(spec_of(each, fee) for each in histories.instruments)
    terms = Terms(specs=specs, cash=Decimal(str(told.cash)), model=FillModel())
    trades = Trades(histories.begin)
    series = [_limited(each, told.limit) for each in histories.streams(terms.venue)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    profile = cProfile.Profile() if told.profile else None
    if profile is not None:
        profile.enable()
    with Run() as run:
        test = backtest(terms, series, settings, trades, plugins=plugins)
    if profile is not None:
        profile.disable()
        with open(told.profile, "w") as file:
            pstats.Stats(profile, stream=file).sort_stats("tottime").print_stats(30)
    played = [min(each.bars, told.limit or each.bars) for each in histories.played]
    scribe = trades.scribe
    run.report(
        told,
        engine="bulkhead",
        bars=sum(played),
        orders=len(trades.places),
        equity=float(scribe.equity or 0),
        rss_before_mb=round(before / 1024, 1),
        events=trades.events,
        roles=trades.roles,
        denials=dict(scribe.denials),
        alerts=dict(scribe.alerts),
        digest=scribe.digest,
        places=trades.places,
        machines=list(settings),
        ended_at=test.now,
    )


if __name__ == "__main__":
    main()
