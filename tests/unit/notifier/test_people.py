"""All channels as one edge: each request finds its channel, each breaker is shown, and nothing is imported that nobody has configured."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from libs.common.messages import MessageSent, PersonNotified
from libs.runtime.breaker import BreakerLimits
from libs.runtime.registry import SERVICES, contract_of
from libs.runtime.settings import SettingsError, load_settings
from services.notifier.adapters import people
from services.notifier.adapters.people import PeopleAdapter
from services.notifier.channel import Channel
from services.notifier.machine import Memory
from services.notifier.settings import Settings
from services.telegram_sim.server import TelegramServer, new_token, write_secret
from services.telegram_sim.settings import Settings as SimSettings
from tests.playbook import START
from tests.unit.notifier.edge import asked, context


async def test_the_breaker_of_every_channel_is_shown(tmp_path: Path) -> None:
    """Prometheus sees CLOSED from the start, OPEN once the machine says so, and that it has opened; a URL is called by its scheme."""
    registry, memory = CollectorRegistry(), Memory()
    write_secret(tmp_path / "urls", "json://user:s3cretpass@127.0.0.1:9/")
    edge = PeopleAdapter(Settings(notify_urls_file=tmp_path / "urls"))
    await edge.open(context(registry=registry, memory=memory))
    labels = {"service": "notifier", "name": "console"}
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 0
    memory.mail.channels["console"] = Channel()
    memory.mail.channels["console"].breaker.trip(BreakerLimits(), START, "enough")
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 2
    assert registry.get_sample_value("bulkhead_breaker_openings_total", labels) == 1
    assert registry.get_sample_value("bulkhead_breaker_state", {**labels, "name": "json"}) == 0


async def test_each_request_finds_its_channel(capsys: pytest.CaptureFixture[str]) -> None:
    """One for a channel of before the settings changed fails, and the machine lets it leave by another."""
    edge = PeopleAdapter(load_settings(Settings))
    await edge.open(context())
    assert await edge.perform(asked()) == MessageSent(
        request_id="r1", channel="console", ok=True, detail="", ts_event=START, ts_init=START
    )
    assert capsys.readouterr().out == "2025-01-01 00:00:00Z page   trading is HALTED\n"
    answer = await edge.perform(asked(channel="telegram.1001"))
    assert isinstance(answer, MessageSent)
    assert (answer.ok, answer.detail) == (False, "there is no such channel any more")
    await edge.close()


def test_a_console_needs_no_client_of_telegram() -> None:
    """aiogram costs five seconds and 100 MB, Apprise half a second: only who wants them pays."""
    program = (
        "import sys; from services.notifier.adapters.people import PeopleAdapter; from services.notifier.settings import Settings;"
        "PeopleAdapter(Settings()); print(sorted({'aiogram', 'apprise'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


async def test_the_service_does_not_wait_for_the_client_of_telegram(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open at once; the message that came meanwhile leaves when the client is there, and an end before that is an end."""
    telegram = TelegramServer(SimSettings(home=tmp_path))
    await telegram.start()
    write_secret(tmp_path / "token", telegram.token)
    settings = Settings(
        notify_channel="telegram",
        telegram_token_file=tmp_path / "token",
        telegram_chats=(1001,),
        telegram_url=telegram.url,
    )
    imported = threading.Event()

    def slowly(name: str) -> Any:
        assert imported.wait(5)
        return import_module(name)

    monkeypatch.setattr(people, "import_module", slowly)
    waiting, leaving = PeopleAdapter(settings), PeopleAdapter(settings)
    for each in (waiting, leaving):
        await each.open(context())
    message = asyncio.create_task(waiting.perform(asked(channel="telegram.1001")))
    await leaving.close()
    assert not message.done()
    imported.set()
    answer = await message
    assert isinstance(answer, MessageSent)
    assert answer.ok
    await waiting.close()
    await telegram.stop()


def test_telegram_without_its_client_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that left it out says so before the first page."""
    write_secret(tmp_path / "token", new_token())
    monkeypatch.setattr(people, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="aiogram is not installed"):
        PeopleAdapter(
            Settings(notify_channel="telegram", telegram_token_file=tmp_path / "token", telegram_chats=(1001,))
        )


@pytest.mark.parametrize("service", [name for name in SERVICES if name not in ("notifier", "cli")])
def test_nobody_who_trades_hears_the_notifier(service: str) -> None:
    """What people are told, or cannot be told, is no input of any decision: so it can delay none."""
    heard = set(contract_of(service).consumes)
    assert heard.isdisjoint({MessageSent, PersonNotified})
