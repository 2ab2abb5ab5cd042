"""The levels agent's conversations: history fills its maps, each closed bar of its timeframe makes it say one message."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.codec import PAYLOAD_BYTES_MAX, encode
from libs.common.messages import (
    AlertRaised,
    Bar,
    FeedBars,
    FeedHistory,
    FeedStatus,
    InstrumentSpec,
    LevelMap,
    LevelsMapped,
    PriceZone,
    Timeframe,
)
from libs.common.timeframe import HOUR
from libs.runtime.core import Core
from libs.runtime.machine import Reject
from libs.runtime.settings import SettingsError, load_settings
from libs.trading.price_map import PriceMap
from services.signal_agents.levels.machine import ZONES_MAX, LevelsMachine
from services.signal_agents.levels.settings import Settings
from services.signal_agents.levels.track import Shape, strongest
from tests.playbook import START, Playbook, like
from tests.prefix import assert_prefix_invariant
from tests.unit.trading.planted import Row, planted

SHAPE = Shape(timeframe="1h", bars_max=1000, fade_bars=500)
SETTINGS = LevelsMachine.Settings(shape=SHAPE, gap_bars_max=3)
WARM = 140
"""Ten periods of ATR(14)."""
ROWS = planted(100).rows


def _bar(place: int, instrument: str = "BTC-USDT", timeframe: Timeframe = "1h", rows: list[Row] = ROWS) -> Bar:
    """The planted series' bar that closes `place` hours after START."""
    row, last = rows[place % len(rows)], rows[place % len(rows) - 1]
    return Bar(
        instrument=instrument,
        venue="binance",
        timeframe=timeframe,
        ts_open=START + (place - 1) * HOUR,
        ts_close=START + place * HOUR,
        open=min(row.high, max(row.low, last.close)),
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
    )


def _history(first: int, end: int, instrument: str = "BTC-USDT") -> FeedHistory:
    bars = tuple(_bar(place, instrument) for place in range(first, end))
    return FeedHistory(instrument=instrument, timeframe="1h", bars=bars, ts_init=bars[-1].ts_close)


def _batch(*bars: Bar) -> FeedBars:
    return FeedBars(end_ts=bars[0].ts_close, bars=bars)


def _agent(warm_until: int = 0) -> Playbook:
    agent = Playbook(LevelsMachine(SETTINGS), writer="agent.levels")
    return agent.tell(_history(0, warm_until)) if warm_until else agent


def _only_map(agent: Playbook) -> LevelMap:
    (level_map,) = agent.published(LevelsMapped)[0].maps
    return level_map


def test_planted_levels_are_said_with_what_they_rest_on() -> None:
    """After 900 bars of history the next closed bar brings the map: the zones, their touches, and where volume was."""
    agent = _agent(900).tell(_batch(_bar(900)))
    agent.expect(like(LevelsMapped, agent_id="levels", end_ts=START + 900 * HOUR))
    level_map = _only_map(agent)
    assert (level_map.instrument, level_map.timeframe, level_map.ready) == ("BTC-USDT", "1h", True)
    assert level_map.close_px == ROWS[900].close
    levels = planted(100).levels
    assert level_map.atr is not None
    assert len(level_map.zones) >= 3
    for zone in level_map.zones:
        assert min(abs(zone.mid - level) for level in levels) <= 0.25 * level_map.atr
        assert zone.role == ("SUPPORT" if zone.hi < level_map.close_px else "RESISTANCE")
        assert zone.confirmed_ts <= START + 900 * HOUR
    assert level_map.val is not None
    assert level_map.vah is not None
    assert level_map.poc is not None
    assert level_map.val < level_map.poc < level_map.vah


def test_not_ready_is_a_state_and_no_number() -> None:
    """Until the ATR is warm the map says that it is not, and not one number that could be taken for a level."""
    agent = _agent(WARM - 2).tell(_batch(_bar(WARM - 2)))
    assert _only_map(agent) == LevelMap(
        instrument="BTC-USDT",
        timeframe="1h",
        ready=False,
        close_px=ROWS[WARM - 2].close,
        atr=None,
        zones=(),
        poc=None,
        val=None,
        vah=None,
        hvn=(),
        lvn=(),
    )
    assert _only_map(agent.tell(_batch(_bar(WARM - 1)))).ready


