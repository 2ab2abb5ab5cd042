"""An agent of the user's on a real bus: tried, started as a process of its own, heard, held to its own prefix, replayed."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from libs.common.messages import AgentSignals, FeedBars, FeedHistory, Message
from libs.runtime.lookahead import clock_of
from libs.runtime.plugin import load_plugin
from libs.runtime.registry import contracts, parts, plug_in, plugged_in
from libs.runtime.rehearsal import rehearsal
from libs.runtime.replay import ReplayReport, replay
from services.cli.admission import admit, recall
from services.cli.place import find_place
from services.cli.stack import PORTS_TAKEN, Ports, StackSettings, service_specs
from services.cli.status import gather
from services.cli.supervisor import Plan, up
from tests.e2e.live_services import PATIENCE_S, Log, Pen, until
from tests.nats_stack import NatsStack, free_block
from tests.plugins import TEMPLATE, WIDE, WIDE_IMPORT, changed, plugin_file

BARS = 12
FOREIGN = (
    "agent.trend.signals",
    "feed.bars",
    "portfolio.intent.BTC-USDT",
    "risk.approved.BTC-USDT",
    "ops.cli.command",
    "exec.report.BTC-USDT",
    "$KV.LEASES.agent.trend",
    "$JS.API.STREAM.PURGE.TRADING_0001",
    "$JS.LOG.API.CONSUMER.RESET.TRADING_0001.agent-trend",
)


@pytest.fixture(autouse=True)
def _no_settings_and_no_agents_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(variable)
    yield
    plug_in()


def honest_market() -> list[Any]:
    """Histories and batches as a feed tells them: of bars that have closed, and of no others."""
    events = [event for event in rehearsal("1m", BARS, 200, 1) if isinstance(event, FeedBars | FeedHistory)]
    clock = clock_of(events)
    return [
        msgspec.structs.replace(event, bars=tuple(bar for bar in event.bars if bar.ts_close <= now))
        for event, now in zip(events, clock, strict=True)
    ]


def expected(events: list[Any]) -> list[AgentSignals]:
    """What the agent says of them here."""
    machine = plugged_in()[0].machine_class(plugged_in()[0].machine_class.Settings())
    said = [machine.handle(event, now) for event, now in zip(events, clock_of(events), strict=True)]
    return [effect.message for effects in said for effect in effects]  # type: ignore[union-attr]


class Upped:
    """A stack that `up` runs in this process: the bus and one agent."""

    def __init__(self, home: Path, file: Path):
        self.settings = StackSettings(home=home, port_base=free_block(PORTS_TAKEN), agents_extra=(str(file),))
        self.said: list[str] = []
        admit(self.settings, dict(os.environ), self.said.append)
        spec = service_specs(self.settings, dict(os.environ))[-1]
        spec = msgspec.structs.replace(spec, env={**spec.env, "BULKHEAD_CLOCK_URL": ""})
        plan = Plan(venue=None, services=(spec,))
        self.screen = io.StringIO()
        self.task = asyncio.create_task(up(self.settings, plan=plan, out=Console(file=self.screen, width=300)))
        self.nats = NatsStack(home)
        self.nats.url = Ports(self.settings.port_base).nats_url

    async def ready(self) -> Any:
        """What `bulkhead status` says, once the agent lives."""
        found: list[Any] = []

        async def lives() -> bool:
            assert not self.task.done(), self.screen.getvalue()
            if not (self.settings.home / "stack.json").exists():
                return False
            found.append(await gather(find_place(self.settings.home)))
            line = found[-1].services["agent-breakout"]
            return line.ready and line.starts > 0  # its start is read from the log, a moment earlier

        await until(lives)
        return found[-1]

    async def stopped(self) -> int:
        """Stop it as a person does."""
        os.kill(os.getpid(), signal.SIGTERM)
        return await asyncio.wait_for(self.task, PATIENCE_S)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Upped]:
    """The template, admitted and up."""
    stack = Upped(tmp_path / "home", plugin_file(tmp_path, TEMPLATE.read_text()))
    yield stack
    if not stack.task.done():
        stack.task.cancel()
        await asyncio.gather(stack.task, return_exceptions=True)


async def proved(log: Log) -> ReplayReport:
    entries = await log.read()
    return replay(lambda: entries, parts())


async def test_an_agent_of_the_users_is_tried_runs_is_heard_and_is_replayed(stack: Upped, tmp_path: Path) -> None:
    """From its file to its signals in the log, which are those its machine gives, byte for byte; other code proves nothing of it."""
    assert "does not look ahead" in stack.said[1]
    assert stack.said[2] == "the portfolio does not hear breakout; BULKHEAD_PORTFOLIO_AGENTS=trend,breakout lets it"
    line = (await stack.ready()).services["agent-breakout"]
    assert (line.starts, line.phase, line.code_version) == (1, "live", plugged_in()[0].version)
    assert line.pid > 0
    feed, log = await Pen.of(stack.nats, "market-feed"), await Log.of(stack.nats)
    events: list[Message] = honest_market()
    for event in events:
        await feed.say(event)
    wanted = expected(events)
    found = await log.until("agent.breakout.signals", len(wanted))
    assert [each.signals for each in found] == [each.signals for each in wanted]
    assert len(found) == BARS
    assert any(signal.ready for each in found for signal in each.signals)

    guest = await stack.nats.connect("agent-breakout")
    assert await guest.refused(*FOREIGN) == set(FOREIGN)
    assert await stack.stopped() == 0

    said = [entry for entry in log.entries if entry.subject == "agent.breakout.signals"]
    assert recall(stack.settings.home, ()) == []
    report = replay(lambda: log.entries, parts())
    assert (report.is_clean, report.verified, report.other_code) == (True, len(said), 0)
    other = plugin_file(tmp_path, changed(("channel_bars: int = 20", "channel_bars: int = 21")), "other.py")
    recall(stack.settings.home, (str(other),))
    report = replay(lambda: log.entries, parts())
    assert (report.is_clean, report.verified, report.other_code) == (True, 0, len(said))


async def test_an_agent_that_says_more_than_it_may_ends_before_it_is_said(tmp_path: Path) -> None:
    """One that slipped past every check: its command to resume never stands in the log, its process ends at its own shell."""
    path = plugin_file(tmp_path, changed(WIDE, WIDE_IMPORT))
    plug_in(load_plugin(str(path)))
    nats = NatsStack(tmp_path / "home", contracts())
    await nats.start()
    env = {**os.environ, "BULKHEAD_HOME": str(nats.home), "BULKHEAD_NATS_URL": nats.url}
    command = [sys.executable, "-m", "libs.runtime.plugin_process", str(path)]
    with (tmp_path / "agent.log").open("wb") as words:
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=words, stderr=words)
    try:
        log = await Log.of(nats)
        await log.until("agent.breakout.started")
        feed = await Pen.of(nats, "market-feed")
        for event in honest_market():
            await feed.say(event)
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) not in (0, 78)
        subjects = {entry.subject for entry in await log.read() if not entry.subject.startswith("feed.")}
        assert subjects == {"agent.breakout.started"}
        assert "OperatorCommanded cannot be said by 'agent.breakout'" in (tmp_path / "agent.log").read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await nats.stop()


async def test_a_file_that_may_not_run_is_not_run_by_hand_either(tmp_path: Path) -> None:
    """The process judges for itself, and says why in its last words."""
    path = plugin_file(tmp_path, "import os\nAGENT_ID = 'breakout'\n")
    command = [sys.executable, "-m", "libs.runtime.plugin_process", str(path)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, words = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 78
    assert b"line 1: imports os" in words
