"""Channels by URL, by the unmodified Apprise, against a local server: what arrives, what fails, and that no URL is shown."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from libs.common.messages import MessageSent
from libs.runtime.settings import SettingsError
from services.notifier.adapters import by_url
from services.notifier.adapters.people import PeopleAdapter
from services.notifier.requests import UNSURE
from services.notifier.settings import Settings
from services.telegram_sim.server import write_secret
from tests.unit.notifier.edge import asked, context, logged_to, until

PASSWORD = "hunter2-s3cret"
PATH = "T0P-s3cret-hook"


class Stand:
    """A server that takes what Apprise posts, and an adapter that is told its URL."""

    def __init__(self, home: Path):
        self.file = home / "urls"
        self.taken: list[Any] = []
        self.status = 200
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.log = io.StringIO()
        self.adapter: PeopleAdapter
        app = web.Application()
        app.router.add_post(f"/{PATH}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)

    async def open(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        write_secret(self.file, f"json://ada:{PASSWORD}@127.0.0.1:{port}/{PATH}")
        self.adapter = PeopleAdapter(Settings(notify_urls_file=self.file))
        await self.adapter.open(context(logger=logged_to(self.log)))

    async def close(self) -> None:
        self.let_go.set()
        await self.adapter.close()
        await self._runner.cleanup()

    async def told(self, text: str = "trading is HALTED", **more: Any) -> str:
        answer = await self.adapter.perform(asked(text, channel="json", **more))
        assert isinstance(answer, MessageSent)
        assert answer.ok == (not answer.detail)
        return answer.detail

    async def _take(self, request: web.Request) -> web.Response:
        self.taken.append(await request.json())
        await self.let_go.wait()
        return web.Response(status=self.status)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    stand = Stand(tmp_path)
    await stand.open()
    yield stand
    await stand.close()


async def test_a_message_arrives_with_its_level(stand: Stand) -> None:
    """Title, text as it is, and Apprise's word for how grave it is; a secret in the text is masked."""
    for level in ("page", "ticket", "note"):
        assert await stand.told("cannot reach postgresql://b:hunter2hunter2@db/l <b>&amp;", level=level) == ""
    assert [(each["title"], each["type"]) for each in stand.taken] == [
        ("Bulkhead page", "failure"),
        ("Bulkhead ticket", "warning"),
        ("Bulkhead note", "info"),
    ]
    assert stand.taken[0]["message"] == "cannot reach postgresql://b:[redacted]@db/l <b>&amp;"


async def test_a_service_that_refuses_is_a_failure(stand: Stand) -> None:
    """Apprise does not say why, nor whether it arrived: so it may be a repeat when it comes again."""
    stand.status = 500
    assert await stand.told() == f"{UNSURE}the service did not take it"
    stand.status = 200
    assert await stand.told() == ""


async def test_a_service_that_hangs_holds_back_nobody_else(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes in time, other channels go on, and a second message does not pile up behind the first."""
    monkeypatch.setattr(by_url, "PERFORM_S_MAX", 0.3)
    stand.let_go.clear()
    hanging = asyncio.create_task(stand.told("one"))
    began = time.monotonic()
    console = await stand.adapter.perform(asked(channel="console"))
    assert isinstance(console, MessageSent)
    assert (console.ok, time.monotonic() - began < 0.25) == (True, True)
    assert await hanging == f"{UNSURE}no answer"
    assert await stand.told("two") == "the service has not finished with the message before"
    stand.let_go.set()
    monkeypatch.setattr(by_url, "PERFORM_S_MAX", 5.0)
    sender: Any = stand.adapter._adapters["json"]
    await until(lambda: not sender._busy)
    assert await stand.told("three") == ""
    assert [each["message"] for each in stand.taken] == ["one", "three"]


async def test_a_message_that_was_not_even_tried_is_no_repeat(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited behind another until its time was up."""
    monkeypatch.setattr(by_url, "PERFORM_S_MAX", 0.2)
    stand.let_go.clear()
    first, second = await asyncio.gather(stand.told("one"), stand.told("two"))
    assert first == f"{UNSURE}no answer"
    assert second in (
        "the service is busy with the messages before",
        "the service has not finished with the message before",
    )
    assert [each["message"] for each in stand.taken] == ["one"]


async def test_a_plug_in_that_raises_is_a_failure(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in Apprise, the process goes on."""
    service = stand.adapter._adapters["json"]._services["json"]  # type: ignore[attr-defined]

    def broken(**_: Any) -> bool:
        raise RuntimeError(f"no way to {stand.file.read_text()}")

    monkeypatch.setattr(service, "notify", broken)
    assert await stand.told() == f"{UNSURE}RuntimeError"


async def test_no_url_is_shown(stand: Stand) -> None:
    """Not in an answer, not in a log line, whatever happens."""
    seen = []
    for status in (200, 301, 403, 500):
        stand.status = status
        seen.append(await stand.told())
    await stand._runner.cleanup()
    seen.append(await stand.told())
    whole = "\n".join([*seen, stand.log.getvalue(), repr(stand.adapter.__dict__)])
    assert PASSWORD not in whole
    assert PATH not in whole


def test_a_url_that_apprise_cannot_use_stops_the_start(tmp_path: Path) -> None:
    """By the channel's name: the URL may be a secret that was mistyped."""
    write_secret(tmp_path / "urls", f"pigeon://{PASSWORD}")
    with pytest.raises(SettingsError, match="Apprise cannot use the URL of channel pigeon") as refused:
        PeopleAdapter(Settings(notify_urls_file=tmp_path / "urls"))
    assert PASSWORD not in str(refused.value)
