"""The trend agent on several timeframes: the shortest proposes, the longer ones confirm, and each has a memory of its own."""

from __future__ import annotations

from collections.abc import Iterable
from math import sin
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
import talib

from libs.common.codec import PAYLOAD_BYTES_MAX, encode
from libs.common.messages import AgentSignals, AlertRaised, Bar, FeedBars, FeedHistory, ServiceStarted, Signal
from libs.common.timeframe import STEP, bar_open, closes_at
from libs.runtime.core import Core, settings_of
from libs.runtime.machine import Publish
from libs.trading.bars import Rollup
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.track import Bounds, Shape
from tests.playbook import START, Playbook, like
from tests.prefix import assert_prefix_invariant

BTC, ETH = "BTC-USDT", "ETH-USDT"
SHAPE = Shape(timeframe="15m", ema_fast_span=3, ema_slow_span=6, wilder_n=3)
SETTINGS = TrendMachine.Settings(
    shape=SHAPE, bounds=Bounds(adx_threshold=20.0, rsi_overbought=80.0), gap_bars_max=3, higher=("1h", "4h")
)
WARM = 30
"""max(5 x 6, 10 x 3) bars."""
TOLD = WARM + 2
"""Bars of history, unless told otherwise: the next one is a pause."""
UP, DOWN = 1.0, -1.0


def _bar(end_ts: int, close: float, timeframe: Any = "15m", instrument: str = BTC) -> Bar:
    """The bar of this timeframe that closes at `end_ts`, reaching 0.5 beyond its close on both sides."""
    return Bar(
        instrument=instrument,
        venue="binance",
        timeframe=timeframe,
        ts_open=end_ts - STEP[timeframe],
        ts_close=end_ts,
        open=close,
        high=close + 0.5,
        low=close - 0.5,
        close=close,
        volume=1.0,
    )


def _close(place: int, slope: float) -> float:
    """The close number `place` of a way with pauses, so that it is clear and not overdone."""
    return 500.0 + slope * (place - 1.5 * (place % 3 == 2))


def _history(timeframe: Any, slope: float, until: int = START, count: int = TOLD, instrument: str = BTC) -> FeedHistory:
    """`count` bars up to `until`."""
    step, last = STEP[timeframe], bar_open(until, timeframe)
    bars = tuple(
        _bar(last - (count - 1 - place) * step, _close(place, slope), timeframe, instrument) for place in range(count)
    )
    return FeedHistory(instrument=instrument, timeframe=timeframe, bars=bars, ts_init=bars[-1].ts_close)


def _batch(*bars: Bar) -> FeedBars:
    return FeedBars(end_ts=bars[0].ts_close, bars=bars)


def _agent(entry: float, hour: float, four: float, settings: TrendMachine.Settings = SETTINGS) -> Playbook:
    """One whose three timeframes are warm at START and go these ways."""
    agent = Playbook(TrendMachine(settings), writer="agent.trend")
    for timeframe, slope in (("15m", entry), ("1h", hour), ("4h", four)):
        agent.tell(_history(timeframe, slope)).expect()
    return agent


def _next(agent: Playbook, slope: float) -> Signal:
    """The opinion on the next 15m bar, which goes on as its history went."""
    bar = _bar(START + STEP["15m"], _close(TOLD, slope))
    return agent.tell(_batch(bar)).published(AgentSignals)[0].signals[0]


