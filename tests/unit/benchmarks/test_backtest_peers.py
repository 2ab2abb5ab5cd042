"""The strategy of the comparison is the same strategy for us: the whole system trades where a plain loop does."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.backtest_peers import ENGINES, REFERENCE, Stand

OWN = {engine.name: engine for engine in ENGINES if not engine.lock}


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    """A few hours of minutes."""
    return Stand(tmp_path_factory.mktemp("bars"), Path("never made"), 600, 3)


@pytest.mark.parametrize("name", [name for name in OWN if name != REFERENCE])
def test_it_trades_at_the_bars_of_the_plain_loop_and_comes_to_its_equity(stand: Stand, name: str) -> None:
    """Gate, executor, venue and ledger change neither when it trades nor what it has in the end, to 1e-9."""
    ours = stand.run(OWN[name])
    loop = stand.run(OWN[REFERENCE], "--fee-in", OWN[name].fee_in, "--fee-step", OWN[name].fee_step)
    assert len(loop["places"]) > 10
    assert ours["places"] == loop["places"]
    assert ours["equity"] == pytest.approx(loop["equity"], rel=1e-9)


def test_ways_to_take_a_fee_come_to_different_equity(stand: Stand) -> None:
    """A fee in cash, in the coin, reserved for or owed: engines that differ so far do not differ in trades."""
    ways = ("quote", "base", "reserved", "on-top")
    assert len({stand.run(OWN[REFERENCE], "--fee-in", way)["equity"] for way in ways}) == len(ways)
