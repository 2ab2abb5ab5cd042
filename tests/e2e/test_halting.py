"""A halt is remembered by the log: whatever dies or is started again, nothing is entered until a human resumes and says why."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from libs.desk.commands import Order, Outcome
from services.cli.command import say
from services.cli.exit_codes import Failure, failing_clearly
from services.cli.place import find_place, processes_of
from services.cli.status import gather
from tests.e2e.stack_stand import Stack
from tests.e2e.test_cli import bulkhead

GATE = ("risk-gate",)


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BULKHEAD_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(variable)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def ordered(home: Path, word: str, reason: str = "a drill") -> Outcome:
    wanted = Order(word=word, reason=reason, author="ada")  # type: ignore[arg-type]
    return await say(find_place(home), wanted, wait_s=15.0)


async def state_of(home: Path) -> str:
    return (await gather(find_place(home))).trading_state


async def test_a_halt_outlives_everything(home: Path) -> None:
    """The gate and the bus are killed, the stack is stopped and started again: trading stays halted, until RESUME with a reason."""
    stack = Stack(home, GATE)
    try:
        await stack.until(lambda: stack.shows("services are live"))
        halted = await ordered(home, "HALT")
        assert (halted.answered, halted.changed, halted.state) == (True, True, "HALTED")
        for name in ("risk-gate", "nats"):
            os.kill(processes_of(find_place(home))[name], signal.SIGKILL)
        again = await _eventually(home, "HALT")
        assert (again.changed, again.state) == (False, "HALTED")
        await stack.stop()
    finally:
        await stack.abandon()
    stack = Stack(home, GATE)
    try:
        await stack.until(lambda: stack.shows("services are live"))
        assert await state_of(home) == "HALTED"
        refused = await ordered(home, "RESUME", reason=" ")
        assert (refused.answered, refused.changed, refused.state) == (True, False, "HALTED")
        assert (await bulkhead(home, "resume", "--reason", " ")).exit_code == 2
        resumed = await ordered(home, "RESUME", reason="the venue is well again")
        assert (resumed.changed, resumed.state) == (True, "ACTIVE")
        flat = await ordered(home, "FLATTEN")
        assert (flat.changed, flat.state) == (True, "HALTED")
        assert "sold" in flat.text
        await stack.stop()
    finally:
        await stack.abandon()


async def _eventually(home: Path, word: str) -> Outcome:
    """The order's outcome once the bus and the gate are back."""
    async with asyncio.timeout(40):
        while True:
            try:
                with failing_clearly():
                    outcome = await ordered(home, word)
                if outcome.answered:
                    return outcome
            except Failure:
                await asyncio.sleep(0.2)