@pytest.mark.parametrize(
    ("entry", "hour", "four", "stance"),
    [
        (UP, UP, UP, "LONG"),
        (UP, UP, DOWN, "FLAT"),
        (UP, DOWN, UP, "FLAT"),
        (UP, DOWN, DOWN, "FLAT"),
        (DOWN, DOWN, DOWN, "SHORT"),
        (DOWN, DOWN, UP, "FLAT"),
        (DOWN, UP, DOWN, "FLAT"),
        (DOWN, UP, UP, "FLAT"),
    ],
)
def test_an_opinion_stands_only_if_no_longer_timeframe_contradicts(
    entry: float, hour: float, four: float, stance: str
) -> None:
    """The entry timeframe proposes; one veto is enough; a vetoed opinion has no strength."""
    signal = _next(_agent(entry, hour, four), entry)
    assert (signal.ready, signal.timeframe, signal.stance) == (True, "15m", stance)
    alone = _next(_agent(entry, hour, four, msgspec.structs.replace(SETTINGS, higher=())), entry)
    assert alone.stance == ("LONG" if entry == UP else "SHORT")
    assert signal.strength == (alone.strength if stance != "FLAT" else 0.0)
    assert alone.strength > 0.0


@pytest.mark.parametrize("px", [0.1, 0.3, 500.0])
def test_a_longer_timeframe_that_stands_still_confirms_nothing(px: float) -> None:
    """Equal averages are on no side, and their last digit is the arithmetic's, not the market's."""
    for slope in (UP, DOWN):
        agent = Playbook(TrendMachine(SETTINGS), writer="agent.trend")
        agent.tell(_history("15m", slope)).tell(_history("1h", slope))
        flat = [msgspec.structs.replace(bar, open=px, high=px, low=px, close=px) for bar in _history("4h", slope).bars]
        agent.tell(FeedHistory(instrument=BTC, timeframe="4h", bars=tuple(flat), ts_init=flat[-1].ts_close))
        signal = _next(agent, slope)
        assert (signal.ready, signal.stance) == (True, "FLAT")


def test_the_evidence_names_the_numbers_of_each_timeframe() -> None:
    """The entry timeframe's have their plain names, the others say whose they are."""
    evidence = _next(_agent(UP, UP, UP), UP).evidence
    plain = {"ema_fast", "ema_slow", "adx", "rsi", "atr", "bars"}
    assert set(evidence) == plain | {"bb_pos"} | {f"{name}_{each}" for name in plain for each in ("1h", "4h")}
    assert (evidence["bars"], evidence["bars_1h"], evidence["bars_4h"]) == (TOLD + 1, TOLD, TOLD)
    alone = _next(_agent(UP, UP, UP, msgspec.structs.replace(SETTINGS, higher=())), UP)
    assert alone.evidence == {name: evidence[name] for name in (*plain, "bb_pos")}


@pytest.mark.parametrize(("count", "is_there"), [(173, False), (174, True)])
def test_macd_appears_when_it_is_warm(count: int, is_there: bool) -> None:
    """Nothing is decided by it, so it waits for nobody and nobody waits for it."""
    agent = Playbook(TrendMachine(msgspec.structs.replace(SETTINGS, higher=())), writer="agent.trend")
    agent.tell(_history("15m", UP, count=count)).tell(_batch(_bar(START + STEP["15m"], 680.0)))
    [signal] = agent.only(AgentSignals).signals
    assert (signal.ready, "macd_hist_atr" in signal.evidence) == (True, is_there)


def test_where_nothing_moves_there_is_no_context() -> None:
    """A distance in ATR of zero, and a place between bands that are one line, are no numbers."""
    agent = Playbook(TrendMachine(msgspec.structs.replace(SETTINGS, higher=())), writer="agent.trend")
    for place in range(180):
        flat = msgspec.structs.replace(_bar(START + place * STEP["15m"], 0.3), high=0.3, low=0.3)
        agent.tell(_batch(flat))
    [signal] = agent.only(AgentSignals).signals
    assert set(signal.evidence) == {"ema_fast", "ema_slow", "adx", "rsi", "atr", "bars"}


