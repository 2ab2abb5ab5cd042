"""One trade is found in three places: as one trace, in every service's log, and behind the point of a histogram."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
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

pytestmark = pytest.mark.timeout(700)
FILL_S_MAX = 240
"""A machine with other work to do takes longer than the first minute."""
SPANS_S = 3
"""Spans are sent once a second."""
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


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What could be seen of a stack's first fill: the events of its story, all spans, every log line, each service's metrics, and the traces that
    Prometheus has kept with the time of an order (none, where there is no Prometheus that could)."""

    fill: ExecutionReport
    story: list[Message]
    spans: list[Taken]
    lines: list[dict[str, Any]]
    pages: dict[str, str]
    kept: set[str]

    @property
    def correlation_id(self) -> str:
        """The story."""
        return self.fill.correlation_id

    @property
    def trace_id(self) -> str:
        """Its trace."""
        return trace_id_of(self.correlation_id)

    @property
    def trace(self) -> dict[str, Taken]:
        """The spans of that trace, by their ids."""
        return {span.span_id: span for span in self.spans if span.trace_id == self.trace_id}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A whole stack is brought up once, and watched until people have been told of its first fill."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
            patch.delenv(variable)
        return asyncio.run(first_fill(tmp_path_factory.mktemp("one-trade"), patch))


async def first_fill(folder: Path, patch: pytest.MonkeyPatch) -> Found:
    """Bring it up, look, and take it down."""
    receiver = OtlpReceiver()
    await receiver.start()
    patch.setenv("BULKHEAD_OTLP_ENDPOINT", receiver.endpoint)
    patch.setenv(
        "BULKHEAD_SIM_SPEED", "5"
    )  # what ages is venue time: a busy machine would trade nothing at twenty times its own
    stack = Stack(folder / "home", RUNNING)
    try:
        await stack.until(lambda: stack.shows("FILL ENTRY"), FILL_S_MAX)
        await stack.until(lambda: stack.shows("NEW STOP"), 60)
        pages = await pages_of(stack)
        told = await stack.told()
        fill = next(each for each in told if isinstance(each, ExecutionReport) and each.exec_type == "TRADE")
        kept = set() if too_old() else await kept_by_prometheus(stack, folder)
        await receiver.until(lambda: messages_about_fills(receiver, trace_id_of(fill.correlation_id)), 60)
        await asyncio.sleep(SPANS_S)
        story = [each for each in await stack.told() if (each.correlation_id or each.id) == fill.correlation_id]
        return Found(fill=fill, story=story, spans=receiver.taken, lines=lines_of(stack), pages=pages, kept=kept)
    finally:
        await stack.abandon()
        await receiver.stop()


def messages_about_fills(receiver: OtlpReceiver, trace_id: str) -> list[list[str]]:
    """The courses by which messages to people have come from reports of the venue, as far as their spans have arrived."""
    wanted = ["publish MessageSent", *reversed(COURSE[2:])]
    messages = [span for span in receiver.trace(trace_id).values() if span.name == wanted[0]]
    courses = [[span.name for span in climbed(receiver.taken, each) if span.name in wanted] for each in messages]
    return [course for course in courses if course == wanted]


def climbed(spans: list[Taken], span: Taken) -> list[Taken]:
    """From a span to the one that nothing came before, by parents, and by links where another story came in between."""
    everything = {(each.trace_id, each.span_id): each for each in spans}
    way = [span]
    while True:
        above = [(span.trace_id, span.parent)] if span.parent else list(span.links)
        if not above or above[0] not in everything:
            return way
        span = everything[above[0]]
        way.append(span)


def lines_of(stack: Stack) -> list[dict[str, Any]]:
    """Every line of every service's log."""
    found = []
    for path in sorted((stack.settings.home / "logs").glob("*.log*")):
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


