"""A browser before a running gateway, a real bus and a recorded log whose clock has been set to now."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from libs.common.codec import decode_from, encode
from libs.common.messages import Message
from libs.common.subjects import subject_of, writer_filter
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import Bus
from libs.runtime.contract import Contract
from libs.runtime.engine import Append
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contracts
from libs.runtime.streams import TRADING
from tests.e2e.gateway_stand import Gateway, gateway_on
from tests.nats_stack import NatsStack, free_ports
from tests.recorded_log import message_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIME = re.compile(rb"(?<=[:\[,])(\d{19})(?=[,}\]])")


def browser_path() -> str | None:
    """A Chromium of this machine."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def set_to_now(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """The same log as if its last event had happened now: every time in it is moved by the same."""
    listed = list(entries)
    moved = time.time_ns() - message_of(listed[-1]).ts_init
    return [
        LogEntry(entry.seq, entry.subject, _TIME.sub(lambda found: b"%d" % (int(found[1]) + moved), entry.payload))
        for entry in listed
    ]


class Writers:
    """Everybody who may speak, each with his own key and his own tail."""

    def __init__(self) -> None:
        self._buses: dict[str, tuple[Contract, Bus]] = {}
        self._tails: dict[str, int] = {}

    async def connect(self, nats: NatsStack) -> None:
        """Be everybody; again after an outage of the server."""
        for contract in contracts():
            user = await nats.connect(contract.service)
            self._buses[contract.writer] = contract, Bus(user.client, TRADING, api_prefix(contract))

    async def write(self, entries: Iterable[LogEntry]) -> None:
        """Append a log."""
        for entry in entries:
            await self._append(entry.subject, entry.payload, decode_from(entry.subject, entry.payload))

    async def say(self, *messages: Message) -> int:
        """Append what somebody says; returns where the last of it stands."""
        seq = 0
        for message in messages:
            seq = await self._append(subject_of(message), encode(message), message)
        return seq

    async def _append(self, subject: str, payload: bytes, message: Message) -> int:
        contract, bus = self._buses[message.producer]
        append = Append(subject, payload, message, self._tails.get(contract.writer, 0))
        seq = self._tails[contract.writer] = await bus.append(append, writer_filter(contract.writer), {})
        return seq


class ConsoleStand:
    """One stack, its gateway and a browser."""

    def __init__(self, nats: NatsStack, gateway: Gateway, writers: Writers, browser: Browser, log: list[LogEntry]):
        self.nats = nats
        self.gateway = gateway
        self.writers = writers
        self.browser = browser
        self.log = log

    @asynccontextmanager
    async def page(self, scope: str = "operate", **options: Any) -> AsyncIterator[Page]:
        """A page of its own on which the log is shown."""
        context = await self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        try:
            yield await self.opened(context, scope)
        finally:
            await context.close()

    async def opened(self, context: BrowserContext, scope: str = "operate") -> Page:
        """A page that is signed in and painted; what its console says of errors is kept in `page.faults`."""
        page = await context.new_page()
        page.set_default_timeout(8000)
        faults: list[str] = []
        page.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
        page.on("pageerror", lambda error: faults.append(f"error {error}"))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.faults = faults  # type: ignore[attr-defined]
        await page.goto(f"{self.gateway.url}/#token={self.gateway.tokens[scope]}")
        await page.locator("#main[aria-busy=false]").wait_for()
        return page


@asynccontextmanager
async def console_on(home: Path, entries: Iterable[LogEntry], **env: str) -> AsyncIterator[ConsoleStand]:
    """All of it, from an empty folder; the gateway keeps its port when it is started again."""
    path = browser_path()
    assert path is not None, "there is no Chromium here"
    nats, writers, log = NatsStack(home), Writers(), set_to_now(entries)
    await nats.start()
    try:
        await writers.connect(nats)
        await writers.write(log)
        port = str(free_ports(1)[0])
        async with gateway_on(nats, BULKHEAD_GATEWAY_PORT=port, **env) as gateway, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path)
            try:
                yield ConsoleStand(nats, gateway, writers, browser, log)
            finally:
                await browser.close()
    finally:
        await nats.stop()
