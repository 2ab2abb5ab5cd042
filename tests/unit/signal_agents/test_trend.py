"""The trend agent's conversations: history warms it, closed bars make it speak, holes and doubles do not confuse it."""

from __future__ import annotations

import csv
import gzip
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import (
    AgentSignals,
    AlertRaised,
    Bar,
    EquityChanged,
    FeedBars,
    FeedHistory,
    Signal,
    Timeframe,
)
from libs.common.timeframe import STEP
from libs.runtime.core import Core, Output
from libs.runtime.machine import Reject
from libs.runtime.settings import SettingsError, load_settings
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.settings import Settings
from services.signal_agents.trend.track import Bounds, Shape, Track
from tests.playbook import START, Playbook, like

DATA = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[4] / "shared" / "data")) / "ohlcv_1m"
STEP_15M = STEP["15m"]
SHAPE = Shape(timeframe="15m", ema_fast_span=3, ema_slow_span=6, wilder_n=3)
SETTINGS = TrendMachine.Settings(shape=SHAPE, bounds=Bounds(adx_threshold=20.0, rsi_overbought=80.0), gap_bars_max=3)
WARM = 30
"""max(5 x 6, 10 x 3) bars."""

RISING = [100.0 + place - 1.5 * (place % 3 == 2) for place in range(60)]
FALLING = [200.0 - place + 1.5 * (place % 3 == 2) for place in range(60)]


def _bar(
    place: int, close: float, instrument: str = "BTC-USDT", timeframe: Timeframe = "15m", synthetic: bool = False
) -> Bar:
    """The bar that closes `place` steps after START, reaching 0.5 beyond its close on both sides."""
    ts_close = START + place * STEP[timeframe]
    return Bar(
        instrument=instrument,
        venue="binance",
        timeframe=timeframe,
        ts_open=ts_close - STEP[timeframe],
        ts_close=ts_close,
        open=close,
        high=close if synthetic else close + 0.5,
        low=close if synthetic else close - 0.5,
        close=close,
        volume=0.0 if synthetic else 1.0,
        synthetic=synthetic,
    )


def _history(closes: list[float], first: int = 0, instrument: str = "BTC-USDT") -> FeedHistory:
    bars = tuple(_bar(first + place, close, instrument) for place, close in enumerate(closes))
    return FeedHistory(
        instrument=instrument, timeframe="15m", bars=bars, ts_init=START + (first + len(bars)) * STEP_15M
    )


def _batch(*bars: Bar) -> FeedBars:
    return FeedBars(end_ts=bars[0].ts_close, bars=bars)


def _agent() -> Playbook:
    return Playbook(TrendMachine(SETTINGS), writer="agent.trend")


def _track(agent: Playbook) -> Track:
    return agent.machine.state.tracks["BTC-USDT"]["15m"]


def _last_signal(closes: list[float]) -> Signal:
    """The opinion after `closes`, all but the last of them from history."""
    agent = _agent().tell(_history(closes[:-1]))
    return agent.tell(_batch(_bar(len(closes) - 1, closes[-1]))).only(AgentSignals).signals[0]


def test_a_rise_with_pauses_is_long() -> None:
    """Fast above slow, directed, not overbought: LONG, with the numbers it rests on."""
    signal = _last_signal(RISING)
    assert (signal.ready, signal.stance, signal.close_px, signal.timeframe) == (True, "LONG", RISING[-1], "15m")
    assert signal.evidence["ema_fast"] > signal.evidence["ema_slow"]
    assert signal.evidence["adx"] > 20.0
    assert signal.evidence["rsi"] < 80.0
    assert signal.evidence["bars"] == 60.0
    assert signal.atr == signal.evidence["atr"] > 0.0
    assert signal.strength == min(1.0, signal.evidence["adx"] / 50.0)


def test_a_fall_with_pauses_is_short() -> None:
    """The mirror image is SHORT."""
    signal = _last_signal(FALLING)
    assert (signal.ready, signal.stance) == (True, "SHORT")
    assert signal.evidence["rsi"] > 20.0


