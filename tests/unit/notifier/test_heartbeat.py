"""The sign of life: sent while people would be told, withheld when they would not, and its address is a secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from libs.common.messages import Answer, MessageSent
from libs.runtime.adapter import AdapterContext
from libs.runtime.breaker import Breaker
from libs.runtime.core import Asked
from libs.runtime.heartbeat import Heartbeat
from libs.runtime.redaction import forget_secrets, redact
from libs.runtime.settings import SettingsError, load_settings
from services.notifier.adapters.heartbeat import LAG_EVENTS_MAX, BeatingAdapter, ailing
from services.notifier.channel import Channel
from services.notifier.machine import Memory
from services.notifier.mail import Mail
from services.notifier.requests import SendMessage
from services.notifier.settings import Settings
from tests.dead_mans_switch import SECRET, DeadMansSwitch


@pytest.fixture
async def switch() -> AsyncIterator[DeadMansSwitch]:
    """A switch that listens."""
    found = DeadMansSwitch()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    """What a test made secret is forgotten."""
    yield
    forget_secrets()


def heart(url: str, registry: CollectorRegistry, reason: str = "", **changed: Any) -> Heartbeat:
    return Heartbeat(url, changed.pop("every_s", 0.5), lambda: reason, "notifier", registry, structlog.get_logger())


def count_of(registry: CollectorRegistry, result: str) -> float:
    return registry.get_sample_value("bulkhead_heartbeats_total", {"service": "notifier", "result": result}) or 0.0


def context(*, reachable: bool = True, lag: int = 0, **channels: str) -> AdapterContext:
    """What the shell would lend, with channels by the states of their breakers."""
    nothing: Callable[..., Any] = lambda *_: None  # noqa: E731
    known = {name: Channel(breaker=Breaker(state=state)) for name, state in channels.items()}  # type: ignore[arg-type]
    return AdapterContext(
        emit=nothing,
        publish_market=nothing,
        clock=nothing,  # type: ignore[arg-type]  # nobody looks at it
        state=lambda: Memory(mail=Mail(channels=known)),
        logger=structlog.get_logger(),
        holds_lease=nothing,
        read_log=nothing,
        registry=CollectorRegistry(),
        log_is_reachable=lambda: reachable,
        lag=lambda: lag,
    )


async def test_a_beat_arrives_and_is_counted(switch: DeadMansSwitch) -> None:
    """At the address of the file, and nowhere else."""
    registry = CollectorRegistry()
    assert await heart(switch.url, registry).beat() == "sent"
    assert switch.paths == {f"/ping/{SECRET}"}
    assert count_of(registry, "sent") == 1


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_any_other_answer_is_a_failure(switch: DeadMansSwitch, status: int) -> None:
    """A redirect is not followed: the address is not shown to strangers."""
    registry = CollectorRegistry()
    switch.status = status
    assert await heart(switch.url, registry).beat() == "failed"
    assert count_of(registry, "failed") == len(switch.beats) == 1


async def test_a_switch_that_is_slow_or_gone_disturbs_nobody(switch: DeadMansSwitch) -> None:
    """Within a period it is given up, and the next beat is a new one."""
    switch.wait_s = 5
    assert await heart(switch.url, CollectorRegistry(), every_s=0.05).beat() == "failed"
    await switch.stop()
    assert await heart(switch.url, CollectorRegistry()).beat() == "failed"
    assert await heart("http://[", CollectorRegistry()).beat() == "failed"
    await switch.start()


async def test_whoever_ails_is_silent(switch: DeadMansSwitch) -> None:
    """Nothing leaves, and that is counted."""
    registry = CollectorRegistry()
    assert await heart(switch.url, registry, "the log cannot be reached").beat() == "withheld"
    assert switch.beats == []
    assert count_of(registry, "withheld") == 1


async def test_the_address_is_in_no_log_line_and_no_metric(switch: DeadMansSwitch, tmp_path: Path) -> None:
    """Neither when it works nor when it fails; one line a change is enough."""
    url = load_settings_with(switch.file(tmp_path)).heartbeat_url()
    registry = CollectorRegistry()
    beating = heart(url, registry)
    with capture_logs() as lines:
        await beating.beat()
        await beating.beat()
        await switch.stop()
        await beating.beat()
    assert [line["event"] for line in lines] == ["heartbeat_sent", "heartbeat_failed"]
    assert SECRET not in f"{lines}{generate_latest(registry)!r}{load_settings_with(switch.file(tmp_path))!r}"
    assert SECRET not in redact(f"cannot connect to {url}: /ping/{SECRET}, {SECRET}")
    await switch.start()


def load_settings_with(file: Path) -> Settings:
    return Settings(notify_heartbeat_url_file=file)


@pytest.mark.parametrize(
    "url",
    [
        "no url at all, just some words",
        "ftp://switch.example/0a1b2c3d4e5f6789",
        "https://me:secret0123456789@switch.example/",
        "http://switch.example/0a1b2c3d4e5f6789",
        "https://switch.example/0a1b2c3d4e5f6789 and more",
        "https://[switch.example/0a1b2c3d4e5f6789",
        "https://switch.example:port/0a1b2c3d4e5f6789",
        "https://short",
    ],
)
def test_what_is_no_address_for_a_secret_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts, without showing it."""
    monkeypatch.setenv("BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE", str(DeadMansSwitch().file(tmp_path, url)))
    with pytest.raises(SettingsError) as refused:
        load_settings(Settings)
    assert "BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE" in str(refused.value)
    assert url not in str(refused.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the address can beat for us."""
    file = DeadMansSwitch().file(tmp_path, f"https://switch.example/{SECRET}")
    file.chmod(0o644)
    monkeypatch.setenv("BULKHEAD_NOTIFY_HEARTBEAT_URL_FILE", str(file))
    with pytest.raises(SettingsError, match="chmod 600"):
        load_settings(Settings)


def test_it_beats_only_while_people_would_be_told() -> None:
    """The log within reach, nearly all of it read, a channel that works or is not known yet."""
    assert ailing(context()) == ailing(context(console="CLOSED", lag=LAG_EVENTS_MAX)) == ""
    assert ailing(context(console="CLOSED", other="OPEN")) == ""
    assert "log cannot be reached" in ailing(context(reachable=False))
    assert "unread" in ailing(context(lag=LAG_EVENTS_MAX + 1))
    assert "console" in ailing(context(console="OPEN"))
    assert "console" in ailing(context(console="HALF_OPEN"))


class Mute:
    """A channel that says what was done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def open(self, context: AdapterContext) -> None:
        self.done.append("open")

    async def perform(self, asked: Asked) -> Answer:
        self.done.append("perform")
        return MessageSent(request_id=asked.request_id, channel="mute", ok=True, detail="")

    async def close(self) -> None:
        self.done.append("close")


async def test_it_stands_beside_a_channel_and_ends_before_it(switch: DeadMansSwitch, tmp_path: Path) -> None:
    """Messages go through as without it, and after the close nothing beats."""
    mute = Mute()
    adapter = BeatingAdapter(load_settings_with(switch.file(tmp_path)), mute)
    await adapter.open(context())
    request = SendMessage(channel="mute", level="note", text="hello", repeat=False, valid_until=1)
    assert isinstance(await adapter.perform(Asked("r1", request, 1, 1, "story", "cause")), MessageSent)
    await switch.heard(1)
    await adapter.close()
    assert mute.done == ["open", "perform", "close"]
    assert "heartbeat" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_without_an_address_nothing_beats() -> None:
    """It is a choice, and no start depends on it."""
    mute = Mute()
    adapter = BeatingAdapter(Settings(), mute)
    await adapter.open(context())
    assert "heartbeat" not in {task.get_name() for task in asyncio.all_tasks()}
    await adapter.close()
    assert mute.done == ["open", "close"]
