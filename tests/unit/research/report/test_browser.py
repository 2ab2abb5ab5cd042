"""The page in a real browser, where there is one: every chart is drawn, nobody is called, nothing is complained of."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from libs.research.report import write_report
from tests.unit.research.report.samples import HOSTILE, NAME, forty_days

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--window-size=1200,20000",
)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_draws_every_chart_and_runs_nothing_else(tmp_path: Path) -> None:
    """Four charts under the page's own policy, with names in them that are markup; the console stays empty."""
    result = forty_days()
    trips = [
        msgspec.structs.replace(each, reason=HOSTILE, agents=(HOSTILE + str(place % 2),))
        for place, each in enumerate(result.trips.closed)
    ]
    hostile = msgspec.structs.replace(
        result, trips=msgspec.structs.replace(result.trips, closed=tuple(trips)), code_version=HOSTILE
    )
    path = tmp_path / "report.html"
    write_report(hostile, path)
    profile = tmp_path / "profile"
    done = subprocess.run(
        [
            str(CHROMIUM),
            *OPTIONS,
            f"--user-data-dir={profile}",
            "--virtual-time-budget=20000",
            "--enable-logging=stderr",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    drawn = re.findall(r'id="(chart-[a-z0-9-]+)"[^>]*data-drawn="yes"', done.stdout)
    assert drawn == ["chart-equity", "chart-price-0", "chart-sensitivity", "chart-by-agent"]
    assert done.stdout.count('class="main-svg"') >= len(drawn)
    assert NAME in done.stdout
    titles = set(re.findall(r'data-title="([^"]*)"', done.stdout))
    assert "Pan" in titles
    assert [each for each in titles if re.search("share|cloud|edit", each, re.IGNORECASE)] == []
    assert "<img" not in re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    assert 'xlink:href="https' not in done.stdout
