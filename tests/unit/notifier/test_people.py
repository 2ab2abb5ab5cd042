"""All channels as one edge: each request finds its channel, each breaker is shown, and nothing is imported that nobody has configured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from libs.common.messages import MessageSent, PersonNotified
from libs.runtime.breaker import BreakerLimits
from libs.runtime.registry import SERVICES, contract_of
from libs.runtime.settings import load_settings
from services.notifier.adapters.people import PeopleAdapter
from services.notifier.channel import Channel
from services.notifier.machine import Memory
from services.notifier.settings import Settings
from services.telegram_sim.server import write_secret
from tests.playbook import START
from tests.unit.notifier.edge import asked, context

TRADERS = ("market-feed", "portfolio", "risk-gate", "order-executor", "ledger")


async def test_the_breaker_of_every_channel_is_shown(tmp_path: Path) -> None:
    """Prometheus sees CLOSED from the start, OPEN once the machine says so, and that it has opened; a URL is called by its scheme."""
    registry, memory = CollectorRegistry(), Memory()
    write_secret(tmp_path / "urls", "json://user:s3cretpass@127.0.0.1:9/")
    people = PeopleAdapter(Settings(notify_urls_file=tmp_path / "urls"))
    await people.open(context(registry=registry, memory=memory))
    labels = {"service": "notifier", "name": "console"}
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 0
    memory.mail.channels["console"] = Channel()
    memory.mail.channels["console"].breaker.trip(BreakerLimits(), START, "enough")
    assert registry.get_sample_value("bulkhead_breaker_state", labels) == 2
    assert registry.get_sample_value("bulkhead_breaker_openings_total", labels) == 1
    assert registry.get_sample_value("bulkhead_breaker_state", {**labels, "name": "json"}) == 0


async def test_each_request_finds_its_channel(capsys: pytest.CaptureFixture[str]) -> None:
    """One for a channel of before the settings changed fails, and the machine lets it leave by another."""
    people = PeopleAdapter(load_settings(Settings))
    await people.open(context())
    assert await people.perform(asked()) == MessageSent(
        request_id="r1", channel="console", ok=True, detail="", ts_event=START, ts_init=START
    )
    assert capsys.readouterr().out == "2025-01-01 00:00:00Z page   trading is HALTED\n"
    answer = await people.perform(asked(channel="telegram.1001"))
    assert isinstance(answer, MessageSent)
    assert (answer.ok, answer.detail) == (False, "there is no such channel any more")
    await people.close()


def test_a_console_needs_no_client_of_telegram() -> None:
    """aiogram costs five seconds and 100 MB, Apprise half a second: only who wants them pays."""
    program = (
        "import sys; from services.notifier.adapters.people import PeopleAdapter; from services.notifier.settings import Settings;"
        "PeopleAdapter(Settings()); print(sorted({'aiogram', 'apprise'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("service", [name for name in SERVICES if name not in ("notifier", "cli")])
def test_nobody_who_trades_hears_the_notifier(service: str) -> None:
    """What people are told, or cannot be told, is no input of any decision: so it can delay none."""
    heard = set(contract_of(service).consumes)
    assert heard.isdisjoint({MessageSent, PersonNotified})
