"""The fill model on bars, vector by vector: orders and bars in, exact fills out.

A fill is written `<order> <qty>@<px> <T|M> <fee><asset> <bar><o|c>`: T took, M made; in which bar, at its open or within it.
"""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import pytest

from libs.common.messages import Bar
from libs.common.timeframe import MINUTE
from libs.trading.bar_brackets import NewBracket
from libs.trading.bar_venue import BarVenue
from libs.trading.fill_model import AS_QUOTED, FillModel
from libs.trading.venue import NewOrder, VenueRejected
from tests.unit.trading.test_venue import BTC, order

COSTS = FillModel(half_spread_bps=D(2), slip_bps=D(3), impact_bps=D(50))
"""Of a volume of 1000, 40 cost 2 + 3 + 50 x sqrt(0.04) = 15 bp, and 10 cost 2 + 3 + 50 x sqrt(0.01) = 10 bp."""
TENTH = FillModel(participation_max=D("0.1"))
SLOW = FillModel(latency_ms=1)
FLAT = (100, 100, 100, 100)
WILD = (100, 110, 90, 100)
CALM = (100, 101, 99, 100)


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """`orders` says before which bar each is sent; `ends` gives order status where the fills do not say it all."""

    name: str
    orders: list[tuple[int, NewOrder | NewBracket]]
    bars: list[tuple[float, ...]]
    fills: list[str]
    model: FillModel = AS_QUOTED
    usdt: str = "100000"
    btc: str = "0"
    ends: dict[str, str] = {}


def buy(cl_ord_id: str, ord_type: str, qty: str, **more: str) -> NewOrder:
    return order("BUY", ord_type, qty, cl_ord_id, **more)


def sell(cl_ord_id: str, ord_type: str, qty: str, **more: str) -> NewOrder:
    return order("SELL", ord_type, qty, cl_ord_id, **more)


def bracket(entry: NewOrder | None = None, qty: str = "1", stop: str = "95", target: str = "108") -> NewBracket:
    return NewBracket(
        stop=sell("stop", "STOP_LOSS", qty, stop_px=stop),
        target=sell("target", "LIMIT", qty, limit_px=target),
        entry=entry,
    )


def bar(index: int, px: tuple[float, ...]) -> Bar:
    return Bar(
        instrument="BTC-USDT",
        venue="paper",
        timeframe="1m",
        ts_open=index * MINUTE,
        ts_close=(index + 1) * MINUTE,
        open=px[0],
        high=px[1],
        low=px[2],
        close=px[3],
        volume=px[4] if len(px) > 4 else 1000.0,
    )


def played(vector: Vector) -> tuple[BarVenue, list[str]]:
    venue = BarVenue({"BTC-USDT": BTC}, {"USDT": D(vector.usdt), "BTC": D(vector.btc)}, vector.model)
    seen: list[str] = []
    for index, prices in enumerate(vector.bars):
        for before, sent in vector.orders:
            if before == index:
                send = venue.submit_bracket if isinstance(sent, NewBracket) else venue.submit
                assert all(update.fill is None for update in send(sent, index * MINUTE))
        for update in venue.on_bar(bar(index, prices)):
            if update.fill is not None:
                fill = update.fill
                side = "T" if fill.liquidity_side == "TAKER" else "M"
                when = "o" if fill.ts_event == index * MINUTE else "c"
                assert fill.ts_event in (index * MINUTE, (index + 1) * MINUTE)
                fee = f"{fill.commission}{fill.commission_asset}"
                seen.append(f"{fill.cl_ord_id} {fill.qty}@{fill.px} {side} {fee} {index}{when}")
    return venue, seen


