"""Exits that time brings, and exits that zones set."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.messages import (
    LevelMap,
    LevelsMapped,
    MacroOverrideChanged,
    MacroRegimes,
    OrderIntent,
    PriceZone,
    Regime,
)
from libs.common.timeframe import HOUR, MINUTE, SECOND
from tests.playbook import START, Playbook
from tests.unit.signal_agents.portfolio_story import (
    BAR,
    BTC,
    SETTINGS,
    SPEC,
    D,
    a_holder,
    a_portfolio,
    marked,
    opinion,
    posted,
    said,
)


def zone(lo: float, hi: float) -> PriceZone:
    return PriceZone(
        lo=lo, hi=hi, mid=(lo + hi) / 2, role="SUPPORT", touches=5, score=3.0, first_ts=1, last_ts=2, confirmed_ts=3
    )


def mapped(*zones: PriceZone, end_ts: int = START, **changes: Any) -> LevelsMapped:
    level_map = LevelMap(
        instrument=BTC,
        timeframe="15m",
        ready=True,
        close_px=60_000.0,
        atr=600.0,
        zones=zones,
        poc=None,
        val=None,
        vah=None,
        hvn=(),
        lvn=(),
    )
    return LevelsMapped(agent_id="levels", end_ts=end_ts, maps=(msgspec.structs.replace(level_map, **changes),))


def reasons(book: Playbook) -> list[str]:
    return [intent.reason for intent in book.published(OrderIntent)]


@pytest.mark.parametrize(("held", "why"), [(8 * HOUR - SECOND, []), (8 * HOUR, ["time"])])
def test_a_position_is_left_for_its_age(held: int, why: list[str]) -> None:
    """At the limit, in the story of its entry, and as soon as a price is there to sell at."""
    book, _ = a_holder(msgspec.structs.replace(SETTINGS, hold_max=8 * HOUR))
    since = book.machine.state.books[BTC].held_since
    book.tell(marked(since + held, 60_000.0))
    assert reasons(book) == why
    assert {intent.correlation_id for intent in book.published(OrderIntent)} <= {"story-of-bar-1"}


def test_the_age_begins_anew_with_the_next_position() -> None:
    """Flat in between: what was held before does not count."""
    book, _ = a_holder(msgspec.structs.replace(SETTINGS, hold_max=8 * HOUR))
    book.tell(posted("0", "sold")).tell(marked(START + 7 * HOUR, 60_000.0)).tell(posted("0.077", "again"))
    assert reasons(book.tell(marked(START + 9 * HOUR, 60_000.0))) == []
    assert reasons(book.tell(marked(START + 15 * HOUR, 60_000.0))) == ["time"]


@pytest.mark.parametrize(("quiet", "why"), [(4 * HOUR - SECOND, []), (4 * HOUR, ["decay"])])
def test_a_signal_decays(quiet: int, why: list[str]) -> None:
    """So long after the last opinion that was for it a position is left, though nobody spoke against it."""
    book, _ = a_holder(msgspec.structs.replace(SETTINGS, decay=4 * HOUR))
    book.tell(said(2)).expect()  # still for it
    book.tell(marked(START + 2 * BAR + quiet, 60_000.0))
    assert reasons(book) == why


def test_an_opinion_that_is_not_for_it_does_not_keep_it() -> None:
    """FLAT now and then, never LONG again: the position decays."""
    book, _ = a_holder(msgspec.structs.replace(SETTINGS, decay=HOUR, exit_flat_bars=0))
    for bar in (2, 3, 4):
        book.tell(said(bar, opinion("FLAT"))).expect()
    assert reasons(book.tell(marked(START + 6 * BAR, 60_000.0))) == ["decay"]


def test_nothing_is_left_for_its_age_where_that_is_switched_off() -> None:
    """Zero: never."""
    book, _ = a_holder()
    assert reasons(book.tell(marked(START + 1_000 * HOUR, 60_000.0))) == []


LEVELLED = msgspec.structs.replace(SETTINGS, uses_levels=True)


@pytest.mark.parametrize(
    ("zones", "stop", "target"),
    [
        ((), "58800", "61800"),  # no zones: two and three ATR
        ((zone(59_000.0, 59_200.0),), "58850", "61800"),  # 59,000 - 0.25 ATR
        ((zone(59_900.0, 59_950.0),), "59550", "61800"),  # too near: widened to 0.75 ATR
        ((zone(57_000.0, 57_500.0),), "58800", "61800"),  # beyond 3 ATR: no plan
        ((zone(61_900.0, 62_000.0),), "58800", "61800"),  # a target nearer than the zone stays
        ((zone(59_000.0, 59_200.0), zone(61_750.0, 61_900.0)), "58850", "61750"),  # room 1,750 of at least 1,725
        (
            (zone(59_000.0, 59_200.0), zone(61_700.0, 61_900.0)),
            "58850",
            "61800",
        ),  # 1,700 is no target: the gate's to judge
    ],
)
def test_stop_and_target_follow_the_zones(zones: tuple[PriceZone, ...], stop: str, target: str) -> None:
    """The stop beyond the nearest zone below, the target before the next one above, if that is worth the risk."""
    book = a_portfolio(LEVELLED).tell(mapped(*zones)).tell(said(1))
    intent = book.only(OrderIntent)
    assert (intent.stop_px, intent.target_px) == (D(stop), D(target))


@pytest.mark.parametrize(
    ("lo", "own_atr", "stop"),
    [
        (57_500.0, 700.0, "57250"),  # 2,750 away: less than 4 ATR
        (57_500.0, 600.0, "58800"),  # more: two ATR
        (59_900.0, 1_500.0, "59250"),  # 750 away: half an ATR
        (59_900.0, 1_600.0, "56800"),  # less: two ATR
    ],
)
def test_a_stop_is_one_in_the_entrys_own_bars(lo: float, own_atr: float, stop: str) -> None:
    """Zones of hours are measured in an ATR of hours: as a stop of a quarter of an hour theirs may be denied at each signal, as too wide or too tight."""
    book = a_portfolio(LEVELLED).tell(mapped(zone(lo, lo + 50.0), atr=1_000.0))
    assert book.tell(said(1, opinion(atr=own_atr))).only(OrderIntent).stop_px == D(stop)


@pytest.mark.parametrize("age", [2 * HOUR, 2 * HOUR + 1])
def test_old_zones_are_not_relied_on(age: int) -> None:
    """A map of long ago says nothing: multiples of ATR."""
    end_ts = START + 3 * HOUR - age
    book = a_portfolio(LEVELLED).tell(mapped(zone(59_000.0, 59_200.0), end_ts=end_ts))
    intent = book.tell(said(12)).only(OrderIntent)
    assert intent.stop_px == D("58850" if age <= 2 * HOUR else "58800")


def test_a_map_that_turns_cold_is_forgotten() -> None:
    """Not ready any more is not an empty map: nothing is known."""
    book = a_portfolio(LEVELLED).tell(mapped(zone(59_000.0, 59_200.0)))
    book.tell(mapped(end_ts=START + MINUTE, ready=False, atr=None))
    assert book.tell(said(1)).only(OrderIntent).stop_px == D("58800")


@pytest.mark.parametrize(
    ("state", "override", "qty"),
    [
        ("BULL", 0, "0.077"),
        ("NEUTRAL", 0, "0.038"),
        ("BEAR", 0, "0.077"),  # the gate denies it
        ("BEAR", HOUR, "0.019"),
        ("BEAR", BAR, "0.077"),  # over at the very instant
        ("NEUTRAL", HOUR, "0.038"),
        ("UNKNOWN", HOUR, "0.077"),  # never lifted: the gate denies it
    ],
)
def test_the_week_takes_its_share_of_the_risk(state: str, override: int, qty: str) -> None:
    """Half without a trend, a quarter against it while an operator's override is in force."""
    regime = Regime(instrument=BTC, state=state, provisional=False, weeks=80, since_ts=1, evidence={})  # type: ignore[arg-type]
    book = a_portfolio(msgspec.structs.replace(SETTINGS, uses_regimes=True))
    book.tell(MacroRegimes(agent_id="macro", end_ts=START, regimes=(regime,)))
    if override:
        book.tell(overridden(START + override))
    assert book.tell(said(1)).only(OrderIntent).order_qty == D(qty)


