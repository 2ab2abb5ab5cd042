"""The page about the NATS CLI: each of its commands, run by the real `nats` as the observer against a log that real machines wrote."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
from pathlib import Path

import pytest

from libs.runtime.bus import Bus
from libs.runtime.nats_config import GUEST_API, OBSERVER_USER, inbox_prefix, key_file
from libs.runtime.streams import TRADING
from tests.e2e.test_cli import SEED, write
from tests.nats_stack import NatsStack
from tests.recorded_log import recorded_log

PAGE = (Path(__file__).parents[2] / "docs" / "NATS_CLI.md").read_text()
COMMANDS = re.findall(r"^\$ look (.+)$", PAGE, re.MULTILINE)
EMPTY_IS_AN_ANSWER = ("KV_LEASES", "risk.state")
"""Where nobody holds a lease, and nothing was ever halted, there is no message, and the command says so."""

NATS = shutil.which("nats")


def test_ten_questions_are_answered() -> None:
    """And each by a command."""
    assert len(re.findall(r"^## \d+\. .*\?$", PAGE, re.MULTILINE)) == len(COMMANDS) == 10


@pytest.mark.skipif(NATS is None, reason="the nats command line is not installed here")
async def test_every_command_of_the_page_works_as_the_observer(nats: NatsStack) -> None:
    """They exit cleanly, or say that there is no such message; what listens is listened to for a moment."""
    log = recorded_log(SEED)
    await write(nats, log)
    executor = await nats.connect("order-executor")
    await Bus(executor.client, TRADING).copy_to_dead(log[10], "NOT_BELIEVED: for the test")
    for command in COMMANDS:
        code, said = await run(nats, *shlex.split(command))
        is_empty = any(word in command for word in EMPTY_IS_AN_ANSWER) and "no message found" in said
        assert code == 0 or is_empty, f"{command}\n{said}"
        assert "Permissions Violation" not in said, command


async def run(nats: NatsStack, *words: str) -> tuple[int, str]:
    """One command's exit code and words; a subscription is ended after a moment, and that it lasted is its success."""
    look = ("-s", nats.url, "--nkey", str(key_file(nats.home, OBSERVER_USER)))
    look += ("--inbox-prefix", inbox_prefix(OBSERVER_USER), "--js-api-prefix", GUEST_API)
    process = await asyncio.create_subprocess_exec(
        *(str(NATS), *look, *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    if words[0] == "sub":
        said = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        process.kill()
        await process.wait()
        return (0 if "Subscribing on" in said else 1), said
    said_all, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, said_all.decode()
