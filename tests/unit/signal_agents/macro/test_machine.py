"""The macro agent's conversations: when it speaks, what it counts as a week, and what a hole does to what it knows."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import talib

from libs.common.messages import AlertRaised, FeedBars, FeedHistory, MacroRegimes, PersonNotified
from libs.common.timeframe import DAY, HOUR, MINUTE, WEEK
from libs.runtime.machine import Reject
from libs.runtime.settings import SettingsError, load_settings
from services.signal_agents.macro.machine import MacroMachine
from services.signal_agents.macro.rule import Bands
from services.signal_agents.macro.settings import Settings
from services.signal_agents.macro.track import Rule
from tests.playbook import Playbook, like
from tests.unit.signal_agents.macro.market import (
    BTC,
    ETH,
    MONDAY,
    RISE,
    RULE,
    an_agent,
    bar_of,
    batch,
    end_of_week,
    history,
    minute,
    regime_after,
    regimes_of,
    walk,
    weeks_of,
)


def warm(weeks: int = 40) -> Playbook:
    """An agent that knows `weeks` weeks of a rise, and has said so."""
    agent = an_agent().tell(weeks_of(RISE[:weeks])).tell(minute(end_of_week(weeks - 1) + MINUTE))
    assert regimes_of(agent)[BTC].state == "BULL"
    return agent


def refusals(agent: Playbook) -> list[str]:
    return [effect.reason for effect in agent.effects if isinstance(effect, Reject)]


# --- how many weeks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weeks", "state", "provisional"),
    [
        (1, "UNKNOWN", False),
        (23, "UNKNOWN", False),
        (24, "BULL", True),
        (60, "BULL", True),
        (61, "BULL", False),
    ],
)
def test_a_regime_needs_24_weeks_and_settles_after_60(weeks: int, state: str, provisional: bool) -> None:
    """Before that it is UNKNOWN, which is no number: there is nothing a reader could take for one."""
    regime = regime_after(RISE[:weeks])
    assert (regime.state, regime.provisional, regime.weeks) == (state, provisional, weeks)
    assert (regime.evidence == {}) is (state == "UNKNOWN")
    assert regime.since_ts == (end_of_week(0) if weeks < 24 else end_of_week(23))


def test_more_weeks_can_be_asked_for() -> None:
    """An operator may trust only what was seen longer."""
    rule = msgspec.structs.replace(RULE, weeks_min=30, weeks_settled=31)
    assert [regime_after(RISE[:weeks], rule).state for weeks in (29, 30)] == ["UNKNOWN", "BULL"]
    assert [regime_after(RISE[:weeks], rule).provisional for weeks in (31, 32)] == [True, False]


# --- when it speaks -------------------------------------------------------------------------------------------------


def test_history_is_not_answered_and_the_next_batch_says_what_it_made_known() -> None:
    """On a fresh start the gate does not wait for Monday: the first minute is enough, and the second has nothing to add."""
    agent = an_agent()
    agent.tell(weeks_of(RISE[:10], 30, ETH)).expect()
    agent.tell(weeks_of(RISE[:40])).expect()
    agent.tell(minute(end_of_week(39) + MINUTE, BTC, ETH)).expect(
        like(MacroRegimes, agent_id="macro", end_ts=end_of_week(39) + MINUTE)
    )
    said = regimes_of(agent)
    assert [(name, regime.state, regime.weeks) for name, regime in said.items()] == [
        (BTC, "BULL", 40),
        (ETH, "UNKNOWN", 10),
    ]
    agent.tell(minute(end_of_week(39) + 2 * MINUTE, BTC, ETH)).expect()


def test_an_instrument_nobody_knows_anything_of_is_said_to_be_unknown() -> None:
    """Silence could mean that the agent is dead."""
    agent = an_agent().tell(minute(MONDAY, ETH))
    regime = regimes_of(agent)[ETH]
    assert (regime.state, regime.weeks, regime.since_ts, regime.evidence) == ("UNKNOWN", 0, 0, {})
    agent.tell(minute(MONDAY + MINUTE, ETH)).expect()
    agent.tell(minute(MONDAY + 2 * MINUTE, ETH, BTC)).expect(like(MacroRegimes))
    assert list(regimes_of(agent)) == [BTC]


def test_news_from_history_waits_for_the_next_batch() -> None:
    """A history that comes later is said once, and one that tells nothing new is not said at all."""
    agent = warm(40)
    agent.tell(weeks_of(RISE[:41])).expect()
    agent.tell(minute(end_of_week(40) + MINUTE)).expect(like(MacroRegimes))
    assert regimes_of(agent)[BTC].weeks == 41
    agent.tell(weeks_of(RISE[:41])).expect()
    agent.tell(minute(end_of_week(40) + 2 * MINUTE)).expect()


def test_one_answer_for_all_weeks_and_days_of_a_batch() -> None:
    """All instruments together, by name; a Monday's batch holds the week and its Sunday, and is answered once."""
    agent = warm(40)
    agent.tell(weeks_of(RISE[:40], 0, ETH))
    week = [bar_of(40, 180.0, "1w", name) for name in (ETH, BTC)]
    sunday = [bar_of(41 * 7 - 1, 180.0, "1d", name) for name in (ETH, BTC)]
    agent.tell(batch(*week, *sunday)).expect(like(MacroRegimes, end_ts=end_of_week(40)))
    assert [(name, each.weeks) for name, each in regimes_of(agent).items()] == [(BTC, 41), (ETH, 41)]


