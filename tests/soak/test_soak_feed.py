"""The short form of `make soak-feed`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.feed import Soak

pytestmark = [pytest.mark.timeout(120), pytest.mark.no_cover]


async def test_bad_weather_leaves_nothing_behind(tmp_path: Path) -> None:
    """Venues and ways flap for a while: every minute once, as its venue has it, and nothing has grown."""
    soak = Soak(tmp_path, seconds=16.0, seed=3)
    await soak.run()
    report = soak.report()
    assert soak.faults == [], report
    assert soak.held, report
    assert len({(each.venue, each.via) for each in soak.heard.statuses}) > 1, report