@pytest.mark.parametrize(
    ("closes", "why"),
    [
        ([100.0 + place for place in range(60)], "a rise without a pause is overbought"),
        ([200.0 - place for place in range(60)], "a fall without a pause is oversold"),
        ([100.0] * 60, "nothing moves"),
    ],
)
def test_everything_else_is_flat(closes: list[float], why: str) -> None:
    """Without a trend worth joining the opinion is FLAT, at no strength."""
    signal = _last_signal(closes)
    assert (signal.ready, signal.stance, signal.strength) == (True, "FLAT", 0.0), why


def test_moves_without_direction_are_flat() -> None:
    """An ADX that only reaches its threshold is no trend: it must be above."""
    adx = _last_signal(RISING).evidence["adx"]
    bounds = Bounds(adx_threshold=adx, rsi_overbought=80.0)
    agent = Playbook(TrendMachine(msgspec.structs.replace(SETTINGS, bounds=bounds))).tell(_history(RISING[:-1]))
    signal = agent.tell(_batch(_bar(59, RISING[-1]))).only(AgentSignals).signals[0]
    assert (signal.ready, signal.stance, signal.evidence["adx"]) == (True, "FLAT", adx)


def test_not_ready_until_warm() -> None:
    """Until every indicator has forgotten its start there is a number perhaps, but no opinion."""
    agent = _agent()
    signals = [
        agent.tell(_batch(_bar(place, RISING[place]))).only(AgentSignals).signals[0] for place in range(WARM + 3)
    ]
    assert [signal.ready for signal in signals] == [False] * (WARM - 1) + [True] * 4
    assert {signal.stance for signal in signals[: WARM - 1]} == {"FLAT"}
    assert signals[0].evidence == {"bars": 1.0}
    assert signals[0].atr == 0.0
    assert signals[-1].stance == "LONG"


def test_history_is_never_answered_and_may_come_in_chunks() -> None:
    """Chunks, oldest first, warm like one history; nobody trades on what is past."""
    whole, chunked = _agent(), _agent()
    whole.tell(_history(RISING)).expect()
    chunked.tell(_history(RISING[:7])).expect()
    chunked.tell(_history(RISING[7:40], 7)).expect()
    chunked.tell(_history(RISING[40:], 40)).expect()
    assert whole.machine.state == chunked.machine.state
    one = whole.tell(_batch(_bar(60, 160.0))).effects
    assert chunked.tell(_batch(_bar(60, 160.0))).effects == one


def test_one_answer_for_a_batch_sorted_by_instrument() -> None:
    """All instruments of the entry timeframe are answered together; shorter timeframes are none of its business."""
    agent = _agent()
    agent.tell(_batch(_bar(4, 10.0, "SOL-USDT"), _bar(4, 100.0, "BTC-USDT"), _bar(4, 50.0, "ETH-USDT"))).expect(
        like(AgentSignals, agent_id="trend", end_ts=START + 4 * STEP_15M)
    )
    assert [each.instrument for each in agent.only(AgentSignals).signals] == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    agent.tell(_batch(_bar(61, 100.0, timeframe="1m"))).expect()
    agent.tell(
        FeedHistory(
            instrument="BTC-USDT",
            timeframe="1h",
            bars=(_bar(9, 1.0, timeframe="1h"),),
            ts_init=START + 9 * STEP_15M * 4,
        )
    ).expect()
    assert _track(agent).ema_slow.age == 1
    assert set(agent.machine.state.tracks["BTC-USDT"]) == {"15m", "1h"}
    hour = _bar(2, 103.0, timeframe="1h")
    agent.tell(_batch(hour, _bar(8, 101.0, "BTC-USDT"))).expect(like(AgentSignals))
    assert [(each.timeframe, each.close_px) for each in agent.only(AgentSignals).signals] == [("15m", 101.0)]


