"""A lie does not become the price, and the truth is not locked out."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import TradePrinted
from libs.common.timeframe import SECOND
from services.market_feed.doubt import SanityLimits
from services.market_feed.sanity import PriceFilter
from tests.unit.market_feed.prints import Market, ticks, trade_at
from tests.unit.market_feed.tape import T0


def settled_market(seed: int = 1, count: int = 600) -> Market:
    """A market whose usual moves are known."""
    market = Market()
    for wait_ms, px in ticks(seed, count):
        market.trade(px, after_ms=wait_ms)
    assert market.filter.trust == "TRUSTED"
    return market


# --- clean markets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("vol_year", "share_max"), [(0.7, 0.001), (7.0, 0.02)])
def test_clean_prints_are_believed(vol_year: float, share_max: float) -> None:
    """Fat-tailed but honest prints: below one in a thousand rejected when calm, below two in a hundred at ten-fold volatility."""
    total = rejected = 0
    for seed in range(10):
        market = Market()
        for wait_ms, px in ticks(seed, 4_000, vol_year):
            market.trade(px, after_ms=wait_ms)
        total += 4_000
        rejected += len(market.rejected)
    assert rejected / total < share_max


def test_an_honest_jump_that_was_held_is_believed_in_full_and_in_order() -> None:
    """Held prints that turn out to be true are handed on, none missing: a bar made of them is the venue's bar."""
    market = settled_market()
    market.believed.clear()
    first = market.trade_id + 1
    px = market.filter.px
    for _ in range(6):
        px *= 0.97
        market.trade(px)
    for _ in range(4):
        market.trade(px)
    told = [int(each.trade_id) for each in market.believed if isinstance(each, TradePrinted)]
    assert told == list(range(first, market.trade_id + 1))
    assert market.filter.trust == "TRUSTED"


# --- lies -------------------------------------------------------------------------------------------------------


def test_four_hundred_planted_misprints_contaminate_nothing() -> None:
    """Prints 8 to 50 percent off among honest ones: all rejected, the trusted and the protective price never follow one."""
    chance, market = random.Random(7), settled_market()
    planted = 0
    for wait_ms, px in ticks(8, 4_000, px=market.filter.px):
        if chance.random() < 0.11 and planted < 400:
            planted += 1
            bad = px * (1 + chance.choice((-1, 1)) * chance.uniform(0.08, 0.5))
            market.trade(bad, after_ms=chance.uniform(0.1, 50.0))
            assert abs(market.filter.px / px - 1) < 0.05
        market.trade(px, after_ms=wait_ms)
        assert abs(market.filter.px / px - 1) < 0.01
        assert abs(market.filter.protective / px - 1) < 0.01
    assert planted == 400
    assert Counter(market.rejected)["SPIKE"] == 400
    assert max(abs(each.px / 100 - 1) for each in market.believed if isinstance(each, TradePrinted)) < 0.08


def test_two_misprints_on_one_side_are_no_price() -> None:
    """Three must agree; two and a return are a spike."""
    market = settled_market()
    px = market.filter.px
    market.trade(px * 0.8)
    market.trade(px * 0.8, after_ms=400)
    market.trade(px)
    assert market.rejected[-2:] == ["SPIKE", "SPIKE"]
    assert market.filter.px == px


def test_misprints_against_a_standing_quote_confirm_nothing() -> None:
    """However many trades are printed: while quotes still stand at the old price, that is the price, for stops too."""
    market = settled_market()
    px = market.filter.px
    for count in range(40):
        market.trade(px * 0.8)
        market.quote(px * 0.9999, px * 1.0001, after_ms=30, qty=10.0 + count)
    assert market.filter.trust == "QUARANTINED"
    assert market.filter.px == pytest.approx(px, rel=0.001)
    assert market.filter.protective == pytest.approx(px, rel=0.001)