@pytest.mark.parametrize("missing", ["15m", "1h", "4h"])
def test_ready_only_if_every_timeframe_is_warm(missing: str) -> None:
    """One bar too few in one timeframe is enough to have no opinion, whatever the others say; its numbers are told all the same."""
    agent = Playbook(TrendMachine(SETTINGS), writer="agent.trend")
    for timeframe in ("15m", "1h", "4h"):
        agent.tell(_history(timeframe, UP, count=WARM - 1 - (missing == "15m") if timeframe == missing else WARM))
    signal = _next(agent, UP)
    assert (signal.ready, signal.stance, signal.strength) == (False, "FLAT", 0.0)
    assert signal.evidence["bars" if missing == "15m" else f"bars_{missing}"] == WARM - 1


def test_a_timeframe_nobody_has_told_of_is_not_warm() -> None:
    """It is not left out of the opinion in silence."""
    agent = Playbook(TrendMachine(SETTINGS), writer="agent.trend")
    agent.tell(_history("15m", UP)).tell(_history("1h", UP))
    signal = _next(agent, UP)
    assert (signal.ready, signal.stance, signal.evidence["bars_4h"]) == (False, "FLAT", 0.0)


@pytest.mark.parametrize("order", [1, -1])
def test_what_closes_at_one_instant_is_decided_on_together(order: int) -> None:
    """At 04:00 the bars of three timeframes are one batch: all are known before the one opinion, however they are sorted."""
    agent = _agent(UP, UP, DOWN)
    end_ts = START + STEP["4h"]
    for place in range(1, 16):
        at = START + place * STEP["15m"]
        bars = [_bar(at, _close(TOLD + place - 1, UP), each) for each in ("1h", "15m") if closes_at(at, each)]
        agent.tell(_batch(*bars)).expect(like(AgentSignals))
        assert agent.only(AgentSignals).signals[0].stance == "FLAT"
    turned = [_bar(end_ts, 900.0, "4h"), *(_bar(end_ts, _close(TOLD + 15, UP), each) for each in ("1h", "15m"))]
    agent.tell(_batch(*turned[::order])).expect(like(AgentSignals, end_ts=end_ts))
    [signal] = agent.only(AgentSignals).signals
    assert (signal.timeframe, signal.stance, signal.evidence["bars_4h"]) == ("15m", "LONG", TOLD + 1)


def test_a_batch_without_the_entry_bar_is_learnt_from_and_not_answered() -> None:
    """The hour is known at the next opinion; there is none without a bar to enter on."""
    agent = _agent(UP, UP, UP)
    agent.tell(_batch(_bar(START + STEP["1h"], 600.0, "1h"))).expect()
    agent.tell(_batch(_bar(START + STEP["1h"] - STEP["15m"], 540.0))).expect(like(AgentSignals))
    assert agent.only(AgentSignals).signals[0].evidence["bars_1h"] == TOLD + 1


def test_a_hole_in_one_timeframe_makes_that_one_cold_and_is_told_once() -> None:
    """Six hours without an hourly bar: no opinion until it is warm again; the others are as they were."""
    agent = _agent(UP, UP, UP)
    told = []
    for at in range(START + STEP["15m"], START + 40 * STEP["1h"] + 1, STEP["15m"]):
        hours = [_bar(at, 540.0, "1h")] if closes_at(at, "1h") and at > START + 6 * STEP["1h"] else []
        fours = [_bar(at, 540.0, "4h")] if closes_at(at, "4h") else []
        agent.tell(_batch(*fours, *hours, _bar(at, 540.0)))
        [signal] = agent.published(AgentSignals)[0].signals
        told += [(at, alert.code, alert.text, alert.instrument) for alert in agent.published(AlertRaised)]
        missing = (bar_open(at, "1h") - START) // STEP["1h"]
        assert signal.ready == (missing <= 3 or at >= START + (6 + WARM) * STEP["1h"]), missing
    text = "trend: 4.0 h of BTC-USDT 1h bars are missing; no opinion until warm again"
    assert told == [(START + 4 * STEP["1h"], "INDICATORS_COLD", text, BTC)]
    assert signal.evidence["bars_1h"] == 34.0
    assert signal.evidence["bars"] == TOLD + 160
    assert signal.evidence["bars_4h"] == TOLD + 10


