"""Support and resistance before the gate: no entry inside a zone, none without room to the next one."""

from __future__ import annotations

import pytest

from libs.common.messages import LevelMap, LevelsMapped, PriceZone
from services.risk_gate.view import View
from tests.unit.risk_gate.book import BTC, NOW, D, entry, exit_, failed, judged, opened, position, tightened

LISTENING = tightened(levels=True)


def zone(lo: float, hi: float) -> PriceZone:
    """A zone of turning points."""
    return PriceZone(
        lo=lo,
        hi=hi,
        mid=(lo + hi) / 2,
        role="RESISTANCE",
        touches=5,
        score=4.0,
        first_ts=0,
        last_ts=1,
        confirmed_ts=2,
    )


def mapped(*zones: PriceZone, atr: float = 1_000.0, ready: bool = True) -> View:
    """A gate that was told this map of BTC."""
    level_map = LevelMap(
        instrument=BTC,
        timeframe="1h",
        ready=ready,
        close_px=60_000.0,
        atr=atr,
        zones=zones,
        poc=None,
        val=None,
        vah=None,
        hvn=(),
        lvn=(),
    )
    book = opened(LISTENING).tell(LevelsMapped(agent_id="levels", end_ts=NOW, maps=(level_map,)))
    state: View = book.machine.state
    return state


@pytest.mark.parametrize(
    ("lo", "hi", "codes"),
    [
        (60_000.0, 60_100.0, ["INSIDE_ZONE"]),
        (59_900.0, 60_000.0, ["INSIDE_ZONE"]),
        (59_800.0, 59_999.99, []),
        (60_000.01, 60_100.0, ["NEAR_LEVEL"]),
        (61_799.99, 62_000.0, ["NEAR_LEVEL"]),
        (61_800.0, 62_000.0, []),
    ],
)
def test_no_entry_inside_a_zone_or_without_room_to_the_next(lo: float, hi: float, codes: list[str]) -> None:
    """At 60,000 with a stop at 58,800: the next zone above has to be 1,800 away, half as much again as is risked."""
    assert failed(entry(), mapped(zone(lo, hi)), LISTENING) == codes


def test_a_wide_market_wants_three_quarters_of_its_atr() -> None:
    """Where that is more than the risk asks for."""
    found = judged(entry(), mapped(zone(62_000.0, 62_100.0), atr=2_668.0), LISTENING)["NEAR_LEVEL"]
    assert (found.passed, found.value, found.limit) == (False, "2000", "at least 2001")


def test_without_a_map_nothing_is_known_to_be_in_the_way() -> None:
    """A cold map says nothing; a gate that does not listen makes no such check at all."""
    cold = mapped(zone(60_000.0, 60_100.0), ready=False)
    assert failed(entry(), cold, LISTENING) == []
    assert judged(entry(), cold, LISTENING)["INSIDE_ZONE"].limit == "no map"
    assert "INSIDE_ZONE" not in judged(entry(), cold)


def test_an_exit_is_never_held_back_by_a_level() -> None:
    """Whatever lies above."""
    seen = mapped(zone(59_900.0, 60_100.0))
    seen.on_position(position("0.02"))
    assert failed(exit_(order_qty=D("0.02")), seen, LISTENING) == []
