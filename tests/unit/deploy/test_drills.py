"""No alert is left out of `make drills` without a word of why."""

from __future__ import annotations

from tests.drills import DONE, NOT_DRILLED, WAVES
from tests.unit.deploy.contract import SAMPLES
from tests.unit.deploy.test_alert_rules import ALERTS


def test_every_alert_is_drilled_or_it_is_said_why_not() -> None:
    """An alert whose way to people was never walked may end anywhere."""
    drilled = {each.words[1] for each in DONE} | {alert for wave in WAVES for alert in wave.sick}
    assert sorted({rule.alert for rule in ALERTS} - drilled - set(NOT_DRILLED)) == []
    assert sorted((drilled | set(NOT_DRILLED)) - {rule.alert for rule in ALERTS}) == []
    assert not drilled & set(NOT_DRILLED)


def test_what_is_played_are_metrics_that_there_are() -> None:
    """What nobody exports proves nothing about who does."""
    lines = [line for wave in WAVES for text in wave.sick.values() for line in text.splitlines()]
    names = {line.partition("{")[0].partition(" ")[0] for line in lines}
    assert sorted(names - set(SAMPLES) - {"process_start_time_seconds"}) == []
