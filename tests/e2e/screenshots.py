"""`python -m tests.e2e.screenshots`: pictures of the console for docs/console.md, from a running gateway before a log that real machines wrote.

What a simulated market of two instruments does not bring about by itself (zones, a weekly regime, health pages of services that do not run here) is said by
their writers for the picture.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from PIL import Image
from playwright.async_api import Page

from libs.common.messages import FeedMarks, LevelsMapped, MacroRegimes, Message, PriceZone, Regime
from libs.common.messages.trading import LevelMap
from libs.desk.view import DeskView
from libs.runtime.health import HealthServer, Readiness
from libs.runtime.metrics import ServiceMetrics
from tests.e2e.console_stand import ConsoleStand, console_on
from tests.recorded_log import CALM, message_of, recorded_log

FOLDER = Path(__file__).parents[2] / "docs" / "img"
PLAN = msgspec.structs.replace(CALM, storm_minutes=45)
SEED = 24
"""Two positions, fills, a denial, a model that refused once."""
SERVICES = ("market-feed", "signal-agents", "risk-gate", "order-executor", "ledger", "notifier")
BYTES_MAX = 400_000
COLOURS = 200
DESKTOP = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


async def main() -> None:
    """Make every picture anew."""
    FOLDER.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "home"
        pages = await stack.enter_async_context(health_pages())
        log = recorded_log(SEED, PLAN)
        stand = await stack.enter_async_context(console_on(home, log, BULKHEAD_GATEWAY_SERVICES=pages))
        view = DeskView()
        for entry in stand.log:
            view.take(entry, message_of(entry))
        await stand.writers.say(regimes(view), zones(view))
        beating = asyncio.create_task(beat(stand, view))
        try:
            for scheme, suffix in (("light", ""), ("dark", "-dark")):
                await desktop(stand, scheme, suffix)
                await phone(stand, scheme, suffix)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
        await stale(stand)


async def desktop(stand: ConsoleStand, scheme: str, suffix: str) -> None:
    """The whole page; and in light the story of a fill and the dialog of a halt."""
    async with stand.page(color_scheme=scheme, **DESKTOP) as page:
        await settled(page)
        await save(page, f"console-desktop{suffix}", full_page=True)
        if suffix:
            return
        await page.locator("#fills-body tr", has_text="ENTRY").locator("a").first.click()
        await page.locator('#trace-events [data-role="verdict"]').first.scroll_into_view_if_needed()
        await save(page, "console-story")
        await page.keyboard.press("Escape")
        await page.locator('#commands [data-word="HALT"]').click()
        await page.locator("#order-reason").fill("spreads look wrong")
        await page.locator("#order-word").fill("HALT")
        await save(page, "console-halt")


async def phone(stand: ConsoleStand, scheme: str, suffix: str) -> None:
    """What a phone shows first."""
    async with stand.page(color_scheme=scheme, **PHONE) as page:
        await settled(page)
        await save(page, f"console-phone{suffix}")


async def stale(stand: ConsoleStand) -> None:
    """What it looks like when nobody speaks any more."""
    async with stand.page(color_scheme="light", **DESKTOP) as page:
        await settled(page)
        stand.gateway.process.kill()
        await page.locator("#stale").wait_for()
        await save(page, "console-stale")


async def settled(page: Page) -> None:
    """Wait until the slowest section has come."""
    await page.locator("#price-charts .SUPPORT").first.wait_for(state="attached")
    await page.locator("#services-body tr").nth(len(SERVICES) - 1).wait_for()
    await page.wait_for_timeout(500)


async def save(page: Page, name: str, **how: Any) -> None:
    """One picture."""
    path = FOLDER / f"{name}.png"
    shot = Image.open(io.BytesIO(await page.screenshot(animations="disabled", **how))).convert("RGB")
    shot.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {size / 1000:.0f} kB")
    assert size < BYTES_MAX, path


@asynccontextmanager
async def health_pages() -> AsyncIterator[str]:
    """Pages of services that say they are ready, as the gateway wants to be told of them."""
    ready = Readiness(ready=True, processed_seq=1, quiescent=True, code_version="5e3f0c9a")
    servers = [HealthServer("127.0.0.1", 0, lambda: ready, ServiceMetrics(name)) for name in SERVICES]
    ports = [await server.start() for server in servers]
    try:
        yield ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in zip(SERVICES, ports, strict=True))
    finally:
        for server in servers:
            await server.stop()


async def beat(stand: ConsoleStand, view: DeskView) -> None:
    """The market goes on, so that the figures are fresh."""
    while True:
        now = time.time_ns()
        await stand.writers.say(
            FeedMarks(**said("feed", now), venue="sim", as_of=now, marks=(), alive=tuple(view.prices))
        )
        await asyncio.sleep(1)


def zones(view: DeskView) -> Message:
    """A band below and one above each price."""
    now = time.time_ns()
    maps = []
    for name, price in view.prices.items():
        low, high = min(view.closes[price.instrument]), max(view.closes[price.instrument])
        room = (high - low) / 12
        bands = tuple(
            PriceZone(
                lo=px,
                hi=px + room,
                mid=px,
                role=role,
                touches=3,
                score=2.0,
                first_ts=now,
                last_ts=now,
                confirmed_ts=now,
            )
            for px, role in ((low, "SUPPORT"), (high - room, "RESISTANCE"))
        )
        maps.append(
            LevelMap(
                instrument=name,
                timeframe="1m",
                ready=True,
                close_px=price.last_px,
                atr=room,
                zones=bands,
                poc=None,
                val=None,
                vah=None,
                hvn=(),
                lvn=(),
            )
        )
    return LevelsMapped(**said("agent.levels", now), agent_id="levels", end_ts=now, maps=tuple(maps))


def regimes(view: DeskView) -> Message:
    """A bull market in everything."""
    now = time.time_ns()
    found = tuple(
        Regime(instrument=name, state="BULL", provisional=False, weeks=60, since_ts=now, evidence={})
        for name in view.prices
    )
    return MacroRegimes(**said("agent.macro", now), agent_id="macro", end_ts=now, regimes=found)


def said(producer: str, now: int) -> dict[str, Any]:
    """The metadata of something that is said now."""
    name = f"{abs(hash((producer, now))):032x}"[:32]
    return {"id": name, "ts_event": now, "ts_init": now, "correlation_id": name, "producer": producer}


if __name__ == "__main__":
    asyncio.run(main())
