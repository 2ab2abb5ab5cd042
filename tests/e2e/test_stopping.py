"""The end of a service that is told to stop: its machine hears it, acts, and is heard, within ten seconds whatever the bus does."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from libs.common.messages import AlertRaised
from libs.runtime import live
from tests.e2e.live_services import Life, Log, Pen, until
from tests.e2e.toy_process import start_toy
from tests.e2e.toy_services import LEAVER, TOYS, World, mark
from tests.nats_stack import NatsStack

STOP_S_MAX = 10.0


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """A nats-server for the toys alone."""
    stack = NatsStack(tmp_path / "home", TOYS)
    await stack.start()
    try:
        yield stack
    finally:
        stack.process.send_signal(signal.SIGCONT)
        await stack.stop()


def said_by(stack: NatsStack, event: str) -> bool:
    """Whether the process has logged this."""
    return f'"event":"{event}"' in (stack.home / "local.log").read_text().replace(" ", "")


async def test_a_machine_takes_its_leave_and_the_log_proves_it(stack: NatsStack) -> None:
    """Two lives, each with a last word, a last request and its answer; a third goes on from the snapshot of the second."""
    log, pen = await Log.of(stack), await Pen.of(stack, "market-feed")
    for number in (1, 2):
        life = await Life(stack, LEAVER).live()
        await life.done(await pen.say(mark(number)))
        assert await life.stop() is None
        assert life.shell._engine.is_quiescent
    assert [each.text for each in await log.said("notify.notice")] == ["1", "leaving", "left", "2", "leaving", "left"]
    assert len(await log.said("notify.stopping")) == 2
    assert "RequestInterrupted" not in set(life.state.ends.values())
    third = await Life(stack, LEAVER).live()
    assert third.state.ends == life.state.ends
    assert await log.said("notify.interrupted") == []
    assert await third.stop() is None
    report = await log.proof([LEAVER])
    assert (report.mismatches, report.unpublished) == ([], 0)


async def test_what_is_under_way_when_the_word_comes_is_finished(stack: NatsStack) -> None:
    """A request that is out and an input that is only now in the log belong to this life, if the world answers in time."""
    log, pen = await Log.of(stack), await Pen.of(stack, "market-feed")
    worlds: list[World] = []

    def world(settings: object) -> World:
        worlds.append(World(settings))  # type: ignore[arg-type]
        worlds[0].gate.clear()
        return worlds[0]

    life = await Life(stack, msgspec.structs.replace(LEAVER, adapter=world)).live()
    await pen.say(mark(1))
    await until(lambda: worlds and worlds[0].left == ["1"])
    life.shell.stop()
    await log.until("notify.stopping")
    worlds[0].gate.set()
    assert await life.ended() is None
    assert {*life.state.ends.values()} == {"MessageSent"}
    assert [each.text for each in await log.said("notify.notice")] == ["1", "leaving", "left"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_takes_its_leave_on_a_signal(stack: NatsStack, how: signal.Signals) -> None:
    """As a supervisor ends it, or a person at a terminal; repeated signals change nothing."""
    log = await Log.of(stack)
    running = await start_toy("leaver", stack)
    await log.until("notify.started")
    await until(lambda: said_by(stack, "live"))
    began = time.monotonic()
    running.send_signal(how)
    running.send_signal(how)
    assert await asyncio.wait_for(running.wait(), STOP_S_MAX) == 0
    assert time.monotonic() - began < STOP_S_MAX / 2, "with a bus there is nothing to wait for"
    assert [each.text for each in await log.said("notify.notice")] == ["leaving", "left"]


async def test_a_process_ends_though_the_bus_is_frozen(stack: NatsStack) -> None:
    """What could not be said is named in its words; the next life finds the log as it is, and the proof holds."""
    log = await Log.of(stack)
    running = await start_toy("leaver", stack)
    await log.until("notify.started")
    await until(lambda: said_by(stack, "live"))
    stack.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    running.terminate()
    assert await asyncio.wait_for(running.wait(), STOP_S_MAX + 5) == 0
    assert time.monotonic() - began < STOP_S_MAX
    assert said_by(stack, "unsaid_at_stop")
    assert "ServiceStopping" in (stack.home / "local.log").read_text()
    stack.process.send_signal(signal.SIGCONT)
    life = await Life(stack, LEAVER).live()
    assert await life.stop() is None
    report = await log.proof([LEAVER])
    assert (report.mismatches, report.unpublished) == ([], 0)


async def test_an_append_in_flight_when_the_word_comes_does_not_make_a_crash_of_it(
    stack: NatsStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server dies with our last words in its hands: a riddle for the next life, but an end like any other."""
    monkeypatch.setattr(live, "STOP_S_MAX", 1.0)
    life = await Life(stack, LEAVER).live()
    await life.done(0)
    stack.process.send_signal(signal.SIGSTOP)
    life.shell._emit(AlertRaised(code="TOY", severity="note", text="last words"))
    life.shell.stop()
    await asyncio.sleep(0.1)
    stack.kill()
    assert await life.ended() is None
    await stack.start(provisioned=False)