def test_doubles_and_older_bars_are_ignored() -> None:
    """A bar is seen once: told again, or told late, it changes no number and gets no answer."""
    agent = _agent().tell(_history(RISING))
    agent.tell(_batch(_bar(60, 160.0))).expect(like(AgentSignals))
    before = msgspec.json.encode(agent.machine.state)
    agent.tell(_batch(_bar(60, 999.0))).expect()
    agent.tell(_batch(_bar(12, 999.0))).expect()
    assert msgspec.json.encode(agent.machine.state) == before
    agent.tell(_batch(_bar(61, 161.0), _bar(61, 999.0), _bar(61, 50.0, "ETH-USDT"))).expect(like(AgentSignals))
    assert [each.close_px for each in agent.only(AgentSignals).signals] == [161.0, 50.0]


def test_a_late_history_adds_only_what_is_newer() -> None:
    """History that arrives after live bars cannot corrupt the indicators; what is newer than they are is used."""
    agent, straight = _agent().tell(_history(RISING[:40])), _agent().tell(_history(RISING[:40]))
    for place in (40, 41):
        agent.tell(_batch(_bar(place, RISING[place])))
        straight.tell(_batch(_bar(place, RISING[place])))
    agent.tell(_history([999.0] * 42)).expect()
    assert agent.machine.state == straight.machine.state
    agent.tell(_history([999.0] * 32 + RISING[42:50], 10)).expect()
    straight.tell(_history(RISING[42:50], 42))
    assert agent.machine.state == straight.machine.state
    assert _track(agent).ts_close_last == START + 49 * STEP_15M


def test_synthetic_bars_count() -> None:
    """A quarter of an hour without trades is a bar like any other."""
    agent = _agent().tell(_history(RISING))
    age = _track(agent).ema_slow.age
    agent.tell(_batch(_bar(60, RISING[-1], synthetic=True))).expect(like(AgentSignals))
    assert _track(agent).ema_slow.age == age + 1


def test_a_backfilled_batch_is_answered_like_any_other() -> None:
    """Freshness is the portfolio's to judge: hours later the same batch gets the same answer."""
    fresh, late = _agent().tell(_history(RISING)), _agent().tell(_history(RISING))
    answer = fresh.tell(_batch(_bar(60, 160.0))).effects
    assert late.tell(_batch(_bar(60, 160.0)), now=START + 200 * STEP_15M).effects == answer


def test_a_hole_in_time_starts_again_cold_and_says_so() -> None:
    """More than three missing bars make the old numbers worthless: no opinion until warm, and a person is told."""
    agent = _agent().tell(_history(RISING))
    agent.tell(_batch(_bar(63, 160.0))).expect(like(AgentSignals))
    assert agent.only(AgentSignals).signals[0].ready
    agent.tell(_batch(_bar(68, 161.0))).expect(
        like(AgentSignals), like(AlertRaised, code="INDICATORS_COLD", severity="ticket", instrument="BTC-USDT")
    )
    assert "1.0 h of BTC-USDT 15m bars are missing" in agent.only(AlertRaised).text
    signal = agent.published(AgentSignals)[0].signals[0]
    assert (signal.ready, signal.evidence) == (False, {"bars": 1.0})
    agent.tell(_batch(_bar(69, 162.0))).expect(like(AgentSignals))


def test_a_new_history_bridges_the_hole() -> None:
    """After a long outage the feed's preload is enough: nothing to alarm anybody about."""
    agent = _agent().tell(_history(RISING[:40]))
    agent.tell(_history(RISING, 1000)).expect()
    agent.tell(_batch(_bar(1060, 160.0))).expect(like(AgentSignals))
    signal = agent.only(AgentSignals).signals[0]
    assert (signal.ready, signal.evidence["bars"]) == (True, 61.0)