def test_other_bars_and_other_events_are_none_of_its_business() -> None:
    """Hours and minutes change nothing, nor does what is no bar."""
    agent = warm(40)
    before = msgspec.json.encode(agent.machine.state)
    agent.tell(history(bar_of(0, 1.0, "1h"))).expect()
    agent.tell(batch(bar_of(40 * 168, 1.0, "1h"), bar_of(40 * 168 * 4 + 3, 1.0, "15m"))).expect()
    agent.tell(PersonNotified(level="note", text="hello", repeat=False, producer="notify")).expect()
    assert msgspec.json.encode(agent.machine.state) == before


def test_weeks_seen_twice_or_late_are_ignored() -> None:
    """A week is seen once: told again with another close, or told late, it changes no number and gets no answer."""
    agent = warm(40).tell(batch(bar_of(40, 180.0)))
    before = msgspec.json.encode(agent.machine.state)
    agent.tell(batch(bar_of(40, 999.0))).expect()
    agent.tell(batch(bar_of(12, 999.0))).expect()
    agent.tell(weeks_of([999.0] * 41)).expect()
    assert msgspec.json.encode(agent.machine.state) == before


# --- what a week is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"ts_open": MONDAY + DAY, "ts_close": MONDAY + DAY + WEEK}, "a whole one opens at"),
        ({"ts_open": MONDAY - 4 * DAY, "ts_close": MONDAY + 3 * DAY}, "a whole one opens at"),
        ({"ts_open": MONDAY + 1}, "a whole one opens at"),
        ({"ts_close": MONDAY + 6 * DAY}, "a whole one opens at"),
        ({"ts_close": MONDAY + 2 * WEEK}, "a whole one opens at"),
        ({"close": float("1e120"), "high": 1e120}, "must be positive and finite"),
        ({"low": 0.0}, "must be positive and finite"),
        ({"high": 99.0}, "must lie within"),
        ({"ts_open": MONDAY + 2 * WEEK}, "not before it closes"),
    ],
)
def test_what_is_not_monday_to_sunday_is_no_week(change: dict[str, float], wrong: str) -> None:
    """A week that begins on Thursday, is cut short or has impossible prices is refused whole, in a batch and in a history."""
    bad = msgspec.structs.replace(bar_of(0, 100.0), **change)
    for event in (batch(bad, bar_of(0, 50.0, "1w", ETH, ts_close=bad.ts_close)), history(bar_of(-1, 100.0), bad)):
        agent = an_agent().tell(event)
        [effect] = agent.effects
        assert isinstance(effect, Reject)
        assert effect.reason == "BAD_BAR"
        assert wrong in effect.detail
        assert agent.machine.state.tracks == {}


def test_the_week_that_is_still_open_never_counts() -> None:
    """Whoever tells it before it is over tells the future: refused, up to the hour by which clocks may differ."""
    told = [bar_of(week, close) for week, close in enumerate(RISE[:31])]
    for early, is_refused in ((WEEK, True), (DAY, True), (HOUR + 1, True), (HOUR, False), (0, False)):
        agent = an_agent().tell(history(*told, told_at=end_of_week(30) - early))
        assert refusals(agent) == (["BAD_BAR"] if is_refused else []), early
        agent = an_agent().tell(weeks_of(RISE[:30]))
        open_week = msgspec.structs.replace(batch(told[30]), end_ts=end_of_week(30), ts_init=end_of_week(30) - early)
        assert refusals(agent.tell(open_week)) == (["BAD_BAR"] if is_refused else []), early