def test_one_message_for_a_batch_sorted_by_instrument() -> None:
    """All instruments that closed are in one message; other timeframes are none of its business."""
    agent = _agent()
    agent.tell(_batch(_bar(5, "SOL-USDT"), _bar(5), _bar(5, "ETH-USDT"))).expect(like(LevelsMapped))
    assert [each.instrument for each in agent.only(LevelsMapped).maps] == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    agent.tell(_batch(_bar(6, timeframe="15m"))).expect()
    agent.tell(FeedHistory(instrument="BTC-USDT", timeframe="4h", bars=(_bar(8, timeframe="4h"),))).expect()
    agent.tell(_batch(_bar(6), _bar(6, timeframe="15m"))).expect(like(LevelsMapped))
    assert len(agent.machine.state.tracks["BTC-USDT"].price_map.bars) == 2


def test_history_is_never_answered_and_may_come_in_chunks() -> None:
    """Chunks fill a map like one history, doubles and older bars add nothing, and what is said next is the same."""
    whole, chunked = _agent(400), _agent()
    for first, end in ((0, 150), (100, 300), (0, 50), (300, 400)):
        chunked.tell(_history(first, end)).expect()
    assert whole.machine.state == chunked.machine.state
    chunked.tell(_batch(_bar(399))).expect()
    assert whole.tell(_batch(_bar(400))).effects == chunked.tell(_batch(_bar(400))).effects


def test_bar_by_bar_or_from_history_the_map_is_the_same() -> None:
    """An agent that lived through the bars and one that read them say the same thing at the same instant."""
    lived = _agent(WARM)
    for place in range(WARM, 260):
        lived.tell(_batch(_bar(place)))
    assert lived.effects == _agent(259).tell(_batch(_bar(259))).effects


@pytest.mark.no_cover
def test_it_never_looks_into_the_future() -> None:
    """Over two instruments and a hole, every map is what it would be if nothing had come after, and if something else had."""
    told, live = range(280), [*range(280, 295), 330]
    bars = {
        name: {place: _bar(place, name, rows=rows) for place in (*told, *live)}
        for name, rows in (("BTC-USDT", ROWS), ("ETH-USDT", planted(101).rows))
    }
    told_at = START + told[-1] * HOUR
    events: list[FeedBars | FeedHistory] = [
        FeedHistory(instrument=name, timeframe="1h", bars=tuple(map(each.__getitem__, told)), ts_init=told_at)
        for name, each in bars.items()
    ]
    for place in live:
        batch = _batch(*(each[place] for each in bars.values()))
        events.append(msgspec.structs.replace(batch, ts_init=batch.end_ts))
    assert_prefix_invariant(lambda: LevelsMachine(SETTINGS), events)
    agent = _agent()
    said = [
        each for event in events for told_now in agent.tell(event).published(LevelsMapped) for each in told_now.maps
    ]
    assert [each.ready for each in said] == [True] * 30 + [False] * 2
    assert len({zone.confirmed_ts for each in said for zone in each.zones if zone.confirmed_ts > told_at}) > 0


def test_a_long_hole_starts_again_cold_and_says_so() -> None:
    """Three missing hours are bridged; more make the ATR worthless, and a person is told."""
    agent = _agent(300)
    agent.tell(_batch(_bar(303))).expect(like(LevelsMapped))
    assert _only_map(agent).ready
    agent.tell(_batch(_bar(308))).expect(
        like(LevelsMapped), like(AlertRaised, code="LEVELS_COLD", severity="ticket", instrument="BTC-USDT")
    )
    assert "4 1h bars of BTC-USDT are missing" in agent.only(AlertRaised).text
    assert not _only_map(agent).ready
    agent.tell(_batch(_bar(309))).expect(like(LevelsMapped))