def test_a_revoked_override_leaves_no_share() -> None:
    """What the gate has ended is over, whatever its time was."""
    regime = Regime(instrument=BTC, state="BEAR", provisional=False, weeks=80, since_ts=1, evidence={})
    book = a_portfolio(msgspec.structs.replace(SETTINGS, uses_regimes=True))
    book.tell(MacroRegimes(agent_id="macro", end_ts=START, regimes=(regime,)))
    book.tell(overridden(START + HOUR)).tell(overridden(START + HOUR, "REVOKED"))
    assert book.tell(said(1)).only(OrderIntent).order_qty == D("0.077")


def overridden(until: int, state: str = "IN_FORCE") -> MacroOverrideChanged:
    return MacroOverrideChanged(
        override_id="o1",
        state=state,  # type: ignore[arg-type]
        instrument=BTC,
        side="BUY",
        valid_until=until,
        reason="a view",
        author="ada",
        uses=0,
    )


def test_the_risk_is_that_of_the_stop_that_is_set() -> None:
    """A nearer stop buys more, to lose the same: 100 / (750 + costs)."""
    book = a_portfolio(LEVELLED).tell(mapped(zone(59_400.0, 59_450.0)))
    intent = book.tell(said(1)).only(OrderIntent)
    assert intent.stop_px is not None
    unit = (
        intent.ref_px
        - intent.stop_px
        + SPEC.taker_fee * (intent.ref_px + intent.stop_px)
        + D("0.0005") * intent.stop_px
    )
    assert intent.order_qty * unit <= 100 < (intent.order_qty + SPEC.qty_step) * unit
