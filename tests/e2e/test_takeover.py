"""One acts: a standby takes over within five seconds of a kill, and whoever was frozen meanwhile sends nothing."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.live_services import Log, Pen, until
from tests.e2e.toy_process import start_toy
from tests.e2e.toy_services import CAREFUL, COUNTER, TOYS, mark
from tests.nats_stack import NatsStack

TAKEOVER_S_MAX = 5.0


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[NatsStack]:
    """A nats-server for the toys alone, with leases as they are in life."""
    stack = NatsStack(tmp_path / "home", TOYS)
    await stack.start()
    try:
        yield stack
    finally:
        await stack.stop()


async def standing_by(stack: NatsStack, toy: str, instance: str) -> asyncio.subprocess.Process:
    """A second process that waits for the lease."""
    running = await start_toy(toy, stack, instance)
    await until(lambda: b"standing_by" in (stack.home / f"{instance}.log").read_bytes())
    return running


async def test_a_standby_lives_within_five_seconds_of_a_kill(stack: NatsStack) -> None:
    """With a small log to recover; before the kill it says nothing, after it nothing is left out or said twice."""
    log, pen = await Log.of(stack), await Pen.of(stack, "market-feed")
    for number in range(1, 100):
        await pen.say(mark(number))
    first = await start_toy("counter", stack, "a")
    await log.until("risk.alert", 99)
    second = await standing_by(stack, "counter", "b")
    await pen.say(mark(100))
    await log.until("risk.alert", 100)
    assert [each.instance for each in await log.said("risk.started")] == ["a"]
    first.kill()
    began = time.monotonic()
    await pen.say(mark(101))
    await log.until("risk.alert", 101)
    assert time.monotonic() - began < TAKEOVER_S_MAX
    assert [each.instance for each in await log.said("risk.started")] == ["a", "b"]
    second.terminate()
    assert [await first.wait(), await second.wait()] == [-signal.SIGKILL, 0]
    assert [each.text.partition(":")[0] for each in await log.said("risk.alert")] == [str(n) for n in range(1, 102)]
    assert (await log.proof([COUNTER])).mismatches == []


async def test_a_holder_frozen_before_it_sends_sends_nothing_when_it_wakes(stack: NatsStack) -> None:
    """The lease is looked at immediately before sending: its time has run out while we stood still, and then we end."""
    log, pen = await Log.of(stack), await Pen.of(stack, "market-feed")
    first = await start_toy("careful", stack, "a")
    await log.until("notify.started")
    second = await standing_by(stack, "careful", "b")
    await pen.say(mark(1))
    await until(lambda: (stack.home / "a.asked").exists())
    first.send_signal(signal.SIGSTOP)
    await log.until("notify.interrupted")
    (stack.home / "go").touch()
    first.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(first.wait(), 20) == 75
    await until(lambda: (stack.home / "a.not-sent").exists())
    assert not (stack.home / "a.sent").exists()
    await pen.say(mark(2))
    await until(lambda: (stack.home / "b.sent").exists())
    await log.until("notify.sent")
    second.terminate()
    assert await second.wait() == 0
    sent = await log.said("notify.sent")
    assert [each.request_id for each in sent] == ["2"]
    assert (await log.proof([CAREFUL])).mismatches == []
