"""`bulkhead tail` and `bulkhead top`: looking at a log that grows, beside whoever else reads."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from libs.desk.commands import Order
from services.cli.command import say
from services.cli.console import follow
from services.cli.exit_codes import OK, UNAVAILABLE
from services.cli.place import find_place
from tests.e2e.test_cli import SEED, answer_of, bulkhead, write, write_map
from tests.nats_stack import NatsStack
from tests.recorded_log import recorded_log

HALT = Order(word="HALT", reason="for the test", author="ada")
LOG = recorded_log(SEED)


@pytest.fixture
async def stack(nats: NatsStack) -> NatsStack:
    """A server with a day's log in miniature, and the map that `bulkhead up` would have written."""
    await write(nats, LOG)
    write_map(nats.home, nats.url)
    return nats


async def test_tail_shows_the_last_lines_in_order(stack: NatsStack) -> None:
    """Those a person is shown, the newest last; prices make no line."""
    result = await bulkhead(stack.home, "tail", "--no-follow", "-n", "5")
    assert result.exit_code == OK, result.output
    lines = result.stdout.strip().splitlines()
    assert len(lines) == 5
    assert not any("feed.marks" in line for line in lines)


async def test_tail_shows_events_as_they_stand_in_the_log(stack: NatsStack) -> None:
    """With --json each line is one event, and a filter lets through what it matches and nothing else."""
    result = await bulkhead(stack.home, "tail", "--no-follow", "-n", "3", "--only", "feed.marks", "--json")
    found = [json.loads(line) for line in result.stdout.strip().splitlines()]
    last = [entry for entry in LOG if entry.subject == "feed.marks"][-3:]
    assert [(each["seq"], each["event"]) for each in found] == [(e.seq, json.loads(e.payload)) for e in last]


async def test_a_log_that_grows_is_followed_by_several_at_once(stack: NatsStack) -> None:
    """Two who look and one console hear of a command as it is said; nobody takes the log from another."""
    place = find_place(stack.home)
    lookers = [await _looker(stack) for _ in range(2)]
    console: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def shown(line: object) -> None:
        if "for the test" in str(line) and not console.done():
            console.set_result(str(line))

    following = asyncio.create_task(follow(stack.home, stack.url, shown, LOG[-1].seq))
    await say(place, HALT, wait_s=0.0)
    try:
        async with asyncio.timeout(20):
            for process in lookers:
                assert process.stdout is not None
                while b"for the test" not in await process.stdout.readline():
                    pass
            await console
    finally:
        following.cancel()
        for process in lookers:
            process.terminate()
            await process.wait()
        await asyncio.gather(following, return_exceptions=True)


async def _looker(stack: NatsStack) -> asyncio.subprocess.Process:
    """`bulkhead tail` as a process, once it has begun to follow."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from services.cli.app import main; main()",
        "--home",
        str(stack.home),
        "tail",
        "-n",
        "1",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readline()
    return process


async def test_top_says_what_status_says(stack: NatsStack) -> None:
    """The picture and `bulkhead status` count the same and stand at the same event."""
    status, picture = await answer_of(stack.home, "status"), await answer_of(stack.home, "top")
    assert picture["order_counts"] == status["orders"]
    assert picture["head"]["books"] == status["books"]
    assert picture["seq"] == status["log"]["last_seq"]
    held = {line["instrument"]: line["signed_qty"] for line in picture["positions"]}
    assert held == {
        name: line["signed_qty"] for name, line in status["positions"].items() if float(line["signed_qty"]) != 0
    }


async def test_one_picture_fits_a_terminal(stack: NatsStack) -> None:
    """Trading state, positions and alerts stand on it in words."""
    result = await bulkhead(stack.home, "top", "--once")
    assert result.exit_code == OK, result.output
    for word in ("ACTIVE", "positions", "services", "log"):
        assert word in result.stdout


async def test_without_a_stack_both_say_so(tmp_path: Path) -> None:
    """What is missing and what to do, with the exit code of a stack that does not run."""
    write_map(tmp_path, "nats://127.0.0.1:1")
    for words in (("top", "--once"), ("tail", "--no-follow")):
        result = await bulkhead(tmp_path, *words)
        assert result.exit_code == UNAVAILABLE
        assert "bulkhead up" in result.output