def test_a_hole_that_a_bar_finds_is_told_even_without_an_opinion() -> None:
    """The first bar back comes in a batch of its own: cold, told once, and not told again by the opinion that follows."""
    agent = _agent(UP, UP, UP)
    at = START + 10 * STEP["4h"]
    agent.tell(_batch(_bar(at, 540.0, "4h"))).expect(like(AlertRaised, code="INDICATORS_COLD", instrument=BTC))
    assert "36.0 h of BTC-USDT 4h bars are missing" in agent.only(AlertRaised).text
    agent.tell(_batch(_bar(at + STEP["15m"], 540.0)))
    texts = [alert.text for alert in agent.published(AlertRaised)]
    assert [text.split()[5] for text in texts] == ["15m", "1h"]


def test_a_new_history_bridges_the_hole_in_each_timeframe() -> None:
    """After a long outage the feed's preload is enough, for all of them."""
    agent, until = _agent(UP, UP, UP), START + 1000 * STEP["4h"]
    for timeframe in ("15m", "1h", "4h"):
        agent.tell(_history(timeframe, UP, until)).expect()
    agent.tell(_batch(_bar(until + STEP["15m"], _close(TOLD, UP)))).expect(like(AgentSignals))
    signal = agent.only(AgentSignals).signals[0]
    assert (signal.ready, signal.stance) == (True, "LONG")


def test_longer_timeframes_are_remembered_before_anybody_asks() -> None:
    """250 bars of 4h are six weeks: an agent that is told to ask them must not be blind for so long."""
    alone = _agent(UP, UP, UP, msgspec.structs.replace(SETTINGS, higher=()))
    asked = Playbook(TrendMachine(SETTINGS), writer="agent.trend")
    asked.machine.state = alone.machine.state
    assert _next(asked, UP) == _next(_agent(UP, UP, UP), UP)


def test_a_hole_where_nobody_asks_alarms_nobody() -> None:
    """What is remembered in advance starts again cold like the rest, in silence."""
    agent = _agent(UP, UP, UP, msgspec.structs.replace(SETTINGS, higher=("1h",)))
    agent.tell(_batch(_bar(START + 10 * STEP["4h"], 540.0, "4h"))).expect()
    assert agent.machine.state.tracks[BTC]["4h"].ema_slow.age == 1
    assert _next(agent, UP).stance == "LONG"


# --- a whole market ---------------------------------------------------------------------------------------------------


def _market(seed: int, count: int, instrument: str = BTC) -> list[tuple[Bar, ...]]:
    """A random walk with trends, by quarters of an hour: what closes at each, longest first, as the feed makes it."""
    random, px = Random(f"{seed} {instrument}"), 100.0
    hour, four = Rollup("1h"), Rollup("4h")
    closings = []
    for place in range(count):
        opened, px = px, px * (1.0 + 0.002 * sin(place / 40 + seed) + random.gauss(0.0, 0.004))
        quarter = msgspec.structs.replace(
            _bar(START + (place + 1) * STEP["15m"], px, instrument=instrument),
            open=opened,
            high=max(opened, px) * (1 + random.random() / 500),
            low=min(opened, px) * (1 - random.random() / 500),
        )
        whole_hour = hour.fold(quarter)
        whole_four = four.fold(whole_hour) if whole_hour else None
        closings.append(tuple(bar for bar in (whole_four, whole_hour, quarter) if bar is not None))
    return closings


def _told(closings: Iterable[tuple[Bar, ...]]) -> list[FeedBars]:
    return [FeedBars(end_ts=bars[0].ts_close, bars=bars, ts_init=bars[0].ts_close) for bars in closings]


