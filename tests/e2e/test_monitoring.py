"""A running stack, watched as in production: its metrics are those that are declared, every panel shows something, and a feed that stops is heard of."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from libs.common.messages import AlertRaised
from libs.common.metrics import CATALOGUE
from services.cli.monitoring.boards import BOARDS
from tests.monitored import Watched, missing, monitored
from tests.unit.deploy.contract import SAMPLES

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "nothing is missing")
HEARD_S_MAX = 60
"""From the stop to the message that people read."""


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)


async def undeclared(watched: Watched) -> list[str]:
    """What the stack says and nobody declared: metrics, labels, values of labels, speakers."""
    found = set()
    for each in await watched.query('{__name__=~"bulkhead_.+",job="bulkhead"}'):
        labels = {name: value for name, value in each["metric"].items() if name not in ("job", "instance", "le")}
        name = labels.pop("__name__")
        declared = SAMPLES.get(name)
        if declared is None:
            found.add(f"nobody has declared {name}")
            continue
        closed = {label.name: label.values for label in declared.labels if label.values}
        if set(labels) - set(declared.label_names):
            found.add(f"{name} has the labels {sorted(labels)}")
        found |= {f"{name} has {label}={labels[label]}" for label in closed if labels.get(label) not in closed[label]}
        if not declared.by[0].startswith("every") and each["metric"]["instance"] not in declared.by:
            found.add(f"{name} is said by {each['metric']['instance']}")
    return sorted(found)


async def silent_panels(watched: Watched) -> list[str]:
    """The panels with a query that has no answer, but for those that are empty while all is well."""
    return [
        f"{board.file}: {panel.title}: {query.expr}"
        for board in BOARDS
        for panel in board.panels
        if not panel.empty_is_good
        for query in panel.queries
        if not await watched.query(query.expr)
    ]


async def none_silent(watched: Watched) -> bool:
    return not await silent_panels(watched)


@pytest.mark.timeout(400)
async def test_a_stack_is_seen_by_prometheus_and_heard_of_when_its_feed_stops(tmp_path: Path) -> None:
    """Nothing is exported that is not declared, no panel is empty that should not be, no alert fires while all is well; then the feed is
    ended as often as it is started: within a minute people read of it on Telegram, and once more when it is over. Meanwhile the outside hears that somebody watches."""
    async with monitored(tmp_path) as watched:
        await watched.stack.until(lambda: watched.stack.shows("FILL ENTRY"), 90)
        with suppress(TimeoutError):
            await watched.comes(lambda: none_silent(watched))  # rates need some scrapes
        assert await silent_panels(watched) == []
        for course in ("bulkhead:model_failed:ratio_increase1h", "bulkhead_model_judgements_total > 0"):
            await watched.answers(course, 90)  # a model is asked here
        assert await undeclared(watched) == []
        said = {each["metric"]["__name__"] for each in await watched.query('{__name__=~"bulkhead_.+",job="bulkhead"}')}
        assert len({SAMPLES[name].name for name in said}) > len(CATALOGUE) * 0.7
        firing = await watched.query('ALERTS{alertstate="firing",alertname!="Watchdog"}')
        assert [each["metric"]["alertname"] for each in firing] == []

        began = time.monotonic()
        async with watched.kept_down("market-feed"):
            text = await watched.reads("PAGE", seconds=HEARD_S_MAX)
            heard_s = time.monotonic() - began
        print(f"heard after {heard_s:.1f} s: {text}")
        assert any(name in text for name in ("ServiceDown", "PricesGone"))
        assert "docs/runbooks/" in text
        await watched.reads("OVER", seconds=150)
        await watched.switch.heard(1)
        codes = {each.code for each in await watched.stack.told() if isinstance(each, AlertRaised)}
        assert codes & {"ALERTMANAGER_SERVICEDOWN", "ALERTMANAGER_PRICESGONE"}, "the gateway's webhook has recorded it"
