"""The console channel."""

from __future__ import annotations

import io

import pytest

from libs.common.messages import MessageSent
from libs.common.timeframe import SECOND
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from libs.runtime.settings import load_settings
from services.notifier.adapters.console import ConsoleAdapter
from services.notifier.manner import Manner
from services.notifier.settings import Settings
from tests.playbook import START
from tests.unit.notifier.edge import asked, context


class Unencodable(io.StringIO):
    """A terminal that knows ASCII only."""

    def write(self, text: str) -> int:
        text.encode("ascii")
        return super().write(text)


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def flush(self) -> None:
        raise BrokenPipeError("nobody reads")


async def adapter(out: io.StringIO | None = None) -> ConsoleAdapter:
    console = ConsoleAdapter(load_settings(Settings), out)
    await console.open(context())
    return console


async def test_a_message_is_one_line_with_time_and_level() -> None:
    """Readable without any tool, and the answer says that it was written and when."""
    out = io.StringIO()
    console = await adapter(out)
    answer = await console.perform(asked())
    await console.perform(asked("filled", "note"))
    await console.close()
    assert out.getvalue().splitlines() == [
        "2025-01-01 00:00:00Z page   trading is HALTED",
        "2025-01-01 00:00:00Z note   filled",
    ]
    assert answer == MessageSent(request_id="r1", channel="console", ok=True, detail="", ts_event=START, ts_init=START)


async def test_it_writes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Without being told otherwise the console is the process's stdout."""
    await (await adapter()).perform(asked())
    assert capsys.readouterr().out == "2025-01-01 00:00:00Z page   trading is HALTED\n"


@pytest.mark.parametrize(("out", "detail"), [(Gone(), "BrokenPipeError"), (Unencodable(), "UnicodeEncodeError")])
async def test_a_line_that_cannot_be_written_is_a_failed_send(out: io.StringIO, detail: str) -> None:
    """An operating error is an answer: the machine decides what follows."""
    answer = await (await adapter(out)).perform(asked("fünf"))
    assert isinstance(answer, MessageSent)
    assert (answer.ok, answer.detail) == (False, detail)


async def test_a_closed_stdout_is_a_failed_send() -> None:
    """Nothing to write to is no reason to crash."""
    out = io.StringIO()
    out.close()
    answer = await (await adapter(out)).perform(asked())
    assert isinstance(answer, MessageSent)
    assert not answer.ok


async def test_what_looks_like_a_secret_is_masked() -> None:
    """A database URL in an alert does not show its password on the screen."""
    out = io.StringIO()
    await (await adapter(out)).perform(asked("cannot reach postgresql://bulkhead:hunter2hunter2@db/ledger"))
    assert "hunter2" not in out.getvalue()


async def test_the_console_performs_nothing_else() -> None:
    """Another kind of request is a defect, not an operating error."""

    class Other(Request, frozen=True, kw_only=True):
        pass

    with pytest.raises(TypeError, match="cannot perform Other"):
        await (await adapter()).perform(Asked("r1", Other(valid_until=START), 1, 1, "story", "cause"))


def test_a_longest_pause_below_the_first_is_the_first() -> None:
    """Two settings that contradict each other do not keep the notifier from starting."""
    limits = Manner(breaker_pause_s=60, breaker_pause_s_max=10).limits
    assert limits.open_ns_max == limits.open_ns_first == 60 * SECOND