def test_other_spans_begin_cold() -> None:
    """Numbers made with other settings are never mixed with new ones."""
    agent = _agent().tell(_history(RISING))
    slower = TrendMachine(msgspec.structs.replace(SETTINGS, shape=msgspec.structs.replace(SHAPE, ema_slow_span=9)))
    slower.state = agent.machine.state
    agent.machine = slower
    agent.tell(_batch(_bar(60, 160.0))).expect(like(AgentSignals))
    assert agent.only(AgentSignals).signals[0].evidence == {"bars": 1.0}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"close": 1e120, "high": 1e120}, "must be positive and finite"),
        ({"low": 0.0}, "must be positive and finite"),
        ({"high": 99.0}, "must lie within low 99.5 and high 99.0"),
        ({"ts_open": START + 99 * STEP_15M}, "not before it closes"),
    ],
)
def test_a_bar_that_is_none_is_refused_whole(change: dict[str, float], wrong: str) -> None:
    """A batch or history with an impossible bar is poison: refused with the bar's name, and nothing of it is used."""
    bad = msgspec.structs.replace(_bar(4, 100.0), **change)
    for event in (
        FeedBars(end_ts=bad.ts_close, bars=(_bar(4, 50.0, "ETH-USDT"), bad)),
        FeedHistory(instrument="BTC-USDT", timeframe="15m", bars=(_bar(3, 100.0), bad)),
    ):
        agent = _agent().tell(event)
        [effect] = agent.effects
        assert isinstance(effect, Reject)
        assert effect.reason == "BAD_BAR"
        assert "BTC-USDT 15m closing at" in effect.detail
        assert wrong in effect.detail
        assert agent.machine.state.tracks == {}


def test_a_bar_in_another_instants_batch_is_refused() -> None:
    """A batch holds what closed at its instant and nothing else; so does a history of its instrument."""
    agent = _agent().tell(FeedBars(end_ts=START, bars=(_bar(1, 100.0),)))
    assert [effect.reason for effect in agent.effects if isinstance(effect, Reject)] == ["BAD_BAR"]
    agent.tell(FeedHistory(instrument="BTC-USDT", timeframe="15m", bars=(_bar(1, 100.0, "ETH-USDT"),)))
    assert [effect.reason for effect in agent.effects if isinstance(effect, Reject)] == ["BARS_CONTRADICT"]


def test_what_is_not_a_bar_says_nothing() -> None:
    """Only bars move this agent."""
    one, zero = Decimal(1), Decimal(0)
    _agent().tell(
        EquityChanged(
            balance=one, equity=one, realized_pnl=zero, unrealized_pnl=zero, high_water_mark=one, drawdown=zero
        )
    ).expect()


def test_the_answer_belongs_to_the_bars_story() -> None:
    """Through the shell's core the signals inherit the correlation id of the batch, and the same log gives the same bytes."""
    event = msgspec.structs.replace(
        _batch(_bar(1, 100.0)), id="b" * 32, correlation_id="c" * 32, ts_init=START + 7, producer="feed"
    )
    outputs = [Core("agent.trend", TrendMachine, SETTINGS).step(5, event) for _ in range(2)]
    assert outputs[0] == outputs[1]
    [output] = outputs[0]
    assert isinstance(output, Output)
    assert (output.message.correlation_id, output.message.causation_id, output.message.ts_init) == (
        "c" * 32,
        "b" * 32,
        START + 7,
    )


@settings(max_examples=30, deadline=None)
@given(
    order=st.lists(st.integers(0, 59), min_size=1, max_size=120),
    cut=st.integers(0, 50),
)
def test_whatever_the_order_time_never_goes_back(order: list[int], cut: int) -> None:
    """In any order, with any doubles, the indicators see a rising sequence of bars, and each opinion is given once."""
    agent = _agent().tell(_history(RISING[:cut]))
    spoken = [
        agent.only(AgentSignals).end_ts
        for place in order
        if agent.tell(_batch(_bar(place, RISING[place]))).published(AgentSignals)
    ]
    assert spoken == sorted(set(spoken))
    assert all(ts >= START + cut * STEP_15M for ts in spoken)