def test_over_a_whole_market_it_decides_what_talib_decides() -> None:
    """At each of 4,000 quarters of an hour the opinion is the one that follows from TA-Lib's numbers of the three timeframes."""
    shape = Shape(timeframe="15m", ema_fast_span=5, ema_slow_span=12, wilder_n=6)
    bounds = Bounds(adx_threshold=25.0, rsi_overbought=75.0)
    machine = TrendMachine(TrendMachine.Settings(shape=shape, bounds=bounds, gap_bars_max=3, higher=("1h", "4h")))
    closings = _market(3, 4000)
    found = [effect.message.signals[0] for batch in _told(closings) for effect in machine.handle(batch, 0)]
    close, high, low = (np.array([getattr(bars[-1], name) for bars in closings]) for name in ("close", "high", "low"))
    adx, rsi = talib.ADX(high, low, close, 6), talib.RSI(close, 6)
    lead = talib.EMA(close, 5) - talib.EMA(close, 12)
    up, down = (adx > 25) & (lead > 0) & (rsi < 75), (adx > 25) & (lead < 0) & (rsi > 25)
    alone = int(np.sum(up[960:] | down[960:]))
    for steps in (4, 16):
        closed = close[steps - 1 :: steps]
        longer = np.repeat(talib.EMA(closed, 5) - talib.EMA(closed, 12), steps)
        newest = np.concatenate([np.full(steps - 1, np.nan), longer])[: len(close)]
        up, down = up & (newest > 0), down & (newest < 0)
    expected = np.where(up, "LONG", np.where(down, "SHORT", "FLAT"))
    assert [signal.ready for signal in found] == [place >= 16 * 60 - 1 for place in range(4000)]
    assert [signal.stance for signal in found[959:]] == list(expected[959:])
    stances = [signal.stance for signal in found]
    assert min(stances.count("LONG"), stances.count("SHORT")) > 100
    assert alone > 1.2 * int(np.sum(up[960:] | down[960:])), "the longer timeframes never had anything to say"


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(2))
def test_it_never_looks_into_the_future(seed: int) -> None:
    """Over two instruments, three timeframes that close together, history, a lost hour and a hole: no prefix decides otherwise."""
    shape = Shape(timeframe="15m", ema_fast_span=2, ema_slow_span=3, wilder_n=2)
    settings = msgspec.structs.replace(SETTINGS, shape=shape, bounds=Bounds(adx_threshold=20.0, rsi_overbought=90.0))
    first, warm = 21 * 16, 21
    markets = {name: _market(seed, first + 90, name) for name in (BTC, ETH)}
    told_at = START + first * STEP["15m"]
    events: list[FeedBars | FeedHistory] = []
    for name, closings in markets.items():
        for timeframe in ("15m", "1h", "4h"):
            bars = tuple(bar for closing in closings[:first] for bar in closing if bar.timeframe == timeframe)[-warm:]
            events.append(FeedHistory(instrument=name, timeframe=timeframe, bars=bars, ts_init=told_at))
    live = [one + other for one, other in zip(markets[BTC][first:], markets[ETH][first:], strict=True)]
    live[35] = tuple(bar for bar in live[35] if bar.timeframe != "1h")
    events += _told(live[:60] + live[80:])
    machine = TrendMachine(settings)
    assert_prefix_invariant(lambda: TrendMachine(settings), events)
    said = [effect.message for each in events for effect in machine.handle(each, each.ts_init)]
    stances = {signal.stance for answer in said if isinstance(answer, AgentSignals) for signal in answer.signals}
    assert len(stances) > 1, "a market without opinions shows nothing"
    assert any(isinstance(answer, AlertRaised) for answer in said)