def test_a_new_history_bridges_the_hole() -> None:
    """After a long outage the feed's preload is enough: nothing to alarm anybody about."""
    agent = _agent(300).tell(_history(600, 900))
    agent.tell(_batch(_bar(900))).expect(like(LevelsMapped))
    assert _only_map(agent).ready
    assert agent.machine.state.tracks["BTC-USDT"].price_map.bars[0][0] == START + 600 * HOUR


def test_another_shape_begins_cold() -> None:
    """A map made with other settings is never continued."""
    agent = _agent(300)
    other = LevelsMachine(msgspec.structs.replace(SETTINGS, shape=msgspec.structs.replace(SHAPE, fade_bars=9)))
    other.state = agent.machine.state
    agent.machine = other
    agent.tell(_batch(_bar(300))).expect(like(LevelsMapped))
    assert not _only_map(agent).ready


def _status(px_tick: str) -> FeedStatus:
    spec = InstrumentSpec(
        instrument="BTC-USDT",
        base="BTC",
        quote="USDT",
        px_tick=Decimal(px_tick),
        **dict.fromkeys(("qty_step", "qty_min", "notional_min", "taker_fee", "maker_fee"), Decimal("0.001")),
    )
    return FeedStatus(venue="binance", state="LIVE", via="SOCKETS", reason="", health={}, specs=(spec,))


def test_a_row_of_the_profile_is_ten_ticks_at_least() -> None:
    """Where the venue's prices are coarse the volume profile is, too; a status alone says nothing."""
    fine, coarse = _agent(400), _agent(400)
    tick = round(ROWS[400].close / 1000, 2)
    coarse.tell(_status(str(tick))).expect()
    one, other = _only_map(fine.tell(_batch(_bar(400)))), _only_map(coarse.tell(_batch(_bar(400))))
    assert one.zones == other.zones
    assert other.val is not None
    assert other.vah is not None
    for edge in (other.val, other.vah):
        assert edge / (10 * tick) == pytest.approx(round(edge / (10 * tick)), abs=1e-6)
    assert one.val != other.val


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"close": 1e120, "high": 1e120}, "must be positive and finite"),
        ({"volume": -1.0}, "volume -1.0 must be finite and not negative"),
        ({"ts_open": START + 99 * HOUR}, "not before it closes"),
    ],
)
def test_a_bar_that_is_none_is_refused_whole(change: dict[str, float], wrong: str) -> None:
    """A batch or history with an impossible bar is poison: refused by name, and nothing of it is used."""
    bad = msgspec.structs.replace(_bar(4), **change)
    history = FeedHistory(instrument="BTC-USDT", timeframe="1h", bars=(_bar(3), bad))
    for event in (_batch(_bar(4, "ETH-USDT"), bad), history):
        agent = _agent().tell(event)
        [effect] = agent.effects
        assert isinstance(effect, Reject)
        assert (effect.reason, wrong in effect.detail) == ("BAD_BAR", True)
        assert agent.machine.state.tracks == {}


def test_bars_out_of_place_are_refused() -> None:
    """A batch holds what closed at its instant, a history what is of its instrument."""
    agent = _agent().tell(FeedBars(end_ts=START, bars=(_bar(1),)))
    assert [effect.reason for effect in agent.effects if isinstance(effect, Reject)] == ["BAD_BAR"]
    agent.tell(FeedHistory(instrument="BTC-USDT", timeframe="1h", bars=(_bar(1, "ETH-USDT"),)))
    assert [effect.reason for effect in agent.effects if isinstance(effect, Reject)] == ["BARS_CONTRADICT"]


def test_only_the_strongest_zones_are_said() -> None:
    """Twelve by score, in order of price."""
    zones = tuple(
        PriceZone(
            lo=float(place),
            hi=place + 0.5,
            mid=place + 0.25,
            role="SUPPORT",
            touches=4,
            score=float(place * 7 % 20),
            first_ts=1,
            last_ts=2,
            confirmed_ts=3,
        )
        for place in range(20)
    )
    kept = strongest(zones, ZONES_MAX)
    assert len(kept) == 12
    assert {zone.score for zone in kept} == set(map(float, range(8, 20)))
    assert [zone.lo for zone in kept] == sorted(zone.lo for zone in kept)


