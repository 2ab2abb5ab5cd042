"""The price filter against clocks, floods, and everything at once: what holds whatever a venue does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.messages import TradePrinted
from libs.common.timeframe import MILLISECOND, MINUTE, SECOND
from services.market_feed.doubt import HELD_MAX
from services.market_feed.sanity import Judgement
from tests.unit.market_feed.prints import Market, trade_at
from tests.unit.market_feed.test_sanity_attacks import others, settled

# --- clocks and floods --------------------------------------------------------------------------------------------


def test_a_clock_set_back_locks_nobody_out() -> None:
    """An hour back in the middle of a doubt, quotes and opinions just said: none of them stays fresh for an hour."""
    market = settled()
    px = market.filter.px
    market.trade(px * 0.88)
    market.quote(px * 0.9999, px * 1.0001, after_ms=200)
    others(market, px, px)
    market.now -= 60 * MINUTE
    began = market.now
    while market.filter.trust != "TRUSTED" or market.filter.px > px * 0.9:
        market.trade(px * 0.88)
        assert market.now - began < 3 * SECOND
    assert market.rejected == []


def test_a_trade_that_claims_to_be_early_delays_no_confirmation() -> None:
    """The first one of a step is stamped seconds ahead: the span of the others counts all the same."""
    market = settled()
    px = market.filter.px
    ahead = trade_at(market.now + 4 * SECOND, market.trade_id + 1, px * 0.88)
    market.filter.trade(ahead, market.now)
    market.trade_id += 1
    for _ in range(4):
        market.trade(px * 0.88)
    assert market.filter.trust == "TRUSTED"


def test_trades_of_one_instant_confirm_once_time_goes_on() -> None:
    """Nine hundred at the same timestamp are one event; a quarter of a second later they are a price."""
    market = settled()
    px = market.filter.px
    for _ in range(900):
        market.trade(px * 0.88, after_ms=0)
    assert (market.filter.trust, market.filter.px) == ("QUARANTINED", px)
    market.trade(px * 0.88, after_ms=300)
    assert market.filter.trust == "TRUSTED"
    assert market.rejected == []


def test_a_flood_of_dust_drives_out_no_trade_of_weight() -> None:
    """What is held is bounded, and what matters of it stays: the honest step is believed in full."""
    market = settled()
    px = market.filter.px
    first = market.trade_id + 1
    market.trade(px * 0.88)
    for _ in range(2 * HELD_MAX):
        market.trade(px * 0.88, qty=0.001, after_ms=0.05)
    assert len(market.filter.held) == HELD_MAX // 2
    assert set(market.rejected) == {"UNCONFIRMED"}
    market.believed.clear()
    for _ in range(3):
        market.trade(px * 0.88)
    believed = [int(each.trade_id) for each in market.believed if isinstance(each, TradePrinted)]
    assert {first, market.trade_id - 2, market.trade_id - 1, market.trade_id} <= set(believed)


# --- properties ---------------------------------------------------------------------------------------------------

FACTORS = (1.0, 1.0, 1.0, 1.002, 0.997, 0.97, 1.03, 0.88, 1.14, 0.6, 1.7, 10.0, 0.1)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(("trade", "trade", "trade", "quote", "other", "another", "back", "look")),
        st.sampled_from(FACTORS),
        st.sampled_from((0.001, 10.0)),
        st.sampled_from((0, 0, 1, 40, 300, 2_000, 40_000)),
    ),
    max_size=60,
)


def play(market: Market, moves: list[tuple[str, float, float, int]]) -> None:
    """Anything a venue, its rivals and a clock can do."""
    for kind, factor, qty, after_ms in moves:
        px = 100.0 * factor
        if kind == "trade":
            market.trade(px, qty, after_ms)
        elif kind == "quote":
            market.quote(px * 0.999, px * 1.001, after_ms, qty)
        elif kind == "back":
            market.now -= 10 * after_ms * MILLISECOND
        elif kind == "look":
            market.wait(after_ms)
        else:
            market.filter.opinion("kraken" if kind == "other" else "kucoin", px, market.now)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MOVES, st.sampled_from((0.5, 0.8, 0.97, 1.0, 1.03, 1.25, 2.0)))
def test_whatever_happened_a_coherent_market_is_believed_again(
    moves: list[tuple[str, float, float, int]], factor: float
) -> None:
    """No state locks an instrument out: ten seconds after the others' last words, coherent trades are the price."""
    market = Market()
    play(market, moves)
    px = (market.filter.px or 100.0) * factor
    for _ in range(150):
        market.trade(px)
    assert (market.filter.trust, market.filter.px, market.filter.protective) == ("TRUSTED", px, px)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MOVES)
def test_every_trade_has_one_fate(moves: list[tuple[str, float, float, int]]) -> None:
    """Believed, rejected or held, exactly once, the believed ones in their order, with quotes, rivals and clocks at work."""
    market = Market()
    rejected: list[int] = []
    keep = market._keep

    def kept(judgement: Judgement) -> Judgement:
        rejected.extend(int(each.print.trade_id) for each in judgement.rejected if isinstance(each.print, TradePrinted))
        return keep(judgement)

    market._keep = kept  # type: ignore[method-assign]
    play(market, moves)
    believed = [int(each.trade_id) for each in market.believed if isinstance(each, TradePrinted)]
    held = [int(each.trade_id) for each in market.filter.held]
    assert sorted([*believed, *rejected, *held]) == list(range(1, market.trade_id + 1))
    assert believed == sorted(believed)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MOVES)
def test_no_lone_voice_moves_a_stop(moves: list[tuple[str, float, float, int]]) -> None:
    """In doubt the protective price leaves the trusted one only for a price that two prints of weight, or two venues, have."""
    market = Market()
    for move in moves:
        before = market.filter.protective
        play(market, [move])
        belief = market.filter
        if belief.trust in ("QUARANTINED", "RESYNC") and belief.protective not in (belief.px, before):
            told = [each.px for each in belief.held if each.px * each.qty >= 10.0]
            quoted = belief._doubt.quote
            told += [quoted.bid_px * 1000 / 999] * 2 if quoted is not None else []
            assert sum(abs(px / belief.protective - 1) <= 0.021 for px in told) >= 2
