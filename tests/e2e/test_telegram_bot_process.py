"""The bot as a process: idle without a token, silent about the token whatever happens, a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from libs.runtime.lifetime import EX_OK, lived
from services.telegram_bot.run import TelegramBot
from services.telegram_bot.settings import Settings
from services.telegram_sim.behaviour import Behaviour, Deed
from services.telegram_sim.server import TelegramServer, write_secret
from services.telegram_sim.settings import Settings as SimSettings
from tests.e2e.telegram_stand import until
from tests.e2e.test_cli import write
from tests.nats_stack import NatsStack
from tests.recorded_log import recorded_log

ROOT = Path(__file__).parents[2]
ADA = 1001
PATIENCE_S = 40.0
FAILURES = [deed for deed in get_args(Deed) if deed not in ("ok", "hang")]


class Child:
    """A bot in a process of its own, and everything it has written."""

    def __init__(self, home: Path, nats_url: str, *words: str, **settings: Any):
        plain = {name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_")}
        given = {"home": home, "nats_url": nats_url, "log_level": "debug", **settings}
        ours = {f"BULKHEAD_{name.upper()}": str(value) for name, value in given.items()}
        self.out = home / "bot.out"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *words, "-m", "services.telegram_bot"],
                cwd=ROOT,
                env={**plain, **ours, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def written(self) -> str:
        """What it has written so far."""
        return self.out.read_text()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its lines of this kind."""
        lines = [json.loads(line) for line in self.written.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    async def port(self) -> int:
        """Where its health pages are."""
        await self.until(lambda: bool(self.logged("listening")))
        return int(self.logged("listening")[0]["port"])

    async def page(self, path: str) -> tuple[int, str]:
        """One of its health pages."""
        url = f"http://127.0.0.1:{await self.port()}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()

    async def ready(self, status: int = 200) -> str:
        """What /readyz says, once its status is this."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found, text = await self.page("/readyz")
                if found == status:
                    return text
                await asyncio.sleep(0.05)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for it, boundedly, as long as it lives."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so():
                assert self.process.poll() is None, self.written[-2_000:]
                await asyncio.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@asynccontextmanager
async def child_of(nats: NatsStack, *words: str, **settings: Any) -> AsyncIterator[Child]:
    """A process that does not outlive the test."""
    child = Child(nats.home, nats.url, *words, **settings)
    try:
        yield child
    finally:
        if child.process.poll() is None:
            child.process.kill()
            child.process.wait()


@pytest.fixture
async def telegram(tmp_path: Path) -> AsyncIterator[TelegramServer]:
    server = TelegramServer(SimSettings(home=tmp_path, telegram_sim_chats=(ADA,)))
    await server.start()
    yield server
    await server.stop()


async def test_without_a_token_it_waits_and_costs_nothing(nats: NatsStack) -> None:
    """Ready, says why it does nothing, has not even imported the client, and ends cleanly."""
    async with child_of(nats, "-X", "importtime") as child:
        said = json.loads(await child.ready())
        assert said["reasons"] == ["not configured: BULKHEAD_TELEGRAM_TOKEN_FILE names no file with a token"]
        assert child.stop() == EX_OK
        imported = {
            line.rpartition("|")[2].strip() for line in child.written.splitlines() if line.startswith("import time:")
        }
        assert "libs.desk.desk" in imported
        assert sorted(imported & {"aiogram", "matplotlib", "services.telegram_bot.front"}) == []


async def test_the_token_stands_in_nothing_and_may_change(
    nats: NatsStack, telegram: TelegramServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every failure of Telegram's, on polls and on messages: no line, traceback, metric or answer shows the token. When it is revoked, the bot says so,
    reads its file again, and goes on with what stands there; told to stop, it ends cleanly."""
    await write(nats, recorded_log(3)[:60])
    file = tmp_path / "token"
    write_secret(file, telegram.token)
    bot = TelegramBot(
        Settings(
            home=nats.home,
            nats_url=nats.url,
            log_level="debug",
            telegram_token_file=file,
            telegram_url=telegram.url,
            telegram_users=f"{ADA}:operate",
            telegram_poll_s=1,
            telegram_answer_s_max=1,
            telegram_rate=1_000,
        )
    )
    running = asyncio.create_task(lived("telegram-bot", bot.settings, lambda: bot))
    tokens = [telegram.token]
    await until(lambda: bot.readiness().ready)
    for method, quiet in (("getUpdates", ["ok"]), ("sendMessage", [])):
        deeds = [each for deed in FAILURES for each in (deed, *quiet)]
        telegram.script.play([Behaviour(do=each, method=method, to=f"{telegram.url}/livez") for each in deeds])  # type: ignore[arg-type]
        while telegram.script._waiting and not running.done():
            telegram.chats.say(ADA, "/health")
            await telegram.chats.changed(0.3)
    await until(lambda: bot.readiness().ready)
    tokens.append(telegram.rotate())
    await until(lambda: bot.readiness().reasons == ["Telegram does not know the token"])
    write_secret(file, telegram.token)
    await until(lambda: bot.readiness().ready)
    telegram.chats.say(ADA, "/help")
    await telegram.chats.until(lambda: any("you may look" in each.text for each in telegram.chats.sent))
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{bot.port}/metrics") as answer:
        metrics = await answer.text()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, PATIENCE_S) == EX_OK
    written = "".join(capfd.readouterr())
    assert '"event":"telegram_token_read_again"' in written
    assert {f'"is_new":{word}' in written for word in ("true", "false")} == {True}
    assert 'outcome="UNAUTHORIZED",service="telegram-bot"' in metrics
    assert "bulkhead_telegram_token_reads_total" in metrics
    everything = " ".join([written, metrics, *(each.text for each in telegram.chats.sent)])
    for token in tokens:
        assert [each for each in (token, token.partition(":")[2]) if each in everything] == []
    assert "Traceback" not in written
