"""Alerts are counted by their codes in the catalogue, and a trouble is open until its end is told."""

from __future__ import annotations

from libs.common.messages import AlertRaised
from libs.desk.alert_tally import AlertTally


def hear(tally: AlertTally, code: str, severity: str = "ticket") -> None:
    tally.hear(AlertRaised(code=code, severity=severity, text=""))  # type: ignore[arg-type]


def test_a_trouble_is_open_until_its_end_is_told() -> None:
    """FEED_DOWN is over with FEED_RECOVERED, and may come again."""
    tally = AlertTally()
    assert tally.open["FEED_DOWN"] == ""
    hear(tally, "FEED_DOWN", "page")
    assert tally.open["FEED_DOWN"] == "page"
    hear(tally, "FEED_RECOVERED", "note")
    assert tally.open["FEED_DOWN"] == ""
    hear(tally, "FEED_DOWN", "page")
    assert tally.raised["FEED_DOWN", "page"] == 2


def test_an_alert_without_an_end_is_counted_and_never_open() -> None:
    """Nobody would ever close it."""
    tally = AlertTally()
    hear(tally, "DUST")
    assert tally.raised["DUST", "ticket"] == 1
    assert "DUST" not in tally.open


def test_codes_of_strangers_are_few() -> None:
    """What a plug-in or a metric of Prometheus raises counts under one name, however many names it makes up."""
    tally = AlertTally()
    for number in range(1000):
        hear(tally, f"MADE_UP_{number}")
        hear(tally, f"ALERTMANAGER_{number}")
    assert tally.raised["BALANCE_MISMATCH", "ticket"] == 0
    assert dict(+tally.raised) == {("other", "ticket"): 1000, ("ALERTMANAGER_*", "ticket"): 1000}
