"""One trade is found in three places: as one trace, in every service's log, and behind the point of a histogram."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from typer.testing import CliRunner

from libs.common.messages import ExecutionReport, Message
from libs.runtime.tracing import span_id_of, trace_id_of
from services.cli.app import app
from services.cli.child import die_with_parent
from services.cli.place import find_place
from services.cli.stack import RUNNING
from tests.e2e.stack_stand import Stack
from tests.nats_stack import free_block
from tests.otlp_receiver import OtlpReceiver, Taken

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
PROMETHEUS = shutil.which("prometheus")
PROMETHEUS_OLDEST = (2, 26)
"""The first that keeps exemplars."""
COURSE = (
    "publish FeedBars",
    "publish AgentSignals",
    "publish OrderIntent",
    "publish OrderApproved",
    "publish ExecutionReport",
)
"""What a trade goes through; each of them follows from the one before."""


class Found:
    """A stack that has traded, and the story of its first fill."""

    def __init__(self, stack: Stack, receiver: OtlpReceiver, told: list[Message], pages: dict[str, str]):
        fill = next(each for each in told if isinstance(each, ExecutionReport) and each.exec_type == "TRADE")
        self.stack = stack
        self.receiver = receiver
        self.pages = pages
        self.fill = fill
        self.correlation_id = fill.correlation_id
        self.trace_id = trace_id_of(fill.correlation_id)
        self.story = [each for each in told if (each.correlation_id or each.id) == fill.correlation_id]

    @property
    def spans(self) -> dict[str, Taken]:
        """The trace, as far as it has arrived."""
        return self.receiver.trace(self.trace_id)

    def lines(self) -> list[dict[str, Any]]:
        """Every line of every service's log."""
        found = []
        for path in sorted((self.stack.settings.home / "logs").glob("*.log*")):
            for line in path.read_text().splitlines():
                with suppress(json.JSONDecodeError):  # nats-server speaks its own way
                    found.append(json.loads(line))
        return [each for each in found if isinstance(each, dict)]


async def pages_of(stack: Stack) -> dict[str, str]:
    """What every service counts, as OpenMetrics."""
    pages = {}
    async with aiohttp.ClientSession() as http:
        for name, url in find_place(stack.settings.home).services.items():
            async with http.get(f"{url}/metrics", headers=OPENMETRICS) as answer:
                pages[name] = await answer.text()
    return pages


@pytest.fixture
async def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Found]:
    """A whole stack whose traces are received here, once people have been told of its first fill."""
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)
    receiver = OtlpReceiver()
    await receiver.start()
    monkeypatch.setenv("BULKHEAD_OTLP_ENDPOINT", receiver.endpoint)
    stack = Stack(tmp_path / "home", RUNNING)
    try:
        await stack.until(lambda: stack.shows("FILL ENTRY"), 120)
        await stack.until(lambda: stack.shows("NEW STOP"), 60)
        pages = await pages_of(stack)
        story = Found(stack, receiver, await stack.told(), pages)
        await receiver.until(lambda: "notifier" in {span.service for span in story.spans.values()}, 30)
        await asyncio.sleep(3)  # what is said about it afterwards, and sent once a second
        yield Found(stack, receiver, await stack.told(), pages)
    finally:
        await stack.abandon()
        await receiver.stop()


def climbed(receiver: OtlpReceiver, span: Taken) -> list[Taken]:
    """From a span to the one that nothing came before, by parents, and by links where another story came in between."""
    everything = {(each.trace_id, each.span_id): each for each in receiver.taken}
    way = [span]
    while True:
        above = [(span.trace_id, span.parent)] if span.parent else list(span.links)
        if not above or above[0] not in everything:
            return way
        span = everything[above[0]]
        way.append(span)


async def test_a_trade_is_one_trace_from_the_bar_to_the_message(found: Found) -> None:
    """Every event of the story is a span of one trace, below what it answers to; a decision that a later price set off is linked to that price instead."""
    spans, told = found.spans, found.story
    bar = told[0]
    assert bar.id == found.correlation_id
    assert {span_id_of(each.id) for each in told if each.ts_init <= found.fill.ts_init} <= set(spans)
    names = {span.name for span in spans.values()}
    assert {*COURSE, "publish JournalPosted", "publish MessageSent"} <= names
    for span in spans.values():
        is_begun = span.span_id == span_id_of(bar.id)
        assert is_begun or span.parent in spans or span.links, f"{span.service}: {span.name} hangs nowhere"
        assert all(trace_id != found.trace_id for trace_id, _ in span.links)
    wanted = ["publish MessageSent", "publish ExecutionReport", "publish OrderApproved", "publish OrderIntent"]
    ways = [climbed(found.receiver, span) for span in spans.values() if span.name == "publish MessageSent"]
    courses = [[span.name for span in way if span.name in wanted] for way in ways]
    assert wanted in courses, "the message about the fill; there may be one about a denial, too"
    speakers = {"market-feed", "agent-trend", "portfolio", "risk-gate", "order-executor", "ledger", "notifier"}
    assert speakers <= {span.service for span in spans.values()}


