"""Look-ahead on a given history, and how much of it an agent needs."""

from __future__ import annotations

import pytest

from libs.common.messages import FeedBars, FeedHistory
from libs.research.validity import ahead
from libs.research.validity.ahead import looked_ahead, start_up
from libs.research.validity.examination import Terms, examined
from libs.research.validity.noise import noise_market
from libs.research.validity.telling import Candidate, careless, honest
from libs.research.validity.verdict import claims_of
from libs.research.validity.votes import FREE
from libs.research.validity.words import as_json, sections_of
from tests.plugins import NOT_CLOSED, NOT_ONCE, changed
from tests.unit.research.validity.rules import on_trial
from tests.unit.runtime import planted_leaks
from tests.unit.runtime.planted_leaks import CLEAN, LEAKING

MARKET = noise_market("ahead", "1h", 600, sd=0.01)
HEARS = (FeedBars, FeedHistory)
ABOVE = ("or bar.ts_close > now or fault_of(bar)", "or (bar.ts_close > now and bar.close < 90) or fault_of(bar)")
"""A leak that shows only where prices are high: a rehearsal at other prices does not see it."""
FORGETFUL = ("ready = len(before) == self.settings.channel_bars and track.atr.ready_for_decisions", "ready = True")
"""An agent that says it is ready from the first bar on."""


def test_an_honest_telling_holds_no_bar_that_has_not_closed() -> None:
    """Votes are made of nothing else."""
    told = list(honest(MARKET, HEARS))
    assert len(told) == 600
    assert all(bar.ts_close <= event.ts_init for event in told for bar in event.bars)


def test_a_careless_telling_holds_open_bars_of_every_length() -> None:
    """Without them a careless agent would look careful."""
    early = {bar.timeframe for event in careless(MARKET, HEARS) for bar in event.bars if bar.ts_close > event.ts_init}
    assert early >= {"1h", "4h", "1d"}


def test_a_clean_agent_is_held_against_every_row_and_many_prefixes(tmp_path) -> None:
    """And nothing is found."""
    found = looked_ahead(on_trial(tmp_path, changed(), timeframe="1h"), MARKET)
    assert found.leak is None
    assert found.rows > 600
    assert found.cuts > 80
    assert found.opinions > 400


def test_a_planted_one_bar_leak_is_caught_before_anybody_reads_its_sharpe(tmp_path) -> None:
    """The examination ends there: no part that holds a ratio exists, and no word of one is said."""
    candidate = on_trial(tmp_path, changed(NOT_CLOSED, NOT_ONCE), timeframe="1h")
    found = examined([candidate], MARKET, Terms(costs=FREE, cash=1.0)).found
    assert found.is_leak
    assert found.is_finding
    assert (found.votes, found.nulls, found.luck, found.folds, found.noise) == ((), (), (), None, None)
    words = " ".join(line for section in sections_of(found) for line in section.lines)
    assert "it looks ahead" in words
    assert "Sharpe" not in words
    assert claims_of(found).may == ()
    assert as_json(found)["ok"] is False


def test_a_leak_in_one_of_several_settings_ends_the_examination(tmp_path) -> None:
    """Whoever chooses among settings reads all of their ratios."""
    clean = on_trial(tmp_path, changed(), timeframe="1h")
    leaking = on_trial(tmp_path, changed(NOT_CLOSED, NOT_ONCE), "other.py", timeframe="1h")
    assert examined([clean, leaking], MARKET, Terms(costs=FREE, cash=1.0)).found.is_leak


def test_a_leak_that_shows_only_at_some_prices_is_caught_on_the_history_that_has_them(tmp_path) -> None:
    """A rehearsal elsewhere cannot see it."""
    candidate = on_trial(tmp_path, changed(ABOVE, NOT_ONCE), timeframe="1h")
    low = noise_market("ahead", "1h", 600, sd=0.01, px=10.0)
    assert looked_ahead(candidate, low).leak is None
    leak = looked_ahead(candidate, MARKET).leak
    assert leak is not None
    assert leak.kind == "future"


@pytest.mark.parametrize("rule", [*LEAKING, *CLEAN], ids=lambda rule: rule.__name__)
def test_every_leak_that_was_ever_planted_is_caught_on_a_history_and_no_clean_rule_is(rule, monkeypatch) -> None:
    """Centred windows, unconfirmed turns, open hours and weeks, memory that is shared or forgotten."""
    monkeypatch.setattr(ahead, "CUTS_DENSE", 8)
    monkeypatch.setattr(ahead, "CUTS_SPREAD", 8)
    planted_leaks.SharedMemory.highest.clear()
    told = planted_leaks.Settings()
    candidate = Candidate(name="planted", make=lambda: rule(told), hears=HEARS, code_digest="-", settings_digest="-")
    found = looked_ahead(candidate, noise_market("planted", "15m", 700, sd=0.004))
    assert (found.leak is not None) == (rule in LEAKING)


def test_an_agent_agrees_with_itself_from_as_many_bars_on_as_it_needs(tmp_path) -> None:
    """Twenty bars of a channel and the start of an average: a hundred and some bars, found as the next length that was tried."""
    market = noise_market("start", "1h", 2_000, sd=0.01)
    found = start_up(on_trial(tmp_path, changed(), timeframe="1h"), market)
    assert [each.bars for each in found.lengths] == [50, 100, 200, 400, 800]
    assert found.agrees_from == 200
    assert found.lengths[0].ready < found.lengths[0].compared


def test_an_agent_that_is_ready_too_early_is_found_to_depend_on_when_it_was_started(tmp_path) -> None:
    """It says ready with a channel of a few bars, and something else than it says with all of it."""
    market = noise_market("start", "1h", 2_000, sd=0.01)
    found = start_up(on_trial(tmp_path, changed(FORGETFUL), timeframe="1h", channel_bars=300), market)
    assert found.agrees_from == 200
    assert found.lengths[0].ready == found.lengths[0].compared
    assert found.lengths[0].otherwise > 0
