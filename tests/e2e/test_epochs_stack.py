"""A stack that trades while its log goes on in another epoch, twice: one book, one log, one backup, every decision derived again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from libs.common.messages import EpochBegan, ExecutionReport, OrderSubmitting, ServiceStarted
from libs.runtime.streams import TRADING
from services.cli.backup.archive import entries_of, read_manifest
from services.cli.log_rolling import EpochLine, is_due
from services.cli.stack import RUNNING
from tests.e2e.stack_stand import Stack
from tests.e2e.test_cli import answer_of

SERVICES = tuple(name for name in RUNNING if name != "agent-llm")
SECOND, THIRD = "TRADING_0002", "TRADING_0003"


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)


async def test_a_stack_trades_on_while_its_log_rolls_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order is submitted once, nobody was killed, and the whole log, its backup and what came of it are one across three epochs."""
    monkeypatch.setenv("BULKHEAD_SIM_SPEED", "60")
    home, folder = tmp_path / "home", tmp_path / "backup"
    stack = Stack(home, SERVICES, backup_folder=folder)
    try:
        await stack.until(lambda: stack.shows("FILL ENTRY"), 90)
        lived = await _starts(stack)
        first = await answer_of(home, "log", "roll", "--to", str(folder))
        assert (first["closed"], first["opened"]) == (TRADING, SECOND)
        assert first["backed_up_to"] >= first["last_seq"]
        await _until_everybody_began_again(stack, lived)
        assert (await answer_of(home, "log", "roll", "--if-due")) == {"due": False}
        await answer_of(home, "log", "roll")
        fills = stack.screen.getvalue().count("FILL")
        await stack.until(lambda: stack.screen.getvalue().count("FILL") > fills, 120)
        shown = await answer_of(home, "log", "epochs")
        assert [(each["name"], each["is_sealed"]) for each in shown] == [
            (TRADING, True),
            (SECOND, True),
            (THIRD, False),
        ]
        assert [each["first_seq"] for each in shown[1:]] == [each["last_seq"] + 1 for each in shown[:-1]]
        report = await answer_of(home, "replay", "--verify")
        assert report["clean"]
        status = await answer_of(home, "status")
        assert status["log"]["first_seq"] == 1
        entries, told = await stack.log(), await stack.told()
        await stack.stop()
    finally:
        await stack.abandon()
    assert [each.seq for each in entries] == list(range(1, len(entries) + 1))
    sent = [each.cl_ord_id for each in told if isinstance(each, OrderSubmitting)]
    assert len(sent) == len(set(sent))
    executed = [each.exec_id for each in told if isinstance(each, ExecutionReport) and each.exec_type == "TRADE"]
    assert len(executed) == len(set(executed)) > 0
    assert [(each.closed, each.epoch) for each in told if isinstance(each, EpochBegan)] == [
        (TRADING, SECOND),
        (SECOND, THIRD),
    ]
    held = [each.entry for each in entries_of(folder, read_manifest(folder))]
    assert held[: len(entries)] == entries
    verified = await answer_of(home, "backup", "verify", str(folder))
    assert verified["replay"]["clean"]
    again = await answer_of(tmp_path / "again", "restore", str(folder))
    assert again["head"] == verified["head"]


async def _starts(stack: Stack) -> int:
    return sum(isinstance(each, ServiceStarted) for each in await stack.told())


async def _until_everybody_began_again(stack: Stack, lived: int) -> None:
    """Return once every machine has begun a life since; the gateway, which remembers nothing, reads on in the same one."""
    async with asyncio.timeout(60):
        while await _starts(stack) < lived + len(SERVICES) - 1:  # noqa: ASYNC110  (the log is read by asking)
            await asyncio.sleep(0.5)


def test_an_epoch_is_due_when_it_is_large_or_old() -> None:
    """Either bound counts, 0 is none, and an empty epoch is never due."""
    line = EpochLine(
        name=TRADING,
        first_seq=1,
        last_seq=9,
        bytes=5_000_000,
        began_at="2026-01-05T00:00:00.123456789Z",
        is_sealed=False,
    )
    began = 1_767_571_200.0
    assert is_due(line, mb_max=5, days_max=0, now=began)
    assert not is_due(line, mb_max=6, days_max=0, now=began + 1e9)
    assert is_due(line, mb_max=0, days_max=31, now=began + 31 * 86_400)
    assert not is_due(line, mb_max=0, days_max=31, now=began + 30 * 86_400)
    assert not is_due(line, mb_max=0, days_max=0, now=began + 1e9)
    empty = EpochLine(name=SECOND, first_seq=10, last_seq=9, bytes=0, began_at="0001-01-01T00:00:00Z", is_sealed=False)
    assert not is_due(empty, mb_max=1, days_max=1, now=began)