VECTORS = [
    # --- the table of cases: long, stop 95, target 108 ---
    Vector(
        name="a bar that touches stop and target fills the stop",
        orders=[(0, bracket())],
        bars=[WILD],
        btc="1",
        fills=["stop 1@95 T 0.095USDT 0c"],
        ends={"target": "EXPIRED"},
    ),
    Vector(
        name="an open behind the stop fills at the open",
        orders=[(0, bracket())],
        bars=[FLAT, (90, 109, 89, 100)],
        btc="1",
        fills=["stop 1@90 T 0.09USDT 1o"],
        ends={"target": "EXPIRED"},
    ),
    Vector(
        name="an open beyond the target fills the resting target at its own price, whatever came later",
        orders=[(0, bracket())],
        bars=[FLAT, (110, 111, 90, 100)],
        btc="1",
        fills=["target 1@108 M 0.054USDT 1o"],
        ends={"stop": "EXPIRED"},
    ),
    Vector(
        name="a limit that is only touched does not fill",
        orders=[(0, bracket())],
        bars=[FLAT, (100, 108, 100, 100)],
        btc="1",
        fills=[],
        ends={"target": "NEW", "stop": "NEW"},
    ),
    Vector(
        name="an open exactly at the target is a touch",
        orders=[(0, bracket())],
        bars=[FLAT, (108, 108, 100, 100)],
        btc="1",
        fills=[],
    ),
    Vector(
        name="a MARKET sent after close i fills at open i+1",
        orders=[(1, buy("a", "MARKET", "1"))],
        bars=[FLAT, (101, 110, 90, 105)],
        fills=["a 1@101 T 0.001BTC 1o"],
    ),
    # --- costs ---
    Vector(
        name="a MARKET buy pays half spread, slip and impact",
        orders=[(0, buy("a", "MARKET", "40"))],
        bars=[CALM],
        model=COSTS,
        fills=["a 40@100.15 T 0.04BTC 0o"],
    ),
    Vector(
        name="a MARKET sell receives less by the same",
        orders=[(0, sell("a", "MARKET", "40"))],
        bars=[CALM],
        model=COSTS,
        btc="40",
        fills=["a 40@99.85 T 3.994USDT 0o"],
    ),
    Vector(
        name="impact goes by the root of the share of the volume",
        orders=[(0, buy("a", "MARKET", "10"))],
        bars=[CALM],
        model=COSTS,
        fills=["a 10@100.1 T 0.01BTC 0o"],
    ),
    Vector(
        name="a cost within a tick is a whole tick",
        orders=[(0, buy("a", "MARKET", "1")), (0, sell("b", "MARKET", "1"))],
        bars=[(100.01, 101, 99, 100)],
        model=FillModel(slip_bps=D("0.1")),
        btc="1",
        fills=["a 1@100.02 T 0.001BTC 0o", "b 1@100 T 0.1USDT 0o"],
    ),
    Vector(
        name="a stop pays costs from its trigger price",
        orders=[(0, sell("a", "STOP_LOSS", "10", stop_px="95"))],
        bars=[(100, 101, 95, 100)],
        model=COSTS,
        btc="10",
        fills=["a 10@94.9 T 0.949USDT 0c"],  # 95 x 0.999 = 94.905
    ),
    Vector(
        name="a gapped stop pays costs from the open",
        orders=[(0, sell("a", "STOP_LOSS", "10", stop_px="95"))],
        bars=[(90, 91, 89, 90)],
        model=COSTS,
        btc="10",
        fills=["a 10@89.91 T 0.8991USDT 0o"],
    ),
    Vector(
        name="a resting limit pays no costs",
        orders=[(0, buy("a", "LIMIT", "10", limit_px="99"))],
        bars=[(100, 101, 98, 100)],
        model=COSTS,
        fills=["a 10@99 M 0.005BTC 0c"],
    ),
    # --- limits ---
    Vector(
        name="a limit fills when the market goes through it by one tick",
        orders=[(0, buy("a", "LIMIT", "1", limit_px="99"))],
        bars=[(100, 100, 99, 99), (99.5, 100, 98.99, 99)],
        fills=["a 1@99 M 0.0005BTC 1c"],
    ),
    Vector(
        name="a marketable new limit takes at the open, not at its price",
        orders=[(0, buy("a", "LIMIT", "40", limit_px="105"))],
        bars=[CALM],
        model=COSTS,
        fills=["a 40@100.15 T 0.04BTC 0o"],
    ),
    Vector(
        name="costs never push a limit beyond its price",
        orders=[(0, buy("a", "LIMIT", "40", limit_px="100.05"))],
        bars=[CALM],
        model=COSTS,
        fills=["a 40@100.05 T 0.04BTC 0o"],
    ),
    Vector(
        name="a new sell limit below the open takes the open",
        orders=[(0, sell("a", "LIMIT", "1", limit_px="98"))],
        bars=[CALM],
        btc="1",
        fills=["a 1@100 T 0.1USDT 0o"],
    ),
    Vector(
        name="a resting buy limit that the open gaps through fills at its own price",
        orders=[(0, buy("a", "LIMIT", "1", limit_px="99"))],
        bars=[FLAT, (90, 91, 89, 90)],
        fills=["a 1@99 M 0.0005BTC 1o"],
    ),
    # --- stops ---
    Vector(
        name="a buy stop triggers on touch at its price",
        orders=[(0, buy("a", "STOP_LOSS", "1", stop_px="105"))],
        bars=[(100, 105, 99, 100)],
        fills=["a 1@105 T 0.001BTC 0c"],
    ),
    Vector(
        name="a gapped buy stop pays the open",
        orders=[(0, buy("a", "STOP_LOSS", "1", stop_px="105"))],
        bars=[(110, 111, 109, 110)],
        fills=["a 1@110 T 0.001BTC 0o"],
    ),
    Vector(
        name="a gapped buy stop fills what the money pays for, and the rest expires",
        orders=[(0, buy("a", "STOP_LOSS", "2", stop_px="105"))],
        bars=[(140, 141, 139, 140)],
        usdt="210",
        fills=["a 1.5@140 T 0.0015BTC 0o"],
        ends={"a": "EXPIRED"},
    ),
    Vector(
        name="a stop limit that triggers within its limit takes at the trigger price",
        orders=[(0, sell("a", "STOP_LOSS_LIMIT", "1", stop_px="95", limit_px="94"))],
        bars=[WILD],
        btc="1",
        fills=["a 1@95 T 0.095USDT 0c"],
    ),
    Vector(
        name="a stop limit gapped beyond its limit rests there, and makes when the market comes back",
        orders=[(0, sell("a", "STOP_LOSS_LIMIT", "1", stop_px="95", limit_px="94"))],
        bars=[(90, 94, 89, 90), (90, 94.01, 90, 90)],
        btc="1",
        fills=["a 1@94 M 0.047USDT 1c"],
    ),
    Vector(
        name="a stop limit triggered within a bar does not rest into the past of that bar",
        orders=[(0, buy("a", "STOP_LOSS_LIMIT", "1", stop_px="105", limit_px="104"))],
        bars=[(100, 106, 99, 105), (105, 106, 104, 105), (105, 106, 103.99, 104)],
        fills=["a 1@104 M 0.0005BTC 2c"],
    ),
    Vector(
        name="stops come before limits: the exit sells before the entry below buys",
        orders=[(0, sell("a", "STOP_LOSS", "1", stop_px="95")), (0, buy("b", "LIMIT", "1", limit_px="99"))],
        bars=[WILD],
        btc="1",
        fills=["a 1@95 T 0.095USDT 0c", "b 1@99 M 0.0005BTC 0c"],
    ),
    # --- brackets with an entry ---
    Vector(
        name="in the bar of a limit entry its stop may fill",
        orders=[(0, bracket(buy("entry", "LIMIT", "1.1", limit_px="99")))],
        bars=[(100, 100, 95, 96)],
        fills=["entry 1.1@99 M 0.00055BTC 0c", "stop 1@95 T 0.095USDT 0c"],
        ends={"target": "EXPIRED"},
    ),
    Vector(
        name="in the bar of a limit entry its target may not fill, in the next it may",
        orders=[(0, bracket(buy("entry", "LIMIT", "1.1", limit_px="99")))],
        bars=[(100, 110, 98, 105), (105, 110, 104, 110)],
        fills=["entry 1.1@99 M 0.00055BTC 0c", "target 1@108 M 0.054USDT 1c"],
        ends={"stop": "EXPIRED"},
    ),
    Vector(
        name="a marketable limit entry is a limit entry: no target in its bar",
        orders=[(0, bracket(buy("entry", "LIMIT", "1.1", limit_px="101")))],
        bars=[(100, 110, 99, 105)],
        fills=["entry 1.1@100 T 0.0011BTC 0o"],
        ends={"target": "NEW", "stop": "NEW"},
    ),
    Vector(
        name="after a MARKET entry at the open the target may fill in the same bar",
        orders=[(0, bracket(buy("entry", "MARKET", "1.1")))],
        bars=[(100, 110, 99, 105)],
        fills=["entry 1.1@100 T 0.0011BTC 0o", "target 1@108 M 0.054USDT 0c"],
    ),
    Vector(
        name="after a MARKET entry an ambiguous bar fills the stop",
        orders=[(0, bracket(buy("entry", "MARKET", "1.1")))],
        bars=[WILD],
        fills=["entry 1.1@100 T 0.0011BTC 0o", "stop 1@95 T 0.095USDT 0c"],
    ),
    Vector(
        name="an open behind both entry and stop buys at the limit and sells at the open",
        orders=[(0, bracket(buy("entry", "LIMIT", "1.1", limit_px="99")))],
        bars=[FLAT, (90, 110, 89, 100)],
        fills=["entry 1.1@99 M 0.00055BTC 1o", "stop 1@90 T 0.09USDT 1o"],
    ),
    Vector(
        name="after a stop entry within the bar the stop may fill and the target may not",
        orders=[(0, bracket(buy("entry", "STOP_LOSS", "1.1", stop_px="102")))],
        bars=[(100, 110, 95, 100)],
        fills=["entry 1.1@102 T 0.0011BTC 0c", "stop 1@95 T 0.095USDT 0c"],
    ),
    Vector(
        name="stop and target wait for the whole entry",
        orders=[(0, bracket(buy("entry", "MARKET", "150"), qty="140"))],
        bars=[WILD, CALM, (100, 109, 100, 100)],
        model=TENTH,
        fills=["entry 100@100 T 0.1BTC 0o", "entry 50@100 T 0.05BTC 1o", "target 100@108 M 5.4USDT 2c"],
        ends={"stop": "EXPIRED", "target": "PARTIALLY_FILLED"},
    ),
    Vector(
        name="a stop and target of more than the entry's fee left are rejected",
        orders=[(0, bracket(buy("entry", "MARKET", "1")))],
        bars=[WILD],
        fills=["entry 1@100 T 0.001BTC 0o"],
        ends={"stop": "REJECTED", "target": "REJECTED"},
    ),
    # --- participation ---
    Vector(
        name="what exceeds a tenth of the volume carries over to the next opens",
        orders=[(0, buy("a", "MARKET", "250"))],
        bars=[(100, 101, 99, 100), (102, 103, 101, 102), (104, 105, 103, 104)],
        model=TENTH,
        fills=["a 100@100 T 0.1BTC 0o", "a 100@102 T 0.1BTC 1o", "a 50@104 T 0.05BTC 2o"],
        ends={"a": "FILLED"},
    ),
    Vector(
        name="all orders share the tenth, the oldest first",
        orders=[(0, buy("a", "MARKET", "80")), (0, buy("b", "MARKET", "80"))],
        bars=[CALM, CALM],
        model=TENTH,
        fills=["a 80@100 T 0.08BTC 0o", "b 20@100 T 0.02BTC 0o", "b 60@100 T 0.06BTC 1o"],
    ),
    Vector(
        name="a resting limit makes no more than the share either",
        orders=[(0, buy("a", "LIMIT", "150", limit_px="99"))],
        bars=[(100, 100, 98, 99), (100, 100, 98, 99)],
        model=TENTH,
        fills=["a 100@99 M 0.05BTC 0c", "a 50@99 M 0.025BTC 1c"],
    ),
    Vector(
        name="a capped marketable limit goes on taking while it is marketable",
        orders=[(0, buy("a", "LIMIT", "250", limit_px="101"))],
        bars=[CALM, (100.5, 102, 100, 101), (103, 104, 100, 103)],
        model=TENTH,
        fills=["a 100@100 T 0.1BTC 0o", "a 100@100.5 T 0.1BTC 1o", "a 50@101 M 0.025BTC 2c"],
    ),
    Vector(
        name="the rest of a triggered stop takes the next open",
        orders=[(0, sell("a", "STOP_LOSS", "150", stop_px="95"))],
        bars=[(100, 101, 94, 96), (97, 99, 96, 98)],
        model=TENTH,
        btc="150",
        fills=["a 100@95 T 9.5USDT 0c", "a 50@97 T 4.85USDT 1o"],
    ),
    Vector(
        name="in a bar without volume nothing fills, and a touched stop still triggers",
        orders=[(0, sell("a", "STOP_LOSS", "1", stop_px="95"))],
        bars=[(94, 94, 94, 94, 0), (97, 99, 96, 98)],
        btc="1",
        fills=["a 1@97 T 0.097USDT 1o"],
    ),
    Vector(
        name="a stop of a pair that triggers without volume has ended its target",
        orders=[(0, bracket())],
        bars=[(95, 95, 95, 95, 0)],
        btc="1",
        fills=[],
        ends={"stop": "NEW", "target": "EXPIRED"},
    ),
    Vector(
        name="the rest of an IOC expires, and a FOK that exceeds the share does not begin",
        orders=[
            (0, buy("a", "MARKET", "150", time_in_force="IOC")),
            (1, buy("b", "LIMIT", "150", limit_px="105", time_in_force="FOK")),
            (1, buy("c", "LIMIT", "1", limit_px="99", time_in_force="IOC")),
        ],
        bars=[CALM, WILD],
        model=TENTH,
        fills=["a 100@100 T 0.1BTC 0o"],
        ends={"a": "EXPIRED", "b": "EXPIRED", "c": "EXPIRED"},
    ),
    # --- latency ---
    Vector(
        name="a MARKET on its way at an open fills at the next",
        orders=[(0, buy("a", "MARKET", "1"))],
        bars=[CALM, (101, 102, 100, 101)],
        model=SLOW,
        fills=["a 1@101 T 0.001BTC 1o"],
    ),
    Vector(
        name="a stop and a limit on their way at an open do not see that bar",
        orders=[
            (0, sell("a", "STOP_LOSS", "1", stop_px="95")),
            (0, buy("b", "LIMIT", "1", limit_px="99")),
        ],
        bars=[WILD, (100, 101, 98, 100)],
        model=SLOW,
        btc="1",
        fills=["b 1@99 M 0.0005BTC 1c"],
        ends={"a": "NEW"},
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_vector(vector: Vector) -> None:
    """Each row says what must fill, at which price, for which fee, when; and where its orders end."""
    venue, seen = played(vector)
    assert seen == vector.fills
    found = {name: venue.order("BTC-USDT", name).ord_status for name in vector.ends}
    assert found == vector.ends


def test_there_are_enough_vectors_and_no_two_say_the_same() -> None:
    """A name is a sentence about the model, and there is one for each clause."""
    assert len({vector.name for vector in VECTORS}) == len(VECTORS) >= 34


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        (-1013, buy("a", "LIMIT", "1", limit_px="100.001")),
        (-1013, buy("a", "MARKET", "0.000001")),
        (-1013, buy("a", "MARKET", "0.01")),
        (-1121, msgspec.structs.replace(buy("a", "MARKET", "1"), instrument="ETH-USDT")),
        (-2010, buy("a", "LIMIT", "2", limit_px="100")),
        (-2010, buy("a", "MARKET", "1.5")),
        (-2010, sell("a", "MARKET", "1")),
        (-2010, sell("a", "STOP_LOSS", "0.9", stop_px="101")),
        (-2010, bracket()),
        (-2010, bracket(qty="0.9", stop="100.5")),
        (-2010, bracket(qty="0.9", stop="99", target="98")),
        (-2010, bracket(entry=sell("x", "MARKET", "0.9"), qty="0.9")),
    ],
)
def test_the_venue_refuses_with_its_own_code(code: int, sent: NewOrder | NewBracket) -> None:
    """Filters, funds with costs and fees, immediate triggers and bad brackets are refused, and nothing changes."""
    venue = BarVenue({"BTC-USDT": BTC}, {"USDT": D(250), "BTC": D(0)}, COSTS)
    venue.submit(buy("own", "LIMIT", "1", limit_px="100"), 0)
    venue.on_bar(bar(0, FLAT))
    assert venue.balances()[0].free == D("0.999")  # the fee of a buy is gone from what can be sold
    before = venue.snapshot()
    with pytest.raises(VenueRejected) as refused:
        venue.submit_bracket(sent, MINUTE) if isinstance(sent, NewBracket) else venue.submit(sent, MINUTE)
    assert (refused.value.code, venue.snapshot()) == (code, before)


