"""State: every machine can be killed at any event of a log, and goes on from its snapshot as if nothing had happened."""

from __future__ import annotations

from functools import cache

import pytest

from libs.common.messages import Message, ServiceStarted
from libs.common.subjects import subject_matches, subject_of
from libs.runtime.core import Core, Output, settings_of
from libs.runtime.registry import parts
from libs.runtime.replay import Part
from tests.recorded_log import messages_of, recorded_log

SERVICES = ("agent-trend", "portfolio", "risk-gate", "order-executor", "ledger", "notifier")
"""Every machine that hears others in the recorded market."""


@cache
def log() -> list[tuple[int, Message]]:
    """A calm market, as the machines lived through it."""
    return messages_of(recorded_log())


@cache
def part_of(service: str) -> Part:
    return next(part for part in parts() if part.contract.service == service)


def heard_by(part: Part) -> list[tuple[int, Message]]:
    """What its consumer would give it, in order."""
    filters = part.contract.filters
    return [(seq, said) for seq, said in log() if any(subject_matches(each, subject_of(said)) for each in filters)]


def born(part: Part) -> Core:
    """A core that knows nothing yet, set as at its first start in the log."""
    starts = (said for _, said in log() if isinstance(said, ServiceStarted) and said.producer == part.contract.writer)
    return Core(part.contract.writer, part.machine_class, settings_of(part.machine_class, next(starts)))


def lived(part: Part, *, killed_every: int = 0) -> tuple[list[Message], str]:
    """Everything it said, and the digest of what it remembers in the end."""
    core, said = born(part), []
    for place, (seq, message) in enumerate(heard_by(part)):
        if killed_every and place % killed_every == 0:
            frozen, core = core.snapshot(), born(part)
            core.restore(frozen)
        said += [each.message for each in core.step(seq, message) if isinstance(each, Output)]
    return said, core.digest()


@pytest.mark.parametrize("service", SERVICES)
def test_a_machine_goes_on_from_its_snapshot(service: str) -> None:
    """Killed at every third event or never: it says the same, word for word, and remembers the same."""
    part = part_of(service)
    unbroken = lived(part)
    assert lived(part, killed_every=3) == unbroken
    assert unbroken[0], "a machine that says nothing proves nothing"


def test_what_it_remembers_matters() -> None:
    """A machine that loses its memory on the way says something else: the test above can fail."""
    gate = part_of("risk-gate")
    core, said = born(gate), []
    for place, (seq, message) in enumerate(heard_by(gate)):
        if place % 10 == 0:
            core = born(gate)
        said += [each.message for each in core.step(seq, message) if isinstance(each, Output)]
    assert said != lived(gate)[0]
