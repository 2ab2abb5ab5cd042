"""The console channel and the notifier's settings."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from libs.common.messages import MessageSent
from libs.common.timeframe import SECOND
from libs.runtime.adapter import AdapterContext
from libs.runtime.breaker import BreakerLimits
from libs.runtime.core import Asked
from libs.runtime.machine import Request
from libs.runtime.settings import SettingsError, load_settings
from services.notifier.adapters.console import ConsoleAdapter
from services.notifier.channel import Channel
from services.notifier.machine import Memory
from services.notifier.manner import Manner
from services.notifier.requests import SendMessage
from services.notifier.settings import Settings
from tests.playbook import START


class StoppedClock:
    """A clock that shows `START`."""

    def now(self) -> int:
        return START

    async def sleep_until(self, due: int) -> None:
        raise NotImplementedError


class Unencodable(io.StringIO):
    """A terminal that knows ASCII only."""

    def write(self, text: str) -> int:
        text.encode("ascii")
        return super().write(text)


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def flush(self) -> None:
        raise BrokenPipeError("nobody reads")


def request(text: str = "trading is HALTED", level: str = "page") -> Asked:
    message = SendMessage(channel="console", level=level, text=text, repeat=False, valid_until=START)  # type: ignore[arg-type]
    return Asked("r1", message, 1, 1, "story", "cause")


async def adapter(
    out: io.StringIO | None = None, registry: CollectorRegistry | None = None, memory: Memory | None = None
) -> ConsoleAdapter:
    nothing: Callable[..., Any] = lambda *_: None  # noqa: E731
    console = ConsoleAdapter(load_settings(Settings), out)
    await console.open(
        AdapterContext(
            emit=nothing,
            publish_market=nothing,
            clock=StoppedClock(),
            state=lambda: memory,
            registry=registry,
            logger=None,
            holds_lease=nothing,
            read_log=nothing,
        )
    )
    return console


async def test_a_message_is_one_line_with_time_and_level() -> None:
    """Readable without any tool, and the answer says that it was written and when."""
    out = io.StringIO()
    console = await adapter(out)
    answer = await console.perform(request())
    await console.perform(request("filled", "note"))
    await console.close()
    assert out.getvalue().splitlines() == [
        "2025-01-01 00:00:00Z page   trading is HALTED",
        "2025-01-01 00:00:00Z note   filled",
    ]
    assert answer == MessageSent(request_id="r1", channel="console", ok=True, detail="", ts_event=START, ts_init=START)


async def test_it_writes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Without being told otherwise the console is the process's stdout."""
    await (await adapter()).perform(request())
    assert capsys.readouterr().out == "2025-01-01 00:00:00Z page   trading is HALTED\n"


@pytest.mark.parametrize(("out", "detail"), [(Gone(), "BrokenPipeError"), (Unencodable(), "UnicodeEncodeError")])
async def test_a_line_that_cannot_be_written_is_a_failed_send(out: io.StringIO, detail: str) -> None:
    """An operating error is an answer: the machine decides what follows."""
    answer = await (await adapter(out)).perform(request("fünf"))
    assert isinstance(answer, MessageSent)
    assert (answer.ok, answer.detail) == (False, detail)


async def test_a_closed_stdout_is_a_failed_send() -> None:
    """Nothing to write to is no reason to crash."""
    out = io.StringIO()
    out.close()
    answer = await (await adapter(out)).perform(request())
    assert isinstance(answer, MessageSent)
    assert not answer.ok


async def test_what_looks_like_a_secret_is_masked() -> None:
    """A database URL in an alert does not show its password on the screen."""
    out = io.StringIO()
    await (await adapter(out)).perform(request("cannot reach postgresql://bulkhead:hunter2hunter2@db/ledger"))
    assert "hunter2" not in out.getvalue()


async def test_the_console_performs_nothing_else() -> None:
    """Another kind of request is a defect, not an operating error."""

    class Other(Request, frozen=True, kw_only=True):
        pass

    with pytest.raises(TypeError, match="cannot perform Other"):
        await (await adapter()).perform(Asked("r1", Other(valid_until=START), 1, 1, "story", "cause"))


async def test_the_breaker_of_the_channel_is_shown() -> None:
    """Prometheus sees CLOSED from the start, OPEN once the machine says so, and that it has opened."""
    registry, memory = CollectorRegistry(), Memory()
    await adapter(registry=registry, memory=memory)
    labels = {"service": "notifier", "name": "console"}
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 0
    memory.mail.channels["console"] = Channel()
    memory.mail.channels["console"].breaker.trip(BreakerLimits(), START, "enough")
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 2
    assert registry.get_sample_value("bulkhead_breaker_openings_total", labels) == 1


def test_a_longest_pause_below_the_first_is_the_first() -> None:
    """Two settings that contradict each other do not keep the notifier from starting."""
    limits = Manner(breaker_pause_s=60, breaker_pause_s_max=10).limits
    assert limits.open_ns_max == limits.open_ns_first == 60 * SECOND


def test_the_settings_are_the_manner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults are the documented ones; each can be set by its variable."""
    assert load_settings(Settings).machine() == Manner()
    names = ("repeat_window_s", "send_ttl_s", "attempts_max", "backoff_s", "backoff_s_max")
    names += ("breaker_failures_max", "breaker_pause_s", "breaker_pause_s_max", "waiting_kinds_max")
    for place, name in enumerate(names, 11):
        monkeypatch.setenv(f"BULKHEAD_NOTIFY_{name.upper()}", str(place))
    assert load_settings(Settings).machine() == Manner(
        channels=("console",),
        repeat_window_s=11,
        send_ttl_s=12,
        attempts_max=13,
        backoff_s=14,
        backoff_s_max=15,
        breaker_failures_max=16,
        breaker_pause_s=17,
        breaker_pause_s_max=18,
        waiting_kinds_max=19,
    )


def test_an_unknown_channel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pigeon is no channel: the variable, the value and the wish are named."""
    monkeypatch.setenv("BULKHEAD_NOTIFY_CHANNEL", "pigeon")
    with pytest.raises(SettingsError, match="BULKHEAD_NOTIFY_CHANNEL: got 'pigeon'; Input should be 'console'"):
        load_settings(Settings)