def test_a_pair_reserves_once_and_is_cancelled_whole() -> None:
    """One position, two exits: the coins are locked once, and a cancel of either frees them."""
    venue = BarVenue({"BTC-USDT": BTC}, {"BTC": D(1)}, AS_QUOTED)
    venue.submit_bracket(bracket(), 0)
    assert (venue.balances()[0].free, venue.balances()[0].locked) == (D(0), D(1))
    ended = venue.cancel("BTC-USDT", "target", 1)
    assert [(update.order.cl_ord_id, update.exec_type) for update in ended] == [
        ("target", "CANCELED"),
        ("stop", "CANCELED"),
    ]
    assert (venue.balances()[0].free, venue.balances()[0].locked) == (D(1), D(0))
    assert venue.on_bar(bar(0, WILD)) == []


def test_a_cancelled_entry_takes_its_stop_and_target_with_it() -> None:
    """What never was entered can never be sold."""
    venue = BarVenue({"BTC-USDT": BTC}, {"USDT": D(1000)}, AS_QUOTED)
    venue.submit_bracket(bracket(buy("entry", "LIMIT", "1.1", limit_px="99")), 0)
    venue.cancel("BTC-USDT", "entry", 1)
    assert venue.on_bar(bar(0, WILD)) == []
    assert venue.open_orders() == []
    assert b'"held":{}' in venue.snapshot()


