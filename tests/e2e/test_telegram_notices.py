"""The notifier as it runs: over a real bus, with the unmodified aiogram, to an emulated Telegram that fails, is away, and changes its token."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from libs.common.messages import AlertRaised, MessageSent
from services.telegram_sim.behaviour import Behaviour
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings as SimSettings
from tests.e2e.live_services import Life, Log, Pen, kind_of
from tests.nats_stack import NatsStack

ADA = 1001


@pytest.fixture
async def telegram(tmp_path: Path) -> AsyncIterator[TelegramServer]:
    """An emulated Telegram that knows one chat."""
    server = TelegramServer(SimSettings(home=tmp_path / "telegram", telegram_sim_chats=(ADA,)))
    await server.start()
    yield server
    await server.stop()


class Stand:
    """A notifier that tells one chat, and somebody who raises alerts."""

    def __init__(self, nats: NatsStack, telegram: TelegramServer, pen: Pen, log: Log):
        self.nats, self.telegram, self.pen, self.log = nats, telegram, pen, log
        self.token = nats.home / "telegram-token"
        write_secret(self.token, telegram.token)

    @classmethod
    async def of(cls, nats: NatsStack, telegram: TelegramServer) -> Stand:
        """A stand on this stack."""
        return cls(nats, telegram, await Pen.of(nats, "ledger", time.time_ns()), await Log.of(nats))

    async def life(self) -> Life:
        """A life of the notifier, impatient enough for a test."""
        told: dict[str, Any] = {"notify_breaker_failures_max": 2, "notify_breaker_pause_s": 1}
        told |= {"notify_breaker_pause_s_max": 1, "notify_backoff_s": 1}
        life = Life(
            self.nats,
            "notifier",
            notify_channel="telegram",
            telegram_token_file=self.token,
            telegram_chats=(ADA,),
            telegram_url=self.telegram.url,
            **told,
        )
        return await life.live()

    async def page(self, code: str) -> int:
        """Something that must be told."""
        return await self.pen.say(AlertRaised(code=code, severity="page", text="look"))

    async def shown(self, *words: str) -> str:
        """Everything in the chat, once all `words` are there."""

        def text() -> str:
            return "\n".join(each.text for each in self.telegram.chats.sent)

        await self.telegram.chats.until(lambda: all(word in text() for word in words), 30)
        return text()

    async def answers(self) -> list[MessageSent]:
        """What the log says of the messages."""
        return await self.log.said("notify.sent")


async def test_a_page_is_on_the_phone_once_and_no_replay_sends_it_again(
    nats: NatsStack, telegram: TelegramServer
) -> None:
    """Neither the replay proof nor a restart from the beginning of the log: requests are performed by the living only."""
    stand = await Stand.of(nats, telegram)
    life = await stand.life()
    seq = await stand.page("ONE")
    assert await stand.shown("ONE") == "ONE (ledger): look"
    await stand.log.until("notify.sent")
    await life.done(seq)
    assert await life.stop() is None
    report = await stand.log.proof([kind_of("notifier")])
    assert (report.mismatches, report.verified > 0) == ([], True)
    for path in (nats.home / "snapshots").glob("*.snapshot"):
        path.unlink()
    again = await stand.life()
    await again.done(await stand.log.last_seq())
    await stand.page("TWO")
    assert await stand.shown("TWO") == "ONE (ledger): look\nTWO (ledger): look"
    assert await again.stop() is None
    assert len([call for call in telegram.calls if call.method == "sendMessage"]) == 2


async def test_no_outage_and_no_crash_loses_a_page(nats: NatsStack, telegram: TelegramServer) -> None:
    """Telegram is away, pages come, the notifier is killed and starts anew: once Telegram is back, all of them are told, late and said to be."""
    stand = await Stand.of(nats, telegram)
    life = await stand.life()
    await telegram.stop()
    for code in ("ONE", "TWO", "THREE"):
        await life.done(await stand.page(code))
    alerts = await stand.log.until("notify.alert")
    assert alerts[0].code == "CHANNEL_DOWN"
    assert "no connection" in alerts[0].text
    await life.kill()
    again = await stand.life()
    await again.done(await stand.page("FOUR"))
    assert telegram.chats.sent == []
    await telegram.start()
    text = await stand.shown("ONE", "TWO", "THREE", "FOUR")
    assert all("late by" in line for line in text.splitlines() if "FOUR" not in line)
    assert await again.stop() is None
    report = await stand.log.proof([kind_of("notifier")])
    assert report.mismatches == []


async def test_what_may_have_arrived_comes_again_as_a_repeat(nats: NatsStack, telegram: TelegramServer) -> None:
    """The message was stored and the answer lost: at least once means twice here, and the second says so."""
    stand = await Stand.of(nats, telegram)
    telegram.script.play([Behaviour(do="lost", method="sendMessage")])
    life = await stand.life()
    await stand.page("ONE")
    text = await stand.shown("(repeat)")
    assert text == "ONE (ledger): look\n(repeat) ONE (ledger): look"
    assert await life.stop() is None


async def test_the_token_changes_while_it_runs_and_is_nowhere_to_be_read(
    nats: NatsStack, telegram: TelegramServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Revoked first, written later: what was refused in between arrives too. Neither token is in the log, in our logs or in the metrics."""
    stand = await Stand.of(nats, telegram)
    old, life = telegram.token, await stand.life()
    await stand.page("ONE")
    await stand.shown("ONE")
    new = telegram.rotate()
    await stand.page("TWO")
    refused = await stand.log.until("notify.sent", 2)
    assert "the token is refused" in refused[1].detail
    write_secret(stand.token, new)
    await stand.page("THREE")
    await stand.shown("TWO", "THREE")
    metrics = generate_latest(life.shell._metrics.registry).decode()
    assert 'bulkhead_breaker_state{name="telegram.1001"' in metrics
    assert await life.stop() is None
    captured = capfd.readouterr()
    seen = [metrics, captured.out, captured.err]
    seen += [f"{entry.subject} {entry.payload.decode()}" for entry in await stand.log.read()]
    whole = "\n".join(seen)
    for token in (old, new):
        assert token not in whole
        assert token.partition(":")[2] not in whole