@pytest.mark.parametrize("factor", [10.0, 0.1, 1000.0, 0.01, 10.2, 0.098])
def test_a_power_of_ten_never_confirms_itself(factor: float) -> None:
    """A venue that changes its unit prints coherently for hours: no stop fires on it, no entry leaves."""
    market = settled_market()
    px = market.filter.px
    for _ in range(100):
        market.trade(px * factor)
    assert market.filter.trust == "UNIT"
    assert (market.filter.px, market.filter.protective) == (px, px)
    assert set(market.rejected) == {"UNIT"}
    market.trade(px)
    assert market.filter.trust == "TRUSTED"


def test_a_power_of_ten_that_another_venue_has_too_is_the_price() -> None:
    """A redenomination is believed when somebody independent says the same."""
    market = settled_market()
    market.filter.opinion("kraken", market.filter.px / 1000, market.now)
    market.trade(market.filter.px / 1000, qty=1000.0)
    assert market.reasons[-1] == "CONSENSUS"


def test_dust_moves_nothing() -> None:
    """Trades worth pennies are printed at any price for little money: outside the band they are refused, inside they do not lead."""
    market = settled_market()
    px = market.filter.px
    for step in range(200):
        market.trade(px * (1 - 0.002 * step), qty=0.01)
    assert market.filter.px == px
    assert market.filter.trust == "TRUSTED"
    assert set(market.rejected) == {"DUST"}


def test_dust_confirms_nothing() -> None:
    """One heavy misprint and a thousand of dust behind it are one misprint."""
    market = settled_market()
    px = market.filter.px
    market.trade(px * 0.8)
    for _ in range(50):
        market.trade(px * 0.8, qty=0.01)
    assert market.filter.trust == "QUARANTINED"
    assert market.filter.px == px


def test_slow_poison_is_seen_by_comparison() -> None:
    """Each step is inside the band; two other venues that did not move give it away, and stops follow the middle of all three."""
    market = settled_market()
    px = start = market.filter.px
    for _ in range(60):
        px *= 0.998
        market.filter.opinion("kraken", start, market.now)
        market.filter.opinion("kucoin", start * 1.0004, market.now)
        market.trade(px, after_ms=300)
    assert market.filter.trust == "DISLOCATED"
    assert market.filter.protective == pytest.approx(start, rel=0.001)
    for _ in range(30):
        market.filter.opinion("kraken", px, market.now)
        market.filter.opinion("kucoin", px, market.now)
        market.trade(px, after_ms=300)
    assert market.filter.trust == "TRUSTED"


def test_one_other_venue_cannot_dislocate() -> None:
    """Of two that disagree nobody knows which is wrong."""
    market = settled_market()
    market.filter.opinion("kraken", market.filter.px * 1.2, market.now)
    market.wait(2_000)
    assert market.filter.trust == "TRUSTED"


def test_a_jump_that_two_venues_deny_is_dislocation_until_they_follow() -> None:
    """Self-confirmed here, contradicted there: entries stand still; the prints are believed once the others are there too."""
    market = settled_market()
    px = market.filter.px

    def others(at: float) -> None:
        market.filter.opinion("kraken", at, market.now)
        market.filter.opinion("kucoin", at, market.now)

    for _ in range(20):
        others(px)
        market.trade(px * 0.9)
    assert market.filter.trust == "DISLOCATED"
    assert market.filter.protective == pytest.approx(px)
    market.wait(1_000)
    assert market.filter.trust == "DISLOCATED"
    others(px * 0.9)
    market.trade(px * 0.9)
    assert market.filter.trust == "TRUSTED"
    assert market.filter.px == pytest.approx(px * 0.9)


def test_an_old_opinion_is_none() -> None:
    """What another venue said six seconds ago agrees with nothing."""
    market = settled_market()
    market.filter.opinion("kraken", market.filter.px * 0.9, market.now)
    market.wait(6_000)
    market.trade(market.filter.px * 0.9)
    assert market.filter.trust == "QUARANTINED"


# --- truth ------------------------------------------------------------------------------------------------------


