"""How a process of ours ends, and what it says then."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
import structlog

from libs.runtime import lifetime
from libs.runtime.bus import BusError
from libs.runtime.clock import ClockUnavailable
from libs.runtime.lifetime import EX_OK, EX_SOFTWARE, EX_TEMPFAIL, lived
from libs.runtime.nats_config import KeysError
from libs.runtime.ports import PortTaken, cannot_listen
from libs.runtime.recovery import LogWentBackwards
from libs.runtime.settings import EX_CONFIG, ServiceSettings, SettingsError
from libs.runtime.stopping import Stopped, unless

NEST = {
    "alone": lambda error: error,
    "in a group": lambda error: ExceptionGroup("tasks", [error]),
    "deep in groups": lambda error: ExceptionGroup("tasks", [ExceptionGroup("more", [error])]),
}


@pytest.fixture(autouse=True)
def _the_log_of_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard output as it is captured, whatever another test of this process has made of structlog."""

    def configured(*_: object) -> object:
        show = (structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer())
        return structlog.wrap_logger(
            structlog.PrintLogger(sys.stdout), processors=[*show], wrapper_class=structlog.BoundLogger
        )

    monkeypatch.setattr(lifetime.logs, "configure", configured)


class Ending:
    """A life that ends of itself."""

    def __init__(self, error: Exception | None):
        self.error = error

    async def run(self) -> None:
        """Not for long."""
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Nobody gets to say it."""


class Waiting:
    """A life that goes on until it is told to stop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Tell ourselves to stop as a supervisor would."""
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(self.stopping.wait(), 5)

    def stop(self) -> None:
        """End."""
        self.stopping.set()


async def code_of(home: Path, error: Exception | None) -> int:
    """The exit code of a process whose life ends so."""
    return await lived("ledger", ServiceSettings(home=home), lambda: Ending(error))


@pytest.mark.parametrize("nest", NEST)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeysError("the key is no key"), EX_CONFIG),
        (SettingsError("BULKHEAD_X: got 7"), EX_CONFIG),
        (LogWentBackwards("events are lost"), EX_CONFIG),
        (BusError("no answer"), EX_TEMPFAIL),
        (ClockUnavailable("no time"), EX_TEMPFAIL),
        (PortTaken("somebody is there"), EX_TEMPFAIL),
        (ValueError("a defect"), EX_SOFTWARE),
    ],
)
async def test_the_exit_code_says_who_can_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception, code: int, nest: str
) -> None:
    """78: a person, told on stderr; 75: another start; 70: whoever reads the traceback. However deep in task groups it was raised."""
    assert await code_of(tmp_path, NEST[nest](error)) == code
    said = capsys.readouterr()
    assert str(error) in (said.err if code == EX_CONFIG else said.out)
    assert ("refuses to start" in said.err) == (code == EX_CONFIG)


async def test_what_cannot_even_be_born_is_told_the_same_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An adapter that refuses its settings is a bad setting, not a defect."""

    def born() -> Ending:
        raise SettingsError("BULKHEAD_Y: got 8")

    assert await lived("ledger", ServiceSettings(home=tmp_path), born) == EX_CONFIG
    assert "BULKHEAD_Y: got 8" in capsys.readouterr().err


async def test_a_life_that_is_told_to_stop_ends_well(tmp_path: Path) -> None:
    """SIGTERM reaches it, and the exit code is 0."""
    assert await lived("ledger", ServiceSettings(home=tmp_path), Waiting) == EX_OK


async def test_a_stop_does_not_wait_for_work_and_work_not_for_a_stop() -> None:
    """Whichever comes first; the other is cancelled."""
    stopping, ended = asyncio.Event(), []

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("endless")

    async def quick() -> str:
        return "done"

    assert await unless(stopping, quick()) == "done"
    asyncio.get_running_loop().call_soon(stopping.set)
    with pytest.raises(Stopped):
        await unless(stopping, endless())
    assert ended == ["endless"]


def test_a_taken_port_is_not_a_bad_setting() -> None:
    """What is taken may be free at the next start; what is not ours never will be."""
    taken = cannot_listen(OSError(98, "in use"), "BULKHEAD_X", "127.0.0.1", 7)
    assert isinstance(taken, PortTaken)
    assert str(taken) == "BULKHEAD_X: got '127.0.0.1', 7; cannot listen there: in use"
    assert isinstance(cannot_listen(OSError(99, "not ours"), "BULKHEAD_X", "192.0.2.1", 7), SettingsError)