def test_a_week_in_another_instants_batch_is_refused() -> None:
    """A batch holds what closed at its instant; a history what it is a history of."""
    late = msgspec.structs.replace(batch(bar_of(0, 100.0)), end_ts=end_of_week(0) + MINUTE)
    assert refusals(an_agent().tell(late)) == ["BAD_BAR"]
    mixed = FeedHistory(instrument=BTC, timeframe="1w", bars=(bar_of(0, 1.0, "1w", ETH),), ts_init=end_of_week(0))
    assert refusals(an_agent().tell(mixed)) == ["BARS_CONTRADICT"]


# --- holes ----------------------------------------------------------------------------------------------------------


def test_one_missing_week_is_bridged_and_two_are_not() -> None:
    """What was known of the market before is worth nothing then: UNKNOWN, a person is told, and 24 weeks must pass."""
    agent = warm(40)
    agent.tell(batch(bar_of(41, 182.0))).expect(like(MacroRegimes))
    assert (regimes_of(agent)[BTC].state, regimes_of(agent)[BTC].weeks) == ("BULL", 41)
    agent.tell(batch(bar_of(44, 188.0))).expect(
        like(MacroRegimes), like(AlertRaised, code="INDICATORS_COLD", severity="ticket", instrument=BTC)
    )
    assert "2.0 weeks of BTC-USDT are missing" in agent.only(AlertRaised).text
    regime = regimes_of(agent)[BTC]
    assert (regime.state, regime.weeks, regime.since_ts) == ("UNKNOWN", 1, end_of_week(44))
    for week in range(45, 68):
        agent.tell(batch(bar_of(week, 100.0 + 2.0 * week))).expect(like(MacroRegimes))
    assert (regimes_of(agent)[BTC].state, regimes_of(agent)[BTC].provisional) == ("BULL", True)


def test_weeks_that_never_come_are_missed_without_them() -> None:
    """A regime that nobody renews is none: at the second Monday without its week it is UNKNOWN, said once."""
    agent = warm(40)
    agent.tell(minute(end_of_week(41) - MINUTE)).expect()
    agent.tell(minute(end_of_week(41))).expect(like(MacroRegimes), like(AlertRaised, code="INDICATORS_COLD"))
    assert (regimes_of(agent)[BTC].state, regimes_of(agent)[BTC].weeks) == ("UNKNOWN", 0)
    agent.tell(minute(end_of_week(41) + MINUTE)).expect()
    agent.tell(weeks_of(RISE[:42])).expect()
    agent.tell(minute(end_of_week(41) + 2 * MINUTE)).expect(like(MacroRegimes))
    assert (regimes_of(agent)[BTC].state, regimes_of(agent)[BTC].weeks) == ("BULL", 42)


def test_a_hole_in_history_counts_from_behind_it() -> None:
    """Enough weeks behind the hole and there is nothing to alarm anybody about; too few, and a person is told."""
    for behind, state in ((24, "BULL"), (23, "UNKNOWN")):
        bars = [bar_of(week, RISE[week]) for week in (*range(20), *range(23, 23 + behind))]
        agent = an_agent().tell(history(*bars)).tell(minute(bars[-1].ts_close + MINUTE))
        assert (regimes_of(agent)[BTC].state, regimes_of(agent)[BTC].weeks) == (state, behind)
        assert len(agent.published(AlertRaised)) == (state == "UNKNOWN")


def test_a_time_nobody_has_reached_ends_no_regime() -> None:
    """A batch that claims to be of the year 2116 is not believed: weeks are missing only when they are over."""
    agent = warm(40)
    agent.tell(FeedBars(end_ts=2**62, bars=(), ts_init=end_of_week(39) + 2 * MINUTE)).expect()
    assert agent.machine.state.tracks[BTC].weeks.state == "BULL"


# --- days -----------------------------------------------------------------------------------------------------------


