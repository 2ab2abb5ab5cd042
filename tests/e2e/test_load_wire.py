"""The smallest NATS client of `make load`, on a real server: what Locust's users say and read there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.load.wire import Wire, WireError
from benchmarks.stamps import nanoseconds
from libs.common.codec import decode_from, encode
from libs.common.messages import OperatorCommanded
from libs.runtime.streams import TRADING
from tests.nats_stack import NatsStack

COMMAND = "ops.cli.command"


def resume(name: str) -> OperatorCommanded:
    """An operator's word."""
    return OperatorCommanded(
        id=name,
        ts_event=0,
        ts_init=0,
        correlation_id=name,
        producer="ops.cli",
        command="RESUME",
        reason="load",
        author="load",
    )


def conditions(tail: int) -> dict[str, str]:
    """Nobody has spoken as ops.cli since `tail`."""
    return {
        "Nats-Expected-Last-Subject-Sequence": str(tail),
        "Nats-Expected-Last-Subject-Sequence-Subject": "ops.cli.>",
    }


def converse(home: Path, url: str) -> None:
    """What the users of a load step do, in one thread."""
    operator, reader, other = Wire(home, url, "cli"), Wire(home, url, "observer"), Wire(home, url, "observer")
    assert operator.stored(TRADING, last_by_subj="ops.cli.>") is None
    seq = operator.append(COMMAND, encode(resume("one")), conditions(0))
    with pytest.raises(WireError, match="wrong last sequence"):
        operator.append(COMMAND, encode(resume("two")), conditions(0))
    for wire in (reader, other, reader):  # two connections of one user do not hear each other's answers
        found = wire.stored(TRADING, seq=1, next_by_subj=">")
        assert found is not None
        assert (found.seq, decode_from(found.subject, found.payload)) == (seq, resume("one"))
        assert nanoseconds(found.at) > 0
    assert reader.stored(TRADING, seq=seq + 1, next_by_subj=">") is None
    for wire in (operator, reader, other):
        wire.close()


async def test_users_read_the_log_and_speak_under_the_operators_condition(tmp_path: Path) -> None:
    """A command is appended once, the same condition a second time is refused, and every reader gets what he asked for."""
    stack = NatsStack(tmp_path / "home")
    await stack.start()
    try:
        await asyncio.to_thread(converse, stack.home, stack.url)
    finally:
        await stack.stop()
