"""Round trips: from flat to flat, net of every cost, without losing a cent on the way."""

from __future__ import annotations

from decimal import Decimal, localcontext
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.messages import Side
from libs.trading.positions import EXACT, FLAT, fill
from libs.trading.round_trips import Fill, round_trips

D = Decimal
HOUR = 3_600_000_000_000


def a_fill(side: Side, qty: str, px: str, hour: int = 0, **more: object) -> Fill:
    """A fill of BTC-USDT for one of commission."""
    fields: dict[str, object] = {
        "instrument": "BTC-USDT",
        "side": side,
        "qty": D(qty),
        "px": D(px),
        "ts": hour * HOUR,
        "commission": D(1),
    }
    return Fill(**(fields | more))  # type: ignore[arg-type]


def test_partial_entries_and_exits_are_one_round_trip() -> None:
    """Bought in two, sold in two: 10 x 10 + 10 x 20 won before four of commission; held from the first fill to the last."""
    found = round_trips(
        [
            a_fill(
                "BUY", "10", "100", 0, agents=("trend",), regime="BULL", intent_id="i1", stop_px=D(95), target_px=D(110)
            ),
            a_fill(
                "BUY",
                "10",
                "110",
                1,
                agents=("levels",),
                regime="BEAR",
                intent_id="i2",
                stop_px=D(100),
                target_px=D(120),
            ),
            a_fill("SELL", "5", "120", 2, reason="TARGET"),
            a_fill("SELL", "15", "120", 5, reason="STOP"),
        ]
    )
    (trip,) = found.closed
    assert found.open == ()
    assert (trip.gross_pnl, trip.commission, trip.pnl) == (D(300), D(4), D(296))
    assert (trip.direction, trip.qty, trip.avg_entry_px, trip.fills) == ("LONG", D(20), D(105), 4)
    assert (trip.entry_notional, trip.exit_notional, trip.notional) == (D(2100), D(2400), D(4500))
    assert (trip.risk, trip.reward) == (D(150), D(200))
    assert (trip.agents, trip.intent_ids, trip.regime, trip.reason) == (
        ("levels", "trend"),
        ("i1", "i2"),
        "BULL",
        "STOP",
    )
    assert trip.holding_ns == 5 * HOUR


def test_a_fill_through_zero_ends_one_and_begins_the_next() -> None:
    """Sold three times what was held: a third of the commission belongs to the trade it ended, the rest to the short it began."""
    found = round_trips(
        [a_fill("BUY", "1", "100", 0), a_fill("SELL", "3", "110", 1, commission=D("0.3")), a_fill("BUY", "2", "100", 2)]
    )
    long, short = found.closed
    assert (long.direction, long.pnl, long.commission) == ("LONG", D("8.9"), D("1.1"))
    assert (short.direction, short.pnl, short.commission, short.qty) == ("SHORT", D("18.8"), D("1.2"), D(2))


def test_what_is_still_open_has_neither_won_nor_lost() -> None:
    """Half sold: one open round trip with what it has realised so far, and no closed one."""
    found = round_trips([a_fill("BUY", "2", "100"), a_fill("SELL", "1", "130", 1)])
    assert found.closed == ()
    assert [(trip.is_open, trip.pnl, trip.qty) for trip in found.open] == [(True, D(28), D(2))]


def test_dust_counts_as_flat_and_keeps_its_cost() -> None:
    """A commission in base leaves what no order can close: the trade is over, and who sells the dust later has its result."""
    fills = [
        a_fill("BUY", "1", "100", commission=D(0), base_commission=D("0.0015")),
        a_fill("SELL", "0.998", "110", 1, commission=D(0)),
        a_fill("BUY", "1", "100", 2, commission=D(0)),
        a_fill("SELL", "1", "100", 3, commission=D(0)),
    ]
    found = round_trips(fills, {"BTC-USDT": D("0.001")})
    assert [trip.pnl for trip in found.closed] == [D("9.83"), D(0)]
    assert found.open == ()
    (still,) = round_trips(fills).open
    assert still.fills == 4


def test_a_commission_in_base_of_a_fill_through_zero_is_not_lost() -> None:
    """A short of 1 bought back by 3 with 0.003 kept: 0.001 of it is a cost of the short, the long holds 2 - 0.003, and it adds up."""
    found = round_trips(
        [
            a_fill("SELL", "1", "100", commission=D(0)),
            a_fill("BUY", "3", "90", 1, commission=D(0), base_commission=D("0.003")),
            a_fill("SELL", "1.997", "90", 2, commission=D(0)),
        ]
    )
    short, long = found.closed
    assert (short.pnl, short.commission) == (D("9.91"), D("0.09"))
    assert (long.pnl, long.commission) == (D("-0.18"), D("0.18"))


def test_instruments_are_apart_and_executions_are_booked_once() -> None:
    """The same exec_id again is the same execution; of another instrument it is another one. Trades come in the order they ended."""
    found = round_trips(
        [
            a_fill("BUY", "1", "100", 0, exec_id="7"),
            a_fill("BUY", "1", "100", 0, exec_id="7"),
            a_fill("BUY", "1", "10", 1, exec_id="7", instrument="ETH-USDT"),
            a_fill("SELL", "1", "12", 2, exec_id="8", instrument="ETH-USDT"),
            a_fill("SELL", "1", "101", 3, exec_id="8"),
        ]
    )
    assert [(trip.instrument, trip.pnl) for trip in found.closed] == [("ETH-USDT", D(0)), ("BTC-USDT", D(-1))]


def test_a_plan_that_is_not_known_of_every_entry_is_not_known() -> None:
    """Half a stop is none."""
    found = round_trips(
        [a_fill("BUY", "1", "100", stop_px=D(90)), a_fill("BUY", "1", "100"), a_fill("SELL", "2", "100")]
    )
    assert found.closed[0].risk is None


STEPS = {"BTC-USDT": D("0.01")}


@pytest.mark.parametrize("steps", [None, STEPS])
@given(seed=st.integers(0, 10_000))
def test_round_trips_lose_nothing(steps: dict[str, Decimal] | None, seed: int) -> None:
    """Whatever is filled: the results of all trips are the position's, to the last digit, and so are their costs and their notional."""
    random = Random(seed)
    fills, position = [], FLAT
    for hour in range(random.randrange(1, 25)):
        side: Side = random.choice(("BUY", "SELL"))
        qty = D(random.choice(("1", "0.5", "2", "0.333333333333333333", "123456789012.123456789012345678")))
        px = D(random.choice(("100", "99.99", "100.000000000000000001", "31")))
        cost, base = D(random.choice(("0", "0.1", "-0.02"))), D(random.choice(("0", "0.001")))
        fills.append(a_fill(side, str(qty), str(px), hour, commission=cost, base_commission=base))
        position = fill(position, side=side, qty=qty, px=px, base_commission=base, quote_commission=cost)
    found = round_trips(fills, steps)
    trips = [*found.closed, *found.open]
    with localcontext(EXACT):
        assert sum(trip.commission for trip in trips) == position.commission
        assert sum(trip.pnl for trip in trips) == position.realized_pnl - position.commission
        assert sum(trip.notional for trip in trips) == sum(each.qty * each.px for each in fills)
