"""The notifier's heartbeat: it beats at the dead man's switch as long as people would really be told, and beside any channel.

It is at work when its process lives, the log is within reach, it is hardly behind it, and not every channel it knows is down. One that is stopped,
frozen, or without bus, channel or network is silent, and the switch pages by a way of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from libs.common.messages import Answer
from libs.runtime.adapter import Adapter, AdapterContext
from libs.runtime.core import Asked
from libs.runtime.heartbeat import Heartbeat
from libs.runtime.live import AdapterFactory
from services.notifier.machine import Memory
from services.notifier.settings import Settings

LAG_EVENTS_MAX = 1_000
"""So many events unread are a notifier that tells of what was."""


class BeatingAdapter:
    """`inner`, and beside it the heartbeat, if there is a URL for it."""

    def __init__(self, settings: Settings, inner: Adapter):
        self._settings = settings
        self._inner = inner
        self._beating: asyncio.Task[None] | None = None

    async def open(self, context: AdapterContext) -> None:
        """Open the channel, then begin to beat."""
        await self._inner.open(context)
        url = self._settings.heartbeat_url()
        if url:
            heart = Heartbeat(
                url,
                self._settings.notify_heartbeat_s,
                lambda: ailing(context),
                "notifier",
                context.registry,
                context.logger,
            )
            self._beating = asyncio.create_task(heart.beat_for_ever(), name="heartbeat")

    async def perform(self, asked: Asked) -> Answer:
        """What the channel does."""
        return await self._inner.perform(asked)

    async def close(self) -> None:
        """No beat any more, then close the channel."""
        if self._beating is not None:
            self._beating.cancel()
            with suppress(asyncio.CancelledError):
                await self._beating
        await self._inner.close()


def ailing(context: AdapterContext) -> str:
    """Why people might not be told now; empty if they would be."""
    if not context.log_is_reachable():
        return "the log cannot be reached"
    if context.lag() > LAG_EVENTS_MAX:
        return f"{context.lag()} events of the log are unread"
    memory = context.state()
    channels = memory.channels if isinstance(memory, Memory) else {}
    if channels and all(channel.breaker.state != "CLOSED" for channel in channels.values()):
        return f"no channel to people works: {', '.join(sorted(channels))}"
    return ""


def beating(inner: AdapterFactory) -> AdapterFactory:
    """What `inner` makes, with a heartbeat beside it."""
    return lambda settings: BeatingAdapter(settings, inner(settings))