def test_what_is_left_of_a_target_keeps_its_coins_locked() -> None:
    """The stop that locked them for both is gone, and nobody else may sell them."""
    venue = BarVenue({"BTC-USDT": BTC}, {"BTC": D(150)}, TENTH)
    venue.submit_bracket(bracket(qty="150"), 0)
    venue.on_bar(bar(0, (100, 109, 99, 100)))
    held = venue.balances()[0]
    assert (held.free, held.locked, venue.order("BTC-USDT", "target").cum_qty) == (D(0), D(50), D(100))


def test_a_restored_venue_still_knows_which_orders_are_new() -> None:
    """Also where the fill model is free: a marketable limit takes the open, not its own price."""
    venue, restored = (BarVenue({"BTC-USDT": BTC}, {"USDT": D(1000)}, AS_QUOTED) for _ in range(2))
    venue.submit(buy("a", "LIMIT", "1", limit_px="105"), 0)
    restored.restore(venue.snapshot())
    assert [update.fill.px for update in restored.on_bar(bar(0, CALM)) if update.fill] == [D(100)]


@pytest.mark.parametrize(
    ("index", "px"),
    [(0, (100, 99, 98, 100)), (0, (100, float("nan"), 90, 100)), (0, (100, 110, 90, 100, -1)), (-1, CALM)],
)
def test_what_is_no_bar_is_refused_before_anything_fills(index: int, px: tuple[float, ...]) -> None:
    """A bar that cannot be, or that was before, would fill at prices that never were."""
    venue = BarVenue({"BTC-USDT": BTC}, {"USDT": D(1000)}, AS_QUOTED)
    venue.submit(buy("a", "MARKET", "1"), -MINUTE)
    with pytest.raises(ValueError, match="BTC-USDT"):
        venue.on_bar(bar(index, px))
    assert venue.fills() == []


def test_quotes_and_trades_are_not_for_a_bar_venue() -> None:
    """One market is told in one way, or fills would count twice."""
    venue = BarVenue({"BTC-USDT": BTC}, {"USDT": D(1000)}, AS_QUOTED)
    for told_wrong in (venue.on_quote, venue.on_trade):
        with pytest.raises(TypeError):
            told_wrong("BTC-USDT", 100.0, 1.0, 1)
