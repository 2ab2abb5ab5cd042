"""Agents on trial, brought as a user brings them, and votes that are no agent's."""

from __future__ import annotations

from pathlib import Path
from random import Random

from libs.common.messages import Bar
from libs.common.timeframe import HOUR
from libs.research.validity.noise import BEGIN, series_of
from libs.research.validity.telling import Candidate
from libs.research.validity.votes import Series
from libs.runtime.plugin import load_plugin
from tests.plugins import plugin_file


def on_trial(folder: Path, text: str, name: str = "breakout.py", **settings: object) -> Candidate:
    """An agent of this text, with these settings."""
    plugin = load_plugin(str(plugin_file(folder, text, name)))
    told = plugin.machine_class.Settings(**settings)
    return Candidate(
        name=plugin.agent_id,
        make=lambda: plugin.machine_class(told),
        hears=plugin.contract.consumes,
        code_digest=plugin.version,
        settings_digest="-",
    )


def bar_at(place: int, opens: float, closes: float, volume: float = 1_000.0) -> Bar:
    """Hour `place`, without wicks."""
    return Bar(
        instrument="BTC-USDT",
        venue="binance",
        timeframe="1h",
        ts_open=BEGIN + place * HOUR,
        ts_close=BEGIN + (place + 1) * HOUR,
        open=opens,
        high=max(opens, closes),
        low=min(opens, closes),
        close=closes,
        volume=volume,
    )


def hours(seed: int, count: int) -> list[Bar]:
    """Hours of a random walk with two decimals, in which so much is traded that our share of it is small."""
    random, px, found = Random(seed), 100.0, list[Bar]()
    for place in range(count):
        closes = round(px * (1.0 + random.gauss(0.0, 0.01)), 2)
        found.append(bar_at(place, px, closes, round(random.uniform(5_000.0, 20_000.0), 3)))
        px = closes
    return found


def voted(bars: list[Bar], stances: list[int], ready_from: int = 0) -> Series:
    """These bars with these votes at their closes."""
    return series_of(bars, stances, ready_from)