def test_a_trade_is_one_trace_from_the_bar_to_the_message(found: Found) -> None:
    """Every event of the story is a span of one trace, below what it answers to; a decision that a later price set off is linked to that price instead."""
    trace, bar = found.trace, found.story[0]
    assert bar.id == found.correlation_id
    assert {span_id_of(each.id) for each in found.story if each.ts_init <= found.fill.ts_init} <= set(trace)
    names = {span.name for span in trace.values()}
    assert {*COURSE, "publish JournalPosted", "publish MessageSent"} <= names
    for span in trace.values():
        is_begun = span.span_id == span_id_of(bar.id)
        assert is_begun or span.parent in trace or span.links, f"{span.service}: {span.name} hangs nowhere"
        assert all(trace_id != found.trace_id for trace_id, _ in span.links)
    speakers = {"market-feed", "agent-trend", "portfolio", "risk-gate", "order-executor", "ledger", "notifier"}
    assert speakers <= {span.service for span in trace.values()}


def test_the_message_leads_back_to_the_wish(found: Found) -> None:
    """From what people were told one climbs to the venue's report, the approval and the intent, and from the opinion to the bar."""
    wanted = ["publish MessageSent", *reversed(COURSE[2:])]
    told = [span for span in found.trace.values() if span.name == "publish MessageSent"]
    courses = [[span.name for span in climbed(found.spans, each) if span.name in wanted] for each in told]
    assert wanted in courses, "the message about the fill; there may be one about a denial, too"
    (opinion,) = [span for span in found.trace.values() if span.name == "publish AgentSignals"]
    assert [span.name for span in climbed(found.spans, opinion)] == [
        "publish AgentSignals",
        "process FeedBars",
        "publish FeedBars",
    ]


def test_every_log_names_the_trade_alike(found: Found) -> None:
    """A line about a story carries its correlation id and its trace id, in every service that speaks of it."""
    ours = [line for line in found.lines if line.get("correlation_id") == found.correlation_id]
    assert {line["trace_id"] for line in ours} == {found.trace_id}
    speakers = {"agent-trend", "portfolio", "risk-gate", "order-executor", "ledger", "notifier"}
    assert speakers <= {line["service"] for line in ours}
    told_of_stories = [line for line in found.lines if "correlation_id" in line]
    assert all(line["trace_id"] == trace_id_of(line["correlation_id"]) for line in told_of_stories)
    assert all("correlation_id" in line for line in found.lines if "trace_id" in line)


def test_a_histogram_leads_to_the_trade(found: Found) -> None:
    """What an order took names the trade that took it; appends and decisions name traces that there are."""
    exemplars = {name: exemplars_in(page) for name, page in found.pages.items()}
    assert found.trace_id in exemplars["order-executor"]["bulkhead_exec_submit_seconds"]
    traces = {span.trace_id for span in found.spans}
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
def test_prometheus_keeps_the_way_to_the_trade(found: Found) -> None:
    """As `bulkhead monitoring` configures and starts it: an order's time is stored with a trace in which an order was sent."""
    assert found.kept & {span.trace_id for span in found.spans if span.name == "publish OrderSubmitting"}


async def kept_by_prometheus(stack: Stack, folder: Path) -> set[str]:
    """The traces that a Prometheus, as `bulkhead monitoring` wants it, keeps with the time of an order."""
    listens = f"127.0.0.1:{free_block(1)}"
    words = ["--home", str(stack.settings.home), "monitoring", "--to", str(folder / "monitoring")]
    invoked = CliRunner().invoke(app, [*words, "--prometheus", listens, "--json"])
    command = shlex.split(json.loads(invoked.stdout)["commands"][0])
    with (folder / "prometheus.log").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            str(PROMETHEUS), *command[1:], stdout=out, stderr=out, preexec_fn=die_with_parent(os.getpid())
        )
    try:
        return await asyncio.wait_for(_kept(listens, "bulkhead_exec_submit_seconds_bucket"), 90)
    finally:
        process.terminate()
        await process.wait()


async def _kept(address: str, metric: str) -> set[str]:
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
