"""A whole stack with a backup beside it, and what becomes of it when the log is lost and the world has gone on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from libs.common.messages import BookRestored, OrderSubmitting, Reconciled, TradingStateChanged
from libs.desk.commands import Order
from services.cli.backup.archive import entries_of, read_manifest
from services.cli.command import accept_balances, say
from services.cli.place import find_place
from services.cli.stack import RUNNING
from tests.e2e.stack_stand import Stack
from tests.e2e.test_cli import answer_of
from tests.recorded_log import message_of

TRADING = tuple(name for name in RUNNING if name not in ("gateway", "notifier"))


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)


async def test_a_book_whose_log_is_lost_goes_on_from_its_backup(tmp_path: Path) -> None:
    """The copy beside a running stack holds the log to its end. Restored to the moment before its first order it wakes halted, finds what the venue
    knows and it does not, says so, and trades again once a human has accepted the venue's balances and resumed."""
    home, folder, new = tmp_path / "home", tmp_path / "backup", tmp_path / "new"
    stack = Stack(home, TRADING, backup_folder=folder)
    try:
        await stack.until(lambda: stack.shows("FILL ENTRY"), 90)
        whole = await stack.log()
        await stack.stop()
    finally:
        await stack.abandon()
    held = [each.entry for each in entries_of(folder, read_manifest(folder))]
    assert held[: len(whole)] == whole, "what was in the log while it ran is in its backup when it has been stopped"
    lost_from = next(each.seq for each in whole if isinstance(message_of(each), OrderSubmitting))
    verified = await answer_of(home, "backup", "verify", str(folder))
    assert verified["replay"]["clean"]
    assert verified["replay"]["verified"] > 0

    restored = await answer_of(new, "restore", str(folder), "--to-event", str(lost_from - 1))
    assert restored["last_seq"] == lost_from - 1
    shutil.copytree(home / "exchange_sim", new / "exchange_sim")  # the venue has not forgotten
    stack = Stack(new, TRADING)
    try:
        await stack.until(lambda: stack.shows("services are live"), 60)
        await stack.until(lambda: stack.shows("FOREIGN_") or stack.shows("NOT_RECONCILED"), 60)
        told = await stack.told()
        (again,) = [each for each in told if isinstance(each, BookRestored)]
        assert again.head == restored["head"]
        states = [each.state for each in told if isinstance(each, TradingStateChanged)]
        assert states[-1] == "HALTED"
        accepted = await accept_balances(
            find_place(new), reason="the venue is right: restored", author="ada", wait_s=75.0
        )
        assert accepted.clean, accepted.text
        resumed = await say(
            find_place(new), Order(word="RESUME", reason="books and venue agree", author="ada"), wait_s=15.0
        )
        assert resumed.state == "ACTIVE"
        told = await stack.told()
        assert [each.clean for each in told if isinstance(each, Reconciled)][-1]
        await stack.stop()
    finally:
        await stack.abandon()