def test_memory_and_messages_are_bounded() -> None:
    """However long it lives it keeps a thousand bars an instrument; a message for a hundred instruments fits the log."""
    machine = LevelsMachine(SETTINGS)
    for first in range(0, 3000, 500):
        history = _history(first, first + 500)
        machine.handle(history, history.ts_init)
    price_map = machine.state.tracks["BTC-USDT"].price_map
    assert len(price_map.bars) == 1000
    assert len(msgspec.json.encode(machine.state)) < 150_000
    agent = Playbook(machine, writer="agent.levels").tell(_batch(_bar(3000)))
    said = agent.only(LevelsMapped)
    zone, node = said.maps[0].zones[0], said.maps[0].poc
    assert node is not None
    full = msgspec.structs.replace(said.maps[0], zones=(zone,) * ZONES_MAX, hvn=(node,) * 6, lvn=(node,) * 6)
    assert len(encode(msgspec.structs.replace(said, maps=(full,) * 100))) < PAYLOAD_BYTES_MAX


def test_the_same_log_gives_the_same_bytes() -> None:
    """Through the shell's core, from one memory or from a thawed one, the map belongs to its batch and is the same."""
    event = msgspec.structs.replace(_batch(_bar(200)), id="b" * 32, correlation_id="c" * 32, ts_init=START + 7)
    cores = [Core("agent.levels", LevelsMachine, SETTINGS) for _ in range(2)]
    cores[0].step(1, msgspec.structs.replace(_history(0, 200), id="h" * 32))
    cores[1].restore(cores[0].snapshot())
    outputs = [core.step(5, msgspec.structs.replace(event, producer="feed")) for core in cores]
    assert outputs[0] == outputs[1]
    assert [output.message.correlation_id for output in outputs[0]] == ["c" * 32]  # type: ignore[union-attr]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(150, 210), min_size=1, max_size=25))
def test_whatever_the_order_time_never_goes_back(order: list[int]) -> None:
    """In any order, with any doubles, each instant is mapped once, and pivots once known stay."""
    agent = _agent(150)
    spoken: list[int] = []
    for place in order:
        before: PriceMap = agent.machine.state.tracks["BTC-USDT"].price_map
        known = before.pivots
        said = agent.tell(_batch(_bar(place))).published(LevelsMapped)
        spoken += [message.end_ts for message in said]
        now: PriceMap = agent.machine.state.tracks["BTC-USDT"].price_map
        assert now.pivots[: len(known)] == known or len(now.bars) == 1
    assert spoken == sorted(set(spoken))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told in BULKHEAD_LEVELS_... reaches the machine, and survives the trip through the log's `started` event."""
    assert load_settings(Settings).machine().shape == Shape(timeframe="1h", bars_max=1000, fade_bars=500)
    monkeypatch.setenv("BULKHEAD_LEVELS_TIMEFRAME", "4h")
    monkeypatch.setenv("BULKHEAD_LEVELS_BARS_MAX", "300")
    found = load_settings(Settings).machine()
    assert found == LevelsMachine.Settings(shape=Shape(timeframe="4h", bars_max=300, fade_bars=500), gap_bars_max=24)
    assert msgspec.convert(msgspec.to_builtins(found), LevelsMachine.Settings, strict=False) == found


@pytest.mark.parametrize(
    ("variable", "value", "wish"),
    [
        ("BULKHEAD_LEVELS_TIMEFRAME", "2h", "'1m', '15m', '1h', '4h', '1d' or '1w'"),
        ("BULKHEAD_LEVELS_BARS_MAX", "100", "greater than or equal to 150"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, wish: str) -> None:
    """The process refuses to start and says which variable, what it got and what it wants."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load_settings(Settings)
    assert f"{variable}: got '{value}'" in str(error.value)
    assert wish in str(error.value)
