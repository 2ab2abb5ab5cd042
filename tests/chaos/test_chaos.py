"""The short form of `make chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.backtested import differences_to_backtest
from tests.chaos.books import differences
from tests.chaos.free import FreeRun
from tests.chaos.lockstep import BEGIN, INSTRUMENTS, MARKET_SEED, LockStep, everybody
from tests.chaos.report import replayed
from tests.chaos.stack import DECIDING, NATS

pytestmark = [pytest.mark.timeout(400), pytest.mark.no_cover]


async def test_kills_change_nothing_in_lock_step(tmp_path: Path) -> None:
    """The same market with and without kills: the same bars, intents, verdicts, fills, postings and open orders; and in a backtest."""
    calm = LockStep(tmp_path / "calm", 25, seed=1)
    undisturbed = await calm.run()
    assert undisturbed.fills, "a market without a fill proves nothing"
    assert differences_to_backtest(calm.stack.entries, MARKET_SEED, INSTRUMENTS, BEGIN) == []
    stormy = LockStep(tmp_path / "stormy", 25, seed=1, kills=everybody(1, 1))
    disturbed = await stormy.run()
    assert differences(undisturbed, disturbed) == []
    assert sum(stormy.stack.kills.values()) == len(DECIDING) + 1
    reports = [await replayed(stormy.stack, seed) for seed in ("0", "4711")]
    assert [each["mismatch_count"] for each in reports] == [0, 0]
    assert reports[0]["digest"] == reports[1]["digest"]
    assert reports[0]["verified"] > 100
    assert stormy.seconds_to_stop < 10


async def test_the_books_equal_the_venue_after_kills_in_a_running_market(tmp_path: Path) -> None:
    """The market does not wait: every order is seen once, every fill booked once, no position is left uncovered."""
    kills = {"order-executor": 2, "risk-gate": 1, "ledger": 1, "market-feed": 1, "portfolio": 1, NATS: 1}
    run = FreeRun(tmp_path / "free", seed=2, kills=kills, pause_s=1.5, BULKHEAD_SIM_SPEED="20")
    await run.run()
    assert sum(run.stack.kills.values()) == 7
    report = await replayed(run.stack, "1")
    assert report["mismatches"] == []
    assert report["verified"] > 10
