"""How fast a recorded log goes through all machines, beside the floor: decoding the same entries and doing nothing.

    python -m benchmarks.replay_rate [--minutes 240] [--rounds 5]

The log is made by the simulation without faults. Rounds of floor and replay alternate, so that a machine that slows down slows both;
the median of the paired ratios is the figure to quote.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from libs.common.codec import decode_from
from libs.runtime.adapter import LogEntry
from libs.runtime.replay import Part, replay
from libs.runtime.simulated_log import Faults
from tests.simulation.venue_edge import VenueFaults
from tests.simulation.world import Plan, World


def recorded(minutes: int) -> tuple[list[LogEntry], list[Part]]:
    """A log of a calm market, and who wrote it."""
    plan = Plan(storm_minutes=minutes, calm_minutes=1, faults=Faults(), venue_faults=VenueFaults())
    world = World(1, plan)
    world.start()
    world.run_storm(lambda: None)
    parts = [Part(member.contract, member.machine_class, "simulated") for member in world.members]
    return world.log.entries, parts


def timed(work: Callable[[], None]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    entries, parts = recorded(given.minutes)

    def floor() -> None:
        for entry in entries:
            decode_from(entry.subject, entry.payload)

    def proof() -> None:
        report = replay(lambda: entries, parts)
        if not report.is_clean:
            raise SystemExit(f"the log does not replay: {report.mismatches[:3]}")

    rounds = [(timed(floor), timed(proof)) for _ in range(given.rounds)]
    print(
        json.dumps(
            {
                "events": len(entries),
                "decode_only_events_per_cpu_s": round(len(entries) / statistics.median(a for a, _ in rounds)),
                "replay_events_per_cpu_s": round(len(entries) / statistics.median(b for _, b in rounds)),
                "ratio_median": round(statistics.median(a / b for a, b in rounds), 3),
                "machines": len(parts),
            }
        )
    )


if __name__ == "__main__":
    main()
