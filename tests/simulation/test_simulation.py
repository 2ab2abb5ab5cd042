"""A short form of `make sim`, and the proof that its checkers bite.

Six seeds hold every way of listening to the model, both ways of moving a stop, trailing and not, and a harsh plan; the long form is
`make sim SEEDS=300`.
"""

from __future__ import annotations

import pytest

from libs.common.codec import decode_from
from libs.common.messages import AlertRaised
from libs.trading import drift
from services.cli.baseline import watch_of
from tests.simulation.bugs import BUGS, planted
from tests.simulation.checkers import Broken
from tests.simulation.plans import HARSH
from tests.simulation.run import run_seed, run_world
from tests.simulation.world import World

pytestmark = pytest.mark.no_cover  # tracing every line makes it four times slower; what it runs is covered elsewhere

SEEDS = range(1, 7)
SEEDS_TO_FIND_A_BUG = range(3, 9)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_breaks_under_this_seed(seed: int) -> None:
    """Crashes, lost messages and unknown outcomes: money, orders, books and the replay hold after every step."""
    counts = run_seed(seed)
    assert counts["OrderApproved"] > 0, "a seed that trades nothing proves nothing"
    assert counts["verified"] > 300


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_a_planted_bug_is_found(bug: str) -> None:
    """A bug of the kind that peers have shipped does not survive a few seeds."""
    found = any(breaks(seed, bug) for seed in SEEDS_TO_FIND_A_BUG)
    assert found, f"{bug} survived {len(SEEDS_TO_FIND_A_BUG)} seeds"


@pytest.mark.parametrize("seed", SEEDS_TO_FIND_A_BUG)
def test_without_a_bug_the_harsh_plan_holds(seed: int) -> None:
    """What finds the planted bugs finds nothing where none is planted."""
    assert not breaks(seed, None)


def breaks(seed: int, bug: str | None) -> bool:
    """Whether this seed under the harsh plan ends in a broken invariant, or in a machine that notices by itself."""
    with planted(bug):
        try:
            run_seed(seed, HARSH)
        except (Broken, RuntimeError):
            return True
    return False


def test_a_seed_is_a_bug_report() -> None:
    """The same seed gives the same run, message for message."""
    assert run_seed(10) == run_seed(10)


def test_a_regression_watch_survives_the_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at after every fourth sample, it alarms once a metric through crashes and restores, and whoever reads the log comes to the same."""
    world = World(8, HARSH)
    monkeypatch.setattr(drift, "LOOK_EVERY", 4)
    counts, watch = run_world(world), watch_of(world.log.entries)
    assert counts["restores"] > 5
    assert watch is not None
    worse = {f"DRIFT_{name.upper()}" for name, each in watch.metrics.items() if each.state == "WORSE"}
    assert "DRIFT_SLIPPAGE" in worse
    alerts = [decode_from(each.subject, each.payload) for each in world.log.entries if each.subject == "ledger.alert"]
    told = [each.code for each in alerts if isinstance(each, AlertRaised) and each.code.startswith("DRIFT_")]
    assert sorted(told) == sorted(worse)