def _recorded_15m(name: str) -> list[Bar]:
    path = DATA / f"{name}_1m_2025.csv.gz"
    if not path.exists():
        pytest.skip(f"recorded bars are not here: {path.name} (set BULKHEAD_DATA_DIR)")
    with gzip.open(path, "rt") as lines:
        rows = [[float(row[key]) for key in ("open", "high", "low", "close")] for row in csv.DictReader(lines)]
    bars = []
    for place in range(0, 18_000, 15):
        chunk = rows[place : place + 15]
        bar = _bar(place // 15, chunk[-1][3])
        bars.append(
            msgspec.structs.replace(
                bar, open=chunk[0][0], high=max(row[1] for row in chunk), low=min(row[2] for row in chunk)
            )
        )
    return bars


def test_on_recorded_bars_it_decides_what_talib_decides() -> None:
    """Over 1,200 recorded 15m bars every opinion of this timeframe alone is the one that follows from TA-Lib's numbers."""
    bars = _recorded_15m("BTCUSDT")
    machine = TrendMachine(Settings(trend_timeframes=("15m",)).machine())
    agent = Playbook(machine, writer="agent.trend")
    signals = [agent.tell(_batch(bar)).only(AgentSignals).signals[0] for bar in bars]
    high, low, close = (np.array([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close"))
    fast, slow, rsi = talib.EMA(close, 20), talib.EMA(close, 50), talib.RSI(close, 14)
    directed = talib.ADX(high, low, close, 14) > 20
    expected = np.where(
        directed & (fast > slow) & (rsi < 70), "LONG", np.where(directed & (fast < slow) & (rsi > 30), "SHORT", "FLAT")
    )
    assert [signal.ready for signal in signals] == [False] * 249 + [True] * (len(bars) - 249)
    assert [signal.stance for signal in signals[249:]] == list(expected[249:])
    assert {signal.stance for signal in signals} == {"LONG", "SHORT", "FLAT"}
    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    hist = talib.MACD(close, 12, 26, 9)[2] / talib.ATR(high, low, close, 14)
    last = {"macd_hist_atr": hist[-1], "bb_pos": ((close - lower) / (upper - lower))[-1]}
    assert {name: signals[-1].evidence[name] for name in last} == pytest.approx(last)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told in BULKHEAD_TREND_... reaches the machine, and survives the trip through the log's `started` event."""
    assert load_settings(Settings).machine().timeframes == ("15m", "1h", "4h")
    monkeypatch.setenv("BULKHEAD_TREND_TIMEFRAMES", "1m, 1h,1w")
    monkeypatch.setenv("BULKHEAD_TREND_EMA_FAST_SPAN", "5")
    monkeypatch.setenv("BULKHEAD_TREND_EMA_SLOW_SPAN", "9")
    monkeypatch.setenv("BULKHEAD_TREND_ADX_THRESHOLD", "12.5")
    settings = load_settings(Settings).machine()
    assert settings.shape == Shape(timeframe="1m", ema_fast_span=5, ema_slow_span=9, wilder_n=14)
    assert settings.higher == ("1h", "1w")
    assert settings.bounds == Bounds(adx_threshold=12.5, rsi_overbought=70.0)
    assert msgspec.convert(msgspec.to_builtins(settings), TrendMachine.Settings, strict=False) == settings


@pytest.mark.parametrize(
    ("variable", "value", "wish"),
    [
        ("BULKHEAD_TREND_TIMEFRAMES", "5m", "'1m', '15m', '1h', '4h', '1d' or '1w'"),
        ("BULKHEAD_TREND_TIMEFRAMES", "1h,15m", "must be named once each, shortest first"),
        ("BULKHEAD_TREND_TIMEFRAMES", "1h,1h", "must be named once each, shortest first"),
        ("BULKHEAD_TREND_TIMEFRAMES", ",", "at least 1 item"),
        ("BULKHEAD_TREND_EMA_SLOW_SPAN", "20", "must be greater than the fast span, which is 20"),
        ("BULKHEAD_TREND_WILDER_N", "1", "greater than or equal to 2"),
        ("BULKHEAD_TREND_RSI_OVERBOUGHT", "50", "greater than 50"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, wish: str) -> None:
    """The process refuses to start and says which variable, what it got and what it wants."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load_settings(Settings)
    assert f"{variable}: got '{value}'" in str(error.value)
    assert wish in str(error.value)
