"""A log as real machines wrote it: one seeded simulation without faults, entries as they stood in its log."""

from __future__ import annotations

from functools import cache

import msgspec

from libs.common.codec import decode_from, encode
from libs.common.messages import Message, ServiceStarted
from libs.runtime.adapter import LogEntry
from libs.runtime.registry import parts
from libs.runtime.simulated_log import Faults
from tests.simulation.venue_edge import VenueFaults
from tests.simulation.world import Plan, World

CALM = Plan(storm_minutes=8, calm_minutes=1, faults=Faults(), venue_faults=VenueFaults())


@cache
def recorded_log(seed: int = 3, plan: Plan = CALM) -> tuple[LogEntry, ...]:
    """The entries of one seed's log. What it says of its code is what is at hand, so that a replay compares it."""
    world = World(seed, plan)
    world.start()
    world.run_storm(lambda: None)
    world.run_calm(lambda: None)
    versions = {part.contract.writer: part.code_version for part in parts()}
    return tuple(_written_by(versions, entry) for entry in world.log.entries)


def _written_by(versions: dict[str, str], entry: LogEntry) -> LogEntry:
    message = message_of(entry)
    if not isinstance(message, ServiceStarted):
        return entry
    started = msgspec.structs.replace(message, code_version=versions[message.producer])
    return LogEntry(entry.seq, entry.subject, encode(started))


def message_of(entry: LogEntry) -> Message:
    """The event in an entry."""
    return decode_from(entry.subject, entry.payload)


def messages_of(entries: tuple[LogEntry, ...]) -> list[tuple[int, Message]]:
    """Every event with its seq."""
    return [(entry.seq, message_of(entry)) for entry in entries]