def test_a_hundred_instruments_fit_into_one_message() -> None:
    """The numbers of six timeframes each are far below what a message may hold."""
    settings = msgspec.structs.replace(
        SETTINGS, shape=msgspec.structs.replace(SHAPE, timeframe="1m"), higher=("15m", "1h", "4h", "1d", "1w")
    )
    machine = TrendMachine(settings)
    names = [f"NAME{number}-USDT" for number in range(100)]
    for timeframe in settings.timeframes:
        for name in names:
            machine.handle(_history(timeframe, 1 / 3, START, 40, name), START)
    [effect] = machine.handle(_batch(*(_bar(START + STEP["1m"], 511.0, "1m", name) for name in names)), START)
    assert isinstance(effect, Publish)
    assert len(encode(effect.message)) < PAYLOAD_BYTES_MAX / 2


# --- former logs ------------------------------------------------------------------------------------------------------

FORMER = {
    "shape": {"timeframe": "15m", "ema_fast_span": 3, "ema_slow_span": 6, "wilder_n": 3},
    "bounds": {"adx_threshold": 20.0, "rsi_overbought": 80.0},
    "gap_bars_max": 3,
}
"""What a start recorded when there was one timeframe."""


def _started(settings: dict[str, Any]) -> ServiceStarted:
    return ServiceStarted(
        id="s" * 32, instance="x", code_version="c", settings=settings, state_digest="", producer="agent.trend"
    )


def test_a_start_from_before_means_what_it_meant() -> None:
    """The settings of a former log set the agent to its one timeframe, whose opinions nobody confirms."""
    settings = settings_of(TrendMachine, _started(FORMER))
    assert settings == msgspec.structs.replace(SETTINGS, higher=())
    assert _next(_agent(UP, DOWN, DOWN, settings), UP).stance == "LONG"


def test_a_former_log_is_gone_on_with_warm() -> None:
    """Rebuilt from a log that asked one timeframe, the agent that is then told to ask three has all three at hand."""
    core = Core("agent.trend", TrendMachine, settings_of(TrendMachine, _started(FORMER)))
    events = [_started(FORMER), *(_history(each, UP) for each in ("15m", "1h", "4h"))]
    events += [_started(msgspec.to_builtins(SETTINGS)), _batch(_bar(START + STEP["15m"], _close(TOLD, UP)))]
    outputs = [core.step(seq, event) for seq, event in enumerate(events, 1)]
    assert outputs[:-1] == [[]] * 5
    [signal] = outputs[-1][0].message.signals  # type: ignore[union-attr]
    assert (signal.ready, signal.stance, signal.evidence["bars_4h"]) == (True, "LONG", TOLD)


def test_a_former_memory_is_refused_not_misread() -> None:
    """A snapshot with one track an instrument is no snapshot of this machine: the log is replayed instead."""
    core = Core("agent.trend", TrendMachine, SETTINGS)
    ema = {"span": 3, "age": 9, "value": 100.0, "seed_sum": 0.0}
    track = {
        "shape": FORMER["shape"],
        "ema_fast": ema,
        "ema_slow": ema,
        "rsi": {"n": 3},
        "atr": {"n": 3},
        "adx": {"n": 3},
    }
    former = {"memory": core.memory, "settings": FORMER, "state": {"tracks": {BTC: {**track, "ts_close_last": START}}}}
    with pytest.raises(msgspec.ValidationError, match="missing required field"):
        core.restore(msgspec.json.encode(former))
    assert core.machine.state == TrendMachine.State()


@pytest.mark.parametrize("higher", [["15m"], ["4h", "1h"], ["5m"], ["1m"]])
def test_a_start_with_timeframes_that_make_no_sense_is_refused(higher: list[str]) -> None:
    """Settings in a log that no agent can have been started with change nothing."""
    core = Core("agent.trend", TrendMachine, SETTINGS)
    [refused, _] = core.step(1, _started({**FORMER, "higher": higher}))
    assert refused.message.reason == "BAD_SETTINGS"  # type: ignore[union-attr]
    assert "must be known ones, shortest first" in refused.message.detail  # type: ignore[union-attr]
    assert core.machine.settings == SETTINGS