def crash(seed: int) -> list[tuple[float, float]]:
    """Twenty percent down in a minute, three of it in one step three times (an air pocket)."""
    chance = random.Random(seed)
    made, px = [], 100.0
    pockets = {chance.randrange(20, 280) for _ in range(3)}
    for place in range(300):
        px *= 0.97 if place in pockets else 0.8 ** (1 / 300) * 0.97 ** (-3 / 300)
        px *= 1 + chance.gauss(0, 0.0002)
        made.append((chance.expovariate(5.0) * 1000.0, px))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_a_real_crash_reaches_the_stops_within_a_second(seed: int) -> None:
    """-20 % in a minute with air pockets: the protective price is below a stop at -10 % within a second of the market."""
    market = settled_market(seed)
    start = market.filter.px
    stop = start * 0.9
    passed_at = fired_at = None
    for wait_ms, px in crash(seed):
        market.wait(wait_ms)
        if px * start / 100 <= stop and passed_at is None:
            passed_at = market.now
        market.trade(px * start / 100, after_ms=0)
        if market.filter.protective <= stop and fired_at is None:
            fired_at = market.now
    assert passed_at is not None
    assert fired_at is not None
    assert (fired_at - passed_at) / SECOND <= 1.0
    assert market.filter.px == pytest.approx(start * 0.8, rel=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_a_step_that_stays_is_followed(seed: int) -> None:
    """-12 % in one print that is no misprint: believed within two seconds at five trades a second, none of its prints lost."""
    market = settled_market(seed)
    target = market.filter.px * 0.88
    began, before = market.now, len(market.rejected)
    chance = random.Random(seed)
    while market.filter.trust != "TRUSTED" or market.filter.px > target * 1.01:
        market.trade(target * (1 + chance.gauss(0, 0.0002)), after_ms=chance.expovariate(5.0) * 1000)
        assert market.now - began < 5 * SECOND
    assert market.filter.protective == pytest.approx(target, rel=0.01)
    assert len(market.rejected) == before


def test_two_prints_that_agree_reach_the_stops_before_they_are_believed() -> None:
    """Two trades far down and silence: entries stay closed, but a stop need not wait for a third."""
    market = settled_market()
    px = market.filter.px
    market.trade(px * 0.88)
    market.trade(px * 0.88)
    assert market.filter.protective == px
    market.wait(1_000)
    assert market.filter.trust == "QUARANTINED"
    assert market.filter.px == px
    assert market.filter.protective == pytest.approx(px * 0.88)


def test_one_print_reaches_no_stop_however_long_nothing_follows() -> None:
    """A single misprint in a quiet market is no crash; the stop that rests at the venue does not depend on us."""
    market = settled_market()
    px = market.filter.px
    market.trade(px * 0.88)
    market.wait(20_000)
    assert market.filter.protective == px
    assert market.filter.trust == "QUARANTINED"


def test_another_venue_confirms_at_once() -> None:
    """A jump that is there too needs no third trade."""
    market = settled_market()
    market.filter.opinion("kraken", market.filter.px * 0.9, market.now)
    market.trade(market.filter.px * 0.901)
    assert market.reasons[-1] == "CONSENSUS"
    assert market.filter.trust == "TRUSTED"


def test_quotes_that_stay_are_a_price_without_trades() -> None:
    """A thin market moves by its book: ten seconds of coherent quotes are enough."""
    market = settled_market()
    px = market.filter.px * 1.1
    for _ in range(12):
        market.quote(px * 0.999, px * 1.001, after_ms=1_000)
    assert market.reasons[-1] == "QUOTES"
    assert market.filter.px == pytest.approx(px, rel=0.001)


def test_a_quote_inside_the_band_pulls_the_price_to_its_edge() -> None:
    """A price above the offer cannot be the price."""
    market = settled_market()
    px = market.filter.px
    market.quote(px * 0.996, px * 0.998)
    assert market.filter.px == pytest.approx(px * 0.998)


# --- gaps and restarts --------------------------------------------------------------------------------------------


def test_after_a_gap_the_first_print_is_never_used_alone() -> None:
    """Half a minute of silence: a print elsewhere waits for a second one."""
    market = settled_market()
    px = market.filter.px
    market.trade(px * 0.98, after_ms=31_000)
    assert market.filter.trust == "RESYNC"
    assert market.filter.px == px
    market.trade(px * 0.981)
    assert market.filter.trust == "TRUSTED"
    assert market.filter.px == pytest.approx(px * 0.981)


def test_after_a_gap_the_old_price_is_a_second_opinion_about_itself() -> None:
    """A quiet instrument that trades where it was needs no ceremony."""
    market = settled_market()
    market.trade(market.filter.px * 1.001, after_ms=120_000)
    assert market.filter.trust == "TRUSTED"


def test_the_first_print_of_all_needs_a_second() -> None:
    """Nobody knows the price of an instrument from one print."""
    market = Market(PriceFilter(SanityLimits()))
    market.trade(9_999.0)
    market.trade(100.0)
    assert market.filter.trust == "RESYNC"
    market.trade(100.1)
    assert market.filter.trust == "TRUSTED"
    assert market.filter.px == 100.1
    assert market.rejected == ["INCOHERENT"]


def test_a_restart_in_quarantine_judges_the_first_print_against_the_last_trusted_price() -> None:
    """What a kill interrupts is not forgotten: the misprint before it does not become the price after it."""
    before = settled_market()
    px = before.filter.px
    before.trade(px * 0.8)
    assert before.filter.trust == "QUARANTINED"
    after = Market(PriceFilter(SanityLimits(), px=px, at=before.now, trust="QUARANTINED"))
    after.now = before.now
    after.trade(px * 0.8)
    assert after.filter.trust == "QUARANTINED"
    assert after.filter.px == px
    after.trade(px * 1.001)
    assert after.filter.trust == "TRUSTED"
    assert after.rejected == ["SPIKE"]


# --- properties -----------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((1.0, 1.001, 0.999, 0.9, 1.1, 0.88, 10.0, 0.1)),
            st.sampled_from((0.001, 10.0)),
            st.integers(0, 3_000),
        ),
        max_size=60,
    )
)
def test_no_trade_is_lost_or_believed_twice(prints: list[tuple[float, float, int]]) -> None:
    """Every trade is believed, rejected or still held: exactly one of them, and the believed ones in the order they came."""
    market = Market()
    market.believed.clear()
    rejected: list[str] = []
    first = market.trade_id + 1
    for factor, qty, after_ms in prints:
        judgement = market.trade(100.0 * factor, qty, after_ms)
        rejected += [each.print.trade_id for each in judgement.rejected if isinstance(each.print, TradePrinted)]
    believed = [int(each.trade_id) for each in market.believed if isinstance(each, TradePrinted)]
    held = [int(each.trade_id) for each in market.filter.held]
    assert sorted([*believed, *map(int, rejected), *held]) == list(range(first, market.trade_id + 1))
    assert believed == sorted(believed)
    assert (market.filter.trust == "TRUSTED") or market.filter.changes or not prints


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.01, 10_000.0), max_size=30), st.integers(0, 5_000))
def test_what_is_trusted_was_printed(prices: list[float], after_ms: int) -> None:
    """The filter invents no price: trusted and protective are prices of prints (or the middle of some)."""
    belief = PriceFilter(SanityLimits())
    market = Market(belief)
    for px in prices:
        market.trade(px, after_ms=after_ms)
    if belief.px:
        assert belief.px in prices
        assert min(prices) <= belief.protective <= max(prices)


def test_every_rejection_has_its_numbers() -> None:
    """Who asks why a print was refused gets the price and the band it was judged by."""
    market = settled_market()
    px = market.filter.px
    (rejection,) = market.filter.trade(trade_at(T0, 1, px * 10), market.now).rejected
    assert (rejection.reason, rejection.reference_px) == ("UNIT", px)
    assert 0.005 <= rejection.band <= 0.05
