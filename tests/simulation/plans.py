"""What one seed puts the system through: faults that strike at any time, and incidents that begin and end."""

from __future__ import annotations

from random import Random

import msgspec

from libs.runtime.simulated_log import Faults
from tests.simulation.venue_edge import VenueFaults


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`storm_minutes` with these faults and so many incidents, then a calm in which all must settle."""

    storm_minutes: int
    calm_minutes: int
    faults: Faults
    venue_faults: VenueFaults
    incidents: int = 0


HARSH = Plan(
    storm_minutes=45,
    calm_minutes=12,
    faults=Faults(
        append_lost=0.002,
        ack_lost=0.004,
        crash_per_step=0.004,
        snapshot_per_step=0.02,
        snapshot_lost=0.5,
        restart_ms_max=2_000.0,
    ),
    venue_faults=VenueFaults(
        request_lost=0.02,
        request_late=0.15,
        answer_lost=0.08,
        answer_garbled=0.04,
        query_fails=0.05,
        report_repeated=0.3,
        report_lost=0.1,
        stream_drops=0.2,
        deadline_ms=1_000.0,
    ),
    incidents=4,
)
"""Much goes wrong, quickly: this is what finds planted bugs first."""


def plan_of(seed: int) -> Plan:
    """The faults of a seed: some seeds are calm, some lose messages, some crash all the time; every fifth is harsh."""
    if seed % 5 == 0:
        return HARSH
    random = Random(f"plan {seed}")
    harshness = random.choice((0.0, 0.3, 1.0, 1.0, 3.0))
    faults = Faults(
        append_lost=0.001 * harshness,
        ack_lost=0.001 * harshness,
        crash_per_step=0.001 * harshness * random.random(),
        freeze_share=random.random() * 0.5,
        snapshot_per_step=0.02,
        snapshot_lost=random.random(),
        delay_ms_max=random.choice((2.0, 10.0, 100.0)),
        restart_ms_max=random.choice((500.0, 5_000.0, 60_000.0)),
    )
    venue_faults = VenueFaults(
        request_lost=0.03 * harshness * random.random(),
        request_late=0.03 * harshness * random.random(),
        answer_lost=0.05 * harshness * random.random(),
        answer_garbled=0.03 * harshness * random.random(),
        query_fails=0.1 * harshness * random.random(),
        rejects=0.03 * harshness * random.random(),
        report_repeated=0.3 * random.random(),
        report_lost=0.05 * harshness * random.random(),
        stream_drops=0.02 * harshness * random.random(),
        deadline_ms=random.choice((1_000.0, 4_000.0, 10_000.0)),
    )
    return Plan(
        storm_minutes=random.randint(60, 120),
        calm_minutes=12,
        faults=faults,
        venue_faults=venue_faults,
        incidents=random.choice((0, 2, 4, 8)),
    )
