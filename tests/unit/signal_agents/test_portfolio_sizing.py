"""How much the portfolio wishes for, exactly, and what it can be told about it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.timeframe import MILLISECOND
from libs.runtime.settings import SettingsError, load_settings
from services.signal_agents.portfolio.machine import PortfolioMachine
from services.signal_agents.portfolio.settings import Settings
from services.signal_agents.portfolio.sizing import Entry, Funds, Limits, long_entry
from tests.unit.signal_agents.portfolio_story import (
    LIMITS,
    SPEC,
    D,
)


def _entry(px: str, stop_atr: str, equity: int = 10_000, free: int = 10_000_000, **limits: Any) -> Entry | None:
    """An entry with ATR 1, so that `stop_atr` is the distance of the stop."""
    changed = msgspec.structs.replace(LIMITS, stop_atr=D(stop_atr), position_max=D(100), **limits)
    return long_entry(D(px), D(1), Funds(equity=D(equity), free=D(free)), changed, SPEC)


@pytest.mark.parametrize(
    ("stop_atr", "costs", "qty"),
    [
        ("1200", "0", "0.083"),
        ("1200", "0.0005", "0.077"),
        ("60", "0", "1.666"),
        ("60", "0.0005", "0.666"),
    ],
)
def test_reference_sizes(stop_atr: str, costs: str, qty: str) -> None:
    """10,000 at 1 % from 60,000: costs matter little for a wide stop and more than anything for a tight one."""
    spec = msgspec.structs.replace(SPEC, taker_fee=D(costs))
    limits = msgspec.structs.replace(
        LIMITS, stop_atr=D(stop_atr), target_atr=D(5000), position_max=D(100), slip=D(costs)
    )
    funds = Funds(equity=D(10_000), free=D(10_000_000))
    entry = long_entry(D(60_000), D(1), funds, limits, spec)
    assert entry is not None
    assert entry.qty == D(qty)


def test_caps_on_position_and_cash() -> None:
    """The smallest of risk, position cap and free cash decides; cash must pay for fee and slip too."""
    limits = msgspec.structs.replace(LIMITS, position_max=D("0.2"))
    rich = long_entry(D(60_000), D(60), Funds(equity=D(10_000), free=D(10_000)), limits, SPEC)
    poor = long_entry(D(60_000), D(60), Funds(equity=D(10_000), free=D("1201.19")), limits, SPEC)
    broke = long_entry(D(60_000), D(60), Funds(equity=D(10_000), free=D(-5)), limits, SPEC)
    assert rich is not None
    assert (rich.qty, rich.cash) == (D("0.033"), D("0.033") * 60_000 * D("1.0005") * D("1.0005"))
    assert poor is not None
    assert poor.qty == D("0.019")  # 0.02 would cost 1,201.20
    assert broke is None


def test_exits_are_rounded_to_the_tick() -> None:
    """The stop is rounded away from the entry, the target towards it: neither promises more than it holds."""
    entry = long_entry(D("100.001"), D("1.0033"), Funds(equity=D(10_000), free=D(10_000)), LIMITS, SPEC)
    assert entry is not None
    assert (entry.ref_px, entry.stop_px, entry.target_px) == (D("100.01"), D("98.00"), D("103.01"))


def test_no_room_between_two_ticks() -> None:
    """A range smaller than a tick leaves no room for a target."""
    funds = Funds(equity=D(10_000), free=D(10_000))
    assert long_entry(D(100), D("0.001"), funds, LIMITS, SPEC) is None


TICKS = st.integers(-8, 0).map(lambda exponent: D(10) ** exponent)
AMOUNTS = st.decimals(1, 10**7, places=8)
FRACTIONS = st.decimals("0.0001", "0.05", places=4)


@settings(max_examples=300, deadline=None)
@given(
    ticks=st.floats(100, 1e9),
    atr_share=st.floats(1e-5, 0.2),
    equity=AMOUNTS,
    free_share=st.decimals(0, 1, places=4),
    risk=FRACTIONS,
    multiples=st.tuples(st.decimals("0.1", 4, places=2), st.decimals("0.1", 50, places=2)),
    costs=st.tuples(st.decimals(0, "0.01", places=5), st.decimals(0, "0.01", places=5)),
    tick=TICKS,
    steps=st.integers(1, 10**7),
    notional_min=st.decimals(0, 20, places=2),
)
@example(6e6, 0.01, D(10_000), D(1), D("0.01"), (D(2), D(3)), (D("0.001"), D("0.0005")), D("0.01"), 600, D(5))
def test_a_stop_never_costs_more_than_the_budget(
    ticks: float,
    atr_share: float,
    equity: Decimal,
    free_share: Decimal,
    risk: Decimal,
    multiples: tuple[Decimal, Decimal],
    costs: tuple[Decimal, Decimal],
    tick: Decimal,
    steps: int,
    notional_min: Decimal,
) -> None:
    """Whatever the market and the account: the loss at the stop with both fees and slip is within risk, in exact fractions."""
    (fee, slip), px, free = costs, ticks * float(tick), equity * free_share
    step = D(10) ** (equity / D(str(px)) / steps).adjusted()  # equity buys between some and 10^8 steps
    spec = msgspec.structs.replace(
        SPEC, px_tick=tick, qty_step=step, qty_min=step, notional_min=notional_min, taker_fee=fee
    )
    limits = Limits(
        risk_per_trade=risk, position_max=D("0.5"), stop_atr=multiples[0], target_atr=multiples[1], slip=slip
    )
    entry = long_entry(D(str(px)), D(str(px * atr_share)), Funds(equity=equity, free=free), limits, spec)
    if entry is None:
        return
    qty, ref, stop, target = (Fraction(number) for number in (entry.qty, entry.ref_px, entry.stop_px, entry.target_px))
    loss = qty * (ref - stop + Fraction(fee) * (ref + stop) + Fraction(slip) * stop)
    assert loss <= Fraction(risk) * Fraction(equity)
    assert qty > 0
    assert qty % Fraction(step) == 0
    assert all(price % Fraction(tick) == 0 for price in (ref, stop, target))
    assert 0 < stop < ref < target
    assert qty * ref <= Fraction(equity) / 2
    assert qty * ref * (1 + Fraction(fee)) * (1 + Fraction(slip)) <= Fraction(free)
    assert qty * stop >= Fraction(notional_min)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told in BULKHEAD_PORTFOLIO_... reaches the machine, and survives the trip through the log."""
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_AGENTS", "trend,macro,trend")
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_POSITION_PCT_MAX", "12.5")
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_INTENT_VALID_MS", "1500")
    loaded = load_settings(Settings).machine()
    assert loaded.agents == ("trend", "macro")
    assert loaded.limits.position_max == D("0.125")
    assert loaded.limits.slip == D("0.0005")
    assert loaded.intent_valid == 1500 * MILLISECOND
    assert msgspec.convert(msgspec.to_builtins(loaded), PortfolioMachine.Settings, strict=False) == loaded


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BULKHEAD_PORTFOLIO_RISK_PER_TRADE", "0.06"),
        ("BULKHEAD_PORTFOLIO_RISK_PER_TRADE", "NaN"),
        ("BULKHEAD_PORTFOLIO_AGENTS", "trend,,macro"),
        ("BULKHEAD_PORTFOLIO_STOP_ATR", "0"),
        ("BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX", "many"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """The process refuses to start and says which variable and what it got."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{variable}: got '{value}'"):
        load_settings(Settings)