def test_days_inform_and_decide_nothing() -> None:
    """A crash within the week changes the context; the regime stays what the closed weeks made it."""
    agent = warm(40)
    before = agent.machine.state.tracks[BTC].weeks
    agent.tell(history(*(bar_of(day, 150.0, "1d") for day in range(40 * 7 - 20, 40 * 7)))).expect()
    agent.tell(batch(bar_of(40 * 7, 15.0, "1d"))).expect(like(MacroRegimes))
    regime = regimes_of(agent)[BTC]
    assert (regime.state, regime.evidence["daily_return_20"]) == ("BULL", pytest.approx(-0.9))
    assert agent.machine.state.tracks[BTC].weeks == before


def test_each_number_of_the_context_waits_until_it_is_warm() -> None:
    """20 days back, 5 spans of an EMA: before, there is no number; then it is TA-Lib's."""
    bars = walk(5, 1_001, "1d", sigma=0.03)
    agent, shown = an_agent(), {}
    for bar in bars[:999]:
        agent.machine.handle(history(bar), bar.ts_close)
    for bar in bars[999:]:
        shown = regimes_of(agent.tell(batch(bar)))[BTC].evidence
    high, low, close = (np.array([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close"))
    atr = talib.ATR(high, low, close, 14)[-1]
    assert shown == {
        "daily_ema50_atr": pytest.approx((close[-1] - talib.EMA(close, 50)[-1]) / atr),
        "daily_ema200_atr": pytest.approx((close[-1] - talib.EMA(close, 200)[-1]) / atr),
        "daily_return_20": pytest.approx(close[-1] / close[-21] - 1),
    }
    for days, names in ((20, 0), (21, 1), (249, 1), (250, 2), (999, 2), (1_000, 3)):
        cold = an_agent()
        cold.tell(history(*bars[: days - 1]))
        assert len(regimes_of(cold.tell(batch(bars[days - 1])))[BTC].evidence) == names, days


def test_a_context_across_a_hole_is_none() -> None:
    """One missing day is bridged, two begin it again; without an alert, for nothing depends on it."""
    for missing, is_there in ((1, True), (2, False)):
        agent = an_agent().tell(history(*(bar_of(day, 100.0 + day, "1d") for day in range(30))))
        agent.tell(batch(bar_of(30 + missing, 130.0, "1d"))).expect(like(MacroRegimes))
        assert ("daily_return_20" in regimes_of(agent)[BTC].evidence) is is_there


def test_absurd_prices_make_no_absurd_context() -> None:
    """A return of infinity cannot stand in the log: it is left out."""
    tiny = {"open": 5e-324, "high": 5e-324, "low": 5e-324}
    days = [bar_of(day, 5e-324, "1d", **tiny) for day in range(20)]
    agent = an_agent().tell(history(*days)).tell(batch(bar_of(20, 1e99, "1d")))
    assert regimes_of(agent)[BTC].evidence == {}


# --- settings -------------------------------------------------------------------------------------------------------


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Untold they are the rule's; told, they reach the machine, and survive the trip through the log's `started` event."""
    assert load_settings(Settings).machine() == RULE
    for name, value in (("LEVEL_ATR", "1"), ("SLOPE_ATR", "0.5"), ("WEEKS_MIN", "52"), ("GAP_WEEKS_MAX", "0")):
        monkeypatch.setenv(f"BULKHEAD_MACRO_{name}", value)
    rule = load_settings(Settings).machine()
    assert rule == Rule(bands=Bands(level_atr=1.0, slope_atr=0.5), weeks_min=52, weeks_settled=60, gap_weeks_max=0)
    assert msgspec.convert(msgspec.to_builtins(rule), MacroMachine.Settings, strict=False) == rule


@pytest.mark.parametrize(
    ("variable", "value", "wish"),
    [
        ("BULKHEAD_MACRO_WEEKS_MIN", "23", "greater than or equal to 24"),
        ("BULKHEAD_MACRO_WEEKS_SETTLED", "23", "greater than or equal to 24"),
        ("BULKHEAD_MACRO_LEVEL_ATR", "-1", "greater than or equal to 0"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, wish: str) -> None:
    """The process refuses to start and says which variable, what it got and what it wants."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load_settings(Settings)
    assert f"{variable}: got '{value}'" in str(error.value)
    assert wish in str(error.value)


def test_a_regime_does_not_settle_before_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settings that contradict each other are refused together."""
    monkeypatch.setenv("BULKHEAD_MACRO_WEEKS_MIN", "80")
    with pytest.raises(SettingsError, match="must not be below BULKHEAD_MACRO_WEEKS_MIN, which is 80"):
        load_settings(Settings)
