"""The ledger as a process of its own on a real bus: told fills, killed, told again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from libs.common.codec import encode
from libs.common.messages import Message
from libs.common.subjects import subject_of
from tests.e2e.ledger.databases import content
from tests.nats_stack import NatsStack, User
from tests.unit.ledger.conversation import START, marks, reconciled, status, trade

ROOT = Path(__file__).parents[3]


def start_ledger(stack: NatsStack) -> subprocess.Popen[bytes]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("BULKHEAD_", "DATABASE_URL"))
    }
    settings = {"BULKHEAD_HOME": str(stack.home), "BULKHEAD_NATS_URL": stack.url, "BULKHEAD_PROJECTION_BATCH_MS": "10"}
    with (stack.home / "ledger.log").open("ab") as lines:
        return subprocess.Popen(
            [sys.executable, "-m", "services.ledger"],
            cwd=ROOT,
            env={**environment, **settings},
            stdout=lines,
            stderr=lines,
        )


async def say(user: User, message: Message, number: int) -> None:
    """Append `message` as its writer would, with a fresh id."""
    message = msgspec.structs.replace(
        message,
        id=f"{number:032x}",
        producer=message.said_by,
        ts_event=START + number,
        ts_init=START + number,
        correlation_id=message.correlation_id or f"{number:032x}",
    )
    answer = await user.ask(subject_of(message), encode(message))
    assert "error" not in answer


async def filled(stack: NatsStack, count: int, process: subprocess.Popen[bytes]) -> dict[str, list[tuple[Any, ...]]]:
    """The tables, once `count` fills are booked in them."""
    url = URL.create("sqlite", database=str(stack.home / "ledger.db"))
    async with asyncio.timeout(60):
        while True:
            assert process.poll() is None, (stack.home / "ledger.log").read_text()[-3000:]
            with contextlib.suppress(OperationalError):  # not there yet, or being written
                found = content(url)
                if len(found["journal_entries"]) >= count + 1:
                    return found
            await asyncio.sleep(0.1)


async def test_killed_between_fills_the_ledger_books_each_once(nats: NatsStack) -> None:
    """kill -9, then the same fills told again and new ones: journal and tables hold each exec_id once, and money is conserved."""
    process = start_ledger(nats)
    feed, executor = await nats.connect("market-feed"), await nats.connect("order-executor")
    try:
        await say(feed, status(), 1)
        await say(feed, marks(BTC_USDT=60000.0), 2)
        await say(executor, reconciled(USDT="100000"), 3)
        for number in range(10, 20):
            await say(executor, trade(str(number), "BUY", "0.01", "60000", "0.00001", "BTC"), number)
        await filled(nats, 10, process)
        process.kill()
        process.wait()
        for number in range(15, 25):
            await say(executor, trade(str(number), "BUY", "0.01", "60000", "0.00001", "BTC"), 100 + number)
        process = start_ledger(nats)
        found = await filled(nats, 15, process)
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert sorted(row[1] for row in found["fills"]) == [str(number) for number in range(10, 25)]
    booked = [row for row in found["journal_entries"] if row[4] == "FILL"]
    assert sorted(row[5] for row in booked) == [str(number) for number in range(10, 25)]
    sums: dict[str, Any] = {}
    for *_, asset, amount in found["postings"]:
        sums[asset] = sums.get(asset, 0) + amount
    assert sums == {"BTC": 0, "USDT": 0}
