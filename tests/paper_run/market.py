"""What is traded in a paper run: through recorded minutes where there are some, on a generated market else; and the settings it runs with.

They are a deployment's, but for ages: venue time stands still while the services think and then jumps, so whatever is a second old by the
venue's clock may be half a minute old by the time it is asked about.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from libs.common.timeframe import MINUTE
from services.cli.newcomer import DEV_DEFAULTS

RECORDED = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT")
GENERATED = ("ADA-USDT", "AVAX-USDT", "DOGE-USDT", "DOT-USDT", "LINK-USDT", "LTC-USDT", "ATOM-USDT", "TRX-USDT")
BEGINS = datetime(2025, 1, 2, tzinfo=UTC)
"""The first whole day of the recorded minutes."""
DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[3] / "shared" / "data")) / "ohlcv_1m"

AGES = (
    "BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX",
    "BULKHEAD_PORTFOLIO_QUOTE_AGE_MS_MAX",
    "BULKHEAD_RISK_PRICE_AGE_MS_MAX",
    "BULKHEAD_RISK_SIGNAL_AGE_SHARE_MAX",
    "BULKHEAD_PORTFOLIO_MODEL_WAIT_MS",
    "BULKHEAD_LLM_DEADLINE_MS",
)
"""Limits on ages that are as wide as on any market which is faster than wall time."""
SETTINGS = {
    "BULKHEAD_NEWCOMER": "false",
    "BULKHEAD_SIM_MODE": "step",
    "BULKHEAD_SIM_WEIGHT_LIMIT": "0",
    "BULKHEAD_SIM_LATENCY_MS": "150",
    "BULKHEAD_SIM_SLIP_BPS": "1",
    "BULKHEAD_SIM_IMPACT_BPS": "10",
    "BULKHEAD_SIM_PARTICIPATION_MAX": "0.1",
    "BULKHEAD_FEED_STALENESS_MS_MAX": "120000",
    "BULKHEAD_FEED_ALIVE_WINDOW_MS": "40000",
    "BULKHEAD_FEED_RETURN_MS": "3000",
    "BULKHEAD_EXEC_RECONCILE_INTERVAL_MS": "900000",
    "BULKHEAD_RISK_RECONCILED_AGE_MS_MAX": "7200000",
    "BULKHEAD_EXEC_CRASH_STARTS_MAX": "1000",
}
"""A venue is alive that was heard within twice the window, which must be longer than a jump; and a home that is well again speaks after three seconds of
ours, in which minutes of market pass. Fills are realistic (docs/paper-venue.md). Books are compared every quarter of an hour, because the weight that a venue grants is counted in wall
minutes; and a service that is killed on purpose every few hours of market is no crash loop."""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """The instruments of one run; `recorded` go through recorded minutes."""

    instruments: tuple[str, ...]
    recorded: tuple[str, ...]
    seed: int

    @property
    def begins(self) -> int:
        """The first minute, ns UTC."""
        return int(BEGINS.timestamp()) * 1_000_000_000

    def environment(self) -> dict[str, str]:
        """What the stack is told."""
        listed = ",".join(self.instruments)
        ages = {name: value for told in DEV_DEFAULTS.values() for name, value in told.items() if name in AGES}
        market = {
            "BULKHEAD_INSTRUMENTS": listed,
            "BULKHEAD_SIM_INSTRUMENTS": listed,
            "BULKHEAD_SIM_SEED": str(self.seed),
            "BULKHEAD_SIM_START": BEGINS.isoformat(),
        }
        if self.recorded:
            market["BULKHEAD_SIM_BARS"] = str(DATA)
        return {**SETTINGS, **ages, **market}


def market_of(symbols: int, seed: int, data: Path = DATA) -> Market:
    """The first `symbols` instruments: the recorded ones first, if the recording is there."""
    recorded = RECORDED if data.is_dir() else ()
    named: Sequence[str] = (*RECORDED, *GENERATED)
    more = max(0, symbols - len(named))
    instruments = (*named, *(f"GEN{n:03}-USDT" for n in range(more)))[:symbols]
    return Market(instruments=instruments, recorded=tuple(each for each in recorded if each in instruments), seed=seed)


def minutes_of(days: int) -> int:
    """How many minutes so many days have."""
    return days * 24 * 60


def at(begins: int, minute: int) -> int:
    """The end of minute `minute` (0 is the first)."""
    return begins + (minute + 1) * MINUTE
