"""One seed, from genesis to the last check."""

from __future__ import annotations

from collections import Counter

from tests.simulation.checkers import Checkers
from tests.simulation.world import Plan, World


def run_seed(seed: int, plan: Plan | None = None) -> Counter[str]:
    """Run one seed; returns how many messages of each type were written.

    Raises:
        Broken: an invariant did not hold.
    """
    world = World(seed, plan)
    checkers = Checkers(world)
    world.start()
    world.run_storm(checkers.after_step)
    world.run_calm(checkers.after_step)
    checkers.at_the_end()
    checkers.counts["starts"] = sum(node.starts for node in world.nodes)
    checkers.counts["restores"] = sum(node.restores for node in world.nodes)
    checkers.counts["steps"] = world.scheduler.steps
    checkers.counts["fills"] = len(world.venue.fills())
    return checkers.counts
