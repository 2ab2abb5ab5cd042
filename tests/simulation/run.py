"""One seed, from genesis to the last check."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from unittest import mock

from libs.common.codec import decode_from
from libs.common.timeframe import MILLISECOND
from libs.runtime import engine
from tests.simulation.checkers import Checkers
from tests.simulation.plans import Plan
from tests.simulation.world import World

DECODED_KEPT = 20_000
"""Seven services and their restarts read the same entries over and over; the replay at the end decodes each one anew."""


def run_seed(seed: int, plan: Plan | None = None) -> Counter[str]:
    """Run one seed; returns how many messages of each type were written.

    Raises:
        Broken: an invariant did not hold.
    """
    with mock.patch.object(engine, "decode_from", lru_cache(DECODED_KEPT)(decode_from)):
        return run_world(World(seed, plan))


def run_world(world: World) -> Counter[str]:
    """Run this world to its end; counts as `run_seed`.

    Raises:
        Broken: an invariant did not hold.
    """
    checkers = Checkers(world)
    world.start()
    world.run_storm(checkers.after_step)
    world.run_calm(checkers.after_step)
    checkers.at_the_end()
    checkers.counts["starts"] = sum(node.starts for node in world.nodes)
    checkers.counts["restores"] = sum(node.restores for node in world.nodes)
    checkers.counts["steps"] = world.scheduler.steps
    checkers.counts["fills"] = len(world.venue.fills())
    checkers.counts["incidents"] = world.incidents.happened.total()
    checkers.counts.update({f"incident {kind}": times for kind, times in world.incidents.happened.items()})
    checkers.counts["hands"] = len(world.incidents.hands)
    checkers.counts["uncovered_ms"] = checkers.cover.longest // MILLISECOND
    return checkers.counts