async def test_every_log_names_the_trade_alike(found: Found) -> None:
    """A line about a story carries its correlation id and its trace id, in every service that speaks of it."""
    lines = found.lines()
    ours = [line for line in lines if line.get("correlation_id") == found.correlation_id]
    assert {line["trace_id"] for line in ours} == {found.trace_id}
    speakers = {"agent-trend", "portfolio", "risk-gate", "order-executor", "ledger", "notifier"}
    assert speakers <= {line["service"] for line in ours}
    assert all(
        line["correlation_id"] == found.correlation_id for line in lines if line.get("trace_id") == found.trace_id
    )
    assert all("trace_id" in line for line in lines if "correlation_id" in line)


async def test_a_histogram_leads_to_the_trade(found: Found) -> None:
    """What an order took names the trade that took it; appends and decisions name traces that there are."""
    exemplars = {name: exemplars_in(page) for name, page in found.pages.items()}
    assert found.trace_id in exemplars["order-executor"]["bulkhead_exec_submit_seconds"]
    traces = {span.trace_id for span in found.receiver.taken}
    for service in ("risk-gate", "order-executor", "portfolio", "ledger"):
        for histogram in ("bulkhead_handle_seconds", "bulkhead_append_seconds"):
            assert exemplars[service][histogram], f"{service}: {histogram}"
            assert exemplars[service][histogram] <= traces


def exemplars_in(page: str) -> dict[str, set[str]]:
    """The traces that the buckets of each histogram are examples of."""
    seen: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.exemplar is not None:
                seen.setdefault(family.name, set()).add(sample.exemplar.labels["trace_id"])
    return seen


def too_old() -> str:
    """Why no Prometheus here keeps exemplars; "": one does."""
    if PROMETHEUS is None:
        return "prometheus is not installed here"
    done = subprocess.run([PROMETHEUS, "--version"], capture_output=True, text=True, check=False)
    words = (done.stdout + done.stderr).partition("version ")[2].split(".")
    version = tuple(int(each) for each in words[:2] if each.isdigit())
    return "" if version >= PROMETHEUS_OLDEST else f"this prometheus is {version}, and keeps no exemplars"


@pytest.mark.skipif(bool(too_old()), reason=too_old() or "it is new enough")
async def test_prometheus_keeps_the_way_to_the_trade(found: Found, tmp_path: Path) -> None:
    """As `bulkhead monitoring` configures and starts it: an order's time is stored with a trace in which an order was sent."""
    listens = f"127.0.0.1:{free_block(1)}"
    words = ["--home", str(found.stack.settings.home), "monitoring", "--to", str(tmp_path / "m")]
    invoked = CliRunner().invoke(app, [*words, "--prometheus", listens, "--json"])
    command = shlex.split(json.loads(invoked.stdout)["commands"][0])
    assert "--enable-feature=exemplar-storage" in command
    with (tmp_path / "prometheus.log").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            str(PROMETHEUS), *command[1:], stdout=out, stderr=out, preexec_fn=die_with_parent(os.getpid())
        )
    try:
        kept = await asyncio.wait_for(exemplars_kept(listens, "bulkhead_exec_submit_seconds_bucket"), 60)
    finally:
        process.terminate()
        await process.wait()
    with_orders = {span.trace_id for span in found.receiver.taken if span.name == "publish OrderSubmitting"}
    assert kept & with_orders


async def exemplars_kept(address: str, metric: str) -> set[str]:
    """The traces that Prometheus has stored with a metric, once there are any."""
    url = f"http://{address}/api/v1/query_exemplars"
    async with aiohttp.ClientSession() as http:
        while True:
            asked = {"query": metric, "start": str(time.time() - 600), "end": str(time.time() + 600)}
            with suppress(aiohttp.ClientError):
                async with http.post(url, data=asked) as answer:
                    found = await answer.json()
                if kept := {each["labels"]["trace_id"] for row in found["data"] for each in row["exemplars"]}:
                    return kept
            await asyncio.sleep(0.5)
